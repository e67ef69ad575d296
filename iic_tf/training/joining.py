"""Joins clusters of a stored run, or calls them by names that somebody has chosen."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iic_tf.errors import UserError, first_line, require
from iic_tf.evaluation.naming import Naming, class_probabilities, cluster_sizes
from iic_tf.models.networks import ClusterIIC
from iic_tf.names import escaped
from iic_tf.report.console import console
from iic_tf.resolved import RunOptions
from iic_tf.run_folder import finished_together
from iic_tf.training.naming import NAMED, StoredNaming, write_names
from iic_tf.training.stored import chosen_heads, load_model, require_network

MOST_TOLD = 30
"""Names that are printed at most; clusters.csv has all."""


def read_names(path: Path) -> dict[int, str]:
    """Names of clusters from a JSON file.

    Args:
        path: Holds ``{"clusters": {"0": "cats", "3": "cats"}}``; further keys beside
            clusters are ignored.

    Raises:
        UserError: If it cannot be read or holds something else.
    """
    told = f"the names {path} must be JSON such as " + '{"clusters": {"0": "cats"}}'
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{told}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{told}: {first_line(error)}") from None
    found = content.get("clusters") if isinstance(content, dict) else None
    require(isinstance(found, dict), told, content=type(content).__name__)
    names = {}
    for number, name in (found or {}).items():
        require(number.isascii() and number.isdigit(), told, cluster=number)
        require(isinstance(name, str), told, **{f"cluster_{number}": name})
        names[int(number)] = name
    return names


def join_groups(
    groups: Iterable[Sequence[int]], renamed: Mapping[int, str]
) -> dict[int, str]:
    """A name for each cluster that is joined with others or renamed.

    Args:
        groups: Clusters to be joined; groups that share one are one group.
        renamed: New names of clusters; that of one is that of all in its group.

    Returns:
        Name of each, of a group without a new name its numbers, as in ``3+7``.

    Raises:
        UserError: If clusters of one group have two names.
    """
    parts: list[set[int]] = []
    for group in (*groups, *((cluster,) for cluster in renamed)):
        mine = set(group)
        mine = mine.union(*(part for part in parts if part & mine))
        parts = [part for part in parts if not part & mine] + [mine]
    names: dict[int, str] = {}
    for part in parts:
        called = "+".join(map(str, sorted(part)))
        given = {renamed[cluster] for cluster in part if cluster in renamed}
        require(
            len(given) < 2,
            f"the joined clusters {called} must have one name",
            names=sorted(given),
        )
        names |= dict.fromkeys(part, next(iter(given), called))
    return names


def named_as_given(given: Mapping[int, str], k: int) -> tuple[Naming, tuple[str, ...]]:
    """Classes of clusters by their names; those of the same name are joined.

    Args:
        given: Names of some clusters; others are called by their numbers.
        k: Number of clusters.

    Returns:
        The naming, sure of every name, and the names of the classes in the order of
        their first cluster.

    Raises:
        UserError: If a cluster is not there, or a name is empty, not printable or the
            number of a cluster that keeps it.
    """
    for cluster, name in given.items():
        require(
            0 <= cluster < k,
            f"only clusters from 0 to {k - 1} can be named",
            cluster=cluster,
        )
        require(
            bool(name.strip()) and escaped(name) == name,
            f"the name of cluster {cluster} must be text without control characters",
            name=escaped(name),
        )
    kept = {str(cluster) for cluster in range(k) if cluster not in given}
    taken = [name for name in given.values() if name.strip() in kept]
    require(
        not taken,
        "a name must not be the number of another cluster, which keeps it; to join "
        "both, give both the name",
        name=taken[0] if taken else None,
    )
    called = [given.get(cluster, str(cluster)).strip() for cluster in range(k)]
    names = tuple(dict.fromkeys(called))
    classes = np.array([names.index(name) for name in called])
    votes = np.zeros((k, len(names)), np.int64)
    return Naming("main", classes, votes, np.ones(k)), names


def join_run(
    folder: Path, task: Any, options: RunOptions, given: Mapping[int, str]
) -> Path:
    """Joins and names clusters of a run, writes and prints what came out.

    Args:
        folder: The run.
        task: A ``ClusterTask`` with its images.
        options: Of the run.
        given: See ``named_as_given``.

    Returns:
        The folder with the results.

    Raises:
        UserError: If there is no network, or a name does not fit.
    """
    model = load_model(folder)
    require_network(model, ClusterIIC)
    naming, names = named_as_given(given, model.main.num_clusters)
    head = chosen_heads(folder, model)["main"]
    soft = task.assignments(model, options, heads={"main": head})["main"]
    stored = StoredNaming(naming, names, head)
    split = task.protocol.evaluate
    with finished_together(folder / NAMED) as place:
        how: dict[str, Any] = {"score": None, "title": folder.name}
        write_names(place, stored, soft, split, model, **how)
    _tell(stored, soft)
    return folder / NAMED


def _tell(stored: StoredNaming, soft: np.ndarray) -> None:
    """Prints which clusters have which name, and how many images."""
    naming, names, head = stored
    console.print(
        f"Named:    {soft.shape[1]} clusters of sub-head {head} become {len(names)}"
    )
    sums = class_probabilities(soft, naming.classes, num_classes=len(names))
    sizes = cluster_sizes(sums)
    shown = names[:MOST_TOLD]
    width = max(4, *map(len, shown))
    console.print(f"\n{'name':{width}}  images  clusters")
    for number, name in enumerate(shown):
        mine = ", ".join(map(str, np.flatnonzero(naming.classes == number)))
        console.print(f"{name:{width}}{sizes[number]:8,}  {mine}")
    if len(names) > MOST_TOLD:
        console.print(f"and {len(names) - MOST_TOLD:,} more in clusters.csv")
