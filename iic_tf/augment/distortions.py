"""Augmentations of two other code bases: thin plates, perspective, blocks, noise.

As in ``transforms``: each function is a factory, numbers in, an augmentation of batches
out, and a seed decides all draws.
"""

import math

import numpy as np
import tensorflow as tf

from iic_tf.augment.transforms import LUMA, Transform

POINTS = 4
"""Control points of a thin plate."""

INNERMOST = 0.45
"""A corner moves inwards by at most this fraction of a side, so that none meet."""


def _draw(
    images: tf.Tensor,
    seed: tf.Tensor,
    number: int,
    *shape: int,
    low: float = 0.0,
    high: float = 1.0,
    normal: bool = False,
) -> tf.Tensor:
    """Draws for each image, the ``number``-th of this seed: shape ``(n, *shape)``.

    Args:
        images: As many draws as there are images.
        seed: Of all draws.
        number: Tells draws of a seed apart.
        *shape: Of the draws for one image.
        low: Least value.
        high: Largest value.
        normal: Whether they are from N(0, 1) instead.
    """
    size = tf.concat((tf.shape(images)[:1], shape), axis=0)
    key = tf.random.fold_in(seed, number)
    if normal:
        return tf.random.stateless_normal(size, key)
    return tf.random.stateless_uniform(size, key, low, high)


