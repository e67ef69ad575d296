"""The objective of Invariant Information Clustering, as pure functions.

Source: Ji, Henriques, Vedaldi, "Invariant Information Clustering for Unsupervised
Image Classification and Segmentation", arXiv 1807.06653, equations 2 to 4 (clustering)
and section 3.3 (segmentation).

Where we differ from the authors' code: the joint of all sub-heads comes from one
batched product instead of an outer product per image, and the augmented views of an
image are summed before that product, which is exact because the joint is linear in
them. The numbers are the same; see ``tests/test_losses.py`` for the golden vectors.

Every table here has shape ``(..., k, k)``: leading axes (sub-heads) are independent.
Entropies are in nats unless ``base`` says otherwise.
"""

import math
from typing import Any

import keras
import tensorflow as tf

from iic_tf.losses.correlation import displaced_joints, summed_joint

FLOOR = 2.220446049250313e-16
"""Probabilities below this are replaced by it inside logarithms (no gradient)."""


def joint_distribution(originals: Any, augmented: Any) -> tf.Tensor:
    """Sums the outer products of paired assignments, for every sub-head at once.

    Args:
        originals: Assignments of the original images, an array or a tensor of shape
            ``(n, k)``, or ``(n, h, k)`` for h sub-heads; each row of k sums to one.
        augmented: Assignments of the augmented views in the same order and of the same
            shape, or a list of r of them, one per repeat.

    Returns:
        Unnormalised joint, shape ``(k, k)`` or ``(h, k, k)``, which sums to ``n * r``
        per sub-head. It is a plain sum so that it may be added up over replicas and
        over steps.

    Raises:
        ValueError: If shapes are not these.

    Examples:
        >>> from iic_tf import joint_distribution
        >>> originals = np.array([[1.0, 0.0], [0.5, 0.5]])
        >>> augmented = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> print(joint_distribution(originals, augmented).numpy())
        [[1.  0.5]
         [0.  0.5]]
    """
    originals = tf.convert_to_tensor(originals)
    several = isinstance(augmented, list | tuple)
    views = [
        tf.cast(x, originals.dtype) for x in (augmented if several else [augmented])
    ]
    shapes = [view.shape for view in (originals, *views)]
    if (
        originals.shape.rank not in (2, 3)
        or not views
        or any(not shapes[0].is_compatible_with(shape) for shape in shapes[1:])
    ):
        raise ValueError(
            "assignments must be of shape (n, k) or (n, h, k), the same for originals "
            f"and augmented views. Received: {', '.join(map(str, shapes))}"
        )
    summed = tf.add_n(views) if several else views[0]
    if originals.shape.rank == 2:
        return tf.matmul(originals, summed, transpose_a=True)
    return tf.matmul(
        tf.transpose(originals, (1, 2, 0)), tf.transpose(summed, (1, 0, 2))
    )


def symmetrise(joint: tf.Tensor, *, detached: bool = False) -> tf.Tensor:
    """Makes a joint symmetric and lets it sum to one (paper, section 3.1).

    Args:
        joint: Non-negative table, shape ``(..., k, k)``. One that sums to 0 stays 0.
        detached: Whether the sum that is divided by is a constant for the gradient.

    Returns:
        Table of the same shape.

    Examples:
        >>> from iic_tf import symmetrise
        >>> print(symmetrise(tf.constant([[1.0, 0.5], [0.0, 0.5]])).numpy())
        [[0.5   0.125]
         [0.125 0.25 ]]
    """
    joint = joint + tf.linalg.matrix_transpose(joint)
    total = tf.reduce_sum(joint, axis=(-2, -1), keepdims=True)
    return tf.math.divide_no_nan(joint, tf.stop_gradient(total) if detached else total)


def _at_least_floor(p: tf.Tensor) -> tf.Tensor:
    return tf.where(p < FLOOR, tf.constant(FLOOR, p.dtype), p)


def _log(p: tf.Tensor) -> tf.Tensor:
    return tf.math.log(_at_least_floor(p))


def iic_loss(
    originals: Any, augmented: Any, lamb: float | tf.Tensor = 1.0
) -> tf.Tensor:
    """The IIC loss of paired assignments, to be minimised (paper, equation 3).

    Args:
        originals: See ``joint_distribution``.
        augmented: See ``joint_distribution``.
        lamb: Weight of the marginal entropies, at least 0.

    Returns:
        Loss in nats, see ``loss_of_joint``: a scalar, or of shape ``(h,)`` for h
        sub-heads.

    Raises:
        ValueError: If shapes do not fit.

    Examples:
        >>> from iic_tf import iic_loss
        >>> sure = np.eye(2)  # two images, each in a cluster of its own
        >>> round(float(iic_loss(sure, sure)), 4)  # as low as it gets: -ln 2
        -0.6931
        >>> round(float(iic_loss(sure, sure, lamb=1.5)), 4)  # -(2 * 1.5 - 1) ln 2
        -1.3863
    """
    return loss_of_joint(joint_distribution(originals, augmented), lamb)


