"""How often clusters meet at each small displacement between two label maps.

The segmentation objective compares the cluster of each pixel with those of its
neighbours: for every displacement of up to T pixels along each axis it needs the joint
of two soft label maps, one of them displaced. As the authors wrote it that is a
convolution whose filter is the other map, ``(2 T + 1)² k²`` products per pixel.

Two ways around it, exact but for rounding:

* Summed over all displacements, the joint is one product of k-vectors per pixel, of
  one map with the window sums of the other.
* One by one, the joints are correlations, and these are products of Fourier transforms.
  Maps are cut into blocks, so a transform is a product with a small constant matrix,
  and all blocks of all images meet in one product of matrices per frequency. No array
  is larger than a few augmented views of the maps.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf

BLOCK = 32
"""Side of a block in pixels, or somewhat less; at least 2 T."""

PART = 1 << 18
"""Numbers of a map that are transformed at a time, or those of one image if more."""


def _band(side: int, displacement: int, dtype: tf.DType) -> tf.Tensor:
    """Matrix that sums windows along an axis."""
    at = np.arange(side)
    return tf.constant(abs(at[:, None] - at) <= displacement, dtype)


def summed_joint(
    first: tf.Tensor, second: tf.Tensor, *, displacement: int
) -> tf.Tensor:
    """Joint of two maps, summed over all displacements.

    Args:
        first: Soft label maps, shape ``(n, height, width, h, k)``.
        second: Soft label maps, same shape.
        displacement: T, the largest displacement along each axis in pixels.

    Returns:
        ``sum_t sum_u first(u + t) second(u)ᵀ``, shape ``(h, k, k)``; nothing lies
        beyond the borders.

    Examples:
        >>> from iic_tf.losses.correlation import summed_joint
        >>> row = tf.one_hot([[[[0], [1], [1]]]], 2)  # three pixels side by side
        >>> print(summed_joint(row, row, displacement=1)[0].numpy())
        [[1. 1.]
         [1. 4.]]
    """
    _, height, width, h, k = first.shape
    first, second = (tf.transpose(x, (3, 4, 0, 1, 2)) for x in (first, second))
    if displacement:  # windows along y of one map, along x of the other
        first = tf.matmul(_band(height, displacement, first.dtype), first)
        rows = tf.reshape(second, (-1, width))
        second = tf.matmul(rows, _band(width, displacement, second.dtype))
    first, second = (tf.reshape(x, (h, k, -1)) for x in (first, second))
    return tf.matmul(first, second, transpose_b=True)


class _Axis(NamedTuple):
    """How one axis is cut into blocks and transformed; constant matrices.

    Attributes:
        number: Blocks.
        block: Pixels of a block.
        length: Pixels with the margin of 2 T, and frequencies.
    """

    number: int
    block: int
    length: int

    @classmethod
    def of(cls, side: int, displacement: int) -> "_Axis":
        """Cuts evenly into blocks of about ``BLOCK`` pixels."""
        number = -(-side // max(BLOCK, 2 * displacement))
        block = max(-(-side // number), 2 * displacement, 1)
        return cls(number, block, block + 2 * displacement)


@lru_cache
def _turns(length: int, frequencies: int, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of each frequency at each place, ``(frequencies, places)``."""
    turns = np.outer(np.arange(frequencies), np.arange(places)) % length
    angle = 2 * np.pi / length * turns
    return np.cos(angle), np.sin(angle)


