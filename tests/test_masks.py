"""Images and label maps of any size."""

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from iic_tf.datasets import image_folder
from iic_tf.datasets.masks import (
    IGNORE,
    decode_image,
    decode_labels,
    distinct_values,
    find_images,
    find_items,
    read_images,
    sample_image,
    shrink_image,
    to_size,
)
from iic_tf.errors import UserError


@pytest.fixture
def folders(tmp_path):
    """Three images of different sizes with label maps, one in a sub-folder."""
    rng = np.random.default_rng(0)
    images, masks = tmp_path / "images", tmp_path / "masks"
    for name, sides in (("a", (12, 20)), ("b", (30, 14)), ("deep/c", (9, 9))):
        for folder in (images, masks):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 256, (*sides, 3), dtype=np.uint8)
        Image.fromarray(image).save(images / f"{name}.png")
        labels = rng.integers(0, 3, sides, dtype=np.uint8)
        Image.fromarray(labels).save(masks / f"{name}.png")
    return images, masks


def test_sizes_are_kept_and_maps_found(folders):
    images, masks = folders
    found = read_images(find_items(images, masks))
    assert found.split.paths == ("a.png", "b.png", "deep/c.png")
    assert [x.shape for x in found.split.images] == [
        (12, 20, 3),
        (30, 14, 3),
        (9, 9, 3),
    ]
    assert [x.shape for x in found.split.labels] == [(12, 20), (30, 14), (9, 9)]
    np.testing.assert_array_equal(found.split.images[1], Image.open(images / "b.png"))
    np.testing.assert_array_equal(found.split.labels[1], Image.open(masks / "b.png"))
    assert "in memory" in found.kept


def test_maps_are_not_needed(folders):
    found = read_images(find_items(folders[0], None))
    assert found.split.labels is None and len(found.split.images) == 3


def test_what_cannot_be_read_is_named(folders):
    images, masks = folders
    (images / "a.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(masks / "b.png")
    found = read_images(find_items(images, masks))
    assert found.split.paths == ("b.png", "deep/c.png")
    reasons = dict(found.unreadable)
    assert "not an image" in reasons["a.png"]
    assert "its label map has 5×5 pixels, the image 14×30" in reasons["b.png"]
    assert (found.split.labels[0] == IGNORE).all()  # it trains, and is not scored


def test_pictures_need_no_map_each(folders):
    images, masks = folders
    (masks / "a.png").unlink()
    (masks / "b.txt").write_text("not a map")
    found = read_images(find_items(images, masks))
    assert (
        found.split.paths == ("a.png", "b.png", "deep/c.png") and not found.unreadable
    )
    assert [(labels == IGNORE).all() for labels in found.split.labels] == [
        True,
        False,
        False,
    ]


def test_nothing_there_is_told(folders, tmp_path):
    with pytest.raises(UserError, match=r"data\.images must be a folder"):
        find_items(tmp_path / "nowhere", None)
    with pytest.raises(UserError, match=r"data\.masks must be a folder"):
        find_items(folders[0], tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"data\.images must hold images"):
        find_items(tmp_path / "empty", None)
    with pytest.raises(UserError, match="named like the images"):
        find_items(folders[0], tmp_path / "empty")
    with pytest.raises(UserError, match="at least one readable image"):
        read_images([])


def test_what_does_not_fit_into_memory_is_mapped(folders, monkeypatch):
    expected = read_images(find_items(*folders))
    monkeypatch.setattr(image_folder.psutil, "virtual_memory", lambda: Free)
    found = read_images(find_items(*folders))
    assert "in a temporary file in" in found.kept
    for name in ("images", "labels"):
        for one, other in zip(
            getattr(found.split, name), getattr(expected.split, name), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    assert isinstance(found.split.images[0].base, np.memmap)


class Free:
    available = 4 * 1000
    """Bytes: a quarter of it holds the first image and not the second."""

    total = 10**9


def test_values_become_classes(folders):
    table = np.full(256, IGNORE, np.uint8)
    table[1], table[2] = 1, 0
    plain = read_images(find_items(*folders))
    mapped = read_images(find_items(*folders), classes=table)
    for one, other in zip(plain.split.labels, mapped.split.labels, strict=True):
        np.testing.assert_array_equal(table[one], other)


def test_scaled_pictures_and_maps_have_the_same_sides(tmp_path):
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 7, (10, 7), dtype=np.uint8)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        large = blocks.repeat(3, axis=0).repeat(3, axis=1)
        Image.fromarray(large).save(tmp_path / name / "x.png")
    items = find_items(tmp_path / "images", tmp_path / "masks")
    found = read_images(items, scale=0.33)
    assert found.split.images[0].shape == (10, 7, 3) and found.split.sizes == (
        (30, 21),
    )
    np.testing.assert_array_equal(found.split.labels[0], blocks)
    np.testing.assert_array_equal(
        to_size(found.split.labels[0], found.split.sizes[0]), large
    )


def test_images_are_sampled_between_the_four_nearest_pixels():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 31, 3), dtype=np.uint8)
    found = sample_image(image, 0.33)
    assert found.shape == (13, 10, 3)
    for row, column in ((0, 0), (5, 3), (12, 9)):
        y, x = ((n + 0.5) / 0.33 - 0.5 for n in (row, column))
        top, left = int(y), int(x)
        square = image[top : top + 2, left : left + 2].astype(float)
        down, right = y - top, x - left
        rows = square[0] * (1 - down) + square[-1] * down
        expected = rows[0] * (1 - right) + rows[-1] * right
        np.testing.assert_allclose(found[row, column], expected, atol=1)
    assert np.abs(found - shrink_image(image, 0.33).astype(float)).mean() > 10


