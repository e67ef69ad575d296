"""What is handed over is of the sub-head that was chosen, and of no other."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import data
import graphs
from iic_tf.augment.pairs import evaluation_batches
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.errors import UserError
from iic_tf.evaluation.health import measure
from iic_tf.evaluation.inference import compile_predict, soft_assignments
from iic_tf.evaluation.metrics import BY_CLASS, contingency, match_one_to_one
from iic_tf.evaluation.results import Results
from iic_tf.models.networks import SegmentIIC
from iic_tf.options import (
    DataOptions,
    HeadOptions,
    Options,
    ReportOptions,
    TrainOptions,
)
from iic_tf.report.console import Stopwatch
from iic_tf.report.results import (
    classes_in_words,
    most_frequent_instead,
    name_classes,
)
from iic_tf.report.sentences import mostly_words
from iic_tf.resolved import resolve
from iic_tf.tasks import cluster
from iic_tf.tasks.cluster import ClusterTask
from iic_tf.tasks.segment import SegmentTask
from iic_tf.training.checkpoints import History
from iic_tf.training.run import _build_trainer, _open_run, _plan
from iic_tf.training.stored import evaluate, finish
from iic_tf.training.task import Trained

OPTIONS = resolve(Options(data=DataOptions(batch=20)))


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    monkeypatch.setattr(cluster, "draw_clusters", lambda *_, **__: [])


def clusters_of_heads(model, images, views):
    batches = evaluation_batches(images, views, batch=100)
    return soft_assignments(compile_predict(model), batches).argmax(-1)


def hand_over(model, folder, task, options, *, lowest):
    """Ends a run of eight steps."""
    finish(Trained(model, folder, 8, 8, 1.0, lowest, Stopwatch(), task), options)


def table(folder):
    with (folder / "assignments.csv").open() as file:
        return list(csv.DictReader(file))


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize("lowest", [0, pytest.param(1, marks=pytest.mark.long), 2])
def test_assignments_are_of_the_sub_head_that_training_ranks_lowest(
    tmp_path, tiny_model, digits, views, lowest, capsys
):
    images, labels = digits[0][:60], digits[1][:60]
    split = Split(images, labels)
    task = ClusterTask(Protocol(split, split, "these"), views, "here")
    model = tiny_model()
    found = clusters_of_heads(model, images, views)
    assert all((found[:, i] != found[:, j]).any() for i, j in ((0, 1), (0, 2), (1, 2)))

    hand_over(model, tmp_path, task, OPTIONS, lowest=lowest)
    rows = table(tmp_path)
    assert [int(row["cluster"]) for row in rows] == found[:, lowest].tolist()
    summary = summary_of(tmp_path)
    assert (summary["chosen"], summary["chosen_by"]) == (lowest, "lowest loss")
    sizes = {"num_clusters": 10, "num_classes": 10}
    expected = match_one_to_one(contingency(found[:, lowest], labels, **sizes))
    classes = [None if i < 0 else str(i) for i in expected]
    assert summary["classes"] == classes
    assert [row["predicted"] for row in rows] == [
        classes[cluster] or "" for cluster in found[:, lowest]
    ]
    assert f"Lowest-loss sub-head: {lowest}," in capsys.readouterr().out

    if lowest != 1:  # what follows holds for any
        return
    # evaluated again, the run keeps its choice, so that clusters keep their numbers
    place = evaluate(tmp_path, task, OPTIONS)
    assert [int(row["cluster"]) for row in table(place)] == found[:, lowest].tolist()
    again = summary_of(place)
    assert (again["chosen"], again["classes"]) == (lowest, classes)
    assert again["chosen_by"] == "by the run: lowest loss"
    anew = summary_of(evaluate(tmp_path, task, OPTIONS, keep_choice=False))
    assert anew["chosen"] == int(np.argmax(anew["information"]))
    assert anew["chosen_by"] == "highest mutual information of augmented views"


@pytest.mark.long
def test_labels_choose_by_the_images_that_clusters_are_mapped_on(
    tmp_path, tiny_model, digits, views, capsys
):
    model = tiny_model()
    trained, held_out = digits[0][:60], digits[0][60:120]
    seen, unseen = (clusters_of_heads(model, x, views) for x in (trained, held_out))
    # sub-head 1 is perfect where clusters are mapped, sub-head 2 on what is held out
    train, test = Split(trained, seen[:, 1]), Split(held_out, unseen[:, 2])
    task = ClusterTask(Protocol(train, test, "test", mapping=train), views, "here")
    asked = Options(
        data=DataOptions(protocol="holdout", batch=20),
        report=ReportOptions(choose="label"),
    )
    options = resolve(asked)
    task.check(options)
    hand_over(model, tmp_path, task, options, lowest=0)
    summary = summary_of(tmp_path)
    assert summary["chosen"] == 1 and "labels" in summary["chosen_by"]
    assert summary["mapping_errors"][1] == 0
    assert summary["errors"][1] > 0 and min(summary["errors"]) < summary["errors"][1]
    told = (
        "Error on the training images, on which clusters are mapped to classes: 0.0000"
    )
    assert told in capsys.readouterr().out
    unknown = Split(trained)
    blind = ClusterTask(Protocol(unknown, test, "test"), views, "here")
    with pytest.raises(UserError, match="images with labels in the train split"):
        blind.check(options)


@pytest.fixture
def map_task():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (24, 32, 3), dtype=np.uint8) for _ in range(4)]
    labels = [rng.integers(0, 3, (24, 32), dtype=np.uint8) for _ in range(4)]
    names = tuple(f"{i}.png" for i in range(4))
    images = Split(images, labels, names, sizes=((24, 32),) * 4)
    views = data.RECIPES["images"].views((24, 32, 3), {"side": 16})
    return SegmentTask(Protocol(images, images, "these"), views, "here")


def a_model_of_maps():
    backbone = graphs.small_segment((None, None, 3), fan_out_init=4)
    return SegmentIIC.create(backbone, k=3, k_aux=6, num_main=3, num_aux=1)


@pytest.mark.long
@pytest.mark.parametrize("lowest", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_label_maps_are_of_the_sub_head_that_was_chosen(tmp_path, map_task, lowest):
    model = a_model_of_maps()
    options = resolve(Options(k=3, data=DataOptions(images="here", batch=4)))
    predict = map_task.predict(model)

    def found(head):
        soft = [predict(x[None] / np.float32(255))[0] for x in map_task.images]
        return [part[..., head, :].numpy().argmax(-1) for part in soft]

    def written(folder):
        return [np.asarray(Image.open(folder / f"{i}.png")) for i in range(4)]

    mine, others = found(lowest), found(0)
    assert any((a != b).any() for a, b in zip(mine, others, strict=True))
    hand_over(model, tmp_path, map_task, options, lowest=lowest)
    np.testing.assert_array_equal(written(tmp_path / "labels"), mine)
    summary = summary_of(tmp_path)
    assert summary["chosen"] == lowest and len(summary["classes"]) == 3
    if lowest == 1:
        place = evaluate(tmp_path, map_task, options)
        np.testing.assert_array_equal(written(place / "labels"), mine)


def test_the_bound_on_lambda_outlives_a_run(tmp_path, views):
    split = Split(np.zeros((40, 28, 28, 1), np.uint8))
    task = ClusterTask(Protocol(split, split, "these"), views, "here")
    asked = Options(
        k=3,
        out=str(tmp_path),
        name="a",
        heads=HeadOptions(main=1, aux=0),
        data=DataOptions(batch=10),
        train=TrainOptions(steps=20, order=["main"]),
    )
    options = resolve(asked)

    def opened(options):
        passes = _plan(options, task, replicas=1).passes
        trainer = _build_trainer(
            options,
            task,
            lambda: graphs.small((12, 12, 1), fan_out_init=2, kernel=3, stages=2),
            tf.distribute.OneDeviceStrategy("CPU:0"),
            passes=passes,
        )
        folder, checkpoints = _open_run(options, task, trainer, History(), steps=20)
        return trainer, folder, checkpoints

    trainer, folder, checkpoints = opened(options)
    assert np.isinf(trainer.at_most["lamb"].numpy())
    trainer.at_most["lamb"].assign(1.0)
    trainer.step.assign(4)
    checkpoints.save(4)
    again, *_ = opened(dataclasses.replace(options, resume=str(folder)))
    assert int(again.step) == 4
    assert float(again.at_most["lamb"].numpy()) == 1.0


def test_classes_have_their_names_or_their_numbers():
    assert name_classes(3, ("cat", "dog", "cow")) == ["cat", "dog", "cow"]
    assert name_classes(3, ("cat", "dog")) == ["0", "1", "2"]
    assert name_classes(3, None) == ["0", "1", "2"]


def test_a_class_that_hardly_occurs_in_its_cluster_is_told():
    counts = np.array([[[90, 3], [80, 4], [7, 1], [0, 0]]])
    results = Results(measure(np.eye(4)[None] / 4), 185, counts=counts)
    names, more = ("flags", "hats"), [None, "flags", "flags", None]
    assert most_frequent_instead(results, names) == more
    in_words = ["flags", "hats, mostly flags", "none, mostly flags", None]
    assert classes_in_words(results, names) == in_words
    assert mostly_words(more).endswith(": 1 is mostly flags, 2 is mostly flags.")
    assert mostly_words([None, None]) == ""


@pytest.mark.parametrize(("match", "degenerate"), [("one-to-one", 1), (BY_CLASS, 0)])
def test_classes_that_were_taught_are_never_called_degenerate(match, degenerate):
    results = Results(measure(np.ones((1, 10, 10))), 100, match=match)
    assert results.degenerate(steps=10_000) == degenerate
