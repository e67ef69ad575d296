"""Frozen backbones: from the network in two parts to the command line."""

import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image
from runs import TINY, as_words

import graphs
import models_iic
from iic_tf.errors import UserError
from iic_tf.models.frozen import as_trunk, behind_trunk, split_at_trunk
from iic_tf.models.networks import ClusterIIC

SIZE = 16
SHORT = {name: v for name, v in TINY.items() if not name.startswith("graph.args")}
SHORT |= {"data.batch": 16, "data.augment.size": SIZE, "k": 3, "graph.frozen": "true"}


def small(seed=0, *, size=SIZE, channels=3):
    keras.utils.set_random_seed(seed)
    return graphs.small((size, size, channels), fan_out_init=4, kernel=3)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "small.weights.h5"
    small().save_weights(path)
    return path


def write_images(folder, number=45, side=20):
    """Three classes: dark, bright, half and half."""
    rng = np.random.default_rng(1)
    for i in range(number):
        place = folder / "abc"[i % 3]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 60, (side, side, 3))
        if i % 3:
            pixels[: side if i % 3 == 1 else side // 2] += 190
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i:02}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "images")


@pytest.fixture
def command(tmp_path, folder, weights):
    """Words of a run on the folder."""

    def build(**changes):
        given = {
            **SHORT,
            "data.folder": folder,
            "data.labels": "folder",
            "graph.args.weights": weights,
            "graph.args.fan_out_init": 4,
            "graph.args.kernel": 3,
            "out": tmp_path / "runs",
        }
        return as_words({**given, **changes})

    return build


# ------------------------------------------------------------------------- the network


def test_images_of_any_size_go_through_trunk_and_head_as_through_both(tmp_path):
    trunk = as_trunk(small(), size=SIZE, channels=3)
    images = np.random.default_rng(0).random((5, 30, 24, 3), np.float32)
    features = trunk(images, training=False)
    network = ClusterIIC.create(
        graphs.mlp((features.shape[1],), widths=(8,)), k=3, k_aux=6
    )
    expected = network(features, training=False)
    behind_trunk(trunk, network).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for bank, found in loaded(images, training=False).items():
        np.testing.assert_allclose(found, expected[bank], atol=1e-5)
    again, head = split_at_trunk(loaded)
    np.testing.assert_allclose(again(images, training=False), features, atol=1e-5)
    found = head(features, training=False)["main"]
    np.testing.assert_allclose(found, expected["main"], atol=1e-5)
    assert not again.trainable_variables and split_at_trunk(network) is None


def test_grey_images_are_repeated_and_maps_averaged():
    images = keras.Input((8, 8, 3))
    maps = keras.Model(images, keras.layers.Rescaling([1.0, 2.0, 3.0])(images))
    trunk = as_trunk(maps, size=99, channels=1)
    grey = np.full((2, 20, 20, 1), 0.5, np.float32)
    np.testing.assert_allclose(trunk(grey), [[0.5, 1.0, 1.5]] * 2, rtol=1e-5)
    with pytest.raises(UserError, match="must take images of 3 channels"):
        as_trunk(graphs.mlp((8,)), size=8, channels=3)


# ---------------------------------------------------------------------------- the runs


def rows_of(place):
    with (place / "assignments.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_a_run_its_network_and_what_is_done_with_it(command, tmp_path, capsys):
    runs = tmp_path / "runs"
    neighbours = {"data.neighbours": 3, "train.steps": 30, "name": "first"}
    assert models_iic.main(command(**neighbours)) == 0
    assert "small, frozen, and mlp on" in capsys.readouterr().out
    assert (runs / "first" / "clusters.png").is_file()
    assert json.loads((runs / "first" / "manifest.json").read_text())["data_shape"] == [
        *(45, SIZE, SIZE, 3)
    ]

    # another k: features are known
    assert models_iic.main(command(k=2, name="second")) == 0
    assert "Features: " in (told := capsys.readouterr().out) and ", from " in told

    # the network takes images, and knows their clusters
    rows = rows_of(runs / "first")
    model = keras.models.load_model(runs / "first" / "model.keras")
    chosen = json.loads((runs / "first" / "summary.json").read_text())["chosen"]
    files = [tmp_path / "images" / row["path"] for row in rows]
    size = (SIZE, SIZE)
    images = np.stack([np.asarray(Image.open(f).resize(size, 4)) for f in files])
    soft = model.predict(images.astype(np.float32) / 255, verbose=0)["main"][:, chosen]
    same = soft.argmax(-1) == [int(row["cluster"]) for row in rows]
    assert same.mean() > 0.9  # files are not resized quite alike

    # neither needs the file of weights
    (tmp_path / "small.weights.h5").unlink()
    assert models_iic.main(["evaluate", str(runs / "first")]) == 0
    told = capsys.readouterr().out
    assert ", from " in told and "not the images" not in told
    assert rows_of(runs / "first" / "evaluation-1") == rows
    new = write_images(tmp_path / "new", 6, side=31)
    assert models_iic.main(["predict", str(runs / "first"), str(new)]) == 0
    assert len(rows_of(runs / "first" / "evaluation-2")) == 6
    assert len(list((runs / "features").iterdir())) == 1
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "path,class\n" + "\n".join(f"{r['path']},{r['path'][0]}" for r in rows)
    )
    name = ["name", str(runs / "first"), "--labels", str(labels)]
    assert models_iic.main(name) == 0
    named = keras.models.load_model(runs / "first" / "named" / "named.keras")
    assert named.predict(images[:2] / 255.0, verbose=0).shape[0] == 2


def test_a_quick_look_and_a_network_of_ones_own(command, folder, tmp_path, capsys):
    small().save(tmp_path / "own.keras")
    changes = {"graph.args.weights": tmp_path / "own.keras", "method": "spectral"}
    changes |= {"data.neighbours": 3, "graph.args.fan_out_init": None}
    assert models_iic.main(command(**changes, **{"graph.args.kernel": None})) == 0
    assert "one-to-one" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.usefixtures("few_plots")
def test_a_stopped_run_goes_on_from_its_features(command, tmp_path, capsys):
    assert models_iic.main(command(name="first")) == 0
    capsys.readouterr()
    again = ["--resume", str(tmp_path / "runs" / "first"), "--train.steps", "12"]
    assert models_iic.main(again) == 0
    told = capsys.readouterr().out
    assert ", from " in told and "resumed at step 8" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"graph.args.weights": None}, "graph.frozen needs graph.args.weights"),
        ({"graph.args.weights": "no.h5"}, "must be a file, or imagenet"),
        ({"graph.args.weights": "imagenet"}, "is for networks of keras.applications"),
        ({"graph.args.fan_out_init": 8}, "does not fit graph.name small"),
        ({"data.augment.rotation": 30}, "data.augment of embeddings accepts size, "),
        ({"task": "classify"}, "the task classify does not use it"),
        (
            {"data.folder": None, "data.images": "x", "data.labels": None},
            "the task segment does not use it",
        ),
    ],
)
def test_what_makes_no_sense_is_one_sentence(command, capsys, changes, told):
    assert models_iic.main(command(**changes)) == 2
    assert told in capsys.readouterr().err


def test_vectors_are_features_already(command, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((40, 3), np.float32))
    places = {"data.folder": None, "data.labels": None}
    places["data.features"] = tmp_path / "x.npy"
    assert models_iic.main(command(**places)) == 2
    assert "graph.frozen is for images" in capsys.readouterr().err