def sometimes(augmentation: Transform, probability: float) -> Transform:
    """Applies an augmentation that keeps the size to some of the images.

    Args:
        augmentation: What is applied.
        probability: Share of the images it is applied to.

    Examples:
        >>> from iic_tf.augment.distortions import sometimes
        >>> from iic_tf.augment.transforms import flip
        >>> images = tf.tile([[[[0.0], [1.0]]]], (1000, 1, 1, 1))
        >>> found = sometimes(flip(1.0), 0.2)(images, (0, 7))
        >>> bool(150 < tf.reduce_sum(found[:, 0, 0, 0]) < 250)  # about a fifth mirrored
        True
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        chosen = _draw(images, seed, 0, 1, 1, 1) < probability
        changed = augmentation(images, tf.random.fold_in(seed, 1))
        return tf.where(chosen, changed, images)

    return apply


# ------------------------------------------------------------------------ moved pixels


def sample(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor, *, padding: str) -> tf.Tensor:
    """Reads images between their pixels, bilinearly.

    Args:
        images: Shape ``(n, height, width, channels)``.
        x: Column that each pixel of the result is read at, shape
            ``(n, rows, columns)``.
        y: Row, likewise.
        padding: What is beyond the middles of the outermost pixels: ``"border"`` these
            pixels, ``"zero"`` black.

    Returns:
        Shape ``(n, rows, columns, channels)``.

    Raises:
        ValueError: For any other ``padding``.

    Examples:
        >>> from iic_tf.augment.distortions import sample
        >>> row = tf.constant([[[[1.0], [3.0]]]])
        >>> x, y = tf.constant([[[0.0, 0.5, 2.0]]]), tf.zeros((1, 1, 3))
        >>> print(sample(row, x, y, padding="border").numpy().ravel())
        [1. 2. 3.]
        >>> print(sample(row, x, y, padding="zero").numpy().ravel())
        [1. 2. 0.]
    """
    if padding not in ("border", "zero"):
        raise ValueError(
            f"padding must be border or zero. Received: padding={padding!r}"
        )
    height, width, channels = images.shape[1:]
    if padding == "border":
        x = tf.clip_by_value(x, 0.0, width - 1.0)
        y = tf.clip_by_value(y, 0.0, height - 1.0)
    left, top = tf.floor(x), tf.floor(y)
    right, below = x - left, y - top
    left, top = tf.cast(left, tf.int32), tf.cast(top, tf.int32)
    flat = tf.reshape(images, (-1, channels))
    first = tf.range(tf.shape(images)[0])[:, None, None] * (height * width)
    total = tf.zeros((), images.dtype)
    for i, across in enumerate((1 - right, right)):
        for j, down in enumerate((1 - below, below)):
            column, row = left + i, top + j
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            weight = tf.where(inside, across * down, 0.0)
            index = tf.where(inside, first + row * width + column, 0)
            total += weight[..., None] * tf.gather(flat, index)
    return total


def thin_plate(
    x: tf.Tensor, y: tf.Tensor, points: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """Values of thin-plate splines (Bookstein, 1989): plane, and r² ln r of points.

    Args:
        x: First coordinate of places, shape ``(n, …)`` or ``(1, …)``.
        y: Second coordinate, likewise.
        points: Control points of each spline, x and y, shape ``(n, number, 2)``.
        weights: Of each control point, then constant, slope along x and slope along y,
            for each of d values, shape ``(n, number + 3, d)``.

    Returns:
        Shape ``(n, …, d)``.

    Examples:
        >>> from iic_tf.augment.distortions import thin_plate
        >>> x, y = tf.constant([[0.0, 1.0]]), tf.constant([[0.0, 0.0]])
        >>> points = tf.constant([[[0.5, 0.5]]])
        >>> plane = tf.constant([[[0.0], [1.0], [2.0], [0.0]]])  # 1 + 2 x
        >>> print(thin_plate(x, y, points, plane).numpy().ravel())
        [1. 3.]
    """
    x, y = x[..., None], y[..., None]
    over_places = [1] * (len(x.shape) - 2)

    def each(values: tf.Tensor) -> tf.Tensor:
        """Values of each spline, ``(n, d)``, the same at all places."""
        return tf.reshape(values, (-1, *over_places, values.shape[-1]))

    number = points.shape[1]
    constant, along_x, along_y = (each(weights[:, number + i]) for i in range(3))
    total = constant + along_x * x + along_y * y
    for i in range(number):
        squared = (x - each(points[:, i, :1])) ** 2 + (y - each(points[:, i, 1:])) ** 2
        basis = squared * tf.math.log(tf.sqrt(squared) + 1e-6)
        total += basis * each(weights[:, i])
    return total


def bend(
    strength: float,
    *,
    rotation: float = 0.0,
    padding: str = "border",
    points: int = POINTS,
) -> Transform:
    """Bends images as thin plates and rotates them about their middle, at once.

    Where a pixel is read moves by a thin-plate spline of random weights in coordinates
    from 0 to 1, without the condition that weights sum to zero, as in the
    configurable PyTorch code base.

    Args:
        strength: Standard deviation of all weights, 0 for none.
        rotation: Angle drawn from U(-rotation, rotation) degrees.
        padding: What lies outside of the images: ``"border"`` their outermost pixels,
            ``"zero"`` black.
        points: Control points, drawn uniformly over the image.

    Examples:
        >>> from iic_tf.augment.distortions import bend
        >>> images = tf.random.stateless_uniform((2, 8, 8, 1), (0, 7))
        >>> bent = bend(0.1, rotation=20.0)(images, (0, 7))
        >>> print(bent.shape, bool(tf.reduce_all(bent <= 1)))  # a mean of pixels
        (2, 8, 8, 1) True
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        x, y = tf.meshgrid(tf.range(width * 1.0), tf.range(height * 1.0))
        x, y = x[None], y[None]
        if rotation:
            angle = _draw(images, seed, 0, 1, 1, low=-1.0) * math.radians(rotation)
            cos, sin = tf.cos(angle), tf.sin(angle)
            across, down = (width - 1) / 2, (height - 1) / 2
            x, y = x - across, y - down
            x, y = across + cos * x - sin * y, down + sin * x + cos * y
        if strength:
            control = _draw(images, seed, 1, points, 2)
            weights = strength * _draw(images, seed, 2, points + 3, 2, normal=True)
            sides = (max(width - 1, 1), max(height - 1, 1))
            moved = thin_plate(x / sides[0], y / sides[1], control, weights)
            x, y = x + moved[..., 0] * sides[0], y + moved[..., 1] * sides[1]
        if not (rotation or strength):
            return images
        return sample(images, x, y, padding=padding)

    return apply


