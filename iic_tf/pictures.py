"""Pictures of clusters and of pairs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iic_tf.curves import MUTED, save_figure


def _mosaic(images: Sequence[np.ndarray], *, columns: int) -> np.ndarray:
    """One row of images of equal shape ``(height, width, c)``, padded with white."""
    height, width, channels = images[0].shape if len(images) else (1, 1, 1)
    gap = 2
    row = np.ones((height, columns * (width + gap) - gap, channels))
    for i, image in enumerate(images[:columns]):
        row[:, i * (width + gap) : i * (width + gap) + width] = image
    return row


def _show(axes: Axes, picture: np.ndarray) -> None:
    if picture.shape[-1] == 1:
        axes.imshow(
            picture[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
    else:
        axes.imshow(np.clip(picture[..., :3], 0, 1), interpolation="nearest")
    axes.set_axis_off()


def cluster_grid(
    path: Path,
    images: np.ndarray,
    probabilities: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    title: str,
    columns: int = 20,
) -> None:
    """One row per cluster: its size and its most confident images.

    Args:
        path: PNG file to write.
        images: uint8 images, shape ``(n, height, width, channels)``.
        probabilities: Soft assignments of one sub-head, shape ``(n, k)``.
        names: A name per cluster, where classes are known.
        title: Heading.
        columns: Images per row.
    """
    clusters = probabilities.argmax(1)
    confidence = probabilities.max(1)
    k = probabilities.shape[1]
    figure = Figure(figsize=(columns * 0.46 + 2.2, k * 0.5 + 0.8), dpi=110)
    figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    grid = figure.subplots(k, 1, squeeze=False)[:, 0]
    figure.subplots_adjust(
        left=1.9 / figure.get_figwidth(), right=0.99, top=1 - 0.55 / (k * 0.5 + 0.8),
        bottom=0.01, hspace=0.06,
    )  # fmt: skip
    for cluster, axes in enumerate(grid):
        members = np.flatnonzero(clusters == cluster)
        # A stable sort, so that equal confidences keep the order of the images.
        best = members[np.argsort(-confidence[members], kind="stable")[:columns]]
        shown = [images[i] / 255.0 for i in best] or [np.ones(images.shape[1:])]
        _show(axes, _mosaic(shown, columns=columns))
        name = f"cluster {cluster}" + (f" = {names[cluster]}" if names else "")
        axes.text(
            -0.012, 0.68, name, transform=axes.transAxes, ha="right", va="center",
            fontsize=10,
        )  # fmt: skip
        mean = confidence[members].mean() if len(members) else 0.0
        axes.text(
            -0.012, 0.26, f"{len(members):,} images, confidence {mean:.2f}",
            transform=axes.transAxes, ha="right", va="center", fontsize=7, color=MUTED,
        )  # fmt: skip
    save_figure(figure, path)


def pair_grid(path: Path, views: Sequence[np.ndarray], *, title: str) -> None:
    """Originals in the first row, their perturbed copies below.

    Args:
        path: PNG file to write.
        views: Originals, then r copies, each float ``(n, height, width, channels)`` in
            [0, 1] (clipped where a perturbation leaves that range).
        title: Heading.
    """
    columns = len(views[0])
    figure = Figure(figsize=(columns * 0.55 + 1.1, len(views) * 0.6 + 0.6), dpi=130)
    figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    grid = figure.subplots(len(views), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(
        left=0.9 / figure.get_figwidth(), right=0.99,
        top=1 - 0.45 / figure.get_figheight(), bottom=0.02, hspace=0.08,
    )  # fmt: skip
    for i, (axes, view) in enumerate(zip(grid, views, strict=True)):
        _show(axes, _mosaic(list(view), columns=columns))
        axes.text(
            -0.01, 0.5, "original" if i == 0 else f"copy {i}",
            transform=axes.transAxes, ha="right", va="center", fontsize=9,
        )  # fmt: skip
    save_figure(figure, path)
