"""What one does with a trained model: name clusters, tell errors, hand over groups."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iic_tf.checkpoints import write_atomically
from iic_tf.console import clock, console
from iic_tf.health import Health, information_words, measure
from iic_tf.inference import compile_predict, evaluate_pairs
from iic_tf.job import Task, Trained
from iic_tf.metrics import contingency, match_one_to_one, matched_errors
from iic_tf.neighbours import find_neighbours
from iic_tf.options import Options
from iic_tf.pictures import cluster_grid, mistake_grid, pair_grid
from iic_tf.pipeline import evaluation_batches, training_batches


def sub_head_table(
    information: np.ndarray, *, chosen: int, errors: np.ndarray | None = None
) -> list[str]:
    """One line per sub-head: error where there are labels, information, the choice.

    Args:
        information: Mutual information in nats, shape ``(h,)``.
        chosen: The sub-head with the lowest loss.
        errors: One-to-one errors, shape ``(h,)``, or None without labels.
    """
    lines = []
    for head, nats in enumerate(information):
        error = "" if errors is None else f"error = {errors[head]:.4f}  "
        mark = "  <- chosen (lowest loss)" if head == chosen else ""
        lines.append(f"Sub-head {head}  {error}MI = {nats:.2f} nats{mark}")
    if errors is not None:
        lines.append(f"Mean of {len(errors)} sub-heads  error = {errors.mean():.4f}")
    return lines


def name_classes(labels: np.ndarray, names: Sequence[str] | None) -> list[str]:
    """A name for each class that occurs; its number where names are None or too few."""
    number = int(labels.max()) + 1
    if names is None or len(names) < number:
        return [str(i) for i in range(number)]
    return list(names)


def match_classes(
    clusters: np.ndarray, labels: np.ndarray, *, num_clusters: int
) -> np.ndarray:
    """The class that each cluster is matched with, one to one.

    Args:
        clusters: Cluster of each image, shape ``(n,)``.
        labels: Class of each image, shape ``(n,)``.
        num_clusters: Number of clusters k.

    Returns:
        Shape ``(k,)``; -1 for clusters left over.
    """
    table = contingency(
        clusters, labels, num_clusters=num_clusters, num_classes=int(labels.max()) + 1
    )
    return match_one_to_one(table)


def write_assignments(
    path: Path, probabilities: np.ndarray, *, labels: np.ndarray | None = None
) -> None:
    """Writes which image belongs to which cluster, as CSV.

    Columns: image (its number in the data), cluster, confidence (probability of that
    cluster), runner_up (the next likely cluster), and label where there are labels.

    Args:
        path: File to write.
        probabilities: Soft assignments of one sub-head, shape ``(n, k)``.
        labels: Class of each image or None.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    confidence = np.take_along_axis(probabilities, order[:, :1], axis=1)[:, 0]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["image", "cluster", "confidence", "runner_up"]
        + ([] if labels is None else ["label"])
    )
    for i in range(len(probabilities)):
        row = [i, order[i, 0], f"{confidence[i]:.4f}", order[i, 1]]
        writer.writerow(row if labels is None else [*row, labels[i]])
    write_atomically(path, text.getvalue())


def hand_over(
    trained: Trained,
    task: Task,
    *,
    seed: int,
    class_names: Sequence[str] | None = None,
) -> Health:
    """Groups all evaluation images, and writes and prints what came out.

    Writes clusters.png, assignments.csv, model.keras, summary.json and, where there
    are labels, mistakes.png into the run folder. The sub-head is chosen by its loss on
    pairs of the evaluation images. Labels only score it and name what is in pictures.

    Args:
        trained: The run.
        task: What it was trained on.
        seed: Seed of the perturbed copies.
        class_names: Names of the classes, for the picture.

    Returns:
        Health of the main sub-heads over the evaluation images.
    """
    split, folder = task.protocol.evaluate, trained.folder
    with trained.watch.time("results"):
        pairs = evaluation_batches(
            split.images, task.views, pairs=True, batch=1000, seed=seed
        )
        soft, joint = evaluate_pairs(compile_predict(trained.model), pairs)
        health = measure(joint)
        k, chosen = health.num_clusters, health.best
        errors = names = None
        if (labels := split.labels) is not None:
            clusters = soft.argmax(-1)
            errors = matched_errors(clusters, labels, num_clusters=k)
            classes = name_classes(labels, class_names)
            match = match_classes(clusters[:, chosen], labels, num_clusters=k)
            names = ["none" if c < 0 else classes[c] for c in match]
            mistake_grid(
                folder / "mistakes.png",
                split.images,
                labels,
                match[clusters[:, chosen]],
                names=classes,
                title=f"{folder.name}: the most frequent mistakes",
            )
        write_assignments(
            folder / "assignments.csv", soft[:, chosen], labels=split.labels
        )
        unfinished = folder / ".unfinished.keras"
        trained.model.save(unfinished)
        os.replace(unfinished, folder / "model.keras")
        cluster_grid(
            folder / "clusters.png",
            split.images,
            soft[:, chosen],
            names=names,
            title=f"{folder.name}: the most confident images of each cluster",
        )
    summary = {
        "chosen": chosen,
        "chosen_by": "lowest loss on pairs of the evaluation images",
        "information": health.information.tolist(),
        "bound": health.bound,
        "errors": None if errors is None else errors.tolist(),
        "images": len(split.images),
        "scored_on": task.protocol.words,
        "steps": trained.step,
        "train_seconds": round(trained.seconds, 1),
        "seconds": {name: round(t, 1) for name, t in trained.watch.seconds.items()},
    }
    write_atomically(folder / "summary.json", json.dumps(summary, indent=2) + "\n")

    console.print(f"\nTime:     {trained.watch}.")
    console.print(f"Trained for {clock(trained.seconds)}. Results in {folder}:")
    console.print("  learning_curve.png  how it went")
    console.print("  clusters.png        what is in each cluster")
    if (folder / "mistakes.png").is_file():
        console.print("  mistakes.png        the most frequent mistakes")
    console.print("  assignments.csv     cluster and confidence of every image")
    console.print("  model.keras         the network")
    console.print(
        f"Lowest-loss sub-head: {chosen}, mutual information "
        f"{information_words(health.information[chosen], k)}, "
        f"{health.effective[chosen]:.1f} of {k} clusters in effect."
    )
    if errors is not None:
        console.print(
            f"Errors after one-to-one matching of clusters and classes, on all "
            f"{len(split.images):,} images of {task.protocol.words}:"
        )
    for line in sub_head_table(health.information, chosen=chosen, errors=errors):
        console.print(line)
    return health


def draw_pairs(task: Task, options: Options) -> Path:
    """Draws twenty training images above what they are paired with at first.

    Args:
        task: Images and perturbations.
        options: ``data``, ``out`` and ``seed`` are read.

    Returns:
        Path of the picture, in the folder ``out``.
    """
    images, number = task.protocol.train.images, options.data.neighbours
    neighbours = None
    title = f"{options.data.recipe}: originals and their perturbed copies"
    if number:
        neighbours = find_neighbours(images, number=number, seed=options.seed).by_edges
        title += ", half of them of a near neighbour"
    [views] = training_batches(
        images,
        task.views,
        repeats=options.data.repeats,
        batch=min(20, len(images)),
        seed=options.seed,
        start=0,
        steps=1,
        neighbours=neighbours,
    )
    path = Path(options.out) / f"pairs_{options.data.recipe}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    pair_grid(path, [view.numpy() for view in views], title=title)
    return path
