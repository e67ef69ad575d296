"""Console output of a run: a live line on a terminal or in a notebook, else lines."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
from iic_tf.report.notebook import Output

QUIET_SECONDS = 15
"""Where there is no live line, a plain one is printed after so many seconds."""

PATIENCE = 19
"""After so many seconds without a line one says what is going on."""


class _Console(Console):
    """A console that names cannot steer, and whose reader may leave.

    Attributes:
        closed: Whether the reader has left, as ``head`` does after some lines; what is
            printed then goes nowhere.
        said: When something was printed last, ``time.monotonic``.
    """

    closed = False
    said = 0.0

    def print(self, *objects: Any, **how: Any) -> None:
        """Prints; control codes in text, which names may hold, are written out."""
        shown = [escaped(o, keep="\n") if isinstance(o, str) else o for o in objects]
        super().print(*shown, **how)
        self.said = time.monotonic()

    def on_broken_pipe(self) -> None:
        """Lets the program go on, in silence."""
        self.closed = self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError, ValueError):  # standard output that is no file
            os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


console = _Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


@contextmanager
def attempted(plot: str) -> Iterator[None]:
    """Within it a plot is drawn; a failure is reported and ends nothing else.

    Args:
        plot: Its name.
    """
    try:
        yield
    except Exception as error:  # whatever it is, the run is worth more than a plot
        console.print(f"{plot} could not be drawn: {first_line(error)}")


def clock(seconds: float) -> str:
    """Seconds as "4:05" or "1:04:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


_works: list[object] = []
"""What is going on, the innermost last."""


@contextmanager
def at_work(what: str | Callable[[], str]) -> Iterator[None]:
    """Within it no ``PATIENCE`` seconds pass without a line; a live line is one, too.

    Args:
        what: What is being done, or a function that says how far it has got.
    """
    began, ended = time.monotonic(), threading.Event()
    if not _works:
        console.said = began

    def speak() -> None:
        while not ended.wait(max(console.said + PATIENCE - time.monotonic(), 0.5)):
            due = time.monotonic() - console.said >= PATIENCE
            if due and _works[-1:] == [ended]:
                words = what if isinstance(what, str) else what()
                with suppress(OSError, ValueError):  # the next print will tell
                    lasted = clock(time.monotonic() - began)
                    console.print(f"          still {words} ({lasted})")

    _works.append(ended)
    threading.Thread(target=speak, daemon=True).start()
    try:
        yield
    finally:
        _works.remove(ended)
        ended.set()


@contextmanager
def _alive() -> Iterator[None]:
    """Within it there is a live line, on a terminal or in a notebook."""
    if not (console.is_terminal or console.is_jupyter):
        yield
        return
    live = object()  # nothing else speaks
    _works.append(live)
    try:
        yield
    finally:
        _works.remove(live)
        console.said = time.monotonic()


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
        """The parts as text: "steps 3:21, reports 0:09"."""
        return ", ".join(f"{name} {clock(t)}" for name, t in self.seconds.items())


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress line for work that is counted; now and then a plain one in a pipe.

    Args:
        what: What is being done, as text.

    Yields:
        Function of the number done and the number in all.
    """
    columns = (
        *(TextColumn(what), BarColumn(), MofNCompleteColumn()),
        *(TimeElapsedColumn(), TimeRemainingColumn()),
    )
    progress = Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    )
    task, words = progress.add_task(what), what

    def update(done: int, of: int) -> None:
        nonlocal words
        words = f"{what}, {done:,} of {of:,}"
        progress.update(task, completed=done, total=of)

    with at_work(lambda: words), _alive(), progress:
        yield update


class Training:
    """The progress of training: a live line or, in a pipe, plain lines.

    Args:
        steps: Steps of the whole run.
        start: Steps done before.
        images_per_step: Image passes of one step, for the rate.
        state: Tells at a step how the run stands, in a few words.
        report_every: Steps between reports, which need no plain line beside theirs.
    """

    def __init__(
        self,
        *,
        steps: int,
        start: int,
        images_per_step: int,
        state: Callable[[int], str] = lambda step: "",
        report_every: int | None = None,
    ):
        self._steps = steps
        self._start = start
        self._images_per_step = images_per_step
        self._state = state
        self._report_every = report_every
        self._began = self._said = time.perf_counter()
        self._step = start
        self._live = ExitStack()
        self._notebook = Output() if console.is_jupyter and not console.quiet else None
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
        of = f"of {self._steps:,}"
        self._live.enter_context(at_work(lambda: f"training, step {self._step:,} {of}"))
        self._live.enter_context(_alive())
        self._live.enter_context(self._progress)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the live line."""
        self._live.close()

    def timing(self, step: int) -> tuple[str, str, str]:
        """Rate, elapsed and remaining time as text, at a step."""
        elapsed = time.perf_counter() - self._began
        done = max(step - self._start, 1)
        rate = done * self._images_per_step / elapsed
        left = elapsed / done * (self._steps - step)
        return f"{rate:,.0f} images/s", clock(elapsed), f"{clock(left)} left"

    def advance(self, step: int) -> None:
        """Shows that ``step`` steps are done."""
        self._step, now = step, time.perf_counter()
        live = console.is_terminal or self._notebook is not None
        every = self._report_every
        told = every is not None and (step % every == 0 or step == self._steps)
        due = not live and now - self._said > QUIET_SECONDS and not told
        if not (due or live):
            return
        (rate, _, left), state = self.timing(step), self._state(step)
        parts = (f"step {step:,} of {self._steps:,}", state, left, rate)
        words = "   ".join(part for part in parts if part)
        if self._notebook is not None:
            self._notebook.bar(step, self._steps, words)
        self._progress.update(
            self._task, completed=step, rate=rate, left=left, state=state
        )
        if due:
            self._said = now
            console.print(words)

    def report(self, step: int, sentences: Sequence[str]) -> None:
        """Prints a report above the live line."""
        rate, elapsed, left = self.timing(step)
        self._said = time.perf_counter()
        done, state = f"step {step:,} of {self._steps:,}", self._state(step)
        parts = (done, state, f"{elapsed} elapsed, {left}", rate)
        console.print("   ".join(part for part in parts if part), style="bold")
        for sentence in sentences:
            console.print(f"  {sentence}")
