import re

import numpy as np
import pytest

from iic_tf.neighbours.grouping import Merge, merge_tree
from iic_tf.report.page_plots import (
    HEIGHT,
    MAP_HEIGHT,
    MAP_WIDTH,
    MOST_LEAVES,
    TREE_LEFT,
    TREE_WIDTH,
    charts,
    cut_tree,
    lay_out_map,
    lay_out_tree,
    map_labels,
)


def report(step, nats, errors=None):
    row = {
        "step": step,
        "main_information": [nats, nats / 2],
        "main_bound": 2.0,
        "chosen": 0,
    }
    if errors:
        row |= {"errors": errors, "scored_on": "all"}
    return row


def test_curves_rise_where_information_does_and_fall_where_errors_do():
    rows = [report(10, 0.2, [0.5, 0.4]), report(20, 1.5, [0.02, 0.01])]
    rows[1]["remarks"] = [{"step": 15, "regrouped": [1.0]}]
    information, errors = charts(rows)
    heights = [y for _, y in information.curves[0].marks]
    assert 0 < heights[1] < heights[0] < HEIGHT
    assert errors.curves[0].marks[1][1] > errors.curves[0].marks[0][1]
    [(_, bound, label)] = information.bounds
    assert bound < heights[1] and label == "ln 7 = 2.00"
    assert len(information.moments) == 1
    assert "0.15 to 1.12 nats" in information.text


def test_a_single_report_and_errors_of_nought_are_drawn():
    [information, errors] = charts([report(5, 0.0, [0.0, 0.0])])
    for chart in (information, errors):
        assert "nan" not in chart.curves[0].line and chart.y_ticks


def test_networks_without_sub_heads_have_no_such_charts():
    assert charts([{"step": 1, "loss": 0.3}]) == []


@pytest.mark.parametrize("number", [3, 20, MOST_LEAVES + 30])
def test_every_overcluster_is_in_one_leaf_and_the_last_branch_has_all(number):
    rng = np.random.default_rng(number)
    joint = rng.uniform(0, 1, (number, number)) + number * np.eye(number)
    whole, merges = merge_tree(joint)
    tree = lay_out_tree(whole, merges, k=2)
    assert len(tree.leaves) == min(number, MOST_LEAVES)
    members = sorted(i for leaf in tree.leaves for i in leaf.members)
    assert members == list(range(number))
    assert sorted(tree.branches[-1].members) == members
    ends = [float(re.search(r"H([\d.]+)V", b.path)[1]) for b in tree.branches]
    assert ends == sorted(ends) and TREE_LEFT <= ends[0] and ends[-1] <= TREE_WIDTH
    # what joins stands side by side: no line crosses a leaf of another branch
    for branch in tree.branches:
        inside = [set(leaf.members) <= set(branch.members) for leaf in tree.leaves]
        first, last = inside.index(True), len(inside) - inside[::-1].index(True)
        assert all(inside[first:last])


def test_a_tree_is_cut_where_k_branches_are_left():
    merges = [Merge(0, 1, 1.5), Merge(2, 3, 1.0), Merge(0, 2, 0.0)]
    assert cut_tree(merges, 2).tolist() == [0, 0, 1, 1]
    assert cut_tree(merges, 4).tolist() == [0, 1, 2, 3]
    tree = lay_out_tree(2.0, merges, k=2)
    width = TREE_WIDTH - TREE_LEFT - 12
    assert tree.cut == pytest.approx(TREE_LEFT + width * 0.75)
    assert lay_out_tree(2.0, merges, k=4).cut is None


def test_the_map_keeps_its_shape_and_numbers_stand_on_images():
    places = np.array([[0.0, 0], [10, 0], [10, 30], [0, 30]])
    found = lay_out_map(places)
    assert found.min() >= 0
    assert found[:, 0].max() <= MAP_WIDTH and found[:, 1].max() <= MAP_HEIGHT
    sides = np.ptp(found, axis=0)
    assert sides[1] / sides[0] == pytest.approx(3, rel=0.02)
    labels = map_labels(found, np.array([0, 0, 0, 2]))
    assert set(labels) == {0, 2} and labels[2] == tuple(found[3])
    assert lay_out_map(np.zeros((3, 2))).tolist() == [[320, 260]] * 3
