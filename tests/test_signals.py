import numpy as np
import pytest
import tensorflow as tf

from iic_tf.augment import signals

SEED = tf.constant((1, 2))


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(4000, 3)) * (1, 10, 0) + (5, -3, 7)).astype(np.float32)


@pytest.fixture
def series():
    """Sines of different phase, two channels."""
    times = np.linspace(0, 6, 40)
    phase = np.arange(200)[:, None, None]
    return np.sin(times[:, None] * (1, 2) + phase).astype(np.float32)


def test_noise_is_a_share_of_each_feature_and_none_where_nothing_varies(vectors):
    found = signals.add_noise(0.5)(tf.constant(vectors), SEED).numpy() - vectors
    np.testing.assert_allclose(found.std(axis=0), (0.5, 5, 0), rtol=0.05, atol=1e-6)
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 0.05


def test_dropped_features_have_their_mean(vectors):
    found = signals.drop_features(0.25)(tf.constant(vectors), SEED).numpy()
    dropped = found[:, :2] != vectors[:, :2]
    assert dropped.mean() == pytest.approx(0.25, abs=0.02)
    for i in range(2):
        mean = vectors[:, i].mean()
        np.testing.assert_allclose(found[dropped[:, i], i], mean, rtol=1e-3)


def test_rescaled_distances_from_the_mean(vectors):
    found = signals.rescale(0.3)(tf.constant(vectors), SEED).numpy()
    mean = vectors.mean(axis=0)
    ratio = (found - mean)[:, :2] / (vectors - mean)[:, :2]
    np.testing.assert_allclose(ratio[:, 0], ratio[:, 1], rtol=0.05)  # one per example
    assert 0.69 < ratio[:, 0].min() < 0.72 < 1.28 < ratio[:, 0].max() < 1.31


def test_times_in_between_are_linear():
    x = tf.constant([[[0.0], [10.0], [30.0]]])
    places = tf.constant([[-1.0, 0.5, 1.25, 2.0, 9.0]])
    found = signals._sample(x, places)[0, :, 0].numpy()
    np.testing.assert_allclose(found, (0, 5, 15, 30, 30))


def test_a_crop_of_time_is_a_stretch_of_the_series():
    line = np.linspace(0, 1, 50, dtype=np.float32)[None, :, None].repeat(300, axis=0)
    found = signals.crop_time(0.6)(tf.constant(line), SEED).numpy()[..., 0]
    begin, length = found[:, 0], found[:, -1] - found[:, 0]
    assert 0.6 <= length.min() < 0.62 and 0.98 < length.max() <= 1 + 1e-5
    assert begin.min() >= 0 and found.max() <= 1 + 1e-5
    np.testing.assert_allclose(np.diff(found, n=2), 0, atol=1e-5)


@pytest.mark.parametrize(
    "augment",
    [
        signals.crop_time(1.0),
        signals.warp_time(0.0),
        signals.warp_magnitude(0.0),
        signals.rescale(0.0),
        signals.add_noise(0.0),
        signals.drop_features(0.0),
    ],
)
def test_nothing_changes_at_zero(augment, series):
    np.testing.assert_allclose(augment(tf.constant(series), SEED), series, atol=1e-5)


@pytest.mark.parametrize(
    "augment",
    [signals.crop_time(0.7), signals.warp_time(0.05), signals.warp_magnitude(0.2)],
)
def test_the_seed_decides_and_each_series_has_its_own_draw(augment, series):
    same = tf.constant(np.repeat(series[:1], 20, axis=0))
    found = augment(same, SEED).numpy()
    np.testing.assert_array_equal(found, augment(same, SEED))
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert np.abs(found - augment(same, tf.constant((3, 4)))).max() > 1e-3
    assert found.shape == same.shape


def test_warped_time_keeps_values(series):
    found = signals.warp_time(0.03)(tf.constant(series), SEED).numpy()
    assert found.min() >= series.min() and found.max() <= series.max()
    assert 0.05 < np.abs(found - series).mean() < 0.5
