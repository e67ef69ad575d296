import numpy as np
import pytest
import tensorflow as tf

from iic_tf.evaluation.health import describe, information_words, is_degenerate, measure
from iic_tf.losses import iic

PERFECT = np.eye(10) * 50
UNIFORM = np.ones((10, 10))
ONE_CLUSTER = np.diag([100.0] + [0.0] * 9)


def test_perfect_uniform_and_collapsed_by_hand():
    health = measure(np.stack([PERFECT, UNIFORM, ONE_CLUSTER]))
    np.testing.assert_allclose(health.information, [np.log(10), 0, 0], atol=1e-9)
    np.testing.assert_allclose(health.entropy, [np.log(10)] * 2 + [0], atol=1e-9)
    np.testing.assert_allclose(health.conditional, [0, np.log(10), 0], atol=1e-9)
    np.testing.assert_allclose(health.effective, [10, 10, 1], atol=1e-6)
    assert health.num_dead.tolist() == [0, 0, 9]
    assert health.best == 0
    assert health.lagging.tolist() == [1, 2]


def test_information_is_minus_the_loss():
    joint = np.random.default_rng(0).random((4, 6, 6))
    expected = -iic.loss_of_joint(tf.constant(joint)).numpy()
    np.testing.assert_allclose(measure(joint).information, expected, atol=1e-12)


def test_information_in_words():
    assert information_words(1.98, 10) == "1.98 of 2.30 nats (86 %)"


@pytest.mark.parametrize(
    ("joints", "steps", "expected"),
    [
        ([PERFECT, UNIFORM], 1000, False),
        ([UNIFORM, ONE_CLUSTER], 1000, True),
        ([UNIFORM], 100, False),  # too early to say
        ([np.diag([50.0, 50, 50, 50, 0, 0, 0, 0, 0, 0])], 1000, True),  # 6 of 10 dead
        ([np.diag([50.0, 50, 50, 50, 50, 50, 0, 0, 0, 0])], 1000, False),
    ],
)
def test_degenerate(joints, steps, expected):
    assert is_degenerate(measure(np.stack(joints)), steps=steps) is expected


def test_words_name_what_is_amiss():
    dead = np.diag([50.0] * 8 + [0.0] * 2)
    words = describe(measure(np.stack([dead, UNIFORM])), steps=1000)
    assert "effectively 8.0 of 10 clusters" in words[0]
    assert words[1:] == [
        "Almost empty: 2 clusters of the best sub-head.",
        "Lagging: 1 sub-head (1).",
    ]
    [_, off_track] = describe(measure(np.stack([UNIFORM])), steps=1000)
    assert off_track.startswith("Off track")
    assert len(describe(measure(np.stack([PERFECT])), steps=1000)) == 1
