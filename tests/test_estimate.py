import dataclasses

import keras
import numpy as np
import pytest

import graphs
from iic_tf.augment.pairs import Views
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.errors import UserError
from iic_tf.options import DataOptions, HeadOptions, Options, TrainOptions
from iic_tf.resolved import resolve
from iic_tf.tasks.cluster import ClusterTask
from iic_tf.training.estimate import (
    Network,
    check_memory,
    machine_memory,
    memory_of_run,
    network_size,
)


def test_a_network_is_measured_without_being_made():
    def build():
        return graphs.small((8, 8, 1), fan_out_init=10**6, kernel=3, stages=2)

    network, features = network_size(build, (8, 8, 1))
    first, second, sums = 9 * 10**6, 9 * 2 * 10**12, 4 * 3 * 10**6
    assert network.weights == first + second + sums  # kernels; four of each norm
    # of each stage what the convolution and the normalisation say
    assert network.kept == 2 * 64 * 10**6 + 2 * 16 * 2 * 10**6
    assert (network.places, features) == (1, 16 * 2 * 10**6)


def test_what_stands_behind_a_sobel_layer_is_measured_at_the_size_of_windows():
    def build():
        return graphs.on_views(
            graphs.small_segment, (None, None, 4), sobel=True, fan_out_init=4
        )

    network, features = network_size(build, (32, 32, 4))
    alone, same = network_size(
        lambda: graphs.small_segment((32, 32, 5), fan_out_init=4), (32, 32, 5)
    )
    assert network == alone and features == same and network.places == 64
    assert network.weights == build().count_params()


def test_measuring_leaves_no_trace_in_the_network_that_is_made():
    def made():
        keras.utils.set_random_seed(3)
        return graphs.small((12, 12, 1), fan_out_init=2, stages=2).get_weights()

    before = made()
    network_size(lambda: graphs.small((12, 12, 1), fan_out_init=2), (12, 12, 1))
    for a, b in zip(before, made(), strict=True):
        assert (a == b).all()


def test_memory_by_hand():
    asked = Options(
        k=3,
        data=DataOptions(repeats=3),
        heads=HeadOptions(main=2, aux=1, k_aux=10),
        train=TrainOptions(precision="mixed_bfloat16"),
    )
    needed = memory_of_run(
        resolve(asked),
        network=Network(weights=1000, kept=50, places=4),
        shape=(6, 6, 2),
        features=7,
        batch=5,
        evaluated=100,
        displacements=9,
    )
    assert needed == {
        "the network": 16_000,
        "the sub-heads": 16 * 7 * 16,
        "the images of one step": 4 * 20 * 72,
        "activations of the network": 2 * 20 * 50,
        "soft assignments": 8 * 20 * 4 * 16,
        "joint distributions": 8 * 9 * (2 * 9 + 100),
        "the assignments of all images": 4 * 100 * 6,
    }


def test_the_search_for_neighbours_counts_where_it_takes_more_than_the_steps():
    options = resolve(Options(k=3))
    sizes = {
        "network": Network(weights=1000, kept=50, places=1),
        "shape": (6, 6, 2), "features": 7, "batch": 5, "evaluated": 100,
    }  # fmt: skip
    alone = memory_of_run(options, **sizes)
    assert memory_of_run(options, **sizes, search=1000) == alone
    steps = sum(alone.values()) - alone["the network"] - alone["the sub-heads"]
    assert memory_of_run(options, **sizes, search=steps + 1) == {
        "the network": alone["the network"],
        "the sub-heads": alone["the sub-heads"],
        "the neighbour search": steps + 1,
    }


def test_too_many_images_are_refused_before_their_neighbours_are_looked_for():
    images = np.broadcast_to(np.zeros((1, 8, 8, 3), np.uint8), (20_000_000, 8, 8, 3))
    views = Views(*[lambda images, seed: images] * 3)
    protocol = Protocol(Split(images), Split(images[:1000]), "all")
    task = ClusterTask(protocol, views, "here", kind="photographs")

    def needed(neighbours):
        options = resolve(Options(data=DataOptions(neighbours=neighbours, batch=8)))
        return lambda: task._memory(
            lambda: graphs.small((8, 8, 3), fan_out_init=2, stages=1), options, batch=8
        )

    with pytest.raises(
        UserError, match=r"neighbour search; .* 24\.0 GB\. Set data\.nei"
    ):
        check_memory(needed(5), 24 * 10**9)
    check_memory(needed(0), 24 * 10**9)
    known = np.broadcast_to(np.zeros((1, 20), np.int32), (20_000_000, 20))
    task = dataclasses.replace(task, nearest=known)
    check_memory(needed(5), 24 * 10**9)


def test_a_run_that_cannot_fit_is_refused_by_its_numbers():
    needed = {"the network": 2 * 10**9, "joint distributions": 415 * 10**9}
    with pytest.raises(UserError) as caught:
        check_memory(lambda: needed, 24 * 10**9)
    assert str(caught.value) == (
        "the run needs at least 417.0 GB of memory, 415.0 GB of it for joint "
        "distributions; this machine has 24.0 GB. Lower heads.k_aux, k or "
        "segment.displacement"
    )
    check_memory(lambda: needed, 417 * 10**9)
    check_memory(lambda: {}[0], 0)  # of what cannot be estimated nothing is said
    assert 10**8 < machine_memory() < 10**15
