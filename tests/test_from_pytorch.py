"""Checkpoints of the authors' networks give the same outputs in ours.

The networks are written here once more, in PyTorch, with the authors' names; where
PyTorch is not installed only names and shapes are tested.
"""

import json
import pickle
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf

import graphs
import models_iic
from commands.from_pytorch import fill, place
from iic_tf.errors import UserError
from iic_tf.models.networks import ClusterIIC, SegmentIIC

# ------------------------------------------------------------------- without PyTorch


@pytest.mark.parametrize(
    ("graph", "layer", "expected"),
    [
        ("network_6c", "stage1_conv", "trunk.features.0"),
        ("network_6c", "stage3_bn", "trunk.features.9"),
        ("network_6c", "stage4_conv", "trunk.features.12"),
        ("network_10a", "stage2_bn", "trunk.features.4"),
        ("network_10a", "stage3_conv", "trunk.features.7"),
        ("network_10a", "stage6_bn", "trunk.features.17"),
        ("network_5g", "stem_bn", "trunk.bn1"),
        ("network_5g", "stage1_3_conv2", "trunk.layer1.2.conv2"),
        ("network_5g", "stage3_1_short_bn", "trunk.layer3.0.downsample.1"),
    ],
)
def test_layers_have_the_names_of_the_authors(graph, layer, expected):
    assert place(graph, layer) == expected


def of_6c(*, k=3, heads=2, side=1, tracked=True):
    """Random weights of the authors' network for one channel."""
    rng, weights, channels = np.random.default_rng(0), {}, 1
    for i, width in zip((0, 4, 8, 12), (64, 128, 256, 512), strict=True):
        name = f"trunk.features.{i + 1}"
        weights[f"trunk.features.{i}.weight"] = rng.normal(size=(width, channels, 5, 5))
        for part in ("weight", "bias", "running_mean", "running_var")[
            : 4 if tracked else 2
        ]:
            weights[f"{name}.{part}"] = rng.random(width)
        channels = width
    for i in range(heads):
        weights[f"head.heads.{i}.0.weight"] = rng.normal(size=(k, 512 * side**2))
        weights[f"head.heads.{i}.0.bias"] = rng.normal(size=k)
    return {name: values.astype("f4") for name, values in weights.items()}


def ours_6c(*, k=3, heads=2, tracked=True, side=8):
    backbone = graphs.network_6c((side, side, 1), tracked=tracked)
    return ClusterIIC.create(backbone, k=k, k_aux=9, num_main=heads, num_aux=0)


def test_every_weight_finds_its_place():
    model, weights = ours_6c(side=16), of_6c(side=2)
    fill(model, "network_6c", weights)
    conv = model.backbone.get_layer("stage2_conv").kernel.numpy()
    assert conv[1, 3, 7, 11] == weights["trunk.features.4.weight"][11, 7, 1, 3]
    norm = model.backbone.get_layer("stage3_bn")
    for mine, his in zip(
        (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance),
        ("weight", "bias", "running_mean", "running_var"),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, weights[f"trunk.features.9.{his}"])
    # ours is of rows, columns, channels; of sub-heads, clusters
    kernel = model.main.kernel.numpy().reshape(2, 2, 512, 2, 3)
    theirs = weights["head.heads.1.0.weight"].reshape(3, 512, 2, 2)
    assert kernel[1, 0, 100, 1, 2] == theirs[2, 100, 1, 0]
    biases = [weights[f"head.heads.{i}.0.bias"] for i in range(2)]
    np.testing.assert_array_equal(model.main.bias, np.concatenate(biases))


