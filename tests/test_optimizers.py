"""Optimisers and schedules by name, with weight decay of both kinds."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import models_iic
from iic_tf.errors import UserError
from iic_tf.options import Options, TrainOptions
from iic_tf.resolved import resolve
from iic_tf.training.checkpoints import Checkpoints
from iic_tf.training.optimizers import (
    check_optimizer,
    make_optimizer_by_name,
    optimizer_classes,
    schedule_classes,
)
from iic_tf.training.trainer import Objective, Trainer, make_optimizer

ONE = tf.distribute.OneDeviceStrategy("CPU:0")


def test_the_default_is_adam_with_the_authors_epsilon():
    optimizer = make_optimizer(TrainOptions(), steps=10)
    assert type(optimizer) is keras.optimizers.Adam
    assert (optimizer.epsilon, optimizer.weight_decay) == (1e-8, None)
    other = make_optimizer(TrainOptions(optimizer_args={"epsilon": 1e-5}), steps=10)
    assert other.epsilon == 1e-5
    assert {"Adam", "SGD", "RMSprop"} <= set(optimizer_classes())
    assert "PiecewiseConstantDecay" in schedule_classes()


def test_options_from_yaml_and_command_line(tmp_path):
    path = tmp_path / "o.yaml"
    path.write_text(
        "train:\n  optimizer: SGD\n  optimizer_args: {momentum: 0.9}\n"
        "  weight_decay: 5e-4\n  weight_decay_as: l2\n"
        "  schedule: PiecewiseConstantDecay\n"
        "  schedule_args: {boundaries: [150, 250], values: [0.1, 0.01, 1e-3]}\n"
    )
    words = ["--config", str(path), "--train.optimizer_args.nesterov", "true"]
    options = models_iic.parse(words).train
    assert options.optimizer_args == {"momentum": 0.9, "nesterov": True}
    assert options.l2 == 5e-4
    optimizer = make_optimizer(options, steps=300)
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, True)
    for step, rate in ((0, 0.1), (150, 0.1), (151, 0.01), (299, 0.001)):
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(rate)


def test_decay_steps_are_those_of_the_run_unless_given():
    options = TrainOptions(
        learning_rate=0.5, schedule="ExponentialDecay", schedule_args={"decay_rate": 1}
    )
    shorter = {"decay_rate": 0.1, "decay_steps": 10}
    for changes, expected in (({"decay_rate": 0.1}, 0.05), (shorter, 0.0)):
        changed = dataclasses.replace(options, schedule_args=changes)
        optimizer = make_optimizer(changed, steps=100)
        assert float(optimizer.learning_rate) == 0.5
        optimizer.iterations.assign(100)
        assert float(optimizer.learning_rate) == pytest.approx(expected, abs=1e-8)


def steps_with(optimizer, weights, number, *, first=0):
    """Steps with gradients that depend on the step's number alone."""
    for step in range(first, first + number):
        rng = np.random.default_rng(step)
        gradients = [tf.constant(rng.normal(size=w.shape), tf.float32) for w in weights]
        optimizer.apply(gradients, weights)


@pytest.mark.parametrize("name", sorted(optimizer_classes()))
def test_every_optimiser_goes_on_from_a_checkpoint(name, tmp_path):
    def begin():
        rng = np.random.default_rng(99)
        model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)])
        model.build((None, 4))
        for weight in model.weights:
            weight.assign(rng.normal(size=weight.shape))
        options = TrainOptions(
            optimizer=name, weight_decay=0.01, learning_rate=0.1, warmup_steps=0
        )
        optimizer = make_optimizer(options, steps=6)
        optimizer.build(model.trainable_variables)
        return model, optimizer, Checkpoints(tmp_path, model=model, opt=optimizer)

    through, optimizer, checkpoints = begin()
    steps_with(optimizer, through.trainable_variables, 3)
    halfway = through.get_weights()
    checkpoints.save(3)
    steps_with(optimizer, through.trainable_variables, 3, first=3)

    again, optimizer, checkpoints = begin()
    checkpoints.restore()
    steps_with(optimizer, again.trainable_variables, 3, first=3)
    for a, b, before in zip(
        through.get_weights(), again.get_weights(), halfway, strict=True
    ):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - before).max() > 0


