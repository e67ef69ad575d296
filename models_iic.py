"""Clusters images without labels: ``python models_iic.py`` trains and evaluates.

Parses, dispatches to ``commands`` and turns errors into exit statuses. TensorFlow is
imported after the command line is parsed, so that ``--help`` and errors are immediate.
"""

import errno
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from commands import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    program,
)
from commands.choose import choose_k
from commands.clean import clean
from commands.compare import compare
from commands.evaluate import evaluate, predict
from commands.export import export
from commands.from_pytorch import import_pytorch
from commands.merge import merge
from commands.name import name
from commands.parsing import parse
from commands.prepare import curate, mosaic, prepare, prepare_potsdam
from commands.report import report
from commands.train import run
from iic_tf.errors import RunError, UserError, failure_words, require, shortened
from iic_tf.names import escaped
from iic_tf.report.console import at_work


def __getattr__(name: str) -> Any:
    """Lets one import ClusterIIC from here, at no cost to the command line."""
    if name == "ClusterIIC":
        from iic_tf.models.networks import ClusterIIC

        return ClusterIIC
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


COMMANDS = {
    "mosaic": mosaic,
    "evaluate": evaluate,
    "import-pytorch": import_pytorch,
    "predict": predict,
    "compare": compare,
    "name": name,
    "merge": merge,
    "export": export,
    "report": report,
    "choose-k": choose_k,
    "clean": clean,
    "prepare": prepare,
    "prepare-potsdam": prepare_potsdam,
    "curate": curate,
}


class _ToldToEnd(BaseException):
    """SIGTERM has come."""


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Within it SIGTERM raises ``_ToldToEnd``; training handles it in its own way."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise _ToldToEnd

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # only the main thread may
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command line; mistakes become one sentence and an exit status.

    Args:
        words: Words of the command line; those of the process if None.

    Returns:
        0; 1 if training broke down, memory was too small or a file could not be used;
        2 for a mistake in options or data; 3 if the result is degenerate; 130 if
        stopped, 143 if told to end outside of training.
    """
    words, name = sys.argv[1:] if words is None else words, program()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a terminal cannot show becomes "?"
            stream.reconfigure(errors="replace")
    try:
        with _told_to_end(), at_work("working"):
            if words and words[0] in COMMANDS:
                return COMMANDS[words[0]](words[1:])
            require(
                not words or words[0].startswith("-"),
                f"the first word must be an option or one of {', '.join(COMMANDS)}",
                word=words[0] if words else None,
            )
            return run(parse(words))
    except UserError as error:
        told = shortened(escaped(str(error)))
        print(f"{name}: error: {told}", file=sys.stderr)
        return EXIT_USAGE
    except (ArithmeticError, RunError) as error:
        print(f"{name}: {shortened(escaped(str(error)))}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except _ToldToEnd:
        print(
            f"{name}: terminated (SIGTERM); if training had begun, --resume "
            "continues the run",
            file=sys.stderr,
        )
        return EXIT_TERMINATED
    except Exception as error:  # a full disk, too little memory
        if (failure := failure_words(error)) is None:
            raise
        mistake = getattr(error, "errno", None) == errno.ENAMETOOLONG
        told = f"{name}: {'error: ' * mistake}{shortened(escaped(failure))}"
        print(told, file=sys.stderr)
        return EXIT_USAGE if mistake else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
