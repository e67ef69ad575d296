"""Clusters that are joined, or named by a file."""

import json

import numpy as np
import pytest

from iic_tf.errors import UserError
from iic_tf.training.joining import join_groups, named_as_given, read_names


@pytest.mark.parametrize(
    ("groups", "renamed", "names"),
    [
        ([], {3: "cats"}, {3: "cats"}),
        ([(7, 3), (2, 5)], {}, {3: "3+7", 7: "3+7", 2: "2+5", 5: "2+5"}),
        ([(3, 7), (7, 1)], {1: "cats"}, {3: "cats", 7: "cats", 1: "cats"}),
        ([(0, 1), (2, 3), (1, 2)], {}, dict.fromkeys(range(4), "0+1+2+3")),
        ([(0, 1)], {0: "a", 1: "a"}, {0: "a", 1: "a"}),
    ],
)
def test_groups_that_share_a_cluster_are_one(groups, renamed, names):
    assert join_groups(groups, renamed) == names


def test_joined_clusters_have_one_name():
    with pytest.raises(UserError, match=r"0\+1 must have one name"):
        join_groups([(0, 1)], {0: "cats", 1: "dogs"})


def test_clusters_of_one_name_are_one_class_and_others_keep_their_number():
    naming, names = named_as_given({3: "cats", 0: "cats", 4: " dogs "}, 6)
    assert names == ("cats", "1", "2", "dogs", "5")
    assert naming.classes.tolist() == [0, 1, 2, 0, 3, 4]
    soft = np.array([[0.3, 0.0, 0.0, 0.3, 0.4, 0.0]], np.float32)
    classes, confidence = naming.apply(soft)
    assert classes.tolist() == [0] and confidence == pytest.approx([0.6])
    assert not len(naming.doubtful) and not len(naming.unnamed)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({6: "cats"}, "from 0 to 5 can be named"),
        ({1: " "}, "must be text"),
        ({1: "a\tb"}, "without control characters"),
        ({1: "2"}, "must not be the number of another cluster"),
    ],
)
def test_names_that_do_not_fit(given, told):
    with pytest.raises(UserError, match=told):
        named_as_given(given, 6)


def test_a_cluster_may_have_the_number_of_one_that_is_named_too():
    _, names = named_as_given({1: "2", 2: "1"}, 3)
    assert names == ("0", "2", "1")


def test_names_are_read_from_a_file(tmp_path):
    path = tmp_path / "names.json"
    path.write_text(
        "\ufeff" + json.dumps({"run": "x", "clusters": {"0": "é", "7": "b"}})
    )
    assert read_names(path) == {0: "é", 7: "b"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "No such file"),
        ("{", "Expecting property name"),
        ("[]", "content='list'"),
        ('{"clusters": ["cats"]}', "content='dict'"),
        ('{"clusters": {"cats": "0"}}', "cluster='cats'"),
        ('{"clusters": {"0": 1}}', "cluster_0=1"),
    ],
)
def test_a_file_of_something_else(tmp_path, text, told):
    path = tmp_path / "names.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match="must be JSON such as") as caught:
        read_names(path)
    assert told in str(caught.value)
