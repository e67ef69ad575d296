"""Images that are nearly the same as another, and images that are like no other."""

from typing import NamedTuple

import numpy as np

from iic_tf.neighbours.nearest import nearest_by_angle

SAME = 0.03
"""Images nearer than this by their edges are near-duplicates: photographs saved again
as JPEG, at another size, darker, or moved by a pixel. Of
20,000 digits none is so near."""

FENCE = 3.0
"""A distance so many spreads of the middle half above it is far out (Tukey)."""


class Near(NamedTuple):
    """The nearest others of each image.

    Attributes:
        numbers: Of these, the nearest first, int32, shape ``(n, number)``.
        distances: One minus the cosine of the angle to each, 0 to 2, float32, same
            shape; 0 if they are alike but for their length.
    """

    numbers: np.ndarray
    distances: np.ndarray


def nearest_others(points: np.ndarray, *, number: int) -> Near:
    """The nearest others of each point, by angle.

    Args:
        points: Shape ``(n, d)``, of any length; at least two.
        number: How many; n - 1 if there are no more.

    Examples:
        >>> from iic_tf.neighbours.unusual import nearest_others
        >>> points = np.array([[1.0, 0.0], [4.0, 3.0], [0.0, 2.0]])
        >>> near = nearest_others(points, number=1)
        >>> print(near.numbers.ravel(), near.distances.ravel().round(4))
        [1 0 1] [0.2 0.2 0.4]
    """
    length = np.linalg.norm(points, axis=1, keepdims=True)
    unit = (points / np.maximum(length, 1e-12)).astype(np.float32)
    number = min(number, len(unit) - 1)
    found = nearest_by_angle(unit, np.arange(len(unit)), number=number)
    # of the difference, not of the product: what is the same has a distance of 0
    apart = [((unit - unit[one]) ** 2).sum(axis=1) / 2 for one in found.T]
    return Near(found, np.stack(apart, axis=1))


def near_duplicates(near: Near, *, below: float = SAME) -> list[tuple[int, int, float]]:
    """Pairs of images that are nearly the same.

    Args:
        near: In the descriptions of all images, see ``nearest.describe``.
        below: Distance from which images differ.

    Returns:
        The two images, the one with the smaller number first, and their distance; each
        pair once, the nearest first.

    Examples:
        >>> from iic_tf.neighbours.unusual import near_duplicates, nearest_others
        >>> near = nearest_others(np.array([[5, 0], [0, 1], [5, 1], [0, 1]]), number=1)
        >>> [(i, j, round(distance, 4)) for i, j, distance in near_duplicates(near)]
        [(1, 3, 0.0), (0, 2, 0.0194)]
    """
    rows, columns = np.nonzero(near.distances < below)
    pairs = {}
    for i, column in zip(rows.tolist(), columns.tolist(), strict=True):
        other = int(near.numbers[i, column])
        pairs[min(i, other), max(i, other)] = float(near.distances[i, column])
    return sorted(
        ((a, b, distance) for (a, b), distance in pairs.items()),
        key=lambda pair: (pair[2], pair[:2]),
    )


def remoteness(near: Near) -> np.ndarray:
    """How far each image is from those that are nearest to it, shape ``(n,)``.

    Examples:
        >>> from iic_tf.neighbours.unusual import nearest_others, remoteness
        >>> near = nearest_others(np.array([[1, 0], [4, 3], [4, 3]]), number=2)
        >>> print(remoteness(near).round(4))
        [0.2 0.1 0.1]
    """
    return near.distances.mean(axis=1)


def far_out(remote: np.ndarray) -> float:
    """The remoteness from which an image is an outlier, as the others are spread.

    Spread is measured by logarithms: distances have a long tail.

    Args:
        remote: See ``remoteness``; shape ``(n,)``.

    Examples:
        >>> from iic_tf.neighbours.unusual import far_out
        >>> remote = np.array([1.0, 2.0, 4.0, 8.0, 16.0])  # quartiles 2 and 8
        >>> round(far_out(remote), 4)  # 8 (8 / 2)³
        512.0
    """
    least = 1e-3 * float(np.median(remote)) + 1e-12
    low, high = np.percentile(np.log(np.maximum(remote, least)), (25, 75))
    return float(np.exp(high + FENCE * (high - low)))
