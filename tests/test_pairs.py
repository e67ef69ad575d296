import numpy as np
import pytest

from iic_tf.augment.pairs import (
    Views,
    evaluation_batches,
    own_views,
    plan_passes,
    steps_per_epoch,
    training_batches,
)
from iic_tf.errors import UserError

ARGUMENTS = {"repeats": 2, "batch": 30, "seed": 5, "steps": 9}


@pytest.fixture(scope="module")
def numbered():
    """100 images whose every pixel is their number."""
    return np.tile(np.arange(100, dtype=np.uint8)[:, None, None, None], (1, 28, 28, 1))


def test_shapes(numbered, views):
    x, first, second = next(
        iter(training_batches(numbered, views, start=0, **ARGUMENTS))
    )
    assert x.shape == first.shape == second.shape == (30, 12, 12, 1)
    assert np.abs(first - second).max() > 0.1


def numbers(batches):
    return [np.round(x[:, 6, 6, 0].numpy() * 255).astype(int) for x, *_ in batches]


def test_each_pass_shows_no_image_twice_and_is_shuffled_anew(numbered, views):
    seen = numbers(training_batches(numbered, views, start=0, **ARGUMENTS))
    assert len(seen) == 9
    passes = [np.concatenate(seen[i : i + 3]) for i in (0, 3, 6)]
    for order in passes:
        assert len(set(order)) == 90
    assert not np.array_equal(passes[0], passes[1])
    assert not np.array_equal(np.sort(passes[0]), passes[0])


def test_starting_later_gives_the_very_same_batches(numbered, views):
    whole = list(training_batches(numbered, views, start=0, **ARGUMENTS))
    tail = list(training_batches(numbered, views, start=4, **ARGUMENTS))
    assert len(tail) == 5
    for expected, batch in zip(whole[4:], tail, strict=True):
        for a, b in zip(expected, batch, strict=True):
            np.testing.assert_array_equal(a, b)


def test_copies_change_from_pass_to_pass_and_with_the_seed(digits, views):
    images = digits[0][:30]
    batches = list(training_batches(images, views, start=0, **ARGUMENTS))
    assert np.abs(batches[0][1].numpy() - batches[1][1].numpy()).max() > 0.1
    other = next(
        iter(training_batches(images, views, start=0, **{**ARGUMENTS, "seed": 6}))
    )
    assert np.abs(batches[0][1].numpy() - other[1].numpy()).max() > 0.1


def test_half_of_the_copies_show_neighbours(numbered, views):
    # the neighbours of image i are i + 100 and i + 101 among 200 images, no others
    images = np.concatenate([numbered, numbered + 100])
    first = np.arange(200)[:, None]
    near = ((first + np.array([100, 101])) % 200).astype("i4")

    def identity(images, seed):
        return images

    plain = Views(identity, identity, identity)
    arguments = {**ARGUMENTS, "repeats": 4}
    batches = training_batches(images, plain, start=0, neighbours=near, **arguments)
    distances = []
    for batch in batches:
        x, *augmented = (
            np.round(v[:, 6, 6, 0].numpy() * 255).astype(int) for v in batch
        )
        distances.append((np.stack(augmented) - x) % 200)
    apart = np.stack(distances)
    assert set(np.unique(apart)) == {0, 100, 101}
    assert 0.45 < (apart == 0).mean() < 0.55
    assert 0.2 < (apart == 101).mean() < 0.3


def test_groups_come_with_the_images_that_are_shown(numbered):
    def identity(images, seed):
        return images

    near = ((np.arange(100)[:, None] + 50) % 100).astype("i4")
    groups = np.stack([np.arange(100) % 7, np.arange(100)], axis=1).astype("i4")
    batches = training_batches(
        numbered,
        Views(identity, identity, identity),
        start=0,
        neighbours=near,
        groups=groups,
        **ARGUMENTS,
    )
    for views, told in batches:
        shown = [np.round(view[:, 6, 6, 0].numpy() * 255).astype(int) for view in views]
        np.testing.assert_array_equal(told, groups[np.stack(shown, axis=1)])
        assert (shown[1] != shown[0]).any()


