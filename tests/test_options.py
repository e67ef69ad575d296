import dataclasses
import os

import pytest

from iic_tf.errors import UserError
from iic_tf.options import (
    DataOptions,
    GraphOptions,
    HeadOptions,
    Options,
    ReportOptions,
    SegmentOptions,
    TrainOptions,
    check_arguments,
    with_absolute_paths,
    with_new_names,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Options(k=1), r"k must be at least 2\. Received: k=1"),
        (lambda: Options(seed=-1), r"seed must lie in"),
        (lambda: Options(name="../escaped"), r"name must be a folder name"),
        (lambda: Options(name="/absolute"), r"name must be a folder name"),
        (lambda: Options(name=".."), r"name must be a folder name"),
        (lambda: Options(name=""), r"name must be a folder name"),
        (lambda: Options(name="é" * 101), r"at most 200 bytes\. Received: bytes=202"),
        (lambda: Options(name="a\x1b"), r"name must be valid UTF-8.*'a\\x1b'"),
        (lambda: Options(name="caf\udce9"), r"name must be valid UTF-8.*caf\\udce9"),
        (lambda: DataOptions(names=["a", "a"]), r"data\.names must be unique"),
        (lambda: Options(heads=HeadOptions(k_aux=5)), r"k_aux must be at least k"),
        (lambda: DataOptions(batch=1), r"data\.batch must be at least 2"),
        (lambda: DataOptions(limit=0), r"data\.limit must be numbers of images"),
        (lambda: DataOptions(limit=(5, 0)), r"data\.limit must be numbers of images"),
        (lambda: DataOptions(repeats=0), r"data\.repeats must be at least 1"),
        (lambda: HeadOptions(main=0), r"heads\.main must be at least 1"),
        (lambda: HeadOptions(aux=-1), r"heads\.aux must be at least 0"),
        (
            lambda: Options(
                heads=HeadOptions(aux=0), train=TrainOptions(order=["aux", "main"])
            ),
            r"must not train aux alone",
        ),
        (lambda: DataOptions(folder=""), r"data\.folder must not be empty"),
        (lambda: DataOptions(folder="a", array="b"), r"only one of data\.dir"),
        (
            lambda: DataOptions(folder="a", tfds="b"),
            r"only one of data\.dir.*data\.tfds",
        ),
        (lambda: DataOptions(tfds=""), r"data\.tfds must not be empty"),
        (
            lambda: DataOptions(tfds="a", labels="folder"),
            r"data\.labels is for data\.fo",
        ),
        (lambda: DataOptions(labels="folder"), r"data\.labels is for data\.folder"),
        (lambda: DataOptions(array="a.npy", labels="folder"), r"otherwise a \.npy"),
        (lambda: DataOptions(folder="a", labels="b.npy"), r"must be folder for"),
        (lambda: DataOptions(folder="a", size=4), r"data\.size must be at least 8"),
        (lambda: DataOptions(channels=2), r"data\.channels must be 1 or 3"),
        (lambda: ReportOptions(display=0), r"report\.display must be at least 1"),
        (lambda: TrainOptions(steps=0), r"train\.steps must be at least 1"),
        (lambda: TrainOptions(epochs=0), r"train\.epochs must be at least 1"),
        (lambda: TrainOptions(warmup_steps=-1), r"train\.warmup_steps must be"),
        (lambda: TrainOptions(learning_rate=0), r"train\.learning_rate must be above"),
        (lambda: TrainOptions(regroup_to=1.5), r"train\.regroup_to must lie"),
        (lambda: TrainOptions(lr_drops=[3]), r"train\.lr_drops needs train\.decay"),
        (
            lambda: TrainOptions(lr_drops=[6, 3], decay="constant"),
            r"train\.lr_drops must be increasing",
        ),
        (lambda: TrainOptions(order=[]), r"train\.order must not be empty"),
        (lambda: TrainOptions(order=["a"]), r"train\.order must be a list of main"),
        (lambda: TrainOptions(lamb=-1.0), r"train\.lamb must be a number"),
        (lambda: TrainOptions(lamb_aux=[]), r"train\.lamb_aux must be a number"),
        (lambda: TrainOptions(lamb=[(0.5, 1.0), (0.1, 1.0)]), r"fractions increasing"),
        (lambda: ReportOptions(every=0), r"report\.every must be at least 1"),
        # numbers too large to serve
        (
            lambda: TrainOptions(steps=10**12),
            r"train\.steps must be at most 20,000,",
        ),
        (lambda: TrainOptions(epochs=10**9), r"train\.epochs must be at most"),
        (lambda: TrainOptions(learning_rate=1e9), r"train\.learning_rate must be at"),
        (lambda: TrainOptions(lamb=1e9), r"train\.lamb must be a number from 0 to"),
        (lambda: TrainOptions(warmup_steps=10**11), r"train\.warmup_steps must be at"),
        (lambda: TrainOptions(lr_drops=[10**11]), r"train\.lr_drops must be at most"),
        (lambda: HeadOptions(main=10**9), r"heads\.main must be at most 100"),
        (lambda: HeadOptions(aux=101), r"heads\.aux must be at most 100"),
        (lambda: HeadOptions(k_aux=2**31), r"heads\.k_aux must be at most 2,147,483"),
        (lambda: DataOptions(augment={"size": 10**5}), r"data\.augment\.size must be"),
        (
            lambda: DataOptions(augment={"side": 5000}),
            r"side must be at most 4,09",
        ),
        (lambda: DataOptions(size=10**6), r"data\.size must be at most 4,096"),
        (lambda: DataOptions(neighbours=10**9), r"data\.neighbours must be at most"),
        (
            lambda: DataOptions(resize=1e4),
            r"data\.resize must lie between 0\.01 and 10",
        ),
        (lambda: DataOptions(resize=1e-9), r"data\.resize must lie between"),
        (lambda: GraphOptions(args={"a": 10**14}), r"graph\.args\.a must be at most"),
        (lambda: ReportOptions(every=2**40), r"report\.every must be at most"),
        (lambda: Options(k=2**40), r"k must be at most"),
        (
            lambda: SegmentOptions(displacement=2**40),
            r"segment\.displacement must be at most",
        ),
    ],
)
def test_figures_out_of_range_are_one_sentence(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 1e39])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda x: TrainOptions(learning_rate=x), r"train\.learning_rate"),
        (lambda x: TrainOptions(lamb=x), r"train\.lamb"),
        (lambda x: TrainOptions(lamb_aux=[(0.0, 1.0), (0.5, x)]), r"train\.lamb_aux"),
        (lambda x: TrainOptions(lr_drop_factor=x), r"train\.lr_drop_factor"),
        (lambda x: TrainOptions(start=x), r"train\.start"),
        (lambda x: DataOptions(resize=x), r"data\.resize"),
        (lambda x: DataOptions(augment={"rotation": x}), r"data\.augment\.rotation"),
        (lambda x: DataOptions(augment={"crop": [0.5, x]}), r"data\.augment\.crop"),
        (lambda x: GraphOptions(args={"share": x}), r"graph\.args\.share"),
        (lambda x: Options(time_limit=x), r"time_limit"),
    ],
)
def test_what_is_no_finite_number_is_refused_by_name(make, name, value):
    with pytest.raises(UserError, match=f"^{name} must be a finite number. Received"):
        make(value)


