"""Errors that users see: their mistakes, too little memory, a full disk.

This module imports neither TensorFlow nor NumPy; TensorFlow's errors are recognised by
name.
"""

import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(ValueError):
    """A mistake of the user: one sentence naming the parameter and what was received.

    The command line prints the sentence without a traceback and exits with status 2.

    Examples:
        >>> from iic_tf import UserError
        >>> from iic_tf.options import TrainOptions
        >>> try:
        ...     TrainOptions(steps=0)
        ... except UserError as error:
        ...     print(error)
        train.steps must be at least 1. Received: steps=0
    """


def require(condition: bool, expected: str, **received: object) -> None:
    """Raises a ``UserError`` unless ``condition`` holds.

    Args:
        condition: What must be true.
        expected: A sentence without full stop that names the parameter and says what
            it must be.
        **received: The offending values by name.

    Raises:
        UserError: "<expected>. Received: name=value".
    """
    if not condition:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise UserError(f"{expected}. Received: {values}")


NEAR = 5
"""Names that are proposed for one that is unknown."""

MOST_LISTED = 40
"""Names that are listed at most."""


def require_known(known: Iterable[str], expected: str, **received: str) -> None:
    """Raises a ``UserError`` that proposes similar names unless a name is known.

    Args:
        known: All names there are.
        expected: A sentence without full stop that says what names there are.
        **received: The name that was given, by the name of its option.

    Raises:
        UserError: "<expected>, such as …. Received: name=value", with those that are
            most like it; where none is, with all unless there are too many.
    """
    names = list(known)
    [given] = received.values()
    if given in names:
        return
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(given.lower(), lowered, n=NEAR, cutoff=0.5)
    told = f": {', '.join(names)}" * (len(names) <= MOST_LISTED)
    if near:
        told = f", such as {', '.join(lowered[name] for name in near)}"
    require(False, f"{expected}{told}", **received)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


LOWER = "a lower data.batch or heads.k_aux or a smaller network (graph.args) needs less"


class RunError(RuntimeError):
    """A run that cannot go on: one sentence that says why and what is kept.

    The command line prints the sentence without a traceback and exits with status 1.
    """


def _is_of_tensorflow(error: BaseException) -> bool:
    return type(error).__module__ == "tensorflow.python.framework.errors_impl"


NOISE = re.compile(r"\{\{function_node .*?\}\} | ?\[Op:\w+\]")
"""What TensorFlow's messages say of its own insides."""

LONGEST_WORD = 300
"""Paths and values of more letters are shown by their two ends."""


def shortened(sentence: str) -> str:
    """A sentence in which no path or value fills the screen."""
    return re.sub(
        rf"\S{{{LONGEST_WORD + 1},}}",
        lambda word: f"{word[0][:150]}[...]{word[0][-100:]}",
        sentence,
    )


def _reason(error: BaseException) -> str:
    return NOISE.sub("", first_line(error))


def failure_words(error: BaseException) -> str | None:
    """A failure of the machine in one sentence without full stop.

    Args:
        error: Whatever was raised.

    Returns:
        What happened and what helps, naming the file where there is one; None if the
        error is of another kind.
    """
    told, kind = _reason(error), type(error).__name__
    if isinstance(error, OSError):
        reason = error.strerror or told
        return f"{error.filename}: {reason}" if error.filename else reason
    if isinstance(error, MemoryError):
        return f"not enough memory ({told}); {LOWER}"
    if not _is_of_tensorflow(error):
        return None
    if kind == "ResourceExhaustedError" and ("space" in told or "large" in told):
        return f"a file cannot be written: {told}"
    if kind == "ResourceExhaustedError" or "out of memory" in told.lower():
        return f"not enough memory ({told}); {LOWER}"
    if kind in ("OutOfRangeError", "DataLossError"):
        return f"a file cannot be read or written: {told}"
    return None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within it an error of the file system names the file that could not be written.

    Args:
        path: What is being written.

    Raises:
        OSError: For whatever the libraries raise that write files.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError):
            number, reason = error.errno or errno.EIO, error.strerror
        elif _is_of_tensorflow(error):
            full = "No space left" in str(error)
            number = errno.ENOSPC if full else errno.EIO
            reason = os.strerror(number) if full else _reason(error)
        else:
            raise
        raise OSError(number, reason or _reason(error), str(path)) from error