@pytest.mark.parametrize(
    ("mine", "theirs", "sentence"),
    [
        ({"heads": 3}, {}, r"it has no such weights.*head\.heads\.2\.0"),
        ({"heads": 1}, {}, r"it has more weights.*head\.heads\.1\.0"),
        ({"k": 4}, {}, r"it has main/kernel of shape \(512, 6\)"),
        ({}, {"tracked": False}, r"graph\.args\.tracked must be false"),
        ({"tracked": False}, {}, r"graph\.args\.tracked must be true"),
    ],
)
def test_another_network_is_told_and_stays_as_it_is(mine, theirs, sentence):
    model = ours_6c(**mine)
    before = model.get_weights()
    with pytest.raises(UserError, match=sentence):
        fill(model, "network_6c", of_6c(**theirs))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_mistakes_are_told(tmp_path, capsys, monkeypatch):
    there = tmp_path / "net.pytorch"
    there.write_bytes(b"nothing")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)  # not installed
    for words, sentence in (
        ([], "import-pytorch needs a file, as in"),
        ([str(there)], "graph.name must be one of network_6c"),
        ([str(tmp_path / "no"), "--graph.name=network_6c"], "needs a file. Received"),
        ([str(there), "--graph.name=network_6c"], "pip install torch"),
    ):
        assert models_iic.main(["import-pytorch", *words]) == 2
        assert sentence in capsys.readouterr().err
    assert models_iic.main(["import-pytorch", "--help"]) == 0
    assert "best_net.pytorch" in capsys.readouterr().out


# ---------------------------------------------------------------------- with PyTorch


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def plain_trunk(nn, layers, *, channels, kernel, tracked):
    """Convolutions, normalisations and pools in one ``Sequential``, as the authors'."""
    parts = []
    for width, dilation in layers:
        if width == "M":
            parts.append(nn.MaxPool2d(2, 2))
            continue
        parts += [
            nn.Conv2d(channels, width, kernel, padding=kernel // 2, dilation=dilation,
                      bias=False),
            nn.BatchNorm2d(width, track_running_stats=tracked),
            nn.ReLU(),
        ]  # fmt: skip
        channels = width
    trunk = nn.Module()
    trunk.features = nn.Sequential(*parts)
    trunk.forward = trunk.features.forward
    return trunk


def residual_trunk(nn, *, channels, tracked):
    """A ResNet-34 for small images, in the authors' names."""

    def norm(width):
        return nn.BatchNorm2d(width, track_running_stats=tracked)

    class Block(nn.Module):
        def __init__(self, before, width, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
            self.bn1 = norm(width)
            self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
            self.bn2 = norm(width)
            self.downsample = None
            if stride > 1 or before != width:
                shortcut = nn.Conv2d(before, width, 1, stride, bias=False)
                self.downsample = nn.Sequential(shortcut, norm(width))

        def forward(self, x):
            y = self.bn1(self.conv1(x)).relu()
            y = self.bn2(self.conv2(y))
            return (y + (self.downsample(x) if self.downsample else x)).relu()

    class Trunk(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
            self.bn1 = norm(64)
            before = 64
            for i, depth in enumerate((3, 4, 6, 3)):
                blocks = []
                for j in range(depth):
                    stride = 2 if i and not j else 1
                    blocks.append(Block(before, 64 * 2**i, stride))
                    before = 64 * 2**i
                setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))

        def forward(self, x):
            x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 2, 2, 1)
            for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
                x = stage(x)
            return x.mean((2, 3))

    return Trunk()


def bank_of(nn, heads):
    bank = nn.Module()
    bank.heads = nn.ModuleList(nn.Sequential(head) for head in heads)
    return bank


def to_torch(torch, images):
    return torch.from_numpy(np.moveaxis(images, -1, 1).copy())


def two_banks(torch, trunk, make, banks, images):
    """A network with random weights, and statistics of images, in inference mode."""
    torch.manual_seed(0)
    net = torch.nn.Module()
    net.trunk = trunk
    for name, (k, number) in banks.items():
        setattr(net, name, bank_of(torch.nn, [make(k) for _ in range(number)]))
    for part in trunk.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.3)
    with torch.no_grad():
        net.train().trunk(to_torch(torch, images))
    return net.eval()


