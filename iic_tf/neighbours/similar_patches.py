"""Places in images that look alike, found once before training from pixels alone.

What ``neighbours`` is for images, this is for label maps: a crop is paired not only
with a copy of itself but with a crop around a place elsewhere, mostly in another
image, that looks like its middle. This goes beyond plain IIC and uses no label.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from iic_tf.neighbours.nearest import describe
from iic_tf.tuned import COLOUR_WEIGHT, ROW_WEIGHT, SCENE_COLOUR_WEIGHT

SIDE = 32
"""Side in pixels of the square that a place is told by."""

SPACING = 16
"""Pixels between neighbouring places."""

MAX_CELLS = 20_000
"""Places at most; of more, some are drawn at random."""

NUM_FITTED = 5_000
"""Places that tell what images are made of."""

AT_ONCE = 1 << 24
"""Candidates that are looked at at once, for as many places as this comes to."""

FEW = 20
"""Of fewer images each may show what no other does: places are compared with those of
their own image too, but for squares that overlap."""

THUMBNAIL = (6, 8)
"""Pixels down and across by which whole images are compared."""


class SimilarPatches(NamedTuple):
    """Places and who is near whom.

    Attributes:
        image: Number of the image of each place, ascending, shape ``(m,)``.
        middle: Row and column of its middle, in pixels, shape ``(m, 2)``.
        nearest: Numbers of the places most like it, in other images, or of fewer than
            ``FEW`` elsewhere in the same, where there are any; int32, shape
            ``(m, number)``.
    """

    image: np.ndarray
    middle: np.ndarray
    nearest: np.ndarray


def _middles(length: int) -> np.ndarray:
    """Evenly spaced along a side, half a spacing from its ends."""
    number = max(round(length / SPACING), 1)
    return ((np.arange(number) + 0.5) / number * length).astype(np.int32)


def square_about(image: np.ndarray, middle: np.ndarray, side: int) -> np.ndarray:
    """Cuts a square about a place of an image that goes on mirrored beyond its edges.

    Args:
        image: Shape ``(height, width, ...)``.
        middle: Row and column of the square's middle, in pixels.
        side: Side in pixels; of an even one the middle is the pixel below and right.

    Returns:
        Shape ``(side, side, ...)``.

    Examples:
        >>> from iic_tf.neighbours.similar_patches import square_about
        >>> image = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
        >>> print(square_about(image, np.array([0, 0]), 3))
        [[0 0 1]
         [0 0 1]
         [3 3 4]]
    """
    rows, columns = (
        np.minimum(pixels, 2 * length - 1 - pixels)
        for length, at in zip(image.shape[:2], middle, strict=True)
        for pixels in [(at - side // 2 + np.arange(side)) % (2 * length)]
    )
    return image[rows[:, None], columns]


def _colours(squares: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each channel, of a square and of its middle."""
    scaled = squares.astype(np.float32) / 255.0
    inner = scaled[:, SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4]
    return np.concatenate(
        [f(part, axis=(1, 2)) for part in (scaled, inner) for f in (np.mean, np.std)],
        axis=1,
    )


