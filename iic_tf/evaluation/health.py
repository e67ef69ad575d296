"""The health of a run, from joint distributions alone: numbers, then sentences.

No label is read here. The joint of a sub-head, summed over some hundred steps, holds
all of it: how balanced the clusters are (H(z), at most ln k), how uncertain the cluster
of an image is given that of its augmented view (H(z|z'), at best 0), and their
difference, the mutual information.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from iic_tf.tuned import LAGGING_SHARE

MIN_STEPS_TO_JUDGE = 300
"""A run shorter than this is not called degenerate: every run starts from nothing."""

DEAD_SHARE = 0.1
"""A cluster with less than this share of an even share of images counts as dead."""

OFF_TRACK_SHARE = 0.25
"""Information below this share of ln k after ``MIN_STEPS_TO_JUDGE`` is too little."""


@dataclass(frozen=True)
class Health:
    """State of one bank of h sub-heads, per sub-head; information in nats.

    Attributes:
        information: Mutual information of a pair's clusters, shape ``(h,)``.
        entropy: H(z), shape ``(h,)``; ln k when the clusters are balanced.
        conditional: H(z|z'), shape ``(h,)``; 0 when augmented views always agree.
        effective: exp H(z), the effective number of clusters, shape ``(h,)``.
        num_dead: Clusters with hardly any images, shape ``(h,)``.
        num_clusters: k.
    """

    information: np.ndarray
    entropy: np.ndarray
    conditional: np.ndarray
    effective: np.ndarray
    num_dead: np.ndarray
    num_clusters: int

    @property
    def bound(self) -> float:
        """The most information there can be: ln k."""
        return float(np.log(self.num_clusters))

    @property
    def best(self) -> int:
        """The sub-head with the most information."""
        return int(self.information.argmax())

    @property
    def lagging(self) -> np.ndarray:
        """Sub-heads clearly behind the best one, as indices."""
        behind = self.information.max() - self.information
        return np.flatnonzero(behind > LAGGING_SHARE * self.bound)


def measure(joint: np.ndarray) -> Health:
    """Reads the health of a bank off its joints.

    Args:
        joint: Unnormalised joints, shape ``(h, k, k)``, summed over images.

    Returns:
        See ``Health``.

    Examples:
        >>> from iic_tf.evaluation.health import measure
        >>> health = measure(np.array([[[40, 10], [10, 40]], [[50, 50], [0, 0]]]))
        >>> print(health.information.round(4), health.best, round(health.bound, 4))
        [0.1927 0.0849] 0 0.6931
        >>> print(health.effective.round(2), health.num_dead)
        [2.   1.75] [0 0]
    """
    joint = joint.astype(np.float64)
    joint = joint + joint.transpose(0, 2, 1)
    p = joint / joint.sum(axis=(1, 2), keepdims=True)
    share = p.sum(axis=2)
    entropy = entr(share).sum(axis=1)
    conditional = entr(p).sum(axis=(1, 2)) - entropy
    k = joint.shape[1]
    return Health(
        information=entropy - conditional,
        entropy=entropy,
        conditional=conditional,
        effective=np.exp(entropy),
        num_dead=(share < DEAD_SHARE / k).sum(axis=1),
        num_clusters=k,
    )


def information_words(nats: float, num_clusters: int) -> str:
    """Mutual information as people can read it: "1.98 of 2.30 nats (86 %)".

    Examples:
        >>> from iic_tf.evaluation.health import information_words
        >>> information_words(1.98, 10)
        '1.98 of 2.30 nats (86 %)'
    """
    bound = np.log(num_clusters)
    return f"{nats:.2f} of {bound:.2f} nats ({100 * nats / bound:.0f} %)"


def is_degenerate(health: Health, *, steps: int) -> bool:
    """Whether even the best sub-head found nothing worth keeping.

    True after at least ``MIN_STEPS_TO_JUDGE`` steps if its information is under a
    quarter of ln k, or if more than half of its clusters are dead.

    Examples:
        >>> from iic_tf.evaluation.health import is_degenerate, measure
        >>> by_chance = measure(np.ones((1, 10, 10)))
        >>> is_degenerate(by_chance, steps=100), is_degenerate(by_chance, steps=300)
        (False, True)
    """
    if steps < MIN_STEPS_TO_JUDGE:
        return False
    too_little = health.information[health.best] < OFF_TRACK_SHARE * health.bound
    return bool(too_little or health.num_dead[health.best] > health.num_clusters / 2)


def describe(health: Health, *, steps: int) -> list[str]:
    """The state of a bank of sub-heads in sentences, the most important first.

    Args:
        health: State of the main sub-heads.
        steps: Steps trained so far.

    Returns:
        Sentences; the first one is about information, the others about problems.

    Examples:
        >>> from iic_tf.evaluation.health import describe, measure
        >>> health = measure(np.diag([50, 48, 2])[None])
        >>> _, problem = describe(health, steps=400)
        >>> problem
        'Almost empty: 1 cluster of the best sub-head.'
    """
    best = health.best
    k = health.num_clusters
    words = [
        f"Mutual information {information_words(health.information[best], k)}; "
        f"effectively {health.effective[best]:.1f} of {k} clusters (H(z) "
        f"{health.entropy[best]:.2f}, H(z|z') {health.conditional[best]:.2f})."
    ]
    if is_degenerate(health, steps=steps):
        words.append(
            "Off track: the clusters carry almost no information. Stronger or weaker "
            "augmentation, another learning rate or another seed may help."
        )
    if dead := int(health.num_dead[best]):
        words.append(f"Almost empty: {_count(dead, 'cluster')} of the best sub-head.")
    if len(health.lagging):
        words.append(
            f"Lagging: {_count(len(health.lagging), 'sub-head')} "
            f"({', '.join(str(head) for head in health.lagging)})."
        )
    return words


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def clusters_in_use(clusters: np.ndarray, k: int) -> int:
    """Clusters with at least a tenth of an even share of the images.

    Args:
        clusters: Cluster of each image, shape ``(n,)``.
        k: Number of clusters.

    Examples:
        >>> from iic_tf.evaluation.health import clusters_in_use
        >>> clusters_in_use(np.array(50 * [0] + 49 * [1] + [2]), 3)
        2
    """
    counts = np.bincount(clusters, minlength=k)
    return int((counts >= DEAD_SHARE * len(clusters) / k).sum())
