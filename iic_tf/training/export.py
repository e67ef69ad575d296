"""Exports of a stored run: a model that takes images and needs nothing of the run."""

import importlib.util
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from iic_tf.augment.pairs import Views
from iic_tf.errors import UserError, naming, require
from iic_tf.evaluation.inference import keeps_statistics
from iic_tf.models.deployed import deployed, in_float32
from iic_tf.models.named import NamedClusters
from iic_tf.models.networks import ClusterIIC, SegmentIIC
from iic_tf.report.console import console
from iic_tf.run_folder import made_at_once, require_new, write_atomically
from iic_tf.training.naming import read_naming
from iic_tf.training.stored import chosen_heads, load_model

FORMATS = {"keras": "model.keras", "savedmodel": "saved_model", "onnx": "model.onnx"}
"""What is written of each."""

CLASSES_FILE = "classes.json"


class Exported(NamedTuple):
    """What is exported of a run.

    Attributes:
        network: From what the network of the run sees to probabilities ``(n, k)``.
        class_names: Names of the clusters, or their numbers.
        told: Which sub-head it is, as text.
    """

    network: keras.Model
    class_names: tuple[str, ...]
    told: str


def check_formats(formats: Sequence[str]) -> None:
    """Raises UserError if a format needs a package that is not installed.

    Examples:
        >>> from iic_tf.training.export import check_formats
        >>> check_formats(["keras", "savedmodel"])  # these need nothing more
    """
    for package in ("tf2onnx", "onnx"):
        require(
            "onnx" not in formats or importlib.util.find_spec(package) is not None,
            f"the format onnx needs the package {package}, which is not installed: "
            "pip install tf2onnx",
            format="onnx",
        )


def exported(folder: Path, *, named: bool = True) -> Exported:
    """The part of a run's network that is exported.

    Args:
        folder: The run.
        named: Whether clusters have their names, where they were given some.

    Raises:
        UserError: If there is no network, or it does not tell a class of each example.

    Examples:
        >>> from pathlib import Path
        >>> from iic_tf.training.export import exported
        >>> found = exported(Path("runs/first"))  # a finished run of digits
        >>> print(found.network(np.zeros((2, 24, 24, 1))).shape, found.class_names[:3])
        (2, 10) ('0', '1', '2')
    """
    model = load_model(folder)
    if isinstance(model, ClusterIIC):
        if named and (stored := read_naming(folder)) is not None:
            naming, names, head = stored.naming, stored.names, stored.head
            bank, classes = naming.bank, naming.classes.tolist()
        else:
            bank, head = "main", chosen_heads(folder, model)["main"]
            classes = range(model.main.num_clusters)
            names = tuple(map(str, classes))
        require(
            bank in model.banks and len(classes) == model.banks[bank].num_clusters,
            f"the names in {folder} belong to another network",
            clusters=len(classes),
        )
        network = NamedClusters.of(
            model, bank=bank, head=head, classes=classes, class_names=names
        )
        kind = {"main": "sub-head", "aux": "auxiliary sub-head"}[bank]
        return Exported(network, network.class_names, f"{kind} {head}")
    require(
        not isinstance(model, SegmentIIC),
        "a run that segments cannot be exported: large images are cut into tiles, "
        "which is no part of its network",
        network=type(model).__name__,
    )
    known = getattr(model, "layers", ())
    if not any(layer.name == "logits" for layer in known):
        raise UserError(
            "only a network that tells clusters or classes can be exported. Received: "
            f"network={model.name!r}"
        )
    softmax = keras.layers.Softmax(dtype="float32", name="softmax")
    network = keras.Model(model.input, softmax(model.output), name="classes")
    told = getattr(model.get_layer("logits"), "class_names", None)
    names = tuple(told or map(str, range(model.output_shape[-1])))
    return Exported(network, names, "the classifier")


