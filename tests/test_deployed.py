"""A network with all that is done to images before it."""

import base64

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from iic_tf.augment.transforms import compose, crop_resize, to_grey
from iic_tf.models.deployed import (
    FitImages,
    FrozenTransform,
    deployed,
    fitting_matrix,
    in_float32,
)
from iic_tf.models.named import NamedClusters


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_an_axis_is_shrunk_by_triangles_and_its_middle_taken():
    matrix = fitting_matrix(tf.constant(6), tf.constant(4.0), 2).numpy()
    # of pixels 1 to 4 two become one: centres at 2 and 4, triangles from 0 to 4 and on
    by_hand = np.array([[1, 3, 3, 1, 0, 0], [0, 0, 1, 3, 3, 1]]) / 8
    np.testing.assert_allclose(matrix, by_hand, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "size", "share"),
    [
        ((48, 64), (16, 16), 0.01),
        ((31, 47), (40, 40), 0.02),  # many lie halfway between levels
        ((300, 400), (24, 32), 0.01),
        # Pillow may take rows first where images are tall, and rounds in between
        ((65, 63), (64, 64), 0.4),
    ],
)
def test_images_are_fitted_as_by_pillow(given, size, share):
    images = noise(2, *given, 3)
    fitted = FitImages(*size)(images).numpy() * 255
    for image, found in zip(images, fitted, strict=True):
        by_pillow = ImageOps.fit(
            Image.fromarray(image), size[::-1], Image.Resampling.BILINEAR
        )
        apart = np.abs(found.round() - np.asarray(by_pillow))
        assert apart.max() <= 2 and (apart > 0).mean() < share


def test_images_of_the_size_stay_as_they_are():
    images = noise(3, 20, 20, 1)
    np.testing.assert_allclose(FitImages(20, 20)(images), images / 255, atol=1e-7)


def test_a_transform_is_stored_as_what_it_does():
    views = compose(crop_resize((20,), size=12, where="centre"), to_grey())
    frozen = FrozenTransform.of(views, (28, 28, 3))
    images = noise(5, 28, 28, 3).astype(np.float32) / 255
    expected = views(tf.constant(images), (0, 0))
    again = FrozenTransform.from_config(frozen.get_config())
    for layer in (frozen, again):
        np.testing.assert_allclose(layer(images), expected, atol=1e-6)
    stored = tf.compat.v1.GraphDef.FromString(base64.b64decode(frozen.graph))
    assert not [node.op for node in stored.node if "Random" in node.op]


def test_a_model_takes_images_of_any_size_and_is_stored_whole(tiny_model, tmp_path):
    network = tiny_model()
    named = NamedClusters.of(
        network, bank="main", head=1, classes=range(10), class_names=list("abcdefghij")
    )
    views = crop_resize((20,), size=12, where="centre")
    how = {"evaluate": views, "shape": (28, 28, 1), "class_names": named.class_names}
    model = deployed(named, **how)
    images = noise(4, 28, 28, 1)
    seen = views(tf.constant(images / np.float32(255)), (0, 0))
    expected = network(seen)["main"].numpy()[:, 1]
    model.save(tmp_path / "model.keras")
    for one in (model, keras.models.load_model(tmp_path / "model.keras")):
        found = one(images)
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
        assert found["index"].numpy().tolist() == expected.argmax(1).tolist()
        assert one(noise(2, 90, 33, 1))["probabilities"].shape == (2, 10)
        assert one.get_layer("answer").class_names == tuple("abcdefghij")


def test_a_network_of_half_precision_computes_in_float32(tiny_model):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = tiny_model()
    finally:
        keras.config.set_dtype_policy("float32")
    named = NamedClusters.of(
        network, bank="aux", head=0, classes=range(20), class_names=map(str, range(20))
    )
    plain = in_float32(named)
    layers = plain.backbone._flatten_layers()
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    images = np.random.default_rng(0).random((5, 12, 12, 1)).astype(np.float32)
    np.testing.assert_allclose(plain(images), named(images), atol=0.02)
    assert plain.class_names == named.class_names
