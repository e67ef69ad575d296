"""Losses of a batch, as the inner loop takes them: of pairs of images, of maps."""

from collections.abc import Sequence

import tensorflow as tf

from iic_tf.distribute import sum_over_replicas
from iic_tf.losses import iic
from iic_tf.losses.warp import warp
from iic_tf.models.networks import ClusterIIC, SegmentIIC, at_features


def pair_losses(
    model: ClusterIIC,
    views: Sequence[tf.Tensor],
    *,
    lamb: Sequence[tf.Tensor] | tf.Tensor,
    groups: tf.Tensor | None = None,
    augmented_alone: bool = False,
) -> dict[str, dict[str, tf.Tensor]]:
    """Losses and joints of all sub-heads for one batch, over all replicas.

    Args:
        model: The network.
        views: Originals, then r augmented views, each ``(n, height, width, c)``.
        lamb: λ of the main and of the aux heads.
        groups: Where groups were found before training, that of each view for the main
            and for the aux heads, int32, shape ``(n, 1 + r, 2)``.
        augmented_alone: Whether the groups are learned of augmented views alone.

    Returns:
        For each bank of the model ``{"loss": (h,), "joint": (h, k, k)}``; the joint is
        unnormalised and summed over replicas. With ``groups`` also
        ``"cross_entropy"``, ``(h,)``, the mean over the views of this replica.
    """
    originals = model(views[0], training=True)
    augmented = model(tf.concat(views[1:], axis=0), training=True)
    results = {}
    for i, bank in enumerate(model.banks):
        joint = iic.joint_distribution(
            originals[bank], tf.split(augmented[bank], len(views) - 1)
        )
        joint = sum_over_replicas(joint)
        results[bank] = {"loss": iic.loss_of_joint(joint, lamb[i]), "joint": joint}
        if groups is not None:
            shown, named = augmented[bank], tf.unstack(groups[..., i], axis=1)
            if augmented_alone:
                named = named[1:]
            else:
                shown = tf.concat((originals[bank], shown), axis=0)
            entropy = iic.cross_entropy(shown, tf.concat(named, axis=0))
            results[bank]["cross_entropy"] = entropy
    return results


def grouped_pair_losses(
    model: ClusterIIC,
    batch: tuple,
    *,
    lamb: Sequence[tf.Tensor] | tf.Tensor,
    augmented_alone: bool = False,
) -> dict[str, dict[str, tf.Tensor]]:
    """As ``pair_losses``, of a batch of views and their groups."""
    views, groups = batch
    return pair_losses(
        model, views, lamb=lamb, groups=groups, augmented_alone=augmented_alone
    )


def segment_losses(
    model: SegmentIIC,
    batch: tuple,
    *,
    lamb: Sequence[tf.Tensor] | tf.Tensor,
    displacement: int,
    collapsed: bool = False,
    detached: bool = False,
    at_pixels: bool = True,
    training: bool = True,
) -> dict[str, dict[str, tf.Tensor]]:
    """Losses of all sub-heads for one batch of label maps, over all replicas.

    Args:
        model: The network.
        batch: Originals, augmented views, matrices and mask, as in
            ``crops.training_crop_batches``.
        lamb: λ of the main and of the aux heads.
        displacement: T, the largest one along each axis, in pixels or features.
        collapsed: See ``iic.segmentation_joint``.
        detached: See ``iic.segmentation_loss``.
        at_pixels: Whether maps are compared pixel by pixel, as published, or at the
            coarser places of the features, which is cheaper.
        training: Whether batch normalisation uses the statistics of the batch.

    Returns:
        For each bank of the model ``{"loss": (h,), "joint": (h, k, k)}``; the joint is
        that of no displacement, or of all if collapsed, and summed over replicas.
    """
    originals, augmented, matrices, mask = batch
    together = tf.concat(augmented, axis=0)
    features = model.features(originals, training=training)
    features_of_copies = model.features(together, training=training)
    if not at_pixels:
        mask = at_features(mask, features)
    results = {}
    for i, (name, bank) in enumerate(model.banks.items()):
        first, second = bank(features), bank(features_of_copies)
        if at_pixels:
            first = model.to_pixels(first, originals)
            second = model.to_pixels(second, together)
        second = warp(second, tf.concat(matrices, axis=0))
        joints = iic.segmentation_joint(
            first,
            tf.add_n(tf.split(second, len(augmented))),
            mask=mask,
            displacement=displacement,
            collapsed=collapsed,
        )
        joints = sum_over_replicas(joints)
        results[name] = {
            "loss": iic.segmentation_loss(joints, lamb[i], detached=detached),
            "joint": joints[:, joints.shape[1] // 2],
        }
    return results
