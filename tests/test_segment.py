"""Runs that group pixels, as people use them: images in, label maps out."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from runs import for_all_workers, shared_run
from test_coco_stuff import write_pair

import data
import graphs
import models_iic
from commands import loading
from iic_tf.datasets.masks import IGNORE, decode_image, decode_labels
from iic_tf.report.curves import LearningCurve
from iic_tf.resolved import resolve
from iic_tf.tasks import segment
from iic_tf.training import stored

TINY = {
    "k": 3,
    "data.batch": 4,
    "data.repeats": 1,
    "data.augment.side": 16,
    "graph.args.fan_out_init": 4,
    "heads.main": 2,
    "heads.aux": 1,
    "train.steps": 8,
    "train.steps_per_call": 2,
    "train.regroup_every": 4,
    "report.every": 4,
    "report.checkpoint_every": 4,
    "report.window": "never",
}
"""Options of a run that is too short to be called degenerate: it ends with status 0."""


@pytest.fixture(autouse=True)
def few_plots(monkeypatch):
    """No learning curve: the shared run has one."""
    monkeypatch.setattr(LearningCurve, "update", lambda *_: None)


@pytest.fixture
def folders(tmp_path):
    return make_folders(tmp_path)


def make_folders(tmp_path):
    """Eight images of mixed sizes: bright above dark, with label maps."""
    rng = np.random.default_rng(0)
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images, masks):
        (folder / "train").mkdir(parents=True)
        (folder / "test").mkdir()
    for i in range(8):
        height, width = 20 + 2 * (i % 3), 30 - i % 2
        labels = np.zeros((height, width), np.uint8)
        labels[height // 3 :] = 1
        labels[-height // 4 :] = 2
        labels[:, -2:] = IGNORE
        image = np.array([[200, 210, 250], [120, 90, 60], [30, 40, 30], [0, 0, 0]])
        noise = rng.normal(0, 10, (height, width, 3))
        colours = image[np.minimum(labels, 3)] + noise
        name = f"{'test' if i % 4 == 3 else 'train'}/{i}.png"
        Image.fromarray(colours.clip(0, 255).astype(np.uint8)).save(images / name)
        Image.fromarray(labels).save(masks / name)
    return images, masks


def words(folders, out, **changes):
    images, masks = folders
    options = {**TINY, "data.images": images, "data.masks": masks, "out": out}
    options |= changes
    return [f"--{name}={value}" for name, value in options.items() if value is not None]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run, to look at or to copy: its folder, what it told, and its two folders.

    One image has no label map, one a damaged one.
    """
    place = for_all_workers(tmp_path_factory) / "segmented"
    folders = place / "images", place / "masks"

    def arguments():
        make_folders(place)
        (folders[1] / "train" / "0.png").unlink()
        (folders[1] / "train" / "1.png").write_bytes(b"none")
        changes = {"report.display": 1, "data.names": "[sky,wall,road]"}
        changes |= {"data.neighbours": 2, "name": "first"}
        return words(folders, place / "runs", **changes)

    return *shared_run(place, arguments), folders


def rows_of(folder):
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_with_label_maps(finished):
    folder, text, folders = finished
    assert re.search(r"IoU \d\.\d+  wall, \d+ % of the pixels", text)
    assert "Images:   8 for training" in text
    assert "crops of 16×16 pixels" in text
    assert "images of any size, 3 channels" in text
    assert "all main sub-heads restarted" in text
    assert "not scored: 1" in text
    assert "all of them showing one of 2 nearest" in text
    summary = json.loads((folder / "summary.json").read_text())
    printed = re.findall(r"Sub-head \d  error = (0\.\d{4})", text)
    np.testing.assert_allclose(
        summary["errors"], [float(error) for error in printed], atol=1e-4
    )
    assert set(summary["IoU"]) == {"sky", "wall", "road"}
    assert {"one-to-one", "many-to-one", "mean IoU", "NMI"} < set(summary["scores"])
    assert sorted(summary["classes"]) == ["road", "sky", "wall"]
    for name in (
        "segmentation.png",
        "confusion.png",
        "learning_curve.png",
        "model.keras",
    ):
        assert (folder / name).stat().st_size > 0
    assert len(list((folder / "display").glob("*.png"))) >= 2
    for i in range(8):
        name = f"{'test' if i % 4 == 3 else 'train'}/{i}.png"
        with Image.open(folders[0] / name) as image:
            size = image.size
        with Image.open(folder / "labels" / name) as labels:
            assert labels.mode == "P" and labels.size == size
            assert np.array(labels).max() < 3
    assert [row["step"] for row in rows_of(folder)] == [4, 8]
    assert "scored_on" in rows_of(folder)[0]


