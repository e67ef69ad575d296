import numpy as np
import pytest

from iic_tf.datasets.features import as_features, from_features
from iic_tf.errors import UserError


@pytest.fixture
def saved(tmp_path):
    def save(name, array):
        path = tmp_path / name
        np.save(path, array)
        return path

    return save


def test_vectors_with_labels_of_any_kind(saved):
    x = saved("x.npy", np.arange(12.0).reshape(4, 3))
    y = saved("y.npy", np.array(["cat", "dog", "cat", "emu"]))
    source = from_features(x, labels=y, ndim=2)
    [split] = source.splits.values()
    assert split.images.dtype == np.float32 and split.images.shape == (4, 3)
    np.testing.assert_array_equal(split.labels, (0, 1, 0, 2))
    assert source.class_names == ("cat", "dog", "emu")


def test_an_archive_has_splits_of_its_own(tmp_path):
    path = tmp_path / "both.npz"
    series = np.zeros((5, 8, 2), np.int16)
    np.savez(path, x_train=series, y_train=np.arange(5) * 10, x_test=series[:2],
             y_test=np.array([0, 40]))  # fmt: skip
    source = from_features(path, labels=None, ndim=3)
    assert list(source.splits) == ["train", "test"]
    np.testing.assert_array_equal(source.splits["test"].labels, (0, 4))
    np.savez(path, features=series)
    [split] = from_features(path, labels=None, ndim=3).splits.values()
    assert split.labels is None
    np.savez(path, other=series)
    with pytest.raises(UserError, match="must hold x_train or features"):
        from_features(path, labels=None, ndim=3)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 4, 5)), "numeric vectors of shape"),
        (np.zeros((0, 4)), "numeric vectors of shape"),
        (np.array([["a", "b"]]), "numeric vectors of shape"),
        (np.array([[1.0, np.nan], [np.inf, 2.0]]), r"finite numbers.*not_finite=2"),
    ],
)
def test_what_is_no_vector_is_told(array, says):
    with pytest.raises(UserError, match=says):
        as_features(array, ndim=2, what="x.npy")


def test_missing_files_are_named_by_their_option(tmp_path, saved):
    wrong = saved("wrong.npy", np.zeros((3, 4)))
    with pytest.raises(UserError, match=r"^data\.series .*npy must hold numeric"):
        from_features(wrong, labels=None, ndim=3)
    np.savez(tmp_path / "wrong.npz", x_train=np.zeros((3, 4, 5)))
    with pytest.raises(UserError, match=r"^x_train of data\.features .*npz must"):
        from_features(tmp_path / "wrong.npz", labels=None, ndim=2)
    with pytest.raises(UserError, match=r"data\.series must be a file"):
        from_features(tmp_path / "no.npy", labels=None, ndim=3)
    with pytest.raises(UserError, match=r"data\.labels must be a file"):
        from_features(saved("x.npy", np.zeros((2, 2))), labels=tmp_path / "n", ndim=2)
