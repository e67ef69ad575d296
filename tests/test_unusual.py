import numpy as np
import pytest

from iic_tf.neighbours.nearest import describe
from iic_tf.neighbours.unusual import (
    SAME,
    far_out,
    near_duplicates,
    nearest_others,
    remoteness,
)


def test_distances_are_those_of_a_naive_search():
    points = np.random.default_rng(0).normal(size=(150, 7))
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    apart = 1 - unit @ unit.T
    np.fill_diagonal(apart, np.inf)
    near = nearest_others(points, number=4)
    order = np.argsort(apart, axis=1)[:, :4]
    np.testing.assert_array_equal(near.numbers, order)
    expected = np.take_along_axis(apart, order, axis=1)
    np.testing.assert_allclose(near.distances, expected, atol=1e-6)


def test_of_a_few_points_there_are_only_a_few_others():
    near = nearest_others(np.eye(3), number=10)
    assert near.numbers.shape == (3, 2)
    np.testing.assert_allclose(near.distances, 1.0, atol=1e-6)


def test_a_pair_is_told_once_the_nearest_first():
    points = np.eye(40)
    points[7] = 3 * points[3]  # alike but for its length
    points[20] = points[30] + 0.1 * points[31]
    pairs = near_duplicates(nearest_others(points, number=3))
    assert [pair[:2] for pair in pairs] == [(3, 7), (20, 30)]
    assert pairs[0][2] == 0 < pairs[1][2] < SAME


@pytest.mark.parametrize("change", ["darker", "smaller", "the same"])
def test_a_photograph_saved_again_is_a_near_duplicate(change):
    rng = np.random.default_rng(1)
    coarse = rng.uniform(0, 255, (60, 8, 8, 3))
    images = coarse.repeat(8, axis=1).repeat(8, axis=2)
    for _ in range(4):  # smooth
        images = (np.roll(images, 1, 1) + images + np.roll(images, 1, 2)) / 3
    again = images[:1]
    if change == "darker":
        again = 0.7 * again
    if change == "smaller":
        small = again.reshape(1, 32, 2, 32, 2, 3).mean(axis=(2, 4))
        again = small.repeat(2, axis=1).repeat(2, axis=2)
    images = np.concatenate((images, again)).astype(np.uint8)
    points = describe(images, seed=0, kind="drawings")(images)
    pairs = near_duplicates(nearest_others(points, number=3))
    assert [pair[:2] for pair in pairs] == [(0, 60)]


def test_an_image_like_no_other_is_far_out():
    rng = np.random.default_rng(0)
    points = np.array([5.0, 0, 0]) + rng.normal(size=(300, 3))
    points[11] = (-5, 1, 0)
    remote = remoteness(nearest_others(points, number=5))
    assert remote.argmax() == 11 and remote[11] > far_out(remote)
    assert far_out(np.ones(10)) == pytest.approx(1)
