"""Two replicas follow one device: loss, gradient and weights."""

import functools
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import objective_of

import graphs
from iic_tf import distribute
from iic_tf.augment.crops import CropViews, training_crop_batches
from iic_tf.augment.pairs import training_batches
from iic_tf.augment.transforms import colour_jitter, compose, move
from iic_tf.datasets.masks import IGNORE
from iic_tf.distribute import choose_precision
from iic_tf.errors import UserError
from iic_tf.evaluation.inference import adapt
from iic_tf.models import blocks, networks
from iic_tf.models.networks import SegmentIIC
from iic_tf.options import TrainOptions
from iic_tf.tasks.objectives import pair_losses, segment_losses
from iic_tf.training.trainer import Trainer, make_optimizer

STEPS = 20


def train(strategy, make_model, batches, start_weights=None, losses=pair_losses):
    # Adam at the published learning rate, with Keras's ε of 1e-7: with 1e-8 it divides
    # gradients that are zero but for rounding by themselves, which blows the rounding
    # up to 1e-5 here and to 5e-5 at a rate of 2e-3.
    options = TrainOptions(steps=STEPS, warmup_steps=0, lamb=1.2, learning_rate=1e-4)
    with strategy.scope():
        model = make_model()
        if start_weights is not None:
            model.set_weights(start_weights)
        optimizer = make_optimizer(options, steps=STEPS)
        optimizer.epsilon = 1e-7
        trainer = Trainer(
            model,
            optimizer,
            strategy,
            objective_of(options, np.zeros(STEPS), losses),
        )
    start = model.get_weights()
    iterator = iter(strategy.experimental_distribute_dataset(batches))
    results = [trainer.run(iterator, 5) for _ in range(STEPS // 5)]
    return start, model.get_weights(), results


def check_two_against_one(two_devices, *arguments, **keywords):
    one = tf.distribute.OneDeviceStrategy("CPU:0")
    start, weights, results = train(one, *arguments, **keywords)
    _, weights2, results2 = train(two_devices, *arguments, start, **keywords)
    for a, b in zip(results, results2, strict=True):
        for name in a:
            exact = name.endswith("_loss")  # joints are sums over many pairs, 5 steps
            rtol, atol = (0, 5e-5) if exact else (2e-4, 1e-5)
            np.testing.assert_allclose(a[name], b[name], rtol=rtol, atol=atol)
    for a, b in zip(weights, weights2, strict=True):
        # rounding, as test_two_replicas_part_from_one_by_rounding_alone shows
        np.testing.assert_allclose(a, b, rtol=0, atol=5e-5)
    # what was compared are trained weights
    assert np.abs(weights[0] - start[0]).max() > 8e-4


@pytest.mark.slow  # the gradient of two replicas is compared above
def test_two_replicas_end_with_the_weights_of_one(
    two_devices, tiny_model, digits, views
):
    batches = training_batches(
        digits[0][:600], views, repeats=1, batch=60, seed=0, start=0, steps=STEPS
    )
    check_two_against_one(two_devices, tiny_model, batches)


def segment_model():
    keras.utils.set_random_seed(0)
    backbone = graphs.small_segment((None, None, 3), fan_out_init=8)
    return SegmentIIC.create(backbone, k=3, k_aux=6, num_main=2, num_aux=1)


def segment_batches(*, masked, repeats, steps):
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (24, 20, 20, 3), dtype=np.uint8))
    labels = [np.full((20, 20), IGNORE, np.uint8) for _ in images]
    for i, of_one in enumerate(labels):  # half a batch has few pixels that train
        of_one[: 20 if i % 8 < 4 else 5] = 0
    views = CropViews(16, move(rotation=20), colour_jitter(), compose())
    return training_crop_batches(
        images, views, repeats=repeats, batch=8, seed=0, start=0, steps=steps,
        labels=labels if masked else None, shuffle=False,
    )  # fmt: skip


@pytest.mark.slow  # what segmentation alone does is in the test of its gradient
@pytest.mark.parametrize(
    ("masked", "changes"),
    [
        (True, {}),
        (True, {"at_pixels": False, "collapsed": True}),
        (False, {"detached": True}),
    ],
)
def test_two_replicas_segment_as_one_does(two_devices, masked, changes):
    batches = segment_batches(masked=masked, repeats=2, steps=STEPS)
    losses = functools.partial(segment_losses, displacement=2, **changes)
    check_two_against_one(two_devices, segment_model, batches, losses=losses)


@pytest.fixture
def double_precision(monkeypatch):
    """Networks of 64 bits; batch normalisation as on several replicas on one, too."""
    policy = keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    heads = functools.partial(networks.SubHeads, dtype="float64")
    monkeypatch.setattr(networks, "SubHeads", heads)
    monkeypatch.setattr(blocks, "num_replicas", lambda: 2)  # the kernel has 32 bits
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(policy)


