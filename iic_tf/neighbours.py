"""Nearest neighbours of images, found once before training from pixels alone.

Two images with the same strokes in the same places show the same thing more often than
a network in its first hundred steps can know. Pairing an image with a neighbour instead
of with itself goes beyond plain IIC; like plain IIC it uses no label
(``docs/convergence.md``).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.extmath import randomized_svd

MAX_CANDIDATES = 70_000
"""Neighbours are looked for among at most so many images: time grows with n, not n²."""

COMPONENTS = 64
"""Images are compared by so many numbers, the largest singular components."""

PART = 2_000
"""Images worked on at a time."""

MAX_PIXELS = 100_000_000
"""Components are found from images of so many pixels together, or from 500 images."""

CELLS, ORIENTATIONS = 7, 8
"""Cells along each side of an image, and directions told apart in each cell."""


class Neighbours(NamedTuple):
    """Who is near whom.

    Attributes:
        candidates: Numbers of the images that may be neighbours, ascending, ``(m,)``.
        by_pixels: For each image the numbers of its neighbours by pixel values, the
            nearest first and never the image itself, int32, shape ``(n, number)``.
        by_edges: The same by orientation histograms.
    """

    candidates: np.ndarray
    by_pixels: np.ndarray
    by_edges: np.ndarray


def _triangles(centres: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Linear interpolation: weight of each centre, one apart, at each place."""
    return np.maximum(0, 1 - np.abs(at[..., None] - centres))


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

    def cells(side: int) -> np.ndarray:
        places = (np.arange(side) + 0.5) / side * CELLS - 0.5
        return _triangles(np.arange(CELLS), places).astype(np.float32)

    rows, columns = cells(images.shape[1]), cells(images.shape[2])
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


def _nearest(
    images: np.ndarray,
    candidates: np.ndarray,
    describe: Callable[[np.ndarray], np.ndarray],
    *,
    number: int,
    centred: bool,
    seed: int,
) -> np.ndarray:
    """The candidates at the smallest angles to each image, ``(n, number)``."""
    rng = np.random.default_rng(seed)
    number_fitted = min(5_000, max(MAX_PIXELS // images[0].size, 500))
    some = images[rng.permutation(candidates)[:number_fitted]]
    # angles are seen from black, or from the mean image
    fitted = _unit(describe(some)) if centred else describe(some)
    origin = fitted.mean(axis=0) if centred else np.zeros_like(fitted[0])
    components = min(COMPONENTS, *fitted.shape)
    axes = randomized_svd(fitted - origin, components, random_state=seed)[2].T

    def project(some: np.ndarray) -> np.ndarray:
        points = _unit(describe(some)) if centred else describe(some)
        return _unit((points - origin) @ axes)

    parts = np.array_split(np.arange(len(images)), -(-len(images) // PART))
    points = np.concatenate([project(images[part]) for part in parts])
    search = NearestNeighbors(algorithm="brute").fit(points[candidates])
    found = candidates[
        search.kneighbors(points, number + 1, return_distance=False)
    ]  # (n, number + 1), an image among its own
    own = found == np.arange(len(images))[:, None]
    own[~own.any(axis=1), -1] = True  # not found: drop the farthest
    return found[~own].reshape(-1, number).astype(np.int32)


def find_neighbours(
    images: np.ndarray, *, number: int, seed: int, centred: bool = False
) -> Neighbours:
    """Finds the nearest by pixel values, and the nearest by orientation histograms.

    The second show the same thing more often, so copies are of them. But a seven with
    a bar has only its like for neighbours then; by pixel values it has other sevens,
    so these help to decide how overclusters are grouped.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        number: Neighbours of each image by each of the two, at least 1; n - 1 if there
            are no more.
        seed: Decides which images are candidates where there are many.
        centred: Whether images are compared by what distinguishes them from the mean
            image. For photographs this is better (of pairs in CIFAR-10 50 % instead of
            46 % show the same class); for digits it makes no difference.

    Returns:
        See ``Neighbours``.
    """
    rng = np.random.default_rng(seed)
    candidates = np.sort(rng.permutation(len(images))[:MAX_CANDIDATES])
    number = min(number, len(candidates) - 1)
    by_pixels, by_edges = (
        _nearest(
            images, candidates, describe, number=number, centred=centred, seed=seed
        )
        for describe in (pixel_values, orientation_histograms)
    )
    return Neighbours(candidates, by_pixels, by_edges)
