"""Warps against pixel-by-pixel reading, value and gradient."""

import numpy as np
import pytest
import reference
import tensorflow as tf

from iic_tf.augment.transforms import move
from iic_tf.losses.warp import warp

TURN = 0.5
MATRICES = {
    "identity": [[1, 0, 0], [0, 1, 0]],
    "mirror": [[-1, 0, 0], [0, 1, 0]],
    "affine": [[0.9, -0.4, 0.1], [0.3, 1.2, -0.2]],
    "far away": [[1, 0, 5], [0, 1, 0]],
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("shape", [(2, 5, 4, 3), (2, 1, 4, 1), (2, 1, 1, 2)])
def test_values(name, shape):
    maps = np.random.default_rng(0).random(shape).astype("f4")
    matrix = np.array([MATRICES[name], MATRICES["affine"]], "f4")
    found = warp(tf.constant(maps), tf.constant(matrix))
    np.testing.assert_allclose(found, reference.warp(maps, matrix), atol=2e-5)


def test_a_mirror_is_exact():
    maps = np.random.default_rng(0).random((1, 7, 13, 2)).astype("f4")
    found = warp(tf.constant(maps), tf.constant([MATRICES["mirror"]], tf.float32))
    np.testing.assert_allclose(found, maps[:, :, ::-1], atol=1e-5)


def test_gradient():
    rng = np.random.default_rng(0)
    maps = rng.random((1, 4, 5, 2))
    weights = rng.random(maps.shape)
    matrix = np.array([MATRICES["affine"]], "f4")
    variable = tf.Variable(maps)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(warp(variable, tf.constant(matrix)) * weights)
    expected = reference.numeric_gradient(
        lambda x: (reference.warp(x, matrix) * weights).sum(), maps
    )
    np.testing.assert_allclose(tape.gradient(total, variable), expected, atol=1e-5)


def test_sub_heads_come_along():
    maps = tf.constant(np.random.default_rng(0).random((2, 4, 5, 2, 3)))
    matrix = tf.constant([MATRICES["affine"]] * 2, tf.float32)
    found = warp(tf.constant(maps), matrix)
    np.testing.assert_allclose(found[..., 1, :], warp(maps[..., 1, :], matrix))


def smooth(height, width):
    y, x = np.mgrid[0:height, 0:width]
    image = np.sin(x / 5.0) * np.cos(y / 7.0) / 2 + 0.5
    return np.repeat(image[None, ..., None], 6, axis=0).astype("f4")


@pytest.mark.parametrize("shape", [(40, 40), (40, 60)])
def test_moved_images_find_their_way_back(shape):
    images = smooth(*shape)
    geometry = move(rotation=30, shear=10, scale=(0.8, 1.2))
    moved, matrices = geometry(images, tf.constant((1, 2)))
    assert abs(moved.numpy() - images).max() > 0.3
    shown = warp(tf.ones_like(images), matrices).numpy() > 0.99
    back = warp(moved, matrices).numpy()
    assert shown.mean() > 0.6
    assert abs(back - images)[shown].max() < 0.03


def test_mirrors_find_their_way_back_exactly():
    images = tf.constant(np.random.default_rng(0).random((20, 6, 9, 2)).astype("f4"))
    moved, matrices = move(flip=0.5)(images, tf.constant((0, 0)))
    mirrored = np.isclose(moved, images[:, :, ::-1], atol=1e-5).all((1, 2, 3))
    assert 0 < mirrored.sum() < 20
    np.testing.assert_allclose(warp(moved, matrices), images, atol=1e-5)
