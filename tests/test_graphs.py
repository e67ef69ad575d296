import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import graphs
from iic_tf.errors import UserError
from iic_tf.models.networks import ClusterIIC
from iic_tf.options import check_arguments

# name: image shape, features, parameters
SIZES = {
    "small": ((24, 24, 1), 1152, 269_680),
    "network_6c": ((24, 24, 1), 4608, 4_304_320),
    "network_5g": ((32, 32, 2), 512, 21_276_416),
    "resnet_18": ((28, 28, 1), 512, 11_170_240),
    "resnet_34": ((64, 64, 3), 512, None),
    "mlp": ((20,), 256, 20 * 512 + 2 * 512 + 512 * 256 + 2 * 256),
    "series": ((100, 3), 128, None),
    "tokens": ((32, 32, 3), 4 * 4 * 256, None),
    "graph_b": ((24, 24, 1), 4608, None),
    "vgg_a": ((32, 32, 1), 4096, None),
    "vgg_c": ((32, 32, 1), 4096, None),
    "vgg_d": ((32, 32, 1), 4096, None),
    "vgg_11": ((32, 32, 3), 512, 9_223_232),
    "vgg_16": ((32, 32, 3), 512, 14_718_912),
}


VGG_CONVOLUTIONS = {"vgg_a": 8, "vgg_c": 13, "vgg_d": 13}


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_every_graph_is_listed_here():
    assert set(SIZES) == set(graphs.GRAPHS)


@pytest.mark.parametrize("name", SIZES)
def test_output_shape_and_parameters(name):
    shape, features, parameters = SIZES[name]
    backbone = graphs.GRAPHS[name](shape)
    assert backbone.output_shape == (None, features)
    if parameters is not None:
        assert trainable(backbone) == parameters
    z = backbone(tf.zeros((2, *shape)), training=False)
    assert np.isfinite(z.numpy()).all()
    if name in VGG_CONVOLUTIONS:
        kernels = [
            layer.kernel_size[0]
            for layer in backbone.layers
            if isinstance(layer, keras.layers.Conv2D)
        ]
        assert len(kernels) == VGG_CONVOLUTIONS[name]
        assert kernels.count(1) == (3 if name == "vgg_c" else 0)


def test_the_small_network_grows_with_the_side():
    for side, features in ((12, 3 * 3 * 64), (32, 4 * 4 * 128), (48, 3 * 3 * 256)):
        assert graphs.small((side, side, 3)).output_shape == (None, features)


def test_a_sobel_layer_stands_before_the_network():
    backbone = graphs.on_views(graphs.small, (24, 24, 4), sobel=True, fan_out_init=2)
    assert backbone.input_shape == (None, 24, 24, 4)
    assert backbone.layers[-1].input_shape[1:] == (24, 24, 5)
    plain = graphs.on_views(graphs.small, (24, 24, 3), sobel=False, fan_out_init=2)
    assert plain.name == "small"


