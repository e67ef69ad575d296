"""Batched image augmentations for tf.data.

Each function here is a factory: numbers in, an augmentation out. An augmentation maps
``(images, seed)`` to images: float ``(n, height, width, channels)`` in [0, 1] and an
integer seed of shape ``(2,)``. Every image gets draws of its own (the TensorFlow 1 port
drew one crop offset for a whole batch), the seed decides all of them, and nothing
depends on any other state, so a resumed run sees what an uninterrupted one sees.

Work is done on batches, not on single images, which is several times faster
(``benchmarks/pipeline.py``).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

Transform = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

Geometry = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Moves images and tells how: also returns matrices for ``warp.warp``."""


def compose(*augmentations: Transform) -> Transform:
    """Applies augmentations one after the other, each with a seed of its own.

    Examples:
        >>> from iic_tf.augment.transforms import compose, flip
        >>> twice = compose(flip(1.0), flip(1.0))
        >>> row = tf.constant([[[[1.0], [2.0], [3.0]]]])
        >>> print(twice(row, (0, 7))[0, ..., 0].numpy())
        [[1. 2. 3.]]
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        for i, augment in enumerate(augmentations):
            images = augment(images, tf.random.fold_in(seed, i))
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
    fill_mode: str = "CONSTANT",
) -> tf.Tensor:
    """Samples each output pixel at ``middle + matrix @ (pixel - middle) + shift``.

    Args:
        images: Shape ``(n, height, width, channels)``.
        matrix: Entries xx, xy, yx, yy per image, each ``(n,)``, input pixels per
            output pixel.
        shift: Per image, x and y in input pixels, each ``(n,)``.
        size: Height and width of the result in pixels.
        interpolation: ``"NEAREST"`` or ``"BILINEAR"``.
        fill_mode: What lies outside of the images: ``"CONSTANT"`` black, or
            ``"REFLECT"`` the images mirrored.

    Returns:
        Shape ``(n, *size, channels)``.
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
        fill_mode=fill_mode,
    )
    return tf.ensure_shape(warped, (None, *size, images.shape[3]))