@pytest.mark.slow
def test_two_replicas_part_from_one_by_rounding_alone(
    two_devices, tiny_model, digits, views, double_precision
):
    # at the rate of runs, where in 32 bits losses are 1e-5 apart after 20 steps
    steps = 30
    batches = training_batches(
        digits[0][:600], views, repeats=2, batch=60, seed=0, start=0, steps=steps
    )
    options = TrainOptions(steps=steps, warmup_steps=0, lamb=1.2)
    goal = objective_of(options, np.zeros(steps, int), pair_losses)
    doubled = {name: x.astype(float) for name, x in goal.scheduled.items()}
    goal = replace(goal, scheduled=doubled)
    results = []
    for strategy in (tf.distribute.OneDeviceStrategy("CPU:0"), two_devices):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = tiny_model()
            optimizer = make_optimizer(options, steps=steps)
            trainer = Trainer(model, optimizer, strategy, goal)
        iterator = iter(strategy.experimental_distribute_dataset(batches))
        losses = [trainer.run(iterator, 1)["main_loss"] for _ in range(steps)]
        results.append((np.array(losses), model.get_weights()))
    (one, weights), (two, weights2) = results
    assert one.dtype == np.float64
    assert one[-1].mean() < one[0].mean() - 0.05  # it learns
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)
    for a, b in zip(weights, weights2, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


def replica_gradients(strategy, model, batch, losses):
    """Gradient summed over replicas, as Keras applies it."""

    @tf.function(autograph=False)
    def step(batch):
        def replica(batch):
            with tf.GradientTape() as tape:
                results = losses(model, batch, lamb=tf.constant([1.0, 1.0]))
                loss = tf.add_n([tf.reduce_mean(r["loss"]) for r in results.values()])
                loss /= distribute.num_replicas()
            gradients = tape.gradient(loss, model.trainable_variables)
            return [distribute.sum_over_replicas(g) for g in gradients]

        return strategy.run(replica, args=(batch,))

    values = step(batch)
    return [strategy.experimental_local_results(v)[0].numpy() for v in values]


def check_gradient(two_devices, make_model, batches, losses):
    one = tf.distribute.OneDeviceStrategy("CPU:0")
    with one.scope():
        model = make_model()
    with two_devices.scope():
        model2 = make_model()
        model2.set_weights(model.get_weights())
    single = replica_gradients(one, model, next(iter(batches)), losses)
    mirrored = iter(two_devices.experimental_distribute_dataset(batches))
    double = replica_gradients(two_devices, model2, next(mirrored), losses)
    for a, b in zip(single, double, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    # a gradient that is twice as large would be told apart
    assert max(np.abs(gradient).max() for gradient in single) > 1e-3


@pytest.mark.long
def test_gradient_of_two_replicas_is_that_of_one(
    two_devices, tiny_model, digits, views
):
    batches = training_batches(
        digits[0][:600], views, repeats=2, batch=60, seed=0, start=0, steps=1
    )
    check_gradient(two_devices, tiny_model, batches, pair_losses)


@pytest.mark.long
def test_gradient_of_segmentation_on_two_replicas_is_that_on_one(two_devices):
    """Also where one of them has few pixels that train."""
    batches = segment_batches(masked=True, repeats=1, steps=1)
    losses = functools.partial(segment_losses, displacement=2)
    check_gradient(two_devices, segment_model, batches, losses)


def test_a_network_on_two_replicas_is_adapted_as_on_one(two_devices, tiny_model):
    one = tiny_model()
    with two_devices.scope():
        two = tiny_model()
    two.set_weights(one.get_weights())
    images = tf.random.normal((20, 12, 12, 1), 2, 3)
    for model in (one, two):
        adapt(model, [images])
    for a, b in zip(one.weights, two.weights, strict=True):
        for replica in b.value.values:
            np.testing.assert_allclose(a, replica, atol=1e-6)


@pytest.mark.parametrize(
    ("devices", "num_gpus", "expected"),
    [
        ("auto", 0, []), ("auto", 3, [0, 1, 2]), ("cpu", 3, []), ("2", 3, [0, 1]),
        ("2", 0, []), ("GPU:0,gpu:2", 3, [0, 2]),
    ],
)  # fmt: skip
def test_which_gpus_are_used(devices, num_gpus, expected):
    assert distribute._choose_gpus(devices, num_gpus) == expected


def test_the_cpu_cannot_be_split_any_more_once_in_use():
    tf.constant(1.0)
    with pytest.raises(UserError, match="before TensorFlow is used"):
        distribute.split_cpu(5)


def test_outside_of_a_strategy_there_is_one_replica():
    assert distribute.num_replicas() == 1
    value = tf.constant([1.0, 2.0])
    assert distribute.sum_over_replicas(value) is value


def test_auto_takes_the_cpu_where_there_is_no_gpu():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    assert distribute.choose_strategy("auto").num_replicas_in_sync == 1
    assert distribute.choose_strategy("1").num_replicas_in_sync == 1


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("0", "devices must be at least 1"),
        ("100000000000", "devices must be at most 64"),
        ("GPU:99", "Received: devices='GPU:99'"),
        ("GPU:0,GPU:0", "different GPUs"),
        ("gpu", "devices must be auto, cpu, a number, or different GPUs"),
    ],
)
def test_devices_that_are_not_there(devices, message):
    with pytest.raises(UserError, match=message):
        distribute.choose_strategy(devices)


def test_bfloat16_only_where_the_processor_multiplies_it(two_devices, monkeypatch):
    for flags, expected in (
        ("flags : avx512f amx_bf16\n", "mixed_bfloat16"),
        ("flags : avx512f avx512_bf16\n", "mixed_bfloat16"),
        ("flags : avx2 fma\n", "float32"),
    ):
        monkeypatch.setattr(Path, "read_text", lambda _, flags=flags: flags)
        assert choose_precision(two_devices) == expected

    def no_such_file(_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", no_such_file)  # not on Linux
    assert choose_precision(two_devices) == "float32"
