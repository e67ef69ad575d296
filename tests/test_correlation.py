"""Joints at displacements against pixel-by-pixel sums."""

import numpy as np
import pytest
import reference
import tensorflow as tf

from iic_tf.losses import correlation
from iic_tf.losses.correlation import displaced_joints, summed_joint

CASES = [
    # images, height, width, sub-heads, clusters, reach
    (2, 3, 3, 1, 2, 1),
    (1, 1, 1, 1, 3, 2),
    (1, 1, 5, 1, 2, 3),
    (2, 7, 5, 2, 3, 3),
    (1, 41, 33, 1, 2, 2),  # several blocks, none of them full
    (1, 36, 9, 1, 2, 17),  # blocks as large as the windows
    (2, 9, 8, 2, 3, 0),
]


def maps(case):
    n, height, width, h, k, _ = case
    return np.random.default_rng(0).random((2, n, height, width, h, k))


def slow(first, second, displacement):
    per_head = [
        reference.displaced_joints(first[..., h, :], second[..., h, :], displacement)
        for h in range(first.shape[3])
    ]
    return np.array(per_head)


@pytest.mark.parametrize("case", CASES)
def test_every_displacement(case):
    first, second = maps(case)
    expected = slow(first, second, case[-1])
    found = displaced_joints(
        tf.constant(first), tf.constant(second), displacement=case[-1]
    )
    np.testing.assert_allclose(found, expected, atol=1e-9 * expected.max())


@pytest.mark.parametrize("case", CASES)
def test_all_displacements_added_up(case):
    first, second = maps(case)
    expected = slow(first, second, case[-1]).sum(axis=1)
    found = summed_joint(tf.constant(first), tf.constant(second), displacement=case[-1])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("images_of_a_part", [1, 2])
@pytest.mark.parametrize("n", [5, None])
def test_parts_of_a_batch_give_what_the_batch_gives(monkeypatch, images_of_a_part, n):
    maps_of_batch = [tf.constant(x) for x in maps((5, 7, 6, 2, 3, 2))]

    def values():
        @tf.function(autograph=False, input_signature=2 * [tf.TensorSpec(
            (n, 7, 6, 2, 3), tf.float64)])  # fmt: skip
        def joints_and_gradients(*both):
            with tf.GradientTape() as tape:
                tape.watch(both)
                found = displaced_joints(*both, displacement=2)
                total = tf.reduce_sum(found**2)
            return found, *tape.gradient(total, both)

        return joints_and_gradients(*maps_of_batch)

    monkeypatch.setattr(correlation, "PART", 10**9)
    expected = values()
    monkeypatch.setattr(correlation, "PART", images_of_a_part * 7 * 6 * 2 * 3)
    for found, wanted in zip(values(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_float32_is_as_good_as_float32_can_be():
    first, second = maps((4, 64, 64, 1, 3, 10))
    found, exact = (
        displaced_joints(
            tf.cast(first, kind), tf.cast(second, kind), displacement=10
        ).numpy()
        for kind in (tf.float32, tf.float64)
    )
    assert abs(found - exact).max() < 1e-5 * exact.max()


@pytest.mark.parametrize("joints", [displaced_joints, summed_joint])
def test_gradients_of_both_maps(joints):
    first, second = maps((2, 5, 4, 1, 2, 2))
    variables = [tf.Variable(first), tf.Variable(second)]
    with tf.GradientTape() as tape:
        found = joints(*variables, displacement=2)
        weights = np.random.default_rng(1).random(found.shape)
        total = tf.reduce_sum(found * weights)
    gradients = tape.gradient(total, variables)

    def value(one, other):
        table = slow(one, other, 2)
        return (
            table.sum(1) * weights if joints is summed_joint else table * weights
        ).sum()

    np.testing.assert_allclose(
        gradients[0],
        reference.numeric_gradient(lambda x: value(x, second), first),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        gradients[1],
        reference.numeric_gradient(lambda x: value(first, x), second),
        rtol=1e-5,
    )


def test_any_number_of_images_in_one_graph():
    graph = tf.function(
        lambda a, b: displaced_joints(a, b, displacement=2), autograph=False
    )
    graph = graph.get_concrete_function(
        *[tf.TensorSpec((None, 6, 5, 1, 2), tf.float64)] * 2
    )
    first, second = maps((3, 6, 5, 1, 2, 2))
    whole = graph(tf.constant(first), tf.constant(second))
    parts = [graph(tf.constant(first[i:j]), tf.constant(second[i:j]))
             for i, j in ((0, 1), (1, 3))]  # fmt: skip
    np.testing.assert_allclose(whole, parts[0] + parts[1], rtol=1e-12)
