"""Clustering: whole images are grouped. What a run of it needs of its images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from iic_tf import progression
from iic_tf.checkpoints import History
from iic_tf.console import Stopwatch, attempted
from iic_tf.estimate import memory_of_run, network_size
from iic_tf.inference import Scorer, compile_predict, soft_assignments
from iic_tf.loop import Event
from iic_tf.models import ClusterIIC
from iic_tf.neighbours import Kind, find_neighbours, memory_of_search
from iic_tf.options import Options, require
from iic_tf.pictures import cluster_pairs
from iic_tf.pipeline import Passes, Views, evaluation_batches, training_batches
from iic_tf.regroup import Regrouped, regroup
from iic_tf.spectral import SpectralGroups, join
from iic_tf.splits import Protocol, Split
from iic_tf.train import grouped_pair_losses, pair_losses
from iic_tf.tuned import BY_HEART, GRAPH_NEIGHBOURS, TRUSTED

EVALUATION_BATCH = 1000
"""Images predicted at a time."""

MAX_ADAPTED = 10_000
"""Statistics of images are taken from so many at most."""


def subset(split: Split, at_most: int) -> Split:
    """At most so many images, evenly spaced, without their paths."""
    index = np.linspace(0, len(split.images) - 1, min(at_most, len(split.images)))
    index = index.astype(np.int64)
    labels = None if split.labels is None else split.labels[index]
    return Split(split.images[index], labels)


class Found(NamedTuple):
    """What is found out about images before training.

    Attributes:
        nearest: Whom pairs are made with, shape ``(n, number)``.
        graph: Who is near whom, see ``spectral.neighbour_graph``.
        groups: Its groups.
        joined: Neighbours that each image is joined with in it.
    """

    nearest: np.ndarray
    graph: sparse.csr_array
    groups: SpectralGroups
    joined: int


@dataclass(frozen=True)
class ClusterTask:
    """Images to be grouped.

    Attributes:
        protocol: Training and evaluation images.
        views: What is done to them.
        origin: Where they came from, in words.
        class_names: Names of the classes, or None.
        kind: By what images are compared where neighbours are looked for.
        mirrored: Whether mirror images count as alike.
        neighbour_share: Share of the copies that show a neighbour, if there are any.
        usual_steps: Steps of a run where the user says neither steps nor passes.
        nearest: Neighbours of the training images, if they are known already.
    """

    protocol: Protocol
    views: Views
    origin: str
    class_names: tuple[str, ...] | None = None
    kind: Kind = "drawings"
    mirrored: bool = True
    neighbour_share: float = 0.5
    usual_steps: int = 1600
    nearest: np.ndarray | None = None

    num_reported = 10_000
    """Images scored at a report where the user does not say."""

    @property
    def seen_shape(self) -> tuple[int, int, int]:
        """Height, width and channels that the network sees."""
        return self.views.seen_shape(self.protocol.evaluate.images.shape[1:])

    @property
    def images(self) -> np.ndarray:
        """Training images."""
        return self.protocol.train.images

    @property
    def words(self) -> str:
        """Which images are scored."""
        return self.protocol.words

    @property
    def num_evaluated(self) -> int:
        """Images that are scored."""
        return len(self.protocol.evaluate.images)

    def check(self, options: Options) -> None:
        """Raises UserError if options and images clash."""
        require(
            len(self.images) >= options.k,
            f"k must not exceed the {len(self.images)} images",
            k=options.k,
        )
        split, where = self.protocol.evaluate, ""
        if options.data.protocol == "holdout":  # what is held out chooses nothing
            split, where = self.protocol.train, " on the split train"
        known = self.protocol.mapping or split
        require(
            options.report.choose == "loss"
            or (known.labels is not None and self.protocol.evaluate.labels is not None),
            f"report.choose label needs images with labels{where}",
            choose=options.report.choose,
        )

    def subsets(self, order: list[str]) -> list[np.ndarray | None]:
        """Numbers of the images of each kind of pass, or None for all.

        Passes of main sub-heads alone go over their images, others over all.
        """
        return [self.protocol.main if heads == "main" else None for heads in order]

    def pass_sizes(self, options: Options) -> list[int]:
        """Images that each kind of pass goes over."""
        subsets = self.subsets(options.train.order)
        return [len(self.images) if s is None else len(s) for s in subsets]

    def material(self, options: Options) -> np.ndarray:
        """The training images."""
        return self.images

    def make_model(self, backbone: keras.Model, options: Options) -> ClusterIIC:
        """The network of a run."""
        return ClusterIIC.create(backbone, **options.banks)

    def memory(
        self, build_backbone: Callable[[], keras.Model], options: Options, *, batch: int
    ) -> dict[str, int]:
        """Bytes that a run needs at least, see ``memory_of_run``."""
        network, features = network_size(build_backbone, self.seen_shape)
        return memory_of_run(
            options,
            network=network,
            shape=self.seen_shape,
            features=features,
            batch=batch,
            evaluated=self.num_evaluated,
            search=self._memory_of_search(options.data.neighbours or 0),
        )

    def _memory_of_search(self, number: int) -> int:
        """Bytes that it takes to find so many neighbours of each image, at least."""
        asked = max(number, GRAPH_NEIGHBOURS)
        known = self.nearest is not None and asked <= self.nearest.shape[1]
        if not number or known:
            return 0
        return memory_of_search(
            len(self.images),
            self.images.shape[1:],
            kind=self.kind,
            mirrored=self.mirrored,
            neighbours=asked,
        )

    def losses(self, options: Options) -> Callable[..., dict]:
        """Losses of a batch, for ``Trainer``."""
        if not self.starts_from_groups(options):
            return pair_losses
        train, n = options.train, len(self.images)
        passes = train.epochs or (train.steps or 0) * options.data.batch_for(n) / n
        alone = (train.start or 0) * passes > BY_HEART
        return partial(grouped_pair_losses, copies_alone=alone)

    def starts_from_groups(self, options: Options) -> bool:
        """Whether the groups of the neighbour graph are learned first."""
        return bool(options.data.neighbours and options.train.start)

    def prepare(self, options: Options) -> Found | None:
        """What is found out about the images before training: neighbours, groups."""
        number = options.data.neighbours
        if not number:
            return None
        found = join(
            lambda number: self.neighbours(number, seed=options.seed),
            at_least=max(number, GRAPH_NEIGHBOURS),
            k=options.k,
            k_aux=options.k_aux,
            seed=options.seed,
        )
        nearest = found.nearest[:, :number]
        return Found(nearest, found.graph, found.groups, found.nearest.shape[1])

    def neighbours(self, number: int, *, seed: int) -> np.ndarray:
        """So many images that look most like each, the nearest first.

        Args:
            number: How many; all others if there are no more.
            seed: Of the run.
        """
        if self.nearest is not None and number <= self.nearest.shape[1]:
            return self.nearest[:, :number]
        return find_neighbours(
            self.images,
            number=number,
            kind=self.kind,
            mirrored=self.mirrored,
            seed=seed,
        )

    def batches(
        self,
        options: Options,
        passes: Passes,
        *,
        start: int,
        prepared: Found | None,
    ) -> tf.data.Dataset:
        """Training batches from a step on."""
        groups = None
        if prepared is not None and self.starts_from_groups(options):
            parts = prepared.groups.clusters, prepared.groups.overclusters
            groups = np.stack(parts, axis=1).astype(np.int32)
        return training_batches(
            self.images,
            self.views,
            repeats=options.data.repeats,
            batch=passes.batch,
            seed=options.seed,
            start=start,
            steps=len(passes.number),
            passes=passes,
            subsets=self.subsets(options.train.order),
            shuffle=options.data.shuffle,
            neighbours=None if prepared is None else prepared.nearest,
            neighbour_share=self.neighbour_share,
            groups=groups,
        )

    def regroup(
        self, model: ClusterIIC, options: Options, *, prepared: Found | None
    ) -> Regrouped:
        """Lets main sub-heads start anew from what the network has found."""
        how: dict[str, Any] = {}
        if prepared is not None:
            tells = prepared.groups.information / np.log(options.k)
            how = {"graph": prepared.graph, "joined": prepared.joined}
            how["trusted"] = tells >= TRUSTED
        return regroup(model, self.images, self.views, **how, seed=options.seed)

    def evaluation_views(self, options: Options) -> Iterator[tf.Tensor]:
        """Batches of views of some evaluation images, in random order."""
        images = self.protocol.evaluate.images
        order = np.random.default_rng(options.seed).permutation(len(images))
        for [views] in evaluation_batches(
            images, self.views, numbers=order[:MAX_ADAPTED], batch=EVALUATION_BATCH
        ):
            yield views

    def predict(self, model: ClusterIIC, *, batch_statistics: bool = False) -> Callable:
        """Compiles inference, see ``inference.compile_predict``."""
        return compile_predict(model, batch_statistics=batch_statistics)

    def scorer(
        self, model: ClusterIIC, options: Options, *, at_most: int | None = None
    ) -> Scorer | None:
        """Scores the evaluation images by the protocol; None without labels.

        Args:
            model: The network.
            options: ``k`` and ``report.match`` are read.
            at_most: Images scored at most, and mapped on at most; all if None.
        """
        split, mapping = self.protocol.evaluate, self.protocol.mapping
        if at_most is not None:
            split, mapping = (
                subset(split, at_most),
                mapping and subset(mapping, at_most),
            )
        if split.labels is None:
            return None
        return Scorer(
            compile_predict(model),
            split.images,
            split.labels,
            mapping=mapping,
            make_batches=lambda images: evaluation_batches(
                images, self.views, batch=EVALUATION_BATCH
            ),
            num_clusters=options.k,
            match=options.report.match,
        )

    def events(
        self,
        options: Options,
        folder: Path,
        model: ClusterIIC,
        history: History,
        *,
        passes: Passes,
        start: int,
        watch: Stopwatch,
    ) -> list[Event]:
        """Pictures that are drawn on request while a run goes on."""
        every, display = options.report.progression, options.report.display
        if not (every or display):
            return []
        predict = compile_predict(model)
        followed = subset(self.protocol.evaluate, progression.MAX_IMAGES)
        shown = subset(followed, EVALUATION_BATCH)

        @watch.time("pictures")
        def snapshot(step: int) -> None:
            batches = evaluation_batches(
                followed.images, self.views, batch=EVALUATION_BATCH
            )
            soft = soft_assignments(predict, batches)[:, history.chosen]
            progression.store(folder / "progression", step, soft)

        @watch.time("pictures")
        def show_clusters(step: int) -> None:
            pairs = evaluation_batches(
                shown.images, self.views, pairs=True, batch=EVALUATION_BATCH
            )
            originals, copies = next(iter(pairs))
            soft = predict(originals)["main"].numpy()[:, history.chosen]
            name = f"display/step_{step:06}.png"
            with attempted(name):
                (folder / "display").mkdir(exist_ok=True)
                cluster_pairs(
                    folder / name,
                    originals.numpy(),
                    copies.numpy(),
                    soft,
                    labels=shown.labels,
                    title=f"{folder.name}: originals and copies of each cluster, "
                    f"step {step:,}",
                )

        found = []
        if every:
            if start == 0:
                snapshot(0)
            found.append(Event(every, snapshot, at_end=True))
        if display:
            per_pass = sum(passes.sizes) // len(passes.sizes) // passes.batch
            found.append(Event(display * per_pass, show_clusters, at_end=True))
        return found
