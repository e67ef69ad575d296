"""Names for clusters from a few labelled images, and which images to label next.

All functions are NumPy. A labelled image counts in each cluster by its probability
there (*expected counts*): where two labels fall into one cluster, the doubt of the
network tells which of them belongs elsewhere. On MNIST one label per class then names
clusters better than whole counts do; overclusters gain up to ten labels per class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammainc, gammaincinv

from iic_tf.evaluation.metrics import contingency, match_one_to_one

LEAST_COUNT = 0.05
"""A cluster takes no name from a smaller expected count of labels."""

SURE = 0.9
"""A name is doubtful below this probability: three labels that agree are enough, two
are not."""

ENOUGH = 10
"""Labels of each class from which half are held back for a score."""

PLENTY = 2
"""Labels for each overcluster, on average, from which overclusters may be named unless
they are asked for. Hands and digits: with fewer, clusters are named better."""

MOST_NEXT = 10
"""Images that are proposed to be labelled next."""

MOST_CANDIDATES = 200
"""Images of a cluster among which they are looked for."""

QUANTILES = 2000
"""Points at which the integral of ``sureness`` is taken."""


def expected_counts(
    probabilities: np.ndarray, classes: np.ndarray, *, num_classes: int
) -> np.ndarray:
    """Expected number of labelled images per cluster and class.

    Args:
        probabilities: Soft assignments of the labelled images, shape ``(m, k)``.
        classes: Class of each, integers in ``[0, num_classes)``, shape ``(m,)``.
        num_classes: Number of classes.

    Returns:
        Shape ``(k, num_classes)``, summing to m.

    Examples:
        >>> from iic_tf.evaluation.naming import expected_counts
        >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
        >>> print(expected_counts(probabilities, np.array([0, 1]), num_classes=2))
        [[0.9 0.2]
         [0.1 0.8]]
    """
    return probabilities.T.astype(np.float64) @ np.eye(num_classes)[classes]


def name_clusters(counts: np.ndarray, *, one_to_one: bool) -> np.ndarray:
    """The class of each cluster.

    Args:
        counts: Expected counts, shape ``(clusters, classes)``.
        one_to_one: Whether each class first goes to one cluster, with the most labels
            in all. Clusters that are left over then take their most frequent class, as
            all do otherwise.

    Returns:
        Class of each cluster, -1 where fewer than ``LEAST_COUNT`` labels say anything,
        shape ``(clusters,)``.

    Examples:
        >>> from iic_tf.evaluation.naming import name_clusters
        >>> counts = np.array([[3.0, 1.0], [2.0, 0.5], [0.0, 0.0]])
        >>> print(name_clusters(counts, one_to_one=True))
        [ 0  1 -1]
        >>> print(name_clusters(counts, one_to_one=False))
        [ 0  0 -1]
    """

    def unless_rare(classes: np.ndarray) -> np.ndarray:
        count = np.take_along_axis(counts, np.maximum(classes, 0)[:, None], axis=1)
        return np.where(count[:, 0] >= LEAST_COUNT, classes, -1)

    majority = unless_rare(counts.argmax(axis=1))
    if not one_to_one:
        return majority
    matched = unless_rare(match_one_to_one(counts))
    return np.where(matched < 0, majority, matched)


def sureness(
    counts: np.ndarray, classes: np.ndarray, *, num_classes: int
) -> np.ndarray:
    """Probability that the class of a cluster is the most frequent one in it.

    The shares of the classes in a cluster have a Dirichlet prior of parameters 1 / C,
    which weighs as much as one label, so after counts n_c one of parameters
    1 / C + n_c. Shares so distributed are independent gamma variables G_c, divided by
    their sum: P(G_m is the largest) = E[Π_{c ≠ m} F_c(G_m)], where F_c are their
    distribution functions. The expectation is a mean over quantiles of G_m.

    Args:
        counts: Expected counts, shape ``(clusters, classes)``.
        classes: Class of each cluster, -1 for none, shape ``(clusters,)``.
        num_classes: C, the classes that there may be, at least those counted.

    Returns:
        Shape ``(clusters,)``, 0 where there is no class. For ten classes one label
        gives 0.66, two that agree 0.87, three 0.95.

    Examples:
        >>> from iic_tf.evaluation.naming import sureness
        >>> counts = np.outer([1, 2, 3], np.eye(10)[4])  # one, two and three labels
        >>> print(sureness(counts, np.array([4, 4, 4]), num_classes=10).round(2))
        [0.66 0.87 0.95]
    """
    unseen = np.zeros((len(counts), num_classes - counts.shape[1]))
    parameters = np.concatenate((counts, unseen), axis=1) + 1 / num_classes
    quantiles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    found = np.zeros(len(counts))
    for cluster in np.flatnonzero(classes >= 0):
        mine = parameters[cluster, classes[cluster]]
        others = np.delete(parameters[cluster], classes[cluster])
        values, number = np.unique(others, return_counts=True)  # most are 1 / C
        below = gammainc(values[:, None], gammaincinv(mine, quantiles))
        found[cluster] = (below ** number[:, None]).prod(axis=0).mean()
    return found


def expected_accuracy(
    votes: np.ndarray, classes: np.ndarray, sizes: np.ndarray, *, num_classes: int
) -> float:
    """Share of all images that names are expected to be right for; 0 to 1.

    With the prior of ``sureness`` the class with n_m of n labels in a cluster is
    expected to have the share (n_m + 1 / C) / (n + 1) of its images. Clusters without a
    name are wrong. So many clusters pay only where there are labels for each.

    Args:
        votes: Labelled images per cluster and class, shape ``(clusters, classes)``.
        classes: Class of each cluster, -1 for none, shape ``(clusters,)``.
        sizes: Images in each cluster, shape ``(clusters,)``.
        num_classes: C, the classes that there may be.

    Examples:
        >>> from iic_tf.evaluation.naming import expected_accuracy
        >>> votes, classes = np.array([[2, 0], [0, 0]]), np.array([0, -1])
        >>> found = expected_accuracy(votes, classes, np.array([60, 40]), num_classes=2)
        >>> round(found, 4)  # (2 + 1/2) / (2 + 1) of 60 images
        0.5
    """
    mine = np.take_along_axis(votes, np.maximum(classes, 0)[:, None], axis=1)[:, 0]
    shares = (mine + 1 / num_classes) / (votes.sum(axis=1) + 1)
    return float((sizes * shares)[classes >= 0].sum() / sizes.sum())


def class_probabilities(
    probabilities: np.ndarray, classes: np.ndarray, *, num_classes: int
) -> np.ndarray:
    """Probabilities of classes: those of their clusters, summed.

    Args:
        probabilities: Soft assignments, shape ``(n, k)``.
        classes: Class of each cluster, -1 for none, shape ``(k,)``.
        num_classes: Number of classes.

    Returns:
        Shape ``(n, num_classes + 1)``; the last column is of clusters without a class.

    Examples:
        >>> from iic_tf.evaluation.naming import class_probabilities
        >>> soft = np.array([[0.5, 0.25, 0.25]])
        >>> print(class_probabilities(soft, np.array([1, 1, -1]), num_classes=2))
        [[0.   0.75 0.25]]
    """
    return probabilities @ np.eye(num_classes + 1, dtype=np.float32)[classes]


# ---------------------------------------------------------------------- all at once


@dataclass(frozen=True)
class Naming:
    """Classes of the clusters of one sub-head.

    Attributes:
        bank: Of the sub-head: ``main`` (clusters) or ``aux`` (overclusters).
        classes: Class of each cluster, -1 for none, shape ``(k,)``.
        votes: Labelled images per cluster and class, shape ``(k, num_classes)``.
        sure: Probability that the name of each cluster is right, see ``sureness``.

    Examples:
        >>> from iic_tf.evaluation.naming import Naming
        >>> votes = np.array([[3, 0], [0, 1]])
        >>> naming = Naming("main", np.array([0, 1]), votes, np.array([0.95, 0.7]))
        >>> naming.doubtful.tolist(), naming.unnamed.tolist()
        ([1], [])
        >>> classes, probability = naming.apply(np.array([[0.25, 0.75]]))
        >>> classes.tolist(), probability.tolist()
        ([1], [0.75])
    """

    bank: str
    classes: np.ndarray
    votes: np.ndarray
    sure: np.ndarray

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.votes.shape[1]

    @cached_property
    def unnamed(self) -> np.ndarray:
        """Clusters without a name."""
        return np.flatnonzero(self.classes < 0)

    @cached_property
    def doubtful(self) -> np.ndarray:
        """Clusters whose name is less than ``SURE``."""
        return np.flatnonzero((self.classes >= 0) & (self.sure < SURE))

    def apply(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class and its probability of each image, -1 for none.

        Args:
            probabilities: Soft assignments of the sub-head, shape ``(n, k)``.
        """
        found = class_probabilities(
            probabilities, self.classes, num_classes=self.num_classes
        )
        best = found.argmax(axis=1)
        return np.where(best == self.num_classes, -1, best), found.max(axis=1)


