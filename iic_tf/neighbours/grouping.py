"""Groups overclusters into k clusters so that mutual information is largest.

An overclustering sub-head knows more than it says: its K clusters, merged into k in the
right way, make a better clustering than most main sub-heads find by gradient ascent,
and the right way is found by search instead of by luck. NumPy only; no label is read.

``lamb`` weights the marginal entropies as in the loss, ``2 lamb H(z) - H(z, z')``. At 1
that is mutual information; below 1 clusters of equal size count for less.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import entr

MIN_GAIN = 1e-9
"""A move that gains less information than this, in nats, is rounding."""


class Grouping(NamedTuple):
    """Which cluster each overcluster belongs to.

    Attributes:
        groups: Cluster of each overcluster, integers in ``[0, k)``, shape ``(K,)``.
        information: Mutual information of the grouped joint in nats, with marginal
            entropies weighted by ``lamb``.
    """

    groups: np.ndarray
    information: float


class Merge(NamedTuple):
    """A step of an agglomeration.

    Attributes:
        kept: Branch that the other one is merged into, a number in ``[0, K)``.
        merged: Branch that is no more.
        information: Mutual information that is left afterwards, in nats.
    """

    kept: int
    merged: int
    information: float


def merge_tree(joint: np.ndarray) -> tuple[float, list[Merge]]:
    """How K overclusters join, each time the two whose merger loses least information.

    Args:
        joint: As in ``group_overclusters``; each overcluster has some share of it.

    Returns:
        Mutual information of the joint in nats, and K - 1 mergers, the last of which
        leaves none.

    Examples:
        >>> from iic_tf.neighbours.grouping import merge_tree
        >>> joint = np.array([[4, 1, 0, 0], [1, 4, 0, 0], [0, 0, 8, 0], [0, 0, 0, 2]])
        >>> whole, merges = merge_tree(joint)
        >>> round(whole, 4)
        1.0397
        >>> for merge in merges:
        ...     print(merge.kept, merge.merged, round(merge.information, 4))
        0 1 0.9433
        2 3 0.6931
        0 2 0.0
    """
    table = np.asarray(joint, np.float64)
    table = (table + table.T) / (2 * table.sum())
    whole, merges = _information(table), []
    for kept, merged in _merge_order(table):
        for along in (table, table.T):
            along[kept] += along[merged]
            along[merged] = 0
        merges.append(Merge(kept, merged, max(_information(table), 0.0)))
    return whole, merges


def group_overclusters(joint: np.ndarray, k: int, *, lamb: float = 1.0) -> Grouping:
    """Merges K overclusters into k clusters with the most mutual information.

    Agglomeration gives a tree of overclusters and a first grouping. Then parts of
    clusters, each a branch of the tree, move to other clusters as long as that gains
    information: a whole branch can cross a valley in which a single overcluster of it
    would be stuck.

    Args:
        joint: How often a pair falls into each two overclusters, shape ``(K, K)``, at
            least 0, any sum above 0; it is symmetrised.
        k: Number of clusters, from 2 to K.
        lamb: Weight of the marginal entropies, above 0.5.

    Returns:
        See ``Grouping``. Every cluster has at least one overcluster.

    Raises:
        ValueError: If k is out of range.

    Examples:
        >>> from iic_tf.neighbours.grouping import group_overclusters
        >>> joint = np.array([[4, 1, 0, 0], [1, 4, 0, 0], [0, 0, 4, 1], [0, 0, 1, 4]])
        >>> grouping = group_overclusters(joint, 2)
        >>> grouping.groups.tolist(), round(grouping.information, 4)  # ln 2
        ([0, 0, 1, 1], 0.6931)
    """
    number = len(joint)
    if not 2 <= k <= number:
        raise ValueError(f"k must lie between 2 and {number}. Received: k={k}")
    return cut_tree(joint, least=k, most=k, lamb=lamb)[0]


def cut_tree(
    joint: np.ndarray, *, least: int, most: int, lamb: float = 1.0
) -> list[Grouping]:
    """Groupings into every number of clusters of a range, from one tree.

    The finest is that of ``group_overclusters``. Each coarser one begins with the two
    clusters joined that cost least, and then parts of clusters move as there.

    Args:
        joint: As in ``group_overclusters``.
        least: Fewest clusters, at least 2.
        most: Most clusters, from ``least`` to K.
        lamb: As in ``group_overclusters``.

    Returns:
        Groupings into ``least``, ``least + 1``, …, ``most`` clusters.

    Raises:
        ValueError: If the range is empty or out of bounds.

    Examples:
        >>> from iic_tf.neighbours.grouping import cut_tree
        >>> joint = np.array([[4, 1, 0, 0], [1, 4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 4]])
        >>> [found.groups.tolist() for found in cut_tree(joint, least=2, most=4)]
        [[0, 0, 1, 1], [0, 0, 1, 2], [0, 1, 2, 3]]
    """
    number = len(joint)
    if not 2 <= least <= most <= number:
        raise ValueError(
            f"2 <= least <= most <= {number} must hold. "
            f"Received: least={least}, most={most}"
        )
    joint = np.asarray(joint, np.float64)
    joint = (joint + joint.T) / (2 * joint.sum())

    branches = list(np.eye(number, dtype=bool))
    current = np.eye(number, dtype=bool)
    groups = np.arange(number)
    for i, (a, b) in enumerate(_merge_order(joint, lamb)):
        current[a] |= current[b]
        branches.append(current[a].copy())
        if i < number - most:
            groups[groups == b] = a
    tree = np.stack(branches)

    found = [_improved(joint, _renumbered(groups), tree, most, lamb)]
    for k in range(most - 1, least - 1, -1):
        groups = found[-1].groups
        a, b = _merge_order(_table(joint, groups, k + 1), lamb)[0]
        joined = _renumbered(np.where(groups == b, a, groups))
        found.append(_improved(joint, joined, tree, k, lamb))
    return found[::-1]


def _renumbered(groups: np.ndarray) -> np.ndarray:
    """The same groups numbered from 0 without gaps."""
    return np.unique(groups, return_inverse=True)[1]


def _improved(
    joint: np.ndarray, groups: np.ndarray, tree: np.ndarray, k: int, lamb: float
) -> Grouping:
    """A grouping after every move of a branch of the tree that gains information."""
    while True:
        parts = _parts(tree, groups, k)
        if not len(parts):
            break
        gains = move_gains(joint, groups, parts, k, lamb=lamb)
        part, target = np.unravel_index(gains.argmax(), gains.shape)
        if gains[part, target] < MIN_GAIN:
            break
        groups = np.where(parts[part], target, groups)
    return Grouping(groups, _information(_table(joint, groups, k), lamb))


def grouped_information(
    joint: np.ndarray, groups: np.ndarray, k: int, *, lamb: float = 1.0
) -> float:
    """Mutual information of a joint whose overclusters are grouped, in nats.

    Args:
        joint: As in ``group_overclusters``.
        groups: Cluster of each overcluster, integers in ``[0, k)``, shape ``(K,)``.
        k: Number of clusters.
        lamb: Weight of the marginal entropies.

    Examples:
        >>> from iic_tf.neighbours.grouping import grouped_information
        >>> joint = np.array([[4, 1, 0, 0], [1, 4, 0, 0], [0, 0, 4, 1], [0, 0, 1, 4]])
        >>> for groups in ([0, 0, 1, 1], [0, 1, 0, 1]):
        ...     print(round(grouped_information(joint, np.array(groups), 2), 4))
        0.6931
        0.1927
    """
    joint = np.asarray(joint, np.float64)
    joint = (joint + joint.T) / (2 * joint.sum())
    return _information(_table(joint, groups, k), lamb)


def _xlogx(x: np.ndarray) -> np.ndarray:
    return -entr(np.maximum(x, 0))  # a difference may be below 0 by rounding


def _table(joint: np.ndarray, groups: np.ndarray, k: int) -> np.ndarray:
    member = np.eye(k)[groups]
    return member.T @ joint @ member


def _information(table: np.ndarray, lamb: float = 1.0) -> float:
    return float(_xlogx(table).sum() - 2 * lamb * _xlogx(table.sum(axis=1)).sum())


def _merge_order(joint: np.ndarray, lamb: float = 1.0) -> list[tuple[int, int]]:
    """Pairs ``(a, b)``: b is merged into a, each time at the least loss of information.

    The agglomerative information bottleneck (Slonim and Tishby, NIPS 1999), on rows.
    """
    rows = joint.copy()
    alive = np.ones(len(rows), bool)

    def spread(p: np.ndarray) -> np.ndarray:
        # 2 lamb H(z) - H(z, z') is (2 lamb - 1) H(z) - H(z'|z), and columns stay apart
        return _xlogx(p).sum(axis=-1) - (2 * lamb - 1) * _xlogx(p.sum(axis=-1))

    def losses(row: int) -> np.ndarray:
        loss = spread(rows[row]) + spread(rows) - spread(rows[row] + rows)
        return np.where(alive & (np.arange(len(rows)) != row), loss, np.inf)

    loss = np.stack([losses(row) for row in range(len(rows))])
    order = []
    for _ in range(len(rows) - 1):
        a, b = sorted(int(i) for i in np.unravel_index(loss.argmin(), loss.shape))
        order.append((a, b))
        rows[a] += rows[b]
        alive[b] = False
        loss[b], loss[:, b] = np.inf, np.inf
        loss[a] = loss[:, a] = losses(a)
    return order


def _parts(tree: np.ndarray, groups: np.ndarray, k: int) -> np.ndarray:
    """Branches cut to clusters, without whole clusters: bool, shape ``(s, K)``."""
    member = np.arange(k)[:, None] == groups
    parts = (tree[:, None] & member).reshape(-1, len(groups))
    parts = np.unique(parts[parts.any(axis=1)], axis=0)
    home = groups[parts.argmax(axis=1)]
    return parts[parts.sum(axis=1) < member.sum(axis=1)[home]]


def move_gains(
    joint: np.ndarray,
    groups: np.ndarray,
    parts: np.ndarray,
    k: int,
    *,
    lamb: float = 1.0,
) -> np.ndarray:
    """Information gained by moving each part of a cluster to each other cluster.

    Args:
        joint: Symmetric, summing to one, shape ``(K, K)``.
        groups: Cluster of each overcluster, shape ``(K,)``.
        parts: Sets of overclusters, each within one cluster, bool, shape ``(s, K)``.
        k: Number of clusters.
        lamb: Weight of the marginal entropies.

    Returns:
        Gains in nats, shape ``(s, k)``; 0 where a part is at home.

    Examples:
        >>> from iic_tf.neighbours.grouping import move_gains
        >>> joint = np.array([[4, 1, 0, 0], [1, 4, 0, 0], [0, 0, 4, 1], [0, 0, 1, 4]])
        >>> groups = np.array([0, 0, 0, 1])  # the third belongs to the fourth
        >>> parts = np.array([[False, False, True, False]])
        >>> print(move_gains(joint / joint.sum(), groups, parts, 2).round(4))
        [[0.     0.4396]]
    """
    table, member, sets = (
        _table(joint, groups, k),
        np.eye(k)[groups],
        parts.astype(float),
    )
    share = table.sum(axis=1)
    mass = sets @ joint @ member  # of each part with each cluster, (s, k)
    inside = ((sets @ joint) * sets).sum(axis=1)
    home, s = groups[parts.argmax(axis=1)], np.arange(len(parts))
    moved = mass.sum(axis=1)

    def of_two(left: np.ndarray, right: np.ndarray, target: int) -> np.ndarray:
        """Sum of x log x over the rows and columns of two clusters, each cell once."""
        twice = 2 * (_xlogx(left) + _xlogx(right)).sum(axis=1)
        within = _xlogx(left[s, home]) + _xlogx(right[:, target])
        return twice - within - 2 * _xlogx(left[:, target])

    gains = np.zeros((len(parts), k))
    for target in range(k):
        left, right = table[home], np.broadcast_to(table[target], mass.shape)
        new_left, new_right = left - mass, right + mass
        new_left[s, home] += inside - mass[s, home]
        new_right[:, target] += inside + mass[:, target]
        cross = left[:, target] - mass[:, target] + mass[s, home] - inside
        new_left[:, target] = new_right[s, home] = cross
        joint_gain = of_two(new_left, new_right, target) - of_two(left, right, target)
        share_gain = (
            _xlogx(share[home] - moved)
            + _xlogx(share[target] + moved)
            - _xlogx(share[home])
            - _xlogx(share[target])
        )
        gains[:, target] = np.where(
            home == target, 0, joint_gain - 2 * lamb * share_gain
        )
    return gains
