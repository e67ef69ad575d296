import math

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from iic_tf.losses import iic

Z = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
Z2 = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])
ONE_HOT = np.eye(3)[[0, 1, 2, 0, 1, 2]]


def loss_of(z, z_prime, lamb=1.0):
    """Loss of one sub-head in float64."""
    joint = iic.joint_distribution(
        tf.constant(z, tf.float64)[:, None], tf.constant(z_prime, tf.float64)[:, None]
    )
    return iic.loss_of_joint(joint, lamb).numpy()[0]


def random_assignments(rng, n, h, k, sharpness=2.0):
    logits = rng.normal(size=(n, h, k)) * sharpness
    z = np.exp(logits)
    return z / z.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("z", "z_prime", "lamb", "expected"),
    [
        (Z, Z2, 1.0, -0.0392276602),
        (Z, Z2, 1.2, -0.4710399772),
        (Z, Z2, 1.5, -1.1187584527),
        (ONE_HOT, ONE_HOT, 1.0, -1.0986122887),
        (ONE_HOT, ONE_HOT, 1.5, -2.1972245773),
        (np.full((4, 3), 1 / 3), np.full((4, 3), 1 / 3), 1.0, 0.0),
    ],
)
def test_golden_vectors(z, z_prime, lamb, expected):
    assert loss_of(z, z_prime, lamb) == pytest.approx(expected, abs=1e-9)


def test_the_loss_takes_arrays_and_tensors_with_and_without_sub_heads():
    one, many = (Z, Z2), (np.stack([Z, Z2], 1), np.stack([Z2, Z2], 1))
    expected = [loss_of(Z, Z2, 1.2), loss_of(Z2, Z2, 1.2)]
    for convert in (np.asarray, tf.constant):
        value = iic.iic_loss(convert(one[0]), tf.constant(one[1]), 1.2)
        assert value.shape == () and float(value) == pytest.approx(expected[0])
    for convert in (np.asarray, tf.constant):
        values = iic.iic_loss(*map(convert, many), lamb=1.2)
        np.testing.assert_allclose(values, expected)
    mixed = iic.iic_loss(Z.astype("f4"), tf.constant(Z2), 1.2)
    assert float(mixed) == pytest.approx(expected[0], rel=1e-5)
    repeated = iic.iic_loss(Z, [Z2, Z])
    longer = iic.iic_loss(np.tile(Z, (2, 1)), np.concatenate([Z2, Z]))
    assert float(repeated) == pytest.approx(float(longer))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Z, Z2[:3]),
        (Z[0], Z2[0]),
        (Z, 1.5),
        (Z, []),
        (Z, Z2[:, :2]),
        (Z[None, None],) * 2,
    ],
)
def test_assignments_of_other_shapes_are_one_sentence(first, second):
    with pytest.raises(ValueError, match=r"^assignments must be of shape \(n, k\).*$"):
        iic.iic_loss(first, second)


def test_the_keras_loss_is_the_mean_over_sub_heads_and_can_be_stored():
    pairs = tf.constant(np.stack([np.stack([Z, Z2], 1), np.stack([Z2, Z2], 1)], 1))
    loss = keras.losses.deserialize(keras.losses.serialize(iic.IICLoss(1.2)))
    assert isinstance(loss, iic.IICLoss)
    expected = np.mean([loss_of(Z, Z2, 1.2), loss_of(Z2, Z2, 1.2)])
    assert float(loss(pairs, pairs)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="assignments of both views"):
        loss(pairs[:, 0], pairs[:, :1])


def test_golden_joint():
    joint = iic.joint_distribution(tf.constant(Z)[:, None], tf.constant(Z2)[:, None])
    p = iic.symmetrise(joint)[0].numpy()
    expected = [
        [0.19, 0.11625, 0.06875],
        [0.11625, 0.18875, 0.07625],
        [0.06875, 0.07625, 0.09875],
    ]
    np.testing.assert_allclose(p, expected, atol=1e-12)
    np.testing.assert_allclose(p.sum(1), [0.375, 0.38125, 0.24375], atol=1e-12)


