"""Vectors, such as embeddings, and series of measurements from NumPy files."""

from pathlib import Path

import numpy as np

from iic_tf.datasets.arrays import Archive, as_labels, load_npy
from iic_tf.datasets.splits import Source, Split, renumbered
from iic_tf.errors import require

ARRAYS = {"train": "x_train", "test": "x_test"}
"""Where an archive holds the examples of its splits."""

SHAPES = {2: "vectors of shape (n, d)", 3: "series of shape (n, t, channels)"}


def as_features(array: np.ndarray, *, ndim: int, what: str) -> np.ndarray:
    """Vectors or series as float32.

    Args:
        array: Numbers of shape ``(n, d)``, or ``(n, t, c)`` for series of c channels.
        ndim: Which of both is meant.
        what: Where they are from, for sentences.

    Raises:
        UserError: If it is of another rank or type, or holds numbers that are not
            finite.
    """
    require(
        array.ndim == ndim and array.dtype.kind in "buif" and array.size > 0,
        f"{what} must hold numeric {SHAPES[ndim]}",
        shape=array.shape,
        dtype=str(array.dtype),
    )
    features = np.asarray(array, np.float32)
    wrong = int(features.size - np.isfinite(features).sum())
    require(wrong == 0, f"{what} must hold only finite numbers", not_finite=wrong)
    return features


def from_features(path: Path, *, labels: Path | None, ndim: int) -> Source:
    """Vectors or series of a .npy or .npz file.

    Args:
        path: A .npy file, see ``as_features``, or an .npz file with ``x_train`` and
            ``x_test`` (and ``y_train``, ``y_test``) or ``features`` (and ``labels``).
        labels: A .npy file of n classes, see ``arrays.as_labels``, or None.
        ndim: 2 for vectors, 3 for series.

    Raises:
        UserError: If a file is missing, damaged or holds something else.
    """
    option = "data.features" if ndim == 2 else "data.series"
    require(path.is_file(), f"{option} must be a file", **{option[5:]: str(path)})
    with path.open("rb") as file:
        is_npz = file.read(2) == b"PK"
    if not is_npz:
        raw = {"the file": load_npy(path, what=option)}
        classes = {}
        if labels is not None:
            require(labels.is_file(), "data.labels must be a file", labels=str(labels))
            classes = {"the file": load_npy(labels, what="data.labels")}
    else:
        require(
            labels is None,
            "data.labels must not be given with an npz file, which holds its own",
            labels=str(labels),
        )
        raw, classes = _of_archive(Archive(path), path)
    features = {
        name: as_features(array, ndim=ndim, what=_what(name, path, option=option))
        for name, array in raw.items()
    }
    splits, names = dict.fromkeys(features), None
    numbers: dict[str, np.ndarray] = {}
    if len(classes) == len(features):
        joined = np.concatenate([array.reshape(-1) for array in classes.values()])
        found, names = as_labels(joined, what=f"the labels of {path}")
        ends = np.cumsum([array.size for array in classes.values()])[:-1]
        numbers = dict(zip(classes, np.split(found, ends), strict=True))
    source = Source(
        {name: Split(features[name], numbers.get(name)) for name in splits},
        f"the features {path}",
        class_names=names,
    )
    return renumbered(source, names)


def _what(split: str, path: Path, *, option: str) -> str:
    """Which array of a file a sentence is about."""
    name = ARRAYS.get(split)
    return f"{option} {path}" if name is None else f"{name} of {option} {path}"


def _of_archive(
    archive: Archive, path: Path
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Features and classes by split."""
    places = {
        "train": ("x_train", "y_train"),
        "test": ("x_test", "y_test"),
        "the file": ("features", "labels"),
    }
    found = {name: x for name, (x, _) in places.items() if x in archive.names}
    require(
        bool(found),
        f"the npz file {path} must hold x_train or features",
        names=sorted(archive.names)[:20],
    )
    classes = {
        name: archive.read(places[name][1])
        for name in found
        if places[name][1] in archive.names
    }
    return {name: archive.read(x) for name, x in found.items()}, classes
