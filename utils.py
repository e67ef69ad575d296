"""What one does with a trained model: name clusters, tell errors, hand over groups."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
from PIL import Image

from iic_tf import progression
from iic_tf.checkpoints import write_atomically
from iic_tf.cluster_task import EVALUATION_BATCH, ClusterTask, Found, subset
from iic_tf.console import at_work, attempted, clock, console
from iic_tf.curves import draw_comparison
from iic_tf.failures import naming
from iic_tf.folders import (
    OPTIONS_FILE,
    SUMMARY_FILE,
    make_run_folder,
    read_history,
    read_options,
    read_summary,
)
from iic_tf.health import Health, information_words, measure
from iic_tf.inference import (
    adapt,
    compile_predict,
    evaluate_pairs,
    features_of,
    unlikeness,
)
from iic_tf.job import Trained, run_prefix
from iic_tf.map_folder import to_size
from iic_tf.map_inference import clusters_of
from iic_tf.map_pipeline import training_map_batches
from iic_tf.map_task import NUM_SHOWN, MapTask
from iic_tf.metrics import (
    MATCHES,
    accuracy,
    agreement,
    class_iou,
    class_recall,
    clustering_scores,
    contingency,
    matched_errors,
)
from iic_tf.models import ClusterIIC, SegmentIIC
from iic_tf.names import csv_text, escaped, readable_names, written_stems
from iic_tf.options import Options, UserError, first_line, require
from iic_tf.pictures import (
    MOST_DRAWN,
    as_rgb,
    cluster_grid,
    colour_map,
    label_histograms,
    map_colours,
    map_rows,
    mistake_grid,
    number_table,
    pair_grid,
    summed_up,
)
from iic_tf.pipeline import evaluation_batches, training_batches
from iic_tf.regroup import clusters_in_use, told
from iic_tf.spectral import graph_joint
from iic_tf.tuned import IN_USE_SHARE, WORSE_SHARE

Network = TypeVar("Network", ClusterIIC, SegmentIIC)

UNLIKE = 0.1
"""Of images whose ``unlikeness`` is larger, users are told."""

MIN_UNLIKE = 50
"""Of fewer images what they show counts for more than their light."""

BY_GRAPH = "neighbour graph"
BY_LOSS = "lowest loss"
BY_COPIES = "most information about copies"
BY_LABEL = "lowest error, which uses labels"


@dataclass(frozen=True)
class Groups:
    """What a model makes of the evaluation images.

    Attributes:
        soft: Soft assignments, float32, shape ``(n, h, k)``.
        health: Of the main sub-heads, over all pairs.
        chosen: The sub-head that is handed over.
        chosen_by: Why that one, in words.
        errors: Of every sub-head, shape ``(h,)``; None without labels, as all below.
        errors_batch_statistics: The same with the statistics of batches, if asked for.
        scores: See ``metrics.clustering_scores``.
        classes: Class of each cluster of the chosen sub-head, -1 for none.
        mapping_errors: Of every sub-head on the images that clusters are mapped on,
            shape ``(h,)``; None where these are the images evaluated.
    """

    soft: np.ndarray
    health: Health
    chosen: int
    chosen_by: str
    errors: np.ndarray | None = None
    errors_batch_statistics: np.ndarray | None = None
    scores: dict[str, np.ndarray] | None = None
    classes: np.ndarray | None = None
    mapping_errors: np.ndarray | None = None

    @cached_property
    def clusters(self) -> np.ndarray:
        """Cluster of each image in each sub-head, shape ``(n, h)``."""
        return self.soft.argmax(-1)


def assess(
    model: ClusterIIC,
    task: ClusterTask,
    options: Options,
    *,
    settled: tuple[int, str] | None = None,
    lowest: int | None = None,
) -> Groups:
    """Groups all evaluation images and, where they have labels, scores the groups.

    Args:
        model: The network; it is adapted to the evaluation images where that is asked.
        task: Images and what is done to them.
        options: ``report`` and ``seed`` are read.
        settled: The sub-head handed over and what chose it, where that is settled.
        lowest: The sub-head with the lowest loss in training; if None the one that
            knows most about copies.
    """
    split = task.protocol.evaluate
    scorer = task.scorer(model, options)
    known = None if scorer is None else scorer.mapping_on()
    if options.report.adapt:
        adapt(model, task.evaluation_views(options))
    pairs = evaluation_batches(
        split.images, task.views, pairs=True, batch=EVALUATION_BATCH, seed=options.seed
    )
    soft, joint = evaluate_pairs(compile_predict(model), pairs)
    health = measure(joint)
    by_loss = (health.best, BY_COPIES) if lowest is None else (lowest, BY_LOSS)
    if scorer is None or split.labels is None:
        return Groups(soft, health, *(settled or by_loss))

    clusters, k, match = soft.argmax(-1), health.num_clusters, options.report.match
    scores = clustering_scores(clusters, split.labels, num_clusters=k, mapping_on=known)
    errors, doubled, mapping_errors = 1 - scores[match], None, None
    if options.report.double:
        doubled = scorer.errors(compile_predict(model, batch_statistics=True))
    if known is not None:
        mapping_errors = matched_errors(*known, num_clusters=k, match=match)
    if settled is None and options.report.choose == "label":
        # what is held out chooses nothing
        judged = errors if mapping_errors is None else mapping_errors
        settled = int(judged.argmin()), BY_LABEL
    chosen, by = settled or by_loss
    own, classes = known or (clusters, split.labels)
    classes = match_classes(own[:, chosen], classes, num_clusters=k, match=match)
    return Groups(
        *(soft, health, chosen, by, errors, doubled, scores, classes, mapping_errors)
    )


# ------------------------------------------------------------------------------ words


def _scored_on(task: ClusterTask | MapTask, options: Options) -> str:
    """Which images are scored, and what of them the network has been given."""
    adapted = ", to which batch normalisation is adapted" * options.report.adapt
    return task.words + adapted


def sub_head_table(
    information: np.ndarray,
    *,
    chosen: int,
    errors: np.ndarray | None = None,
    chosen_by: str,
) -> list[str]:
    """One line per sub-head: error where there are labels, information, the choice.

    Args:
        information: Mutual information in nats, shape ``(h,)``.
        chosen: The sub-head handed over.
        errors: Errors after the match, shape ``(h,)``, or None without labels.
        chosen_by: Why that one, in words.
    """
    lines = []
    for head, nats in enumerate(information):
        error = "" if errors is None else f"error = {errors[head]:.4f}  "
        mark = f"  <- chosen ({chosen_by})" if head == chosen else ""
        name = "Groups" if chosen_by == BY_GRAPH else f"Sub-head {head}"
        lines.append(f"{name}  {error}MI = {nats:.2f} nats{mark}")
    if errors is not None and len(errors) > 1:
        lines.append(f"Mean of {len(errors)} sub-heads  error = {errors.mean():.4f}")
    return lines


def score_table(scores: dict[str, np.ndarray], *, chosen: int) -> list[str]:
    """One line per score: chosen, mean, standard deviation, best and worst sub-head.

    Args:
        scores: Scores by name, each of shape ``(h,)``.
        chosen: The sub-head handed over.
    """
    columns = ("chosen", "mean", "std", "best", "worst")
    lines = [f"{'':13}" + "".join(f"{column:>9}" for column in columns)]
    for name, values in scores.items():
        found = (
            *(values[chosen], values.mean(), values.std()),
            *(values.max(), values.min()),
        )
        lines.append(f"{name:13}" + "".join(f"{value:9.4f}" for value in found))
    return lines


def name_classes(labels: np.ndarray, names: Sequence[str] | None) -> list[str]:
    """A name for each class that occurs; its number where names are None or too few."""
    number = int(labels.max()) + 1
    if names is None or len(names) < number:
        return [str(i) for i in range(number)]
    return list(names)


def _names_of_known(groups: Groups, task: ClusterTask) -> list[str]:
    """Names of the classes of what is scored and of what clusters are mapped on."""
    # a class may occur only among the images that clusters were mapped on
    both = task.protocol.evaluate.labels, groups.classes
    known = np.concatenate([some for some in both if some is not None])
    return name_classes(known, task.class_names)


def class_of_clusters(groups: Groups, task: ClusterTask) -> list[str | None] | None:
    """The class that each cluster of the chosen sub-head is matched with.

    Args:
        groups: See ``assess``.
        task: Its class names are read.

    Returns:
        Names, None for clusters without a class; None without labels.
    """
    if groups.classes is None:
        return None
    names = _names_of_known(groups, task)
    return [names[i] if i >= 0 else None for i in groups.classes]


MAPPED_TOLD = 30
"""Classes of so many clusters are printed at most; summary.json has all."""


def mapping_words(classes: Sequence[str | None]) -> str:
    """Which class each cluster stands for, in words: "0 is cat, 1 is none"."""
    told = ", ".join(
        f"{cluster} is {'none' if name is None else name}"
        for cluster, name in enumerate(classes[:MAPPED_TOLD])
    )
    more = len(classes) - MAPPED_TOLD
    rest = f", and {more:,} more in summary.json" if more > 0 else ""
    return f"Classes of the clusters: {told}{rest}."


def mapping_error_words(errors: np.ndarray | None, chosen: int) -> list[str]:
    """The errors on what clusters are mapped on, where that is not what is scored.

    Args:
        errors: Of every sub-head, shape ``(h,)``, or None.
        chosen: The sub-head handed over.
    """
    if errors is None:
        return []
    listed = ", ".join(f"{error:.4f}" for error in errors)
    return [
        "Error on the training images that clusters are mapped on: "
        f"{errors[chosen]:.4f} (accuracy {1 - errors[chosen]:.4f}); of all sub-heads "
        f"{listed}"
    ]


def class_of_each(task: ClusterTask) -> list[str] | None:
    """The name of the class of each evaluation image, or None without labels."""
    labels = task.protocol.evaluate.labels
    if labels is None:
        return None
    names = name_classes(labels, task.class_names)
    return [names[label] for label in labels]


def match_classes(
    clusters: np.ndarray,
    labels: np.ndarray,
    *,
    num_clusters: int,
    match: str = "one-to-one",
) -> np.ndarray:
    """The class that each cluster is matched with.

    Args:
        clusters: Cluster of each image, shape ``(n,)``.
        labels: Class of each image, shape ``(n,)``.
        num_clusters: Number of clusters k.
        match: One of ``metrics.MATCHES``.

    Returns:
        Shape ``(k,)``; -1 for clusters left over.
    """
    table = contingency(
        clusters, labels, num_clusters=num_clusters, num_classes=int(labels.max()) + 1
    )
    return MATCHES[match](table)


# ------------------------------------------------------------------------------ files


def write_assignments(
    path: Path,
    probabilities: np.ndarray,
    *,
    labels: Sequence[str] | None = None,
    paths: Sequence[str] | None = None,
    classes: Sequence[str | None] | None = None,
) -> None:
    """Writes which image belongs to which cluster, as CSV.

    Columns: path (or image, its number in the data), cluster, confidence (probability
    of that cluster), runner_up (the next likely cluster), and where there are labels
    label and predicted, the class of the cluster, empty for none. Names are written as
    ``names.csv_text`` says.

    Args:
        path: File to write.
        probabilities: Soft assignments of one sub-head, shape ``(n, k)``.
        labels: Name of the class of each image or None.
        paths: Name of each image's file or None.
        classes: Name of the class of each cluster, with labels.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    confidence = np.take_along_axis(probabilities, order[:, :1], axis=1)[:, 0]
    kind = "image" if paths is None else "path"
    header = [kind, "cluster", "confidence", "runner_up"]
    header += [] if labels is None else ["label"]
    header += [] if classes is None else ["predicted"]
    rows: list[Sequence[object]] = [header]
    for i in range(len(probabilities)):
        name = i if paths is None else paths[i]
        row = [name, order[i, 0], f"{confidence[i]:.4f}", order[i, 1]]
        row += [] if labels is None else [labels[i]]
        row += [] if classes is None else [classes[order[i, 0]] or ""]
        rows.append(row)
    write_atomically(path, csv_text(rows))


