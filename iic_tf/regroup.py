"""Regrouping: main sub-heads start anew from what the auxiliary ones have found.

Sub-heads on one backbone settle in different optima and stay there for thousands of
steps; the network that tells fifty kinds of digits apart may still put the sevens with
a bar into the cluster of the twos, in every main sub-head. So every so often the
overclusters of each auxiliary sub-head are grouped by search, and the main sub-heads
are fitted to these groupings. Nothing else of the network changes, and no label is
read.
"""

from typing import NamedTuple

import numpy as np

from iic_tf.grouping import group_overclusters
from iic_tf.health import LAGGING_SHARE
from iic_tf.inference import overclusters
from iic_tf.models import ClusterIIC
from iic_tf.neighbours import Neighbours
from iic_tf.pipeline import Views, evaluation_batches


class Regrouped(NamedTuple):
    """What a regrouping found.

    Attributes:
        information: Mutual information of the grouping of each auxiliary sub-head, in
            nats, shape ``(h_aux,)``.
        sources: Auxiliary sub-head that each main sub-head started from, ``(h,)``.
    """

    information: np.ndarray
    sources: np.ndarray


def pair_counts(first: np.ndarray, second: np.ndarray, number: int) -> np.ndarray:
    """How often each two overclusters meet in a pair.

    Args:
        first: Overclusters of one side, integers in ``[0, number)``, any shape.
        second: Those of the other side, same shape.
        number: Number of overclusters K.

    Returns:
        int64, shape ``(K, K)``.
    """
    cells = np.bincount(
        (first.astype(np.int64) * number + second).ravel(), minlength=number**2
    )
    return cells.reshape(number, number)


def regroup(
    model: ClusterIIC,
    images: np.ndarray,
    views: Views,
    *,
    neighbours: Neighbours | None,
    seed: int,
) -> Regrouped:
    """Groups the overclusters of every auxiliary sub-head, refits the main sub-heads.

    A pair is an image and a nearest neighbour of it, or, without neighbours, an image
    and a perturbed copy. Groupings that lag behind the best are left out; the main
    sub-heads share the others evenly.

    Args:
        model: Its main sub-heads are replaced.
        images: Training images, uint8; evaluated where ``neighbours.candidates`` says.
        views: ``evaluate`` is used, and without neighbours ``perturb``.
        neighbours: Of all training images.
        seed: Decides the perturbed copies.
    """
    if neighbours is None:
        chosen = np.arange(len(images))
    else:
        chosen = neighbours.candidates
    batches = evaluation_batches(
        images[chosen], views, pairs=neighbours is None, batch=1000, seed=seed
    )
    features, own, other = overclusters(model, batches)  # (n, d), (n, h), (n, h)
    if neighbours is None:
        near = other[:, None]
    else:
        place = np.full(len(images), -1)
        place[chosen] = np.arange(len(chosen))
        near = own[place[neighbours.table[chosen]]]  # (n, number, h)

    k, number = model.main.num_clusters, model.aux.num_clusters
    groupings = []
    for head in range(own.shape[1]):
        mine, theirs = np.broadcast_arrays(own[:, None, head], near[:, :, head])
        groupings.append(group_overclusters(pair_counts(mine, theirs, number), k))
    information = np.array([grouping.information for grouping in groupings])
    order = np.argsort(-information, kind="stable")
    behind = information.max() - information[order]
    order = order[behind <= LAGGING_SHARE * np.log(k)]
    sources = order[np.arange(model.main.num_heads) % len(order)]
    clusters = [groupings[head].groups[own[:, head]] for head in sources]
    model.main.refit(features, np.stack(clusters, axis=1))
    return Regrouped(information, sources)