def test_a_name_for_every_class(folders, out, capsys):
    changes = {"data.names": "[sky,wall]", "name": "first"}
    assert models_iic.main(words(folders, out, **changes)) == 2
    assert "a name for every class" in capsys.readouterr().err


@pytest.mark.long
def test_label_maps_never_touch_training(finished, out, capsys):
    folder, _, folders = finished
    changes = {"data.masks": None, "data.neighbours": 2, "name": "without"}
    assert models_iic.main(words(folders, out, **changes)) == 0
    assert "rror" not in capsys.readouterr().out
    summary = json.loads((out / "without" / "summary.json").read_text())
    assert summary["errors"] is None and summary["IoU"] == {}
    assert (out / "without" / "segmentation.png").is_file()
    one, other = (
        keras.models.load_model(run / "model.keras").get_weights()
        for run in (folder, out / "without")
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_pixels_without_a_class_train_not_only_where_asked(folders, out):
    for masked in (False, True):
        changes = {"segment.masked": masked, "name": str(masked)}
        assert models_iic.main(words(folders, out, **changes)) == 0
    losses = [rows_of(out / name)[0]["main_loss"] for name in ("False", "True")]
    assert losses[0] != losses[1]


@pytest.mark.slow
def test_holdout(folders, out, capsys, monkeypatch):
    monkeypatch.setattr(stored, "UNLIKE", 0.0)
    monkeypatch.setattr(stored, "MIN_UNLIKE", 2)
    assert models_iic.main(words(folders, out, **{"data.protocol": "holdout"})) == 0
    text = capsys.readouterr().out
    assert "Images:   6 for training" in text
    assert "2 images of test, not used for training, with clusters mapped" in text
    assert "with report.adapt true, which adapts" in " ".join(text.split())


@pytest.mark.slow
def test_a_network_is_adapted_to_the_pictures_scored(folders, out, capsys):
    plain = words(folders, out, **{"data.protocol": "holdout", "name": "plain"})
    assert models_iic.main(plain) == 0
    adapted = ["--report.adapt=true", "--name=adapted"]
    assert models_iic.main([*plain, *adapted]) == 0
    text = capsys.readouterr().out
    assert "on the training images, with batch norm" in " ".join(text.split())
    first, second = (
        json.loads((out / name / "summary.json").read_text())
        for name in ("plain", "adapted")
    )
    assert (
        rows_of(out / "plain")[-1]["errors"] == rows_of(out / "adapted")[-1]["errors"]
    )
    assert first["scores"] != second["scores"]
    for a, b in zip(
        *(keras.models.load_model(out / run / "model.keras").weights
          for run in ("plain", "adapted")),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    assert models_iic.main(["evaluate", str(out / "plain"), adapted[0]]) == 0
    again = json.loads((out / "plain" / "evaluation-1" / "summary.json").read_text())
    assert again["scores"] == second["scores"]


@pytest.mark.long
def test_resumed_equals_uninterrupted(finished, out):
    whole, *_ = finished
    half = Path(shutil.copytree(whole, out / "half"))
    for file in (half / "checkpoints").glob("*-8.*"):
        file.write_bytes(b"")  # the newest is damaged: the one before is taken
    assert models_iic.main(["--resume", str(half)]) == 0
    one, other = (
        keras.models.load_model(run / "model.keras").get_weights()
        for run in (whole, half)
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_processes_agree_bit_for_bit(folders, out):
    changes = {"data.batch": 16, "heads.k_aux": 40, "data.neighbours": 0}
    found = []
    for name in ("one", "two", "three", "four"):
        script = str(Path(models_iic.__file__))
        command = [sys.executable, script, *words(folders, out, name=name, **changes)]
        status = subprocess.run(command, capture_output=True, check=False).returncode
        assert status == 0
        found.append(
            json.loads((out / name / "summary.json").read_text())["information"]
        )
    assert found[1:] == found[:1] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"segment.at": "pixels", "segment.collapsed": True, "segment.detached": True},
        {"segment.sparse": "[1,2]", "data.augment.zoom": "[0.8,1.2]"},
        {"graph.name": "network_10a", "graph.args.fan_out_init": None,
         "heads.bias": False, "train.steps": 2, "report.every": 2,
         "data.repeats": 1, "segment.at": "pixels"},
    ],
)  # fmt: skip
def test_other_ways_to_compare_maps(folders, out, changes):
    assert models_iic.main(words(folders, out, name="so", **changes)) == 0
    plain = {
        name: value for name, value in changes.items() if not name.startswith("segment")
    }
    plain.pop("data.augment.zoom", None)
    assert models_iic.main(words(folders, out, name="plain", **plain)) == 0
    so, usual = (rows_of(out / name)[-1]["main_loss"] for name in ("so", "plain"))
    assert np.isfinite(so).all() and not np.allclose(so, usual, rtol=1e-4)


