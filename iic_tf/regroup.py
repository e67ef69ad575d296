"""Regrouping: main sub-heads start anew from what the auxiliary ones have found.

Sub-heads on one backbone settle in different optima and stay there for thousands of
steps; the network that tells fifty kinds of digits apart may still put the sevens with
a bar into the cluster of the twos, in every main sub-head. So every so often the
overclusters of each auxiliary sub-head are grouped by search, and the main sub-heads
are fitted to these groupings. Nothing else of the network changes, and no label is
read.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from iic_tf.grouping import group_overclusters, grouped_information
from iic_tf.health import DEAD_SHARE
from iic_tf.inference import overclusters
from iic_tf.losses import segmentation_joint
from iic_tf.metrics import contingency
from iic_tf.models import ClusterIIC, SegmentIIC, at_features
from iic_tf.neighbours import Neighbours, feature_neighbours
from iic_tf.options import require
from iic_tf.pipeline import Views, evaluation_batches
from iic_tf.spectral import (
    GRAPH_NEIGHBOURS,
    graph_joint,
    neighbour_graph,
    spectral_groups,
)
from iic_tf.warp import warp

MAX_FITTED = 20_000
"""Main sub-heads are fitted to about so many images, or places of label maps: more
would not change them."""

COPIES_WEIGHT = 2.0
"""Weight of a pair of copies beside a pair of neighbours, where both are counted."""

KEPT_SHARE = 0.005
"""A grouping whose information lies this share of ln k below the best is left out."""

GUARD_SHARE = 0.002
"""A grouping by copies may know less about neighbours by this share of ln k."""


AGREEING_SHARE = 0.97
"""A grouping of a neighbour graph that is another one of more images is left out: two
ways of grouping that know as much would leave sub-heads far apart."""

BY_GRAPH = -1
"""Stands for an auxiliary sub-head where a grouping is that of the neighbour graph."""


class Regrouped(NamedTuple):
    """What a regrouping found.

    Attributes:
        information: What the best grouping of each auxiliary sub-head knows about
            pairs of neighbours (by pixel values if these are asked), or without
            neighbours of copies, in nats, shape ``(h_aux,)``; with a graph its groups'
            comes last.
        sources: Auxiliary sub-head that each main sub-head started from, ``(h,)``;
            ``BY_GRAPH`` for the graph.
        refused: Whether the main sub-heads knew more before, and stay as they are.
    """

    information: np.ndarray
    sources: np.ndarray
    refused: bool = False


class _Candidate(NamedTuple):
    """A grouping of an auxiliary sub-head's overclusters and what it knows, in nats."""

    information: float
    head: int
    groups: np.ndarray


def _pairs(mine: np.ndarray, theirs: np.ndarray, number: int) -> np.ndarray:
    """Share of the pairs in each two of ``number`` overclusters: (n,) by (n, each)."""
    each = theirs.shape[1]
    counts = contingency(
        mine.repeat(each), theirs.ravel(), num_clusters=number, num_classes=number
    )
    return counts / theirs.size


def _candidates(
    head: int, copies: np.ndarray, near: list[np.ndarray], *, k: int
) -> list[_Candidate]:
    """Groups the overclusters of one sub-head by neighbours and by copies.

    Args:
        head: The auxiliary sub-head.
        copies: Joint of pairs of copies, shape ``(K, K)``.
        near: Joints of pairs of nearest neighbours, and of neighbours by pixels where
            these are asked, too; empty without neighbours.
        k: Number of clusters.
    """
    if len(near) == 2:
        nearest, by_pixels = near
        judge = by_pixels
        joints = [by_pixels + nearest, by_pixels + COPIES_WEIGHT * copies]
    else:
        [judge] = joints = near or [copies]
    groupings = [group_overclusters(joint, k).groups for joint in joints]
    found = [
        _Candidate(grouped_information(judge, groups, k), head, groups)
        for groups in groupings
    ]
    best = max(candidate.information for candidate in found)
    needed = best - GUARD_SHARE * np.log(k)
    return [candidate for candidate in found if candidate.information >= needed]