def trained(strategy, options, *, steps=2):
    """Weights of a small network before and after some steps, all parameters.

    The loss is half the square of whatever the network makes of a batch of ones.
    """
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model = keras.Sequential(
            [keras.layers.Dense(3), keras.layers.BatchNormalization()]
        )
        model.build((None, 2))
        for weight in model.weights:
            weight.assign(np.linspace(1, 2, weight.shape.num_elements()).reshape(
                weight.shape))  # fmt: skip

        def loss(model, batch, scalars):
            value = tf.reduce_mean(model(batch, training=False) ** 2) / 2
            return value, {"loss": value}

        trainer = Trainer(
            model,
            make_optimizer(options, steps=10),
            strategy,
            Objective((loss,)),
            l2=options.l2,
        )
    before = [w.numpy() for w in model.trainable_variables]
    data = tf.data.Dataset.from_tensors(tf.ones((4, 2))).repeat()
    trainer.run(iter(strategy.experimental_distribute_dataset(data)), steps)
    return before, [w.numpy() for w in model.trainable_variables]


PLAIN = {"optimizer": "SGD", "decay": "constant", "warmup_steps": 0}


@pytest.mark.parametrize("kind", ["decoupled", "l2"])
def test_weight_decay_is_of_all_weights(kind):
    """One step of plain SGD: both kinds take rate · decay · weight off every weight."""
    options = TrainOptions(**PLAIN, learning_rate=0.1)
    decaying = dataclasses.replace(options, weight_decay=0.5, weight_decay_as=kind)
    before, without = trained(ONE, options, steps=1)
    _, with_decay = trained(ONE, decaying, steps=1)
    assert len(before) == 4  # kernel and bias, scale and offset
    for weight, a, b in zip(before, without, with_decay, strict=True):
        np.testing.assert_allclose(a - b, 0.1 * 0.5 * weight, rtol=1e-4, atol=1e-6)