@pytest.mark.long
def test_new_pictures_are_labelled_by_a_stored_run(finished, out, tmp_path, capsys):
    folder, _, folders = finished
    run = Path(shutil.copytree(folder, out / "first"))
    assert models_iic.main(["predict", str(run), str(folders[0] / "test")]) == 0
    text = capsys.readouterr().out
    place = folders[0] / "test"
    told = f"Applied: to 2 images of {place}, in memory (0 MB), not the set of images"
    assert told in " ".join(text.split())
    place = run / "evaluation-1"
    for name in ("3", "7"):
        labels = decode_labels(place / "labels" / f"{name}.png")
        again = decode_labels(run / "labels" / "test" / f"{name}.png")
        np.testing.assert_array_equal(labels, again)
        assert (place / "overlays" / f"{name}.jpg").is_file()
    assert models_iic.main(["evaluate", str(run)]) == 0
    again = json.loads((run / "evaluation-2" / "summary.json").read_text())
    first = json.loads((run / "summary.json").read_text())
    np.testing.assert_allclose(again["errors"], first["errors"], atol=1e-4)
    capsys.readouterr()
    grey = tmp_path / "grey"
    grey.mkdir()
    for path in folders[0].rglob("*.png"):
        with Image.open(path) as image:
            image.convert("L").save(grey / path.name)
    assert models_iic.main(["predict", str(run), str(grey)]) == 0
    assert len(list((run / "evaluation-3" / "labels").iterdir())) == 8
    one = ["predict", str(run), str(grey / "3.png")]  # a file alone
    assert models_iic.main(one) == 0
    [labels] = (run / "evaluation-4" / "labels").iterdir()
    assert labels.name == "3.png"
    capsys.readouterr()
    assert models_iic.main(["evaluate", str(run), f"--data.folder={folders[0]}"]) == 2
    assert (
        "is for segmentation: its images are given as data.images"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_single_large_picture_in_tiles(folders, out, monkeypatch):
    """Windows of one image fill a batch; tiles give nearly what the whole gives."""
    for folder in folders:
        for path in sorted(folder.glob("*/*.png"))[1:]:
            path.unlink()
    monkeypatch.setattr("iic_tf.evaluation.segment_inference.TILE", 16)
    monkeypatch.setattr("iic_tf.evaluation.segment_inference.OVERLAP", 8)
    assert models_iic.main(words(folders, out, name="first")) == 0
    [path] = (out / "first" / "labels").glob("*/*.png")
    [image] = folders[0].glob("*/*.png")
    monkeypatch.setattr("iic_tf.evaluation.segment_inference.TILE", 512)
    assert models_iic.main(["predict", str(out / "first"), str(folders[0])]) == 0
    again = next((out / "first" / "evaluation-1" / "labels").glob("**/*.png"))
    tiled, whole = decode_labels(path), decode_labels(again)
    known = decode_labels(folders[1] / image.relative_to(folders[0]))
    assert tiled.shape == whole.shape == known.shape
    assert (tiled == whole).mean() > 0.9 and len(np.unique(whole)) > 1


@pytest.mark.slow
def test_pictures_can_be_scaled(folders, out):
    changes = {"data.resize": 0.5, "data.augment.side": 8, "name": "first"}
    assert models_iic.main(words(folders, out, **changes)) == 0
    labels = decode_labels(out / "first" / "labels" / "train" / "0.png")
    assert labels.shape == (20, 30)  # as the file, of two pixels each way the same
    np.testing.assert_array_equal(labels, labels[::2, ::2].repeat(2, 0).repeat(2, 1))
    assert models_iic.main(["predict", str(out / "first"), str(folders[0])]) == 0
    place = out / "first" / "evaluation-1" / "labels" / "train" / "0.png"
    np.testing.assert_array_equal(decode_labels(place), labels)


def test_what_the_user_leaves_open_is_that_of_the_recipe():
    asked = models_iic.parse(["--k=4", "--train.regroup_every=50"])
    for name, expected in (
        ("images", (600, 50, 0.8, 1)),
        ("scenes", (600, 50, 0.8, 1.5)),
        ("potsdam_3", (1600, 50, 0.65, 1)),
    ):
        train = resolve(asked, data.RECIPES[name].usual).train
        found = (train.steps, train.regroup_every, train.regroup_to, train.lamb_aux)
        assert found == expected


@pytest.mark.parametrize(("margin", "counted"), [(0, 8), (5, 6), (15, 2)])
def test_the_borders_of_windows_say_nothing_of_health(folders, margin, counted):
    changes = {"data.augment.side": 32, "data.augment.margin": margin}
    changes |= {"data.neighbours": 0, "data.augment.flipped": 0}
    changes |= {"data.augment.rotation": 0, "data.augment.scale": "[1,1]"}
    options = models_iic.parse(words(folders, "runs", **changes))
    loaded = loading.load(options)
    options, task = loaded.options, loaded.task
    images = [np.zeros((32, 32, 3), np.uint8)] * 4
    protocol = task.protocol
    few = replace(protocol.train, images=images)
    task = replace(task, protocol=replace(protocol, train=few))
    model = task.build(graphs.small_segment((None, None, 3)), options)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "measure", lambda joint: seen.append(joint))
        task.health(model, options)
    per_window = seen[0].sum(axis=(1, 2)) / 4
    np.testing.assert_allclose(per_window, counted**2, rtol=1e-4)  # of places of 4 × 4


