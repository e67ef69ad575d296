import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

import graphs
import iic_tf
from iic_tf import ImageClusterer, ImageSegmenter
from iic_tf.report.console import console
from iic_tf.report.curves import LearningCurve


def small(shape):
    return graphs.small_segment(shape, fan_out_init=8)


QUICK = {"steps": 2, "n_neighbors": 0, "batch_size": 4, "side": 32}


@pytest.fixture(autouse=True)
def few_plots(request, monkeypatch):
    """No learning curve but where a test looks at it."""
    if "plots" not in request.keywords:
        monkeypatch.setattr(LearningCurve, "update", lambda *_: None)


def of_two_textures(number, *, height=48, width=48, seed=0):
    """Stripes left of an edge that lies anywhere, smooth grey right of it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    edges = rng.integers(width // 3, 2 * width // 3, (number, 1, 1))
    which = (columns >= edges).astype(int)
    stripes = 128 + 100 * np.sign(np.sin(rows * np.pi / 2 + 0.1))
    images = np.where(which == 0, stripes, 128) + rng.normal(0, 5, which.shape)
    return images.clip(0, 255).astype(np.uint8)[..., None], which


@pytest.fixture(scope="module")
def images():
    return of_two_textures(8)


@pytest.fixture(scope="module")
def fitted(images):
    how = {"backbone": small, "steps": 30, "batch_size": 8, "random_state": 5}
    segmenter = ImageSegmenter(2, **{**QUICK, **how})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LearningCurve, "update", lambda *_: None)
        return segmenter.fit(images[0])


def test_two_textures_are_told_apart(fitted, images):
    x, which = images
    assert fitted.labels_.shape == (8, 48, 48) and fitted.labels_.dtype == np.int32
    right = (fitted.labels_ == which).mean()
    assert max(right, 1 - right) > 0.8
    np.testing.assert_array_equal(fitted.predict(x), fitted.labels_)
    proba = fitted.predict_proba(x)
    assert proba.shape == (8, 48, 48, 2)
    np.testing.assert_allclose(proba.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_array_equal(proba.argmax(axis=-1), fitted.labels_)
    others, which = of_two_textures(3, seed=1)
    right = (fitted.predict(others) == which).mean()
    assert max(right, 1 - right) > 0.8
    assert fitted.n_iter_ == 30 and fitted.history_[-1]["step"] == 30


def test_its_score_needs_no_labels(fitted, images):
    assert 0.1 < fitted.information_ <= np.log(2)
    assert fitted.score(images[0]) == pytest.approx(fitted.information_, abs=1e-3)
    noise = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 1), dtype=np.uint8)
    assert fitted.score(noise) < fitted.information_ / 2


def test_lists_give_lists_of_the_same_sizes(fitted, images):
    wide, _ = of_two_textures(1, height=30, width=70, seed=2)
    mixed = [images[0][0], wide[0, ..., 0]]
    maps = fitted.predict(mixed)
    assert [part.shape for part in maps] == [(48, 48), (30, 70)]
    np.testing.assert_array_equal(maps[0], fitted.labels_[0])
    assert [part.shape for part in fitted.predict_proba(mixed)] == [
        (48, 48, 2),
        (30, 70, 2),
    ]


def test_saved_without_pickle_and_loaded(fitted, images, tmp_path):
    fitted.save(tmp_path / "mine")
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {
        "estimator.json",
        "labels.npz",
        "model.keras",
    }
    again = ImageSegmenter.load(tmp_path / "mine")
    assert again.get_params() == {**fitted.get_params(), "backbone": None}
    np.testing.assert_array_equal(again.labels_, fitted.labels_)
    assert again.information_ == fitted.information_
    np.testing.assert_allclose(
        again.predict_proba(images[0]), fitted.predict_proba(images[0]), atol=1e-2
    )
    assert (again.predict(images[0]) == fitted.labels_).mean() > 0.999
    assert again.score(images[0]) == pytest.approx(fitted.information_, abs=1e-2)
    with pytest.raises(ValueError, match=r"must be a folder that ImageClusterer\.save"):
        ImageClusterer.load(tmp_path / "mine")


def test_parameters_are_those_of_scikit_learn(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params() and not hasattr(copy, "labels_")
    assert copy.set_params(n_clusters=3, augment="scenes").n_clusters == 3
    with pytest.raises(ValueError, match="not fitted"):
        copy.predict(np.zeros((1, 48, 48), np.uint8))


def test_values_of_the_same_kind_are_read_alike():
    """One range for all: what is dim stays dim, whatever comes with it."""
    depths, _ = of_two_textures(4)
    floats = list(depths.astype(np.float32) / 255 * 30 - 3)
    segmenter = ImageSegmenter(2, value_range=(-3, 27), **QUICK)
    segmenter._read(floats, reset=True)
    read = segmenter._read(floats[:1], reset=False).images.images[0]
    np.testing.assert_allclose(read, depths[0], atol=1)
    dim = segmenter._read([np.full((9, 9, 1), 12, np.float32)], reset=False)
    assert set(dim.images.images[0].ravel()) == {128}
    segmenter = ImageSegmenter(2, **QUICK)
    segmenter._read(depths, reset=True)
    black = segmenter._read(np.ones((1, 9, 9), np.uint8), reset=False)
    assert set(black.images.images[0].ravel()) == {1}
    segmenter._read(np.ones((1, 9, 9), bool), reset=True)
    assert segmenter._shown_ == (0, 1)


@pytest.mark.long
@pytest.mark.plots
def test_a_folder_of_mixed_sizes_whose_run_is_kept(tmp_path, capsys):
    quiet = console.quiet
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for i, width in enumerate((48, 60, 52)):
        picture = of_two_textures(1, width=width, seed=i)[0][0, ..., 0]
        Image.fromarray(picture).save(tmp_path / "images" / "deep" / f"{i}.png")
    (tmp_path / "images" / "none.png").write_bytes(b"none")
    runs = tmp_path / "runs"
    segmenter = ImageSegmenter(2, out=str(runs), verbose=True, **QUICK)
    maps = segmenter.fit_predict(tmp_path / "images")
    assert [part.shape for part in maps] == [(48, 48), (48, 60), (48, 52)]
    assert segmenter.paths_ == tuple(f"deep/{i}.png" for i in range(3))
    text = capsys.readouterr().out
    assert "step 2 of 2" in text and "Skipped: 1 file" in text
    assert console.quiet == quiet
    [run] = runs.iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["chosen"] == segmenter.chosen_
    written = np.asarray(Image.open(run / "labels" / "deep" / "1.png"))
    np.testing.assert_array_equal(written, maps[1])
    for found, expected in zip(
        segmenter.predict(str(tmp_path / "images")), maps, strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    segmenter.save(tmp_path / "mine")
    again = ImageSegmenter.load(tmp_path / "mine")
    assert again.paths_ == segmenter.paths_
    for found, expected in zip(again.labels_, maps, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.long
def test_edges_and_infrared_are_seen_where_a_recipe_says_so():
    colours = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 4), dtype=np.uint8)
    segmenter = ImageSegmenter(2, augment="coco_stuff_3", **QUICK).fit(colours)
    assert segmenter.model_.backbone.name == "sobel_small_segment"
    assert segmenter.labels_.shape == (4, 40, 40)


GREY = np.zeros((3, 48, 48), np.uint8)


@pytest.mark.parametrize(
    ("parameters", "x", "says"),
    [
        ({"n_clusters": 1}, GREY, "k must be at least 2"),
        ({"n_clusters": 256}, GREY, "k must be at most 255"),
        ({"augment": "colour"}, GREY, "augment must be one of .*images, scenes"),
        ({"backbone": "small"}, GREY, "graph.name must be one of small_segment"),
        ({"steps": 0}, GREY, "train.steps must be at least 1"),
        ({"side": 30}, GREY, "side must be a multiple of 4"),
        ({}, GREY[0], r"a single image is given as X\[None\]"),
        ({}, np.zeros((48, 48, 3)), r"a single image is given as X\[None\]"),
        ({}, np.zeros((2, 3, 48, 48)), "with 1, 3 or 4 channels"),
        ({}, np.full((2, 48, 48, 1), np.nan), "X must hold finite values"),
        ({}, [], "at least one image"),
        ({}, [GREY[0], np.zeros((48, 48, 3), np.uint8)], "same number of channels"),
        ({}, [GREY[0], np.zeros((48, 48))], "same type"),
        ({}, "nowhere", "X must be a folder of images"),
        ({}, 3, "X must be an array of images, a list of images or a folder"),
    ],
)
def test_mistakes_are_one_sentence(parameters, x, says):
    with pytest.raises(ValueError, match=says) as raised:
        ImageSegmenter(**{**QUICK, **parameters}).fit(x)
    assert "\n" not in str(raised.value)


def test_images_have_the_channels_of_those_learned_from(fitted):
    with pytest.raises(ValueError, match="must have 1 channel, as in fit"):
        fitted.predict(np.zeros((1, 48, 48, 3), np.uint8))


@pytest.mark.long
def test_the_lines_of_the_docs(images, tmp_path, monkeypatch):
    text = (Path(__file__).parents[1] / "docs" / "python.md").read_text()
    [code] = re.findall(r"```python\n(from iic_tf import ImageSegmenter.*?)```", text,
                        re.DOTALL)  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        iic_tf,
        "ImageSegmenter",
        partial(ImageSegmenter, **QUICK, backbone=small),
        raising=False,
    )
    said = {"images": images[0], "more_images": [images[0][0], images[0][1, :30]]}
    exec(compile(code, "python.md", "exec"), said)
    assert said["maps"].shape == (8, 48, 48)
