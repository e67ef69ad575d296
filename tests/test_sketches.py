import numpy as np

from iic_tf.report.sketches import TILE, as_tiles, looks


def test_images_are_shown_as_they_are():
    images = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 1)
    np.testing.assert_array_equal(looks(images)(1), images[1] / 255.0)
    views = images / 18.0
    np.testing.assert_array_equal(looks(views)(0), views[0])
    assert as_tiles(images) is images


def test_vectors_are_grey_squares_row_by_row():
    vectors = np.array([[0.0, 5, 1], [1, 9, 0], [0.5, 7, 1]])
    tile = looks(vectors, like=np.array([[0.0, 5, 0], [1, 9, 1]]))(2)
    assert tile.shape == (TILE, TILE, 1)
    half = TILE // 2
    corners = [tile[i * half + 1, j * half + 1, 0] for i in (0, 1) for j in (0, 1)]
    np.testing.assert_allclose(corners, (0.5, 0.5, 1, 1), atol=0.02)  # last: no number


def test_series_are_curves_of_a_colour_each():
    times = np.linspace(0, 1, 20)
    series = np.stack([times, 1 - times], axis=1)[None].repeat(3, axis=0)
    tile = as_tiles(series)[0]
    assert tile.shape == (TILE, TILE * 3 // 2, 3)
    first, second = tile[-1, 0], tile[0, 0]  # rising ones begin below
    assert (first != second).any() and (first != 1).any() and (second != 1).any()
    np.testing.assert_array_equal(tile[0, -1], first)
    assert (tile[TILE // 2, 0] == 1).all()  # white elsewhere
