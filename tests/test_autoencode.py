"""Images are given back through a latent; what is scored did not train."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from runs import as_words

import graphs
import models_iic
from commands.loading import load
from iic_tf.augment.pairs import evaluation_batches, plan_passes
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.errors import UserError
from iic_tf.options import DataOptions, Options, TrainOptions
from iic_tf.tasks import autoencode
from iic_tf.tasks.autoencode import AutoencodeTask, compile_reconstruct

TINY = {
    "task": "autoencode",
    "data.batch": 50,
    "data.repeats": 1,
    "graph.args.encoder": '[8,M,8,M,"C:4"]',
    "graph.args.decoder": "[8,U,8,U]",
    "train.precision": "float32",
    "train.steps": 24,
    "train.learning_rate": 0.01,
    "train.warmup_steps": 2,
    "report.every": 12,
    "report.window": "never",
}


def files_in(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.long
def test_a_run_gives_images_back_and_can_be_evaluated(digits_npz, tmp_path, capsys):
    options = {**TINY, "data.dir": digits_npz, "out": tmp_path, "name": "first"}
    assert models_iic.main(as_words(options)) == 0
    folder, told = tmp_path / "first", capsys.readouterr().out
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["images"] == 40
    assert summary["scored_on"] == "test, not used for training"
    stored = models_iic.parse(["--config", str(folder / "options.yaml")])
    task = load(stored, train=False).task
    images = task.protocol.evaluate.images
    [[shown]] = evaluation_batches(images, task.views, batch=40)
    shown, model = shown.numpy(), keras.models.load_model(folder / "model.keras")
    error = np.square(model.predict(shown, verbose=0) - shown).mean()
    spread = shown.var(axis=0).mean()
    assert summary["reconstruction_error"] == pytest.approx(error, rel=1e-4)
    assert summary["mean_image_error"] == pytest.approx(spread, rel=1e-4)
    assert error < 0.8 * spread  # the latent tells something of each digit
    last = told.splitlines()[-1]
    assert last.startswith(f"Reconstruction error {error:.5f}; the mean image has")
    rows = [json.loads(x) for x in (folder / "history.jsonl").read_text().splitlines()]
    assert rows[1]["loss"] < rows[0]["loss"]
    assert rows[1]["reconstruction_error"] == pytest.approx(error, rel=1e-4)
    for name in ("learning_curve.png", "reconstructions.png", "latent.png"):
        assert (folder / name).is_file()

    before = files_in(tmp_path)
    assert models_iic.main(["evaluate", str(folder), "--print-only"]) == 0
    assert last in capsys.readouterr().out and files_in(tmp_path) == before
    (tmp_path / "new").mkdir()
    for i, image in enumerate(np.load(digits_npz)["x_test"][:30]):
        Image.fromarray(image).save(tmp_path / "new" / f"{i:02}.png")
    assert models_iic.main(["predict", str(folder), str(tmp_path / "new")]) == 0
    again = json.loads((folder / "evaluation-1" / "summary.json").read_text())
    error = np.square(model.predict(shown[:30], verbose=0) - shown[:30]).mean()
    assert again["reconstruction_error"] == pytest.approx(error, rel=1e-3)
    assert models_iic.main(["compare", str(folder)]) == 0
    assert f"error {summary['reconstruction_error']:.5f}" in capsys.readouterr().out


def as_folder(place, images, names):
    """Images as files below a folder, some for each name of a sub-folder."""
    for i, image in enumerate(images):
        path = place / names[i % len(names)] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)
    return f"--data.folder={place}"


def test_a_test_split_is_held_out_where_there_is_one(digits, tmp_path):
    mixed = as_folder(tmp_path / "mixed", digits[0][:20], ["a", "b"])
    options = models_iic.parse(["--task=autoencode", mixed])
    task = load(options).task
    assert len(task.protocol.train.images) == len(task.protocol.evaluate.images) == 20
    assert task.data.scored_on == "the folder, also used for training"
    split = as_folder(tmp_path / "split", digits[0][:20], ["train", "train", "test"])
    loaded = load(models_iic.parse(["--task=autoencode", split]))
    assert len(loaded.task.protocol.train.images) == 14
    assert len(loaded.task.protocol.evaluate.images) == 6
    assert loaded.task.data.scored_on == "test, not used for training"
    assert loaded.options.data.protocol == "holdout"
    # the run is evaluated on the same images, and applied to all of others
    again = load(loaded.options, train=False).task
    assert len(again.protocol.evaluate.images) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.labels=folder", "--data.folder=x"], "does not use data.labels"),
        (["--k=12"], "does not use k"),
        (["--data.recipe=cifar10_published"], "whose networks see images, not edges"),
    ],
)
def test_what_it_does_not_use_is_refused(words, message, monkeypatch, digits):
    import data

    splits = {"train": Split(np.zeros((8, 32, 32, 3), np.uint8))}
    recipe = data.replace(
        data.RECIPES["cifar10_published"], find=lambda folder: data.Source(splits, "")
    )
    monkeypatch.setitem(data.RECIPES, "cifar10_published", recipe)
    with pytest.raises(UserError, match=message):
        load(models_iic.parse(["--task=autoencode", *words]))


def test_vectors_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(9))
    given = ["--task=autoencode", f"--data.features={tmp_path / 'x.npy'}"]
    with pytest.raises(UserError, match="needs images, not vectors or series"):
        load(models_iic.parse(given))


def network(shape=(12, 12, 1), **lists):
    lists = {"encoder": (4, "M", 4, "M", "C:2"), "decoder": (4, "U", "U"), **lists}
    model = graphs.autoencoder(shape, **lists)
    draw = keras.initializers.RandomNormal(stddev=0.3, seed=0)
    for variable in model.get_layer("image").trainable_variables:
        variable.assign(draw(variable.shape))
    return model


def test_the_loss_is_that_of_originals_and_views(digits, views):
    split = Split(digits[0][:40])
    task = AutoencodeTask(Protocol(split, split, "these"), views, "here")
    options = Options(
        data=DataOptions(batch=20, repeats=2), train=TrainOptions(steps=2)
    )
    passes = plan_passes([40], batch=20, steps=2)
    [batch] = task.batches(options, passes, start=0).take(1)
    [loss] = task.objective(options, passes).losses
    images = np.concatenate(batch)
    assert images.shape == (60, 12, 12, 1)
    model = network()
    value, logs = loss(model, batch, {})
    expected = np.square(model(images, training=True).numpy() - images).mean()
    assert float(value) == pytest.approx(expected, rel=1e-4)
    assert float(logs["loss"]) == pytest.approx(expected, rel=1e-4)


def test_errors_do_not_depend_on_how_images_are_batched(digits, views, monkeypatch):
    split = Split(digits[0][:45])
    task = AutoencodeTask(Protocol(split, split, "these"), views, "here")
    model, found = network(), []
    for batch in (45, 7):
        monkeypatch.setattr(autoencode, "EVALUATION_BATCH", batch)
        found.append(task.evaluate(model, Options()))
    one, two = found
    assert one.error == pytest.approx(two.error, rel=1e-5)
    assert one.spread == pytest.approx(two.spread, rel=1e-5)
    assert one.shown.shape == one.again.shape == (20, 12, 12, 1)
    assert one.latent.shape == (20, 3, 3, 2)
    np.testing.assert_array_equal(one.shown, two.shown)
    np.testing.assert_allclose(one.again, two.again, atol=1e-5)
    latent, again = compile_reconstruct(model)(one.shown)
    np.testing.assert_allclose(latent, one.latent, atol=1e-5)
    np.testing.assert_allclose(again, one.again, atol=1e-5)
    assert one.explained == pytest.approx(1 - one.error / one.spread)


def test_a_network_that_gives_no_images_back_is_refused(digits, views):
    split = Split(digits[0][:4])
    task = AutoencodeTask(Protocol(split, split, "these"), views, "here")
    with pytest.raises(UserError, match="a layer called latent"):
        task.build(graphs.small((12, 12, 1), fan_out_init=2), Options())
    with pytest.raises(UserError, match="both must be that of the images"):
        task.build(network((24, 24, 1)), Options())


@pytest.mark.parametrize(
    ("shape", "lists", "latent"),
    [
        ((28, 28, 1), {}, (7, 7, 2)),
        # odd sides lose a pixel in halving, and are brought back
        ((27, 30, 3), {}, (6, 7, 2)),
        (
            (9, 9, 1),
            {"encoder": (20, 6), "decoder": (20,), "kind": "fc"},
            (6,),
        ),
        (
            (16, 16, 3),
            {"encoder": ("C:8", 8, "M", 16), "decoder": (16, "U", 8),
             "kind": "resnet-batchnorm"},
            (8, 8, 16),
        ),
    ],
)  # fmt: skip
def test_shapes_of_autoencoders(shape, lists, latent):
    lists = {"encoder": (4, "M", 4, "M", "C:2"), "decoder": (4, "U", "U"), **lists}
    model = graphs.autoencoder(shape, **lists)
    assert model.output_shape[1:] == shape
    assert model.get_layer("latent").output.shape[1:] == latent
    # at the start it gives back black, whatever it sees
    assert not model(np.random.default_rng(0).random((2, *shape))).numpy().any()


def test_a_decoder_that_does_not_come_back_to_the_image():
    with pytest.raises(UserError, match="maps of about 28×28, with as many U as"):
        graphs.autoencoder((28, 28, 1), encoder=(4, "M", "M"), decoder=("U", 4))
    with pytest.raises(UserError, match=r"graph\.name must be one of autoencoder for"):
        graphs.find("small", task="autoencode")
