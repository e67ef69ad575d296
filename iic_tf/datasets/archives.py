"""The files in which CIFAR-10, CIFAR-100 and STL-10 are distributed."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from iic_tf.datasets.splits import Source, Split
from iic_tf.errors import UserError, first_line, require

# Where each distribution keeps its files, beside the folder itself.
_CIFAR_FOLDERS = (
    *("cifar-10-batches-bin", "cifar-10-batches-py"),
    *("cifar-100-binary", "cifar-100-python"),
)
_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))


class _Arrays(pickle.Unpickler):
    """Reads pickles of NumPy arrays and plain values, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        """Only what arrays are made of."""
        if module.startswith("numpy") and name in ("_reconstruct", "ndarray", "dtype"):
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"it contains {module}.{name}, which is not loaded"
        )


def _from_planes(pixels: np.ndarray, side: int) -> np.ndarray:
    """Rows of a red, a green and a blue plane to images ``(n, side, side, 3)``."""
    return np.ascontiguousarray(pixels.reshape(-1, 3, side, side).transpose(0, 2, 3, 1))


def _cifar_pickle(path: Path) -> Split:
    try:
        with path.open("rb") as file:
            content = _Arrays(file, encoding="bytes").load()
        labels = content.get(b"labels", content.get(b"fine_labels"))
        return Split(_from_planes(content[b"data"], 32), np.array(labels, np.int64))
    except Exception as error:  # damage surfaces as any of a dozen kinds
        raise UserError(
            f"cannot read the CIFAR file {path}: {first_line(error)}"
        ) from None


def _cifar_binary(path: Path, *, label_bytes: int) -> Split:
    """Records of labels and 3,072 pixels; the last label is the (fine) class."""
    require(
        path.is_file(), f"the CIFAR file {path.name} is missing", folder=path.parent
    )
    raw = np.fromfile(path, np.uint8)
    record = label_bytes + 3072
    require(
        len(raw) > 0 and len(raw) % record == 0,
        f"the CIFAR file {path} must consist of records of {record} bytes",
        bytes=len(raw),
    )
    rows = raw.reshape(-1, record)
    labels = rows[:, label_bytes - 1].astype(np.int64)
    return Split(_from_planes(rows[:, label_bytes:], 32), labels)


def _joined(parts: list[Split]) -> Split:
    return Split(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts if part.labels is not None]),
    )


def from_cifar(folder: Path) -> Source | None:
    """CIFAR-10 or CIFAR-100 as their authors distribute them, binary or for Python.

    Args:
        folder: Holds the files, or the folder that the archive unpacks to.

    Returns:
        Splits train and test with the (fine) classes, or None if there are no such
        files.

    Raises:
        UserError: If a file is damaged.
    """
    for place in (folder, *(folder / name for name in _CIFAR_FOLDERS)):
        if (place / "data_batch_1.bin").is_file():
            splits = {
                "train": [
                    _cifar_binary(place / f"{name}.bin", label_bytes=1)
                    for name in _BATCHES
                ],
                "test": [_cifar_binary(place / "test_batch.bin", label_bytes=1)],
            }
        elif (place / "train.bin").is_file():
            splits = {
                name: [_cifar_binary(place / f"{name}.bin", label_bytes=2)]
                for name in ("train", "test")
            }
        elif (place / "data_batch_1").is_file():
            splits = {
                "train": [_cifar_pickle(place / name) for name in _BATCHES],
                "test": [_cifar_pickle(place / "test_batch")],
            }
        elif all((place / name).is_file() for name in ("meta", "train", "test")):
            splits = {name: [_cifar_pickle(place / name)] for name in ("train", "test")}
        else:
            continue
        joined = {name: _joined(parts) for name, parts in splits.items()}
        return Source(joined, f"CIFAR files in {place}")
    return None


def from_stl(folder: Path) -> Source | None:
    """STL-10 as its authors distribute it: columns of 96×96 pixels, classes from 1.

    Args:
        folder: Holds train_X.bin, train_y.bin, test_X.bin, test_y.bin and, where
            wanted, unlabeled_X.bin; or the folder stl10_binary with these.

    Returns:
        Splits train, test and unlabelled, or None if there are no such files.

    Raises:
        UserError: If a file is damaged.
    """
    for place in (folder, folder / "stl10_binary"):
        if not (place / "train_X.bin").is_file():
            continue
        splits = {}
        for split, name in (
            ("train", "train"), ("test", "test"), ("unlabelled", "unlabeled"),
        ):  # fmt: skip
            images_path, labels_path = place / f"{name}_X.bin", place / f"{name}_y.bin"
            if not images_path.is_file():
                continue
            raw = np.fromfile(images_path, np.uint8)
            require(
                len(raw) > 0 and len(raw) % (3 * 96 * 96) == 0,
                f"the STL-10 file {images_path} must hold images of 27,648 bytes",
                bytes=len(raw),
            )
            images = _from_planes(raw, 96).transpose(0, 2, 1, 3)  # stored by columns
            labels = None
            if labels_path.is_file():
                labels = np.fromfile(labels_path, np.uint8).astype(np.int64) - 1
            splits[split] = Split(np.ascontiguousarray(images), labels)
        return Source(splits, f"STL-10 files in {place}")
    return None
