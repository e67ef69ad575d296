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
from iic_tf.metrics import contingency
from iic_tf.models import ClusterIIC
from iic_tf.neighbours import Neighbours
from iic_tf.pipeline import Views, evaluation_batches

MAX_FITTED = 20_000
"""Main sub-heads are fitted to at most so many images: more would not change them."""


COPIES_WEIGHT = 2.0
"""Weight of a pair of copies where a pair of neighbours has 1.

Of 15 auxiliary sub-heads of three networks grouped by neighbours alone, 8 put the nines
with a curl among the threes; by copies alone, 13 the sevens with a bar among the twos.
By both, with this weight, 3 made the first mistake and none the second.
"""


class Regrouped(NamedTuple):
    """What a regrouping found.

    Attributes:
        information: Mutual information of the grouping of each auxiliary sub-head, in
            nats, shape ``(h_aux,)``.
        sources: Auxiliary sub-head that each main sub-head started from, ``(h,)``.
    """

    information: np.ndarray
    sources: np.ndarray


def regroup(
    model: ClusterIIC,
    images: np.ndarray,
    views: Views,
    *,
    neighbours: Neighbours | None,
    seed: int,
) -> Regrouped:
    """Groups the overclusters of every auxiliary sub-head, refits the main sub-heads.

    A pair is an image and a perturbed copy of it, or an image and a nearest neighbour
    by pixel values. Groupings that lag behind the best are left out; the main
    sub-heads share the others evenly.

    Args:
        model: Its main sub-heads are replaced.
        images: Training images, uint8; of these the
            candidates of ``neighbours`` are evaluated, or some evenly spaced ones.
        views: ``evaluate`` and ``perturb`` are used.
        neighbours: Of all training images.
        seed: Decides the perturbed copies.
    """
    if neighbours is None:
        chosen = np.linspace(0, len(images) - 1, min(len(images), MAX_FITTED))
        chosen = chosen.astype(np.int64)
    else:
        chosen = neighbours.candidates
    batches = evaluation_batches(
        images[chosen], views, pairs=True, batch=1000, seed=seed
    )
    features, own, copies = overclusters(model, batches)  # (n, d), (n, h), (n, h)
    if neighbours is not None:
        place = np.full(len(images), -1)
        place[chosen] = np.arange(len(chosen))
        near = place[neighbours.by_pixels[chosen]]  # (n, number), among the chosen
    k, number = model.main.num_clusters, model.aux.num_clusters

    def pairs(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        return contingency(mine, theirs, num_clusters=number, num_classes=number)

    groupings = []
    for head in range(own.shape[1]):
        mine = own[:, head]
        joint = COPIES_WEIGHT * pairs(mine, copies[:, head])
        if neighbours is not None:
            each = near.shape[1]
            joint += pairs(mine.repeat(each), mine[near].ravel()) / each
        groupings.append(group_overclusters(joint, k))
    information = np.array([grouping.information for grouping in groupings])
    order = np.argsort(-information, kind="stable")
    behind = information.max() - information[order]
    order = order[behind <= LAGGING_SHARE * np.log(k)]
    sources = order[np.arange(model.main.num_heads) % len(order)]
    fitted = slice(None, None, -(-len(chosen) // MAX_FITTED))  # evenly spaced
    clusters = [groupings[head].groups[own[fitted, head]] for head in sources]
    model.main.refit(features[fitted], np.stack(clusters, axis=1))
    return Regrouped(information, sources)