def export_run(
    folder: Path,
    views: Views,
    *,
    shape: Sequence[int],
    formats: Sequence[str],
    into: Path,
    shown: Sequence[float] | None = None,
    named: bool = True,
) -> None:
    """Writes a model that takes images, or vectors, in some formats.

    Args:
        folder: The run.
        views: What the run does to its images.
        shape: Of an image, a vector or a series of the run.
        formats: Some of ``FORMATS``.
        into: Where the files go, a new or an empty folder.
        shown: Values that are black and white in images of more than 8 bits, or None.
        named: See ``exported``.

    Raises:
        UserError: See ``exported`` and ``check_formats``; if there is something in the
            folder, or the views are not what the network takes.

    Examples:
        >>> from pathlib import Path
        >>> import data
        >>> from iic_tf.training.export import export_run
        >>> views = data.RECIPES["mnist"].views((28, 28, 1), {})
        >>> how = {"shape": (28, 28, 1), "formats": ["keras"], "into": Path("mine")}
        >>> export_run(Path("runs/first"), views, **how)  # a finished run of digits
        Exports:  sub-head ... of runs/first: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
                  mine/model.keras
                  mine/classes.json
        >>> sorted(path.name for path in Path("mine").iterdir())
        ['classes.json', 'model.keras']
    """
    require_new(into, "the folder of an export")
    check_formats(formats)
    network, names, told = exported(folder, named=named)
    takes = tuple(_backbone_of(network).input_shape[1:])
    require(
        views.seen_shape(tuple(shape)) == takes,
        f"the recipe of the run must give views of shape {takes}, as when it was "
        "trained",
        shape=views.seen_shape(tuple(shape)),
    )
    console.print(f"Exports:  {told} of {folder}: {_listed(names)}")
    how: dict[str, Any] = {"evaluate": views.evaluate, "shape": tuple(shape)}
    model = deployed(network, class_names=names, **how)
    with made_at_once(into) as place:
        about = _about(folder, model, names, shape=shape, shown=shown)
        if "keras" in formats:
            with naming(into / FORMATS["keras"]):
                model.save(place / FORMATS["keras"])
        if "savedmodel" in formats:
            with naming(into / FORMATS["savedmodel"]):
                _save_served(model, names, place / FORMATS["savedmodel"])
        if "onnx" in formats:
            plain = deployed(in_float32(network), class_names=names, **how)
            with naming(into / FORMATS["onnx"]):
                _save_onnx(plain, about, place / FORMATS["onnx"])
        write_atomically(place / CLASSES_FILE, about)
    if "onnx" in formats and _is_mixed(network):
        console.print(
            "ONNX:     computes in float32, where the run computed in bfloat16, so "
            "probabilities differ a little."
        )
    if not keeps_statistics(network):
        console.print(
            "Batches:  the network keeps no running statistics, so what it says of an "
            "image depends on the others in its batch."
        )
    if shown:
        console.print(
            "Range:    images of more than 8 bits must come as bytes, with the values "
            f"of {CLASSES_FILE} as black and white."
        )
    for name in [*(FORMATS[x] for x in FORMATS if x in formats), CLASSES_FILE]:
        console.print(f"          {into / name}")


def _backbone_of(network: keras.Model) -> keras.Model:
    """The part that sees images."""
    return getattr(network, "backbone", network)


def _is_mixed(network: keras.Model) -> bool:
    """Whether a network computes in lower precision than float32."""
    layers = _backbone_of(network)._flatten_layers()
    return any(layer.compute_dtype in ("bfloat16", "float16") for layer in layers)


def _listed(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + ", …" * (len(names) > most)


def _about(
    folder: Path,
    model: keras.Model,
    names: Sequence[str],
    *,
    shape: Sequence[int],
    shown: Sequence[float] | None,
) -> str:
    """What is written beside a model, as JSON."""
    facts = {
        "run": folder.absolute().name,
        "names": list(names),
        "input": {"shape": list(model.input_shape), "dtype": model.input.dtype},
        "resized_to": list(shape[:2]) if len(shape) == 3 else None,
        "range": None if shown is None else list(shown),
    }
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def _served_shape(model: keras.Model) -> tf.TensorSpec:
    return tf.TensorSpec(model.input_shape, model.input.dtype, name=model.input.name)


def _save_served(model: keras.Model, names: Sequence[str], place: Path) -> None:
    """Writes a SavedModel, whose answers also have the names."""

    def serve(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {**model(examples, training=False), "names": tf.constant(list(names))}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, input_signature=[_served_shape(model)])
    archive.write_out(str(place), verbose=False)


def _save_onnx(model: keras.Model, about: str, place: Path) -> None:
    """Writes ONNX, with what is known of the model as its property ``classes``."""
    import onnx

    signature = [
        keras.InputSpec(
            shape=model.input_shape, dtype=model.input.dtype, name=model.input.name
        )
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the converter
        model.export(
            str(place), format="onnx", input_signature=signature, verbose=False
        )
    written = onnx.load(str(place))
    onnx.helper.set_model_props(written, {"classes": about})
    onnx.save(written, str(place))
