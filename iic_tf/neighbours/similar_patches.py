"""Places in pictures that look alike, found once before training from pixels alone.

What ``neighbours`` is for images, this is for label maps: a window is paired not only
with a copy of itself but with a window around a place elsewhere, mostly in another
picture, that looks like its middle. This goes beyond plain IIC and uses no label.
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
"""Places that tell what pictures are made of."""

AT_ONCE = 1 << 24
"""Candidates that are looked at at once, for as many places as this comes to."""

FEW = 20
"""Of fewer pictures each may show what no other does: places are compared with those of
their own picture too, but for squares that overlap."""

THUMBNAIL = (6, 8)
"""Pixels down and across by which whole pictures are compared."""


class Cells(NamedTuple):
    """Places and who is near whom.

    Attributes:
        picture: Number of the picture of each place, ascending, shape ``(m,)``.
        middle: Row and column of its middle, in pixels, shape ``(m, 2)``.
        nearest: Numbers of the places most like it, in other pictures, or of fewer than
            ``FEW`` elsewhere in the same, where there are any; int32, shape
            ``(m, number)``.
    """

    picture: np.ndarray
    middle: np.ndarray
    nearest: np.ndarray


def _middles(length: int) -> np.ndarray:
    """Evenly spaced along a side, half a spacing from its ends."""
    number = max(round(length / SPACING), 1)
    return ((np.arange(number) + 0.5) / number * length).astype(np.int32)


def square_about(picture: np.ndarray, middle: np.ndarray, side: int) -> np.ndarray:
    """Cuts a square about a place of a picture that goes on mirrored beyond its edges.

    Args:
        picture: Shape ``(height, width, ...)``.
        middle: Row and column of the square's middle, in pixels.
        side: Side in pixels; of an even one the middle is the pixel below and right.

    Returns:
        Shape ``(side, side, ...)``.
    """
    rows, columns = (
        np.minimum(pixels, 2 * length - 1 - pixels)
        for length, at in zip(picture.shape[:2], middle, strict=True)
        for pixels in [(at - side // 2 + np.arange(side)) % (2 * length)]
    )
    return picture[rows[:, None], columns]


def _colours(squares: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each channel, of a square and of its middle."""
    scaled = squares.astype(np.float32) / 255.0
    inner = scaled[:, SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4]
    return np.concatenate(
        [f(part, axis=(1, 2)) for part in (scaled, inner) for f in (np.mean, np.std)],
        axis=1,
    )