def perspective(scale: float) -> Transform:
    """Stretches a quadrangle to the whole image, bilinearly.

    Each of its corners lies inside of a corner of the image. Its distances from both
    sides, as fractions of these, are absolute values of draws from N(0, scale²), but at
    most ``INNERMOST``.

    Args:
        scale: Standard deviation as a fraction of the side.

    Examples:
        >>> from iic_tf.augment.distortions import perspective
        >>> images = tf.random.stateless_uniform((2, 8, 8, 1), (0, 7))
        >>> print(perspective(0.1)(images, (0, 7)).shape)
        (2, 8, 8, 1)
        >>> same = perspective(0.0)(images, (0, 7))
        >>> bool(tf.reduce_all(abs(same - images) < 1e-4))
        True
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        inwards = tf.abs(_draw(images, seed, 0, 4, 2, normal=True)) * scale
        inwards = tf.minimum(inwards, INNERMOST)
        outer = tf.constant([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        matrix = square_to_quadrangle(outer + (1 - 2 * outer) * inwards)
        height, width = images.shape[1:3]
        w, h = width - 1.0, height - 1.0
        to_pixels = tf.constant([1, w / h, w, h / w, 1, h, 1 / w, 1 / h], tf.float32)
        moved = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=matrix * to_pixels,
            output_shape=(height, width),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )
        return tf.ensure_shape(moved, (None, *images.shape[1:]))

    return apply


def square_to_quadrangle(corners: tf.Tensor) -> tf.Tensor:
    """The projective maps of the unit square to quadrangles (Heckbert, 1989, 2.2.3).

    Args:
        corners: Where (0, 0), (1, 0), (1, 1) and (0, 1) go, shape ``(n, 4, 2)``.

    Returns:
        ``a, b, c, d, e, f, g, h`` of ``x = (a u + b v + c) / (g u + h v + 1)`` and
        ``y = (d u + e v + f) / (g u + h v + 1)``, shape ``(n, 8)``.

    Examples:
        >>> from iic_tf.augment.distortions import square_to_quadrangle
        >>> twice_as_wide = [[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]]
        >>> found = square_to_quadrangle(tf.constant([twice_as_wide]))
        >>> print(found.numpy()[0, :6])  # x = 2 u, y = v
        [2. 0. 0. 0. 1. 0.]
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (
        tf.unstack(corner, axis=1) for corner in tf.unstack(corners, axis=1)
    )
    sum_x, sum_y = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    right_x, below_x = x1 - x2, x3 - x2
    right_y, below_y = y1 - y2, y3 - y2
    area = right_x * below_y - below_x * right_y
    g = (sum_x * below_y - below_x * sum_y) / area
    h = (right_x * sum_y - sum_x * right_y) / area
    of_x = (x1 - x0 + g * x1, x3 - x0 + h * x3, x0)
    of_y = (y1 - y0 + g * y1, y3 - y0 + h * y3, y0)
    return tf.stack((*of_x, *of_y, g, h), axis=1)


# ---------------------------------------------------------------------- changed values


