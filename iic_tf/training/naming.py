"""Names the clusters of a stored run: from labels to files, all of them or none."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from iic_tf.datasets.label_table import (
    Labels,
    Table,
    by_number,
    by_path,
    merge_tables,
    read_label_table,
)
from iic_tf.errors import UserError, first_line, require
from iic_tf.evaluation.inference import features_of
from iic_tf.evaluation.naming import (
    MOST_NEXT,
    Naming,
    candidates,
    cluster_sizes,
    clusters_in_need,
    held_back_score,
    name_by_labels,
    no_names,
    take_turns,
    typical,
)
from iic_tf.models.named import NamedClusters
from iic_tf.models.networks import ClusterIIC
from iic_tf.report.console import attempted, console
from iic_tf.report.naming import (
    BANKS,
    Proposal,
    cluster_captions,
    draw_proposals,
    image_name,
    label_words,
    lost_classes,
    naming_lines,
    naming_summary,
    now_words,
    proposal_words,
    score_words,
    write_clusters,
    write_named,
    write_proposals,
)
from iic_tf.report.plots import cluster_grid
from iic_tf.report.sketches import looks
from iic_tf.resolved import RunOptions
from iic_tf.run_folder import SUMMARY_FILE, finished_together
from iic_tf.training.stored import (
    chosen_heads,
    load_model,
    require_network,
    write_summary,
)

NAMED = "named"
"""Folder of the results inside a run's."""

NO_NAME = "no name"
"""What images are told of whose clusters have none."""

SEED = 0
"""Of the halves that labels are split into, and of the choice among many images."""


@dataclass(frozen=True)
class _Named:
    """What is written.

    Attributes:
        naming: Names of the clusters.
        head: Number of the sub-head in its bank.
        labels: Where they come from.
        score: See ``held_back_score``.
        soft: Soft assignments of all images, shape ``(n, k)``.
        proposals: Images to be labelled next.
    """

    naming: Naming
    head: int
    labels: Labels
    score: tuple[int, int] | None
    soft: np.ndarray
    proposals: Sequence[Proposal]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.labels.names

    @property
    def sizes(self) -> np.ndarray:
        """Images in each cluster."""
        return cluster_sizes(self.soft)


class StoredNaming(NamedTuple):
    """Names that clusters of a run have.

    Attributes:
        naming: The names.
        names: Names of the classes.
        head: Number of the sub-head in its bank.
    """

    naming: Naming
    names: tuple[str, ...]
    head: int

    def of_images(self, soft: np.ndarray) -> list[str]:
        """The name of the class of each image, or ``NO_NAME``.

        Args:
            soft: Soft assignments of the sub-head, shape ``(n, k)``.
        """
        classes, _ = self.naming.apply(soft)
        return [self.names[c] if c >= 0 else NO_NAME for c in classes.tolist()]


