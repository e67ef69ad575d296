"""``export``: what it writes gives the probabilities that ``predict`` gives."""

import importlib.util
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from runs import words

import models_iic
import utils
from iic_tf.errors import UserError
from iic_tf.models.heads import Logits
from iic_tf.training import export
from iic_tf.training.stored import chosen_heads

FRESH = """
import sys
sys.modules["iic_tf"] = None  # importing it fails
import numpy as np, tensorflow as tf
given = np.load(sys.argv[1])
model = tf.saved_model.load(sys.argv[2])
found = {name: x.numpy() for name, x in model.serve(given).items()}
found["names"] = found["names"].astype("S")  # not as objects
np.savez(sys.argv[3], **found)
"""


def by_predict(run):
    """A hundred images of a run, and their probabilities as predict computes them."""
    stored = utils.load(run)
    task = utils.images_of(stored)
    heads = {"main": chosen_heads(run, stored.model)["main"]}
    soft = task.assignments(stored.model, stored.options, heads=heads)["main"]
    return task.protocol.evaluate.images[:100], soft[:100]


def forget_images(run):
    """As if the run had been moved to where its images are not."""
    path = run / "options.yaml"
    text = path.read_text().replace("digits.npz", "gone.npz")
    path.write_text(text)


@pytest.fixture
def run(labelled_run, tmp_path):
    return labelled_run.copy_to(tmp_path)


@pytest.mark.long
def test_a_model_in_a_fresh_process_without_this_package(run, tmp_path, capsys):
    images, soft = by_predict(run)
    forget_images(run)
    assert models_iic.main(["merge", str(run), "3+7"]) == 2  # needs the images
    assert models_iic.main(["export", str(run)]) == 0
    place = run / "export-1"
    assert sorted(x.name for x in place.iterdir()) == [
        "classes.json",
        "model.keras",
        "saved_model",
    ]
    assert f"{place / 'classes.json'}" in capsys.readouterr().out
    facts = json.loads((place / "classes.json").read_text())
    assert facts["names"] == [str(i) for i in range(10)]
    assert facts["input"] == {"shape": [None, None, None, 1], "dtype": "uint8"}

    np.save(tmp_path / "images.npy", images)
    files = [tmp_path / "images.npy", place / "saved_model", tmp_path / "found.npz"]
    fresh = [sys.executable, "-c", FRESH, *map(str, files)]
    subprocess.run(fresh, check=True, capture_output=True, cwd=tmp_path)
    with np.load(tmp_path / "found.npz") as found:
        np.testing.assert_allclose(found["probabilities"], soft, atol=1e-4)
        assert found["index"].tolist() == soft.argmax(1).tolist()
        assert [name.decode() for name in found["names"]] == facts["names"]

    model = keras.models.load_model(place / "model.keras")
    again = model.predict(images, verbose=0)
    np.testing.assert_allclose(again["probabilities"], soft, atol=1e-4)


def test_names_come_out_and_numbers_where_they_are_asked_for(run, tmp_path, capsys):
    images, soft = by_predict(run)
    renamed = ["3+7", "--rename", "3=cats é"]
    assert models_iic.main(["merge", str(run), *renamed]) == 0
    export_it = ["export", str(run), "--format", "keras", "--to"]
    assert models_iic.main([*export_it, str(tmp_path / "a" / "named")]) == 0
    model = keras.models.load_model(tmp_path / "a" / "named" / "model.keras")
    names = list(model.get_layer("answer").class_names)
    assert names == ["0", "1", "2", "cats é", "4", "5", "6", "8", "9"]
    facts = json.loads((tmp_path / "a" / "named" / "classes.json").read_text("utf-8"))
    assert facts["names"] == names
    joined = np.delete(soft, 7, axis=1)
    joined[:, 3] = soft[:, 3] + soft[:, 7]
    found = model(images)["probabilities"]
    np.testing.assert_allclose(found, joined, atol=1e-4)
    assert models_iic.main([*export_it, str(tmp_path / "plain"), "--numbers"]) == 0
    plain = keras.models.load_model(tmp_path / "plain" / "model.keras")
    np.testing.assert_allclose(plain(images)["probabilities"], soft, atol=1e-4)

    capsys.readouterr()
    assert models_iic.main([*export_it, str(tmp_path / "plain")]) == 2
    error = capsys.readouterr().err
    assert "--to must be a new or an empty folder" in error and error.count("\n") == 1


