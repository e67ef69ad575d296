"""Thin plates, perspective, blocks, noise and edges against slow versions."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from scipy.interpolate import RBFInterpolator

import data
from iic_tf.augment import distortions
from iic_tf.errors import UserError

SEED = (3, 4)


@pytest.fixture(scope="module")
def images(digits):
    return tf.cast(digits[0][:16], tf.float32) / 255


FACTORIES = {
    "bend": lambda: distortions.bend(0.11, rotation=17.0),
    "bend, zero": lambda: distortions.bend(0.11, padding="zero"),
    "perspective": lambda: distortions.perspective(0.1),
    "blocks": lambda: distortions.blocks(0.3, side=3),
    "noise": lambda: distortions.noise((0.1, 0.2)),
    "scale_and_shift": lambda: distortions.scale_and_shift(0.5, 0.6),
    "sometimes": lambda: distortions.sometimes(distortions.noise((0.2, 0.2)), 0.7),
    "thin_plates": lambda: data.thin_plates((28, 28, 1), views=2).original,
    "tutorial": lambda: data.tutorial_digits((28, 28, 1)).augment,
}


@pytest.mark.parametrize("name", FACTORIES)
def test_the_same_inside_tf_data_with_draws_of_each_image(images, name):
    apply = FACTORIES[name]()
    one = tf.tile(images[:1], (12, 1, 1, 1))
    eager = apply(one, SEED).numpy()
    batches = tf.data.Dataset.from_tensor_slices(one).batch(12)
    [inside] = batches.map(lambda x: apply(x, SEED))
    np.testing.assert_allclose(inside, eager, atol=1e-5)
    assert inside.shape == one.shape and inside.dtype == tf.float32
    np.testing.assert_array_equal(apply(one, SEED), eager)
    assert np.abs(apply(one, (3, 5)) - eager).max() > 1e-3
    different = np.abs(eager - eager[:1]).max((1, 2, 3)) > 1e-3
    assert different[1:].sum() >= 6


NOTHING = {
    "bend": lambda: distortions.bend(0.0),
    "bend, zero": lambda: distortions.bend(0.0, padding="zero"),
    "perspective": lambda: distortions.perspective(0.0),
    "blocks": lambda: distortions.blocks(0.0, side=3),
    "blocks of one pixel": lambda: distortions.blocks(1.0, side=1),
    "noise": lambda: distortions.noise((0.0, 0.0)),
    "scale_and_shift": lambda: distortions.scale_and_shift(0.0, 0.0),
    "sometimes": lambda: distortions.sometimes(distortions.noise((1.0, 1.0)), 0.0),
    "thin_plates": lambda: data.thin_plates((28, 28, 1), tps=0.0, rotation=0.0).augment,
}


@pytest.mark.parametrize("name", NOTHING)
def test_without_strength_nothing_changes(images, name):
    np.testing.assert_allclose(NOTHING[name]()(images, SEED), images, atol=1e-6)


@pytest.mark.parametrize("padding", ["border", "zero"])
def test_a_plate_of_almost_no_strength_is_almost_nothing(images, padding):
    bent = distortions.bend(1e-7, rotation=1e-5, padding=padding)(images, SEED)
    np.testing.assert_allclose(bent, images, atol=1e-4)


# ------------------------------------------------------------------------ moved pixels


@pytest.mark.parametrize(
    ("padding", "mode"), [("border", "nearest"), ("zero", "grid-constant")]
)
def test_images_are_read_as_scipy_reads_them(images, padding, mode):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-6, 34, (2, 3, 20, 25))
    found = distortions.sample(
        images[:3], tf.constant(x, tf.float32), tf.constant(y, tf.float32),
        padding=padding,
    )  # fmt: skip
    for i in range(3):
        expected = ndimage.map_coordinates(
            images[i, ..., 0].numpy(), (y[i], x[i]), order=1, mode=mode
        )
        np.testing.assert_allclose(found[i, ..., 0], expected, atol=1e-4)
    with pytest.raises(ValueError, match="padding must be border or zero"):
        distortions.sample(images, x, y, padding="reflect")


def test_thin_plates_are_scipys_interpolants():
    """Weights that interpolate, from the linear system, and any others by loops."""
    rng = np.random.default_rng(1)
    points, values = rng.random((5, 2)), rng.normal(size=(5, 2))
    places = rng.random((40, 2))

    def basis(r):
        return r**2 * np.log(np.maximum(r, 1e-12))

    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    plane = np.column_stack((np.ones(5), points))
    system = np.block([[basis(distances), plane], [plane.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.concatenate((values, np.zeros((3, 2)))))
    tensors = [tf.constant(a[None], tf.float64) for a in (*places.T, points, weights)]
    found = distortions.thin_plate(*tensors)[0].numpy()
    expected = RBFInterpolator(points, values, kernel="thin_plate_spline")(places)
    np.testing.assert_allclose(found, expected, atol=1e-4)

    weights = rng.normal(size=(8, 2))  # no condition holds among these
    tensors[3] = tf.constant(weights[None], tf.float64)
    for place, value in zip(places, distortions.thin_plate(*tensors)[0], strict=True):
        slow = weights[5] + weights[6] * place[0] + weights[7] * place[1]
        for point, weight in zip(points, weights, strict=False):
            r = np.hypot(*(place - point))
            slow = slow + weight * r**2 * np.log(r + 1e-6)
        np.testing.assert_allclose(value, slow, atol=1e-9)


@pytest.mark.parametrize("padding", ["border", "zero"])
def test_images_are_bent_then_rotated_as_by_scipy(images, padding):
    """The two maps of the reference one after the other, from the same draws."""
    apply = distortions.bend(0.11, rotation=17.0, padding=padding)
    found = apply(images, SEED).numpy()
    angle = distortions._draw(images, SEED, 0, 1, 1, low=-1.0).numpy().ravel()
    points = distortions._draw(images, SEED, 1, 4, 2).numpy()
    weights = 0.11 * distortions._draw(images, SEED, 2, 7, 2, normal=True).numpy()
    mode = {"border": "nearest", "zero": "grid-constant"}[padding]
    for i in range(4):
        expected = np.zeros((28, 28))
        turn = np.deg2rad(17.0 * angle[i])
        for row, column in np.ndindex(28, 28):
            u, v = column - 13.5, row - 13.5
            across = 13.5 + np.cos(turn) * u - np.sin(turn) * v
            down = 13.5 + np.sin(turn) * u + np.cos(turn) * v
            place = np.array([across, down]) / 27
            moved = weights[i, 4] + weights[i, 5] * place[0] + weights[i, 6] * place[1]
            for point, weight in zip(points[i], weights[i], strict=False):
                r = np.hypot(*(place - point))
                moved = moved + weight * r**2 * np.log(r + 1e-6)
            x, y = (place + moved) * 27
            expected[row, column] = ndimage.map_coordinates(
                images[i, ..., 0].numpy(), ([y], [x]), order=1, mode=mode
            )[0]
        np.testing.assert_allclose(found[i, ..., 0], expected, atol=1e-3)


def test_rotation_alone_turns_about_the_middle_of_an_oblong():
    image = np.zeros((1, 21, 41, 1), np.float32)
    image[0, 10, 20:] = 1  # a ray from the middle to the right
    turned = distortions.bend(0.0, rotation=90.0)(tf.constant(image), SEED).numpy()
    rows, columns = np.nonzero(turned[0, ..., 0] > 0.4)
    far = np.hypot(rows - 10, columns - 20) > 5
    angles = np.degrees(np.arctan2(rows - 10, columns - 20))[far]
    assert turned[0, 10, 20, 0] > 0.5 and len(angles) > 3 and np.ptp(angles) < 12


def test_corners_of_a_quadrangle_go_to_those_of_the_square():
    rng = np.random.default_rng(2)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) + rng.uniform(
        -0.2, 0.2, (6, 4, 2)
    )
    found = distortions.square_to_quadrangle(tf.constant(corners)).numpy()
    for one, entries in zip(corners, found, strict=True):
        system, values = [], []
        for (u, v), (x, y) in zip([(0, 0), (1, 0), (1, 1), (0, 1)], one, strict=True):
            system.append([u, v, 1, 0, 0, 0, -u * x, -v * x])
            system.append([0, 0, 0, u, v, 1, -u * y, -v * y])
            values += [x, y]
        np.testing.assert_allclose(entries, np.linalg.solve(system, values), atol=1e-9)


def test_perspective_reads_where_the_projection_says(images):
    found = distortions.perspective(0.1)(images, SEED).numpy()
    inwards = np.abs(distortions._draw(images, SEED, 0, 4, 2, normal=True)) * 0.1
    outer = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    corners = outer + (1 - 2 * outer) * np.minimum(inwards, 0.45)
    assert (
        0.05 < inwards.mean() < 0.11 and (corners >= 0).all() and (corners <= 1).all()
    )
    entries = distortions.square_to_quadrangle(tf.constant(corners)).numpy()
    v, u = np.mgrid[:28, :28] / 27
    for i, (a, b, c, d, e, f, g, h) in enumerate(entries[:4]):
        below = g * u + h * v + 1
        where = ((d * u + e * v + f) / below * 27, (a * u + b * v + c) / below * 27)
        expected = ndimage.map_coordinates(
            images[i, ..., 0].numpy(), where, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(found[i, ..., 0], expected, atol=1e-3)


# ---------------------------------------------------------------------- changed values


def test_blocks_are_means_and_the_rest_stays(images):
    everywhere = distortions.blocks(1.0, side=4)(images, SEED).numpy()
    means = images.numpy().reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(
        everywhere[..., 0], np.repeat(np.repeat(means, 4, 1), 4, 2), atol=1e-6
    )
    some = distortions.blocks(0.3, side=4)(images, SEED).numpy()
    is_mean = np.abs(some - everywhere) < 1e-6
    assert (is_mean | (some == images.numpy())).all()
    rng = np.random.default_rng(0)
    grain = tf.constant(rng.random((50, 28, 28, 1)), tf.float32)
    changed = distortions.blocks(0.3, side=4)(grain, SEED).numpy() != grain.numpy()
    assert 0.25 < changed.mean() < 0.35


def test_blocks_that_do_not_divide_the_side(images):
    """28 pixels in blocks of 3: ten blocks, the outermost of two pixels."""
    found = distortions.blocks(1.0, side=3)(images, SEED).numpy()[..., 0]
    edges = [0, *range(2, 28, 3), 28]
    for top, bottom in itertools.pairwise(edges):
        mean = images.numpy()[:, top:bottom, 2:5, 0].mean(axis=(1, 2))
        shown = found[:, top:bottom, 2:5]
        np.testing.assert_allclose(
            shown, np.broadcast_to(mean[:, None, None], shown.shape), atol=1e-6
        )


def test_noise_has_the_deviation_asked_for():
    grey = tf.fill((400, 20, 20, 1), 0.5)
    found = distortions.noise((0.05, 0.1))(grey, SEED).numpy()
    deviations = found.std(axis=(1, 2, 3))
    assert 0.04 < deviations.min() < 0.06 and 0.09 < deviations.max() < 0.11
    assert abs(found.mean() - 0.5) < 1e-3
    strong = distortions.noise((1.0, 1.0))(grey, SEED).numpy()
    assert strong.min() == 0 and strong.max() == 1


def test_brightness_and_contrast_are_a_sum_and_a_factor():
    ramp = tf.tile(tf.linspace(0.4, 0.5, 10)[None, None, :, None], (500, 2, 1, 1))
    found = distortions.scale_and_shift(0.2, 0.6)(ramp, SEED).numpy()
    factor = (found[:, 0, -1, 0] - found[:, 0, 0, 0]) / 0.1
    added = found[:, 0, 0, 0] - 0.4 * factor
    assert 0.4 < factor.min() < 0.45 and 1.55 < factor.max() < 1.6001
    assert -0.2001 < added.min() < -0.19 and 0.19 < added.max() < 0.2001
    assert abs(np.corrcoef(factor, added)[0, 1]) < 0.15


def test_some_images_are_changed_and_others_not(images):
    one = tf.tile(images[:1], (400, 1, 1, 1))
    apply = distortions.sometimes(distortions.noise((0.3, 0.3)), 0.7)
    same = (apply(one, SEED).numpy() == one.numpy()).all(axis=(1, 2, 3))
    assert 0.22 < same.mean() < 0.38


def test_edges_are_sobels_of_scipy():
    rng = np.random.default_rng(0)
    photos = rng.random((3, 12, 14, 3)).astype(np.float32)
    photos[2] = 0.4  # nothing to see: no edges
    found = distortions.edge_strength(0.3)(tf.constant(photos), SEED).numpy()
    for photo, edges in zip(photos[:2], found, strict=False):
        strength = np.empty_like(photo)
        for c in range(3):
            slopes = [ndimage.sobel(photo[..., c], i, mode="reflect") for i in (0, 1)]
            strength[..., c] = np.hypot(*slopes)
        grey = (strength / strength.max()) @ [0.299, 0.587, 0.114]
        expected = np.where(grey < 0.3, 0, grey)
        sure = np.abs(grey - 0.3) > 1e-4
        np.testing.assert_allclose(edges[..., 0][sure], expected[sure], atol=1e-5)
        assert 0 < (edges == 0).mean() < 1
    assert (found[2] == 0).all()


# ----------------------------------------------------------------------------- recipes


def test_one_view_or_both_are_bent(images):
    one, both = (data.thin_plates((28, 28, 1), views=n) for n in (1, 2))
    np.testing.assert_array_equal(one.original(images, SEED), images)
    for views in (one, both):
        np.testing.assert_array_equal(views.evaluate(images, SEED), images)
        assert np.abs(views.augment(images, SEED) - images).max() > 0.1
    assert np.abs(both.original(images, SEED) - images).max() > 0.1


def test_what_the_network_sees_of_photographs():
    shape = (32, 32, 3)
    photos = tf.constant(np.random.default_rng(0).random((4, *shape)), tf.float32)
    for channels, number in (("rgb", 3), ("grey", 1), ("gradient", 1)):
        views = data.thin_plates(shape, channels=channels, hue=0.5, brightness=0.5)
        assert views.seen_shape(shape) == (32, 32, number)
        assert views.augment(photos, SEED).shape == (4, 32, 32, number)
    gradient = data.RECIPES["cifar10_gradient_tps"].views(shape, {})
    assert (gradient.evaluate(photos, SEED).numpy() == 0).any()
    larger = data.thin_plates(shape, size=24)
    assert larger.seen_shape(shape) == (24, 24, 3)


@pytest.mark.parametrize(
    ("recipe", "values", "message"),
    [
        ("mnist_tps", {"padding": "reflect"}, r"padding must be border or zero"),
        ("mnist_tps", {"views": 3}, r"views must be 1 or 2"),
        ("mnist_tps", {"tps": -1.0}, r"tps must be at least 0"),
        ("mnist_tps", {"size": 4}, r"size must be at least 8"),
        ("mnist_tutorial", {"block_side": 40}, r"block_side must lie between 1 and 28"),
        ("mnist_tutorial", {"noise_range": [0.2, 0.1]}, r"noise_range must be two"),
        ("cifar10_tps", {"channels": "red"}, r"channels must be"),
    ],
)
def test_parameters_that_are_none(recipe, values, message):
    shape = data.RECIPES[recipe].source_shape
    with pytest.raises(UserError, match=rf"data\.augment\.{message}"):
        data.RECIPES[recipe].views(shape, values)
