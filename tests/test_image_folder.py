import numpy as np
import pytest
from PIL import Image

from iic_tf.datasets import image_folder
from iic_tf.datasets.image_folder import (
    choose_side,
    describe_unreadable,
    folder_labels,
    read_folder,
)
from iic_tf.errors import UserError


def save(path, shape, *, kind=None, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, kind)
    return pixels


@pytest.fixture
def mixed(tmp_path):
    """Images of all kinds, and what else lies in people's folders."""
    save(tmp_path / "b" / "wide.jpg", (40, 90, 3))
    save(tmp_path / "b" / "grey.png", (64, 50))
    save(tmp_path / "a" / "deep" / "tall.bmp", (80, 48, 3))
    save(tmp_path / "a" / "moving.gif", (32, 32))
    save(tmp_path / "a" / "clear.png", (36, 36, 4))
    save(tmp_path / "a" / "a png.jpg", (41, 41, 3), kind="PNG")  # a wrong name
    save(tmp_path / ".thumbnails" / "hidden.png", (8, 8))
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    (tmp_path / "b" / "empty.jpg").write_bytes(b"")
    whole = (tmp_path / "b" / "wide.jpg").read_bytes()
    (tmp_path / "b" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    return tmp_path


def test_all_that_can_be_read_is_read_and_the_rest_is_named(mixed):
    seen = []
    found = read_folder(mixed, side=24, progress=lambda *done: seen.append(done))
    assert found.paths == [
        "a/a png.jpg",
        "a/clear.png",
        "a/deep/tall.bmp",
        "a/moving.gif",
        "b/grey.png",
        "b/wide.jpg",
    ]
    assert found.images.shape == (6, 24, 24, 3) and found.images.dtype == np.uint8
    skipped = dict(found.unreadable)
    assert set(skipped) == {
        ".thumbnails/",
        "a/notes.txt",
        "b/empty.jpg",
        "b/half.jpg",
    }
    assert skipped["a/notes.txt"] == "not an image"
    assert "truncated" in skipped["b/half.jpg"]
    assert found.kept.startswith("in memory")
    assert seen[-1] == (7, 7)
    words = describe_unreadable(found.unreadable)
    assert words.startswith("3 files and 1 folder (not an image: 2, ")


def test_grey_images_alone_have_one_channel(tmp_path):
    for name in ("a.png", "b.jpg"):
        save(tmp_path / name, (30, 30))
    assert read_folder(tmp_path).images.shape == (2, 30, 30, 1)
    assert read_folder(tmp_path, channels=3).images.shape[-1] == 3
    save(tmp_path / "c.png", (30, 30, 3))
    assert read_folder(tmp_path).images.shape[-1] == 3


def test_images_that_do_not_fit_into_memory_are_mapped(mixed, monkeypatch):
    usual = read_folder(mixed)
    monkeypatch.setattr(image_folder, "MEMORY_SHARE", 0.0)
    mapped = read_folder(mixed)
    assert isinstance(mapped.images, np.memmap) and mapped.kept.startswith(
        "in a temporary file"
    )
    np.testing.assert_array_equal(mapped.images, usual.images)


def test_sides_that_suit_images_of_many_sizes():
    assert choose_side([32] * 10) == 32
    assert choose_side([28, 31, 500]) == 31
    assert choose_side([2000, 3000]) == 64
    assert choose_side([5]) == 16


def test_classes_are_the_topmost_folders_that_images_lie_in():
    labels, names = folder_labels(["dog/own/1.jpg", "cat/web/dog/2.jpg", "dog/3.jpg"])
    assert labels.tolist() == [1, 0, 1] and names == ("cat", "dog")
    with pytest.raises(UserError, match="images_in_no_folder=1"):
        folder_labels(["dog/1.jpg", "2.jpg"])


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"must hold images.*files=0"):
        read_folder(tmp_path)
    (tmp_path / "a.jpg").write_text("no")
    with pytest.raises(UserError, match=r"must hold images.*files=1"):
        read_folder(tmp_path)
    with pytest.raises(UserError, match="must be a folder"):
        read_folder(tmp_path / "a.jpg")


def test_the_class_is_the_topmost_folder_and_what_is_left_out_is_told():
    assert describe_unreadable([("a/", "a run"), ("b.txt", "not an image")]) == (
        "1 file and 1 folder (a run: 1, not an image: 1)"
    )


def test_deep_images_of_a_folder_have_one_range_and_keep_their_order(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(20):
        level = (2_000, 20_000)[i % 2]
        tile = level + rng.normal(0, 300, (20, 20))
        Image.fromarray(tile.astype(np.uint16)).save(tmp_path / f"{i:02}.png")
    found = read_folder(tmp_path)
    means = found.images.mean((1, 2, 3))
    assert means[::2].max() < 30 and means[1::2].min() > 220
    low, high = found.shown
    assert 500 < low < 2_000 and 20_000 < high < 21_500
    assert found.told == [
        f"Range: 20 images with more than 8 bits; values {low:,.0f} to {high:,.0f} are "
        "mapped to black to white (data.range)"
    ]
    # one file alone, later, is shown as it was among the others
    for i in range(1, 20):
        (tmp_path / f"{i:02}.png").unlink()
    [alone] = read_folder(tmp_path, shown=found.shown).images
    np.testing.assert_array_equal(alone, found.images[0])


def test_images_of_eight_bits_have_no_range(tmp_path):
    save(tmp_path / "a.png", (20, 20))
    found = read_folder(tmp_path, shown=(0, 4095))
    assert found.shown is None and found.told == []


def test_what_is_met_is_told(tmp_path):
    icon = np.full((20, 20, 4), 255, np.uint8)
    icon[5:15, :, 3] = 0
    Image.fromarray(icon).save(tmp_path / "icon.png")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "red.png")
    save(tmp_path / "bands.tif", (20, 20, 4))
    frames = [Image.fromarray(icon[..., i]) for i in (0, 3)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "nowhere.png").symlink_to("gone.png")
    (tmp_path / "icon2.png").symlink_to("icon.png")
    found = read_folder(tmp_path)
    assert len(found.paths) == 5
    assert found.told == [
        "Bands: the extra bands of 1 image in TIFF, after grey or RGB, are ignored, "
        "not read as opacity",
        "First: only the first page or frame of 1 image is read",
        "Ground: black for 2 images too light to be seen on white",
        "Blank: 2 images of a single colour (red.png, x.gif)",
        "Links: 1 followed",
        "Skipped: 1 file (a broken link: 1)",
    ]


def test_the_folder_of_a_run_is_no_folder_of_images(tmp_path):
    save(tmp_path / "clusters.png", (20, 20))
    for name in ("options.yaml", "manifest.json"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="not a run folder"):
        read_folder(tmp_path)
