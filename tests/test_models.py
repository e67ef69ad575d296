import keras
import numpy as np
import tensorflow as tf

import models_iic
from iic_tf.inference import compile_predict, evaluate_pairs, soft_assignments
from iic_tf.losses import joint_distribution
from iic_tf.models import ClusterIIC
from iic_tf.pipeline import evaluation_batches


def test_shapes_of_both_banks(tiny_model):
    z = tiny_model()(tf.zeros((5, 12, 12, 1)))
    assert z["main"].shape == (5, 3, 10)
    assert z["aux"].shape == (5, 2, 20)


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
