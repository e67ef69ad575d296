"""Evidence on the number of clusters: from the neighbour graph, or from a network.

The graph takes no training: its groups are cut at every number, and again of random
subsets of the images. A trained network has overclusters in each auxiliary sub-head:
those of each sub-head are merged in a tree, which is cut at every number, all on one
backbone.
"""

from collections.abc import Callable

import numpy as np

from iic_tf.augment.pairs import Views, evaluation_batches
from iic_tf.evaluation.choosing import Evidence, agreement_of_cuts, mean_agreement
from iic_tf.evaluation.inference import overclusters
from iic_tf.evaluation.metrics import contingency
from iic_tf.models.networks import ClusterIIC
from iic_tf.neighbours.cuts import KEPT, SEARCHED, cut_graph, most_groups, resample
from iic_tf.neighbours.grouping import cut_tree
from iic_tf.neighbours.spectral import neighbour_graph
from iic_tf.tuned import GRAPH_NEIGHBOURS

MAX_LOOKED = 5_000
"""Images whose graph is cut at most: time grows faster than their number."""

MAX_NAMED = 20_000
"""Images whose overclusters are looked at, at most."""


def most_from_graph(number: int) -> int:
    """The most clusters that the graph of so many images can tell about."""
    return most_groups(int(KEPT * min(number, MAX_LOOKED)))


def from_graph(
    find: Callable[[int], np.ndarray], *, least: int, most: int, seed: int
) -> Evidence:
    """Evidence from the neighbour graph.

    Args:
        find: Takes a number, gives so many neighbours of each image, or all there are.
        least: Fewest clusters.
        most: Most clusters, at most ``most_from_graph``.
        seed: Decides the subsets, and where searches start.

    Returns:
        The evidence; stability is that of the groups of all images and of subsets.
    """
    nearest = find(SEARCHED)
    graph = neighbour_graph(nearest[:, :GRAPH_NEIGHBOURS])
    whole = cut_graph(graph, least=least, most=most, seed=seed)
    again = [
        agreement_of_cuts(whole.clusters[:, kept], cuts.clusters)
        for kept, cuts in resample(nearest, least=least, most=most, seed=seed)
    ]
    numbers = np.arange(least, most + 1)
    return Evidence(
        numbers,
        whole.information / np.log(numbers),
        np.mean(again, axis=0),
        gaps=whole.values[numbers - 1] - whole.values[numbers],
    )


def from_network(
    model: ClusterIIC,
    images: np.ndarray,
    views: Views,
    *,
    least: int,
    most: int,
    seed: int,
) -> Evidence:
    """Evidence from the overclusters of a trained network.

    Args:
        model: It needs auxiliary sub-heads, at least two.
        images: uint8; some evenly spaced ones are looked at.
        views: ``evaluate`` and ``augment`` are used.
        least: Fewest clusters.
        most: Most clusters, at most the overclusters of a sub-head.
        seed: Decides the augmented views.

    Returns:
        The evidence: shares are the highest of all sub-heads, stability is that between
        sub-heads, and views is that of images and augmented views.
    """
    chosen = np.linspace(0, len(images) - 1, min(len(images), MAX_NAMED))
    batches = evaluation_batches(
        images,
        views,
        numbers=chosen.astype(np.int64),
        pairs=True,
        batch=1000,
        seed=seed,
    )
    _, own, augmented = overclusters(model, batches)
    if augmented is None:
        raise ValueError("pairs have augmented views")
    number, numbers = model.banks["aux"].num_clusters, np.arange(least, most + 1)
    cuts, shares, by_view = [], [], []
    for mine, other in zip(own.T, augmented.T, strict=True):
        joint = contingency(mine, other, num_clusters=number, num_classes=number)
        found = cut_tree(joint, least=least, most=most)
        cut = np.stack([grouping.groups[mine] for grouping in found])
        of_view = np.stack([grouping.groups[other] for grouping in found])
        cuts.append(cut)
        shares.append([grouping.information for grouping in found] / np.log(numbers))
        by_view.append(agreement_of_cuts(cut, of_view))
    return Evidence(
        numbers,
        np.max(shares, axis=0),
        mean_agreement(cuts),
        views=np.mean(by_view, axis=0),
    )
