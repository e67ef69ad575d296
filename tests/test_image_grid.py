import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from iic_tf.errors import UserError
from iic_tf.report.image_grid import GAP, as_pixels, image_grid

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("first", [False, True])
def test_channels_may_be_first_or_last(channels, first):
    image = RNG.integers(0, 256, (7, 9, channels), dtype=np.uint8)
    given = np.moveaxis(image, -1, 0) if first else image
    expected = image[..., :3] if channels > 1 else np.repeat(image, 3, axis=-1)
    np.testing.assert_array_equal(as_pixels(given), expected)


@pytest.mark.parametrize(
    "given",
    [
        COLOURS / 255,
        (COLOURS / 255).astype(np.float32),
        COLOURS.astype(np.int64),
        tf.constant(COLOURS),
        Image.fromarray(COLOURS),
    ],
)
def test_kinds_of_numbers_and_of_arrays(given):
    np.testing.assert_array_equal(as_pixels(given), COLOURS)


def test_grey_masks_and_what_is_beyond_the_range():
    assert as_pixels(np.eye(5, dtype=bool))[0, 0].tolist() == [255] * 3
    strange = np.array([[-1.0, 2.0, np.nan, np.inf, 0.5]])
    assert as_pixels(strange)[0, :, 0].tolist() == [0, 255, 0, 255, 128]


def test_a_grid_row_by_row():
    images = RNG.integers(0, 200, (5, 6, 8, 1), dtype=np.uint8)
    grid = image_grid(images)
    assert grid.shape == (2 * 6 + GAP, 3 * 8 + 2 * GAP, 3) and grid.dtype == np.uint8
    for i, image in enumerate(images):
        top, left = (i // 3) * (6 + GAP), (i % 3) * (8 + GAP)
        assert (grid[top : top + 6, left : left + 8] == image).all()
    assert (grid[:, 8 : 8 + GAP] == 255).all() and (grid[6 : 6 + GAP] == 255).all()
    assert (grid[8:, 2 * (8 + GAP) :] == 255).all()  # no sixth image
    assert image_grid(images, columns=5).shape == (6, 5 * 8 + 4 * GAP, 3)


def test_images_of_several_sizes_stand_in_the_middle():
    grid = image_grid([np.zeros((2, 2)), np.zeros((3, 6, 8))])
    assert grid.shape == (6, 2 * 8 + GAP, 3)
    assert (grid[2:4, 3:5] == 0).all() and grid[:, :8].sum() == 255 * 3 * (48 - 4)


def test_one_image_or_several_and_small_ones_enlarged():
    assert image_grid(COLOURS).shape == (7, 9, 3)
    assert image_grid(np.zeros((6, 8, 9))).shape == (2 * 8 + GAP, 3 * 9 + 2 * GAP, 3)
    large = image_grid(COLOURS, least=30)
    assert large.shape == (28, 36, 3)
    np.testing.assert_array_equal(large[::4, ::4], COLOURS)
    assert image_grid(COLOURS, least=9).shape == (7, 9, 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "at least one image"),
        (np.zeros((0, 5, 6, 3)), "at least one image"),
        (3, "at least one image"),
        ([np.zeros((5, 6, 7))], r"must have shape.*\(5, 6, 7\)"),
        (["text"], "must have shape"),
    ],
)
def test_what_is_no_image(images, message):
    with pytest.raises(UserError, match=message):
        image_grid(images)
    with pytest.raises(UserError, match="columns must be at least 1"):
        image_grid(COLOURS, columns=0)
