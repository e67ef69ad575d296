import numpy as np
import pytest
from conftest import SHARED
from scipy import ndimage
from scipy.sparse.linalg import ArpackNoConvergence

from iic_tf.arithmetic import sums_in_one_order
from iic_tf.datasets.image_folder import read_folder
from iic_tf.evaluation.metrics import contingencies, matched_errors
from iic_tf.neighbours import nearest, patches, spectral
from iic_tf.neighbours.grouping import grouped_information
from iic_tf.neighbours.nearest import find_neighbours, nearest_by_angle
from iic_tf.neighbours.spectral import (
    choose_kind,
    embed,
    graph_joint,
    join,
    neighbour_graph,
    refined,
    spectral_groups,
    told,
    typical,
    uneven_sizes,
)


def blobs(*, kinds=4, each=60, spread=0.15):
    """Points about a few directions, and the direction of each."""
    rng = np.random.default_rng(0)
    middles = np.eye(8)[:kinds]
    labels = np.repeat(np.arange(kinds), each)
    points = middles[labels] + spread * rng.normal(size=(len(labels), 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), labels


def graph_of(points, number=10):
    nearest = nearest_by_angle(points, np.arange(len(points)), number=number)
    return neighbour_graph(nearest)


def test_a_graph_counts_both_directions():
    graph = neighbour_graph(np.array([[1], [0], [0]])).toarray()
    np.testing.assert_array_equal(graph, [[0, 2, 1], [2, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("dense", [10, 10_000])
def test_eigenvectors_against_the_definition(dense, monkeypatch):
    monkeypatch.setattr(spectral, "DENSE", dense)
    graph = graph_of(blobs(kinds=3, spread=0.4)[0])
    vectors, values = embed(graph, 5, seed=0)
    full = graph.toarray()
    scale = np.sqrt(full.sum(axis=1))
    of_all, expected = np.linalg.eigh(full / scale[:, None] / scale)
    np.testing.assert_allclose(values, of_all[::-1][:5], atol=1e-3)
    expected = expected[:, ::-1][:, :5]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    # eigenvectors are told up to their sign
    alike = np.abs((vectors * expected).sum(axis=0) / len(full)) * 5
    assert alike.sum() == pytest.approx(5, abs=0.05)


def error_of(clusters, labels, k):
    sizes = {"num_clusters": k, "num_classes": int(labels.max()) + 1}
    return matched_errors(contingencies(clusters[:, None], labels, **sizes))[0]


def test_groups_are_the_parts_of_the_graph():
    points, labels = blobs()
    graph = graph_of(points)
    found = spectral_groups(graph, k=4, k_aux=20, seed=0)
    assert error_of(found.clusters, labels, 4) < 0.02
    assert found.overclusters.max() < 20
    joint = graph_joint(graph, found.clusters, 4)
    assert joint.sum() == pytest.approx(1)
    told = grouped_information(joint, np.arange(4), 4)
    assert found.information == pytest.approx(told, abs=1e-9)
    assert found.information > 0.9 * np.log(4)
    again = spectral_groups(graph, k=4, k_aux=20, seed=0)
    np.testing.assert_array_equal(again.clusters, found.clusters)


def test_parts_that_are_not_joined_at_all_are_groups():
    rows = np.arange(30)
    nearest = np.stack([rows // 10 * 10 + (rows + i) % 10 for i in (1, 2)], axis=1)
    found = spectral_groups(neighbour_graph(nearest), k=3, k_aux=6, seed=0)
    for part in range(3):
        assert len(set(found.clusters[10 * part : 10 * part + 10])) == 1
    assert len(set(found.clusters)) == 3


@pytest.mark.parametrize("n", [3, 4, 12])
def test_few_images(n):
    points = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)
    graph = graph_of(points, number=min(5, n - 1))
    found = spectral_groups(graph, k=2, k_aux=10, seed=0)
    assert found.clusters.shape == (n,) and set(found.clusters) == {0, 1}


@pytest.mark.parametrize("dense", [500, 10])
def test_a_graph_that_falls_apart_is_joined_with_more_neighbours(dense, monkeypatch):
    """Two groups of eight tight parts: far neighbours tell which belong together."""
    monkeypatch.setattr(spectral, "DENSE", dense)
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 160)
    middles = 5.0 * np.eye(2)[labels] + np.repeat(rng.normal(size=(16, 2)), 20, axis=0)
    points = middles + 0.02 * rng.normal(size=(320, 2))
    apart = ((points[:, None] - points) ** 2).sum(axis=-1)
    np.fill_diagonal(apart, np.inf)
    order = apart.argsort(axis=1)
    found = join(lambda n: order[:, :n], at_least=10, k=2, k_aux=4, seed=0)
    assert found.nearest.shape[1] > 20  # a part has 20 images
    assert embed(found.graph, 4, seed=0)[1][-1] < spectral.FALLS_APART
    assert error_of(found.groups.clusters, labels, 2) == 0


def test_a_graph_that_stays_apart_is_not_joined_for_ever():
    """Sixteen parts that no number of neighbours joins."""
    rows, asked = np.arange(320), []

    def find(number):
        asked.append(number)
        steps = 1 + np.arange(number) % 19
        return rows[:, None] // 20 * 20 + (rows[:, None] + steps) % 20

    found = join(find, at_least=10, k=2, k_aux=4, seed=0)
    assert embed(found.graph, 4, seed=0)[1][-1] > spectral.FALLS_APART
    assert asked == [10, 20, 40, 80][: len(asked)]
    assert asked[-1] <= min(320 // (2 * 2), spectral.MOST_NEIGHBOURS) < 2 * asked[-1]


@pytest.mark.parametrize("sizes", [[40] * 3, [40, 20, 30, 25, 40, 12]])
@pytest.mark.parametrize("converges", [True, False])
def test_eigenvectors_of_separate_parts_against_dense_matrices(
    sizes, converges, monkeypatch
):
    monkeypatch.setattr(spectral, "DENSE", 10)
    if not converges:

        def give_up(*_, **__):
            raise ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))

        monkeypatch.setattr(spectral, "eigsh", give_up)
    rng = np.random.default_rng(0)
    ends = np.cumsum([0, *sizes])
    nearest = np.concatenate([
        begin + rng.integers(0, size, (size, 4))
        for begin, size in zip(ends, sizes, strict=False)
    ])  # fmt: skip
    graph = neighbour_graph(nearest)
    vectors, values = embed(graph, 5, seed=0)
    table = graph.toarray()
    roots = np.sqrt(table.sum(axis=1))
    expected = np.linalg.eigvalsh(table / roots / roots[:, None])
    np.testing.assert_allclose(values, expected[::-1][:5], atol=2e-3)
    # images of one part are alike in the first columns, those of others are not
    part = np.repeat(np.arange(len(sizes)), sizes)
    alike = vectors[:, : len(sizes)] @ vectors[:, : len(sizes)].T
    assert abs(alike[part[:, None] != part]).max() < 1e-6


@pytest.mark.parametrize(
    ("telling", "expected"),
    [
        ({"photographs"}, "photographs"),
        ({"drawings"}, "drawings"),
        ({"tones"}, "tones"),
        ({"photographs", "drawings"}, "drawings"),  # patches must tell more
        # tones must tell clearly more
        ({"photographs", "tones"}, "photographs"),
        ({"drawings", "tones"}, "drawings"),
    ],
)
def test_images_are_compared_by_what_tells_more(monkeypatch, telling, expected):
    rng = np.random.default_rng(0)
    apart, anywhere = (
        nearest_by_angle(blobs(spread=spread)[0], np.arange(240), number=10)
        for spread in (0.15, 3.0)
    )
    found = {
        kind: apart if kind in telling else anywhere
        for kind in ("photographs", "drawings", "tones")
    }
    monkeypatch.setattr(spectral, "find_by_kinds", lambda *_, **__: found)
    images = rng.integers(0, 256, (240, 4, 4, 3), dtype=np.uint8)
    chosen = choose_kind(images, k=4, mirrored=False, seed=0)
    assert chosen.kind == expected
    assert chosen.nearest is found[expected]


@pytest.mark.parametrize("inside", [True, False])
def test_the_middle_counts_most_where_groups_then_tell_more(monkeypatch, inside):
    monkeypatch.setattr(patches, "KINDS", 50)
    monkeypatch.setattr(patches, "NUM_WINDOWS", 5_000)
    rng = np.random.default_rng(0)
    kind = rng.integers(4, size=(2, 240))
    stripes = np.sin(np.arange(24) * np.array([0.6, 1.2])[:, None])[:, None]
    stripes = np.repeat(stripes, 24, axis=1)  # wide and narrow, upright and level
    shown = np.concatenate((stripes, stripes.transpose(0, 2, 1)))
    told_by = shown[kind[0]]
    # elsewhere every image has something of its own
    others = ndimage.gaussian_filter(rng.normal(size=(240, 24, 24)), (0, 1, 1)) * 3
    in_middle = np.zeros((24, 24), bool)
    in_middle[6:-6, 6:-6] = True
    grey = np.where(in_middle == inside, told_by, others)
    images = (128 + 40 * np.clip(grey, -3, 3)).astype(np.uint8)[..., None]
    chosen = choose_kind(images, k=4, mirrored=False, seed=0)
    assert chosen.middle == inside
    assert (chosen.middle_share > chosen.shares[chosen.kind]) == inside
    with sums_in_one_order():  # a resumed run looks for them there
        found = find_neighbours(
            images, number=20, seed=0, kind=chosen.kind, middle=chosen.middle
        )
    np.testing.assert_array_equal(chosen.nearest, found)


def test_digits_without_a_network(digits):
    images, labels = digits[0][:2000], digits[1][:2000]
    nearest = find_neighbours(images, number=10, seed=0, kind="photographs")
    found = spectral_groups(neighbour_graph(nearest), k=10, k_aux=50, seed=0)
    error = error_of(found.clusters, labels, 10)
    assert error < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "k", "expected"),
    [
        ("bloodcells", 8, "tones"),
        ("signdigits", 10, "drawings"),
        ("steel", 6, "photographs"),
    ],
)
def test_folders_are_compared_by_what_tells_more(name, k, expected):
    folder = SHARED / "folders" / name
    if not folder.is_dir():
        pytest.skip(f"the folder {name} is not on this machine")
    images = read_folder(folder, side=32).images[::2]
    chosen = choose_kind(images, k=k, mirrored=True, seed=0)
    assert chosen.kind == expected
    assert chosen.middle or name == "steel"
    with sums_in_one_order():
        again = find_neighbours(
            images,
            number=20,
            seed=0,
            kind=chosen.kind,
            mirrored=True,
            middle=chosen.middle,
        )
    np.testing.assert_array_equal(again, chosen.nearest)
    assert set(chosen.shares) == {"photographs", "drawings", "tones"}
    assert all(0 < share < 1 for share in chosen.shares.values())


def test_neighbours_of_features_are_those_by_angle():
    points, labels = blobs(kinds=3)
    shifted = 5 + 3 * points  # neither place nor scale of the whole matters
    found = nearest.feature_neighbours(shifted, number=4, seed=0)
    assert (found != np.arange(len(points))[:, None]).all()
    assert (labels[found] == labels[:, None]).mean() > 0.98


def test_typical_images_have_neighbours_of_their_own_group():
    nearest = np.array([[1, 2], [0, 2], [0, 1], [4, 2], [3, 2]])
    shares = typical(neighbour_graph(nearest), np.array([0, 0, 0, 1, 1]), 2)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(shares.argmax(axis=1), [0, 0, 0, 1, 1])
    assert shares[0, 0] == 1  # all its neighbours are like it
    assert shares[2, 0] == pytest.approx((1 + 4 / 6) / 2)


@pytest.mark.parametrize(
    ("counts", "uneven"), [((60,) * 4, 0), ((150, 150, 15, 15), 1)]
)
def test_groups_of_unequal_size_are_noticed(counts, uneven):
    points, labels = blobs(each=150, spread=0.2)
    kept = np.concatenate(
        [np.flatnonzero(labels == kind)[:count] for kind, count in enumerate(counts)]
    )
    graph = graph_of(points[kept], number=8)
    groups = spectral_groups(graph, k=4, k_aux=20, seed=0)
    sizes = uneven_sizes(graph, groups, 4)
    assert (sizes is not None) == uneven
    if uneven:
        np.testing.assert_allclose(sizes, sorted(counts, reverse=True), atol=5)


@pytest.mark.parametrize("lamb", [1.0, 0.7])
def test_refined_groups_tell_more_and_are_an_end(lamb):
    points, labels = blobs(spread=0.3)
    graph = graph_of(points)
    draw = np.random.default_rng(1)
    noisy = np.where(draw.random(len(labels)) < 0.3, draw.integers(4, size=240), labels)
    better = refined(graph, noisy, 4, lamb=lamb)
    before = told(graph, noisy, 4, lamb=lamb)
    assert told(graph, better, 4, lamb=lamb) > before + 0.1
    assert error_of(better, labels, 4) < 0.05 < error_of(noisy, labels, 4)
    np.testing.assert_array_equal(refined(graph, better, 4, lamb=lamb), better)


def test_refined_groups_never_tell_less():
    graph = graph_of(blobs(spread=0.8)[0])
    for seed in range(5):
        clusters = np.random.default_rng(seed).integers(4, size=240)
        better = refined(graph, clusters, 4)
        assert told(graph, better, 4) >= told(graph, clusters, 4)
