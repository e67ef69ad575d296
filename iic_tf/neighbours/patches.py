"""What small windows an image is made of, and where: a description learned in seconds.

A. Coates, H. Lee and A. Ng, "An analysis of single-layer networks in unsupervised
feature learning" (2011): windows cut out of the images at random are normalised,
whitened and clustered; an image is described by how near its windows lie to each of
these kinds of windows, summed up region by region. No label is needed.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from sklearn.cluster import MiniBatchKMeans

from iic_tf.arithmetic import sums_in_one_order

SIDE = 32
"""Images are brought to this side first: a kind of window is a size of detail."""

WINDOW, STRIDE = 6, 2
"""Side of a window and distance of neighbouring windows in pixels."""

KINDS = 400
"""Kinds of windows told apart."""

REGIONS = 3
"""Regions along each side of an image."""

NUM_WINDOWS = 100_000
"""Windows that the kinds are learned from."""

CONTRAST_FLOOR = 10 / 255**2
"""Added to the variance of a window: its noise is not to be amplified."""

VARIANCE_FLOOR = 0.1
"""Added to the variance of a direction before it is whitened."""


class Patches(NamedTuple):
    """Kinds of windows.

    Attributes:
        mean: Mean of the normalised windows, shape ``(d,)`` with d = WINDOW² channels.
        whitening: Symmetric, shape ``(d, d)``.
        kinds: Centres of the kinds among whitened windows, shape ``(KINDS, d)``.
    """

    mean: np.ndarray
    whitening: np.ndarray
    kinds: np.ndarray


def triangles(side: int, number: int) -> np.ndarray:
    """Shares of the pixels along a side in cells along it, float32, ``(side, number)``.

    A pixel between the middles of two cells belongs to both, in proportion.

    Examples:
        >>> from iic_tf.neighbours.patches import triangles
        >>> print(triangles(4, 2))
        [[0.75 0.  ]
         [0.75 0.25]
         [0.25 0.75]
         [0.   0.75]]
    """
    places = (np.arange(side) + 0.5) / side * number - 0.5
    apart = np.abs(places[:, None] - np.arange(number))
    return np.maximum(0, 1 - apart).astype(np.float32)


def _windows(images: np.ndarray) -> tf.Tensor:
    """Windows of mean 0 and variance 1 at most: ``(n, across, across, d)``."""
    scaled = tf.image.resize(images, (SIDE, SIDE), method="area") / 255.0
    windows = tf.image.extract_patches(
        scaled, (1, WINDOW, WINDOW, 1), (1, STRIDE, STRIDE, 1), (1, 1, 1, 1), "VALID"
    )
    mean, variance = tf.nn.moments(windows, axes=-1, keepdims=True)
    return (windows - mean) / tf.sqrt(variance + CONTRAST_FLOOR)


def learn_patches(images: np.ndarray, *, seed: int) -> Patches:
    """Cuts windows out of images and clusters them.

    Args:
        images: Some thousands at most, uint8, shape ``(n, height, width, channels)``.
        seed: Decides which windows, and where clustering starts.

    Examples:
        >>> from iic_tf.neighbours.patches import learn_patches
        >>> draw = np.random.default_rng(0).integers
        >>> images = draw(256, size=(5, 32, 32, 1), dtype=np.uint8)
        >>> patches = learn_patches(images, seed=0)
        >>> patches.mean.shape, patches.whitening.shape  # of 6×6 pixels
        ((36,), (36, 36))
    """
    rng = np.random.default_rng(seed)
    parts = []
    for part in np.array_split(images, -(-len(images) // 500)):
        windows = _windows(part).numpy().reshape(-1, WINDOW**2 * images.shape[-1])
        share = -(-NUM_WINDOWS * len(part) // len(images))
        parts.append(windows[rng.permutation(len(windows))[:share]])
    windows = np.concatenate(parts)
    mean = windows.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(windows - mean, rowvar=False))
    whitening = (axes / np.sqrt(variances + VARIANCE_FLOOR)) @ axes.T
    whitening = whitening.astype(np.float32)
    means = MiniBatchKMeans(
        min(KINDS, len(windows)),
        n_init=1,
        max_iter=20,
        batch_size=4096,
        random_state=seed,
    ).fit((windows - mean) @ whitening)
    return Patches(mean, whitening, means.cluster_centers_.astype(np.float32))


@sums_in_one_order()
def patch_histograms(images: np.ndarray, patches: Patches) -> np.ndarray:
    """How near the windows of each region lie to each kind, by square roots.

    A window counts for the kinds that are nearer to it than the mean of all kinds, by
    the difference (the "triangle" code of the paper).

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        patches: Learned from images with as many channels.

    Returns:
        float32, shape ``(n, REGIONS² KINDS)``.

    Examples:
        >>> from iic_tf.neighbours.patches import learn_patches, patch_histograms
        >>> draw = np.random.default_rng(0).integers
        >>> images = draw(256, size=(5, 32, 32, 1), dtype=np.uint8)
        >>> patches = learn_patches(images, seed=0)
        >>> found = patch_histograms(images, patches)
        >>> found.shape == (5, 9 * len(patches.kinds))
        True
    """
    found = _histograms(tf.constant(images), *map(tf.constant, patches))
    return found.numpy().reshape(len(images), -1)


@tf.function(autograph=False, reduce_retracing=True)
def _histograms(
    images: tf.Tensor, mean: tf.Tensor, whitening: tf.Tensor, kinds: tf.Tensor
) -> tf.Tensor:
    """The same, shape ``(n, REGIONS², kinds)``; as products of matrices it is fast."""
    windows = _windows(images)
    across, d = windows.shape[1], tf.size(mean)  # images may be grey, then coloured
    white = (tf.reshape(windows, (-1, d)) - mean) @ whitening
    squares = (
        tf.reduce_sum(white**2, axis=-1, keepdims=True)
        - 2 * tf.matmul(white, kinds, transpose_b=True)
        + tf.reduce_sum(kinds**2, axis=1)
    )
    apart = tf.sqrt(tf.nn.relu(squares))
    near = tf.nn.relu(tf.reduce_mean(apart, axis=-1, keepdims=True) - apart)
    shares = triangles(across, REGIONS)
    regions = np.einsum("yr,xs->yxrs", shares, shares).reshape(across**2, REGIONS**2)
    near = tf.reshape(near, (-1, across**2, tf.shape(kinds)[0]))
    return tf.sqrt(tf.matmul(regions, near, transpose_a=True))
