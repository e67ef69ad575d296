import numpy as np
import pytest

from iic_tf.neighbours import nearest, patches
from iic_tf.neighbours.nearest import (
    CELLS,
    ORIENTATIONS,
    describe,
    find_neighbours,
    memory_of_search,
    middle_weights,
    nearest_by_angle,
    orientation_histograms,
    pixel_values,
    width_of,
)


def test_digits_of_one_kind_are_neighbours(digits):
    images, labels = digits[0][:1000], digits[1][:1000]
    found = find_neighbours(images, number=5, seed=0)
    assert found.shape == (1000, 5) and found.dtype == np.int32
    assert (found != np.arange(1000)[:, None]).all()
    assert (labels[found[:, 0]] == labels).mean() > 0.9


@pytest.mark.parametrize(("n", "number"), [(5, 4), (130, 3), (700, 10)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_they_are_the_nearest_by_angle(n, number, mirrored):
    rng = np.random.default_rng(n)
    points = rng.normal(size=(n, 6)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    other = points[:, ::-1].copy() if mirrored else None
    alike = points @ points.T
    if mirrored:
        alike = np.maximum(alike, points @ other.T)
    np.fill_diagonal(alike, -np.inf)
    expected = np.argsort(-alike, axis=1)[:, :number]
    found = nearest_by_angle(points, np.arange(n), number=number, mirrored=other)
    np.testing.assert_array_equal(found, expected)


def test_many_images_share_a_few_candidates(digits, monkeypatch):
    monkeypatch.setattr(nearest, "MAX_CANDIDATES", 50)
    images = digits[0][:300]
    found = find_neighbours(images, number=4, seed=1)
    assert len(np.unique(found)) == 50
    assert (found != np.arange(300)[:, None]).all()
    other = find_neighbours(images, number=4, seed=2)
    assert not np.array_equal(np.unique(other), np.unique(found))


@pytest.mark.parametrize("number", [2, 10])
def test_fewer_images_than_neighbours_and_images_all_alike(number):
    images = np.zeros((3, 4, 4, 1), np.uint8)
    found = find_neighbours(images, number=number, seed=0)
    np.testing.assert_array_equal(np.sort(found), [[1, 2], [0, 2], [0, 1]])


@pytest.mark.parametrize("turns", range(4))
def test_an_edge_is_found_where_it_is_and_in_its_direction(turns):
    image = np.zeros((28, 28), np.uint8)
    image[:, 14:] = 255  # rises to the right, direction 0, in the middle column
    image = np.rot90(image, -turns)  # clockwise: next it rises downwards
    found = orientation_histograms(image[None, :, :, None].repeat(3, axis=3))
    found = found.reshape(CELLS, CELLS, ORIENTATIONS)
    direction = 2 * turns
    assert not np.delete(found, direction, axis=2).any()
    across = found[..., direction].sum(axis=turns % 2)
    assert across.argmax() == 3
    np.testing.assert_allclose(across, across[::-1], rtol=1e-5)


def test_histograms_change_little_when_an_image_moves_a_little(digits):
    images = digits[0][:100]
    moved = np.roll(images, 1, axis=2)

    def cosine(describe):
        a, b = describe(images), describe(moved)
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
        return (a * b).sum(axis=1).mean()

    assert cosine(orientation_histograms) > 0.95 > cosine(pixel_values)


@pytest.fixture
def fewer_kinds(monkeypatch):
    """Fifty kinds of windows, learned from some thousands: seconds less."""
    monkeypatch.setattr(patches, "KINDS", 50)
    monkeypatch.setattr(patches, "NUM_WINDOWS", 5_000)


def textured(kinds, *, side=32):
    """Colour images of upright or level waves, wide or narrow."""
    rng = np.random.default_rng(0)
    places = np.arange(side) * np.where(kinds % 2, 0.5, 1.0)[:, None]
    waves = np.sin(places + rng.uniform(0, 6, (len(kinds), 1)))
    waves = np.repeat(waves[:, None], side, axis=1)
    waves = np.where((kinds < 2)[:, None, None], waves, waves.transpose(0, 2, 1))
    colours = rng.uniform(-60, 60, (len(kinds), 1, 1, 3))  # tell nothing
    images = 128 + colours + 30 * waves[..., None]
    images += rng.normal(0, 25, images.shape)
    return np.clip(images, 0, 255).astype(np.uint8)


def test_photographs_are_compared_by_edges_and_texture(fewer_kinds):
    kinds = np.arange(160) % 4
    images = textured(kinds)
    found = find_neighbours(images, number=5, seed=0, kind="photographs")
    assert found.shape == (160, 5) and found.dtype == np.int32
    assert (found != np.arange(160)[:, None]).all()
    points = pixel_values(images)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    by_pixels = nearest_by_angle(points, np.arange(160), number=5)
    right, by_colour = (
        (kinds[table] == kinds[:, None]).mean() for table in (found, by_pixels)
    )
    assert right > 0.9 > by_colour
    again = find_neighbours(images, number=5, seed=0, kind="photographs")
    np.testing.assert_array_equal(again, found)


def test_a_photograph_is_near_its_mirror_image(fewer_kinds):
    images = textured(np.arange(60) % 4)
    images = np.concatenate([images, images[:, :, ::-1]])
    found = find_neighbours(images, number=3, seed=0, kind="photographs", mirrored=True)
    np.testing.assert_array_equal(found[:, 0], (np.arange(120) + 60) % 120)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 3), (4, 7)])
def test_places_count_the_less_the_farther_from_the_middle(rows, columns):
    expected = [
        [
            np.exp(
                -((2 * (y + 0.5) / rows - 1) ** 2 + (2 * (x + 0.5) / columns - 1) ** 2)
            )
            for x in range(columns)
        ]
        for y in range(rows)
    ]
    np.testing.assert_allclose(middle_weights(rows, columns), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["drawings", "photographs"])
