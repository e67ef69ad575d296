"""``benchmarks/label_fraction.py``: what few labels are worth; the tutorial's leak."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import models_iic
from iic_tf.datasets.splits import Split
from iic_tf.errors import UserError

SCRIPT = str(Path(models_iic.__file__).parent / "benchmarks" / "label_fraction.py")


@pytest.fixture
def script(monkeypatch):
    """Its functions, by name."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # which the script changes
    return runpy.run_path(SCRIPT)


def certain(clusters, k):
    return np.eye(k, dtype=np.float32)[clusters]


@pytest.fixture
def known(script):
    """Two pure clusters, and thirty overclusters of which each is pure."""
    train, test = np.arange(1000) % 2, np.arange(600) % 2

    def banks(classes):
        overclusters = np.arange(len(classes)) // 2 % 15 * 2 + classes
        return {"main": certain(classes, 2), "aux": certain(overclusters, 30)}

    return script["Known"](banks(train), train, banks(test), test, "these", False)


def test_a_few_labels_name_clusters_and_more_are_needed_for_overclusters(script, known):
    rows = {row["drawn"]: row for row in script["measure"](known, 3)}
    assert [row["labels"] for row in rows.values()] == [
        *(2, 6, 20, 10, 20, 50, 100, 500, 1000),
    ]
    one = rows["1 per class"]["accuracy"]
    assert one["clusters"] == one["as name chooses"] == [1.0] * 3
    assert np.allclose(one["overclusters"], 2 / 30)
    assert rows["1 of all"]["accuracy"]["overclusters"] == [1.0]  # all draws are one


def test_the_tutorial_maps_and_scores_on_the_same_images(script, capsys):
    """Where each image is a cluster of its own nothing is learned, but for the leak."""
    labels = np.arange(1000) % 2
    soft = {"main": certain(np.arange(1000), 1000)}
    known = script["Known"](soft, labels, soft, labels, "these", True)
    script["weak"](known, 2)
    told = capsys.readouterr().out.splitlines()
    assert "10 labelled images that did not train" in told[0]
    assert "honest" in told[1] and "1.0000" not in told[1]
    assert "leaky" in told[2] and "1.0000 (1.0000 to 1.0000)" in told[2]


def test_images_without_a_test_split_are_halved(script):
    labels = np.repeat([0, 1], [20, 10])
    images = np.zeros((30, 4, 4, 1), np.uint8)
    train, test, words = script["split_up"]({"the folder": Split(images, labels)})
    assert np.bincount(train.labels).tolist() == np.bincount(test.labels).tolist()
    assert "half" in words
    both = {"train": Split(images, labels), "test": Split(images[:5], labels[:5])}
    train, test, words = script["split_up"](both)
    assert (len(train.images), len(test.images)) == (30, 5) and "test" in words
    with pytest.raises(UserError, match="needs labelled images"):
        script["split_up"]({"the folder": Split(images)})


@pytest.mark.long
def test_a_stored_run(labelled_run, tmp_path, monkeypatch, capsys):
    plot = tmp_path / "curve.png"
    call = [SCRIPT, str(labelled_run.folder), "--draws", "2", "--plot", str(plot)]
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", call)
    runpy.run_path(SCRIPT, run_name="__main__")
    told = capsys.readouterr().out
    assert "trained on all images" in told and "40 images of the test split" in told
    assert plot.read_bytes().startswith(b"\x89PNG")
    rows = json.loads((tmp_path / "curve.json").read_text())["rows"]
    assert rows[-1]["labels"] == 200
    for found in rows[-1]["accuracy"].values():
        assert len(found) == 1 and 0.1 < found[0] <= 1
