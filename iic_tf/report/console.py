"""What a person sees while a run goes on: a progress line, or plain lines in a pipe."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from iic_tf.errors import first_line
from iic_tf.names import escaped

QUIET_SECONDS = 20
"""Where there is no live line, a plain one is printed after so many seconds."""


class _Console(Console):
    """A console that names cannot steer, and whose reader may leave.

    Attributes:
        closed: Whether the reader has left, as ``head`` does after some lines; what is
            printed then goes nowhere.
    """

    closed = False

    def print(self, *objects: Any, **how: Any) -> None:
        """Prints; control codes in text, which names may hold, are written out."""
        shown = [escaped(o, keep="\n") if isinstance(o, str) else o for o in objects]
        super().print(*shown, **how)

    def on_broken_pipe(self) -> None:
        """Lets the program go on, in silence."""
        self.closed = self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError, ValueError):  # standard output that is no file
            os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


console = _Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


@contextmanager
def attempted(picture: str) -> Iterator[None]:
    """Within it a picture is drawn; if that fails a sentence says so, and no more.

    Args:
        picture: Its name.
    """
    try:
        yield
    except Exception as error:  # whatever it is, the run is worth more than a picture
        console.print(f"{picture} could not be drawn: {first_line(error)}")


def clock(seconds: float) -> str:
    """Seconds as "4:05" or "1:04:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Stopwatch:
    """Seconds spent by name; what is timed within something else counts only there.

    Attributes:
        seconds: So far, in the order in which names came up.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._within: list[float] = []

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Times a block; called on a function, all its calls.

        Args:
            name: What the time goes into.
        """
        self.seconds.setdefault(name, 0.0)
        self._within.append(0.0)
        began = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - began
            self.seconds[name] += elapsed - self._within.pop()
            if self._within:
                self._within[-1] += elapsed

    def __str__(self) -> str:
        """The parts in words: "steps 3:21, reports 0:09"."""
        return ", ".join(f"{name} {clock(t)}" for name, t in self.seconds.items())


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress line for work that is counted, on a terminal.

    Args:
        what: What is being done, in words.

    Yields:
        Function of the number done and the number in all.
    """
    columns = (
        *(TextColumn(what), BarColumn(), MofNCompleteColumn()),
        *(TimeElapsedColumn(), TimeRemainingColumn()),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(what)
        yield lambda done, of: progress.update(task, completed=done, total=of)


class Training:
    """The progress of training: a live line on a terminal, plain lines elsewhere.

    Args:
        steps: Steps of the whole run.
        start: Steps done before.
        images_per_step: Image passes of one step, for the rate.
        state: Tells at a step how the run stands, in a few words.
    """

    def __init__(
        self,
        *,
        steps: int,
        start: int,
        images_per_step: int,
        state: Callable[[int], str] = lambda step: "",
    ):
        self._steps = steps
        self._start = start
        self._images_per_step = images_per_step
        self._state = state
        self._began = self._said = time.perf_counter()
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps  {task.fields[state]}  {task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(
            "training", total=steps, completed=start, rate="", left="", state=""
        )

    def __enter__(self) -> "Training":
        """Starts the live line."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the live line."""
        self._progress.stop()

    def timing(self, step: int) -> tuple[str, str, str]:
        """Rate, elapsed and remaining time in words, at a step."""
        elapsed = time.perf_counter() - self._began
        done = max(step - self._start, 1)
        rate = done * self._images_per_step / elapsed
        left = elapsed / done * (self._steps - step)
        return f"{rate:,.0f} images/s", clock(elapsed), f"{clock(left)} left"

    def advance(self, step: int) -> None:
        """Shows that ``step`` steps are done."""
        now = time.perf_counter()
        due = not console.is_terminal and now - self._said > QUIET_SECONDS
        if not (due or console.is_terminal):
            return
        (rate, _, left), state = self.timing(step), self._state(step)
        self._progress.update(
            self._task, completed=step, rate=rate, left=left, state=state
        )
        if due:
            self._said = now
            parts = (f"step {step:,} of {self._steps:,}", state, left, rate)
            console.print("   ".join(part for part in parts if part))

    def report(self, step: int, sentences: Sequence[str]) -> None:
        """Prints a report above the live line."""
        rate, elapsed, left = self.timing(step)
        self._said = time.perf_counter()
        done, state = f"step {step:,} of {self._steps:,}", self._state(step)
        parts = (done, state, f"{elapsed} elapsed, {left}", rate)
        console.print("   ".join(part for part in parts if part), style="bold")
        for sentence in sentences:
            console.print(f"  {sentence}")
