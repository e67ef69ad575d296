"""Batched augmentations of vectors and of series, for tf.data.

Like those of images (``transforms.py``) each is a factory of functions from ``(x,
seed)`` to x, with draws of its own for every example: vectors are float ``(n, d)``,
series ``(n, t, channels)``. How far features spread follows from the batch.
"""

import numpy as np
import tensorflow as tf

from iic_tf.augment.transforms import Transform

KNOTS = 6
"""Points between which a random curve over time is linear."""


def _level(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation of each feature, or channel, of a batch."""
    mean, variance = tf.nn.moments(x, axes=list(range(len(x.shape) - 1)))
    return mean, tf.sqrt(variance)


def add_noise(strength: float) -> Transform:
    """Adds noise to each number.

    Args:
        strength: Standard deviation of the noise, as a share of that of the feature.
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        noise = tf.random.stateless_normal(tf.shape(x), seed)
        return x + strength * _level(x)[1] * noise

    return apply


def drop_features(share: float) -> Transform:
    """Replaces some numbers by the mean of their feature.

    Args:
        share: How many of them, drawn for each example.
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        kept = tf.random.stateless_uniform(tf.shape(x), seed) >= share
        return tf.where(kept, x, _level(x)[0])

    return apply


def rescale(strength: float) -> Transform:
    """Multiplies each example's distance from the mean by a factor.

    Args:
        strength: Factors lie between 1 - strength and 1 + strength.
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        factor = tf.random.stateless_uniform(
            tf.shape(x)[:1], seed, 1 - strength, 1 + strength
        )
        factor = tf.reshape(factor, (-1, *([1] * (len(x.shape) - 1))))
        mean, _ = _level(x)
        return mean + factor * (x - mean)

    return apply


def _curves(x: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """A random curve over time for each series, about 0, shape ``(n, t)``."""
    knots = strength * tf.random.stateless_normal((tf.shape(x)[0], KNOTS), seed)
    place = np.linspace(0, KNOTS - 1, x.shape[1])
    before = np.minimum(place.astype(np.int32), KNOTS - 2)
    share = tf.constant(place - before, tf.float32)
    left, right = tf.gather(knots, before, axis=1), tf.gather(knots, before + 1, axis=1)
    return (1 - share) * left + share * right


def _sample(x: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Series at other times, ``(n, t)`` in [0, t - 1], linear in between."""
    last = x.shape[1] - 1
    places = tf.clip_by_value(places, 0.0, float(last))
    before = tf.minimum(tf.cast(places, tf.int32), max(last - 1, 0))
    share = (places - tf.cast(before, tf.float32))[..., None]
    left = tf.gather(x, before, batch_dims=1)
    right = tf.gather(x, tf.minimum(before + 1, last), batch_dims=1)
    return (1 - share) * left + share * right


def crop_time(least: float) -> Transform:
    """Cuts out a stretch of time and brings it to the former length.

    Args:
        least: Length of the shortest stretch, as a share of the series, in (0, 1].
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        last = float(x.shape[1] - 1)
        drawn = tf.random.stateless_uniform((tf.shape(x)[0], 2), seed)
        length = least + (1 - least) * drawn[:, :1]
        begin = (1 - length) * drawn[:, 1:]
        return _sample(x, last * (begin + length * np.linspace(0, 1, x.shape[1])))

    return apply


def warp_time(strength: float) -> Transform:
    """Lets time run faster and slower in turn.

    Args:
        strength: Standard deviation of the displacement, as a share of the length.
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        last = float(x.shape[1] - 1)
        return _sample(x, tf.range(last + 1) + last * _curves(x, seed, strength))

    return apply


def warp_magnitude(strength: float) -> Transform:
    """Multiplies each series' distance from the mean by a curve over time.

    Args:
        strength: Standard deviation of the curve, which lies about 1.
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        mean, _ = _level(x)
        return mean + (1 + _curves(x, seed, strength))[..., None] * (x - mean)

    return apply
