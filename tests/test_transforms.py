import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

import data
from iic_tf.augment import transforms

SEED = (3, 4)


@pytest.fixture(scope="module")
def images(digits):
    return tf.cast(digits[0][:16], tf.float32) / 255


FACTORIES = {
    "rotate": lambda: transforms.rotate(25.0),
    "crop_resize": lambda: transforms.crop_resize((16, 20, 24), size=24),
    "jitter": lambda: transforms.jitter(0.4, 0.4),
    "shift_tone": lambda: transforms.shift_tone(0.4, 0.4),
    "affine": lambda: transforms.affine(
        size=24, rotation=25.0, crop=(0.6, 1.0), shift=0.1, shear=0.2
    ),
    "published": lambda: data.published_digits((28, 28, 1)).augment,
    "continuous": lambda: data.continuous_digits((28, 28, 1)).augment,
    "photos": lambda: data.photos((28, 28, 1), size=20).augment,
}


@pytest.mark.parametrize("name", FACTORIES)
def test_the_same_inside_tf_data(images, name):
    apply = FACTORIES[name]()
    eager = apply(images, SEED).numpy()
    [inside] = tf.data.Dataset.from_tensors(images).map(lambda x: apply(x, SEED))
    np.testing.assert_allclose(inside, eager, atol=1e-6)
    assert inside.dtype == tf.float32
    assert inside.shape == eager.shape


@pytest.mark.parametrize("name", FACTORIES)
def test_every_image_gets_draws_of_its_own(images, name):
    one = tf.tile(images[:1], (8, 1, 1, 1))
    augmented = FACTORIES[name]()(one, SEED).numpy().reshape(8, -1)
    different = [np.abs(augmented[0] - other).max() > 1e-3 for other in augmented[1:]]
    assert sum(different) >= 5


@pytest.mark.parametrize("name", FACTORIES)
def test_the_seed_decides_everything(images, name):
    apply = FACTORIES[name]()
    np.testing.assert_array_equal(apply(images, SEED), apply(images, SEED))
    assert np.abs(apply(images, SEED) - apply(images, (3, 5))).max() > 1e-3


def test_rotation_keeps_the_middle_and_turns_by_a_known_angle(images):
    square = np.zeros((1, 29, 29, 1), np.float32)
    square[0, 14, 14:29] = 1  # a ray from the middle to the right
    turned = transforms.rotate(90.0)(tf.constant(square), SEED).numpy()[0, ..., 0]
    assert turned[14, 14] == 1
    rows, columns = np.nonzero(turned)
    angles = np.degrees(np.arctan2(rows - 14, columns - 14))[rows + columns != 28]
    far = np.hypot(rows - 14, columns - 14)[rows + columns != 28] > 8
    assert np.ptp(angles[far]) < 8
    assert set(np.unique(turned)) == {0.0, 1.0}  # nearest neighbour blends nothing


def test_rotation_with_probability_zero_changes_nothing(images):
    same = transforms.rotate(25.0, probability=0.0)(images, SEED)
    np.testing.assert_array_equal(same, images)


def test_rotation_with_probability_one_half_leaves_about_half(images):
    one = tf.tile(images[:1], (400, 1, 1, 1))
    turned = transforms.rotate(25.0, probability=0.5)(one, SEED).numpy()
    same = (np.abs(turned - one).max((1, 2, 3)) < 1e-6).mean()
    assert 0.4 < same < 0.6


@pytest.mark.parametrize("side", [16, 20, 24])
def test_centre_crop_and_resize_equal_pillow(digits, side):
    offset = (28 - side) // 2
    result = transforms.crop_resize((side,), size=24, where="centre")(
        tf.cast(digits[0][:4], tf.float32), SEED
    ).numpy()
    for ours, image in zip(result, digits[0][:4, ..., 0], strict=True):
        crop = Image.fromarray(image).crop(
            (offset, offset, offset + side, offset + side)
        )
        theirs = np.asarray(crop.resize((24, 24), Image.Resampling.BILINEAR))
        assert np.abs(ours[..., 0] - theirs).max() < 1.01  # Pillow rounds twice


def test_random_crop_reaches_every_offset_and_no_other():
    ramp = tf.tile(tf.range(28.0)[None, None, :, None], (600, 28, 1, 1))
    cropped = transforms.crop_resize((24,), size=24)(ramp, SEED).numpy()
    left = cropped[:, 0, 0, 0]
    np.testing.assert_array_equal(np.unique(left.round(4)), np.arange(5))
    np.testing.assert_allclose(np.diff(cropped[:, 0, :, 0]), 1, atol=1e-4)