def write_network(path: Path, backbone: keras.Model) -> None:
    """Writes the layers of a backbone: names, kinds, shapes, parameters.

    Batch normalisation that keeps no running statistics is marked.

    Args:
        path: File to write.
        backbone: Keras model.
    """

    def innermost(model: keras.Model) -> Iterator[keras.layers.Layer]:
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                yield from innermost(layer)
            else:
                yield layer

    lines = []
    for layer in innermost(backbone):
        shape = "×".join(str(n) for n in layer.output.shape[1:])
        mark = "" if getattr(layer, "tracked", True) else "  no running statistics"
        lines.append(
            f"{layer.name:24} {type(layer).__name__:22} {shape:>14} "
            f"{layer.count_params():>12,}{mark}"
        )
    lines.append(f"{'':62} {backbone.count_params():>12,} parameters")
    write_atomically(path, "\n".join(lines) + "\n")


def write_unreadable(path: Path, unreadable: Sequence[tuple[str, str]]) -> None:
    """Writes which files were skipped and why, as CSV.

    Args:
        path: File to write.
        unreadable: Name and reason of each.
    """
    write_atomically(path, csv_text([("path", "reason"), *unreadable]))


def draw_groups(
    folder: Path, groups: Groups, task: ClusterTask, *, title: str
) -> list[str]:
    """Draws what is in the clusters, and where there are labels how well they fit.

    Args:
        folder: Where the pictures go.
        groups: See ``assess``.
        task: The images, with labels or without.
        title: First words of every heading.

    Returns:
        One line per picture: its name and what it shows.
    """
    split, k, chosen = task.protocol.evaluate, groups.health.num_clusters, groups.chosen
    clusters, names = groups.clusters, None
    lines: list[str] = []

    def draw(
        name: str, shows: str, how: Callable[..., None], *what: Any, **said: Any
    ) -> None:
        with attempted(name):
            how(folder / name, *what, **said)
            if (folder / name).is_file():
                lines.append(f"{name:20}{shows}")

    if split.labels is not None and groups.classes is not None:
        classes = readable_names(_names_of_known(groups, task))
        names = ["none" if c < 0 else classes[c] for c in groups.classes]
    draw(
        "clusters.png",
        "what is in each cluster",
        cluster_grid,
        split.images,
        groups.soft[:, chosen],
        names=names,
        title=f"{title}: the most confident images of each cluster",
    )
    if split.labels is not None and groups.classes is not None:
        draw(
            "mistakes.png",
            "the most frequent mistakes",
            mistake_grid,
            split.images,
            split.labels,
            groups.classes[clusters[:, chosen]],
            names=classes,
            title=f"{title}: the most frequent mistakes",
        )
        counts, classes = summed_up(
            contingency(
                clusters[:, chosen],
                split.labels,
                num_clusters=k,
                num_classes=len(classes),
            ),
            classes,
        )
        order = np.argsort(np.where(groups.classes < 0, k, groups.classes))
        by_class, columns = summed_up(counts[order].T, [f"{i}" for i in order])
        draw(
            "confusion.png",
            "in which clusters each class is",
            number_table,
            by_class / np.maximum(by_class.sum(axis=1, keepdims=True), 1),
            rows=classes,
            columns=columns,
            across="cluster",
            title=f"{title}: where the images of each class are, in %",
        )
        draw(
            "histograms.png",
            "which classes each cluster has",
            label_histograms,
            counts,
            names=classes,
            title=f"{title}: classes in each cluster",
        )
    heads = [str(head) for head in range(clusters.shape[1])]
    if len(heads) > 1:
        draw(
            "agreement.png",
            "how far the sub-heads agree",
            number_table,
            agreement(clusters, num_clusters=k),
            rows=heads,
            columns=heads,
            across="sub-head",
            title=f"{title}: images on which two sub-heads agree, in %",
        )
    return lines


