"""From assignments to numbers: arrays in, scores out. Labels are used here only.

All functions are NumPy; each score says its range and which direction is better.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import entr


def contingency(
    clusters: np.ndarray, labels: np.ndarray, *, num_clusters: int, num_classes: int
) -> np.ndarray:
    """Counts images per cluster and class.

    Args:
        clusters: Cluster of each image, integers in ``[0, num_clusters)``, shape (n,).
        labels: Class of each image, integers in ``[0, num_classes)``, shape ``(n,)``.
        num_clusters: Number of clusters k.
        num_classes: Number of classes.

    Returns:
        int64 table, shape ``(num_clusters, num_classes)``, summing to n.

    Examples:
        >>> from iic_tf.evaluation.metrics import contingency
        >>> clusters, labels = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1])
        >>> print(contingency(clusters, labels, num_clusters=2, num_classes=2))
        [[0 2]
         [1 1]]
    """
    cells = np.bincount(
        clusters.astype(np.int64) * num_classes + labels,
        minlength=num_clusters * num_classes,
    )
    return cells.reshape(num_clusters, num_classes)


def match_one_to_one(table: np.ndarray) -> np.ndarray:
    """The assignment of clusters to different classes with the most matches.

    Args:
        table: Contingency table, shape ``(clusters, classes)``; it need not be square.

    Returns:
        Class of each cluster, shape ``(clusters,)``; -1 for clusters left over when
        there are more clusters than classes (their images count as errors).

    Examples:
        >>> from iic_tf.evaluation.metrics import match_one_to_one
        >>> print(match_one_to_one(np.array([[1, 9], [2, 8], [7, 0]])))
        [ 1 -1  0]
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    mapping = np.full(len(table), -1)
    mapping[rows] = columns
    return mapping


def match_many_to_one(table: np.ndarray) -> np.ndarray:
    """Maps every cluster to its most frequent class.

    Ties go to the lowest class, empty clusters to class 0 (paper, section 4.2, "IIC
    overclustering").

    Args:
        table: Contingency table, shape ``(clusters, classes)``.

    Returns:
        Class of each cluster, shape ``(clusters,)``.

    Examples:
        >>> from iic_tf.evaluation.metrics import match_many_to_one
        >>> print(match_many_to_one(np.array([[1, 9], [2, 8], [7, 0]])))
        [1 1 0]
    """
    return table.argmax(axis=1)


def accuracy(table: np.ndarray, mapping: np.ndarray) -> float:
    """Share of images whose cluster is mapped to their class; 0 to 1, higher better.

    Args:
        table: Contingency table, shape ``(clusters, classes)``.
        mapping: Class of each cluster or -1, shape ``(clusters,)``.

    Examples:
        >>> from iic_tf.evaluation.metrics import accuracy
        >>> accuracy(np.array([[1, 9], [8, 2]]), np.array([1, 0]))
        0.85
    """
    used = mapping >= 0
    hits = table[np.flatnonzero(used), mapping[used]].sum()
    return float(hits / max(table.sum(), 1))


def running_accuracy(
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    num_clusters: int,
    num_classes: int,
) -> Iterator[tuple[float, float]]:
    """Many-to-one accuracy as images come in, by the counts of those seen so far.

    Each batch is counted first and then scored, as in the YAML-configured PyTorch code
    base, which makes the score optimistic; unlike there, an image counts as often as it
    comes.

    Args:
        batches: Pairs of clusters and labels, see ``contingency``.
        num_clusters: Number of clusters k.
        num_classes: Number of classes.

    Yields:
        For each batch the share of its images, and of all images so far when they came,
        whose cluster was mapped to their class; 0 to 1, higher better.

    Examples:
        >>> from iic_tf.evaluation.metrics import running_accuracy
        >>> first = np.array([0, 0]), np.array([1, 1])
        >>> second = np.array([1, 0]), np.array([0, 0])
        >>> list(running_accuracy([first, second], num_clusters=2, num_classes=2))
        [(1.0, 1.0), (0.5, 0.75)]
    """
    table = np.zeros((num_clusters, num_classes), np.int64)
    hits = number = 0
    for clusters, labels in batches:
        sizes = {"num_clusters": num_clusters, "num_classes": num_classes}
        table += contingency(clusters, labels, **sizes)
        right = int((match_many_to_one(table)[clusters] == labels).sum())
        hits, number = hits + right, number + len(labels)
        yield right / max(len(labels), 1), hits / max(number, 1)


