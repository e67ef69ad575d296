"""Anyone's arrays: what their headers promise, and images and labels of any type.

Whatever a file says of its size is compared with the file and with the memory before
room is made for it.
"""

import gzip
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import psutil
from PIL import Image

from iic_tf.datasets import value_range
from iic_tf.datasets.image_folder import fits_in_memory, make_room, on_all_cores
from iic_tf.errors import UserError, first_line, require

AT_ONCE = 1000
"""Images that are converted at a time."""

MANY = 200_000
"""Values that are looked at to tell the range of floats and wide integers."""

FEW_SHARE = 0.01
"""So few values outside of a range are overshoot or faults, and are cut off."""

TOO_LARGE = "the array is too large"

# ----------------------------------------------------------------------------- reading


def _free() -> int:
    return int(psutil.virtual_memory().available)


def _check_promise(name: str, shape: tuple[int, ...], itemsize: int) -> int:
    """The bytes that a header promises; raises UserError if memory lacks room."""
    promised = math.prod(shape) * itemsize
    require(
        promised <= _free(),
        f"{name} declares the shape {shape}, {promised / 1e9:,.1f} GB, which must fit "
        "into the free memory",
        free_GB=round(_free() / 1e9, 1),
    )
    return promised


def _read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type in the header of an npy file.

    Raises:
        ValueError: If it is damaged, or of Python objects.
    """
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"its format version {version[0]}.{version[1]} is not known")
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError(
            "it holds Python objects; save text as np.array(labels, dtype=str)"
        )
    if any(size < 0 for size in shape):
        raise ValueError(f"its header declares the shape {shape}")
    return shape, dtype


def load_npy(path: Path, *, what: str) -> np.ndarray:
    """The array of a npy file; mapped where it is large for the memory.

    Args:
        path: The file.
        what: The option that it was given for.

    Raises:
        UserError: If it is damaged, cut short or of Python objects.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                raise ValueError("it is an npz file; a .npy file is needed")
            file.seek(0)
            shape, dtype = _read_npy_header(file)
            promised, follow = math.prod(shape) * dtype.itemsize, size - file.tell()
        if promised > follow:
            raise ValueError(
                f"its header declares {promised:,} bytes for the shape {shape}, but "
                f"{follow:,} follow"
            )
        mapped = np.load(path, mmap_mode="r" if promised else None, allow_pickle=False)
        return np.array(mapped) if fits_in_memory(promised) else mapped
    except Exception as error:  # damage surfaces as any of a dozen kinds
        raise UserError(f"{what} {path} cannot be read: {first_line(error)}") from None


class Archive:
    """The arrays of an npz file, read when they are asked for.

    Args:
        path: The file.

    Raises:
        UserError: If it is damaged.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
        except Exception as error:
            raise self._unreadable(error) from None
        self.names = [name.removesuffix(".npy") for name in members]

    def _unreadable(self, error: Exception) -> UserError:
        return UserError(f"cannot read the npz file {self._path}: {first_line(error)}")

    def read(self, name: str) -> np.ndarray:
        """One of the arrays.

        Raises:
            UserError: If it is damaged or there is no room for it.
        """
        try:
            with zipfile.ZipFile(self._path) as archive:
                member = archive.getinfo(f"{name}.npy")
                with archive.open(member) as file:
                    shape, dtype = _read_npy_header(file)
                what = f"{name} of {self._path}"
                promised = _check_promise(what, shape, dtype.itemsize)
                if promised > member.file_size:
                    raise ValueError(
                        f"the header of {name} declares {promised:,} bytes for the "
                        f"shape {shape}, but at most {member.file_size:,} follow"
                    )
                with archive.open(member) as file:
                    return np.lib.format.read_array(file, allow_pickle=False)
        except UserError:
            raise
        except Exception as error:  # damage surfaces as any of a dozen kinds
            raise self._unreadable(error) from None


MOST_AXES = 4
"""Of an IDX file: images by rows, columns and perhaps channels."""

GZIP_RATIO = 1032
"""Bytes that one byte of a gzip file becomes at most."""


def read_idx(path: Path) -> np.ndarray:
    """Reads an IDX file of bytes, gzip-compressed or not.

    Args:
        path: File in the format of the MNIST distribution: two zero bytes, type 8
            (unsigned byte), the number of axes, their sizes as big-endian 32-bit
            integers, then the bytes.

    Returns:
        uint8 array of the shape given in the file.

    Raises:
        UserError: If the file is damaged, cut short or of another kind, or promises
            more than there is memory.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            return _read_idx(file, path, packed=packed)
    except UserError:
        raise
    except Exception as error:  # damage surfaces as any of a dozen kinds
        raise UserError(
            f"cannot read the IDX file {path}: {first_line(error)}"
        ) from None


