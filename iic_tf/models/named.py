"""A network whose clusters have names: probabilities of classes."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.models.heads import SubHeads
from iic_tf.models.networks import ClusterIIC, image_batches


@keras.saving.register_keras_serializable(package="iic_tf")
class NamedClusters(keras.Model):
    """Probabilities of classes: those of one sub-head's clusters, summed by class.

    Args:
        backbone: Keras model from images ``(n, height, width, channels)`` in [0, 1] to
            features ``(n, d)``.
        heads: The sub-head, alone in its bank.
        classes: Class of each cluster, an index of ``class_names``.
        class_names: Names of the classes. The last one is empty if some clusters have
            no name.
        **kwargs: Passed to ``keras.Model``.

    Attributes:
        classes: As given.
        class_names: As given, a tuple; a stored model has them too.

    Examples:
        >>> from iic_tf import ClusterIIC
        >>> from iic_tf.models.named import NamedClusters
        >>> backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
        >>> network = ClusterIIC.create(backbone, k=3, k_aux=15)
        >>> how = {"classes": [0, 0, -1], "class_names": ["cat", "dog"]}
        >>> named = NamedClusters.of(network, bank="main", head=1, **how)
        >>> named.class_names  # the last is of the cluster without a name
        ('cat', 'dog', '')
        >>> print(named(np.zeros((2, 4))).numpy().round(3))
        [[0.667 0.    0.333]
         [0.667 0.    0.333]]
    """

    def __init__(
        self,
        backbone: keras.Model,
        heads: SubHeads,
        *,
        classes: Sequence[int],
        class_names: Sequence[str],
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.heads = heads
        self.classes = tuple(classes)
        self.class_names = tuple(class_names)
        if not heads.built:
            heads.build(backbone.output_shape)
        self.built = True

    @classmethod
    def of(
        cls,
        network: ClusterIIC,
        *,
        bank: str,
        head: int,
        classes: Sequence[int],
        class_names: Sequence[str],
    ) -> "NamedClusters":
        """Takes one sub-head of a network; the backbone is shared, not copied.

        Args:
            network: The network.
            bank: ``main`` or ``aux``.
            head: Number of the sub-head.
            classes: Class of each of its clusters, -1 for none.
            class_names: Name of each class.
        """
        theirs = network.banks[bank]
        own = SubHeads(theirs.num_clusters, 1, use_bias=theirs.use_bias, name="heads")
        own.build(network.backbone.output_shape)
        for weights, given in zip(own.weights, theirs.weights, strict=True):
            of_heads = given.numpy().reshape(-1, *theirs.output_tail)
            weights.assign(of_heads[:, head].reshape(weights.shape))
        names = list(class_names)
        if min(classes) < 0:
            names.append("")
        numbers = [int(c) if c >= 0 else len(class_names) for c in classes]
        return cls(network.backbone, own, classes=numbers, class_names=names)

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Probability of each class, ``(n, len(class_names))``, rows summing to one."""
        clusters = self.heads(self.backbone(images, training=training))[:, 0]
        summed = np.eye(len(self.class_names), dtype=np.float32)[list(self.classes)]
        return keras.ops.matmul(clusters, summed)

    def export(self, filepath: Any, *args: Any, **how: Any) -> None:
        """As ``keras.Model.export``, for batches of any number of images.

        Args:
            filepath: Where the artifact goes.
            *args: Passed on.
            **how: Passed on.
        """
        signature = image_batches(self.backbone)
        super().export(filepath, *args, **{"input_signature": signature, **how})

    def get_config(self) -> dict:
        """The parts needed to build the model again."""
        parts = {"backbone": self.backbone, "heads": self.heads}
        return {
            name: keras.saving.serialize_keras_object(part)
            for name, part in parts.items()
        } | {"classes": list(self.classes), "class_names": list(self.class_names)}

    @classmethod
    def from_config(cls, config: dict) -> "NamedClusters":
        """Builds the model from ``get_config``'s parts."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("backbone", "heads")
        }
        return cls(**{**config, **parts})
