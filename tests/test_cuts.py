import numpy as np
from reference import blobs

from iic_tf.neighbours.cuts import cut_graph, subset_graph
from iic_tf.neighbours.spectral import neighbour_graph


def test_a_subset_has_the_nearest_neighbours_that_are_left():
    nearest = np.array([[1, 2, 3], [2, 0, 3], [3, 1, 0], [2, 1, 0], [0, 0, 0]])
    graph = subset_graph(nearest, np.array([0, 2, 3])).toarray()
    assert (graph == [[0, 2, 2], [2, 0, 2], [2, 2, 0]]).all()
    alone = subset_graph(np.array([[1], [0], [1]]), np.array([0, 2])).toarray()
    assert (alone == np.diag([2, 2])).all()


def test_the_graph_is_cut_into_every_number():
    graph = neighbour_graph(blobs(4, 40)(8))
    cuts = cut_graph(graph, least=2, most=7, seed=0)
    assert cuts.clusters.shape == (6, 160)
    assert [len(np.unique(row)) for row in cuts.clusters] == [2, 3, 4, 5, 6, 7]
    assert (np.diff(cuts.information) > 0).all()
    of_four = cuts.clusters[2].reshape(4, 40)
    assert (of_four == of_four[:, :1]).all()
