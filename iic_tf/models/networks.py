"""The networks: a backbone and its two banks of sub-heads."""

from typing import Any, TypeVar

import keras
import tensorflow as tf

from iic_tf.errors import UserError, first_line, require
from iic_tf.losses.iic import IICLoss
from iic_tf.models import blocks  # noqa: F401  (registers what a saved network is made of)
from iic_tf.models.heads import SubHeads

Network = TypeVar("Network", bound="_BackboneWithBanks")


def image_batches(backbone: keras.Model) -> list[keras.InputSpec]:
    """What a network on a backbone takes: batches of any number of images.

    Examples:
        >>> from iic_tf.models.networks import image_batches
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten()]
        >>> [spec] = image_batches(keras.Sequential(layers))
        >>> spec.shape
        (None, 8, 8, 1)
    """
    shape = (None, *backbone.input_shape[1:])
    return [keras.InputSpec(shape=shape, dtype="float32", name="images")]


class _BackboneWithBanks(keras.Model):
    """What both networks share: their parts, by name.

    Args:
        backbone: Keras model from images ``(n, height, width, channels)`` in [0, 1] to
            features.
        main: Main sub-heads.
        aux: Auxiliary overclustering sub-heads, or None for none.
        **kwargs: Passed to ``keras.Model``.

    Raises:
        UserError: If the features are not of the shape that the class takes.
    """

    rank: int
    """Axes of the features, with that of the images."""

    expected: str
    """What a backbone must return, as text."""

    def __init__(
        self,
        backbone: keras.Model,
        main: SubHeads,
        aux: SubHeads | None = None,
        **kwargs: Any,
    ):
        require(
            len(backbone.output_shape) == self.rank,
            self.expected,
            output_shape=backbone.output_shape,
        )
        super().__init__(**kwargs)
        self.backbone = backbone
        self.main = main
        self.aux = aux
        for heads in (main, aux):
            if heads is not None and not heads.built:  # a loaded bank is
                heads.build(backbone.output_shape)
        self.built = True

    @classmethod
    def create(
        cls: type[Network],
        backbone: keras.Model,
        *,
        k: int,
        k_aux: int,
        num_main: int = 5,
        num_aux: int = 5,
        bias: bool = True,
        initializer: str | dict[str, Any] = "he_normal",
    ) -> Network:
        """Puts new sub-heads on a backbone.

        Args:
            backbone: See the class.
            k: Clusters of each main sub-head.
            k_aux: Clusters of each auxiliary sub-head.
            num_main: Number of main sub-heads.
            num_aux: Number of auxiliary sub-heads; 0 for a network of one bank.
            bias: Whether sub-heads have biases.
            initializer: Of their weights, by name or as Keras describes one; each bank
                makes its own.
        """
        how: dict[str, Any] = {"use_bias": bias, "kernel_initializer": initializer}
        main = SubHeads(k, num_main, **how, name="main")
        aux = SubHeads(k_aux, num_aux, **how, name="aux") if num_aux else None
        return cls(backbone, main, aux)

    @property
    def banks(self) -> dict[str, SubHeads]:
        """The banks there are: ``main``, and where there is one ``aux``."""
        both = {"main": self.main, "aux": self.aux}
        return {name: bank for name, bank in both.items() if bank is not None}

    def export(self, filepath: Any, *args: Any, **how: Any) -> None:
        """As ``keras.Model.export``, for batches of any number of images.

        Args:
            filepath: Where the artifact goes.
            *args: Passed on.
            **how: Passed on; without ``input_signature`` images are float32 of the
                shape that the backbone takes.
        """
        signature = image_batches(self.backbone)
        super().export(filepath, *args, **{"input_signature": signature, **how})

    def fit(self, *args: Any, **how: Any) -> Any:
        """Raises UserError: there is more to a run than ``keras.Model.fit`` does."""
        raise UserError(
            f"a {type(self).__name__} is trained by iic_tf.training.run.train, or from "
            "the command line"
        )

    def get_config(self) -> dict:
        """The parts needed to build the model again."""
        parts = {"backbone": self.backbone, **self.banks}
        return {
            name: keras.saving.serialize_keras_object(part)
            for name, part in parts.items()
        }

    @classmethod
    def from_config(cls: type[Network], config: dict) -> Network:
        """Builds the model from ``get_config``'s parts."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(part)
                for name, part in config.items()
            }
        )


@keras.saving.register_keras_serializable(package="iic_tf")
class ClusterIIC(_BackboneWithBanks):
    """Image clustering by IIC: one backbone, main and auxiliary sub-heads.

    The main sub-heads hold the clusters one wants. The auxiliary ones overcluster,
    which lets the backbone learn from distinctions that the main heads ignore (paper,
    section 4.1, "auxiliary overclustering").

    Args:
        backbone: Keras model from images ``(n, height, width, channels)`` in [0, 1] to
            features ``(n, d)``.
        main: Main sub-heads.
        aux: Auxiliary overclustering sub-heads, or None for none.
        **kwargs: Passed to ``keras.Model``.

    Raises:
        UserError: If the backbone returns anything but a vector per image.

    Examples:
        >>> from iic_tf import ClusterIIC, IICLoss
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten()]
        >>> network = ClusterIIC.create(keras.Sequential(layers), k=10, k_aux=50)
        >>> images = np.random.default_rng(0).random((20, 8, 8, 1), np.float32)
        >>> for bank, assignments in network(images).items():
        ...     print(bank, assignments.shape)
        main (20, 5, 10)
        aux (20, 5, 50)
        >>> network.compile(optimizer="adam", loss=IICLoss())
        >>> mirrored = images[:, :, ::-1]
        >>> told = network.fit(images, mirrored, verbose=0)
        >>> network.export("served", verbose=False)  # a SavedModel
        >>> served = tf.saved_model.load("served")
        >>> print(served.serve(images)["main"].shape)
        (20, 5, 10)
    """

    rank = 2
    expected = "a backbone must return features of shape (n, d); end it with Flatten"

    def call(
        self, images: tf.Tensor, training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Soft assignments ``{"main": (n, h, k), "aux": (n, h_aux, k_aux)}``."""
        features = self.backbone(images, training=training)
        return {name: bank(features) for name, bank in self.banks.items()}

    def fit(self, *args: Any, **how: Any) -> Any:
        """As ``keras.Model.fit``, with augmented views as the targets of images.

        Both banks train; nothing of what a run adds is done.

        Args:
            *args: Images and augmented views, or a data set of such pairs.
            **how: Passed on.

        Raises:
            UserError: If the model is not compiled with an ``IICLoss``.
        """
        loss = getattr(self, "loss", None)
        require(
            isinstance(loss, IICLoss),
            "a ClusterIIC is trained by iic_tf.training.run.train, from the command "
            "line, or after compile(loss=IICLoss()) by fit(images, augmented views)",
            loss=loss,
        )
        return keras.Model.fit(self, *args, **how)

    def compute_loss(
        self,
        x: tf.Tensor = None,
        y: tf.Tensor = None,
        y_pred: dict[str, tf.Tensor] | None = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Loss of images and their views, added up over banks; called by Keras.

        Args:
            x: Images.
            y: An augmented view of each.
            y_pred: What the model says of the images.
            sample_weight: Of no use.
            training: Whether batch normalisation uses the statistics of the batch.
        """
        found, other = y_pred or {}, self(y, training=training)
        pairs = [tf.stack((z, other[bank]), axis=1) for bank, z in found.items()]
        return tf.add_n([self.loss(pair, pair) for pair in pairs])  # no targets


@keras.saving.register_keras_serializable(package="iic_tf")
class SegmentIIC(_BackboneWithBanks):
    """Segmentation by IIC: the same for every pixel (paper, section 3.3).

    Sub-heads see the features of the backbone's maps; what they say is brought to the
    size of the images, whatever that is.

    Args:
        backbone: Keras model from images ``(n, height, width, channels)`` in [0, 1], of
            any height and width, to maps of features ``(n, height / s, width / s, d)``.
        main: Main sub-heads.
        aux: Auxiliary overclustering sub-heads, or None for none.
        **kwargs: Passed to ``keras.Model``.

    Raises:
        UserError: If the backbone returns anything but a vector per place.

    Examples:
        >>> import graphs
        >>> from iic_tf import SegmentIIC
        >>> backbone = graphs.small_segment((None, None, 3), fan_out_init=4)
        >>> network = SegmentIIC.create(backbone, k=3, k_aux=15, num_main=2)
        >>> images = np.zeros((1, 50, 33, 3), np.float32)  # of any size
        >>> print(network(images)["main"].shape)
        (1, 50, 33, 2, 3)
        >>> features = network.features(images)  # of every fourth pixel
        >>> print(features.shape)
        (1, 13, 9, 16)
        >>> print(network.to_pixels(network.main(features), images).shape)
        (1, 50, 33, 2, 3)
    """

    rank = 4
    expected = (
        "a backbone for segmentation must return feature maps of shape (n, height, "
        "width, d); end it before Flatten"
    )

    def __init__(
        self,
        backbone: keras.Model,
        main: SubHeads,
        aux: SubHeads | None = None,
        **kwargs: Any,
    ):
        if None not in backbone.input_shape[1:]:
            backbone = _of_any_size(backbone)
        super().__init__(backbone, main, aux, **kwargs)
        places = self._places(64)
        require(
            places > 0,
            "a backbone for segmentation must have features for images of 64×64 pixels",
            backbone=backbone.name,
        )
        self.stride = round(64 / places)
        sides = range(self.stride, 65, self.stride)
        self.least = next(side for side in sides if self._places(side) > 0)

    def _places(self, side: int) -> int:
        """Places of features along an axis of so many pixels; 0 if there are none."""
        shape = (None, side, side, self.backbone.input_shape[-1])
        try:
            return max(self.backbone.compute_output_shape(shape)[1], 0)
        except ValueError:  # a kernel that is larger than its map
            return 0

    def _whole(self, side: tf.Tensor) -> tf.Tensor:
        """A side in pixels with what is needed for whole strides."""
        return tf.maximum(side + -side % self.stride, self.least)

    def features(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Maps of features; images are continued by their borders where needed.

        Args:
            images: Shape ``(n, height, width, channels)``, of any height and width.
            training: Whether batch normalisation uses the statistics of the batch.
        """
        for axis in (1, 2):
            if (side := images.shape[axis]) is None or (
                side % self.stride or side < self.least
            ):
                side = tf.shape(images)[axis]
                pixels = tf.minimum(tf.range(self._whole(side)), side - 1)
                images = tf.gather(images, pixels, axis=axis)
        return self.backbone(images, training=training)

    def to_pixels(self, assignments: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """Assignments at the places of features, brought to the pixels of the images.

        Args:
            assignments: Shape ``(n, height / s, width / s, h, k)``.
            images: Shape ``(n, height, width, channels)``; only its shape matters.

        Returns:
            Shape ``(n, height, width, h, k)``.
        """
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        whole = [self._whole(side) for side in (height, width)]
        *_, h, k = assignments.shape
        places = tf.shape(assignments)[1:3]
        flat = tf.reshape(assignments, (-1, places[0], places[1], h * k))
        pixels = tf.image.resize(flat, whole)[:, :height, :width]
        pixels = tf.reshape(pixels, (-1, height, width, h, k))
        return tf.ensure_shape(pixels, (None, *images.shape[1:3], h, k))

    def call(
        self, images: tf.Tensor, training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Soft assignments of pixels, ``(n, height, width, h, k)`` for each bank."""
        features = self.features(images, training=training)
        return {
            name: self.to_pixels(bank(features), images)
            for name, bank in self.banks.items()
        }


def _of_any_size(backbone: keras.Model) -> keras.Model:
    """The same layers, with the same weights, for images of any height and width.

    Raises:
        UserError: If they only take the size that they were built for.
    """
    images = keras.Input((None, None, backbone.input_shape[-1]), name="images")
    try:
        return keras.models.clone_model(
            backbone, input_tensors=images, clone_function=lambda layer: layer
        )
    except (ValueError, TypeError) as error:
        raise UserError(
            "a backbone for segmentation must take images of any height and width: "
            f"{first_line(error)}. Received: input_shape={backbone.input_shape}"
        ) from None


def at_features(mask: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    """Brings a mask of pixels to the places of features: the nearest pixel counts.

    Args:
        mask: Shape ``(n, height, width)``.
        features: Shape ``(n, height / s, width / s, d)``; only its shape matters.

    Examples:
        >>> from iic_tf.models.networks import at_features
        >>> mask = tf.constant([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]])
        >>> print(at_features(mask, tf.zeros((1, 1, 2, 8))).numpy())
        [[[0. 1.]]]
    """
    places = tf.shape(features)[1:3]
    return tf.image.resize(mask[..., None], places, method="nearest")[..., 0]
