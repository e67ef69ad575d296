"""What the report's page says in words: what was found, how sure, what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iic_tf.evaluation.health import DEAD_SHARE, Health, is_degenerate
from iic_tf.evaluation.results import BY_GRAPH, BY_LOSS, Results

HIGH, FAIR = 0.8, 0.5
"""Shares of ln k from which mutual information is called high, and fair."""

AGREED = 0.9
"""Sub-heads that agree on fewer images have found different clusters."""

OFTEN = 0.02
"""Share of the images expected in two clusters at once from which these are named."""


@dataclass(frozen=True)
class Facts:
    """What the words are about, for whole images.

    Attributes:
        results: Of all evaluated images.
        steps: Steps of the run.
        agreement: Share of images on which two sub-heads agree, on average and at
            least; None with a single sub-head.
        duplicates: Pairs of near-duplicates.
        outliers: Images that are far out.
        looked_at: Images among which both were looked for.
        unsure: Images with a lower confidence are unsure.
        restarted: Step at which all sub-heads last restarted from the same clusters;
            None if they never did.
    """

    results: Results
    steps: int
    agreement: tuple[float, float] | None
    duplicates: int
    outliers: int
    looked_at: int
    unsure: float = 0.5
    restarted: int | None = None

    @property
    def confidence(self) -> np.ndarray:
        """Of each image in its cluster, shape ``(n,)``."""
        return self.soft.max(axis=1) if self.results.sure is None else self.results.sure

    @property
    def soft(self) -> np.ndarray:
        """Soft assignments of the chosen sub-head, float32, shape ``(n, k)``."""
        if self.results.soft is None:
            raise ValueError("whole images have soft assignments")
        return self.results.soft[:, self.results.chosen]


def percent(share: float) -> str:
    """A share as text: "93 %", "0.4 %", "100 %"."""
    value = 100 * share
    if 0 < value < 0.05:
        return "under 0.1 %"
    if 0 < value < 9.95 or 99 < value < 99.95:
        return f"{value:.1f} %"
    return f"{value:.0f} %"


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 image", "2,000 images"."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def overlap(soft: np.ndarray) -> np.ndarray:
    """Share of the images expected in each two clusters at once; twice off-diagonal.

    Args:
        soft: Soft assignments, shape ``(n, k)``.

    Returns:
        Symmetric, shape ``(k, k)``, 0 on the diagonal.
    """
    shared = soft.T.astype(np.float64) @ soft / len(soft)
    np.fill_diagonal(shared, 0)
    return 2 * shared


def information_sentence(health: Health, head: int, by: str) -> str:
    """What the mutual information of the chosen sub-head means."""
    nats, bound = float(health.information[head]), health.bound
    share = nats / bound
    level = "high" if share >= HIGH else "fair" if share >= FAIR else "low"
    means = {
        "high": "augmentation hardly ever moves an image to another cluster, and the "
        "clusters are of similar size",
        "fair": "augmentation moves some images to other clusters, or sizes differ a "
        "lot",
        "low": "clusters depend on the augmentation or are very unequal",
    }[level]
    where = f"sub-head {head}" + " (chosen for its lowest loss)" * (BY_LOSS in by)
    if BY_GRAPH in by:
        where = "the groups of the neighbour graph"
    return (
        f"In {where} an image and its augmented view share {nats:.2f} nats, "
        f"{percent(share)} of the most that there can be (ln {health.num_clusters} = "
        f"{bound:.2f}). That is {level}: {means}."
    )


def sentences(facts: Facts) -> list[str]:
    """What was found and how sure it is, for whole images."""
    results = facts.results
    head, health = results.chosen, results.health
    soft, k = facts.soft, health.num_clusters
    sizes = np.bincount(soft.argmax(-1), minlength=k)
    used = int((sizes >= DEAD_SHARE * len(soft) / k).sum())
    filled = np.sort(sizes[sizes > 0])
    confidence = facts.confidence
    doubtful = int((confidence < facts.unsure).sum())
    share = percent(doubtful / len(soft))
    of_images = f"{count(doubtful, 'image')} ({share}), called unsure"
    of_images = of_images if doubtful else "no image"
    found = [
        f"{count(len(soft), 'image')} in {k} clusters, {_all(used, k)} of them in use "
        f"(at least a tenth of an even share). The smallest has "
        f"{count(int(filled[0]), 'image')}, the largest {filled[-1]:,}.",
        information_sentence(health, head, results.choice.by),
    ]
    if facts.agreement is not None:
        mean, least = facts.agreement
        number = len(health.information)
        also = "the clusters do not depend on which one is taken"
        if facts.restarted is not None:
            also += (
                f", as all of them restarted from the same clusters at step "
                f"{facts.restarted:,}. Whether clusters depend on chance is told by a "
                "run with another seed"
            )
        if mean < AGREED:
            also = "other clusters would be nearly as good by the loss"
        found.append(
            f"The {number} sub-heads agree on "
            f"{percent(mean)} of the images on average, the two that differ most on "
            f"{percent(least)}: {also}."
        )
    is_what = "the probability of an image's cluster"
    says = (
        "It says how clear-cut the clusters are, not how often they are what you would "
        "call right."
    )
    if results.choice.calibration is not None:
        is_what = "the probability of an image's cluster by all sub-heads"
        says = (
            "It is calibrated without labels, and too high where all sub-heads make "
            "the same mistake."
        )
    found.append(
        f"Confidence, {is_what}, is {confidence.mean():.2f} on average. It is below "
        f"{facts.unsure:g} for {of_images}. {says}"
    )
    found += score_sentences(results)
    return found


def _all(used: int, k: int) -> str:
    return "all" if used == k else f"{used}"


def score_sentences(results: Results) -> list[str]:
    """How well clusters and labels fit, where there are labels."""
    if results.errors is None or results.scores is None:
        return []
    error = float(results.errors[results.chosen])
    scores = ", ".join(
        f"{name} {values[results.chosen]:.3f}"
        for name, values in results.scores.items()
        if name in ("NMI", "ARI", "mean IoU")
    )
    told = [
        f"By the labels {percent(error)} of the {results.unit} are in the wrong "
        f"cluster ({results.match} matching; {scores})."
    ]
    if results.reliability is not None:
        told.append(
            f"Confidence and accuracy differ by {results.reliability.error:.3f} on "
            "average (expected calibration error, 15 bins)."
        )
    return told


def advice(facts: Facts) -> list[str]:
    """What to do next, for whole images, the most important first."""
    results = facts.results
    health = results.health
    soft, k = facts.soft, health.num_clusters
    sizes = np.bincount(soft.argmax(-1), minlength=k)
    few = int((sizes < DEAD_SHARE * len(soft) / k).sum())
    told = []
    if is_degenerate(health, steps=facts.steps):
        told.append(
            "The clusters carry almost no information. Look at the augmented views: if "
            "you cannot tell that they show the same thing, use a weaker augmentation; "
            "if all images look alike, a stronger one. Another seed or learning rate "
            "may help, too."
        )
    if few:
        told.append(
            f"{count(few, 'cluster')} of {k} {'has' if few == 1 else 'have'} hardly "
            f"any images: the images may fall into fewer kinds. Try k = "
            f"{max(k - few, 2)}."
        )
    if facts.agreement is not None and facts.agreement[0] < AGREED:
        told.append(
            "The sub-heads disagree. Train for longer, or try another number of "
            "clusters; compare the runs by their share of ln k."
        )
    shared = overlap(soft)
    a, b = sorted(int(i) for i in np.unravel_index(shared.argmax(), shared.shape))
    if shared[a, b] >= OFTEN:
        told.append(
            f"Clusters {a} and {b} overlap most: {percent(float(shared[a, b]))} of all "
            "images can be expected to be in either of them. If they show the same "
            "thing, give them the same name, which merges them."
        )
    if facts.duplicates:
        told.append(
            f"{count(facts.duplicates, 'pair')} of near-duplicates: if copies are not "
            "meant to count twice, take them out (duplicates.csv) and train again."
        )
    if facts.outliers:
        told.append(
            f"{count(facts.outliers, 'image')} far from all others: "
            "look whether they belong to the data at all (outliers.csv)."
        )
    told.append(
        "Name the clusters below and download names.json. In doubt look at the "
        "borderline images of a cluster first."
    )
    return told


def alike(soft: np.ndarray) -> Sequence[tuple[int, float] | None]:
    """For each cluster the one that it shares most with, and the share of its images.

    Args:
        soft: Soft assignments, shape ``(n, k)``.
    """
    shared, mass = overlap(soft), soft.sum(axis=0, dtype=np.float64) / len(soft)
    found: list[tuple[int, float] | None] = []
    for cluster, row in enumerate(shared):
        other = int(row.argmax())
        share = float(row[other] / 2 / mass[cluster]) if mass[cluster] > 0 else 0.0
        found.append((other, share) if share >= 0.001 else None)
    return found
