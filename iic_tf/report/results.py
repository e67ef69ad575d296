"""Results of any task as numbers for summary.json and as lines for the console."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from iic_tf.evaluation.health import information_words
from iic_tf.evaluation.results import BY_GRAPH, BY_LOSS, Results
from iic_tf.report.console import console
from iic_tf.report.sentences import (
    mapping_error_words,
    mapping_words,
    mostly_words,
    score_table,
    sub_head_table,
)


def name_classes(number: int, names: Sequence[str] | None) -> list[str]:
    """A name for each class; its number where names are None or too few.

    Args:
        number: Classes.
        names: Their names, or None.
    """
    if names is None or len(names) < number:
        return [str(i) for i in range(number)]
    return list(names)


def class_of_clusters(
    results: Results, names: Sequence[str] | None
) -> list[str | None] | None:
    """The class that each cluster of the chosen sub-head is matched with.

    Args:
        results: What is told of.
        names: Names of the classes, or None.

    Returns:
        Names, None for clusters without a class; None without labels.
    """
    if results.classes is None or results.table is None:
        return None
    known = name_classes(results.table.shape[1], names)
    return [known[i] if i >= 0 else None for i in results.classes]


def most_frequent_instead(
    results: Results, names: Sequence[str] | None
) -> list[str | None]:
    """The most frequent class of each cluster that is matched with another or none.

    One-to-one matching gives each class to one cluster, so a cluster may get a class
    that hardly occurs in it.

    Args:
        results: What is told of.
        names: Names of the classes, or None.

    Returns:
        Names, None for the other clusters; empty without labels.
    """
    classes, table = results.classes, results.table
    if classes is None or table is None:
        return []
    known = name_classes(table.shape[1], names)
    return [
        None
        if not row.any() or (c >= 0 and row[c] == row.max())
        else known[row.argmax()]
        for c, row in zip(classes, table, strict=True)
    ]


def classes_in_words(
    results: Results, names: Sequence[str] | None
) -> list[str | None] | None:
    """``class_of_clusters``, with what is more frequent: "clothing, mostly flags"."""
    matched = class_of_clusters(results, names)
    if matched is None:
        return None
    return [
        name if more is None else f"{'none' if name is None else name}, mostly {more}"
        for name, more in zip(
            matched, most_frequent_instead(results, names), strict=True
        )
    ]


def summarise(
    results: Results, *, names: Sequence[str] | None, scored_on: str
) -> dict[str, Any]:
    """All numbers of an evaluation, plain, as ``summary.json`` has them.

    Args:
        results: What came out.
        names: Names of the classes, or None.
        scored_on: Which images are scored, as text.
    """

    def plain(values: np.ndarray | None) -> list | None:
        return None if values is None else values.tolist()

    return {
        "k": results.health.num_clusters,
        "chosen": results.chosen,
        "chosen_by": results.choice.by,
        "information": results.health.information.tolist(),
        "bound": results.health.bound,
        "match": results.match,
        "errors": plain(results.errors),
        "errors_batch_statistics": plain(results.errors_batch_statistics),
        # on what clusters are mapped on, where this is something else
        "mapping_errors": plain(results.mapping_errors),
        # of each cluster of the chosen sub-head, or None where it has none
        "classes": class_of_clusters(results, names),
        "scores": results.scores
        and {name: values.tolist() for name, values in results.scores.items()},
        "images": results.number,
        "scored_on": scored_on,
    }


def unsure_of(results: Results, below: float) -> np.ndarray:
    """Numbers of the images whose confidence is lower, rising; none of pixels."""
    sure = np.zeros(0) if results.sure is None else results.sure
    return np.flatnonzero(sure < below)


def summarise_confidence(results: Results, below: float) -> dict[str, Any]:
    """What ``summary.json`` has of confidence.

    Args:
        results: Of whole images.
        below: Images with a lower confidence are unsure.
    """
    number = len(unsure_of(results, below))
    calibration, reliability = results.choice.calibration, results.reliability
    return {
        "confidence": None if results.sure is None else float(results.sure.mean()),
        "unsure": {
            "below": below,
            "images": number,
            "share": number / results.number,
        },
        # 15 bins; of the images that are scored
        "calibration_error": reliability and reliability.error,
        "calibration": calibration and calibration._asdict(),
    }


def confidence_words(results: Results, below: float) -> list[str]:
    """How sure the clusters are, as lines; none of pixels.

    Args:
        results: What came out.
        below: Images with a lower confidence are unsure.
    """
    if results.sure is None:
        return []
    number = len(unsure_of(results, below))
    share = f"{100 * number / results.number:.1f} %"
    line = (
        f"Confidence: {results.sure.mean():.3f} on average; {number:,} of "
        f"{results.number:,} images are unsure (below {below:g}), {share}."
    )
    if results.reliability is None:
        return ["", line]
    error = results.reliability.error
    return ["", f"{line} Expected calibration error {error:.3f}."]


def tell(results: Results, *, names: Sequence[str] | None, scored_on: str) -> None:
    """Prints the results.

    Args:
        results: What came out.
        names: Names of the classes, or None.
        scored_on: Which images are scored, as text.
    """
    health, chosen, by = results.health, results.chosen, results.choice.by
    k = health.num_clusters
    kind = "Lowest-loss" if by == BY_LOSS else "Chosen"
    named = f"{kind} sub-head: {chosen}"
    if by == BY_GRAPH:
        named = "Clusters of the neighbour graph"
    console.print(
        f"{named}, mutual information "
        f"{information_words(health.information[chosen], k)}, "
        f"effectively {health.effective[chosen]:.1f} of {k} clusters."
    )
    if results.errors is not None:
        kind = "Pixel errors" if results.unit == "pixels" else "Errors"
        console.print(
            f"{kind} after {results.match} matching of clusters and classes, on all "
            f"{results.number:,} images of {scored_on}:"
        )
    for line in sub_head_table(
        health.information, chosen=chosen, errors=results.errors, chosen_by=by
    ):
        console.print(line)
    if results.errors_batch_statistics is not None:
        listed = ", ".join(f"{e:.4f}" for e in results.errors_batch_statistics)
        console.print(f"With batch statistics  errors = {listed}")
    for line in mapping_error_words(results.mapping_errors, chosen):
        console.print(line)
    if classes := class_of_clusters(results, names):
        console.print(mapping_words(classes))
        if words := mostly_words(most_frequent_instead(results, names)):
            console.print(words)
    if results.scores is not None:
        console.print()
        for line in score_table(results.scores, chosen=chosen):
            console.print(line)
