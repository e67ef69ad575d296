"""Fine-tuning: a backbone that was trained without labels learns classes from a few.

Source: arXiv 1807.06653, section 4.1, "semi-supervised" classification: the authors'
run 698 starts from the features of run 650. Like theirs, the backbone trains too, more
slowly than the head, and logits are averaged over ten crops where the recipe cuts
crops. Unlike theirs, the network of the last step is what is scored: the test images
choose nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from iic_tf.augment.pairs import Passes
from iic_tf.errors import require
from iic_tf.models.blocks import dense_bn_relu
from iic_tf.models.frozen import split_at_trunk
from iic_tf.models.networks import ClusterIIC
from iic_tf.resolved import RunOptions
from iic_tf.tasks.classify import ClassifyTask
from iic_tf.training.trainer import Objective

HEAD = ("head_dense", "head_bn", "logits")
"""Names of the layers that are not of the backbone."""

TRUNK_RATE = 0.1
"""Learning rate of a trained backbone, as a multiple of the head's, as published."""


def weights_of(model: Any, *, run: str) -> list[np.ndarray]:
    """Weights of the backbone of a finished run.

    Args:
        model: Its network.
        run: Its folder, for the sentence.

    Raises:
        UserError: If it is not a network that clusters whole images.
    """
    require(
        isinstance(model, ClusterIIC),
        "tune.run must be a run that clusters whole images",
        run=run,
    )
    require(
        split_at_trunk(model) is None,
        "tune.run must be a run that has trained its backbone, not a frozen one",
        run=run,
    )
    return model.backbone.get_weights()


def fill(backbone: keras.Model, weights: Sequence[np.ndarray]) -> None:
    """Gives a new backbone the weights of a trained one.

    Args:
        backbone: The new one.
        weights: See ``weights_of``.

    Raises:
        UserError: If it is another backbone.
    """
    mine = [tuple(variable.shape) for variable in backbone.weights]
    require(
        mine == [values.shape for values in weights],
        "graph.name, graph.args and the channels of the images must be those of "
        "tune.run",
        backbone=backbone.name,
    )
    backbone.set_weights(weights)


def up_to(backbone: keras.Model, layer: str) -> keras.Model:
    """A backbone up to one of its layers, with the same weights.

    Args:
        backbone: Perhaps with a network inside, behind a Sobel layer.
        layer: Name of the layer.

    Raises:
        UserError: If there is none of that name.
    """
    found = {part.name: part for part in backbone.layers}
    if layer in found:
        return keras.Model(backbone.input, found[layer].output, name=backbone.name)
    last = backbone.layers[-1]
    require(
        isinstance(last, keras.Model),
        "tune.layer must be the name of a layer of the backbone, as in network.txt",
        layer=layer,
    )
    return keras.models.clone_model(
        backbone,
        input_tensors=backbone.input,
        clone_function=lambda part: up_to(part, layer) if part is last else part,
    )


@dataclass(frozen=True)
class FinetuneTask(ClassifyTask):
    """Images whose classes a network learns that begins with a trained backbone.

    Attributes:
        weights: Of the trained backbone; None to begin with fresh ones.
    """

    weights: Sequence[np.ndarray] | None = None

    def build(self, backbone: keras.Model, options: RunOptions) -> keras.Model:
        """The backbone, or its beginning, with a head of logits."""
        if self.weights is not None:
            fill(backbone, self.weights)
        if options.tune.layer is not None:
            backbone = up_to(backbone, options.tune.layer)
        x = backbone.output
        if len(x.shape) > 2:
            x = keras.layers.Flatten(name="flatten")(x)
        if options.tune.hidden:
            x = dense_bn_relu(x, options.tune.hidden, name="head")
        start = keras.initializers.RandomNormal(stddev=0.01)
        return keras.Model(backbone.input, self.logits(start)(x), name="classifier")

    def objective(self, options: RunOptions, passes: Passes) -> Objective:
        """Mean cross-entropy, with a learning rate of its own for the backbone."""
        trained = self.weights is not None
        rate = options.tune.trunk_rate or (TRUNK_RATE if trained else 1.0)

        def rates(model: keras.Model) -> list[float]:
            head = [layer for layer in model.layers if layer.name in HEAD]
            mine = {id(v) for layer in head for v in layer.trainable_variables}
            return [1.0 if id(v) in mine else rate for v in model.trainable_variables]

        return replace(super().objective(options, passes), rates=rates)

    def _logits(self, predict: Any, *, numbers: np.ndarray | None = None) -> np.ndarray:
        """Logits, averaged over ten crops where the recipe cuts crops."""
        crops = self.views.crops or (self.views.evaluate,)
        found = []
        for crop in crops:
            seen = replace(self, views=replace(self.views, evaluate=crop))
            found.append(super(FinetuneTask, seen)._logits(predict, numbers=numbers))
        return np.mean(found, axis=0)
