import os
import signal
import time

import numpy as np
import pytest

from commands.signals import StopSignal
from iic_tf.training.checkpoints import History
from iic_tf.training.loop import Event, Stop, next_stop, train_loop


class Steps:
    """Stands where the Trainer stands, and counts."""

    class Counter:
        value = 0

        def numpy(self):
            return self.value

    def __init__(self, start=0):
        self.step = self.Counter()
        self.step.value = start
        self.calls = []

    def run(self, iterator, num_steps):
        self.calls.append((self.step.value, num_steps))
        self.step.value += num_steps
        return {"main_loss": np.zeros(1)}


def run(trainer, stop=None):
    happened = []

    def note(kind):
        return lambda step: happened.append((kind, step))

    train_loop(
        trainer,
        iter(()),
        History(),
        steps=100,
        steps_per_call=10,
        events=[
            Event(45, note("reseed")),
            Event(25, note("report"), at_end=True),
            Event(40, note("save"), at_end=True, at_stop=True),
        ],
        on_call=lambda step: None,
        stop=stop or Stop(),
    )
    return trainer.step.value == 100, happened


def test_reports_and_checkpoints_come_when_they_are_due():
    done, events = run(Steps())
    assert done
    assert [s for kind, s in events if kind == "report"] == [25, 50, 75, 100]
    assert [s for kind, s in events if kind == "save"] == [40, 80, 100]
    assert [s for kind, s in events if kind == "reseed"] == [45, 90]
    assert events[-2:] == [("report", 100), ("save", 100)]


@pytest.mark.parametrize("start", [10, 25, 40, 70])
def test_a_resumed_run_makes_the_same_calls(start):
    whole, resumed = Steps(), Steps(start)
    run(whole)
    run(resumed)
    assert resumed.calls == [call for call in whole.calls if call[0] >= start]


def test_a_run_that_is_finished_ends_as_after_its_last_step():
    trainer, stop, happened = Steps(), Stop(), []

    def report(step):
        happened.append(("report", step))
        stop.finished = step == 50

    events = [
        Event(25, report, at_end=True),
        Event(40, lambda step: happened.append(("save", step)), at_end=True),
    ]
    how = {"steps": 100, "steps_per_call": 10, "on_call": lambda step: None}
    train_loop(trainer, iter(()), History(), events=events, stop=stop, **how)
    assert happened == [("report", 25), ("save", 40), ("report", 50), ("save", 50)]


def test_next_stop():
    assert next_stop(0, steps=100, every=(10, 25)) == 10
    assert next_stop(20, steps=100, every=(10, 25)) == 25
    assert next_stop(95, steps=97, every=(10, 25)) == 97


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_a_checkpoint(number):
    class Interrupted(Steps):
        def run(self, iterator, num_steps):
            if self.step.value == 10:
                os.kill(os.getpid(), number)
                time.sleep(0.01)
            return super().run(iterator, num_steps)

    before = signal.getsignal(number)
    with StopSignal() as stop:
        done, events = run(Interrupted(), stop=stop)
    assert not done
    assert events == [("save", 20)]
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_interrupts_at_once():
    with pytest.raises(KeyboardInterrupt), StopSignal():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
