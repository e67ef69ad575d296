"""A network with all that is done to images before it, for use outside of a run.

Images of any height and width are fitted to the size that the run read, as Pillow does
it, brought to what the network sees, and given to it.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2 as with_constants,
)

from iic_tf.models.named import NamedClusters

Transform = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""See ``augment.transforms``."""


def fitting_matrix(length: tf.Tensor, window: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes the middle of an axis by a product, as Pillow's bilinear filter does.

    Each pixel of the result is a mean under a triangle, as wide as two of its pixels
    where the axis is shrunk, so that no pixel of the image is passed over.

    Args:
        length: Pixels along the axis.
        window: How many of them, in the middle, become the result; a float.
        size: Pixels of the result.

    Returns:
        Shape ``(size, length)``, rows summing to one.
    """
    length = tf.cast(length, tf.float32)
    scale = window / size
    centres = (length - window) / 2 + (tf.range(size, dtype=tf.float32) + 0.5) * scale
    distance = tf.abs(tf.range(length) + 0.5 - centres[:, None])
    weights = tf.nn.relu(1.0 - distance / tf.maximum(scale, 1.0))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="iic_tf")
class FitImages(keras.layers.Layer):
    """Fits the middle of images into a size: ``ImageOps.fit`` of Pillow, bilinear.

    Args:
        height: Of the result in pixels.
        width: Of the result in pixels.
        **kwargs: Passed to ``keras.layers.Layer``.
    """

    def __init__(self, height: int, width: int, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.height = height
        self.width = width

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Images of the size, in [0, 1].

        Args:
            images: uint8, shape ``(n, any, any, channels)``.

        Returns:
            float32, shape ``(n, height, width, channels)``. Like Pillow's they have
            whole levels of 255, after the columns and again after the rows.
        """
        shape, ratio = tf.shape(images), self.width / self.height
        height, width = (tf.cast(side, tf.float32) for side in (shape[1], shape[2]))
        columns = fitting_matrix(
            shape[2], tf.minimum(width, height * ratio), self.width
        )
        rows = fitting_matrix(shape[1], tf.minimum(height, width / ratio), self.height)
        levels = tf.cast(images, tf.float32)
        levels = tf.floor(tf.einsum("xw,nhwc->nhxc", columns, levels) + 0.5)
        levels = tf.floor(tf.einsum("yh,nhxc->nyxc", rows, levels) + 0.5)
        fitted = (None, self.height, self.width, images.shape[-1])
        return tf.ensure_shape(levels / 255.0, fitted)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The size in place of any other."""
        return (input_shape[0], self.height, self.width, input_shape[-1])

    def get_config(self) -> dict:
        """The arguments needed to build the layer again."""
        return {**super().get_config(), "height": self.height, "width": self.width}


@keras.saving.register_keras_serializable(package="iic_tf")
class FrozenTransform(keras.layers.Layer):
    """A transform of images as the operations that it consists of.

    It can be stored and loaded without the code that made it.

    Args:
        graph: A TensorFlow graph, serialised, in base 64.
        source: Name of the tensor in it that images are given to.
        result: Name of the tensor that comes out.
        **kwargs: Passed to ``keras.layers.Layer``.
    """

    def __init__(self, graph: str, source: str, result: str, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.graph = graph
        self.source = source
        self.result = result
        operations = tf.compat.v1.GraphDef.FromString(base64.b64decode(graph))

        @tf.function(autograph=False)
        def apply(images: tf.Tensor) -> tf.Tensor:
            [found] = tf.graph_util.import_graph_def(
                operations, input_map={source: images}, return_elements=[result]
            )
            return found

        self._apply = apply

    @classmethod
    def of(cls, transform: Transform, shape: Sequence[int]) -> "FrozenTransform":
        """Freezes a transform that is not random.

        Args:
            transform: Any.
            shape: Of what it is applied to, without the axis of the images.
        """
        images = tf.TensorSpec((None, *shape), tf.float32, name="images")
        traced = tf.function(
            lambda images: tf.identity(transform(images, tf.constant((0, 0)))),
            input_signature=[images],
            autograph=False,
        )
        frozen = with_constants(traced.get_concrete_function())
        graph = frozen.graph.as_graph_def().SerializeToString(deterministic=True)
        return cls(
            base64.b64encode(graph).decode(),
            frozen.inputs[0].name,
            frozen.outputs[0].name,
        )

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """The transform of images, float32."""
        return self._apply(images)

    def get_config(self) -> dict:
        """The arguments needed to build the layer again."""
        graph = {"graph": self.graph, "source": self.source, "result": self.result}
        return {**super().get_config(), **graph}


@keras.saving.register_keras_serializable(package="iic_tf")
class Answer(keras.layers.Layer):
    """What is told of an image: probabilities of classes, and the most probable one.

    Args:
        class_names: Names of the classes.
        **kwargs: Passed to ``keras.layers.Layer``.
    """

    def __init__(self, class_names: Sequence[str], **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.class_names = tuple(class_names)

    def call(self, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
        """Probabilities ``(n, k)`` as they are, index of the largest ``(n,)``."""
        index = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
        return {"probabilities": probabilities, "index": index}

    def get_config(self) -> dict:
        """The arguments needed to build the layer again."""
        return {**super().get_config(), "class_names": list(self.class_names)}


def deployed(
    network: keras.Model,
    *,
    evaluate: Transform,
    shape: Sequence[int],
    class_names: Sequence[str],
) -> keras.Model:
    """A network that takes images of any size, or vectors or series as they are.

    Args:
        network: From what ``evaluate`` gives to probabilities ``(n, k)``.
        evaluate: Brings images of the size of the run to what the network sees.
        shape: Height, width and channels of the images of the run; of vectors and
            series one and two numbers.
        class_names: Names of the classes.

    Returns:
        Model from uint8 ``(n, any, any, channels)``, or float32 ``(n, *shape)``, to
        ``Answer``'s ``{"probabilities": (n, k), "index": (n,)}``. Its layer ``answer``
        knows the names.
    """
    if len(shape) == 3:
        given = keras.Input((None, None, shape[-1]), dtype="uint8", name="images")
        x = FitImages(*shape[:2], name="fit")(given)
    else:
        given = x = keras.Input(tuple(shape), dtype="float32", name="vectors")
    x = network(FrozenTransform.of(evaluate, shape)(x))
    return keras.Model(given, Answer(class_names, name="answer")(x), name="deployed")


def in_float32(model: keras.Model) -> keras.Model:
    """The same network, with the same weights, computing in float32.

    Args:
        model: ``NamedClusters``, or one that Keras can clone; of any precision.
    """
    if isinstance(model, NamedClusters):
        return NamedClusters(
            in_float32(model.backbone),
            model.heads,
            classes=model.classes,
            class_names=model.class_names,
        )

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    return copy
