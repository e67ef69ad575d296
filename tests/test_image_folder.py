import struct

import numpy as np
import pytest
from PIL import Image

from iic_tf import image_folder
from iic_tf.image_file import decode, inspect, open_upright
from iic_tf.image_folder import (
    choose_side,
    describe_unreadable,
    folder_labels,
    read_folder,
)
from iic_tf.options import UserError


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


def test_the_middle_of_an_image_is_fitted_into_a_square(tmp_path):
    pixels = save(tmp_path / "x.png", (20, 60, 3))
    found = decode(tmp_path / "x.png", side=20, channels=3)
    np.testing.assert_array_equal(found, pixels[:, 20:40])


def test_grey_images_alone_have_one_channel(tmp_path):
    for name in ("a.png", "b.jpg"):
        save(tmp_path / name, (30, 30))
    assert read_folder(tmp_path).images.shape == (2, 30, 30, 1)
    assert read_folder(tmp_path, channels=3).images.shape[-1] == 3
    save(tmp_path / "c.png", (30, 30, 3))
    assert read_folder(tmp_path).images.shape[-1] == 3


def test_sixteen_bits_are_scaled_and_transparency_is_white(tmp_path):
    deep = (np.arange(256).reshape(16, 16) * 200).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = decode(tmp_path / "deep.png", side=16, channels=1)
    np.testing.assert_allclose(found[..., 0].ravel(), np.arange(256), atol=1)
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (decode(tmp_path / "clear.png", side=8, channels=3) == 255).all()


def test_photographs_are_turned_upright(tmp_path):
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(upright).save(tmp_path / "x.png", exif=exif)
    turned = decode(tmp_path / "x.png", side=16, channels=3)
    assert turned[12:].min() == 255 and turned[:4].max() == 0


def test_images_that_do_not_fit_into_memory_are_mapped(mixed, monkeypatch):
    usual = read_folder(mixed)
    monkeypatch.setattr(image_folder, "MEMORY_SHARE", 0.0)
    mapped = read_folder(mixed)
    assert isinstance(mapped.images, np.memmap) and mapped.kept.startswith("in a file")
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


def tiff_of_four_bands(*, order="<", photometric=2, extra=(), large=False):
    """An uncompressed TIFF, or BigTIFF, of 2×3 pixels, and its pixels."""
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 4), dtype=np.uint8)
    offset, inline = ("Q", 8) if large else ("I", 4)
    number = 9 + bool(extra)
    after = 16 + (8 + 20 * number + 8) if large else 8 + (2 + 12 * number + 4)
    rest, later = b"", {}

    def short(*numbers):
        nonlocal rest
        packed = struct.pack(f"{order}{len(numbers)}H", *numbers)
        if len(packed) <= inline:
            return 3, len(numbers), packed.ljust(inline, b"\0")
        rest, at = rest + packed, after + len(rest)
        return 3, len(numbers), struct.pack(order + offset, at)

    later = {
        256: short(3), 257: short(2), 258: short(8, 8, 8, 8), 259: short(1),
        262: short(photometric), 277: short(4), 278: short(2), 279: short(values.size),
    }  # fmt: skip
    if extra:
        later[338] = short(*extra)
    at = struct.pack(f"{order}I", after + len(rest)).ljust(inline, b"\0")
    later[273] = (4, 1, at)
    data = b"II" if order == "<" else b"MM"
    data += (
        struct.pack(f"{order}HHHQ", 43, 8, 0, 16)
        if large
        else struct.pack(f"{order}HI", 42, 8)
    )
    data += struct.pack(f"{order}Q" if large else f"{order}H", number)
    for tag, (kind, count, value) in sorted(later.items()):
        data += struct.pack(f"{order}HH{offset}", tag, kind, count) + value
    return data + bytes(inline) + rest + values.tobytes(), values


@pytest.mark.parametrize(
    "kind", [{}, {"order": ">"}, {"large": True}], ids=["little", "big", "BigTIFF"]
)
@pytest.mark.parametrize("photometric", [1, 2])
@pytest.mark.parametrize("extra", [(), (0,), (1,), (2,), (0, 0, 0)], ids=str)
def test_four_bands_are_as_they_are_whatever_they_are_called(
    tmp_path, kind, photometric, extra
):
    data, values = tiff_of_four_bands(photometric=photometric, extra=extra, **kind)
    path = tmp_path / "x.tif"
    path.write_bytes(data)
    np.testing.assert_array_equal(np.asarray(open_upright(path, channels=4)), values)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("length", [3, 9, 40, -5])
def test_a_part_of_a_tiff_is_no_image(tmp_path, length):
    data, _ = tiff_of_four_bands()
    (tmp_path / "x.tif").write_bytes(data[:length])
    with pytest.raises((OSError, SyntaxError, ValueError)):
        open_upright(tmp_path / "x.tif", channels=4)


def test_pictures_of_a_survey_are_not_too_large(tmp_path):
    Image.new("1", (14_000, 13_000)).save(tmp_path / "x.png")  # 182 million pixels
    assert inspect(tmp_path / "x.png").side == 13_000
    assert decode(tmp_path / "x.png", side=8, channels=1).shape == (8, 8, 1)
