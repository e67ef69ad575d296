import keras
import numpy as np
import pytest
import tensorflow as tf

from iic_tf.models import blocks
from iic_tf.models.blocks import (
    BatchNorm,
    Conv2D,
    Sobel,
    basic_block,
    conv_bn_relu,
    dense_bn_relu,
    pad_conv,
)


@pytest.fixture
def images():
    return tf.random.normal((8, 5, 6, 3), mean=1.5, stddev=2.0)


def test_fused_equals_keras_in_training_and_evaluation(images):
    fused, plain = (
        BatchNorm(),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
    )
    for layer in (fused, plain):
        layer.build(images.shape)
        layer.gamma.assign([0.5, 1.0, 2.0])
        layer.beta.assign([0.1, 0.2, 0.3])
    for _ in range(2):
        np.testing.assert_allclose(
            fused(images, training=True), plain(images, training=True), atol=2e-5
        )
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(fused.moving_variance, plain.moving_variance, rtol=1e-5)
    np.testing.assert_allclose(
        fused(images, training=False), plain(images, training=False), atol=2e-5
    )


def test_gradients_equal_those_of_keras(images):
    gradients = []
    for layer in (BatchNorm(), keras.layers.BatchNormalization(epsilon=1e-5)):
        layer.build(images.shape)
        weights = tf.random.stateless_normal(images.shape, (1, 2))
        with tf.GradientTape() as tape:
            tape.watch(images)
            value = tf.reduce_sum(layer(images, training=True) ** 3 * weights)
        gradients.append(tape.gradient(value, [images, layer.gamma.value]))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_untracked_normalises_evaluation_by_its_own_batch(images):
    layer = BatchNorm(tracked=False)
    z = layer(images * 7 + 3, training=False).numpy()
    np.testing.assert_allclose(z.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(z.std((0, 1, 2)), 1, atol=1e-3)


def test_without_scale_and_centre(images):
    layer = BatchNorm(scale=False, center=False)
    z = layer(images, training=True).numpy()
    assert not layer.trainable_variables
    np.testing.assert_allclose(z.std((0, 1, 2)), 1, atol=1e-3)


def test_convolutions_start_untruncated_with_variance_two_over_fan_in():
    x = keras.Input((8, 8, 16))
    model = keras.Model(x, conv_bn_relu(x, 512, kernel=5, name="a"))
    kernel = model.get_layer("a_conv").kernel.numpy()
    sigma = np.sqrt(2 / (16 * 25))
    assert kernel.std() == pytest.approx(sigma, rel=0.01)
    assert np.abs(kernel).max() > 3 * sigma  # a truncated one would stop near 2.3
    assert not model.get_layer("a_conv").use_bias


def test_dense_block_shape_and_names():
    x = keras.Input((16,))
    model = keras.Model(x, dense_bn_relu(x, 12, name="d"))
    assert model.output_shape == (None, 12)
    assert [layer.name for layer in model.layers[1:]] == ["d_dense", "d_bn", "d_relu"]


@pytest.mark.parametrize(
    ("side", "kernel", "small"),
    [
        ((3, 3), 5, True), ((2, 3), 5, True), ((1, 1), 3, True), ((3, 2), (7, 3), True),
        ((4, 4), 5, True), ((6, 2), (7, 3), True), ((3, 3), 4, False),
        ((5, 5), 5, False), ((6, 3), (7, 3), False),
    ],
)  # fmt: skip
def test_convolution_of_small_maps_equals_keras(side, kernel, small):
    x = tf.random.normal((4, *side, 6))
    ours, plain = (
        make(8, kernel, padding="same", activation="tanh", bias_initializer="ones")
        for make in (Conv2D, keras.layers.Conv2D)
    )
    for layer in (ours, plain):
        layer.build(x.shape)
    ours.kernel.assign(plain.kernel)
    results = []
    for layer in (ours, plain):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        gradients = tape.gradient(y, [x, *(v.value for v in layer.variables)])
        results.append([y, *gradients])
    assert convolves(ours, x) is not small
    for mine, its in zip(*results, strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-5)


def convolves(layer, x):
    """Whether the layer has an operation that convolves."""
    graph = tf.function(layer).get_concrete_function(x).graph
    return any(operation.type == "Conv2D" for operation in graph.get_operations())


def test_in_bfloat16_maps_as_large_as_the_kernel_are_small_too():
    x = tf.cast(tf.random.normal((4, 5, 4, 6)), tf.bfloat16)
    ours, plain = (
        make(8, 5, padding="same", use_bias=False, dtype="mixed_bfloat16")
        for make in (Conv2D, keras.layers.Conv2D)
    )
    for layer in (ours, plain):
        layer.build(x.shape)
    ours.kernel.assign(plain.kernel)
    assert not convolves(ours, x)
    mine, its = (np.asarray(tf.cast(layer(x), tf.float32)) for layer in (ours, plain))
    np.testing.assert_allclose(mine, its, atol=0.03)


@pytest.mark.parametrize(("side", "large"), [(4, False), (5, True)])
def test_large_matrices_are_not_made(side, large, monkeypatch):
    monkeypatch.setattr(blocks, "MAX_ENTRIES", 4**4 * 6 * 8)
    layer = Conv2D(8, 5, padding="same", dtype="mixed_bfloat16")
    x = tf.zeros((1, side, side, 6), tf.bfloat16)
    assert convolves(layer, x) is large


def test_neither_are_large_tables_of_links():
    layer = Conv2D(1, 25, padding="same")  # 20 · 20 pixels
    assert convolves(layer, tf.zeros((1, 20, 20, 1)))


@pytest.mark.parametrize(
    "options",
    [{"padding": "valid"}, {"strides": 2}, {"groups": 2}, {"dilation_rate": 2}],
)
def test_other_convolutions_of_small_maps_are_left_alone(options):
    x = tf.random.normal((2, 3, 3, 4))
    options = {"padding": "same", "kernel_initializer": "ones", **options}
    kernel = 3 if options["padding"] == "valid" else 5
    ours = Conv2D(4, kernel, **options)(x)
    np.testing.assert_allclose(ours, keras.layers.Conv2D(4, kernel, **options)(x))


def test_a_convolution_of_stride_2_pads_evenly():
    x = tf.random.normal((2, 6, 6, 3))
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, pad_conv(inputs, 4, kernel=3, stride=2, name="c"))
    kernel = model.get_layer("c").kernel
    padded = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = tf.nn.conv2d(padded, kernel, 2, "VALID")
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


