import numpy as np
import pytest

from iic_tf.datasets.masks import SegmentImages
from iic_tf.datasets.splits import (
    Source,
    Split,
    apply_protocol,
    concatenate,
    evenly,
    mixed_order,
)
from iic_tf.errors import UserError


def numbered(start, stop, *, labels=True):
    """2×2 images whose pixels are their number."""
    numbers = np.arange(start, stop, dtype=np.uint8)
    images = np.tile(numbers[:, None, None, None], (1, 2, 2, 1))
    return Split(images, np.zeros(len(numbers), int) if labels else None)


@pytest.fixture
def with_pool():
    """2 train, 3 test, 7 unlabelled images, as STL-10 has 5,000, 8,000, 100,000."""
    return Source(
        {
            "train": numbered(0, 2),
            "test": numbered(2, 5),
            "unlabelled": numbered(10, 17, labels=False),
        },
        "here",
    )


def test_labelled_images_are_spread_among_unlabelled_ones():
    order, labelled = mixed_order(2, 7)
    assert order.tolist() == [0, 2, 3, 4, 1, 5, 6, 7, 8]
    assert np.flatnonzero(labelled).tolist() == [0, 4]
    # STL-10, as its authors' users mix it
    order, labelled = mixed_order(5_000, 100_000)
    assert order[:22].tolist() == [0, *range(5_000, 5_020), 1]
    assert sorted(order) == list(range(105_000)) and labelled.sum() == 5_000


def test_main_heads_see_no_unlabelled_image_and_none_is_scored(with_pool):
    protocol = apply_protocol(with_pool, "all")
    shown = protocol.train.images[:, 0, 0, 0]
    assert shown.tolist() == [0, 10, 11, 12, 1, 13, 14, 15, 16, 2, 3, 4]
    assert shown[protocol.main].tolist() == [0, 1, 2, 3, 4]
    assert protocol.evaluate.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert protocol.train.labels is None and protocol.mapping is None
    without = apply_protocol(with_pool, "all", unlabelled=False)
    assert len(without.train.images) == 5 and without.main is None


def test_holdout_maps_clusters_on_train(with_pool):
    protocol = apply_protocol(with_pool, "holdout")
    assert len(protocol.train.images) == 9 and protocol.main is None
    assert protocol.mapping.images[:, 0, 0, 0].tolist() == [0, 1]
    assert protocol.evaluate.images[:, 0, 0, 0].tolist() == [2, 3, 4]
    assert "mapped to classes on train" in protocol.words


def test_concatenation_keeps_labels_and_paths_if_all_have_them():
    named = Split(numbered(0, 2).images, np.array([1, 0]), ("a", "b"))
    both = concatenate([named, named])
    assert both.labels.tolist() == [1, 0, 1, 0] and both.paths == ("a", "b", "a", "b")
    mixed = concatenate([named, numbered(0, 1, labels=False)])
    assert mixed.labels is None and mixed.paths is None
    assert concatenate([named]) is named


def test_a_part_shares_its_images():
    named = Split(numbered(0, 4).images, np.arange(4), tuple("abcd"))
    part = named.take(slice(1, 3))
    assert part.paths == ("b", "c") and part.labels.tolist() == [1, 2]
    assert np.shares_memory(part.images, named.images)


def test_some_images_keep_what_is_known_of_them():
    named = Split(numbered(0, 4).images, np.arange(4), tuple("abcd"))
    some = named.take(np.array([3, 0]))
    assert some.paths == ("d", "a") and some.labels.tolist() == [3, 0]
    np.testing.assert_array_equal(some.images, named.images[[3, 0]])
    maps = [np.full((2, n + 2), n, np.uint8) for n in range(4)]
    pixels = SegmentImages(maps, maps, tuple("abcd"), tuple(x.shape for x in maps))
    some = pixels.take(np.array([3, 0]))
    assert some.names == ("d", "a") and some.sizes == ((2, 5), (2, 2))
    assert [x.shape for x in some.images] == [x.shape for x in some.labels]
    assert some.images[0] is maps[3]


def test_few_of_many_are_evenly_spaced():
    split = Split(numbered(0, 10).images, np.arange(10))
    assert evenly(split, 4).labels.tolist() == [0, 3, 6, 9]
    assert len(evenly(split, 50).images) == 10


def test_labels_that_are_no_classes():
    with pytest.raises(UserError, match="classes from 0"):
        Split(numbered(0, 2).images, np.array([0, -1]))
