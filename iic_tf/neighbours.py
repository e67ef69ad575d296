"""Nearest neighbours of images, found once before training from pixels alone.

Two images with the same strokes in the same places show the same thing more often than
a network in its first hundred steps can know. Pairing an image with a neighbour instead
of with itself goes beyond plain IIC; like plain IIC it uses no label
(``docs/convergence.md``).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf
from sklearn.utils.extmath import randomized_svd

from iic_tf.patches import learn_patches, patch_histograms, triangles

MAX_CANDIDATES = 70_000
"""Neighbours are looked for among at most so many images: time grows with n, not n²."""

COMPONENTS = 64
"""Images are compared by so many numbers, the largest singular components."""

PHOTO_COMPONENTS = 192
"""Photographs by so many for their edges, and as many for their patches."""

PART = 500
"""Images worked on at a time."""

MAX_PIXELS = 100_000_000
"""Components are found from images of so many pixels together, or from 500 images."""

MAX_SIMILARITIES = 50_000_000
"""Pairs of images compared at a time: 200 MB."""

CELLS, ORIENTATIONS = 7, 8
"""Cells along each side of an image, and directions told apart in each cell."""


class Neighbours(NamedTuple):
    """Who is near whom.

    Attributes:
        candidates: Numbers of the images that may be neighbours, ascending, ``(m,)``.
        nearest: For each image the numbers of its neighbours, the nearest first and
            never the image itself, int32, shape ``(n, number)``.
        by_pixels: The same by pixel values alone, a second opinion where overclusters
            are grouped; None for photographs, where it would be wrong more often.
    """

    candidates: np.ndarray
    nearest: np.ndarray
    by_pixels: np.ndarray | None


def orientation_histograms(images: np.ndarray) -> np.ndarray:
    """Where in an image grey values rise, in which direction and by how much.

    Histograms of oriented gradients (Dalal and Triggs, 2005) without their
    normalisation of blocks, which made neighbours of digits, clothes and photographs
    worse, and with square roots: the scalar product of two results is the overlap of
    the histograms (Bhattacharyya's coefficient), in which no single edge dominates.

    Args:
        images: uint8, shape ``(n, height, width, channels)``; channels are averaged.

    Returns:
        float32, shape ``(n, CELLS * CELLS * ORIENTATIONS)``.
    """
    grey = images.mean(axis=3, dtype=np.float32) / 255.0
    edged = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = edged[:, 2:, 1:-1] - edged[:, :-2, 1:-1]
    right = edged[:, 1:-1, 2:] - edged[:, 1:-1, :-2]
    rise = np.hypot(right, down)
    turns = np.arctan2(down, right) / (2 * np.pi) * ORIENTATIONS  # in [-4, 4]
    rows, columns = (triangles(side, CELLS) for side in images.shape[1:3])
    histograms = []
    for i in range(ORIENTATIONS):
        apart = np.abs(turns - i)
        apart = np.minimum(apart, ORIENTATIONS - apart)
        weighted = rise * np.maximum(0, 1 - np.abs(apart))
        histograms.append(rows.T @ weighted @ columns)
    return np.sqrt(np.stack(histograms, axis=-1)).reshape(len(images), -1)


def pixel_values(images: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1], float32, shape ``(n, height * width * channels)``."""
    return images.reshape(len(images), -1).astype(np.float32) / 255.0


def _unit(points: np.ndarray) -> np.ndarray:
    """Rows brought to length 1."""
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-6)


Describe = Callable[[np.ndarray], np.ndarray]
"""From images to their points, one row each."""

Kind = Literal["drawings", "photographs", "tones"]
"""By what images are compared: drawings by the directions of their edges, photographs
by edges and small patches, tones by small patches and by colour and brightness."""


