"""Named backbones: open this file, copy one, change it, use it by name.

A backbone is a function of the image shape that returns a Keras model from images
``(n, height, width, channels)`` in [0, 1] to features ``(n, d)``. It knows nothing of
sub-heads. To add one, write the function, list it in ``GRAPHS`` at the end, and run
``python models_iic.py --graph.name your_name``; its keyword arguments become options,
as in ``--graph.args.fan_out_init 32``. A backbone for segmentation returns feature maps
``(n, rows, columns, d)`` for images of any height and width and is listed in
``SEGMENT_GRAPHS``. An autoencoder returns images of the shape that it takes, has a
layer named ``latent``, and is listed in ``AUTOENCODERS``.
"""

import inspect
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from iic_tf.errors import UserError, first_line, require
from iic_tf.models.blocks import (
    BatchNorm,
    Conv2D,
    Sobel,
    Start,
    basic_stages,
    conv_bn_relu,
    he_normal,
    pad_conv,
)
from iic_tf.models.tokens import build_layers
from iic_tf.options import check_arguments


def small(
    image_shape: tuple[int, int, int],
    *,
    fan_out_init: int = 16,
    kernel: int = 5,
    stages: int | None = None,
    initializer: Start = None,
) -> keras.Model:
    """Network 6c at a quarter of its width: the default, small enough for a CPU.

    Args:
        image_shape: Height, width and channels.
        fan_out_init: Channels of the first convolution; each stage doubles them.
        kernel: Side of the convolution kernels in pixels.
        stages: Convolutions, with pooling in between; default: as many as leave a
            feature map of 3 to 5 pixels a side (4 for 24×24, 5 for 48×48).
        initializer: Of the weights, as in GlorotNormal; default: He-normal.

    Examples:
        >>> import graphs
        >>> graphs.small((24, 24, 1)).output_shape  # 3 · 3 · 128
        (None, 1152)
        >>> graphs.small((48, 48, 3)).output_shape  # one stage more
        (None, 2304)
    """
    require(
        stages is None or stages >= 1,
        "graph.args.stages must be at least 1",
        stages=stages,
    )
    if stages is None:
        stages = max(1 + int(math.log2(min(image_shape[:2]) / 3)), 2)
    images = x = keras.Input(image_shape, name="images")
    for stage in range(stages):
        x = conv_bn_relu(x, fan_out_init * 2**stage, kernel=kernel,
                         name=f"stage{stage + 1}", initializer=initializer)  # fmt: skip
        if stage < stages - 1:
            x = layers.MaxPooling2D(name=f"pool{stage + 1}")(x)
    return keras.Model(images, layers.Flatten(name="features")(x), name="small")


def network_6c(
    image_shape: tuple[int, int, int],
    *,
    tracked: bool = True,
    initializer: Start = None,
) -> keras.Model:
    """ClusterNet6c, "network B" of the paper, which the authors use for MNIST.

    4,304,320 parameters for one channel; a 24×24 input gives 4,608 features.

    Args:
        image_shape: Height, width and channels.
        tracked: Keep running statistics in batch normalisation. The published MNIST
            run keeps none.
        initializer: Of the weights, as in GlorotNormal; default: He-normal.

    Examples:
        >>> import graphs
        >>> backbone = graphs.network_6c((24, 24, 1))
        >>> backbone.output_shape
        (None, 4608)
        >>> sum(int(np.prod(weight.shape)) for weight in backbone.trainable_weights)
        4304320
    """
    images = x = keras.Input(image_shape, name="images")
    how: dict[str, Any] = {"tracked": tracked, "initializer": initializer}
    for stage, filters in enumerate((64, 128, 256, 512), start=1):
        x = conv_bn_relu(x, filters, kernel=5, name=f"stage{stage}", **how)
        if stage < 4:
            x = layers.MaxPooling2D(name=f"pool{stage}")(x)
    return keras.Model(images, layers.Flatten(name="features")(x), name="network_6c")


