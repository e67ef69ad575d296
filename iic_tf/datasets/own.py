"""Anyone's folders: of images, and of images with label maps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iic_tf.datasets.image_file import Notes, inspect
from iic_tf.datasets.image_folder import (
    choose_range,
    describe_images,
    folder_labels,
    on_all_cores,
    read_folder,
)
from iic_tf.datasets.masks import (
    IGNORE,
    Item,
    Shrink,
    decode_image,
    decode_labels,
    describe_kept,
    distinct_values,
    find_images,
    read_images,
    shrink_image,
)
from iic_tf.datasets.splits import Source, Split
from iic_tf.datasets.value_range import Range
from iic_tf.errors import require

MOST_LISTED = 10
"""Values of label maps that are printed at most."""


def from_folder(
    folder: Path,
    *,
    side: int | None = None,
    channels: int | None = None,
    labels: bool | None = False,
    split: bool | None = False,
    shown: Range | None = None,
    only: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Source:
    """Anyone's folder of images, see ``image_folder.read_folder``.

    Args:
        folder: Any tree of folders and files.
        side: Side that images are brought to in pixels; suits them if None.
        channels: 1 or 3; 1 if None and all images are grey.
        labels: Whether the name of the topmost folder that an image lies in, below
            train and test where there are these two, is its class; if None where there
            are such folders.
        split: Whether the folders train and test at the top are splits; if None where
            all images lie in these two.
        shown: Values that are black and white in images of more than 8 bits; suits them
            if None.
        only: See ``file_tree.find_files``.
        progress: Called now and then with the files done and their number.

    Raises:
        UserError: If there is no image, or no room, or images lie in no class or split.
    """
    read = read_folder(
        folder,
        side=side,
        channels=channels,
        shown=shown,
        only=only,
        progress=progress,
    )
    top = [path.split("/", 1)[0] if "/" in path else "." for path in read.paths]
    within = read.paths
    has_both = set(top) == {"train", "test"}
    split = has_both if split is None else split
    if split:
        require(
            has_both,
            "data.protocol holdout needs all images of data.folder in the folders "
            "train and test",
            found=sorted(set(top))[:5],
        )
    if has_both:
        within = [path.split("/", 1)[1] for path in read.paths]
    if labels is None:
        labels = any("/" in path for path in within)
    classes, names = folder_labels(within) if labels else (None, None)
    told = list(read.told)
    if labels and any(path.count("/") > 1 for path in within):
        told.append(
            "Classes: the top-level folders, with all folders below them: "
            f"{', '.join((names or ())[:5])}{', …' * (len(names or ()) > 5)}"
        )
    whole = Split(read.images, classes, tuple(read.paths))
    splits = {"the folder": whole}
    if split:
        cut = top.count("test")  # paths are sorted: test comes first
        splits = {
            "train": whole.take(slice(cut, None)),
            "test": whole.take(slice(cut)),
        }
    origin = f"{folder}, {read.images.shape[1]}×{read.images.shape[2]}, {read.kept}"
    return Source(
        splits,
        origin,
        "\n".join(told) or None,
        names,
        tuple(read.unreadable),
        shown=read.shown,
    )


class _Reading(NamedTuple):
    """How the values of label maps are read.

    Attributes:
        classes: Class of each value, or of each of ``values``, uint8, shape ``(256,)``.
        names: Names of the classes, or None.
        values: All values that occur, where their ranks are read instead of them.
        advice: What to tell the user about it, or None.
    """

    classes: np.ndarray
    names: Sequence[str] | None
    values: np.ndarray | None = None
    advice: str | None = None


def _classes_of_masks(
    items: Sequence[Item],
    ignore: int | None,
    merge: Sequence[int] | None,
    names: Sequence[str] | None,
    *,
    masks: Path | None,
) -> _Reading:
    """Which class each value of the label maps stands for.

    Args:
        items: Images with the files of their label maps.
        ignore: See ``from_images_and_masks``, as all below.
        merge: See above.
        names: See above.
        masks: See above.

    Raises:
        UserError: If the label maps hold too many values.
    """
    classes = np.arange(256, dtype=np.uint8)
    advice = None
    if merge is not None:
        classes = np.full(256, IGNORE, np.uint8)
        classes[: len(merge)] = merge
    elif masks is not None:
        occurring = distinct_values([x.labels for x in items if x.labels])
        told_apart = [v for v in occurring.tolist() if v not in (ignore, IGNORE)]
        if ignore != IGNORE and occurring.tolist() == [0, 255]:
            classes[255] = 1
            if ignore is None:
                advice = (
                    "Classes: the label maps hold only 0 and 255, which count as two "
                    "classes; with data.ignore 255 the value 255 means no class"
                )
        elif names is None and told_apart != list(range(len(told_apart))):
            require(
                len(told_apart) <= IGNORE,
                f"data.masks must hold at most {IGNORE} classes",
                masks=str(masks),
                values=len(told_apart),
            )
            names = [str(v) for v in told_apart]
            classes = np.full(256, IGNORE, np.uint8)
            classes[np.searchsorted(occurring, told_apart)] = np.arange(len(names))
            listed = ", ".join(names[:MOST_LISTED]) + ", …" * (len(names) > MOST_LISTED)
            told = f"Classes: the {len(names)} values of the label maps: {listed}"
            return _Reading(classes, names, occurring, told)
    if ignore is not None:
        classes[ignore] = IGNORE
    return _Reading(classes, names, None, advice)


def _by_split(items: Sequence[Item], split: bool) -> dict[str, Sequence[Item]]:
    """Images by the folder at the top, if these are splits, one of them test.

    Raises:
        UserError: If they are not.
    """
    if not split:
        return {"the images": items}
    tops = {item.name.partition("/")[0] for item in items if "/" in item.name}
    loose = sum("/" not in item.name for item in items)
    require(
        "test" in tops and len(tops) > 1 and not loose,
        "data.protocol holdout needs all images in folders of data.images, one of "
        "which is test",
        folders=sorted(tops)[:5],
        images_in_no_folder=loose,
    )
    return {
        top: [item for item in items if item.name.startswith(f"{top}/")]
        for top in sorted(tops)
    }


def _check_masks(
    splits: dict[str, Split],
    names: Sequence[str] | None,
    unreadable: Sequence[tuple[str, str]],
    *,
    masks: Path,
) -> list[str]:
    """Checks that label maps have classes, and that these have names.

    Args:
        splits: What was read.
        names: Names of the classes, or None.
        unreadable: Name and reason of what could not be read.
        masks: Where label maps were looked for.

    Returns:
        What to tell the user.

    Raises:
        UserError: If no pixel has a class, or one that has no name.
    """
    maps = [labels for part in splits.values() for labels in part.labels or ()]
    found = set().union(*(np.unique(x) for x in maps)) - {IGNORE}
    require(
        bool(found),
        "data.masks must give some pixel a class, see data.ignore and data.merge"
        + (f" ({unreadable[0][0]}: {unreadable[0][1]})" if unreadable else ""),
        masks=str(masks),
    )
    highest = int(max(found))
    require(
        names is None or highest < len(names),
        "data.names must have a name for every class of data.masks",
        names=names,
        highest_class=highest,
    )
    return ["Classes: the label maps hold only one class"] if len(found) < 2 else []


def from_images_and_masks(
    images: Path,
    *,
    masks: Path | None,
    ignore: int | None = None,
    merge: Sequence[int] | None = None,
    channels: int | None = None,
    scale: float = 1.0,
    shrink: Shrink = shrink_image,
    split: bool = False,
    names: Sequence[str] | None = None,
    shown: Range | None = None,
    only: Sequence[str] | None = None,
    bgr: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Source:
    """Anyone's images, with or without label maps.

    Args:
        images: Folder of images.
        masks: Folder of label maps of the same names, or None.
        ignore: Value of a label map where a pixel has no class; if None 255, but where
            there are 0 and 255 alone these are two classes.
        merge: Class of each value of a label map, or ``IGNORE``; the values are classes
            if None.
        channels: 1, 3, or 4 with infrared; if None 3, or 1 if all images are grey.
        scale: Factor of both sides.
        shrink: Brings an image to that.
        split: Whether the folders at the top are splits, one of them test.
        names: Names of the classes.
        shown: Values that are black and white in images of more than 8 bits; suits them
            if None.
        only: See ``file_tree.find_files``.
        bgr: Whether red and blue change places, for a run that was trained so.
        progress: Called now and then with the images done and their number.

    Raises:
        UserError: If there is nothing that can be read, or no such folders.
    """
    found = find_images(images, masks, only)
    items, advice = found.items, []
    reading = _Reading(np.arange(256, dtype=np.uint8), names)
    if masks is not None or merge is not None:
        reading = _classes_of_masks(items, ignore, merge, names, masks=masks)
        advice += [reading.advice] if reading.advice else []
    inspected = on_all_cores(inspect, [item.image for item in items])
    headers = {
        item.image: header
        for item, header in zip(items, inspected, strict=True)
        if not isinstance(header, str)
    }
    if channels is None:
        grey = [header.grey for header in headers.values()]
        channels = 1 if grey and all(grey) else 3
    if shown is None:
        shown = choose_range(headers)
    notes = Notes()
    read = {
        name: read_images(
            some,
            read_image=partial(
                decode_image, channels=channels, bgr=bgr, shown=shown, notes=notes
            ),
            read_labels=partial(decode_labels, values=reading.values),
            classes=reading.classes,
            scale=scale,
            shrink=shrink,
            progress=progress,
        )
        for name, some in _by_split(items, split).items()
    }
    splits = {name: part.split for name, part in read.items()}
    unreadable = [pair for part in read.values() for pair in part.unreadable]
    skipped = [*found.left_out, *unreadable]
    advice += describe_images(
        [
            header if channels < 4 else replace(header, more_bands=0)
            for header in headers.values()
        ],
        notes,
        shown=shown,
        linked=found.linked,
        unreadable=skipped,
        of_pixels=True,
    )
    if masks:
        advice += _check_masks(splits, reading.names, unreadable, masks=masks)
        without = sum(item.labels is None for item in items)
        if without:
            advice.append(f"Images without a label map, not scored: {without:,}")
    if found.unmatched:
        some = ", ".join(path.name for path in found.unmatched[:3])
        more = ", …" if len(found.unmatched) > 3 else ""
        number = len(found.unmatched)
        advice.append(f"Label maps without an image: {number:,} ({some}{more})")
    origin = f"{images}, {describe_kept(read.values())}"
    deep = any(header.deep for header in headers.values())
    return Source(
        splits,
        origin,
        "\n".join(advice) or None,
        tuple(reading.names) if reading.names else None,
        tuple(skipped),
        shown=shown if deep else None,
    )
