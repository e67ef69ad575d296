import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import iic_tf
from commands import loading
from iic_tf import ImageClusterer
from iic_tf.options import DataOptions, Options
from iic_tf.report.console import console
from iic_tf.run_folder import read_options

pytestmark = pytest.mark.usefixtures("few_plots")


def tiny(shape):
    x = keras.Input(shape)
    features = keras.layers.Dense(8, "relu")(keras.layers.Flatten()(x))
    return keras.Model(x, features)


QUICK = {"backbone": tiny, "steps": 3, "n_neighbors": 0, "batch_size": 20}


@pytest.fixture(scope="module")
def vectors():
    """Three clouds of ten features, far from one another."""
    rng = np.random.default_rng(0)
    which = np.arange(300) % 3
    centres = 5 * rng.normal(size=(3, 10))
    return (centres[which] + rng.normal(size=(300, 10))).astype(np.float32), which


@pytest.fixture(scope="module")
def fitted(vectors):
    clusterer = ImageClusterer(3, steps=60, batch_size=100, random_state=4)
    return clusterer.fit(vectors[0])


def test_clouds_are_told_apart(fitted, vectors):
    x, which = vectors
    table = np.zeros((3, 3))
    np.add.at(table, (fitted.labels_, which), 1)
    assert table.max(axis=1).sum() >= 297
    np.testing.assert_array_equal(fitted.predict(x), fitted.labels_)
    proba = fitted.predict_proba(x[:20])
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert (0 <= fitted.confidence_).all() and (fitted.confidence_ <= 1).all()
    features = fitted.transform(x[:20])
    assert features.shape == (20, 256) and features.dtype == np.float32
    assert 0.9 < fitted.score(x) <= 1
    assert 0.9 * np.log(3) < fitted.information_ <= np.log(3)
    assert fitted.n_iter_ == 60 and fitted.n_features_in_ == 10
    assert fitted.history_[-1]["step"] == 60


@pytest.mark.slow  # what runs do by their seed is in test_models_iic
def test_the_same_seed_gives_the_same_clusters(vectors):
    first, second = (
        ImageClusterer(3, random_state=1, **QUICK).fit(vectors[0]) for _ in range(2)
    )
    np.testing.assert_array_equal(
        first.predict_proba(vectors[0]), second.predict_proba(vectors[0])
    )
    other = ImageClusterer(3, random_state=2, **QUICK).fit(vectors[0])
    assert (other.predict_proba(vectors[0]) != first.predict_proba(vectors[0])).any()


def test_a_seed_is_a_number_or_a_source_of_numbers(vectors):
    drawn = [
        ImageClusterer(random_state=np.random.RandomState(5))._seed() for _ in "ab"
    ]
    assert drawn[0] == drawn[1] != ImageClusterer()._seed() == 0
    assert ImageClusterer(random_state=np.int64(7))._seed() == 7


@pytest.mark.long
def test_saved_without_pickle_and_loaded_in_another_process(fitted, vectors, tmp_path):
    fitted.save(tmp_path / "mine")
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {
        "estimator.json",
        "model.keras",
    }
    np.save(tmp_path / "x.npy", vectors[0])
    code = (
        "import sys, numpy as np; from iic_tf import ImageClusterer\n"
        "clusterer = ImageClusterer.load(sys.argv[1])\n"
        "print(clusterer.get_params()['n_clusters'], clusterer.information_)\n"
        "np.save(sys.argv[3], clusterer.predict_proba(np.load(sys.argv[2])))\n"
    )
    places = [str(tmp_path / name) for name in ("mine", "x.npy", "found.npy")]
    done = subprocess.run(
        [sys.executable, "-c", code, *places], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", str(fitted.information_)]
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, fitted.predict_proba(vectors[0]), atol=1e-3)
    with pytest.raises(ValueError, match="must be a folder that save has written"):
        ImageClusterer.load(tmp_path)


