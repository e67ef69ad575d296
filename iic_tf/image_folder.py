"""Anyone's folder of images, decoded in parallel to one size and kept as uint8.

Files are told by their content, not by their name; what cannot be read is skipped and
named. The images stay in memory where they fit, otherwise in a file that is mapped.
"""

import io
import os
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
from PIL import Image, ImageOps

from iic_tf.options import first_line, require

# Pictures of a survey are larger than what Pillow takes for an attack.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")

GREY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L")

LARGEST_SIDE = 64
"""Images are made no larger than this unless asked: a step's time grows by side²."""

MEMORY_SHARE = 0.25
"""Share of the free memory that images may take: training holds them a second time,
and regrouping some of them a third and a fourth time."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ImageFolder:
    """What was read of a folder.

    Attributes:
        images: uint8, shape ``(n, side, side, channels)``; an ``np.memmap`` if they did
            not fit into memory.
        paths: Path of each image relative to the folder, with "/".
        unreadable: Path and reason of each file that was skipped.
        kept: Where the images are kept and how much they take, in words.
    """

    images: np.ndarray
    paths: list[str]
    unreadable: list[tuple[str, str]]
    kept: str


def on_all_cores(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Like ``map``, in threads: Pillow decodes and resizes outside of Python's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(work, items)


def find_files(folder: Path) -> list[Path]:
    """All files below a folder that are not hidden, in a fixed order."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(found)


@dataclass(frozen=True)
class Header:
    """Shorter side in pixels of an image, and whether it is grey."""

    side: int
    grey: bool


def inspect(path: Path) -> Header | str:
    """Shorter side and kind of an image, or why it is none."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            return Header(min(picture.size), picture.mode in GREY_MODES)
    except Exception as error:  # damage surfaces as any of a dozen kinds
        return reason(error)


def reason(error: Exception) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image"
    return first_line(error)


def decode(path: Path, *, side: int, channels: int) -> np.ndarray:
    """Reads an image, turned upright, and fits its middle into a square.

    Args:
        path: File of one of ``FORMATS``; of an animation the first picture is read.
        side: Side of the square in pixels.
        channels: 1 for grey, 3 for colour.

    Returns:
        uint8, shape ``(side, side, channels)``.

    Raises:
        Exception: Whatever Pillow raises for a damaged file.
    """
    picture = open_upright(path, channels=channels, at_least=2 * side)
    picture = ImageOps.fit(picture, (side, side), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8).reshape(side, side, channels)


PHOTOMETRIC, SAMPLES, EXTRA_SAMPLES = 262, 277, 338
"""Tags of a TIFF file."""


def _with_alpha(data: bytes) -> bytes | bytearray:
    """A file whose fourth band Pillow reads, whatever a TIFF says that it is.

    Most files of four bands do not say, or call them all grey; then Pillow leaves the
    fourth one out, or reads none. One that is called associated alpha it divides the
    others by. Read as unassociated alpha all four are as they are.

    Args:
        data: Of a file of any kind; all but TIFFs of four bands stay as they are.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return data
    try:
        return _declare_alpha(data, order)
    except struct.error:  # a part is missing, which reading it will tell
        return data


def _declare_alpha(data: bytes, order: str) -> bytes | bytearray:
    """See ``_with_alpha``; ``order`` is that of the bytes.

    Raises:
        struct.error: If a part is missing.
    """

    def read(form: str, place: int) -> int:
        return struct.unpack_from(order + form, data, place)[0]

    large = read("H", 2) == 43  # BigTIFF
    form = "Q" if large else "I"
    # where the directory is told, its first entry, an entry's bytes, its value in them
    head, first, size, at = (8, 8, 20, 12) if large else (4, 2, 12, 8)
    directory = read(form, head)
    number = read("Q" if large else "H", directory)
    places, values = {}, {SAMPLES: 1}
    for i in range(number):
        place = directory + first + i * size
        tag, kind = read("H", place), read("H", place + 2)
        places[tag] = place
        values[tag] = read("I" if kind == 4 else "H", place + at)
    if values[SAMPLES] != 4 or values.get(PHOTOMETRIC) not in (1, 2):
        return data
    changed = bytearray(data)
    for tag in (PHOTOMETRIC, EXTRA_SAMPLES):
        if tag in places:  # without extra samples Pillow takes the last for alpha
            entry = struct.pack(f"{order}HH{form}H", tag, 3, 1, 2)
            changed[places[tag] : places[tag] + size] = entry.ljust(size, b"\0")
    return changed


def open_upright(
    path: Path, *, channels: int, at_least: int | None = None
) -> Image.Image:
    """Opens an image, turned upright, in grey, colour or four bands.

    Args:
        path: File of one of ``FORMATS``; of an animation the first picture is read.
        channels: 1 for grey, 3 for colour, 4 for the bands of a file that has four.
        at_least: Sides in pixels that JPEGs must have; larger ones may come at a
            fraction of their size, which is several times faster.

    Raises:
        Exception: Whatever Pillow raises for a damaged file.
    """
    named = path if channels < 4 else io.BytesIO(_with_alpha(path.read_bytes()))
    with Image.open(named, formats=FORMATS) as file:
        if at_least is not None:
            file.draft("RGB" if channels == 3 else "L", (at_least, at_least))
        picture: Image.Image = ImageOps.exif_transpose(file)
    if channels == 4:
        if len(picture.getbands()) != 4:
            raise ValueError(f"it must have four bands, this one is {picture.mode}")
        # a fourth band called alpha would be multiplied with the others in resizing
        return Image.merge("CMYK", picture.split())
    if picture.mode in ("I", "F", "I;16", "I;16B", "I;16L"):
        values = np.asarray(picture, np.float32)
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) * (255.0 / max(high - low, 1e-6))
        picture = Image.fromarray(scaled.round().astype(np.uint8))
    elif picture.mode in ("P", "LA", "La", "RGBA", "RGBa", "PA"):
        # what is transparent becomes white
        clear = picture.convert("RGBA")
        picture = Image.new("RGBA", clear.size, "white")
        picture.alpha_composite(clear)
    return picture.convert("RGB" if channels == 3 else "L")


