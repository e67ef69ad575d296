"""Sorts the files of images into a folder for each cluster that a run tells of them."""

import csv
from pathlib import Path
from typing import Any

from iic_tf.errors import UserError
from iic_tf.names import cell_text
from iic_tf.report.console import console
from iic_tf.report.sorted_files import sort_files
from iic_tf.resolved import RunOptions
from iic_tf.run_folder import ASSIGNMENTS_FILE
from iic_tf.training.naming import read_naming
from iic_tf.training.stored import load_model

UNSURE = "unsure"
"""Folder of images that are unsure."""


def groups_of(
    folder: Path,
    task: Any,
    options: RunOptions,
    results: Path,
    *,
    unsure: bool = False,
) -> list[str]:
    """What the cluster, or the class, of each image is called.

    Args:
        folder: The run; its clusters may have names.
        task: With the images.
        options: Of the evaluation.
        results: Folder with the assignments of these images.
        unsure: Whether those that are unsure are a group of their own.

    Examples:
        >>> from pathlib import Path
        >>> import utils
        >>> from iic_tf.training.sorting import groups_of
        >>> folder = Path("runs/first")  # a finished run of 240 digits
        >>> run = utils.load(folder)
        >>> groups = groups_of(folder, utils.images_of(run), run.options, folder)
        Images:   240, from npz file ...
        >>> len(groups), set(groups) <= set("0123456789")
        (240, True)
    """
    with (results / ASSIGNMENTS_FILE).open(
        encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        rows = list(csv.DictReader(file))
    groups = _groups(folder, task, options, rows)
    if not unsure:
        return groups
    told = [row.get("unsure") == "yes" for row in rows]
    return [UNSURE if no else x for x, no in zip(groups, told, strict=True)]


def _groups(
    folder: Path, task: Any, options: RunOptions, rows: list[dict[str, str]]
) -> list[str]:
    """The same, given the rows of the assignments."""
    stored = read_naming(folder)
    if stored is not None:
        bank = stored.naming.bank
        heads = {bank: stored.head}
        soft = task.assignments(load_model(folder), options, heads=heads)
        return stored.of_images(soft[bank])
    column = "predicted" if options.task in ("classify", "finetune") else "cluster"
    return [cell_text(row[column]) for row in rows]


def sort_images(
    folder: Path,
    task: Any,
    options: RunOptions,
    results: Path,
    into: Path,
    *,
    copy: bool,
    unsure: bool = False,
) -> None:
    """Links or copies images of a folder into one folder per cluster.

    Args:
        folder: See ``groups_of``.
        task: See there.
        options: See there; ``data.folder`` is where the images are.
        results: See there.
        into: A new or an empty folder.
        copy: Whether files are copied.
        unsure: See ``groups_of``.

    Raises:
        UserError: If the images are no files, or no links can be made.
    """
    paths, place = task.protocol.evaluate.paths, options.data.folder
    if paths is None or place is None:
        raise UserError(
            f"only images that are files can be sorted. Received: folder={place!r}"
        )
    groups = groups_of(folder, task, options, results, unsure=unsure)
    root = Path(place).expanduser()
    number = sort_files(into, root, paths, groups, copy=copy)
    kind = "copies" if copy else "links"
    folders = "folder" if number == 1 else "folders"
    console.print(f"Sorted:   {len(groups):,} {kind} in {number} {folders} of {into}")
