import numpy as np
import pytest
import reference
import sklearn.metrics

from iic_tf.evaluation import metrics


def table_of(clusters, labels, k, classes):
    return metrics.contingency(
        np.array(clusters), np.array(labels), num_clusters=k, num_classes=classes
    )


def tables_of(clusters, labels, k):
    sizes = {"num_clusters": k, "num_classes": int(labels.max()) + 1}
    return metrics.contingencies(clusters, labels, **sizes)


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
    errors = metrics.matched_errors(tables_of(clusters[:, None], labels, 10))
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
    errors = metrics.matched_errors(tables_of(clusters, labels, 2))
    np.testing.assert_allclose(errors, [0.0, 0.25])


def test_recall_by_hand():
    table = np.array([[3, 1, 0], [0, 4, 0], [1, 0, 0]])
    recall = metrics.class_recall(table, np.array([0, 1, -1]))
    np.testing.assert_allclose(recall[:2], [3 / 4, 4 / 5])
    assert np.isnan(recall[2])


def test_scores_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    clusters = np.array([0, 0, 2, 2, 1, 1, 1, 1])
    scores = metrics.clustering_scores(tables_of(clusters[:, None], labels, 4))
    assert all(score.shape == (1,) for score in scores.values())
    assert scores["one-to-one"] == 6 / 8 and scores["many-to-one"] == 1
    assert scores["homogeneity"] == pytest.approx(1)
    # H(labels) = ln 2; H(clusters) = 1.5 ln 2; all of H(labels) is shared
    assert scores["completeness"] == pytest.approx(2 / 3)
    assert scores["NMI"] == pytest.approx(2 / 2.5)
    # pairs together in both: 1 + 1 + 6 of 28; expected 8 * 12 / 28
    expected = 8 * 12 / 28
    assert scores["ARI"] == pytest.approx((8 - expected) / (10 - expected))


def test_scores_of_chance_and_of_perfection():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 2000)
    both = np.stack((4 - labels, rng.integers(0, 5, 2000)), axis=1)
    scores = metrics.clustering_scores(tables_of(both, labels, 5))
    assert all(score[0] == pytest.approx(1) for score in scores.values())
    assert abs(scores["ARI"][1]) < 0.01 and scores["NMI"][1] < 0.02


def test_classes_without_pixels_have_no_iou():
    table = np.array([[6, 0, 2], [2, 0, 2], [1, 0, 1]])
    iou = metrics.class_iou(table, np.array([0, 2, 1]))
    np.testing.assert_allclose(iou, [6 / 11, np.nan, 2 / 7])


def test_clusters_mapped_on_other_images():
    tables = np.array([[[2, 0, 0], [0, 2, 0], [0, 0, 0]]])
    # there, cluster 0 is class 1, and cluster 2 is class 2
    elsewhere = np.array([[[0, 2, 0], [1, 0, 0], [0, 0, 1]]])
    errors = metrics.matched_errors(tables, mapping=elsewhere)
    np.testing.assert_array_equal(errors, [1.0])
    swapped = tables[:, :, [1, 0, 2]]
    errors = metrics.matched_errors(swapped, match="many-to-one", mapping=elsewhere)
    np.testing.assert_array_equal(errors, [0.0])


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 500)
    clusters = np.where(rng.uniform(size=500) < 0.6, labels, rng.integers(0, 6, 500))
    scores = metrics.clustering_scores(tables_of(clusters[:, None], labels, 6))
    for name, score in (
        ("NMI", sklearn.metrics.normalized_mutual_info_score),
        ("ARI", sklearn.metrics.adjusted_rand_score),
        ("homogeneity", sklearn.metrics.homogeneity_score),
        ("completeness", sklearn.metrics.completeness_score),
    ):
        assert scores[name][0] == pytest.approx(score(labels, clusters), abs=1e-12)


def test_scores_where_there_is_one_cluster_or_one_class():
    one = metrics.clustering_scores(np.array([[[3, 4], [0, 0]]]))
    assert one["NMI"] == 0 and one["homogeneity"] == 0 and one["completeness"] == 1
    assert metrics.clustering_scores(np.array([[[3], [4]]]))["homogeneity"] == 1


def test_agreement_of_sub_heads_by_hand():
    clusters = np.array([[0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1]])
    shares = metrics.agreement(clusters, num_clusters=2)
    np.testing.assert_array_equal(shares, [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]])


def test_running_accuracy_by_hand():
    """Cluster 0 is mapped to class 0 at first, and to 1 once that is most frequent."""
    batches = [
        (np.array([0, 0, 1]), np.array([1, 0, 2])),  # a tie goes to class 0
        (np.array([0, 0, 1]), np.array([1, 1, 2])),  # 0 holds 0, 1, 1, 1
        (np.array([0, 2, 2, 1]), np.array([0, 0, 1, 0])),
        (np.zeros(0, int), np.zeros(0, int)),
    ]
    found = list(metrics.running_accuracy(batches, num_clusters=3, num_classes=3))
    assert found == [(2 / 3, 2 / 3), (1.0, 5 / 6), (0.25, 0.6), (0.0, 0.6)]
    everything = [tuple(np.concatenate(x) for x in zip(*batches, strict=True))]
    [(once, _)] = metrics.running_accuracy(everything, num_clusters=3, num_classes=3)
    table = metrics.contingency(*everything[0], num_clusters=3, num_classes=3)
    assert once == metrics.accuracy(table, metrics.match_many_to_one(table))
