"""The neighbour graph cut into every number of groups, and cut again when perturbed.

How many clusters there are nobody says. What can be told without labels is how much
groups tell about neighbours at each number of them, and whether the same groups come
out of other images of the same kind: here of graphs of random subsets of the images.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from iic_tf.neighbours.grouping import cut_tree
from iic_tf.neighbours.nearest import MAX_CANDIDATES
from iic_tf.neighbours.spectral import embed, fine_parts, graph_joint
from iic_tf.tuned import GRAPH_NEIGHBOURS

PARTS = 100
"""Parts that groups are merged from, or as many as there are tenths of images."""

KEPT = 0.75
"""Share of the images that a resampled graph has."""

RESAMPLED = 5
"""Resampled graphs."""

SEARCHED = 2 * GRAPH_NEIGHBOURS
"""Neighbours that are looked up, so that enough of them are left in a subset."""


class Cuts(NamedTuple):
    """Groups of images at every number of them.

    Attributes:
        clusters: Cluster of each image at each number, shape ``(m, n)``.
        information: What the cluster of an image tells about that of a neighbour, or
            of another view of it, in nats, shape ``(m,)``.
        values: Leading eigenvalues of the normalised graph, at least one more than the
            most clusters; empty where there is no graph.
    """

    clusters: np.ndarray
    information: np.ndarray
    values: np.ndarray


def most_groups(number: int) -> int:
    """Most groups that so many images are cut into: at least ten in each.

    Examples:
        >>> from iic_tf.neighbours.cuts import most_groups
        >>> most_groups(200)
        20
    """
    return min(number, MAX_CANDIDATES) // 10


def cut_graph(graph: sparse.csr_array, *, least: int, most: int, seed: int) -> Cuts:
    """Groups of a neighbour graph at every number of groups.

    Args:
        graph: See ``neighbour_graph``, shape ``(n, n)``.
        least: Fewest groups, at least 2.
        most: Most groups, at most ``most_groups(n)``.
        seed: Where eigenvectors and k-means start.

    Examples:
        >>> from iic_tf.neighbours.cuts import cut_graph
        >>> from iic_tf.neighbours.spectral import neighbour_graph
        >>> halves = np.arange(40).reshape(2, 20)  # each near all of its half
        >>> nearest = [np.delete(half, i) for half in halves for i in range(20)]
        >>> graph = neighbour_graph(np.array(nearest))
        >>> cuts = cut_graph(graph, least=2, most=4, seed=0)
        >>> cuts.clusters.shape, round(float(cuts.information[0]), 4)  # ln 2
        ((3, 40), 0.6931)
    """
    n = graph.shape[0]
    number = min(max(PARTS, 3 * most), n // 5)
    vectors, values = embed(graph, most + 1, seed=seed)
    parts = fine_parts(vectors[:, :most], number, seed=seed)
    found = cut_tree(graph_joint(graph, parts, number), least=least, most=most)
    return Cuts(
        np.stack([grouping.groups[parts] for grouping in found]),
        np.array([grouping.information for grouping in found]),
        values,
    )


def subset_graph(nearest: np.ndarray, kept: np.ndarray) -> sparse.csr_array:
    """The neighbour graph of some of the images.

    Args:
        nearest: Neighbours of each image, the nearest first, shape ``(n, number)``;
            more than ``GRAPH_NEIGHBOURS``, since those that are left out are missing.
        kept: Numbers of the images that stay, ascending, shape ``(m,)``.

    Returns:
        As ``neighbour_graph``, shape ``(m, m)``. An image that has lost all its
        neighbours is its own.

    Examples:
        >>> from iic_tf.neighbours.cuts import subset_graph
        >>> nearest = np.array([[1, 2], [0, 2], [1, 0], [2, 1]])
        >>> print(subset_graph(nearest, np.array([0, 1, 3])).toarray())
        [[0. 2. 0.]
         [2. 0. 1.]
         [0. 1. 0.]]
    """
    place = np.full(len(nearest), -1)
    place[kept] = np.arange(len(kept))
    found = place[nearest[kept]]
    there = found >= 0
    taken = there & (there.cumsum(axis=1) <= GRAPH_NEIGHBOURS)
    rows, columns = taken.nonzero()
    alone = np.flatnonzero(~taken.any(axis=1))
    rows = np.concatenate((rows, alone))
    columns = np.concatenate((found[taken], alone))
    directed = sparse.csr_array(
        (np.ones(len(rows)), (rows, columns)), shape=(len(kept), len(kept))
    )
    return directed + directed.T


def resample(
    nearest: np.ndarray, *, least: int, most: int, seed: int
) -> list[tuple[np.ndarray, Cuts]]:
    """Groups of random subsets of the images at every number of groups.

    Args:
        nearest: See ``subset_graph``.
        least: Fewest groups.
        most: Most groups, at most ``most_groups`` of a subset.
        seed: Decides the subsets.

    Returns:
        For each subset the numbers of its images, ascending, and its groups.

    Examples:
        >>> from iic_tf.neighbours.cuts import resample
        >>> halves = np.arange(40).reshape(2, 20)  # each near all of its half
        >>> nearest = [np.delete(half, i) for half in halves for i in range(20)]
        >>> found = resample(np.array(nearest), least=2, most=3, seed=0)
        >>> kept, cuts = found[0]
        >>> len(found), kept.shape, cuts.clusters.shape
        (5, (30,), (2, 30))
    """
    n, found = len(nearest), []
    for i in range(RESAMPLED):
        order = np.random.default_rng((seed, i)).permutation(n)
        kept = np.sort(order[: int(KEPT * n)])
        graph = subset_graph(nearest, kept)
        found.append((kept, cut_graph(graph, least=least, most=most, seed=i + 1)))
    return found
