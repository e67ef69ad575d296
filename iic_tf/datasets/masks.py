"""Images of any size with label maps, decoded in parallel and kept as uint8.

They stay in memory where they fit, otherwise in a file that is mapped. What cannot be
read is skipped and named.
"""

import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from iic_tf.datasets.file_tree import find_files
from iic_tf.datasets.image_file import (
    FORMATS,
    GREY_MODES,
    Notes,
    check_size,
    lenient,
    note_tone,
    open_file,
    open_upright,
    read_values,
    reason,
)
from iic_tf.datasets.image_folder import fits_in_memory, on_all_cores, require_images
from iic_tf.datasets.splits import Split
from iic_tf.datasets.value_range import Range
from iic_tf.errors import require

IGNORE = 255
"""Label of a pixel that counts nowhere."""


@dataclass(frozen=True)
class Item:
    """An image that is to be read.

    Attributes:
        name: What it is called in results.
        image: Its file.
        labels: The file of its label map, or None.
    """

    name: str
    image: Path
    labels: Path | None = None


@dataclass(frozen=True)
class Reading:
    """What was read.

    Attributes:
        split: The images, with label maps where there are any at all; pixels may be
            ``IGNORE``.
        unreadable: Name and reason of each that was skipped.
        kept: Where they are kept, as text.
    """

    split: Split
    unreadable: tuple[tuple[str, str], ...]
    kept: str


def describe_kept(parts: Collection[Reading]) -> str:
    """Where images are kept and how much memory they take, as text."""
    size = sum(image.nbytes for part in parts for image in part.split.images)
    places = " and ".join(sorted({part.kept for part in parts}))
    return f"{places} ({size / 1e6:,.0f} MB)"