def summarise(groups: Groups, task: ClusterTask, options: Options) -> dict[str, Any]:
    """All numbers of an evaluation, plain, as ``summary.json`` has them."""
    health = groups.health
    labels = task.protocol.evaluate.labels
    recall = None
    if labels is not None and groups.classes is not None:
        table = contingency(
            groups.clusters[:, groups.chosen],
            labels,
            num_clusters=health.num_clusters,
            num_classes=int(labels.max()) + 1,
        )
        found = class_recall(table, groups.classes)
        recall = [None if np.isnan(share) else share for share in found.tolist()]

    def plain(values: np.ndarray | None) -> list | None:
        return None if values is None else values.tolist()

    return {
        "k": health.num_clusters,
        "chosen": groups.chosen,
        "chosen_by": groups.chosen_by,
        "information": health.information.tolist(),
        "bound": health.bound,
        "match": options.report.match,
        "errors": plain(groups.errors),
        "errors_batch_statistics": plain(groups.errors_batch_statistics),
        # on the images that clusters are mapped on, where these are others
        "mapping_errors": plain(groups.mapping_errors),
        # of each cluster of the chosen sub-head, or None where it has none
        "classes": class_of_clusters(groups, task),
        "scores": groups.scores
        and {name: values.tolist() for name, values in groups.scores.items()},
        "recall": recall,
        "class_names": None
        if labels is None
        else name_classes(labels, task.class_names),
        "images": len(groups.soft),
        "scored_on": _scored_on(task, options),
    }