def test_a_basic_block_adds_its_input_or_a_projection_of_it():
    inputs = keras.Input((8, 8, 64))
    same = keras.Model(inputs, basic_block(inputs, 64, name="b"))
    assert not any("short" in layer.name for layer in same.layers)
    same.get_layer("b_bn2").gamma.assign(tf.zeros(64))
    x = tf.random.normal((2, 8, 8, 64))
    np.testing.assert_allclose(same(x), tf.nn.relu(x), atol=1e-6)
    other = keras.Model(inputs, basic_block(inputs, 128, stride=2, name="b"))
    assert other.output_shape == (None, 4, 4, 128)
    assert other.get_layer("b_short_conv").kernel_size == (1, 1)


def test_sobel_by_hand():
    grey = np.zeros((1, 4, 5, 1), "f4")
    grey[:, :, 3:] = 1.0  # rises to the right between columns 2 and 3
    slopes = Sobel()(grey)[0].numpy()
    # the published kernels turn the sign: left minus right, upper minus lower
    np.testing.assert_allclose(slopes[1:3, 2:4, 0], -4)
    np.testing.assert_allclose(slopes[1:3, 1:4, 1], 0)
    np.testing.assert_allclose(slopes[0, 3:, 1], [-3, -3])  # black outside


def test_sobel_keeps_the_other_channels_in_their_order():
    images = np.random.default_rng(0).random((2, 5, 5, 5)).astype("f4")
    found = Sobel(infrared=True)(images).numpy()  # R, G, B, grey, infrared
    assert found.shape[-1] == 6
    np.testing.assert_array_equal(found[..., :3], images[..., :3])
    np.testing.assert_array_equal(found[..., 5], images[..., 4])
    plain = Sobel()(images[..., 3:4]).numpy()
    np.testing.assert_allclose(found[..., 3:5], plain, atol=1e-6)
    assert Sobel.from_config(Sobel(infrared=True).get_config()).infrared
