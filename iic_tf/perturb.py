"""Batched image perturbations for tf.data.

Each function here is a factory: numbers in, a perturbation out. A perturbation maps
``(images, seed)`` to images: float ``(n, height, width, channels)`` in [0, 1] and an
integer seed of shape ``(2,)``. Every image gets draws of its own (the TensorFlow 1 port
drew one crop offset for a whole batch), the seed decides all of them, and nothing
depends on any other state, so a resumed run sees what an uninterrupted one sees.

Work is done on batches, not on single images, which is several times faster
(``benchmarks/pipeline.py``).
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

Perturbation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def compose(*perturbations: Perturbation) -> Perturbation:
    """Applies perturbations one after the other, each with a seed of its own."""

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        for i, perturbation in enumerate(perturbations):
            images = perturbation(images, tf.random.fold_in(seed, i))
        return images

    return apply


def _uniform(
    images: tf.Tensor, seed: tf.Tensor, number: int, low: float = -1.0, high: float = 1
) -> tf.Tensor:
    """One draw per image from U(low, high), the ``number``-th of this seed: (n,)."""
    return tf.random.stateless_uniform(
        tf.shape(images)[:1], tf.random.fold_in(seed, number), low, high
    )


def _centre(images: tf.Tensor) -> tuple[float, float]:
    """Row and column of the middle of the images in pixels (static shapes)."""
    return (images.shape[1] - 1) / 2, (images.shape[2] - 1) / 2


def _warp(
    images: tf.Tensor,
    *,
    matrix: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor],
    shift: tuple[tf.Tensor, tf.Tensor],
    size: tuple[int, int],
    interpolation: str,
) -> tf.Tensor:
    """Samples each output pixel at ``middle + matrix @ (pixel - middle) + shift``.

    Args:
        images: Shape ``(n, height, width, channels)``.
        matrix: Entries xx, xy, yx, yy per image, each ``(n,)``, input pixels per
            output pixel.
        shift: Per image, x and y in input pixels, each ``(n,)``.
        size: Height and width of the result in pixels.
        interpolation: ``"NEAREST"`` or ``"BILINEAR"``.

    Returns:
        Shape ``(n, *size, channels)``, black outside of the images.
    """
    xx, xy, yx, yy = matrix
    row, column = _centre(images)
    out_row, out_column = (size[0] - 1) / 2, (size[1] - 1) / 2
    zero = tf.zeros_like(xx)
    transforms = tf.stack(
        (
            xx,
            xy,
            column + shift[0] - xx * out_column - xy * out_row,
            yx,
            yy,
            row + shift[1] - yx * out_column - yy * out_row,
            zero,
            zero,
        ),
        axis=1,
    )
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=size,
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(warped, (None, *size, images.shape[3]))


def rotate(degrees: float, *, probability: float = 1.0) -> Perturbation:
    """Rotates about the middle, nearest neighbour, black outside, same size.

    Args:
        degrees: Angle drawn from U(-degrees, degrees).
        probability: Share of images rotated.
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        angle = _uniform(images, seed, 0) * math.radians(degrees)
        chosen = _uniform(images, seed, 1, 0, 1) < probability
        angle = tf.where(chosen, angle, 0.0)
        cos, sin = tf.cos(angle), tf.sin(angle)
        zero = tf.zeros_like(angle)
        return _warp(
            images,
            matrix=(cos, -sin, sin, cos),
            shift=(zero, zero),
            size=tuple(images.shape[1:3]),
            interpolation="NEAREST",
        )

    return apply


def _resize_matrix(
    offset: tf.Tensor, side: tf.Tensor, in_size: int, out_size: int
) -> tf.Tensor:
    """Bilinear interpolation of a window of an axis as a matrix ``(n, out, in)``.

    Half-pixel centres, clamped to the window, no antialiasing: Pillow's enlarging.
    """
    pixels = (tf.range(out_size, dtype=tf.float32) + 0.5) / out_size
    inside = pixels * side[:, None] - 0.5
    inside = tf.clip_by_value(inside, 0.0, side[:, None] - 1)
    at = offset[:, None] + inside
    distance = tf.abs(at[:, :, None] - tf.range(in_size, dtype=tf.float32))
    return tf.nn.relu(1.0 - distance)