def blocks(share: float, *, side: int) -> Transform:
    """Replaces square blocks by their mean: a coarse stand-in for superpixels.

    Args:
        share: Probability of each block.
        side: Of the blocks in pixels; the outermost may be smaller.

    Examples:
        >>> from iic_tf.augment.distortions import blocks
        >>> images = tf.constant([[[[0.0], [0.2]], [[0.4], [0.6]]]])
        >>> print(blocks(1.0, side=2)(images, (0, 7))[0, ..., 0].numpy().round(3))
        [[0.3 0.3]
         [0.3 0.3]]
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        means = tf.nn.avg_pool2d(images, side, side, "SAME")
        rows, columns = means.shape[1:3]
        chosen = _draw(images, seed, 0, rows, columns, 1) < share
        both = tf.concat((means, tf.cast(chosen, means.dtype)), axis=-1)
        both = tf.repeat(tf.repeat(both, side, axis=1), side, axis=2)
        height, width = images.shape[1:3]
        top, left = (rows * side - height) // 2, (columns * side - width) // 2
        both = both[:, top : top + height, left : left + width]
        return tf.where(both[..., -1:] > 0, both[..., :-1], images)

    return apply


def noise(deviation: tuple[float, float]) -> Transform:
    """Adds noise from N(0, σ²) to each value and clips to [0, 1].

    Args:
        deviation: Range that σ is drawn from for each image.

    Examples:
        >>> from iic_tf.augment.distortions import noise
        >>> found = noise((0.1, 0.1))(tf.fill((1, 100, 100, 1), 0.5), (0, 7))
        >>> round(float(tf.math.reduce_std(found)), 2)
        0.1
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        low, high = deviation
        strength = _draw(images, seed, 0, 1, 1, 1, low=low, high=high)
        drawn = _draw(images, seed, 1, *images.shape[1:], normal=True)
        return tf.clip_by_value(images + strength * drawn, 0.0, 1.0)

    return apply


def scale_and_shift(brightness: float, contrast: float) -> Transform:
    """Multiplies values (contrast), adds to them (brightness) and clips to [0, 1].

    Args:
        brightness: Number added, from U(-brightness, brightness).
        contrast: Factor from U(1 - contrast, 1 + contrast).

    Examples:
        >>> from iic_tf.augment.distortions import scale_and_shift
        >>> found = scale_and_shift(0.2, 0.0)(tf.fill((100, 1, 1, 1), 0.5), (0, 7))
        >>> bool(0.3 <= tf.reduce_min(found) < tf.reduce_max(found) <= 0.7)
        True
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        added = brightness * _draw(images, seed, 0, 1, 1, 1, low=-1.0)
        factor = 1 + contrast * _draw(images, seed, 1, 1, 1, 1, low=-1.0)
        return tf.clip_by_value(images * factor + added, 0.0, 1.0)

    return apply


def edge_strength(threshold: float) -> Transform:
    """Edges in place of colours: grey magnitudes of Sobel slopes, weak ones black.

    Slopes are taken in each channel, with the image mirrored at its borders; the
    largest magnitude of an image becomes 1, then channels are mixed as colours are.

    Args:
        threshold: Grey below this becomes 0.

    Examples:
        >>> from iic_tf.augment.distortions import edge_strength
        >>> image = tf.tile([[[[0.0], [0.0], [0.0], [1.0], [1.0]]]], (1, 3, 1, 1))
        >>> print(edge_strength(0.4)(image, (0, 7))[0, 1, :, 0].numpy())
        [0. 0. 1. 1. 0.]
    """
    along_x = np.outer([1, 2, 1], [-1, 0, 1])
    kernels = np.stack((along_x, along_x.T), axis=-1)[:, :, None].astype(np.float32)

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width, channels = images.shape[1:]
        padded = tf.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], "SYMMETRIC")
        filters = tf.tile(tf.constant(kernels), (1, 1, channels, 1))
        slopes = tf.nn.depthwise_conv2d(padded, filters, (1, 1, 1, 1), "VALID")
        slopes = tf.reshape(slopes, (-1, height, width, channels, 2))
        found = tf.norm(slopes, axis=-1)
        largest = tf.reduce_max(found, axis=(1, 2, 3), keepdims=True)
        found /= tf.maximum(largest, 1 / 255)  # what is less is rounding
        mix = tf.constant(LUMA if channels == 3 else [1 / channels] * channels)
        grey = tf.reduce_sum(found * mix, axis=-1, keepdims=True)
        return tf.where(grey < threshold, 0.0, grey)

    return apply
