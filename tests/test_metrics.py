import numpy as np
import pytest
import reference

from iic_tf import metrics


def table_of(clusters, labels, k, classes):
    return metrics.contingency(
        np.array(clusters), np.array(labels), num_clusters=k, num_classes=classes
    )


def test_contingency_by_hand():
    table = table_of([0, 0, 1, 2], [1, 1, 0, 1], 3, 2)
    np.testing.assert_array_equal(table, [[0, 2], [1, 0], [0, 1]])


@pytest.mark.parametrize("seed", range(3))
def test_one_to_one_is_the_best_of_all_permutations(seed):
    rng = np.random.default_rng(seed)
    clusters, labels = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    table = table_of(clusters, labels, 5, 5)
    found = metrics.accuracy(table, metrics.match_one_to_one(table))
    assert found == pytest.approx(reference.best_match_accuracy(clusters, labels, 5))


def test_a_known_permutation_is_perfect():
    labels = np.tile(np.arange(10), 7)
    clusters = np.random.default_rng(0).permutation(10)[labels]
    errors = metrics.matched_errors(clusters[:, None], labels, num_clusters=10)
    np.testing.assert_array_equal(errors, [0.0])


def test_more_clusters_than_classes_leave_some_over():
    table = table_of([0, 1, 2, 2], [0, 0, 1, 1], 3, 2)
    mapping = metrics.match_one_to_one(table)
    assert sorted(mapping) == [-1, 0, 1]
    assert metrics.accuracy(table, mapping) == 0.75
    assert metrics.accuracy(table, metrics.match_many_to_one(table)) == 1.0


def test_fewer_clusters_than_classes():
    table = table_of([0, 0, 1, 1], [0, 1, 2, 2], 2, 3)
    assert metrics.accuracy(table, metrics.match_one_to_one(table)) == 0.75


def test_many_to_one_ties_and_empty_clusters_go_to_the_lowest_class():
    np.testing.assert_array_equal(
        metrics.match_many_to_one(np.array([[2, 2, 1], [0, 0, 0]])), [0, 0]
    )


def test_matched_errors_of_several_sub_heads():
    labels = np.array([0, 0, 1, 1])
    clusters = np.array([[1, 0], [1, 0], [0, 0], [0, 1]])
    errors = metrics.matched_errors(clusters, labels, num_clusters=2)
    np.testing.assert_allclose(errors, [0.0, 0.25])
