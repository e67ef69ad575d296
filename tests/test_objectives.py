import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

import graphs
from iic_tf.augment.crops import CropViews, training_crop_batches
from iic_tf.augment.pairs import training_batches
from iic_tf.augment.transforms import compose, move
from iic_tf.losses import iic
from iic_tf.models.networks import SegmentIIC
from iic_tf.tasks.objectives import grouped_pair_losses, pair_losses, segment_losses


@pytest.fixture
def batches(digits, views):
    return training_batches(
        digits[0][:80], views, repeats=2, batch=40, seed=0, start=0, steps=12
    )


def test_losses_of_a_batch_equal_the_formula(tiny_model, batches):
    model = tiny_model()
    views = next(iter(batches))
    results = pair_losses(model, views, lamb=tf.constant([1.2, 1.0]))
    # all copies in one pass, as published: they share the statistics of the batch
    z = model(views[0], training=True)["main"]
    augmented = model(tf.concat(views[1:], axis=0), training=True)["main"]
    repeated = np.concatenate([z] * (len(views) - 1))
    joint = np.einsum("nhi,nhj->hij", repeated, augmented)
    expected = iic.loss_of_joint(tf.constant(joint), 1.2)
    np.testing.assert_allclose(results["main"]["loss"], expected, rtol=1e-4)


def test_cross_entropy_joins_the_losses_of_a_batch(tiny_model, batches):
    model, views = tiny_model(), next(iter(batches))
    groups = np.random.default_rng(0).integers(0, 10, (40, 3, 2)).astype("i4")
    lamb = tf.constant([1.0, 1.0])
    plain = pair_losses(model, views, lamb=lamb)
    both = grouped_pair_losses(model, (views, tf.constant(groups)), lamb=lamb)
    for bank in plain:
        np.testing.assert_allclose(
            plain[bank]["loss"], both[bank]["loss"], rtol=1e-4, atol=1e-6
        )
    z = model(views[0], training=True)["main"].numpy()
    augmented = model(tf.concat(views[1:], axis=0), training=True)["main"].numpy()
    shown = np.concatenate([z, augmented])
    named = groups[..., 0].T.reshape(-1)
    expected = -np.log(shown[np.arange(120), :, named]).mean(axis=0)
    np.testing.assert_allclose(both["main"]["cross_entropy"], expected, rtol=1e-3)
    alone = pair_losses(
        *(model, views), lamb=lamb, groups=tf.constant(groups), augmented_alone=True
    )
    expected = -np.log(augmented[np.arange(80), :, named[40:]]).mean(axis=0)
    np.testing.assert_allclose(alone["main"]["cross_entropy"], expected, rtol=1e-3)


# ---------------------------------------------------------------------- segmentation


def map_batch(side=16, number=2, repeats=2):
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (number, side, side, 3), dtype=np.uint8))
    views = CropViews(side, move(), compose(), compose())
    batches = training_crop_batches(
        images, views, repeats=repeats, batch=number, seed=1, start=0, steps=1
    )
    return next(iter(batches))


def small_segmenter():
    keras.utils.set_random_seed(0)
    backbone = graphs.small_segment((None, None, 3), fan_out_init=4)
    return SegmentIIC.create(backbone, k=3, k_aux=5, num_main=2, num_aux=1)


def test_losses_of_maps_against_numpy():
    """Copies are mirrored: moved back by hand here, counted pixel by pixel."""
    model, batch = small_segmenter(), map_batch()
    found = segment_losses(model, batch, lamb=tf.constant([1.2, 1.0]), displacement=2)
    originals, augmented, matrices, mask = batch
    first = model(originals, training=True)["main"].numpy().astype("f8")
    second = model(tf.concat(augmented, 0), training=True)["main"].numpy().astype("f8")
    mirrored = tf.concat(matrices, 0).numpy()[:, 0, 0] < 0
    assert 0 < mirrored.sum() < 4
    second[mirrored] = second[mirrored][:, :, ::-1]
    second = second[:2] + second[2:]
    for head in range(2):
        expected = reference.segmentation_loss(
            first[..., head, :], second[..., head, :], mask.numpy(), 2, 1.2
        )
        assert found["main"]["loss"][head].numpy() == pytest.approx(expected, abs=1e-5)
        middle = reference.joint(
            first[..., head, :].reshape(-1, 3), second[..., head, :].reshape(-1, 3)
        )
        np.testing.assert_allclose(found["main"]["joint"][head], middle, rtol=1e-3)


def test_maps_can_be_compared_at_the_places_of_features():
    model, batch = small_segmenter(), map_batch()
    lamb = tf.constant([1.0, 1.0])
    fine, coarse, summed = (
        segment_losses(model, batch, lamb=lamb, displacement=1, **options)["aux"]
        for options in ({}, {"at_pixels": False}, {"collapsed": True})
    )
    pairs = [float(tf.reduce_sum(x["joint"])) for x in (fine, coarse, summed)]
    assert pairs[0] == pytest.approx(2 * 2 * 16 * 16, rel=1e-3)
    assert pairs[1] == pytest.approx(2 * 2 * 4 * 4, rel=1e-3)
    assert pairs[2] == pytest.approx(2 * 2 * 46 * 46, rel=1e-3)
