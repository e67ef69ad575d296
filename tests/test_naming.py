"""Names for clusters from labels, and which images to label next."""

import numpy as np
import pytest

from iic_tf.evaluation.naming import (
    ENOUGH,
    MOST_NEXT,
    SURE,
    Naming,
    candidates,
    class_probabilities,
    clusters_in_need,
    expected_accuracy,
    expected_counts,
    held_back_score,
    name_by_labels,
    name_clusters,
    no_names,
    share_of_each,
    sureness,
    take_turns,
    typical,
)
from iic_tf.report.naming import cluster_captions


def certain(clusters, k):
    return np.eye(k, dtype=np.float32)[np.asarray(clusters)]


# ----------------------------------------------------------------------------- mapping


def test_expected_counts_by_hand():
    soft = np.array([[0.8, 0.2], [0.4, 0.6], [0.0, 1.0]])
    counts = expected_counts(soft, np.array([0, 0, 1]), num_classes=2)
    np.testing.assert_allclose(counts, [[1.2, 0.0], [0.8, 1.0]])


def test_the_doubt_of_the_network_tells_which_of_two_labels_belongs_elsewhere():
    soft = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0, 0, 1]])
    counts = expected_counts(soft, np.arange(3), num_classes=3)
    assert counts.argmax(axis=1).tolist() == [0, 1, 2]
    soft = certain([0, 0, 2], 3)  # whole counts cannot tell
    counts = expected_counts(soft, np.arange(3), num_classes=3)
    assert name_clusters(counts, one_to_one=True)[1] == -1


@pytest.mark.parametrize(
    ("counts", "one_to_one", "many_to_one"),
    [
        # each class to one cluster, although two clusters hold more of the first
        ([[5, 3], [9, 0]], [1, 0], [0, 0]),
        # left over, since there are more clusters than classes: its majority
        ([[9, 0], [0, 9], [4, 1]], [0, 1, 0], [0, 1, 0]),
        # left over, since the class that is free has no label in it
        ([[9, 0, 0], [0, 9, 8], [4, 0, 0]], [0, 1, 0], [0, 1, 0]),
        # no label, or hardly any
        ([[3, 0], [0, 0], [0.04, 0]], [0, -1, -1], [0, -1, -1]),
        # more classes than clusters
        ([[3, 0, 0], [0, 2, 3]], [0, 2], [0, 2]),
    ],
)
def test_names_by_hand(counts, one_to_one, many_to_one):
    counts = np.array(counts, float)
    assert name_clusters(counts, one_to_one=True).tolist() == one_to_one
    assert name_clusters(counts, one_to_one=False).tolist() == many_to_one


