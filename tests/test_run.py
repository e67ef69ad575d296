import numpy as np
import pytest
import tensorflow as tf

import graphs
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.options import (
    DataOptions,
    HeadOptions,
    Options,
    TrainOptions,
)
from iic_tf.resolved import resolve
from iic_tf.tasks.cluster import ClusterTask
from iic_tf.tasks.iic import start_steps
from iic_tf.training.run import FEWEST_STEPS, plan_steps


@pytest.mark.parametrize(
    ("minutes", "enough", "expected"),
    [(1e-6, 700, FEWEST_STEPS), pytest.param(1e6, 700, 700, marks=pytest.mark.long)],
)
def test_steps_are_planned_to_fit(views, minutes, enough, expected):
    given = Options(
        k=3,
        heads=HeadOptions(main=1, aux=1),
        data=DataOptions(batch=10, neighbours=5),
        train=TrainOptions(steps=enough),
    )
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
    split = Split(images)
    grouped = ClusterTask(Protocol(split, split, "all"), views, "here")
    steps, seconds = plan_steps(
        resolve(given),
        grouped,
        lambda: graphs.small((12, 12, 1), fan_out_init=2, kernel=3, stages=2),
        tf.distribute.OneDeviceStrategy("CPU:0"),
        minutes=minutes,
    )
    assert steps == expected and seconds > 0


@pytest.mark.parametrize(
    ("steps", "start", "expected"),
    [
        (800, 0.75, 600),
        (650, 0.25, 162),  # an eighth of the steps is 81
        (300, 0.75, 200),  # a whole number of the 50 between regroupings
        (60, 0.99, 50),
        (20, 0.75, 15),
        (800, 0.0, 0),
    ],
)
def test_the_start_ends_with_a_regrouping(steps, start, expected):
    options = resolve(Options(train=TrainOptions(start=start, steps=steps)))
    assert start_steps(options.train, steps=steps) == expected