def no_names(bank: str, num_clusters: int) -> Naming:
    """What is known of clusters without a label: nothing.

    Args:
        bank: ``main`` or ``aux``.
        num_clusters: Its clusters.

    Examples:
        >>> from iic_tf.evaluation.naming import no_names
        >>> no_names("main", 3).unnamed.tolist()
        [0, 1, 2]
    """
    votes = np.zeros((num_clusters, 0), np.int64)
    return Naming(bank, np.full(num_clusters, -1), votes, np.zeros(num_clusters))


def _votes(probabilities: np.ndarray, classes: np.ndarray, number: int) -> np.ndarray:
    """Labelled images per cluster and class."""
    clusters, k = probabilities.argmax(axis=1), probabilities.shape[1]
    return contingency(clusters, classes, num_clusters=k, num_classes=number)


def cluster_sizes(probabilities: np.ndarray) -> np.ndarray:
    """Images in each cluster.

    Args:
        probabilities: Soft assignments, shape ``(n, k)``.

    Examples:
        >>> from iic_tf.evaluation.naming import cluster_sizes
        >>> print(cluster_sizes(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])))
        [2 1]
    """
    return np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])


def name_by_labels(
    banks: Mapping[str, np.ndarray],
    numbers: np.ndarray,
    classes: np.ndarray,
    *,
    num_classes: int,
    overclusters: bool | None = None,
) -> Naming:
    """Names the clusters of the bank that suits, or that is asked for.

    Args:
        banks: Soft assignments of all images by ``main`` and, if there is one, ``aux``,
            each ``(n, k)``.
        numbers: Numbers of the labelled images, shape ``(m,)``.
        classes: Class of each, shape ``(m,)``.
        num_classes: Number of classes.
        overclusters: Whether to name those of ``aux``; if None where labels are plenty
            and more images can be expected to be named correctly.

    Examples:
        >>> from iic_tf.evaluation.naming import name_by_labels
        >>> soft = np.eye(2)[[0, 0, 0, 1, 1]]  # five images, two of them with labels
        >>> numbers, classes = np.array([0, 4]), np.array([1, 0])
        >>> naming = name_by_labels({"main": soft}, numbers, classes, num_classes=2)
        >>> naming.classes.tolist(), naming.sure.round(2).tolist()
        ([1, 0], [0.82, 0.82])
    """
    possible = max(num_classes, banks["main"].shape[1])
    asked = ["aux" if overclusters else "main"]
    if overclusters is None and "aux" in banks:
        plenty = len(numbers) >= PLENTY * banks["aux"].shape[1]
        asked += ["aux"] * plenty
    best, chosen = -1.0, None
    for bank in asked:
        soft = banks[bank][numbers]
        counts = expected_counts(soft, classes, num_classes=num_classes)
        found = name_clusters(counts, one_to_one=bank == "main")
        votes = _votes(soft, classes, num_classes)
        sizes = cluster_sizes(banks[bank])
        right = expected_accuracy(votes, found, sizes, num_classes=possible)
        if right > best:
            sure = sureness(counts, found, num_classes=possible)
            best, chosen = right, Naming(bank, found, votes, sure)
    if chosen is None:
        raise ValueError("there is no bank to name")
    return chosen


