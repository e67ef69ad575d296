"""Arrays of any type: ranges, axes, labels, and headers that promise too much."""

import gzip
import io
import zipfile

import numpy as np
import pytest

from iic_tf.datasets import arrays, numpy_files
from iic_tf.datasets.arrays import as_images, as_labels, load_npy, read_idx, squared
from iic_tf.datasets.splits import Source, Split, renumbered
from iic_tf.errors import UserError


@pytest.fixture
def some():
    """Fractions from 0 to 1, some of them exactly so: (40, 16, 16)."""
    values = np.random.default_rng(0).uniform(0, 1, (40, 16, 16))
    values[:, 0], values[:, 1] = 0, 1
    return values


def images(array):
    found, told, _ = as_images(array, what="x")
    assert found.dtype == np.uint8 and found.shape[:3] == array.shape[:3]
    return found[..., 0], told


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda x: x, "0 to 1"),
        (lambda x: x.astype(np.float16), "0 to 1"),
        (lambda x: x * 2 - 1, "-1 to 1"),
        (lambda x: x * 255, "0 to 255"),
        (lambda x: np.round(x * 255), "0 to 255"),
        (lambda x: np.round(x * 255).astype(np.int64), "0 to 255"),
        (lambda x: np.round(x * 65535).astype(np.uint16), "becomes black and"),
        (lambda x: x * 4000 + 700, "becomes black and"),
        (lambda x: np.where(x == 0, 1e-9, x), "0 to 1"),
    ],
)
def test_values_of_any_range_become_bytes(some, make, told):
    found, said = images(make(some))
    assert told in said
    np.testing.assert_allclose(found, some * 255, atol=1.1)


def test_ranges_are_told_apart_by_more_than_the_largest_value(some):
    over = some.copy()
    over[0, 2, :3] = 1.02, -0.01, 40.0  # overshoot, and a fault
    found, told = images(over)
    assert "0 to 1" in told and found[0, 2, 2] == 255
    np.testing.assert_allclose(found[1:], some[1:] * 255, atol=1)
    dark = np.zeros((40, 32, 32))
    dark[:, 3, 3] = 212.5  # a star on a black ground
    dark[:, 8, 8] = 99.5
    found, told = images(dark)
    assert "0 to 255" in told and found.max() == 212


def test_a_range_that_is_known_shows_others_alike(some, tmp_path):
    deep = np.round(some * 4000 + 700).astype(np.uint16)
    first = as_images(deep, what="x")
    assert np.allclose(first.shown, (700, 4700))
    dark = as_images(deep // 2, what="x", shown=first.shown)
    assert dark.pixels.mean() < 0.5 * first.pixels.mean()
    assert as_images(some, what="x").shown is None
    as_bytes = np.full((2, 8, 8), 77, np.uint8)
    assert as_images(as_bytes, what="x", shown=first.shown).pixels.max() == 77
    np.savez(tmp_path / "x.npz", x_train=deep, x_test=deep[:5] // 2)
    source = numpy_files.from_npz(tmp_path / "x.npz")
    assert source.shown == first.shown
    np.testing.assert_array_equal(source.splits["test"].images, dark.pixels[:5])


def test_zeros_and_ones_are_black_and_white(some):
    bits = some > 0.5
    for array in (bits, bits.astype(np.uint8), bits.astype(int), bits.astype("f4")):
        found, _ = images(array)
        np.testing.assert_array_equal(found, bits * 255)
    bytes_ = (some * 255).astype(np.uint8)
    found, told, _ = as_images(bytes_, what="x")
    assert told is None and found.base is bytes_
    assert as_images(np.zeros((2, 8, 8), np.uint8), what="x")[1] is None


def test_values_that_are_not_finite(some):
    some[3, 4, 5], some[3, 4, 6] = np.nan, np.inf
    found, told = images(some)
    assert "2 non-finite values become black" in told
    assert found[3, 4, 5] == found[3, 4, 6] == 0
    assert abs(int(found[3, 4, 7]) - some[3, 4, 7] * 255) <= 1
    with pytest.raises(UserError, match="x must hold finite values"):
        as_images(np.full((2, 8, 8), np.nan), what="x")


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        *[((5, 3, 32, 32), False), ((5, 13, 32, 32), False), ((5, 1, 28, 28), False)],
        *[((5, 64, 32, 32), False), ((5, 13, 32, 48), False), ((5, 3, 20, 20), False)],
        *[((5, 32, 32, 3), True), ((5, 32, 32, 13), True), ((5, 9, 9, 200), True)],
        *[((5, 32, 48, 13), True), ((5, 9, 11, 200), True), ((5, 3, 96, 3), True)],
        *[((5, 8, 8, 8), True), ((5, 3, 3, 4), True)],
    ],
)
def test_channels_must_be_last(shape, last):
    array = np.full(shape, 7, np.uint8)
    if last:
        assert as_images(array, what="x")[0].shape == shape
        return
    with pytest.raises(UserError, match=r"data\.array must have channels last"):
        as_images(array, what="x")


