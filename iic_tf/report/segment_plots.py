"""Label maps, overlays and plots of images whose pixels are grouped."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from iic_tf.augment.transforms import Transform
from iic_tf.datasets.masks import to_size
from iic_tf.datasets.splits import Split
from iic_tf.evaluation.metrics import class_iou
from iic_tf.evaluation.results import Results
from iic_tf.evaluation.segment_inference import clusters_of
from iic_tf.names import escaped, readable_names, written_stems
from iic_tf.report.console import attempted
from iic_tf.report.files import write_label_map, write_overlay
from iic_tf.report.plots import label_map_rows, number_table, summed_up

NUM_SHOWN = 6
"""Images that are drawn with their label maps."""


def draw_segments(
    folder: Path,
    results: Results,
    images: Split,
    predict: Callable,
    finish: Transform,
    *,
    names: Sequence[str] | None,
    title: str,
    overlays: bool = False,
) -> list[str]:
    """Writes a label map for each image and draws some of them.

    Label maps are as large as the files of the images, overlays as what is grouped.

    Args:
        folder: Where they go.
        results: Of these images.
        images: The images evaluated.
        predict: Inference of the chosen sub-head alone, see ``clusters_of``.
        finish: Brings images to the channels that the network sees.
        names: Names of the classes, where there are label maps.
        title: First words of every heading.
        overlays: Whether each image is also written with its clusters over it.

    Returns:
        One line per file: its name and what it shows.
    """
    k = results.health.num_clusters
    stems, sizes = written_stems(images.paths or ()), images.sizes or ()
    some = np.linspace(0, len(images.images) - 1, NUM_SHOWN).astype(int)
    drawn = set(some.tolist())
    shown = []
    found = clusters_of(predict, images.images, finish)
    for i, (clusters, stem, size) in enumerate(zip(found, stems, sizes, strict=True)):
        labels = clusters[..., 0]
        whole = to_size(labels, size)
        write_label_map(folder / "labels" / f"{stem}.png", whole, k)
        if overlays:
            path = folder / "overlays" / f"{stem}.jpg"
            write_overlay(path, images.images[i], labels, k)
        if i in drawn:
            shown.append((i, labels))
    truth, lines = None, []
    classes, readable = results.classes, None
    if results.table is not None and names is not None:
        readable = readable_names(names)
        truth = [images.labels[i] for i, _ in shown] if images.labels else None
        table, rows = summed_up(results.table, readable)
        by_class, columns = summed_up(table.T, [str(i) for i in range(k)])
        with attempted("confusion.png"):
            number_table(
                folder / "confusion.png",
                by_class / np.maximum(by_class.sum(axis=1, keepdims=True), 1),
                rows=rows,
                columns=columns,
                across="cluster",
                title=f"{title}: clusters of the pixels of each class (%)",
            )
            says = "confusion matrix: the clusters of each class's pixels"
            lines.append(f"confusion.png       {says}")
    with attempted("segmentation.png"):
        label_map_rows(
            folder / "segmentation.png",
            [images.images[i] for i, _ in shown],
            [labels for _, labels in shown],
            num_clusters=k,
            classes=classes,
            truth=truth,
            names=readable,
            title=f"{title}: segmentation",
        )
        lines.append("segmentation.png    some images and their segmentation")
    lines.append("labels/             the segmentation of every image")
    return lines


def iou_of_classes(
    results: Results, names: Sequence[str] | None
) -> dict[str, float | None]:
    """IoU of each class in the chosen sub-head; None for one without pixels.

    Args:
        results: Of pixels.
        names: Names of the classes.
    """
    if results.table is None or results.classes is None or names is None:
        return {}
    iou = class_iou(results.table, results.classes)
    values = [None if np.isnan(value) else float(value) for value in iou]
    return dict(zip(names, values, strict=True))


CLASSES_TOLD, FEW_TOLD = 30, 10
"""The IoU of so many classes is printed at most; of more that of the most frequent."""


def iou_lines(ious: dict[str, float | None], table: np.ndarray) -> list[str]:
    """One line per class, or per frequent one: IoU, name, share of the pixels.

    Args:
        ious: Of each class by its name, None for one that no pixel has.
        table: Pixels per cluster and class.
    """
    pixels = table.sum(axis=0)
    shares = 100 * pixels / max(pixels.sum(), 1)
    order = np.argsort(-pixels, kind="stable")
    most = FEW_TOLD if len(ious) > CLASSES_TOLD else len(ious)
    told = list(ious.items())
    lines = []
    for i in np.sort(order[:most]):
        name, value = told[i]
        shown = "-     " if value is None else f"{value:.4f}"
        lines.append(f"IoU {shown}  {escaped(name)}, {shares[i]:.0f} % of the pixels")
    if more := len(ious) - most:
        empty = int((pixels[order[most:]] == 0).sum())
        without = f", {empty:,} of them without pixels" if empty else ""
        lines.append(f"IoU of {more:,} more classes in summary.json{without}")
    return lines
