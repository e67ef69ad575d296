"""Two neighbour graphs of the same images made one, without deciding between them.

Appearance and features each see neighbours that have nothing to do with what is
depicted, but rarely the same ones. A walk that takes steps in both graphs by turns
reaches mostly what both lead to (alternating diffusion: Lederman and Talmon, Applied
and Computational Harmonic Analysis 2018; similarity network fusion: Wang et al., Nature
Methods 2014). No label is read.
"""

from collections.abc import Iterable

import numpy as np
from scipy import sparse

ROWS = 2_000
"""Images whose walks are followed at a time."""

HALFWAY = 4
"""Walks are followed from so many times the images that each is to be joined with: the
rarer ones cost most of the time and would change next to nothing."""


def fuse(
    first: sparse.csr_array, second: sparse.csr_array, *, number: int
) -> sparse.csr_array:
    """Joins each image with those that walks through both graphs reach most often.

    Walks have three steps, of which the middle one is in the other graph; a step may
    stay where it is.

    Args:
        first: Symmetric, not negative, shape ``(n, n)``; images may be isolated.
        second: Likewise.
        number: Images that each is joined with.

    Returns:
        Symmetric, shape ``(n, n)``. Weights are shares of the walks, so that those of
        ``number`` images sum to 1, added in both directions.

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
    parts = [slice(at, at + ROWS) for at in range(0, first.shape[0], ROWS)]
    halfway = HALFWAY * number
    ab = _strongest((a[part] @ b for part in parts), halfway, itself=True)
    ba = _strongest((b[part] @ a for part in parts), halfway, itself=True)
    directed = _strongest((a[part] @ ba + b[part] @ ab for part in parts), number)
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
        Symmetric, shape ``(m, m)``; the graph itself if all images are chosen.

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
    parts = (slice(at, at + ROWS) for at in range(0, len(chosen), ROWS))
    near = some[:, chosen]
    directed = _strongest((near[p] + steps[p] @ some.T for p in parts), number)
    return directed + directed.T


def _steps(graph: sparse.csr_array) -> sparse.csr_array:
    """Probabilities of one step, which may stay where it is."""
    lazy = sparse.csr_array(graph + sparse.eye_array(graph.shape[0]))
    return sparse.csr_array(sparse.diags_array(1 / lazy.sum(axis=1)) @ lazy)


def _strongest(
    parts: Iterable[sparse.csr_array], number: int, *, itself: bool = False
) -> sparse.csr_array:
    """The largest entries of each row.

    Args:
        parts: Rows of a square matrix, some at a time, from the first on.
        number: Entries of each row that are kept.
        itself: Whether those on the diagonal count.
    """
    columns, weights, lengths = [], [], [0]
    for part in parts:
        part = sparse.csr_array(part)
        for begin, end in zip(part.indptr, part.indptr[1:], strict=False):
            reached, weight = part.indices[begin:end], part.data[begin:end]
            if not itself:
                others = reached != len(lengths) - 1
                reached, weight = reached[others], weight[others]
            if len(weight) > number:
                most = np.argpartition(-weight, number)[:number]
                reached, weight = reached[most], weight[most]
            columns.append(reached)
            weights.append(weight)
            lengths.append(len(weight))
    n = len(lengths) - 1
    entries = np.concatenate(weights), np.concatenate(columns), np.cumsum(lengths)
    return sparse.csr_array(entries, shape=(n, n))
