import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from iic_tf.errors import UserError
from iic_tf.models.tokens import KINDS, EdgePad, build_layers


def network(shape, tokens, **options):
    x = keras.Input(shape)
    return keras.Model(x, build_layers(x, tokens, **options))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_builds_runs_trains_and_can_be_saved(kind, tmp_path):
    shape, tokens = ((12,), [8, 8]) if kind == "fc" else ((8, 8, 3), [8, 16, 16, 8])
    model = network(shape, tokens, kind=kind)
    images = tf.random.normal((4, *shape))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(images, training=True) ** 2)
    gradients = tape.gradient(total, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "kind", "expected"),
    [
        ([64, 64, "M", 128, "U", "C:3"], "vgg", (16, 16, 3)),
        ([8, "M", "M", "M", "M"], "vgg", (1, 1, 8)),
        (["C:8", 8, 16], "resnet-batchnorm", (16, 16, 16)),
        ([8, 8, 16, 16], "resnet-fixup", (2, 2, 16)),
        ([8, 8, 16, 8], "resnet-fixup-const", (16, 16, 8)),
        ([8, 24, "M", 20], "resnet-conv-shortcut", (8, 8, 20)),
        ([30, 20], "fc", (20,)),
        (["B:768:20", "B:20:5"], "fc", (5,)),
        (["C:3:8", "B:8:16", "M", "U", "C:16:3"], "vgg", (16, 16, 3)),
    ],
)
def test_shapes_follow_from_the_tokens(tokens, kind, expected):
    assert network((16, 16, 3), tokens, kind=kind).output_shape[1:] == expected


def test_an_autoencoder_from_yaml_comes_back_to_its_shape():
    lists = yaml.safe_load("encoder: [16, M, 32, M]\ndecoder: [32, U, 16, U, 'C:1']")
    x = keras.Input((28, 28, 1))
    latent = build_layers(x, lists["encoder"], prefix="encoder")
    back = build_layers(latent, lists["decoder"], prefix="decoder")
    assert latent.shape[1:] == (7, 7, 32) and back.shape[1:] == (28, 28, 1)


@pytest.mark.parametrize(
    ("tokens", "kind", "message"),
    [
        ([8, "M", "M", "M"], "vgg", "token 4 of .*'M', does not fit a feature map of"),
        ([8, "X"], "vgg", "token 2 .*must be a number"),
        ([8, "C"], "vgg", "token 2 .*must be a number"),
        ([8, "M:2"], "vgg", "token 2 .*must be a number"),
        ([0], "vgg", "token 1 .*at least 1 channel"),
        (["C:0"], "vgg", "token 1 .*at least 1 channel"),
        (["C:3:8", "B:4:8"], "vgg", "token 2 .*must be the 8 channels before it"),
        ([8, 8, 24], "resnet-batchnorm", "token 3 .*from 8 to 24"),
        ([8, "M"], "fc", "token 2 .*M needs a feature map"),
        ([8], "vgg16", "kind must be one of fc, vgg"),
        ([], "vgg", "at least one token"),
    ],
)
def test_what_does_not_fit_is_named(tokens, kind, message):
    with pytest.raises(UserError, match=message):
        network((4, 4, 3), tokens, kind=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_nonlinearity_and_initialiser_of_ones_choice(kind):
    tokens = [8, 8] if kind == "fc" else [8, 8, "C:8"]
    model = network((8, 8, 8), tokens, kind=kind, activation="gelu", initializer="ones")
    used = [x.activation for x in model.layers if type(x) is keras.layers.Activation]
    assert used and set(used) == {keras.activations.gelu}
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    assert len(kernels) >= 2 and all((kernel.numpy() == 1).all() for kernel in kernels)


def test_an_initialiser_by_name_draws_every_kernel_anew():
    model = network((8, 8, 8), [8, 8], initializer="glorot_uniform")
    first, second = (model.get_layer(f"block{i}_conv").kernel for i in (1, 2))
    bound = np.sqrt(6 / (2 * 9 * 8))
    assert 0.9 * bound < np.abs(first).max() <= bound
    assert not np.allclose(first, second)


@pytest.mark.parametrize("what", ["activation", "initializer"])
def test_names_that_keras_does_not_know(what):
    with pytest.raises(UserError, match=rf"{what} must be a name.*{what}='xavier'"):
        network((8, 8, 8), [8], **{what: "xavier"})


def test_edges_are_repeated():
    found = EdgePad()(tf.reshape(tf.range(4.0), (1, 2, 2, 1)))[0, ..., 0].numpy()
    np.testing.assert_array_equal(found, np.pad([[0, 1], [2, 3]], 1, mode="edge"))


def test_fixup_starts_as_its_shortcut_and_adds_no_batch_statistics():
    model = network((8, 8, 4), [8, 8], kind="resnet-fixup-const")
    x = tf.random.normal((2, 8, 8, 4))
    first = keras.Model(model.input, model.get_layer("block1_act").output)
    np.testing.assert_allclose(model(x), tf.nn.relu(first(x)), atol=1e-6)
    assert not any("bn" in layer.name for layer in model.layers)
