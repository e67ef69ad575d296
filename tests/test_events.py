"""Event files hold the numbers and plots that they are given, as TensorBoard wants."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from runs import words

import models_iic
from iic_tf.report.events import FOLDER, EventFiles, numbers_of


def written(folder):
    """What event files hold: (tag, step, plugin, kind) and the value, in order."""
    found = []
    for path in sorted((folder / FOLDER).iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                about = value.metadata
                name = about.plugin_data.plugin_name
                key = (value.tag, event.step, name, about.data_class)
                found.append((key, tf.make_ndarray(value.tensor), about))
    return found


def test_numbers_are_found_at_any_depth():
    row = {
        "step": 10,
        "loss": 0.5,
        "errors": [0.25, 0.5],
        "words": ["not a number"],
        "off_track": False,
        "by": {"class": {"oak": 3}},
        "nothing": None,
    }
    assert dict(numbers_of(row)) == {
        "loss": 0.5,
        "errors/0": 0.25,
        "errors/1": 0.5,
        "by/class/oak": 3.0,
    }


def test_numbers_and_plots_are_written(tmp_path):
    plot = tmp_path / "plot.png"
    Image.fromarray(np.zeros((3, 5), np.uint8)).save(plot)
    events = EventFiles(tmp_path)
    events.write({"loss": 0.5}, {"plot": plot, "none": tmp_path / "no.png"}, step=10)
    events.write({"loss": 0.25}, {}, step=20)
    EventFiles(tmp_path).write({"error": 1}, {}, step=30)  # as after a resume
    keys, values, about = zip(*written(tmp_path), strict=True)
    assert set(keys) == {
        ("loss", 10, "scalars", 1),
        ("plot", 10, "images", 3),
        ("loss", 20, "scalars", 1),
        ("error", 30, "scalars", 1),
    }
    number, image = (
        keys.index(("loss", 10, "scalars", 1)),
        keys.index(("plot", 10, "images", 3)),
    )
    assert values[number] == pytest.approx(0.5)
    width, height, png = values[image].tolist()
    assert (width, height, png) == (b"5", b"3", plot.read_bytes())
    # a version other than 0 TensorBoard takes for newer than itself
    assert about[image].plugin_data.content == b""


@pytest.mark.long
def test_a_run_writes_its_reports(digits_npz, tmp_path, monkeypatch, capsys):
    """With an optimiser, a schedule, start weights and a limit of one's own."""
    monkeypatch.setattr("iic_tf.tasks.cluster.draw_clusters", lambda *_, **__: [])
    changes = {
        "data.limit": "[120, 20]",
        "heads.initializer": "RandomNormal",
        "heads.initializer_args.stddev": 0.01,
        "train.optimizer": "SGD",
        "train.optimizer_args.momentum": 0.9,
        "train.schedule": "PiecewiseConstantDecay",
        "train.schedule_args": "{boundaries: [4], values: [0.1, 0.01]}",
        "train.weight_decay": 5e-4,
        "train.weight_decay_as": "l2",
        "report.every": 4,
        "report.tensorboard": True,
        "name": "own",
    }
    assert models_iic.main(words(digits_npz, tmp_path, **changes)) == 0
    told = capsys.readouterr().out
    assert "120 of 200 images of train, 20 of 40 images of test (of each" in told
    assert "on all 140 images of train + test" in told
    found = {(key[0], key[1]): value for key, value, _ in written(tmp_path / "own")}
    for step, rate in ((4, 0.1), (8, 0.01)):
        assert found["learning_rate", step] == pytest.approx(rate)
        assert 0 <= found["errors/1", step] <= 1
        assert len(found["learning_curve", step]) == 3