def find_cells(
    pictures: Sequence[np.ndarray], *, number: int, seed: int, scenes: bool = False
) -> Cells | None:
    """Finds places in pictures, and for each the places that look most like it.

    Args:
        pictures: Each uint8, shape ``(height, width, channels)``.
        number: Neighbours of each place; fewer if there are not so many.
        seed: Decides which places are used where there are many.
        scenes: Whether pictures are of scenes taken upright, where places at like
            heights are more alike. The neighbours of a place then lie in pictures of
            different kinds, lest clusters tell times of day or frames of one film.

    Returns:
        See ``Cells``; None if there is a single place.
    """
    rng = np.random.default_rng(seed)
    grids = [
        np.stack(np.meshgrid(*map(_middles, picture.shape[:2]), indexing="ij"), -1)
        for picture in pictures
    ]
    picture = np.repeat(np.arange(len(pictures)), [grid[..., 0].size for grid in grids])
    middle = np.concatenate([grid.reshape(-1, 2) for grid in grids])
    if len(middle) < 2:
        return None
    chosen = np.sort(rng.permutation(len(middle))[:MAX_CELLS])
    picture, middle = picture[chosen], middle[chosen]

    def squares(numbers: np.ndarray) -> np.ndarray:
        return np.stack(
            [square_about(pictures[picture[i]], middle[i], SIDE) for i in numbers]
        )

    some = squares(np.sort(rng.permutation(len(picture))[:NUM_FITTED]))
    described = describe(some, seed=seed)
    colours = _colours(some)
    mean, spread = colours.mean(axis=0), colours.std(axis=0) + 1e-3
    colour_weight = SCENE_COLOUR_WEIGHT if scenes else COLOUR_WEIGHT

    def points(numbers: np.ndarray) -> np.ndarray:
        found = squares(numbers)
        tones = (_colours(found) - mean) / spread / np.sqrt(len(mean))
        told = [described(found), colour_weight * tones]
        if scenes:
            heights = np.array([pictures[i].shape[0] for i in picture[numbers]])
            # the standard deviation of what is even between 0 and 1 is 0.29
            rows = (middle[numbers, 0] / heights - 0.5) / 0.29
            told.append(ROW_WEIGHT * rows[:, None])
        return np.concatenate(told, axis=1)

    parts = np.array_split(np.arange(len(picture)), -(-len(picture) // 500))
    of_all = np.concatenate([points(part) for part in parts])
    number = min(number, len(picture) - 1)
    searched = [np.arange(len(picture))]
    if scenes and len(pictures) >= 2 * number:
        kind = _kinds(pictures, number, seed=seed)
        pictures_of = np.bincount(kind)
        # a kind of few pictures, such as black ones, would be in too many pairs
        common = np.flatnonzero(pictures_of >= max(2, len(pictures) / (4 * number)))
        searched = [np.flatnonzero(kind[picture] == i) for i in common] or searched
    each = -(-number // len(searched))
    apart = SIDE if len(pictures) < FEW else None
    columns = [
        _nearest(of_all, picture, middle, among, number=each, apart=apart)
        for among in searched
    ]
    return Cells(picture, middle, np.concatenate(columns, axis=1)[:, :number])


def _nearest(
    points: np.ndarray,
    picture: np.ndarray,
    middle: np.ndarray,
    among: np.ndarray,
    *,
    number: int,
    apart: int | None,
) -> np.ndarray:
    """The points nearest to each, elsewhere where there are any.

    Args:
        points: Shape ``(m, d)``.
        picture: Number of the picture of each, ``(m,)``.
        middle: Row and column of each in its picture, ``(m, 2)``.
        among: Numbers of those that are searched.
        number: Points wanted.
        apart: Rows or columns between two places of one picture from which on each is
            elsewhere; None if only other pictures are.

    Returns:
        Numbers, int32, shape ``(m, number)``.
    """
    search = NearestNeighbors(algorithm="brute").fit(points[among])
    of_one_picture = int(np.bincount(picture[among]).max())
    asked = min(number + of_one_picture, len(among))
    nearest = []
    for asking in np.array_split(
        np.arange(len(points)), -(-len(points) * asked // AT_ONCE)
    ):
        found = search.kneighbors(points[asking], asked, return_distance=False)
        found = among[found]
        # itself comes last of all, and before it those of the same picture
        late = picture[found] == picture[asking, None]
        if apart is not None:
            steps = abs(middle[found] - middle[asking, None]).max(axis=2)
            late &= steps < apart
        late = late.astype(np.int8) + (found == asking[:, None])
        order = np.argsort(late, axis=1, kind="stable")[:, :number]
        nearest.append(np.take_along_axis(found, order, axis=1).astype(np.int32))
    return np.concatenate(nearest)


def _kinds(pictures: Sequence[np.ndarray], number: int, *, seed: int) -> np.ndarray:
    """Pictures that are alike as wholes, by k-means on a few pixels of each.

    Args:
        pictures: Each uint8, shape ``(height, width, channels)``.
        number: Kinds.
        seed: Decides where k-means starts.

    Returns:
        Kind of each picture, shape ``(n,)``.
    """
    small = [
        tf.image.resize(picture, THUMBNAIL, "area").numpy().ravel()
        for picture in pictures
    ]
    return KMeans(number, n_init=4, random_state=seed).fit_predict(np.stack(small))