def test_what_is_in_the_middle_counts_most(kind, fewer_kinds):
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(4, size=(2, 300))
    images = textured(outside)
    images[:, 8:-8, 8:-8] = textured(inside)[:, 8:-8, 8:-8]

    def same(middle):
        points = describe(images, seed=0, kind=kind, middle=middle)(images)
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
        near = nearest_by_angle(points, np.arange(300), number=30)
        return [(of[near] == of[:, None]).mean() for of in (inside, outside)]

    (what, background), (even_what, even_background) = same(True), same(False)
    assert what > even_what + 0.05
    assert background < even_background - 0.05
    found = find_neighbours(images, number=30, seed=0, kind=kind, middle=True)
    assert (inside[found] == inside[:, None]).mean() == pytest.approx(what, abs=0.01)


@pytest.mark.parametrize("shape", [(3, 8, 8, 1), (2, 40, 24, 3)])
def test_photographs_that_are_few_small_or_all_alike(shape, fewer_kinds):
    found = find_neighbours(
        np.zeros(shape, np.uint8), number=5, seed=0, kind="photographs"
    )
    n = shape[0]
    assert found.shape == (n, n - 1)
    assert (found != np.arange(n)[:, None]).all()


def test_memory_of_the_search_by_hand():
    number, d = 1_000_000, 192 + 192  # components of edges and of patches
    needed = memory_of_search(
        number, (32, 32, 3), kind="photographs", mirrored=True, neighbours=10
    )
    # two spaces; of candidates the points, those with zeros, and rough ones
    points = 2 * 4 * d * (2 * number + 2.5 * 70_000)
    blocks = 3 * 4 * 714 * 70_000  # 50,000,000 // 70,000 rows
    assert needed == points + blocks + 4 * 11 * number
    needed = memory_of_search(
        30, (8, 8, 1), kind="drawings", mirrored=False, neighbours=4
    )
    assert needed == 4 * 3 * (2 * 30 + 2.5 * 30) + 4 * 30 * 30 + 4 * 5 * 30


def test_many_neighbours_are_compared_exactly_for_fewer_images_at_a_time():
    how = {"kind": "photographs", "mirrored": True}
    few, many = (
        memory_of_search(5_000, (32, 32, 3), neighbours=n, **how) for n in (20, 2_000)
    )
    numbers = nearest.MAX_SIMILARITIES  # that describe candidates, in each space
    assert few < many < few + 2 * 4 * numbers + 4 * 5_000 * 2_000


@pytest.mark.parametrize("kind", ["drawings", "photographs", "tones"])
@pytest.mark.parametrize("shape", [(60, 10, 10, 1), (90, 2, 2, 1)])
def test_descriptions_are_as_wide_as_the_estimate_says(
    kind, shape, fewer_kinds, monkeypatch
):
    monkeypatch.setattr(nearest, "KINDS", patches.KINDS)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if min(shape[1:3]) < 8 and kind != "drawings":
        images = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)))
    found = describe(images, seed=0, kind=kind)(images)
    wide = width_of(kind, number=len(images), shape=images.shape[1:])
    assert found.shape[1] == wide


def test_vectors_are_compared_by_features_of_like_spread():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 20)
    # groups differ in small features, noise fills a large one
    vectors = rng.normal(size=(20, 5))[group] + 0.1 * rng.normal(size=(400, 5))
    vectors = np.column_stack((vectors, 1000 * rng.normal(size=400)))
    found = find_neighbours(
        vectors.astype(np.float32), number=5, seed=0, kind="vectors"
    )
    assert (group[found] == group[:, None]).mean() > 0.7


def test_series_are_near_whose_frequencies_agree_wherever_in_time():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 50)
    phase = rng.uniform(0, 6, (200, 1))
    times = np.linspace(0, 20, 64)
    series = np.sin((1 + group[:, None]) * times + phase)[..., None]
    series += 0.3 * rng.normal(size=series.shape)
    found = find_neighbours(series.astype(np.float32), number=5, seed=0, kind="series")
    assert (group[found] == group[:, None]).mean() > 0.9


@pytest.mark.parametrize(
    ("spread", "native", "from_", "kind"),
    [(1, True, 1000, "bfloat16"), (1, True, 2000, "float32"), (1, False, 0, "float32"),
     (0.02, True, 1000, "float32")],
)  # fmt: skip
@pytest.mark.parametrize("mirror", [False, True])
def test_rough_products_lose_no_neighbour(
    spread, native, from_, kind, mirror, monkeypatch
):
    compared = []
    monkeypatch.setattr(nearest, "multiplies_bfloat16", lambda: native)
    monkeypatch.setattr(nearest, "ROUGH_FROM", from_)
    choose = nearest._compared_first

    def chosen(*given):
        compared.append(choose(*given))
        return compared[-1]

    monkeypatch.setattr(nearest, "_compared_first", chosen)
    draw = np.random.default_rng(0)
    points = 1 + spread * draw.normal(size=(1500, 16)).astype("f4")
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    mirrored = points[:, ::-1].copy() if mirror else None
    candidates = np.arange(0, 1500, 1)
    found = nearest_by_angle(points, candidates, number=7, mirrored=mirrored)
    alike = points @ points.T
    if mirror:
        alike = np.maximum(alike, points @ mirrored.T)
    np.fill_diagonal(alike, -2)
    expected = np.argsort(-alike, axis=1)[:, :7]
    same = found[:, :, None] == expected[:, None]
    assert same.any(axis=2).mean() > 0.998  # float32 rounds, too
    assert {space.dtype.name for space in compared[0]} == {kind}
