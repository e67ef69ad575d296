import dataclasses

import pytest
import yaml

import models_iic
from commands import loading
from iic_tf.errors import UserError
from iic_tf.options import (
    DataOptions,
    HeadOptions,
    Options,
    TrainOptions,
    as_plain,
    refuse_unused,
)
from iic_tf.resolved import RunTrain, Usual, resolve, usual_batch


@pytest.mark.parametrize(
    ("images", "batch"),
    [(20, 8), (31, 8), (32, 8), (40, 8), (64, 16), (8, 8), (5, 4), (1, 2), (2000, 500)],
)
def test_few_images_train_in_batches_from_which_something_can_be_learned(images, batch):
    assert usual_batch(images) == batch


def test_what_is_left_open_gets_its_usual_value():
    options = resolve(Options(k=4))
    train = options.train
    assert (train.steps, train.regroup_every, train.regroup_to) == (1600, 200, 0.65)
    assert (train.start, train.lamb_aux, train.precision) == (0.25, 1, "float32")
    assert (options.task, options.heads.k_aux) == ("cluster", 20)
    assert options.banks["k_aux"] == 20
    assert (options.data.batch, options.data.neighbours) == (500, 0)
    assert options.report.images == 10_000


def test_what_is_given_stays():
    asked = Options(
        k=4,
        heads=HeadOptions(k_aux=7),
        data=DataOptions(neighbours=0, batch=20, recipe="mine"),
        train=TrainOptions(steps=20, regroup_to=0.0, start=0.0, lamb_aux=1.5),
    )
    usual = Usual(
        recipe="cifar10",
        batch=16,
        neighbours=5,
        steps=600,
        regroup_every=100,
        least_k_aux=40,
    )
    options = resolve(asked, usual)
    assert options.heads.k_aux == 7 and resolve(Options(k=4), usual).heads.k_aux == 40
    assert options.data == dataclasses.replace(
        options.data, neighbours=0, batch=20, recipe="mine"
    )
    train = options.train
    assert (train.steps, train.regroup_every, train.regroup_to) == (20, 100, 0)
    assert (train.start, train.lamb_aux) == (0, 1.5)


def test_complete_options_stay_as_they_are():
    options = resolve(
        Options(k=3), Usual(recipe="stl10", steps=700, precision="float32")
    )
    assert resolve(options, Usual(recipe="cifar10", steps=90)) == options


def test_a_period_that_is_left_open_is_an_eighth_of_the_steps():
    assert resolve(Options(train=TrainOptions(steps=800))).train.regroup_every == 100
    assert resolve(Options(), Usual(steps=800)).train.regroup_every == 100
    assert resolve(Options(), Usual(steps=80)).train.regroup_every == 50


@pytest.mark.parametrize(
    ("train", "limit"),
    [
        (TrainOptions(), 10),
        (TrainOptions(steps=5), None),
        (TrainOptions(epochs=5), None),
    ],
)
def test_a_run_of_a_given_length_needs_no_plan(train, limit):
    options = resolve(Options(train=train), Usual(time_limit=10))
    assert options.time_limit == limit
    options = resolve(Options(train=train, time_limit=3), Usual(time_limit=10))
    assert options.time_limit == (limit and 3)


def test_a_run_that_is_planned_keeps_its_limit_and_regroups_as_often():
    loaded = loading.Loaded(
        Options(), Usual(time_limit=10), None, False, False, None, ()
    )
    shorter = loaded.lasting(480).options
    assert (loaded.options.train.steps, shorter.train.steps) == (1600, 480)
    assert (shorter.train.regroup_every, shorter.time_limit) == (60, 10)


def test_a_complete_type_cannot_be_made_with_a_gap():
    with pytest.raises(TypeError, match="steps"):
        RunTrain(regroup_every=50)


def open_places(tree, prefix=""):
    """Names of options that are None or "auto"."""
    found = set()
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= open_places(value, f"{prefix}{name}.")
        elif value in (None, "auto"):
            found.add(f"{prefix}{name}")
    return found


def test_what_is_none_in_the_end_is_not_used():
    places = ("dir", "folder", "array", "labels", "images", "masks", "ignore", "merge")
    places += ("features", "series", "tfds", "limit", "only")
    shapes = ("size", "channels", "range", "classes", "curated", "names")
    assert open_places(as_plain(resolve(Options()))) == {
        *(f"data.{name}" for name in (*places, *shapes)),
        *("name", "seeds", "time_limit", "resume", "devices", "train.epochs"),
        *("heads.initializer", "train.schedule", "train.weight_decay"),
        *(f"tune.{name}" for name in ("run", "labels", "layer", "trunk_rate")),
        *("report.display", "report.progression", "report.window"),
    }


def test_a_run_that_an_earlier_version_stored_is_completed(tmp_path):
    """Those kept what a step reads, not what follows from it."""
    tree = {
        "task": "cluster", "k": 4, "graph": {"name": "small"}, "heads": {"k_aux": None},
        "data": {"recipe": "mnist_5000", "batch": 50, "neighbours": 5, "resize": None},
        "train": {"steps": 90, "regroup_every": None, "precision": "float32"},
        "report": {"images": None},
    }  # fmt: skip
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump(tree))
    loaded = loading.load(models_iic.parse(["--config", str(path)]), train=False)
    options = loaded.options
    assert (options.heads.k_aux, options.report.images) == (20, 10_000)
    assert (options.train.steps, options.train.regroup_every) == (90, 50)
    assert (options.data.batch, options.graph.name) == (50, "small")


@pytest.mark.parametrize("task", ["cluster", "segment", "classify"])
def test_complete_options_can_be_given_again(task):
    train = TrainOptions(steps=480)
    stored = resolve(Options(train=train), Usual(task=task, steps=90))
    complete = resolve(Options(train=train))
    refuse_unused(stored, task, complete=complete)
    name = {"cluster": "resize", "segment": "unlabelled", "classify": "neighbours"}[
        task
    ]
    other = {"resize": 0.5, "unlabelled": False, "neighbours": 7}[name]
    changed = dataclasses.replace(
        stored, data=dataclasses.replace(stored.data, **{name: other})
    )
    with pytest.raises(UserError, match=rf"does not use data\.{name}\. Received"):
        refuse_unused(changed, task, complete=complete)
