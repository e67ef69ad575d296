import numpy as np
import pytest

import graphs
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.errors import UserError
from iic_tf.models.networks import ClusterIIC
from iic_tf.neighbours.nearest import find_neighbours
from iic_tf.options import (
    DataOptions,
    Options,
    ReportOptions,
    TrainOptions,
)
from iic_tf.resolved import resolve
from iic_tf.tasks.cluster import ClusterTask
from iic_tf.training.run import _plan


def task(views, *, number=40, main=None, labels=None):
    images = np.zeros((number, 28, 28, 1), np.uint8)
    split = Split(images, labels)
    return ClusterTask(Protocol(split, split, "all", main=main), views, "here")


def options(*order, **report):
    return resolve(
        Options(
            k=3,
            data=DataOptions(batch=4),
            train=TrainOptions(steps=20, order=list(order)),
            report=ReportOptions(**report),
        )
    )


def test_main_heads_alone_see_their_own_images(views):
    main = np.array([0, 5, 6, 7, 8, 9, 10, 39])
    some, images = options("aux", "main", "main+aux"), task(views, main=main)
    passes = _plan(some, images, replicas=1).passes
    subsets = images._subsets(some)
    assert subsets[0] is None and subsets[2] is None
    np.testing.assert_array_equal(subsets[1], main)
    assert passes.sizes == (40, 8, 40)
    assert np.bincount(passes.number).tolist() == [10, 2, 8]
    assert passes.done(10) == 1 and passes.done(11) == 1.5 and passes.done(13) == 2.1


def test_without_neighbours_there_is_no_start(views):
    split = Split(np.zeros((4, 28, 28, 1), np.uint8))
    grouped = ClusterTask(Protocol(split, split, "all"), views, "here")
    for neighbours, expected in ((5, 200), (0, 0)):
        asked = Options(
            k=3,
            data=DataOptions(neighbours=neighbours, batch=2),
            train=TrainOptions(start=0.25, steps=800),
        )
        options = resolve(asked)
        goal = grouped.objective(options, grouped.plan(options).passes)
        assert goal.scheduled["start"].sum() == expected


def test_options_that_clash_with_the_images(views):
    for some, replicas, message in (
        (options("main"), 3, "must be divisible by the number of devices, 3"),
        (options("main", choose="label"), 1, "needs images with labels"),
    ):
        with pytest.raises(UserError, match=message):
            _plan(some, task(views), replicas=replicas)
    with pytest.raises(UserError, match="k must be at most the number of images, 2"):
        _plan(options("main"), task(views, number=2), replicas=1)


@pytest.mark.long
@pytest.mark.parametrize("tracked", [True, False])
def test_a_network_without_running_statistics_is_evaluated_in_batches_of_pairs(
    views, tracked
):
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), np.uint8)
    split = Split(images, np.arange(20) % 3)
    grouped = ClusterTask(Protocol(split, split, "all"), views, "here")
    some = resolve(Options(k=3, data=DataOptions(batch=4, repeats=2)))
    backbone = graphs.network_6c((12, 12, 1), tracked=tracked)
    model = ClusterIIC.create(backbone, k=3, k_aux=6, num_main=2, num_aux=0)
    seen = views.evaluate(images / np.float32(255), (0, 0))
    parts = [seen] if tracked else [seen[:8], seen[8:16], seen[16:]]
    expected = np.concatenate([model(part, training=False)["main"] for part in parts])
    results = grouped.evaluate(model, some, trained=True)
    np.testing.assert_allclose(results.soft, expected, atol=1e-5)
    counts = grouped.scorer(model, some).counts()
    np.testing.assert_array_equal(counts, results.counts)


def test_neighbours_are_sought_once_where_the_graph_falls_apart(
    digits, views, monkeypatch
):
    monkeypatch.setattr("iic_tf.neighbours.spectral.FALLS_APART", -1.0)
    split, sought = Split(digits[0][:400]), []

    def find(images, *, number, **how):
        sought.append(number)
        return find_neighbours(images, number=number, **how)

    monkeypatch.setattr("iic_tf.tasks.cluster.find_neighbours", find)
    options = resolve(Options(k=10, data=DataOptions(neighbours=5)))
    prepared = ClusterTask(Protocol(split, split, "all"), views, "here").prepare(
        options
    )
    assert prepared.found.joined == 20 and sought == [20]
    assert prepared.found.nearest.shape == (400, 5)
