"""Networks whose backbone begins with a frozen trunk, so that they take images.

Such a run is trained on the features that the trunk has of its images, computed once.
The network that is saved has the trunk in front, and is split there to be applied.
"""

import keras
import numpy as np
from keras import layers

from iic_tf.errors import require
from iic_tf.models.networks import ClusterIIC

TRUNK, HEAD = "frozen_trunk", "head_on_trunk"
"""Names of the two parts of such a backbone."""


def as_trunk(backbone: keras.Model, *, size: int, channels: int) -> keras.Model:
    """A network from images of any height and width to features.

    Args:
        backbone: From images in [0, 1] to features, or to maps of features, which are
            averaged; if it takes one size only, images are brought to that one.
        size: Side in pixels that images are resized to otherwise.
        channels: Of the images; grey ones are repeated for a network of colours.

    Raises:
        UserError: If it is not a network of such images.

    Examples:
        >>> from iic_tf.models.frozen import as_trunk
        >>> frozen = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
        >>> trunk = as_trunk(frozen, size=32, channels=1)
        >>> print(trunk(np.zeros((2, 50, 40, 1))).shape)  # grey, of another size
        (2, 192)
        >>> trunk.trainable
        False
    """
    shape: tuple[int | None, ...] = getattr(backbone, "input_shape", ())
    require(
        len(shape) == 4
        and (shape[-1] in (None, channels) or channels == 1)
        and len(backbone.output_shape) in (2, 4),
        f"the frozen network must take images of {channels} "
        f"channel{'s' * (channels > 1)} and return a vector or a map of features",
        input_shape=shape,
    )
    height, width, expected = shape[1:]
    images = keras.Input((None, None, channels), name="images")
    x = layers.Resizing(height or size, width or size, antialias=True, name="resized")(
        images
    )
    if expected not in (None, channels):
        x = layers.Concatenate(name="repeated")([x] * expected)
    x = backbone(x)
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="averaged")(x)
    trunk = keras.Model(images, x, name=TRUNK)
    trunk.trainable = False
    return trunk


def behind_trunk(trunk: keras.Model, network: ClusterIIC) -> ClusterIIC:
    """The network of a trunk's images; all weights are shared.

    Args:
        trunk: See ``as_trunk``.
        network: Trained on its features.

    Examples:
        >>> from iic_tf import ClusterIIC
        >>> from iic_tf.models.frozen import as_trunk, behind_trunk
        >>> frozen = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> trunk = as_trunk(frozen, size=8, channels=1)
        >>> head = keras.Sequential([keras.Input((64,)), keras.layers.Dense(8)])
        >>> network = behind_trunk(trunk, ClusterIIC.create(head, k=10, k_aux=50))
        >>> print(network(np.zeros((2, 8, 8, 1)))["main"].shape)
        (2, 5, 10)
    """
    parts = network.backbone
    head = keras.Model(parts.inputs, parts.outputs, name=HEAD)
    images = keras.Input(trunk.input_shape[1:], name="images")
    backbone = keras.Model(images, head(trunk(images)), name="frozen")
    return ClusterIIC(backbone, network.main, network.aux)


def split_at_trunk(network: ClusterIIC) -> tuple[keras.Model, ClusterIIC] | None:
    """Trunk and network of its features, which share all weights; None without trunk.

    Args:
        network: Perhaps from ``behind_trunk``.

    Examples:
        >>> from iic_tf import ClusterIIC
        >>> from iic_tf.models.frozen import as_trunk, behind_trunk, split_at_trunk
        >>> frozen = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> trunk = as_trunk(frozen, size=8, channels=1)
        >>> head = keras.Sequential([keras.Input((64,)), keras.layers.Dense(8)])
        >>> network = ClusterIIC.create(head, k=10, k_aux=50)
        >>> split_at_trunk(network) is None
        True
        >>> first, second = split_at_trunk(behind_trunk(trunk, network))
        >>> first is trunk, second.main is network.main
        (True, True)
    """
    parts = {layer.name: layer for layer in network.backbone.layers}
    if not {TRUNK, HEAD} <= set(parts):
        return None
    return parts[TRUNK], ClusterIIC(parts[HEAD], network.main, network.aux)


def require_channels(trunk: keras.Model, images: np.ndarray) -> None:
    """Raises UserError unless images are of a kind that a trunk takes.

    Examples:
        >>> from iic_tf.models.frozen import as_trunk, require_channels
        >>> frozen = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> trunk = as_trunk(frozen, size=8, channels=1)
        >>> require_channels(trunk, np.zeros((5, 8, 8, 1)))
        >>> require_channels(trunk, np.zeros((5, 8, 8, 3)))
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: the model expects images of 1 channel; the images ...
    """
    channels = trunk.input_shape[-1]
    require(
        images.ndim == 4 and images.shape[-1] == channels,
        f"the model expects images of {channels} channel{'s' * (channels > 1)}; the "
        "images must match",
        shape=images.shape[1:],
    )
