"""Potsdam: preparation from raw images, and reading of what was prepared."""

import numpy as np
import pytest
from PIL import Image

from iic_tf.datasets import potsdam
from iic_tf.datasets.masks import IGNORE, read_images
from iic_tf.errors import UserError


@pytest.fixture
def raw(tmp_path):
    """Two images of 2 × 3 tiles, one of them labelled."""
    rng = np.random.default_rng(0)
    for folder in ("4_Ortho_RGBIR", "5_Labels_for_participants"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    for number in ("2_10", "7_13"):
        image = rng.integers(0, 256, (8, 12, 4), dtype=np.uint8)
        image = image.repeat(100, axis=0).repeat(100, axis=1)
        path = tmp_path / "raw" / "4_Ortho_RGBIR" / f"top_potsdam_{number}_RGBIR.tif"
        Image.fromarray(image).save(path)
    classes = rng.integers(0, 6, (8, 12)).repeat(100, axis=0).repeat(100, axis=1)
    truth = np.array(potsdam.COLOURS, np.uint8)[classes]
    folder = tmp_path / "raw" / "5_Labels_for_participants"
    Image.fromarray(truth).save(folder / "top_potsdam_2_10_label.tif")
    return tmp_path / "raw", classes


def test_raw_pictures_become_tiles_that_can_be_read(raw, tmp_path):
    folder, classes = raw
    counts = potsdam.prepare(folder, tmp_path / "out", test_tiles=2)
    assert counts == {"labelled_train": 4, "unlabelled_train": 6, "labelled_test": 2}
    assert (tmp_path / "out" / "debugged.out").is_file()
    reading = {
        "read_image": potsdam.read_tile,
        "read_labels": potsdam.read_tile_labels,
    }
    six = {}
    for split in ("labelled_train", "labelled_test"):
        found = read_images(potsdam.list_tiles(tmp_path / "out", split), **reading)
        six |= dict(zip(found.split.paths, found.split.labels, strict=True))
        assert all(image.shape == (200, 200, 4) for image in found.split.images)
    whole = np.block([[six[f"2_10_{r}_{c}"] for c in range(3)] for r in range(2)])
    np.testing.assert_array_equal(whole, classes[::2, ::2])
    table, names = potsdam.class_table(3)
    items = potsdam.list_tiles(tmp_path / "out", "labelled_test")
    three = read_images(items, classes=table, **reading)
    assert len(names) == 3 and max(x.max() for x in three.split.labels) == 2
    items = potsdam.list_tiles(tmp_path / "out", "unlabelled_train")
    assert read_images(items, **reading).split.labels is None


def test_test_tiles_are_the_published_share(raw, tmp_path):
    counts = potsdam.prepare(raw[0], tmp_path / "out")
    assert counts == {"labelled_train": 5, "unlabelled_train": 6, "labelled_test": 1}


def test_nothing_is_written_over(raw, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="must not exist"):
        potsdam.prepare(raw[0], tmp_path / "out")
    with pytest.raises(UserError, match="RGBIR"):
        potsdam.prepare(tmp_path, tmp_path / "other")


def test_colours_and_classes():
    image = np.array([[(255, 250, 255), (9, 255, 0), (1, 2, 3)]], np.uint8)
    found = potsdam.labels_from_colours(image)
    np.testing.assert_array_equal(found, [[0, 3, IGNORE]])
    table, _ = potsdam.class_table(3)
    np.testing.assert_array_equal(table[:7], [0, 1, 2, 2, 0, 1, IGNORE])


def test_halving_takes_the_mean_of_four():
    image = np.array([[0, 2, 9], [4, 6, 9]], np.uint8)[..., None]
    np.testing.assert_array_equal(potsdam.halve(image), [[[3]]])


def test_tiles_are_joined_and_a_missing_one_has_the_value_asked():
    tiles = {f"2_10_{r}_{c}": np.full((2, 3), 1 + r + c) for r, c in ((0, 0), (1, 1))}
    joined = potsdam.join_tiles(tiles, missing=9)["2_10"]
    np.testing.assert_array_equal(joined[:, ::3], [[1, 9], [1, 9], [9, 3], [9, 3]])
    with pytest.raises(UserError, match="IMAGE_ROW_COLUMN"):
        potsdam.join_tiles({"a_b": np.zeros((2, 2))})


def test_a_preparation_that_breaks_leaves_nothing(raw, tmp_path):
    folder, _ = raw
    Image.new("RGB", (40, 40)).save(
        folder / "4_Ortho_RGBIR" / "top_potsdam_9_9_RGBIR.tif"
    )
    with pytest.raises(UserError, match="R, G, B and infrared"):
        potsdam.prepare(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_pictures_without_any_label_map_are_refused(raw, tmp_path):
    folder, _ = raw
    labels = folder / "5_Labels_for_participants"
    labels.rename(folder / "5_Labels_all")
    with pytest.raises(UserError, match="5_Labels_for_participants"):
        potsdam.prepare(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