def rotate(degrees: float, *, probability: float = 1.0) -> Transform:
    """Rotates about the middle, nearest neighbour, black outside, same size.

    Args:
        degrees: Angle drawn from U(-degrees, degrees).
        probability: Share of images rotated.

    Examples:
        >>> from iic_tf.augment.transforms import rotate
        >>> images = tf.tile(tf.reshape(tf.range(81.0), (1, 9, 9, 1)), (2, 1, 1, 1))
        >>> turned = rotate(25.0)(images, (0, 7))
        >>> bool(tf.reduce_all(turned[0] == turned[1]))  # draws of their own
        False
        >>> bool(tf.reduce_all(turned == rotate(25.0)(images, (0, 7))))  # by the seed
        True
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


def crop_resize(sides: Sequence[int], *, size: int, where: str = "random") -> Transform:
    """Cuts a square window and resizes it, as torchvision's crop and Pillow's resize.

    Args:
        sides: Sides of the window in pixels, one drawn per image; each at most the
            side of the images.
        size: Side of the result in pixels.
        where: ``"random"`` (top left uniform over all positions), ``"centre"``, or
            ``"centre_half"`` (one or the other with probability one half).

    Raises:
        ValueError: For any other ``where``.

    Examples:
        >>> from iic_tf.augment.transforms import crop_resize
        >>> images = tf.reshape(tf.range(16.0), (1, 4, 4, 1))
        >>> centre = crop_resize((2,), size=2, where="centre")
        >>> print(centre(images, (0, 7))[0, ..., 0].numpy())
        [[ 5.  6.]
         [ 9. 10.]]
    """
    if where not in ("random", "centre", "centre_half"):
        raise ValueError(
            f"where must be random, centre or centre_half. Received: where={where!r}"
        )
    random_share = {"random": 1.0, "centre": 0.0, "centre_half": 0.5}[where]

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        side = tf.fill(tf.shape(images)[:1], float(sides[0]))
        if len(sides) > 1:
            choice = _uniform(images, seed, 0, 0, len(sides))
            known = tf.constant(sides, tf.float32)
            side = tf.gather(known, tf.cast(choice, tf.int32), axis=0)
        at_random = None  # what is drawn cannot be converted to other formats
        if random_share:
            at_random = _uniform(images, seed, 1, 0, 1) < random_share
        matrices = []
        for axis in (1, 2):
            room = images.shape[axis] - side
            offset = tf.floor(room / 2 + 0.5)
            if at_random is not None:
                drawn = tf.floor(_uniform(images, seed, axis + 1, 0, 1) * (room + 1))
                offset = tf.where(at_random, drawn, offset)
            matrices.append(_resize_matrix(offset, side, images.shape[axis], size))
        rows, columns = matrices
        images = tf.einsum("nyh,nhwc->nywc", rows, images)
        return tf.einsum("nxw,nywc->nyxc", columns, images)

    return apply


def ten_crops(side: int, *, size: int) -> tuple[Transform, ...]:
    """Cuts the four corners and the middle, each as it is and mirrored.

    Args:
        side: Side of each square window in pixels, at most that of the images.
        size: Side of the results in pixels.

    Returns:
        Ten transforms, none of them random.

    Examples:
        >>> from iic_tf.augment.transforms import ten_crops
        >>> images = tf.reshape(tf.range(9.0), (1, 3, 3, 1))
        >>> crops = ten_crops(2, size=2)
        >>> print(len(crops), crops[0](images, (0, 7))[0, ..., 0].numpy().tolist())
        10 [[0.0, 1.0], [3.0, 4.0]]
        >>> print(crops[5](images, (0, 7))[0, ..., 0].numpy().tolist())  # mirrored
        [[1.0, 0.0], [4.0, 3.0]]
    """

    def window(down: float, right: float, mirrored: bool) -> Transform:
        def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            room = images.shape[1] - side, images.shape[2] - side
            top, left = int(down * room[0] + 0.5), int(right * room[1] + 0.5)
            cut = images[:, top : top + side, left : left + side]
            if size != side:
                cut = tf.image.resize(cut, (size, size))
            return cut[:, :, ::-1] if mirrored else cut

        return apply

    places = ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))
    both = (False, True)
    return tuple(window(y, x, mirrored) for mirrored in both for y, x in places)


def jitter(brightness: float, contrast: float) -> Transform:
    """Brightness and contrast as torchvision's ColorJitter, in random order.

    Brightness multiplies; contrast blends with the mean; each is clipped to [0, 1].
    Unlike Pillow nothing is rounded to whole grey levels in between.

    Args:
        brightness: Factor drawn from U(1 - brightness, 1 + brightness).
        contrast: Factor drawn from U(1 - contrast, 1 + contrast).

    Examples:
        >>> from iic_tf.augment.transforms import jitter
        >>> grey = tf.fill((100, 1, 1, 1), 0.5)
        >>> bright = jitter(0.4, 0.0)(grey, (0, 7)).numpy()
        >>> bool(0.3 <= bright.min() < bright.max() <= 0.7)
        True
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


