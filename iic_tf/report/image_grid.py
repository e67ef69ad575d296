"""Images of whatever shape and type side by side in one, to look at."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from iic_tf.errors import require
from iic_tf.report.plots import as_rgb

GAP = 2
"""White pixels between images."""

CHANNELS = (1, 3, 4)
"""An axis of so many entries is one of channels if it is the first or the last."""


def _is_image(array: np.ndarray) -> bool:
    """Whether an array is one image, not several."""
    rank, shape = array.ndim, array.shape
    return rank == 2 or (rank == 3 and (shape[-1] in CHANNELS or shape[0] in CHANNELS))


def as_pixels(image: Any) -> np.ndarray:
    """An image in colours of 8 bits.

    Args:
        image: Shape ``(height, width)``, ``(height, width, channels)`` or ``(channels,
            height, width)`` with 1, 3 or 4 channels, of four of which the first three
            are shown; whole numbers or booleans, or floats from 0 to 1. An array, a
            tensor or an image of Pillow.

    Returns:
        uint8, shape ``(height, width, 3)``. Values beyond the range are clipped, and
        what is no number is black.

    Raises:
        UserError: If it has another shape.
    """
    array = np.asarray(image)
    require(
        _is_image(array) and array.size > 0 and array.dtype.kind in "buif",
        "an image must have shape (height, width), (height, width, channels) or "
        "(channels, height, width), with 1, 3 or 4 channels",
        shape=array.shape,
        dtype=str(array.dtype),
    )
    if array.ndim == 2:
        array = array[..., None]
    elif array.shape[-1] not in CHANNELS:
        array = np.moveaxis(array, 0, -1)
    largest = {"f": 1.0, "b": 1.0}.get(array.dtype.kind, 255.0)
    values = np.nan_to_num(array.astype(np.float64) / largest, posinf=1.0, neginf=0.0)
    return np.round(255 * np.clip(as_rgb(values), 0, 1)).astype(np.uint8)


def image_grid(
    images: Any, *, columns: int | None = None, least: int = 1
) -> np.ndarray:
    """Images side by side, row by row, smaller ones in the middle of their places.

    Args:
        images: An image as ``as_pixels`` takes it, a sequence of such, or an array of
            several along its first axis. An array of three axes is one image if its
            first or last axis has 1, 3 or 4 entries.
        columns: Images per row; about as many as rows if None.
        least: Images whose larger side has fewer pixels are enlarged by the smallest
            whole factor that reaches it.

    Returns:
        uint8, shape ``(height, width, 3)``, with white between images.

    Raises:
        UserError: If there is no image, or something that is none.
    """
    several: Sequence[Any] = images
    if not isinstance(images, list | tuple):
        array = np.asarray(images)
        several = [array] if _is_image(array) else list(array) if array.ndim else []
    require(len(several) > 0, "there must be at least one image", images=0)
    require(
        columns is None or columns >= 1, "columns must be at least 1", columns=columns
    )
    shown = []
    for image in several:
        pixels = as_pixels(image)
        factor = -(-least // max(pixels.shape[:2]))
        shown.append(pixels.repeat(factor, axis=0).repeat(factor, axis=1))
    height, width = (max(pixels.shape[axis] for pixels in shown) for axis in (0, 1))
    columns = min(columns or math.ceil(math.sqrt(len(shown))), len(shown))
    rows = -(-len(shown) // columns)
    grid = np.full(
        (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8
    )
    for i, pixels in enumerate(shown):
        row, column = divmod(i, columns)
        top = row * (height + GAP) + (height - pixels.shape[0]) // 2
        left = column * (width + GAP) + (width - pixels.shape[1]) // 2
        grid[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return grid
