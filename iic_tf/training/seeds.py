"""Runs that differ in their seed: one table, how far they agree, and the best loss."""

import csv
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iic_tf.errors import UserError, first_line
from iic_tf.evaluation.health import clusters_in_use
from iic_tf.evaluation.metrics import (
    accuracy,
    adjusted_rand,
    contingency,
    match_one_to_one,
)
from iic_tf.names import csv_text
from iic_tf.run_folder import (
    ASSIGNMENTS_FILE,
    OPTIONS_FILE,
    read_options,
    read_summary,
    write_atomically,
)

SEEDS_FILE = "seeds_{first}.csv"
"""Called after the first of its runs, so that no table replaces another."""


class SeedResult(NamedTuple):
    """What came out of a run.

    Attributes:
        folder: The run.
        seed: Its seed.
        information: Mutual information of the chosen sub-head in nats; its loss is the
            negative of it. None where the task has none.
        used: Clusters in use, or None.
        ari: Adjusted Rand index with the other runs, on average; None without others of
            the same images.
        same: Share of images in matching clusters, likewise.
        error: Of the chosen sub-head, None without labels.
    """

    folder: Path
    seed: int
    information: float | None
    used: int | None
    ari: float | None
    same: float | None
    error: float | None


def read_clusters(folder: Path) -> tuple[list[str], np.ndarray] | None:
    """Names and clusters of the images of a run; None if it has no assignments.

    Args:
        folder: The run.

    Raises:
        UserError: If its file is damaged.
    """
    path = folder / ASSIGNMENTS_FILE
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.reader(file))
        place = rows[0].index("cluster")
        names = [row[0] for row in rows[1:]]
        clusters = np.array([int(row[place]) for row in rows[1:]])
        if not len(clusters) or clusters.min() < 0:
            raise ValueError("no clusters")
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise UserError(f"{path} is damaged: {first_line(error)}") from None
    return names, clusters


def agreement_of_runs(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Adjusted Rand index of two clusterings, and the share in matching clusters.

    Args:
        first: Cluster of each image, shape ``(n,)``.
        second: The same, of the same images.
    """
    k = int(max(first.max(), second.max())) + 1
    table = contingency(first, second, num_clusters=k, num_classes=k)
    return adjusted_rand(table), accuracy(table, match_one_to_one(table))


def seed_results(folders: Sequence[Path]) -> list[SeedResult]:
    """What came out of finished runs, and how far each agrees with the others.

    Args:
        folders: The runs.

    Raises:
        UserError: If a run is not finished, or a file of it is damaged.
    """
    found = [read_clusters(folder) for folder in folders]
    pairs: dict[int, list[tuple[float, float]]] = {i: [] for i in range(len(folders))}
    for i, j in permutations(range(len(folders)), 2):
        a, b = found[i], found[j]
        if a is not None and b is not None and a[0] == b[0]:
            pairs[i].append(agreement_of_runs(a[1], b[1]))
    results = []
    for i, folder in enumerate(folders):
        summary, stored = read_summary(folder), read_options(folder / OPTIONS_FILE)
        if summary is None:
            raise UserError(f"the run {folder} is not finished; resume it first")
        chosen = summary.get("chosen", 0)
        nats, errors, own = summary.get("information"), summary.get("errors"), found[i]
        ari, same = np.mean(pairs[i], axis=0).tolist() if pairs[i] else (None, None)
        results.append(
            SeedResult(
                folder,
                int(stored.get("seed", 0)),
                nats[chosen] if nats else None,
                None if own is None else clusters_in_use(own[1], int(stored["k"])),
                ari,
                same,
                errors[chosen] if errors else None,
            )
        )
    return results


def best_of(results: Sequence[SeedResult]) -> SeedResult | None:
    """The run with the lowest loss, which no label has a part in; None without any."""
    known = [result for result in results if result.information is not None]
    return max(known, key=lambda result: result.information or 0.0, default=None)


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def seed_lines(results: Sequence[SeedResult]) -> list[str]:
    """The table as text, a header first, and what it says in a sentence or two.

    Args:
        results: At least one.
    """
    width = max(3, *(len(str(result.folder)) for result in results)) + 2
    lines = [
        f"{'run':{width}}{'seed':>6}{'loss':>9}{'in use':>8}{'ARI':>7}{'same':>8}"
        f"{'error':>9}"
    ]
    for result in results:
        loss = None if result.information is None else -result.information
        lines.append(
            f"{result.folder!s:{width}}{result.seed:6}{_shown(loss, 4):>9}"
            f"{'-' if result.used is None else result.used:>8}"
            f"{_shown(result.ari, 3):>7}{_shown(result.same, 4):>8}"
            f"{_shown(result.error, 4):>9}"
        )
    if agreeing := [result.same for result in results if result.same is not None]:
        ari = np.mean([result.ari for result in results if result.ari is not None])
        lines.append(
            f"Seeds agree on {100 * np.mean(agreeing):.1f} % of the images, on average "
            f"over pairs of runs (ARI {ari:.3f})."
        )
    if (best := best_of(results)) is not None and len(results) > 1:
        lines.append(f"Lowest loss, without labels: {best.folder}, seed {best.seed}")
    return lines


def write_seeds(
    path: Path, results: Sequence[SeedResult], failed: Sequence[tuple[int, str]]
) -> None:
    """Writes the table as CSV.

    Args:
        path: File to write.
        results: Finished runs.
        failed: Seed and reason of each other one.
    """
    best = best_of(results)
    rows: list[Sequence[object]] = [
        ("run", "seed", "loss", "clusters_in_use", "ari", "same", "error", "state")
    ]
    for result in results:
        loss = None if result.information is None else -result.information
        state = "lowest loss" if result is best else "finished"
        used = "" if result.used is None else result.used
        scores = (result.ari, result.same, result.error)
        cells = ["" if x is None else round(x, 5) for x in (loss, *scores)]
        rows.append(
            (result.folder.name, result.seed, cells[0], used, *cells[1:], state)
        )
    rows += [("", seed, "", "", "", "", "", words) for seed, words in failed]
    write_atomically(path, csv_text(rows))
