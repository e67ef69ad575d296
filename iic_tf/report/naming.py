"""Named clusters as lines, files and plots; and which images to label next."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from iic_tf.datasets.label_table import NAMED_HEADER, Labels
from iic_tf.evaluation.naming import ENOUGH, SURE, Naming
from iic_tf.names import csv_text, drawable, readable_names
from iic_tf.report.curves import MUTED, save_figure
from iic_tf.report.plots import as_rgb
from iic_tf.run_folder import write_atomically

MOST_TOLD = 30
"""Clusters, and classes, that are printed at most; clusters.csv has all."""

BANKS = {"main": "clusters", "aux": "overclusters"}
"""What is named, by bank."""


class Proposal(NamedTuple):
    """An image to be labelled next: its cluster and its number."""

    cluster: int
    image: int


def image_name(number: int, paths: Sequence[str] | None) -> str:
    """What a table calls an image: its path, or its number where there are no paths."""
    return str(number) if paths is None else paths[number]


# ------------------------------------------------------------------------------- lines


def label_words(labels: Labels) -> str:
    """How many labels there are of which class, as a line."""
    counts = np.bincount(labels.classes, minlength=len(labels.names))
    pairs = list(zip(labels.names, counts, strict=True))
    told = ", ".join(f"{name} ({count:,})" for name, count in pairs[:MOST_TOLD])
    more = f" and {len(pairs) - MOST_TOLD:,} more" * (len(pairs) > MOST_TOLD)
    images = "image" if len(labels.numbers) == 1 else "images"
    classes = "class" if len(pairs) == 1 else "classes"
    return f"{len(labels.numbers):,} {images} of {len(pairs):,} {classes}: {told}{more}"


def _listed(clusters: np.ndarray) -> str:
    told = ", ".join(map(str, clusters[:MOST_TOLD].tolist()))
    return told + ", …" * (len(clusters) > MOST_TOLD)


def naming_lines(naming: Naming, names: Sequence[str], sizes: np.ndarray) -> list[str]:
    """A table of clusters, then which are doubtful or have no name.

    Args:
        naming: The names.
        names: Names of the classes.
        sizes: Images in each cluster, shape ``(k,)``.
    """
    filled = np.flatnonzero(sizes)
    shown = filled[:MOST_TOLD].tolist()
    called = {i: names[c] if c >= 0 else "-" for i, c in enumerate(naming.classes)}
    width = max(4, *(len(called[cluster]) for cluster in shown))
    lines = [f"cluster  images  {'name':{width}}  labels      sure"]
    for cluster in shown:
        line = f"{cluster:7}{sizes[cluster]:8,}  {called[cluster]:{width}}  "
        line += f"{votes_words(naming, cluster):10}"
        if naming.classes[cluster] >= 0:
            line += f"  {naming.sure[cluster]:.2f}"
            line += "  doubtful" if naming.sure[cluster] < SURE else ""
        lines.append(line.rstrip())
    if len(filled) > MOST_TOLD:
        lines.append(f"and {len(filled) - MOST_TOLD:,} more in clusters.csv")
    if empty := len(sizes) - len(filled):
        lines.append(f"Without images: {empty:,} clusters.")
    doubtful, unnamed = (
        np.intersect1d(some, filled) for some in (naming.doubtful, naming.unnamed)
    )
    if len(doubtful):
        lines.append(f"Doubtful (sure below {SURE:g}): {_listed(doubtful)}.")
    if len(unnamed):
        lines.append(f"Without a name: {_listed(unnamed)}.")
    return lines


def votes_words(naming: Naming, cluster: int) -> str:
    """How many of a cluster's labels are of its class: "3 of 4"; empty without any."""
    votes, mine = naming.votes[cluster], naming.classes[cluster]
    if not votes.sum() and mine < 0:
        return ""
    return f"{votes[mine] if mine >= 0 else 0} of {votes.sum()}"


def lost_classes(naming: Naming, names: Sequence[str]) -> list[str]:
    """Classes that no cluster is named after."""
    return [name for i, name in enumerate(names) if i not in naming.classes]


def score_words(score: tuple[int, int] | None, labels: Labels, seed: int) -> str:
    """The score on labels that were held back, or why there is none.

    Args:
        score: Images that get their class, and how many were scored; or None.
        labels: All labels.
        seed: Of the halves.
    """
    if score is None:
        counts = np.bincount(labels.classes, minlength=len(labels.names))
        few = int(counts.argmin())
        return (
            f"none, too few labels: {ENOUGH} of each class are needed, and "
            f"{labels.names[few]} has {counts[few]}"
        )
    right, number = score
    return (
        f"{right / number:.4f} of {number:,} labelled images named correctly by names "
        f"taken from the other {len(labels.numbers) - number:,} (half of each class, "
        f"seed {seed}); the names below are taken from all {len(labels.numbers):,}"
    )


def proposal_words(
    proposals: Sequence[Proposal],
    naming: Naming,
    names: Sequence[str],
    paths: Sequence[str] | None,
) -> list[str]:
    """A line for each image to be labelled next."""
    called = [image_name(p.image, paths) for p in proposals]
    width = max(map(len, called), default=0)
    return [
        f"{name:{width}}  cluster {p.cluster}, {now_words(naming, names, p.cluster)}"
        for name, p in zip(called, proposals, strict=True)
    ]