def regroup(
    model: ClusterIIC,
    images: np.ndarray,
    views: Views,
    *,
    neighbours: Neighbours | None,
    graph: sparse.csr_array | None = None,
    seed: int,
) -> Regrouped:
    """Groups what the network has found and refits the main sub-heads to it.

    The overclusters of every auxiliary sub-head are grouped. Where neighbours by pixels
    are known, twice: by pairs of neighbours, and by pairs of copies with some
    neighbours. The two make different mistakes, and the loss tells at the end which to
    keep, but for one that it prefers: a grouping by copies that knows clearly less of
    neighbours than its sibling is dropped (``docs/convergence.md``). Otherwise each is
    grouped by neighbours, or without them by copies.

    With a graph, images that are near in the features of the network are joined in it
    too, its spectral groups are another candidate, and all are judged by it. Candidates
    that lag behind the best, or that differ from it, are left out; the main sub-heads
    share the others evenly.
    If they then know less about the graph than before, or use fewer clusters, they stay
    what they were.

    Args:
        model: Its main sub-heads are replaced.
        images: Training images, uint8; of these the
            candidates of ``neighbours`` are evaluated, or some evenly spaced ones.
        views: ``evaluate`` and ``perturb`` are used.
        neighbours: Of all training images; without them there are copies only.
        graph: Who is near whom among all training images, or None.
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
            for table in (neighbours.nearest, neighbours.by_pixels)
            if table is not None
        ]
    batches = evaluation_batches(
        images, views, numbers=chosen, pairs=True, batch=1000, seed=seed
    )
    stride = -(-len(chosen) // MAX_FITTED)
    features, own, copies = overclusters(model, batches, stride=stride)

    aux = model.banks["aux"]
    k, number = model.main.num_clusters, aux.num_clusters
    found: list[_Candidate] = []
    information = []
    for head in range(aux.num_heads):
        mine = own[:, head]
        joint = _pairs(mine, copies[:, [head]], number)
        near = [_pairs(mine, mine[table], number) for table in tables]
        candidates = _candidates(head, joint, near, k=k)
        found += candidates
        information.append(max(candidate.information for candidate in candidates))
    if graph is None:
        sources = _start_from(model, found, features, own[::stride])
        return Regrouped(np.array(information), sources)

    # the graph's groups are one more column of "overclusters", grouped already
    kept = chosen[::stride]
    known = graph[kept][:, kept] + _graph_of_features(features, seed=seed)
    groups = spectral_groups(known, k=k, k_aux=number, seed=seed).clusters
    named = np.concatenate([own[::stride], groups[:, None]], axis=1)
    found.append(_Candidate(0.0, BY_GRAPH, np.arange(k)))
    found = [
        _Candidate(told(known, groups[named[:, head]], k), head, groups)
        for _, head, groups in found
    ]
    information.append(found[-1].information)
    before = [weights.numpy() for weights in model.main.weights]
    knew = _state(model, features, known)
    best = max(found, key=lambda candidate: candidate.information)
    best_groups = best.groups[named[:, best.head]]
    found = [
        candidate
        for candidate in found
        if _agree(candidate.groups[named[:, candidate.head]], best_groups, k)
    ]
    sources = _start_from(model, found, features, named)
    knows = _state(model, features, known)
    if knows[0] < knew[0] or knows[1] < knew[1]:
        for weights, value in zip(model.main.weights, before, strict=True):
            weights.assign(value)
        return Regrouped(np.array(information), sources, refused=True)
    return Regrouped(np.array(information), sources)


def _graph_of_features(features: np.ndarray, *, seed: int) -> sparse.csr_array:
    """Who is near whom in the features ``(m, d)`` of a network, ``(m, m)``."""
    number = min(GRAPH_NEIGHBOURS, len(features) - 1)
    return neighbour_graph(feature_neighbours(features, number=number, seed=seed))


def told(graph: sparse.csr_array, clusters: np.ndarray, k: int) -> float:
    """What the cluster of an image tells about that of a neighbour, in nats."""
    return grouped_information(graph_joint(graph, clusters, k), np.arange(k), k)


def _state(
    model: ClusterIIC, features: np.ndarray, graph: sparse.csr_array
) -> tuple[float, int]:
    """The most that a main sub-head knows about neighbours, and its clusters in use."""
    k = model.main.num_clusters
    clusters = model.main(features).numpy().argmax(-1)
    known = [told(graph, clusters[:, head], k) for head in range(clusters.shape[1])]
    best = int(np.argmax(known))
    return known[best], clusters_in_use(clusters[:, best], k)


def _agree(clusters: np.ndarray, others: np.ndarray, k: int) -> bool:
    """Whether two groupings are the same of nearly all images, by whatever numbers."""
    table = contingency(clusters, others, num_clusters=k, num_classes=k)
    same = table[linear_sum_assignment(table, maximize=True)].sum()
    return bool(same >= AGREEING_SHARE * len(clusters))


def clusters_in_use(clusters: np.ndarray, k: int) -> int:
    """Clusters with at least a tenth of an even share of the images.

    Args:
        clusters: Cluster of each image, shape ``(n,)``.
        k: Number of clusters.
    """
    counts = np.bincount(clusters, minlength=k)
    return int((counts >= DEAD_SHARE * len(clusters) / k).sum())


def _start_from(
    model: ClusterIIC | SegmentIIC,
    found: list[_Candidate],
    features: np.ndarray,
    overclusters: np.ndarray,
) -> np.ndarray:
    """Fits the main sub-heads to the best groupings; returns the heads these are of.

    Args:
        model: Its main sub-heads are replaced.
        found: Groupings.
        features: Shape ``(m, d)``.
        overclusters: What each auxiliary sub-head names them, and last what the graph
            does if it is among those found, shape ``(m, h_aux)``.
    """
    found = sorted(found, key=lambda candidate: -candidate.information)
    needed = found[0].information - KEPT_SHARE * np.log(model.main.num_clusters)
    kept = [candidate for candidate in found if candidate.information >= needed]
    used = list(islice(cycle(kept), model.main.num_heads))
    clusters = [candidate.groups[overclusters[:, candidate.head]] for candidate in used]
    model.main.refit(features, np.stack(clusters, axis=1))
    return np.array([candidate.head for candidate in used])


@lru_cache(maxsize=1)
def _compile_count(model: SegmentIIC, reach: int) -> Callable:
    """Compiles once what a regrouping does with a batch."""
    aux = model.banks["aux"]

    @tf.function(autograph=False)
    def count(
        originals: tf.Tensor, copies: tuple, matrices: tuple, mask: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        def one_hot(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
            features = model.features(images, training=False)
            named = tf.argmax(aux(features), axis=-1)
            return features, named, tf.one_hot(named, aux.num_clusters)

        features, named, first = one_hot(originals)
        joint = tf.zeros(())
        shown = at_features(mask, features)
        for copy, matrix in zip(copies, matrices, strict=True):
            second = warp(one_hot(copy)[2], matrix)
            joint += segmentation_joint(
                first, second, mask=shown, reach=reach, collapsed=True
            )[:, 0]
        return tf.cast(features, tf.float32), named, shown, joint

    return count


def regroup_maps(
    model: SegmentIIC, batches: tf.data.Dataset, *, reach: int
) -> Regrouped:
    """As ``regroup``, for label maps: pairs are pixels of originals and of copies.

    Args:
        model: Its main sub-heads are replaced.
        batches: As in ``map_pipeline.training_map_batches``.
        reach: T, the largest displacement along each axis, in places of features.

    Raises:
        UserError: If no pixel trains.
    """
    count = _compile_count(model, reach)
    joints: Any = 0.0
    kept = []
    share = MAX_FITTED // int(batches.cardinality())
    for batch in batches:
        features, named, shown, joint = (part.numpy() for part in count(*batch))
        joints = joints + joint.astype(np.float64)
        counts = np.flatnonzero(shown)
        counts = counts[:: max(len(counts) // share, 1)]
        places = features.reshape(-1, features.shape[-1]), named.reshape(-1, len(joint))
        kept.append(tuple(part[counts] for part in places))
    features, named = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    require(
        len(features) > 0,
        "there must be pixels that train",
        pixels_with_a_class=len(features),
    )
    k = model.main.num_clusters
    candidates = [
        _candidates(head, joint, [], k=k) for head, joint in enumerate(joints)
    ]
    sources = _start_from(
        model, [c for of_one in candidates for c in of_one],
        features, named,
    )  # fmt: skip
    information = [max(c.information for c in of_one) for of_one in candidates]
    return Regrouped(np.array(information), sources)