def test_centre_half_mixes_centre_and_random():
    ramp = tf.tile(tf.range(28.0)[None, None, :, None], (600, 28, 1, 1))
    left = transforms.crop_resize((20,), size=20, where="centre_half")(ramp, SEED)
    share = float(np.mean(np.abs(left.numpy()[:, 0, 0, 0] - 4) < 1e-4))
    assert 0.5 < share < 0.65  # one half, and one in nine of the random ones


def test_crop_refuses_other_words():
    with pytest.raises(ValueError, match="Received: where='corner'"):
        transforms.crop_resize((20,), size=24, where="corner")


def test_affine_without_ranges_is_a_plain_resize(images):
    apply = transforms.affine(size=28, rotation=0, crop=(1.0, 1.0), shift=0, shear=0)
    np.testing.assert_allclose(apply(images, SEED), images, atol=1e-6)


def test_affine_shifts_by_at_most_its_range():
    dot = np.zeros((200, 29, 29, 1), np.float32)
    dot[:, 14, 14] = 1
    apply = transforms.affine(size=29, rotation=0, crop=(1.0, 1.0), shift=0.2, shear=0)
    moved = apply(tf.constant(dot), SEED).numpy()[..., 0]
    grid = np.arange(29)
    mass = moved.sum((1, 2))
    at = (moved.sum(1) * grid).sum(1) / mass - 14
    assert np.abs(at).max() <= 0.2 * 29 + 1e-3
    assert np.abs(at).max() > 4
    assert abs(at.mean()) < 1


def test_jitter_stays_in_range_and_keeps_black_black(images):
    result = transforms.jitter(0.4, 0.0)(images, SEED).numpy()
    assert result.min() >= 0 and result.max() <= 1
    np.testing.assert_array_equal(result[images.numpy() == 0], 0)


def test_shift_tone_adds_and_stretches(images):
    result = transforms.shift_tone(0.3, 0.0)(images, SEED).numpy()
    shift = (result - images.numpy()).reshape(16, -1)
    assert np.ptp(shift, axis=1).max() < 1e-5
    assert np.abs(shift).max() <= 0.3 + 1e-6


@pytest.fixture
def colours():
    return tf.constant(np.random.default_rng(0).random((50, 6, 8, 3)), tf.float32)


def test_half_of_the_images_are_mirrored(colours):
    flipped = transforms.flip()(colours, (0, 1)).numpy()
    mirrored = colours.numpy()[:, :, ::-1]
    whole = (flipped == mirrored).all(axis=(1, 2, 3))
    assert 10 < whole.sum() < 40
    np.testing.assert_array_equal(flipped[~whole], colours.numpy()[~whole])


def slow_jitter(image, operations):
    """Brightness, contrast, saturation and hue, one after the other, unclipped."""
    luma = np.array(transforms.LUMA)
    for name, amount in operations:
        grey = image @ luma
        if name == "brightness":
            image = image * amount
        elif name == "contrast":
            image = amount * image + (1 - amount) * grey.mean()
        elif name == "saturation":
            image = amount * image + (1 - amount) * grey[..., None]
        else:
            to_yiq = transforms._TO_YIQ
            y, i, q = np.moveaxis(image @ to_yiq.T, -1, 0)
            turned = (i + 1j * q) * np.exp(2j * np.pi * amount)
            image = (
                np.stack((y, turned.real, turned.imag), -1) @ np.linalg.inv(to_yiq).T
            )
    return image


def test_colour_jitter_is_its_four_parts_in_some_order(colours):
    # moderate figures on moderate colours, so that nothing is clipped
    images = 0.3 + 0.2 * colours[:30]
    figures = {"brightness": 0.2, "contrast": 0.3, "saturation": 0.4, "hue": 0.1}
    found = transforms.colour_jitter(**figures)(images, (3, 4)).numpy()
    draws = [
        transforms._uniform(images, tf.constant((3, 4)), number).numpy()
        for number in range(4)
    ]
    orders = set()
    for n, image in enumerate(images.numpy()):
        amounts = {
            name: spread * draw[n] + (name != "hue")
            for (name, spread), draw in zip(figures.items(), draws, strict=True)
        }
        distances = {
            order: np.abs(
                found[n] - slow_jitter(image, [(o, amounts[o]) for o in order])
            ).max()
            for order in itertools.permutations(figures)
        }
        best = min(distances, key=distances.get)
        assert distances[best] < 1e-5
        orders.add(best)
    assert len(orders) > 6  # some orders come to the same


def test_colour_jitter_of_nothing_changes_nothing_and_greys_stay_grey(colours):
    still = transforms.colour_jitter(0, 0, 0, 0)(colours, (0, 1))
    np.testing.assert_allclose(still, colours, atol=1e-5)
    grey = tf.repeat(colours[..., :1], 3, axis=-1)
    jittered = transforms.colour_jitter()(grey, (0, 1)).numpy()
    assert np.ptp(jittered, axis=-1).max() < 2e-3
    assert jittered.min() >= 0 and jittered.max() <= 1