def now_words(naming: Naming, names: Sequence[str], cluster: int) -> str:
    """What a cluster is called so far."""
    if naming.classes[cluster] < 0:
        return "no name yet"
    mark = "?" if naming.sure[cluster] < SURE else ""
    return f"{names[naming.classes[cluster]]}{mark}"


# ------------------------------------------------------------------------------- files


def write_clusters(
    path: Path, naming: Naming, names: Sequence[str], sizes: np.ndarray
) -> None:
    """Writes the name of each cluster, as CSV.

    Columns: cluster, images, class (empty for none), labels (labelled images of that
    class), of (all labelled images in the cluster), sure.
    """
    rows: list[Sequence[object]] = [
        ("cluster", "images", "class", "labels", "of", "sure")
    ]
    for cluster, size in enumerate(sizes):
        mine, votes = naming.classes[cluster], naming.votes[cluster]
        name, count = (names[mine], votes[mine]) if mine >= 0 else ("", 0)
        sure = f"{naming.sure[cluster]:.4f}"
        rows.append((cluster, size, name, count, votes.sum(), sure))
    write_atomically(path, csv_text(rows))


def write_named(
    path: Path,
    naming: Naming,
    names: Sequence[str],
    probabilities: np.ndarray,
    *,
    paths: Sequence[str] | None,
) -> None:
    """Writes the class of each image, as CSV.

    Columns: path (or image, its number), class (empty for none), confidence (the
    probability of that class, or of all clusters without one), cluster.

    Args:
        path: File to write.
        naming: Names of the clusters.
        names: Names of the classes.
        probabilities: Soft assignments of the named sub-head, shape ``(n, k)``.
        paths: Name of each image's file, or None.
    """
    classes, confidence = naming.apply(probabilities)
    clusters = probabilities.argmax(axis=1)
    kind = "image" if paths is None else "path"
    rows: list[Sequence[object]] = [(kind, *NAMED_HEADER)]
    for i in range(len(probabilities)):
        name = names[classes[i]] if classes[i] >= 0 else ""
        first = i if paths is None else paths[i]
        rows.append((first, name, f"{confidence[i]:.4f}", clusters[i]))
    write_atomically(path, csv_text(rows))


def write_proposals(
    path: Path, proposals: Sequence[Proposal], paths: Sequence[str] | None
) -> None:
    """Writes the images to be labelled next, with an empty column for the class."""
    rows: list[Sequence[object]] = [("image" if paths is None else "path", "class")]
    rows += [(image_name(p.image, paths), "") for p in proposals]
    write_atomically(path, csv_text(rows))


def naming_summary(
    naming: Naming, names: Sequence[str], *, head: int, score: tuple[int, int] | None
) -> dict[str, Any]:
    """All that is known of a naming, plain, for summary.json.

    Args:
        naming: The names.
        names: Names of the classes.
        head: Number of the sub-head in its bank.
        score: See ``score_words``.
    """
    return {
        "named": BANKS[naming.bank],
        "sub_head": head,
        "class_names": list(names),
        "classes": [names[c] if c >= 0 else None for c in naming.classes],
        "sure": [round(float(sure), 4) for sure in naming.sure],
        "labels": int(naming.votes.sum()),
        "score": score and score[0] / score[1],
        "scored_on": score and f"{score[1]} labels held back, half of each class",
    }


# ------------------------------------------------------------------------------- plots


def cluster_captions(naming: Naming, names: Sequence[str]) -> list[str]:
    """What each cluster is called in a plot; doubtful names have a question mark.

    A cluster that keeps its number, for want of a name, is called nothing.
    """
    known = readable_names(names)
    kept = [
        c >= 0 and names[c] == str(i) and not votes.any()
        for i, (c, votes) in enumerate(zip(naming.classes, naming.votes, strict=True))
    ]
    return [
        ""
        if kept[i]
        else "none"
        if c < 0
        else f"{known[c]}{'?' if sure < SURE else ''}"
        for i, (c, sure) in enumerate(zip(naming.classes, naming.sure, strict=True))
    ]


def draw_proposals(
    path: Path,
    images: np.ndarray,
    captions: Sequence[tuple[str, str]],
    *,
    title: str,
    columns: int = 5,
) -> None:
    """Draws images that are to be labelled, large enough to be recognised.

    Args:
        path: PNG file to write.
        images: In [0, 1], shape ``(n, height, width, channels)``, at least one.
        captions: Name of each, and a smaller note.
        title: Heading.
        columns: Images per row.
    """
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(columns * 2.0, rows * 2.45 + 0.5), dpi=110)
    figure.set_layout_engine("constrained")
    figure.suptitle(drawable(title), x=0.01, ha="left", fontsize=11)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, image, (name, note) in zip(panels, images, captions, strict=False):
        axes.imshow(np.clip(as_rgb(image), 0, 1), interpolation="nearest")
        short = name if len(name) <= 26 else f"…{name[-25:]}"
        axes.set_title(drawable(short), fontsize=8)
        axes.text(
            0.5, -0.04, drawable(note), transform=axes.transAxes, ha="center",
            va="top", fontsize=7, color=MUTED,
        )  # fmt: skip
    save_figure(figure, path)