def choose_side(sides: Iterable[int]) -> int:
    """A side that suits images of many sizes: the median, but between 16 and 64.

    Args:
        sides: Shorter side of each image in pixels.
    """
    return int(np.clip(np.median(list(sides)), 16, LARGEST_SIDE))


def _room(number: int, side: int, channels: int) -> tuple[np.ndarray, str]:
    """Room for images: in memory, or in a file that is gone when the process ends."""
    shape = (number, side, side, channels)
    needed, free = int(np.prod(shape)), psutil.virtual_memory().available
    size = f"{needed / 1e6:,.0f} MB"
    if fits_in_memory(needed):
        return np.empty(shape, np.uint8), f"in memory, {size} of {free / 1e6:,.0f} free"
    disk = psutil.disk_usage(tempfile.gettempdir()).free
    require(
        needed < 0.9 * disk,
        f"data.size is too large: the images would take {size}, with "
        f"{free / 1e6:,.0f} MB of memory and {disk / 1e6:,.0f} MB in "
        f"{tempfile.gettempdir()} free",
        size=side,
    )
    with tempfile.NamedTemporaryFile(prefix="iic_tf-") as file:
        file.truncate(needed)
        room = np.memmap(file.name, np.uint8, "r+", shape=shape)
    return room, f"in a file in {tempfile.gettempdir()}, {size}"


def read_folder(
    folder: Path,
    *,
    side: int | None = None,
    channels: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> ImageFolder:
    """Reads all images below a folder.

    Args:
        folder: Any tree of folders and files.
        side: Side that images are brought to in pixels; suits them if None.
        channels: 1 or 3; 1 if None and all images are grey.
        progress: Called now and then with the files done and their number.

    Raises:
        UserError: If there is no image, or no room.
    """
    require(folder.is_dir(), "data.folder must be a folder", folder=str(folder))
    files = find_files(folder)
    unreadable: list[tuple[str, str]] = []
    headers: dict[Path, Header] = {}

    def name(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    for path, header in zip(files, on_all_cores(inspect, files), strict=True):
        if isinstance(header, str):
            unreadable.append((name(path), header))
        else:
            headers[path] = header
    require(
        bool(headers),
        "data.folder must hold images (JPEG, PNG, BMP, GIF, TIFF or WebP)",
        folder=str(folder),
        files=len(files),
    )
    if side is None:
        side = choose_side(header.side for header in headers.values())
    if channels is None:
        channels = 1 if all(header.grey for header in headers.values()) else 3

    images, kept = _room(len(headers), side, channels)

    def read(path: Path) -> np.ndarray | str:
        try:
            return decode(path, side=side, channels=channels)
        except Exception as error:
            return reason(error)

    paths: list[str] = []
    for i, (path, image) in enumerate(
        zip(headers, on_all_cores(read, list(headers)), strict=True)
    ):
        if isinstance(image, str):
            unreadable.append((name(path), image))
        else:
            images[len(paths)] = image
            paths.append(name(path))
        if i % 100 == 99 or i == len(headers) - 1:
            progress(i + 1, len(headers))
    require(
        bool(paths), "data.folder must hold images that can be read", files=len(files)
    )
    return ImageFolder(images[: len(paths)], paths, sorted(unreadable), kept)


def fits_in_memory(number_of_bytes: int) -> bool:
    """Whether images of so many bytes should be held in memory."""
    return number_of_bytes <= MEMORY_SHARE * psutil.virtual_memory().available


def folder_labels(paths: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Classes from the names of the folders that images lie in.

    Args:
        paths: Relative paths with "/".

    Returns:
        Class of each image, int64, shape ``(n,)``, and the names of the classes in
        alphabetical order.

    Raises:
        UserError: If an image lies in no sub-folder.
    """
    parents = [path.rsplit("/", 2)[-2] if "/" in path else "" for path in paths]
    loose = parents.count("")
    require(
        not loose,
        "data.labels folder needs every image in a sub-folder named as its class",
        images_in_no_folder=loose,
    )
    names, labels = np.unique(parents, return_inverse=True)
    return labels.astype(np.int64), tuple(str(name) for name in names)


def describe_unreadable(unreadable: Sequence[tuple[str, str]]) -> str:
    """How many files were skipped and why, in words: "3 files (not an image: 2, …)"."""
    # what is in brackets differs from file to file
    reasons = Counter(reason.split(" (")[0] for _, reason in unreadable)
    listed = ", ".join(f"{reason}: {n}" for reason, n in reasons.most_common(3))
    files = "1 file" if len(unreadable) == 1 else f"{len(unreadable):,} files"
    return f"{files} ({listed}{', …' if len(reasons) > 3 else ''})"