def _some(images: np.ndarray, candidates: np.ndarray, *, seed: int) -> np.ndarray:
    """Candidates enough to tell in which directions images differ."""
    number = min(5_000, max(MAX_PIXELS // images[0].size, 500))
    return images[np.random.default_rng(seed).permutation(candidates)[:number]]


def _principal(describe: Describe, some: np.ndarray, *, seed: int) -> Describe:
    """The largest components of a description, seen from black, at length 1."""
    fitted = describe(some)
    components = min(COMPONENTS, *fitted.shape)
    axes = randomized_svd(fitted, components, random_state=seed)[2].T
    return lambda images: _unit(describe(images) @ axes)


def _half_whitened(describe: Describe, some: np.ndarray, *, seed: int) -> Describe:
    """Components of a description's direction, seen from the mean image, at length 1.

    Each is divided by the root of its standard deviation: what few images have tells
    more than what many have.
    """
    fitted = _unit(_points(describe, some))
    mean = fitted.mean(axis=0)
    # of few images many components, scaled, would tell each image from all others
    components = min(PHOTO_COMPONENTS, -(-len(fitted) // 10), fitted.shape[1])
    _, scales, axes = randomized_svd(fitted - mean, components, random_state=seed)
    # noise is not amplified, and images all alike have no direction at all
    axes = axes.T / np.sqrt(np.maximum(scales, max(1e-3 * scales[0], 1e-6)))
    return lambda images: _unit((_unit(describe(images)) - mean) @ axes)


def _points(describe: Describe, images: np.ndarray) -> np.ndarray:
    parts = np.array_split(images, -(-len(images) // PART))
    return np.concatenate([describe(part) for part in parts])


@tf.function(autograph=False, reduce_retracing=True)
def _nearest_of(
    some: tf.Tensor, own: tf.Tensor, spaces: list[tf.Tensor], number: tf.Tensor
) -> tf.Tensor:
    """Places in ``spaces``, ``(m, d)`` each, that are nearest to some points.

    Args:
        some: Points, shape ``(b, d)``.
        own: The place of each, which does not count; m if it has none.
        spaces: Points that may be near, and perhaps those of their mirror images.
        number: How many are wanted.
    """
    alike = tf.matmul(some, spaces[0], transpose_b=True)
    for others in spaces[1:]:
        alike = tf.maximum(alike, tf.matmul(some, others, transpose_b=True))
    itself = tf.one_hot(own, tf.shape(alike)[1], on_value=np.inf, off_value=0.0)
    return tf.math.top_k(alike - itself, number).indices


def nearest_by_angle(
    points: np.ndarray,
    candidates: np.ndarray,
    *,
    number: int,
    mirrored: np.ndarray | None = None,
) -> np.ndarray:
    """The candidates at the smallest angles to each image.

    Args:
        points: Of all images, at one length, float32, shape ``(n, d)``.
        candidates: Numbers of those that may be neighbours, ascending, ``(m,)``.
        number: Neighbours wanted, less than m.
        mirrored: Points of the mirrored images, shape ``(n, d)``: who resembles the
            mirrored image is near, too.

    Returns:
        int32, shape ``(n, number)``.
    """
    spaces = [tf.constant(points[candidates])]
    if mirrored is not None:
        spaces.append(tf.constant(mirrored[candidates]))
    # where each image is among the candidates; past their end if it is none
    place = np.full(len(points), len(candidates))
    place[candidates] = np.arange(len(candidates))

    rows = max(MAX_SIMILARITIES // len(candidates), 1)
    parts = [
        _nearest_of(
            tf.constant(points[i : i + rows]),
            tf.constant(place[i : i + rows]),
            spaces,
            tf.constant(number),
        )
        for i in range(0, len(points), rows)
    ]
    return candidates[np.concatenate(parts)].astype(np.int32)


def feature_neighbours(features: np.ndarray, *, number: int, seed: int) -> np.ndarray:
    """Who is near whom in the features of a network.

    Args:
        features: Shape ``(n, d)``.
        number: Neighbours wanted, less than n.
        seed: Decides how the directions are found in which features differ.

    Returns:
        int32, shape ``(n, number)``.
    """
    centred = features - features.mean(axis=0)
    components = min(COMPONENTS, *centred.shape)
    axes = randomized_svd(centred, components, random_state=seed)[2].T
    points = _unit(centred @ axes).astype(np.float32)
    return nearest_by_angle(points, np.arange(len(points)), number=number)


def describe_photographs(
    some: np.ndarray, *, seed: int, kind: Kind = "photographs"
) -> Describe:
    """Two descriptions, by what distinguishes images from the mean image.

    Args:
        some: Images that tell what photographs are made of, uint8, shape
            ``(n, height, width, channels)``; some hundreds or thousands.
        seed: Decides which patches are told apart.
        kind: ``"photographs"`` or ``"tones"``.

    Returns:
        Function of such images, giving points of length √2, float32, shape
        ``(n, d)``.
    """
    patches = learn_patches(some, seed=seed)
    other = pixel_values if kind == "tones" else orientation_histograms
    descriptions = [
        _half_whitened(description, some, seed=seed)
        for description in (other, partial(patch_histograms, patches=patches))
    ]
    return lambda images: np.concatenate(
        [describe(images) for describe in descriptions], axis=1
    )


def find_neighbours(
    images: np.ndarray,
    *,
    number: int,
    seed: int,
    kind: Kind = "drawings",
    mirrored: bool = True,
) -> Neighbours:
    """Finds who looks like whom.

    Drawings are compared by orientation histograms: where edges run, and in which
    direction. But a seven with a bar has only its like for neighbours then; by pixel
    values it has other sevens, so these help to decide how overclusters are grouped.

    Of photographs the histograms are compared by what distinguishes them from the mean
    image, and so are the small patches that they are made of (``patches.py``), and a
    photograph is near to another also if it resembles its mirror image. Of pairs in
    CIFAR-10 64 % show the same class, compared as drawings 46 %, a tenth by chance.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        number: Neighbours of each image, at least 1; n - 1 if there are no more.
        seed: Decides which images are candidates where there are many, and which tell
            the directions in which images differ.
        kind: By what images are compared.
        mirrored: Whether an image is near also to what resembles its mirror image;
            drawings never are.

    Returns:
        See ``Neighbours``.
    """
    rng = np.random.default_rng(seed)
    candidates = np.sort(rng.permutation(len(images))[:MAX_CANDIDATES])
    number = min(number, len(candidates) - 1)
    some = _some(images, candidates, seed=seed)
    if kind == "drawings":
        tables = []
        for description in (orientation_histograms, pixel_values):
            describe = _principal(description, some, seed=seed)
            points = _points(describe, images)
            tables.append(nearest_by_angle(points, candidates, number=number))
        return Neighbours(candidates, *tables)
    describe = describe_photographs(some, seed=seed, kind=kind)
    other = None
    if mirrored:
        other = _points(lambda part: describe(part[:, :, ::-1]), images)
    points = _points(describe, images)
    nearest = nearest_by_angle(points, candidates, number=number, mirrored=other)
    return Neighbours(candidates, nearest, None)
