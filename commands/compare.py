"""``compare``: a table and a plot of stored runs."""

from collections.abc import Sequence
from pathlib import Path

from commands import program
from commands.parsing import Parser
from commands.starting import quiet_start
from iic_tf.errors import require
from iic_tf.options import Options
from iic_tf.run_folder import SUMMARY_FILE, find_run


def compare(words: Sequence[str]) -> int:
    """``compare RUN RUN ... [--plot FILE]``: a table and a plot of stored runs.

    Args:
        words: Runs.

    Raises:
        UserError: For a mistake in the options.
    """
    parser = Parser(
        prog=f"{program()} compare",
        description="Prints a table of stored runs and plots their learning curves.",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument(
        "--plot", type=Path, help="PNG file to write; default: comparison.png"
    )
    arguments, unknown = parser.parse_known_args(list(words))
    require(not unknown, "compare takes only runs and --plot FILE", words=unknown)
    require(bool(arguments.runs), "compare needs at least one run", runs=arguments.runs)
    folders = [
        find_run(run, out=Path(Options().out), what="compare") for run in arguments.runs
    ]
    with quiet_start():
        from iic_tf.report.console import console
        from iic_tf.training import stored
        from iic_tf.training.seeds import seed_lines, seed_results

    stored.compare(folders, plot=arguments.plot or folders[0].parent / "comparison.png")
    finished = [folder for folder in folders if (folder / SUMMARY_FILE).is_file()]
    if len(finished) > 1:
        results = seed_results(finished)
        if any(result.ari is not None for result in results):
            console.print("\n" + "\n".join(seed_lines(results)))
    return 0
