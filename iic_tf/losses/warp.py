"""Moves label maps back to where their originals lie, differentiably.

TensorFlow's own projective transform has the gradient of the opposite transform, which
is that of its values for rotations and mirrors only; reading four pixels each has the
right one for every matrix.
"""

import tensorflow as tf


def warp(maps: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Reads each pixel of the result elsewhere: bilinear, zeros outside.

    Coordinates run from -1, the middle of the first pixel of an axis, to 1, the middle
    of the last (PyTorch's ``align_corners=True``; reference section 1.6).

    Args:
        maps: Shape ``(n, height, width, ...)``.
        matrix: For each map the affine matrix from a place in the result to the one
            that is read, rows x and y, columns x, y and 1, shape ``(n, 2, 3)``.

    Returns:
        Same shape as ``maps``.

    Examples:
        >>> from iic_tf import warp
        >>> row = tf.constant([[[5.0, 6.0, 7.0]]])
        >>> one_to_the_right = tf.constant([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
        >>> print(warp(row, one_to_the_right).numpy())
        [[[6. 7. 0.]]]
    """
    height, width = maps.shape[1:3]
    y, x = tf.meshgrid(
        tf.linspace(-1.0, 1.0, height), tf.linspace(-1.0, 1.0, width), indexing="ij"
    )
    places = tf.stack((x, y, tf.ones_like(x)), axis=-1)  # (height, width, 3)
    read = tf.einsum("yxc,ndc->nyxd", places, matrix)
    scale = tf.constant([width - 1, height - 1], tf.float32) / 2
    read = (read + 1) * scale  # in pixels
    corner = tf.floor(read)
    part = read - corner
    corner = tf.cast(corner, tf.int32)

    flat = tf.reshape(maps, (-1, maps.shape[1:].num_elements() // (height * width)))
    first = tf.range(tf.shape(maps)[0])[:, None, None] * (height * width)
    total = tf.zeros((), maps.dtype)
    for down in (0, 1):
        for right in (0, 1):
            column, row = corner[..., 0] + right, corner[..., 1] + down
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            weight_x = part[..., 0] if right else 1 - part[..., 0]
            weight_y = part[..., 1] if down else 1 - part[..., 1]
            weight = tf.where(inside, weight_x * weight_y, 0.0)
            index = first + row * width + column
            found = tf.gather(flat, tf.where(inside, index, 0))
            total += tf.cast(weight, maps.dtype)[..., None] * found
    return tf.reshape(total, tf.shape(maps))
