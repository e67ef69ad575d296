import keras
import numpy as np
import pytest
import tensorflow as tf

from iic_tf.heads import SubHeads


def test_a_bank_equals_separate_dense_layers():
    bank = SubHeads(4, 3)
    features = tf.random.normal((5, 7))
    together = bank(features).numpy()
    kernel = bank.kernel.numpy().reshape(7, 3, 4)
    for h in range(3):
        logits = features.numpy() @ kernel[:, h]
        expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(together[:, h], expected, rtol=2e-5)
    assert bank.count_params() == 3 * (7 * 4 + 4)


def test_rows_sum_to_one_in_float32_under_a_reduced_precision_policy():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        bank = SubHeads(4, 3)
        z = bank(tf.cast(tf.random.normal((5, 7)), tf.bfloat16))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert z.dtype == tf.float32
    np.testing.assert_allclose(z.numpy().sum(-1), 1, rtol=1e-6)


def test_comes_back_from_its_config():
    bank = SubHeads(4, 3, name="main")
    again = SubHeads.from_config(bank.get_config())
    assert (again.num_clusters, again.num_heads, again.name) == (4, 3, "main")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1, 5), "num_clusters must be at least 2"), ((5, 0), "num_heads must be at")],
)
def test_refuses_senseless_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        SubHeads(*arguments)


def test_reseeding_copies_the_source_with_noise_and_leaves_the_others():
    bank = SubHeads(4, 3)
    bank.build((None, 500))
    bank.bias.assign(np.arange(12))
    before = bank.kernel.numpy().reshape(500, 3, 4)
    bank.reseed({2: 0}, noise=0.05, seed=(1, 2))
    after = bank.kernel.numpy().reshape(500, 3, 4)
    np.testing.assert_array_equal(after[:, :2], before[:, :2])
    added = after[:, 2] - before[:, 0]
    assert added.std() == pytest.approx(0.05 * before[:, 0].std(), rel=0.05)
    np.testing.assert_array_equal(
        bank.bias.numpy().reshape(3, 4), [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
    )
