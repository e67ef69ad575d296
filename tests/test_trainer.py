import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import objective_of

from iic_tf.augment.pairs import training_batches
from iic_tf.options import TrainOptions
from iic_tf.tasks.objectives import grouped_pair_losses, pair_losses
from iic_tf.training.trainer import (
    NonFiniteLoss,
    OptimizerOfParts,
    Trainer,
    make_optimizer,
)

ONE = tf.distribute.OneDeviceStrategy("CPU:0")


def build(tiny_model, steps=12, **options):
    options = TrainOptions(**{"steps": steps, "warmup_steps": 0, **options})
    with ONE.scope():
        return Trainer(
            tiny_model(),
            make_optimizer(options, steps=steps),
            ONE,
            objective_of(
                options, np.arange(steps) // 2 % len(options.order), pair_losses
            ),
        )


@pytest.fixture
def batches(digits, views):
    return training_batches(
        digits[0][:80], views, repeats=2, batch=40, seed=0, start=0, steps=12
    )


@pytest.mark.long
def test_training_raises_the_information_of_both_banks(tiny_model, digits, views):
    steps = 60
    trainer = build(tiny_model, steps=steps, learning_rate=3e-3)
    data = training_batches(
        digits[0][:500], views, repeats=2, batch=100, seed=0, start=0, steps=steps
    )
    iterator = iter(data)
    first = trainer.run(iterator, 5)
    trainer.run(iterator, 50)
    last = trainer.run(iterator, 5)
    for bank in ("main_loss", "aux_loss"):
        assert last[bank].mean() < first[bank].mean() - 0.05


@pytest.mark.long
def test_results_are_sums_over_the_steps(tiny_model, batches):
    together = build(tiny_model)
    apart = build(tiny_model)
    apart.model.set_weights(together.model.get_weights())
    iterator = iter(batches)
    results = together.run(iter(batches), 3)
    single = [apart.run(iterator, 1) for _ in range(3)]
    for name, value in results.items():
        expected = np.sum([one[name] for one in single], 0)
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=3e-5)
    assert results["main_joint"].shape == (3, 10, 10)
    assert results["aux_loss"].shape == (2,)
    # each joint counts images times copies, per step
    np.testing.assert_allclose(results["main_joint"].sum((1, 2)), 3 * 40 * 2, rtol=1e-4)


@pytest.mark.long
def test_a_bank_that_has_not_trained_yet_does_not_move(tiny_model, batches):
    trainer = build(tiny_model, order=["main", "aux"])
    before = trainer.model.aux.kernel.numpy()
    main_before = trainer.model.main.kernel.numpy()
    iterator = iter(batches)
    trainer.run(iterator, 2)  # one pass of 80 images: main
    np.testing.assert_array_equal(trainer.model.aux.kernel, before)
    assert np.abs(trainer.model.main.kernel - main_before).max() > 1e-4
    trainer.run(iterator, 2)  # the next pass: aux
    assert np.abs(trainer.model.aux.kernel - before).max() > 1e-4


def test_the_first_steps_learn_groups(tiny_model, digits, views):
    images, labels = digits[0][:200], digits[1][:200]
    groups = np.stack([labels, labels + 10 * (np.arange(200) % 2)], axis=1)
    options = TrainOptions(warmup_steps=0, learning_rate=3e-3)
    goal = objective_of(options, np.zeros(60), grouped_pair_losses, start=50)
    assert goal.scheduled["start"].tolist() == [1.0] * 50 + [0.0] * 10
    with ONE.scope():
        trainer = Trainer(
            tiny_model(),
            make_optimizer(options, steps=60),
            ONE,
            goal,
        )
    batches = training_batches(
        *(images, views),
        **{"repeats": 1, "batch": 100, "seed": 0, "start": 0, "steps": 60},
        groups=groups.astype("i4"),
    )
    trainer.run(iter(batches), 50)
    shown = views.evaluate(images / np.float32(255), tf.constant((0, 0)))
    found = trainer.model(shown, training=True)
    for bank, column in (("main", 0), ("aux", 1)):
        right = found[bank].numpy().argmax(-1) == groups[:, [column]]
        assert right.mean() > (0.4 if bank == "main" else 0.2)  # of 10, of 20
    results = trainer.run(iter(batches), 1)  # from here on it is IIC
    assert set(results) == {"main_loss", "main_joint", "aux_loss", "aux_joint"}


def test_a_loss_that_is_not_finite_names_head_and_steps(tiny_model, batches):
    trainer = build(tiny_model)
    iterator = iter(batches)
    trainer.run(iterator, 2)
    bias = trainer.model.main.bias.numpy()
    bias[10:20] = np.nan  # the second sub-head of ten clusters
    trainer.model.main.bias.assign(bias)
    with pytest.raises(
        NonFiniteLoss, match="main sub-head 1 became nan between steps 3 and 6"
    ):
        trainer.run(iterator, 4)


