"""Anyone's folder of images, decoded in parallel to one size and kept as uint8.

Files are told by their content, not by their name; what cannot be read is skipped and
named. The images stay in memory where they fit, otherwise in a file that is mapped.
"""

import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil

from iic_tf.datasets.file_tree import find_files, is_run
from iic_tf.datasets.image_file import (
    Header,
    Notes,
    decode,
    find_range,
    inspect,
    lenient,
    reason,
)
from iic_tf.datasets.value_range import SAMPLED_FILES, Range, describe
from iic_tf.errors import require

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
        unreadable: Path and reason of each file, or folder, that was skipped.
        kept: Where the images are kept and how much memory they take, as text.
        shown: Values that are black and white in images of more than 8 bits, if there
            are any.
        told: Remarks, one sentence each.
    """

    images: np.ndarray
    paths: list[str]
    unreadable: list[tuple[str, str]]
    kept: str
    shown: Range | None = None
    told: list[str] = field(default_factory=list)


def on_all_cores(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Like ``map``, in threads: Pillow decodes and resizes outside of Python's lock."""
    with lenient, ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(work, items)


def require_images(folder: Path, option: str) -> None:
    """Raises UserError unless a folder is one, and not that of a run.

    Args:
        folder: Of the user's.
        option: Name of the option that says it.
    """
    require(folder.is_dir(), f"{option} must be a folder", folder=str(folder))
    require(
        not is_run(folder),
        f"{option} must be a folder of images, not a run folder",
        folder=str(folder),
    )


def choose_range(headers: dict[Path, Header]) -> Range | None:
    """The values shown as black and white of the images of more than 8 bits.

    Args:
        headers: Of all images of a folder.

    Returns:
        None if there are no such images.
    """
    deep = [path for path, header in headers.items() if header.deep]
    if not deep:
        return None
    places = np.linspace(0, len(deep) - 1, min(len(deep), SAMPLED_FILES)).astype(int)
    return find_range([deep[i] for i in places], on_all_cores)


def describe_images(
    headers: Collection[Header],
    notes: Notes,
    *,
    shown: Range | None,
    linked: int,
    unreadable: Sequence[tuple[str, str]],
    of_pixels: bool = False,
) -> list[str]:
    """Remarks on images that were read, one sentence each.

    Args:
        headers: Of all images.
        notes: What was met in reading them.
        shown: Values of images of more than 8 bits that are black and white.
        linked: Number of links that were followed.
        unreadable: Path and reason of what was left out.
        of_pixels: Whether their pixels are grouped.
    """
    told = []
    deep = sum(header.deep for header in headers)
    if deep and shown is not None:
        line = (
            f"Range: {_images(deep)} with more than 8 bits; values {describe(shown)} "
            "are mapped to black to white (data.range)"
        )
        if notes.without_value:
            line += (
                f"; {sum(notes.without_value):,} pixels of "
                f"{_images(len(notes.without_value))} have no value (NaN, infinite or "
                "far below the range) and become black"
            )
        told.append(line)
    bands = [header.more_bands for header in headers if header.more_bands]
    if bands:
        four = "; data.channels 4 reads all four" * (of_pixels and set(bands) == {4})
        told.append(
            f"Bands: the extra bands of {_images(len(bands))} in TIFF, after grey or "
            f"RGB, are ignored, not read as opacity{four}"
        )
    several = sum(header.several for header in headers)
    if several:
        told.append(
            f"First: only the first page or frame of {_images(several)} is read"
        )
    black = len(notes.on_black)
    if black:
        told.append(f"Ground: black for {_images(black)} too light to be seen on white")
    blank = sorted(path.name for path in notes.of_one_tone)
    if blank:
        some = ", ".join(blank[:3]) + ", …" * (len(blank) > 3)
        told.append(f"Blank: {_images(len(blank))} of a single colour ({some})")
    if linked:
        told.append(f"Links: {linked:,} followed")
    if unreadable:
        told.append(f"Skipped: {describe_unreadable(unreadable)}")
    return told


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number:,} images"


def choose_side(sides: Iterable[int]) -> int:
    """A side that suits images of many sizes: the median, but between 16 and 64.

    Args:
        sides: Shorter side of each image in pixels.
    """
    return int(np.clip(np.median(list(sides)), 16, LARGEST_SIDE))