def tell(groups: Groups, task: ClusterTask, options: Options) -> None:
    """Prints what came out, error by error.

    Args:
        groups: See ``assess``.
        task: Its protocol and class names are read.
        options: How the sub-head was chosen and clusters were matched.
    """
    health, chosen = groups.health, groups.chosen
    k = health.num_clusters
    kind = "Lowest-loss" if groups.chosen_by == BY_LOSS else "Chosen"
    named = f"{kind} sub-head: {chosen}"
    if groups.chosen_by == BY_GRAPH:
        named = "Groups of the neighbour graph"
    console.print(
        f"{named}, mutual information "
        f"{information_words(health.information[chosen], k)}, "
        f"{health.effective[chosen]:.1f} of {k} clusters in effect."
    )
    if groups.errors is not None:
        console.print(
            f"Errors after {options.report.match} matching of clusters and classes, on "
            f"all {len(groups.soft):,} images of {_scored_on(task, options)}:"
        )
    for line in sub_head_table(
        health.information,
        chosen=chosen,
        errors=groups.errors,
        chosen_by=groups.chosen_by,
    ):
        console.print(line)
    if groups.errors_batch_statistics is not None:
        listed = ", ".join(f"{e:.4f}" for e in groups.errors_batch_statistics)
        console.print(f"With the statistics of each batch  errors = {listed}")
    for line in mapping_error_words(groups.mapping_errors, chosen):
        console.print(line)
    if classes := class_of_clusters(groups, task):
        console.print(mapping_words(classes))
    if groups.scores is not None:
        console.print()
        for line in score_table(groups.scores, chosen=chosen):
            console.print(line)


def _save_model(trained: Trained) -> None:
    """Writes model.keras into the run folder, whole or not at all."""
    unfinished = trained.folder / ".unfinished.keras"
    with naming(trained.folder / "model.keras"):
        try:
            trained.model.save(unfinished)
            os.replace(unfinished, trained.folder / "model.keras")
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def _conclude(
    trained: Trained, summary: dict[str, Any], written: Sequence[str]
) -> None:
    """Writes summary.json and prints what is in the run folder.

    Args:
        trained: The run.
        summary: All numbers of the evaluation.
        written: One line per file: its name and what it shows.
    """
    summary |= {
        "steps": trained.step,
        "train_seconds": round(trained.seconds, 1),
        "seconds": {name: round(t, 1) for name, t in trained.watch.seconds.items()},
    }
    path = trained.folder / SUMMARY_FILE
    write_atomically(path, json.dumps(summary, indent=2) + "\n")
    console.print(f"\nTime:     {trained.watch}.")
    console.print(f"Trained for {clock(trained.seconds)}. Results in {trained.folder}:")
    for line in (
        "learning_curve.png  how it went",
        *written,
        "model.keras         the network",
    ):
        console.print(f"  {line}")


def hand_over(trained: Trained, task: ClusterTask, options: Options) -> Health:
    """Groups all evaluation images, and writes and prints what came out.

    Writes pictures, assignments.csv, model.keras and summary.json into the run folder.
    Labels only score and name what is in pictures, unless ``report.choose`` is label.

    Args:
        trained: The run.
        task: What it was trained on.
        options: Of the run.

    Returns:
        Health of the main sub-heads over the evaluation images.
    """
    split, folder = task.protocol.evaluate, trained.folder
    with trained.watch.time("results"), at_work("writing results"):
        _save_model(trained)
        if options.data.protocol == "holdout":
            _tell_if_unlike(trained.model, task, options)
        groups = assess(trained.model, task, options, lowest=trained.lowest)
        if worse := _worse_than_graph(groups, trained.prepared, task, options):
            groups = _groups_of_graph(trained, task, options)
        write_assignments(
            folder / "assignments.csv",
            groups.soft[:, groups.chosen],
            labels=class_of_each(task),
            paths=split.paths,
            classes=class_of_clusters(groups, task),
        )
        pictures = draw_groups(folder, groups, task, title=folder.name)
        if options.report.progression:
            followed = subset(split, progression.MAX_IMAGES)
            with attempted("progression.gif"):
                if progression.draw(
                    folder / "progression",
                    folder / "progression.gif",
                    followed.images,
                    labels=followed.labels,
                ):
                    says = "images on their way to clusters"
                    pictures.append(f"progression.gif     {says}")
    pictures.append("assignments.csv     cluster and confidence of every image")
    _conclude(trained, summarise(groups, task, options), pictures)
    if worse:
        console.print(worse)
    tell(groups, task, options)
    return groups.health


def _worse_than_graph(
    groups: Groups, found: Found | None, task: ClusterTask, options: Options
) -> str | None:
    """Why the groups found before training are handed over instead, if they are."""
    if found is None or task.protocol.evaluate is not task.protocol.train:
        return None
    k, clusters = options.k, groups.clusters[:, groups.chosen]
    knows, before = told(found.graph, clusters, k), found.groups.information
    used, before_used = (
        clusters_in_use(x, k) for x in (clusters, found.groups.clusters)
    )
    if knows >= WORSE_SHARE * before and used >= min(IN_USE_SHARE * k, before_used):
        return None
    return (
        f"After training the cluster of an image tells {knows:.2f} nats about those of "
        f"its neighbours, with {used} of {k} clusters in use; before it the groups of "
        f"the neighbour graph told {before:.2f}, with {before_used}. So the main "
        "sub-heads are fitted to these."
    )


