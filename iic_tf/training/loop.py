"""The outer loop: calls the inner loop, and decides when reports and saves happen.

The loop knows nothing of scores, images or files: whatever happens every so often is
a callable. It stops cleanly when it is told to, after the call in flight.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from iic_tf.training.checkpoints import History
from iic_tf.training.trainer import Trainer


class Stop:
    """Whether a run is told to stop.

    Attributes:
        received: Whether it is.
        finished: Whether it has nothing left to gain, and ends as after its last step.
    """

    received = False
    finished = False


@dataclass(frozen=True)
class Event:
    """Something that happens every so often.

    Attributes:
        every: Steps between two occurrences, at multiples of this number.
        call: Called with the step.
        at_end: Whether it also happens after the last step.
        at_stop: Whether it also happens when the run is told to stop.
    """

    every: int
    call: Callable[[int], None]
    at_end: bool = False
    at_stop: bool = False


def next_stop(step: int, *, steps: int, every: Iterable[int]) -> int:
    """The next step at which something is due: a multiple of ``every``, or the end."""
    return min(steps, *((step // n + 1) * n for n in every))


def train_loop(
    trainer: Trainer,
    iterator: Iterator,
    history: History,
    *,
    steps: int,
    steps_per_call: int,
    events: Sequence[Event],
    on_call: Callable[[int], None],
    stop: Stop,
) -> None:
    """Trains to the last step, or until told to stop.

    Calls are cut at multiples of ``steps_per_call`` and of every event, so a resumed
    run makes the very calls of an uninterrupted one.

    Args:
        trainer: The inner loop; its step tells where to start.
        iterator: Iterator over the training batches from that step on.
        history: Receives the results of every call.
        steps: Steps of the whole run.
        steps_per_call: Steps in one call of the inner loop.
        events: What happens every so often, in the order in which it happens.
        on_call: Called after every call with the step.
        stop: Says when to stop.

    Raises:
        NonFiniteLoss: If a loss or the gradient is NaN or infinite; no event happens.
    """
    every = [steps_per_call, *(event.every for event in events)]
    step = int(trainer.step.numpy())
    before, started = history.seconds, time.perf_counter()
    while step < steps and not (stop.received or stop.finished):
        until = next_stop(step, steps=steps, every=every)
        results = trainer.run(iterator, until - step)
        history.seconds = before + time.perf_counter() - started
        history.add(results, steps=until - step)
        step = until
        on_call(step)
        for event in events:
            if (
                step % event.every == 0
                or (event.at_end and (step == steps or stop.finished))
                or (event.at_stop and stop.received)
            ):
                event.call(step)
