"""Runs a trained model over images: soft assignments, and the joints of pairs."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from iic_tf.losses import joint_distribution
from iic_tf.models import ClusterIIC


def compile_predict(model: ClusterIIC) -> Callable[[tf.Tensor], dict]:
    """Compiles the model's inference mode once, for batches of any size.

    Args:
        model: The network; later changes of its weights are seen.

    Returns:
        Function of images ``(n, height, width, channels)`` to the soft assignments of
        ``ClusterIIC.call``.
    """
    shape = (None, *model.backbone.input_shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
    def predict(images: tf.Tensor) -> dict:
        return model(images, training=False)

    return predict


def soft_assignments(predict: Callable, batches: tf.data.Dataset) -> np.ndarray:
    """Soft assignments of the main sub-heads for all images of a data set.

    Args:
        predict: From ``compile_predict``.
        batches: Data set of tuples whose first entry is a batch of images.

    Returns:
        float32, shape ``(n, h, k)``, in the order of the data set.
    """
    return np.concatenate([predict(views[0])["main"].numpy() for views in batches])


def evaluate_pairs(
    predict: Callable, pairs: tf.data.Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Soft assignments and joints of the main sub-heads, in one pass over pairs.

    Args:
        predict: From ``compile_predict``.
        pairs: Data set of ``(originals, copies)``.

    Returns:
        Assignments of the originals, float32, shape ``(n, h, k)``, and unnormalised
        joints, float64, shape ``(h, k, k)``.
    """
    assignments, joints = [], []
    for originals, copies in pairs:
        z = predict(originals)["main"]
        joint = joint_distribution(z, predict(copies)["main"])
        assignments.append(z.numpy())
        joints.append(joint.numpy().astype(np.float64))
    return np.concatenate(assignments), np.sum(joints, axis=0)


def overclusters(
    model: ClusterIIC, batches: tf.data.Dataset
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of images, and the overcluster that each auxiliary sub-head names.

    Args:
        model: The network.
        batches: Data set of pairs ``(images, copies)``.

    Returns:
        Features of the images, float32, shape ``(n, d)``; their overclusters, shape
        ``(n, h)``; and those of the copies, same shape.
    """

    @tf.function(autograph=False, reduce_retracing=True)
    def name(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = tf.cast(model.backbone(images, training=False), tf.float32)
        return features, tf.argmax(model.aux(features), axis=-1, output_type=tf.int32)

    gathered: list[tuple[np.ndarray, ...]] = []
    for images, copies in batches:
        features, own = name(images)
        gathered.append((features.numpy(), own.numpy(), name(copies)[1].numpy()))
    features, own, other = (
        np.concatenate(parts) for parts in zip(*gathered, strict=True)
    )
    return features, own, other