def _read_idx(file: Any, path: Path, *, packed: bool) -> np.ndarray:
    head = file.read(4)
    if len(head) < 4 or head[:3] != b"\x00\x00\x08":
        raise UserError(f"{path} is not an IDX file of bytes")
    axes = head[3]
    require(
        1 <= axes <= MOST_AXES,
        f"the IDX file {path} must have 1 to {MOST_AXES} axes",
        axes=axes,
    )
    sizes = file.read(4 * axes)
    shape = tuple(int.from_bytes(sizes[4 * i : 4 * i + 4], "big") for i in range(axes))
    expected = _check_promise(f"the IDX file {path}", shape, 1)
    bytes_there = path.stat().st_size
    possible = bytes_there * GZIP_RATIO if packed else bytes_there
    data = file.read(expected + 1) if expected <= possible else b""
    if len(data) != expected or len(sizes) < 4 * axes:
        follow = f"{len(data):,}" if expected <= possible else "far fewer"
        raise UserError(
            f"the IDX file {path} is damaged: its header declares {expected} bytes "
            f"for the shape {shape}, but "
            f"{'more' if len(data) > expected else follow} follow"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


# ------------------------------------------------------------------------------ images


class Range(NamedTuple):
    """Which values become black and white.

    Attributes:
        low: Becomes 0.
        high: Becomes 255.
        told: What of it users should know, or None.
        stated: Whether it follows from the kind of values, not from their extremes.
    """

    low: float
    high: float
    told: str | None = None
    stated: bool = True


def _channels_first(shape: tuple[int, ...]) -> bool:
    """Whether the axis after the first is rather that of channels than the last."""
    first, middle, last = shape[1:]
    if last <= 4 or not all(shape):
        return False
    if first <= 4 or (middle == last != first):
        return True
    nearer = abs(math.log(middle / last)) < abs(math.log(middle / first))
    return first < last and nearer


def _parts(array: np.ndarray) -> Iterator[slice]:
    for start in range(0, len(array), AT_ONCE):
        yield slice(start, start + AT_ONCE)


def choose_range(
    array: np.ndarray, *, what: str, shown: tuple[float, float] | None = None
) -> Range | None:
    """Which values of an array are black and white; None for bytes as they are.

    Stated ranges are told apart by the type, by how many values lie above 1, and by
    whether they are whole: 0 to 1, -1 to 1, 0 to 255. Any other range is found as
    for folders of images, see ``robust_range``.

    Args:
        array: Numbers of any type.
        what: What they are, for the sentence.
        shown: The range of whatever is no byte, where it is known.

    Raises:
        UserError: If no value is finite.
    """
    if array.dtype == bool:
        return Range(0, 1)
    if array.dtype == np.uint8:
        # most images have a value above 1 early on
        if any(array[part].max(initial=0) > 1 for part in _parts(array)):
            return None
        if not any(array[part].any() for part in _parts(array)):
            return None
        return Range(0, 1, "values are 0 and 1, read as black and white")
    step = max(array.size // MANY, 1)
    some = np.concatenate(
        [np.ravel(array[part])[::step] for part in _parts(array)]
    ).astype(np.float64)
    some = some[np.isfinite(some)]
    require(bool(len(some)), f"{what} must hold finite values", dtype=str(array.dtype))
    whole = bool((some == np.round(some)).all())
    few = FEW_SHARE * (not whole)  # whole numbers do not overshoot
    drawn = some[some != 0]  # a black ground would outnumber what lies outside

    def outside(low: float, high: float) -> float:
        out = (drawn < low) | (drawn > high)
        return float(out.mean()) if len(drawn) else 0.0

    told = f"values ({array.dtype}) from {some.min():.4g} to {some.max():.4g}"
    if shown is not None:
        low, high = shown
        said = f"{told}; {low:.4g} becomes black and {high:.4g} white"
        return Range(low, high, said, stated=False)
    if outside(0, 1) <= few:
        return Range(0, 1, f"{told}, read as 0 to 1")
    if outside(-1, 1) <= few:
        return Range(-1, 1, f"{told}, read as -1 to 1")
    if outside(0, 255) <= few:
        return Range(0, 255, f"{told}, read as 0 to 255")
    low, high = value_range.robust_range([some.astype(array.dtype)])
    said = f"{told}; {low:.4g} becomes black and {high:.4g} white"
    return Range(low, high, said, stated=False)


def to_bytes(array: np.ndarray, found: Range) -> tuple[np.ndarray, int]:
    """An array's values as bytes.

    Args:
        array: Numbers of any type.
        found: See ``choose_range``; what lies outside is cut off.

    Returns:
        uint8 of the same shape, and how many values were not finite and became 0.
    """
    result, _ = make_room(array.shape, too_large=TOO_LARGE)
    lost = 0
    for part in _parts(array):
        lost += int(np.count_nonzero(~np.isfinite(array[part])))
        result[part], _ = value_range.to_bytes(array[part], (found.low, found.high))
    return result, lost


class Images(NamedTuple):
    """Images as bytes.

    Attributes:
        pixels: uint8, shape ``(n, height, width, channels)``.
        told: What users should know of how values were read, or None.
        shown: Values that are black and white, where others of their kind should be
            shown alike; else None.
    """

    pixels: np.ndarray
    told: str | None = None
    shown: tuple[float, float] | None = None


def as_images(
    array: np.ndarray, *, what: str, shown: tuple[float, float] | None = None
) -> Images:
    """Images of any type of numbers as bytes, with an axis of channels.

    Args:
        array: Shape ``(n, height, width[, channels])``.
        what: Where they are from, for sentences.
        shown: Values that are black and white, where they are known; else those that
            suit all images.

    Raises:
        UserError: If it is of another rank or type, or channels are not the last axis.
    """
    require(
        array.ndim in (3, 4) and array.dtype.kind in "buif",
        f"{what} must hold numeric images of shape (n, height, width[, channels])",
        shape=array.shape,
        dtype=str(array.dtype),
    )
    if array.ndim == 3:
        array = array[..., None]
    require(
        not _channels_first(array.shape),
        f"data.array must have channels last, but in {what} they are the second axis; "
        "np.moveaxis(x, 1, -1) moves them",
        shape=array.shape,
    )
    require(math.prod(array.shape) > 0, f"{what} must hold images", shape=array.shape)
    found = choose_range(array, what=what, shown=shown)
    if found is None:
        return Images(array)
    images, lost = to_bytes(array, found)
    told = found.told
    if lost:
        told = f"{told}; {lost:,} non-finite values become black"
    return Images(
        images,
        told and f"{what}: {told}",
        None if found.stated else (found.low, found.high),
    )


def squared(images: np.ndarray) -> np.ndarray:
    """Whole images as squares of about as many pixels, longer sides squeezed.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.

    Returns:
        uint8, shape ``(n, side, side, channels)``.
    """
    number, height, width, channels = images.shape
    side = round(math.sqrt(height * width))

    def fit(image: np.ndarray) -> np.ndarray:
        bands = [
            Image.fromarray(np.ascontiguousarray(band)).resize(
                (side, side), Image.Resampling.BILINEAR
            )
            for band in np.moveaxis(image, -1, 0)
        ]
        return np.stack([np.asarray(band) for band in bands], axis=-1)

    result, _ = make_room((number, side, side, channels), too_large=TOO_LARGE)
    for part in _parts(images):
        result[part] = list(on_all_cores(fit, list(images[part])))
    return result


# ------------------------------------------------------------------------------ labels


def as_labels(
    array: np.ndarray, *, what: str
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Labels of any type as numbers.

    Args:
        array: Whole numbers from 0, text, or booleans, shape ``(n,)`` or ``(n, 1)``; or
            one-hot rows, shape ``(n, classes)``.
        what: Where they are from, for sentences.

    Returns:
        int64, shape ``(n,)``: the numbers as they are, of text its place among all
        texts in alphabetical order; and these texts, or None for numbers.

    Raises:
        UserError: If they are none of these.
    """
    kind = array.dtype.kind
    require(
        array.ndim in (1, 2) and kind in "buifUS",
        f"{what} must hold integers, text or one-hot rows, one for each image",
        dtype=str(array.dtype),
        shape=array.shape,
    )
    if array.ndim == 2 and array.shape[1] != 1:
        require(
            kind in "buif"
            and bool(((array == 0) | (array == 1)).all() and (array.sum(1) == 1).all()),
            f"{what} must have exactly one 1 in each row where it has several columns",
            shape=array.shape,
        )
        return array.argmax(axis=1).astype(np.int64), None
    flat = array.reshape(-1)
    if kind in "US":
        values, numbers = np.unique(flat, return_inverse=True)
        names = [
            value.decode("utf-8", "surrogateescape") if kind == "S" else str(value)
            for value in values.tolist()
        ]
        return numbers.reshape(-1).astype(np.int64), tuple(names)
    if not len(flat):
        return flat.astype(np.int64), None
    require(
        kind != "f" or bool((np.isfinite(flat) & (flat == np.round(flat))).all()),
        f"{what} must hold integers, not fractions",
        dtype=str(array.dtype),
    )
    lowest, highest = flat.min().item(), flat.max().item()
    require(
        lowest >= 0 and highest < 2**63,
        f"{what} must hold labels from 0 to 2**63 - 1",
        lowest=lowest,
        highest=highest,
    )
    return flat.astype(np.int64), None