def test_edges_and_infrared_reach_the_network():
    views = data.maps((16, 16, 4), side=16, channels="rgb+edges")
    seen = views.finish(tf.random.uniform((1, 16, 16, 4)), (0, 0))
    assert seen.shape[-1] == 5 and views.edges and views.infrared
    backbone = graphs.on_views(
        graphs.small_segment, (None, None, 5), sobel=True, infrared=True
    )
    assert backbone(seen).shape[:3] == (1, 4, 4)


@pytest.fixture
def bands(tmp_path):
    """Images of four bands, and their values."""
    folder = tmp_path / "bands"
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (4, 24, 32, 4), dtype=np.uint8)
    values[..., 0] = 90
    folder.mkdir()
    for i, value in enumerate(values):
        Image.fromarray(value, "RGBA").save(folder / f"{i}.tif")
    return folder, values


def test_the_fourth_band_of_pictures_is_infrared(folders, bands, out, capsys):
    folder, values = bands
    found = decode_image(folder / "0.tif", channels=4)
    np.testing.assert_array_equal(found, values[0])
    changes = {"data.images": folders[0], "data.masks": None, "data.channels": 4}
    assert models_iic.main(words(folders, out, **changes)) == 2
    assert "must have four bands, but its mode is RGB" in capsys.readouterr().err


