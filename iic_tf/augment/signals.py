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

    Examples:
        >>> from iic_tf.augment.signals import add_noise
        >>> x = tf.constant([[1.0, 5.0], [1.0, 9.0]])  # the first does not vary
        >>> noisy = add_noise(0.5)(x, (0, 7)).numpy()
        >>> print(noisy[:, 0], (noisy[:, 1] != [5.0, 9.0]).all())
        [1. 1.] True
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        noise = tf.random.stateless_normal(tf.shape(x), seed)
        return x + strength * _level(x)[1] * noise

    return apply


def drop_features(share: float) -> Transform:
    """Replaces some numbers by the mean of their feature.

    Args:
        share: How many of them, drawn for each example.

    Examples:
        >>> from iic_tf.augment.signals import drop_features
        >>> x = tf.constant([[1.0, 5.0], [3.0, 9.0]])
        >>> print(drop_features(1.0)(x, (0, 7)).numpy())  # all of them
        [[2. 7.]
         [2. 7.]]
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        kept = tf.random.stateless_uniform(tf.shape(x), seed) >= share
        return tf.where(kept, x, _level(x)[0])

    return apply


def rescale(strength: float) -> Transform:
    """Multiplies each example's distance from the mean by a factor.

    Args:
        strength: Factors lie between 1 - strength and 1 + strength.

    Examples:
        >>> from iic_tf.augment.signals import rescale
        >>> x = tf.constant([[0.0], [2.0], [1.0]])
        >>> found = rescale(0.5)(x, (0, 7)).numpy().ravel()
        >>> bool(-0.5 <= found[0] <= 0.5 and 1.5 <= found[1] <= 2.5), float(found[2])
        (True, 1.0)
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

    Examples:
        >>> from iic_tf.augment.signals import crop_time
        >>> series = tf.reshape(tf.range(5.0), (1, 5, 1))
        >>> found = crop_time(0.5)(series, (0, 7)).numpy().ravel()
        >>> steps = np.diff(found)
        >>> bool(0.5 <= steps.min() and steps.max() <= 1)  # at half the speed at least
        True
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

    Examples:
        >>> from iic_tf.augment.signals import warp_time
        >>> series = tf.reshape(tf.range(5.0), (1, 5, 1))
        >>> print(warp_time(0.0)(series, (0, 7)).numpy().ravel())
        [0. 1. 2. 3. 4.]
        >>> found = warp_time(0.1)(series, (0, 7)).numpy()
        >>> bool(0 <= found.min() and found.max() <= 4)  # nothing from beyond the ends
        True
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        last = float(x.shape[1] - 1)
        return _sample(x, tf.range(last + 1) + last * _curves(x, seed, strength))

    return apply


def warp_magnitude(strength: float) -> Transform:
    """Multiplies each series' distance from the mean by a curve over time.

    Args:
        strength: Standard deviation of the curve, which lies about 1.

    Examples:
        >>> from iic_tf.augment.signals import warp_magnitude
        >>> level = tf.ones((1, 5, 1))
        >>> print(warp_magnitude(0.3)(level, (0, 7)).numpy().ravel())  # at its mean
        [1. 1. 1. 1. 1.]
    """

    def apply(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        mean, _ = _level(x)
        return mean + (1 + _curves(x, seed, strength))[..., None] * (x - mean)

    return apply
