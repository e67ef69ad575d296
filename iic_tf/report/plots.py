"""Plots of clusters and of pairs."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch

from iic_tf.evaluation.confidence import BINS, Reliability
from iic_tf.names import drawable
from iic_tf.report.curves import MAIN, MUTED, save_figure
from iic_tf.report.sketches import as_tiles, looks

MOST_DRAWN = 40
"""Clusters, and classes, that a plot shows at most."""


def summed_up(table: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """A table of counts whose rare columns are one.

    Args:
        table: Counts, shape ``(rows, len(names))``.
        names: Names of the columns.

    Returns:
        The ``MOST_DRAWN`` columns with the largest sums in their order, then the sum of
        all others, if there are any; and the names.
    """
    if len(names) <= MOST_DRAWN:
        return table, list(names)
    order = np.argsort(-table.sum(axis=0), kind="stable")
    most, others = np.sort(order[:MOST_DRAWN]), order[MOST_DRAWN:]
    summed = np.column_stack((table[:, most], table[:, others].sum(axis=1)))
    return summed, [*(names[i] for i in most), f"{len(others):,} others"]


def _largest(sizes: np.ndarray, title: str) -> tuple[list[int], str]:
    """The clusters that are drawn, and the title, which says if they are not all."""
    k = len(sizes)
    if k <= MOST_DRAWN:
        return list(range(k)), title
    drawn = np.sort(np.argsort(-sizes, kind="stable")[:MOST_DRAWN])
    return drawn.tolist(), f"{title} ({MOST_DRAWN} largest of {k:,})"


def _mosaic(images: Sequence[np.ndarray], *, columns: int) -> np.ndarray:
    """One row of images of equal shape ``(height, width, c)``, padded with white."""
    height, width, channels = images[0].shape if len(images) else (1, 1, 1)
    gap = 2
    row = np.ones((height, columns * (width + gap) - gap, channels))
    for i, image in enumerate(images[:columns]):
        row[:, i * (width + gap) : i * (width + gap) + width] = image
    return row


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Three channels to look at: the first three, or the first one three times.

    Args:
        image: Shape ``(..., channels)``.
    """
    if image.shape[-1] >= 3:
        return image[..., :3]
    return np.repeat(image[..., :1], 3, axis=-1)


