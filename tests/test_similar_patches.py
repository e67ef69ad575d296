import numpy as np
import pytest

from iic_tf.augment.crops import _cut_pairs
from iic_tf.neighbours import similar_patches
from iic_tf.neighbours.similar_patches import SIDE, SPACING, find_similar_patches


@pytest.fixture
def many(monkeypatch):
    """Eight images count as many."""
    monkeypatch.setattr(similar_patches, "FEW", 2)


@pytest.fixture(scope="module")
def images():
    """Eight of unlike sizes; the left is striped, the right is dotted."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(8):
        height, width = 96, 160 + 16 * (i % 3)
        rows, columns = np.mgrid[:height, :width]
        stripes = 60 * np.sin(0.9 * rows + i)
        dots = 60 * np.sin(0.5 * rows) * np.sin(0.5 * columns + i)
        grey = 128 + np.where(columns < width // 2, stripes, dots)
        tint = rng.uniform(-30, 30, 3)
        noise = rng.normal(0, 10, (height, width, 3))
        image = grey[..., None] + tint + noise
        found.append(np.clip(image, 0, 255).astype(np.uint8))
    return found


@pytest.fixture(scope="module")
def whole(images):
    return find_similar_patches(images, number=4, seed=0)


def test_places_are_compared_a_part_at_a_time(images, whole, monkeypatch):
    monkeypatch.setattr(similar_patches, "AT_ONCE", 1000)
    parts = find_similar_patches(images, number=4, seed=0)
    np.testing.assert_array_equal(parts.nearest, whole.nearest)


def is_left(found, images, numbers):
    widths = np.array([image.shape[1] for image in images])
    return found.middle[numbers, 1] < widths[found.image[numbers]] / 2


def test_places_that_look_alike_are_in_other_images(images, many):
    found = find_similar_patches(images, number=4, seed=0)
    number = len(found.image)
    assert found.nearest.shape == (number, 4) and found.nearest.dtype == np.int32
    assert (found.image[found.nearest] != found.image[:, None]).all()
    mine = is_left(found, images, np.arange(number))
    assert (is_left(found, images, found.nearest) == mine[:, None]).mean() > 0.9


def test_neighbours_in_scenes_lie_in_pictures_of_all_kinds(images, many):
    darker = [(image // 3 if i % 2 else image) for i, image in enumerate(images)]
    found = find_similar_patches(darker, number=2, seed=0, scenes=True)
    assert found.nearest.shape == (len(found.image), 2)
    assert (found.image[found.nearest] % 2 == [0, 1]).all() or (
        found.image[found.nearest] % 2 == [1, 0]
    ).all()
    assert (found.image[found.nearest] != found.image[:, None]).all()
    mine = is_left(found, images, np.arange(len(found.image)))
    assert (is_left(found, images, found.nearest) == mine[:, None]).mean() > 0.9
    few = find_similar_patches(images[:3], number=2, seed=0, scenes=True)
    assert few.nearest.shape[1] == 2


def test_a_kind_of_one_picture_is_not_searched(images, many):
    black = np.zeros_like(images[-1])
    found = find_similar_patches([*images[:-1], black], number=2, seed=0, scenes=True)
    assert found.nearest.shape == (len(found.image), 2)
    assert (found.image[found.nearest] != found.image[:, None]).all()
    assert (found.image[found.nearest] != 7).all()


def test_even_pictures_have_neighbours_in_others(many):
    rng = np.random.default_rng(0)
    even = [
        np.clip(rng.normal(60 * (i + 1), 3, (256, 256, 3)), 0, 255).astype(np.uint8)
        for i in range(2)
    ]
    found = find_similar_patches(even, number=3, seed=0)
    assert (found.image[found.nearest] != found.image[:, None]).all()


def test_few_pictures_that_are_unlike_keep_to_themselves(images):
    flat = np.full((96, 160, 3), (200, 40, 40), np.uint8)
    flat += np.random.default_rng(0).integers(0, 9, flat.shape, dtype=np.uint8)
    found = find_similar_patches([images[0], flat], number=3, seed=0)
    own = found.image[found.nearest] == found.image[:, None]
    assert own.mean() > 0.95
    steps = abs(found.middle[found.nearest] - found.middle[:, None]).max(axis=2)
    assert (steps[own] >= SIDE).all()  # none that overlaps


def test_places_cover_each_image(images, whole):
    found = whole
    assert (np.diff(found.image) >= 0).all()
    for i, image in enumerate(images):
        middle = found.middle[found.image == i]
        sides = np.array(image.shape[:2])
        assert len(middle) == np.prod(np.round(sides / SPACING))
        assert (middle >= 0).all() and (middle < sides).all()
        assert (middle.min(axis=0) <= SPACING).all()
        assert (sides - middle.max(axis=0) <= SPACING).all()


def test_many_places_are_drawn_from(images, monkeypatch):
    monkeypatch.setattr(similar_patches, "MAX_CELLS", 40)
    found = find_similar_patches(images, number=3, seed=1)
    assert len(found.image) == 40 and found.nearest.max() < 40


def test_one_picture_has_neighbours_within(images):
    found = find_similar_patches(images[:1], number=3, seed=0)
    assert (found.nearest != np.arange(len(found.image))[:, None]).all()
    assert find_similar_patches([images[0][:10, :10]], number=3, seed=0) is None


def test_pairs_lie_about_places(images, whole):
    found = whole
    draws = np.random.default_rng(0).random((5, 3))
    index = np.array([0, 3, 3, 7, 1])
    labels = [np.zeros(image.shape[:2], np.uint8) for image in images]
    labels[3][:] = 255
    side = 48
    windows, others, mask = _cut_pairs(images, None, found, index, draws, side)
    assert windows.shape == (5, side, side, 3) and others.shape == (10, side, side, 3)
    outer = (side - SIDE) // 2
    assert not mask[:, :outer].any() and not mask[:, :, -outer:].any()
    for i, number in enumerate(index):
        here = np.flatnonzero(found.image == number)
        place = here[int(draws[i, 0] * len(here))]
        y, x = found.middle[place]
        half = side // 2
        around = ((side, side), (side, side), (0, 0))
        whole = np.pad(images[number], around, mode="symmetric")
        expected = whole[y + half : y + half + side, x + half : x + half + side]
        np.testing.assert_array_equal(windows[i], expected)
        for repeat in range(2):
            other = found.nearest[place, int(draws[i, 1 + repeat] * 4)]
            y, x = found.middle[other]
            expected = images[found.image[other]][y, x]
            np.testing.assert_array_equal(others[repeat * 5 + i, half, half], expected)
    *_, masked = _cut_pairs(images, labels, found, index, draws, side)
    assert not masked[[1, 2]].any() and (masked <= mask).all()
