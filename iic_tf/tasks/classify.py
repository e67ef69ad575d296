"""Classification: a network learns the classes of labelled images, by cross-entropy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.augment.pairs import (
    Passes,
    Views,
    evaluation_batches,
    training_batches,
)
from iic_tf.datasets.splits import Protocol
from iic_tf.distribute import num_replicas, sum_over_replicas
from iic_tf.errors import require
from iic_tf.evaluation.health import measure
from iic_tf.evaluation.metrics import BY_CLASS, accuracy, class_recall, contingency
from iic_tf.evaluation.results import Choice, Results
from iic_tf.models.heads import Logits
from iic_tf.report.cluster_plots import draw_clusters
from iic_tf.report.console import console
from iic_tf.report.files import write_assignments
from iic_tf.report.results import name_classes, summarise
from iic_tf.report.sentences import class_table
from iic_tf.report.views import draw_views
from iic_tf.resolved import RunOptions
from iic_tf.run_folder import ASSIGNMENTS_FILE
from iic_tf.training.estimate import memory_of_run, network_size
from iic_tf.training.task import (
    Callbacks,
    Evaluation,
    Outcome,
    Plan,
    Row,
    Run,
    TaskData,
)
from iic_tf.training.trainer import Objective

EVALUATION_BATCH = 1000
"""Images predicted at a time."""

BY_TRAINING = "only head"


def compile_classes(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Compiles inference once, for batches of any size.

    Args:
        model: A classifier, which gives logits.

    Returns:
        Function of images ``(n, height, width, channels)`` to the logit of each class,
        ``(n, classes)``.
    """
    shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)

    @tf.function(input_signature=[shape], autograph=False)
    def predict(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    return predict


@dataclass(frozen=True)
class ClassifyTask:
    """Images whose classes are learned.

    Attributes:
        protocol: Training and evaluation images, both labelled unless a trained network
            is only applied to them.
        views: What is done to them.
        origin: Where they came from, as text.
        class_names: Names of the classes, or None.
    """

    protocol: Protocol
    views: Views
    origin: str
    class_names: tuple[str, ...] | None = None

    @cached_property
    def data(self) -> TaskData:
        """What is trained on and evaluated."""
        evaluated = len(self.protocol.evaluate.images)
        images, labels = self.protocol.train.images, self.protocol.train.labels
        return TaskData(
            origin=self.origin,
            examples=images,
            material=[images] if labels is None else [images, labels],
            shape=self.seen_shape,
            scored_on=self.protocol.words,
            evaluated=evaluated,
        )

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Height, width and channels that the network sees."""
        return self.views.seen_shape(self.protocol.evaluate.images.shape[1:])

    @property
    def _labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Classes of the training and of the evaluation images."""
        train, test = self.protocol.train.labels, self.protocol.evaluate.labels
        if train is None or test is None:
            raise ValueError("checked when the run is planned")
        return train, test

    @property
    def num_classes(self) -> int:
        """Classes that occur."""
        return 1 + int(max(labels.max() for labels in self._labels))

    # ---------------------------------------------------------------- before training

    def plan(self, options: RunOptions) -> Plan:
        """Passes and memory of a run; raises UserError if images have no classes."""
        for split in (self.protocol.train, self.protocol.evaluate):
            require(
                split.labels is not None,
                "the task classify needs labelled images in a train and a test split",
                labels=None,
            )
        number = len(self.protocol.train.images)
        batch = options.data.batch
        return Plan.of(options, [number], self._memory, batch=batch)

    def _memory(
        self, build_backbone: Callable[[], keras.Model], options: RunOptions, batch: int
    ) -> dict[str, int]:
        """Bytes that a run needs at least, see ``memory_of_run``."""
        network, features = network_size(build_backbone, self.seen_shape)
        k = self.num_classes
        return memory_of_run(
            # one head, with a logit for each class
            replace(options, k=k, heads=replace(options.heads, main=1, aux=0, k_aux=k)),
            network=network,
            shape=self.seen_shape,
            features=features,
            batch=batch,
            evaluated=self.data.evaluated,
        )

    def build(self, backbone: keras.Model, options: RunOptions) -> keras.Model:
        """The backbone with a layer of logits."""
        logits = self.logits(options.heads.start or "glorot_uniform")
        return keras.Model(backbone.input, logits(backbone.output), name="classifier")

    def logits(self, start: Any) -> Logits:
        """A layer of logits that knows the names of the classes.

        Args:
            start: Initialiser of its kernel.
        """
        k, names = self.num_classes, self.class_names
        known = names[:k] if names and len(names) >= k else None
        return Logits(k, class_names=known, kernel_initializer=start, name="logits")

    def prepare(self, options: RunOptions) -> "ClassifyTask":
        """The same: nothing is found out before training."""
        return self

    # ----------------------------------------------------------------------- training

    def batches(
        self, options: RunOptions, passes: Passes, *, start: int
    ) -> tf.data.Dataset:
        """Training batches from a step on: views, and the class of each."""
        return training_batches(
            self.protocol.train.images,
            self.views,
            repeats=options.data.repeats,
            batch=passes.batch,
            seed=options.seed,
            start=start,
            steps=len(passes.number),
            passes=passes,
            shuffle=options.data.shuffle,
            groups=self._labels[0].astype(np.int32),
        )

    def objective(self, options: RunOptions, passes: Passes) -> Objective:
        """Mean cross-entropy of the augmented views."""

        def loss(
            model: keras.Model, batch: tuple, scalars: Mapping[str, tf.Tensor]
        ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            (_, *augmented), classes = batch
            logits = model(tf.concat(augmented, axis=0), training=True)
            known = tf.concat(tf.unstack(classes, axis=1)[1:], axis=0)
            value = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(
                    known, logits, from_logits=True
                )
            )
            right = tf.argmax(logits, axis=-1, output_type=tf.int32) == known
            shares = tf.stack((value, tf.reduce_mean(tf.cast(right, tf.float32))))
            mean = sum_over_replicas(shares) / num_replicas()
            return value, {"loss": mean[0], "accuracy": mean[1]}

        return Objective((loss,))

    def callbacks(self, run: Run) -> Callbacks:
        """Reports of the loss, with scores."""
        number, words = self.data.scored_at_reports(run.options)
        some = np.linspace(0, self.data.evaluated - 1, number).astype(np.int64)
        predict = compile_classes(run.model)

        def score(row: Row) -> None:
            found = self._logits(predict, numbers=some).argmax(-1)
            row["errors"] = [float((found != self._labels[1][some]).mean())]
            row["scored_on"], row["match"] = words, BY_CLASS
            scored = [x["errors"][0] for x in (*run.history.rows, row)]
            row["words"].append(
                f"Error {scored[-1]:.4f}; best so far {min(scored):.4f}, average of "
                f"{len(scored)} {'report' if len(scored) == 1 else 'reports'} "
                f"{np.mean(scored):.4f} ({words})."
            )

        def report(sums: dict[str, np.ndarray], step: int) -> Row:
            loss, right = (float(sums[x] / sums["steps"]) for x in ("loss", "accuracy"))
            sentence = (
                f"Cross-entropy {loss:.4f}, accuracy on views {100 * right:.1f} %."
            )
            row = {"loss": loss, "accuracy": right, "chosen": 0, "remarks": []}
            return row | {"words": [sentence]}

        return Callbacks(report, [score])

    # --------------------------------------------------------------------- evaluation

    def _logits(
        self, predict: Callable, *, numbers: np.ndarray | None = None
    ) -> np.ndarray:
        """Logit of each class for evaluation images, ``(n, classes)``."""
        batches = evaluation_batches(
            self.protocol.evaluate.images,
            self.views,
            numbers=numbers,
            batch=EVALUATION_BATCH,
        )
        return np.concatenate([predict(shown).numpy() for [shown] in batches])

    def evaluate(
        self,
        model: keras.Model,
        options: RunOptions,
        *,
        choice: Choice | None = None,
        lowest: int | None = None,
        trained: bool = False,
    ) -> Results:
        """Classifies all evaluation images.

        Args:
            model: The network.
            options: Of the run.
            choice: Of no use to one head, as all below.
            lowest: See ``choice``.
            trained: See ``choice``.
        """
        require(
            tuple(model.input_shape[1:]) == self.seen_shape,
            f"the model expects views of shape {tuple(model.input_shape[1:])}; the "
            "images must match",
            shape=self.seen_shape,
        )
        labels = self._labels_of(model)
        logits, k = self._logits(compile_classes(model)), model.output_shape[-1]
        soft = tf.nn.softmax(logits).numpy()
        found = soft.argmax(-1)
        table = None
        if labels is not None:
            table = contingency(found, labels, num_clusters=k, num_classes=k)
        counts = np.bincount(found, minlength=k)
        return Results(
            measure((np.diag(counts) if table is None else table)[None]),
            len(soft),
            match=BY_CLASS,
            choice=Choice(0, BY_TRAINING),
            counts=None if table is None else table[None],
            soft=soft[:, None],
        )

    def _labels_of(self, model: keras.Model) -> np.ndarray | None:
        """Class of each evaluation image as a network numbers classes, or None.

        Raises:
            UserError: If an image is of a class that the network does not know.
        """
        labels, mine = self.protocol.evaluate.labels, self.class_names
        known, k = _class_names_in(model), model.output_shape[-1]
        if labels is None:
            return None
        if mine and known:
            occurring = [mine[i] for i in np.unique(labels)]
            require(
                set(occurring) <= set(known),
                f"the images must be of the classes that the network knows, "
                f"{', '.join(known[:20])}{', …' * (len(known) > 20)}",
                classes=occurring[:20],
            )
            numbers = {name: number for number, name in enumerate(known)}
            labels = np.array([numbers.get(name, -1) for name in mine])[labels]
        require(
            int(labels.max()) < k,
            f"the images must be of the {k} classes that the network knows",
            highest=int(labels.max()),
        )
        return labels

    def _names(self, model: keras.Model) -> list[str]:
        """A name for each class of a network."""
        k = model.output_shape[-1]
        return name_classes(k, _class_names_in(model) or self.class_names)[:k]

    # ------------------------------------------------------------------------ results

    def draw_pairs(self, path: Path, options: RunOptions) -> None:
        """Draws twenty training images above their augmented views."""
        draw_views(path, self.protocol.train.images, self.views, options)

    def write(
        self,
        folder: Path,
        results: Results,
        options: RunOptions,
        *,
        evaluation: Evaluation,
    ) -> Outcome:
        """Writes assignments and plots of results.

        Args:
            folder: Where they go.
            results: Of all evaluation images.
            options: Of the run.
            evaluation: What they are of.
        """
        split, table = self.protocol.evaluate, results.table
        if results.soft is None:
            raise ValueError("whole images have soft assignments")
        names = self._names(evaluation.model)
        labels = self._labels_of(evaluation.model)
        write_assignments(
            folder / ASSIGNMENTS_FILE,
            results.soft[:, 0],
            labels=None if labels is None else [names[label] for label in labels],
            paths=split.paths,
            classes=names,
        )
        written = draw_clusters(
            folder, results, split.images, labels, names=names, title=evaluation.title
        )
        written.append("assignments.csv     class and confidence of every image")
        recall = None if table is None else class_recall(table, np.arange(len(table)))
        images = np.bincount(results.soft[:, 0].argmax(-1), minlength=len(names))
        scored_on = evaluation.scored_on

        def tell() -> None:
            of_all = f"all {results.number:,} images of {scored_on}:"
            if table is None:
                console.print(f"Classes of {of_all}")
            else:
                error = 1 - accuracy(table, np.arange(len(table)))
                console.print(f"Error on {of_all}")
                console.print(f"error = {error:.4f}  accuracy = {1 - error:.4f}")
            heading, *lines = class_table(
                names, images if table is None else table.sum(axis=0), recall
            )
            console.print(heading, style="bold")
            for line in lines:
                console.print(line)

        summary = summarise(results, names=names, scored_on=scored_on)
        shares = None if recall is None else recall.tolist()
        told = shares and [None if np.isnan(share) else share for share in shares]
        return Outcome(summary | {"recall": told, "class_names": names}, written, tell)


def _class_names_in(model: keras.Model) -> tuple[str, ...] | None:
    """Names of the classes that a network was told when it was made, or None."""
    return getattr(model.get_layer("logits"), "class_names", None)
