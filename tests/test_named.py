"""A network whose clusters have names, on its own and stored."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from iic_tf.models.named import NamedClusters

IMAGES = np.random.default_rng(0).random((7, 12, 12, 1)).astype(np.float32)


@pytest.mark.parametrize(("bank", "head", "k"), [("main", 2, 10), ("aux", 1, 20)])
def test_classes_have_the_probabilities_of_their_clusters(tiny_model, bank, head, k):
    network = tiny_model()
    classes = np.arange(k) % 3
    named = NamedClusters.of(
        network, bank=bank, head=head, classes=classes, class_names=["a", "b", "c"]
    )
    clusters = network(IMAGES)[bank].numpy()[:, head]
    summed = np.stack([clusters[:, classes == c].sum(axis=1) for c in range(3)], axis=1)
    np.testing.assert_allclose(named(IMAGES), summed, atol=1e-6)
    assert named.class_names == ("a", "b", "c")


def test_clusters_without_a_name_are_a_class_without_one(tiny_model):
    network = tiny_model()
    classes = [0, -1, 1, -1, 0, 0, 0, 0, 0, 0]
    named = NamedClusters.of(
        network, bank="main", head=0, classes=classes, class_names=["a", "b"]
    )
    found = named(IMAGES).numpy()
    assert named.class_names == ("a", "b", "")
    clusters = network(IMAGES)["main"].numpy()[:, 0]
    np.testing.assert_allclose(found[:, 2], clusters[:, [1, 3]].sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_names_are_stored_with_the_model(tiny_model, tmp_path):
    names = ["chat", "chien é", "=1"]
    named = NamedClusters.of(
        tiny_model(), bank="aux", head=1, classes=np.arange(20) % 3, class_names=names
    )
    named.save(tmp_path / "named.keras")
    again = keras.models.load_model(tmp_path / "named.keras")
    assert again.class_names == tuple(names) and again.classes == named.classes
    np.testing.assert_allclose(again(IMAGES), named(IMAGES), atol=1e-6)
    again.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(served.serve(IMAGES[:3]), named(IMAGES[:3]), atol=1e-5)