def test_passes_of_different_lengths():
    passes = plan_passes([70, 30], batch=20, steps=9)
    assert passes.number.tolist() == [0, 0, 0, 1, 2, 2, 2, 3, 4]
    assert passes.position.tolist() == [0, 1, 2, 0, 0, 1, 2, 0, 0]
    assert passes.kind.tolist() == [0, 0, 0, 1, 0, 0, 0, 1, 0]
    counted = plan_passes([70, 30], batch=20, steps=9, epochs=3)
    assert counted.number.tolist() == [0, 0, 0, 1, 2, 2, 2]


def test_passes_that_lead_to_too_many_steps_are_refused_before_they_are_laid_out():
    message = r"train\.epochs must amount to at most 20,000,000 steps.*steps=300000000"
    with pytest.raises(UserError, match=message):
        plan_passes([70, 30], batch=10, steps=9, epochs=6 * 10**7)


def test_passes_over_some_of_the_images(numbered, views):
    some = np.arange(40, 100, 2)
    passes = plan_passes([100, 30], batch=30, steps=8)
    batches = training_batches(
        numbered, views, start=0, **{**ARGUMENTS, "steps": 8},
        passes=passes, subsets=[None, some],
    )  # fmt: skip
    seen = numbers(batches)
    for kind, shown in zip(passes.kind, seen, strict=True):
        assert len(set(shown)) == 30
        assert set(shown) <= set(some if kind else range(100))
    assert set(seen[3]) == set(some)


def test_without_shuffling_all_passes_are_alike(numbered, views):
    seen = numbers(
        training_batches(numbered, views, start=0, shuffle=False, **ARGUMENTS)
    )
    # the first images fill up the last batch, so that the last ones train as well
    expected = np.arange(120) % 100
    np.testing.assert_array_equal(np.concatenate(seen[:4]), expected)
    np.testing.assert_array_equal(seen[:4], seen[4:8])


def test_without_shuffling_passes_over_some_images_wrap_around_within_these(
    numbered, views
):
    some = np.arange(40, 80, 2)
    passes = plan_passes([100, 20], batch=15, steps=11, shuffle=False)
    assert passes.lengths == (7, 2) and passes.done(9) == 2
    seen = numbers(
        training_batches(
            numbered, views, repeats=1, batch=15, seed=0, steps=11, start=0,
            passes=passes, subsets=[None, some], shuffle=False,
        )
    )  # fmt: skip
    np.testing.assert_array_equal(np.concatenate(seen[:7]), np.arange(105) % 100)
    np.testing.assert_array_equal(
        np.concatenate(seen[7:9]), some[np.arange(30) % len(some)]
    )


def test_images_mapped_from_a_file_give_the_same_batches(digits, views, tmp_path):
    images = digits[0][:60]
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    for make in (
        lambda some: training_batches(some, views, start=0, **ARGUMENTS),
        lambda some: evaluation_batches(some, views, batch=25),
    ):
        for kept, read in zip(make(images), make(mapped), strict=True):
            np.testing.assert_array_equal(kept[0], read[0])


def test_evaluation_keeps_the_order_and_the_last_images(numbered, views):
    batches = list(evaluation_batches(numbered, views, batch=30))
    assert [len(x) for (x,) in batches] == [30, 30, 30, 10]
    np.testing.assert_array_equal(np.concatenate(numbers(batches)), np.arange(100))


def test_evaluation_pairs_are_the_same_at_each_call(digits, views):
    first, second = (
        list(evaluation_batches(digits[0][:50], views, pairs=True, batch=20, seed=1))
        for _ in range(2)
    )
    for (x, gx), (y, gy) in zip(first, second, strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(gx, gy)
        assert np.abs(x - gx).max() > 0.1


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(UserError, match=r"Received: batch=500, images=40"):
        steps_per_epoch(40, 500)


def test_steps_per_epoch_counts_full_batches():
    assert steps_per_epoch(100, 30) == 3
    assert steps_per_epoch(100, 30, shuffle=False) == 4
    assert steps_per_epoch(90, 30, shuffle=False) == 3


def test_nothing_is_left_to_wait_for_when_batches_are_freed(numbered, views):
    # the thread that tunes a data set can sleep on after it is told to end
    run = training_batches(numbered, views, start=0, **ARGUMENTS)
    some = evaluation_batches(numbered, views, batch=30)
    assert not run.options().autotune.enabled
    assert not some.options().autotune.enabled
    every = own_views(numbered, views, number=2, batch=30, seed=0)
    assert not every.options().autotune.enabled
