import numpy as np
import pytest

from iic_tf.evaluation.confidence import Calibration, reliability


def test_the_calibration_error_of_every_bin_by_hand():
    confidence = np.array([0.1, 0.3, 0.35, 0.95, 1.0], np.float32)
    right = np.array([False, True, False, True, True])
    found = reliability(confidence, right, bins=4)
    np.testing.assert_array_equal(found.counts, [1, 2, 2])
    np.testing.assert_allclose(found.confidence, [0.1, 0.325, 0.975], atol=1e-6)
    np.testing.assert_array_equal(found.accuracy, [0.0, 0.5, 1.0])
    expected = (1 * 0.1 + 2 * 0.175 + 2 * 0.025) / 5
    assert found.error == pytest.approx(expected, abs=1e-6)


def test_the_calibration_error_is_that_of_a_slow_version():
    rng = np.random.default_rng(0)
    confidence = rng.random(500).astype(np.float32)
    right = rng.random(500) < confidence**2
    slow = 0.0
    for i in range(15):
        low, high = i / 15, (i + 1) / 15
        inside = [
            j
            for j, x in enumerate(confidence)
            if low <= x < high or (i == 14 and x == 1)
        ]
        if inside:
            sure = sum(confidence[j] for j in inside) / len(inside)
            accuracy = sum(right[j] for j in inside) / len(inside)
            slow += len(inside) / 500 * abs(sure - accuracy)
    assert reliability(confidence, right).error == pytest.approx(slow, abs=1e-6)
    assert slow > 0.1
    assert reliability(np.ones(9), np.ones(9, bool)).error == 0


def test_sub_heads_are_matched_by_what_is_in_their_clusters():
    chosen = np.array([0, 0, 1, 1, 2, 2])
    renamed = np.array([2, 2, 0, 0, 1, 1])
    found = Calibration.of(
        np.stack([renamed, chosen], axis=1),
        np.zeros((6, 0), np.int64),
        head=1,
        k=3,
        views=0,
    )
    assert found.matched == [[1, 2, 0], [0, 1, 2]]
    assert found.agreement == [1, 1, 1]
    # the renamed sub-head says the same with other numbers
    soft = np.array([[[0.1, 0.2, 0.7], [0.9, 0.1, 0.0]]], np.float32)
    assert found.confidence(soft, None, head=1) == pytest.approx([0.8])


def test_agreement_is_that_of_each_cluster():
    chosen = np.array([0, 0, 0, 0, 1, 1])
    others = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0]]).T
    found = Calibration.of(chosen[:, None], others, head=0, k=3, views=4)
    assert found.agreement[:2] == pytest.approx([7 / 8, 1.0])
    # of the cluster without images the mean over all images stands in
    assert found.agreement[2] == pytest.approx(11 / 12)


def test_views_are_half_of_the_confidence():
    calibration = Calibration(4, [[0, 1]], [0.5, 1.0])
    soft = np.array([[[1.0, 0.0]], [[0.2, 0.8]]], np.float32)
    seen = np.array([[[0.6, 0.4]], [[0.6, 0.4]]], np.float32)
    sure = calibration.confidence(soft, seen, head=0)
    np.testing.assert_allclose(sure, [0.8 * 0.5, 0.6], atol=1e-6)
    assert sure.dtype == np.float32
