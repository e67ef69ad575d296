"""Networks from lists of tokens, as in ``[64, 64, "M", 128, "U", "C:3"]``.

A number is a block with so many output channels, of the kind named for the whole list;
``"M"`` halves the map by a 2×2 maximum, ``"U"`` doubles it by bilinear interpolation,
``"C:n"`` is a 3×3 convolution without bias to n channels and the nonlinearity. Encoders
and decoders are written alike, in Python or in YAML; shapes follow from the input.
Who likes to write down the input channels, too, can: ``"C:3:64"`` is ``"C:64"`` and
``"B:64:128"`` is 128, both checked against the map before them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from iic_tf.errors import UserError, require
from iic_tf.models.blocks import BatchNorm, Start, he_normal

Token = int | str


@keras.saving.register_keras_serializable(package="iic_tf")
class EdgePad(keras.layers.Layer):
    """Repeats the outermost pixels once on every side.

    Examples:
        >>> from iic_tf.models.tokens import EdgePad
        >>> maps = np.array([[1.0, 2.0], [3.0, 4.0]])[None, ..., None]
        >>> print(EdgePad()(maps)[0, ..., 0].numpy())
        [[1. 1. 2. 2.]
         [1. 1. 2. 2.]
         [3. 3. 4. 4.]
         [3. 3. 4. 4.]]
    """

    def call(self, maps: Any) -> Any:
        """``(n, height, width, c)`` to ``(n, height + 2, width + 2, c)``."""
        return keras.ops.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Two pixels more along each side."""
        n, height, width, channels = input_shape
        return (n, height + 2, width + 2, channels)


@keras.saving.register_keras_serializable(package="iic_tf")
class Scalar(keras.layers.Layer):
    """One trained number that is added to a map, or multiplies it (Fixup).

    Args:
        multiplies: Whether it multiplies, from one; it is added, from zero, otherwise.
        **kwargs: Passed to ``keras.layers.Layer``.

    Examples:
        >>> from iic_tf.models.tokens import Scalar
        >>> print(Scalar()(np.ones((1, 2))).numpy())  # 0 is added at first
        [[1. 1.]]
    """

    def __init__(self, *, multiplies: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.multiplies = multiplies

    def build(self, input_shape: tuple) -> None:
        """Creates the number."""
        start = "ones" if self.multiplies else "zeros"
        self.number = self.add_weight(name="number", shape=(), initializer=start)

    def call(self, maps: Any) -> Any:
        """Same shape."""
        return maps * self.number if self.multiplies else maps + self.number

    def get_config(self) -> dict:
        """The arguments needed to build the layer again."""
        return {**super().get_config(), "multiplies": self.multiplies}


@dataclass(frozen=True)
class _Place:
    """Where in the list a block stands.

    Attributes:
        name: Prefix of its layers' names.
        depth: Blocks and convolutions before it.
        activation: Keras name of the nonlinearity.
        initializer: Of all kernels; None for that of the kind of block.
    """

    name: str
    depth: int
    activation: str
    initializer: Start = None

    def start(self, usual: Any) -> Any:
        """The initialiser of a kernel: the one asked for, else the usual one."""
        return self.initializer or usual

    def nonlinear(self, x: keras.KerasTensor, part: str) -> keras.KerasTensor:
        return keras.layers.Activation(self.activation, name=f"{self.name}_{part}")(x)

    def conv(
        self,
        x: keras.KerasTensor,
        filters: int,
        part: str,
        *,
        kernel: int = 3,
        stride: int = 1,
        use_bias: bool = False,
        edges: bool = False,
        initializer: Any = None,
    ) -> keras.KerasTensor:
        """3×3 with zeros around, or with the edges repeated."""
        if edges:
            x = EdgePad(name=f"{self.name}_{part}_pad")(x)
        elif kernel == 3:
            x = keras.layers.ZeroPadding2D(name=f"{self.name}_{part}_pad")(x)
        return keras.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            use_bias=use_bias,
            kernel_initializer=self.start(initializer or he_normal("fan_out")),
            name=f"{self.name}_{part}",
        )(x)

    def norm(self, x: keras.KerasTensor, part: str) -> keras.KerasTensor:
        return BatchNorm(name=f"{self.name}_{part}")(x)


