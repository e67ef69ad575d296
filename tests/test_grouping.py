import numpy as np
import pytest

from iic_tf.neighbours.grouping import (
    cut_tree,
    group_overclusters,
    grouped_information,
    merge_tree,
    move_gains,
)


def information(joint, groups, k, lamb=1.0):
    """Mutual information of a grouped joint, cell by cell; lamb as in the loss."""
    table = np.zeros((k, k))
    for i, a in enumerate(groups):
        for j, b in enumerate(groups):
            table[a, b] += joint[i, j]
    p = table.sum(1)
    return sum(
        table[a, b] * (np.log(table[a, b]) - lamb * np.log(p[a] * p[b]))
        for a in range(k)
        for b in range(k)
        if table[a, b] > 0
    )


def random_joint(rng, number):
    joint = rng.dirichlet(np.full(number**2, 0.1)).reshape(number, number)
    return (joint + joint.T) / 2


def blocks(sizes, *, noise, seed=0):
    """A joint whose overclusters fall into blocks, in random order."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    joint = (truth[:, None] == truth) * rng.uniform(0.5, 1, (len(truth), len(truth)))
    return joint + noise * rng.uniform(0, 1, joint.shape), truth


@pytest.mark.parametrize(("seed", "lamb"), [(0, 1.0), (1, 1.0), (2, 0.65)])
def test_gains_are_differences_of_information(seed, lamb):
    rng = np.random.default_rng(seed)
    joint, k = random_joint(rng, 9), 3
    groups = rng.permutation(np.arange(9) % k)
    parts = np.stack([(groups == i % k) & (rng.random(9) < 0.7) for i in range(20)])
    parts = parts[parts.any(1)]
    gains = move_gains(joint, groups, parts, k, lamb=lamb)
    before = information(joint, groups, k, lamb)
    for i, part in enumerate(parts):
        for target in range(k):
            after = information(joint, np.where(part, target, groups), k, lamb)
            np.testing.assert_allclose(gains[i, target], after - before, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_blocks_are_found(seed):
    joint, truth = blocks([3, 1, 6, 2], noise=0.05, seed=seed)
    found = group_overclusters(joint, 4)
    pairs = {(int(a), int(b)) for a, b in zip(truth, found.groups, strict=True)}
    assert len(pairs) == 4  # one cluster for each block
    symmetric = (joint + joint.T) / (2 * joint.sum())
    expected = information(symmetric, found.groups, 4)
    np.testing.assert_allclose(found.information, expected, atol=1e-12)


def test_small_groups_need_less_weight_on_equal_sizes():
    """One large group of two halves that are easy to tell apart, and two small ones."""
    share = np.array([0.47, 0.47, 0.03, 0.03])
    stays = np.array([0.85, 0.85, 1.0, 1.0])  # halves are taken for each other
    joint = np.diag(share * stays)
    joint[0, 1] = joint[1, 0] = 0.47 * 0.15
    even, uneven = (group_overclusters(joint, 3, lamb=lamb) for lamb in (1.0, 0.65))
    assert even.groups[0] != even.groups[1] and even.groups[2] == even.groups[3]
    assert uneven.groups[0] == uneven.groups[1] and uneven.groups[2] != uneven.groups[3]
    assert uneven.information == pytest.approx(
        information(joint / joint.sum(), uneven.groups, 3, 0.65)
    )


def test_no_single_move_gains_and_no_cluster_is_empty():
    rng = np.random.default_rng(4)
    joint = random_joint(rng, 30)
    found = group_overclusters(joint, 5)
    assert set(found.groups) == set(range(5))
    for i in range(30):
        if (found.groups == found.groups[i]).sum() > 1:
            for target in range(5):
                moved = found.groups.copy()
                moved[i] = target
                assert information(joint, moved, 5) < found.information + 1e-9


def test_as_good_as_the_best_of_all_groupings():
    joint, _ = blocks([3, 2, 2], noise=0.4, seed=2)
    joint = (joint + joint.T) / (2 * joint.sum())
    every = np.stack(np.meshgrid(*[range(3)] * 7), -1).reshape(-1, 7)
    every = every[[len(set(groups)) == 3 for groups in every]]
    best = max(information(joint, groups, 3) for groups in every)
    np.testing.assert_allclose(group_overclusters(joint, 3).information, best)


def test_overclusters_without_images_do_no_harm():
    joint, truth = blocks([2, 3], noise=0.01)
    joint[1], joint[:, 1] = 0, 0
    found = group_overclusters(joint, 2)
    assert np.isfinite(found.information)
    kept = np.arange(5) != 1
    pairs = {*zip(truth[kept], found.groups[kept], strict=True)}
    assert len(pairs) == 2


def test_as_many_clusters_as_overclusters():
    joint, _ = blocks([1, 1, 1], noise=0.1)
    assert sorted(group_overclusters(joint, 3).groups) == [0, 1, 2]


@pytest.mark.parametrize("k", [1, 6])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match=f"between 2 and 5. Received: k={k}"):
        group_overclusters(np.eye(5), k)


def test_a_tree_joins_what_is_alike_first_and_knows_what_is_left():
    joint = np.kron(np.eye(2), np.full((2, 2), 0.1)) + 0.01 + 0.2 * np.eye(4)
    whole, merges = merge_tree(joint)
    assert whole == pytest.approx(grouped_information(joint, np.arange(4), 4))
    assert {(m.kept, m.merged) for m in merges[:2]} == {(0, 1), (2, 3)}
    assert merges[1].information == pytest.approx(
        grouped_information(joint, np.array([0, 0, 1, 1]), 2)
    )
    left = [whole, *(merge.information for merge in merges)]
    assert left == sorted(left, reverse=True) and left[-1] == pytest.approx(0)


def test_a_tree_is_cut_at_every_number():
    joint, truth = blocks([4, 5, 3, 6], noise=0.02)
    found = cut_tree(joint, least=2, most=8)
    assert [len(np.unique(one.groups)) for one in found] == [2, 3, 4, 5, 6, 7, 8]
    assert (np.diff([one.information for one in found]) > 0).all()
    assert len(np.unique(found[2].groups * 10 + truth)) == 4
    alone = group_overclusters(joint, 8)
    assert (alone.groups == found[-1].groups).all()
    with pytest.raises(ValueError, match="least=5, most=3"):
        cut_tree(joint, least=5, most=3)
