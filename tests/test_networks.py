import keras
import numpy as np
import pytest
import tensorflow as tf

import graphs
import models_iic
from iic_tf.augment.pairs import evaluation_batches
from iic_tf.errors import UserError
from iic_tf.evaluation.inference import (
    adapt,
    compile_predict,
    evaluate_pairs,
    soft_assignments,
    unlikeness,
)
from iic_tf.evaluation.segment_inference import compile_segments
from iic_tf.losses.iic import joint_distribution
from iic_tf.models.networks import ClusterIIC, SegmentIIC


def test_shapes_of_both_banks(tiny_model):
    z = tiny_model()(tf.zeros((5, 12, 12, 1)))
    assert z["main"].shape == (5, 3, 10)
    assert z["aux"].shape == (5, 2, 20)


@pytest.mark.parametrize("sides", [(128, 128), (50, 70)])
def test_a_backbone_of_one_size_groups_pixels_of_pictures_of_any(sides, tmp_path):
    backbone = graphs.small_segment((*sides, 3), fan_out_init=4)
    model = SegmentIIC.create(backbone, k=3, k_aux=6, num_main=2, num_aux=1)
    free = graphs.small_segment((None, None, 3), fan_out_init=4)
    same = SegmentIIC.create(free, k=3, k_aux=6, num_main=2, num_aux=1)
    assert (model.stride, model.least) == (same.stride, same.least)
    same.set_weights(model.get_weights())  # as many weights, of the same shapes
    images = tf.random.normal((2, 36, 52, 3))
    found = model(images)["main"]
    assert found.shape == (2, 36, 52, 2, 3)
    np.testing.assert_allclose(found, same(images)["main"], atol=1e-6)
    assert model.backbone.layers[-1] is backbone.layers[-1]  # the very same weights
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images)["main"], found, atol=1e-6)


def test_the_published_backbone_may_have_a_size():
    backbone = graphs.network_10a((128, 128, 5))
    assert SegmentIIC.create(backbone, k=3, k_aux=6).stride == 2


def test_a_backbone_that_takes_one_size_only_is_refused():
    images = keras.Input((32, 32, 3))
    x = keras.layers.Reshape((32, 96))(images)
    backbone = keras.Model(images, keras.layers.Reshape((32, 32, 3))(x))
    with pytest.raises(UserError, match="a backbone for segmentation must"):
        SegmentIIC.create(backbone, k=3, k_aux=6)


def test_a_network_of_one_bank(tiny_model, tmp_path):
    model = tiny_model(num_aux=0)
    images = tf.random.normal((5, 12, 12, 1))
    assert list(model(images)) == list(model.banks) == ["main"]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images)["main"], model(images)["main"])


def test_statistics_of_a_batch_leave_the_running_ones_alone(tiny_model):
    model = tiny_model()
    images = tf.random.normal((20, 12, 12, 1))
    before = [v.numpy() for v in model.non_trainable_variables]
    predict = compile_predict(model, batch_statistics=True)
    by_batch = predict(images)["main"].numpy()
    for variable, value in zip(model.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert np.abs(by_batch - compile_predict(model)(images)["main"]).max() > 1e-3
    np.testing.assert_allclose(
        by_batch, model(images, training=True)["main"], atol=1e-5
    )


def test_a_network_adapted_to_images_normalises_by_them(tiny_model):
    model = tiny_model()
    batches = [tf.random.normal((20, 12, 12, 1), 2, 3) for _ in range(2)]
    apart = []
    for images in batches:
        adapt(model, [images])
        np.testing.assert_allclose(
            model(images)["main"], model(images, training=True)["main"], atol=1e-5
        )
        adapt(model, [images])  # the call in training has moved the statistics
        apart.append([v.numpy() for v in model.non_trainable_variables])
    adapt(model, batches)
    both = [v.numpy() for v in model.non_trainable_variables]
    for together, first, second in zip(both, *apart, strict=True):
        np.testing.assert_allclose(together, (first + second) / 2, rtol=1e-5, atol=1e-6)
    model(batches[0], training=True)  # its momentum is what it was
    moved = model.non_trainable_variables[0].numpy()
    np.testing.assert_allclose(moved, 0.9 * both[0] + 0.1 * apart[0][0], rtol=1e-4)


def test_an_adapted_network_sees_through_another_light():
    rng = np.random.default_rng(0)
    squares = rng.uniform(size=(16, 8, 8, 3)).astype(np.float32)
    images = tf.image.resize(squares, (64, 64))
    dark = 0.3 * images + (0.02, 0.05, 0.1)
    backbone = graphs.small_segment((None, None, 3), fan_out_init=8)
    model = SegmentIIC.create(backbone, k=4, k_aux=4, num_main=1, num_aux=0)
    predict = compile_segments(model)

    def clusters(seen):
        return predict(seen).numpy().argmax(-1)[:, 8:-8, 8:-8]

    adapt(model, [images])
    assert unlikeness(model, [images]) < 1e-3 < 0.2 < unlikeness(model, [dark])
    before = clusters(images)
    unadapted = (clusters(dark) == before).mean()
    adapt(model, [dark])
    assert (clusters(dark) == before).mean() > max(0.9, unadapted + 0.2)


def test_a_network_without_running_statistics_cannot_be_adapted():
    backbone = graphs.network_6c((24, 24, 1), tracked=False)
    model = ClusterIIC.create(backbone, k=2, k_aux=2, num_main=1, num_aux=0)
    with pytest.raises(UserError, match="keeps running statistics"):
        adapt(model, [tf.zeros((2, 24, 24, 1))])
    assert unlikeness(model, [tf.zeros((2, 24, 24, 1))]) == 0


def test_a_saved_model_predicts_the_same(tiny_model, tmp_path):
    model = tiny_model()
    images = tf.random.normal((4, 12, 12, 1))
    model(images, training=True)  # moves the running statistics
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again, ClusterIIC)
    np.testing.assert_allclose(
        again(images, training=False)["main"], model(images, training=False)["main"]
    )


