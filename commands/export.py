"""``export``: a run becomes a model that takes images and needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from commands import program
from commands.loading import task_of, views_of
from commands.parsing import Parser, parse_words
from commands.starting import check_backend, quiet_start
from iic_tf.errors import require
from iic_tf.options import Options
from iic_tf.run_folder import (
    OPTIONS_FILE,
    find_run,
    free_folder,
    read_manifest,
    read_options,
    require_new,
)

DESCRIPTION = """Writes a model of a finished run that has everything inside: cropping
and resizing, the network, and the chosen sub-head with the names of its clusters, if
they have some. It takes uint8 images of any height and width, or vectors or series,
and gives probabilities. The images of the run are not needed."""

FORMATS = ("keras", "savedmodel", "onnx")


def export(words: Sequence[str]) -> int:
    """``export RUN [--to FOLDER] [--format FORMAT ...]``: writes a model of a run.

    Args:
        words: The run, where to, and in which formats.

    Raises:
        UserError: For a mistake in the options, or a run that cannot be exported.
    """
    parser = Parser(prog=f"{program()} export", description=DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="folder of a run, or latest")
    parser.add_argument(
        "--to",
        metavar="FOLDER",
        type=Path,
        help="a new or an empty folder. Default: export-1, export-2 and so on, inside "
        "the run",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        nargs="+",
        default=["keras", "savedmodel"],
        help="keras needs this package to be loaded, savedmodel only TensorFlow, onnx "
        "any of its runtimes (and to be written the package tf2onnx). Default: keras "
        "savedmodel",
    )
    parser.add_argument(
        "--numbers",
        action="store_true",
        help="call clusters by their numbers even if they have names",
    )
    arguments = parser.parse_args(list(words))
    folder = find_run(arguments.run, out=Path(Options().out), what="export")
    into = arguments.to or free_folder(folder, prefix="export")
    require_new(into, "--to")
    facts = read_manifest(folder)
    options = parse_words([], over=read_options(folder / OPTIONS_FILE))
    check_backend()
    with quiet_start():
        from iic_tf.training.export import export_run

        kind = task_of(options)
    require(
        kind not in ("segment", "autoencode"),
        "export needs a run that tells a cluster or a class of each image: a network "
        "that segments is applied in tiles by predict, and an autoencoder tells none",
        task=kind,
    )
    shape = facts["data_shape"][1:]
    export_run(
        folder,
        views_of(options, shape),
        shape=shape,
        formats=arguments.format,
        into=into,
        shown=options.data.range,
        named=not arguments.numbers,
    )
    return 0