MATCHES = {"one-to-one": match_one_to_one, "many-to-one": match_many_to_one}
"""How clusters are mapped to classes, by the name of the option."""

BY_CLASS = "class by class"
"""Stands for the mapping of a classifier, whose cluster i is class i."""

MAPPINGS = MATCHES | {BY_CLASS: lambda table: np.arange(len(table))}
"""All mappings of rows of a table to its columns."""


def contingencies(
    clusters: np.ndarray, labels: np.ndarray, *, num_clusters: int, num_classes: int
) -> np.ndarray:
    """Contingency tables of several sub-heads: what all scores follow from.

    Args:
        clusters: Cluster of each image in each sub-head, shape ``(n, h)``.
        labels: Class of each image, shape ``(n,)``.
        num_clusters: Number of clusters k.
        num_classes: Number of classes.

    Returns:
        int64, shape ``(h, num_clusters, num_classes)``.

    Examples:
        >>> from iic_tf.evaluation.metrics import contingencies
        >>> clusters = np.array([[0, 1], [0, 1], [1, 1]])  # by two sub-heads
        >>> labels = np.array([0, 0, 1])
        >>> contingencies(clusters, labels, num_clusters=2, num_classes=2).tolist()
        [[[2, 0], [0, 1]], [[0, 0], [2, 1]]]
    """
    sizes = {"num_clusters": num_clusters, "num_classes": num_classes}
    return np.stack([contingency(column, labels, **sizes) for column in clusters.T])


def matched_errors(
    tables: np.ndarray, *, match: str = "one-to-one", mapping: np.ndarray | None = None
) -> np.ndarray:
    """Error of each sub-head after its best match with classes; 0 to 1, lower better.

    Args:
        tables: Contingency tables, shape ``(h, clusters, classes)``.
        match: One of ``MAPPINGS``.
        mapping: Tables of what clusters are mapped to classes on, of the same shape;
            those scored if None.

    Returns:
        Errors, shape ``(h,)``.

    Examples:
        >>> from iic_tf.evaluation.metrics import matched_errors
        >>> tables = np.array([[[0, 5], [5, 0]], [[4, 1], [1, 4]]])
        >>> print(matched_errors(tables).round(4))
        [0.  0.2]
    """
    known = tables if mapping is None else mapping
    pairs = zip(tables, known, strict=True)
    return np.array([1 - accuracy(own, MAPPINGS[match](seen)) for own, seen in pairs])


def class_recall(table: np.ndarray, mapping: np.ndarray) -> np.ndarray:
    """Share of each class's images in clusters mapped to it; 0 to 1, higher better.

    Args:
        table: Contingency table, shape ``(clusters, classes)``.
        mapping: Class of each cluster or -1, shape ``(clusters,)``.

    Returns:
        Shape ``(classes,)``; NaN for a class without images.

    Examples:
        >>> from iic_tf.evaluation.metrics import class_recall
        >>> print(class_recall(np.array([[8, 0], [2, 5]]), np.array([0, 1])))
        [0.8 1. ]
    """
    found = mapping[:, None] == np.arange(table.shape[1])
    with np.errstate(invalid="ignore"):
        return (table * found).sum(axis=0) / table.sum(axis=0)


def class_iou(table: np.ndarray, mapping: np.ndarray) -> np.ndarray:
    """Intersection over union of each class; 0 to 1, higher better.

    Args:
        table: Contingency table of pixels, shape ``(clusters, classes)``.
        mapping: Class of each cluster or -1, shape ``(clusters,)``.

    Returns:
        Shape ``(classes,)``; NaN for a class that no pixel has.

    Examples:
        >>> from iic_tf.evaluation.metrics import class_iou
        >>> table = np.array([[8, 0], [2, 5]])
        >>> print(class_iou(table, np.array([0, 1])).round(4))  # 8 of 10, and 5 of 7
        [0.8    0.7143]
    """
    mapped = (mapping[:, None] == np.arange(table.shape[1])).astype(table.dtype)
    both, pixels = (table * mapped).sum(axis=0), table.sum(axis=0)
    union = pixels + table.sum(axis=1) @ mapped - both
    return np.where(pixels > 0, both / np.maximum(union, 1), np.nan)


