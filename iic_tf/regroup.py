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

from iic_tf.grouping import group_overclusters, grouped_information
from iic_tf.health import LAGGING_SHARE
from iic_tf.inference import overclusters
from iic_tf.metrics import contingency
from iic_tf.models import ClusterIIC
from iic_tf.neighbours import Neighbours
from iic_tf.pipeline import Views, evaluation_batches

MAX_FITTED = 20_000
"""Main sub-heads are fitted to at most so many images: more would not change them."""


COPIES_WEIGHT = 2.0
"""Weight of a pair of copies beside a pair of neighbours, where both are counted."""

GUARD_SHARE = 0.002
"""A grouping by copies may know less about neighbours by this share of ln k."""


class Regrouped(NamedTuple):
    """What a regrouping found.

    Attributes:
        information: What the best grouping of each auxiliary sub-head knows about
            pairs of neighbours by pixel values, or without neighbours of copies, in
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

    Each is grouped twice: by pairs of neighbours, and by pairs of copies with some
    neighbours. The two make different mistakes, and the loss tells at the end which to
    keep, but for one that it prefers: a grouping by copies that knows clearly less of
    neighbours than its sibling is dropped (``docs/convergence.md``). Groupings that lag
    behind the best are left out; the main sub-heads share the others evenly.

    Args:
        model: Its main sub-heads are replaced.
        images: Training images, uint8; of these the
            candidates of ``neighbours`` are evaluated, or some evenly spaced ones.
        views: ``evaluate`` and ``perturb`` are used.
        neighbours: Of all training images; without them there are copies only.
        seed: Decides the perturbed copies.
    """
    if neighbours is None:
        chosen = np.linspace(0, len(images) - 1, min(len(images), MAX_FITTED))
        chosen = chosen.astype(np.int64)
        tables = []
    else:
        chosen = neighbours.candidates
        place = np.full(len(images), -1)
        place[chosen] = np.arange(len(chosen))
        tables = [
            place[table[chosen]]
            for table in (neighbours.by_pixels, neighbours.by_edges)
        ]
    batches = evaluation_batches(
        images[chosen], views, pairs=True, batch=1000, seed=seed
    )
    features, own, copies = overclusters(model, batches)  # (n, d), (n, h), (n, h)

    k, number = model.main.num_clusters, model.aux.num_clusters
    information, sources, groups = [], [], []
    for head in range(own.shape[1]):
        copied, *near = (
            contingency(
                own[:, head].repeat(others.shape[1]),
                others.ravel(),
                num_clusters=number,
                num_classes=number,
            )
            / others.size
            for others in (copies[:, [head]], *(own[table, head] for table in tables))
        )
        if near:
            by_pixels, by_edges = near
            judge = by_pixels
            joints = [by_pixels + by_edges, by_pixels + COPIES_WEIGHT * copied]
        else:
            judge = copied
            joints = [copied]
        found = [group_overclusters(joint, k).groups for joint in joints]
        known = [grouped_information(judge, grouping, k) for grouping in found]
        for grouping, knows in zip(found, known, strict=True):
            if knows >= max(known) - GUARD_SHARE * np.log(k):
                information.append(knows)
                sources.append(head)
                groups.append(grouping)

    order = np.argsort(-np.array(information), kind="stable")
    behind = max(information) - np.array(information)[order]
    order = order[behind <= LAGGING_SHARE * np.log(k)]
    order = order[np.arange(model.main.num_heads) % len(order)]
    fitted = slice(None, None, -(-len(chosen) // MAX_FITTED))  # evenly spaced
    clusters = [groups[i][own[fitted, sources[i]]] for i in order]
    model.main.refit(features[fitted], np.stack(clusters, axis=1))
    best = np.full(own.shape[1], -np.inf)
    np.maximum.at(best, sources, information)
    return Regrouped(best, np.array(sources)[order])
