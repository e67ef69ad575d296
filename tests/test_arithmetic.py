import pytest
import tensorflow as tf

from iic_tf.arithmetic import sums_in_one_order


def rewritten():
    options = tf.config.optimizer.get_experimental_options()
    return options.get("arithmetic_optimization", True)  # true if it is not set


def test_tensorflow_rewrites_sums_again_afterwards():
    assert rewritten()
    with sums_in_one_order():
        assert not rewritten()
        with sums_in_one_order():
            assert not rewritten()
        assert not rewritten()
    assert rewritten()


def test_also_after_an_error_and_at_every_call():
    @sums_in_one_order()
    def fail():
        assert not rewritten()
        raise ValueError("on purpose")

    for _ in range(2):
        with pytest.raises(ValueError, match="on purpose"):
            fail()
        assert rewritten()
