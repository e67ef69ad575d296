"""Nearest neighbours of images in pixel space, found once before training.

Two images that nearly coincide show the same thing more often than a network in its
first hundred steps can know. Pairing an image with a neighbour instead of with itself
goes beyond plain IIC; like plain IIC it uses no label (``docs/convergence.md``).
"""

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.extmath import randomized_svd

MAX_CANDIDATES = 70_000
"""Neighbours are looked for among at most so many images: time grows with n, not n²."""

COMPONENTS = 64
"""Images are compared by so many numbers, their largest singular components."""


class Neighbours(NamedTuple):
    """Who is near whom.

    Attributes:
        candidates: Numbers of the images that may be neighbours, ascending, ``(m,)``.
        table: For each image the numbers of its neighbours, the nearest first, int32,
            shape ``(n, number)``; never the image itself.
    """

    candidates: np.ndarray
    table: np.ndarray


def find_neighbours(images: np.ndarray, *, number: int, seed: int) -> Neighbours:
    """Finds the nearest neighbours by the cosine of the angle between images.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        number: Neighbours of each image, at least 1; n - 1 if there are no more.
        seed: Decides which images are candidates where there are many.

    Returns:
        See ``Neighbours``.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(images))[:MAX_CANDIDATES]
    candidates = np.sort(chosen)
    number = min(number, len(candidates) - 1)

    def flat(some: np.ndarray) -> np.ndarray:
        return some.reshape(len(some), -1).astype(np.float32) / 255.0

    fitted = flat(images[chosen[:5_000]])
    components = min(COMPONENTS, *fitted.shape)
    # not centred: the angle between two images is the one seen from black
    axes = randomized_svd(fitted, components, random_state=seed)[2].T

    def project(some: np.ndarray) -> np.ndarray:
        points = flat(some) @ axes
        length = np.linalg.norm(points, axis=1, keepdims=True)
        return points / np.maximum(length, 1e-6)

    parts = np.array_split(np.arange(len(images)), -(-len(images) // 10_000))
    points = np.concatenate([project(images[part]) for part in parts])
    search = NearestNeighbors(algorithm="brute").fit(points[candidates])
    found = candidates[
        search.kneighbors(points, number + 1, return_distance=False)
    ]  # (n, number + 1), an image among its own
    own = found == np.arange(len(images))[:, None]
    own[~own.any(axis=1), -1] = True  # not found: drop the farthest
    return Neighbours(candidates, found[~own].reshape(-1, number).astype(np.int32))
