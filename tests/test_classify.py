"""Classes of labelled images are learned, and scored on images that did not train."""

import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import models_iic
from commands.loading import load
from iic_tf.augment.pairs import plan_passes
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.errors import UserError
from iic_tf.models.heads import Logits
from iic_tf.options import DataOptions, HeadOptions, Options, TrainOptions
from iic_tf.resolved import resolve
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


@pytest.mark.long
def test_a_run_learns_classes_and_can_be_evaluated(digits_npz, tmp_path, capsys):
    assert models_iic.main(words(digits_npz, tmp_path, name="first")) == 0
    folder, told = tmp_path / "first", capsys.readouterr().out
    summary = json.loads((folder / "summary.json").read_text())
    [error] = summary["errors"]
    assert error < 0.7  # of ten classes, after 24 steps of 50 digits
    assert f"error = {error:.4f}  accuracy = {1 - error:.4f}" in told
    assert summary["images"] == 40 and "not used for training" in summary["scored_on"]
    csv_rows = assigned(folder)
    wrong = [row["label"] != row["predicted"] for row in csv_rows]
    assert np.mean(wrong) == pytest.approx(error)
    for name in ("learning_curve.png", "confusion.png", "model.keras"):
        assert (folder / name).is_file()
    rows = [json.loads(x) for x in (folder / "history.jsonl").read_text().splitlines()]
    assert rows[1]["loss"] < rows[0]["loss"] and rows[1]["errors"] == pytest.approx(
        [error]
    )
    first = rows[0]["errors"][0]
    assert f"Error {first:.4f}; best so far {first:.4f}, average of 1 report" in told
    best, average = min(first, error), (first + error) / 2
    assert (
        f"Error {error:.4f}; best so far {best:.4f}, average of 2 reports {average:.4f}"
        in told
    )
    recall = summary["recall"]
    [line] = [line for line in told.splitlines() if line.split()[:1] == ["7"]]
    images = sum(row["label"] == "7" for row in csv_rows)
    assert line.split() == ["7", str(images), f"{recall[7]:.4f}"]

    assert models_iic.main(["evaluate", str(folder)]) == 0
    again = json.loads((folder / "evaluation-1" / "summary.json").read_text())
    assert again["errors"] == summary["errors"]
    assert models_iic.main(["compare", str(folder)]) == 0

    # images of nobody knows what: a folder without classes
    (tmp_path / "new").mkdir()
    shown = np.load(digits_npz)["x_test"]
    for i, image in enumerate(shown):
        Image.fromarray(image).save(tmp_path / "new" / f"{i:02}.png")
    capsys.readouterr()
    given = [str(tmp_path / "new"), "--into", str(tmp_path / "sorted")]
    assert models_iic.main(["predict", str(folder), *given]) == 0
    sorted_by = {x.name: x.parent.name for x in (tmp_path / "sorted").glob("*/*")}
    assert sorted_by == {
        row["path"]: row["predicted"] for row in assigned(folder / "evaluation-2")
    }
    rows, told = assigned(folder / "evaluation-2"), capsys.readouterr().out
    found = [row["predicted"] for row in rows]
    assert found == [row["predicted"] for row in csv_rows] and "label" not in rows[0]
    assert rows[3]["path"] == "03.png"
    assert "Classes of all 40 images of" in told and "error" not in told
    [line] = [line for line in told.splitlines() if line.split()[:1] == ["7"]]
    assert line.split() == ["7", str(found.count("7"))]
    summary = json.loads((folder / "evaluation-2" / "summary.json").read_text())
    assert summary["errors"] is None and summary["class_names"][7] == "7"


def assigned(folder):
    with (folder / "assignments.csv").open() as file:
        return list(csv.DictReader(file))


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
    asked = Options(data=DataOptions(batch=20, repeats=2), train=TrainOptions(steps=2))
    options = resolve(asked)
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
    asked = Options(data=DataOptions(batch=40), train=TrainOptions(steps=4))
    options = resolve(asked)
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
    task = ClassifyTask(Protocol(split, split, "these"), views, "here")
    with pytest.raises(UserError, match="needs labelled images"):
        task.plan(resolve(Options(data=DataOptions(batch=20))))


@pytest.mark.parametrize("labels", [None, "folder"])
def test_a_folder_without_a_test_split_is_told_what_is_needed(
    labels, digits, tmp_path, capsys
):
    for name in "ab":
        (tmp_path / "mine" / name).mkdir(parents=True)
        Image.fromarray(digits[0][0, ..., 0]).save(tmp_path / "mine" / name / "0.png")
    given = [f"--data.folder={tmp_path / 'mine'}", f"--out={tmp_path}"]
    given += ["--data.labels=folder"] * (labels is not None)
    assert models_iic.main(["--task=classify", *given]) == 2
    told = capsys.readouterr().err
    assert "needs labelled images to learn from and others to be scored on" in told
    assert "train/CLASS and test/CLASS with data.labels folder" in told


def test_a_folder_with_two_splits_is_enough(digits, tmp_path):
    for i, image in enumerate(digits[0][:12, ..., 0]):
        path = tmp_path / ("test", "train", "train")[i % 3] / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    given = ["--task=classify", f"--data.folder={tmp_path}", "--data.labels=folder"]
    loaded = load(models_iic.parse(given))
    protocol = loaded.task.protocol
    assert (len(protocol.train.images), len(protocol.evaluate.images)) == (8, 4)
    assert loaded.task.class_names == ("a", "b")
    assert loaded.options.data.protocol == "holdout"
    again = load(loaded.options, train=False).task
    assert len(again.protocol.evaluate.images) == 4
    assert again.data.scored_on == "test, not used for training"


def classifier(names):
    """A network of two classes, told by the brightness of a view."""
    seen = keras.Input((12, 12, 1))
    logits = Logits(2, class_names=names, name="logits")
    model = keras.Model(seen, logits(keras.layers.Flatten()(seen)))
    logits.kernel.assign(np.ones((144, 2)) * [-1, 1])
    logits.bias.assign([72.0, -72.0])
    return model


def test_classes_are_matched_by_their_names(views, tmp_path):
    images = np.zeros((4, 28, 28, 1), np.uint8)
    images[:3] = 255
    split = Split(images, np.array([1, 1, 0, 0]))
    task = ClassifyTask(Protocol(split, split, "these"), views, "here", ("dark", "lit"))
    for names in (("dark", "lit"), ("lit", "dark")):
        model = classifier(names)
        model.save(tmp_path / "model.keras")
        results = task.evaluate(keras.models.load_model(tmp_path / "model.keras"), None)
        right = 0.75 if names[1] == "lit" else 0.25
        assert results.errors == [pytest.approx(1 - right)]
    with pytest.raises(UserError, match="classes that the network knows, grey, lit"):
        task.evaluate(classifier(("grey", "lit")), None)
    assert task.evaluate(classifier(None), None).errors == [pytest.approx(0.25)]


def test_start_weights_of_ones_choice(digits, views):
    split = Split(digits[0][:50], digits[1][:50])
    task = ClassifyTask(Protocol(split, split, "all"), views, "digits")
    inputs = keras.Input((12, 12, 1))
    backbone = keras.Model(inputs, keras.layers.Flatten()(inputs))
    options = Options(heads=HeadOptions(initializer="Zeros"))
    kernels = [
        task.build(backbone, x).get_layer("logits").kernel.numpy()
        for x in (resolve(options), resolve(Options()))
    ]
    assert (kernels[0] == 0).all() and kernels[1].std() > 0.05
