"""Calibration of a network at the end of its run. No label is read."""

import numpy as np

from iic_tf.augment.pairs import Views, evaluation_batches
from iic_tf.evaluation.confidence import Calibration
from iic_tf.evaluation.inference import overclusters
from iic_tf.models.networks import ClusterIIC
from iic_tf.neighbours.grouping import group_overclusters
from iic_tf.neighbours.nearest import feature_neighbours
from iic_tf.neighbours.spectral import graph_joint, neighbour_graph
from iic_tf.tuned import CONFIDENCE_VIEWS, GRAPH_NEIGHBOURS

MAX_LOOKED_AT = 5_000
"""Training images on which sub-heads are compared, at most."""

MAX_VIEWED = 10_000
"""Images of a run above which confidence goes without augmented views: each costs as
much as an image, which would be a minute for 70,000 digits."""


def calibrate(
    model: ClusterIIC,
    images: np.ndarray,
    views: Views,
    *,
    head: int,
    lamb: float,
    seed: int,
) -> Calibration:
    """Compares the clusters of the chosen sub-head with those of all others.

    The overclusters of each auxiliary sub-head are grouped into k clusters by what
    neighbours in the features tell, as regroupings do.

    Args:
        model: The network, which stays as it is.
        images: Training images; some evenly spaced ones are looked at.
        views: ``evaluate`` is used.
        head: The chosen sub-head.
        lamb: Weight of the marginal entropies, see ``neighbours.grouping``.
        seed: Of the run.
    """
    number, k = len(images), model.main.num_clusters
    some = np.linspace(0, number - 1, min(number, MAX_LOOKED_AT)).astype(np.int64)
    batches = evaluation_batches(images, views, numbers=some, batch=1000)
    features, own, _ = overclusters(model, batches)
    clusters = model.main(features).numpy().argmax(axis=-1)
    groups = np.zeros((len(some), 0), np.int64)
    near = min(GRAPH_NEIGHBOURS, len(some) - 1)
    if model.aux is not None and model.aux.num_clusters >= k and near:
        graph = neighbour_graph(feature_neighbours(features, number=near, seed=seed))
        joints = [graph_joint(graph, x, model.aux.num_clusters) for x in own.T]
        found = [group_overclusters(joint, k, lamb=lamb).groups for joint in joints]
        groups = np.stack([x[y] for x, y in zip(found, own.T, strict=True)], axis=1)
    shown = CONFIDENCE_VIEWS if number <= MAX_VIEWED else 0
    return Calibration.of(clusters, groups, head=head, k=k, views=shown)