def test_images_of_any_numbers_and_functions_as_augmentation():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 4096, (60, 12, 12, 3), dtype=np.uint16)
    seen = []

    def augment(batch, draws):
        seen.append((batch.shape, batch.dtype, float(batch.max())))
        return np.clip(batch + draws.normal(0, 0.1, batch.shape), 0, 1)

    clusterer = ImageClusterer(4, augment=augment, value_range=(0, 4095), **QUICK).fit(
        images
    )
    assert clusterer.labels_.shape == (60,)
    shapes, types, largest = zip(*seen, strict=True)
    assert shapes[0][1:] == (12, 12, 3) and set(types) == {np.dtype(np.float32)}
    assert 0.9 < max(largest) <= 1
    np.testing.assert_array_equal(clusterer.predict(images[:7]), clusterer.labels_[:7])
    with pytest.raises(ValueError, match=r"shape \(12, 12, 3\), as in fit"):
        clusterer.predict(images[:, :10, :10])


@pytest.mark.parametrize("augment", ["auto", "colour"])
def test_images_are_compared_as_in_a_run_of_the_command_line(augment, tmp_path):
    draw = np.random.default_rng(0).integers
    images = draw(60, size=(60, 8, 8, 3), dtype=np.uint8)
    images[::2] += 180  # every other one is bright, which edges do not tell
    np.save(tmp_path / "x.npy", images)
    given = DataOptions(array=str(tmp_path / "x.npy"))
    run = loading.load(Options(k=2, data=given)).options.data
    assert run.recipe == "tones"
    how = {**QUICK, "n_neighbors": 2, "augment": augment, "out": str(tmp_path)}
    ImageClusterer(2, **how).fit(images)
    [folder] = [path for path in tmp_path.iterdir() if path.is_dir()]
    data = read_options(folder / "options.yaml")["data"]
    if augment == "auto":
        assert (data["recipe"], data["middle"]) == (run.recipe, run.middle)
    else:  # as it was asked for
        assert (data["recipe"], data["middle"]) == ("colour", False)


def test_features_of_a_frozen_network_are_grouped(tmp_path):
    """Images of two colours; the network sees nothing but their mean."""
    rng = np.random.default_rng(0)
    which = np.arange(80) % 2
    images = rng.integers(0, 60, (80, 12, 10, 3), dtype=np.uint8)
    images[which == 1, ..., 0] += 150
    shown = keras.Input((None, None, 3))
    frozen = keras.Model(shown, keras.layers.GlobalAveragePooling2D()(shown))
    how = {**QUICK, "steps": 40, "learning_rate": 0.01}
    clusterer = ImageClusterer(2, frozen=frozen, side=16, **how).fit(images)
    labels = clusterer.labels_
    assert len(set(labels[which == 0])) == len(set(labels[which == 1])) == 1
    assert labels[0] != labels[1]
    clusterer.save(tmp_path / "kept")
    again = ImageClusterer.load(tmp_path / "kept")
    assert again.frozen is None  # it is part of the network
    np.testing.assert_array_equal(again.predict(images[:9]), labels[:9])
    assert len(again.transform(images[:9])) == 9 and 0 <= again.score(images) <= 1
    with pytest.raises(ValueError, match="frozen is for images"):
        ImageClusterer(2, frozen=frozen, **how).fit(rng.normal(size=(30, 5)))


@pytest.mark.slow
def test_ready_pairs_take_the_place_of_augmentation():
    """Black and white images: a view tells its partner, or one drawn at random."""
    which = np.arange(80) % 2
    first = (255 * which[:, None, None] * np.ones((1, 8, 8))).astype(np.uint8)
    how = {"backbone": tiny, "n_neighbors": 0, "batch_size": 80, "steps": 90}
    how["learning_rate"] = 0.03
    together = ImageClusterer(2, **how).fit((first, first))
    assert together.information_ > 0.5
    assert set(together.predict(first[:2])) == {0, 1}
    mixed = first[np.random.default_rng(0).permutation(80)]
    assert ImageClusterer(2, **how).fit((first, mixed)).information_ < 0.1
    with pytest.raises(ValueError, match="both arrays of a pair"):
        ImageClusterer(2, **how).fit((first, first[1:]))


