"""Plots of clusters of whole images: what is in them, and how well they fit classes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iic_tf.evaluation.metrics import BY_CLASS, agreement
from iic_tf.evaluation.results import Results
from iic_tf.names import readable_names
from iic_tf.neighbours.spectral import typical
from iic_tf.report.console import attempted
from iic_tf.report.plots import (
    cluster_grid,
    label_histograms,
    mistake_grid,
    number_table,
    reliability_plot,
    summed_up,
)
from iic_tf.report.results import most_frequent_instead, name_classes
from iic_tf.run_folder import FIRST_GROUPS_FILE


class _Drawing:
    """Draws into a folder and keeps a line for each plot that came to be."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lines: list[str] = []

    def __call__(
        self, name: str, shows: str, how: Callable[..., None], *what: Any, **said: Any
    ) -> None:
        with attempted(name):
            how(self.folder / name, *what, **said)
            if (self.folder / name).is_file():
                self.lines.append(f"{name:20}{shows}")


def draw_clusters(
    folder: Path,
    results: Results,
    images: np.ndarray,
    labels: np.ndarray | None,
    *,
    names: Sequence[str] | None,
    title: str,
    unsure: float | None = None,
    scored_on: str = "",
) -> list[str]:
    """Draws what is in the clusters, and where there are labels how well they fit.

    Args:
        folder: Where the plots go.
        results: With soft assignments.
        images: The images evaluated, uint8.
        labels: Their classes, or None.
        names: Names of the classes, or None.
        title: First words of every heading.
        unsure: Images with a lower confidence are shown on their own; None for none.
        scored_on: Which images are scored.

    Returns:
        One line per plot: its name and what it shows.
    """
    if results.soft is None or results.clusters is None:
        raise ValueError("clusters of whole images have soft assignments")
    chosen, draw = results.chosen, _Drawing(folder)
    classes, table = results.classes, results.table
    of_clusters = mostly = None
    if classes is not None and table is not None:
        known = readable_names(name_classes(table.shape[1], names))
        of_clusters = ["none" if c < 0 else known[c] for c in classes]
        mostly = most_frequent_instead(results, known)
    elif results.match == BY_CLASS and names is not None:
        of_clusters = readable_names(names)
    unit = "class" if results.match == BY_CLASS else "cluster"
    draw(
        "clusters.png",
        f"the most confident images of each {unit}",
        cluster_grid,
        images,
        results.soft[:, chosen],
        confidence=results.sure,
        unsure=unsure,
        names=of_clusters,
        mostly=mostly,
        title=f"{title}: the most confident images of each {unit}",
    )
    if unsure is not None and (found := results.reliability):
        draw(
            "reliability.png",
            "accuracy against confidence",
            reliability_plot,
            found,
            title=f"{title}: expected calibration error {found.error:.3f}",
            scored=f"{results.match} matching, {scored_on}",
        )
    if labels is not None and classes is not None and table is not None:
        draw(
            "mistakes.png",
            "the most frequent mistakes",
            mistake_grid,
            images,
            labels,
            classes[results.clusters[:, chosen]],
            names=known,
            title=f"{title}: the most frequent mistakes",
        )
        rows = "predicted class" if unit == "class" else "cluster"
        _draw_tables(draw, table, classes, known, title=title, found=rows)
    heads = [str(head) for head in range(results.clusters.shape[1])]
    if len(heads) > 1:
        draw(
            "agreement.png",
            "agreement between sub-heads",
            number_table,
            agreement(results.clusters, num_clusters=results.health.num_clusters),
            rows=heads,
            columns=heads,
            across="sub-head",
            title=f"{title}: images on which two sub-heads agree (%)",
        )
    return draw.lines


def _draw_tables(
    draw: _Drawing,
    table: np.ndarray,
    classes: np.ndarray,
    names: Sequence[str],
    *,
    title: str,
    found: str,
) -> None:
    """Draws in which clusters classes are, and which classes clusters have.

    Args:
        draw: Draws.
        table: Images per cluster and class.
        classes: Class of each cluster, -1 for none.
        names: Of the classes.
        title: First words of every heading.
        found: What a row of the table is called: cluster, or predicted class.
    """
    several = f"{found}es" if found.endswith("s") else f"{found}s"
    k = len(table)
    counts, shown = summed_up(table, names)
    order = np.argsort(np.where(classes < 0, k, classes))
    by_class, columns = summed_up(counts[order].T, [f"{i}" for i in order])
    draw(
        "confusion.png",
        f"confusion matrix: the {several} of each class",
        number_table,
        by_class / np.maximum(by_class.sum(axis=1, keepdims=True), 1),
        rows=shown,
        columns=columns,
        across=found,
        title=f"{title}: {several} of the images of each class (%)",
    )
    draw(
        "histograms.png",
        f"the classes within each {found}",
        label_histograms,
        counts,
        names=shown,
        title=f"{title}: classes within each {found}",
    )


def draw_first_groups(
    folder: Path, graph: Any, clusters: np.ndarray, images: np.ndarray
) -> Path | None:
    """Draws what is in the groups of the neighbour graph: first_groups.png.

    Args:
        folder: The run folder.
        graph: Who is near whom.
        clusters: Group of each image, shape ``(n,)``.
        images: uint8.

    Returns:
        The plot, or None if it could not be drawn.
    """
    path = folder / FIRST_GROUPS_FILE
    with attempted(path.name):
        cluster_grid(
            path,
            images,
            typical(graph, clusters, int(clusters.max()) + 1),
            names=None,
            title=f"{folder.name}: clusters of the neighbour graph, before training",
        )
        return path
    return None
