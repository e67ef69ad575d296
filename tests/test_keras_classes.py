"""Objects of Keras by name; optimisers and initialisers test what is common to all."""

import keras
import pytest

from iic_tf.errors import UserError
from iic_tf.keras_classes import classes_of, make_object


def test_classes_of_a_module():
    layers = classes_of(keras.layers, keras.layers.Layer)
    assert layers["Dense"] is keras.layers.Dense and "Layer" not in layers


def test_arguments_are_ours_unless_given():
    def make(**given):
        return make_object(
            keras.layers.Dense, given, option="a.b", ours={"units": 3, "other": 1}
        )

    assert make().units == 3 and make(units=4, use_bias=False).units == 4
    with pytest.raises(
        UserError, match=r"a\.b must be arguments of Dense, such as uni"
    ):
        make(unit=3)
    with pytest.raises(UserError, match=r"a\.b\.use_bias must be a value like True"):
        make(use_bias=3)
    with pytest.raises(UserError, match=r"^a\.b of Dense: .*units"):
        make(units=-3)
    with pytest.raises(UserError, match=r"of Dense must have units.*b=\{\}"):
        make_object(keras.layers.Dense, {}, option="a.b", ours={})