def shift_tone(brightness: float, contrast: float) -> Transform:
    """Brightness added, contrast about the mean, nothing clipped (as in the TF 1 port).

    Args:
        brightness: Number added to all pixels, from U(-brightness, brightness).
        contrast: Factor drawn from U(1 - contrast, 1 + contrast).

    Examples:
        >>> from iic_tf.augment.transforms import shift_tone
        >>> grey = tf.fill((100, 1, 1, 1), 0.5)
        >>> shifted = shift_tone(0.6, 0.0)(grey, (0, 7)).numpy()
        >>> bool(shifted.min() < 0 and 1 < shifted.max() <= 1.1)  # nothing is clipped
        True
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
    flip: float = 0.0,
    probability: float = 1.0,
    fill_mode: str = "CONSTANT",
) -> Transform:
    """Rotation, scale, shift, shear and mirror at once; one resampling.

    Args:
        size: Side of the result in pixels.
        rotation: Angle drawn from U(-rotation, rotation) degrees.
        crop: Range of the side of the square window that fills the result, as
            fractions of the shorter side of the image; below 1 enlarges.
        shift: Shift of the window along each axis from U(-shift, shift), as a fraction
            of the side of the image.
        shear: Shear factor along x from U(-shear, shear).
        flip: Share of the images mirrored left and right.
        probability: Share of the images changed; others are only brought to size.
        fill_mode: ``"CONSTANT"`` for black outside of the images, ``"REFLECT"`` for the
            images mirrored.

    Examples:
        >>> from iic_tf.augment.transforms import affine
        >>> images = tf.reshape(tf.range(16.0), (1, 4, 4, 1))
        >>> how = {"rotation": 0.0, "shift": 0.0, "shear": 0.0, "flip": 1.0}
        >>> mirrored = affine(size=2, crop=(0.5, 0.5), **how)  # the middle, mirrored
        >>> print(mirrored(images, (0, 7))[0, ..., 0].numpy().round(3))
        [[ 6.  5.]
         [10.  9.]]
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        changed = tf.cast(_uniform(images, seed, 5, 0, 1) < probability, tf.float32)
        angle = changed * _uniform(images, seed, 0) * math.radians(rotation)
        side = _uniform(images, seed, 1, crop[0], crop[1])
        side = changed * side + (1 - changed)
        slant = changed * _uniform(images, seed, 2) * shear
        x = changed * _uniform(images, seed, 3) * shift * width
        y = changed * _uniform(images, seed, 4) * shift * height
        mirror = tf.where(_uniform(images, seed, 6, 0, 1) < flip, -1.0, 1.0)
        cos, sin = tf.cos(angle), tf.sin(angle)
        per_y = side * min(height, width) / size
        per_x = mirror * per_y
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
            fill_mode=fill_mode,
        )

    return apply


def flip(probability: float = 0.5) -> Transform:
    """Mirrors left and right.

    Args:
        probability: Share of images mirrored.

    Examples:
        >>> from iic_tf.augment.transforms import flip
        >>> row = tf.constant([[[[1.0], [2.0], [3.0]]]])
        >>> print(flip(1.0)(row, (0, 7))[0, ..., 0].numpy())
        [[3. 2. 1.]]
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        chosen = _uniform(images, seed, 0, 0, 1) < probability
        return tf.where(chosen[:, None, None, None], images[:, :, ::-1], images)

    return apply


def move(
    *,
    rotation: float = 0.0,
    shear: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    flip: float = 0.5,
) -> Geometry:
    """Rotation, scale, shear and mirror of which the way back is known.

    What lies outside of an image is the image mirrored; no pixel of the original comes
    from there on the way back.

    Args:
        rotation: Angle drawn from U(-rotation, rotation) degrees.
        shear: Angle of the shear drawn from U(-shear, shear) degrees.
        scale: Range of the factor by which things shrink.
        flip: Share of the images mirrored left and right.

    Returns:
        Function of images and seed to the images moved, and for each the matrix that
        ``warp.warp`` takes to move its label map back, shape ``(n, 2, 3)``.

    Examples:
        >>> from iic_tf import warp
        >>> from iic_tf.augment.transforms import move
        >>> row = tf.constant([[[[1.0], [2.0], [3.0]]]])
        >>> moved, back = move(flip=1.0)(row, (0, 7))
        >>> print(moved[0, ..., 0].numpy(), warp(moved, back)[0, ..., 0].numpy())
        [[3. 2. 1.]] [[1. 2. 3.]]
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        height, width = images.shape[1:3]
        angle = math.radians(rotation) * _uniform(images, seed, 0)
        slant = angle + math.radians(shear) * _uniform(images, seed, 1)
        size = _uniform(images, seed, 2, *scale)
        mirror = tf.where(_uniform(images, seed, 3, 0, 1) < flip, -1.0, 1.0)
        # where a place of the result is read, in coordinates from -1 to 1
        xx, xy = mirror * size * tf.cos(angle), -size * tf.sin(slant)
        yx, yy = mirror * size * tf.sin(angle), size * tf.cos(slant)
        aspect = max(width - 1, 1) / max(height - 1, 1)
        zero = tf.zeros_like(xx)
        moved = _warp(
            images,
            matrix=(xx, xy * aspect, yx / aspect, yy),
            shift=(zero, zero),
            size=(height, width),
            interpolation="BILINEAR",
            fill_mode="REFLECT",
        )
        determinant = xx * yy - xy * yx
        back = tf.stack((yy, -xy, zero, -yx, xx, zero), axis=1) / determinant[:, None]
        return moved, tf.reshape(back, (-1, 2, 3))

    return apply


