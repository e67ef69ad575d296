"""The clustering network: a backbone and its two banks of sub-heads."""

from typing import Any

import keras
import tensorflow as tf

from iic_tf import blocks  # noqa: F401  (registers what a saved network is made of)
from iic_tf.heads import SubHeads
from iic_tf.options import require


@keras.saving.register_keras_serializable(package="iic_tf")
class ClusterIIC(keras.Model):
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
    """

    def __init__(
        self,
        backbone: keras.Model,
        main: SubHeads,
        aux: SubHeads | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        require(
            len(backbone.output_shape) == 2,
            "a backbone must return features of shape (n, d); end it with Flatten",
            output_shape=backbone.output_shape,
        )
        self.backbone = backbone
        self.main = main
        self.aux = aux
        for heads in (main, aux):
            if heads is not None and not heads.built:  # a loaded bank is
                heads.build(backbone.output_shape)
        self.built = True

    @classmethod
    def create(
        cls,
        backbone: keras.Model,
        *,
        k: int,
        k_aux: int,
        num_main: int = 5,
        num_aux: int = 5,
    ) -> "ClusterIIC":
        """Puts new sub-heads on a backbone.

        Args:
            backbone: See the class.
            k: Clusters of each main sub-head.
            k_aux: Clusters of each auxiliary sub-head.
            num_main: Number of main sub-heads.
            num_aux: Number of auxiliary sub-heads; 0 for a network of one bank.
        """
        main = SubHeads(k, num_main, name="main")
        aux = SubHeads(k_aux, num_aux, name="aux") if num_aux else None
        return cls(backbone, main, aux)

    @property
    def banks(self) -> dict[str, SubHeads]:
        """The banks there are: ``main``, and where there is one ``aux``."""
        both = {"main": self.main, "aux": self.aux}
        return {name: bank for name, bank in both.items() if bank is not None}

    def call(
        self, images: tf.Tensor, training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Soft assignments ``{"main": (n, h, k), "aux": (n, h_aux, k_aux)}``."""
        features = self.backbone(images, training=training)
        return {name: bank(features) for name, bank in self.banks.items()}

    def get_config(self) -> dict:
        """The parts needed to build the model again."""
        parts = {"backbone": self.backbone, **self.banks}
        return {
            name: keras.saving.serialize_keras_object(part)
            for name, part in parts.items()
        }

    @classmethod
    def from_config(cls, config: dict) -> "ClusterIIC":
        """Builds the model from ``get_config``'s parts."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(part)
                for name, part in config.items()
            }
        )
