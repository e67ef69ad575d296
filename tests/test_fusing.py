import numpy as np
import pytest
from scipy import sparse

from iic_tf.evaluation.metrics import contingencies, matched_errors
from iic_tf.neighbours import fusing
from iic_tf.neighbours.fusing import fuse, thinned
from iic_tf.neighbours.nearest import nearest_by_angle
from iic_tf.neighbours.spectral import neighbour_graph, spectral_groups


def graph(seed, *, n=40, number=4):
    draw = np.random.default_rng(seed)
    others = [np.delete(np.arange(n), i) for i in range(n)]
    return neighbour_graph(np.array([draw.permutation(o)[:number] for o in others]))


def steps(matrix):
    lazy = matrix + np.eye(len(matrix))
    return lazy / lazy.sum(axis=1, keepdims=True)


def strongest(matrix, number):
    kept = np.zeros_like(matrix)
    for row, weights in enumerate(matrix):
        weights[row] = 0
        most = np.argsort(-weights, kind="stable")[:number]
        kept[row, most] = weights[most]
    return kept


@pytest.mark.parametrize("rows", [7, 1000])
def test_walks_against_dense_matrices(rows, monkeypatch):
    monkeypatch.setattr(fusing, "ROWS", rows)
    monkeypatch.setattr(fusing, "HALFWAY", 40)  # all of them
    first, second = graph(0), graph(1)
    a, b = steps(first.toarray()), steps(second.toarray())
    kept = strongest(a @ b @ a + b @ a @ b, 6)
    kept /= kept.sum(axis=1, keepdims=True)
    fused = fuse(first, second, number=6).toarray()
    # of two images reached equally often either may be kept
    assert (fused > 0).sum() == pytest.approx((kept + kept.T > 0).sum(), rel=0.02)
    np.testing.assert_allclose(fused, fused.T)
    np.testing.assert_allclose(fused.sum(), 2 * len(fused))
    close = np.isclose(fused, kept + kept.T, atol=1e-6)
    assert close.mean() > 0.97


def test_rare_ways_matter_little(monkeypatch):
    draw = np.random.default_rng(0)
    places = draw.normal(size=(500, 4))

    def view():
        points = places + 0.3 * draw.normal(size=places.shape)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        near = nearest_by_angle(points.astype("f4"), np.arange(500), number=10)
        return neighbour_graph(near)

    first, second = view(), view()
    fused = fuse(first, second, number=10).toarray()
    monkeypatch.setattr(fusing, "HALFWAY", 50)
    expected = fuse(first, second, number=10).toarray()
    both = np.minimum(fused, expected).sum() / expected.sum()
    assert 0.9 < both < 1


@pytest.mark.parametrize("rows", [3, 1000])
def test_thinned_against_dense_matrices(rows, monkeypatch):
    monkeypatch.setattr(fusing, "ROWS", rows)
    whole, chosen = graph(2), np.arange(0, 40, 3)
    full = whole.toarray()
    near = full + full @ (full / full.sum(axis=1, keepdims=True))
    some = near[np.ix_(chosen, chosen)]
    kept = strongest(some.copy(), 40)
    found = thinned(whole, chosen, number=40).toarray()
    np.testing.assert_allclose(found, kept + kept.T)
    least = thinned(whole, chosen, number=2).toarray()
    assert ((least > 0).sum(axis=1) >= 2).all()
    assert (least > 0).sum() < (found > 0).sum()


def test_all_images_stay_as_they_are():
    whole = graph(3)
    assert thinned(whole, np.arange(40), number=4) is whole


def test_an_isolated_image_goes_by_the_other_graph():
    second = graph(5).toarray()
    first = graph(4).toarray()
    first[7] = first[:, 7] = 0
    fused = fuse(sparse.csr_array(first), sparse.csr_array(second), number=5)
    near = np.flatnonzero(second[7])
    assert np.isin(np.flatnonzero(fused.toarray()[7]), near).any()


def test_what_only_one_graph_sees_is_left_behind():
    """Two views of four kinds, each blurred by something else."""
    draw = np.random.default_rng(0)
    kinds, lights, places = draw.integers(4, size=(3, 600))

    def view(nuisance):
        points = 0.8 * np.eye(4)[kinds], np.eye(4)[nuisance]
        noisy = np.concatenate(points, axis=1) + 0.35 * draw.normal(size=(600, 8))
        noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
        near = nearest_by_angle(noisy.astype("f4"), np.arange(600), number=10)
        return neighbour_graph(near), (kinds[near] == kinds[:, None]).mean()

    def error(graph):
        groups = spectral_groups(graph, k=4, k_aux=20, seed=0).clusters[:, None]
        counts = contingencies(groups, kinds, num_clusters=4, num_classes=4)
        return matched_errors(counts)[0]

    (first, pure), (second, as_pure) = view(lights), view(places)
    fused = fuse(first, second, number=20)
    same = fused.multiply(kinds[:, None] == kinds).sum() / fused.sum()
    assert same > max(pure, as_pure) + 0.1
    assert error(fused) < 0.1 < 0.5 < min(error(first), error(second))
