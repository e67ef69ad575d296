"""How sure the cluster of an image is. Labels tell afterwards whether that was right.

A sub-head is sure of nearly everything it has been trained on, right or wrong. What
tells more is whether its clusters stay what they are: for augmented views of an image,
by the other main sub-heads, and when the overclusters of the auxiliary sub-heads, which
have not seen the main ones, are grouped into as many clusters.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from iic_tf.evaluation.metrics import contingency, match_one_to_one

BINS = 15
"""Bins of the expected calibration error, as is usual."""


class Calibration(NamedTuple):
    """What makes confidence out of the probabilities of a network. Plain, for JSON.

    Attributes:
        views: Augmented views of each image that are looked at.
        matched: For each main sub-head the cluster of the chosen one that each of its
            own is matched with, shape ``(h, k)``.
        agreement: For each cluster of the chosen one the share of its images that
            auxiliary sub-heads put together, too, shape ``(k,)``.
    """

    views: int
    matched: Sequence[Sequence[int]]
    agreement: Sequence[float]

    @classmethod
    def of(
        cls, clusters: np.ndarray, others: np.ndarray, *, head: int, k: int, views: int
    ) -> "Calibration":
        """What is found on some images.

        Args:
            clusters: Of the images by each main sub-head, shape ``(n, h)``.
            others: Clusters by other groupings, shape ``(n, g)``; g may be 0.
            head: The chosen sub-head.
            k: Number of clusters.
            views: See above.
        """
        chosen = clusters[:, head]
        matched = [_matching(column, chosen, k).tolist() for column in clusters.T]
        agreed = np.ones(len(chosen))
        if others.shape[1]:
            same = [_matching(x, chosen, k)[x] == chosen for x in others.T]
            agreed = np.mean(same, axis=0)
        sizes = np.bincount(chosen, minlength=k)
        of_all = np.full(k, agreed.mean())
        shares = np.bincount(chosen, agreed, minlength=k)
        shares = np.divide(shares, sizes, out=of_all, where=sizes > 0)
        return cls(views, matched, shares.tolist())

    def confidence(
        self, soft: np.ndarray, seen: np.ndarray | None, *, head: int
    ) -> np.ndarray:
        """Confidence of the cluster that the chosen sub-head puts each image in.

        That is the mean probability of the cluster by all main sub-heads, half of it
        for the images as they are and half for augmented views, times ``agreement``.

        Args:
            soft: Soft assignments by the main sub-heads, shape ``(n, h, k)``.
            seen: The same of augmented views, their mean; None if there are none.
            head: The chosen sub-head.

        Returns:
            In [0, 1], float32, shape ``(n,)``.
        """
        clusters = soft[:, head].argmax(axis=-1)
        own = np.argsort(self.matched, axis=1)[:, clusters].T  # as each head calls it
        both = [soft] if seen is None else [soft, seen]
        of_views = [np.take_along_axis(x, own[..., None], axis=2).mean(1) for x in both]
        sure = np.mean(of_views, axis=0)[:, 0] * np.array(self.agreement)[clusters]
        return sure.astype(np.float32)


def _matching(clusters: np.ndarray, others: np.ndarray, k: int) -> np.ndarray:
    """The cluster of another grouping that each cluster is matched with, ``(k,)``."""
    table = contingency(clusters, others, num_clusters=k, num_classes=k)
    return match_one_to_one(table)


class Reliability(NamedTuple):
    """How often images of like confidence are right; bins without images left out.

    Attributes:
        counts: Images in each bin, shape ``(b,)``.
        confidence: Their mean confidence, shape ``(b,)``.
        accuracy: Share of them that are right, shape ``(b,)``.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error; 0 to 1, lower better (Guo et al., 2017).

        The difference between confidence and accuracy in a bin, as the mean over all
        images.
        """
        apart = np.abs(self.confidence - self.accuracy)
        return float((apart * self.counts).sum() / self.counts.sum())


def reliability(
    confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS
) -> Reliability:
    """Accuracy in bins of confidence that are equally wide.

    Args:
        confidence: In [0, 1], shape ``(n,)``, at least one.
        right: Whether each image is in a cluster of its class, shape ``(n,)``.
        bins: How many.
    """
    numbers = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(numbers, minlength=bins)
    sums = [np.bincount(numbers, x, minlength=bins) for x in (confidence, right)]
    filled = counts > 0
    means = [x[filled] / counts[filled] for x in sums]
    return Reliability(counts[filled], *means)
