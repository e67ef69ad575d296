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


def _captioned_rows(
    path: Path,
    rows: Sequence[tuple[str, str, Sequence[np.ndarray]]],
    *,
    title: str,
    columns: int,
) -> None:
    """Rows of images in [0, 1], each with a name and a smaller note on its left."""
    figure = Figure(figsize=(columns * 0.46 + 2.2, len(rows) * 0.5 + 0.8), dpi=110)
    figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(
        left=1.9 / figure.get_figwidth(), right=0.99,
        top=1 - 0.55 / figure.get_figheight(), bottom=0.01, hspace=0.06,
    )  # fmt: skip
    for axes, (name, note, shown) in zip(grid, rows, strict=True):
        _show(axes, _mosaic(shown, columns=columns))
        axes.text(
            -0.012, 0.68, name, transform=axes.transAxes, ha="right", va="center",
            fontsize=10,
        )  # fmt: skip
        axes.text(
            -0.012, 0.26, note, transform=axes.transAxes, ha="right", va="center",
            fontsize=7, color=MUTED,
        )  # fmt: skip
    save_figure(figure, path)


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
    rows = []
    for cluster in range(probabilities.shape[1]):
        members = np.flatnonzero(clusters == cluster)
        # A stable sort, so that equal confidences keep the order of the images.
        best = members[np.argsort(-confidence[members], kind="stable")[:columns]]
        shown = [images[i] / 255.0 for i in best] or [np.ones(images.shape[1:])]
        name = f"cluster {cluster}" + (f" = {names[cluster]}" if names else "")
        mean = confidence[members].mean() if len(members) else 0.0
        rows.append((name, f"{len(members):,} images, confidence {mean:.2f}", shown))
    _captioned_rows(path, rows, title=title, columns=columns)


def mistake_grid(
    path: Path,
    images: np.ndarray,
    classes: np.ndarray,
    found: np.ndarray,
    *,
    names: Sequence[str],
    title: str,
    kinds: int = 10,
    columns: int = 20,
) -> None:
    """One row per kind of mistake, the most frequent first; nothing without mistakes.

    Args:
        path: PNG file to write.
        images: uint8 images, shape ``(n, height, width, channels)``.
        classes: Class of each image, shape ``(n,)``.
        found: Class of the cluster that each image was put in, -1 for none, ``(n,)``.
        names: Names of the classes.
        title: Heading.
        kinds: Rows at most.
        columns: Images per row, evenly spaced over all of that kind.
    """
    pairs = np.stack((classes, found), axis=1)[classes != found]
    if not len(pairs):
        return
    which, counts = np.unique(pairs, axis=0, return_counts=True)
    rows = []
    for i in np.argsort(-counts, kind="stable")[:kinds]:
        truth, put = which[i]
        members = np.flatnonzero((classes == truth) & (found == put))
        spread = np.linspace(0, len(members) - 1, min(columns, len(members)))
        shown = [images[members[round(j)]] / 255.0 for j in spread]
        among = "no class" if put < 0 else names[put]
        share = f"{counts[i]:,} ({100 * counts[i] / len(images):.2f} %)"
        rows.append((f"{names[truth]} in {among}", share, shown))
    _captioned_rows(path, rows, title=title, columns=columns)


def pair_grid(path: Path, views: Sequence[np.ndarray], *, title: str) -> None:
    """Originals in the first row, their perturbed copies below.

    Args:
        path: PNG file to write.
        views: Originals, then r copies, each float ``(n, height, width, channels)`` in
            [0, 1] (clipped where a perturbation leaves that range).
        title: Heading.
    """
    names = ["original", *(f"copy {i}" for i in range(1, len(views)))]
    rows = [(name, "", list(view)) for name, view in zip(names, views, strict=True)]
    _captioned_rows(path, rows, title=title, columns=len(views[0]))
