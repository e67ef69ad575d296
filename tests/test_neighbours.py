import numpy as np
import pytest

from iic_tf import neighbours
from iic_tf.neighbours import find_neighbours


def test_digits_of_one_kind_are_neighbours(digits):
    images, labels = digits[0][:1000], digits[1][:1000]
    found = find_neighbours(images, number=5, seed=0)
    assert found.table.shape == (1000, 5) and found.table.dtype == np.int32
    np.testing.assert_array_equal(found.candidates, np.arange(1000))
    assert (found.table != np.arange(1000)[:, None]).all()
    assert (labels[found.table[:, 0]] == labels).mean() > 0.85


def test_they_are_the_nearest_by_angle(digits):
    images = digits[0][:200]
    found = find_neighbours(images, number=3, seed=0)
    flat = images.reshape(200, -1) / 255.0
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    cosine = flat @ flat.T - 2 * np.eye(200)
    best = np.sort(cosine, axis=1)[:, -3:].mean()
    ours = np.take_along_axis(cosine, found.table, axis=1).mean()
    assert ours > best - 0.01  # 64 components say nearly all


def test_many_images_share_a_few_candidates(digits, monkeypatch):
    monkeypatch.setattr(neighbours, "MAX_CANDIDATES", 50)
    images = digits[0][:300]
    found = find_neighbours(images, number=4, seed=1)
    assert len(found.candidates) == 50
    assert (np.diff(found.candidates) > 0).all()
    assert np.isin(found.table, found.candidates).all()
    assert (found.table != np.arange(300)[:, None]).all()
    other = find_neighbours(images, number=4, seed=2)
    assert not np.array_equal(other.candidates, found.candidates)


@pytest.mark.parametrize("number", [2, 10])
def test_fewer_images_than_neighbours_and_images_all_alike(number):
    images = np.zeros((3, 4, 4, 1), np.uint8)
    found = find_neighbours(images, number=number, seed=0)
    np.testing.assert_array_equal(np.sort(found.table), [[1, 2], [0, 2], [0, 1]])