def test_cluster_iic_can_be_imported_from_the_main_file():
    assert models_iic.ClusterIIC is ClusterIIC


def test_predictions_do_not_depend_on_the_batch(tiny_model, digits, views):
    predict = compile_predict(tiny_model())
    images = digits[0][:50]
    whole, parts = (
        soft_assignments(predict, evaluation_batches(images, views, batch=batch))
        for batch in (50, 16)
    )
    assert whole.shape == (50, 3, 10)
    np.testing.assert_allclose(whole, parts, atol=1e-5)


def test_pairs_give_assignments_and_joints_in_one_pass(tiny_model, digits, views):
    model = tiny_model()
    predict = compile_predict(model)
    pairs = evaluation_batches(digits[0][:50], views, pairs=True, batch=20, seed=3)
    soft, joints = evaluate_pairs(predict, pairs)
    plain = soft_assignments(
        predict, evaluation_batches(digits[0][:50], views, batch=20)
    )
    np.testing.assert_allclose(soft, plain, atol=1e-6)
    expected = sum(
        joint_distribution(model(x)["main"], model(gx)["main"]).numpy()
        for x, gx in pairs
    )
    np.testing.assert_allclose(joints, expected, rtol=1e-4)
    np.testing.assert_allclose(joints.sum((1, 2)), 50, rtol=1e-5)


def test_predictions_follow_later_weights(tiny_model):
    model = tiny_model()
    predict = compile_predict(model)
    images = tf.random.normal((2, 12, 12, 1))
    before = predict(images)["main"].numpy()
    model.main.kernel.assign(-model.main.kernel)
    assert np.abs(predict(images)["main"] - before).max() > 1e-3


# ---------------------------------------------------------------------- segmentation


def segmenter(builder=graphs.small_segment, channels=3, **arguments):
    keras.utils.set_random_seed(0)
    return SegmentIIC.create(
        builder((None, None, channels)),
        **{"k": 3, "k_aux": 7, "num_main": 2, "num_aux": 1, **arguments},
    )


@pytest.mark.parametrize("sides", [(16, 16), (17, 30), (5, 4), (1, 2)])
def test_maps_have_the_size_of_the_images(sides):
    z = segmenter()(tf.random.uniform((2, *sides, 3)))
    assert z["main"].shape == (2, *sides, 2, 3)
    assert z["aux"].shape == (2, *sides, 1, 7)
    np.testing.assert_allclose(tf.reduce_sum(z["main"], -1), 1, rtol=1e-5)


@pytest.mark.parametrize("sides", [(24, 32), (9, 4)])
def test_pictures_can_have_a_margin_of_their_mirror_image(sides):
    model = segmenter()
    images = np.random.default_rng(0).random((2, *sides, 3), np.float32)
    found = compile_segments(model, margin=8)(images)
    assert found.shape == (2, *sides, 2, 3)
    y, x = (min(8, side) for side in sides)
    larger = np.pad(images, ((0, 0), (y, y), (x, x), (0, 0)), mode="symmetric")
    whole = compile_segments(model)(larger)
    inner = whole[:, y : y + sides[0], x : x + sides[1]]
    np.testing.assert_allclose(found, inner, atol=1e-6)
    assert np.abs(found - compile_segments(model)(images)).max() > 1e-3


def test_maps_of_images_of_any_size_in_one_graph():
    model = segmenter()
    predict = tf.function(
        model, input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)]
    )
    for sides in ((16, 16), (13, 22)):
        images = tf.random.uniform((1, *sides, 3))
        np.testing.assert_allclose(
            predict(images)["main"], model(images)["main"], atol=1e-6
        )


def test_a_segmentation_network_can_be_saved(tmp_path):
    model = segmenter()
    images = tf.random.uniform((1, 9, 12, 3))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images)["aux"], model(images)["aux"], atol=1e-6)


def test_network_10a_has_the_published_sizes_and_an_undecided_ring():
    model = segmenter(
        graphs.network_10a, channels=5, k=15, k_aux=45, num_main=1, bias=False
    )
    assert model.backbone.count_params() - 2 * 1728 == 4_503_744
    assert model.count_params() == model.backbone.count_params() + 512 * (15 + 45)
    images = tf.random.uniform((1, 32, 32, 5))
    features = model.features(images)
    assert features.shape == (1, 14, 14, 512)
    assert (model.stride, model.least) == (2, 10)
    assert model(images[:, :3, :9])["main"].shape == (1, 3, 9, 1, 15)
    z = model.main(features).numpy()
    ring = np.ones((14, 14), bool)
    ring[1:-1, 1:-1] = False
    np.testing.assert_allclose(z[0, ring], 1 / 15, rtol=1e-6)


def test_a_backbone_of_vectors_makes_no_maps():
    with pytest.raises(UserError, match="must return feature maps"):
        SegmentIIC.create(graphs.small((16, 16, 3)), k=3, k_aux=7)
