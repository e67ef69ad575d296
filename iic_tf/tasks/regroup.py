"""Regrouping: main sub-heads restart from the best grouping that there is.

Sub-heads on one backbone settle in different optima and stay there for thousands of
steps, while its overclusters and features know more than they say. So every so often
the overclusters of each auxiliary sub-head are grouped by search, and where neighbours
are used so are the spectral parts of the graph that fuses appearance and features. The
main sub-heads are fitted to the best of these groupings. Nothing else of the network
changes, and no label is read.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from iic_tf.augment.pairs import Views, evaluation_batches
from iic_tf.errors import require
from iic_tf.evaluation.health import clusters_in_use
from iic_tf.evaluation.inference import overclusters
from iic_tf.evaluation.metrics import contingency
from iic_tf.losses.iic import segmentation_joint
from iic_tf.losses.warp import warp
from iic_tf.models.networks import ClusterIIC, SegmentIIC, at_features
from iic_tf.neighbours.fusing import fuse, thinned
from iic_tf.neighbours.grouping import group_overclusters
from iic_tf.neighbours.nearest import feature_neighbours
from iic_tf.neighbours.spectral import (
    graph_joint,
    neighbour_graph,
    spectral_groups,
    told,
)
from iic_tf.tuned import AGREEING_SHARE, FUSED, GRAPH_NEIGHBOURS, KEPT_SHARE

MAX_IMAGES, MAX_PLACES = 10_000, 20_000
"""Images, or places of label maps, that are sampled, about. With 5,000 images one of
five seeds of Fashion-MNIST went over to worse groups at the last regrouping."""

BY_GRAPH = -1
"""Stands for an auxiliary sub-head where a grouping is that of the graph."""


class Regrouped(NamedTuple):
    """What a regrouping found.

    Attributes:
        information: What the best grouping of each auxiliary sub-head knows about
            pairs, in nats, shape ``(h_aux,)``; that of the graph's groups comes last.
        sources: Auxiliary sub-head that each main sub-head started from, ``(h,)``;
            ``BY_GRAPH`` for the graph.
        refused: Whether the main sub-heads knew more before, and stay as they are.
    """

    information: np.ndarray
    sources: np.ndarray
    refused: bool = False


class _Candidate(NamedTuple):
    """A grouping: what it knows in nats, where it is from, and the cluster of each."""

    information: float
    source: int
    clusters: np.ndarray


class Sample(NamedTuple):
    """What a network makes of some images, or of pixels of some.

    Attributes:
        features: Shape ``(m, d)``.
        overclusters: Of each auxiliary sub-head, shape ``(m, h_aux)``.
        joints: How often the two of a pair are of each two overclusters, for each
            auxiliary sub-head ``(k_aux, k_aux)``.
        near: Who is near whom both in the features and in the graph of the images,
            shape ``(m, m)``, see ``neighbours.fusing``; None without a graph.
    """

    features: np.ndarray
    overclusters: np.ndarray
    joints: Sequence[np.ndarray]
    near: sparse.csr_array | None = None


def sample_images(
    model: ClusterIIC,
    images: np.ndarray,
    views: Views,
    *,
    graph: sparse.csr_array | None = None,
    joined: int = GRAPH_NEIGHBOURS,
    seed: int,
) -> Sample:
    """Samples images: pairs are of an image and its augmented view, or of neighbours.

    Args:
        model: The network.
        images: Training images, uint8; some evenly spaced ones are taken.
        views: ``evaluate`` and ``augment`` are used.
        graph: Who looks like whom among all training images, or None.
        joined: Where there is one, neighbours in the features that each image is joined
            with.
        seed: Decides the augmented views.
    """
    chosen = np.linspace(0, len(images) - 1, min(len(images), MAX_IMAGES))
    chosen = chosen.astype(np.int64)
    batches = evaluation_batches(
        images, views, numbers=chosen, pairs=graph is None, batch=1000, seed=seed
    )
    features, own, augmented = overclusters(model, batches)
    number = model.banks["aux"].num_clusters
    if graph is None:
        pairs = () if augmented is None else zip(own.T, augmented.T, strict=True)
        joints = [
            contingency(x, y, num_clusters=number, num_classes=number) for x, y in pairs
        ]
        return Sample(features, own, joints)
    joined = min(joined, len(features) - 1)
    by_features = feature_neighbours(features, number=joined, seed=seed)
    near = fuse(
        thinned(graph, chosen, number=2 * joined),
        neighbour_graph(by_features),
        number=FUSED * joined,
    )
    joints = [graph_joint(near, mine, number) for mine in own.T]
    return Sample(features, own, joints, near)


@lru_cache(maxsize=1)
def _compile_count(model: SegmentIIC, displacement: int) -> Callable:
    """Compiles once what a regrouping does with a batch."""
    aux = model.banks["aux"]

    @tf.function(autograph=False)
    def count(
        originals: tf.Tensor, augmented: tuple, matrices: tuple, mask: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        def one_hot(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
            features = model.features(images, training=False)
            named = tf.argmax(aux(features), axis=-1)
            return features, named, tf.one_hot(named, aux.num_clusters)

        features, named, first = one_hot(originals)
        joint = tf.zeros(())
        shown = at_features(mask, features)
        for copy, matrix in zip(augmented, matrices, strict=True):
            second = warp(one_hot(copy)[2], matrix)
            joint += segmentation_joint(
                first, second, mask=shown, displacement=displacement, collapsed=True
            )[:, 0]
        return tf.cast(features, tf.float32), named, shown, joint

    return count


def sample_pixels(
    model: SegmentIIC, batches: tf.data.Dataset, *, displacement: int
) -> Sample:
    """Samples pixels: pairs are those of originals and of augmented views that meet.

    Args:
        model: The network.
        batches: As in ``crops.training_crop_batches``.
        displacement: T, the largest one along each axis, in positions of features.

    Raises:
        UserError: If no pixel trains.
    """
    count = _compile_count(model, displacement)
    joints: Any = 0.0
    kept = []
    share = MAX_PLACES // int(batches.cardinality())
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
        "at least one pixel must be used for training, see segment.masked",
        pixels_with_a_class=len(features),
    )
    return Sample(features, named, joints)


def regroup(
    model: ClusterIIC | SegmentIIC, sample: Sample, *, lamb: float = 1.0, seed: int
) -> Regrouped:
    """Groups what the network has found and refits the main sub-heads to it.

    The overclusters of every auxiliary sub-head are grouped, by what pairs tell; where
    the sample has a graph, its spectral groups are one more candidate. Candidates that
    lag behind the best, or with a graph differ from it, are left out; the main
    sub-heads share the others evenly. If by the graph they then know less than before,
    or use fewer clusters, they stay what they were.

    Args:
        model: Its main sub-heads are replaced.
        sample: What it makes of training images.
        lamb: Weight of the marginal entropies, see ``neighbours.grouping``.
        seed: Decides where the search of the graph's groups starts.
    """
    features, near = sample.features, sample.near
    k, k_aux = model.main.num_clusters, model.banks["aux"].num_clusters
    groupings = [group_overclusters(joint, k, lamb=lamb) for joint in sample.joints]
    found = [
        _Candidate(grouping.information, head, grouping.groups[own])
        for head, (grouping, own) in enumerate(
            zip(groupings, sample.overclusters.T, strict=True)
        )
    ]
    if near is not None:
        groups = spectral_groups(near, k=k, k_aux=k_aux, seed=seed, lamb=lamb)
        found.append(_Candidate(groups.information, BY_GRAPH, groups.clusters))
    before = [weights.numpy() for weights in model.main.weights]
    was = _state(model, sample, lamb)
    sources = _start_from(model, found, features, agreeing=near is not None)
    now = _state(model, sample, lamb)
    if refused := any(x < y for x, y in zip(now, was, strict=True)):
        for weights, value in zip(model.main.weights, before, strict=True):
            weights.assign(value)
    return Regrouped(np.array([one.information for one in found]), sources, refused)


def _state(
    model: ClusterIIC | SegmentIIC, sample: Sample, lamb: float
) -> tuple[float, ...]:
    """The most that a main sub-head knows about neighbours, and its clusters in use.

    Without a graph there is nothing to know it by.
    """
    if sample.near is None:
        return ()
    k = model.main.num_clusters
    clusters = model.main(sample.features).numpy().argmax(-1)
    heads = range(clusters.shape[1])
    known = [told(sample.near, clusters[:, head], k, lamb=lamb) for head in heads]
    best = int(np.argmax(known))
    return known[best], clusters_in_use(clusters[:, best], k)


def _agree(clusters: np.ndarray, others: np.ndarray, k: int) -> bool:
    """Whether two groupings agree on nearly all images, up to their numbering."""
    table = contingency(clusters, others, num_clusters=k, num_classes=k)
    same = table[linear_sum_assignment(table, maximize=True)].sum()
    return bool(same >= AGREEING_SHARE * len(clusters))


def _start_from(
    model: ClusterIIC | SegmentIIC,
    found: list[_Candidate],
    features: np.ndarray,
    *,
    agreeing: bool = False,
) -> np.ndarray:
    """Fits the main sub-heads to the best groupings; returns the heads these are of.

    Args:
        model: Its main sub-heads are replaced.
        found: Groupings.
        features: Shape ``(m, d)``.
        agreeing: Whether groupings other than the best are left out, however good.
    """
    k = model.main.num_clusters
    found = sorted(found, key=lambda candidate: -candidate.information)
    needed = found[0].information - KEPT_SHARE * np.log(k)
    kept = [
        candidate
        for candidate in found
        if candidate.information >= needed
        and (not agreeing or _agree(candidate.clusters, found[0].clusters, k))
    ]
    used = list(islice(cycle(kept), model.main.num_heads))
    model.main.refit(features, np.stack([one.clusters for one in used], axis=1))
    return np.array([candidate.source for candidate in used])
