"""``import-pytorch``: a checkpoint of the authors' PyTorch code becomes a run.

Their files hold the weights of a network by name: of a trunk, and of the sub-heads
``head_A`` (ours: ``aux``) and ``head_B``, or ``head`` where there is one bank (ours:
``main``). PyTorch itself reads them, and only their tensors: no code in a file is run.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from commands import program, typed
from commands.loading import load, task_of
from commands.parsing import parse_words
from commands.starting import check_backend, quiet_start
from commands.train import build_backbone
from iic_tf.errors import UserError, first_line, require
from iic_tf.run_folder import check_writable, make_run_folder

USAGE = """usage: {program} import-pytorch FILE --config CONFIG [options]

Makes a run of a network that the authors' PyTorch code has saved: latest_net.pytorch,
best_net.pytorch, or of segmentation latest.pytorch, best.pytorch. The options say which
network it is and on which images it is evaluated, as in --config
configs/mnist_685.yaml. Needs PyTorch (pip install torch). The run can then be
evaluated, applied to other images (predict) and fine-tuned (--tune.run)."""

GRAPHS = ("network_6c", "network_5g", "network_10a")
"""Backbones of which the authors have published checkpoints."""

Weights = Mapping[str, Any]
"""NumPy arrays by their names; this module imports NumPy only when it needs it."""


def read(path: Path) -> dict[str, Any]:
    """The weights in a checkpoint, by their names.

    Args:
        path: Written by ``torch.save``, of any version of PyTorch.

    Raises:
        UserError: If it cannot be read, or holds anything else.
    """
    require(path.is_file(), "import-pytorch needs a file", file=str(path))
    try:
        import torch
    except ImportError:
        raise UserError(
            "checkpoints of PyTorch are read by PyTorch: pip install torch"
        ) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damage surfaces as any of a dozen kinds
        raise UserError(
            f"{path} cannot be read as weights of PyTorch: {first_line(error)}"
        ) from None
    if isinstance(content, dict):  # of segmentation there is the optimiser, too
        content = content.get("net", content)
    fits = isinstance(content, dict) and bool(content)
    require(
        fits and all(isinstance(value, torch.Tensor) for value in content.values()),
        f"{path} must hold the weights of a network by name",
        content=type(content).__name__,
    )
    return {
        name.removeprefix("module."): value.numpy() for name, value in content.items()
    }


def place(graph: str, layer: str) -> str:
    """Where the authors' networks have a layer of ours.

    Args:
        graph: Name of the backbone.
        layer: Name of its layer, as in ``stage2_1_conv1``.
    """
    if graph == "network_5g":
        if layer.startswith("stem"):
            return {"stem_conv": "trunk.conv1", "stem_bn": "trunk.bn1"}[layer]
        stage, block, part = layer.split("_", 2)
        of_shortcut = {"short_conv": "downsample.0", "short_bn": "downsample.1"}
        number = int(block) - 1
        return f"trunk.layer{stage[-1]}.{number}.{of_shortcut.get(part, part)}"
    stage, part = layer.split("_")
    before = int(stage[-1]) - 1  # of convolution, normalisation and ReLU each
    pools = before if graph == "network_6c" else int(before > 1)
    return f"trunk.features.{3 * before + pools + (part == 'bn')}"


def _with_weights(model: Any) -> Iterator[Any]:
    """Innermost layers that have weights."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _with_weights(layer)
        elif layer.weights:
            yield layer


def _of_layer(graph: str, layer: Any, names: set[str]) -> Iterator[tuple[str, Any]]:
    """Names of a layer's weights, and where they go."""
    prefix = place(graph, layer.name)
    if not hasattr(layer, "gamma"):
        yield f"{prefix}.weight", layer.kernel
        return
    yield f"{prefix}.weight", layer.gamma
    yield f"{prefix}.bias", layer.beta
    kept = f"{prefix}.running_mean" in names
    require(
        kept == layer.tracked,
        "graph.args.tracked must be "
        + ("true" if kept else "false: the checkpoint has no running statistics"),
        tracked=layer.tracked,
    )
    if kept:
        yield f"{prefix}.running_mean", layer.moving_mean
        yield f"{prefix}.running_var", layer.moving_variance