def adjusted_rand(table: np.ndarray) -> float:
    """Adjusted Rand index; at most 1, 0 by chance, higher better.

    Hubert and Arabie, 1985: pairs together in both groupings, adjusted for chance.

    Args:
        table: Contingency table, shape ``(clusters, classes)``.

    Examples:
        >>> from iic_tf.evaluation.metrics import adjusted_rand
        >>> adjusted_rand(np.array([[0, 5], [5, 0]]))
        1.0
        >>> round(adjusted_rand(np.array([[4, 1], [1, 4]])), 4)
        0.28
    """
    both, rows, columns = (
        float((counts * (counts - 1.0)).sum() / 2)
        for counts in (table, table.sum(axis=1), table.sum(axis=0))
    )
    number = float(table.sum())
    expected = rows * columns / max(number * (number - 1) / 2, 1.0)
    most = (rows + columns) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)


def clustering_scores(
    tables: np.ndarray, *, mapping: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """All scores of every sub-head, each at most 1, higher better.

    Args:
        tables: Contingency tables, shape ``(h, clusters, classes)``.
        mapping: As in ``matched_errors``; only the accuracies depend on it.

    Returns:
        ``one-to-one`` and ``many-to-one`` accuracy, ``NMI`` (normalised mutual
        information, arithmetic mean), ``ARI`` (adjusted Rand index), ``homogeneity``
        and ``completeness``, each of shape ``(h,)``.

    Examples:
        >>> from iic_tf.evaluation.metrics import clustering_scores
        >>> scores = clustering_scores(np.array([[[5, 0], [0, 3], [0, 2]]]))
        >>> for name in ("one-to-one", "many-to-one", "homogeneity", "completeness"):
        ...     print(name, scores[name].round(3))
        one-to-one [0.8]
        many-to-one [1.]
        homogeneity [1.]
        completeness [0.673]
    """
    scores = {
        match: 1 - matched_errors(tables, match=match, mapping=mapping)
        for match in MATCHES
    }
    p = tables / np.maximum(tables.sum(axis=(1, 2), keepdims=True), 1)
    of_clusters, of_classes = (entr(p.sum(axis=axis)).sum(axis=1) for axis in (2, 1))
    shared = of_clusters + of_classes - entr(p).sum(axis=(1, 2))

    def share(whole: np.ndarray) -> np.ndarray:
        # one cluster, or one class, tells all that there is to tell
        return np.divide(shared, whole, out=np.ones_like(whole), where=whole > 1e-12)

    scores["NMI"] = share((of_clusters + of_classes) / 2)
    scores["ARI"] = np.array([adjusted_rand(table) for table in tables])
    scores["homogeneity"], scores["completeness"] = (
        share(of_classes),
        share(of_clusters),
    )
    return scores


def agreement(clusters: np.ndarray, *, num_clusters: int) -> np.ndarray:
    """Share of images that two sub-heads put into matching clusters.

    Args:
        clusters: Cluster of each image in each sub-head, shape ``(n, h)``.
        num_clusters: Number of clusters k.

    Returns:
        Symmetric, shape ``(h, h)``, ones on the diagonal.

    Examples:
        >>> from iic_tf.evaluation.metrics import agreement
        >>> clusters = np.array([[0, 1], [0, 1], [1, 0], [1, 1]])
        >>> print(agreement(clusters, num_clusters=2))
        [[1.   0.75]
         [0.75 1.  ]]
    """
    h = clusters.shape[1]
    shares = np.ones((h, h))
    for i in range(h):
        for j in range(i):
            table = contingency(
                clusters[:, i], clusters[:, j],
                num_clusters=num_clusters, num_classes=num_clusters,
            )  # fmt: skip
            shares[i, j] = shares[j, i] = accuracy(table, match_one_to_one(table))
    return shares