class _Shelf:
    """Arrays of bytes, in memory as long as they fit, then in a file."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []
        self._shapes: list[tuple[int, ...]] = []
        self._file: IO[bytes] | None = None
        self.size = 0

    def add(self, array: np.ndarray) -> None:
        self._shapes.append(array.shape)
        self.size += array.size
        if self._file is None and not fits_in_memory(self.size):
            self._file = file = tempfile.NamedTemporaryFile(prefix="iic_tf-")
            for kept in self._arrays:
                file.write(kept.tobytes())
            self._arrays = []
        if self._file is None:
            self._arrays.append(array)
        else:
            self._file.write(array.tobytes())

    def arrays(self) -> tuple[list[np.ndarray], str]:
        """All arrays in order, and where they are, as text."""
        if self._file is None:
            return self._arrays, "in memory"
        self._file.flush()
        flat = np.memmap(self._file.name, np.uint8, "r")
        self._file.close()  # gone from the folder; mapped until the process ends
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        parts = np.split(flat, ends[:-1])
        found = [
            part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)
        ]
        return found, f"in a temporary file in {tempfile.gettempdir()}"


def decode_image(
    path: Path,
    *,
    channels: int = 3,
    bgr: bool = False,
    shown: Range | None = None,
    notes: Notes | None = None,
) -> np.ndarray:
    """Reads an image, turned upright.

    Args:
        path: Image file.
        channels: 1 for grey, 3 for colour, 4 with infrared.
        bgr: Whether red and blue change places.
        shown: See ``open_upright``.
        notes: Collects remarks.

    Returns:
        uint8, shape ``(height, width, channels)``.
    """
    opened = open_upright(path, channels=channels, shown=shown, notes=notes)
    image = np.array(opened, np.uint8)
    image = image.reshape(*image.shape[:2], channels)
    note_tone(image, path, notes)
    return image[..., [2, 1, 0, 3][:channels]] if bgr and channels > 1 else image


def label_values(path: Path) -> np.ndarray:
    """Reads the values of a label map: a grey or palette image, however it is stored.

    Grey are also images of colours that are alike in every pixel, and opacity that is
    the same everywhere says nothing. Of 16 bits the highest value is read as 255, which
    is what it is in 8 bits; so is what has no value or one below 0.

    Args:
        path: Image file.

    Returns:
        Integers from 0 on, shape ``(height, width)``.

    Raises:
        ValueError: If it is an image of colours or of fractions, or of a kind that does
            not keep values as they are.
    """
    found = read_values(path)
    if found is not None:
        values, opacity = found.values, found.opacity
    else:
        with open_file(path) as file:
            if file.format in ("JPEG", "WEBP"):
                raise ValueError(
                    f"a label map must not be a {file.format}, which changes values"
                )
            if file.mode not in (*GREY_MODES, "P", "RGB", "RGBA"):
                raise ValueError(f"{_GREY_MAP}, but its mode is {file.mode}")
            check_size(file.size)
            values, opacity = np.array(file), None
    values = values.reshape(*values.shape[:2], -1)
    if values.shape[-1] in (2, 4):
        values, opacity = values[..., :-1], values[..., -1]
    if opacity is not None and (opacity != opacity[:1, :1]).any():
        raise ValueError(f"{_GREY_MAP}, but this one is partly transparent")
    if values.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, IGNORE)
    first = values[..., 0]
    if values.shape[-1] > 1 and (values != first[..., None]).any():
        raise ValueError(f"{_GREY_MAP}, but this one has colours")
    if first.dtype.kind == "f":
        fractions = first[first != np.floor(first)]
        if fractions.size:
            raise ValueError(
                f"a label map must hold whole numbers, but has {fractions[0]:g}"
            )
        first = first.astype(np.int64)
    elif first.dtype in (np.bool_, np.uint8):
        return first.astype(np.uint8)
    of_16_bits = first.dtype.kind == "u" and first.itemsize == 2
    none = first == 2**16 - 1 if of_16_bits else first < 0
    return np.where(none, IGNORE, first)


_GREY_MAP = "a label map must be a grey or palette image"


def decode_labels(path: Path, *, values: np.ndarray | None = None) -> np.ndarray:
    """Reads a label map: a grey or palette image whose values are classes.

    Args:
        path: Image file.
        values: All values that label maps have, ascending, if their places among these
            are classes rather than they themselves.

    Returns:
        uint8, shape ``(height, width)``.

    Raises:
        ValueError: If it has values above 255, or not among those given, or for what
            ``label_values`` refuses.
    """
    labels = label_values(path)
    if values is not None:
        places = np.searchsorted(values[:-1], labels)
        if (values[places] != labels).any():
            raise ValueError(
                f"a label map must have at most {MOST_VALUES} distinct values, but "
                f"this one has {len(np.unique(labels)):,}"
            )
        labels = places
    elif labels.max(initial=0) > 255:
        raise ValueError(
            f"a label map must have values up to 255, but this one has {labels.max():,}"
        )
    return labels.astype(np.uint8)


MOST_VALUES = 256
"""A label map of more distinct values is none."""


def distinct_values(paths: Sequence[Path]) -> np.ndarray:
    """All values that label maps hold.

    Args:
        paths: Files of label maps; those that cannot be read, or that hold more than
            ``MOST_VALUES``, do not count.

    Returns:
        int64, ascending.
    """

    def of_one(path: Path) -> np.ndarray:
        try:
            found = np.unique(label_values(path)).astype(np.int64)
        except Exception:  # reading it for its labels will say why
            return np.array([], np.int64)
        return found[: len(found) if len(found) <= MOST_VALUES else 0]

    found = np.array([], np.int64)
    for some in on_all_cores(of_one, list(paths)):
        found = np.union1d(found, some)
    return found


def _scaled(side: int, scale: float) -> int:
    return max(round(side * scale), 1)


Shrink = Callable[[np.ndarray, float], np.ndarray]
"""Takes an image and a factor of its sides; gives the smaller image."""


def shrink_image(image: np.ndarray, scale: float) -> np.ndarray:
    """An image at a fraction of its size, bilinear with antialiasing.

    Args:
        image: uint8, shape ``(height, width, channels)``.
        scale: Factor of both sides.
    """
    height, width = (_scaled(side, scale) for side in image.shape[:2])
    # one by one: of four bands the last would be taken for how opaque the others are
    bands = [
        Image.fromarray(band).resize((width, height), Image.Resampling.BILINEAR)
        for band in np.moveaxis(image, -1, 0)
    ]
    return np.stack([np.asarray(band) for band in bands], axis=-1)


def sample_image(image: np.ndarray, scale: float) -> np.ndarray:
    """An image at a fraction of its size, bilinear between the four nearest pixels.

    Without antialiasing, as OpenCV does it, which the authors use for COCO-Stuff.

    Args:
        image: uint8, shape ``(height, width, channels)``.
        scale: Factor of both sides.
    """
    height, width = (_scaled(side, scale) for side in image.shape[:2])
    bands = [
        Image.fromarray(band).transform(
            (width, height),
            Image.Transform.AFFINE,
            (1 / scale, 0, 0, 0, 1 / scale, 0),
            Image.Resampling.BILINEAR,
        )
        for band in np.moveaxis(image, -1, 0)
    ]
    return np.stack([np.asarray(band) for band in bands], axis=-1)


def to_size(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label map at another size: the nearest pixels.

    Args:
        labels: Shape ``(height, width)``.
        size: Height and width wanted.
    """
    rows, columns = (
        ((np.arange(wanted) + 0.5) * side / wanted).astype(int)
        for side, wanted in zip(labels.shape, size, strict=True)
    )
    return labels[np.ix_(rows, columns)]