def loss_of_joint(
    joint: tf.Tensor, lamb: float | tf.Tensor = 1.0, *, detached: bool = False
) -> tf.Tensor:
    """The IIC loss of each sub-head from its joint, which may come from many batches.

    Formula::

        P = symmetrise(joint),  p_i = sum_j P_ij,  p_j = sum_i P_ij
        L = - sum_ij P_ij (log P_ij - lamb log p_i - lamb log p_j)

    With ``lamb`` 1 it is minus the mutual information. Values above 1 reward balanced
    clusters. P is replaced by ``FLOOR`` where it is smaller, after the marginals are
    taken, as in the authors' code.

    Args:
        joint: Unnormalised joint, shape ``(..., k, k)``, float.
        lamb: Weight of the marginal entropies, at least 0.
        detached: See ``symmetrise``.

    Returns:
        Loss in nats, shape ``(...)``. For ``lamb`` 1 it lies in ``[-ln k, 0]``;
        perfect balanced clusters give ``-(2 lamb - 1) ln k``.

    Examples:
        >>> from iic_tf import loss_of_joint
        >>> round(float(loss_of_joint(tf.constant([[5.0, 0.0], [0.0, 5.0]]))), 4)
        -0.6931
        >>> round(float(loss_of_joint(tf.constant([[4.0, 1.0], [1.0, 4.0]]))), 4)
        -0.1927
    """
    # No tensor is used more than twice. The gradients of three uses TensorFlow adds in
    # an order that depends on which is there first, and two runs of a seed would part.
    p = symmetrise(joint, detached=detached)
    log_rows = _log(tf.reduce_sum(p, axis=-1, keepdims=True))
    log_marginals = log_rows + tf.linalg.matrix_transpose(log_rows)
    p = _at_least_floor(p)
    return -tf.reduce_sum(p * (tf.math.log(p) - lamb * log_marginals), axis=(-2, -1))