def test_bands_are_scaled_each_for_itself():
    image = np.zeros((4, 6, 4), np.uint8)
    image[..., 0], image[:2, ..., 1] = 90, 200
    half = shrink_image(image, 0.5)
    assert half.shape == (2, 3, 4)
    assert (half[..., 0] == 90).all() and not half[..., 2:].any()
    np.testing.assert_allclose(half[:, 0, 1], (200, 0), atol=30)


def test_red_and_blue_change_places(tmp_path):
    image = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    Image.fromarray(image, "RGBA").save(tmp_path / "x.tif")
    found = decode_image(tmp_path / "x.tif", channels=4, bgr=True)
    np.testing.assert_array_equal(found, image[..., [2, 1, 0, 3]])


def test_a_label_map_of_colours_is_refused(tmp_path):
    image = Image.new("RGB", (4, 4))
    image.putpixel((2, 1), (1, 1, 2))
    image.save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"grey or palette image, .* has colours"):
        decode_labels(tmp_path / "x.png")
    image.convert("CMYK").save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=r"grey or palette image, .* is CMYK"):
        decode_labels(tmp_path / "x.tif")


def test_palettes_give_their_numbers(tmp_path):
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = Image.fromarray(labels, "P")
    image.putpalette([i for n in range(256) for i in (255 - n, n, n)])
    image.save(tmp_path / "x.png")
    np.testing.assert_array_equal(decode_labels(tmp_path / "x.png"), labels)


def test_a_jpeg_is_no_label_map(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "x.png", "JPEG")  # whatever its name
    with pytest.raises(ValueError, match="must not be a JPEG"):
        decode_labels(tmp_path / "x.png")


def save_labels(path, values, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint8).reshape(2, -1)).save(path, **more)


