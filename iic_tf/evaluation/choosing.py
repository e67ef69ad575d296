"""How many clusters: what numbers tell for and against each, and a rule. No labels.

Mutual information divided by ln k, its most, says how much of what k clusters could
tell they do tell. Where images fall into k kinds, k clusters tell a larger share than
k - 1, which must join two kinds, and than k + 1, which must cut one. A cut that is real
also comes out again from other images, or from other sub-heads: that is stability, by
the adjusted Rand index. A peak of the share at which cuts are stable is recommended.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iic_tf.evaluation.metrics import adjusted_rand, contingency
from iic_tf.tuned import STABLE

AROUND = 2
"""A peak of stability is above that many numbers below and above it."""


@dataclass(frozen=True)
class Evidence:
    """What tells for and against each number of clusters.

    Attributes:
        numbers: Numbers of clusters k, rising by one, shape ``(m,)``.
        shares: Mutual information as a share of ln k, shape ``(m,)``.
        stability: Adjusted Rand index of cuts that should be the same, their mean over
            all that were compared, shape ``(m,)``.
        views: The same of images and their augmented views, or None.
        gaps: Eigenvalue number k less the next one, or None, shape ``(m,)``.
    """

    numbers: np.ndarray
    shares: np.ndarray
    stability: np.ndarray
    views: np.ndarray | None = None
    gaps: np.ndarray | None = None


@dataclass(frozen=True)
class Advice:
    """A recommended number of clusters.

    Attributes:
        k: It.
        clear: Whether it is a stable peak of the share of ln k; if not nothing stands
            out, and k is where cuts are most stable.
        others: Peaks of the share that are defensible, too, the stablest first: of
            stable cuts if k is clear, else of others.
        stable: Peaks of stability where nothing stands out, k aside, likewise.
    """

    k: int
    clear: bool
    others: tuple[int, ...]
    stable: tuple[int, ...] = ()


def peaks(values: np.ndarray, *, around: int = 1) -> np.ndarray:
    """Places of values above all within some places of them; never at the ends.

    Args:
        values: Shape ``(m,)``.
        around: Places on each side.

    Returns:
        Indices, ascending.
    """
    found = []
    for i in range(1, len(values) - 1):
        near = np.r_[values[max(i - around, 0) : i], values[i + 1 : i + 1 + around]]
        if values[i] > near.max():
            found.append(i)
    return np.array(found, int)


def advise(evidence: Evidence) -> Advice:
    """Recommends a number of clusters.

    The largest k at which the share of ln k has a peak and cuts are stable. Where there
    is none, the highest peak of stability; where there is none of these either, the
    number whose share and stability are largest together.

    Args:
        evidence: Of at least one number.
    """
    numbers, stability = evidence.numbers, evidence.stability

    def ranked(places: np.ndarray) -> np.ndarray:
        return places[np.argsort(-stability[places], kind="stable")]

    of_share = peaks(evidence.shares)
    if len(sure := of_share[stability[of_share] >= STABLE]):
        others = ranked(sure[:-1])
        return Advice(int(numbers[sure[-1]]), True, _named(numbers, others))
    found = ranked(peaks(stability, around=AROUND))
    if not len(found):
        found = np.argsort(-evidence.shares * stability, kind="stable")[:1]
    others = ranked(of_share[of_share != found[0]])
    return Advice(
        int(numbers[found[0]]),
        False,
        _named(numbers, others),
        _named(numbers, found[1:]),
    )


def _named(numbers: np.ndarray, places: np.ndarray) -> tuple[int, ...]:
    return tuple(int(k) for k in numbers[places])


def agreement_of_cuts(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Adjusted Rand index of two ways of clustering images at every number.

    Args:
        first: Cluster of each image at each number, shape ``(m, n)``.
        second: The same, of the same images.

    Returns:
        Shape ``(m,)``; 1 if they are the same, 0 by chance.
    """
    found = []
    for a, b in zip(first, second, strict=True):
        k = int(max(a.max(), b.max())) + 1
        table = contingency(a, b, num_clusters=k, num_classes=k)
        found.append(adjusted_rand(table))
    return np.array(found)


def mean_agreement(cuts: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of ``agreement_of_cuts`` over all pairs, shape ``(m,)``.

    Args:
        cuts: At least two, each of shape ``(m, n)``.
    """
    pairs = [agreement_of_cuts(a, b) for i, a in enumerate(cuts) for b in cuts[i + 1 :]]
    return np.mean(pairs, axis=0)