def read_naming(folder: Path) -> StoredNaming | None:
    """The names of a run's clusters; None if they have none.

    Args:
        folder: The run.

    Raises:
        UserError: If the file that has them is damaged.
    """
    path = folder / NAMED / SUMMARY_FILE
    if not path.exists():
        return None
    banks = {words: bank for bank, words in BANKS.items()}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        names = tuple(map(str, told["class_names"]))
        numbers = {name: number for number, name in enumerate(names)} | {None: -1}
        classes = np.array([numbers[name] for name in told["classes"]])
        sure = np.array(told["sure"], np.float64)
        votes = np.zeros((len(classes), len(names)), np.int64)
        naming = Naming(banks[told["named"]], classes, votes, sure)
        return StoredNaming(naming, names, int(told["sub_head"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {first_line(error)}") from None


def find_labels(
    tables: Sequence[Table], *, paths: Sequence[str] | None, root: Path, number: int
) -> Labels:
    """Which images of a run have which class; no labels if there are no tables.

    Args:
        tables: From ``read_label_table``.
        paths: Paths of the images of the run, or None if they are known by number.
        root: Their folder.
        number: How many they are.

    Raises:
        UserError: If the tables do not fit the images or each other.
    """
    if not tables:
        none = np.zeros(0, np.int64)
        return Labels(none, none, (), none)
    if paths is None:
        expected = f"its number from 0 to {number - 1:,}, as in assignments.csv"
        return merge_tables(tables, by_number(number), expected=expected)
    expected = (
        f"its path in {root}, as in assignments.csv, or its file name if no other "
        "image has the same"
    )
    return merge_tables(tables, by_path(paths, root), expected=expected)


def name_run(
    folder: Path,
    task: Any,
    options: RunOptions,
    tables: Sequence[Table],
    *,
    overclusters: bool | None = None,
) -> Path:
    """Names the clusters of a run, writes and prints what came out.

    Args:
        folder: The run.
        task: A ``ClusterTask`` with its images.
        options: Of the run.
        tables: Labels, from ``read_label_table``; none to have images proposed only.
        overclusters: See ``naming.name_by_labels``.

    Returns:
        The table of proposals.

    Raises:
        UserError: If there is no network, the labels do not fit the images, or there
            are no overclusters where they are asked for.
    """
    split, data = task.protocol.evaluate, options.data
    root = Path(data.folder or data.dir or ".").expanduser()
    number = len(split.images)
    labels = find_labels(tables, paths=split.paths, root=root, number=number)
    model = load_model(folder)
    require_network(model, ClusterIIC)
    heads = chosen_heads(folder, model)
    require(
        not overclusters or "aux" in heads,
        "overclusters can only be named if the run has auxiliary sub-heads",
        aux=0,
    )
    on_features, network = task.on_features(model, options)
    soft = on_features.assignments(network, options, heads=heads)
    score = None
    if tables:
        known = (soft, labels.numbers, labels.classes)
        classes = len(labels.names)
        naming = name_by_labels(*known, num_classes=classes, overclusters=overclusters)
        score = held_back_score(
            *known, num_classes=classes, overclusters=overclusters, seed=SEED
        )
    else:
        bank = "aux" if overclusters else "main"
        naming = no_names(bank, soft[bank].shape[1])
    mine = soft[naming.bank]
    proposals = _propose(network, on_features, naming, labels, mine)
    named = _Named(naming, heads[naming.bank], labels, score, mine, proposals)
    table = _free_table(folder / NAMED)
    with finished_together(folder / NAMED) as place:
        write_proposals(place / table.name, proposals, split.paths)
        _draw_proposals(place, named, split, folder.name)
        if tables:
            stored = StoredNaming(naming, labels.names, named.head)
            how: dict[str, Any] = {"score": score, "title": folder.name}
            write_names(place, stored, mine, split, model, **how)
    _tell(named, split.paths, asked=overclusters is not None)
    return table


def _propose(
    model: ClusterIIC, task: Any, naming: Naming, labels: Labels, soft: np.ndarray
) -> list[Proposal]:
    """Images to be labelled next: typical ones of clusters that need labels."""
    clusters = soft.argmax(axis=1)
    first, others = clusters_in_need(naming, cluster_sizes(soft))
    first, others = first[:MOST_NEXT], others[: max(MOST_NEXT - len(first), 0)]
    images, views = task.protocol.evaluate.images, task.views
    stocks = {}
    for cluster in [*first.tolist(), *others.tolist()]:
        found = candidates(
            soft, cluster, known=labels.numbers, skipped=labels.skipped, seed=SEED
        )
        mine = labels.numbers[clusters[labels.numbers] == cluster]
        if not len(found):
            continue
        features = features_of(
            model, images, views, numbers=np.concatenate((found, mine))
        )
        order = typical(features[: len(found)], features[len(found) :], MOST_NEXT)
        stocks[cluster] = found[order].tolist()
    turns = take_turns(first.tolist(), others.tolist(), stocks)
    return [Proposal(cluster, image) for cluster, image in turns]


def _free_table(folder: Path) -> Path:
    """Where proposals go: never over a table in which classes are filled in."""
    number = 1
    while True:
        path = folder / f"label_next{f'-{number}' * (number > 1)}.csv"
        try:
            if not path.exists() or not any(
                r.name for r in read_label_table(path).rows
            ):
                return path
        except UserError:  # whatever it is now, it is not ours any more
            pass
        number += 1


# ------------------------------------------------------------------------------ output


def _draw_proposals(place: Path, named: _Named, split: Any, title: str) -> None:
    """Draws label_next.png."""
    if not named.proposals:
        return
    captions = [
        (
            image_name(p.image, split.paths),
            f"cluster {p.cluster}, {now_words(named.naming, named.names, p.cluster)}",
        )
        for p in named.proposals
    ]
    look = looks(split.images)
    images = np.stack([look(p.image) for p in named.proposals])
    with attempted("label_next.png"):
        draw_proposals(
            place / "label_next.png",
            images,
            captions,
            title=f"{title}: images to label next",
        )


def write_names(
    place: Path,
    stored: StoredNaming,
    soft: np.ndarray,
    split: Any,
    model: ClusterIIC,
    *,
    score: tuple[int, int] | None,
    title: str,
) -> None:
    """Writes all that has names.

    Args:
        place: Folder for the files.
        stored: The names.
        soft: Soft assignments of all images by the sub-head, shape ``(n, k)``.
        split: The images.
        model: The network.
        score: See ``held_back_score``.
        title: First words of the heading of the plot.
    """
    naming, names, head = stored
    sizes = cluster_sizes(soft)
    write_named(place / "named.csv", naming, names, soft, paths=split.paths)
    write_clusters(place / "clusters.csv", naming, names, sizes)
    NamedClusters.of(
        model,
        bank=naming.bank,
        head=head,
        classes=naming.classes.tolist(),
        class_names=names,
    ).save(place / "named.keras")
    write_summary(place, naming_summary(naming, names, head=head, score=score))
    order = np.lexsort((-sizes, naming.classes, naming.classes < 0))
    with attempted("named_clusters.png"):
        cluster_grid(
            place / "named_clusters.png",
            split.images,
            soft,
            names=cluster_captions(naming, names),
            order=[c for c in order.tolist() if sizes[c]],
            title=f"{title}: {BANKS[naming.bank]} and their names",
        )


def _tell(named: _Named, paths: Sequence[str] | None, *, asked: bool) -> None:
    """Prints names, score and proposals."""
    naming, names = named.naming, named.names
    kind = f"{len(named.sizes)} {BANKS[naming.bank]} of sub-head {named.head}"
    if not names:
        console.print(f"Labels:   none yet; images of the {kind} are proposed")
    else:
        console.print(f"Labels:   {label_words(named.labels)}")
        why = ""
        if not asked and naming.bank == "aux":
            why = ", which can be expected to name more images correctly than clusters"
        console.print(f"Named:    {kind}{why}")
        console.print(f"Score:    {score_words(named.score, named.labels, SEED)}")
        if named.score:
            console.print(
                "          Images that were proposed are typical ones; a score on "
                "these is too good."
            )
        console.print()
        for line in naming_lines(naming, names, named.sizes):
            console.print(line)
        if lost := lost_classes(naming, names):
            console.print(f"Classes that no cluster is named after: {', '.join(lost)}.")
    console.print("\nLabel next:")
    for line in proposal_words(named.proposals, naming, names, paths):
        console.print(f"  {line}")
