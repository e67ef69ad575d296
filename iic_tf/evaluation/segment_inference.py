"""Label maps of whole images, in tiles where they are large, and their scores."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from iic_tf.augment.transforms import Transform
from iic_tf.datasets.masks import IGNORE
from iic_tf.datasets.splits import Split
from iic_tf.evaluation.inference import kept_statistics
from iic_tf.evaluation.metrics import contingencies
from iic_tf.models.networks import SegmentIIC

TILE, OVERLAP = 512, 64
"""Larger images are predicted in squares of so many pixels that share a margin."""


def _starts(length: int) -> list[int]:
    """Where tiles begin along an axis; the last one ends where the image ends."""
    if length <= TILE:
        return [0]
    last = length - TILE
    return [*range(0, last, TILE - OVERLAP), last]


def _ramp(length: int) -> np.ndarray:
    """Weight of each pixel of a tile along an axis: less towards its ends."""
    inward = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(inward / OVERLAP, 1).astype(np.float32)


def _most_likely(soft: tf.Tensor | np.ndarray) -> np.ndarray:
    """Clusters, uint8, shape ``(..., h)``, of weights ``(..., h, k)``."""
    return tf.argmax(soft, axis=-1).numpy().astype(np.uint8)


def _probabilities(soft: tf.Tensor | np.ndarray) -> np.ndarray:
    """Weights ``(..., h, k)`` brought to a sum of 1."""
    weights = np.asarray(soft, np.float32)
    return weights / weights.sum(axis=-1, keepdims=True)


def _of_large(predict: Callable, image: np.ndarray, read: Callable) -> np.ndarray:
    """What is read from the soft map of one image, of tiles blended into each other.

    Soft maps are kept for a strip of tiles, not for the whole image.
    """
    height, width, _ = image.shape
    starts = _starts(height)
    result: list[np.ndarray] = []
    left_over: np.ndarray | float = 0.0  # what the strip before says of this one's rows
    for row, following in zip(starts, [*starts[1:], height], strict=True):
        strip: np.ndarray | None = None
        for column in _starts(width):
            tile = image[None, row : row + TILE, column : column + TILE]
            found = predict(tile)[0].numpy()
            if strip is None:
                strip = np.zeros((len(found), width, *found.shape[2:]), np.float32)
            weight = np.outer(*(_ramp(side) for side in found.shape[:2]))
            strip[:, column : column + TILE] += found * weight[..., None, None]
        if strip is None:
            break
        if isinstance(left_over, np.ndarray):
            strip[: len(left_over)] += left_over
        # whatever is read is the same whatever the weights of a pixel add up to
        result.append(read(strip[: following - row]))
        left_over = strip[following - row :]
    return np.concatenate(result)


def compile_segments(
    model: SegmentIIC,
    *,
    margin: int = 0,
    batch_statistics: bool = False,
    head: int | None = None,
) -> Callable:
    """Compiles the main sub-heads' inference once, for images of any size.

    Args:
        model: The network; later changes of its weights are seen.
        margin: Pixels of their mirror image around images, so that the network finds
            at their borders what it finds within.
        batch_statistics: Whether batch normalisation uses the statistics of the
            images that are given; its running ones stay as they are.
        head: The only sub-head wanted, for less work and memory; all if None.

    Returns:
        Function of images ``(n, height, width, channels)`` to soft maps ``(n, height,
        width, h, k)``.
    """
    channels = model.backbone.input_shape[-1]
    shape = tf.TensorSpec((None, None, None, channels), tf.float32)

    @tf.function(input_signature=[shape], autograph=False)
    def predict(images: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        around = tf.minimum(margin, (height, width))[:, None]
        none = ((0, 0),)
        padding = tf.concat((none, tf.tile(around, (1, 2)), none), axis=0)
        larger = tf.pad(images, padding, "SYMMETRIC")
        larger = tf.ensure_shape(larger, (None, None, None, channels))
        features = model.features(larger, training=batch_statistics)
        found = model.main(features)
        if head is not None:
            found = found[..., head : head + 1, :]
        pixels = model.to_pixels(found, larger)
        top, left = around[0, 0], around[1, 0]
        return pixels[:, top : top + height, left : left + width]

    if not batch_statistics:
        return predict

    def predict_and_restore(images: tf.Tensor) -> tf.Tensor:
        with kept_statistics(model):
            return predict(images)

    return predict_and_restore


def clusters_of(
    predict: Callable, images: Sequence[np.ndarray], finish: Transform
) -> Iterator[np.ndarray]:
    """The cluster of each pixel of each image, in order.

    Args:
        predict: Function of images ``(n, height, width, channels)`` to soft maps
            ``(n, height, width, h, k)``.
        images: Each uint8, shape ``(height, width, channels)``.
        finish: Brings them to the channels that the network sees.

    Yields:
        uint8, shape ``(height, width, h)``.
    """
    return _of_images(predict, images, finish, _most_likely)


def soft_maps_of(
    predict: Callable, images: Sequence[np.ndarray], finish: Transform
) -> Iterator[np.ndarray]:
    """Probabilities of the clusters of each pixel of each image, in order.

    Args:
        predict: See ``clusters_of``, as all below.
        images: Of any size.
        finish: Brings them to the channels that the network sees.

    Yields:
        float32, shape ``(height, width, h, k)``, with sums of 1 along the last axis.
    """
    return _of_images(predict, images, finish, _probabilities)


def _of_images(
    predict: Callable, images: Sequence[np.ndarray], finish: Transform, read: Callable
) -> Iterator[np.ndarray]:
    """What is read from the soft map of each image, see ``clusters_of``."""
    first = 0
    while first < len(images):
        shape = images[first].shape
        large = max(shape[:2]) > TILE
        at_once = 1 if large else TILE * TILE // (shape[0] * shape[1])
        last = first + 1
        while last < min(first + at_once, len(images)) and images[last].shape == shape:
            last += 1
        batch = np.stack(images[first:last]).astype(np.float32) / 255.0
        batch = finish(tf.constant(batch), tf.constant((0, 0)))
        if large:
            yield _of_large(predict, batch[0].numpy(), read)
        else:
            yield from read(predict(batch))
        first = last


def pixel_tables(
    predict: Callable,
    images: Split,
    finish: Transform,
    *,
    num_clusters: int,
    num_classes: int,
) -> np.ndarray:
    """Contingency tables of all pixels that have a class.

    Args:
        predict: See ``clusters_of``.
        images: With label maps.
        finish: See ``clusters_of``.
        num_clusters: k.
        num_classes: Number of classes.

    Returns:
        int64, shape ``(h, k, classes)``.
    """
    tables: np.ndarray | int = 0
    found = clusters_of(predict, images.images, finish)
    for clusters, labels in zip(found, images.labels or (), strict=True):
        known = labels != IGNORE
        tables = tables + contingencies(
            clusters[known],
            labels[known],
            num_clusters=num_clusters,
            num_classes=num_classes,
        )
    return np.asarray(tables)
