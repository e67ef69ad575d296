"""Our training step against the published formulation, written here in PyTorch.

``pip install torch`` and then ``python benchmarks/against_reference.py``. Network 6c at
its published size, 140 images × 5 augmented views, 5 sub-heads with k = 10, Adam.
As published, originals are repeated once per copy before the network sees them, the
joint is summed over an outer product of every pair, and sub-heads are separate layers
whose losses are computed one after the other.

Both get the same weights and the same batch; the losses are compared first. Then the
steps alternate, so that a machine whose speed drifts drifts for both. Each library runs
in a process of its own, and rests while the other one works.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table

import data
from iic_tf.augment.pairs import training_batches
from iic_tf.datasets.published import embedded_digits
from iic_tf.datasets.splits import concatenate

IMAGES, COPIES, HEADS, K = 140, 5, 5, 10
WIDTHS = (64, 128, 256, 512)


def make_parts(folder: Path) -> None:
    """Writes one batch of digits and one set of weights for both sides."""
    images = concatenate(list(embedded_digits().splits.values())).images
    batches = training_batches(
        images,
        data.RECIPES["mnist_published"].views((28, 28, 1), {}),
        repeats=COPIES,
        batch=IMAGES,
        seed=0,
        start=0,
        steps=1,
    )
    originals, *augmented = (view.numpy() for view in next(iter(batches)))
    rng = np.random.default_rng(0)
    parts = {
        "originals": originals,
        "copies": np.stack(augmented),
        # large enough for losses that differ from 0 in the digits that are compared
        "heads": rng.normal(0, 0.1, (4608, HEADS * K)).astype("f4"),
    }
    channels = 1
    for i, width in enumerate(WIDTHS):
        spread = np.sqrt(2 / (25 * channels))
        kernel = rng.normal(0, spread, (5, 5, channels, width))
        parts[f"conv{i}"] = kernel.astype("f4")
        channels = width
    np.savez(folder / "parts.npz", **parts)


def published(parts: dict[str, np.ndarray]):
    """The published formulation: returns a function that takes one step."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            stages: list[nn.Module] = []
            channels = 1
            for i, width in enumerate(WIDTHS):
                convolution = nn.Conv2d(channels, width, 5, padding=2, bias=False)
                kernel = torch.from_numpy(parts[f"conv{i}"])
                convolution.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
                norm = nn.BatchNorm2d(width, track_running_stats=False)
                stages += [convolution, norm, nn.ReLU(inplace=True)]
                if i < len(WIDTHS) - 1:
                    stages.append(nn.MaxPool2d(2))
                channels = width
            self.trunk = nn.Sequential(*stages)
            self.heads = nn.ModuleList(nn.Linear(4608, K) for _ in range(HEADS))
            for i, head in enumerate(self.heads):
                kernel = parts["heads"][:, i * K : (i + 1) * K]
                # our features run over channels last, these over channels first
                kernel = kernel.reshape(3, 3, 512, K).transpose(2, 0, 1, 3)
                kernel = np.ascontiguousarray(kernel.reshape(4608, K).T)
                head.weight.data = torch.from_numpy(kernel)
                head.bias.data.zero_()

        def forward(self, images):
            features = self.trunk(images).flatten(1)
            return [functional.softmax(head(features), 1) for head in self.heads]

    def loss_of(z, other):
        joint = (z.unsqueeze(2) * other.unsqueeze(1)).sum(0)
        joint = (joint + joint.t()) / 2
        joint = joint / joint.sum()
        rows = joint.sum(1).view(K, 1).expand(K, K)
        columns = joint.sum(0).view(1, K).expand(K, K)
        epsilon = sys.float_info.epsilon
        joint, rows, columns = (x.clamp_min(epsilon) for x in (joint, rows, columns))
        return -(joint * (joint.log() - rows.log() - columns.log())).sum()

    def channels_first(images: np.ndarray):
        return torch.from_numpy(np.moveaxis(images, -1, -3).copy())

    originals = channels_first(parts["originals"]).repeat(COPIES, 1, 1, 1)
    augmented = channels_first(parts["copies"].reshape(-1, 24, 24, 1))
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> float:
        optimizer.zero_grad()
        pairs = zip(network(originals), network(augmented), strict=True)
        loss = sum(loss_of(z, other) for z, other in pairs) / HEADS
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def ours(parts: dict[str, np.ndarray], precision: str):
    """Our step, with the auxiliary bank at rest, as the published one has one bank."""
    import keras
    import tensorflow as tf

    import graphs
    from iic_tf.augment.pairs import plan_passes
    from iic_tf.models.networks import ClusterIIC
    from iic_tf.options import Options, TrainOptions
    from iic_tf.resolved import resolve
    from iic_tf.tasks import iic
    from iic_tf.tasks.objectives import pair_losses
    from iic_tf.training.trainer import Trainer, make_optimizer

    keras.mixed_precision.set_global_policy(precision)
    steps = 1000
    asked = TrainOptions(
        steps=steps,
        order=["main"],
        learning_rate=1e-4,
        decay="constant",
        warmup_steps=0,
    )
    options = resolve(Options(train=asked)).train
    backbone = graphs.network_6c((24, 24, 1), tracked=False)
    model = ClusterIIC.create(backbone, k=K, k_aux=K, num_main=HEADS, num_aux=1)
    for i in range(len(WIDTHS)):
        backbone.get_layer(f"stage{i + 1}_conv").kernel.assign(parts[f"conv{i}"])
    model.main.kernel.assign(parts["heads"])
    passes = plan_passes([IMAGES], batch=IMAGES, steps=steps)
    trainer = Trainer(
        model,
        make_optimizer(options, steps=steps),
        tf.distribute.get_strategy(),
        iic.objective(options, passes, pair_losses),
    )
    views = (parts["originals"], *parts["copies"])
    batches = iter(tf.data.Dataset.from_tensors(views).repeat())

    def step() -> float:
        return float(trainer.run(batches, 1)["main_loss"].mean())

    return step