def make_room(shape: tuple[int, ...], *, too_large: str) -> tuple[np.ndarray, str]:
    """Room for images: in memory, or in a file that is gone when the process ends.

    Args:
        shape: Number, height, width and channels.
        too_large: What is at fault if there is no room, as in "data.size is too large".

    Returns:
        uint8 of that shape, and where it is, as text.

    Raises:
        UserError: If there is no room.
    """
    needed, free = math.prod(shape), psutil.virtual_memory().available
    size = f"{needed / 1e6:,.0f} MB"
    if fits_in_memory(needed):
        kept = f"in memory ({size} of {free / 1e6:,.0f} MB free)"
        return np.empty(shape, np.uint8), kept
    place = tempfile.gettempdir()
    disk = psutil.disk_usage(place).free
    require(
        needed < 0.9 * disk,
        f"{too_large}: the images would take {size}, but only {free / 1e6:,.0f} MB of "
        f"memory and {disk / 1e6:,.0f} MB in {place} are free",
        shape=shape,
    )
    with tempfile.NamedTemporaryFile(prefix="iic_tf-") as file:
        file.truncate(needed)
        room = np.memmap(file.name, np.uint8, "r+", shape=shape)
    return room, f"in a temporary file in {place} ({size})"


def read_folder(
    folder: Path,
    *,
    side: int | None = None,
    channels: int | None = None,
    shown: Range | None = None,
    only: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> ImageFolder:
    """Reads all images below a folder.

    Args:
        folder: Any tree of folders and files, see ``find_files``.
        side: Side that images are brought to in pixels; suits them if None.
        channels: 1 or 3; 1 if None and all images are grey.
        shown: Values that are black and white in images of more than 8 bits; suits them
            if None.
        only: See ``find_files``.
        progress: Called now and then with the files done and their number.

    Raises:
        UserError: If there is no image, or no room.
    """
    require_images(folder, "data.folder")
    tree = find_files(folder, only)
    unreadable = list(tree.left_out)
    headers: dict[Path, Header] = {}

    def name(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    for path, header in zip(tree.files, on_all_cores(inspect, tree.files), strict=True):
        if isinstance(header, str):
            unreadable.append((name(path), header))
        else:
            headers[path] = header
    require(
        bool(headers),
        "data.folder must hold images (JPEG, PNG, BMP, GIF, TIFF or WebP)",
        folder=str(folder),
        files=len(tree.files),
    )
    if side is None:
        side = choose_side(header.side for header in headers.values())
    if channels is None:
        channels = 1 if all(header.grey for header in headers.values()) else 3
    if shown is None:
        shown = choose_range(headers)

    shape = (len(headers), side, side, channels)
    images, kept = make_room(shape, too_large="data.size is too large")
    notes = Notes()

    def read(path: Path) -> np.ndarray | str:
        try:
            return decode(path, side=side, channels=channels, shown=shown, notes=notes)
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
        bool(paths),
        "data.folder must hold images that can be read"
        + (f" ({unreadable[-1][0]}: {unreadable[-1][1]})" if unreadable else ""),
        files=len(tree.files),
    )
    told = describe_images(
        headers.values(), notes, shown=shown, linked=tree.linked, unreadable=unreadable
    )
    if not any(header.deep for header in headers.values()):
        shown = None
    return ImageFolder(
        images[: len(paths)], paths, sorted(unreadable), kept, shown, told
    )


def fits_in_memory(number_of_bytes: int) -> bool:
    """Whether images of so many bytes should be held in memory."""
    return number_of_bytes <= MEMORY_SHARE * psutil.virtual_memory().available


def folder_labels(paths: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Classes from the names of the folders that images lie in.

    Args:
        paths: Relative paths with "/". The topmost folder is the class, as in Keras and
            torchvision.

    Returns:
        Class of each image, int64, shape ``(n,)``, and the names of the classes in
        alphabetical order.

    Raises:
        UserError: If an image lies in no sub-folder.
    """
    tops = [path.split("/", 1)[0] if "/" in path else "" for path in paths]
    loose = tops.count("")
    require(
        not loose,
        "data.labels folder needs every image in a sub-folder named after its class",
        images_in_no_folder=loose,
    )
    names, labels = np.unique(tops, return_inverse=True)
    return labels.astype(np.int64), tuple(str(name) for name in names)


def describe_unreadable(unreadable: Sequence[tuple[str, str]]) -> str:
    """How many files were skipped and why, as text: "3 files (not an image: 2, …)".

    Args:
        unreadable: Path, of a folder with "/" at its end, and reason.
    """
    # what is in brackets differs from file to file
    reasons = Counter(reason.split(" (")[0] for _, reason in unreadable)
    listed = ", ".join(f"{reason}: {n}" for reason, n in reasons.most_common(5))
    folders = sum(path.endswith("/") for path, _ in unreadable)
    counted = [(len(unreadable) - folders, "file"), (folders, "folder")]
    words = " and ".join(
        f"{number:,} {kind}{'s' * (number != 1)}" for number, kind in counted if number
    )
    return f"{words} ({listed}{', …' if len(reasons) > 5 else ''})"