def find_similar_patches(
    images: Sequence[np.ndarray], *, number: int, seed: int, scenes: bool = False
) -> SimilarPatches | None:
    """Finds places in images, and for each the places that look most like it.

    Args:
        images: Each uint8, shape ``(height, width, channels)``.
        number: Neighbours of each place; fewer if there are not so many.
        seed: Decides which places are used where there are many.
        scenes: Whether images are of scenes taken upright, where places at like
            heights are more alike. The neighbours of a place then lie in images of
            different kinds, so that clusters do not encode the time of day or a film.

    Returns:
        See ``SimilarPatches``; None if there is a single place.

    Examples:
        >>> from iic_tf.neighbours.similar_patches import find_similar_patches
        >>> draw = np.random.default_rng(0).integers
        >>> images = draw(256, size=(2, 48, 32, 1), dtype=np.uint8)
        >>> places = find_similar_patches(images, number=2, seed=0)
        >>> places.middle[:6].tolist()  # of the first image
        [[8, 8], [8, 24], [24, 8], [24, 24], [40, 8], [40, 24]]
        >>> places.nearest.shape
        (12, 2)
    """
    rng = np.random.default_rng(seed)
    grids = [
        np.stack(np.meshgrid(*map(_middles, image.shape[:2]), indexing="ij"), -1)
        for image in images
    ]
    image = np.repeat(np.arange(len(images)), [grid[..., 0].size for grid in grids])
    middle = np.concatenate([grid.reshape(-1, 2) for grid in grids])
    if len(middle) < 2:
        return None
    chosen = np.sort(rng.permutation(len(middle))[:MAX_CELLS])
    image, middle = image[chosen], middle[chosen]

    def squares(numbers: np.ndarray) -> np.ndarray:
        return np.stack(
            [square_about(images[image[i]], middle[i], SIDE) for i in numbers]
        )

    some = squares(np.sort(rng.permutation(len(image))[:NUM_FITTED]))
    described = describe(some, seed=seed)
    colours = _colours(some)
    mean, spread = colours.mean(axis=0), colours.std(axis=0) + 1e-3
    colour_weight = SCENE_COLOUR_WEIGHT if scenes else COLOUR_WEIGHT

    def points(numbers: np.ndarray) -> np.ndarray:
        found = squares(numbers)
        tones = (_colours(found) - mean) / spread / np.sqrt(len(mean))
        told = [described(found), colour_weight * tones]
        if scenes:
            heights = np.array([images[i].shape[0] for i in image[numbers]])
            # the standard deviation of what is even between 0 and 1 is 0.29
            rows = (middle[numbers, 0] / heights - 0.5) / 0.29
            told.append(ROW_WEIGHT * rows[:, None])
        return np.concatenate(told, axis=1)

    parts = np.array_split(np.arange(len(image)), -(-len(image) // 500))
    of_all = np.concatenate([points(part) for part in parts])
    number = min(number, len(image) - 1)
    searched = [np.arange(len(image))]
    if scenes and len(images) >= 2 * number:
        kind = _kinds(images, number, seed=seed)
        images_of = np.bincount(kind)
        # a kind of few images, such as black ones, would be in too many pairs
        common = np.flatnonzero(images_of >= max(2, len(images) / (4 * number)))
        searched = [np.flatnonzero(kind[image] == i) for i in common] or searched
    each = -(-number // len(searched))
    apart = SIDE if len(images) < FEW else None
    columns = [
        _nearest(of_all, image, middle, among, number=each, apart=apart)
        for among in searched
    ]
    return SimilarPatches(image, middle, np.concatenate(columns, axis=1)[:, :number])


def _nearest(
    points: np.ndarray,
    image: np.ndarray,
    middle: np.ndarray,
    among: np.ndarray,
    *,
    number: int,
    apart: int | None,
) -> np.ndarray:
    """The points nearest to each, elsewhere where there are any.

    Args:
        points: Shape ``(m, d)``.
        image: Number of the image of each, ``(m,)``.
        middle: Row and column of each in its image, ``(m, 2)``.
        among: Numbers of those that are searched.
        number: Points wanted.
        apart: Rows or columns between two places of one image from which on each is
            elsewhere; None if only other images are.

    Returns:
        Numbers, int32, shape ``(m, number)``.
    """
    search = NearestNeighbors(algorithm="brute").fit(points[among])
    of_one_image = int(np.bincount(image[among]).max())
    asked = min(number + of_one_image, len(among))
    nearest = []
    for asking in np.array_split(
        np.arange(len(points)), -(-len(points) * asked // AT_ONCE)
    ):
        found = search.kneighbors(points[asking], asked, return_distance=False)
        found = among[found]
        # itself comes last of all, and before it those of the same image
        late = image[found] == image[asking, None]
        if apart is not None:
            steps = abs(middle[found] - middle[asking, None]).max(axis=2)
            late &= steps < apart
        late = late.astype(np.int8) + (found == asking[:, None])
        order = np.argsort(late, axis=1, kind="stable")[:, :number]
        nearest.append(np.take_along_axis(found, order, axis=1).astype(np.int32))
    return np.concatenate(nearest)


def _kinds(images: Sequence[np.ndarray], number: int, *, seed: int) -> np.ndarray:
    """Images that are alike as wholes, by k-means on a few pixels of each.

    Args:
        images: Each uint8, shape ``(height, width, channels)``.
        number: Kinds.
        seed: Decides where k-means starts.

    Returns:
        Kind of each image, shape ``(n,)``.
    """
    small = [
        tf.image.resize(image, THUMBNAIL, "area").numpy().ravel() for image in images
    ]
    return KMeans(number, n_init=4, random_state=seed).fit_predict(np.stack(small))
