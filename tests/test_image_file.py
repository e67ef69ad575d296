"""One image file of any kind."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from iic_tf.datasets import image_file
from iic_tf.datasets.image_file import (
    Notes,
    decode,
    find_range,
    inspect,
    open_upright,
    reason,
)


def save(path, shape, *, kind=None, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, kind)
    return pixels


def chunk(kind, data, *, wrong=0):
    check = zlib.crc32(kind + data) ^ wrong
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def png(size, depth, colour, rows, *more):
    """A PNG file of rows of bytes."""
    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", head), *more, chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_png(values):
    """A PNG file of 16 bits, shape ``(height, width, channels)``."""
    height, width, channels = values.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = [row.astype(">u2").tobytes() for row in values]
    return png((width, height), 16, colour, rows)


def test_the_middle_of_an_image_is_fitted_into_a_square(tmp_path):
    pixels = save(tmp_path / "x.png", (20, 60, 3))
    found = decode(tmp_path / "x.png", side=20, channels=3)
    np.testing.assert_array_equal(found, pixels[:, 20:40])


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


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_png_is_shown_over_its_range(tmp_path, channels):
    values = np.random.default_rng(0).integers(0, 4096, (9, 7, channels))
    if channels in (2, 4):
        values[..., -1] = 65_535  # opaque
    (tmp_path / "x.png").write_bytes(deep_png(values))
    header = inspect(tmp_path / "x.png")
    assert header.deep and header.grey == (channels < 3) and header.side == 7
    found = open_upright(tmp_path / "x.png", channels=3, shown=(0.0, 4095.0))
    colours = values[..., : 3 if channels > 2 else 1] * (255 / 4095)
    np.testing.assert_allclose(
        np.asarray(found), np.broadcast_to(colours, (9, 7, 3)), atol=0.6
    )


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"compression": "lzw"},
        {"compression": "deflate", "predictor": 2},
        {"tile": (16, 16)},
        {"byteorder": ">"},
        {"planarconfig": "separate"},
    ],
    ids=str,
)
def test_deep_colour_tiff_is_shown_over_its_range(tmp_path, layout):
    values = np.random.default_rng(0).integers(0, 4096, (20, 30, 3), dtype=np.uint16)
    stored = np.moveaxis(values, -1, 0) if "planarconfig" in layout else values
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="rgb", **layout)
    found = open_upright(tmp_path / "x.tif", channels=3, shown=(0.0, 4095.0))
    np.testing.assert_allclose(np.asarray(found), values * (255 / 4095), atol=0.51)


@pytest.mark.parametrize("kind", ["<i2", "<u4", "<i4", "<f2", "<f4", "<f8", "<i1"])
def test_numbers_of_every_kind_are_read(tmp_path, kind):
    values = np.arange(100).reshape(10, 10).astype(kind)
    tifffile.imwrite(tmp_path / "x.tif", values)
    assert inspect(tmp_path / "x.tif").deep
    found = open_upright(tmp_path / "x.tif", channels=1, shown=(0.0, 99.0))
    np.testing.assert_allclose(np.asarray(found), values * (255 / 99), atol=0.51)


def test_a_tiff_where_white_is_0_is_inverted(tmp_path):
    values = np.arange(100, dtype=np.uint16).reshape(10, 10)
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="miniswhite")
    found = open_upright(tmp_path / "x.tif", channels=1, shown=(0.0, 99.0))
    np.testing.assert_allclose(np.asarray(found), 255 - values * (255 / 99), atol=0.51)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf, -9999.0, -3.4e38])
def test_pixels_without_a_value_are_black_and_change_no_other(tmp_path, missing):
    values = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    tifffile.imwrite(tmp_path / "a.tif", values)
    values[:5, :5] = missing
    tifffile.imwrite(tmp_path / "b.tif", values)
    shown = find_range([tmp_path / "a.tif", tmp_path / "b.tif"])
    np.testing.assert_allclose(shown, (0, 1), atol=0.02)
    notes = Notes()
    whole, part = (
        np.asarray(open_upright(tmp_path / name, channels=1, shown=shown, notes=notes))
        for name in ("a.tif", "b.tif")
    )
    assert not part[:5, :5].any() and notes.without_value == [25]
    np.testing.assert_array_equal(part[5:], whole[5:])


def test_a_value_that_the_file_calls_no_data_is_none(tmp_path):
    values = np.arange(1_000, 1_400, dtype=np.uint16).reshape(20, 20)
    values[:4] = 7
    tag = (42113, "s", 0, "7", True)
    tifffile.imwrite(tmp_path / "x.tif", values, extratags=[tag])
    low, high = find_range([tmp_path / "x.tif"])
    assert low == 1_080 and high == 1_399
    notes = Notes()
    open_upright(tmp_path / "x.tif", channels=1, shown=(low, high), notes=notes)
    assert notes.without_value == [80]


def test_volumes_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.ones((8, 8), np.complex64))
    with pytest.raises(ValueError, match="complex"):
        decode(tmp_path / "x.tif", side=8, channels=1)


@pytest.mark.parametrize("bands", [2, 4, 5, 13])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_bands_beside_the_colours_are_left_out_and_not_blended(tmp_path, bands, kind):
    values = np.random.default_rng(0).integers(0, 256, (20, 20, bands)).astype(kind)
    rgb = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    how = rgb if bands == 4 else {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "x.tif", values, **how)
    header = inspect(tmp_path / "x.tif")
    assert header.more_bands == bands and header.grey == (bands == 2)
    found = open_upright(tmp_path / "x.tif", channels=3, shown=(0.0, 255.0))
    colours = values[..., : 3 if bands > 2 else 1]
    np.testing.assert_array_equal(found, np.broadcast_to(colours, (20, 20, 3)))


def on_clear(colour, mode="RGBA"):
    """A bar of one colour on a transparent ground."""
    image = Image.new(mode, (16, 16), (0,) * len(mode))
    image.paste(colour, (4, 0, 12, 16))
    return image


@pytest.mark.parametrize("kind", ["png", "webp", "gif"])
@pytest.mark.parametrize("level", [0, 90, 160, 230, 255])
def test_what_is_on_a_transparent_ground_is_seen(tmp_path, level, kind):
    path = tmp_path / f"x.{kind}"
    on_clear((level, level, level, 255)).save(path)
    notes = Notes()
    for channels in (1, 3):
        found = np.asarray(open_upright(path, channels=channels, notes=notes), int)
        assert abs(found[8, 8] - found[8, 0]).min() > 80
        assert abs(found[8, 8] - level).max() < 3
    assert bool(notes.on_black) == (level > 207)


def test_a_colour_declared_transparent_is_clear(tmp_path):
    image = Image.new("RGB", (16, 16), (1, 2, 3))
    image.paste((255, 255, 255), (4, 0, 12, 16))
    image.save(tmp_path / "x.png", transparency=(1, 2, 3))
    found = np.asarray(open_upright(tmp_path / "x.png", channels=1))
    assert found[8, 0] == 0 and found[8, 8] == 255


def test_opaque_white_stays_as_it_is(tmp_path):
    Image.new("RGBA", (16, 16), "white").save(tmp_path / "x.png")
    notes = Notes()
    assert decode(tmp_path / "x.png", side=8, channels=3, notes=notes).min() == 255
    assert not notes.on_black and notes.of_one_tone == [tmp_path / "x.png"]


JUNK = {
    "exif": [chunk(b"eXIf", b"junk")],
    "profile": [chunk(b"iCCP", b"junk")],
    "large profile": [chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(5 << 20)))],
    "large text": [chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(5 << 20)))],
    "wrong sum": [chunk(b"tEXt", b"x\0y", wrong=1)],
    "short": [chunk(b"pHYs", b"1"), chunk(b"gAMA", b"1"), chunk(b"acTL", b"1")],
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("depth", [8, 16])
def test_what_a_png_says_beside_its_pixels_may_be_damaged(tmp_path, junk, depth):
    rows = np.random.default_rng(0).integers(0, 256, (8, 8 * 3 * depth // 8), np.uint8)
    whole = png((8, 8), depth, 2, [row.tobytes() for row in rows])
    (tmp_path / "a.png").write_bytes(whole)
    damaged = png((8, 8), depth, 2, [row.tobytes() for row in rows], *junk)
    (tmp_path / "b.png").write_bytes(damaged)
    assert inspect(tmp_path / "b.png") == inspect(tmp_path / "a.png")
    found, expected = (
        decode(tmp_path / name, side=8, channels=3, shown=(0.0, 65_535.0))
        for name in ("b.png", "a.png")
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "segment",
    [
        (0xE0, b"JFIF"),
        (0xE1, b"Exif\0\0junk"),
        (0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"MPF\0junk"),
        (0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x01a"),
        (0xEE, b"Adobe"),
    ],
    ids=str,
)
def test_what_a_jpeg_says_beside_its_pixels_may_be_damaged(tmp_path, segment):
    save(tmp_path / "a.jpg", (16, 16, 3))
    whole = (tmp_path / "a.jpg").read_bytes()
    marker, data = segment
    more = bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data
    (tmp_path / "b.jpg").write_bytes(whole[:2] + more + whole[2:])
    found, expected = (
        decode(tmp_path / name, side=16, channels=3) for name in ("b.jpg", "a.jpg")
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("exif", [b"Exif\0\0ASCII", b"b'Exif'", b""])
def test_exif_of_a_webp_may_be_junk(tmp_path, exif):
    pixels = save(tmp_path / "a.png", (16, 16, 3))
    Image.fromarray(pixels).save(tmp_path / "b.webp", lossless=True, exif=exif)
    found = decode(tmp_path / "b.webp", side=16, channels=3)
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "deep png", "deep tif"])
def test_images_are_turned_as_exif_says(tmp_path, turn, kind):
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :12] = 255
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(turn, turn)
    lying = Image.fromarray(upright)
    if back > 1:
        lying = lying.transpose(image_file.TURNS[back])
    path = tmp_path / f"x.{kind.split()[-1]}"
    exif = Image.Exif()
    exif[0x0112] = turn
    if kind == "deep tif":
        tag = (274, "H", 1, turn, True)
        tifffile.imwrite(path, np.asarray(lying).astype(np.uint16), extratags=[tag])
    elif kind == "deep png":
        deep = Image.fromarray(np.asarray(lying).astype(np.uint16))
        deep.save(path, exif=exif)
    else:
        lying.convert("RGB").save(path, exif=exif)
    found = open_upright(path, channels=1, shown=(0.0, 255.0))
    np.testing.assert_allclose(np.asarray(found, int), upright, atol=60)


def test_images_too_large_for_any_use_are_refused_before_they_are_decoded(
    tmp_path, monkeypatch
):
    rows = [bytes(50)] * 400
    path = tmp_path / "x.png"
    path.write_bytes(png((400, 400), 1, 3, rows, chunk(b"PLTE", bytes(6))))
    monkeypatch.setattr(image_file, "MOST_PIXELS", 159_999)
    with pytest.raises(ValueError, match=r"too many pixels \(400×400; "):
        decode(path, side=8, channels=3)
    monkeypatch.setattr(image_file, "MOST_PIXELS", 160_000)
    assert decode(path, side=8, channels=3).shape == (8, 8, 3)


def test_why_a_file_cannot_be_read():
    assert reason(Image.UnidentifiedImageError("x")) == "not an image"
    assert reason(ValueError("one\ntwo")) == "one"


def test_deep_files_that_are_cut_short_are_called_damaged(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (20, 20, 3), dtype=np.uint16)
    (tmp_path / "x.png").write_bytes(deep_png(values)[:-40])
    tifffile.imwrite(tmp_path / "y.tif", values, photometric="rgb")
    whole = (tmp_path / "y.tif").read_bytes()
    (tmp_path / "y.tif").write_bytes(whole[:-40])
    for name, kind in (("x.png", "PNG"), ("y.tif", "TIFF")):
        with pytest.raises(ValueError, match=f"a damaged {kind} file"):
            decode(tmp_path / name, side=8, channels=3)


def test_reading_leaves_no_setting_of_the_process_changed(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    before = Image.MAX_IMAGE_PIXELS
    assert before is not None
    with image_file.lenient:
        assert Image.MAX_IMAGE_PIXELS is None
        with image_file.lenient:  # as in another thread
            pass
        assert Image.MAX_IMAGE_PIXELS is None
    assert Image.MAX_IMAGE_PIXELS == before
    image_file.decode(path, side=8, channels=1)
    assert Image.MAX_IMAGE_PIXELS == before