@pytest.mark.long
def test_a_model_of_vectors_takes_vectors(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    changes = {"k": 3, "data.batch": 20, "data.features": tmp_path / "x.npy"}
    changes |= dict.fromkeys(
        ("graph.args.stages", "graph.args.fan_out_init", "graph.args.kernel")
    )
    given = words(None, tmp_path / "runs", name="vectors", **changes)
    assert models_iic.main(given) == 0
    run = tmp_path / "runs" / "vectors"
    _, soft = by_predict(run)
    (tmp_path / "x.npy").unlink()
    assert models_iic.main(["export", str(run), "--format", "keras"]) == 0
    model = keras.models.load_model(run / "export-1" / "model.keras")
    np.testing.assert_allclose(model(x)["probabilities"], soft, atol=1e-4)


def test_a_classifier_tells_its_classes(tmp_path):
    images = keras.Input((4, 4, 1))
    logits = Logits(2, class_names=("cat", "dog"), name="logits")
    model = keras.Model(images, logits(keras.layers.Flatten()(images)))
    model.save(tmp_path / "model.keras")
    found = export.exported(tmp_path)
    assert found.class_names == ("cat", "dog")
    x = np.random.default_rng(0).random((3, 4, 4, 1)).astype(np.float32)
    expected = keras.ops.softmax(model(x))
    np.testing.assert_allclose(found.network(x), expected, atol=1e-6)


def test_a_network_that_tells_no_classes_is_refused(tmp_path):
    images = keras.Input((4, 4, 1))
    keras.Model(images, keras.layers.Flatten()(images)).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="clusters or classes can be exported"):
        export.exported(tmp_path)


def test_onnx_without_its_converter_is_one_sentence(run, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert models_iic.main(["export", str(run), "--format", "onnx"]) == 2
    error = capsys.readouterr().err
    assert "pip install tf2onnx" in error and error.count("\n") == 1
    assert not (run / "export-1").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the converter
def test_onnx_gives_the_same(run):
    for package in ("tf2onnx", "onnx"):
        pytest.importorskip(package)
    runtime = pytest.importorskip("onnxruntime")
    images, soft = by_predict(run)
    assert models_iic.main(["export", str(run), "--format", "onnx"]) == 0
    session = runtime.InferenceSession(run / "export-1" / "model.onnx")
    outputs = [output.name for output in session.get_outputs()]
    found = dict(zip(outputs, session.run(None, {"images": images}), strict=True))
    # the run may compute in bfloat16, ONNX never does
    np.testing.assert_allclose(found["probabilities"], soft, atol=0.02)
    about = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    assert about["names"] == [str(i) for i in range(10)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["export"], "required: RUN"),
        (["export", "nowhere"], "export needs the folder of a run"),
        (["export", "{run}", "--format", "pt"], "invalid choice: 'pt'"),
        (["export", "{maps}"], "export needs a run that tells a cluster or a class"),
    ],
)
def test_mistakes_of_the_command_line(labelled_run, tmp_path, capsys, words, told):
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "options.yaml").write_text(f"data:\n  images: {tmp_path}\n")
    manifest = labelled_run.folder / "manifest.json"
    (maps / "manifest.json").write_text(manifest.read_text())
    places = {"run": str(labelled_run.folder), "maps": str(maps)}
    assert models_iic.main([word.format(**places) for word in words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
