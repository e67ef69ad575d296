"""Runs a trained model over images: soft assignments, and the joints of pairs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from iic_tf.augment.pairs import Views, evaluation_batches
from iic_tf.errors import require
from iic_tf.losses.iic import joint_distribution
from iic_tf.models.networks import ClusterIIC, SegmentIIC


@contextmanager
def kept_statistics(model: ClusterIIC | SegmentIIC) -> Iterator[None]:
    """Within it running statistics may move; afterwards they are what they were."""
    kept = [variable.numpy() for variable in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in zip(model.non_trainable_variables, kept, strict=True):
            variable.assign(value)


def compile_predict(
    model: ClusterIIC, *, batch_statistics: bool = False
) -> Callable[[tf.Tensor], dict]:
    """Compiles the model's inference mode once, for batches of any size.

    Args:
        model: The network; later changes of its weights are seen.
        batch_statistics: Whether batch normalisation uses the statistics of the images
            that are given, as in training; its running ones stay as they are.

    Returns:
        Function of images ``(n, height, width, channels)`` to the soft assignments of
        ``ClusterIIC.call``.
    """
    shape = (None, *model.backbone.input_shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
    def predict(images: tf.Tensor) -> dict:
        return model(images, training=batch_statistics)

    if not batch_statistics:
        return predict

    def predict_and_restore(images: tf.Tensor) -> dict:
        with kept_statistics(model):
            return predict(images)

    return predict_and_restore


def _tracked_norms(
    model: ClusterIIC | SegmentIIC,
) -> list[keras.layers.BatchNormalization]:
    """Layers of batch normalisation that keep running statistics."""
    layers = model.backbone._flatten_layers()
    norms = [layer for layer in layers if hasattr(layer, "moving_mean")]
    return [norm for norm in norms if norm.momentum < 1]


def keeps_statistics(model: ClusterIIC | SegmentIIC) -> bool:
    """Whether predictions depend on nothing but the image.

    That is, whether batch normalisation keeps running statistics wherever there is one.
    """
    layers = model.backbone._flatten_layers()
    return all(getattr(layer, "tracked", True) for layer in layers)


def check_can_adapt(model: ClusterIIC | SegmentIIC) -> None:
    """Raises UserError unless batch normalisation keeps running statistics."""
    require(
        bool(_tracked_norms(model)),
        "report.adapt needs a network whose batch normalisation keeps running "
        "statistics",
        network=model.backbone.name,
    )


def _statistics(
    model: ClusterIIC | SegmentIIC, batches: Iterable[tf.Tensor]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and variance at each tracked normalisation, averaged over batches."""
    norms = _tracked_norms(model)
    running = [(norm.moving_mean, norm.moving_variance) for norm in norms]
    momenta = [norm.momentum for norm in norms]

    @tf.function(autograph=False, reduce_retracing=True)
    def measure(images: tf.Tensor) -> list[list[tf.Tensor]]:
        model.backbone(images, training=True)
        return [[tf.identity(v.value) for v in of_one] for of_one in running]

    with kept_statistics(model):
        for norm in norms:
            norm.momentum = 0.0  # running statistics become those of the batch
        try:
            found = [[np.array(x) for x in measure(images)] for images in batches]
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
    return [tuple(np.mean(of_one, axis=0)) for of_one in zip(*found, strict=True)]


def adapt(model: ClusterIIC | SegmentIIC, batches: Iterable[tf.Tensor]) -> None:
    """Gives batch normalisation the statistics of other images than it trained on.

    Images of another place, light or camera fall elsewhere in the features of a
    network; this shifts and scales them back, feature by feature (adaptive batch
    normalisation, Li et al., arXiv 1603.04779). No label is read.

    Args:
        model: Its running statistics become the means over the batches.
        batches: Images as the backbone takes them, in random order, or else batches are
            of one kind each.

    Raises:
        UserError: If the network keeps no running statistics.
    """
    check_can_adapt(model)
    found = _statistics(model, batches)
    for norm, (mean, variance) in zip(_tracked_norms(model), found, strict=True):
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)


def unlikeness(model: ClusterIIC | SegmentIIC, batches: Iterable[tf.Tensor]) -> float:
    """How far images fall from those that trained, in the features of a network.

    Args:
        model: The network, which stays as it is.
        batches: As in ``adapt``.

    Returns:
        Standard deviations between the means at batch normalisation, on average over
        features; at most 0.06 for images like those that trained, 0.1 and more for
        others. 0 for a network that keeps no running statistics.
    """
    norms = _tracked_norms(model)
    apart = [
        np.abs(mean - norm.moving_mean.numpy())
        / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
        for norm, (mean, _) in zip(norms, _statistics(model, batches), strict=True)
    ]
    return float(np.mean([of_one.mean() for of_one in apart])) if apart else 0.0


