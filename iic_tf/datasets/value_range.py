"""Images of more than 8 bits: one range for a folder, shown from black to white.

Values that few pixels have, and values that stand for "no data", do not decide.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Range = tuple[float, float]
"""Values that are shown as black and as white."""

SAMPLED_FILES, SAMPLED_PIXELS = 300, 10_000
"""So many files, and so many pixels of each, decide the range of a folder."""


def sample_pixels(values: np.ndarray) -> np.ndarray:
    """Some of an image's values, evenly spaced, with all of its channels.

    Args:
        values: Shape ``(height, width, channels)``.

    Returns:
        Shape ``(number,)``.
    """
    flat = values.reshape(-1, values.shape[-1])
    return flat[:: -(-len(flat) // SAMPLED_PIXELS)].reshape(-1)


def _without_placeholders(values: np.ndarray) -> np.ndarray:
    """Leaves out extremes that stand for "no data", such as -9999 or 65,535.

    Such a value is farther from all others than these are from one another.

    Args:
        values: Finite, rising.
    """
    while True:
        low, high = values[0], values[-1]
        above = values[np.searchsorted(values, low, side="right") :]
        below = values[: np.searchsorted(values, high, side="left")]
        # the lower ones of unsigned images are their ground
        if low < 0 and _is_apart(above, gap=above[:1] - low):
            values = above
        elif _is_apart(below, gap=high - below[-1:]):
            values = below
        else:
            return values


def _is_apart(others: np.ndarray, *, gap: np.ndarray) -> bool:
    return bool(others.size) and gap[0] > others[-1] - others[0] > 0


def robust_range(samples: Sequence[np.ndarray]) -> Range:
    """The range of values in which a folder's images show what they hold.

    Args:
        samples: Values of each image, of any type; those that are not finite do not
            count.

    Returns:
        The lowest and the highest value but for the outermost of 2,000, and no farther
        from the 2nd and the 98th percentile than these are from each other. Whole
        numbers where the values are. Without any finite value 0 and 1.
    """
    # all images count alike, however many pixels they have
    least = max(min((len(sample) for sample in samples), default=1), 1000)
    some = [sample[:: max(len(sample) // least, 1)] for sample in samples]
    values = np.concatenate([np.zeros(0), *(np.asarray(s, np.float64) for s in some)])
    values = np.sort(values[np.isfinite(values)])
    if not values.size:
        return 0.0, 1.0
    values = _without_placeholders(values)
    lowest, dark, bright, highest = np.percentile(
        values, (0.05, 2, 98, 99.95), method="nearest"
    )
    low, high = max(lowest, 2 * dark - bright), min(highest, 2 * bright - dark)
    if not low < high:  # nearly all values are one
        low, high = values[0], values[-1]
    if not low < high:
        return float(low), float(low) + 1.0
    if all(np.asarray(sample).dtype.kind in "iu" for sample in samples):
        return float(math.floor(low)), float(math.ceil(high))
    digits = 4 - math.floor(math.log10(high - low))
    return round(float(low), digits), round(float(high), digits)


def to_bytes(values: np.ndarray, shown: Range) -> tuple[np.ndarray, int]:
    """Values of a range as black to white.

    Args:
        values: Shape ``(height, width, channels)``, of any type.
        shown: Values that become 0 and 255; what lies outside becomes these too.

    Returns:
        uint8 of the same shape, and the number of pixels that have no value: one that
        is not finite, which becomes 0, or farther below the range than it is wide.
    """
    low, high = shown
    # float32 holds what 16 bits can be; of larger numbers it would lose steps
    scaled: Any = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
    scaled -= low
    scaled *= 255.0 / (high - low)
    scaled[~np.isfinite(scaled)] = -np.inf
    missing = np.count_nonzero((scaled < -255.0).any(axis=-1))
    return np.clip(scaled, 0, 255, out=scaled).round().astype(np.uint8), int(missing)


def describe(shown: Range) -> str:
    """The range as text: "1,012 to 21,345"."""
    return " to ".join(
        f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:,.6g}"
        for value in shown
    )
