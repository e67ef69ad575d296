"""Windows of images, and pairs of them that correspond pixel by pixel."""

import numpy as np
import pytest
import tensorflow as tf

from iic_tf.augment.crops import IGNORE, CropViews, cut_windows, training_crop_batches
from iic_tf.augment.transforms import compose, move, to_grey
from iic_tf.losses.warp import warp

STEPS = 5


def images(number=7, sides=((20, 24), (30, 12), (16, 16))):
    rng = np.random.default_rng(0)
    return [
        rng.integers(1, 256, (*sides[i % len(sides)], 3), dtype=np.uint8)
        for i in range(number)
    ]


def views(side=16, **changes):
    parts = {"move": move(flip=0.5), "colour": compose(), "finish": compose()}
    return CropViews(side, **{**parts, **changes})


def batches(shown, made, **changes):
    arguments = {"repeats": 2, "batch": 3, "seed": 4, "start": 0, "steps": STEPS}
    return list(training_crop_batches(shown, made, **{**arguments, **changes}))


def test_windows_are_cut_where_they_are_asked_for():
    image = np.arange(5 * 6, dtype=np.uint8).reshape(5, 6, 1)
    places = np.array([(0, 0), (0.99, 0.99), (0.5, 0.0)])
    crops, shown = cut_windows([image] * 3, places, 4)
    np.testing.assert_array_equal(crops[0], image[:4, :4])
    np.testing.assert_array_equal(crops[1], image[1:, 2:])
    np.testing.assert_array_equal(crops[2], image[1:, :4])
    assert shown.all()


def test_small_pictures_lie_in_the_middle():
    image = np.full((2, 7, 3), 9, np.uint8)
    crops, shown = cut_windows([image], np.array([(0.3, 0.99)]), 5)
    assert crops.shape == (1, 5, 5, 3)
    np.testing.assert_array_equal(np.flatnonzero(shown[0].all(1)), [1, 2])
    assert (crops[0, 1:3] == 9).all() and crops.sum() == 9 * 2 * 5 * 3


def test_copies_moved_back_are_the_originals():
    for originals, augmented, matrices, mask in batches(images(), views()):
        assert originals.shape == (3, 16, 16, 3) and mask.shape == (3, 16, 16)
        assert len(augmented) == len(matrices) == 2
        for copy, matrix in zip(augmented, matrices, strict=True):
            np.testing.assert_allclose(warp(copy, matrix), originals, atol=1e-4)


def test_all_label_maps_of_a_batch_can_be_displaced():
    offsets = set()
    for originals, augmented, matrices, _ in batches(images(), views(sparse=(2, 4))):
        back = warp(augmented[0], matrices[0]).numpy()
        found = {
            (down, right)
            for down in range(-4, 5)
            for right in range(-4, 5)
            if np.allclose(
                back[:, 4:12, 4:12],
                originals[:, 4 + down : 12 + down, 4 + right : 12 + right],
                atol=1e-4,
            )
        }
        assert len(found) == 1
        offsets |= found
    sizes = {abs(pixels) for offset in offsets for pixels in offset}
    assert len(offsets) > 2 and sizes <= {2, 3, 4} and len(sizes) > 1


def test_what_is_outside_or_ignored_does_not_train():
    shown = images(6, sides=((16, 12), (20, 20)))
    labels = [np.full(image.shape[:2], 2, np.uint8) for image in shown]
    for label in labels:
        label[:, 5:] = IGNORE
    for originals, _, _, mask in batches(shown, views()):
        outside = originals.numpy().sum(-1) == 0  # images have no black
        np.testing.assert_array_equal(mask, ~outside)
    narrow = 0
    for originals, _, _, mask in batches(shown, views(), labels=labels):
        assert mask.numpy().any() and not mask.numpy()[:, :, 7:].any()
        for original, counts in zip(originals.numpy(), mask.numpy(), strict=True):
            if not original[:, 0].any():  # 12 wide: it begins two pixels further right
                np.testing.assert_array_equal(
                    counts.any(axis=0).nonzero()[0], range(2, 7)
                )
                narrow += 1
    assert narrow


def test_scaled_windows_show_half_of_the_slope_at_twice_the_size():
    y, x = np.mgrid[0:64, 0:64]
    ramp = np.repeat((2 * x + y)[..., None], 3, axis=2).astype(np.uint8)
    grown = views(scale=(2.0, 2.0), move=move(flip=0))
    for originals, augmented, _, mask in batches([ramp] * 3, grown):
        rise = np.diff(originals.numpy() * 255, axis=2)[:, :, 1:-1]
        np.testing.assert_allclose(rise, 1, atol=1e-3)  # half of 2 per pixel
        np.testing.assert_allclose(augmented[0], originals, atol=1e-4)
        assert mask.numpy().all()


def test_mixed_scales_have_the_windows_side():
    mixed = views(scale=(0.6, 1.4))
    for originals, _, _, mask in batches(images(), mixed):
        assert originals.shape[1:3] == mask.shape[1:] == (16, 16)


def test_scaled_windows_reach_every_corner_and_nothing_beyond():
    y, x = np.mgrid[0:30, 0:40]
    places = np.stack((6 * x, 8 * y, 0 * x + 255), axis=-1).astype(np.uint8)
    mixed = views(scale=(0.6, 1.4), move=move(flip=0))
    found = batches([places] * 12, mixed, batch=12, steps=60)
    for originals, augmented, _, mask in found:
        assert mask.numpy().all()  # 16 / 0.6 pixels fit in
        np.testing.assert_allclose(augmented[0], originals, atol=1e-4)
    seen = np.concatenate([originals.numpy() * 255 for originals, *_ in found])
    rise = np.diff(seen[..., 0], axis=2)[:, 8, 8] / 6
    large = rise < 1 / 1.2  # crops that show little of the image
    assert 1 / 1.4 - 1e-3 < rise.min() and rise.max() < 1 / 0.6 + 1e-3
    for columns, last in ((seen[large][..., 0] / 6, 39), (seen[large][..., 1] / 8, 29)):
        assert columns.min() < 2 and columns.max() > last - 2


def test_channels_come_last():
    grey = views(finish=to_grey(keep_colour=True))
    originals, augmented, _, _ = batches(images(), grey)[0]
    assert originals.shape[-1] == augmented[1].shape[-1] == 4


@pytest.mark.parametrize("start", [0, 3])
def test_batches_follow_from_seed_and_step(start):
    whole = batches(images(), views(scale=(0.8, 1.2)))
    rest = batches(images(), views(scale=(0.8, 1.2)), start=start)
    for one, other in zip(whole[start:], rest, strict=True):
        for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_pass_sees_every_picture_once():
    shown = [np.full((16, 16, 3), 10 * i + 10, np.uint8) for i in range(6)]
    seen = batches(shown, views(), steps=4)
    for first in (0, 2):
        values = np.concatenate(
            [b[0].numpy()[:, 0, 0, 0] for b in seen[first : first + 2]]
        )
        assert sorted(np.rint(values * 255)) == [10, 20, 30, 40, 50, 60]