def _columns(head: Any, channels: int) -> Any:
    """Weights of a sub-head ``(k, d, ...)`` as ours, ``(d, k)``.

    Theirs run over channels before pixels, ours over channels last.
    """
    by_pixel = head.reshape(len(head), channels, -1)
    return by_pixel.transpose(2, 1, 0).reshape(-1, len(head))


def fill(model: Any, graph: str, weights: Weights) -> None:
    """Gives a network the weights of a checkpoint, all of them.

    Args:
        model: The network.
        graph: Name of its backbone.
        weights: See ``read``.

    Raises:
        UserError: If the network has others, or of other shapes.
    """
    import numpy as np

    left = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    other = "the options must be those of the checkpoint's network; it has "

    def take(name: str) -> Any:
        require(name in left, other + "no such weights", weights=name)
        return left.pop(name)

    targets: list[tuple[Any, Any]] = []
    channels = 0  # of the last convolution
    for layer in _with_weights(model.backbone):
        for name, variable in _of_layer(graph, layer, set(left)):
            values = take(name)
            if values.ndim == 4:
                channels, values = len(values), values.transpose(2, 3, 1, 0)
            targets.append((variable, values))
    single = any(name.startswith("head.") for name in left)
    for bank, heads in model.banks.items():
        where = "head" if single else {"main": "head_B", "aux": "head_A"}[bank]
        parts = [f"{where}.heads.{i}.0" for i in range(heads.num_heads)]
        kernels = [_columns(take(f"{part}.weight"), channels) for part in parts]
        targets.append((heads.kernel, np.concatenate(kernels, axis=1)))
        if heads.bias is not None:
            biases = [take(f"{part}.bias") for part in parts]
            targets.append((heads.bias, np.concatenate(biases)))
    require(not left, other + "more weights", weights=next(iter(left), None))
    for variable, values in targets:
        shape = tuple(variable.shape)
        told = f"{other}{variable.path} of shape {values.shape}"
        require(shape == values.shape, told, shape=shape)
    for variable, values in targets:
        variable.assign(values)


def import_pytorch(words: Sequence[str]) -> int:
    """``import-pytorch FILE --config CONFIG``: makes a run of a checkpoint.

    Args:
        words: The file, and options of the run.

    Raises:
        UserError: For a mistake in the options, the data or the checkpoint.
    """
    if words and words[0] in ("-h", "--help"):
        print(USAGE.format(program=program()))
        return 0
    require(
        bool(words) and not words[0].startswith("-"),
        f"import-pytorch needs a file, as in: {typed()} import-pytorch "
        "best_net.pytorch --config configs/mnist_685.yaml",
        words=list(words),
    )
    path = Path(words[0])
    require(path.is_file(), "import-pytorch needs a file", file=str(path))
    asked = parse_words(words[1:])
    check_backend()
    check_writable(Path(asked.out))
    with quiet_start():
        import tensorflow as tf

        import graphs
        from iic_tf.report.console import Stopwatch
        from iic_tf.training import run, stored
        from iic_tf.training.task import Trained

    kind, graph = task_of(asked), asked.graph
    require(
        graph.name in GRAPHS and kind in ("cluster", "segment"),
        f"graph.name must be one of {', '.join(GRAPHS)}, and task cluster or segment",
        name=graph.name,
        task=kind,
    )
    weights = read(path)
    builder = graphs.find(str(graph.name), task=kind)
    loaded = load(asked, train=False)
    options, task = loaded.options, loaded.task
    model = task.build(build_backbone(builder, loaded), options)
    fill(model, str(graph.name), weights)
    folder = make_run_folder(
        Path(options.out), name=options.name, prefix=run.run_prefix(options)
    )
    run.store(folder, options, run.facts_of(task, tf.distribute.get_strategy()))
    trained = Trained(model, folder, 0, 0, 0.0, None, Stopwatch(), task)
    stored.finish(trained, options)
    return 0
