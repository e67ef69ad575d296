"""Classes of labelled images are learned, and scored on images that did not train."""

import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import models_iic
from iic_tf.augment.pairs import plan_passes
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.errors import UserError
from iic_tf.options import DataOptions, HeadOptions, Options, TrainOptions
from iic_tf.tasks.classify import ClassifyTask
from iic_tf.training.trainer import Trainer, make_optimizer

TINY = {
    "task": "classify",
    "data.batch": 50,
    "data.repeats": 1,
    "graph.args.fan_out_init": 4,
    "graph.args.kernel": 3,
    "train.precision": "float32",
    "train.steps": 24,
    "train.learning_rate": 0.01,
    "train.warmup_steps": 2,
    "report.every": 12,
    "report.window": "never",
}


def words(digits_npz, folder, **changes):
    options = {**TINY, "data.dir": digits_npz, "out": folder, **changes}
    return [f"--{name}={value}" for name, value in options.items()]


def test_a_run_learns_classes_and_can_be_evaluated(digits_npz, tmp_path, capsys):
    assert models_iic.main(words(digits_npz, tmp_path, name="first")) == 0
    folder, told = tmp_path / "first", capsys.readouterr().out
    summary = json.loads((folder / "summary.json").read_text())
    [error] = summary["errors"]
    assert error < 0.7  # of ten classes, after 24 steps of 50 digits
    assert f"error = {error:.4f}  accuracy = {1 - error:.4f}" in told
    assert summary["images"] == 40 and "not used for training" in summary["scored_on"]
    with (folder / "assignments.csv").open() as file:
        rows = list(csv.DictReader(file))
    wrong = [row["label"] != row["predicted"] for row in rows]
    assert np.mean(wrong) == pytest.approx(error)
    for name in ("learning_curve.png", "confusion.png", "model.keras"):
        assert (folder / name).is_file()
    rows = [json.loads(x) for x in (folder / "history.jsonl").read_text().splitlines()]
    assert rows[1]["loss"] < rows[0]["loss"] and rows[1]["errors"] == pytest.approx(
        [error]
    )

    assert models_iic.main(["evaluate", str(folder)]) == 0
    again = json.loads((folder / "evaluation-1" / "summary.json").read_text())
    assert again["errors"] == summary["errors"]
    assert models_iic.main(["compare", str(folder)]) == 0


def test_options_that_it_does_not_use_are_refused(digits_npz, tmp_path, capsys):
    for name, value in (("k", 12), ("train.lamb", 1.5), ("segment.displacement", 7)):
        given = words(digits_npz, tmp_path, **{name: value})
        assert models_iic.main(given) == 2
        told = capsys.readouterr().err
        assert f"the task classify does not use {name}" in told
    assert not list(tmp_path.glob("*/model.keras"))


def test_the_loss_is_the_cross_entropy_of_the_views(digits, views):
    split = Split(digits[0][:40], digits[1][:40])
    task = ClassifyTask(Protocol(split, split, "these"), views, "here")
    options = Options(
        data=DataOptions(batch=20, repeats=2), train=TrainOptions(steps=2)
    )
    passes = plan_passes([40], batch=20, steps=2)
    [batch] = task.batches(options, passes, start=0).take(1)
    model = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    [loss] = task.objective(options, passes).losses
    value, logs = loss(model, batch, {})
    (_, *augmented), classes = batch
    logits = np.concatenate([model(copy).numpy() for copy in augmented]).astype("f8")
    known = np.concatenate([classes[:, 1], classes[:, 2]])
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    assert float(value) == pytest.approx(-log_p[np.arange(40), known].mean(), rel=1e-4)
    right = (logits.argmax(axis=1) == known).mean()
    assert float(logs["accuracy"]) == pytest.approx(right)


def test_two_replicas_learn_as_one_does(two_devices, digits, views):
    split = Split(digits[0][:80], digits[1][:80])
    task = ClassifyTask(Protocol(split, split, "these"), views, "here")
    options = Options(data=DataOptions(batch=40), train=TrainOptions(steps=4))
    passes = plan_passes([80], batch=40, steps=4)
    found = []
    for strategy in (tf.distribute.OneDeviceStrategy("CPU:0"), two_devices):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            seen = keras.Input((12, 12, 1))
            backbone = keras.Model(seen, keras.layers.Flatten()(seen))
            optimizer = make_optimizer(TrainOptions(warmup_steps=0), steps=4)
            goal = task.objective(options, passes)
            trainer = Trainer(task.build(backbone, options), optimizer, strategy, goal)
        batches = task.batches(options, passes, start=0)
        sums = trainer.run(iter(strategy.experimental_distribute_dataset(batches)), 4)
        found.append((sums, trainer.model.get_weights()))
    (one, weights), (two, weights2) = found
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-5)
    for a, b in zip(weights, weights2, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_images_without_classes_are_refused(digits, views):
    split = Split(digits[0][:40])
    with pytest.raises(UserError, match="needs labelled images"):
        ClassifyTask(Protocol(split, split, "these"), views, "here")


def test_start_weights_of_ones_choice(digits, views):
    split = Split(digits[0][:50], digits[1][:50])
    task = ClassifyTask(Protocol(split, split, "all"), views, "digits")
    inputs = keras.Input((12, 12, 1))
    backbone = keras.Model(inputs, keras.layers.Flatten()(inputs))
    options = Options(heads=HeadOptions(initializer="Zeros"))
    kernels = [
        task.build(backbone, x).get_layer("logits").kernel.numpy()
        for x in (options, Options())
    ]
    assert (kernels[0] == 0).all() and kernels[1].std() > 0.05