def test_grey_by_luma_with_or_without_the_colours(colours):
    grey = transforms.to_grey()(colours, (0, 1)).numpy()
    expected = colours.numpy() @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(grey[..., 0], expected, atol=1e-6)
    both = transforms.to_grey(keep_colour=True)(colours, (0, 1)).numpy()
    np.testing.assert_array_equal(both[..., :3], colours)
    np.testing.assert_allclose(both[..., 3:], grey)


def test_cutout_blackens_one_square_inside():
    images = tf.ones((200, 20, 30, 1))
    cut = transforms.cutout(0.5, (0.2, 0.7))(images, (0, 1)).numpy()[..., 0]
    black = (cut == 0).sum(axis=(1, 2))
    assert 60 < (black > 0).sum() < 140
    for image in cut[black > 0]:
        rows, columns = (np.flatnonzero((image == 0).any(axis)) for axis in (1, 0))
        assert (image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 0).all()
        assert 3 <= len(rows) <= 15 and abs(len(rows) - len(columns)) <= 1


def test_affine_maps_can_mirror_and_leave_some_images_alone(images):
    still = {"size": 28, "rotation": 0.0, "crop": (1.0, 1.0), "shift": 0.0}
    mirrored = transforms.affine(**still, shear=0.0, flip=1.0)(images, SEED)
    np.testing.assert_allclose(mirrored, images[:, :, ::-1], atol=1e-5)
    some = transforms.affine(**still | {"rotation": 40.0}, shear=0.0, probability=0.5)
    augmented = some(tf.tile(images[:1], (200, 1, 1, 1)), SEED)
    same = np.abs(augmented - images[:1]).max(axis=(1, 2, 3)) < 1e-5
    assert 0.35 < same.mean() < 0.65


def test_what_lies_outside_is_mirrored_on_request():
    white = tf.ones((1, 20, 20, 1))
    far = {"size": 20, "rotation": 45.0, "crop": (1.6, 1.6), "shift": 0.0, "shear": 0}
    assert transforms.affine(**far)(white, SEED).numpy().min() == 0
    inside = transforms.affine(**far, fill_mode="REFLECT")(white, SEED).numpy()
    np.testing.assert_allclose(inside, 1, atol=1e-5)


def test_ten_crops_are_the_corners_and_the_middle_with_their_mirror_images():
    images = np.random.default_rng(0).random((2, 8, 10, 3), np.float32)
    places = [(0, 0), (0, 6), (4, 0), (4, 6), (2, 3)]
    expected = [images[:, y : y + 4, x : x + 4] for y, x in places]
    expected += [crop[:, :, ::-1] for crop in expected]
    found = [
        crop(tf.constant(images), (0, 0)) for crop in transforms.ten_crops(4, size=4)
    ]
    for mine, crop in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, crop)
    large = transforms.ten_crops(4, size=8)[0](tf.constant(images), (0, 0))
    plain = transforms.crop_resize((4,), size=8, where="centre")(
        images[:, :4, :4], (0, 0)
    )
    np.testing.assert_allclose(large, plain, atol=1e-6)


def with_pillow(image, operations):
    """The same as the authors' code does it, in 8 bits."""
    image = Image.fromarray(image)
    for name, amount in operations:
        if name == "hue":
            hue, *others = image.convert("HSV").split()
            moved = (np.asarray(hue, int) + round(amount * 255)) % 256
            parts = [Image.fromarray(moved.astype(np.uint8)), *others]
            image = Image.merge("HSV", parts).convert("RGB")
        else:
            image = getattr(ImageEnhance, name)(image).enhance(amount)
    return np.asarray(image)


def test_the_published_jitter_is_that_of_pillow(colours):
    whole = (255 * colours).numpy().astype(np.uint8)  # much of it gets clipped
    names = ("Brightness", "Contrast", "Color", "hue")
    spreads, seed = (0.4, 0.4, 0.4, 0.125), tf.constant((3, 4))
    images = tf.constant(whole / np.float32(255))
    found = 255 * transforms.published_jitter()(images, seed).numpy()
    draws = [transforms._uniform(images, seed, i).numpy() for i in range(8)]
    amounts = np.stack([x * d for x, d in zip(spreads, draws[:4], strict=True)], 1)
    amounts[:, :3] += 1
    orders = np.argsort(np.stack(draws[4:], axis=1), axis=1)
    assert len({tuple(order) for order in orders}) > 15  # of 24
    for n, order in enumerate(orders):
        expected = with_pillow(whole[n], [(names[i], amounts[n, i]) for i in order])
        apart = np.abs(found[n] - expected)
        assert apart.mean() < 2.5 and np.median(apart) < 2  # levels of 255
    still = transforms.published_jitter(0, 0, 0, 0)(images, seed)
    np.testing.assert_allclose(still, images, atol=1e-5)