def test_l2_goes_through_the_momentum_as_in_pytorch():
    """SGD with momentum: v = m v + (g + wd w); w = w - rate v, by hand."""
    options = TrainOptions(
        **PLAIN, learning_rate=0.1, weight_decay=0.5, weight_decay_as="l2",
        optimizer_args={"momentum": 0.9},
    )  # fmt: skip
    optimizer = make_optimizer(options, steps=10)
    assert optimizer.weight_decay == 0  # the trainer adds it to the gradient
    start, _ = trained(ONE, options, steps=1)
    _, found = trained(ONE, options, steps=3)
    weights, velocity = [w.astype(np.float64) for w in start], [0.0] * 4
    ones = np.ones((4, 2))
    for _ in range(3):
        kernel, bias, scale, offset = weights
        mean, variance = np.linspace(1, 2, 3), np.linspace(1, 2, 3)
        root = np.sqrt(variance + 1e-3)
        x = (ones @ kernel + bias - mean) / root
        out = (x * scale + offset) / 12  # the gradient of the mean of half squares
        slope = out * scale / root
        gradients = [ones.T @ slope, slope.sum(0), (out * x).sum(0), out.sum(0)]
        for i, gradient in enumerate(gradients):
            velocity[i] = 0.9 * velocity[i] + gradient + 0.5 * weights[i]
            weights[i] = weights[i] - 0.1 * velocity[i]
    for a, b in zip(found, weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SGD", "l2"),
        ("SGD", "decoupled"),
        pytest.param("Adam", "l2", marks=SLOW),
        pytest.param("Nadam", "decoupled", marks=SLOW),
        pytest.param("Lamb", "decoupled", marks=SLOW),
        pytest.param("Adafactor", "decoupled", marks=SLOW),
    ],
)
def test_two_replicas_decay_as_one_device_does(two_devices, name, kind):
    options = TrainOptions(
        optimizer=name, weight_decay=0.5, weight_decay_as=kind, learning_rate=0.1,
        decay="constant", warmup_steps=0,
    )  # fmt: skip
    before, one = trained(ONE, options)
    _, two = trained(two_devices, options)
    for weight, a, b in zip(before, one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        assert np.abs(a - weight).max() > 1e-3


def test_clipping_needs_a_single_device(two_devices):
    options = TrainOptions(optimizer_args={"global_clipnorm": 1.0})
    with two_devices.scope(), pytest.raises(UserError, match="clipnorm needs a single"):
        make_optimizer_by_name(options, 0.1)
    assert make_optimizer_by_name(options, 0.1).global_clipnorm == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "Adm"}, r"keras\.optimizers, such as Adam"),
        ({"optimizer": "sgd"}, r"such as SGD\. Received: optimizer='sgd'"),
        ({"optimizer": "zzz"}, r"keras\.optimizers: Adadelta, "),
        ({"optimizer": "LossScaleOptimizer"}, r"must be a class of keras\.optimizers"),
        ({"optimizer_args": {"momentm": 1}}, r"must be arguments of Adam: beta_1"),
        ({"optimizer_args": {"beta1": 0.5}}, r"arguments of Adam, such as beta_1"),
        ({"optimizer_args": {"use_ema": True}}, r"must be arguments of Adam"),
        ({"optimizer_args": {"beta_1": "x"}}, r"beta_1 must be a value like 0\.9"),
        ({"optimizer_args": {"beta_2": 1.5}}, r"must let Adam take finite steps"),
        ({"optimizer_args": {"learning_rate": 1}}, r"which is train\.learning_rate"),
        ({"optimizer_args": {"weight_decay": 1}}, r"which is train\.weight_decay"),
        ({"optimizer": "Ftrl"}, r"train\.warmup_steps must be 0 for Ftrl"),
        ({"weight_decay": -1.0}, r"train\.weight_decay must be at least 0"),
        (
            {"optimizer": "SGD", "optimizer_args": {"momentum": 3.0}},
            r"train\.optimizer_args of SGD: `momentum` must be",
        ),
        ({"schedule": "Piecewise"}, r"such as PiecewiseConstantDecay\. Received"),
        ({"schedule": "CosineDecayRestarts"}, r"must have first_decay_steps"),
        (
            {
                "schedule": "PiecewiseConstantDecay",
                "schedule_args": {"boundaries": [1], "values": [1]},
            },
            r"length of boundaries",
        ),
        (
            {
                "schedule": "PiecewiseConstantDecay",
                "schedule_args": {"boundaries": 3, "values": [1]},
            },
            r"boundaries must be a value like \[100, 200\]",
        ),
        (
            {"schedule": "ExponentialDecay", "schedule_args": {"decay_rate": -3.0}},
            r"must give learning rates of at least 0",
        ),
        (
            {"schedule": "ExponentialDecay", "schedule_args": {"decay_rate": "a"}},
            r"train\.schedule_args of ExponentialDecay",
        ),
        ({"schedule_args": {"a": 1}}, r"schedule_args needs train\.schedule"),
        (
            {"schedule": "CosineDecay", "warmup_steps": 3},
            r"so train\.warmup_steps must be left out",
        ),
        (
            {"schedule": "CosineDecay", "decay": "constant", "lr_drops": [3]},
            r"so train\.lr_drops must be left out",
        ),
        (
            {
                "schedule": "CosineDecay",
                "learning_rate": 0.1,
                "schedule_args": {"initial_learning_rate": 0.1},
            },
            r"train\.learning_rate must be left out where",
        ),
    ],
)
def test_mistakes_are_one_sentence(options, message):
    with pytest.raises(UserError, match=message) as caught:
        check_optimizer(TrainOptions(**options), steps=100)
    assert "\n" not in str(caught.value) and "function_node" not in str(caught.value)


@pytest.mark.parametrize("changes", [{}, {"warmup_steps": 0, "decay": "constant"}])
def test_a_schedule_goes_with_no_warm_up_and_no_decay(changes):
    options = TrainOptions(schedule="CosineDecay", **changes)
    check_optimizer(options, steps=100)
    assert resolve(Options(train=options)).train.schedule == "CosineDecay"