def _groups_of_graph(trained: Trained, task: ClusterTask, options: Options) -> Groups:
    """Groups by main sub-heads fitted to those of the neighbour graph.

    Where the features of the network cannot tell even these, the graph's themselves.
    """
    clusters = trained.prepared.groups.clusters
    features = features_of(trained.model, task.images, task.views)
    heads = trained.model.main.num_heads
    trained.model.main.refit(features, np.repeat(clusters[:, None], heads, axis=1))
    _save_model(trained)
    groups = assess(trained.model, task, options, lowest=trained.lowest)
    if _worse_than_graph(groups, trained.prepared, task, options):
        return of_clusters(clusters, trained.prepared.graph, task, options)
    return groups


def of_clusters(
    clusters: np.ndarray, graph: Any, task: ClusterTask, options: Options
) -> Groups:
    """Scores groups that no network has made.

    Args:
        clusters: Group of each image, shape ``(n,)``.
        graph: Who is near whom, for what groups tell about neighbours.
        task: The images.
        options: ``k`` and ``report.match`` are read.
    """
    k, labels = options.k, task.protocol.evaluate.labels
    soft = typical(graph, clusters, k)[:, None]
    health = measure(graph_joint(graph, clusters, k)[None])
    if labels is None:
        return Groups(soft, health, 0, BY_GRAPH)
    scores = clustering_scores(clusters[:, None], labels, num_clusters=k)
    match = options.report.match
    classes = match_classes(clusters, labels, num_clusters=k, match=match)
    errors = 1 - scores[match]
    return Groups(soft, health, 0, BY_GRAPH, errors, None, scores, classes)


def draw_first_groups(folder: Path, found: Found, task: ClusterTask) -> Path | None:
    """Draws what is in the groups of the neighbour graph: first_groups.png.

    Args:
        folder: The run folder.
        found: What was found out about the images.
        task: The images.

    Returns:
        The picture, or None if it could not be drawn.
    """
    clusters = found.groups.clusters
    k = int(clusters.max()) + 1
    path = folder / "first_groups.png"
    with attempted(path.name):
        cluster_grid(
            path,
            task.images,
            typical(found.graph, clusters, k),
            names=None,
            title=f"{folder.name}: groups of the neighbour graph, before training",
        )
        return path
    return None


def typical(graph: Any, clusters: np.ndarray, k: int) -> np.ndarray:
    """How typical images are of groups: the share of their neighbours in each.

    Args:
        graph: Who is near whom.
        clusters: Group of each image, shape ``(n,)``.
        k: Groups.

    Returns:
        float32, shape ``(n, k)``; an image's own group is its largest entry.
    """
    member = np.eye(k, dtype=np.float32)[clusters]
    shares = graph @ member / graph.sum(axis=1)[:, None]
    # its own group counts as a whole neighbourhood: sums to one, and never a tie
    return ((shares + member) / 2).astype(np.float32)