def _fit_channels(
    x: keras.KerasTensor, filters: int, place: _Place
) -> keras.KerasTensor:
    """Doubles channels by repeating them, halves them by averaging the halves."""
    channels = x.shape[-1]
    if filters == channels:
        return x
    if filters == 2 * channels:
        return keras.layers.Concatenate(name=f"{place.name}_twice")([x, x])
    if 2 * filters == channels:
        halves = keras.ops.split(x, 2, axis=-1)
        return keras.layers.Average(name=f"{place.name}_half")(halves)
    raise UserError(
        "a block of this kind must keep, double or halve the channels. "
        f"Received: from {channels} to {filters}"
    )


def _fc(x: keras.KerasTensor, units: int, place: _Place) -> keras.KerasTensor:
    if len(x.shape) > 2:
        x = keras.layers.Flatten(name=f"{place.name}_flatten")(x)
    x = keras.layers.Dense(
        units, kernel_initializer=place.start(he_normal()), name=f"{place.name}_dense"
    )(x)
    return place.nonlinear(place.norm(x, "bn"), "act")


def _vgg(x: keras.KerasTensor, filters: int, place: _Place) -> keras.KerasTensor:
    x = place.conv(x, filters, "conv", use_bias=True, edges=True)
    return place.nonlinear(place.norm(x, "bn"), "act")


def _stem(x: keras.KerasTensor, filters: int, place: _Place) -> keras.KerasTensor:
    """The first block of a residual network: no shortcut from the image."""
    return place.nonlinear(place.norm(place.conv(x, filters, "conv"), "bn"), "act")


def _residual(
    x: keras.KerasTensor, filters: int, place: _Place, *, convolved: bool
) -> keras.KerasTensor:
    if place.depth == 0:
        return _stem(x, filters, place)
    if convolved and filters != x.shape[-1]:
        shortcut = place.norm(place.conv(x, filters, "short", kernel=1), "short_bn")
    else:
        shortcut = _fit_channels(x, filters, place)
    x = place.norm(place.conv(x, filters, "conv1", edges=True), "bn1")
    x = place.nonlinear(x, "act1")
    x = place.norm(place.conv(x, filters, "conv2", edges=True), "bn2")
    return place.nonlinear(
        keras.layers.Add(name=f"{place.name}_add")([x, shortcut]), "act2"
    )


def _batchnorm(x: keras.KerasTensor, filters: int, place: _Place) -> keras.KerasTensor:
    return _residual(x, filters, place, convolved=False)


def _conv_shortcut(
    x: keras.KerasTensor, filters: int, place: _Place
) -> keras.KerasTensor:
    return _residual(x, filters, place, convolved=True)


def _fixup(
    x: keras.KerasTensor, filters: int, place: _Place, *, stride: int
) -> keras.KerasTensor:
    """Residual block without normalisation (Fixup, arXiv 1901.09321)."""
    if place.depth == 0:
        return place.nonlinear(place.conv(x, filters, "conv"), "act")

    def scalar(x: keras.KerasTensor, part: str, **kwargs: Any) -> keras.KerasTensor:
        return Scalar(name=f"{place.name}_{part}", **kwargs)(x)

    shortcut = x
    if stride > 1:
        shortcut = keras.layers.AveragePooling2D(
            stride, padding="same", name=f"{place.name}_pool"
        )(x)
    shortcut = _fit_channels(shortcut, filters, place)
    scaled = keras.initializers.VarianceScaling(
        2.0 / place.depth, "fan_in", "untruncated_normal"
    )
    x = scalar(x, "bias0")
    x = place.conv(x, filters, "conv1", stride=stride, initializer=scaled)
    x = place.nonlinear(scalar(x, "bias1"), "act1")
    x = place.conv(scalar(x, "bias2"), filters, "conv2", initializer="zeros")
    x = scalar(scalar(x, "gain", multiplies=True), "bias3")
    return place.nonlinear(
        keras.layers.Add(name=f"{place.name}_add")([x, shortcut]), "act2"
    )


def _fixup_halving(
    x: keras.KerasTensor, filters: int, place: _Place
) -> keras.KerasTensor:
    return _fixup(x, filters, place, stride=2)


def _fixup_const(
    x: keras.KerasTensor, filters: int, place: _Place
) -> keras.KerasTensor:
    return _fixup(x, filters, place, stride=1)


