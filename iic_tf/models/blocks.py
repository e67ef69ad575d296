"""Building blocks for backbones, as functions on Keras tensors.

``graphs.py`` is written in these and in ``keras.layers``. Every convolution starts from
an untruncated normal distribution (He et al., arXiv 1502.01852), as in the authors'
networks: of variance 2 / fan-in in plain ones, of 2 / fan-out in residual ones.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.distribute import num_replicas

MAX_ENTRIES = 12_000_000
"""Convolutions of small maps are matrices of at most so many entries."""

Start = str | dict[str, Any] | None
"""An initialiser by name, or as Keras describes one; None for the usual."""


def he_normal(mode: str = "fan_in") -> keras.initializers.Initializer:
    """Untruncated normal of variance 2 / fan; Keras's ``he_normal`` truncates.

    Args:
        mode: ``"fan_in"`` or ``"fan_out"``.

    Examples:
        >>> from iic_tf.models.blocks import he_normal
        >>> kernel = he_normal()((200, 3000))  # fan-in and fan-out of a matrix
        >>> round(float(keras.ops.std(kernel)), 2)  # √(2 / 200)
        0.1
    """
    return keras.initializers.VarianceScaling(2.0, mode, "untruncated_normal")


@keras.saving.register_keras_serializable(package="iic_tf")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation over all replicas, by the fused kernel on one device.

    Keras composes its batch normalisation of a dozen operations, which took a third of
    the small network's training step on a CPU (``benchmarks/train_step.py``). One
    replica uses TensorFlow's fused operation, several fall back to Keras's synchronised
    form; both see the statistics of the whole batch.

    Args:
        tracked: If false no running statistics are kept: evaluation normalises with
            the statistics of its own batch too, so predictions depend on the batch (the
            authors' ``batchnorm_track`` off, reference runs 685 and 640).
        momentum: Share of the running statistics kept at each update.
        epsilon: Added to the variance.
        **kwargs: Passed to ``keras.layers.BatchNormalization``.

    Examples:
        >>> from iic_tf import BatchNorm
        >>> norm = BatchNorm()
        >>> print(norm(np.array([[0.0], [4.0]]), training=True).numpy().round(3))
        [[-1.]
         [ 1.]]
        >>> print(norm.moving_mean.numpy().round(3))  # a tenth of the way to the mean
        [0.2]
    """

    def __init__(
        self,
        *,
        tracked: bool = True,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ):
        kwargs.setdefault("synchronized", True)
        # with momentum 1 the running statistics stay what they were
        momentum = momentum if tracked else 1.0
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        self.tracked = tracked

    def call(
        self,
        inputs: tf.Tensor,
        training: bool | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Normalises the last axis of ``(n, height, width, c)`` or ``(n, c)``."""
        training = bool(training) or not self.tracked
        symbolic = isinstance(inputs, keras.KerasTensor)
        if symbolic or len(inputs.shape) != 4 or (training and num_replicas() > 1):
            return super().call(inputs, training=training, mask=mask)
        ones = tf.ones_like(self.moving_mean)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            self.gamma.value if self.scale else ones,
            self.beta.value if self.center else tf.zeros_like(ones),
            mean=None if training else tf.convert_to_tensor(self.moving_mean),
            variance=None if training else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # the kernel returns the unbiased variance, Keras keeps the biased one
            n = tf.cast(tf.size(inputs), variance.dtype) / inputs.shape[-1]
            variance *= (n - 1) / n
            for running, batch in (
                (self.moving_mean, mean),
                (self.moving_variance, variance),
            ):
                running.assign(running * self.momentum + batch * (1.0 - self.momentum))
        return outputs

    def get_config(self) -> dict:
        """The arguments needed to build the layer again."""
        return {**super().get_config(), "tracked": self.tracked}


@keras.saving.register_keras_serializable(package="iic_tf")
class Conv2D(keras.layers.Conv2D):
    """Convolution that is one matrix product where maps are as small as its kernel.

    A 5×5 kernel on a 4×4 map with "same" padding connects three quarters of all pairs
    of pixels, each by one entry of the kernel. As a matrix between all pixels the layer
    needs 16·16 products per pair of channels instead of 16·25, half of which meet only
    padding, and takes as little as a sixth of the time for a batch of hundreds
    (``benchmarks/small_maps.py``). One image alone takes some milliseconds longer, for
    the matrix is made in every call. Values are those of ``keras.layers.Conv2D``, whose
    arguments it takes.

    Examples:
        >>> from iic_tf.models.blocks import Conv2D
        >>> layer = Conv2D(1, 5, padding="same", kernel_initializer="ones")
        >>> print(layer(np.ones((1, 3, 3, 1)))[0, ..., 0].numpy())  # each sees all nine
        [[9. 9. 9.]
         [9. 9. 9.]
         [9. 9. 9.]]
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolves; called by Keras, which adds bias and activation."""
        sides, channels = inputs.shape[1:3], inputs.shape[3]
        if not (
            self.padding == "same"
            and self.data_format == "channels_last"
            and self.strides == self.dilation_rate == (1, 1)
            and self.groups == 1
            and is_small(sides, self.kernel_size, dtype=kernel.dtype)
            and np.prod(sides) ** 2 * self._most_per_pair(channels) <= MAX_ENTRIES
        ):
            return super().convolution_op(inputs, kernel)
        pixels = int(np.prod(sides))
        link = tf.constant(linked(tuple(sides), self.kernel_size), kernel.dtype)
        # by a product: its gradient is another one, that of slices is slow
        entries = tf.matmul(link, tf.reshape(kernel, (link.shape[1], -1)))
        entries = tf.reshape(entries, (pixels, pixels, channels, self.filters))
        matrix = tf.reshape(
            tf.transpose(entries, (0, 2, 1, 3)),
            (pixels * channels, pixels * self.filters),
        )
        outputs = tf.matmul(tf.reshape(inputs, (-1, pixels * channels)), matrix)
        return tf.reshape(outputs, (-1, *sides, self.filters))

    def _most_per_pair(self, channels: int) -> int:
        """Entries of a matrix that belong to a pair of pixels, while it is made."""
        return max(channels * self.filters, int(np.prod(self.kernel_size)))


def is_small(
    sides: Sequence[int | None], kernel: Sequence[int], *, dtype: tf.DType
) -> bool:
    """Whether convolving a batch is slower than a product with all pixels of a map.

    Args:
        sides: Height and width of the map; None if they are not known.
        kernel: Height and width of the kernel. Even ones are left to convolutions.
        dtype: Of the products: convolutions in bfloat16 gain less over float32 than
            matrix products do.

    Examples:
        >>> from iic_tf.models.blocks import is_small
        >>> is_small((4, 4), (5, 5), dtype=tf.float32)
        True
        >>> [is_small((5, 5), (5, 5), dtype=kind) for kind in (tf.float32, tf.bfloat16)]
        [False, True]
    """
    below = 0 if dtype == tf.bfloat16 else 1
    return all(
        side is not None and reach % 2 == 1 and side <= reach - below
        for side, reach in zip(sides, kernel, strict=True)
    )


@lru_cache(maxsize=32)
def linked(sides: tuple[int, int], kernel: tuple[int, int]) -> np.ndarray:
    """Which entry of a kernel is between two pixels of a map.

    Args:
        sides: Height and width of the map.
        kernel: Height and width of the kernel, both odd.

    Returns:
        0 or 1, shape ``(pixels², entries)``; rows are an input and an output pixel.

    Examples:
        >>> from iic_tf.models.blocks import linked
        >>> print(linked((1, 2), (1, 3)))  # the middle is between a pixel and itself
        [[0. 1. 0.]
         [1. 0. 0.]
         [0. 0. 1.]
         [0. 1. 0.]]
    """
    (height, width), middle = sides, [side // 2 for side in kernel]
    link = np.zeros((height, width, height, width, *kernel), np.float32)
    for y, x, v, u in np.ndindex(link.shape[:4]):
        row, column = y - v + middle[0], x - u + middle[1]
        if 0 <= row < kernel[0] and 0 <= column < kernel[1]:
            link[y, x, v, u, row, column] = 1
    return link.reshape((height * width) ** 2, -1)


def conv_bn_relu(
    x: keras.KerasTensor,
    filters: int,
    *,
    kernel: int,
    name: str,
    tracked: bool = True,
    dilation: int = 1,
    padding: str = "same",
    initializer: Start = None,
) -> keras.KerasTensor:
    """Convolution without bias, batch normalisation, ReLU.

    Args:
        x: Shape ``(n, height, width, c)``.
        filters: Number of output channels.
        kernel: Side of the square kernel in pixels.
        name: Prefix of the three layers' names.
        tracked: See ``BatchNorm``.
        dilation: Pixels between the taps of the kernel.
        padding: ``"same"`` or ``"valid"``.
        initializer: Of the weights; He-normal if None.

    Returns:
        Shape ``(n, height, width, filters)``.

    Examples:
        >>> from iic_tf.models.blocks import conv_bn_relu
        >>> images = keras.Input((24, 24, 1))
        >>> conv_bn_relu(images, 16, kernel=5, name="stage1").shape
        (None, 24, 24, 16)
    """
    x = Conv2D(
        filters,
        kernel,
        padding=padding,
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer=initializer or he_normal(),
        name=f"{name}_conv",
    )(x)
    x = BatchNorm(tracked=tracked, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def pad_conv(
    x: keras.KerasTensor,
    filters: int,
    *,
    kernel: int,
    stride: int = 1,
    name: str,
    initializer: Start = None,
) -> keras.KerasTensor:
    """Convolution without bias in residual networks: He-normal by fan-out.

    Pads evenly on all sides, as PyTorch does; Keras's "same" pads an even map of stride
    2 on one side only.

    Args:
        x: Shape ``(n, height, width, c)``.
        filters: Number of output channels.
        kernel: Side of the square kernel in pixels, odd.
        stride: Step between output pixels.
        name: Name of the layer.
        initializer: Of the weights, in place of He-normal.

    Examples:
        >>> from iic_tf.models.blocks import pad_conv
        >>> images = keras.Input((24, 24, 1))
        >>> pad_conv(images, 16, kernel=3, stride=2, name="conv").shape
        (None, 12, 12, 16)
    """
    if kernel > 1 and stride > 1:
        x = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    return Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        use_bias=False,
        kernel_initializer=initializer or he_normal("fan_out"),
        name=name,
    )(x)


def basic_block(
    x: keras.KerasTensor,
    filters: int,
    *,
    stride: int = 1,
    name: str,
    tracked: bool = True,
    initializer: Start = None,
) -> keras.KerasTensor:
    """Residual block of two 3×3 convolutions (ResNet-18 and -34, arXiv 1512.03385).

    The shortcut is the input, or where the shape changes a 1×1 convolution of it with
    batch normalisation.

    Args:
        x: Shape ``(n, height, width, c)``.
        filters: Number of output channels.
        stride: Of the first convolution and the shortcut.
        name: Prefix of the layers' names.
        tracked: See ``BatchNorm``.
        initializer: See ``pad_conv``.

    Examples:
        >>> from iic_tf.models.blocks import basic_block
        >>> maps = keras.Input((24, 24, 8))
        >>> basic_block(maps, 16, stride=2, name="block").shape
        (None, 12, 12, 16)
    """
    how: dict[str, Any] = {"initializer": initializer}
    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = pad_conv(
            x, filters, kernel=1, stride=stride, name=f"{name}_short_conv", **how
        )
        shortcut = BatchNorm(tracked=tracked, name=f"{name}_short_bn")(shortcut)
    x = pad_conv(x, filters, kernel=3, stride=stride, name=f"{name}_conv1", **how)
    x = BatchNorm(tracked=tracked, name=f"{name}_bn1")(x)
    x = keras.layers.ReLU(name=f"{name}_relu1")(x)
    x = pad_conv(x, filters, kernel=3, name=f"{name}_conv2", **how)
    x = BatchNorm(tracked=tracked, name=f"{name}_bn2")(x)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu2")(x)


def basic_stages(
    x: keras.KerasTensor,
    depths: tuple[int, ...],
    *,
    tracked: bool = True,
    initializer: Start = None,
) -> keras.KerasTensor:
    """Stages of basic blocks with 64, 128, 256, … channels, halving from the second on.

    Args:
        x: Shape ``(n, height, width, c)``.
        depths: Blocks per stage.
        tracked: See ``BatchNorm``.
        initializer: See ``pad_conv``.

    Examples:
        >>> from iic_tf.models.blocks import basic_stages
        >>> maps = keras.Input((24, 24, 64))
        >>> basic_stages(maps, (1, 1)).shape  # twice the channels, half the sides
        (None, 12, 12, 128)
    """
    for stage, depth in enumerate(depths):
        for block in range(depth):
            x = basic_block(
                x,
                64 * 2**stage,
                stride=2 if stage and not block else 1,
                name=f"stage{stage + 1}_{block + 1}",
                tracked=tracked,
                initializer=initializer,
            )
    return x


@keras.saving.register_keras_serializable(package="iic_tf")
class Sobel(keras.layers.Layer):
    """Edges instead of grey values, computed on the accelerator (paper, section 4.1).

    The last channels of the input are grey values in [0, 1] and, with ``infrared``,
    infrared; before them there may be R, G, B. Grey becomes two channels, its slopes
    along x and y by 3×3 Sobel kernels with zero padding; the others pass: 1 to 2
    channels, RGB and grey to 5, grey and infrared to 3, all to 6.

    Args:
        infrared: Whether the last channel is infrared and grey the one before.
        **kwargs: Passed to ``keras.layers.Layer``.

    Examples:
        >>> from iic_tf.models.blocks import Sobel
        >>> grey = np.tile([0.0, 0.1, 0.2], (3, 1))[None, ..., None]
        >>> print(Sobel()(grey)[0, 1, 1].numpy().round(3))  # brighter along x alone
        [-0.8  0. ]
    """

    def __init__(self, *, infrared: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.infrared = infrared

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Slopes in place of grey: ``(n, height, width, c)`` to ``(…, c + 1)``."""
        grey = images.shape[-1] - (2 if self.infrared else 1)
        right = tf.constant([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], images.dtype)
        kernel = tf.stack((right, tf.transpose(right)), axis=-1)[:, :, None]
        slopes = tf.nn.conv2d(images[..., grey : grey + 1], kernel, 1, "SAME")
        return tf.concat((images[..., :grey], slopes, images[..., grey + 1 :]), axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """One channel more."""
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self) -> dict:
        """The arguments needed to build the layer again."""
        return {**super().get_config(), "infrared": self.infrared}


def dense_bn_relu(x: keras.KerasTensor, units: int, *, name: str) -> keras.KerasTensor:
    """Dense layer drawn from N(0, 0.01), batch normalisation, ReLU.

    Args:
        x: Shape ``(n, features)``.
        units: Number of outputs.
        name: Prefix of the three layers' names.

    Returns:
        Shape ``(n, units)``.

    Examples:
        >>> from iic_tf.models.blocks import dense_bn_relu
        >>> dense_bn_relu(keras.Input((8,)), 4, name="dense1").shape
        (None, 4)
    """
    x = keras.layers.Dense(
        units,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        name=f"{name}_dense",
    )(x)
    x = BatchNorm(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