@pytest.mark.parametrize(
    "name",
    ["MobileNetV2", pytest.param("EfficientNetB0", marks=pytest.mark.long)],
)
def test_networks_of_keras_applications_by_name(name):
    backbone = graphs.find(name)((32, 32, 3))
    assert backbone.output_shape == (None, 1280)
    norms = [
        layer
        for layer in backbone._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert norms and all(type(layer).__name__ == "BatchNorm" for layer in norms)
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    assert np.isfinite(backbone(images, training=True)).all()


def test_graphs_that_are_not_there():
    with pytest.raises(UserError, match=r"graph\.name must be one of.*MobileNet"):
        graphs.find("mobilenet")
    with pytest.raises(UserError, match="Xception cannot be built for images of shape"):
        graphs.find("Xception")((32, 32, 3))


def test_network_6c_with_both_banks_has_the_published_size():
    model = ClusterIIC.create(graphs.network_6c((24, 24, 1)), k=10, k_aux=50)
    assert trainable(model) == 5_687_020


def test_network_5g_with_both_banks_has_the_published_size():
    model = ClusterIIC.create(graphs.network_5g((64, 64, 2)), k=10, k_aux=70)
    assert trainable(model) == 21_481_616


@pytest.mark.parametrize("side", [32, 64, 96])
def test_network_5g_has_the_published_maps(side):
    backbone = graphs.network_5g((side, side, 2))
    sides = {32: (17, 9, 5, 3), 64: (33, 17, 9, 5), 96: (49, 25, 13, 7)}[side]
    ends = ("stage1_3", "stage2_4", "stage3_6", "stage4_3")
    found = [backbone.get_layer(f"{end}_relu2").output.shape[1] for end in ends]
    assert tuple(found) == sides


def test_graph_b_sizes_by_hand():
    backbone = graphs.graph_b((24, 24, 1), fan_out_init=8)
    expected, channels = 0, 1
    for filters in (8, 16, 32, 64):
        expected += (
            25 * channels * filters + filters + filters
        )  # kernel, bias, BN shift
        channels = filters
    assert trainable(backbone) == expected
    assert backbone.output_shape == (None, 9 * 64)
    bare = graphs.graph_b((24, 24, 1), batch_norm=False)
    assert not any("bn" in layer.name for layer in bare.layers)


def test_vgg_is_that_of_the_port():
    backbone = graphs.vgg_c((32, 32, 1), fan_out_init=2)
    plan = [2, 2, 4, 4, 8, 8, 8, *[16] * 6]
    expected, channels = 0, 1
    for i, filters in enumerate(plan):
        side = 1 if i in (6, 9, 12) else 3
        expected += side**2 * channels * filters + 2 * filters  # bias and BN shift
        channels = filters
    for inputs in (16, 4096, 4096):  # one pixel is left
        expected += inputs * 4096 + 2 * 4096
    assert trainable(backbone) == expected
    kernel = backbone.get_layer("stage5_2_conv").kernel.numpy()
    bound = np.sqrt(6 / (9 * 16))  # He-uniform
    assert 0.9 * bound < np.abs(kernel).max() <= bound
    assert backbone.get_layer("dense2_dense").kernel.numpy().std() == pytest.approx(
        0.01, rel=0.05
    )
    bare = graphs.vgg_a((32, 32, 1), fan_out_init=2, batch_norm=False)
    norms = [layer.name for layer in bare.layers if layer.name.endswith("_bn")]
    assert norms == ["dense1_bn", "dense2_bn", "dense3_bn"]


def test_untracked_network_6c_keeps_predicting_from_its_own_batch():
    backbone = graphs.network_6c((8, 8, 1), tracked=False)
    images = tf.random.normal((4, 8, 8, 1))
    together = backbone(images, training=False).numpy()
    alone = backbone(images[:2], training=False).numpy()
    assert np.abs(together[:2] - alone).max() > 1e-3


WITH_START = {
    name: builder
    for name, builder in {**graphs.GRAPHS, **graphs.SEGMENT_GRAPHS}.items()
    if "initializer" in inspect.signature(builder).parameters
}


@pytest.mark.parametrize("name", sorted(set(WITH_START) - {"tokens"}))
def test_start_weights_of_ones_choice(name):
    """Every convolution has them: here ones, and Xavier with the gain of a ReLU."""
    check_arguments(WITH_START[name], {"initializer": "Ones"}, option="graph.args")
    shape = (32, 32, 3)
    ones = WITH_START[name](shape, initializer="Ones")
    kernels = [v.numpy() for v in ones.trainable_variables if v.ndim == 4]
    assert kernels and all((kernel == 1).all() for kernel in kernels)
    if name in ("small", "resnet_18"):
        config = {"scale": 2.0, "mode": "fan_avg"}
        xavier = {"class_name": "VarianceScaling", "config": config}
        backbone = WITH_START[name](shape, initializer=xavier)
        kernel = next(v for v in backbone.trainable_variables if v.shape[2:3] == (64,))
        fans = (kernel.shape[2] + kernel.shape[3]) * kernel.shape[0] ** 2
        assert kernel.numpy().std() == pytest.approx((4 / fans) ** 0.5, rel=0.05)


def test_start_weights_that_keras_does_not_know():
    with pytest.raises(ValueError, match="HeNorml"):
        graphs.small((24, 24, 1), initializer="HeNorml")
    with pytest.raises(UserError, match=r"graph\.args\.initializer must be a value"):
        check_arguments(graphs.small, {"initializer": 3}, option="graph.args")