def share_of_each(classes: np.ndarray, share: float, *, seed: int) -> np.ndarray:
    """A random share of the images of each class.

    Args:
        classes: Class of each image, shape ``(n,)``.
        share: From 0 to 1; rounded up to whole images of each class.
        seed: Of the draw.

    Returns:
        Which images are drawn, bool, shape ``(n,)``.

    Examples:
        >>> from iic_tf.evaluation.naming import share_of_each
        >>> classes = np.array(6 * [0] + 3 * [1])
        >>> drawn = share_of_each(classes, 0.5, seed=0)
        >>> np.bincount(classes[drawn]).tolist()
        [3, 2]
    """
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(classes), bool)
    for members in (np.flatnonzero(classes == c) for c in np.unique(classes)):
        drawn[rng.permutation(members)[: int(np.ceil(share * len(members)))]] = True
    return drawn


def held_back_score(
    banks: Mapping[str, np.ndarray],
    numbers: np.ndarray,
    classes: np.ndarray,
    *,
    num_classes: int,
    overclusters: bool | None = None,
    seed: int = 0,
) -> tuple[int, int] | None:
    """Names clusters by half of the labels of each class and scores the other half.

    Args:
        banks: See ``name_by_labels``.
        numbers: See there.
        classes: See there.
        num_classes: See there.
        overclusters: See there; if None the half that names also chooses.
        seed: Of the halves.

    Returns:
        Images of the other half that get their class, and how many these are; None if
        a class has fewer than ``ENOUGH`` labels.

    Examples:
        >>> from iic_tf.evaluation.naming import held_back_score
        >>> classes = np.arange(40) % 2  # twenty labels of each
        >>> soft = np.eye(2)[1 - classes]
        >>> held_back_score({"main": soft}, np.arange(40), classes, num_classes=2)
        (20, 20)
    """
    if np.bincount(classes, minlength=num_classes).min() < ENOUGH:
        return None
    mine = share_of_each(classes, 0.5, seed=seed)
    naming = name_by_labels(
        banks,
        numbers[mine],
        classes[mine],
        num_classes=num_classes,
        overclusters=overclusters,
    )
    found, _ = naming.apply(banks[naming.bank][numbers[~mine]])
    return int((found == classes[~mine]).sum()), int((~mine).sum())


