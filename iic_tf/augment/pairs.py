"""From images in memory to tf.data batches of originals and augmented views.

The order of images and every augmentation follow from (seed, step) alone: the data set
is a map over step numbers. Continuing at step n therefore needs no saved state, and
several devices split the very batch that one device would see.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from iic_tf.augment.transforms import Transform
from iic_tf.errors import require
from iic_tf.options import MAX_STEPS

MOST_AT_A_TIME = 16
"""Batches that are made at the same time, on as many cores."""


@dataclass(frozen=True)
class Views:
    """What is done to images.

    Attributes:
        original: Makes the training view of an original (crop and resize).
        augment: Makes an augmented view of an original.
        evaluate: Makes the evaluation view; not random.
        crops: Make the evaluation views that a classifier's logits are averaged over
            ("ten-crop"), where the published classifier does that.

    Examples:
        >>> from iic_tf import Views
        >>> from iic_tf.augment.transforms import crop_resize, flip
        >>> centre = crop_resize((20,), size=24, where="centre")
        >>> views = Views(original=centre, augment=flip(), evaluate=centre)
        >>> views.seen_shape((28, 28, 1))
        (24, 24, 1)
    """

    original: Transform
    augment: Transform
    evaluate: Transform
    crops: tuple[Transform, ...] = ()

    def seen_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """What the network sees of images of a shape, height, width and channels."""
        seen = self.evaluate(tf.zeros((1, *shape)), tf.constant((0, 0)))
        return tuple(seen.shape[1:])


@dataclass(frozen=True)
class Passes:
    """Which images each step of a run sees.

    A run goes through its kinds of passes over and over; passes of different kinds may
    go over different images.

    Attributes:
        number: Number of the pass that a step belongs to, int32, shape ``(steps,)``.
        position: Number of the step within its pass, int64, shape ``(steps,)``.
        sizes: Images gone over in each kind of pass.
        batch: Images per step.
        lengths: Steps in each kind of pass.
    """

    number: np.ndarray
    position: np.ndarray
    sizes: tuple[int, ...]
    batch: int
    lengths: tuple[int, ...]

    @property
    def kind(self) -> np.ndarray:
        """Kind of the pass that a step belongs to, shape ``(steps,)``."""
        return self.number % len(self.sizes)

    def done(self, steps: int) -> float:
        """Passes done after so many steps."""
        length = self.lengths[self.kind[steps - 1]]
        share = (self.position[steps - 1] + 1) / length
        return float(self.number[steps - 1] + share)


def plan_passes(
    sizes: Sequence[int],
    *,
    batch: int,
    steps: int,
    epochs: int | None = None,
    shuffle: bool = True,
) -> Passes:
    """Lays out the passes of a run.

    Args:
        sizes: Images gone over in each kind of pass.
        batch: Images per step.
        steps: Steps of the run.
        epochs: Passes of the run; if given they take the place of steps.
        shuffle: Whether each pass has an order of its own, see ``steps_per_epoch``.

    Raises:
        UserError: If a batch is larger than a pass.

    Examples:
        >>> from iic_tf.augment.pairs import plan_passes
        >>> passes = plan_passes([100], batch=30, steps=7)
        >>> print(passes.number, passes.position)
        [0 0 0 1 1 1 2] [0 1 2 0 1 2 0]
        >>> passes.done(6), round(passes.done(7), 4)
        (2.0, 2.3333)
    """
    lengths = [steps_per_epoch(size, batch, shuffle=shuffle) for size in sizes]
    enough = (steps // sum(lengths) + 1) * len(sizes)
    if epochs is not None:
        planned = epochs * sum(lengths) // len(lengths)
        require(
            planned <= MAX_STEPS,
            f"train.epochs must amount to at most {MAX_STEPS:,} steps",
            epochs=epochs,
            steps=planned,
        )
    each = np.resize(lengths, enough if epochs is None else epochs)
    number = np.repeat(np.arange(len(each), dtype=np.int32), each)
    begins = np.repeat(np.cumsum(each) - each, each)
    position = np.arange(len(number), dtype=np.int64) - begins
    until = steps if epochs is None else None
    return Passes(number[:until], position[:until], tuple(sizes), batch, tuple(lengths))


def steps_per_epoch(num_images: int, batch: int, *, shuffle: bool = True) -> int:
    """Batches in one pass, all of them full.

    Args:
        num_images: Images gone over.
        batch: Images per step.
        shuffle: Whether each pass has an order of its own. Then what does not fill a
            batch waits for the next pass, which has others at its end. In passes that
            are all alike the last images would never train: there, the first images
            fill up the last batch.

    Raises:
        UserError: If there are fewer images than a batch needs.

    Examples:
        >>> from iic_tf.augment.pairs import steps_per_epoch
        >>> steps_per_epoch(100, 30), steps_per_epoch(100, 30, shuffle=False)
        (3, 4)
    """
    require(
        batch <= num_images,
        "data.batch must not exceed the number of images",
        batch=batch,
        images=num_images,
    )
    return num_images // batch if shuffle else -(-num_images // batch)


def _on_host(images: np.ndarray) -> tf.Tensor:
    with tf.device("CPU:0"):
        return tf.constant(images)


def _picker(
    images: np.ndarray, numbers: np.ndarray | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Looks up images, or some of them, in memory or in the file they are mapped from.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        numbers: Which of them, shape ``(m,)``; all if None.
    """
    if not isinstance(images, np.memmap):
        stored = _on_host(images if numbers is None else images[numbers])
        return lambda index: tf.gather(stored, index)

    def read(index: np.ndarray) -> np.ndarray:
        return images[index if numbers is None else numbers[index]]

    def pick(index: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(read, [index], images.dtype)
        return tf.ensure_shape(found, (None, *images.shape[1:]))

    return pick


def _to_float(images: tf.Tensor) -> tf.Tensor:
    """Bytes in [0, 1]; vectors and series are floats already."""
    if images.dtype.is_floating:
        return images
    return tf.cast(images, tf.float32) / 255.0


def _draw_neighbours(
    near: tf.Tensor, index: tf.Tensor, seed: tf.Tensor, *, share: float
) -> tf.Tensor:
    """Replaces a share of the image numbers, at random, by one of their neighbours."""
    number = near.shape[1]
    # one draw for both: below the number it is a neighbour, above the image itself
    drawn = tf.random.stateless_uniform(
        tf.shape(index), seed, 0, round(number / share), dtype=tf.int32
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
    passes: Passes | None = None,
    subsets: Sequence[np.ndarray | None] = (None,),
    shuffle: bool = True,
    neighbours: np.ndarray | None = None,
    neighbour_share: float = 0.5,
    groups: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Batches for the steps ``start`` to ``steps - 1`` of a run.

    Args:
        images: uint8, shape ``(n, height, width, channels)``, converted once per use.
        views: ``original`` and ``augment`` are used.
        repeats: Augmented views r per image.
        batch: Images per step, over all devices.
        seed: Seed of the run.
        start: First step.
        steps: Steps of the whole run.
        passes: The passes of the run; over all images if None.
        subsets: For each kind of pass the numbers of the images it goes over, or None
            for all.
        shuffle: Whether each pass goes over its images in an order of its own.
        neighbours: Numbers of each image's nearest neighbours, ``(n, number)``. Some
            of the augmented views, drawn at random, then show a neighbour instead.
        neighbour_share: How many of them, in (0, 1].
        groups: Groups of each image that come with its views, ``(n, ...)``.

    Returns:
        Data set of tuples ``(x, gx_1, ..., gx_r)``, each float32 of shape
        ``(batch, side, side, channels)``; with ``groups`` of pairs of such a tuple and
        the groups of what its views show, shape ``(batch, 1 + r, ...)``.

    Raises:
        UserError: If a batch is larger than the data.

    Examples:
        >>> from iic_tf import Views, training_batches
        >>> from iic_tf.augment.transforms import compose, crop_resize, flip
        >>> centre = crop_resize((8,), size=12, where="centre")
        >>> views = Views(centre, compose(flip(), centre), centre)
        >>> images = np.zeros((50, 10, 10, 1), np.uint8)
        >>> run = {"batch": 20, "seed": 0, "start": 0, "steps": 4}
        >>> batches = list(training_batches(images, views, repeats=2, **run))
        >>> print(len(batches), [tuple(view.shape) for view in batches[0]])
        4 [(20, 12, 12, 1), (20, 12, 12, 1), (20, 12, 12, 1)]
    """
    passes = passes or plan_passes(
        [len(images)], batch=batch, steps=steps, shuffle=shuffle
    )
    pick = _picker(images)
    near = None if neighbours is None else _on_host(neighbours)
    sizes = tf.constant(passes.sizes, tf.int64)
    # all subsets one after the other, and where each begins
    numbers = [np.arange(len(images)) if s is None else s for s in subsets]
    begins = tf.constant(np.cumsum([0, *map(len, numbers)])[:-1])
    listed = None if all(s is None for s in subsets) else np.concatenate(numbers)

    def load(row: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        step, number, position, kind = row
        index = position * batch + tf.range(batch, dtype=tf.int64)
        if shuffle:
            index = tf.random.experimental.index_shuffle(
                index, seed=tf.stack((seed, number)), max_index=sizes[kind] - 1
            )
        else:  # the first images fill up the last batch
            index %= sizes[kind]
        if listed is not None:
            index = tf.gather(listed, begins[kind] + index)
        x = _to_float(pick(index))
        key = tf.stack((seed, step))
        # one call for all views; every row of the tiled batch gets draws of its own
        shown = tf.tile(index, (repeats,))
        if near is not None:
            shown = _draw_neighbours(
                near, shown, tf.random.fold_in(key, 4), share=neighbour_share
            )
        tiled = _to_float(pick(shown))
        augmented = tf.split(views.augment(tiled, tf.random.fold_in(key, 1)), repeats)
        seen = (views.original(x, tf.random.fold_in(key, 0)), *augmented)
        if groups is None:
            return seen
        each = tf.stack((index, *tf.split(shown, repeats)), axis=1)
        return seen, tf.gather(groups, each)

    return host_dataset(step_rows(passes, start=start), lambda *row: load(row))


def step_rows(passes: Passes, *, start: int) -> tf.data.Dataset:
    """Where each step of a run is: its number, its pass, its place in it, its kind.

    Args:
        passes: The passes of the run.
        start: First step.

    Examples:
        >>> from iic_tf.augment.pairs import plan_passes, step_rows
        >>> passes = plan_passes([100], batch=30, steps=7)
        >>> for row in step_rows(passes, start=5):
        ...     print([int(number) for number in row])
        [5, 1, 2, 0]
        [6, 2, 0, 0]
    """
    columns = (
        np.arange(len(passes.number), dtype=np.int32),
        passes.number,
        passes.position,
        passes.kind,
    )
    return tf.data.Dataset.from_tensor_slices(
        tuple(column[start:] for column in columns)
    )


def evaluation_batches(
    images: np.ndarray,
    views: Views,
    *,
    numbers: np.ndarray | None = None,
    pairs: bool = False,
    batch: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """All images once, or some of them, in order, the last batch short.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        views: ``evaluate`` is used, and for pairs ``augment``.
        numbers: Which images, shape ``(m,)``; all if None.
        pairs: Whether an augmented view comes with each image.
        batch: Images per batch.
        seed: Seed of the augmented views: the same pairs at each call.

    Returns:
        Data set of tuples ``(x,)`` or, for pairs, ``(x, gx)``.

    Examples:
        >>> from iic_tf import Views, evaluation_batches
        >>> from iic_tf.augment.transforms import crop_resize, flip
        >>> centre = crop_resize((8,), size=12, where="centre")
        >>> views = Views(centre, flip(), centre)
        >>> images = np.zeros((50, 10, 10, 1), np.uint8)
        >>> [len(x) for (x,) in evaluation_batches(images, views, batch=20)]
        [20, 20, 10]
    """
    pick = _picker(images, numbers)
    count = len(images) if numbers is None else len(numbers)
    num_batches = -(-count // batch)

    def load(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        until = tf.minimum((number + 1) * batch, count)
        x = _to_float(pick(tf.range(number * batch, until)))
        key = tf.stack((seed, tf.cast(number, tf.int32)))
        # other folds than in training: evaluation never repeats a view of training
        shown = views.evaluate(x, tf.random.fold_in(key, 2))
        if not pairs:
            return (shown,)
        return shown, views.augment(x, tf.random.fold_in(key, 3))

    return host_dataset(tf.data.Dataset.range(num_batches), load)


def own_views(
    images: np.ndarray, views: Views, *, number: int, batch: int, seed: int
) -> tf.data.Dataset:
    """Augmented views of all images once, in order, the last batch short.

    They are drawn by what is in an image, so that it has the same views wherever it is
    found.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        views: ``augment`` is used.
        number: Views of each image.
        batch: Images per batch.
        seed: Seed of the views.

    Returns:
        Data set of float32, each ``(batch, number, side, side, channels)``.

    Examples:
        >>> from iic_tf import Views
        >>> from iic_tf.augment.pairs import own_views
        >>> from iic_tf.augment.transforms import crop_resize, flip
        >>> views = Views(flip(), crop_resize((6, 8), size=12), flip())
        >>> image = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
        >>> images = np.stack([image, image])
        >>> [[one, same]] = own_views(images, views, number=4, batch=2, seed=0)
        >>> one.shape, bool(tf.reduce_all(one == same))
        (TensorShape([4, 12, 12, 1]), True)
    """
    pick = _picker(images)

    def load(image: tf.Tensor) -> tf.Tensor:
        x = pick(image[None])
        mark = tf.strings.to_hash_bucket_fast(tf.io.serialize_tensor(x), 2**31 - 1)
        copies = tf.repeat(_to_float(x), number, axis=0)
        # another fold than of all other views
        return views.augment(
            copies, tf.random.fold_in((seed, tf.cast(mark, "int32")), 5)
        )

    each = host_dataset(tf.data.Dataset.range(len(images)), load)
    return each.batch(batch).prefetch(2)


def host_dataset(numbers: tf.data.Dataset, load: Callable) -> tf.data.Dataset:
    """Makes batches of numbers, in order, some at a time, ahead of their use.

    How many at a time is fixed. TensorFlow would choose (``AUTOTUNE``) in a thread of
    its own, which sleeps up to a minute and can miss that it is told to end: freeing
    the iterator then waits until it wakes up.

    Examples:
        >>> from iic_tf.augment.pairs import host_dataset
        >>> squares = host_dataset(tf.data.Dataset.range(4), tf.square)
        >>> [int(number) for number in squares]
        [0, 1, 4, 9]
    """
    at_a_time = min(os.cpu_count() or 1, MOST_AT_A_TIME)
    batches = numbers.map(load, num_parallel_calls=at_a_time, deterministic=True)
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(2).with_options(options)
