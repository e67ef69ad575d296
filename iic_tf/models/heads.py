"""Heads: a bank of sub-heads as one Keras layer, and the logits of a classifier.

Sub-heads are independent linear classifiers on one backbone (paper, section 4.1: h = 5
of them, to lower the chance of a bad start). One dense layer of width ``h * k`` holds
them all, which is the same as h layers and several times faster.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.errors import require, require_known
from iic_tf.keras_classes import classes_of, make_object, refused
from iic_tf.options import HeadOptions

RIDGE = 0.01
"""Ridge of ``SubHeads.refit``, as a share of the features' mean variance."""

LOGIT_SCALE = 10.0
"""What ``SubHeads.refit`` multiplies regressed one-hot targets by to get logits."""


def check_initializer(options: HeadOptions) -> None:
    """Raises UserError if sub-heads cannot start as the options say.

    Args:
        options: ``initializer`` and ``initializer_args`` are read.

    Examples:
        >>> from iic_tf.models.heads import check_initializer
        >>> from iic_tf.options import HeadOptions
        >>> check_initializer(HeadOptions(initializer="GlorotNormal"))
        >>> check_initializer(HeadOptions(initializer="Xavier"))
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: heads.initializer must be a class of ...
    """
    if options.initializer is None:
        return
    initializers = keras.initializers
    known = classes_of(initializers, initializers.Initializer)
    expected = "heads.initializer must be a class of keras.initializers"
    require_known(
        (name for name in known if name[0].isupper() and "STFT" not in name),
        expected,
        initializer=options.initializer,
    )
    option = "heads.initializer_args"
    made = make_object(
        known[options.initializer],
        options.initializer_args,
        option=option,
        ours={},
        hidden=("seed",),
    )
    try:
        drawn = made((4, 2), dtype="float32")
    except Exception as error:  # of whatever kind: the values are the user's
        raise refused(option, options.initializer, error) from None
    require(
        bool(np.isfinite(drawn).all()),
        f"{option} must give start weights that are finite",
        initializer_args=options.initializer_args,
    )


