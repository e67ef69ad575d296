"""Two neighbour graphs of the same images made one, without deciding between them.

Appearance and features each see neighbours that have nothing to do with what is
depicted, but rarely the same ones. A walk that takes steps in both graphs by turns
reaches mostly what both lead to (alternating diffusion: Lederman and Talmon, Applied
and Computational Harmonic Analysis 2018; similarity network fusion: Wang et al., Nature
Methods 2014). No label is read.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import sparse

ROWS = 250
"""Images whose walks a thread follows at a time."""

HALFWAY = 4
"""Walks are followed from so many times the images that each is to be joined with: the
rarer ones cost most of the time and would change next to nothing."""

Rows = Callable[[slice], sparse.csr_array]
"""Gives some rows of a matrix."""


def fuse(
    first: sparse.csr_array, second: sparse.csr_array, *, number: int
) -> sparse.csr_array:
    """Joins each image with those that walks through both graphs reach most often.

    Walks have three steps, of which the middle one is in the other graph. A step may
    stay where it is, as if each image had itself as a neighbour, of weight 1.

    Args:
        first: Symmetric, not negative, shape ``(n, n)``; images may be isolated.
        second: Likewise.
        number: Images that each is joined with.

    Returns:
        Symmetric, shape ``(n, n)``. The weights of an image's ``number`` strongest
        partners are shares that sum to 1; both directions are then added.

    Examples:
        >>> from iic_tf.neighbours.fusing import fuse
        >>> from iic_tf.neighbours.spectral import neighbour_graph
        >>> # 0 and 1 are near each other in both graphs, as are 2 and 3
        >>> first = neighbour_graph(np.array([[1], [0], [1], [2]]))
        >>> second = neighbour_graph(np.array([[1], [0], [3], [0]]))
        >>> print(fuse(first, second, number=1).toarray().round(2))
        [[0. 2. 0. 0.]
         [2. 0. 0. 0.]
         [0. 0. 0. 2.]
         [0. 0. 2. 0.]]
    """
    a, b = _steps(first), _steps(second)
    n, halfway = first.shape[0], HALFWAY * number
    ab = _strongest(lambda rows: a[rows] @ b, n, halfway, itself=True)
    ba = _strongest(lambda rows: b[rows] @ a, n, halfway, itself=True)
    # a @ ba + b @ ab as one product
    begin, rest = sparse.hstack((a, b), "csr"), sparse.vstack((ba, ab), "csr")
    directed = _strongest(lambda rows: begin[rows] @ rest, n, number)
    shares = sparse.diags_array(1 / np.maximum(directed.sum(axis=1), 1e-12))
    directed = sparse.csr_array(shares @ directed)
    return directed + directed.T


def thinned(
    graph: sparse.csr_array, chosen: np.ndarray, *, number: int
) -> sparse.csr_array:
    """What a graph says about some of its images, by way of the others, too.

    Of the neighbours of an image only few may be among the chosen ones, but the
    neighbours of its neighbours are.

    Args:
        graph: Symmetric, not negative, no image isolated, shape ``(n, n)``.
        chosen: Numbers of images, ascending, shape ``(m,)``.
        number: Images that each is joined with, those reached most often.

    Returns:
        Symmetric, shape ``(m, m)``; the graph itself if all images are chosen. The
        fewer are chosen, the smaller its weights, so that walks of ``fuse`` stay where
        they are more often: with rows of the same sum as in the whole graph one image
        in a thousand more was grouped wrongly (MNIST, 5,000 of 70,000).

    Examples:
        >>> from iic_tf.neighbours.fusing import thinned
        >>> from iic_tf.neighbours.spectral import neighbour_graph
        >>> graph = neighbour_graph(np.array([[1], [0], [1], [4], [3]]))
        >>> print(thinned(graph, np.array([0, 2, 3]), number=1).toarray().round(2))
        [[0.   1.33 0.  ]
         [1.33 0.   0.  ]
         [0.   0.   0.  ]]
    """
    if len(chosen) == graph.shape[0]:
        return graph
    some = graph[chosen]
    steps = some @ sparse.diags_array(1 / graph.sum(axis=1))
    near, back, m = some[:, chosen], sparse.csr_array(some.T), len(chosen)
    directed = _strongest(lambda rows: near[rows] + steps[rows] @ back, m, number)
    return directed + directed.T


def _steps(graph: sparse.csr_array) -> sparse.csr_array:
    """Probabilities of one step, which may stay where it is."""
    lazy = sparse.csr_array(graph + sparse.eye_array(graph.shape[0]))
    return sparse.csr_array(sparse.diags_array(1 / lazy.sum(axis=1)) @ lazy)


def _strongest(
    rows_of: Rows, n: int, number: int, *, itself: bool = False
) -> sparse.csr_array:
    """The largest entries of each row of a square matrix.

    Args:
        rows_of: Gives rows of the matrix.
        n: How many there are.
        number: Entries of each row that are kept.
        itself: Whether those on the diagonal count.
    """

    def strongest(rows: slice) -> list[tuple[np.ndarray, np.ndarray]]:
        part = sparse.csr_array(rows_of(rows))
        kept = []
        for row, begin in enumerate(part.indptr[:-1], start=rows.start):
            entries = slice(begin, part.indptr[row - rows.start + 1])
            reached, weight = part.indices[entries], part.data[entries]
            if not itself:
                others = reached != row
                reached, weight = reached[others], weight[others]
            if len(weight) > number:
                most = np.argpartition(-weight, number)[:number]
                reached, weight = reached[most], weight[most]
            kept.append((reached, weight))
        return kept

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = (slice(at, at + ROWS) for at in range(0, n, ROWS))
        kept = [entries for part in pool.map(strongest, parts) for entries in part]
    columns, weights = zip(*kept, strict=True)
    ends = np.cumsum([0, *map(len, columns)])
    entries = np.concatenate(weights), np.concatenate(columns), ends
    return sparse.csr_array(entries, shape=(n, n))