def outputs(torch, net, images, *, features=lambda x: x, finish=lambda x: x):
    """Soft assignments of each bank, channels and clusters last, ``(..., h, k)``."""
    found = {}
    with torch.no_grad():
        seen = features(net.trunk(to_torch(torch, images)))
        for name in ("head", "head_A", "head_B"):
            if bank := getattr(net, name, None):
                soft = [finish(head(seen).softmax(1)).numpy() for head in bank.heads]
                found[name] = np.stack([np.moveaxis(x, 1, -1) for x in soft], axis=-2)
    return found


class PicklerOfPython2(pickle._Pickler):
    """Writes text as Python 2.7 did, as byte strings."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes_of(self, text):
        data = text.encode()
        self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        self.memoize(text)

    dispatch[str] = save_bytes_of


OF_PYTHON_2 = SimpleNamespace(
    __name__="pickle", Pickler=PicklerOfPython2, dump=pickle.dump
)

PLAIN = ((64, 1), ("M", 0), (128, 1), ("M", 0), (256, 1), ("M", 0), (512, 1))
MAPS = ((64, 1), (128, 1), ("M", 0), (256, 1), (256, 1), (512, 2), (512, 2))


@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("single", [True, False])
def test_network_6c_gives_what_it_gave(torch, tracked, single):
    nn = torch.nn
    banks = {"head": (5, 2)} if single else {"head_A": (7, 3), "head_B": (4, 2)}
    trunk = plain_trunk(nn, PLAIN, channels=1, kernel=5, tracked=tracked)
    images = np.random.default_rng(0).random((6, 24, 24, 1), np.float32)
    net = two_banks(torch, trunk, lambda k: nn.Linear(512 * 9, k), banks, images)
    expected = outputs(torch, net, images, features=lambda x: x.flatten(1))
    sizes = {"k": 5, "num_aux": 0} if single else {"k": 4, "num_aux": 3}
    backbone = graphs.network_6c((24, 24, 1), tracked=tracked)
    model = ClusterIIC.create(backbone, k_aux=7, num_main=2, **sizes)
    weights = {name: x.numpy() for name, x in net.state_dict().items()}
    fill(model, "network_6c", weights)
    found = model(images, training=False)
    of_main = expected["head" if single else "head_B"]
    np.testing.assert_allclose(found["main"], of_main, atol=1e-5)
    assert np.ptp(of_main, axis=0).max() > 0.1  # they differ from image to image
    if not single:
        np.testing.assert_allclose(found["aux"], expected["head_A"], atol=1e-5)


def test_network_5g_with_two_banks_gives_what_it_gave_behind_a_sobel_layer(torch):
    nn, rng = torch.nn, np.random.default_rng(0)
    trunk = residual_trunk(nn, channels=2, tracked=True)
    banks = {"head_A": (7, 2), "head_B": (4, 3)}
    grey = rng.random((4, 32, 32, 1), np.float32)
    backbone = graphs.on_views(graphs.network_5g, (32, 32, 1), sobel=True)
    slopes = backbone.get_layer("sobel")(grey).numpy()
    net = two_banks(torch, trunk, lambda k: nn.Linear(512, k), banks, slopes)
    model = ClusterIIC.create(backbone, k=4, k_aux=7, num_main=3, num_aux=2)
    weights = {name: x.numpy() for name, x in net.state_dict().items()}
    fill(model, "network_5g", weights)
    expected = outputs(torch, net, slopes)
    found = model(grey, training=False)
    np.testing.assert_allclose(found["main"], expected["head_B"], atol=1e-5)
    np.testing.assert_allclose(found["aux"], expected["head_A"], atol=1e-5)
    assert np.ptp(expected["head_B"], axis=0).max() > 0.01


def test_network_10a_gives_what_it_gave(torch):
    nn = torch.nn
    trunk = plain_trunk(nn, MAPS, channels=5, kernel=3, tracked=True)
    for part in trunk.features:  # dilated or not, the padding is 1
        if isinstance(part, nn.Conv2d):
            part.padding = (1, 1)
    banks = {"head_A": (7, 1), "head_B": (3, 2)}

    def make(k):
        return nn.Conv2d(512, k, 1, padding=1, bias=False)

    images = np.random.default_rng(0).random((2, 32, 32, 5), np.float32)
    net = two_banks(torch, trunk, make, banks, images)

    def to_pixels(x):
        return nn.functional.interpolate(
            x, size=32, mode="bilinear", align_corners=False
        )

    expected = outputs(torch, net, images, finish=to_pixels)
    model = SegmentIIC.create(
        graphs.network_10a((None, None, 5)), k=3, k_aux=7, num_main=2, num_aux=1,
        bias=False,
    )  # fmt: skip
    fill(model, "network_10a", {n: x.numpy() for n, x in net.state_dict().items()})
    found = model(images, training=False)
    np.testing.assert_allclose(found["main"], expected["head_B"], atol=1e-5)
    np.testing.assert_allclose(found["aux"], expected["head_A"], atol=1e-5)


@pytest.mark.parametrize("kind", ["zip", "old", "Python 2", "segmentation"])
def test_files_of_all_ages_are_read(torch, tmp_path, kind):
    from commands.from_pytorch import read

    path = tmp_path / "net.pytorch"
    bank = torch.nn.BatchNorm1d(3)
    weights = torch.nn.Sequential(torch.nn.Linear(4, 3), bank).state_dict()
    if kind == "Python 2":
        torch.save(
            weights,
            path,
            pickle_module=OF_PYTHON_2,
            pickle_protocol=2,
            _use_new_zipfile_serialization=False,
        )
        assert b"U\x081.weight" in path.read_bytes()
    elif kind == "segmentation":
        torch.save({"net": weights, "optimiser": {"state": {}}}, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    found = read(path)
    assert list(found) == list(weights)
    for name, values in weights.items():
        np.testing.assert_array_equal(found[name], values.numpy())


def test_what_is_no_checkpoint_is_told_and_not_run(torch, tmp_path):
    from commands.from_pytorch import read

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    path = tmp_path / "net.pytorch"
    for content, sentence in (
        (Evil(), "cannot be read as weights of PyTorch"),
        ({"net": 3}, "must hold the weights of a network by name"),
        ({}, "must hold the weights of a network by name"),
    ):
        torch.save(content, path)
        with pytest.raises(UserError, match=sentence):
            read(path)
    assert not (tmp_path / "written").exists()


def test_a_checkpoint_becomes_a_run_that_is_evaluated(
    torch, digits_npz, tmp_path, capsys
):
    nn = torch.nn
    trunk = plain_trunk(nn, PLAIN, channels=1, kernel=5, tracked=False)
    banks = {"head_A": (50, 5), "head_B": (10, 5)}
    images = np.random.default_rng(0).random((6, 24, 24, 1), np.float32)
    net = two_banks(torch, trunk, lambda k: nn.Linear(512 * 9, k), banks, images)
    path = tmp_path / "best_net.pytorch"
    torch.save(net.state_dict(), path)
    words = [
        "--config=configs/mnist_685.yaml", f"--data.dir={digits_npz}",
        f"--out={tmp_path}", "--name=published",
    ]  # fmt: skip
    assert models_iic.main(["import-pytorch", str(path), *words]) == 0
    told, folder = capsys.readouterr().out, tmp_path / "published"
    assert f"\nResults in {folder}" in told and "Trained for" not in told
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["steps"] == 0 and len(summary["errors"]) == 5
    assert models_iic.main(["evaluate", str(folder)]) == 0
    again = json.loads((folder / "evaluation-1" / "summary.json").read_text())
    assert again["errors"] == summary["errors"]
    model = tf.keras.models.load_model(folder / "model.keras")
    kernel = model.backbone.get_layer("stage1_conv").kernel.numpy()
    theirs = net.state_dict()["trunk.features.0.weight"].numpy()
    np.testing.assert_array_equal(kernel, theirs.transpose(2, 3, 1, 0))
