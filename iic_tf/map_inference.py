"""Label maps of whole pictures, in tiles where they are large, and their scores."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from iic_tf.map_folder import IGNORE, Pictures
from iic_tf.metrics import MATCHES, accuracy, contingency
from iic_tf.perturb import Perturbation

TILE, OVERLAP = 512, 64
"""Larger pictures are predicted in squares of so many pixels that share a margin."""

AT_ONCE = 8
"""Pictures of one size that are predicted together."""


def _starts(length: int) -> list[int]:
    """Where tiles begin along an axis; the last one ends where the picture ends."""
    if length <= TILE:
        return [0]
    last = length - TILE
    return [*range(0, last, TILE - OVERLAP), last]


def _ramp(length: int) -> np.ndarray:
    """Weight of each pixel of a tile along an axis: less towards its ends."""
    inward = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(inward / (OVERLAP / 2), 1).astype(np.float32)


def soft_maps(predict: Callable, images: np.ndarray) -> np.ndarray:
    """Soft label maps of pictures of one size, tiles blended into each other.

    Args:
        predict: Function of images ``(n, height, width, channels)`` to soft maps
            ``(n, height, width, h, k)``.
        images: Shape ``(n, height, width, channels)``.

    Returns:
        Shape ``(n, height, width, h, k)``, float32.
    """
    _, height, width, _ = images.shape
    if height <= TILE and width <= TILE:
        return predict(images).numpy()
    total: np.ndarray | float = 0.0
    weights = np.zeros((height, width), np.float32)
    for row in _starts(height):
        for column in _starts(width):
            at = np.s_[:, row : row + TILE, column : column + TILE]
            found = predict(images[at]).numpy()
            weight = np.outer(*(_ramp(side) for side in found.shape[1:3]))
            if not isinstance(total, np.ndarray):
                total = np.zeros((*images.shape[:3], *found.shape[3:]), np.float32)
            total[at] += found * weight[..., None, None]
            weights[at[1:]] += weight
    return total / weights[..., None, None]


def clusters_of(
    predict: Callable,
    pictures: Sequence[np.ndarray],
    finish: Perturbation,
    *,
    at_once: int = AT_ONCE,
) -> Iterator[np.ndarray]:
    """The cluster of each pixel of each picture, in order.

    Args:
        predict: See ``soft_maps``.
        pictures: Each uint8, shape ``(height, width, channels)``.
        finish: Brings them to the channels that the network sees.
        at_once: Pictures of one size predicted together.

    Yields:
        uint8, shape ``(height, width, h)``.
    """
    first = 0
    while first < len(pictures):
        shape = pictures[first].shape
        last = first + 1
        while (
            last < len(pictures)
            and last - first < at_once
            and pictures[last].shape == shape
        ):
            last += 1
        images = np.stack(pictures[first:last]).astype(np.float32) / 255.0
        images = finish(tf.constant(images), tf.constant((0, 0))).numpy()
        yield from soft_maps(predict, images).argmax(axis=-1).astype(np.uint8)
        first = last


class MapScorer:
    """Errors of all main sub-heads on the pixels of labelled pictures.

    Args:
        predict: See ``soft_maps``.
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

    def tables(
        self, predict: Callable | None = None
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Pixels scored, ``(h, k, classes)``, and the class of each cluster, h × (k,).

        Args:
            predict: Takes the place of the usual one.
        """
        counts = self.counts(self._scored, predict)
        known = counts
        if self._mapping is not None:
            known = self.counts(self._mapping, predict)
        return counts, [MATCHES[self.match](table) for table in known]

    def errors(self, predict: Callable | None = None) -> np.ndarray:
        """Share of wrong pixels after the match, shape ``(h,)``; lower better.

        Args:
            predict: Takes the place of the usual one.
        """
        counts, mappings = self.tables(predict)
        return np.array(
            [
                1.0 - accuracy(table, mapping)
                for table, mapping in zip(counts, mappings, strict=True)
            ]
        )