@pytest.mark.slow
def test_a_folder_and_a_dataset(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    clusterer = ImageClusterer(2, side=16, **QUICK).fit(tmp_path)
    assert clusterer.paths_[3] == "03.png" and len(clusterer.labels_) == 30
    np.testing.assert_array_equal(clusterer.predict(images), clusterer.labels_)
    dataset = tf.data.Dataset.from_tensor_slices(images)
    again = ImageClusterer(2, **QUICK).fit(dataset)
    np.testing.assert_array_equal(again.labels_, clusterer.labels_)


@pytest.mark.long
def test_series_and_what_is_ambiguous():
    series = np.random.default_rng(0).normal(size=(40, 12, 2))
    with pytest.raises(ValueError, match="it may be grey images or series"):
        ImageClusterer(2, **QUICK).fit(series)
    clusterer = ImageClusterer(2, kind="series", **QUICK).fit(series)
    assert clusterer.transform(series).shape == (40, 8)
    series[3, 0, 1] = np.nan
    with pytest.raises(ValueError, match="series must be finite"):
        clusterer.predict(series)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"n_clusters": 1}, "k must be at least 2"),
        ({"n_clusters": 999}, "at least n_clusters=999 samples"),
        ({"kind": "sounds"}, "kind must be auto, images, vectors or series"),
        (
            {"augment": "nothing"},
            "augment must be auto, a function, or for vectors one",
        ),
        ({"augment": "colour"}, "for vectors one of vectors. Received"),
        ({"backbone": "nothing"}, "graph.name must be one of"),
        ({"steps": 0}, "train.steps must be at least 1"),
    ],
)
def test_mistakes_are_one_sentence(parameters, says, vectors):
    with pytest.raises(ValueError, match=says):
        ImageClusterer(**{**QUICK, "backbone": None, **parameters}).fit(vectors[0])


@pytest.mark.long
@pytest.mark.plots
def test_pipelines_clones_and_silence(vectors, capsys, tmp_path):
    quiet = console.quiet
    pipeline = make_pipeline(StandardScaler(), ImageClusterer(3, **QUICK))
    assert clone(pipeline).fit_predict(vectors[0]).shape == (300,)
    assert capsys.readouterr().out == ""
    loud = ImageClusterer(3, verbose=True, out=str(tmp_path / "runs"), **QUICK)
    loud.fit(vectors[0])
    assert "step 3 of 3" in capsys.readouterr().out
    assert console.quiet == quiet
    [run] = (tmp_path / "runs").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["chosen"] == loud.chosen_
    assert (run / "clusters.png").is_file()


def test_the_lines_of_the_readme(monkeypatch):
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    code = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0]
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    told = {"images": images}
    monkeypatch.setattr(iic_tf, "ImageClusterer", partial(ImageClusterer, **QUICK),
                        raising=False)  # fmt: skip
    exec(compile(code, "README.md", "exec"), told)
    assert told["clusters"].shape == (40,) and told["clusters"].max() < 12


ONE_CLUSTER = "it asks for one cluster, of which there is nothing to learn"
ROUNDING = "a network that is compiled again rounds differently, by 1e-3 in bfloat16"
EXCEPTIONS = {
    "check_fit2d_1sample": "one example has no clusters",
    "check_dont_overwrite_parameters": ONE_CLUSTER,
    "check_methods_subset_invariance": ONE_CLUSTER,
    "check_fit2d_1feature": ONE_CLUSTER,
    "check_fit2d_predict1d": ONE_CLUSTER,
    "check_estimators_pickle": ROUNDING,
    "check_clustering": "after two steps not every cluster is in use",
}
"""Checks that fail, and why."""


@pytest.mark.slow
@parametrize_with_checks(
    [ImageClusterer(2, steps=2, n_neighbors=0)],
    expected_failed_checks=lambda estimator: EXCEPTIONS,
)
def test_conventions_of_scikit_learn(estimator, check):
    check(estimator)