LUMA = (0.299, 0.587, 0.114)
"""Share of red, green and blue in grey (ITU-R 601, as Pillow)."""

_TO_YIQ = np.array([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])


def colour_jitter(
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.125,
) -> Transform:
    """Brightness, contrast, saturation and hue in random order, per image.

    As torchvision's ColorJitter, with two differences for speed. Hue turns colours
    about the grey axis (in YIQ) instead of along the HSV circle, and nothing is clipped
    before the end: so each of the four is a matrix on R, G, B, and all pixels are
    multiplied once.

    Args:
        brightness: Factor drawn from U(1 - brightness, 1 + brightness).
        contrast: Factor about the image's mean grey, drawn likewise.
        saturation: Factor about each pixel's grey, drawn likewise.
        hue: Turn drawn from U(-hue, hue) rounds.

    Examples:
        >>> from iic_tf.augment.transforms import colour_jitter
        >>> grey = tf.fill((1, 1, 1, 3), 0.5)
        >>> change = colour_jitter(0.0, 0.0, saturation=0.4, hue=0.5)
        >>> print(change(grey, (0, 7))[0, 0].numpy().round(3))  # grey has no colour
        [[0.5 0.5 0.5]]
    """
    to_yiq = tf.constant(_TO_YIQ, tf.float32)
    from_yiq = tf.constant(np.linalg.inv(_TO_YIQ), tf.float32)
    luma = tf.constant(LUMA)

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        def factor(number: int, spread: float) -> tf.Tensor:
            return (1 + spread * _uniform(images, seed, number))[:, None, None]

        one = tf.eye(3)[None]
        light, depth = factor(0, brightness), factor(1, contrast)
        colour = factor(2, saturation)
        angle = 2 * math.pi * hue * _uniform(images, seed, 3)
        cos, sin, zero = tf.cos(angle), tf.sin(angle), tf.zeros_like(angle)
        turn = tf.stack((zero + 1, zero, zero, zero, cos, -sin, zero, sin, cos), axis=1)
        matrices = tf.stack(
            (
                light * one,
                depth * one,
                colour * one + (1 - colour) * luma,
                from_yiq @ tf.reshape(turn, (-1, 3, 3)) @ to_yiq,
            ),
            axis=1,
        )  # (n, 4, 3, 3)
        draws = [_uniform(images, seed, 4 + i) for i in range(4)]
        order = tf.argsort(tf.stack(draws, axis=1), axis=1)  # (n, 4)

        mean = tf.reduce_mean(images, axis=(1, 2))[:, :, None]  # (n, 3, 1)
        matrix, offset = one, tf.zeros_like(mean)
        for position in range(4):
            which = order[:, position]
            step = tf.gather(matrices, which, batch_dims=1)
            # only contrast adds something: what keeps the mean grey in its place
            grey = tf.reduce_sum(luma[:, None] * (matrix @ mean + offset), 1)[:, None]
            spread = tf.where((which == 1)[:, None, None], (1 - depth) * grey, 0.0)
            matrix, offset = step @ matrix, step @ offset + spread
        images = tf.einsum("nhwc,ndc->nhwd", images, matrix)
        return tf.clip_by_value(images + offset[:, None, None, :, 0], 0.0, 1.0)

    return apply


def _turn_hue(images: tf.Tensor, rounds: tf.Tensor) -> tf.Tensor:
    """Images with their hue moved along the HSV circle, by ``(n,)`` rounds."""
    hue, *others = tf.unstack(tf.image.rgb_to_hsv(images), axis=-1)
    hue = tf.math.floormod(hue + rounds[:, None, None], 1.0)
    return tf.image.hsv_to_rgb(tf.stack((hue, *others), axis=-1))


