import numpy as np
import pytest

from iic_tf.arithmetic import sums_in_one_order
from iic_tf.neighbours import patches as module
from iic_tf.neighbours.patches import (
    CONTRAST_FLOOR,
    REGIONS,
    SIDE,
    STRIDE,
    VARIANCE_FLOOR,
    WINDOW,
    learn_patches,
    patch_histograms,
    triangles,
)

KINDS = 30


@pytest.fixture(autouse=True, scope="module")
def fewer_kinds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "KINDS", KINDS)
        patch.setattr(module, "NUM_WINDOWS", 10_000)
        yield


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (15, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def patches(images):
    return learn_patches(images, seed=0)


def slow_windows(image):
    """All windows of one image, normalised, in loops."""
    rows = []
    for top in range(0, SIDE - WINDOW + 1, STRIDE):
        for left in range(0, SIDE - WINDOW + 1, STRIDE):
            window = image[top : top + WINDOW, left : left + WINDOW].ravel() / 255
            spread = np.sqrt(window.var() + CONTRAST_FLOOR)
            rows.append((window - window.mean()) / spread)
    return np.array(rows)


def test_histograms_against_loops(images, patches):
    found = patch_histograms(images[:2], patches)
    assert found.shape == (2, REGIONS**2 * KINDS) and found.dtype == np.float32
    across = (SIDE - WINDOW) // STRIDE + 1
    shares = triangles(across, REGIONS)
    for image, histogram in zip(images, found, strict=False):
        expected = np.zeros((REGIONS, REGIONS, KINDS))
        for place, window in enumerate(slow_windows(image)):
            white = (window - patches.mean) @ patches.whitening
            apart = np.linalg.norm(white - patches.kinds, axis=1)
            near = np.maximum(apart.mean() - apart, 0)
            row, column = divmod(place, across)
            expected += shares[row][:, None, None] * shares[column][:, None] * near
        np.testing.assert_allclose(
            histogram, np.sqrt(expected).ravel(), rtol=1e-3, atol=1e-3
        )


def test_grey_images_after_coloured_ones(images, patches):
    of_colours = patch_histograms(images[:2], patches)
    grey = images[:3, ..., :1]
    assert patch_histograms(grey, learn_patches(grey, seed=0)).shape[0] == 3
    np.testing.assert_array_equal(patch_histograms(images[:2], patches), of_colours)


def test_the_same_numbers_wherever_they_are_asked(images, patches):
    usual = patch_histograms(images, patches)
    with sums_in_one_order():
        np.testing.assert_array_equal(patch_histograms(images, patches), usual)


def test_whitened_windows_have_variance_one(images, patches):
    windows = np.concatenate([slow_windows(image) for image in images])
    white = (windows - patches.mean) @ patches.whitening
    variances = np.linalg.eigvalsh(np.cov(white, rowvar=False))
    # noise has nearly equal variances, to which the floor is added
    raw = np.linalg.eigvalsh(np.cov(windows, rowvar=False))
    np.testing.assert_allclose(
        variances.mean(), (raw / (raw + VARIANCE_FLOOR)).mean(), rtol=0.02
    )


def test_the_seed_decides(images, patches):
    np.testing.assert_array_equal(learn_patches(images, seed=0).kinds, patches.kinds)
    assert not np.array_equal(learn_patches(images, seed=1).kinds, patches.kinds)


def test_shares_of_a_pixel_in_cells():
    shares = triangles(8, 4)
    # the middles of the cells lie at 0.5, 2.5, 4.5 and 6.5; inside, shares add up to 1
    np.testing.assert_allclose(shares[1:-1].sum(axis=1), 1)
    np.testing.assert_allclose(shares[3], [0, 0.75, 0.25, 0])
    np.testing.assert_array_equal(shares, shares[::-1, ::-1])
