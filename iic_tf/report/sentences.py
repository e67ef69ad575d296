"""Results as lines of text: errors, scores, the class of each cluster."""

from collections.abc import Sequence

import numpy as np

from iic_tf.evaluation.results import BY_GRAPH
from iic_tf.names import escaped

MAPPED_TOLD = 30
"""Classes of so many clusters are printed at most; summary.json has all."""

CLASSES_TOLD = 30
"""Of more classes only those with the lowest recall are printed."""

HEADS_PER_LINE = 10
"""Errors of so many sub-heads stand in one line of a report."""


def sub_head_table(
    information: np.ndarray,
    *,
    chosen: int,
    errors: np.ndarray | None = None,
    chosen_by: str,
) -> list[str]:
    """One line per sub-head: error where there are labels, information, the choice.

    Args:
        information: Mutual information in nats, shape ``(h,)``.
        chosen: The chosen sub-head.
        errors: Errors after the match, shape ``(h,)``, or None without labels.
        chosen_by: Why that one, as text.
    """
    lines = []
    for head, nats in enumerate(information):
        error = "" if errors is None else f"error = {errors[head]:.4f}  "
        mark = f"  <- chosen ({chosen_by})" if head == chosen else ""
        name = "Groups" if chosen_by == BY_GRAPH else f"Sub-head {head}"
        lines.append(f"{name}  {error}MI = {nats:.2f} nats{mark}")
    if errors is not None and len(errors) > 1:
        lines.append(f"Mean of {len(errors)} sub-heads  error = {errors.mean():.4f}")
    return lines


def score_table(scores: dict[str, np.ndarray], *, chosen: int) -> list[str]:
    """One line per score: chosen, mean, standard deviation, best and worst sub-head.

    Args:
        scores: Scores by name, each of shape ``(h,)``.
        chosen: The chosen sub-head.
    """
    columns = ("chosen", "mean", "std", "best", "worst")
    lines = [f"{'':13}" + "".join(f"{column:>9}" for column in columns)]
    for name, values in scores.items():
        found = (
            *(values[chosen], values.mean(), values.std()),
            *(values.max(), values.min()),
        )
        lines.append(f"{name:13}" + "".join(f"{value:9.4f}" for value in found))
    return lines


def mapping_words(classes: Sequence[str | None]) -> str:
    """Which class each cluster is mapped to, as text: "0 is cat, 1 is none"."""
    told = ", ".join(
        f"{cluster} is {'none' if name is None else name}"
        for cluster, name in enumerate(classes[:MAPPED_TOLD])
    )
    more = len(classes) - MAPPED_TOLD
    rest = f", and {more:,} more in summary.json" if more > 0 else ""
    return f"Classes of the clusters: {told}{rest}."


def mostly_words(mostly: Sequence[str | None]) -> str:
    """Which clusters have another class than their most frequent one, as text.

    Args:
        mostly: The most frequent class of each such cluster, else None.

    Returns:
        A sentence; empty if there is no such cluster.
    """
    found = [(i, name) for i, name in enumerate(mostly) if name is not None]
    if not found:
        return ""
    told = ", ".join(f"{i} is mostly {name}" for i, name in found[:MAPPED_TOLD])
    more = len(found) - MAPPED_TOLD
    rest = f", and so on for {more:,} more" if more > 0 else ""
    return f"Not the most frequent class in its cluster: {told}{rest}."


def mapping_error_words(errors: np.ndarray | None, chosen: int) -> list[str]:
    """The errors on what clusters are mapped on, where that is not what is scored.

    Args:
        errors: Of every sub-head, shape ``(h,)``, or None.
        chosen: The chosen sub-head.
    """
    if errors is None:
        return []
    listed = ", ".join(f"{error:.4f}" for error in errors)
    return [
        "Error on the training images, on which clusters are mapped to classes: "
        f"{errors[chosen]:.4f} (accuracy {1 - errors[chosen]:.4f}); of all sub-heads: "
        f"{listed}"
    ]


def error_words(errors: Sequence[float], *, chosen: int, scored_on: str) -> list[str]:
    """Errors as sentences: of the lowest-loss sub-head, then of each.

    Args:
        errors: Of every main sub-head, shape ``(h,)``.
        chosen: The sub-head with the lowest loss.
        scored_on: Which images are scored, as text.

    Returns:
        A sentence, and where there are several sub-heads lines of up to
        ``HEADS_PER_LINE`` errors, in their order.
    """
    values = np.asarray(errors)
    first = f"Error {values[chosen]:.4f} of the lowest-loss sub-head ({chosen})"
    if len(values) == 1:
        return [f"{first} ({scored_on})."]
    lines = [
        f"{first}; mean {values.mean():.4f}, best {values.min():.4f}, worst "
        f"{values.max():.4f} of {len(values)} ({scored_on})."
    ]
    for start in range(0, len(values), HEADS_PER_LINE):
        some = values[start : start + HEADS_PER_LINE]
        heads = f"{start} to {start + len(some) - 1}" if len(some) > 1 else f"{start}"
        listed = " ".join(f"{error:.4f}" for error in some)
        lines.append(f"Errors of sub-heads {heads}: {listed}")
    return lines


def class_table(
    names: Sequence[str], images: np.ndarray, recall: np.ndarray | None
) -> list[str]:
    """One line per class: how many images it has, and where they are known its recall.

    Args:
        names: Names of the classes.
        images: Images of each class, or put into it where classes are not known.
        recall: Share of each class's images that were put into it, 0 to 1, or None.

    Returns:
        A heading, then a line for each class; of more than ``CLASSES_TOLD`` for those
        with the lowest recall, or the most images, and one about the others.
    """
    shown = [escaped(name) for name in names]
    order = np.argsort(-images if recall is None else recall, kind="stable")
    chosen = np.sort(order[:CLASSES_TOLD])
    width = max(5, *(len(shown[i]) for i in chosen)) + 2
    lines = [f"{'class':{width}}{'images':>9}" + "   recall" * (recall is not None)]
    for i in chosen:
        line = f"{shown[i]:{width}}{images[i]:9,}"
        if recall is not None:
            line += "        -" if np.isnan(recall[i]) else f"{recall[i]:9.4f}"
        lines.append(line)
    if more := len(names) - len(chosen):
        rest = "a higher recall (summary.json)"
        if recall is None:
            rest = "fewer images (assignments.csv)"
        lines.append(f"Not shown: {more:,} with {rest}")
    return lines
