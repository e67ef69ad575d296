"""How examples are shown in plots: images as they are, vectors and series sketched."""

import math
from collections.abc import Callable

import matplotlib
import numpy as np

TILE = 32
"""Least pixels along a side of a sketch; series are half as wide again."""

LOOKED_AT = 2000
"""Examples that tell which values are dark and light."""


def looks(
    examples: np.ndarray, *, like: np.ndarray | None = None
) -> Callable[[int], np.ndarray]:
    """Shows examples by their number.

    Args:
        examples: Images, uint8 or float in [0, 1], ``(n, height, width, channels)``;
            vectors ``(n, d)`` or series ``(n, t, channels)``.
        like: Others whose range of values holds for these too.

    Returns:
        Function of a number to an image, float in about [0, 1], shape ``(height, width,
        channels)``: of a vector its numbers as grey squares, row by row; of a series
        its channels as curves.
    """
    if examples.ndim == 4:
        scale = 255.0 if examples.dtype == np.uint8 else 1.0
        return lambda i: examples[i] / scale
    known = examples if like is None else like
    some = known[:: max(len(known) // LOOKED_AT, 1)]
    axes = tuple(range(some.ndim - 1))
    low, high = np.percentile(some, (1, 99), axis=axes)
    spread = np.maximum(high - low, 1e-12)
    sketch = _squares if examples.ndim == 2 else _curves
    return lambda i: sketch(np.clip((examples[i] - low) / spread, 0, 1))


def as_tiles(examples: np.ndarray, *, like: np.ndarray | None = None) -> np.ndarray:
    """All examples as ``looks`` shows them, shape ``(n, height, width, channels)``."""
    if examples.ndim == 4:
        return examples
    look = looks(examples, like=like)
    return np.stack([look(i) for i in range(len(examples))])


def _squares(vector: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1] as grey squares, row by row."""
    side = math.ceil(math.sqrt(len(vector)))
    grid = np.ones(side * side)
    grid[: len(vector)] = vector
    large = math.ceil(TILE / side)
    return np.kron(grid.reshape(side, side), np.ones((large, large)))[..., None]


def _curves(series: np.ndarray) -> np.ndarray:
    """Channels with values in [0, 1] as curves of a colour each."""
    width, last = TILE * 3 // 2, TILE - 1
    tile = np.ones((TILE, width, 3))
    colours = matplotlib.colormaps["tab10"](np.arange(series.shape[1]) % 10)[:, :3]
    times = np.linspace(0, len(series) - 1, width)
    for values, colour in zip(series.T, colours, strict=True):
        rows = last - last * np.interp(times, np.arange(len(series)), values)
        rows = rows.round().astype(int)
        for x, (before, here) in enumerate(zip([rows[0], *rows], rows, strict=False)):
            tile[min(before, here) : max(before, here) + 1, x] = colour
    return tile
