"""Label maps of whole pictures, in tiles where they are large, and their scores."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from iic_tf.augment.transforms import Perturbation
from iic_tf.datasets.masks import IGNORE, Pictures
from iic_tf.evaluation.metrics import MATCHES, accuracy, contingency

TILE, OVERLAP = 512, 64
"""Larger pictures are predicted in squares of so many pixels that share a margin."""


def _starts(length: int) -> list[int]:
    """Where tiles begin along an axis; the last one ends where the picture ends."""
    if length <= TILE:
        return [0]
    last = length - TILE
    return [*range(0, last, TILE - OVERLAP), last]


def _ramp(length: int) -> np.ndarray:
    """Weight of each pixel of a tile along an axis: less towards its ends."""
    inward = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(inward / OVERLAP, 1).astype(np.float32)


def _clusters_of_large(predict: Callable, image: np.ndarray) -> np.ndarray:
    """The cluster of each pixel of one picture, from tiles blended into each other.

    Soft maps are kept for a strip of tiles, not for the whole picture.
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
        # the most likely cluster is the same whatever the weights add up to
        result.append(strip[: following - row].argmax(axis=-1).astype(np.uint8))
        left_over = strip[following - row :]
    return np.concatenate(result)


def clusters_of(
    predict: Callable, pictures: Sequence[np.ndarray], finish: Perturbation
) -> Iterator[np.ndarray]:
    """The cluster of each pixel of each picture, in order.

    Args:
        predict: Function of images ``(n, height, width, channels)`` to soft maps
            ``(n, height, width, h, k)``.
        pictures: Each uint8, shape ``(height, width, channels)``.
        finish: Brings them to the channels that the network sees.

    Yields:
        uint8, shape ``(height, width, h)``.
    """
    first = 0
    while first < len(pictures):
        shape = pictures[first].shape
        large = max(shape[:2]) > TILE
        at_once = 1 if large else TILE * TILE // (shape[0] * shape[1])
        last = first + 1
        while (
            last < min(first + at_once, len(pictures)) and pictures[last].shape == shape
        ):
            last += 1
        images = np.stack(pictures[first:last]).astype(np.float32) / 255.0
        images = finish(tf.constant(images), tf.constant((0, 0)))
        if large:
            yield _clusters_of_large(predict, images[0].numpy())
        else:
            yield from tf.argmax(predict(images), axis=-1).numpy().astype(np.uint8)
        first = last


class MapScorer:
    """Errors of all main sub-heads on the pixels of labelled pictures.

    Args:
        predict: See ``clusters_of``.
        scored: Pictures to score, with label maps.
        finish: Brings pictures to the channels that the network sees.
        mapping: Pictures on which clusters are mapped to classes; those scored if None.
        num_clusters: k.
        num_classes: Number of classes.
        match: One of ``metrics.MATCHES``.
    """

    def __init__(
        self,
        predict: Callable,
        scored: Pictures,
        finish: Perturbation,
        *,
        mapping: Pictures | None,
        num_clusters: int,
        num_classes: int,
        match: str,
    ):
        self._predict = predict
        self._scored = scored
        self._finish = finish
        self._mapping = mapping
        self._sizes = {"num_clusters": num_clusters, "num_classes": num_classes}
        self.match = match

    def counts(self, pictures: Pictures, predict: Callable | None = None) -> np.ndarray:
        """Pixels per cluster and class, int64, shape ``(h, k, classes)``."""
        tables: np.ndarray | int = 0
        found = clusters_of(predict or self._predict, pictures.images, self._finish)
        for clusters, labels in zip(found, pictures.labels or (), strict=True):
            known = labels != IGNORE
            tables = tables + np.stack(
                [
                    contingency(of_one, labels[known], **self._sizes)
                    for of_one in clusters[known].T
                ]
            )
        return np.asarray(tables)

    def mapped_on(self, predict: Callable | None = None) -> np.ndarray | None:
        """Pixels that clusters are mapped on, if others: ``(h, k, classes)``.

        Args:
            predict: Takes the place of the usual one.
        """
        if self._mapping is None:
            return None
        return self.counts(self._mapping, predict)

    def scored(self, predict: Callable | None = None) -> np.ndarray:
        """Pixels scored, ``(h, k, classes)``.

        Args:
            predict: Takes the place of the usual one.
        """
        return self.counts(self._scored, predict)

    def errors(self, predict: Callable | None = None) -> np.ndarray:
        """Share of wrong pixels after the match, shape ``(h,)``; lower better.

        Args:
            predict: Takes the place of the usual one.
        """
        tables, known = self.scored(predict), self.mapped_on(predict)
        known = tables if known is None else known
        return np.array(
            [
                1.0 - accuracy(table, MATCHES[self.match](seen))
                for table, seen in zip(tables, known, strict=True)
            ]
        )
