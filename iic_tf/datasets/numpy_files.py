"""Images and labels in NumPy's and MNIST's files: .npy, .npz, IDX."""

from pathlib import Path

import numpy as np

from iic_tf.datasets.arrays import Archive, as_images, as_labels, load_npy, read_idx
from iic_tf.datasets.splits import Source, Split, renumbered
from iic_tf.errors import require

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