def test_probabilities_of_classes_are_those_of_their_clusters():
    soft = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    found = class_probabilities(soft, np.array([1, 0, 1, -1]), num_classes=2)
    np.testing.assert_allclose(found, [[0.2, 0.4, 0.4]], atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_an_image_of_clusters_without_a_name_has_none():
    naming = Naming("main", np.array([0, -1, -1]), np.zeros((3, 1)), np.zeros(3))
    soft = np.array([[0.4, 0.3, 0.3], [0.6, 0.2, 0.2]])
    classes, confidence = naming.apply(soft)
    assert classes.tolist() == [-1, 0]
    np.testing.assert_allclose(confidence, [0.6, 0.6], atol=1e-6)


# ----------------------------------------------------------------------- how sure it is


@pytest.mark.parametrize("counts", [[1], [2, 1], [0.3, 0.1], [10, 5, 4], [3, 1, 1, 1]])
def test_sureness_is_what_draws_of_shares_say(counts):
    full = np.zeros(10)
    full[: len(counts)] = counts
    shares = np.random.default_rng(0).dirichlet(full + 0.1, 200_000)
    drawn = (shares.argmax(axis=1) == 0).mean()
    found = sureness(np.array([counts], float), np.array([0]), num_classes=10)
    np.testing.assert_allclose(found, drawn, atol=0.005)


def test_sureness_of_labels_that_agree_and_of_none():
    counts = np.array([[0, 1], [0, 2], [0, 3], [3, 1], [0, 0]], float)
    found = sureness(counts, np.array([1, 1, 1, 0, -1]), num_classes=10)
    np.testing.assert_allclose(found, [0.665, 0.867, 0.945, 0.836, 0], atol=2e-3)
    assert found[1] < SURE < found[2]


def test_sureness_of_all_classes_adds_up():
    counts = np.repeat([[4.0, 2.5, 0.5]], 3, axis=0)
    found = sureness(counts, np.arange(3), num_classes=3)
    np.testing.assert_allclose(found.sum(), 1, atol=2e-3)


def test_the_share_that_is_expected_to_be_right_is_what_draws_say():
    votes = np.array([[3, 1, 0], [0, 1, 0], [0, 0, 0]])
    rng = np.random.default_rng(0)
    shares = [rng.dirichlet(row + 1 / 3, 100_000).mean(axis=0) for row in votes]
    expected = 0.5 * shares[0][0] + 0.3 * shares[1][1]
    found = expected_accuracy(
        votes, np.array([0, 1, -1]), np.array([50, 30, 20]), num_classes=3
    )
    np.testing.assert_allclose(found, expected, atol=3e-3)


# --------------------------------------------------------------- clusters, overclusters


@pytest.fixture
def banks():
    """Two pure overclusters per class; clusters are pure, or each holds two classes."""
    classes = np.repeat(np.arange(4), 40)
    halves = np.tile([0, 1], 80)
    overclusters = certain(2 * classes + halves, 8)
    return {
        "pure": {"main": certain(classes, 4), "aux": overclusters},
        "mixed": {"main": certain(classes // 2, 4), "aux": overclusters},
    }, classes


@pytest.mark.parametrize(
    ("kind", "each", "bank"),
    [
        ("pure", 1, "main"),
        ("pure", 40, "main"),
        ("mixed", 1, "main"),  # only half of the overclusters would have a name
        ("mixed", 40, "aux"),
    ],
)
def test_overclusters_are_named_where_clusters_mix_classes(banks, kind, each, bank):
    kinds, classes = banks
    known = np.concatenate([np.flatnonzero(classes == c)[:each] for c in range(4)])

    def named(some, **how):
        return name_by_labels(some, known, classes[known], num_classes=4, **how).bank

    assert named(kinds[kind]) == bank
    assert named(kinds[kind], overclusters=True) == "aux"
    assert named(kinds[kind], overclusters=False) == "main"
    assert named({"main": kinds[kind]["main"]}) == "main"


def test_few_labels_never_name_overclusters_unasked():
    # overclusters would be pure, but ten labels are too few for six of them
    classes, known = np.array([0, 1, 0, 1] * 5), np.arange(10)
    banks = {"main": certain([0] * 20, 2), "aux": certain(np.arange(20) % 6, 6)}
    naming = name_by_labels(banks, known, classes[known], num_classes=2)
    assert naming.bank == "main"


def test_labels_of_two_of_many_classes_name_two_clusters():
    naming = name_by_labels(
        {"main": certain([3, 7], 10)}, np.arange(2), np.arange(2), num_classes=2
    )
    assert naming.classes.tolist() == [-1, -1, -1, 0, -1, -1, -1, 1, -1, -1]
    assert naming.doubtful.tolist() == [3, 7] and len(naming.unnamed) == 8
    # there may be ten classes, so one label tells less than if there were two
    np.testing.assert_allclose(naming.sure[3], 0.665, atol=2e-3)


# -------------------------------------------------------------------------------- score


def test_a_share_of_each_class_is_drawn():
    classes = np.repeat([0, 1, 2], [10, 20, 3])
    drawn = share_of_each(classes, 0.5, seed=1)
    assert np.bincount(classes[drawn]).tolist() == [5, 10, 2]
    np.testing.assert_array_equal(drawn, share_of_each(classes, 0.5, seed=1))
    assert (drawn != share_of_each(classes, 0.5, seed=2)).any()


def test_the_score_is_of_labels_that_gave_no_name():
    classes = np.repeat([0, 1], 2 * ENOUGH)
    numbers = np.arange(len(classes))

    def score(soft):
        return held_back_score({"main": soft}, numbers, classes, num_classes=2)

    # each image is a cluster of its own, so from the others nothing is learned
    assert score(certain(numbers, len(numbers))) == (0, 2 * ENOUGH)
    assert score(certain(classes, 2)) == (2 * ENOUGH, 2 * ENOUGH)


def test_there_is_no_score_where_one_class_has_too_few_labels():
    classes = np.repeat([0, 1], [50, ENOUGH - 1])
    banks = {"main": certain(classes, 2)}
    numbers = np.arange(len(classes))
    assert held_back_score(banks, numbers, classes, num_classes=2) is None


def test_a_cluster_that_keeps_its_number_is_called_nothing():
    names, classes = ("0", "cats", "2"), np.array([0, 1, 2])
    joined = Naming("main", classes, np.zeros((3, 3)), np.ones(3))
    assert cluster_captions(joined, names) == ["", "cats", ""]
    # unless labels say that it shows, of digits, a 2
    labelled = Naming("main", classes, np.eye(3), np.array([1.0, 1.0, 0.5]))
    assert cluster_captions(labelled, names) == ["0", "cats", "2?"]


# ------------------------------------------------------------------- what to label next


def test_clusters_without_a_name_come_first_and_large_ones_before_small():
    sure = np.array([0.99, 0.0, 0.7, 0.0, 0.95, 0.0])
    classes = np.array([0, -1, 1, -1, 1, -1])
    naming = Naming("main", classes, np.zeros((6, 2)), sure)
    first, others = clusters_in_need(naming, np.array([100, 10, 1000, 20, 100, 0]))
    assert first.tolist() == [2, 3, 1]  # 300, 20 and 10 images in doubt; 5 is empty
    assert others.tolist() == [4, 0]


def test_candidates_are_sure_and_not_labelled_yet():
    soft = np.stack([np.linspace(0.55, 0.95, 9), np.linspace(0.45, 0.05, 9)], axis=1)
    none = np.zeros(0, np.int64)

    def found(cluster, *, known=none, skipped=none):
        return sorted(candidates(soft, cluster, known=known, skipped=skipped).tolist())

    assert found(0) == [4, 5, 6, 7, 8]
    assert found(0, known=np.array([8, 7])) == [3, 4, 5, 6]
    assert found(0, skipped=np.arange(8)) == [8]
    assert found(0, skipped=np.arange(9)) == [4, 5, 6, 7, 8]  # there are no others
    assert found(0, known=np.arange(9)) == []
    assert found(1) == []


def test_typical_images_are_near_the_centre_and_apart_from_each_other():
    line = np.array([0.0, 9.0, 10.0, 11.0, 12.0, 30.0])[:, None]  # the mean is 12
    none = np.zeros((0, 1))
    # 0 and 30, and 9, are in the half that is farther from it
    assert typical(line, none, 2) == [4, 2]
    assert sorted(typical(line, none, 99)) == [2, 3, 4]
    # far from what is labelled already
    assert typical(line, np.array([[12.0]]), 1) == [2]
    assert typical(line[:1], none, 5) == [0]


def test_images_that_are_alike_are_all_proposed_in_the_end():
    same = np.ones((4, 2))
    assert sorted(typical(same, np.zeros((0, 2)), 4)) == [0, 1, 2, 3]


def test_clusters_take_turns():
    stocks = {0: [10, 11, 12], 1: [20], 2: [30, 31]}
    turns = take_turns([0, 1], [2], stocks)
    assert turns == [(0, 10), (1, 20), (0, 11), (2, 30), (0, 12), (2, 31)]
    many = {c: list(range(20)) for c in range(4)}
    assert len(take_turns([], [0, 1, 2, 3], many)) == MOST_NEXT
    assert take_turns([0], [], {}) == []


def test_nothing_is_known_without_labels():
    naming = no_names("main", 3)
    first, others = clusters_in_need(naming, np.array([5, 9, 1]))
    assert first.tolist() == [1, 0, 2] and len(others) == 0