def network_5g(
    image_shape: tuple[int, int, int],
    *,
    tracked: bool = True,
    initializer: Start = None,
) -> keras.Model:
    """ClusterNet5g, "network A" of the paper: a ResNet-34 for CIFAR and STL-10.

    21,276,416 parameters for two channels; 512 features from images of any side.

    Args:
        image_shape: Height, width and channels.
        tracked: Keep running statistics in batch normalisation. The published CIFAR-10
            run keeps none.
        initializer: Of the weights, as in GlorotNormal; default: He-normal.

    Examples:
        >>> import graphs
        >>> backbone = graphs.network_5g((32, 32, 2))
        >>> backbone.output_shape
        (None, 512)
        >>> sum(int(np.prod(weight.shape)) for weight in backbone.trainable_weights)
        21276416
    """
    images = keras.Input(image_shape, name="images")
    x = pad_conv(images, 64, kernel=3, name="stem_conv", initializer=initializer)
    x = BatchNorm(tracked=tracked, name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.ZeroPadding2D(1, name="stem_pad")(x)  # zeros lose to ReLU's outputs
    x = layers.MaxPooling2D(name="stem_pool")(x)
    x = basic_stages(x, (3, 4, 6, 3), tracked=tracked, initializer=initializer)
    features = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(images, features, name="network_5g")


def network_10a(
    image_shape: tuple[int | None, int | None, int],
    *,
    tracked: bool = True,
    initializer: Start = None,
) -> keras.Model:
    """SegmentationNet10a, for label maps: features of every second pixel.

    4,503,744 parameters for five channels. As published, the two dilated convolutions
    lose two pixels each, and a ring of zeros is put around the maps, where sub-heads
    without biases are undecided.

    Args:
        image_shape: Height, width and channels; sides may be None.
        tracked: Keep running statistics in batch normalisation.
        initializer: Of the weights, as in GlorotNormal; default: He-normal.

    Examples:
        >>> import graphs
        >>> backbone = graphs.network_10a((None, None, 5))
        >>> backbone.output_shape
        (None, None, None, 512)
        >>> sum(int(np.prod(weight.shape)) for weight in backbone.trainable_weights)
        4503744
        >>> backbone.compute_output_shape((1, 128, 96, 5))
        (1, 62, 46, 512)
    """
    images = x = keras.Input(image_shape, name="images")
    how: dict[str, Any] = {"tracked": tracked, "initializer": initializer}
    for stage, filters in enumerate((64, 128, 256, 256), start=1):
        x = conv_bn_relu(x, filters, kernel=3, name=f"stage{stage}", **how)
        if stage == 2:
            x = layers.MaxPooling2D(name="pool")(x)
    for stage in (5, 6):
        x = layers.ZeroPadding2D(1, name=f"stage{stage}_pad")(x)
        x = conv_bn_relu(x, 512, kernel=3, dilation=2, padding="valid",
                         name=f"stage{stage}", **how)  # fmt: skip
    x = layers.ZeroPadding2D(1, name="features")(x)
    return keras.Model(images, x, name="network_10a")


def small_segment(
    image_shape: tuple[int | None, int | None, int],
    *,
    fan_out_init: int = 32,
    initializer: Start = None,
) -> keras.Model:
    """For label maps where there is only a CPU: features of every fourth pixel.

    Args:
        image_shape: Height, width and channels; sides may be None.
        fan_out_init: Channels of the first convolution; each stage doubles them.
        initializer: Of the weights, as in GlorotNormal; default: He-normal.

    Examples:
        >>> import graphs
        >>> backbone = graphs.small_segment((None, None, 3))
        >>> backbone.compute_output_shape((1, 64, 96, 3))
        (1, 16, 24, 128)
    """
    images = x = keras.Input(image_shape, name="images")
    for stage in range(3):
        x = conv_bn_relu(x, fan_out_init * 2**stage, kernel=3,
                         name=f"stage{stage + 1}", initializer=initializer)  # fmt: skip
        if stage < 2:
            x = layers.MaxPooling2D(name=f"pool{stage + 1}")(x)
    x = conv_bn_relu(x, 4 * fan_out_init, kernel=3, dilation=2, name="stage4",
                     initializer=initializer)  # fmt: skip
    return keras.Model(images, x, name="small_segment")


def _resnet(
    depths: tuple[int, ...],
    image_shape: tuple[int, int, int],
    *,
    name: str,
    initializer: Start,
) -> keras.Model:
    """ResNet of basic blocks with the stem for photographs: 7×7, stride 2, pool."""
    images = keras.Input(image_shape, name="images")
    x = pad_conv(images, 64, kernel=7, stride=2, name="stem_conv",
                 initializer=initializer)  # fmt: skip
    x = BatchNorm(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.ZeroPadding2D(1, name="stem_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    x = basic_stages(x, depths, initializer=initializer)
    features = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(images, features, name=name)


def resnet_18(
    image_shape: tuple[int, int, int], *, initializer: Start = None
) -> keras.Model:
    """ResNet-18 (arXiv 1512.03385), for any number of channels, as in the tutorial.

    11,170,240 parameters for one channel, 512 features.

    Args:
        image_shape: Height, width and channels.
        initializer: Of the weights, as in GlorotNormal; default: He-normal.

    Examples:
        >>> import graphs
        >>> backbone = graphs.resnet_18((32, 32, 1))
        >>> backbone.output_shape
        (None, 512)
        >>> sum(int(np.prod(weight.shape)) for weight in backbone.trainable_weights)
        11170240
    """
    return _resnet((2, 2, 2, 2), image_shape, name="resnet_18", initializer=initializer)


def resnet_34(
    image_shape: tuple[int, int, int], *, initializer: Start = None
) -> keras.Model:
    """ResNet-34 (arXiv 1512.03385), for any number of channels; 512 features.

    Args:
        image_shape: Height, width and channels.
        initializer: Of the weights, as in GlorotNormal; default: He-normal.

    Examples:
        >>> import graphs
        >>> graphs.resnet_34((64, 64, 3)).output_shape
        (None, 512)
    """
    return _resnet((3, 4, 6, 3), image_shape, name="resnet_34", initializer=initializer)


def _level(x: keras.KerasTensor) -> keras.KerasTensor:
    """Features, or channels, of any scale brought to one."""
    level = BatchNorm(
        epsilon=1e-10, center=False, scale=False, dtype="float32", name="level"
    )
    return level(x)


def mlp(
    image_shape: tuple[int, ...], *, widths: tuple[int, ...] = (512, 256)
) -> keras.Model:
    """Dense layers for vectors; images are flattened.

    Args:
        image_shape: Shape of one example, ``(d,)`` for vectors.
        widths: Units of each layer.

    Examples:
        >>> import graphs
        >>> graphs.mlp((20,)).output_shape
        (None, 256)
        >>> graphs.mlp((8, 8, 1), widths=(32,)).output_shape
        (None, 32)
    """
    images = keras.Input(image_shape, name="images")
    x = _level(images)
    x = layers.Flatten(name="flatten")(x)
    for i, width in enumerate(widths):
        x = layers.Dense(width, use_bias=False, kernel_initializer=he_normal(),
                         name=f"dense{i + 1}")(x)  # fmt: skip
        x = BatchNorm(name=f"bn{i + 1}")(x)
        x = layers.ReLU(name=f"relu{i + 1}")(x)
    return keras.Model(images, x, name="mlp")


def series(
    image_shape: tuple[int, int], *, fan_out_init: int = 32, kernel: int = 7
) -> keras.Model:
    """Convolutions along time for series of measurements.

    Args:
        image_shape: Length and channels.
        fan_out_init: Channels of the first convolution; each stage doubles them.
        kernel: Length of the kernels.

    Examples:
        >>> import graphs
        >>> graphs.series((100, 3)).output_shape  # a mean over time
        (None, 128)
    """
    steps = keras.Input(image_shape, name="images")
    x = _level(steps)
    for stage in range(3):
        x = layers.Conv1D(fan_out_init * 2**stage, kernel, padding="same",
                          use_bias=False, kernel_initializer=he_normal(),
                          name=f"stage{stage + 1}_conv")(x)  # fmt: skip
        x = BatchNorm(name=f"stage{stage + 1}_bn")(x)
        x = layers.ReLU(name=f"stage{stage + 1}_relu")(x)
        if stage < 2:
            x = layers.MaxPooling1D(name=f"pool{stage + 1}")(x)
    features = layers.GlobalAveragePooling1D(name="features")(x)
    return keras.Model(steps, features, name="series")


def _norm_relu_of_port(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Batch normalisation of the TensorFlow 1 port, slow, without scale; and ReLU."""
    x = BatchNorm(momentum=0.999, epsilon=1e-3, scale=False, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _conv_of_port(
    x: keras.KerasTensor, filters: int, *, kernel: int, batch_norm: bool, name: str
) -> keras.KerasTensor:
    """Convolution of the TensorFlow 1 port: with biases, from He-uniform weights.

    Args:
        x: Shape ``(n, height, width, c)``.
        filters: Number of output channels.
        kernel: Side of the square kernel in pixels.
        batch_norm: Normalise before the ReLU.
        name: Prefix of the layers' names.
    """
    x = Conv2D(filters, kernel, padding="same", kernel_initializer="he_uniform",
               name=f"{name}_conv")(x)  # fmt: skip
    if batch_norm:
        return _norm_relu_of_port(x, name=name)
    return layers.ReLU(name=f"{name}_relu")(x)


def graph_b(
    image_shape: tuple[int, int, int],
    *,
    fan_out_init: int = 64,
    batch_norm: bool = True,
) -> keras.Model:
    """Configuration B of the TensorFlow 1 port of IIC.

    Like 6c but with biases, He-uniform weights and a batch normalisation that is slow
    (momentum 0.999) and has no scale.

    Args:
        image_shape: Height, width and channels.
        fan_out_init: Channels of the first convolution; each stage doubles them.
        batch_norm: Normalise after each convolution.

    Examples:
        >>> import graphs
        >>> graphs.graph_b((24, 24, 1), fan_out_init=16).output_shape
        (None, 1152)
    """
    images = x = keras.Input(image_shape, name="images")
    for stage in range(4):
        x = _conv_of_port(x, fan_out_init * 2**stage, kernel=5, batch_norm=batch_norm,
                          name=f"stage{stage + 1}")  # fmt: skip
        if stage < 3:
            x = layers.MaxPooling2D(padding="same", name=f"pool{stage + 1}")(x)
    return keras.Model(images, layers.Flatten(name="features")(x), name="graph_b")


# Convolutions per stage, and the kernel side of a stage's third convolution.
_VGG = {
    "a": ((1, 1, 2, 2, 2), 3),
    "c": ((2, 2, 3, 3, 3), 1),
    "d": ((2, 2, 3, 3, 3), 3),
}


def _vgg(
    letter: str,
    image_shape: tuple[int, int, int],
    *,
    fan_out_init: int,
    batch_norm: bool,
) -> keras.Model:
    """VGG (arXiv 1409.1556) as in the TensorFlow 1 port: pools of 3×3, stride 2.

    Args:
        letter: Of its configuration.
        image_shape: Height, width and channels.
        fan_out_init: Channels of the first stage; the others have 2, 4, 8 and 8 times
            as many.
        batch_norm: Normalise after each convolution; dense layers always do.
    """
    depths, third_kernel = _VGG[letter]
    images = x = keras.Input(image_shape, name="images")
    for stage, (depth, times) in enumerate(
        zip(depths, (1, 2, 4, 8, 8), strict=True), start=1
    ):
        for i in range(depth):
            kernel = third_kernel if i == 2 else 3
            x = _conv_of_port(x, fan_out_init * times, kernel=kernel,
                              batch_norm=batch_norm,
                              name=f"stage{stage}_{i + 1}")  # fmt: skip
        x = layers.MaxPooling2D(3, 2, padding="same", name=f"pool{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    for i in range(3):
        start = keras.initializers.RandomNormal(stddev=0.01)
        x = layers.Dense(4096, kernel_initializer=start, name=f"dense{i + 1}_dense")(x)
        x = _norm_relu_of_port(x, name=f"dense{i + 1}")
    return keras.Model(images, x, name=f"vgg_{letter}")


def vgg_a(
    image_shape: tuple[int, int, int],
    *,
    fan_out_init: int = 64,
    batch_norm: bool = True,
) -> keras.Model:
    """VGG configuration A: 8 convolutions, three dense layers of 4,096.

    Examples:
        >>> import graphs
        >>> backbone = graphs.vgg_a((24, 24, 1), fan_out_init=4)
        >>> backbone.output_shape
        (None, 4096)
    """
    return _vgg("a", image_shape, fan_out_init=fan_out_init, batch_norm=batch_norm)


def vgg_c(
    image_shape: tuple[int, int, int],
    *,
    fan_out_init: int = 64,
    batch_norm: bool = True,
) -> keras.Model:
    """VGG configuration C: 13 convolutions, the last of stages 3 to 5 being 1×1.

    Examples:
        >>> import graphs
        >>> backbone = graphs.vgg_c((24, 24, 1), fan_out_init=4)
        >>> backbone.get_layer("stage3_3_conv").kernel_size
        (1, 1)
    """
    return _vgg("c", image_shape, fan_out_init=fan_out_init, batch_norm=batch_norm)


def vgg_d(
    image_shape: tuple[int, int, int],
    *,
    fan_out_init: int = 64,
    batch_norm: bool = True,
) -> keras.Model:
    """VGG configuration D: 13 convolutions of 3×3, three dense layers of 4,096.

    Examples:
        >>> import graphs
        >>> backbone = graphs.vgg_d((24, 24, 1), fan_out_init=4)
        >>> backbone.get_layer("stage3_3_conv").kernel_size
        (3, 3)
    """
    return _vgg("d", image_shape, fan_out_init=fan_out_init, batch_norm=batch_norm)


def _plain_vgg(
    depths: tuple[int, ...],
    image_shape: tuple[int, int, int],
    *,
    name: str,
    initializer: Start,
) -> keras.Model:
    """VGG without dense layers: 3×3 convolutions, pools of 2×2 down to a side of 1."""
    images = x = keras.Input(image_shape, name="images")
    for stage, (depth, filters) in enumerate(
        zip(depths, (64, 128, 256, 512, 512), strict=True), start=1
    ):
        for i in range(depth):
            x = conv_bn_relu(x, filters, kernel=3, name=f"stage{stage}_{i + 1}",
                             initializer=initializer)  # fmt: skip
        if min(x.shape[1:3]) > 1:
            x = layers.MaxPooling2D(name=f"pool{stage}")(x)
    return keras.Model(images, layers.Flatten(name="features")(x), name=name)


def vgg_11(
    image_shape: tuple[int, int, int], *, initializer: Start = None
) -> keras.Model:
    """VGG-11 without dense layers; 512 features from 32×32.

    Args:
        image_shape: Height, width and channels.
        initializer: Of the weights, as in GlorotNormal; default: He-normal.

    Examples:
        >>> import graphs
        >>> graphs.vgg_11((32, 32, 3)).output_shape
        (None, 512)
    """
    return _plain_vgg(
        (1, 1, 2, 2, 2), image_shape, name="vgg_11", initializer=initializer
    )


def vgg_16(
    image_shape: tuple[int, int, int], *, initializer: Start = None
) -> keras.Model:
    """VGG-16 without dense layers, as the YAML-configured trainer uses it.

    Args:
        image_shape: Height, width and channels.
        initializer: Of the weights, as in GlorotNormal; default: He-normal.

    Examples:
        >>> import graphs
        >>> graphs.vgg_16((32, 32, 3)).output_shape
        (None, 512)
    """
    return _plain_vgg(
        (2, 2, 3, 3, 3), image_shape, name="vgg_16", initializer=initializer
    )


def tokens(
    image_shape: tuple[int, ...],
    *,
    layers: tuple[int | str, ...] = (64, 64, "M", 128, 128, "M", 256, 256, "M"),
    kind: str = "vgg",
    activation: str = "relu",
    initializer: Start = None,
) -> keras.Model:
    """A network from a list, as in ``--graph.args.layers '[64, M, 128, M]'``.

    Args:
        image_shape: Height, width and channels, or ``(d,)`` for kind ``fc``.
        layers: Tokens, see ``iic_tf.models.tokens``.
        kind: Kind of the blocks.
        activation: Keras name of the nonlinearity.
        initializer: Of all kernels, by its Keras name; default: that of the kind of
            block.

    Examples:
        >>> import graphs
        >>> network = graphs.tokens((24, 24, 1), layers=(8, "M", 16, "M"))
        >>> network.output_shape  # 6 · 6 · 16
        (None, 576)
        >>> graphs.tokens((20,), layers=(64, 32), kind="fc").output_shape
        (None, 32)
    """
    images = keras.Input(image_shape, name="images")
    x = build_layers(
        images, layers, kind=kind, activation=activation, initializer=initializer
    )
    features = x if len(x.shape) == 2 else keras.layers.Flatten(name="features")(x)
    return keras.Model(images, features, name="tokens")


def autoencoder(
    image_shape: tuple[int, int, int],
    *,
    encoder: tuple[int | str, ...] = (32, "M", 64, "M", "C:8"),
    decoder: tuple[int | str, ...] = (64, "U", 32, "U", 16),
    kind: str = "vgg",
    activation: str = "relu",
    initializer: Start = None,
) -> keras.Model:
    """Encoder and decoder from lists, with a linear layer at the end for the pixels.

    Maps that are not quite as large as the image at the end, as sides that were odd
    leave them, are resized.

    Args:
        image_shape: Height, width and channels.
        encoder: Tokens, see ``iic_tf.models.tokens``; what they give is the layer
            ``latent``.
        decoder: Tokens.
        kind: Kind of the blocks; for ``fc`` images are flattened.
        activation: Keras name of the nonlinearity.
        initializer: Of all kernels, by its Keras name; default: that of the kind of
            block.

    Examples:
        >>> import graphs
        >>> network = graphs.autoencoder((28, 28, 1))
        >>> network.output_shape, network.get_layer("latent").output.shape
        ((None, 28, 28, 1), (None, 7, 7, 8))
    """
    images = keras.Input(image_shape, name="images")
    how: dict[str, Any] = {"kind": kind, "activation": activation}
    how |= {"initializer": initializer}
    x = build_layers(images, encoder, prefix="encoder", **how)
    x = layers.Identity(name="latent")(x)
    x = build_layers(x, decoder, prefix="decoder", **how)
    height, width, channels = image_shape
    # from zero: random features would be a start that is worse than black
    last = {"dtype": "float32", "kernel_initializer": "zeros"}
    if len(x.shape) == 2:
        x = layers.Dense(math.prod(image_shape), name="pixels", **last)(x)
        x = layers.Reshape(image_shape, dtype="float32", name="image")(x)
        return keras.Model(images, x, name="autoencoder")
    sides = zip((height, width), x.shape[1:3], strict=True)
    require(
        all(n < 2 * side < 4 * n for n, side in sides),
        f"the decoder must give maps of about {height}×{width}, with as many U as "
        "the encoder has M",
        map=x.shape[1:3],
    )
    if x.shape[1:3] != (height, width):
        x = layers.Resizing(height, width, name="resized")(x)
    x = layers.Conv2D(channels, 3, padding="same", name="image", **last)(x)
    return keras.Model(images, x, name="autoencoder")


GRAPHS: dict[str, Callable[..., keras.Model]] = {
    "small": small,
    "network_6c": network_6c,
    "network_5g": network_5g,
    "resnet_18": resnet_18,
    "resnet_34": resnet_34,
    "mlp": mlp,
    "series": series,
    "tokens": tokens,
    "graph_b": graph_b,
    "vgg_a": vgg_a,
    "vgg_c": vgg_c,
    "vgg_d": vgg_d,
    "vgg_11": vgg_11,
    "vgg_16": vgg_16,
}


def on_views(
    builder: Callable[..., keras.Model],
    shape: tuple[int, int, int],
    *,
    sobel: bool,
    infrared: bool = False,
    **arguments: Any,
) -> keras.Model:
    """A backbone for the views of a recipe, if needed behind a Sobel layer.

    Args:
        builder: One of ``GRAPHS``.
        shape: Height, width and channels of the views.
        sobel: Whether the last channel of the views, grey, is turned into slopes.
        infrared: Whether infrared comes after grey.
        **arguments: Keyword arguments of the builder.

    Examples:
        >>> import graphs
        >>> backbone = graphs.on_views(graphs.small, (24, 24, 1), sobel=True)
        >>> backbone.input_shape, [layer.name for layer in backbone.layers[1:]]
        ((None, 24, 24, 1), ['sobel', 'small'])
    """
    if not sobel:
        return builder(shape, **arguments)
    images = keras.Input(shape, name="images")
    slopes = Sobel(infrared=infrared, name="sobel")(images)
    backbone = builder(tuple(slopes.shape[1:]), **arguments)
    return keras.Model(images, backbone(slopes), name=f"sobel_{backbone.name}")


SEGMENT_GRAPHS: dict[str, Callable[..., keras.Model]] = {
    "small_segment": small_segment,
    "network_10a": network_10a,
}
"""Backbones that return feature maps, for segmentation."""

AUTOENCODERS: dict[str, Callable[..., keras.Model]] = {"autoencoder": autoencoder}
"""Networks that return images, for the task autoencode."""

OF_TASKS = {"segment": SEGMENT_GRAPHS, "autoencode": AUTOENCODERS}
"""Networks of tasks that need some of their own; others have ``GRAPHS``."""


def usual(task: str) -> str:
    """Name of the network of a task where none is given: the first of its table.

    Examples:
        >>> import graphs
        >>> graphs.usual("cluster"), graphs.usual("segment"), graphs.usual("autoencode")
        ('small', 'small_segment', 'autoencoder')
    """
    return next(iter(OF_TASKS.get(task, GRAPHS)))


def find(name: str, *, task: str = "cluster") -> Callable[..., keras.Model]:
    """The builder of a name: one of ``GRAPHS``, or a network of keras.applications.

    Args:
        name: As in ``--graph.name``.
        task: Name of the task; those of ``OF_TASKS`` have networks of their own.

    Raises:
        UserError: If there is none of that name.

    Examples:
        >>> import graphs
        >>> graphs.find("small") is graphs.small
        True
        >>> graphs.find("MobileNetV2").__name__  # of keras.applications
        'MobileNetV2'
        >>> graphs.find("small", task="segment")
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: graph.name must be one of small_segment, ...
    """
    if (known := OF_TASKS.get(task)) is not None:
        require(
            name in known,
            f"graph.name must be one of {', '.join(known)} for the task {task}",
            name=name,
        )
        return known[name]
    if name in GRAPHS:
        return GRAPHS[name]
    application = getattr(keras.applications, name, None)
    require(
        name[:1].isupper() and callable(application),
        f"graph.name must be one of {', '.join(GRAPHS)}, or a network of "
        "keras.applications such as MobileNetV2",
        name=name,
    )
    return _application(name)


def pretrained(
    name: str, image_shape: tuple[int, int, int], *, weights: str, **arguments: Any
) -> keras.Model:
    """A backbone with the weights of a file.

    Args:
        name: See ``find``; of no use if the file holds a whole network.
        image_shape: Height, width and channels.
        weights: A file of weights (.h5), a network of Keras (.keras), of which a
            network with sub-heads gives its backbone, or imagenet.
        **arguments: Keyword arguments of the builder.

    Raises:
        UserError: If there is no such file, or it holds something else.

    Examples:
        >>> import graphs
        >>> before = graphs.mlp((4,), widths=(8,))
        >>> before.save_weights("mine.weights.h5")
        >>> how = {"weights": "mine.weights.h5", "widths": [8]}
        >>> after = graphs.pretrained("mlp", (4,), **how)
        >>> np.array_equal(after.get_weights()[-1], before.get_weights()[-1])
        True
    """
    place = Path(weights).expanduser()
    require(
        weights == "imagenet" or place.is_file(),
        "graph.args.weights must be a file, or imagenet",
        weights=weights,
    )
    if place.suffix == ".keras":
        try:
            network = keras.models.load_model(place)
        except Exception as error:  # damage surfaces as any of a dozen kinds
            raise UserError(f"{place} cannot be read: {first_line(error)}") from None
        return getattr(network, "backbone", network)
    builder = find(name)
    if "weights" in inspect.signature(builder).parameters:
        check_arguments(builder, arguments, option="graph.args")
        return builder(image_shape, weights=weights, **arguments)
    require(
        weights != "imagenet",
        "graph.args.weights imagenet is for networks of keras.applications, such as "
        "MobileNetV2",
        name=name,
    )
    check_arguments(builder, arguments, option="graph.args")
    backbone = builder(image_shape, **arguments)
    try:
        backbone.load_weights(place)
    except Exception as error:
        raise UserError(
            f"graph.args.weights {weights} does not fit graph.name {name} for images "
            f"of {image_shape}: {first_line(error)}"
        ) from None
    return backbone


def _application(name: str) -> Callable[..., keras.Model]:
    """A builder of a network of ``keras.applications``, without its classifier."""

    def build(
        image_shape: tuple[int, int, int],
        *,
        weights: str | None = None,
        pooling: str = "avg",
    ) -> keras.Model:
        """Puts the network behind its own preprocessing.

        Args:
            image_shape: Height, width and channels.
            weights: ``"imagenet"`` or a file of weights; from scratch if None.
            pooling: ``"avg"`` or ``"max"`` over the last feature map.
        """
        make = getattr(keras.applications, name)
        prepare = sys.modules[make.__module__].preprocess_input
        images = keras.Input(image_shape, name="images")
        x = layers.Rescaling(255.0, name="pixels")(images)
        if image_shape[-1] == 1:  # these take colour images only
            x = layers.Concatenate(name="colours")([x, x, x])
        try:
            network = make(include_top=False, weights=weights, pooling=pooling,
                           input_shape=tuple(x.shape[1:]))  # fmt: skip
            x = prepare(x)
        except Exception as error:  # a failed download is none of a known kind
            raise UserError(
                f"graph.name {name} cannot be built for images of shape "
                f"{image_shape}: {first_line(error)}"
            ) from None
        quick = keras.models.clone_model(network, clone_function=_with_our_norm)
        quick.set_weights(network.get_weights())
        return keras.Model(images, quick(x), name=name.lower())

    build.__name__ = name
    return build


def _with_our_norm(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A copy of a layer; batch normalisation fused, over all devices, and quicker.

    With Keras's momentum of 0.99 the running statistics of a run of minutes lag behind.
    """
    config = layer.get_config()
    if isinstance(layer, layers.BatchNormalization):
        return BatchNorm.from_config({**config, "momentum": 0.9, "synchronized": True})
    return layer.__class__.from_config(config)
