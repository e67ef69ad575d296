"""The range of values in which a folder's images are shown."""

import numpy as np
import pytest

from iic_tf.datasets.value_range import describe, robust_range, sample_pixels, to_bytes


def samples(*levels, spread=300, number=1000, kind=np.uint16):
    rng = np.random.default_rng(0)
    return [(x + rng.normal(0, spread, number)).astype(kind) for x in levels]


def test_a_range_holds_dark_and_bright_images():
    low, high = robust_range(samples(*[2_000, 20_000] * 20))
    assert 700 < low < 1_300 and 20_700 < high < 21_300
    assert low.is_integer() and high.is_integer()


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3])
@pytest.mark.parametrize(
    "value", [np.nan, np.inf, -np.inf, -9999.0, -32768.0, -3.4e38, 1e20, 65535.0]
)
def test_placeholders_do_not_decide(value, share):
    values = np.random.default_rng(0).random((20, 1000)).astype(np.float32)
    values[:, : max(int(1000 * share), 1)] = value
    values[3, 0] = -999.0  # another one
    np.testing.assert_allclose(robust_range(list(values)), (0, 1), atol=0.01)


def test_12_bits_in_16_are_shown_over_their_range():
    values = np.random.default_rng(0).integers(0, 4096, (20, 1000)).astype(np.uint16)
    np.testing.assert_allclose(robust_range(list(values)), (0, 4095), atol=10)
    values[:, :50] = 65_535  # saturated, or no data
    np.testing.assert_allclose(robust_range(list(values)), (0, 4095), atol=10)


def test_a_few_hot_pixels_do_not_decide():
    values = np.random.default_rng(0).normal(1000, 30, (50, 1000))
    values[:, 0] = np.random.default_rng(1).uniform(20_000, 60_000, 50)
    low, high = robust_range(list(values))
    assert 700 < low < 950 and 1_050 < high < 1_300


def test_one_image_in_a_hundred_does_not_decide():
    low, high = robust_range(samples(*[1_000] * 99, 50_000, spread=50))
    assert low > 700 and high < 1_400


def test_images_of_two_values_are_black_and_white():
    two = np.repeat([0, 65_535], 500).astype(np.uint16)
    assert robust_range([two] * 4) == (0, 65_535)
    rare = np.zeros(1000, np.uint16)
    rare[:3] = 40_000
    assert robust_range([rare] * 4) == (0, 40_000)


def test_dark_ground_of_unsigned_images_counts():
    values = samples(20_000, 20_000)
    for sample in values:
        sample[:500] = 0
    low, high = robust_range(values)
    assert low == 0 and high > 20_500


def test_nothing_to_go_by():
    assert robust_range([]) == (0, 1)
    assert robust_range([np.full(9, np.nan)]) == (0, 1)
    assert robust_range([np.full(9, 7)]) == (7, 8)


def test_small_ranges_keep_their_digits():
    low, high = robust_range([np.linspace(1e6 + 0.1, 1e6 + 0.2, 1000)])
    assert 1e6 + 0.09 < low < 1e6 + 0.11 and 1e6 + 0.19 < high < 1e6 + 0.21


def test_images_large_and_small_count_alike():
    large = np.full((500, 500, 3), 7)
    assert len(sample_pixels(large)) <= 30_000
    assert len(sample_pixels(large[:5, :5])) == 75


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32, np.float64])
def test_values_become_bytes(kind):
    values = np.array([0, 100, 201, 300, 400], kind).reshape(1, 5, 1)
    found, missing = to_bytes(values, (100.0, 300.0))
    assert found.dtype == np.uint8 and found.ravel().tolist() == [0, 0, 129, 255, 255]
    assert missing == 0


def test_pixels_without_a_value_become_one_and_are_counted():
    values = np.full((1, 4, 3), 0.501)
    values[0, 0] = np.nan
    values[0, 1, 0] = np.inf
    values[0, 2] = -9999
    found, missing = to_bytes(values, (0.0, 1.0))
    assert missing == 3 and not found[0, [0, 2]].any() and found[0, 3, 0] == 128
    assert found[0, 1].tolist() == [0, 128, 128]


def test_ranges_in_words():
    assert describe((1012.0, 21345.0)) == "1,012 to 21,345"
    assert describe((-0.25, 1.0)) == "-0.25 to 1"


def test_a_large_image_decides_no_more_than_a_small_one():
    rng = np.random.default_rng(0)
    small, large = rng.integers(0, 101, 1000), rng.integers(1000, 1101, 100_000)
    low, high = robust_range([small, large])
    assert low < 5 and high > 1095
