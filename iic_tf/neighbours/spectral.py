"""Groups of the neighbour graph: a clustering before there is a network.

Images are the nodes of a graph, neighbours its edges. The leading eigenvectors of the
normalised graph are nearly constant within well connected parts (Ng, Jordan and Weiss,
NIPS 2001), so k-means on them finds such parts: more of them than are wanted, which are
then merged into k as overclusters are, so that mutual information about the neighbours
is largest. No label is read.
"""

import warnings
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, lobpcg
from scipy.special import entr
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from iic_tf.neighbours.grouping import (
    MIN_GAIN,
    group_overclusters,
    grouped_information,
)
from iic_tf.neighbours.nearest import Kind, find_by_kinds, find_neighbours
from iic_tf.tuned import (
    CLEAR,
    CLEARLY_MORE,
    FALLS_APART,
    GRAPH_NEIGHBOURS,
    MOST_NEIGHBOURS,
    PATCHES_MORE,
    UNEVEN,
    UNEVEN_LAMB,
)

DENSE = 500
"""Graphs of at most so many images are solved as dense matrices."""

MAX_ALL, MAX_COMPARED = 10_000, 2_000
"""The kind is chosen from all images if there are at most ``MAX_ALL``, otherwise from
``MAX_COMPARED`` of them."""

STARTS = 2
"""Starts of k-means for each number of eigenvectors."""


class SpectralGroups(NamedTuple):
    """Groups of images, and a finer partition.

    Attributes:
        clusters: Group of each image, integers in ``[0, k)``, shape ``(n,)``.
        overclusters: The finer partition, integers in ``[0, k_aux)``, shape ``(n,)``.
        information: What the group of an image tells about that of a neighbour, nats,
            with marginal entropies weighted by ``lamb``.
    """

    clusters: np.ndarray
    overclusters: np.ndarray
    information: float


class Joined(NamedTuple):
    """Images joined with their neighbours.

    Attributes:
        nearest: Neighbours of each image, shape ``(n, number)``.
        graph: See ``neighbour_graph``.
        groups: Its groups.
    """

    nearest: np.ndarray
    graph: sparse.csr_array
    groups: SpectralGroups


def neighbour_graph(nearest: np.ndarray) -> sparse.csr_array:
    """The symmetric graph of who is near whom.

    Args:
        nearest: Numbers of the neighbours of each image, shape ``(n, number)``.

    Returns:
        Sparse, shape ``(n, n)``: 1 between images of which either is a neighbour of the
        other, 2 where both are.

    Examples:
        >>> from iic_tf.neighbours.spectral import neighbour_graph
        >>> print(neighbour_graph(np.array([[1], [0], [1]])).toarray())
        [[0. 2. 0.]
         [2. 0. 1.]
         [0. 1. 0.]]
    """
    n, number = nearest.shape
    rows = np.repeat(np.arange(n), number)
    ones = np.ones(n * number)
    directed = sparse.csr_array((ones, (rows, nearest.ravel())), shape=(n, n))
    return directed + directed.T


