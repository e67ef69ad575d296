"""The published files, in small: same names, same layout, fewer images."""

import pickle

import numpy as np
import pytest

from iic_tf.datasets import published
from iic_tf.datasets.archives import from_cifar, from_stl
from iic_tf.errors import UserError


@pytest.fixture
def colours():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8), np.arange(12) % 10


def planes(images):
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_cifar10_binary(folder, images, labels):
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    for i, name in enumerate(names):
        part = slice(i * len(images) // 6, (i + 1) * len(images) // 6)
        rows = np.concatenate(
            [labels[part, None].astype(np.uint8), planes(images[part])], axis=1
        )
        (folder / name).write_bytes(rows.tobytes())


def test_cifar10_binary(tmp_path, colours):
    images, labels = colours
    write_cifar10_binary(tmp_path / "cifar-10-batches-bin", images, labels)
    source = published.from_dir(str(tmp_path), name="cifar10")
    np.testing.assert_array_equal(source.splits["train"].images, images[:10])
    np.testing.assert_array_equal(source.splits["test"].images, images[10:])
    np.testing.assert_array_equal(source.splits["test"].labels, labels[10:])


def test_cifar10_for_python(tmp_path, colours):
    images, labels = colours
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for i, name in enumerate(names):
        part = slice(2 * i, 2 * i + 2)
        content = {b"data": planes(images[part]), b"labels": labels[part].tolist()}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    source = from_cifar(tmp_path)
    np.testing.assert_array_equal(source.splits["train"].images, images[:10])
    np.testing.assert_array_equal(source.splits["train"].labels, labels[:10])


class Harmful:
    def __reduce__(self):
        return print, ("harm is done",)


def test_pickles_run_nothing(tmp_path, colours, capsys):
    for name in ("meta", "train", "test"):
        (tmp_path / name).write_bytes(pickle.dumps({b"data": Harmful()}))
    with pytest.raises(
        UserError, match=r"cannot read the CIFAR file .*builtins\.print"
    ):
        from_cifar(tmp_path)
    assert "harm" not in capsys.readouterr().out


def test_cifar100_binary_and_for_python_have_fine_classes(tmp_path, colours):
    images, _ = colours
    fine, coarse = np.arange(12) * 8, np.arange(12) % 20
    for name in ("train.bin", "test.bin"):
        labels = np.stack((coarse, fine), axis=1).astype(np.uint8)
        rows = np.concatenate([labels, planes(images)], axis=1)
        (tmp_path / name).write_bytes(rows.tobytes())
    source = from_cifar(tmp_path)
    np.testing.assert_array_equal(source.splits["train"].labels, fine)
    np.testing.assert_array_equal(source.splits["test"].images, images)

    folder = tmp_path / "py"
    folder.mkdir()
    content = {b"data": planes(images), b"fine_labels": fine.tolist()}
    for name in ("meta", "train", "test"):
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    np.testing.assert_array_equal(from_cifar(folder).splits["test"].labels, fine)


def test_files_cut_short(tmp_path, colours):
    write_cifar10_binary(tmp_path / "c", *colours)
    path = tmp_path / "c" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match="must consist of records of 3073 bytes"):
        from_cifar(tmp_path / "c")
    (tmp_path / "train_X.bin").write_bytes(bytes(1000))
    with pytest.raises(UserError, match="must hold images of 27,648 bytes"):
        from_stl(tmp_path)


def write_stl10(folder, images, labels):
    """``images`` train and test, as many unlabelled ones four times."""
    folder.mkdir(parents=True)
    by_columns = images.transpose(0, 3, 2, 1)
    for name in ("train", "test"):
        (folder / f"{name}_X.bin").write_bytes(by_columns.tobytes())
        (folder / f"{name}_y.bin").write_bytes((labels + 1).astype(np.uint8).tobytes())
    (folder / "unlabeled_X.bin").write_bytes(4 * by_columns.tobytes())


def test_stl10_is_stored_by_columns_and_counts_classes_from_one(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)
    write_stl10(tmp_path / "stl10_binary", images, np.arange(5))
    source = published.from_dir(str(tmp_path), name="stl10")
    np.testing.assert_array_equal(source.splits["train"].images, images)
    np.testing.assert_array_equal(source.splits["test"].labels, np.arange(5))
    assert source.splits["unlabelled"].images.shape == (20, 96, 96, 3)
    assert source.splits["unlabelled"].labels is None


def test_nothing_of_the_kind(tmp_path):
    assert from_cifar(tmp_path) is None and from_stl(tmp_path) is None