def crop_resize(
    sides: Sequence[int], *, size: int, where: str = "random"
) -> Perturbation:
    """Cuts a square window and resizes it, as torchvision's crop and Pillow's resize.

    Args:
        sides: Sides of the window in pixels, one drawn per image; each at most the
            side of the images.
        size: Side of the result in pixels.
        where: ``"random"`` (top left uniform over all positions), ``"centre"``, or
            ``"centre_half"`` (one or the other with probability one half).

    Raises:
        ValueError: For any other ``where``.
    """
    if where not in ("random", "centre", "centre_half"):
        raise ValueError(
            f"where must be random, centre or centre_half. Received: where={where!r}"
        )
    random_share = {"random": 1.0, "centre": 0.0, "centre_half": 0.5}[where]

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        choice = _uniform(images, seed, 0, 0, len(sides))
        side = tf.gather(
            tf.constant(sides, tf.float32), tf.cast(choice, tf.int32), axis=0
        )
        at_random = _uniform(images, seed, 1, 0, 1) < random_share
        matrices = []
        for axis in (1, 2):
            room = images.shape[axis] - side
            drawn = tf.floor(_uniform(images, seed, axis + 1, 0, 1) * (room + 1))
            offset = tf.where(at_random, drawn, tf.floor(room / 2 + 0.5))
            matrices.append(_resize_matrix(offset, side, images.shape[axis], size))
        rows, columns = matrices
        images = tf.einsum("nyh,nhwc->nywc", rows, images)
        return tf.einsum("nxw,nywc->nyxc", columns, images)

    return apply


def jitter(brightness: float, contrast: float) -> Perturbation:
    """Brightness and contrast as torchvision's ColorJitter, in random order.

    Brightness multiplies; contrast blends with the mean; each is clipped to [0, 1].
    Unlike Pillow nothing is rounded to whole grey levels in between.

    Args:
        brightness: Factor drawn from U(1 - brightness, 1 + brightness).
        contrast: Factor drawn from U(1 - contrast, 1 + contrast).
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        def column(values: tf.Tensor) -> tf.Tensor:
            return values[:, None, None, None]

        light = column(1 + brightness * _uniform(images, seed, 0))
        depth = column(1 + contrast * _uniform(images, seed, 1))
        light_first = column(_uniform(images, seed, 2)) < 0

        def brighten(x: tf.Tensor) -> tf.Tensor:
            return tf.clip_by_value(x * light, 0.0, 1.0)

        def spread(x: tf.Tensor) -> tf.Tensor:
            mean = tf.reduce_mean(x, axis=(1, 2, 3), keepdims=True)
            return tf.clip_by_value(mean + (x - mean) * depth, 0.0, 1.0)

        return tf.where(light_first, spread(brighten(images)), brighten(spread(images)))

    return apply


def shift_tone(brightness: float, contrast: float) -> Perturbation:
    """Brightness added, contrast about the mean, nothing clipped (as in the TF 1 port).

    Args:
        brightness: Number added to all pixels, from U(-brightness, brightness).
        contrast: Factor drawn from U(1 - contrast, 1 + contrast).
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        light = (brightness * _uniform(images, seed, 0))[:, None, None, None]
        depth = (1 + contrast * _uniform(images, seed, 1))[:, None, None, None]
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        return mean + (images - mean) * depth + light

    return apply


def affine(
    *,
    size: int,
    rotation: float,
    crop: tuple[float, float],
    shift: float,
    shear: float,
) -> Perturbation:
    """Rotation, scale, shift and shear at once, all continuous; one resampling.

    Args:
        size: Side of the result in pixels.
        rotation: Angle drawn from U(-rotation, rotation) degrees.
        crop: Range of the side of the window that fills the result, as fractions of
            the side of the image; below 1 enlarges.
        shift: Shift of the window along each axis from U(-shift, shift), as a fraction
            of the side of the image.
        shear: Shear factor along x from U(-shear, shear).
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        angle = _uniform(images, seed, 0) * math.radians(rotation)
        side = _uniform(images, seed, 1, crop[0], crop[1])
        slant = _uniform(images, seed, 2) * shear
        x = _uniform(images, seed, 3) * shift * width
        y = _uniform(images, seed, 4) * shift * height
        cos, sin = tf.cos(angle), tf.sin(angle)
        per_x, per_y = side * width / size, side * height / size
        return _warp(
            images,
            matrix=(
                per_x * cos,
                per_y * (slant * cos - sin),
                per_x * sin,
                per_y * (slant * sin + cos),
            ),
            shift=(x, y),
            size=(size, size),
            interpolation="BILINEAR",
        )

    return apply