class _Read(NamedTuple):
    """An image, its label map or what is wrong with it, and the size of its file."""

    image: np.ndarray
    labels: np.ndarray | str | None
    size: tuple[int, int]


def read_images(
    items: Sequence[Item],
    *,
    read_image: Callable[[Path], np.ndarray] = decode_image,
    read_labels: Callable[[Path], np.ndarray] = decode_labels,
    classes: np.ndarray | None = None,
    scale: float = 1.0,
    shrink: Shrink = shrink_image,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Reading:
    """Reads images and label maps.

    Args:
        items: What is to be read. Where some have label maps, those of the others, or
            that cannot be read, are all ``IGNORE``.
        read_image: Decodes an image.
        read_labels: Decodes a label map.
        classes: Class, or ``IGNORE``, of each value of a label map, uint8, shape
            ``(256,)``; values are classes if None.
        scale: Factor of both sides that images and label maps are brought to.
        shrink: Brings an image to that.
        progress: Called now and then with the images done and their number.

    Raises:
        UserError: If there is none that can be read.
    """
    labelled = any(item.labels is not None for item in items)

    def read_map(path: Path, size: tuple[int, int]) -> np.ndarray | str:
        try:
            labels = read_labels(path)
        except Exception as error:  # damage surfaces as any of a dozen kinds
            return f"label map: {reason(error)}"
        if labels.shape != size:
            sizes = ["×".join(map(str, x[::-1])) for x in (labels.shape, size)]
            return f"its label map has {sizes[0]} pixels, the image {sizes[1]}"
        return labels if classes is None else classes[labels]

    def read(item: Item) -> _Read | str:
        try:
            image = read_image(item.image)
        except Exception as error:
            return reason(error)
        size = image.shape[:2]
        labels = None if item.labels is None else read_map(item.labels, size)
        if scale != 1:
            image = shrink(image, scale)
            if isinstance(labels, np.ndarray):
                labels = to_size(labels, image.shape[:2])
        return _Read(image, labels, size)

    images, maps = _Shelf(), _Shelf()
    names, sizes, unreadable = [], [], []
    for i, (item, found) in enumerate(
        zip(items, on_all_cores(read, list(items)), strict=True)
    ):
        if isinstance(found, str):
            unreadable.append((item.name, found))
        else:
            labels = found.labels
            if isinstance(labels, str):
                unreadable.append((item.name, labels))
            names.append(item.name)
            sizes.append(found.size)
            images.add(found.image)
            if labelled:
                nothing = np.full(found.image.shape[:2], IGNORE, np.uint8)
                maps.add(labels if isinstance(labels, np.ndarray) else nothing)
        if i % 100 == 99 or i == len(items) - 1:
            progress(i + 1, len(items))
    require(
        bool(names),
        "there must be at least one readable image"
        + (f" ({unreadable[0][0]}: {unreadable[0][1]})" if unreadable else ""),
        files=len(items),
    )
    arrays, kept = images.arrays()
    split = Split(
        arrays,
        maps.arrays()[0] if labelled else None,
        tuple(names),
        sizes=tuple(sizes),
    )
    return Reading(split, tuple(unreadable), kept)


@dataclass(frozen=True)
class Found:
    """The images below a folder.

    Attributes:
        items: The images.
        left_out: Name and reason of each file or folder that is none.
        linked: How many symbolic links were followed.
        unmatched: Files of label maps that belong to no image.
    """

    items: list[Item]
    left_out: tuple[tuple[str, str], ...]
    linked: int
    unmatched: tuple[Path, ...] = ()


def find_items(images: Path, masks: Path | None) -> list[Item]:
    """The images below a folder, see ``find_images``."""
    return find_images(images, masks).items


def find_images(
    images: Path, masks: Path | None, only: Sequence[str] | None = None
) -> Found:
    """The images below a folder, with the label maps of the same names.

    Args:
        images: Folder of images, with or without sub-folders.
        masks: Folder of label maps, laid out alike; only the ending may differ, and not
            every image needs one. It may be, or lie in, ``images``: label maps are
            no images.
        only: See ``find_files``.

    Raises:
        UserError: If a folder is none or has no file, or no image has a label map, or
            it cannot be told which of two files is the label map.
    """
    require_images(images, "data.images")
    tree = find_files(images, only)
    files = tree.files
    maps: dict[str, Path] = {}
    of_masks: list[Path] = []
    if masks is not None:
        require(masks.is_dir(), "data.masks must be a folder", masks=str(masks))
        maps = _find_masks(masks, beside=masks.resolve() == images.resolve())
        if images.resolve().is_relative_to(masks.resolve()):
            stems = (os.path.splitext(path.relative_to(images))[0] for path in files)
            mapped = [maps.get(Path(stem).as_posix()) for stem in stems]
            not_images = {
                label_map.resolve()
                for path, label_map in zip(files, mapped, strict=True)
                if label_map is not None and label_map.resolve() != path.resolve()
            }
        else:
            not_images = {path.resolve() for path in find_files(masks).files}
        of_masks = [path for path in files if path.resolve() in not_images]
        files = [path for path in files if path.resolve() not in not_images]
    require(bool(files), "data.images must hold images", images=str(images))
    names = [path.relative_to(images).as_posix() for path in files]
    left_out = tuple(tree.left_out)
    if masks is None:
        items = [Item(*pair) for pair in zip(names, files, strict=True)]
        return Found(items, left_out, tree.linked)
    left_out += tuple(
        (path.relative_to(images).as_posix(), "in data.masks") for path in of_masks
    )
    items = [
        Item(name, path, maps.get(os.path.splitext(name)[0]))
        for name, path in zip(names, files, strict=True)
    ]
    require(
        any(item.labels is not None for item in items),
        "data.masks must hold label maps named like the images in data.images",
        masks=str(masks),
        images=len(files),
    )
    used = {item.labels for item in items}
    unmatched = tuple(path for path in maps.values() if path not in used)
    return Found(items, left_out, tree.linked, unmatched)


def _find_masks(masks: Path, *, beside: bool) -> dict[str, Path]:
    """Label maps by their path in a folder without the ending.

    Args:
        masks: The folder.
        beside: Whether each lies beside its image.

    Raises:
        UserError: If it cannot be told which of several files is the label map.
    """
    known = Image.registered_extensions()
    by_stem: dict[str, list[Path]] = {}
    for path in find_files(masks).files:
        if known.get(path.suffix.lower()) in FORMATS:
            stem = os.path.splitext(path.relative_to(masks).as_posix())[0]
            by_stem.setdefault(stem, []).append(path)
    maps = {}
    for stem, paths in by_stem.items():
        if len(paths) > 1:
            possible = [path for path in paths if _looks_like_map(path)]
            possible = possible or [path for path in paths if _is_map(path)]
            require(
                len(possible) == 1,
                "data.masks must hold one label map per image, grey or palette and "
                f"not JPEG; {'several' if possible else 'none'} of the files named "
                f"{stem} qualify",
                files=[path.name for path in possible or paths],
            )
            maps[stem] = possible[0]
        elif not beside:
            maps[stem] = paths[0]
    return maps


def _looks_like_map(path: Path) -> bool:
    """Whether a file is of a kind that most label maps are and few images."""
    try:
        with lenient, Image.open(path, formats=FORMATS) as file:
            return file.format != "JPEG" and file.mode in ("L", "P", "1")
    except Exception:  # damage surfaces as any of a dozen kinds
        return False


def _is_map(path: Path) -> bool:
    try:
        return len(np.unique(label_values(path))) <= MOST_VALUES
    except Exception:  # damage surfaces as any of a dozen kinds
        return False