@pytest.mark.slow  # test_edges_and_infrared_reach_the_network has the rest
def test_a_run_on_four_bands(folders, bands, out):
    changes = {"data.images": bands[0], "data.masks": None, "data.channels": 4}
    changes |= {"data.augment.channels": "edges", "name": "bands"}
    assert models_iic.main(words(folders, out, **changes)) == 0
    assert models_iic.main(["predict", str(out / "bands"), str(bands[0])]) == 0


def test_what_a_run_on_swapped_colours_is_applied_to_is_swapped(tmp_path):
    """BGR of the authors, also where a run is applied to anyone's images."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(image).save(tmp_path / "images" / "x.png")
    images = f"--data.images={tmp_path / 'images'}"
    recipe = "--data.recipe=coco_stuff_3"
    for mistakes, expected in (("[bgr]", image[..., ::-1]), ("[]", image)):
        options = models_iic.parse(
            [recipe, images, "--data.resize=1", f"--data.repeat_mistakes={mistakes}"]
        )
        _, _, source = data.find(options.data)
        np.testing.assert_array_equal(source.splits["the images"].images[0], expected)


def test_pairs_are_shown(folders, out, capsys):
    assert models_iic.main([*words(folders, out), "--show-pairs"]) == 0
    assert (out / "pairs_images.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data.images": "nowhere"}, "data.images must be a folder"),
        ({"data.masks": "nowhere"}, "data.masks must be a folder"),
        ({"data.images": None}, "data.masks needs data.images"),
        ({"data.recipe": "coco_stuff_3", "data.images": None, "data.masks": None},
         "needs --data.dir FOLDER"),
        ({"graph.name": "small"}, "small_segment, network_10a for the task segment"),
        ({"segment.displacement": -1}, "segment.displacement must be at least 0"),
        ({"segment.masked": True, "data.masks": None}, "segment.masked needs images"),
        ({"data.augment.side": 4}, "data.augment.side must be at least 8"),
        ({"data.merge": "[0,300]"}, "data.merge must be at most 256 classes"),
        ({"data.ignore": 300}, "data.ignore must lie between 0 and 255"),
        ({"data.recipe": "cifar10"}, "data.recipe must be one of images"),
        ({"data.augment.side": 18}, "data.augment.side must be a multiple of 4"),
        ({"segment.displacement": 500}, "must be less than the 4 positions along"),
        ({"data.augment.channels": "sobel"}, "data.augment.channels must be one of"),
        ({"data.size": 32}, "data.size is for data.folder"),
        ({"data.classes": "few"}, "data.classes is for recipes of COCO-Stuff"),
        ({"data.images": None, "data.masks": None, "data.recipe": "coco_stuff_3",
          "data.names": "[sky]"}, "data.names is for data.images"),
        ({"report.progression": 5}, "report.progression is for whole images"),
        ({"report.adapt": True, "graph.name": "network_10a", "graph.args.tracked":
          False, "graph.args.fan_out_init": None}, "keeps running statistics"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_sentence(folders, out, capsys, changes, sentence):
    assert models_iic.main(words(folders, out, **changes)) == 2
    assert sentence in capsys.readouterr().err


def test_pictures_are_curated(tmp_path, capsys):
    for i, wanted in enumerate((1.0, 0.5)):
        values = np.full((360, 361), 255, np.uint8)
        values[: int(360 * wanted)] = 148
        for split in ("train2017", "val2017"):
            write_pair(
                tmp_path / "images" / split / f"{i}.jpg",
                tmp_path / "annotations" / split / f"{i}.png",
                values,
            )
    (tmp_path / "images" / "val2017").rename(tmp_path / "elsewhere")
    assert models_iic.main(["curate", str(tmp_path), "--name", "mine"]) == 2
    assert not (tmp_path / "curated").exists()
    (tmp_path / "elsewhere").rename(tmp_path / "images" / "val2017")
    damaged = tmp_path / "annotations" / "val2017" / "0.png"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"none")
    assert models_iic.main(["curate", str(tmp_path), "--name", "mine"]) == 2
    assert "0.png must be a label map" in capsys.readouterr().err
    assert not (tmp_path / "curated").exists()
    damaged.write_bytes(whole)
    assert models_iic.main(["curate", str(tmp_path), "--name", "mine"]) == 0
    assert (tmp_path / "curated" / "val2017" / "mine.txt").read_text() == "0\n"
    assert "1 of 2 images" in capsys.readouterr().out
    assert models_iic.main(["curate", str(tmp_path), "--name", "mine"]) == 2
    assert "must not exist" in capsys.readouterr().err
    wrong = ["curate", str(tmp_path), "--name", "other", "--classes", "no"]
    assert models_iic.main(wrong) == 2
    assert "classes must be one of" in capsys.readouterr().err


def test_k_means_on_the_same_pixels(folders, capsys, monkeypatch):
    script = str(Path(models_iic.__file__).parent / "benchmarks" / "kmeans_maps.py")
    images, masks = map(str, folders)
    call = [script, "--images", images, "--masks", masks]
    asked = ["--k", "3", "--seeds", "0", "--holdout", "--adapt", "--channels", "3"]
    monkeypatch.setattr(sys, "path", list(sys.path))  # which the script changes
    monkeypatch.setattr(sys, "argv", [*call, *asked])
    runpy.run_path(script, run_name="__main__")
    said = capsys.readouterr().out
    told = re.findall(r"on ([\w ]+): .* ([01]\.\d{4}) / ([01]\.\d{4})", said)
    names = [name for name, _, _ in told]
    assert names == ["colours", "colours and places", "filter bank", "dense SIFT"]
    assert float(told[0][1]) > 0.9  # bands of three colours
    monkeypatch.setattr(sys, "argv", [*call, "--k", "2"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(script, run_name="__main__")
    assert caught.value.code == 2
    assert "--k must be at least the 3 classes" in capsys.readouterr().err


def test_label_maps_of_tiles_are_joined(tmp_path, capsys):
    for row in range(2):
        tile = Image.fromarray(np.full((4, 6), row, np.uint8))
        (tmp_path / "labels").mkdir(exist_ok=True)
        tile.save(tmp_path / "labels" / f"7_13_{row}_0.png")
    out = tmp_path / "whole"
    call = ["prepare", "mosaic", str(tmp_path / "labels"), str(out)]
    assert models_iic.main(call) == 0
    joined = decode_labels(out / "7_13.png")
    np.testing.assert_array_equal(joined[:, 0], [0] * 4 + [1] * 4)
    (tmp_path / "labels" / "7_13_0_0.png").unlink()
    assert models_iic.main(["mosaic", str(tmp_path / "labels"), str(out)]) == 0
    with Image.open(out / "7_13.png") as image:
        colours = np.array(image.convert("RGB"))
    assert not colours[:4].any() and colours[4:].any(axis=-1).all()
    coloured = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    for wrong in (coloured, np.zeros((4, 5), np.uint8)):
        Image.fromarray(wrong).save(tmp_path / "labels" / "7_13_0_0.png")
        assert models_iic.main(["mosaic", str(tmp_path / "labels"), str(out)]) == 2
    errors = capsys.readouterr().err
    assert "must hold label maps" in errors and "must have one shape" in errors


def test_a_ring_that_a_network_leaves_undecided_is_not_in_the_whole(tmp_path):
    tile = np.pad(np.full((2, 4), 2, np.uint8), 1)
    (tmp_path / "labels").mkdir()
    Image.fromarray(tile).save(tmp_path / "labels" / "7_13_0_0.png")
    call = ["mosaic", str(tmp_path / "labels"), str(tmp_path / "whole")]
    for words, expected in (([], np.full_like(tile, 2)), (["--border", "0"], tile)):
        assert models_iic.main([*call, *words]) == 0
        found = decode_labels(tmp_path / "whole" / "7_13.png")
        np.testing.assert_array_equal(found, expected)


def test_potsdam_is_prepared_or_the_mistake_told(tmp_path, capsys):
    assert models_iic.main(["prepare-potsdam", str(tmp_path), "out"]) == 2
    assert "4_Ortho_RGBIR" in capsys.readouterr().err
    assert models_iic.main(["prepare-potsdam"]) == 2
    assert "prepare-potsdam: the following" in capsys.readouterr().err
