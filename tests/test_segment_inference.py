"""Large images in tiles, and scores of pixels, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from iic_tf.augment.transforms import compose
from iic_tf.datasets.masks import IGNORE
from iic_tf.datasets.splits import Split
from iic_tf.evaluation import segment_inference
from iic_tf.evaluation.results import Scorer
from iic_tf.evaluation.segment_inference import clusters_of, pixel_tables, soft_maps_of


def of_values(images):
    """Soft maps of one sub-head: the first channel is how likely cluster 1 is."""
    bright = tf.convert_to_tensor(images)[..., 0]
    return tf.stack((1 - bright, bright), axis=-1)[..., None, :]


@pytest.mark.parametrize("sides", [(16, 16), (17, 40), (50, 33), (40, 9), (40, 3)])
def test_tiles_give_what_the_whole_picture_gives(sides, monkeypatch):
    monkeypatch.setattr(segment_inference, "TILE", 16)
    monkeypatch.setattr(segment_inference, "OVERLAP", 6)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*sides, 3), dtype=np.uint8) for _ in range(3)]
    sizes = []

    def predict(batch):
        sizes.append(tuple(batch.shape[1:3]))
        return of_values(batch)

    found = list(clusters_of(predict, images, compose()))
    assert len(found) == 3 and max(max(size) for size in sizes) <= 16
    for clusters, image in zip(found, images, strict=True):
        np.testing.assert_array_equal(clusters[..., 0], image[..., 0] > 127.5)


def test_soft_maps_of_tiles_are_probabilities(monkeypatch):
    monkeypatch.setattr(segment_inference, "TILE", 16)
    monkeypatch.setattr(segment_inference, "OVERLAP", 6)
    image = np.random.default_rng(0).integers(0, 256, (33, 20, 1), dtype=np.uint8)
    small = image[:9, :9]
    for found, shown in zip(
        soft_maps_of(of_values, [image, small], compose()), [image, small], strict=True
    ):
        expected = of_values(shown[None] / np.float32(255))[0]
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_where_tiles_disagree_the_nearer_one_counts_more(monkeypatch):
    monkeypatch.setattr(segment_inference, "TILE", 16)
    monkeypatch.setattr(segment_inference, "OVERLAP", 8)
    calls = []

    def predict(images):
        calls.append(images.shape)
        second = float(len(calls) - 1)  # the first tile says 0, the second 1
        return tf.ones((*images.shape[:3], 1, 1)) * (1 - second, second)

    [found] = clusters_of(predict, [np.zeros((16, 24, 3), np.uint8)], compose())
    assert len(calls) == 2
    np.testing.assert_array_equal(found[0, :, 0], [0] * 12 + [1] * 12)


def images(values, labels):
    images = [np.array(v, np.uint8)[..., None] * 255 for v in values]
    maps = [np.array(x, np.uint8) for x in labels]
    names = tuple(str(i) for i in range(len(images)))
    return Split(images, maps, names, sizes=tuple(x.shape[:2] for x in images))


def scorer(scored, *, mapping=None):
    def count(part, predict):
        return pixel_tables(predict, part, compose(), num_clusters=2, num_classes=3)

    return Scorer(count, of_values, scored, mapping, match="one-to-one")


def test_pixels_are_counted_by_hand():
    scored = images(
        [[[0, 1], [1, 1]], [[0, 0, 1]]], [[[2, 1], [1, IGNORE]], [[2, 1, 1]]]
    )
    [table] = scorer(scored).counts()
    np.testing.assert_array_equal(table, [[0, 1, 2], [0, 3, 0]])
    assert scorer(scored).errors() == pytest.approx([1 / 6])


def test_clusters_are_mapped_where_asked():
    scored = images([[[0, 1]]], [[[0, 1]]])
    mapping = images([[[0, 1]]], [[[1, 2]]])
    both = scorer(scored, mapping=mapping)
    np.testing.assert_array_equal(both.counts()[0], [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(both.mapping_counts()[0], [[0, 1, 0], [0, 0, 1]])
    assert scorer(scored).mapping_counts() is None
    assert scorer(scored, mapping=mapping).errors() == [1]
