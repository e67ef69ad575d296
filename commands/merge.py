"""``merge``: joins clusters of a run, and renames them."""

import re
from collections.abc import Sequence
from pathlib import Path

from commands import program
from commands.name import images_of, places_given
from commands.parsing import Parser
from iic_tf.errors import require
from iic_tf.options import Options
from iic_tf.run_folder import find_run

DESCRIPTION = """Joins clusters of a finished run, as in merge RUN 3+7 2+5, and renames
them, as in --rename 3=cats; clusters of the same name are joined too. Others keep their
numbers. The results go to the folder named inside the run, as those of name do, and
take the place of those: named.csv (the joined cluster of every image), named.keras
(gives probabilities of the joined clusters, by summation), named_clusters.png and
clusters.csv. If the images have moved, say where they are with --data.folder,
--data.dir or --data.array."""


def merge(words: Sequence[str]) -> int:
    """``merge RUN [3+7 ...] [--rename 3=cats ...]``: joins and renames clusters.

    Args:
        words: The run, the clusters, and where the images are if they have moved.

    Raises:
        UserError: For a mistake in the options, the clusters or the data.
    """
    parser = Parser(prog=f"{program()} merge", description=DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="folder of a run, or latest")
    parser.add_argument(
        "groups", metavar="A+B", nargs="*", help="clusters to be joined, as in 3+7"
    )
    parser.add_argument(
        "--rename",
        metavar="A=NAME",
        nargs="+",
        action="extend",
        default=[],
        help="a new name of a cluster, or of all that it is joined with",
    )
    arguments, others = parser.parse_known_args(list(words))
    places_given(others, "merge takes one run, clusters such as 3+7, --rename")
    require(
        bool(arguments.groups or arguments.rename),
        "merge needs clusters to be joined, as in 3+7, or --rename 3=cats",
        words=list(words),
    )
    groups = []
    for group in arguments.groups:
        numbers = re.findall("[0-9]+", group)
        require(
            re.fullmatch(r"[0-9]+(\+[0-9]+)+", group) is not None
            and len(set(map(int, numbers))) == len(numbers),
            "merge takes different clusters joined by +, as in 3+7",
            clusters=group,
        )
        groups.append([int(number) for number in numbers])
    renamed: dict[int, str] = {}
    for change in arguments.rename:
        number, _, name = change.partition("=")
        require(
            re.fullmatch("[0-9]+", number) is not None and bool(name.strip()),
            "--rename takes a cluster and its name, as in 3=cats",
            rename=change,
        )
        require(
            renamed.get(int(number), name) == name,
            f"--rename must give cluster {int(number)} one name",
            names=[renamed.get(int(number)), name],
        )
        renamed[int(number)] = name
    folder = find_run(arguments.run, out=Path(Options().out), what="merge")
    loaded = images_of(folder, others, what="merge")
    from iic_tf.report.console import console
    from iic_tf.training.joining import join_groups, join_run

    given = join_groups(groups, renamed)
    place = join_run(folder, loaded.task, loaded.options, given)
    console.print(f"\nResults in {place}.")
    return 0