@keras.saving.register_keras_serializable(package="iic_tf")
class SubHeads(keras.layers.Layer):
    """Maps features to the soft assignments of several sub-heads.

    Args:
        num_clusters: Number of clusters k of each sub-head, at least 2.
        num_heads: Number of sub-heads h, at least 1.
        kernel_initializer: Keras initialiser of the weights, which draws each sub-head
            by itself; biases start at zero.
        use_bias: Whether there are biases; the authors' segmentation heads have none.
        **kwargs: Passed to ``keras.layers.Layer``; the layer computes in float32 under
            any precision policy.

    Examples:
        >>> from iic_tf import SubHeads
        >>> heads = SubHeads(2, 3)  # two clusters, three sub-heads
        >>> print(heads(np.zeros((5, 4))).shape)
        (5, 3, 2)
        >>> features = np.eye(4, dtype=np.float32)
        >>> heads.refit(features, np.repeat([[0], [0], [1], [1]], 3, axis=1))
        >>> print(heads(features).numpy().argmax(-1)[:, 0])  # as it was told
        [0 0 1 1]
        >>> heads.reseed([1, 2], source=0)  # two become copies of the first
    """

    def __init__(
        self,
        num_clusters: int,
        num_heads: int,
        *,
        kernel_initializer: str | dict | keras.initializers.Initializer = "he_normal",
        use_bias: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        if num_clusters < 2:
            raise ValueError(
                "num_clusters must be at least 2. "
                f"Received: num_clusters={num_clusters}"
            )
        if num_heads < 1:
            raise ValueError(
                f"num_heads must be at least 1. Received: num_heads={num_heads}"
            )
        self.num_clusters = num_clusters
        self.num_heads = num_heads
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.use_bias = use_bias

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel ``(features, h, k)`` and the bias ``(h, k)``."""
        shape = (self.num_heads, self.num_clusters)
        # drawn as a (features, h * k) matrix: initialisers read fans off two axes
        width = self.num_heads * self.num_clusters
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], width),
            initializer=self._draw,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(width,), initializer="zeros"
            )
        self.output_tail = shape
        self.built = True

    def _draw(self, shape: tuple[int, int], dtype: Any = None) -> tf.Tensor:
        """Start weights of all sub-heads, ``(features, h * k)``.

        Where they do not depend on the number of clusters they are drawn at once.
        """
        whole = self.kernel_initializer
        config = whole.get_config()
        scaled = isinstance(whole, keras.initializers.VarianceScaling)
        if (scaled and whole.mode == "fan_in") or config.get("seed") is not None:
            return whole(shape, dtype=dtype)
        each = (shape[0], self.num_clusters)
        parts = [
            type(whole).from_config(config)(each, dtype=dtype)  # with a seed of its own
            for _ in range(self.num_heads)
        ]
        return keras.ops.concatenate(parts, axis=-1)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Soft assignments.

        Args:
            features: Shape ``(n, features)``, or of maps ``(n, height, width,
                features)``.

        Returns:
            Shape ``(n, h, k)`` or ``(n, height, width, h, k)``, float32, each row of k
            summing to one.
        """
        logits = keras.ops.matmul(features, self.kernel)
        if self.bias is not None:
            logits += self.bias
        shape = (*keras.ops.shape(features)[:-1], *self.output_tail)
        return keras.ops.softmax(keras.ops.reshape(logits, shape))

    def refit(self, features: np.ndarray, clusters: np.ndarray) -> None:
        """Replaces all weights: each sub-head learns to name given clusters.

        Ridge regression on one-hot clusters, solved at once for all sub-heads, with
        logits scaled so that a softmax is fairly but not entirely sure.

        Args:
            features: Shape ``(n, d)``, float32.
            clusters: For each image the cluster that each sub-head is to name, integers
                in ``[0, num_clusters)``, shape ``(n, h)``.
        """
        n, d = features.shape
        # without biases the regression goes through the origin
        mean = features.mean(axis=0) * (self.bias is not None)
        centred = features - mean
        targets = np.eye(self.num_clusters, dtype=np.float32)[clusters].reshape(n, -1)
        if d <= n:
            covariance = centred.T @ centred / n
            covariance.flat[:: d + 1] += RIDGE * np.trace(covariance) / d
            kernel = np.linalg.solve(covariance, centred.T @ targets / n)
        else:  # the same solution, from the smaller matrix
            gram = centred @ centred.T / n
            gram.flat[:: n + 1] += RIDGE * np.trace(gram) / d
            kernel = centred.T @ np.linalg.solve(gram, targets / n)
        bias = targets.mean(axis=0) - mean @ kernel
        self.kernel.assign(LOGIT_SCALE * kernel)
        if self.bias is not None:
            self.bias.assign(LOGIT_SCALE * bias)

    def reseed(self, heads: Sequence[int], source: int) -> None:
        """Gives some sub-heads the weights of another one.

        Args:
            heads: The sub-heads that restart.
            source: The sub-head that they become.
        """
        for weights in self.weights:
            values = weights.numpy().reshape(-1, *self.output_tail)
            values[:, list(heads)] = values[:, [source]]
            weights.assign(values.reshape(weights.shape))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Heads and clusters in place of the features."""
        return (*input_shape[:-1], self.num_heads, self.num_clusters)

    def get_config(self) -> dict:
        """The arguments needed to build the layer again."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "num_heads": self.num_heads,
            "kernel_initializer": initializer,
            "use_bias": self.use_bias,
        }


@keras.saving.register_keras_serializable(package="iic_tf")
class Logits(keras.layers.Dense):
    """Logits of classes, float32 under any precision policy, that know their names.

    Args:
        units: Number of classes.
        class_names: Their names, or None.
        **kwargs: Passed to ``keras.layers.Dense``.

    Examples:
        >>> from iic_tf.models.heads import Logits
        >>> logits = Logits(2, class_names=("cat", "dog"))
        >>> print(logits(np.ones((3, 8))).shape, logits.class_names)
        (3, 2) ('cat', 'dog')
    """

    def __init__(
        self, units: int, *, class_names: Sequence[str] | None = None, **kwargs: Any
    ):
        super().__init__(units, **{"dtype": "float32", **kwargs})
        self.class_names = None if class_names is None else tuple(class_names)

    def get_config(self) -> dict:
        """The arguments needed to build the layer again."""
        return {**super().get_config(), "class_names": self.class_names}
