"""``clean``: lists runs that ended early, and deletes them on request."""

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from commands.parsing import Parser
from iic_tf.errors import UserError, naming, require
from iic_tf.names import escaped
from iic_tf.report.console import console
from iic_tf.run_folder import CHECKPOINTS, MANIFEST_FILE, OPTIONS_FILE, read_history

QUIET = 600.0
"""Seconds after which nothing more is expected of a run that writes nothing."""


class Short(NamedTuple):
    """A run that ended early.

    Attributes:
        folder: Its folder.
        steps: Steps done.
        at_work: Whether it may still be going on.
    """

    folder: Path
    steps: int
    at_work: bool


def steps_of(folder: Path) -> int:
    """Steps that a run has done: at its last report, or at a later checkpoint."""
    try:
        steps = read_history(folder)[-1]["step"]
    except UserError:  # no report yet, or a damaged file
        steps = 0
    names = [path.stem for path in (folder / CHECKPOINTS).glob("ckpt-*.index")]
    saved = [int(found[1]) for x in names if (found := re.fullmatch(r"ckpt-(\d+)", x))]
    return max([steps, *saved])


def short_runs(runs: Path, *, steps: int) -> list[Short]:
    """Runs that have done fewer steps, by name.

    Args:
        runs: Folder of run folders. What is in it beside them, and links, are left
            alone.
        steps: Steps of a run that is long enough.
    """
    found = []
    for folder in sorted(runs.iterdir()):
        is_run = all((folder / x).is_file() for x in (OPTIONS_FILE, MANIFEST_FILE))
        if folder.is_symlink() or not is_run or steps_of(folder) >= steps:
            continue
        times = [path.stat().st_mtime for path in (folder, *folder.rglob("*"))]
        young = time.time() - max(times) < QUIET
        found.append(Short(folder, steps_of(folder), young))
    return found


def clean(words: Sequence[str]) -> int:
    """``clean RUNS --steps N [--delete]``: lists, or deletes, runs that ended early.

    Args:
        words: The folder, and options.

    Raises:
        UserError: For a mistake in the options.
    """
    parser = Parser(
        prog="models_iic.py clean",
        description="Lists runs that ended before so many steps; deletes them only "
        "with --delete, and never one that was written to in the last ten minutes.",
    )
    parser.add_argument("runs", type=Path, help="folder of run folders, such as runs")
    parser.add_argument(
        "--steps", type=int, required=True, help="steps that are enough"
    )
    parser.add_argument("--delete", action="store_true", help="delete those listed")
    arguments = parser.parse_args(list(words))
    runs = arguments.runs
    require(runs.is_dir(), "clean needs a folder of run folders", runs=str(runs))
    require(arguments.steps >= 1, "--steps must be at least 1", steps=arguments.steps)
    found = short_runs(runs, steps=arguments.steps)
    deleted = 0
    for short in found:
        told = ""
        if arguments.delete and not short.at_work:
            with naming(short.folder):
                shutil.rmtree(short.folder)
            told, deleted = "  deleted", deleted + 1
        if short.at_work:
            told = "  written to a moment ago" + ", kept" * arguments.delete
        console.print(f"{escaped(str(short.folder))}  {short.steps:,} steps{told}")
    console.print(
        f"{len(found):,} runs of fewer than {arguments.steps:,} steps in "
        f"{escaped(str(runs))}"
        + (f", {deleted:,} deleted" if arguments.delete else "")
        + ("; --delete deletes them" if found and not arguments.delete else "")
    )
    return 0
