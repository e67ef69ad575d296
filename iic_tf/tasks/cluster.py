"""Clustering of whole images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from iic_tf.augment.pairs import (
    Passes,
    Views,
    evaluation_batches,
    own_views,
    training_batches,
)
from iic_tf.datasets.splits import Protocol, Split, evenly
from iic_tf.errors import require
from iic_tf.evaluation.health import clusters_in_use, measure
from iic_tf.evaluation.inference import (
    adapt,
    assignments_of,
    compile_predict,
    evaluate_pairs,
    features_of,
    keeps_statistics,
    soft_assignments,
    view_assignments,
)
from iic_tf.evaluation.metrics import class_recall, contingencies
from iic_tf.evaluation.results import BY_GRAPH, Choice, Results, Scorer
from iic_tf.models.frozen import require_channels, split_at_trunk
from iic_tf.models.networks import ClusterIIC
from iic_tf.neighbours.nearest import Kind, find_neighbours, memory_of_search
from iic_tf.neighbours.spectral import SpectralGroups, graph_joint, join, told, typical
from iic_tf.report import progression
from iic_tf.report.cluster_plots import draw_clusters
from iic_tf.report.console import attempted, console
from iic_tf.report.files import write_assignments
from iic_tf.report.plots import cluster_pairs
from iic_tf.report.results import (
    class_of_clusters,
    confidence_words,
    name_classes,
    summarise,
    summarise_confidence,
    tell,
)
from iic_tf.report.sketches import as_tiles
from iic_tf.report.views import draw_views
from iic_tf.resolved import RunOptions
from iic_tf.run_folder import ASSIGNMENTS_FILE
from iic_tf.tasks import iic
from iic_tf.tasks.calibrate import calibrate
from iic_tf.tasks.objectives import grouped_pair_losses, pair_losses
from iic_tf.tasks.regroup import Regrouped, regroup, sample_images
from iic_tf.training.embedding import cache_of, embed
from iic_tf.training.estimate import memory_of_run, network_size
from iic_tf.training.loop import Event
from iic_tf.training.stored import require_network, tell_if_unlike
from iic_tf.training.task import (
    Callbacks,
    Evaluation,
    Outcome,
    Plan,
    Run,
    TaskData,
)
from iic_tf.training.trainer import Objective
from iic_tf.tuned import BY_HEART, GRAPH_NEIGHBOURS, IN_USE_SHARE, WORSE_SHARE

EVALUATION_BATCH = 1000
"""Images predicted at a time."""

MAX_ADAPTED = 10_000
"""Statistics of images are taken from so many at most."""


def _tiles(examples: np.ndarray) -> np.ndarray:
    """Examples as uint8 images."""
    if examples.dtype == np.uint8:
        return examples
    return (255 * as_tiles(examples)).round().astype(np.uint8)


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
    """Images to be clustered.

    Attributes:
        protocol: Training and evaluation images.
        views: What is done to them.
        origin: Where they came from, as text.
        class_names: Names of the classes, or None.
        kind: By what images are compared where neighbours are looked for.
        mirrored: Whether mirror images count as alike.
        middle: Whether their middle counts most.
        neighbour_share: Share of the views that show a neighbour, if there are any.
        nearest: Neighbours of the training images, if they are known already.
        found: What was found out about the images before training, by ``prepare``.
    """

    protocol: Protocol
    views: Views
    origin: str
    class_names: tuple[str, ...] | None = None
    kind: Kind = "drawings"
    mirrored: bool = True
    middle: bool = False
    neighbour_share: float = 0.5
    nearest: np.ndarray | None = None
    found: Found | None = None

    @cached_property
    def data(self) -> TaskData:
        """What is trained on and evaluated."""
        return TaskData(
            origin=self.origin,
            examples=self.protocol.train.drawn,
            material=self.protocol.train.drawn,
            shape=self.seen_shape,
            scored_on=self.protocol.words,
            evaluated=len(self.protocol.evaluate.images),
            neighbour_share=self.neighbour_share,
            mapped_elsewhere=self.protocol.mapping is not None,
        )

    @property
    def images(self) -> np.ndarray:
        """Training images."""
        return self.protocol.train.images

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Height, width and channels that the network sees."""
        return self.views.seen_shape(self.protocol.evaluate.images.shape[1:])

    # ---------------------------------------------------------------- frozen backbones

    def embedded(self, trunk: keras.Model, cache: Path, *, keep: bool) -> "ClusterTask":
        """The same with the features of a frozen trunk in place of images.

        Args:
            trunk: See ``models.frozen``.
            cache: Folder where features are looked for.
            keep: Whether features that were not there are stored in it.
        """
        protocol = self.protocol
        known: dict[int, Split] = {}  # splits may be one and the same
        for split in (protocol.train, protocol.evaluate, protocol.mapping):
            if split is not None and id(split) not in known:
                features = embed(trunk, split.images, cache=cache, keep=keep)
                known[id(split)] = replace(
                    split, images=features, pictures=split.images
                )
        mapping = protocol.mapping and known[id(protocol.mapping)]
        train, evaluate = (known[id(x)] for x in (protocol.train, protocol.evaluate))
        return replace(
            self,
            protocol=replace(protocol, train=train, evaluate=evaluate, mapping=mapping),
        )

    def on_features(
        self, model: Any, options: RunOptions
    ) -> tuple["ClusterTask", ClusterIIC]:
        """Task and network as they were trained, if behind a frozen trunk.

        Args:
            model: The network of a stored run.
            options: ``out`` is read, where features of the images may be stored.
        """
        parts = split_at_trunk(model) if isinstance(model, ClusterIIC) else None
        if parts is None:
            return self, model
        trunk, network = parts
        require_channels(trunk, self.protocol.evaluate.images)
        return self.embedded(trunk, cache_of(options.out), keep=False), network

    # ---------------------------------------------------------------- before training

    def plan(self, options: RunOptions) -> Plan:
        """Passes and memory of a run; raises UserError if options and images clash.

        Passes of main sub-heads alone go over their images, others over all.
        """
        self.check(options)
        subsets = self._subsets(options)
        batch = options.data.batch
        sizes = [len(self.images) if s is None else len(s) for s in subsets]
        return Plan.of(options, sizes, self._memory, batch=batch)

    def check(self, options: RunOptions) -> None:
        """Raises UserError if options and images clash."""
        require(
            len(self.images) >= options.k,
            f"k must be at most the number of images, {len(self.images)}",
            k=options.k,
        )
        split, where = self.protocol.evaluate, ""
        if options.data.protocol == "holdout":  # what is held out chooses nothing
            split, where = self.protocol.train, " in the train split"
        known = self.protocol.mapping or split
        require(
            options.report.choose == "loss"
            or (known.labels is not None and self.protocol.evaluate.labels is not None),
            f"report.choose label needs images with labels{where}",
            choose=options.report.choose,
        )

    def _subsets(self, options: RunOptions) -> list[np.ndarray | None]:
        """Numbers of the images of each kind of pass, or None for all."""
        order = options.train.order
        return [self.protocol.main if heads == "main" else None for heads in order]

    def _memory(
        self, build_backbone: Callable[[], keras.Model], options: RunOptions, batch: int
    ) -> dict[str, int]:
        """Bytes that a run needs at least, see ``memory_of_run``."""
        network, features = network_size(build_backbone, self.seen_shape)
        return memory_of_run(
            options,
            network=network,
            shape=self.seen_shape,
            features=features,
            batch=batch,
            evaluated=len(self.protocol.evaluate.images),
            search=self._memory_of_search(options.data.neighbours),
        )

    def _memory_of_search(self, number: int) -> int:
        """Bytes that it takes to find so many neighbours of each image, at least."""
        asked = max(number, GRAPH_NEIGHBOURS)  # of which twice as many are found
        known = self.nearest is not None and 2 * asked <= self.nearest.shape[1]
        if not number or known:
            return 0
        return memory_of_search(
            len(self.images),
            self.images.shape[1:],
            kind=self.kind,
            mirrored=self.mirrored,
            neighbours=2 * asked,
        )

    def build(self, backbone: keras.Model, options: RunOptions) -> ClusterIIC:
        """The network of a run."""
        return ClusterIIC.create(backbone, **options.banks)

    def prepare(self, options: RunOptions) -> "ClusterTask":
        """The same with neighbours and the groups of their graph."""
        number = options.data.neighbours
        if not number:
            return self
        known: np.ndarray | None = None

        def find(number: int) -> np.ndarray:
            nonlocal known
            if known is None or number > known.shape[1]:
                # twice as many, for they are wanted if the graph falls apart
                known = self.neighbours(2 * number, seed=options.seed)
            return known[:, :number]

        found = join(
            find,
            at_least=max(number, GRAPH_NEIGHBOURS),
            k=options.k,
            k_aux=options.heads.k_aux,
            seed=options.seed,
            lamb=iic.grouping_lamb(options.train.lamb),
        )
        nearest, joined = found.nearest[:, :number], found.nearest.shape[1]
        return replace(self, found=Found(nearest, found.graph, found.groups, joined))

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
            middle=self.middle,
            seed=seed,
        )

    # ----------------------------------------------------------------------- training

    def _start(self, options: RunOptions, *, steps: int) -> int:
        """Steps at the beginning that learn the groups of the neighbour graph."""
        if not options.data.neighbours:
            return 0
        return iic.start_steps(options.train, steps=steps)

    def batches(
        self, options: RunOptions, passes: Passes, *, start: int
    ) -> tf.data.Dataset:
        """Training batches from a step on."""
        groups = nearest = None
        if self.found is not None:
            nearest = self.found.nearest
            if options.train.start:
                parts = self.found.groups.clusters, self.found.groups.overclusters
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
            subsets=self._subsets(options),
            shuffle=options.data.shuffle,
            neighbours=nearest,
            neighbour_share=self.neighbour_share,
            groups=groups,
        )

    def objective(self, options: RunOptions, passes: Passes) -> Objective:
        """Mutual information between views; at first the groups of the graph."""
        train, steps = options.train, len(passes.number)
        start, losses = self._start(options, steps=steps), pair_losses
        if options.data.neighbours and train.start:
            done = train.epochs or train.steps * options.data.batch / len(self.images)
            alone = train.start * done > BY_HEART
            losses = partial(grouped_pair_losses, augmented_alone=alone)
        return iic.objective(train, passes, losses, start=start)

    def callbacks(self, run: Run) -> Callbacks:
        """Regrouping, scores, what puts right, and plots that were asked for."""
        model, options, score = run.model, run.options, None
        number, described = self.data.scored_at_reports(options)
        if scorer := self.scorer(model, options, at_most=number):
            by_batch = None
            if options.report.double:
                by_batch = compile_predict(model, batch_statistics=True)
            score = iic.scoring(scorer, scored_on=described, batch_statistics=by_batch)
        return iic.callbacks(
            run,
            regroup=lambda: self.regroup(model, options),
            score=score,
            start=self._start(options, steps=run.steps),
            plots=self._plots(run),
        )

    def regroup(self, model: ClusterIIC, options: RunOptions) -> Regrouped:
        """Lets main sub-heads restart from what the network has found."""
        how: dict[str, Any] = {}
        if self.found is not None:
            how = {"graph": self.found.graph, "joined": self.found.joined}
        sample = sample_images(model, self.images, self.views, **how, seed=options.seed)
        lamb = iic.grouping_lamb(options.train.lamb)
        return regroup(model, sample, lamb=lamb, seed=options.seed)

    def _plots(self, run: Run) -> list[Event]:
        """Plots that are drawn on request while a run goes on."""
        every, display = run.options.report.progression, run.options.report.display
        if not (every or display):
            return []
        predict = compile_predict(run.model)
        followed = evenly(self.protocol.evaluate, progression.MAX_IMAGES)
        shown = evenly(followed, EVALUATION_BATCH)

        @run.watch.time("plots")
        def snapshot(step: int) -> None:
            soft = soft_assignments(predict, self._shown(followed.images))
            folder = run.folder / "progression"
            progression.store(folder, step, soft[:, run.history.chosen])

        @run.watch.time("plots")
        def show_clusters(step: int) -> None:
            originals, augmented = next(iter(self._shown(shown.images, pairs=True)))
            soft = predict(originals)["main"].numpy()[:, run.history.chosen]
            name = f"display/step_{step:06}.png"
            with attempted(name):
                (run.folder / "display").mkdir(exist_ok=True)
                cluster_pairs(
                    run.folder / name,
                    originals.numpy(),
                    augmented.numpy(),
                    soft,
                    labels=shown.labels,
                    title=f"{run.folder.name}: originals and augmented views of each "
                    f"cluster, step {step:,}",
                )

        events = []
        if every:
            if run.start == 0:
                snapshot(0)
            events.append(Event(every, snapshot, at_end=True))
        if display:
            often = display * run.steps_per_pass
            events.append(Event(often, show_clusters, at_end=True))
        return events

    # --------------------------------------------------------------------- evaluation

    def _shown(
        self, images: np.ndarray, *, batch: int = EVALUATION_BATCH, **how: Any
    ) -> tf.data.Dataset:
        """Evaluation batches of images."""
        return evaluation_batches(images, self.views, batch=batch, **how)

    def _batch(self, model: ClusterIIC, options: RunOptions) -> int:
        """Images predicted at a time.

        A network without running statistics predicts by those of the batch. As
        published it is then given as many images as a step has pairs.
        """
        if keeps_statistics(model):
            return EVALUATION_BATCH
        return options.data.batch * options.data.repeats

    def _evaluation_views(self, options: RunOptions) -> Iterator[tf.Tensor]:
        """Batches of views of some evaluation images, in random order."""
        images = self.protocol.evaluate.images
        order = np.random.default_rng(options.seed).permutation(len(images))
        for [views] in self._shown(images, numbers=order[:MAX_ADAPTED]):
            yield views

    def scorer(
        self, model: ClusterIIC, options: RunOptions, *, at_most: int | None = None
    ) -> Scorer | None:
        """Scores the evaluation images by the protocol; None without labels.

        Args:
            model: The network.
            options: ``k`` and ``report.match`` are read.
            at_most: Images scored at most, and mapped on at most; all if None.
        """
        split, mapping = self.protocol.evaluate, self.protocol.mapping
        if at_most is not None:
            split = evenly(split, at_most)
            mapping = mapping and evenly(mapping, at_most)
        if split.labels is None:
            return None

        def count(part: tuple, predict: Callable) -> np.ndarray:
            batches, labels = part
            clusters = soft_assignments(predict, batches).argmax(-1)
            return self._tables(clusters, labels, k=options.k)

        mapped_on, batch = None, self._batch(model, options)
        if mapping is not None and mapping.labels is not None:
            mapped_on = (self._shown(mapping.images, batch=batch), mapping.labels)
        return Scorer(
            count,
            compile_predict(model),
            (self._shown(split.images, batch=batch), split.labels),
            mapped_on,
            match=options.report.match,
        )

    def _num_classes(self) -> int:
        """Classes, of what is scored and of what clusters are mapped on."""
        both = (self.protocol.evaluate, self.protocol.mapping)
        known = [s.labels.max() for s in both if s is not None and s.labels is not None]
        return int(max(known)) + 1

    def evaluate(
        self,
        model: ClusterIIC,
        options: RunOptions,
        *,
        choice: Choice | None = None,
        lowest: int | None = None,
        trained: bool = False,
    ) -> Results:
        """Groups all evaluation images and, where they have labels, scores the groups.

        Args:
            model: The network; it is adapted to the evaluation images where that is
                asked.
            options: ``report`` and ``seed`` are read.
            choice: The chosen sub-head, if it is chosen already.
            lowest: The sub-head with the lowest loss in training; if None the one that
                has the most mutual information of augmented views.
            trained: Whether the run has just ended: if the groups of the neighbour
                graph are clearly better, the main sub-heads are fitted to them.
        """
        task, network = self.on_features(model, options)
        if task is not self:
            how: dict[str, Any] = {"choice": choice, "lowest": lowest}
            return task.evaluate(network, options, **how, trained=trained)
        self.check_takes(model)
        if not trained or options.data.protocol == "holdout":
            views = partial(self._evaluation_views, options)
            tell_if_unlike(model, views, self.data, options)
        results = self._evaluated(model, options).choosing(
            choice, lowest=lowest, by_label=options.report.choose == "label"
        )
        worse = self._worse_than_graph(results, options) if trained else None
        if worse:
            return replace(self._by_graph(model, options, lowest=lowest), mended=worse)
        if choice is None:
            results = self._calibrated(model, results, options)
        return self._with_confidence(model, results, options)

    def _calibrated(
        self, model: ClusterIIC, results: Results, options: RunOptions
    ) -> Results:
        """The same with what the other sub-heads tell of the chosen one."""
        calibration = calibrate(
            model,
            self.images,
            self.views,
            head=results.chosen,
            lamb=iic.grouping_lamb(options.train.lamb),
            seed=options.seed,
        )
        return replace(results, choice=results.choice._replace(calibration=calibration))

    def _with_confidence(
        self, model: ClusterIIC, results: Results, options: RunOptions
    ) -> Results:
        """The same with confidences, where the chosen sub-head is calibrated."""
        calibration, seen = results.choice.calibration, None
        if calibration is None or results.soft is None:
            return results
        if number := calibration.views:
            shown = own_views(
                self.protocol.evaluate.images,
                self.views,
                number=number,
                batch=EVALUATION_BATCH // number,
                seed=options.seed,
            )
            seen = view_assignments(compile_predict(model), shown)
        sure = calibration.confidence(results.soft, seen, head=results.chosen)
        return replace(results, confidence=sure)

    def _evaluated(self, model: ClusterIIC, options: RunOptions) -> Results:
        """Results without a choice, see ``evaluate``."""
        split = self.protocol.evaluate
        scorer = self.scorer(model, options)
        mapping = None if scorer is None else scorer.mapping_counts()
        if options.report.adapt:
            adapt(model, self._evaluation_views(options))
        batch = self._batch(model, options)
        pairs = self._shown(split.images, pairs=True, batch=batch, seed=options.seed)
        soft, joint = evaluate_pairs(compile_predict(model), pairs)
        counts = doubled = None
        if scorer is not None and split.labels is not None:
            counts = self._tables(soft.argmax(-1), split.labels, k=soft.shape[-1])
            if options.report.double:
                by_batch = compile_predict(model, batch_statistics=True)
                doubled = scorer.errors(by_batch)
        return Results(
            measure(joint),
            len(soft),
            match=options.report.match,
            counts=counts,
            mapping_counts=mapping,
            soft=soft,
            labels=split.labels,
            errors_batch_statistics=doubled,
        )

    def assignments(
        self, model: ClusterIIC, options: RunOptions, *, heads: Mapping[str, int]
    ) -> dict[str, np.ndarray]:
        """Soft assignments of the evaluation images, ``(n, clusters)`` by bank.

        Args:
            model: The network; it is adapted to the images where that is asked.
            options: ``report.adapt`` and ``seed`` are read.
            heads: Number of the sub-head by the name of its bank.
        """
        task, network = self.on_features(model, options)
        if task is not self:
            return task.assignments(network, options, heads=heads)
        self.check_takes(model)
        if options.report.adapt:
            adapt(model, self._evaluation_views(options))
        batches = self._shown(self.protocol.evaluate.images)
        return assignments_of(compile_predict(model), batches, heads=heads)

    def of_graph(self, options: RunOptions) -> Results:
        """The groups of the neighbour graph, which no network has made.

        Args:
            options: ``k`` and ``report.match`` are read.
        """
        if self.found is None:
            raise ValueError("the task is not prepared")
        k, labels = options.k, self.protocol.evaluate.labels
        clusters, graph = self.found.groups.clusters, self.found.graph
        counts = None
        if labels is not None:
            counts = self._tables(clusters[:, None], labels, k=k)
        return Results(
            measure(graph_joint(graph, clusters, k)[None]),
            len(clusters),
            match=options.report.match,
            choice=Choice(0, BY_GRAPH),
            counts=counts,
            soft=typical(graph, clusters, k)[:, None],
            labels=labels,
        )

    def draw_pairs(self, path: Path, options: RunOptions) -> None:
        """Draws twenty training images above what they are paired with at first.

        Args:
            path: PNG file to write.
            options: ``data`` and ``seed`` are read.
        """
        number, more = options.data.neighbours, ""
        how: dict[str, Any] = {}
        if number and len(self.images) > 1:
            how["neighbours"] = self.neighbours(number, seed=options.seed)
            how["neighbour_share"] = self.neighbour_share
            share = "all" if self.neighbour_share == 1 else "half"
            more = f", {share} of them showing a near neighbour"
        draw_views(path, self.images, self.views, options, more=more, **how)

    # ------------------------------------------------------------------------ results

    def _summarise(self, results: Results, scored_on: str) -> dict[str, Any]:
        """All numbers of an evaluation, plain, as ``summary.json`` has them."""
        labels, recall, names = self.protocol.evaluate.labels, None, None
        table, classes = results.table, results.classes
        if labels is not None and table is not None and classes is not None:
            names = name_classes(int(labels.max()) + 1, self.class_names)
            found = class_recall(table, classes)[: len(names)]
            recall = [None if np.isnan(share) else share for share in found.tolist()]
        summary = summarise(results, names=self.class_names, scored_on=scored_on)
        return summary | {"recall": recall, "class_names": names}

    def check_takes(self, model: Any) -> None:
        """Raises UserError if a model does not take these images."""
        require_network(model, ClusterIIC)
        takes = tuple(model.backbone.input_shape[1:])
        require(
            takes == self.seen_shape,
            f"the model expects views of shape {takes}; the images must match",
            shape=self.seen_shape,
        )

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
        split = self.protocol.evaluate
        if results.soft is None:
            raise ValueError("whole images have soft assignments")
        labels = None
        if split.labels is not None:
            names = name_classes(int(split.labels.max()) + 1, self.class_names)
            labels = [names[label] for label in split.labels]
        write_assignments(
            folder / ASSIGNMENTS_FILE,
            results.soft[:, results.chosen],
            confidence=results.sure,
            unsure=options.report.unsure,
            labels=labels,
            paths=split.paths,
            classes=class_of_clusters(results, self.class_names),
        )
        written = draw_clusters(
            folder,
            results,
            split.drawn,
            split.labels,
            names=self.class_names,
            title=evaluation.title,
            unsure=options.report.unsure,
            scored_on=evaluation.scored_on,
        )
        if options.report.progression:
            followed = evenly(split, progression.MAX_IMAGES)
            with attempted("progression.gif"):
                if progression.draw(
                    folder / "progression",
                    folder / "progression.gif",
                    _tiles(followed.drawn),
                    labels=followed.labels,
                ):
                    says = "how images move to their clusters"
                    written.append(f"progression.gif     {says}")
        written.append("assignments.csv     cluster and confidence of every image")

        def tell_all() -> None:
            if results.mended:
                console.print(results.mended)
            tell(results, names=self.class_names, scored_on=evaluation.scored_on)
            for line in confidence_words(results, options.report.unsure):
                console.print(line)

        summary = self._summarise(results, evaluation.scored_on)
        told = summarise_confidence(results, options.report.unsure)
        return Outcome(summary | told, written, tell_all)

    def _worse_than_graph(self, results: Results, options: RunOptions) -> str | None:
        """Why the clusters found before training are returned instead, if they are."""
        clusters = results.clusters
        if (
            self.found is None
            or clusters is None
            or self.protocol.evaluate is not self.protocol.train
        ):
            return None
        k, mine = options.k, clusters[:, results.chosen]
        lamb = iic.grouping_lamb(options.train.lamb)
        knows = told(self.found.graph, mine, k, lamb=lamb)
        before = self.found.groups.information
        used, before_used = (
            clusters_in_use(x, k) for x in (mine, self.found.groups.clusters)
        )
        if knows >= WORSE_SHARE * before and used >= min(IN_USE_SHARE * k, before_used):
            return None
        return (
            f"The clusters got worse in training: mutual information of neighbours "
            f"{knows:.2f} nats, {used} of {k} clusters in use; the clusters of the "
            f"neighbour graph had {before:.2f} nats and {before_used} in use. The main "
            "sub-heads are therefore fitted to those of the graph."
        )

    def _by_graph(
        self, model: ClusterIIC, options: RunOptions, *, lowest: int | None
    ) -> Results:
        """Results of main sub-heads fitted to the groups of the neighbour graph.

        Where the features of the network cannot tell even these, the graph's own.
        """
        if self.found is None:
            raise ValueError("the task is not prepared")
        clusters = self.found.groups.clusters
        features = features_of(model, self.images, self.views)
        heads = model.main.num_heads
        model.main.refit(features, np.repeat(clusters[:, None], heads, axis=1))
        results = self._evaluated(model, options).choosing(
            None, lowest=lowest, by_label=options.report.choose == "label"
        )
        if self._worse_than_graph(results, options):
            return self.of_graph(options)
        return results

    def _tables(
        self, clusters: np.ndarray, labels: np.ndarray, *, k: int
    ) -> np.ndarray:
        """Contingency tables ``(h, k, classes)`` of clusters ``(n, h)``."""
        return contingencies(
            clusters, labels, num_clusters=k, num_classes=self._num_classes()
        )
