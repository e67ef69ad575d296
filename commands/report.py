"""``report``: one page about a finished run, to look at, to name clusters, to send."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from commands import program, typed
from commands.evaluate import PLACES, check_places
from commands.loading import load, task_of
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

DESCRIPTION = """Writes report.html into the folder of a finished run: one file that can
be opened anywhere, without network. It says what was found and how sure it is, shows
typical and borderline images of each cluster, a map of the features, how overclusters
join, near-duplicates and outliers (also in duplicates.csv and outliers.csv), and scores
where there are labels. Clusters can be named and merged in it. If the images have
moved, say where they are with --data.folder, --data.dir or --data.array."""


def report(words: Sequence[str]) -> int:
    """``report RUN``: writes a page about a run.

    Args:
        words: The run, and where the images are if they have moved.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    parser = Parser(prog=f"{program()} report", description=DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="folder of a run, or latest")
    arguments, others = parser.parse_known_args(list(words))
    known = {f"--data.{place}" for place in (*PLACES, "labels", "masks")}
    given = [word for word in others if word.startswith("-")]
    unknown = [word for word in given if word.partition("=")[0] not in known]
    require(
        not unknown and others[:1] == given[:1],
        "report takes one run and where its images are",
        words=unknown or others,
    )
    folder = find_run(arguments.run, out=Path(Options().out), what="report")
    stored = read_options(folder / OPTIONS_FILE)
    if any(word.partition("=")[0].removeprefix("--data.") in PLACES for word in given):
        stored["data"] = (stored.get("data") or {}) | dict.fromkeys(PLACES)
    options = parse_words(others, over=stored)
    check_places(options.data)
    kind = task_of(options)
    require(
        kind in ("cluster", "segment") and options.method == "iic",
        "report needs a run with a network that clusters or segments images",
        task=kind,
        method=options.method,
    )
    check_backend()
    with quiet_start():
        from iic_tf.report.console import at_work, console
        from iic_tf.training.checkpoints import fingerprint
        from iic_tf.training.page import Told, report_run

    loaded = load(options, train=False)
    data = loaded.task.data
    places = [getattr(options.data, place) for place in PLACES]
    images = next((str(place) for place in places if place), data.origin)
    if fingerprint(data.material) != read_manifest(folder)["data_fingerprint"]:
        console.print("          not the set of images that the run was trained on")
        images += ", not the set of images that the run was trained on"
    told = Told(
        images,
        f"{typed()} {shlex.join(['--config', str(folder / OPTIONS_FILE)])} --name NEW",
        f"{typed()} {shlex.join(['name', arguments.run, '--names', 'names.json'])}",
    )
    with at_work("putting the report together"):
        page = report_run(folder, loaded.task, loaded.options, told)
    size = page.stat().st_size / 1e6
    console.print(f"\nThe report is {page} ({size:.1f} MB); open it in a browser.")
    return 0