def serve(side: str, folder: Path) -> None:
    """Takes a step for every line that comes in; answers with seconds and loss."""
    parts = dict(np.load(folder / "parts.npz"))
    step = published(parts) if side == "published" else ours(parts, side)
    for _ in sys.stdin:
        started = time.perf_counter()
        loss = step()
        seconds = time.perf_counter() - started
        print(json.dumps([seconds, loss]), flush=True)


class Side:
    """One library in a process of its own."""

    def __init__(self, name: str, folder: Path):
        command = [sys.executable, __file__, "--serve", name, str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def step(self) -> tuple[float, float]:
        """Seconds and loss of one step."""
        assert self.process.stdin and self.process.stdout  # noqa: S101
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("one side ended; what it said stands above")
        seconds, loss = json.loads(line)
        return seconds, loss


def main() -> None:
    """Compares losses, times in turn, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve[0], Path(arguments.serve[1]))
        return
    try:
        import torch  # noqa: F401
    except ImportError:
        sys.exit("this benchmark needs PyTorch: pip install torch")

    with tempfile.TemporaryDirectory() as folder:
        make_parts(Path(folder))
        names = ("published", "float32", "mixed_bfloat16")
        sides = {name: Side(name, Path(folder)) for name in names}
        losses = {name: side.step()[1] for name, side in sides.items()}
        again = {name: side.step()[1] for name, side in sides.items()}
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(arguments.rounds):
            for name, side in sides.items():
                seconds[name].append(side.step()[0])
        for side in sides.values():
            side.process.kill()

    base = np.array(seconds["published"])
    pairs = IMAGES * COPIES
    table = Table(
        *("step", "seconds", "pairs/s", "times as fast"),
        *("loss of the first step", "of the second"),
    )
    for name in names:
        median = np.median(seconds[name])
        table.add_row(
            "published, PyTorch" if name == "published" else f"ours, {name}",
            f"{median:.2f}",
            f"{pairs / median:,.0f}",
            f"{np.median(base / np.array(seconds[name])):.2f}",
            f"{losses[name]:.6f}",
            f"{again[name]:.6f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
