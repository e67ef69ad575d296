"""Where is the wall: at the graph, at its groups, or at what a network can learn?

``python benchmarks/purity.py --data FOLDER --config configs/cifar10.yaml`` takes the
fifty images that look most like each and lets labels choose ten of them, so that a
given share is of the same class: neighbours as they would be if only the descriptions
were better. For each share it prints the accuracy (one-to-one) of the groups of that
graph and, with ``--train STEPS``, of a run that starts from it. The first line is of
the neighbours as they are. Nothing here is a result of ours: labels choose neighbours.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

import graphs
from commands.loading import Loaded, load, usual_graph
from commands.parsing import parse_words
from commands.train import build_backbone
from iic_tf.distribute import choose_precision, choose_strategy
from iic_tf.errors import UserError, require
from iic_tf.evaluation.metrics import contingencies, matched_errors
from iic_tf.neighbours.spectral import neighbour_graph, spectral_groups
from iic_tf.report.console import at_work
from iic_tf.training.run import train
from iic_tf.tuned import GRAPH_NEIGHBOURS

CANDIDATES = 50


def of_purity(
    nearest: np.ndarray, labels: np.ndarray, share: float, number: int
) -> np.ndarray:
    """The nearest of the same class and of other classes, in given shares.

    Args:
        nearest: Neighbours of each image, shape ``(n, CANDIDATES)``.
        labels: Class of each image, shape ``(n,)``.
        share: Of those of the same class, from 0 to 1.
        number: Neighbours of each image that are taken.

    Returns:
        In random order, shape ``(n, number)``; where there are too few of a kind, the
        others stand in.
    """
    rng = np.random.default_rng(0)
    same = labels[nearest] == labels[:, None]
    wanted = rng.binomial(number, share, size=len(labels))
    taken = []
    for others, alike, count in zip(nearest, same, wanted, strict=True):
        yes, no = others[alike][:count], others[~alike]
        rest = np.concatenate([no[: number - len(yes)], others[alike][count:]])
        taken.append(rng.permutation(np.concatenate([yes, rest])[:number]))
    return np.stack(taken)


def accuracy(clusters: np.ndarray, labels: np.ndarray, k: int) -> float:
    """After one-to-one matching."""
    sizes = {"num_clusters": k, "num_classes": int(labels.max()) + 1}
    return 1 - matched_errors(contingencies(clusters[:, None], labels, **sizes))[0]


def trained(loaded: Loaded, nearest: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of a run that starts from given neighbours."""
    options = loaded.options
    builder = graphs.find(options.graph.name or usual_graph(loaded.asked))
    with tempfile.TemporaryDirectory() as folder:
        done = train(
            replace(options, out=folder, name="purity"),
            replace(loaded.task, nearest=nearest),
            build_backbone=partial(build_backbone, builder, loaded),
            strategy=choose_strategy(options.devices),
        )
        require(
            done.task.found.joined == GRAPH_NEIGHBOURS,
            "the graph of these neighbours falls apart, so that others were sought",
            joined=done.task.found.joined,
        )
        results = done.task.evaluate(
            done.model, options, lowest=done.lowest, trained=True
        )
    return accuracy(results.clusters[:, results.chosen], labels, options.k)


def main() -> None:
    """Prints a line for each share."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", required=True, help="as --data.dir of models_iic.py")
    parser.add_argument("--config", required=True, help="as --config of models_iic.py")
    parser.add_argument("--limit", type=int, default=10_000, help="images")
    parser.add_argument(
        "--shares", type=float, nargs="+", default=[0.54, 0.68, 0.77, 0.86]
    )
    parser.add_argument("--train", type=int, metavar="STEPS", help="train as well")
    arguments = parser.parse_args()
    words = [f"--config={arguments.config}", f"--data.dir={arguments.data}"]
    words += [f"--data.limit={arguments.limit}", "--report.window=never"]
    if arguments.train:
        words.append(f"--train.steps={arguments.train}")
    asked = parse_words(words)
    loaded = load(asked, precision=choose_precision(choose_strategy(asked.devices)))
    protocol, k = loaded.task.protocol, loaded.options.k
    labels = protocol.train.labels
    require(
        labels is not None and protocol.evaluate is protocol.train,
        "the images that train must be those that are scored, with labels",
        protocol=loaded.options.data.protocol,
    )
    with at_work("finding neighbours"):
        nearest = loaded.task.neighbours(CANDIDATES, seed=0)
    print("same class   groups of the graph" + "   trained" * bool(arguments.train))
    for share in (None, *arguments.shares):
        some = nearest[:, :GRAPH_NEIGHBOURS]
        if share is not None:
            some = of_purity(nearest, labels, share, GRAPH_NEIGHBOURS)
        same = (labels[some] == labels[:, None]).mean()
        groups = spectral_groups(neighbour_graph(some), k=k, k_aux=5 * k, seed=0)
        line = f"{same:9.2f}    {accuracy(groups.clusters, labels, k):15.3f}"
        if arguments.train:
            line += f"    {trained(loaded, some, labels):11.3f}"
        print(line + ("   as they are" if share is None else ""), flush=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{Path(__file__).name}: error: {error}")
