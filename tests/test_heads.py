import keras
import numpy as np
import pytest
import tensorflow as tf

from iic_tf.errors import UserError
from iic_tf.models.heads import SubHeads, check_initializer
from iic_tf.models.networks import ClusterIIC
from iic_tf.options import HeadOptions, Options
from iic_tf.resolved import resolve


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


def test_refitted_sub_heads_name_the_given_clusters():
    rng = np.random.default_rng(0)
    bank = SubHeads(3, 2)
    bank.build((None, 20))
    first, second = rng.integers(0, 3, (2, 400))
    # a feature for each cluster of either sub-head, among noise, far from zero
    features = 5 + 0.3 * rng.normal(size=(400, 20)).astype("f4")
    features[np.arange(400), first] += 2
    features[np.arange(400), 3 + second] += 2
    clusters = np.stack([first, second], axis=1)
    bank.refit(features, clusters)
    z = bank(features).numpy()
    assert (z.argmax(-1) == clusters).mean() > 0.99
    assert 0.8 < z.max(-1).mean() < 0.999  # sure, but not so sure that nothing moves


def test_sub_heads_take_the_weights_of_another():
    bank = SubHeads(3, 4)
    bank.build((None, 5))
    bank.bias.assign(np.arange(12.0))
    features = np.random.default_rng(0).normal(size=(6, 5)).astype("f4")
    before = bank(features).numpy()
    bank.reseed([0, 3], 2)
    after = bank(features).numpy()
    np.testing.assert_array_equal(after, before[:, [2, 1, 2, 2]])


def test_refitting_many_features_to_few_images():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 30)).astype("f4")
    clusters = rng.integers(0, 3, (30, 2))
    kernels = []
    for d in (30, 60):  # 30 more features that are all the same
        bank = SubHeads(3, 2)
        bank.build((None, d))
        bank.refit(np.pad(features, ((0, 0), (0, d - 30)), constant_values=2), clusters)
        kernels.append(bank.kernel.numpy())
    # half the ridge, as the mean variance is halved
    centred = features - features.mean(axis=0)
    ridge = 0.01 * np.trace(centred.T @ centred / 30) / 60
    targets = np.eye(3)[clusters].reshape(30, -1)
    expected = np.linalg.solve(
        centred.T @ centred / 30 + ridge * np.eye(30), centred.T @ targets / 30
    )
    np.testing.assert_allclose(kernels[1][:30], 10 * expected, rtol=2e-2, atol=2e-2)
    np.testing.assert_array_equal(kernels[1][30:], 0)
    assert np.abs(kernels[0] - kernels[1][:30]).max() < np.abs(kernels[0]).max()


def test_refitting_survives_features_that_say_nothing():
    bank = SubHeads(3, 1)
    bank.build((None, 4))
    features = np.random.default_rng(0).normal(size=(50, 4)).astype("f4")
    features[:, 1:3] = 0  # dead units
    bank.refit(features, np.zeros((50, 1), int))
    assert np.isfinite(bank(features).numpy()).all()


def test_by_default_weights_are_those_of_one_matrix():
    keras.utils.set_random_seed(5)
    bank = SubHeads(4, 3)
    bank.build((None, 50))
    keras.utils.set_random_seed(5)
    expected = keras.initializers.get("he_normal")((50, 12))
    np.testing.assert_array_equal(bank.kernel, expected)


@pytest.mark.parametrize(
    ("name", "arguments", "deviation"),
    [
        ("RandomNormal", {"stddev": 0.01}, 0.01),  # the authors'
        ("GlorotNormal", {}, (2 / (400 + 10)) ** 0.5),
        ("HeNormal", {}, (2 / 400) ** 0.5),
        (
            "VarianceScaling",  # Xavier with the gain of a ReLU
            {"scale": 2.0, "mode": "fan_avg", "distribution": "untruncated_normal"},
            (4 / (400 + 10)) ** 0.5,
        ),
        ("Zeros", {}, 0.0),
        ("Ones", {}, 0.0),
    ],
)
def test_weights_start_as_the_options_say(name, arguments, deviation):
    """The number of clusters counts, not how many sub-heads share a matrix."""
    options = HeadOptions(initializer=name, initializer_args=arguments)
    check_initializer(options)
    bank = SubHeads(10, 5, kernel_initializer=options.start)
    bank.build((None, 400))
    heads = bank.kernel.numpy().reshape(400, 5, 10)
    assert heads.mean() == pytest.approx(float(name == "Ones"), abs=1e-2)
    np.testing.assert_allclose(heads.std(axis=(0, 2)), deviation, rtol=0.1, atol=1e-9)
    same = [(heads[:, 0] == heads[:, h]).all() for h in range(1, 5)]
    assert not any(same) or deviation == 0
    again = SubHeads.from_config(bank.get_config())
    assert type(again.kernel_initializer).__name__ == name


def test_both_banks_of_a_network_start_so(tiny_model):
    options = resolve(Options(heads=HeadOptions(initializer="Ones", main=2, aux=1)))
    backbone = tiny_model().backbone
    model = ClusterIIC.create(backbone, **options.banks)
    assert all((bank.kernel.numpy() == 1).all() for bank in model.banks.values())
    assert resolve(Options()).banks["initializer"] == "he_normal"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initializer": "GlorotNorml"}, r"such as GlorotNormal"),
        ({"initializer": "he_normal"}, r"such as HeNormal"),
        ({"initializer": "STFT"}, r"must be a class of keras\.initializers"),
        (
            {"initializer": "RandomNormal", "initializer_args": {"std": 1.0}},
            r"must be arguments of RandomNormal, such as stddev",
        ),
        (
            {"initializer": "RandomNormal", "initializer_args": {"stddev": "a"}},
            r"initializer_args\.stddev must be a value like 0\.05",
        ),
        (
            {"initializer": "VarianceScaling", "initializer_args": {"mode": "fan"}},
            r"initializer_args of VarianceScaling: Invalid `mode`",
        ),
        ({"initializer_args": {"stddev": 1.0}}, r"needs heads\.initializer"),
        ({"initializer": "HeNormal", "initializer_args": {"seed": 1}}, r"arguments of"),
    ],
)
def test_start_weights_that_are_none(options, message):
    with pytest.raises(UserError, match=message):
        check_initializer(HeadOptions(**options))