def embed(
    graph: sparse.csr_array, number: int, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvectors of the normalised graph, rows brought to length 1.

    Args:
        graph: Symmetric, without isolated images, shape ``(n, n)``.
        number: Eigenvectors wanted; n if there are no more.
        seed: Where the search for them starts.

    Returns:
        Eigenvectors, float64, shape ``(n, number)``, and eigenvalues, at most 1, the
        largest first.

    Examples:
        >>> from iic_tf.neighbours.spectral import embed, neighbour_graph
        >>> nearest = np.array([[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]])
        >>> vectors, values = embed(neighbour_graph(nearest), 3, seed=0)
        >>> print(vectors.shape, values.round(4))  # two parts: 1 occurs twice
        (6, 3) [ 1.   1.  -0.5]
    """
    n = graph.shape[0]
    roots = np.sqrt(graph.sum(axis=1))
    scale = sparse.diags_array(1 / roots)
    normalised = sparse.csr_array(scale @ graph @ scale)
    if n <= max(DENSE, number + 1):
        values, vectors = np.linalg.eigh(normalised.toarray())
        values, vectors = values[-number:], vectors[:, -number:]
    else:
        start = np.random.default_rng(seed).uniform(0.5, 1.0, n)
        values, vectors = _leading(normalised, _of_parts(graph, roots), number, start)
    order = np.argsort(-values)
    vectors = vectors[:, order]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-9), values[order]


def separate_parts(graph: sparse.csr_array) -> int:
    """Number of parts of a graph that nothing links.

    Examples:
        >>> from iic_tf.neighbours.spectral import neighbour_graph, separate_parts
        >>> separate_parts(neighbour_graph(np.array([[1], [0], [3], [2]])))
        2
    """
    return int(connected_components(graph, directed=False)[0])


def _of_parts(graph: sparse.csr_array, roots: np.ndarray) -> sparse.csc_array:
    """Eigenvectors of a graph's separate parts, the largest parts first.

    Each part has one, of eigenvalue 1, and Lanczos' method finds an eigenvalue that
    occurs many times only a few times.

    Args:
        graph: See ``embed``.
        roots: Square roots of the row sums, shape ``(n,)``.

    Returns:
        Shape ``(n, parts)``.
    """
    parts, member = connected_components(graph, directed=False)
    rank = np.empty(parts, int)
    rank[np.argsort(-np.bincount(member), kind="stable")] = np.arange(parts)
    place = np.arange(len(member)), rank[member]
    vectors = sparse.csc_array((roots, place), shape=(len(member), parts))
    return vectors @ sparse.diags_array(1 / np.sqrt((vectors**2).sum(axis=0)))


def _leading(
    normalised: sparse.csr_array,
    known: sparse.csc_array,
    number: int,
    start: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of which those of eigenvalue 1 are known.

    Args:
        normalised: Symmetric, shape ``(n, n)``.
        known: Shape ``(n, parts)``.
        number: Eigenvectors wanted, less than n.
        start: Where the search starts, shape ``(n,)``.
    """
    parts = known.shape[1]
    if parts >= number:
        return np.ones(number), known[:, :number].toarray()
    if parts == 1:
        return _searched(normalised, number, start)

    def times(x: np.ndarray) -> np.ndarray:
        # the known ones moved to eigenvalue -1, out of the way
        return normalised @ x - 2 * (known @ (known.T @ x))

    rest = LinearOperator(normalised.shape, times, matmat=times, dtype=np.float64)
    values, vectors = _searched(rest, number - parts, start)
    ones = np.ones(parts)
    return np.append(ones, values), np.hstack((known.toarray(), vectors))


def _searched(
    matrix: sparse.csr_array | LinearOperator, number: int, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues and eigenvectors, roughly if they do not converge."""
    try:
        return eigsh(matrix, number, which="LA", v0=start, tol=1e-4)
    except ArpackNoConvergence:
        guess = np.random.default_rng(0).normal(size=(len(start), number))
        with warnings.catch_warnings():  # that it has not converged is known
            warnings.simplefilter("ignore", UserWarning)
            return lobpcg(matrix, guess, largest=True, tol=1e-3, maxiter=40)


def fine_parts(vectors: np.ndarray, number: int, *, seed: int) -> np.ndarray:
    """Parts of embedded images by k-means, to be merged.

    Args:
        vectors: Of each image, shape ``(n, d)``.
        number: Parts, at most n.
        seed: Where it starts.

    Returns:
        Part of each image, integers in ``[0, number)``, shape ``(n,)``.

    Examples:
        >>> from iic_tf.neighbours.spectral import fine_parts
        >>> parts = fine_parts(np.array([[0.0], [5.0], [0.1], [5.1]]), 2, seed=0)
        >>> bool(parts[0] == parts[2] != parts[1] == parts[3])
        True
    """
    means = KMeans(number, n_init=1, random_state=seed)
    with warnings.catch_warnings():  # of parts that are alike to the last digit
        warnings.simplefilter("ignore", ConvergenceWarning)
        return means.fit_predict(vectors)


def spectral_groups(
    graph: sparse.csr_array, *, k: int, k_aux: int, seed: int, lamb: float = 1.0
) -> SpectralGroups:
    """Partitions the images of a neighbour graph.

    Args:
        graph: See ``neighbour_graph``.
        k: Groups.
        k_aux: Groups of the finer partition, at least k; as many as images at most.
        seed: Where eigenvectors and k-means start.
        lamb: Weight of the marginal entropies, see ``grouping``.

    Examples:
        >>> from iic_tf.neighbours.spectral import neighbour_graph, spectral_groups
        >>> halves = np.arange(20).reshape(2, 10)  # each near all of its half
        >>> nearest = [np.delete(half, i) for half in halves for i in range(10)]
        >>> graph = neighbour_graph(np.array(nearest))
        >>> groups = spectral_groups(graph, k=2, k_aux=4, seed=0)
        >>> np.bincount(groups.clusters).tolist(), round(groups.information, 4)
        ([10, 10], 0.6931)
    """
    vectors, _ = embed(graph, 2 * k, seed=seed)
    return _grouped(graph, vectors, k=k, k_aux=k_aux, seed=seed, lamb=lamb)


def _grouped(
    graph: sparse.csr_array,
    vectors: np.ndarray,
    *,
    k: int,
    k_aux: int,
    seed: int,
    lamb: float,
) -> SpectralGroups:
    """The best groups of an embedded graph, see ``spectral_groups``."""
    k_aux = min(k_aux, graph.shape[0])
    found = []
    # More eigenvectors tell more and are noisier, and k-means ends here or there; the
    # objective decides which is best.
    for number, start in product((k, 3 * k // 2, 2 * k), range(STARTS)):
        parts = fine_parts(vectors[:, :number], k_aux, seed=seed + start)
        grouping = group_overclusters(graph_joint(graph, parts, k_aux), k, lamb=lamb)
        clusters = refined(graph, grouping.groups[parts], k, lamb=lamb)
        information = told(graph, clusters, k, lamb=lamb)
        found.append(SpectralGroups(clusters, parts, information))
    return max(found, key=lambda groups: groups.information)


def refined(
    graph: sparse.csr_array, clusters: np.ndarray, k: int, *, lamb: float = 1.0
) -> np.ndarray:
    """Moves all images to where their neighbours say, as long as that tells more.

    Args:
        graph: See ``neighbour_graph``.
        clusters: Cluster of each image, integers in ``[0, k)``, shape ``(n,)``.
        k: Clusters.
        lamb: Weight of the marginal entropies, see ``grouping``.

    Returns:
        Clusters that tell at least as much, shape ``(n,)``.

    Examples:
        >>> from iic_tf.neighbours.spectral import neighbour_graph, refined
        >>> halves = np.arange(20).reshape(2, 10)  # each near all of its half
        >>> nearest = [np.delete(half, i) for half in halves for i in range(10)]
        >>> clusters = np.repeat([0, 1], 10)
        >>> clusters[3] = 1
        >>> refined(neighbour_graph(np.array(nearest)), clusters, 2).tolist()[:5]
        [0, 0, 0, 0, 0]
    """
    best, most = clusters, -np.inf
    while True:
        member = np.eye(k)[clusters]
        near = graph @ member
        joint = member.T @ near / near.sum()
        tells = grouped_information(joint, np.arange(k), k, lamb=lamb)
        if tells <= most + MIN_GAIN:
            return best
        best, most = clusters, tells
        share = lamb * np.log(np.maximum(joint.sum(axis=1), 1e-12))
        gains = np.log(np.maximum(joint, 1e-12)) - share - share[:, None]
        clusters = (near @ gains).argmax(axis=1)  # gains are symmetric


def join(
    find: Callable[[int], np.ndarray],
    *,
    at_least: int,
    k: int,
    k_aux: int,
    seed: int,
    lamb: float = 1.0,
) -> Joined:
    """Joins images with so many neighbours that the graph does not fall apart.

    Args:
        find: Takes a number, gives so many neighbours of each image, or all there are.
        at_least: Neighbours that are taken at first.
        k: Groups.
        k_aux: Groups of the finer partition.
        seed: See ``spectral_groups``.
        lamb: Likewise.

    Examples:
        >>> from iic_tf.neighbours.spectral import join
        >>> halves = np.arange(20).reshape(2, 10)  # each near all of its half
        >>> nearest = [np.delete(half, i) for half in halves for i in range(10)]
        >>> find = lambda number: np.array(nearest)[:, :number]
        >>> joined = join(find, at_least=3, k=2, k_aux=4, seed=0)
        >>> joined.nearest.shape, round(joined.groups.information, 4)
        ((20, 3), 0.6931)
    """
    number = at_least
    while True:
        nearest = find(number)
        graph = neighbour_graph(nearest)
        vectors, values = embed(graph, 2 * k, seed=seed)
        more = 2 * number <= min(MOST_NEIGHBOURS, len(nearest) // (2 * k))
        if values[-1] <= FALLS_APART or not more:
            break
        number *= 2
    groups = _grouped(graph, vectors, k=k, k_aux=k_aux, seed=seed, lamb=lamb)
    return Joined(nearest, graph, groups)


def graph_joint(
    graph: sparse.csr_array, clusters: np.ndarray, number: int
) -> np.ndarray:
    """How often neighbours are in each two clusters, shape ``(number, number)``.

    Examples:
        >>> from iic_tf.neighbours.spectral import graph_joint, neighbour_graph
        >>> graph = neighbour_graph(np.array([[1], [0], [3], [2]]))
        >>> print(graph_joint(graph, np.array([0, 0, 1, 1]), 2))
        [[0.5 0. ]
         [0.  0.5]]
        >>> print(graph_joint(graph, np.array([0, 1, 0, 1]), 2))
        [[0.  0.5]
         [0.5 0. ]]
    """
    edges = graph.tocoo()
    pairs = clusters[edges.row].astype(np.int64) * number + clusters[edges.col]
    counts = np.bincount(pairs, weights=edges.data, minlength=number**2)
    return counts.reshape(number, number) / counts.sum()


def uneven_sizes(
    graph: sparse.csr_array, groups: SpectralGroups, k: int
) -> np.ndarray | None:
    """Sizes that groups would have if equal sizes counted for less, where that matters.

    Args:
        graph: See ``neighbour_graph``.
        groups: Its groups, by mutual information alone.
        k: Groups.

    Returns:
        Images in each group, the largest first, shape ``(k,)``; None if these groups
        tell too little to say, or are of much the same size.

    Examples:
        >>> from iic_tf.neighbours.spectral import (
        ...     neighbour_graph,
        ...     spectral_groups,
        ...     uneven_sizes,
        ... )
        >>> parts = np.split(np.arange(40), [30, 35])  # of 30, 5 and 5 images
        >>> near = [np.roll(part, -i)[1:5] for part in parts for i in range(len(part))]
        >>> graph = neighbour_graph(np.array(near))
        >>> groups = spectral_groups(graph, k=3, k_aux=8, seed=0)
        >>> print(uneven_sizes(graph, groups, 3))
        [30  5  5]
    """
    number = int(groups.overclusters.max()) + 1
    joint = graph_joint(graph, groups.overclusters, number)
    others = group_overclusters(joint, k, lamb=UNEVEN_LAMB).groups
    sizes = np.sort(np.bincount(others[groups.overclusters], minlength=k))[::-1]
    entropy = entr(sizes / sizes.sum()).sum()
    clear = grouped_information(joint, others, k) >= CLEAR * entropy
    return sizes if clear and np.exp(entropy) < UNEVEN * k else None


class Chosen(NamedTuple):
    """By what images are to be compared.

    Attributes:
        kind: Of ``neighbours.PARTS``.
        shares: What groups tell about neighbours by each kind, as a share of the most
            there can be.
        middle: Whether they tell more where the middle of an image counts most.
        middle_share: What they then tell.
        nearest: Neighbours so found, shape ``(n, 2 * GRAPH_NEIGHBOURS)``, if all images
            were looked at: as many as a run looks for.
    """

    kind: Kind
    shares: dict[Kind, float]
    middle: bool
    middle_share: float
    nearest: np.ndarray | None


def choose_kind(images: np.ndarray, *, k: int, mirrored: bool, seed: int) -> Chosen:
    """Finds out by what images are to be compared: where groups tell more, no label.

    Args:
        images: uint8, shape ``(n, height, width, channels)``; of many some are looked
            at.
        k: Groups.
        mirrored: See ``find_neighbours``.
        seed: Decides which ones.

    Examples:
        >>> from iic_tf.neighbours.spectral import choose_kind
        >>> draw = np.random.default_rng(0).integers
        >>> images = draw(60, size=(60, 8, 8, 1), dtype=np.uint8)
        >>> images[::2] += 180  # every other one is bright
        >>> chosen = choose_kind(images, k=2, mirrored=False, seed=0)
        >>> chosen.kind, chosen.middle
        ('tones', False)
    """
    some, everyone = images, len(images) <= MAX_ALL
    if not everyone:
        order = np.random.default_rng(seed).permutation(len(images))[:MAX_COMPARED]
        some = images[np.sort(order)]
    kinds: tuple[Kind, ...] = ("photographs", "drawings", "tones")
    how: dict[str, Any] = {
        "number": 2 * GRAPH_NEIGHBOURS,
        "seed": seed,
        "mirrored": mirrored,
    }

    def share(nearest: np.ndarray) -> float:
        graph = neighbour_graph(nearest[:, :GRAPH_NEIGHBOURS])
        groups = spectral_groups(graph, k=k, k_aux=5 * k, seed=seed)
        return groups.information / float(np.log(k))

    found = find_by_kinds(some, kinds, **how)
    shares = {kind: share(nearest) for kind, nearest in found.items()}
    best: Kind = "drawings"
    if shares["photographs"] > PATCHES_MORE * shares["drawings"]:
        best = "photographs"
    if shares["tones"] > CLEARLY_MORE * shares[best]:
        best = "tones"
    by_middle = find_neighbours(some, kind=best, middle=True, **how)
    middle_share = share(by_middle)
    middle = middle_share > shares[best]
    nearest = by_middle if middle else found[best]
    return Chosen(best, shares, middle, middle_share, nearest if everyone else None)


def told(
    graph: sparse.csr_array, clusters: np.ndarray, k: int, *, lamb: float = 1.0
) -> float:
    """What the cluster of an image tells about that of a neighbour, in nats.

    Examples:
        >>> from iic_tf.neighbours.spectral import neighbour_graph, told
        >>> graph = neighbour_graph(np.array([[1], [0], [3], [2]]))
        >>> round(told(graph, np.array([0, 0, 1, 1]), 2), 4)  # all there can be: ln 2
        0.6931
    """
    joint = graph_joint(graph, clusters, k)
    return grouped_information(joint, np.arange(k), k, lamb=lamb)


def typical(graph: sparse.csr_array, clusters: np.ndarray, k: int) -> np.ndarray:
    """How typical images are of groups: the share of their neighbours in each.

    Args:
        graph: Who is near whom.
        clusters: Group of each image, shape ``(n,)``.
        k: Groups.

    Returns:
        float32, shape ``(n, k)``; an image's own group is its largest entry.

    Examples:
        >>> from iic_tf.neighbours.spectral import neighbour_graph, typical
        >>> graph = neighbour_graph(np.array([[1], [0], [3], [1]]))
        >>> print(typical(graph, np.array([0, 0, 1, 1]), 2).round(3))
        [[1.    0.   ]
         [0.833 0.167]
         [0.    1.   ]
         [0.25  0.75 ]]
    """
    member = np.eye(k, dtype=np.float32)[clusters]
    shares = graph @ member / graph.sum(axis=1)[:, None]
    # its own group counts as a whole neighbourhood: sums to one, and never a tie
    return ((shares + member) / 2).astype(np.float32)