# ------------------------------------------------------------------- what to label next


def clusters_in_need(
    naming: Naming, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters that hold images, those that need labels most first.

    Args:
        naming: What is known.
        sizes: Images in each cluster, shape ``(k,)``.

    Returns:
        Unnamed and doubtful clusters, by the number of images that may be named
        wrongly; then all others, likewise.

    Examples:
        >>> from iic_tf.evaluation.naming import Naming, clusters_in_need
        >>> votes, sure = np.array([[3, 0], [0, 1], [0, 0]]), np.array([0.95, 0.7, 0.0])
        >>> naming = Naming("main", np.array([0, 1, -1]), votes, sure)
        >>> first, others = clusters_in_need(naming, np.array([50, 50, 10]))
        >>> first.tolist(), others.tolist()  # 15 images in doubt, 10 without a name
        ([1, 2], [0])
    """
    order = np.argsort(-sizes * (1 - naming.sure), kind="stable")
    order = order[sizes[order] > 0]
    unsure = (naming.classes < 0) | (naming.sure < SURE)
    return order[unsure[order]], order[~unsure[order]]


def candidates(
    probabilities: np.ndarray,
    cluster: int,
    *,
    known: np.ndarray,
    skipped: np.ndarray,
    seed: int = 0,
) -> np.ndarray:
    """Images of a cluster that may be labelled next: from its surer half.

    Args:
        probabilities: Soft assignments of all images, shape ``(n, k)``.
        cluster: The cluster.
        known: Numbers of labelled images.
        skipped: Numbers of images that were to be labelled but were not; they come back
            if there are no others.
        seed: Of the choice among many.

    Returns:
        At most ``MOST_CANDIDATES`` numbers, shape ``(c,)``.

    Examples:
        >>> from iic_tf.evaluation.naming import candidates
        >>> soft = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
        >>> found = candidates(soft, 0, known=np.array([0]), skipped=np.array([], int))
        >>> found.tolist()
        [1]
    """
    members = np.flatnonzero(probabilities.argmax(axis=1) == cluster)
    members = np.setdiff1d(members, known)
    fresh = np.setdiff1d(members, skipped)
    members = fresh if len(fresh) else members
    if not len(members):
        return members
    confidence = probabilities[members, cluster]
    surer = members[confidence >= np.median(confidence)]
    return np.random.default_rng(seed).permutation(surer)[:MOST_CANDIDATES]


def typical(features: np.ndarray, known: np.ndarray, number: int) -> list[int]:
    """Images that stand for a cluster, and differ from each other.

    The half that is nearest to the centre counts as typical. The first image is the
    one nearest of all, each further one the typical one that is farthest from all that
    are known or chosen.

    Args:
        features: Of the candidates, shape ``(c, d)``.
        known: Features of labelled images of the cluster, shape ``(m, d)``.
        number: Images wanted.

    Returns:
        At most so many indices of candidates, in order.

    Examples:
        >>> from iic_tf.evaluation.naming import typical
        >>> features = np.array([[0.0], [4.0], [5.0], [6.0], [12.0]])
        >>> typical(features, np.zeros((0, 1)), 2)  # the centre is 5.4
        [2, 3]
    """
    from_centre = np.linalg.norm(features - features.mean(axis=0), axis=1)
    near = np.flatnonzero(from_centre <= np.median(from_centre))
    near = near[np.argsort(from_centre[near], kind="stable")]
    chosen: list[int] = []
    apart = np.full(len(near), np.inf)
    for vector in known:
        apart = np.minimum(apart, np.linalg.norm(features[near] - vector, axis=1))
    while len(chosen) < min(number, len(near)):
        best = int(apart.argmax())  # the nearest to the centre where nothing is known
        chosen.append(int(near[best]))
        new = np.linalg.norm(features[near] - features[near[best]], axis=1)
        apart = np.minimum(apart, new)
        apart[best] = -1.0
    return chosen


def take_turns(
    first: Sequence[int], others: Sequence[int], stocks: Mapping[int, Sequence[int]]
) -> list[tuple[int, int]]:
    """One image of each cluster in turn, until there are ``MOST_NEXT``.

    Args:
        first: Clusters that need labels; each gets one before any gets two.
        others: Clusters that come after them in all further rounds.
        stocks: Images of each cluster, in order.

    Returns:
        Cluster and number of each image.

    Examples:
        >>> from iic_tf.evaluation.naming import take_turns
        >>> take_turns([3], [5], {3: [10, 11], 5: [20]})
        [(3, 10), (3, 11), (5, 20)]
    """
    chosen: list[tuple[int, int]] = []
    rounds = max(map(len, stocks.values()), default=0)
    for i in range(rounds + 1):
        for cluster in first if i == 0 else [*first, *others]:
            at = i if cluster in first else i - 1
            if at < len(stocks.get(cluster, ())):
                chosen.append((cluster, stocks[cluster][at]))
    return chosen[:MOST_NEXT]
