"""What a network is shown: originals beside their augmented views."""

from pathlib import Path
from typing import Any

import numpy as np

from iic_tf.augment.pairs import Views, training_batches
from iic_tf.report.plots import pair_grid
from iic_tf.resolved import RunOptions

NUMBER = 20
"""Originals that are drawn."""


def draw_views(
    path: Path,
    images: np.ndarray,
    views: Views,
    options: RunOptions,
    *,
    more: str = "",
    **how: Any,
) -> None:
    """Draws the first training images of a run above their augmented views.

    Args:
        path: PNG file to write.
        images: Training images, see ``training_batches``.
        views: What is done to them.
        options: ``data`` and ``seed`` are read.
        more: Last words of the heading.
        **how: Passed to ``training_batches``, such as ``neighbours``.
    """
    [shown] = training_batches(
        images,
        views,
        repeats=options.data.repeats,
        batch=min(NUMBER, len(images)),
        seed=options.seed,
        start=0,
        steps=1,
        **how,
    )
    title = f"{options.data.recipe}: originals and their augmented views{more}"
    pair_grid(path, [view.numpy() for view in shown], title=title)