def _show(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(np.clip(as_rgb(image), 0, 1), interpolation="nearest")
    axes.set_axis_off()


def _inches(text: str, size: float) -> float:
    """How wide a text is drawn; ``size`` in points."""
    font = font_manager.get_font(font_manager.findfont(FontProperties()))
    font.set_size(size, 72)
    font.set_text(text)
    return float(font.get_width_height()[0]) / 64 / 72


def _captioned_rows(
    path: Path,
    rows: Sequence[tuple[str, str, Sequence[np.ndarray]]],
    *,
    title: str,
    columns: int,
) -> None:
    """Rows of images in [0, 1], each with a name and a smaller note on its left."""
    captions = [(drawable(name), drawable(note)) for name, note, _ in rows]
    widths = [max(_inches(name, 10), _inches(note, 7)) for name, note in captions]
    left = max(1.9, max(widths, default=0.0) + 0.25)
    size = (columns * 0.46 + 0.3 + left, len(rows) * 0.5 + 0.8)
    figure = Figure(figsize=size, dpi=110)
    figure.suptitle(drawable(title), x=0.02, ha="left", fontsize=11)
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(
        left=left / figure.get_figwidth(), right=0.99,
        top=1 - 0.55 / figure.get_figheight(), bottom=0.01, hspace=0.06,
    )  # fmt: skip
    for axes, (name, note), row in zip(grid, captions, rows, strict=True):
        _show(axes, _mosaic(row[2], columns=columns))
        axes.text(
            -0.012, 0.68, name, transform=axes.transAxes, ha="right",
            va="center", fontsize=10,
        )  # fmt: skip
        axes.text(
            -0.012, 0.26, note, transform=axes.transAxes, ha="right", va="center",
            fontsize=7, color=MUTED,
        )  # fmt: skip
    save_figure(figure, path)


def _images(number: int) -> str:
    """So many images, in words."""
    return f"{number:,} image{'' if number == 1 else 's'}"


def cluster_grid(
    path: Path,
    images: np.ndarray,
    probabilities: np.ndarray,
    *,
    confidence: np.ndarray | None = None,
    unsure: float | None = None,
    names: Sequence[str] | None = None,
    mostly: Sequence[str | None] | None = None,
    order: Sequence[int] | None = None,
    title: str,
    columns: int = 20,
) -> None:
    """One row per cluster: its size and its most confident images.

    Args:
        path: PNG file to write.
        images: Images, or other examples, see ``sketches.looks``.
        probabilities: Soft assignments of one sub-head, shape ``(n, k)``.
        confidence: Of each image in its cluster, shape ``(n,)``; the probability of
            that cluster if None.
        unsure: Below all clusters is a row of images with a lower confidence, the least
            confident first, if there are any; no such row if None.
        names: A name per cluster, where classes are known; empty if it has none.
        mostly: The most frequent class of each cluster that has another name.
        order: Which clusters are drawn, in their order; all if None.
        title: Heading.
        columns: Images per row.
    """
    clusters = probabilities.argmax(1)
    confidence = probabilities.max(1) if confidence is None else confidence
    look = looks(images)
    rows = []
    k = probabilities.shape[1]
    drawn, remark = _largest(np.bincount(clusters, minlength=k), title)
    if order is not None:
        drawn = [cluster for cluster in order if cluster in drawn]
    if len(drawn) < (k if order is None else len(order)):
        title = remark
    for cluster in drawn:
        members = np.flatnonzero(clusters == cluster)
        # Many are equally sure, and folders are sorted by what they show.
        mixed = np.random.default_rng(0).permutation(members)
        best = mixed[np.argsort(-confidence[mixed], kind="stable")[:columns]]
        shown = [look(i) for i in best] or [np.ones_like(look(0))]
        called = names[cluster] if names else ""
        name = f"cluster {cluster}" + f" = {called}" * bool(called)
        mean = confidence[members].mean() if len(members) else 0.0
        note = f"{_images(len(members))}, confidence {mean:.2f}"
        if mostly is not None and mostly[cluster] is not None:
            note = f"mostly {mostly[cluster]}; {note}"
        rows.append((name, note, shown))
    few = np.flatnonzero(confidence < (unsure or 0))
    if len(few):
        least = few[np.argsort(confidence[few], kind="stable")[:columns]]
        note = f"{_images(len(few))}, confidence < {unsure:g}"
        rows.append(("unsure", note, [look(i) for i in least]))
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
        images: Images, or other examples, see ``sketches.looks``.
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
    rows, look = [], looks(images)
    for i in np.argsort(-counts, kind="stable")[:kinds]:
        truth, put = which[i]
        members = np.flatnonzero((classes == truth) & (found == put))
        spread = np.linspace(0, len(members) - 1, min(columns, len(members)))
        shown = [look(members[round(j)]) for j in spread]
        among = "no class" if put < 0 else names[put]
        share = f"{counts[i]:,} ({100 * counts[i] / len(images):.2f} %)"
        rows.append((f"{names[truth]} → {among}", share, shown))
    _captioned_rows(path, rows, title=title, columns=columns)


def cluster_pairs(
    path: Path,
    originals: np.ndarray,
    augmented: np.ndarray,
    probabilities: np.ndarray,
    *,
    labels: np.ndarray | None,
    title: str,
    columns: int = 10,
) -> None:
    """One row per cluster: how many images, some originals, then their views.

    Args:
        path: PNG file to write.
        originals: Views of images in [0, 1], shape ``(n, height, width, channels)``, or
            of other examples, see ``sketches.looks``.
        augmented: A view of each, same shape.
        probabilities: Soft assignments of the originals, shape ``(n, k)``.
        labels: Classes of at least n images, or None; give each row its most frequent
            class and that class's share.
        title: Heading.
        columns: Originals per row, and as many views.
    """
    clusters = probabilities.argmax(1)
    augmented = as_tiles(augmented, like=originals)
    originals = as_tiles(originals)
    white = np.ones(originals.shape[1:])
    rows = []
    k = probabilities.shape[1]
    drawn, title = _largest(np.bincount(clusters, minlength=k), title)
    for cluster in drawn:
        members = np.flatnonzero(clusters == cluster)
        note = f"{len(members):,} images"
        if labels is not None and len(members):
            counts = np.bincount(labels[: len(clusters)][members])
            note += f", {counts.max():,} of class {counts.argmax()}"
        shown = [originals[i] for i in members[:columns]]
        shown += [white] * (columns - len(shown) + 1)
        shown += [augmented[i] for i in members[:columns]]
        rows.append((f"cluster {cluster}", note, shown))
    _captioned_rows(path, rows, title=title, columns=2 * columns + 1)


def reliability_plot(
    path: Path, found: Reliability, *, title: str, scored: str
) -> None:
    """Accuracy against confidence in bins, and below how many images each bin has.

    Args:
        path: PNG file to write.
        found: The bins.
        title: Heading.
        scored: Mapping and images, as text.
    """
    figure = Figure(figsize=(5.4, 5.6), dpi=110, layout="constrained")
    figure.suptitle(drawable(title), x=0.02, ha="left", fontsize=11)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot((0, 1), (0, 1), color=MUTED, linewidth=1, linestyle="--")
    upper.plot(found.confidence, found.accuracy, color=MAIN, marker="o", markersize=4)
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    remark = f"{drawable(scored)}\nbelow the dashed line: too sure"
    upper.set_title(remark, loc="left", fontsize=8, color=MUTED)
    numbers = np.minimum((found.confidence * BINS).astype(int), BINS - 1)
    lower.bar((numbers + 0.5) / BINS, found.counts, width=0.9 / BINS, color=MAIN)
    lower.set(xlabel="confidence", ylabel="images", yscale="log")
    for axes in (upper, lower):
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _table_figure(rows: int, columns: int) -> tuple[Figure, Axes]:
    figure = Figure(
        figsize=(
            float(np.clip(columns * 0.5, 4, 24)) + 2.2,
            float(np.clip(rows * 0.42, 3, 24)) + 1.4,
        ),
        dpi=110,
        layout="constrained",
    )
    return figure, figure.subplots()


def number_table(
    path: Path,
    table: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    across: str,
    title: str,
) -> None:
    """A table of shares, written into its cells and shown as shades.

    Args:
        path: PNG file to write.
        table: Numbers in [0, 1], shape ``(len(rows), len(columns))``.
        rows: Names of the rows.
        columns: Names of the columns.
        across: What the columns are.
        title: Heading.
    """
    figure, axes = _table_figure(*table.shape)
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    columns = list(map(drawable, columns))
    axes.set_xticks(range(len(columns)), columns, rotation=90 if _long(columns) else 0)
    axes.set_yticks(range(len(rows)), list(map(drawable, rows)))
    axes.tick_params(length=0, labelsize=9)
    axes.set_xlabel(across)
    if table.size <= 900:
        digits = 1 if table.shape[1] <= 15 else 0
        for (i, j), share in np.ndenumerate(table):
            text = f"{100 * share:.{digits}f}"
            if float(text) > 0:
                axes.text(
                    j, i, text, ha="center", va="center", fontsize=8,
                    color="white" if share > 0.55 else "black",
                )  # fmt: skip
    axes.spines[:].set_visible(False)
    axes.set_title(drawable(title), loc="left", fontsize=11)
    save_figure(figure, path)


def _long(names: Sequence[str]) -> bool:
    return max(map(len, names)) > 4


def label_histograms(
    path: Path, counts: np.ndarray, *, names: Sequence[str], title: str
) -> None:
    """How many images of each class are in each cluster, one panel per cluster.

    Args:
        path: PNG file to write.
        counts: Contingency table, shape ``(clusters, classes)``.
        names: Names of the classes.
        title: Heading.
    """
    shown, title = _largest(counts.sum(axis=1), title)
    across = min(5, len(shown))
    down = -(-len(shown) // across)
    figure = Figure(
        figsize=(max(2.3, 0.12 * len(names)) * across + 0.6, 1.7 * down + 0.9),
        dpi=110,
        layout="constrained",
    )
    figure.suptitle(drawable(title), x=0.02, ha="left", fontsize=11)
    panels = figure.subplots(down, across, squeeze=False, sharey=True, sharex=True)
    labels = list(map(drawable, names))
    turned = 90 if _long(labels) else 0
    # panels share their ticks: set in each of them time would grow with k²
    panels[0, 0].set_xticks(range(len(labels)), labels)
    for axes, cluster in zip(panels.ravel(), shown, strict=False):
        row = counts[cluster]
        axes.bar(range(len(row)), row, color=MAIN, width=0.8)
        axes.set_title(f"cluster {cluster}: {row.sum():,}", fontsize=9, loc="left")
        axes.tick_params(labelsize=7, colors=MUTED, length=2)
        axes.tick_params(axis="x", labelrotation=turned)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels.ravel()[len(shown) :]:
        axes.set_axis_off()
    save_figure(figure, path)


def pair_grid(
    path: Path,
    views: Sequence[np.ndarray],
    *,
    names: Sequence[str] | None = None,
    title: str,
) -> None:
    """Originals in the first row, their augmented views below.

    Args:
        path: PNG file to write.
        views: Originals, then r views, each float ``(n, height, width, channels)`` in
            [0, 1] (clipped where an augmentation leaves that range), or other examples,
            see ``sketches.looks``.
        names: Names of the rows; those of an original and of views if None.
        title: Heading.
    """
    names = names or ["original", *(f"view {i}" for i in range(1, len(views)))]
    views = [as_tiles(view, like=views[0]) for view in views]
    rows = [(name, "", list(view)) for name, view in zip(names, views, strict=True)]
    _captioned_rows(path, rows, title=title, columns=len(views[0]))


def _tiles(latent: np.ndarray, side: int, number: int) -> np.ndarray:
    """Channels of latents as square tiles in [0, 1], white around.

    Args:
        latent: Shape ``(n, height, width, channels)``, or ``(n, d)``, whose d numbers
            are laid out row by row in one tile.
        side: Of a tile in pixels, at least.
        number: Channels at most, evenly spaced.

    Returns:
        Shape ``(n, channels, side, side)``; each channel is scaled to its range.
    """
    if latent.ndim == 2:
        n, d = latent.shape
        edge = int(np.ceil(np.sqrt(d)))
        low, high = latent.min(), latent.max()
        shown = np.ones((n, edge * edge))
        shown[:, :d] = (latent - low) / max(high - low, 1e-12)
        maps = shown.reshape(n, 1, edge, edge)
    else:
        channels = latent.shape[-1]
        some = np.linspace(0, channels - 1, min(number, channels)).astype(int)
        maps = np.moveaxis(latent[..., some], -1, 1)
        low = maps.min(axis=(0, 2, 3), keepdims=True)
        spread = maps.max(axis=(0, 2, 3), keepdims=True) - low
        maps = (maps - low) / np.maximum(spread, 1e-12)
    factor = max(side // max(maps.shape[2:]), 1)
    maps = maps.repeat(factor, axis=2).repeat(factor, axis=3)
    side = max(side, *maps.shape[2:])
    tiles = np.ones((*maps.shape[:2], side, side))
    top, left = ((side - length) // 2 for length in maps.shape[2:])
    tiles[:, :, top : top + maps.shape[2], left : left + maps.shape[3]] = maps
    return tiles


def latent_grid(
    path: Path,
    images: np.ndarray,
    latent: np.ndarray,
    *,
    title: str,
    rows: int = 8,
    columns: int = 16,
) -> None:
    """Images beside channels of their latent; above it if that is a vector.

    Args:
        path: PNG file to write.
        images: Float in [0, 1], shape ``(n, height, width, channels)``.
        latent: Of each image, shape ``(n, h, w, d)`` or ``(n, d)``.
        title: Heading, to which is added what is shown.
        rows: Images shown beside their latent at most.
        columns: Channels shown at most.
    """
    tiles = _tiles(latent, max(images.shape[1:3]), columns)
    side = tiles.shape[-1]
    whole = np.ones((len(images), side, side, 3))
    whole[:, : images.shape[1], : images.shape[2]] = np.clip(as_rgb(images), 0, 1)
    shown: list[tuple[str, str, Sequence[np.ndarray]]]
    if latent.ndim == 2:
        what = f"{latent.shape[1]} numbers, row by row"
        grey = [as_rgb(tile) for tile in tiles[:, 0, ..., None]]
        shown, width = [("image", "", list(whole)), ("latent", "", grey)], len(whole)
    else:
        size = "×".join(str(n) for n in latent.shape[1:])
        what = f"{size}, {tiles.shape[1]} of {latent.shape[-1]} channels"
        shown = [
            ("image, latent", "", [image, *(as_rgb(tile) for tile in of_one)])
            for image, of_one in zip(whole[:rows], tiles[..., None], strict=False)
        ]
        width = 1 + tiles.shape[1]
    _captioned_rows(path, shown, title=f"{title} ({what})", columns=width)


def map_colours(number: int) -> np.ndarray:
    """Colours that tell clusters or classes of label maps apart.

    Args:
        number: Colours, at least 1.

    Returns:
        uint8, shape ``(number, 3)``; the first ones are the same for any number.
    """
    first = matplotlib.colormaps["tab10"](np.arange(10))[:, :3]
    lighter = matplotlib.colormaps["tab20"](np.arange(1, 20, 2))[:, :3]
    # turns of the golden ratio never come near to one another
    hues = np.arange(max(number - 20, 0)) * 0.618 % 1
    rest = matplotlib.colormaps["hsv"](hues)[:, :3]
    colours = np.concatenate((first, lighter, 0.75 * rest))[:number]
    return (255 * colours).round().astype(np.uint8)


def colour_map(labels: np.ndarray, number: int) -> np.ndarray:
    """A label map in colours, black where a pixel has none.

    Args:
        labels: Integers, shape ``(height, width)``; those outside of ``[0, number)``
            have no colour.
        number: Clusters or classes.

    Returns:
        uint8, shape ``(height, width, 3)``.
    """
    colours = np.concatenate((map_colours(number), np.zeros((1, 3), np.uint8)))
    inside = (labels >= 0) & (labels < number)
    return colours[np.where(inside, labels, number)]


DRAWN = 800
"""Pixels of a side that are drawn at most."""

MOST_IN_LEGEND = 20
"""Clusters that a legend names at most."""


def label_map_rows(
    path: Path,
    images: Sequence[np.ndarray],
    clusters: Sequence[np.ndarray],
    *,
    num_clusters: int,
    classes: np.ndarray | None = None,
    truth: Sequence[np.ndarray] | None = None,
    names: Sequence[str] | None = None,
    title: str,
) -> None:
    """One row per image: itself, its clusters and, with labels, prediction and truth.

    Clusters have the colours of ``map_colours``, and a class that of its first cluster.
    Of large images only every other pixel, or fewer, are drawn.

    Args:
        path: PNG file to write.
        images: uint8, each ``(height, width, channels)``.
        clusters: Cluster of each pixel, each ``(height, width)``.
        num_clusters: Number of clusters.
        classes: Class of each cluster, -1 for none, shape ``(k,)``; None without
            labels.
        truth: Class of each pixel, 255 for none; None without labels.
        names: Names of the classes, for the legend.
        title: Heading.
    """

    def fewer(maps: Sequence[np.ndarray]) -> list[np.ndarray]:
        steps = [-(-max(x.shape[:2]) // DRAWN) for x in maps]
        return [x[::step, ::step] for x, step in zip(maps, steps, strict=True)]

    images, clusters = fewer(images), fewer(clusters)
    columns = ["image", "clusters"]
    legend = [
        Patch(color=colour / 255, label=f"cluster {i}")
        for i, colour in enumerate(map_colours(num_clusters)[:MOST_IN_LEGEND])
    ]
    shown = [
        [as_rgb(of_one), colour_map(found, num_clusters)]
        for of_one, found in zip(images, clusters, strict=True)
    ]
    if classes is not None and truth is not None and names is not None:
        truth, legend = fewer(truth), []
        columns += ["clusters mapped to classes", "ground truth"]
        number = num_clusters + len(names)
        members = [np.flatnonzero(classes == i) for i in range(len(names))]
        painted = [
            of_class[0] if len(of_class) else num_clusters + i
            for i, of_class in enumerate(members)
        ]
        index = np.array([*painted, number])  # the last for pixels without a class
        for row, found, true in zip(shown, clusters, truth, strict=True):
            row += [
                colour_map(index[np.clip(labels, -1, len(names))], number)
                for labels in (classes[found], true)
            ]
        for name, of_class, i in zip(names, members, painted, strict=True):
            said = f"cluster {', '.join(map(str, of_class))}"
            label = drawable(f"{name}: {said if len(of_class) else 'no cluster'}")
            legend.append(Patch(color=map_colours(number)[i] / 255, label=label))
        if len(legend) > MOST_DRAWN:
            more = f"{len(legend) - MOST_DRAWN:,} more"
            legend = [*legend[:MOST_DRAWN], Patch(color="white", label=more)]
    height = 2.6 * min(max(x.shape[0] / x.shape[1] for x in images), 3)
    figure = Figure(
        figsize=(2.7 * len(columns), (height + 0.06) * len(images) + 1.3), dpi=110,
        layout="constrained",
    )  # fmt: skip
    figure.suptitle(drawable(title), x=0.02, ha="left", fontsize=11)
    grid = figure.subplots(len(images), len(columns), squeeze=False)
    for axes_of_row, row in zip(grid, shown, strict=True):
        for axes, image in zip(axes_of_row, row, strict=True):
            axes.imshow(image, interpolation="nearest")
            axes.set_axis_off()
    for axes, heading in zip(grid[0], columns, strict=True):
        axes.set_title(heading, fontsize=10)
    if legend:
        figure.legend(
            handles=legend, loc="outside lower center", ncols=min(len(legend), 4),
            frameon=False, fontsize=9,
        )  # fmt: skip
    save_figure(figure, path)