KINDS: dict[str, Callable[[keras.KerasTensor, int, _Place], keras.KerasTensor]] = {
    "fc": _fc,
    "vgg": _vgg,
    "resnet-batchnorm": _batchnorm,
    "resnet-conv-shortcut": _conv_shortcut,
    "resnet-fixup": _fixup_halving,
    "resnet-fixup-const": _fixup_const,
}
"""Kinds of blocks. ``resnet-fixup`` halves the map in every block but the first."""


def build_layers(
    x: keras.KerasTensor,
    tokens: Sequence[Token],
    *,
    kind: str = "vgg",
    activation: str = "relu",
    initializer: Start = None,
    prefix: str = "block",
) -> keras.KerasTensor:
    """Puts the layers that tokens stand for on a Keras tensor.

    Args:
        x: Shape ``(n, height, width, c)``, or ``(n, d)`` for kind ``fc``.
        tokens: See the module.
        kind: One of ``KINDS``.
        activation: Keras name of the nonlinearity, such as ``"gelu"``.
        initializer: Of all kernels, such as ``"glorot_uniform"``, which is Keras's own;
            None for He-normal ones, and for those of Fixup in its blocks.
        prefix: Start of the layers' names.

    Returns:
        What the last layer gives.

    Raises:
        UserError: For an unknown kind, activation, initialiser or token, or a token
            that does not fit the map before it, naming it.

    Examples:
        >>> from iic_tf.models.tokens import build_layers
        >>> images = keras.Input((24, 24, 1))
        >>> build_layers(images, [16, "M", 32, "M", "C:8"]).shape
        (None, 6, 6, 8)
        >>> build_layers(images, [16, "M", "U"]).shape
        (None, 24, 24, 16)
    """
    require(kind in KINDS, f"kind must be one of {', '.join(KINDS)}", kind=kind)
    _require_known(keras.activations, activation=activation)
    if initializer is not None:
        _require_known(keras.initializers, initializer=initializer)
    require(bool(tokens), "there must be at least one token", tokens=list(tokens))
    for i, token in enumerate(tokens):
        place = _Place(f"{prefix}{i + 1}", i, activation, initializer)
        try:
            x = _apply(x, token, kind, place)
        except UserError as error:
            shape = "×".join(str(side) for side in x.shape[1:])
            raise UserError(
                f"token {i + 1} of {list(tokens)}, {token!r}, does not fit a feature "
                f"map of {shape}: {error}"
            ) from None
    return x


def _require_known(of_keras: Any, **named: Any) -> None:
    """Raises UserError unless Keras has an activation, or initialiser, of that name."""
    [(what, name)] = named.items()
    try:
        of_keras.get(name)
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{what} must be a name that {of_keras.__name__} knows. "
            f"Received: {what}={name!r}"
        ) from None


NUMBERS = {"M": (0,), "U": (0,), "C": (1, 2), "B": (1, 2)}
"""How many numbers can follow a letter."""


def _apply(
    x: keras.KerasTensor, token: Token, kind: str, place: _Place
) -> keras.KerasTensor:
    name = place.name
    letter, *numbers = str(token).split(":")
    if letter.isdigit() and not numbers:
        letter, numbers = "B", [letter]
    if len(numbers) not in NUMBERS.get(letter, ()) or not all(
        number.isdigit() for number in numbers
    ):
        raise UserError(
            'a token must be a number, "M", "U", "C:n", "C:in:out" or "B:in:out"'
        )
    before = math.prod(x.shape[1:]) if kind == "fc" else x.shape[-1]
    channels = [int(number) for number in numbers]
    require(
        all(number >= 1 for number in channels),
        "a block must have at least 1 channel",
        channels=token,
    )
    require(
        len(channels) < 2 or channels[0] == before,
        f"the first number must be the {before} channels before it",
        channels=token,
    )
    if letter == "B":
        return KINDS[kind](x, channels[-1], place)
    require(len(x.shape) == 4, f"{letter} needs a feature map", shape=x.shape[1:])
    if letter == "U":
        return keras.layers.UpSampling2D(interpolation="bilinear", name=f"{name}_up")(x)
    if letter == "C":
        return place.nonlinear(place.conv(x, channels[-1], "conv"), "act")
    require(
        min(x.shape[1:3]) >= 2,
        "the feature map is too small to halve",
        map=x.shape[1:3],
    )
    return keras.layers.MaxPooling2D(name=f"{name}_pool")(x)