def test_schedule_of_lambda_and_heads():
    options = TrainOptions(
        order=["aux", "main", "main+aux"], lamb=[(0.0, 1.0), (0.5, 2.0)], lamb_aux=1.5
    )
    goal = objective_of(options, np.arange(8) // 2 % 3, pair_losses)
    lamb = goal.scheduled["lamb"]
    np.testing.assert_allclose(lamb, [1, 1.25, 1.5, 1.75, 2, 2, 2, 2])
    np.testing.assert_allclose(goal.scheduled["lamb_aux"], 1.5)
    assert len(goal.losses) == 3 and goal.bounded == ("lamb",)
    np.testing.assert_array_equal(goal.kind, [0, 0, 1, 1, 2, 2, 0, 0])


def rates(options, steps):
    optimizer = make_optimizer(options, steps=steps)
    values = []
    for step in range(steps + 1):
        optimizer.iterations.assign(step)
        values.append(float(optimizer.learning_rate))
    return np.array(values)


def test_learning_rate_warms_up_and_falls_to_zero():
    values = rates(TrainOptions(learning_rate=0.1, warmup_steps=10), 50)
    np.testing.assert_allclose(values[:11], np.arange(11) / 100, atol=1e-7)
    assert (np.diff(values[10:]) <= 0).all() and values[50] < 1e-7


def test_learning_rate_drops():
    options = TrainOptions(learning_rate=1.0, decay="constant", lr_drops=[3, 6])
    values = rates(options, 9)
    np.testing.assert_allclose(values[[0, 3, 4, 6, 7]], [1, 1, 0.1, 0.1, 0.01])


def test_a_constant_rate_warms_up_too():
    options = TrainOptions(learning_rate=1.0, decay="constant", warmup_steps=4)
    np.testing.assert_allclose(rates(options, 8)[[0, 2, 4, 8]], [0, 0.5, 1, 1])


def test_warm_up_longer_than_the_run_is_cut():
    assert np.isfinite(rates(TrainOptions(warmup_steps=50), 2)).all()


def test_adam_is_the_authors():
    optimizer = make_optimizer(TrainOptions(), steps=10)
    figures = (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
    assert figures == (0.9, 0.999, 1e-8)


def test_mixed_precision_keeps_heads_and_loss_in_float32(tiny_model, batches):

    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        trainer = build(tiny_model)
        results = trainer.run(iter(batches), 2)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert trainer.model.main.kernel.dtype == "float32"
    assert trainer.model.backbone.compute_dtype == "bfloat16"
    assert np.isfinite(results["main_loss"]).all()


@pytest.mark.slow
def test_lambda_of_the_main_heads_can_be_bounded(tiny_model, batches):
    lost, bounded, plain = (
        build(tiny_model, lamb=lamb, lamb_aux=1.3) for lamb in (2.0, 2.0, 1.0)
    )
    for trainer in (bounded, plain):
        trainer.model.set_weights(lost.model.get_weights())
    assert bounded.scheduled("lamb") == 2
    bounded.at_most["lamb"].assign(1.0)
    assert bounded.scheduled("lamb") == 1
    results = [trainer.run(iter(batches), 2) for trainer in (lost, bounded, plain)]
    for bank in ("main_loss", "aux_loss"):
        np.testing.assert_allclose(results[1][bank], results[2][bank], rtol=1e-5)
    assert (np.abs(results[0]["main_loss"] - results[1]["main_loss"]) > 0.1).all()


def test_parts_of_a_network_have_learning_rates_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    start, slopes = rng.normal(size=(2, 3)).astype("f4"), rng.normal(size=(4, 2, 3))
    variables = [keras.Variable(values) for values in start]

    def make(rate):
        return make_optimizer(TrainOptions(learning_rate=rate / 10), steps=100)

    both = OptimizerOfParts(make, [0.1, 1.0])
    both.build(variables)
    alone = [keras.Variable(values) for values in start]
    each = [make(0.1), make(1.0)]
    for optimizer, variable in zip(each, alone, strict=True):
        optimizer.build([variable])
    for step in slopes[:3]:
        both.apply([tf.constant(g, tf.float32) for g in step], variables)
        for optimizer, variable, slope in zip(each, alone, step, strict=True):
            optimizer.apply([tf.constant(slope, tf.float32)], [variable])
    for mine, expected in zip(variables, alone, strict=True):
        np.testing.assert_array_equal(mine.numpy(), expected.numpy())
    assert float(both.learning_rate) == float(each[1].learning_rate)
    # moments are part of a checkpoint
    saved = tf.train.Checkpoint(optimizer=both).save(str(tmp_path / "c"))
    other = OptimizerOfParts(make, [0.1, 1.0])
    other.build(variables)
    tf.train.Checkpoint(optimizer=other).restore(saved).assert_consumed()
    for mine, expected in zip(other.optimizers, both.optimizers, strict=True):
        for a, b in zip(mine.variables, expected.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
