import numpy as np
import pytest
from PIL import Image

from iic_tf.datasets import own
from iic_tf.errors import UserError


def folder_of(path, counts, *, side=20):
    """A tree of grey PNG files: counts by sub-folder."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (path / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (side, side), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{i:03}.png")
    return path


def pictures_with_masks(path, values, number=4):
    """Images of noise with label maps of some values each."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (path / name).mkdir(parents=True)
    for i in range(number):
        pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / "images" / f"{i}.png")
        labels = rng.choice(values, (12, 12)).astype(np.uint8)
        Image.fromarray(labels).save(path / "masks" / f"{i}.png")
    return {"images": path / "images", "masks": path / "masks"}


def classes_of(source):
    [split] = source.splits.values()
    return set(np.unique(split.labels).tolist())


def test_a_folder_with_and_without_classes(tmp_path):
    folder = folder_of(tmp_path, {"cat": 3, "dog": 2})
    (folder / "notes.txt").write_text("no image")
    source = own.from_folder(folder)
    [split] = source.splits.values()
    assert split.images.shape == (5, 20, 20, 1) and split.labels is None
    assert split.paths[0] == "cat/000.png"
    assert source.advice.startswith("Skipped: 1 file (not an image: 1)")
    assert source.unreadable == (("notes.txt", "not an image"),)
    assert "20×20, in memory" in source.origin
    source = own.from_folder(folder, side=24, labels=True)
    [split] = source.splits.values()
    assert split.images.shape[1:] == (24, 24, 1)
    assert split.labels.tolist() == [0, 0, 0, 1, 1]
    assert source.class_names == ("cat", "dog")


def test_folders_in_the_folder_of_a_class_belong_to_it(tmp_path):
    folder = folder_of(tmp_path, {"cats/from_web": 2, "cats/own": 1, "dogs": 2})
    source = own.from_folder(folder, labels=True)
    assert source.class_names == ("cats", "dogs")
    assert source.splits["the folder"].labels.tolist() == [0, 0, 0, 1, 1]
    assert source.advice == (
        "Classes: the top-level folders, with all folders below them: cats, dogs"
    )
    flat = own.from_folder(folder / "cats", labels=True)
    assert flat.class_names == ("from_web", "own") and flat.advice is None


@pytest.mark.parametrize("split", [True, False])
def test_train_and_test_are_no_classes(tmp_path, split):
    counts = {"train/cat/a": 2, "train/dog": 1, "test/cat": 1, "test/dog": 1}
    folder = folder_of(tmp_path, counts)
    source = own.from_folder(folder, labels=True, split=split)
    assert source.class_names == ("cat", "dog")


def test_masks_of_0_and_255_are_two_classes_unless_told_otherwise(tmp_path):
    places = pictures_with_masks(tmp_path / "binary", [0, 255])
    source = own.from_images_and_masks(**places)
    assert classes_of(source) == {0, 1}
    assert "only 0 and 255, which count as two classes" in source.advice
    assert classes_of(own.from_images_and_masks(**places, ignore=255)) == {0, 255}
    assert classes_of(own.from_images_and_masks(**places, ignore=0)) == {1, 255}
    assert classes_of(own.from_images_and_masks(**places, ignore=254)) == {0, 1}
    merge = [1, *[255] * 254, 0]
    assert classes_of(own.from_images_and_masks(**places, merge=merge)) == {0, 1}
    places = pictures_with_masks(tmp_path / "more", [0, 1, 255])
    source = own.from_images_and_masks(**places)
    assert classes_of(source) == {0, 1, 255} and source.advice is None


def test_classes_of_label_maps_are_named_by_their_values(tmp_path):
    places = pictures_with_masks(tmp_path / "gaps", [0, 128, 255])
    source = own.from_images_and_masks(**places)
    assert source.class_names == ("0", "128")
    assert source.advice == "Classes: the 2 values of the label maps: 0, 128"
    [split] = source.splits.values()
    for i, labels in enumerate(split.labels):
        with Image.open(places["masks"] / f"{i}.png") as file:
            values = np.array([0, 128, 255])[np.minimum(labels, 2)]
            np.testing.assert_array_equal(values, file)
    source = own.from_images_and_masks(**places, ignore=0)
    assert source.class_names == ("128",) and classes_of(source) == {0, 255}
    source = own.from_images_and_masks(**places, names=[f"c{i}" for i in range(129)])
    assert classes_of(source) == {0, 128, 255} and len(source.class_names) == 129
    merge = [1, *[0] * 254, 255]
    assert classes_of(own.from_images_and_masks(**places, merge=merge)) == {
        0,
        1,
        255,
    }


def test_label_maps_of_16_bits_are_read_as_those_of_8(tmp_path):
    places = pictures_with_masks(tmp_path, [0])
    for values, named, classes in (
        ([0, 65535], None, {0, 1}),
        ([0, 1, 255], None, {0, 1, 255}),
        ([7, 26001, 65535], ("7", "26001"), {0, 1, 255}),
    ):
        for path in places["masks"].iterdir():
            labels = np.resize(values, (12, 12)).astype(np.uint16)
            Image.fromarray(labels).save(path)
        source = own.from_images_and_masks(**places)
        assert (source.class_names, classes_of(source)) == (named, classes)
        assert not source.unreadable
    for i, path in enumerate(places["masks"].iterdir()):
        labels = np.arange(144, dtype=np.uint16).reshape(12, 12)
        Image.fromarray(144 * i + labels).save(path)
    with pytest.raises(UserError, match=r"at most 255 classes\. .*values="):
        own.from_images_and_masks(**places)


def test_what_is_no_label_map_is_named_with_its_reason(tmp_path):
    places = pictures_with_masks(tmp_path, [0, 1])
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "masks" / "0.png")
    Image.new("L", (12, 12)).save(tmp_path / "masks" / "more.png")
    source = own.from_images_and_masks(**places)
    [(name, reason)] = source.unreadable
    assert name == "0.png" and reason.endswith("this one has colours")
    assert "Label maps without an image: 1 (more.png)" in source.advice


def test_pictures_of_four_bands_are_read_in_colour_and_that_is_said(tmp_path):
    bands = np.random.default_rng(0).integers(0, 256, (12, 12, 4), dtype=np.uint8)
    Image.fromarray(bands).save(tmp_path / "x.tif")
    source = own.from_images_and_masks(tmp_path, masks=None)
    [split] = source.splits.values()
    np.testing.assert_array_equal(split.images[0], bands[..., :3])
    assert "data.channels 4 reads all four" in source.advice
    source = own.from_images_and_masks(tmp_path, masks=None, channels=4)
    [split] = source.splits.values()
    np.testing.assert_array_equal(split.images[0], bands)
    assert source.advice is None


def test_deep_pictures_have_one_range(tmp_path):
    for name, level in (("a", 2_000), ("b", 20_000)):
        pixels = np.random.default_rng(0).normal(level, 300, (12, 12))
        Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / f"{name}.png")
    source = own.from_images_and_masks(tmp_path, masks=None)
    dark, bright = (image.mean() for image in source.splits["the images"].images)
    assert dark < 30 and bright > 220 and source.shown[1] > 20_000
    (tmp_path / "a.png").unlink()
    alone = own.from_images_and_masks(tmp_path, masks=None, shown=source.shown)
    assert alone.splits["the images"].images[0].mean() == bright
