import numpy as np
import pytest

from iic_tf.datasets.splits import (
    Source,
    Split,
    apply_protocol,
    concatenate,
    evenly,
    limited,
    mixed_order,
    shares,
    stratified,
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
    pixels = Split(maps, maps, tuple("abcd"), sizes=tuple(x.shape for x in maps))
    some = pixels.take(np.array([3, 0]))
    assert some.paths == ("d", "a") and some.sizes == ((2, 5), (2, 2))
    assert [x.shape for x in some.images] == [x.shape for x in some.labels]
    assert some.images[0] is maps[3]


def test_few_of_many_are_evenly_spaced():
    split = Split(numbered(0, 10).images, np.arange(10))
    assert evenly(split, 4).labels.tolist() == [0, 3, 6, 9]
    assert len(evenly(split, 50).images) == 10


def test_labels_that_are_no_classes():
    with pytest.raises(UserError, match="classes from 0"):
        Split(numbered(0, 2).images, np.array([0, -1]))


# --------------------------------------------------------------------- some images only


@pytest.mark.parametrize(
    ("counts", "number", "expected"),
    [
        ([10, 20, 30], 6, [1, 2, 3]),
        ([10, 20, 30], 60, [10, 20, 30]),
        ([1, 1, 1], 2, [1, 1, 0]),
        ([5, 0, 15], 3, [1, 0, 2]),
        ([3, 1000], 10, [0, 10]),
    ],
)
def test_whole_numbers_in_proportion(counts, number, expected):
    assert shares(np.array(counts), number).tolist() == expected


def test_each_class_keeps_its_share_and_the_seed_decides():
    labels = np.random.default_rng(0).choice(3, 1000, p=[0.6, 0.3, 0.1])
    chosen = stratified(labels, 100, seed=4)
    assert len(set(chosen)) == 100 and (np.diff(chosen) > 0).all()
    expected = np.bincount(labels) / 10
    assert np.abs(np.bincount(labels[chosen]) - expected).max() < 1
    np.testing.assert_array_equal(chosen, stratified(labels, 100, seed=4))
    assert (chosen != stratified(labels, 100, seed=5)).any()


def test_a_limit_of_train_and_test(with_pool):
    """Unlabelled images keep the share that those of train keep."""
    cut = limited(with_pool, (1, 2), seed=0)
    sizes = {name: len(split.images) for name, split in cut.splits.items()}
    assert sizes == {"train": 1, "test": 2, "unlabelled": 4}
    assert cut.splits["unlabelled"].images[:, 0, 0, 0].tolist() == [10, 11, 12, 13]
    assert cut.origin == (
        "here: 1 of 2 images of train, 2 of 3 images of test, 4 of 7 images of "
        "unlabelled (of each class its share)"
    )
    assert limited(with_pool, None, seed=0) is with_pool
    larger = limited(with_pool, (50, 50), seed=0)
    assert len(larger.splits["test"].images) == 3


def test_a_limit_of_all(with_pool):
    cut = limited(with_pool, 6, seed=0)
    assert [len(split.images) for split in cut.splits.values()] == [1, 2, 3]


def test_images_without_labels_are_the_first():
    paths = tuple(f"{i}.png" for i in range(6))
    whole = Split(numbered(0, 6, labels=False).images, None, paths)
    cut = limited(Source({"the folder": whole}, "here"), 4, seed=3)
    assert cut.splits["the folder"].paths == paths[:4]
    assert cut.origin == "here: 4 of 6 images"


@pytest.mark.parametrize("labelled", [False, True])
def test_images_without_splits_are_cut_in_two(labelled):
    whole = numbered(0, 20)
    labels = np.arange(20) % 2 if labelled else None
    source = Source({"the folder": Split(whole.images, labels)}, "here")
    cut = limited(source, [10, 6], seed=3)
    train, test = (cut.splits[name] for name in ("train", "test"))
    shown = [x.images[:, 0, 0, 0].tolist() for x in (train, test)]
    assert [len(x) for x in shown] == [10, 6] and not set(shown[0]) & set(shown[1])
    if labelled:
        assert np.bincount(train.labels).tolist() == [5, 5]
        assert np.bincount(test.labels).tolist() == [3, 3]
    else:
        assert shown == [list(range(10)), list(range(10, 16))]
    assert cut.origin.startswith("here: 10 of 20 images for train, 6 for test")
    assert apply_protocol(cut, "holdout").words.startswith("test, not used")
    with pytest.raises(UserError, match=r"add up to at most .* 20, where .*\(15, 6\)"):
        limited(source, (15, 6), seed=3)


def test_a_limit_of_two_needs_both_splits():
    source = Source({"train": numbered(0, 3), "val": numbered(3, 5)}, "here")
    with pytest.raises(UserError, match="must be one number for images without a"):
        limited(source, (1, 1), seed=0)


def test_few_labelled_images_have_some_of_each_class():
    labels = np.repeat([0, 1, 2], (60, 30, 10))
    some = stratified(labels, 20, seed=0)
    assert np.bincount(labels[some]).tolist() == [12, 6, 2]
    assert sorted(some) == list(some) and len(set(some)) == 20
    assert list(stratified(labels, 20, seed=0)) == list(some)
    assert list(stratified(labels, 20, seed=1)) != list(some)


# ------------------------------------------------------------- where pixels are grouped


def of_pixels(first, number, *, labelled=True):
    images = [np.full((2, 3 + i, 1), i, np.uint8) for i in range(first, first + number)]
    maps = [image[..., 0] for image in images] if labelled else None
    sizes = tuple(image.shape[:2] for image in images)
    return Split(images, maps, tuple(f"{i}.png" for i in range(number)), sizes=sizes)


def values(split):
    return [int(image[0, 0, 0]) for image in split.images]


def test_images_without_label_maps_train_and_are_not_evaluated():
    parts = {
        "unlabelled_train": of_pixels(0, 2, labelled=False),
        "labelled_train": of_pixels(2, 2),
        "labelled_test": of_pixels(4, 1),
    }
    protocol = apply_protocol(Source(parts, "here"), "all")
    assert values(protocol.train) == [0, 1, 2, 3, 4] and protocol.train.labels is None
    assert values(protocol.evaluate) == [2, 3, 4] and protocol.mapping is None
    assert protocol.words == "labelled_train + labelled_test, also used for training"
    protocol = apply_protocol(Source(parts, "here"), "holdout")
    assert values(protocol.train) == [0, 1, 2, 3]
    assert values(protocol.evaluate) == [4] and values(protocol.mapping) == [2, 3]
    assert protocol.words == (
        "labelled_test, not used for training, with clusters mapped to classes on "
        "labelled_train"
    )


def test_without_any_label_map_all_images_are_evaluated():
    parts = {"train": of_pixels(0, 2, labelled=False)}
    protocol = apply_protocol(Source(parts, "here"), "all")
    assert protocol.train is protocol.evaluate is parts["train"]
    with pytest.raises(UserError, match="a train and a test split"):
        apply_protocol(Source(parts, "here"), "holdout")
