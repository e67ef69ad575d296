"""From images in memory to tf.data batches of originals and perturbed copies.

The order of images and every perturbation follow from (seed, step) alone: the data set
is a map over step numbers. Continuing at step n therefore needs no saved state, and
several devices split the very batch that one device would see.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from iic_tf.options import require
from iic_tf.perturb import Perturbation


@dataclass(frozen=True)
class Views:
    """What is done to images.

    Attributes:
        original: Makes the training view of an original (crop and resize).
        perturb: Makes a copy of an original.
        evaluate: Makes the evaluation view; not random.
    """

    original: Perturbation
    perturb: Perturbation
    evaluate: Perturbation


def steps_per_epoch(num_images: int, batch: int) -> int:
    """Full batches in one pass; what does not fill a batch waits for the next pass.

    Raises:
        UserError: If there are fewer images than a batch needs.
    """
    require(
        batch <= num_images,
        "data.batch must not exceed the number of images",
        batch=batch,
        images=num_images,
    )
    return num_images // batch


def _on_host(images: np.ndarray) -> tf.Tensor:
    with tf.device("CPU:0"):
        return tf.constant(images)


def _to_float(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32) / 255.0


def _draw_neighbours(near: tf.Tensor, index: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Replaces half of the image numbers, at random, by one of their neighbours."""
    number = near.shape[1]
    # one draw in [0, 2 number): the upper half keeps the image itself
    drawn = tf.random.stateless_uniform(
        tf.shape(index), seed, 0, 2 * number, dtype=tf.int32
    )
    rows = tf.gather(near, index)
    column = tf.minimum(drawn, number - 1)
    picked = tf.gather(rows, column, batch_dims=1)
    return tf.where(drawn < number, tf.cast(picked, index.dtype), index)


def training_batches(
    images: np.ndarray,
    views: Views,
    *,
    repeats: int,
    batch: int,
    seed: int,
    start: int,
    steps: int,
    neighbours: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Batches for the steps ``start`` to ``steps - 1`` of a run.

    Args:
        images: uint8, shape ``(n, height, width, channels)``, converted once per use.
        views: ``original`` and ``perturb`` are used.
        repeats: Copies r per image.
        batch: Images per step, over all devices.
        seed: Seed of the run.
        start: First step.
        steps: Steps of the whole run.
        neighbours: Numbers of each image's nearest neighbours, ``(n, number)``. Half
            of the copies, drawn at random, then show a neighbour instead.

    Returns:
        Data set of tuples ``(x, gx_1, ..., gx_r)``, each float32 of shape
        ``(batch, side, side, channels)``. Each pass over the images is shuffled anew.

    Raises:
        UserError: If a batch is larger than the data.
    """
    per_epoch = steps_per_epoch(len(images), batch)
    stored = _on_host(images)
    near = None if neighbours is None else _on_host(neighbours)

    def load(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        epoch, position = step // per_epoch, step % per_epoch
        index = tf.random.experimental.index_shuffle(
            position * batch + tf.range(batch, dtype=tf.int64),
            seed=tf.stack((seed, tf.cast(epoch, tf.int32))),
            max_index=len(images) - 1,
        )
        x = _to_float(tf.gather(stored, index))
        key = tf.stack((seed, tf.cast(step, tf.int32)))
        # one call for all copies; every row of the tiled batch gets draws of its own
        shown = tf.tile(index, (repeats,))
        if near is not None:
            shown = _draw_neighbours(near, shown, tf.random.fold_in(key, 4))
        tiled = _to_float(tf.gather(stored, shown))
        copies = tf.split(views.perturb(tiled, tf.random.fold_in(key, 1)), repeats)
        return (views.original(x, tf.random.fold_in(key, 0)), *copies)

    return _host_dataset(tf.data.Dataset.range(start, steps), load)


def evaluation_batches(
    images: np.ndarray,
    views: Views,
    *,
    pairs: bool = False,
    batch: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """All images once, in order, the last batch short.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        views: ``evaluate`` is used, and for pairs ``perturb``.
        pairs: Whether a perturbed copy comes with each image.
        batch: Images per batch.
        seed: Seed of the copies: the same pairs at each call.

    Returns:
        Data set of tuples ``(x,)`` or, for pairs, ``(x, gx)``.
    """
    stored = _on_host(images)
    num_batches = -(-len(images) // batch)

    def load(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        x = _to_float(stored[number * batch : (number + 1) * batch])
        key = tf.stack((seed, tf.cast(number, tf.int32)))
        # other folds than in training: evaluation never repeats a training copy
        shown = views.evaluate(x, tf.random.fold_in(key, 2))
        if not pairs:
            return (shown,)
        return shown, views.perturb(x, tf.random.fold_in(key, 3))

    return _host_dataset(tf.data.Dataset.range(num_batches), load)


def _host_dataset(numbers: tf.data.Dataset, load: Callable) -> tf.data.Dataset:
    batches = numbers.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(2)
