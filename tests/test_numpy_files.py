import numpy as np
import pytest

from iic_tf.datasets import numpy_files
from iic_tf.errors import UserError


@pytest.fixture
def arrays(digits):
    images, labels = digits
    return images[:20, ..., 0], labels[:20].astype(np.uint8)


def test_npz_of_images_alone(tmp_path, arrays):
    np.savez(tmp_path / "mine.npz", images=arrays[0])
    [split] = numpy_files.from_npz(tmp_path / "mine.npz").splits.values()
    assert split.images.shape == (20, 28, 28, 1) and split.labels is None


def test_arrays_with_and_without_labels(tmp_path, arrays):
    images, labels = arrays
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "y.npy", labels)
    [split] = numpy_files.from_array(tmp_path / "x.npy", labels=None).splits.values()
    assert split.images.shape == (20, 28, 28, 1) and split.labels is None
    source = numpy_files.from_array(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    names = np.array(source.class_names)[source.splits["the array"].labels]
    np.testing.assert_array_equal(names, labels.astype(str))
    np.save(tmp_path / "y.npy", np.where(labels == 0, 501, 1203))
    source = numpy_files.from_array(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    np.testing.assert_array_equal(source.splits["the array"].labels, labels != 0)
    assert source.class_names == ("501", "1203")
    np.savez(tmp_path / "both.npz", images=images, labels=labels)
    source = numpy_files.from_array(tmp_path / "both.npz", labels=None)
    np.testing.assert_array_equal(source.splits["train"].labels, labels)


def test_arrays_that_are_something_else(tmp_path, arrays):
    images, labels = arrays
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "real.npy", images / 255.0)
    np.save(tmp_path / "few.npy", labels[:3])
    np.savez(tmp_path / "both.npz", images=images)
    np.save(tmp_path / "first.npy", np.zeros((5, 3, 20, 20), np.uint8))
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "object.npy", labels.astype(object))
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    for name, other, message in (
        ("no.npy", None, "data.array must be a file"),
        ("few.npy", None, "must hold numeric images"),
        ("bad.npy", None, "cannot be read"),
        ("both.npz", "few.npy", "must not be given with an npz file"),
        ("x.npy", "few.npy", "one label per image"),
        ("x.npy", "real.npy", "must hold integers"),
        ("x.npy", "no.npy", "data.labels must be a .npy file"),
        ("x.npy", "both.npz", "data.labels .* is an npz file"),
        ("x.npy", "empty.npy", "data.labels .*empty.npy cannot be read"),
        ("x.npy", "object.npy", "data.labels .* holds Python objects"),
        ("first.npy", None, "must have channels last"),
    ):
        with pytest.raises(UserError, match=message):
            numpy_files.from_array(tmp_path / name, labels=other and tmp_path / other)
