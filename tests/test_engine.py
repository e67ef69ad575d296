"""The engine without the command line, as docs/python.md shows it."""

import re
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import graphs
import iic_tf
from iic_tf.errors import UserError
from iic_tf.models.networks import SegmentIIC

TEXT = (Path(__file__).parents[1] / "docs" / "python.md").read_text()
[CODE] = re.findall(r"```python\n(import threading\n.*?)```", TEXT, re.DOTALL)


@pytest.mark.long
def test_the_example_trains_in_a_thread_and_leaves_the_process_as_it_was(
    tmp_path, digits
):
    assert not re.search(r"import (data|graphs|utils|models_iic)", CODE)
    before = (
        keras.mixed_precision.global_policy().name,
        Image.MAX_IMAGE_PIXELS,
        tf.config.optimizer.get_experimental_options().get("arithmetic_optimization"),
        list(warnings.filters),
    )
    images = digits[0][:300]
    said = {"images": images, "out": str(tmp_path), "steps": 6}
    exec(CODE, said)
    [run] = said["runs"]
    assert run.step == 6 and (run.folder / "history.jsonl").is_file()
    results = said["results"]
    assert results.clusters.shape == (300, 10)
    # what was saved, loaded and applied by hand names the very clusters
    np.testing.assert_array_equal(said["clusters"], results.clusters[:, results.chosen])
    after = (
        keras.mixed_precision.global_policy().name,
        Image.MAX_IMAGE_PIXELS,
        tf.config.optimizer.get_experimental_options().get("arithmetic_optimization"),
        list(warnings.filters),
    )
    assert after[0] == before[0] and after[1] == before[1] and after[3] == before[3]
    assert after[2] in (before[2], True)  # what is not set counts as true


def test_a_model_exports_without_further_words(tmp_path, tiny_model):
    tiny_model().export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    found = served.serve(tf.zeros((3, 12, 12, 1)))
    assert found["main"].shape == (3, 3, 10)
    assert iic_tf.ClusterIIC is not None


README = re.findall(
    r"## Use the loss alone\n\n```python\n(.*?)```",
    (Path(__file__).parents[1] / "README.md").read_text(),
    re.DOTALL,
)[0]


@pytest.mark.long
def test_the_loss_trains_by_a_tape_by_fit_and_in_a_network_of_banks(digits, capsys):
    blocks = re.findall(r"## The loss alone\n(.*?)In runs", TEXT, re.DOTALL)
    codes = re.findall(r"```python\n(.*?)```", blocks[0], re.DOTALL)
    assert [code.split(" import ")[1].split("\n")[0] for code in codes] == [
        "iic_loss",
        "IICLoss",
        "ClusterIIC, IICLoss",
    ]
    shape = (12, 12, 1)
    images = (digits[0][:100, 8:20, 8:20] / 255).astype("f4")
    said = {"tf": tf, "keras": keras, "np": np, "shape": shape, "images": images}
    said["augmented"] = images[:, :, ::-1]
    flat = [keras.Input(shape), keras.layers.Flatten()]
    dense = keras.layers.Dense
    said["network"] = keras.Sequential([*flat, dense(4, activation="softmax")])
    said["backbone"] = keras.Sequential([*flat, dense(16, activation="relu")])
    said["optimizer"] = keras.optimizers.Adam(0.01)
    said["optimizer"].build(said["network"].trainable_variables)
    losses = []
    for _ in range(10):
        exec(codes[0], said)
        losses.append(float(said["loss"]))
    assert losses[-1] < losses[0]
    for code, name, given in (
        (codes[1], "both", ([images, said["augmented"]], np.zeros(100))),
        (codes[2], "model", (images, said["augmented"])),
    ):
        exec(code, said)
        model = said[name]
        before = model.evaluate(*given, batch_size=100, verbose=0)
        model.fit(*given, epochs=10, batch_size=100, verbose=0)
        assert model.evaluate(*given, batch_size=100, verbose=0) < before
    before = float(said["loss"])
    exec(README, said)  # the same in few lines
    assert float(said["loss"]) == pytest.approx(before, abs=0.1)
    assert isinstance(said["model"], iic_tf.ClusterIIC)
    capsys.readouterr()


def test_a_model_of_banks_says_how_it_is_trained(tiny_model):
    model, images = tiny_model(), np.zeros((4, 12, 12, 1), "f4")
    model.compile("adam", loss="mse")
    with pytest.raises(UserError, match=r"or after compile\(loss=IICLoss\(\)\) by fit"):
        model.fit(images, images)
    maps = SegmentIIC.create(graphs.small_segment((16, 16, 1)), k=2, k_aux=4)
    with pytest.raises(UserError, match=r"is trained by iic_tf\.training\.run\.train"):
        maps.fit(images, images)


def test_both_banks_of_a_model_are_fitted(tiny_model):
    model = tiny_model()
    images, views = (tf.random.uniform((8, 12, 12, 1)) for _ in range(2))
    model.compile("adam", loss=iic_tf.IICLoss(1.2))
    found, other = model(images), model(views)
    expected = sum(
        float(tf.reduce_mean(iic_tf.iic_loss(found[bank], other[bank], 1.2)))
        for bank in ("main", "aux")
    )
    value = model.compute_loss(images, views, found, training=False)
    assert float(value) == pytest.approx(expected, rel=1e-5)
