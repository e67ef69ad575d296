"""Files of results that are no plots: assignments, label maps, what was skipped."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from iic_tf.errors import naming
from iic_tf.names import csv_text
from iic_tf.report.plots import as_rgb, colour_map, map_colours
from iic_tf.run_folder import write_atomically


def write_assignments(
    path: Path,
    probabilities: np.ndarray,
    *,
    confidence: np.ndarray | None = None,
    unsure: float | None = None,
    labels: Sequence[str] | None = None,
    paths: Sequence[str] | None = None,
    classes: Sequence[str | None] | None = None,
) -> None:
    """Writes which image belongs to which cluster, as CSV.

    Columns: path (or image, its number in the data), cluster, confidence, runner_up
    (the next likely cluster), unsure (yes or no), and where there are labels label and
    predicted, the class of the cluster, empty for none. Names are written as
    ``names.csv_text`` says.

    Args:
        path: File to write.
        probabilities: Soft assignments of one sub-head, shape ``(n, k)``.
        confidence: Of each image in its cluster, shape ``(n,)``; the probability of
            that cluster if None.
        unsure: Images with a lower confidence are unsure; no such column if None.
        labels: Name of the class of each image or None.
        paths: Name of each image's file or None.
        classes: Name of the class of each cluster, with labels.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sure = probabilities.max(axis=1) if confidence is None else confidence
    kind = "image" if paths is None else "path"
    header = [kind, "cluster", "confidence", "runner_up"]
    header += [] if unsure is None else ["unsure"]
    header += [] if labels is None else ["label"]
    header += [] if classes is None else ["predicted"]
    rows: list[Sequence[object]] = [header]
    for i in range(len(probabilities)):
        name = i if paths is None else paths[i]
        row = [name, order[i, 0], f"{sure[i]:.4f}", order[i, 1]]
        row += [] if unsure is None else ["yes" if sure[i] < unsure else "no"]
        row += [] if labels is None else [labels[i]]
        row += [] if classes is None else [classes[order[i, 0]] or ""]
        rows.append(row)
    write_atomically(path, csv_text(rows))


def write_network(path: Path, backbone: keras.Model) -> None:
    """Writes the layers of a backbone: names, kinds, shapes, parameters.

    Batch normalisation that keeps no running statistics is marked.

    Args:
        path: File to write.
        backbone: Keras model.
    """

    def innermost(model: keras.Model) -> Iterator[keras.layers.Layer]:
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                yield from innermost(layer)
            else:
                yield layer

    lines = []
    for layer in innermost(backbone):
        shape = "×".join(str(n) for n in layer.output.shape[1:])
        mark = "" if getattr(layer, "tracked", True) else "  no running statistics"
        lines.append(
            f"{layer.name:24} {type(layer).__name__:22} {shape:>14} "
            f"{layer.count_params():>12,}{mark}"
        )
    lines.append(f"{'':62} {backbone.count_params():>12,} parameters")
    write_atomically(path, "\n".join(lines) + "\n")


def write_unreadable(path: Path, unreadable: Sequence[tuple[str, str]]) -> None:
    """Writes which files were skipped and why, as CSV.

    Args:
        path: File to write.
        unreadable: Name and reason of each.
    """
    write_atomically(path, csv_text([("path", "reason"), *unreadable]))


def write_label_map(path: Path, labels: np.ndarray, number: int) -> None:
    """Writes a label map as a palette PNG whose values are clusters.

    Args:
        path: File to write; its folder is made.
        labels: uint8, shape ``(height, width)``; values that are no cluster are black.
        number: Clusters.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    palette = np.zeros((256, 3), np.uint8)
    palette[:number] = map_colours(number)
    image = Image.fromarray(labels)
    image.putpalette(palette.ravel().tolist())
    with naming(path):
        image.save(path)


def write_overlay(
    path: Path, image: np.ndarray, labels: np.ndarray, number: int
) -> None:
    """Writes a plot with the colours of its clusters over it, as JPEG.

    Args:
        path: File to write; its folder is made.
        image: uint8, shape ``(height, width, channels)``.
        labels: Shape ``(height, width)``.
        number: Clusters.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mixed = as_rgb(image) * 0.5 + colour_map(labels, number) * 0.5
    with naming(path):
        Image.fromarray(mixed.round().astype(np.uint8)).save(path, quality=90)