def test_bits_variant():
    joint = iic.joint_distribution(tf.constant(Z)[:, None], tf.constant(Z2)[:, None])
    bits = iic.mutual_information(iic.symmetrise(joint), base=2)
    assert -bits.numpy()[0] == pytest.approx(-0.0565935509, abs=1e-9)


def cross_framework_rows(seed):
    """The check of the TensorFlow fork: noisy softmax of one-hot labels."""
    state = np.random.RandomState(seed)
    labels = state.choice(10, 64)
    noise = np.round(state.randn(64, 10), 5)
    rows = np.exp(np.eye(10)[labels] * noise)
    return rows / rows.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [((100, 200), -8.633034206e-05), ((100, 100), -0.0036585953542897)],
)
def test_cross_framework_vectors(seeds, expected):
    first, second = (cross_framework_rows(seed) for seed in seeds)
    assert loss_of(first, second) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("lamb", [1.0, 1.3])
def test_value_and_gradient_against_numpy(lamb):
    rng = np.random.default_rng(3)
    z, z_prime = (random_assignments(rng, 7, 2, 4) for _ in range(2))
    tensors = [tf.constant(z), tf.constant(z_prime)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        values = iic.loss_of_joint(iic.joint_distribution(*tensors), lamb)
        total = tf.reduce_sum(values)
    gradients = tape.gradient(total, tensors)

    def slow(first, second):
        return sum(
            reference.iic_loss(reference.joint(first[:, h], second[:, h]), lamb)
            for h in range(2)
        )

    expected = [
        reference.iic_loss(reference.joint(z[:, h], z_prime[:, h]), lamb)
        for h in range(2)
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(
        gradients[0],
        reference.numeric_gradient(lambda x: slow(x, z_prime), z),
        atol=1e-8,
    )
    np.testing.assert_allclose(
        gradients[1],
        reference.numeric_gradient(lambda x: slow(z, x), z_prime),
        atol=1e-8,
    )


def test_originals_forwarded_once_equal_repeated_originals():
    rng = np.random.default_rng(4)
    z = tf.constant(random_assignments(rng, 6, 2, 3))
    augmented = [tf.constant(random_assignments(rng, 6, 2, 3)) for _ in range(3)]
    once = iic.joint_distribution(z, augmented)
    repeated = iic.joint_distribution(tf.tile(z, (3, 1, 1)), tf.concat(augmented, 0))
    np.testing.assert_allclose(once, repeated, rtol=1e-12)


def test_value_and_gradient_are_finite_where_pairs_never_meet():
    joint = tf.constant([[[4.0, 0.0], [0.0, 4.0]]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(joint)
        value = iic.loss_of_joint(joint)
    gradient = tape.gradient(value, joint).numpy()[0]
    assert value.numpy()[0] == pytest.approx(-math.log(2), abs=1e-12)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("detached", [False, True])
def test_gradients_are_added_in_one_order_only(detached):
    # TensorFlow adds three gradients in an order that depends on which is there first

    @tf.function(autograph=False)
    def gradient(first, second):
        with tf.GradientTape() as tape:
            tape.watch((first, second))
            joint = iic.segmentation_joint(first, second, displacement=1)
            loss = iic.segmentation_loss(joint, 1.5, detached=detached)
        return tape.gradient(loss, (first, second))

    maps = tf.nn.softmax(tf.random.normal((2, 6, 6, 1, 3)))
    graph = gradient.get_concrete_function(maps, maps).graph
    added = [len(node.inputs) for node in graph.get_operations() if node.type == "AddN"]
    assert added and max(added) == 2


def test_one_hot_in_float32_is_finite():
    z = tf.constant(ONE_HOT[:, None], tf.float32)
    value = iic.loss_of_joint(iic.joint_distribution(z, z)).numpy()[0]
    assert value == pytest.approx(-math.log(3), rel=1e-6)


PROPERTIES = {
    "symmetric in the two views": lambda a, b, k: (loss_of(a, b), loss_of(b, a)),
    "unchanged by the order of images": lambda a, b, k: (
        loss_of(a, b),
        loss_of(a[::-1], b[::-1]),
    ),
    "unchanged by the names of clusters": lambda a, b, k: (
        loss_of(a, b),
        loss_of(np.roll(a, 1, -1), np.roll(b, 1, -1)),
    ),
    "unchanged by the number of repeats of a batch": lambda a, b, k: (
        loss_of(a, b),
        loss_of(np.concatenate([a, a]), np.concatenate([b, b])),
    ),
    "zero when all is in one cluster": lambda a, b, k: (
        loss_of(np.eye(k)[[0] * 5], np.eye(k)[[0] * 5], 1.7),
        0.0,
    ),
    "-(2 lamb - 1) ln k when perfect": lambda a, b, k: (
        loss_of(np.eye(k), np.eye(k), 1.4),
        -1.8 * math.log(k),
    ),
}


@pytest.mark.parametrize("name", PROPERTIES)
@pytest.mark.parametrize("k", [2, 10])
def test_properties(name, k):
    rng = np.random.default_rng(k)
    a, b = (random_assignments(rng, 50, 1, k)[:, 0] for _ in range(2))
    left, right = PROPERTIES[name](a, b, k)
    assert left == pytest.approx(right, abs=1e-9)


@pytest.mark.parametrize("k", [2, 10, 50])
def test_bounds(k):
    rng = np.random.default_rng(k)
    for sharpness in (0.1, 1, 10, 100):
        a = random_assignments(rng, 60, 1, k, sharpness)[:, 0]
        assert -math.log(k) - 1e-9 <= loss_of(a, a) <= 1e-9


JOINT = np.array(
    [
        [1 / 8, 1 / 16, 1 / 32, 1 / 32],
        [1 / 16, 1 / 8, 1 / 32, 1 / 32],
        [1 / 16, 1 / 16, 1 / 16, 1 / 16],
        [1 / 4, 0, 0, 0],
    ]
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (iic.joint_entropy(tf.constant(JOINT), base=2), 27 / 8),
        (
            iic.entropy(iic.marginal(tf.constant(JOINT), of="columns"), base=2),
            7 / 4,
        ),
        (
            iic.entropy(iic.marginal(tf.constant(JOINT), of="rows"), base=2),
            2,
        ),
        (
            iic.conditional_entropy(tf.constant(JOINT), given="rows", base=2),
            11 / 8,
        ),
        (
            iic.conditional_entropy(tf.constant(JOINT), given="columns", base=2),
            13 / 8,
        ),
        (iic.mutual_information(tf.constant(JOINT), base=2), 3 / 8),
        (
            iic.mutual_information(tf.constant(JOINT), base=2, form="divergence"),
            3 / 8,
        ),
        *(
            (iic.conditional_entropy(tf.constant(JOINT), given="rows", at=i, base=2), h)
            for i, h in enumerate((7 / 4, 7 / 4, 2, 0))
        ),
        (
            iic.conditional_entropy(tf.constant(JOINT), given="columns", at=3, base=2),
            3 / 2,  # of 1/4, 1/4, 1/2 and 0
        ),
    ],
)
def test_information_theory_golden_table(value, expected):
    assert float(value) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("given", ["rows", "columns"])
def test_conditional_distributions_by_hand(given):
    axis = 1 if given == "rows" else 0
    joint = np.stack([JOINT, JOINT.T])
    found = iic.conditional_distribution(tf.constant(joint), given=given).numpy()
    np.testing.assert_allclose(found.sum(axis=1 + axis), 1)
    np.testing.assert_allclose(found[0], JOINT / JOINT.sum(axis, keepdims=True))
    entropies = [
        iic.conditional_entropy(tf.constant(JOINT), given=given, at=i) for i in range(4)
    ]
    known = iic.marginal(tf.constant(JOINT), of=given)
    mean = iic.conditional_entropy(tf.constant(JOINT), given=given)
    assert float(np.dot(known, entropies)) == pytest.approx(float(mean))


def test_values_that_do_not_occur_have_no_distribution():
    joint = tf.constant([[0.5, 0.5], [0.0, 0.0]])
    found = iic.conditional_distribution(joint, given="rows")
    np.testing.assert_array_equal(found, [[0.5, 0.5], [0, 0]])
    with pytest.raises(ValueError, match="Received: of='both'"):
        iic.conditional_distribution(joint, given="both")
    with pytest.raises(ValueError, match="Received: form='sum'"):
        iic.mutual_information(joint, form="sum")


def test_both_forms_of_mutual_information_agree():
    tables = np.random.default_rng(0).random((5, 3, 4)) ** 4
    tables /= tables.sum(axis=(1, 2), keepdims=True)
    forms = [
        iic.mutual_information(tf.constant(tables), form=form)
        for form in ("entropies", "divergence")
    ]
    np.testing.assert_allclose(*forms, atol=1e-12)


def test_marginal_refuses_other_words():
    with pytest.raises(ValueError, match="Received: of='diagonal'"):
        iic.marginal(tf.constant(JOINT), of="diagonal")


# ---------------------------------------------------------------------- segmentation


def golden_maps():
    """The maps of reference section 1.6: one image of 3×3 pixels, two clusters."""
    i = np.arange(18)
    logits = (3 * ((5 * i) % 7) / 7, 3 * ((3 * i) % 5) / 5)
    maps = [np.moveaxis(x.reshape(1, 2, 3, 3), 1, -1) for x in logits]
    mask = np.ones((1, 3, 3))
    mask[0, 0, 2] = 0
    return *(np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in maps), mask


def segmentation_loss_of(
    first, second, mask, displacement, lamb=1.0, *, collapsed=False
):
    joints = iic.segmentation_joint(
        tf.convert_to_tensor(first)[..., None, :],
        tf.convert_to_tensor(second)[..., None, :],
        mask=mask,
        displacement=displacement,
        collapsed=collapsed,
    )
    return iic.segmentation_loss(joints, lamb)[0]


@pytest.mark.parametrize(
    ("displacement", "lamb", "uncollapsed", "collapsed"),
    [
        (0, 1.5, -0.6901953767, -0.6901953767),
        (1, 1.0, -0.0144808199, -0.0006856985),
        (1, 1.5, -0.6764032486, -0.6919111959),
    ],
)
def test_golden_vectors_of_segmentation(displacement, lamb, uncollapsed, collapsed):
    arguments = (*golden_maps(), displacement, lamb)
    found = segmentation_loss_of(*arguments)
    assert float(found) == pytest.approx(uncollapsed, abs=1e-9)
    found = segmentation_loss_of(*arguments, collapsed=True)
    assert float(found) == pytest.approx(collapsed, abs=1e-9)


@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize(
    ("shape", "displacement"),
    [((2, 4, 5, 3), 2), ((1, 1, 1, 2), 1), ((1, 5, 3, 2), 0), ((2, 3, 7, 3), 3)],
)
def test_segmentation_value_and_gradient_against_numpy(shape, displacement, collapsed):
    rng = np.random.default_rng(1)
    maps = rng.dirichlet(np.ones(shape[-1]), (2, *shape[:-1]))
    mask = (rng.random(shape[:-1]) < 0.8).astype(float)
    mask[0, 0, 0] = 1

    def slow(first, second):
        return reference.segmentation_loss(
            first, second, mask, displacement, 1.2, collapsed=collapsed
        )

    variables = [tf.Variable(x) for x in maps]
    with tf.GradientTape() as tape:
        loss = segmentation_loss_of(
            *variables, mask, displacement, 1.2, collapsed=collapsed
        )
    assert float(loss) == pytest.approx(slow(*maps), abs=1e-9)
    gradients = tape.gradient(loss, variables)
    expected = [
        reference.numeric_gradient(lambda x: slow(x, maps[1]), maps[0]),
        reference.numeric_gradient(lambda x: slow(maps[0], x), maps[1]),
    ]
    np.testing.assert_allclose(gradients, expected, atol=1e-7)


@pytest.mark.parametrize("lamb", [1.0, 1.5])
def test_the_detached_normaliser_is_a_constant_for_the_gradient_alone(lamb):
    first, second, mask = golden_maps()
    variable = tf.Variable(first)
    values, gradients = {}, {}
    for detached in (False, True):
        with tf.GradientTape() as tape:
            joints = iic.segmentation_joint(
                variable[..., None, :], second[..., None, :], mask=mask, collapsed=True
            )
            loss = iic.segmentation_loss(joints, lamb, detached=detached)[0]
        values[detached] = float(loss)
        gradients[detached] = tape.gradient(loss, variable).numpy()
    assert values[False] == values[True]

    def joint(x):
        shown = mask[..., None]
        return reference.displaced_joints(x * shown, second * shown, 0).sum(0)

    total = joint(first).sum()
    for detached, constant in ((False, None), (True, total)):
        expected = reference.numeric_gradient(
            lambda x, c=constant: reference.iic_loss(joint(x), lamb, total=c), first
        )
        np.testing.assert_allclose(gradients[detached], expected, atol=1e-6)
    assert abs(gradients[False] - gradients[True]).max() > 0.01


def test_where_no_two_pixels_meet_nothing_is_added():
    """A map of one pixel: of nine displacements one meets anything."""
    maps = tf.constant([[[[0.9, 0.1]]]], tf.float32)
    mask = np.ones((1, 1, 1))
    alone = segmentation_loss_of(maps, maps, mask, 0)
    assert float(segmentation_loss_of(maps, maps, mask, 1)) == pytest.approx(
        float(alone) / 9, abs=1e-7
    )


def test_segmentation_of_everything_masked_is_zero():
    maps = tf.constant(np.random.default_rng(0).random((1, 3, 3, 2)))
    loss = segmentation_loss_of(maps, maps, np.zeros((1, 3, 3)), 1)
    assert float(loss) == pytest.approx(0, abs=1e-9)


def test_nan_in_a_map_is_not_hidden():
    maps = np.full((1, 3, 3, 2), 0.5, np.float32)
    maps[0, 1, 1] = np.nan
    assert np.isnan(segmentation_loss_of(maps, maps, np.ones((1, 3, 3)), 1))


def test_sure_maps_lose_nothing_to_rounding():
    """Nearly one-hot maps: joints hold sums of 1e5 beside entries of 1e-2."""
    rng = np.random.default_rng(0)
    logits = 12 * (rng.random((2, 64, 64, 4)) > 0.6)
    maps = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = []
    for kind in ("f4", "f8"):
        variable = tf.Variable(maps.astype(kind))
        with tf.GradientTape() as tape:
            joints = iic.segmentation_joint(
                variable[..., None, :], variable[:, ::-1, ..., None, :], displacement=5
            )
            loss = iic.segmentation_loss(joints)[0]
        found.append((float(loss), tape.gradient(loss, variable).numpy()))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    scale = abs(found[1][1]).max()
    assert abs(found[0][1] - found[1][1]).max() < 1e-3 * scale


def test_cross_entropy_against_numpy():
    rng = np.random.default_rng(0)
    soft = rng.dirichlet(np.ones(4), size=(6, 3)).astype("f4")
    groups = rng.integers(0, 4, 6)
    expected = [-np.mean(np.log(soft[np.arange(6), h, groups])) for h in range(3)]
    found = iic.cross_entropy(tf.constant(soft), tf.constant(groups))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    sure = iic.cross_entropy(tf.one_hot([[0]], 2), tf.constant([1]))
    assert np.isfinite(sure.numpy()).all()  # a softmax may be 0 in float32
