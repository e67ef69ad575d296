"""Data sets of TFDS by name: a tiny one that is prepared with TFDS's own tools."""

import numpy as np
import pytest

import data
from iic_tf.datasets import catalogue, published
from iic_tf.errors import UserError
from iic_tf.options import DataOptions

TONES = (40, 120, 200)
"""Value of all pixels of images of each class."""


def store(folder, name, splits, *, channels=3, dtype=np.uint8, sides=(20, 60)):
    """Prepares a data set whose images have a tone for each class.

    Args:
        splits: Images of each split.
        sides: Range of the images' sides.
    """
    tfds = published.import_tfds()
    rng = np.random.default_rng(0)

    def rows(number):
        for i in range(number):
            shape = (*rng.integers(*sides, 2), channels)
            image = np.full(shape, TONES[i % 3], dtype)
            yield (
                str(i),
                {"class": i % 3, "picture": image, "box": [0.0]},
            )

    features = {
        "class": tfds.features.ClassLabel(names=["oak", "elm", "ash"]),
        "picture": tfds.features.Image(shape=(None, None, channels), dtype=dtype),
        "box": tfds.features.Tensor(shape=(1,), dtype=np.float32),
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        data_dir=folder,
        features=tfds.features.FeaturesDict(features),
        split_datasets={split: list(rows(n)) for split, n in splits.items()},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    store(folder, "my_leaves", {"train": 30, "validation": 9})
    store(folder, "my_stains", {"train": 12}, channels=1, sides=(28, 29))
    store(folder, "my_depths", {"train": 3}, channels=1, dtype=np.uint16)
    return folder


def test_images_of_any_size_with_their_classes(folder):
    source = catalogue.from_catalogue("my_leaves", folder)
    assert list(source.splits) == ["train", "test"]
    assert source.class_names == ("oak", "elm", "ash")
    side = source.image_shape[0]
    assert source.image_shape == (side, side, 3) and 20 <= side < 60
    for split, number in (("train", 30), ("test", 9)):
        part = source.splits[split]
        assert len(part.images) == number
        tones = np.array(TONES)[part.labels]
        assert (part.images == tones[:, None, None, None]).all()
    assert "TensorFlow Datasets, my_leaves/1.0.0" in source.origin


def test_size_and_channels_of_ones_choice(folder):
    grey = catalogue.from_catalogue("my_leaves", folder, side=24, channels=1)
    assert grey.image_shape == (24, 24, 1)
    stains = catalogue.from_catalogue("my_stains", folder)
    assert stains.image_shape == (28, 28, 1) and list(stains.splits) == ["train"]
    assert catalogue.from_catalogue("my_stains", folder, channels=3).image_shape[2] == 3


def test_it_is_treated_like_ones_own_images(folder, capsys):
    options = DataOptions(tfds="my_leaves", dir=str(folder), size=16, limit=12)
    name, recipe, source = data.find(options, k=3)
    assert (name, recipe.find) == ("colour", None)
    assert [len(split.images) for split in source.splits.values()] == [9, 3]
    assert "Recipe:   colour, chosen for images of 16×16" in capsys.readouterr().out
    chosen = DataOptions(tfds="my_leaves", dir=str(folder), recipe="cifar10")
    assert data.find(chosen)[2].image_shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_leafs", r"data set of TensorFlow Datasets, such as my_leaves"),
        ("cifar11", r"such as cifar10.*Received: tfds='cifar11'"),
        ("qqqq", r"must be a data set of TensorFlow Datasets\. Received: tfds='qqqq'"),
        ("my_leaves:2.0.0", r"Datasets that can be read.*my_leaves:2\.0\.0"),
        ("cifar10:9.9.9", r"data\.tfds cifar10:9\.9\.9: .*cannot be loaded at version"),
        ("imdb_reviews", r"must be a data set of images.*features=\['label', 'text'\]"),
        ("my_depths", r"my_depths must have images of 8 bits.*uint16"),
        ("mnist", r"mnist is not prepared in .*, and there is no network to download"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(folder, monkeypatch, name, message):
    monkeypatch.setattr(published, "reachable", lambda url: False)
    with pytest.raises(UserError, match=message) as caught:
        catalogue.from_catalogue(name, folder)
    assert "\n" not in str(caught.value)


def test_a_download_that_fails(folder, monkeypatch):
    monkeypatch.setattr(published, "reachable", lambda url: True)
    monkeypatch.setattr(published, "fetch", lambda name, folder: False)
    with pytest.raises(UserError, match=r"mnist is not prepared.*could not be downl"):
        catalogue.from_catalogue("mnist", folder)


def test_a_download_is_read(folder, monkeypatch, tmp_path):
    ready, find = [], catalogue._find_builder

    class NotYet:
        """What is known of a data set of the catalogue that is not prepared."""

        info = find("my_leaves", folder).info
        data_path = str(tmp_path / "my_leaves" / "1.0.0")

        def is_prepared(self):
            return False

    def fetch(name, folder):
        store(folder, name, {"train": 6})
        ready.append(name)
        return True

    monkeypatch.setattr(published, "reachable", lambda url: True)
    monkeypatch.setattr(published, "fetch", fetch)
    monkeypatch.setattr(
        catalogue, "_find_builder", lambda *x: find(*x) if ready else NotYet()
    )
    source = catalogue.from_catalogue("my_leaves", tmp_path)
    assert len(source.splits["train"].images) == 6 and ready == ["my_leaves"]
