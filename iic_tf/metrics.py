"""From assignments to numbers: arrays in, scores out. Labels are used here only.

All functions are NumPy; each score says its range and which direction is better.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure


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
    """
    return table.argmax(axis=1)


def accuracy(table: np.ndarray, mapping: np.ndarray) -> float:
    """Share of images whose cluster is mapped to their class; 0 to 1, higher better.

    Args:
        table: Contingency table, shape ``(clusters, classes)``.
        mapping: Class of each cluster or -1, shape ``(clusters,)``.
    """
    used = mapping >= 0
    hits = table[np.flatnonzero(used), mapping[used]].sum()
    return float(hits / max(table.sum(), 1))


def matched_errors(
    clusters: np.ndarray, labels: np.ndarray, *, num_clusters: int
) -> np.ndarray:
    """Error of each sub-head after its best one-to-one match; 0 to 1, lower better.

    Args:
        clusters: Cluster of each image in each sub-head, shape ``(n, h)``.
        labels: Class of each image, shape ``(n,)``.
        num_clusters: Number of clusters k.

    Returns:
        Errors, shape ``(h,)``.
    """
    num_classes = int(labels.max()) + 1
    errors = []
    for column in clusters.T:
        table = contingency(
            column, labels, num_clusters=num_clusters, num_classes=num_classes
        )
        errors.append(1.0 - accuracy(table, match_one_to_one(table)))
    return np.array(errors)


def class_recall(table: np.ndarray, mapping: np.ndarray) -> np.ndarray:
    """Share of each class's images in clusters mapped to it; 0 to 1, higher better.

    Args:
        table: Contingency table, shape ``(clusters, classes)``.
        mapping: Class of each cluster or -1, shape ``(clusters,)``.

    Returns:
        Shape ``(classes,)``; NaN for a class without images.
    """
    found = mapping[:, None] == np.arange(table.shape[1])
    with np.errstate(invalid="ignore"):
        return (table * found).sum(axis=0) / table.sum(axis=0)


def clustering_scores(
    clusters: np.ndarray, labels: np.ndarray, *, num_clusters: int
) -> dict[str, float]:
    """All scores of one sub-head, each from 0 (ARI: about 0) to 1, higher better.

    Args:
        clusters: Cluster of each image, shape ``(n,)``.
        labels: Class of each image, shape ``(n,)``.
        num_clusters: Number of clusters k.

    Returns:
        ``one_to_one`` and ``many_to_one`` accuracy, ``nmi`` (normalised mutual
        information, arithmetic mean), ``ari`` (adjusted Rand index), ``homogeneity``
        and ``completeness``.
    """
    table = contingency(
        clusters, labels, num_clusters=num_clusters, num_classes=int(labels.max()) + 1
    )
    homogeneity, completeness, nmi = homogeneity_completeness_v_measure(
        labels, clusters
    )
    return {
        "one_to_one": accuracy(table, match_one_to_one(table)),
        "many_to_one": accuracy(table, match_many_to_one(table)),
        "nmi": float(nmi),
        "ari": float(adjusted_rand_score(labels, clusters)),
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
    }
