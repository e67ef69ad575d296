"""Ctrl-C and SIGTERM: a flag while a run trains, the end of the program otherwise."""

import signal
from contextlib import AbstractContextManager
from types import FrameType

from iic_tf.training.loop import Stop


class StopSignal(Stop, AbstractContextManager):
    """Turns the first Ctrl-C or SIGTERM into a flag; a second Ctrl-C interrupts.

    Attributes:
        received: Whether a signal has come.
    """

    def __init__(self) -> None:
        self.received = False
        self._previous: dict = {}

    def __enter__(self) -> "StopSignal":
        """Installs the handlers; only the main thread may."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = True

    def __exit__(self, *exception: object) -> None:
        """Puts the old handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