def test_channels_first_in_an_archive(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.full((9, 13, 32, 32), 5, np.uint8))
    with pytest.raises(UserError, match=r"channels last.*images of .*x\.npz"):
        numpy_files.from_npz(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2021, 2023, 2021]),
        np.array([[2021], [2023], [2021]], np.uint16),
        np.array([2021.0, 2023.0, 2021.0]),
        np.array([2**40, 2**41, 2**40]),
        np.array([3, 2**62, 3], np.uint64),
        np.array(["x", "y", "x"]),
        np.array([b"x", b"y", b"x"]),
        np.array([[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]], np.float32),
        np.array([True, False, True]) == [True] * 3,
    ],
)
def test_labels_of_any_kind_are_classes_from_0(labels, tmp_path):
    shown = np.full((3, 8, 8), 9, np.uint8)
    np.save(tmp_path / "x.npy", shown)
    np.save(tmp_path / "y.npy", labels)
    np.savez(tmp_path / "xy.npz", images=shown, labels=labels)
    alone = numpy_files.from_array(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    packed = numpy_files.from_array(tmp_path / "xy.npz", labels=None)
    packed = renumbered(packed, packed.class_names)
    for source in (alone, packed):
        [split] = source.splits.values()
        found = split.labels
        assert found[0] == found[2] != found[1] and set(found) == {0, 1}
        if labels.dtype.kind in "US":
            assert source.class_names == ("x", "y")
        elif labels.max() > 2000:
            assert source.class_names == tuple(
                str(int(v)) for v in np.unique(labels).tolist()
            )


def test_texts_of_two_splits_are_numbered_together(tmp_path):
    shown = np.full((2, 8, 8), 9, np.uint8)
    np.savez(
        tmp_path / "x.npz",
        x_train=shown,
        y_train=np.array(["b", "c"]),
        x_test=shown,
        y_test=np.array(["a", "long name"]),
    )
    source = numpy_files.from_npz(tmp_path / "x.npz")
    assert source.class_names == ("a", "b", "c", "long name")
    assert source.splits["train"].labels.tolist() == [1, 2]
    assert source.splits["test"].labels.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([-1, 0]), "labels from 0"),
        (np.array([2**63, 0], np.uint64), "labels from 0"),
        (np.array([0.5, 1.0]), "must hold integers, not fractions"),
        (np.array([np.nan, 1.0]), "must hold integers, not fractions"),
        (np.array([[1, 1], [0, 1]]), "exactly one 1 in each row"),
        (np.zeros((2, 2, 2), int), "one for each image"),
        (np.array([1j, 2]), "must hold integers"),
    ],
)
def test_labels_that_are_none(labels, message):
    with pytest.raises(UserError, match=message):
        as_labels(labels, what="labels")


