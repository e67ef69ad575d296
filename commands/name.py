"""``name``: gives the clusters of a run names, from labels of a few of its images."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from commands import program, typed
from commands.evaluate import PLACES, check_places
from commands.loading import Loaded, load, task_of
from commands.parsing import Parser, parse_words
from commands.starting import check_backend, quiet_start
from iic_tf.errors import require
from iic_tf.options import Options
from iic_tf.run_folder import (
    OPTIONS_FILE,
    find_run,
    read_manifest,
    read_options,
)

DESCRIPTION = """Names the clusters of a finished run from labels of a few of its
images, and proposes which images to label next. The results go to the folder named
inside the run: named.csv (the class of every image), named.keras (gives probabilities
of classes), named_clusters.png, clusters.csv, label_next.csv and label_next.png. With
--names clusters have the names that a file gives them, and nothing is proposed. If the
images have moved, say where they are with --data.folder, --data.dir or --data.array."""


def name(words: Sequence[str]) -> int:
    """``name RUN [--labels FILE ...]``: names the clusters of a run.

    Args:
        words: The run, files of labels, and where the images are if they have moved.

    Raises:
        UserError: For a mistake in the options, the labels or the data.
    """
    parser = Parser(prog=f"{program()} name", description=DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="folder of a run, or latest")
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="CSV files with a header: the first column is the path of an image or its "
        "number, as in assignments.csv, the second its class. Without labels only "
        "images to label are proposed",
    )
    parser.add_argument(
        "--overclusters",
        action=argparse.BooleanOptionalAction,
        help="whether to name the overclusters of the best auxiliary sub-head, any "
        "number of them after the same class, instead of the clusters. Default: where "
        "labels are plenty and more images can be expected to be named correctly",
    )
    parser.add_argument(
        "--names",
        metavar="FILE",
        type=Path,
        help="instead of labels, names for clusters: a JSON file such as "
        '{"clusters": {"0": "cats", "3": "cats", "7": "dogs"}}. Clusters of the same '
        "name are joined; those without one keep their number",
    )
    arguments, others = parser.parse_known_args(list(words))
    places_given(others, "name takes one run, --labels, --names, --overclusters")
    folder = find_run(arguments.run, out=Path(Options().out), what="name")
    if arguments.names is not None:
        require(
            not arguments.labels and arguments.overclusters is None,
            "--names is used without --labels and --overclusters",
            names=str(arguments.names),
        )
        return _name_as_given(folder, arguments.names, others)
    from iic_tf.datasets.label_table import read_label_table

    tables = [read_label_table(path) for path in arguments.labels]
    loaded = images_of(folder, others, what="name")
    from iic_tf.report.console import console
    from iic_tf.training.naming import name_run

    table = name_run(
        folder,
        loaded.task,
        loaded.options,
        tables,
        overclusters=arguments.overclusters,
    )
    console.print(f"\nResults in {table.parent}. {_next_step(arguments, table)}")
    return 0


def _name_as_given(folder: Path, file: Path, others: Sequence[str]) -> int:
    """Names the clusters of a run as a file says.

    Args:
        folder: The run.
        file: Of names.
        others: See ``images_of``.
    """
    with quiet_start():
        from iic_tf.report.console import console
        from iic_tf.training.joining import join_run, read_names

    given = read_names(file)
    loaded = images_of(folder, others, what="name")
    place = join_run(folder, loaded.task, loaded.options, given)
    console.print(f"\nResults in {place}.")
    return 0


def places_given(others: Sequence[str], takes: str) -> None:
    """Raises UserError unless further words say where images are.

    Args:
        others: What is left of the command line.
        takes: What the command takes beside them, as text.
    """
    known = {f"--data.{place}" for place in PLACES}
    options_given = [word for word in others if word.startswith("-")]
    unknown = [w for w in options_given if w.partition("=")[0] not in known]
    require(
        not unknown and list(others[:1]) == options_given[:1],
        f"{takes} and where the images are",
        words=unknown or list(others),
    )


def images_of(folder: Path, others: Sequence[str], *, what: str) -> Loaded:
    """The images of a run that clusters whole images, where they are now.

    Args:
        folder: The run.
        others: Words that say where they are, if they have moved.
        what: The command, for sentences.

    Raises:
        UserError: If they are not there, or the run does not cluster whole images.
    """
    stored = read_options(folder / OPTIONS_FILE)
    stored["data"] = (stored.get("data") or {}) | {"labels": None}
    if others:
        stored["data"] |= dict.fromkeys(PLACES)
    options = parse_words(others, over=stored)
    check_places(options.data)
    check_backend()
    with quiet_start():
        from iic_tf.report.console import console
        from iic_tf.training.checkpoints import fingerprint

    kind = task_of(options)
    require(
        kind == "cluster",
        f"{what} needs a run that clusters whole images",
        task=kind,
    )
    loaded = load(options, train=False)
    material = loaded.task.data.material
    if fingerprint(material) != read_manifest(folder)["data_fingerprint"]:
        console.print("          not the set of images that the run was trained on")
    return loaded


def _next_step(arguments: argparse.Namespace, table: Path) -> str:
    """How to go on with the proposals, as sentences with a command."""
    files = [str(path) for path in arguments.labels if path != table]
    command = shlex.join(["name", arguments.run, "--labels", *files, str(table)])
    return (
        f"Fill in the classes in {table.name} (label_next.png shows the images; leave "
        f"out what you cannot tell), then: {typed()} {command}"
    )
