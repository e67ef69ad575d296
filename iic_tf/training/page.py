"""The report of a stored run: from its network and images to one page."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from iic_tf.augment.pairs import evaluation_batches
from iic_tf.errors import UserError
from iic_tf.evaluation.inference import features_of, overclusters
from iic_tf.evaluation.metrics import agreement, contingency, match_one_to_one
from iic_tf.evaluation.naming import candidates, typical
from iic_tf.evaluation.results import Results
from iic_tf.evaluation.segment_inference import clusters_of
from iic_tf.names import csv_text, escaped
from iic_tf.neighbours.grouping import merge_tree
from iic_tf.neighbours.nearest import PART, Kind, describe
from iic_tf.neighbours.unusual import (
    SAME,
    Near,
    far_out,
    near_duplicates,
    nearest_others,
    remoteness,
)
from iic_tf.report.console import at_work, console, counted
from iic_tf.report.naming import image_name
from iic_tf.report.page import (
    DUPLICATES_FILE,
    OUTLIERS_FILE,
    PAGE_FILE,
    Cluster,
    Map,
    MergeTree,
    Overlay,
    Page,
    Pair,
    Row,
    Shown,
    Table,
    Unusual,
    render,
)
from iic_tf.report.page_plots import (
    charts,
    cut_tree,
    lay_out_map,
    lay_out_tree,
    map_labels,
    reliability_chart,
)
from iic_tf.report.page_words import (
    DEAD_SHARE,
    Facts,
    advice,
    alike,
    count,
    information_sentence,
    percent,
    score_sentences,
    sentences,
)
from iic_tf.report.plots import as_rgb, colour_map
from iic_tf.report.results import (
    classes_in_words,
    name_classes,
    unsure_of,
)
from iic_tf.report.sketches import looks
from iic_tf.report.thumbnails import sprite, sprite_columns, thumbnail
from iic_tf.resolved import RunOptions
from iic_tf.run_folder import (
    OPTIONS_FILE,
    finished_together,
    read_history,
    read_manifest,
    read_summary,
)
from iic_tf.training.stored import chosen_heads, kept_choice, load_model

SEED = 0
"""Of whatever is drawn at random."""

MOST_PAIRED = 20_000
"""Images whose overclusters and augmented views tell how overclusters join."""

MOST_LOOKED_AT = 70_000
"""Images among which near-duplicates and outliers are looked for."""

MOST_FITTED = 5_000
"""Images from which the directions of the features are taken."""

COMPONENTS, MAPPED_COMPONENTS = 64, 50
"""Components of the features for neighbours and for the map."""

NEIGHBOURS = 10
"""An image is as far out as these are away, on average."""

MOST_MAPPED, LEAST_MAPPED = 2_000, 10
"""Images on the map; with fewer than the latter there is none."""

MOST_SHOWN, SHOWN = 1_500, 10
"""Images in the galleries of all clusters, and in a row of a cluster at most."""

BORDERLINE = 0.9
"""Images whose lead over the runner-up is smaller are shown as borderline."""

MOST_GALLERIES = 250
"""Of more clusters only the largest have a gallery."""

LEAST_PAIRS, PAIRS_SHOWN = 6, 24
"""Near-duplicates and outliers on the page; the files have more."""

OUTLIER_SHARE = 0.01
"""Share of the images in the file of outliers, unless more are far out; at least
``NEIGHBOURS``."""

MOST_TREE = 400
"""Of more overclusters there is no tree."""

PIXELATED = 32
"""Images of at most so many pixels are enlarged with hard edges."""

SIDE, MAP_SIDE, LEAF_SIDE, OVERLAY_SIDE = 96, 40, 28, 300
"""Longest side of images in galleries, on the map, in the tree and of segmentations."""

LEAF_SHOWN = 3
"""Images of a leaf of the tree."""

OVERLAYS, CUTOUTS = 8, 4
"""Images of a segmentation that are shown, and images for each of its clusters."""

MOST_KEPT = 500
"""Images of a segmentation among which those of a cluster are found."""


@dataclass(frozen=True)
class Told:
    """What whoever starts a report knows and the engine does not.

    Attributes:
        images: Which images these are.
        repeat: Command that repeats the run.
        naming: Command that reads ``names.json``.
    """

    images: str
    repeat: str
    naming: str


def report_run(folder: Path, task: Any, options: RunOptions, told: Told) -> Path:
    """Writes the report of a run into its folder.

    Args:
        folder: The run, finished.
        task: A ``ClusterTask`` or a ``SegmentTask`` with its images.
        options: Of the run.
        told: See ``Told``.

    Returns:
        The page.

    Raises:
        UserError: If there is no network, or it does not take the images.
    """
    model = load_model(folder)
    read_history(folder)
    choice = kept_choice(folder)
    console.print("Report:   evaluating all images")
    with at_work("evaluating all images"):
        results = task.evaluate(model, options, choice=choice)
    whole = results.soft is not None
    if whole:
        page, files = _Whole(folder, task, options, told, model, results).page()
    else:
        page, files = _segments(folder, task, options, told, results, model), {}
    listed = [
        (name, holds)
        for name, holds in _FILES.items()
        if name in files or (folder / name).exists()
    ]
    page = replace(page, files=listed)
    with at_work("writing the page"), finished_together(folder) as place:
        text = render(page)
        (place / PAGE_FILE).write_text(text, encoding="utf-8")
        for name, rows in files.items():
            (place / name).write_bytes(
                csv_text(rows).encode("utf-8", "surrogateescape")
            )
    return folder / PAGE_FILE


# -------------------------------------------------------------------------- all pages


def _common(
    folder: Path, task: Any, options: RunOptions, told: Told, results: Results
) -> dict[str, Any]:
    """What pages of all tasks have."""
    manifest, summary = read_manifest(folder), read_summary(folder) or {}
    rows = read_history(folder)
    seconds = summary.get("train_seconds", rows[-1]["seconds"])
    steps = summary.get("steps", rows[-1]["step"])
    try:
        version = metadata.version("iic_tf")
    except metadata.PackageNotFoundError:
        version = "not installed"
    stored = (folder / OPTIONS_FILE).read_text("utf-8", "replace")
    scored = results.scores is not None
    by_label = results.choice.by.endswith("using labels")
    labels_note = "Labels were not used." if not scored else (
        "Labels score, and chose the sub-head; nothing else above depends on them."
        if by_label
        else "Labels only score: no cluster, choice or plot above depends on them."
    )  # fmt: skip
    versions = ", ".join(
        f"{name} {manifest[key]}"
        for name, key in (
            ("Python", "python"),
            ("TensorFlow", "tensorflow"),
            ("Keras", "keras"),
            ("NumPy", "numpy"),
        )
        if key in manifest
    )
    scores: list[tuple[str, Sequence[float]]] = []
    if results.scores is not None:
        scores = [
            (name, (v[results.chosen], v.mean(), v.max(), v.min()))
            for name, v in results.scores.items()
        ]
    confusion = None
    if results.table is not None:
        known = name_classes(results.table.shape[1], task.class_names)
        confusion = Table.of_classes(results.table, known, unit=results.unit)
    chosen = f"sub-head {results.chosen} of {len(results.health.information)}"
    return {
        "title": folder.resolve().name,
        "unit": results.unit,
        "charts": charts(rows),
        "about": [
            ("Images", told.images),
            ("Evaluated", f"{results.number:,} of {task.data.scored_on}"),
            ("Trained for", f"{steps:,} steps, {seconds / 60:.1f} minutes"),
            ("Clusters of", f"{chosen} ({results.choice.by})"),
            ("Backbone", str(options.graph.name)),
            ("Versions", f"iic_tf {version}, {versions}"),
            ("Data fingerprint", manifest["data_fingerprint"]),
        ],
        "options": stored,
        "files": (),
        "repeat": told.repeat,
        "key": f"{folder.resolve().name}-{manifest['data_fingerprint']}",
        "labels_note": labels_note,
        "scores": scores,
        "scored": f"Clusters and classes are matched {results.match}, on "
        f"{task.data.scored_on}.",
        "confusion": confusion,
    }


_FILES = {
    "assignments.csv": "cluster, confidence and runner-up of every image",
    "labels": "the segmentation of every image",
    OUTLIERS_FILE: "the images that are farthest from all others",
    DUPLICATES_FILE: "pairs of near-duplicates",
    "clusters.png": "the most confident images of each cluster",
    "maps.png": "some images and their segmentation",
    "reliability.png": "accuracy against confidence",
    "learning_curve.png": "the learning curves as an image",
    "first_groups.png": "clusters of the neighbour graph, before training",
    "model.keras": "the network",
    "summary.json": "all scores",
    "history.jsonl": "one line of numbers per report",
    "options.yaml": "the options",
    "manifest.json": "versions, and a fingerprint of the data",
}


def _share_tile(results: Results) -> list[tuple[str, str]]:
    """Tiles that pages of all tasks have."""
    health, head = results.health, results.chosen
    share = float(health.information[head]) / health.bound
    tiles = [(percent(share), f"of ln {health.num_clusters}: mutual information")]
    if results.errors is not None:
        error = float(results.errors[head])
        tiles.append((percent(error), f"of {results.unit} wrong by the labels"))
    return tiles


# ------------------------------------------------------------------- whole images


@dataclass(frozen=True)
class _Whole:
    """The report of a run that clusters whole images, in the making."""

    folder: Path
    task: Any
    options: RunOptions
    told: Told
    model: Any
    results: Results

    @property
    def _soft(self) -> np.ndarray:
        if self.results.soft is None:
            raise ValueError("whole images have soft assignments")
        return self.results.soft[:, self.results.chosen]

    @property
    def _confidence(self) -> np.ndarray:
        if self.results.sure is None:
            raise ValueError("whole images have confidences")
        return self.results.sure

    def page(self) -> tuple[Page, dict[str, list]]:
        """The page, and rows of the tables beside it by their file's name."""
        images = self.task.protocol.evaluate.images
        soft, k = self._soft, self.results.health.num_clusters
        sizes = np.bincount(soft.argmax(axis=1), minlength=k)
        looked_at = np.linspace(
            0, len(images) - 1, min(len(images), MOST_LOOKED_AT)
        ).astype(np.int64)
        tree, points = self._features(looked_at)
        unusual, files, duplicates, outliers = self._unusual(looked_at, points)
        facts = self._facts(duplicates, outliers, len(looked_at))
        common = _common(self.folder, self.task, self.options, self.told, self.results)
        mean = float(self._confidence.mean())
        tiles = [
            (f"{len(soft):,}", "images"),
            (f"{int((sizes >= DEAD_SHARE * len(soft) / k).sum())} of {k}",
             "clusters in use"),
            _share_tile(self.results)[0],
            (_sure(mean), "mean confidence"),
        ]  # fmt: skip
        if facts.agreement is not None:
            tiles.append((percent(facts.agreement[0]), "agreement of sub-heads"))
        tiles += _share_tile(self.results)[1:]
        kind = "images" if images.ndim == 4 else "examples"
        found = self.results.reliability
        page = Page(
            heading=f"{len(soft):,} {kind} in {k} clusters, from {self.told.images}",
            tiles=tiles,
            summary=sentences(facts),
            advice=advice(facts),
            clusters=self._clusters(looked_at, points),
            clusters_text=self._clusters_text(k),
            unsure=self._unsure(),
            reliability=found and reliability_chart(found),
            naming=self.told.naming,
            names=_names_before(self.folder),
            map=self._map(looked_at, points),
            tree=tree,
            unusual=unusual,
            pixelated=images.ndim == 4 and min(images.shape[1:3]) <= PIXELATED,
            **common,
        )
        return page, files

    # ---------------------------------------------------------------------- features

    def _features(self, numbers: np.ndarray) -> tuple[MergeTree | None, np.ndarray]:
        """How overclusters join, and components of the features of some images."""
        images, views = self.task.protocol.evaluate.images, self.task.views
        at = np.linspace(0, len(numbers) - 1, min(len(numbers), MOST_PAIRED))
        paired = numbers[at.astype(np.int64)]
        with at_work("finding how overclusters join"):
            batches = evaluation_batches(
                images, views, numbers=paired, pairs=True, batch=1000, seed=SEED
            )
            features, own, augmented = overclusters(self.model, batches)
            tree = self._tree(paired, own, augmented)
        fitted = PCA(
            min(COMPONENTS, *features[:MOST_FITTED].shape),
            svd_solver="randomized",
            random_state=SEED,
        ).fit(features[:: max(len(features) // MOST_FITTED, 1)][:MOST_FITTED])
        if len(paired) == len(numbers):
            return tree, fitted.transform(features).astype(np.float32)
        del features
        parts = []
        with counted("features of the images") as update:
            for some in np.array_split(numbers, -(-len(numbers) // 5000)):
                found = features_of(self.model, images, views, numbers=some)
                parts.append(fitted.transform(found).astype(np.float32))
                update(sum(map(len, parts)), len(numbers))
        return tree, np.concatenate(parts)

    def _tree(
        self, numbers: np.ndarray, own: np.ndarray, augmented: np.ndarray | None
    ) -> MergeTree | None:
        """How the overclusters of the best auxiliary sub-head join.

        Args:
            numbers: Of some images.
            own: Their overclusters, shape ``(m, h)``; their clusters where there is no
                auxiliary bank.
            augmented: The same of their augmented views.
        """
        if augmented is None:
            return None
        aux = self.model.aux is not None
        heads = chosen_heads(self.folder, self.model)
        head = heads.get("aux", 0) if aux else heads["main"]
        mine, other = own[:, head], augmented[:, head]
        number = int(max(mine.max(), other.max())) + 1
        joint = contingency(mine, other, num_clusters=number, num_classes=number)
        filled = np.unique(mine)
        if not 2 < len(filled) <= MOST_TREE:
            return None
        joint = joint[filled][:, filled]
        k = self.results.health.num_clusters
        clusters = self._soft[numbers].argmax(axis=1)
        place = np.full(number, -1)
        place[filled] = np.arange(len(filled))
        mine = place[mine]
        table = contingency(mine, clusters, num_clusters=len(filled), num_classes=k)
        whole, merges = merge_tree(joint)
        tree = lay_out_tree(whole, merges, k=k)
        groups = cut_tree(merges, k)[mine]
        told = contingency(groups, clusters, num_clusters=k, num_classes=k)
        kind = "overclusters" if aux else "clusters"
        text = [
            f"{len(filled)} {kind} of {'auxiliary ' * aux}sub-head {head}, which "
            f"tell {whole:.2f} nats about an image and its augmented view. At each "
            "step the two join whose merger loses the least information; what joins "
            "late differs most. Branches have the colour of the cluster that nearly "
            "all of their images are in, and are grey where they join several."
        ]
        if aux and k < len(filled):
            share = _matched_share(told)
            text.append(
                f"Cut where {k} branches are left (dashed), the tree puts "
                f"{percent(share)} of the images into the same groups as the clusters "
                "of this report do."
            )
        shown = []
        confidence = self._confidence[numbers]
        for leaf in tree.leaves:
            inside = np.flatnonzero(np.isin(mine, leaf.members))
            best = inside[np.argsort(-confidence[inside], kind="stable")]
            # some of the surer half
            some = dict.fromkeys(
                best[i] for i in _evenly(-(-len(best) // 2), LEAF_SHOWN)
            )
            shown.append([self._show(int(numbers[i]), side=LEAF_SIDE) for i in some])
        return MergeTree(tree, table, shown, text, kind)

    # ------------------------------------------------------------------ single images

    def _name(self, i: int) -> str:
        return image_name(i, self.task.protocol.evaluate.paths)

    def _called(self, i: int) -> str:
        name = self._name(i)
        return escaped(name) if self.task.protocol.evaluate.paths else f"image {name}"

    def _look(self) -> Callable[[int], np.ndarray]:
        return looks(self.task.protocol.evaluate.images)

    def _show(self, i: int, *, note: str = "", side: int = SIDE) -> Shown:
        cluster = int(self._soft[i].argmax())
        sure = f"confidence {self._confidence[i]:.2f}"
        alt = f"{self._called(i)}, cluster {cluster}, {sure}"
        return Shown(thumbnail(self._seen(i), side=side), alt, note)

    def _seen(self, i: int) -> np.ndarray:
        return self._look()(i)

    # ----------------------------------------------------------------------- clusters

    def _clusters_text(self, k: int) -> str:
        """What the rows of images are."""
        text = (
            "Typical images are near the middle of their cluster in the features and "
            "differ from each other; borderline ones have the smallest lead over the "
            "runner-up, which is named with both probabilities."
        )
        if k > MOST_GALLERIES:
            text += f" Only the {MOST_GALLERIES} largest clusters are shown."
        return text

    def _unsure(self) -> Row | None:
        """Images that are unsure, the least confident first; None without any."""
        below = self.options.report.unsure
        numbers = unsure_of(self.results, below)
        if not len(numbers):
            return None
        sure, clusters = self._confidence, self._soft.argmax(axis=1)
        least = numbers[np.argsort(sure[numbers], kind="stable")[: 2 * SHOWN]]
        shown = [
            self._show(int(i), note=f"{clusters[i]}: {sure[i]:.2f}") for i in least
        ]
        share = percent(len(numbers) / len(sure))
        title = (
            f"Unsure: {count(len(numbers), 'image')} ({share}) with a confidence below "
            f"{below:g}, the least confident first, with cluster and confidence"
        )
        return Row(title, shown)

    def _clusters(self, looked_at: np.ndarray, points: np.ndarray) -> list[Cluster]:
        """All clusters with their galleries."""
        soft, results = self._soft, self.results
        k, clusters = soft.shape[1], soft.argmax(axis=1)
        sizes = np.bincount(clusters, minlength=k)
        near = alike(soft)
        matched = classes_in_words(results, self.task.class_names) or [None] * k
        galleries = set(np.argsort(-sizes, kind="stable")[:MOST_GALLERIES].tolist())
        each = int(np.clip(MOST_SHOWN // (2 * min(k, MOST_GALLERIES)), 2, SHOWN))
        found = []
        with counted("galleries of the clusters") as update:
            for cluster in range(k):
                members = np.flatnonzero(clusters == cluster)
                mine = self._confidence[members]
                rows: list[Row] = []
                if cluster in galleries and len(members):
                    rows = self._rows(cluster, members, looked_at, points, each)
                found.append(
                    Cluster(
                        cluster,
                        len(members),
                        len(members) / len(soft),
                        float(mine.mean()) if len(members) else None,
                        near[cluster],
                        matched[cluster],
                        rows,
                    )
                )
                update(cluster + 1, k)
        return found

    def _rows(
        self,
        cluster: int,
        members: np.ndarray,
        looked_at: np.ndarray,
        points: np.ndarray,
        each: int,
    ) -> list[Row]:
        """Typical, borderline and random images of a cluster."""
        soft, known = self._soft, np.zeros(0, np.int64)
        some = candidates(
            soft[looked_at], cluster, known=known, skipped=known, seed=SEED
        )
        best: list[int] = []
        if len(some):
            order = typical(points[some], points[known], each)
            best = looked_at[some[order]].tolist()
        two = np.sort(soft[members], axis=1)[:, -2:]
        lead = two[:, 1] - two[:, 0]
        fewer = -(-each // 2)
        near = np.argsort(lead, kind="stable")[:fewer]
        border = members[near[lead[near] < BORDERLINE]]
        drawn = np.random.default_rng((SEED, cluster)).permutation(members)[:fewer]

        def shown(numbers: Sequence[int]) -> list[Shown]:
            sure = self._confidence
            return [self._show(int(i), note=f"{sure[i]:.2f}") for i in numbers]

        leads = []
        for i in border.tolist():
            second = int(np.argsort(-soft[i], kind="stable")[1])
            note = f"or {second}: {soft[i, second]:.2f}"
            leads.append(self._show(i, note=note))
        none = f"None: every image leads its runner-up by {BORDERLINE:g} or more."
        return [
            Row("Typical, with confidence", shown(best)),
            Row("Borderline, with the runner-up and its probability", leads, none),
            Row("Random", shown(np.sort(drawn).tolist())),
        ]

    # ---------------------------------------------------------------------------- map

    def _map(self, looked_at: np.ndarray, points: np.ndarray) -> Map | None:
        """Some images in the plane, near each other where their features are."""
        rng = np.random.default_rng(SEED)
        chosen = np.sort(rng.permutation(len(looked_at))[:MOST_MAPPED])
        if len(chosen) < LEAST_MAPPED:
            return None
        console.print(f"Report:   a map of {len(chosen):,} images")
        numbers, some = looked_at[chosen], points[chosen, :MAPPED_COMPONENTS]
        perplexity = min(30.0, (len(chosen) - 1) / 3)
        with at_work("laying out the map"):
            places = TSNE(
                init="random" if some.shape[1] < 2 else "pca",
                perplexity=perplexity,
                # half the usual iterations, each going farther: the same map
                max_iter=500,
                learning_rate=max(50.0, len(chosen) / 10),
                random_state=SEED,
            ).fit_transform(some)
        where = lay_out_map(np.nan_to_num(places))
        soft = self._soft[numbers]
        clusters = soft.argmax(axis=1)
        sheet, square = sprite([self._seen(int(i)) for i in numbers], side=MAP_SIDE)
        how = (
            f"{count(len(numbers), 'image')} drawn at random, near each other where "
            f"their features are: t-SNE (perplexity {perplexity:.0f}) of "
            f"{some.shape[1]} principal components, coloured by cluster. Distances "
            "between groups mean little; what is mixed or torn apart is worth a look."
        )
        return Map(
            where,
            clusters,
            [self._called(int(i)) for i in numbers],
            self._confidence[numbers],
            map_labels(where, clusters),
            sheet,
            square,
            sprite_columns(len(numbers)),
            how,
        )

    # ---------------------------------------------------------- duplicates and outliers

    def _unusual(
        self, looked_at: np.ndarray, points: np.ndarray
    ) -> tuple[Unusual | None, dict[str, list], int, int]:
        """Near-duplicates and outliers, rows of their files, and how many they are."""
        if len(looked_at) < 3:
            return None, {}, 0, 0
        described = self._described(looked_at)
        console.print(f"Report:   comparing {len(looked_at):,} images with each other")
        with at_work("comparing images by their edges"):
            nearest = near_duplicates(nearest_others(described, number=3), below=3.0)
        pairs = [pair for pair in nearest if pair[2] < SAME]
        with at_work("comparing images by their features"):
            near = nearest_others(points, number=NEIGHBOURS)
        remote = remoteness(near)
        fence = far_out(remote)
        far = int((remote > fence).sum())
        order = np.argsort(-remote, kind="stable")
        listed = order[: max(int(OUTLIER_SHARE * len(order)), NEIGHBOURS, far)]
        kind = "image" if self.task.protocol.evaluate.paths is None else "path"
        files = {
            DUPLICATES_FILE: self._duplicate_rows(kind, looked_at, pairs),
            OUTLIERS_FILE: self._outlier_rows(kind, looked_at, listed, remote, near),
        }
        among = f" (among {len(looked_at):,} of them, evenly spaced)"
        among *= len(looked_at) < len(self._soft)
        by = "edges" if self.task.protocol.evaluate.images.ndim == 4 else "numbers"
        duplicates_text = (
            f"{count(len(pairs), 'pair')} of images with" if pairs else "No images with"
        )
        duplicates_text += (
            f" a distance below {SAME:g} by their {by}{among}. Distance is one minus "
            "the cosine of the angle; 0 means alike but for brightness. The nearest "
            "pairs, with their distances:"
        )
        outliers_text = (
            f"{count(far, 'image') if far else 'No image'} far out: on average farther "
            f"than {fence:.2f} from the {near.numbers.shape[1]} nearest ones by the "
            f"features{among}, which is three times the spread of the middle half "
            "above it, on a logarithmic scale. The farthest, with that distance, each "
            "beside the image nearest to it:"
        )
        unusual = Unusual(
            [
                self._pair(looked_at, *pair)
                for pair in nearest[: np.clip(len(pairs), LEAST_PAIRS, PAIRS_SHOWN)]
            ],
            duplicates_text,
            [
                self._pair(looked_at, int(i), int(near.numbers[i, 0]), float(remote[i]))
                for i in listed[: np.clip(far, LEAST_PAIRS, PAIRS_SHOWN)]
            ],
            outliers_text,
        )
        return unusual, files, len(pairs), far

    def _described(self, numbers: np.ndarray) -> np.ndarray:
        """Images by their edges; vectors and series as neighbours are found."""
        images = self.task.protocol.evaluate.images
        kind: Kind = "drawings" if images.ndim == 4 else self.task.kind
        some = numbers[:: max(len(numbers) // MOST_FITTED, 1)][:MOST_FITTED]
        with at_work("finding out what tells images apart"):
            describer = describe(images[some], seed=SEED, kind=kind)
        parts = []
        with counted("edges of the images") as update:
            for part in np.array_split(numbers, -(-len(numbers) // PART)):
                parts.append(describer(images[part]).astype(np.float32))
                update(sum(map(len, parts)), len(numbers))
        return np.concatenate(parts)

    def _pair(self, looked_at: np.ndarray, a: int, b: int, distance: float) -> Pair:
        first, second = int(looked_at[a]), int(looked_at[b])
        names = f"{_short(self._called(first))}, {_short(self._called(second))}"
        note = f"{distance:.3f}: {names}"
        return Pair(self._show(first), self._show(second), note)

    def _duplicate_rows(
        self, kind: str, looked_at: np.ndarray, pairs: Sequence[tuple[int, int, float]]
    ) -> list:
        rows: list[tuple] = [(kind, "distance", "nearest")]
        for a, b, distance in pairs:
            names = [self._name(int(looked_at[i])) for i in (a, b)]
            rows.append((names[0], f"{distance:.4f}", names[1]))
        return rows

    def _outlier_rows(
        self,
        kind: str,
        looked_at: np.ndarray,
        listed: np.ndarray,
        remote: np.ndarray,
        near: Near,
    ) -> list:
        rows: list[tuple] = [(kind, "distance", "nearest")]
        for i in listed.tolist():
            nearest = self._name(int(looked_at[near.numbers[i, 0]]))
            rows.append((self._name(int(looked_at[i])), f"{remote[i]:.4f}", nearest))
        return rows

    # -------------------------------------------------------------------------- words

    def _facts(self, duplicates: int, outliers: int, looked_at: int) -> Facts:
        """What the words of the summary are about."""
        clusters, found = self.results.clusters, None
        if clusters is not None and clusters.shape[1] > 1:
            k = self.results.health.num_clusters
            shares = agreement(clusters, num_clusters=k)
            between = shares[np.triu_indices(len(shares), 1)]
            found = (float(between.mean()), float(between.min()))
        steps = (read_summary(self.folder) or {}).get("steps", 0)
        return Facts(
            self.results,
            steps,
            found,
            duplicates,
            outliers,
            looked_at,
            unsure=self.options.report.unsure,
            restarted=_restarted(read_history(self.folder)),
        )


def _restarted(history: Sequence[dict[str, Any]]) -> int | None:
    """Step at which all sub-heads last restarted from the same clusters, or None."""
    steps = [
        remark["step"]
        for row in history
        for remark in row.get("remarks") or ()
        if len(set(remark.get("sources") or ())) == 1 and not remark.get("refused")
    ]
    return max(steps, default=None)


def _sure(confidence: float) -> str:
    return f"{confidence:.2f}" if confidence < 0.995 else "over 0.99"


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"…{name[-27:]}"


def _matched_share(table: np.ndarray) -> float:
    """Share of images in matching groups, of a table ``(k, k)``."""
    mapping = match_one_to_one(table)
    rows = np.flatnonzero(mapping >= 0)
    return float(table[rows, mapping[rows]].sum() / table.sum())


def _names_before(folder: Path) -> dict[int, str]:
    """Names that the clusters of a run have been given already."""
    try:
        summary = _named_summary(folder)
    except (UserError, OSError, ValueError):
        return {}
    if summary.get("named") != "clusters":
        return {}
    return {i: str(c) for i, c in enumerate(summary.get("classes", ())) if c}


def _named_summary(folder: Path) -> dict[str, Any]:
    path = folder / "named" / "summary.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


# ------------------------------------------------------------------- segmentation


def _segments(
    folder: Path,
    task: Any,
    options: RunOptions,
    told: Told,
    results: Results,
    model: Any,
) -> Page:
    """The page of a segmentation; there are no tables beside it."""
    images, k = task.protocol.evaluate, results.health.num_clusters
    number = len(images.images)
    kept_at = set(_evenly(number, MOST_KEPT))
    shares, kept = np.zeros((number, k)), {}
    pixels = np.zeros(k, np.int64)
    predict = task.predict(model, head=results.chosen)
    with counted("segmentation of the images") as update:
        maps = clusters_of(predict, images.images, task.views.finish)
        for i, found in enumerate(maps):
            counts = np.bincount(found[..., 0].ravel(), minlength=k)
            pixels += counts
            shares[i] = counts / counts.sum()
            if i in kept_at:
                kept[i] = _reduced(images.images[i], found[..., 0])
            update(i + 1, number)
    matched = classes_in_words(results, task.names) or [None] * k
    clusters = [
        Cluster(
            c,
            int(pixels[c]),
            float(pixels[c] / pixels.sum()),
            matched=matched[c],
            rows=[_cutouts(c, shares, kept, images.paths)],
        )
        for c in range(k)
    ]
    drawn = np.array(sorted(kept))[_evenly(len(kept), OVERLAYS)].tolist()
    overall = pixels / pixels.sum()
    used = int((overall >= DEAD_SHARE / k).sum())
    tiles = [(f"{number:,}", "images"), (f"{used} of {k}", "clusters in use")]
    summary = [
        f"The pixels of {count(number, 'image')} in {k} clusters, {used} of them in "
        "use (at least a tenth of an even share). The smallest has "
        f"{percent(overall.min())} of the pixels, the largest "
        f"{percent(overall.max())}.",
        information_sentence(results.health, results.chosen, results.choice.by),
        *score_sentences(results),
    ]
    return Page(
        heading=f"{count(number, 'image')} segmented into {k} clusters, from "
        f"{told.images}",
        tiles=tiles + _share_tile(results),
        summary=summary,
        advice=_segment_advice(results, used),
        clusters=clusters,
        clusters_text="Below each cluster are the images with the largest share of it; "
        "what belongs to other clusters is faded.",
        overlays=[_overlay(i, kept[i], k, shares[i], images.paths[i]) for i in drawn],
        **_common(folder, task, options, told, results),
    )


def _evenly(number: int, at_most: int) -> list[int]:
    """At most so many of some things, evenly spaced."""
    return np.linspace(0, number - 1, min(number, at_most)).astype(int).tolist()


def _segment_advice(results: Results, used: int) -> list[str]:
    """What to do next with a segmentation."""
    k, told = results.health.num_clusters, []
    if used < k:
        told.append(
            f"{count(k - used, 'cluster')} of {k} hardly used: the pixels may fall "
            f"into fewer kinds. Try k = {max(used, 2)}."
        )
    told.append(
        "Look at the overlays: if a cluster follows light or position rather than "
        "what is shown, change the augmentation, or use a recipe for upright scenes "
        "where the images are such."
    )
    told.append(
        "Label maps of all images, at their full size, are in the folder labels."
    )
    return told


def _reduced(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An image and its label map with every nth pixel, small enough for the page."""
    step = max(-(-max(labels.shape) // OVERLAY_SIDE), 1)
    return as_rgb(image[::step, ::step]) / 255.0, labels[::step, ::step]


def _overlay(
    i: int, kept: tuple[np.ndarray, np.ndarray], k: int, shares: np.ndarray, name: str
) -> Overlay:
    image, labels = kept
    mixed = 0.5 * image + 0.5 * colour_map(labels, k) / 255.0
    order = np.argsort(-shares, kind="stable")[:6].tolist()
    told = ", ".join(
        f"{c}: {percent(float(shares[c]))}" for c in order if shares[c] >= 0.005
    )
    return Overlay(
        name,
        Shown(thumbnail(image, side=OVERLAY_SIDE), f"{name}, as it is"),
        Shown(thumbnail(mixed, side=OVERLAY_SIDE), f"{name} with its clusters: {told}"),
        told,
    )


def _cutouts(
    cluster: int,
    shares: np.ndarray,
    kept: dict[int, tuple[np.ndarray, np.ndarray]],
    names: Sequence[str],
) -> Row:
    """The images with the largest shares of a cluster, the rest of them faded."""
    order = sorted(kept, key=lambda i: -shares[i, cluster])[:CUTOUTS]
    shown = []
    for i in order:
        if shares[i, cluster] == 0:
            continue
        image, labels = kept[i]
        faded = 0.2 * image.mean(axis=-1, keepdims=True) + 0.72
        cut = np.where((labels == cluster)[..., None], image, faded)
        share = percent(float(shares[i, cluster]))
        alt = f"{names[i]}, {share} in cluster {cluster}"
        shown.append(Shown(thumbnail(cut, side=OVERLAY_SIDE // 2), alt, share))
    return Row("Images with the largest share of it", shown)