def test_classes_keep_their_names_when_numbers_are_missing():
    shown = np.full((3, 8, 8, 1), 9, np.uint8)
    parts = {
        "train": Split(shown, np.array([2, 2, 5])),
        "test": Split(shown, np.array([5, 9, 2])),
        "unlabelled": Split(shown),
    }
    source = renumbered(Source(parts, "here"), ["a", "b", "c", "d", "e", "f"])
    assert source.class_names == ("c", "f", "9")
    assert source.splits["test"].labels.tolist() == [1, 2, 0]
    again = renumbered(source, source.class_names)
    assert again is source


# ------------------------------------------------------------------------- wide images


def test_wide_images_are_seen_whole():
    wide = np.zeros((3, 24, 96, 2), np.uint8)
    wide[0, :, :24], wide[1, :, -24:], wide[2, :12] = 200, 200, 200
    found = squared(wide)
    assert found.shape == (3, 48, 48, 2) and found.dtype == np.uint8
    for image, inside in zip(
        found, (np.s_[:, :11], np.s_[:, -11:], np.s_[:23]), strict=True
    ):
        assert (image[inside] == 200).all() and 0.2 < (image > 0).mean() < 0.6


# ---------------------------------------------------------------------------- promises


def npy_header(shape, dtype="|u1"):
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


@pytest.mark.parametrize(
    "shape", [(10**7, 1000, 1000), (2**62, 2**62), (-3, 8, 8), (2**70,)]
)
def test_headers_that_promise_too_much(shape, tmp_path):
    data = npy_header(shape) + b"1234"
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(
        UserError, match=r"data\.array .*x\.npy cannot be read.*declares"
    ):
        load_npy(tmp_path / "x.npy", what="data.array")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", data)
    with pytest.raises(UserError, match=r"images of .*x\.npz.*declares|declares"):
        numpy_files.from_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{'a"])
def test_damaged_headers(damage, tmp_path):
    (tmp_path / "x.npy").write_bytes(damage)
    with pytest.raises(UserError, match="cannot be read"):
        load_npy(tmp_path / "x.npy", what="data.array")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", damage)
    with pytest.raises(UserError, match="cannot read the npz file"):
        numpy_files.from_npz(tmp_path / "x.npz")


def idx(*sizes, axes=None, data=b""):
    head = bytes([0, 0, 8, len(sizes) if axes is None else axes])
    return head + b"".join(size.to_bytes(4, "big") for size in sizes) + data


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(2**32 - 1, 2**32 - 1, 2**32 - 1), "must fit into the free memory"),
        (idx(*[2] * 4, axes=255), "must have 1 to 4 axes. Received: axes=255"),
        (idx(0, axes=0), "must have 1 to 4 axes"),
        (idx(50_000, 28, 28), "declares 39200000 bytes.*far fewer follow"),
        (idx(2, 2, 2, data=b"1234567"), r"declares 8 bytes.* 7 follow"),
        (idx(2, 2, 2, data=b"123456789"), r"declares 8 bytes.* more follow"),
    ],
)
def test_idx_headers_that_promise_too_much(pack, content, message, tmp_path):
    (tmp_path / "x").write_bytes(pack(content))
    with pytest.raises(UserError, match=message):
        read_idx(tmp_path / "x")


def test_a_bomb_is_not_inflated(tmp_path):
    content = gzip.compress(idx(1, 28, 28) + bytes(50_000_000))
    (tmp_path / "x.gz").write_bytes(content)
    read = []

    class Counting(gzip.GzipFile):
        def read(self, size=-1):
            data = super().read(size)
            read.append(len(data))
            return data

    with Counting(tmp_path / "x.gz") as file:
        with pytest.raises(UserError, match="more follow"):
            arrays._read_idx(file, tmp_path / "x.gz", packed=True)
    assert sum(read) < 1000