def published_jitter(
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.125,
) -> Transform:
    """Torchvision's ColorJitter, of the published runs: slower than ``colour_jitter``.

    Hue moves along the HSV circle, which changes grey values too, and each of the four
    is clipped to [0, 1] before the next. Unlike Pillow nothing is rounded to whole
    levels in between.

    Args:
        brightness: Factor drawn from U(1 - brightness, 1 + brightness).
        contrast: Factor about the image's mean grey, drawn likewise.
        saturation: Factor about each pixel's grey, drawn likewise.
        hue: Turn drawn from U(-hue, hue) rounds.

    Examples:
        >>> from iic_tf.augment.transforms import published_jitter
        >>> images = tf.random.stateless_uniform((100, 4, 4, 3), (0, 7))
        >>> changed = published_jitter()(images, (0, 7)).numpy()
        >>> bool(0 <= changed.min() and changed.max() <= 1)
        True
    """
    spreads = (brightness, contrast, saturation)

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        draws = [_uniform(images, seed, i) for i in range(8)]
        # of hue the factor is 1
        factors = [
            1 + x * draw for x, draw in zip((*spreads, 0.0), draws, strict=False)
        ]
        factors, turn = tf.stack(factors, axis=1), hue * draws[3]
        order = tf.argsort(tf.stack(draws[4:], axis=1), axis=1)  # (n, 4)
        for position in range(4):
            which = order[:, position]
            factor = tf.gather(factors, which, batch_dims=1)[:, None, None, None]
            now = which[:, None, None, None]
            grey = tf.reduce_sum(images * tf.constant(LUMA), axis=-1, keepdims=True)
            mean = tf.reduce_mean(grey, axis=(1, 2), keepdims=True)
            about = tf.where(now == 0, 0.0, tf.where(now == 1, mean, grey))
            images = tf.clip_by_value(about + (images - about) * factor, 0.0, 1.0)
            turned = tf.where(which == 3)
            moved = _turn_hue(tf.gather_nd(images, turned), tf.gather_nd(turn, turned))
            images = tf.tensor_scatter_nd_update(images, turned, moved)
        return images

    return apply


def of_colours(augment: Transform) -> Transform:
    """Applies to the first three channels alone; infrared, the fourth, stays.

    Examples:
        >>> from iic_tf.augment.transforms import of_colours
        >>> blacken = of_colours(lambda images, seed: 0 * images)
        >>> pixel = tf.constant([[[[0.25, 0.5, 0.75, 1.0]]]])
        >>> print(blacken(pixel, (0, 7)).numpy().ravel())
        [0. 0. 0. 1.]
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        colours = augment(images[..., :3], seed)
        return tf.concat((colours, images[..., 3:]), axis=-1)

    return apply


def to_grey(*, keep_colour: bool = False) -> Transform:
    """Grey values of colour images.

    Args:
        keep_colour: Whether R, G, B stay, before the grey: four channels.

    Examples:
        >>> from iic_tf.augment.transforms import to_grey
        >>> red = tf.constant([[[[1.0, 0.0, 0.0]]]])
        >>> print(to_grey()(red, (0, 7)).numpy().ravel().round(3))
        [0.299]
        >>> print(to_grey(keep_colour=True)(red, (0, 7)).numpy().ravel().round(3))
        [1.    0.    0.    0.299]
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        grey = tf.reduce_sum(images * tf.constant(LUMA), axis=-1, keepdims=True)
        return tf.concat((images, grey), axis=-1) if keep_colour else grey

    return apply


def cutout(
    probability: float = 0.5, sides: tuple[float, float] = (0.2, 0.7)
) -> Transform:
    """Blackens a square that lies within the image.

    Args:
        probability: Share of images with one.
        sides: Range of its side as a fraction of the image's shorter side.

    Examples:
        >>> from iic_tf.augment.transforms import cutout
        >>> cut = cutout(1.0, (0.5, 0.5))(tf.ones((1, 8, 8, 1)), (0, 7))
        >>> int(tf.reduce_sum(1 - cut))  # a square of 4×4
        16
    """

    def apply(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        half = _uniform(images, seed, 0, *sides) * min(height, width) / 2
        chosen = _uniform(images, seed, 1, 0, 1) < probability
        inside = chosen[:, None, None]
        for axis, side in ((2, height), (3, width)):
            place = half + _uniform(images, seed, axis, 0, 1) * (side - 2 * half)
            at = tf.range(side, dtype=tf.float32) + 0.5
            near = tf.abs(at - place[:, None]) <= half[:, None]
            inside &= near[:, :, None] if axis == 2 else near[:, None, :]
        return tf.where(inside[..., None], 0.0, images)

    return apply
