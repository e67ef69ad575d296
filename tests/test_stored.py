import json

import pytest

import graphs
from iic_tf.errors import UserError
from iic_tf.models.networks import ClusterIIC
from iic_tf.training.stored import load_model, require_network


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"not a network", "cannot be read"),
        (None, "must be a network of iic_tf, ClusterIIC. Received: model='Functional'"),
    ],
)
def test_a_model_that_is_not_ours(tmp_path, content, message):
    path = tmp_path / "model.keras"
    if content is None:
        graphs.small((12, 12, 1), fan_out_init=2, stages=2).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        require_network(load_model(tmp_path), ClusterIIC)
    assert "\n" not in str(caught.value)


def test_a_choice_that_the_network_does_not_have(tmp_path, tiny_model):
    tiny_model(num_main=2).save(tmp_path / "model.keras")
    summary = {"chosen": 3, "chosen_by": "it", "information": [1.0] * 5}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(UserError, match=r"summary\.json belongs to another network"):
        load_model(tmp_path)