@keras.saving.register_keras_serializable(package="iic_tf")
class IICLoss(keras.losses.Loss):
    """``iic_loss`` for ``model.compile``, the mean over sub-heads where there are some.

    The model gives the assignments of both views of each image, one after the other, as
    ``(n, 2, k)`` or ``(n, 2, h, k)``; targets are not looked at. A ``ClusterIIC`` is
    fitted to images and augmented views as it is. The joint is that of a batch, so
    batches should be large, hundreds of images. On several devices each has its own.

    Args:
        lamb: Weight of the marginal entropies, at least 0.
        name: Of the loss.
        **kwargs: Passed to ``keras.losses.Loss``.

    Examples:
        >>> from iic_tf import IICLoss
        >>> sure = np.eye(2)  # two images, each in a cluster of its own
        >>> pairs = np.stack((sure, sure), axis=1)  # as are their augmented views
        >>> round(float(IICLoss()(pairs, pairs)), 4)  # -ln 2
        -0.6931
    """

    def __init__(self, lamb: float = 1.0, *, name: str = "iic_loss", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.lamb = lamb

    def call(self, y_true: Any, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of a batch.

        Args:
            y_true: Anything.
            y_pred: Assignments of both views.

        Raises:
            ValueError: If these are of another shape.
        """
        if len(y_pred.shape) not in (3, 4) or y_pred.shape[1] != 2:
            raise ValueError(
                "IICLoss needs a model that gives the assignments of both views, of "
                f"shape (n, 2, k) or (n, 2, h, k). Received: {tuple(y_pred.shape)}"
            )
        return tf.reduce_mean(iic_loss(y_pred[:, 0], y_pred[:, 1], self.lamb))

    def get_config(self) -> dict:
        """The arguments needed to make the loss again."""
        return {**super().get_config(), "lamb": self.lamb}


EMPTY = 1e-5
"""A displacement with a smaller share of the pairs than the fullest one has none."""


def segmentation_joint(
    first: tf.Tensor,
    second: tf.Tensor,
    *,
    mask: tf.Tensor | None = None,
    displacement: int = 0,
    collapsed: bool = False,
) -> tf.Tensor:
    """Joints of aligned label maps at every small displacement (paper, equation 5).

    Args:
        first: Assignments of the pixels of the originals, shape
            ``(n, height, width, h, k)``; for each pixel and sub-head they sum to one.
        second: Those of the augmented views, warped back to lie on the originals.
        mask: 1 where a pixel counts and 0 where it does not, in both maps, shape
            ``(n, height, width)``; all count if None.
        displacement: T, the largest displacement along each axis in pixels.
        collapsed: Whether the joints of all displacements are added up.

    Returns:
        Unnormalised joints, shape ``(h, (2 T + 1)², k, k)``, or ``(h, 1, k, k)``. They
        are plain sums, so they may be added up over replicas and over steps.

    Examples:
        >>> from iic_tf import segmentation_joint
        >>> maps = tf.one_hot([[[[0], [1]], [[0], [1]]]], 2)  # one of 2×2 pixels
        >>> print(segmentation_joint(maps, maps)[0, 0].numpy())
        [[2. 0.]
         [0. 2.]]
        >>> print(segmentation_joint(maps, maps, displacement=1).shape)
        (1, 9, 2, 2)
    """
    if mask is not None:
        shown = tf.cast(mask, first.dtype)[..., None, None]
        first, second = first * shown, second * shown
    if collapsed:
        return summed_joint(first, second, displacement=displacement)[:, None]
    return displaced_joints(first, second, displacement=displacement)


def segmentation_loss(
    joints: tf.Tensor, lamb: float | tf.Tensor = 1.0, *, detached: bool = False
) -> tf.Tensor:
    """The segmentation loss of each sub-head, to be minimised.

    The mean over displacements of ``loss_of_joint``. A displacement at which no two
    pixels meet, because maps or masks are small, adds 0.

    Args:
        joints: From ``segmentation_joint``, shape ``(h, displacements, k, k)``.
        lamb: Weight of the marginal entropies, at least 0.
        detached: Whether the gradient goes around the normaliser, as in the authors'
            code where joints are collapsed. The gradient is then not that of the loss.

    Returns:
        Loss in nats, shape ``(h,)``, within the bounds of ``loss_of_joint``.

    Examples:
        >>> from iic_tf import segmentation_loss
        >>> joints = [[[2.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]]
        >>> loss = segmentation_loss(tf.constant([joints]))
        >>> print(loss.numpy().round(4))  # the mean of -ln 2 and 0
        [-0.3466]
    """
    pairs = tf.reduce_sum(joints, axis=(-2, -1), keepdims=True)
    most = tf.reduce_max(pairs, axis=-3, keepdims=True)
    empty = pairs <= EMPTY * most  # what is there is rounding
    joints = tf.where(empty, tf.zeros_like(joints), joints)
    return tf.reduce_mean(loss_of_joint(joints, lamb, detached=detached), axis=-1)


def entropy(p: tf.Tensor, *, axis: int = -1, base: float = math.e) -> tf.Tensor:
    """Entropy of distributions along an axis; ``base=2`` gives bits.

    Args:
        p: Probabilities summing to one along ``axis``.
        axis: The axis that holds the distribution.
        base: Base of the logarithm.

    Returns:
        Entropy, at least 0, without the reduced axis.

    Examples:
        >>> from iic_tf import entropy
        >>> float(entropy(tf.constant([0.25, 0.25, 0.25, 0.25]), base=2))
        2.0
    """
    return -tf.reduce_sum(p * _log(p), axis=axis) / math.log(base)


def joint_entropy(joint: tf.Tensor, *, base: float = math.e) -> tf.Tensor:
    """Entropy H(X, Y) of tables of shape ``(..., rows, columns)`` that sum to one.

    Examples:
        >>> from iic_tf import joint_entropy
        >>> float(joint_entropy(tf.constant([[0.5, 0.0], [0.25, 0.25]]), base=2))
        1.5
    """
    return -tf.reduce_sum(joint * _log(joint), axis=(-2, -1)) / math.log(base)


def marginal(joint: tf.Tensor, *, of: str = "rows") -> tf.Tensor:
    """Marginal of the row variable X or the column variable Y.

    Args:
        joint: Table, shape ``(..., rows, columns)``, summing to one.
        of: ``"rows"`` (X) or ``"columns"`` (Y).

    Returns:
        Shape ``(..., rows)`` or ``(..., columns)``.

    Raises:
        ValueError: For any other ``of``.

    Examples:
        >>> from iic_tf import marginal
        >>> joint = tf.constant([[0.5, 0.25], [0.0, 0.25]])
        >>> print(marginal(joint).numpy(), marginal(joint, of="columns").numpy())
        [0.75 0.25] [0.5 0.5]
    """
    if of not in ("rows", "columns"):
        raise ValueError(f'of must be "rows" or "columns". Received: of={of!r}')
    return tf.reduce_sum(joint, axis=-1 if of == "rows" else -2)


def conditional_distribution(joint: tf.Tensor, *, given: str = "columns") -> tf.Tensor:
    """Distribution of one variable for each value of the other.

    Args:
        joint: Table, shape ``(..., rows, columns)``, summing to one.
        given: The known variable: ``"columns"`` gives P(X|Y), whose columns sum to one,
            ``"rows"`` P(Y|X), whose rows do.

    Returns:
        Table of the same shape; zeros for a value that does not occur.

    Raises:
        ValueError: For any other ``given``.

    Examples:
        >>> from iic_tf import conditional_distribution
        >>> joint = tf.constant([[0.5, 0.25], [0.0, 0.25]])
        >>> print(conditional_distribution(joint, given="columns").numpy())
        [[1.  0.5]
         [0.  0.5]]
    """
    known = marginal(joint, of=given)
    axis = -2 if given == "columns" else -1
    return tf.math.divide_no_nan(joint, tf.expand_dims(known, axis))


def conditional_entropy(
    joint: tf.Tensor,
    *,
    given: str = "columns",
    at: int | None = None,
    base: float = math.e,
) -> tf.Tensor:
    """Entropy left in one variable once the other is known.

    Args:
        joint: Table, shape ``(..., rows, columns)``, summing to one.
        given: The known variable: ``"columns"`` gives H(X|Y), ``"rows"`` H(Y|X).
        at: The value that the known variable has, for H(X|Y = at); the mean over all
            values if None.
        base: Base of the logarithm.

    Returns:
        Conditional entropy, shape ``(...)``.

    Examples:
        >>> from iic_tf import conditional_entropy
        >>> joint = tf.constant([[0.5, 0.25], [0.0, 0.25]])
        >>> float(conditional_entropy(joint, at=1, base=2))
        1.0
        >>> float(conditional_entropy(joint, base=2))  # column 0 leaves no doubt
        0.5
    """
    if at is not None:
        known = conditional_distribution(joint, given=given)
        axis = -1 if given == "columns" else -2
        return entropy(tf.gather(known, at, axis=axis), base=base)
    of_known = entropy(marginal(joint, of=given), base=base)
    return joint_entropy(joint, base=base) - of_known


def mutual_information(
    joint: tf.Tensor, *, base: float = math.e, form: str = "entropies"
) -> tf.Tensor:
    """Mutual information I(X; Y), of shape ``(...)``.

    Args:
        joint: Table, shape ``(..., rows, columns)``, summing to one; it is not
            symmetrised here.
        base: Base of the logarithm; 2 gives bits.
        form: ``"entropies"`` for H(X) + H(Y) - H(X, Y), ``"divergence"`` for the
            divergence of P(X, Y) from P(X) P(Y). Both are the same number.

    Raises:
        ValueError: For any other ``form``.

    Examples:
        >>> from iic_tf import mutual_information
        >>> float(mutual_information(tf.constant([[0.5, 0.0], [0.0, 0.5]]), base=2))
        1.0
        >>> round(float(mutual_information(tf.constant([[0.4, 0.1], [0.1, 0.4]]))), 4)
        0.1927
    """
    rows, columns = (marginal(joint, of=of) for of in ("rows", "columns"))
    if form == "entropies":
        apart = entropy(rows, base=base) + entropy(columns, base=base)
        return apart - joint_entropy(joint, base=base)
    if form != "divergence":
        raise ValueError(
            f'form must be "entropies" or "divergence". Received: form={form!r}'
        )
    independent = _log(rows)[..., None] + _log(columns)[..., None, :]
    surprise = tf.where(joint > 0, _log(joint) - independent, 0.0)
    return tf.reduce_sum(joint * surprise, axis=(-2, -1)) / math.log(base)


def cross_entropy(assignments: tf.Tensor, groups: tf.Tensor) -> tf.Tensor:
    """How surprising given groups are to each sub-head, in nats.

    Args:
        assignments: Soft assignments, shape ``(n, h, k)``.
        groups: Integers in ``[0, k)``, shape ``(n,)``, the same for all sub-heads.

    Returns:
        Mean over the images, shape ``(h,)``.

    Examples:
        >>> from iic_tf.losses.iic import cross_entropy
        >>> assignments = tf.constant([[[0.5, 0.5]], [[0.25, 0.75]]])
        >>> found = cross_entropy(assignments, tf.constant([0, 0]))
        >>> print(found.numpy().round(4))  # (ln 2 + ln 4) / 2
        [1.0397]
    """
    h = tf.shape(assignments)[1]
    numbers = tf.repeat(groups[:, None], h, axis=1)
    given = tf.gather(assignments, numbers, axis=2, batch_dims=2)
    return -tf.reduce_mean(tf.math.log(tf.maximum(given, FLOOR)), axis=0)