def test_the_values_of_all_label_maps_that_can_be_read(tmp_path):
    save_labels(tmp_path / "a.png", [0, 255])
    deep = np.array([[7, 300]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "b.png")
    Image.fromarray(np.arange(1000, dtype=np.uint16)[None]).save(tmp_path / "many.png")
    (tmp_path / "broken.png").write_bytes(b"no")
    paths = [tmp_path / f"{name}.png" for name in ("a", "b", "many", "broken")]
    found = distinct_values(paths)
    assert found.tolist() == [0, 7, 255, 300]
    assert distinct_values([]).tolist() == []
    np.testing.assert_array_equal(decode_labels(paths[1], values=found), [[1, 3]])
    with pytest.raises(ValueError, match=r"up to 255, but this one has 300"):
        decode_labels(paths[1])
    with pytest.raises(ValueError, match=r"at most 256 distinct .* has 1,000"):
        decode_labels(paths[2], values=found)


LABELS = np.array([[0, 1, 2], [3, 4, 254]], np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_a_label_map_is_grey_where_its_channels_are_alike(tmp_path, mode):
    image = Image.fromarray(LABELS).convert(mode)
    for ending in ("png", "tif"):
        image.save(tmp_path / f"x.{ending}")
        found = decode_labels(tmp_path / f"x.{ending}")
        np.testing.assert_array_equal(found, LABELS)
        assert found.dtype == np.uint8


def test_opacity_of_a_label_map_may_say_nothing(tmp_path):
    image = Image.fromarray(LABELS).convert("RGBA")
    image.putalpha(70)
    image.save(tmp_path / "x.png")
    np.testing.assert_array_equal(decode_labels(tmp_path / "x.png"), LABELS)
    image.putpixel((1, 1), (4, 4, 4, 71))
    image.save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="partly transparent"):
        decode_labels(tmp_path / "x.png")


@pytest.mark.parametrize("kind", ["u2", ">u2", "i2", "i4", "f4", "rgb"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_label_map_may_be_stored_in_more_than_8_bits(tmp_path, kind, ending):
    path = tmp_path / f"x.{ending}"
    if kind == "rgb":
        values = np.repeat(LABELS.astype(np.uint16)[..., None], 3, axis=2)
    else:
        values = LABELS.astype(kind)
    if ending == "tif":
        tifffile.imwrite(path, values, photometric="rgb" if kind == "rgb" else None)
    elif values.dtype == np.uint16:
        path.write_bytes(imagecodecs.png_encode(values))
    else:
        return  # no such PNG
    found = decode_labels(path)
    np.testing.assert_array_equal(found, LABELS)
    assert found.dtype == np.uint8


def test_pixels_of_a_label_map_without_a_value_have_no_class(tmp_path):
    path = tmp_path / "x.tif"
    for values in (
        np.array([[3, np.nan]], np.float32),
        np.array([[3, -9999]], np.int16),
        np.array([[3, 65535]], np.uint16),
        np.array([[3, 255]], np.uint16),
    ):
        tifffile.imwrite(path, values)
        assert decode_labels(path).tolist() == [[3, IGNORE]]
    tifffile.imwrite(path, np.array([[3, 0.5]], np.float32))
    with pytest.raises(ValueError, match=r"whole numbers, but has 0\.5"):
        decode_labels(path)


def test_label_maps_beside_pictures_are_no_images(tmp_path):
    for name in ("a", "deep/b"):
        save_labels(tmp_path / f"{name}.png", [0, 1])
        Image.new("RGB", (1, 2)).save(tmp_path / f"{name}.jpg")
    save_labels(tmp_path / "alone.png", [0, 1])  # an image without a label map
    found = find_images(tmp_path, tmp_path)
    assert [(item.name, bool(item.labels)) for item in found.items] == [
        ("a.jpg", True), ("alone.png", False), ("deep/b.jpg", True),
    ]  # fmt: skip
    assert found.left_out == (
        ("a.png", "in data.masks"),
        ("deep/b.png", "in data.masks"),
    )
    save_labels(tmp_path / "a.bmp", [0, 1])
    with pytest.raises(UserError, match=r"one label map per image.*'a\.bmp'"):
        find_images(tmp_path, tmp_path)
    (tmp_path / "a.bmp").unlink()
    Image.new("RGB", (1, 2)).save(tmp_path / "a.png")  # grey, though in colours
    assert find_images(tmp_path, tmp_path).items[0].labels == tmp_path / "a.png"


def test_label_maps_below_or_above_pictures_are_no_images(tmp_path):
    Image.new("RGB", (1, 2)).save(tmp_path / "a.png")
    for name in ("a", "b"):
        save_labels(tmp_path / "masks" / f"{name}.png", [0, 1])
    found = find_images(tmp_path, tmp_path / "masks")
    assert [item.name for item in found.items] == ["a.png"]
    assert [path.name for path in found.unmatched] == ["b.png"]
    assert len(found.left_out) == 2
    # the other way round: b has an image above, which is its label map
    found = find_images(tmp_path / "masks", tmp_path)
    assert [item.name for item in found.items] == ["a.png", "b.png"]
    assert found.items[0].labels == tmp_path / "a.png"
    (tmp_path / "link").symlink_to(tmp_path / "masks")
    found = find_images(tmp_path, tmp_path / "link")
    assert [item.name for item in found.items] == ["a.png"]