def soft_assignments(predict: Callable, batches: tf.data.Dataset) -> np.ndarray:
    """Soft assignments of the main sub-heads for all images of a data set.

    Args:
        predict: From ``compile_predict``.
        batches: Data set of tuples whose first entry is a batch of images.

    Returns:
        float32, shape ``(n, h, k)``, in the order of the data set.
    """
    return np.concatenate([predict(views[0])["main"].numpy() for views in batches])


def view_assignments(predict: Callable, batches: tf.data.Dataset) -> np.ndarray:
    """Soft assignments of the main sub-heads, the mean over augmented views.

    Args:
        predict: From ``compile_predict``.
        batches: From ``pairs.own_views``.

    Returns:
        float32, shape ``(n, h, k)``, in the order of the data set.
    """
    found = []
    for shown in batches:
        n, number, *shape = shown.shape
        soft = predict(tf.reshape(shown, (-1, *shape)))["main"]
        of_views = tf.reshape(soft, (n, number, *soft.shape[1:]))
        found.append(tf.reduce_mean(of_views, axis=1).numpy())
    return np.concatenate(found)


def assignments_of(
    predict: Callable, batches: tf.data.Dataset, *, heads: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Soft assignments of one sub-head of each bank for all images of a data set.

    Args:
        predict: From ``compile_predict``.
        batches: Data set of tuples whose first entry is a batch of images.
        heads: Number of the sub-head by the name of its bank.

    Returns:
        By bank, float32, each ``(n, clusters)``, in the order of the data set.
    """
    found: dict[str, list[np.ndarray]] = {bank: [] for bank in heads}
    for views in batches:
        soft = predict(views[0])
        for bank, head in heads.items():
            found[bank].append(soft[bank][:, head].numpy())
    return {bank: np.concatenate(parts) for bank, parts in found.items()}


def evaluate_pairs(
    predict: Callable, pairs: tf.data.Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Soft assignments and joints of the main sub-heads, in one pass over pairs.

    Args:
        predict: From ``compile_predict``.
        pairs: Data set of ``(originals, views)``.

    Returns:
        Assignments of the originals, float32, shape ``(n, h, k)``, and unnormalised
        joints, float64, shape ``(h, k, k)``.
    """
    assignments, joints = [], []
    for originals, augmented in pairs:
        z = predict(originals)["main"]
        joint = joint_distribution(z, predict(augmented)["main"])
        assignments.append(z.numpy())
        joints.append(joint.numpy().astype(np.float64))
    return np.concatenate(assignments), np.sum(joints, axis=0)


@lru_cache(maxsize=1)
def _compile_naming(model: ClusterIIC) -> Callable:
    """Compiles once what tells features and, if there are any, overclusters."""
    aux = model.banks.get("aux", model.main)

    @tf.function(autograph=False, reduce_retracing=True)
    def name(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = tf.cast(model.backbone(images, training=False), tf.float32)
        return features, tf.argmax(aux(features), axis=-1, output_type=tf.int32)

    return name


def overclusters(
    model: ClusterIIC, batches: tf.data.Dataset
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Features of images, and the overcluster that each auxiliary sub-head names.

    Args:
        model: The network.
        batches: Data set of tuples ``(images,)`` or of pairs ``(images, views)``.

    Returns:
        Features of the images, float32, shape ``(n, d)``; their overclusters, shape
        ``(n, h)``; and those of the augmented views if there are any, same shape.
    """
    name = _compile_naming(model)
    gathered = []
    for images, *augmented in batches:
        features, own = name(images)
        gathered.append((features, own, *(name(copy)[1] for copy in augmented)))
    found = [np.concatenate(parts) for parts in zip(*gathered, strict=True)]
    return found[0], found[1], found[2] if len(found) == 3 else None


def features_of(
    model: ClusterIIC,
    images: np.ndarray,
    views: Views,
    *,
    numbers: np.ndarray | None = None,
) -> np.ndarray:
    """Features of images, float32, shape ``(n, d)``.

    Args:
        model: The network.
        images: uint8.
        views: ``evaluate`` is used.
        numbers: Which images, shape ``(n,)``; all if None.
    """
    batches = evaluation_batches(images, views, numbers=numbers, batch=1000)
    name = _compile_naming(model)
    return np.concatenate([name(shown)[0].numpy() for [shown] in batches])