def test_values_have_the_names_of_today():
    tree = {"graph": {"name": "small_maps"}, "data": {"recipe": "pictures"}}
    new, old = with_new_names(tree)
    assert new == {"graph": {"name": "small_segment"}, "data": {"recipe": "images"}}
    assert old == ["graph.name: small_maps", "data.recipe: pictures"]
    assert with_new_names(new) == (new, [])


def test_paths_are_stored_for_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = Options(data=DataOptions(folder="../photos", labels="folder"))
    stored = with_absolute_paths(relative).data
    assert stored.folder == str(tmp_path / ".." / "photos")
    assert (stored.labels, stored.dir) == ("folder", None)
    maps = with_absolute_paths(Options(data=DataOptions(images="~/a", masks="b")))
    assert maps.data.images == os.path.expanduser("~/a")
    assert maps.data.masks == str(tmp_path / "b")


def some_builder(
    shape,
    *,
    width=16,
    rate=0.5,
    crop=(0.6, 1.0),
    sides: tuple[int, ...] = (1, 2),
    tokens: tuple[int | str, ...] = (64, "M"),
    none: tuple[int, ...] = (),
    anything: tuple = (),
    side: int | None = None,
    share: float | None = None,
    widths: list[int] | None = None,
    untyped=None,
):
    """Keyword arguments of every kind."""


@pytest.mark.parametrize(
    "values",
    [
        {"width": 3, "rate": 1, "crop": [0.5, 1]},
        {"sides": [1], "tokens": [32, 32, "M", 64, "M"], "none": [3, 4]},
        {"none": [], "anything": ["a", 2], "side": 3, "share": 1, "widths": [2]},
        {"side": None, "untyped": "whatever"},
    ],
)
def test_arguments_of_the_right_kind(values):
    check_arguments(some_builder, values, option="graph.args")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", "wide"), ("width", 2.5), ("width", True), ("rate", "fast"),
        ("crop", 3), ("crop", [0.6]), ("crop", ["a", "b"]), ("sides", []),
        ("tokens", [2.5]), ("none", ["a"]), ("side", "abc"), ("side", 2.5),
        ("share", "half"), ("widths", 3), ("depth", 3),
    ],
)  # fmt: skip
def test_arguments_of_the_wrong_kind(name, value):
    with pytest.raises(UserError, match=f"graph.args.*{name}"):
        check_arguments(some_builder, {name: value}, option="graph.args")


def test_options_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().k = 3


@pytest.mark.parametrize("values", [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf"))])
def test_a_range_rises_and_ends(values):
    with pytest.raises(UserError, match=r"data\.range must be (two numbers|a finite)"):
        DataOptions(range=values)
    with pytest.raises(UserError, match=r"data\.range"):
        DataOptions(range=(float("nan"), 1.0))


def test_the_largest_that_can_be_served_passes():
    assert HeadOptions(main=100, aux=100).main == 100
    assert DataOptions(size=4096).size == 4096