def _to_half(axis: _Axis, places: int) -> np.ndarray:
    """Real values to half of the frequencies: rows (frequency, part)."""
    cos, sin = _turns(axis.length, axis.length // 2 + 1, places)
    return np.stack((cos, -sin), axis=1).reshape(-1, places)


def _to_all(axis: _Axis, places: int) -> np.ndarray:
    """Columns (part, place) to all frequencies: rows (frequency, part)."""
    cos, sin = _turns(axis.length, axis.length, places)
    real, imaginary = np.hstack((cos, sin)), np.hstack((-sin, cos))
    return np.stack((real, imaginary), axis=1).reshape(-1, 2 * places)


def _from_all(axis: _Axis, places: int) -> np.ndarray:
    """Columns (frequency, part) back: rows (part, place)."""
    cos, sin = _turns(axis.length, axis.length, places)
    real, imaginary = np.stack((cos, -sin), axis=1), np.stack((sin, cos), axis=1)
    both = np.concatenate((real, imaginary), axis=2) / axis.length
    return both.reshape(-1, 2 * places).T


def _from_half(axis: _Axis, places: int) -> np.ndarray:
    """Columns (frequency, part) of half of the frequencies back to real values."""
    half = axis.length // 2 + 1
    cos, sin = _turns(axis.length, half, places)
    # each stands for its conjugate too, but those that are their own
    own = 2 * np.arange(half) % axis.length == 0
    both = np.stack((cos, -sin), axis=1) / axis.length
    both *= np.where(own, 1, 2)[:, None, None]
    return both.reshape(-1, places).T


def _with_margin(blocks: tf.Tensor, margin: int) -> tf.Tensor:
    """Lets each block but the last go on into the next one.

    Has a gradient of its own, since that of a slice is far slower.

    Args:
        blocks: Shape ``(m, blocks + 1, pixels, rest)``.
        margin: Pixels of the next block, at most all.

    Returns:
        Shape ``(m, blocks, pixels + margin, rest)``.
    """

    @tf.custom_gradient
    def extended(blocks: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        found = tf.concat((blocks[:, :-1], blocks[:, 1:, :margin]), axis=2)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            pixels = blocks.shape[2]
            own = tf.pad(upstream[:, :, :pixels], ((0, 0), (0, 1), (0, 0), (0, 0)))
            before = ((0, 0), (1, 0), (0, pixels - margin), (0, 0))
            return own + tf.pad(upstream[:, :, pixels:], before)

        return found, gradient

    return extended(blocks)


def _spectrum(
    maps: tf.Tensor, axes: tuple[_Axis, _Axis], *, margin: int = 0
) -> tf.Tensor:
    """Fourier transform of the blocks of maps.

    Args:
        maps: Shape ``(n, height, width, h, k)``.
        axes: How the axes are cut.
        margin: 2 T pixels that blocks share with the next ones, and T of them in front;
            0 for none.

    Returns:
        Shape ``(h, f_y, f_x, 2, n * blocks, k)``, real and imaginary parts.
    """
    *_, h, k = maps.shape
    rows, columns = axes
    more = 1 if margin else 0
    paddings = [
        (margin // 2, (axis.number + more) * axis.block - side - margin // 2)
        for axis, side in zip(axes, maps.shape[1:3], strict=True)
    ]
    maps = tf.pad(maps, ((0, 0), *paddings, (0, 0), (0, 0)))

    found = tf.reshape(
        maps, (-1, rows.number + more, rows.block, math.prod(maps.shape[2:]))
    )
    if margin:
        found = _with_margin(found, margin)
    to_half = tf.constant(_to_half(rows, found.shape[2]), maps.dtype)
    half = to_half.shape[0] // 2
    found = tf.matmul(to_half, found)

    found = tf.reshape(found, (-1, columns.number + more, columns.block, h * k))
    if margin:
        found = _with_margin(found, margin)
    width = found.shape[2]
    found = tf.reshape(found, (-1, rows.number, half, 2, columns.number, width, h, k))
    found = tf.transpose(found, (6, 2, 3, 5, 0, 1, 4, 7))
    to_all = tf.constant(_to_all(columns, width), maps.dtype)
    found = tf.matmul(to_all, tf.reshape(found, (h, half, 2 * width, -1)))
    return tf.reshape(found, (h, half, columns.length, 2, -1, k))


def _cross_spectrum(
    first: tf.Tensor, second: tf.Tensor, axes: tuple[_Axis, _Axis], displacement: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Products of the spectra of two maps: real and imaginary parts.

    The shape of each is ``(h, f_y, f_x, k, k)``.
    """
    k = first.shape[-1]
    one = _spectrum(first, axes, margin=2 * displacement)
    other = _spectrum(second, axes)
    # one * conjugate(other): its parts are products of real matrices over (part, m)
    real, imaginary = tf.unstack(other, axis=3)
    turned = tf.stack((-imaginary, real), axis=3)
    frequencies = one.shape[:3]

    def product(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        left = tf.reshape(left, (*frequencies, -1, k))
        right = tf.reshape(right, (*frequencies, -1, k))
        return tf.matmul(left, right, transpose_a=True)

    return product(one, other), product(one, turned)


def _at_displacements(
    cross: tf.Tensor, axes: tuple[_Axis, _Axis], displacement: int
) -> tf.Tensor:
    """Fourier transform back to the displacements, ``(h, (2 T + 1)², k, k)``."""
    rows, columns = axes
    h, half, *_, k = cross.shape
    number = 2 * displacement + 1
    back = tf.constant(_from_all(columns, number), cross.dtype)
    cross = tf.matmul(back, tf.reshape(cross, (h, half, -1, k * k)))
    back = tf.constant(_from_half(rows, number), cross.dtype)
    cross = tf.matmul(back, tf.reshape(cross, (h, 2 * half, -1)))
    return tf.reshape(cross, (h, number * number, k, k))


def _sum_over_parts(
    function: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]],
    first: tf.Tensor,
    second: tf.Tensor,
    *,
    shapes: Sequence[Sequence[int]],
) -> tuple[tf.Tensor, ...]:
    """Computes functions of two maps part by part of their batch, in little memory.

    Nothing of a part is kept: for the gradient the function is computed again.

    Args:
        function: Of two maps; sums over their batch.
        first: Shape ``(n, height, width, h, k)``.
        second: Same shape.
        shapes: Those of the results.
    """
    size = max(1, PART // math.prod(first.shape[1:]))
    if first.shape[0] is not None and first.shape[0] <= size:
        return function(first, second)

    @tf.custom_gradient
    def summed(first: tf.Tensor, second: tf.Tensor) -> tuple[tuple, Callable]:
        number = -(-tf.shape(first)[0] // size)

        def part(i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return first[i * size : (i + 1) * size], second[i * size : (i + 1) * size]

        def add(i: tf.Tensor, *totals: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return i + 1, *map(tf.add, totals, function(*part(i)))

        _, *totals = tf.while_loop(
            lambda i, *_: i < number,
            add,
            (0, *(tf.zeros(shape, first.dtype) for shape in shapes)),
            parallel_iterations=1,
        )

        def gradient(*upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            def body(i: tf.Tensor, *found: tf.TensorArray) -> tuple:
                maps = part(i)
                with tf.GradientTape() as tape:
                    tape.watch(maps)
                    values = function(*maps)
                gradients = tape.gradient(values, maps, upstream)
                return i + 1, *(
                    array.write(i, gradient)
                    for array, gradient in zip(found, gradients, strict=True)
                )

            arrays = [
                tf.TensorArray(first.dtype, number, infer_shape=False) for _ in range(2)
            ]
            _, *found = tf.while_loop(
                lambda i, *_: i < number, body, (0, *arrays), parallel_iterations=1
            )
            return tuple(
                tf.ensure_shape(array.concat(), first.shape) for array in found
            )

        return tuple(totals), gradient

    return summed(first, second)


def displaced_joints(
    first: tf.Tensor, second: tf.Tensor, *, displacement: int
) -> tf.Tensor:
    """Joints of two maps, one for each displacement.

    Args:
        first: Soft label maps, shape ``(n, height, width, h, k)``.
        second: Soft label maps, same shape.
        displacement: T, the largest displacement along each axis in pixels.

    Returns:
        ``sum_u first(u + t) second(u)ᵀ`` for each t, row by row from ``(-T, -T)`` to
        ``(T, T)``, shape ``(h, (2 T + 1)², k, k)``; nothing lies beyond the borders.

    Examples:
        >>> from iic_tf.losses.correlation import displaced_joints
        >>> row = tf.one_hot([[[[0], [1], [1]]]], 2)  # three pixels side by side
        >>> joints = displaced_joints(row, row, displacement=1)
        >>> print(joints.shape)
        (1, 9, 2, 2)
        >>> print(np.abs(joints[0, 5].numpy().round(3)))  # with the pixel on the left
        [[0. 0.]
         [1. 1.]]
    """
    if not displacement:
        return summed_joint(first, second, displacement=0)[:, None]
    _, height, width, h, k = first.shape
    rows, columns = axes = _Axis.of(height, displacement), _Axis.of(width, displacement)

    def cross_spectrum(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return _cross_spectrum(first, second, axes, displacement)

    shapes = 2 * [(h, rows.length // 2 + 1, columns.length, k, k)]
    cross = _sum_over_parts(cross_spectrum, first, second, shapes=shapes)
    return _at_displacements(tf.stack(cross, axis=3), axes, displacement)
