"""Two logical CPU devices for every test run, one strategy, and the data there is."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# two workers share two cores: more threads of NumPy and scikit-learn only wait
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from runs import WHOLE, for_all_workers, shared_run, words
from servers import serving

from iic_tf.augment.pairs import Views
from iic_tf.augment.transforms import affine, compose, crop_resize, shift_tone
from iic_tf.distribute import split_cpu
from iic_tf.neighbours import patches
from iic_tf.report import cluster_plots
from iic_tf.report.curves import LearningCurve
from iic_tf.tasks import classify, cluster

split_cpu(2)

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser):
    for name, what in OPTIONAL.items():
        parser.addoption(f"--run{name}", action="store_true", help=f"also: {what}")


OPTIONAL = {"long": "tests of many seconds", "slow": "these and tests of minutes"}


def pytest_collection_modifyitems(config, items):
    slow = config.getoption("--runslow")
    left_out = {"long": not (slow or config.getoption("--runlong")), "slow": not slow}
    for item in items:
        for name, what in OPTIONAL.items():
            if left_out[name] and name in item.keywords:
                reason = f"{what}: --run{name}"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def two_devices():
    # One for the whole session: the third MirroredStrategy of a process fails.
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def fewer_kinds():
    """Photographs are told by fewer kinds of crops: seconds less wherever they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patches, "KINDS", 30)
        patch.setattr(patches, "NUM_WINDOWS", 2_000)
        yield


@pytest.fixture
def few_plots(request, monkeypatch):
    """Runs draw plots only where a test looks at them: those that are marked so."""
    if "plots" not in request.keywords:
        monkeypatch.setattr(LearningCurve, "update", lambda *_: None)
        for task in (cluster, classify):
            monkeypatch.setattr(task, "draw_clusters", lambda *_, **__: [])
        monkeypatch.setattr(cluster_plots, "draw_first_groups", lambda *_: None)


@pytest.fixture(autouse=True)
def fresh_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def digits():
    """The embedded 5,000 digits, shuffled: images and labels."""
    from iic_tf.datasets.published import embedded_digits
    from iic_tf.datasets.splits import concatenate

    split = concatenate(list(embedded_digits().splits.values()))
    order = np.random.default_rng(0).permutation(len(split.images))
    return split.images[order], split.labels[order]


def write_digits(folder, images, labels):
    """240 digits in an npz file, for runs from end to end."""
    path = folder / "digits.npz"
    np.savez(
        path,
        x_train=images[:200, ..., 0],
        y_train=labels[:200],
        x_test=images[200:240, ..., 0],
        y_test=labels[200:240],
    )
    return path


@pytest.fixture(scope="session")
def digits_npz(digits, tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"), *digits)


@pytest.fixture(scope="session")
def labelled_run(digits, tmp_path_factory):
    """A finished run on the digits of ``digits_npz``, to look at or to copy."""
    place = for_all_workers(tmp_path_factory) / "labelled"

    def arguments():
        path = write_digits(place, *digits)
        return words(path, place / "runs", name="first", **WHOLE)

    return shared_run(place, arguments)


@pytest.fixture(scope="session")
def unlabelled_run(digits, tmp_path_factory):
    """The same without labels, named after its recipe."""
    place = for_all_workers(tmp_path_factory) / "unlabelled"

    def arguments():
        np.savez(place / "x.npz", images=digits[0][:240])
        return words(place / "x.npz", place / "runs", **WHOLE)

    return shared_run(place, arguments)


@pytest.fixture
def mnist_dir():
    folder = SHARED / "mnist"
    if not folder.is_dir():
        pytest.skip("the MNIST files are not on this machine")
    return folder


@pytest.fixture
def cifar10_archive():
    path = SHARED / "cifar10" / "cifar10_jpg.tar.gz"
    if not path.is_file():
        pytest.skip("the CIFAR-10 images are not on this machine")
    return path


def objective_of(options, kind, losses, *, start=0):
    """The objective of a run whose steps are of the given kinds of passes."""
    from iic_tf.augment.pairs import Passes
    from iic_tf.options import Options
    from iic_tf.resolved import resolve
    from iic_tf.tasks import iic

    options = resolve(Options(train=options)).train
    sizes = (1,) * len(options.order)
    passes = Passes(np.asarray(kind, "i4"), np.zeros(len(kind), "i8"), sizes, 1, sizes)
    return iic.objective(options, passes, losses, start=start)


@pytest.fixture
def views():
    """Views of 28×28 digits at 12×12, which keeps networks tiny."""
    centre = crop_resize((20,), size=12, where="centre")
    augment = compose(
        affine(size=12, rotation=25.0, crop=(0.6, 1.0), shift=0.1, shear=0.2),
        shift_tone(0.4, 0.4),
    )
    return Views(original=centre, augment=augment, evaluate=centre)


@pytest.fixture
def tiny_model():
    """Builds a small ClusterIIC on 12×12 images."""
    import graphs
    from iic_tf.models.networks import ClusterIIC

    def build(*, k=10, k_aux=20, num_main=3, num_aux=2):
        return ClusterIIC.create(
            graphs.small((12, 12, 1), fan_out_init=4, kernel=3, stages=4),
            k=k,
            k_aux=k_aux,
            num_main=num_main,
            num_aux=num_aux,
        )

    return build
