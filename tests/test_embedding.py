import keras
import numpy as np

import graphs
from iic_tf.models.frozen import as_trunk
from iic_tf.training.embedding import embed

SIZE = 16


def network(seed):
    keras.utils.set_random_seed(seed)
    return graphs.small((SIZE, SIZE, 3), fan_out_init=4, kernel=3)


def test_features_are_kept_for_the_same_images_and_weights_alone(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (130, 20, 20, 3), np.uint8)
    trunk = as_trunk(network(0), size=SIZE, channels=3)
    first = embed(trunk, images, cache=tmp_path, keep=True)
    expected = trunk(images / np.float32(255), training=False)
    np.testing.assert_allclose(first, expected, atol=1e-5)
    [path] = tmp_path.iterdir()
    np.save(path, first + 1)  # whoever reads it can be told
    known = embed(trunk, images, cache=tmp_path, keep=False)
    np.testing.assert_array_equal(known, first + 1)
    other = as_trunk(network(1), size=SIZE, channels=3)
    assert np.abs(embed(other, images, cache=tmp_path, keep=False) - known).max() > 0.1
    embed(trunk, 255 - images, cache=tmp_path, keep=False)
    assert list(tmp_path.iterdir()) == [path]  # not asked to keep these
