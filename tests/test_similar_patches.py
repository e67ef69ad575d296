import numpy as np
import pytest

from iic_tf.augment.crops import _cut_pairs
from iic_tf.neighbours import patches, similar_patches
from iic_tf.neighbours.similar_patches import SIDE, SPACING, find_cells


@pytest.fixture(autouse=True)
def fewer_kinds(monkeypatch):
    monkeypatch.setattr(patches, "KINDS", 30)
    monkeypatch.setattr(patches, "NUM_WINDOWS", 3_000)


@pytest.fixture
def many(monkeypatch):
    """Eight pictures count as many."""
    monkeypatch.setattr(similar_patches, "FEW", 2)


@pytest.fixture(scope="module")
def pictures():
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
        picture = grey[..., None] + tint + noise
        found.append(np.clip(picture, 0, 255).astype(np.uint8))
    return found


def test_places_are_compared_a_part_at_a_time(pictures, monkeypatch):
    whole = find_cells(pictures, number=4, seed=0)
    monkeypatch.setattr(similar_patches, "AT_ONCE", 1000)
    parts = find_cells(pictures, number=4, seed=0)
    np.testing.assert_array_equal(parts.nearest, whole.nearest)


def is_left(found, pictures, numbers):
    widths = np.array([picture.shape[1] for picture in pictures])
    return found.middle[numbers, 1] < widths[found.picture[numbers]] / 2


def test_places_that_look_alike_are_in_other_pictures(pictures, many):
    found = find_cells(pictures, number=4, seed=0)
    number = len(found.picture)
    assert found.nearest.shape == (number, 4) and found.nearest.dtype == np.int32
    assert (found.picture[found.nearest] != found.picture[:, None]).all()
    mine = is_left(found, pictures, np.arange(number))
    assert (is_left(found, pictures, found.nearest) == mine[:, None]).mean() > 0.9
    again = find_cells(pictures, number=4, seed=0)
    np.testing.assert_array_equal(again.nearest, found.nearest)


def test_neighbours_in_scenes_lie_in_pictures_of_all_kinds(pictures, many):
    darker = [
        (picture // 3 if i % 2 else picture) for i, picture in enumerate(pictures)
    ]
    found = find_cells(darker, number=2, seed=0, scenes=True)
    assert found.nearest.shape == (len(found.picture), 2)
    assert (found.picture[found.nearest] % 2 == [0, 1]).all() or (
        found.picture[found.nearest] % 2 == [1, 0]
    ).all()
    assert (found.picture[found.nearest] != found.picture[:, None]).all()
    mine = is_left(found, pictures, np.arange(len(found.picture)))
    assert (is_left(found, pictures, found.nearest) == mine[:, None]).mean() > 0.9
    few = find_cells(pictures[:3], number=2, seed=0, scenes=True)
    assert few.nearest.shape[1] == 2


def test_a_kind_of_one_picture_is_not_searched(pictures, many):
    black = np.zeros_like(pictures[-1])
    found = find_cells([*pictures[:-1], black], number=2, seed=0, scenes=True)
    assert found.nearest.shape == (len(found.picture), 2)
    assert (found.picture[found.nearest] != found.picture[:, None]).all()
    assert (found.picture[found.nearest] != 7).all()


def test_even_pictures_have_neighbours_in_others(many):
    rng = np.random.default_rng(0)
    even = [
        np.clip(rng.normal(60 * (i + 1), 3, (256, 256, 3)), 0, 255).astype(np.uint8)
        for i in range(2)
    ]
    found = find_cells(even, number=3, seed=0)
    assert (found.picture[found.nearest] != found.picture[:, None]).all()


def test_few_pictures_that_are_unlike_keep_to_themselves(pictures):
    flat = np.full((96, 160, 3), (200, 40, 40), np.uint8)
    flat += np.random.default_rng(0).integers(0, 9, flat.shape, dtype=np.uint8)
    found = find_cells([pictures[0], flat], number=3, seed=0)
    own = found.picture[found.nearest] == found.picture[:, None]
    assert own.mean() > 0.95
    steps = abs(found.middle[found.nearest] - found.middle[:, None]).max(axis=2)
    assert (steps[own] >= SIDE).all()  # none that overlaps


def test_places_cover_each_picture(pictures):
    found = find_cells(pictures, number=1, seed=0)
    assert (np.diff(found.picture) >= 0).all()
    for i, picture in enumerate(pictures):
        middle = found.middle[found.picture == i]
        sides = np.array(picture.shape[:2])
        assert len(middle) == np.prod(np.round(sides / SPACING))
        assert (middle >= 0).all() and (middle < sides).all()
        assert (middle.min(axis=0) <= SPACING).all()
        assert (sides - middle.max(axis=0) <= SPACING).all()


def test_many_places_are_drawn_from(pictures, monkeypatch):
    monkeypatch.setattr(similar_patches, "MAX_CELLS", 40)
    found = find_cells(pictures, number=3, seed=1)
    assert len(found.picture) == 40 and found.nearest.max() < 40


def test_one_picture_has_neighbours_within(pictures):
    found = find_cells(pictures[:1], number=3, seed=0)
    assert (found.nearest != np.arange(len(found.picture))[:, None]).all()
    assert find_cells([pictures[0][:10, :10]], number=3, seed=0) is None


def test_pairs_lie_about_places(pictures):
    found = find_cells(pictures, number=4, seed=0)
    draws = np.random.default_rng(0).random((5, 3))
    index = np.array([0, 3, 3, 7, 1])
    labels = [np.zeros(picture.shape[:2], np.uint8) for picture in pictures]
    labels[3][:] = 255
    side = 48
    windows, others, mask = _cut_pairs(pictures, None, found, index, draws, side)
    assert windows.shape == (5, side, side, 3) and others.shape == (10, side, side, 3)
    outer = (side - SIDE) // 2
    assert not mask[:, :outer].any() and not mask[:, :, -outer:].any()
    for i, number in enumerate(index):
        here = np.flatnonzero(found.picture == number)
        place = here[int(draws[i, 0] * len(here))]
        y, x = found.middle[place]
        half = side // 2
        around = ((side, side), (side, side), (0, 0))
        whole = np.pad(pictures[number], around, mode="symmetric")
        expected = whole[y + half : y + half + side, x + half : x + half + side]
        np.testing.assert_array_equal(windows[i], expected)
        for repeat in range(2):
            other = found.nearest[place, int(draws[i, 1 + repeat] * 4)]
            y, x = found.middle[other]
            expected = pictures[found.picture[other]][y, x]
            np.testing.assert_array_equal(others[repeat * 5 + i, half, half], expected)
    *_, masked = _cut_pairs(pictures, labels, found, index, draws, side)
    assert not masked[[1, 2]].any() and (masked <= mask).all()