def hand_over_graph(
    folder: Path, found: Found, task: ClusterTask, options: Options, *, seconds: float
) -> None:
    """Writes and prints the groups of the neighbour graph alone, without a network.

    Args:
        folder: Where assignments.csv, summary.json and the pictures go.
        found: Neighbours, graph and groups.
        task: The images.
        options: Of the run.
        seconds: What finding them took.
    """
    groups = of_clusters(found.groups.clusters, found.graph, task, options)
    write_assignments(
        folder / "assignments.csv",
        groups.soft[:, 0],
        labels=class_of_each(task),
        paths=task.protocol.evaluate.paths,
        classes=class_of_clusters(groups, task),
    )
    draw_groups(folder, groups, task, title=f"{folder.name}, neighbour graph")
    summary = summarise(groups, task, options) | {"seconds": {"groups": seconds}}
    write_atomically(folder / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")
    tell(groups, task, options)


# ------------------------------------------------------------------------ stored runs


def load_model(folder: Path, kind: type[Network]) -> Network:
    """The network of a finished run.

    Args:
        folder: The run.
        kind: What it must be.

    Raises:
        UserError: If there is none, or it cannot be read, or is something else.
    """
    path = folder / "model.keras"
    require(
        path.is_file(),
        f"the run {folder} has no model.keras; --resume {folder} finishes it",
        run=str(folder),
    )
    try:
        model = keras.models.load_model(path)
    except Exception as error:  # damage surfaces as any of a dozen kinds
        raise UserError(f"{path} cannot be read: {first_line(error)}") from None
    if not isinstance(model, kind):
        raise UserError(
            f"{path} must hold a network of iic_tf, {kind.__name__}. "
            f"Received: {type(model).__name__}"
        )
    heads, summary = model.main.num_heads, read_summary(folder)
    require(
        summary is None or summary["chosen"] < heads,
        f"{folder / SUMMARY_FILE} is of another network: {path.name} has {heads} main "
        "sub-heads",
        chosen=summary and summary["chosen"],
    )
    return model


def _settled(folder: Path, *, keep: bool) -> tuple[int, str] | None:
    """The sub-head that a run has chosen and why, if it is to be kept."""
    before = read_summary(folder) if keep else None
    if before is None:
        return None
    return before["chosen"], f"in the run, by {before['chosen_by']}"


def _tell_if_unlike(
    model: ClusterIIC | SegmentIIC, task: ClusterTask | MapTask, options: Options
) -> None:
    """Prints what helps where images are unlike those that a network was trained on.

    Args:
        model: The network.
        task: The images.
        options: ``data``, ``seed`` and ``report.adapt`` are read.
    """
    if options.report.adapt:
        console.print("Adapted:  batch normalisation, to what is grouped")
        return
    if task.num_evaluated < MIN_UNLIKE:
        return
    apart = unlikeness(model, task.evaluation_views(options))
    if apart > UNLIKE:
        console.print(
            f"Unlike:   {apart:.2f} standard deviations from what trained, in the "
            "features of the network (another place, light or camera?). If there are "
            "many, of all kinds, evaluate and predict with --report.adapt true adapt "
            "it to them."
        )


def evaluate(
    folder: Path, task: ClusterTask, options: Options, *, keep_choice: bool = True
) -> Path:
    """Applies the model of a finished run to images, its own or others.

    Args:
        folder: The run.
        task: The images.
        options: Of the run, over which go those of the evaluation.
        keep_choice: Whether the sub-head is the one that the run has chosen, so that
            its clusters keep their numbers.

    Returns:
        Folder with pictures, assignments.csv and summary.json, inside the run's.

    Raises:
        UserError: If there is no model or the images are not what it takes.
    """
    model = load_model(folder, ClusterIIC)
    seen = task.seen_shape
    require(
        tuple(model.backbone.input_shape[1:]) == seen,
        f"the model of {folder} takes views of shape "
        f"{tuple(model.backbone.input_shape[1:])}; images must lead to the same",
        shape=seen,
    )
    _tell_if_unlike(model, task, options)
    settled = _settled(folder, keep=keep_choice)
    groups = assess(model, task, options, settled=settled)
    place = make_run_folder(folder, name=None, prefix="evaluation")
    write_assignments(
        place / "assignments.csv",
        groups.soft[:, groups.chosen],
        labels=class_of_each(task),
        paths=task.protocol.evaluate.paths,
        classes=class_of_clusters(groups, task),
    )
    draw_groups(place, groups, task, title=folder.name)
    summary = summarise(groups, task, options)
    write_atomically(place / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")
    tell(groups, task, options)
    return place


def compare(folders: Sequence[Path], *, plot: Path) -> None:
    """Prints a table of runs and draws their courses into one figure.

    Args:
        folders: Runs.
        plot: PNG file to write.

    Raises:
        UserError: If a folder holds no run.
    """
    courses = {str(folder): read_history(folder) for folder in folders}
    width = max(len(str(folder)) for folder in folders) + 2
    console.print(
        f"{'run':{width}}{'graph':12}{'k':>4}{'steps':>9}{'minutes':>9}{'nats':>7}"
        f"{'chosen':>9}{'mean':>8}{'best':>8}{'worst':>8}  errors on",
        style="bold",
    )
    for folder in folders:
        stored = read_options(folder / OPTIONS_FILE)
        graph = (stored.get("graph") or {}).get("name") or "-"
        row = courses[str(folder)][-1]
        done = read_summary(folder) or row
        chosen = done["chosen"]
        nats = (done.get("information") or row["main_information"])[chosen]
        line = (
            f"{folder!s:{width}}{graph:12}{stored.get('k', '-'):4}"
            f"{row['step']:9,}{row['seconds'] / 60:9.1f}{nats:7.3f}"
        )
        if done.get("errors"):
            errors = np.array(done["errors"])
            line += (
                f"{errors[chosen]:9.4f}{errors.mean():8.4f}{errors.min():8.4f}"
                f"{errors.max():8.4f}  {done['scored_on']}"
            )
        else:
            line += f"{'':35}no labels"
        console.print(line)
    draw_comparison(courses, plot)
    console.print(f"Courses: {plot}")


def draw_map_pairs(task: MapTask, options: Options) -> Path:
    """Draws windows of pictures above what they are paired with at first.

    Args:
        task: Pictures and what is done to them.
        options: ``data``, ``out`` and ``seed`` are read.

    Returns:
        Path of the picture, in the folder ``out``.
    """
    cells = task.prepare(options)
    [(originals, copies, _, _)] = training_map_batches(
        task.images,
        task.views,
        repeats=options.data.repeats,
        batch=min(10, len(task.images)),
        seed=options.seed,
        start=0,
        steps=1,
        cells=cells,
    )
    about = " of a place that looks like their middle" if cells else ""
    path = Path(options.out) / f"pairs_{run_prefix(options)}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    pair_grid(
        path,
        [view.numpy() for view in (originals, *copies)],
        title=f"{options.data.recipe}: windows of pictures and copies{about}",
    )
    return path


def draw_pairs(task: ClusterTask, options: Options) -> Path:
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
    if number and len(images) > 1:
        neighbours = task.neighbours(number, seed=options.seed)
        share = "all" if task.neighbour_share == 1 else "half"
        title += f", {share} of them of a near neighbour"
    [views] = training_batches(
        images,
        task.views,
        repeats=options.data.repeats,
        batch=min(20, len(images)),
        seed=options.seed,
        start=0,
        steps=1,
        neighbours=neighbours,
        neighbour_share=task.neighbour_share,
    )
    path = Path(options.out) / f"pairs_{run_prefix(options)}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    pair_grid(path, [view.numpy() for view in views], title=title)
    return path


# ------------------------------------------------------------------------- label maps


@dataclass(frozen=True)
class PixelGroups:
    """What a model makes of the pixels of the evaluation pictures.

    Attributes:
        health: Of the main sub-heads, over some pairs.
        chosen: The sub-head that is handed over.
        chosen_by: Why that one, in words.
        counts: Pixels per sub-head, cluster and class, ``(h, k, classes)``; None
            without label maps, as all below.
        mappings: Class of each cluster of each sub-head, -1 for none, h × ``(k,)``.
        scores: ``one-to-one`` and ``many-to-one`` accuracy of pixels and ``mean IoU``,
            each of shape ``(h,)``.
        mapping_errors: Of every sub-head on the pictures that clusters are mapped on,
            shape ``(h,)``; None where these are the pictures evaluated.
    """

    health: Health
    chosen: int
    chosen_by: str
    counts: np.ndarray | None = None
    mappings: list[np.ndarray] | None = None
    scores: dict[str, np.ndarray] | None = None
    mapping_errors: np.ndarray | None = None


def assess_maps(
    model: SegmentIIC,
    task: MapTask,
    options: Options,
    *,
    settled: tuple[int, str] | None = None,
    lowest: int | None = None,
) -> PixelGroups:
    """Groups the pixels of all evaluation pictures and, with label maps, scores them.

    Args:
        model: The network; once its health is known it is adapted to the evaluation
            pictures where that is asked.
        task: Pictures and what is done to them.
        options: ``report`` is read.
        settled: The sub-head handed over and what chose it, where that is settled.
        lowest: The sub-head with the lowest loss in training; if None the one that
            knows most about some pairs.
    """
    health = task.health(model, options)
    by_loss = (health.best, BY_COPIES) if lowest is None else (lowest, BY_LOSS)
    scorer = task.scorer(model, options)
    known = None if scorer is None else scorer.mapped_on()
    if options.report.adapt:
        adapt(model, task.evaluation_views(options))
    if scorer is None:
        return PixelGroups(health, *(settled or by_loss))
    counts, others = scorer.scored(), known
    known = counts if known is None else known
    scores: dict[str, np.ndarray] = {
        match: np.array(
            [accuracy(*pair) for pair in zip(counts, map(find, known), strict=True)]
        )
        for match, find in MATCHES.items()
    }
    mappings = [MATCHES[options.report.match](table) for table in known]
    # of what clusters are mapped on: what is held out chooses nothing
    own = np.array([accuracy(*pair) for pair in zip(known, mappings, strict=True)])
    ious = [class_iou(*pair) for pair in zip(counts, mappings, strict=True)]
    scores["mean IoU"] = np.array([np.nanmean(iou) for iou in ious])
    if settled is None and options.report.choose == "label":
        settled = int(np.argmax(own)), BY_LABEL
    chosen, by = settled or by_loss
    mapping_errors = None if others is None else 1 - own
    return PixelGroups(health, chosen, by, counts, mappings, scores, mapping_errors)


def write_label_map(path: Path, labels: np.ndarray, number: int) -> None:
    """Writes a label map as a palette PNG whose values are clusters.

    Args:
        path: File to write; its folder is made.
        labels: uint8, shape ``(height, width)``; values that are no cluster are black.
        number: Clusters.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    palette = np.zeros((256, 3), np.uint8)
    palette[:number] = map_colours(number)
    picture = Image.fromarray(labels)
    picture.putpalette(palette.ravel().tolist())
    with naming(path):
        picture.save(path)


def write_overlay(
    path: Path, image: np.ndarray, labels: np.ndarray, number: int
) -> None:
    """Writes a picture with the colours of its clusters over it, as JPEG.

    Args:
        path: File to write; its folder is made.
        image: uint8, shape ``(height, width, channels)``.
        labels: Shape ``(height, width)``.
        number: Clusters.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mixed = as_rgb(image) * 0.5 + colour_map(labels, number) * 0.5
    with naming(path):
        Image.fromarray(mixed.round().astype(np.uint8)).save(path, quality=90)


def hand_over_maps(trained: Trained, task: MapTask, options: Options) -> Health:
    """Groups the pixels of all evaluation pictures; writes and prints what came out.

    Writes pictures, a label map for every evaluation picture, model.keras and
    summary.json into the run folder.

    Args:
        trained: The run.
        task: What it was trained on.
        options: Of the run.

    Returns:
        Health of the main sub-heads.
    """
    folder, model = trained.folder, trained.model
    with trained.watch.time("results"), at_work("writing results"):
        _save_model(trained)
        if options.data.protocol == "holdout":
            _tell_if_unlike(model, task, options)
        groups = assess_maps(model, task, options, lowest=trained.lowest)
        lines = draw_maps(folder, model, groups, task, options, title=folder.name)
    _conclude(trained, summarise_maps(groups, task, options), lines)
    tell_of_maps(groups, task, options)
    return groups.health


def summarise_maps(
    groups: PixelGroups, task: MapTask, options: Options
) -> dict[str, Any]:
    """All numbers of an evaluation, plain, as ``summary.json`` has them."""
    scores = groups.scores
    return {
        "chosen": groups.chosen,
        "chosen_by": groups.chosen_by,
        "information": groups.health.information.tolist(),
        "bound": groups.health.bound,
        "match": options.report.match,
        "errors": scores and (1 - scores[options.report.match]).tolist(),
        "scores": scores and {name: values.tolist() for name, values in scores.items()},
        # on the pictures that clusters are mapped on, where these are others
        "mapping_errors": None
        if groups.mapping_errors is None
        else groups.mapping_errors.tolist(),
        "IoU": _iou_of_chosen(groups, task),
        # of each cluster of the chosen sub-head, or None where it has none
        "classes": groups.mappings and _classes_of_chosen(groups, task),
        "images": task.num_evaluated,
        "scored_on": _scored_on(task, options),
    }


def evaluate_maps(
    folder: Path, task: MapTask, options: Options, *, keep_choice: bool = True
) -> Path:
    """Applies the model of a finished run to pictures, its own or others.

    Args:
        folder: The run.
        task: The pictures.
        options: Of the run, over which go those of the evaluation.
        keep_choice: Whether the sub-head is the one that the run has chosen, so that
            its clusters keep their numbers.

    Returns:
        Folder with label maps, overlays, pictures and summary.json, inside the run's.

    Raises:
        UserError: If there is no model or the pictures are not what it takes.
    """
    model = load_model(folder, SegmentIIC)
    channels = model.backbone.input_shape[-1]
    require(
        task.seen_shape[-1] == channels,
        f"the model of {folder} takes {channels} channels; pictures must have as many",
        channels=task.seen_shape[-1],
    )
    _tell_if_unlike(model, task, options)
    settled = _settled(folder, keep=keep_choice)
    groups = assess_maps(model, task, options, settled=settled)
    place = make_run_folder(folder, name=None, prefix="evaluation")
    draw_maps(place, model, groups, task, options, title=folder.name, overlays=True)
    summary = summarise_maps(groups, task, options)
    write_atomically(place / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")
    tell_of_maps(groups, task, options)
    return place


def _iou_of_chosen(groups: PixelGroups, task: MapTask) -> dict[str, float | None]:
    if groups.counts is None or groups.mappings is None:
        return {}
    iou = class_iou(groups.counts[groups.chosen], groups.mappings[groups.chosen])
    values = [None if np.isnan(value) else float(value) for value in iou]
    return dict(zip(_names_of_classes(task), values, strict=True))


def _names_of_classes(task: MapTask) -> Sequence[str]:
    return task.class_names or [str(i) for i in range(task.num_classes)]


def _classes_of_chosen(groups: PixelGroups, task: MapTask) -> list[str | None]:
    names = _names_of_classes(task)
    mapping = groups.mappings[groups.chosen] if groups.mappings else ()
    return [names[i] if i >= 0 else None for i in mapping]


def draw_maps(
    folder: Path,
    model: SegmentIIC,
    groups: PixelGroups,
    task: MapTask,
    options: Options,
    *,
    title: str,
    overlays: bool = False,
) -> list[str]:
    """Writes a label map for each evaluation picture and draws some of them.

    Label maps are as large as the files of the pictures, overlays as what is grouped.

    Args:
        folder: Where they go.
        model: The network.
        groups: See ``assess_maps``.
        task: The pictures.
        options: ``k`` is read.
        title: First words of every heading.
        overlays: Whether each picture is also written with its clusters over it.

    Returns:
        One line per file: its name and what it shows.
    """
    predict = task.predict(model, head=groups.chosen)
    pictures, k = task.evaluate, options.k
    last = task.num_evaluated - 1
    stems = written_stems(pictures.names)
    drawn = set(np.linspace(0, last, NUM_SHOWN).astype(int).tolist())
    shown = []
    found = clusters_of(predict, pictures.images, task.views.finish)
    for i, (clusters, stem) in enumerate(zip(found, stems, strict=True)):
        labels = clusters[..., 0]
        whole = to_size(labels, pictures.sizes[i])
        write_label_map(folder / "labels" / f"{stem}.png", whole, k)
        if overlays:
            path = folder / "overlays" / f"{stem}.jpg"
            write_overlay(path, pictures.images[i], labels, k)
        if i in drawn:
            shown.append((i, labels))
    classes = names = truth = None
    lines: list[str] = []
    if groups.counts is not None and groups.mappings is not None:
        classes = groups.mappings[groups.chosen]
        names = readable_names(_names_of_classes(task))
        truth = [pictures.labels[i] for i, _ in shown] if pictures.labels else None
        table, rows = summed_up(groups.counts[groups.chosen], names)
        by_class, columns = summed_up(table.T, [str(i) for i in range(k)])
        with attempted("confusion.png"):
            number_table(
                folder / "confusion.png",
                by_class / np.maximum(by_class.sum(axis=1, keepdims=True), 1),
                rows=rows,
                columns=columns,
                across="cluster",
                title=f"{title}: where the pixels of each class are, in %",
            )
            says = "in which clusters the pixels of a class are"
            lines.append(f"confusion.png       {says}")
    with attempted("maps.png"):
        map_rows(
            folder / "maps.png",
            [pictures.images[i] for i, _ in shown],
            [labels for _, labels in shown],
            num_clusters=k,
            classes=classes,
            truth=truth,
            names=names,
            title=f"{title}: clusters of pixels",
        )
        lines.append("maps.png            pictures and the clusters of their pixels")
    lines.append("labels/             the cluster of each pixel of every picture")
    return lines


def tell_of_maps(groups: PixelGroups, task: MapTask, options: Options) -> None:
    """Prints what came out, error by error.

    Args:
        groups: See ``assess_maps``.
        task: Says what was scored.
        options: ``k`` and ``report.match`` are read.
    """
    health, chosen = groups.health, groups.chosen
    kind = "Lowest-loss" if groups.chosen_by == BY_LOSS else "Chosen"
    named = f"{kind} sub-head: {chosen}"
    if groups.chosen_by == BY_GRAPH:
        named = "Groups of the neighbour graph"
    console.print(
        f"{named}, mutual information "
        f"{information_words(health.information[chosen], options.k)}, "
        f"{health.effective[chosen]:.1f} of {options.k} clusters in effect."
    )
    errors = None
    if groups.scores is not None:
        errors = 1 - groups.scores[options.report.match]
        console.print(
            f"Errors of pixels after {options.report.match} matching of clusters and "
            f"classes, on all {task.num_evaluated:,} pictures of "
            f"{_scored_on(task, options)}:"
        )
    for line in sub_head_table(
        health.information, chosen=chosen, errors=errors, chosen_by=groups.chosen_by
    ):
        console.print(line)
    for line in mapping_error_words(groups.mapping_errors, chosen):
        console.print(line)
    if groups.mappings:
        console.print(mapping_words(_classes_of_chosen(groups, task)))
    if groups.scores is not None:
        console.print()
        for line in score_table(groups.scores, chosen=chosen):
            console.print(line)
    if groups.counts is not None:
        pixels = groups.counts[chosen].sum(axis=0)
        shares = 100 * pixels / pixels.sum()
        ious = list(_iou_of_chosen(groups, task).items())
        most = np.sort(np.argsort(-shares, kind="stable")[:MOST_DRAWN])
        for i in most:
            name, value = ious[i]
            shown = "-     " if value is None else f"{value:.4f}"
            told = f"{escaped(name)}, {shares[i]:.0f} % of the pixels"
            console.print(f"IoU {shown}  {told}")
        if len(ious) > len(most):
            rest = len(ious) - len(most)
            console.print(f"IoU of {rest:,} rarer classes: summary.json")
