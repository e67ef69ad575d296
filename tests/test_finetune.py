"""A finished run's backbone learns classes from a few labels, and scores on others."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import graphs
import models_iic
from commands.loading import load, take_over
from iic_tf.augment.pairs import plan_passes
from iic_tf.augment.transforms import ten_crops
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.errors import UserError
from iic_tf.options import DataOptions, Options, TuneOptions
from iic_tf.resolved import resolve
from iic_tf.tasks.finetune import FinetuneTask, up_to, weights_of

pytestmark = pytest.mark.usefixtures("few_plots")

SHORT = {
    "task": "finetune",
    "tune.labels": 20,
    "tune.hidden": 8,
    "data.repeats": 1,
    "train.precision": "float32",
    "train.steps": 4,
    "train.steps_per_call": 2,
    "report.every": 2,
    "report.checkpoint_every": 2,
    "report.window": "never",
}


def words(run, folder, **changes):
    options = {**SHORT, "tune.run": run, "out": folder, **changes}
    return [f"--{name}={value}" for name, value in options.items()]


def task_of(digits, views, **how):
    split = Split(digits[0][:40], digits[1][:40])
    return FinetuneTask(Protocol(split, split, "these"), views, "here", **how)


@pytest.mark.long
def test_a_run_is_fine_tuned_and_goes_on_under_another_name(
    labelled_run, tmp_path, capsys
):
    base = labelled_run.folder
    assert models_iic.main(words(base, tmp_path, name="first")) == 0
    told, folder = capsys.readouterr().out, tmp_path / "first"
    assert f"started with the backbone of {base}" in told
    assert "Images:   20 for training" in told
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["images"] == 40 and summary["steps"] == 4
    assert summary["scored_on"] == "test, not used for training"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    more = ["--train.steps=6", "--name=second"]
    assert models_iic.main(["--resume", str(folder), *more]) == 0
    assert "second, resumed at step 4" in capsys.readouterr().out
    rows = (tmp_path / "second" / "history.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [2, 4, 6]
    # the first run is what it was
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before

    assert models_iic.main(["evaluate", str(tmp_path / "second")]) == 0
    again = tmp_path / "second" / "evaluation-1" / "summary.json"
    summary = json.loads((tmp_path / "second" / "summary.json").read_text())
    assert json.loads(again.read_text())["errors"] == summary["errors"]


def test_mistakes_are_told_in_one_sentence(labelled_run, tmp_path, capsys):
    base, label = labelled_run.folder, "tune.labels"
    for changes, sentence in (
        ({"tune.run": ""}, "task finetune needs tune.run"),
        ({"tune.run": tmp_path}, "tune.run needs the folder of a run"),
        ({label: 201}, "must be at most the labelled training images, 200"),
        ({label: 1}, "tune.labels must be at least 2"),
        ({"tune.layer": "stage9"}, "tune.layer must be the name of a layer"),
        ({"graph.name": "small"}, "must be those of tune.run"),  # of other sizes
        ({"heads.main": 3}, "the task finetune does not use heads.main"),
        ({"task": "classify"}, "the task classify does not use tune.run"),
    ):
        assert models_iic.main(words(base, tmp_path, **changes)) == 2
        assert sentence in capsys.readouterr().err
    assert not list(tmp_path.glob("*/model.keras"))


def test_training_is_given_the_drawn_images_alone(digits, labelled_run):
    options = Options(
        task="finetune", tune=TuneOptions(run=str(labelled_run.folder), labels=20)
    )
    tasks = [load(take_over(replace(options, seed=seed))).task for seed in (0, 0, 1)]
    numbers = []
    for task in tasks:
        few, (images, labels) = task.protocol.train, task.data.material
        assert images is few.images and len(images) == len(labels) == 20
        same = (images[:, None] == digits[0][None, :240]).all(axis=(2, 3, 4))
        numbers.append(same.argmax(axis=1))
        np.testing.assert_array_equal(labels, digits[1][numbers[-1]])
        assert numbers[-1].max() < 200 and set(labels) == set(range(10))
        assert len(task.protocol.evaluate.images) == 40
    assert list(numbers[0]) == list(numbers[1]) != list(numbers[2])


def test_the_network_begins_with_the_backbone_of_the_run(digits, views, tiny_model):
    options, trained = resolve(Options()), tiny_model()
    weights = weights_of(trained, run="this")
    task = task_of(digits, views, weights=weights)
    fresh = tiny_model().backbone
    assert not np.array_equal(fresh.get_weights()[0], weights[0])
    model = task.build(fresh, options)
    for mine, his in zip(fresh.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, his)
    assert model.output_shape == (None, 10)
    other = graphs.small((12, 12, 1), fan_out_init=4, kernel=5, stages=4)
    with pytest.raises(UserError, match=r"must be those of tune\.run"):
        task.build(other, options)
    with pytest.raises(UserError, match="clusters whole images"):
        weights_of(model, run="this")


def test_the_head_sees_a_layer_behind_a_sobel_layer(digits, views):
    backbone = graphs.on_views(
        graphs.small, (12, 12, 1), sobel=True, fan_out_init=2, kernel=3, stages=3
    )
    cut = up_to(backbone, "stage2_relu")
    assert cut.output_shape == (None, 6, 6, 4)
    images = np.random.default_rng(0).random((5, 12, 12, 1), np.float32)
    network = backbone.layers[-1]
    inside = keras.Model(network.input, network.get_layer("stage2_relu").output)
    expected = inside(backbone.get_layer("sobel")(images))
    np.testing.assert_allclose(cut(images), expected, rtol=1e-6)
    tune = TuneOptions(layer="stage2_relu", hidden=7)
    model = task_of(digits, views).build(backbone, resolve(Options(tune=tune)))
    shapes = [tuple(v.shape) for v in model.trainable_variables if v.ndim == 2]
    assert shapes == [(6 * 6 * 4, 7), (7, 10)]


@pytest.mark.parametrize(
    ("trained", "asked", "expected"),
    [(True, None, 0.1), (False, None, 1), (True, 3, 3)],
)
def test_backbone_and_head_learn_at_rates_of_their_own(
    digits, views, tiny_model, trained, asked, expected
):
    source = tiny_model().backbone
    weights = source.get_weights() if trained else None
    task = task_of(digits, views, weights=weights)
    tune = TuneOptions(hidden=5, trunk_rate=asked)
    options = resolve(Options(data=DataOptions(batch=20, repeats=1), tune=tune))
    goal = task.objective(options, plan_passes([40], batch=20, steps=2))
    model = task.build(tiny_model().backbone, options)
    rates = goal.rates(model)
    head = [1.0] * 5  # kernel, γ and β, kernel and bias
    assert rates == [expected] * (len(rates) - 5) + head


def test_logits_are_averaged_over_ten_crops(digits, views, tiny_model):
    crops = ten_crops(20, size=12)
    task = task_of(digits, replace(views, crops=crops))
    options = resolve(Options())
    model = task.build(tiny_model().backbone, options)
    found = task.evaluate(model, options).soft[:, 0]
    images = (digits[0][:40] / 255).astype("f4")
    logits = [model(crop(images, (0, 0)), training=False).numpy() for crop in crops]
    expected = tf.nn.softmax(np.mean(logits, axis=0)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    alone = task_of(digits, views).evaluate(model, options).soft[:, 0]
    assert np.abs(alone - found).max() > 1e-4
