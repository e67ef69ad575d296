import functools
import gzip
import http.server
import threading

import numpy as np
import pytest
from PIL import Image

from iic_tf.datasets import sources
from iic_tf.datasets.splits import Source, Split, apply_protocol
from iic_tf.errors import UserError


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim])
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + sizes + array.tobytes()


@pytest.fixture
def arrays(digits):
    images, labels = digits
    return images[:20, ..., 0], labels[:20].astype(np.uint8)


@pytest.fixture
def idx_dir(tmp_path, arrays):
    images, labels = arrays
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(idx_bytes(images))
    )
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(idx_bytes(images[:5]))
    return tmp_path


def test_idx_folder_compressed_or_not_with_or_without_labels(idx_dir, arrays):
    source = sources.from_dir(str(idx_dir), name="mnist")
    np.testing.assert_array_equal(source.splits["train"].images[..., 0], arrays[0])
    np.testing.assert_array_equal(source.splits["train"].labels, arrays[1])
    assert source.splits["test"].labels is None
    assert str(idx_dir) in source.origin
    protocol = apply_protocol(source, "all")
    assert protocol.evaluate.images.shape == (25, 28, 28, 1)
    assert protocol.evaluate.labels is None  # five have none


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-100], "its header declares 15680 bytes"),
        (lambda raw: raw[:6], "its header declares"),
        (lambda raw: b"\x00\x00\x0d" + raw[3:], "not an IDX file of bytes"),
        (lambda raw: gzip.compress(raw)[:-50], "cannot read the IDX file"),
        (lambda raw: b"", "not an IDX file of bytes"),
    ],
)
def test_damaged_idx_files(tmp_path, arrays, damage, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(damage(idx_bytes(arrays[0])))
    with pytest.raises(UserError, match=message):
        sources.from_dir(str(tmp_path), name="mnist")


def test_npz_as_keras_distributes_it(digits_npz):
    source = sources.from_dir(str(digits_npz), name="mnist")
    assert source.splits["train"].images.shape == (200, 28, 28, 1)
    assert source.splits["test"].labels.shape == (40,)
    in_folder = sources.from_dir(str(digits_npz.parent), name="mnist")
    assert list(in_folder.splits) == ["train", "test"]


def test_npz_of_images_alone(tmp_path, arrays):
    np.savez(tmp_path / "mine.npz", images=arrays[0])
    [split] = sources.from_npz(tmp_path / "mine.npz").splits.values()
    assert split.images.shape == (20, 28, 28, 1) and split.labels is None


def test_npz_that_is_damaged_or_strange(tmp_path, arrays):
    path = tmp_path / "mine.npz"
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(UserError, match="cannot read the npz file"):
        sources.from_npz(path)
    np.savez(path, photos=arrays[0])
    with pytest.raises(UserError, match=r"must hold x_train or images.*photos"):
        sources.from_npz(path)
    np.savez(path, images=arrays[0].astype(str))
    with pytest.raises(UserError, match="numeric images"):
        sources.from_npz(path)
    np.savez(path, images=arrays[0], labels=arrays[1] / 2)
    with pytest.raises(UserError, match="must hold integers"):
        sources.from_npz(path)
    np.save(tmp_path / "mine.npy", arrays[0])
    with pytest.raises(UserError, match="must be a folder or an npz file"):
        sources.from_dir(str(tmp_path / "mine.npy"), name="mnist")
    np.savez(path, images=arrays[0], labels=arrays[1][:3])
    with pytest.raises(UserError, match="one label per image"):
        sources.from_npz(path)


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match=r"existing folder or file.*nowhere"):
        sources.from_dir(str(tmp_path / "nowhere"), name="mnist")
    with pytest.raises(UserError, match=r"no images were found\. Tried: IDX files"):
        sources.from_dir(str(tmp_path), name="mnist")


def test_embedded_digits_are_real_and_balanced():
    source = sources.embedded_digits()
    assert len(source.splits["train"].images) == 4000
    assert len(source.splits["test"].images) == 1000
    assert np.bincount(source.splits["test"].labels).tolist() == [100] * 10
    assert source.splits["train"].images.max() == 255
    assert "data.dir" in source.advice


def test_holdout_protocol_and_its_words():
    source = sources.embedded_digits()
    protocol = apply_protocol(source, "holdout")
    assert (len(protocol.train.images), len(protocol.evaluate.images)) == (4000, 1000)
    assert "not used for training" in protocol.words
    alone = Source({"train": source.splits["train"]}, "here")
    with pytest.raises(UserError, match="needs a train and a test split"):
        apply_protocol(alone, "holdout")


def test_split_checks_its_arrays():
    with pytest.raises(UserError, match="uint8 of shape"):
        Split(np.zeros((3, 4, 4), np.uint8))


def test_no_network_is_found_out_quickly():
    # A port of this machine at which nobody listens answers "refused" at once; a name
    # that does not resolve is given up after the limit.
    assert not sources.reachable("http://127.0.0.1:9/", seconds=2)
    assert not sources.reachable("http://no-such-host.invalid/", seconds=2)
    assert sources.download_tfds("mnist", probe="http://127.0.0.1:9/") is None


@pytest.fixture
def local_mirror(mnist_dir, monkeypatch):
    """The real files behind a real web server on this machine."""
    handler = functools.partial(QuietHandler, directory=str(mnist_dir))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    from tensorflow_datasets.image_classification.mnist import MNIST

    monkeypatch.setattr(MNIST, "URL", url)
    yield url
    server.shutdown()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.mark.slow
def test_tfds_download_then_prepared(local_mirror, tmp_path):
    """TFDS itself downloads, checks, prepares and reads MNIST."""
    folder = tmp_path / "tensorflow_datasets"
    assert sources.from_tfds("mnist", folder) is None
    source = sources.download_tfds("mnist", probe=local_mirror, folder=folder)
    assert len(source.splits["train"].images) == 60_000
    assert sorted(p.name for p in (folder / "mnist").iterdir()) == ["3.0.1"]
    again = sources.from_dir(str(folder), name="mnist")
    version = sources.from_dir(str(folder / "mnist" / "3.0.1"), name="mnist")
    for other in (again, version):
        np.testing.assert_array_equal(
            other.splits["test"].labels, source.splits["test"].labels
        )


def test_a_failed_download_leaves_nothing(tmp_path, monkeypatch, capsys):
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    from tensorflow_datasets.image_classification.mnist import MNIST

    monkeypatch.setattr(MNIST, "URL", url)
    folder = tmp_path / "tensorflow_datasets"
    assert sources.download_tfds("mnist", probe=url, folder=folder) is None
    server.shutdown()
    server.server_close()
    assert "The download of mnist failed" in capsys.readouterr().out
    assert not list(folder.rglob("*"))


# ------------------------------------------------------------------ one's own images


def folder_of(path, counts, *, side=20):
    """A tree of grey PNG files: counts by sub-folder."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (path / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (side, side), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{i:03}.png")
    return path


def test_a_folder_with_and_without_classes(tmp_path):
    folder = folder_of(tmp_path, {"cat": 3, "dog": 2})
    (folder / "notes.txt").write_text("no image")
    source = sources.from_folder(folder)
    [split] = source.splits.values()
    assert split.images.shape == (5, 20, 20, 1) and split.labels is None
    assert split.paths[0] == "cat/000.png"
    assert source.advice.startswith("Skipped: 1 file (not an image: 1)")
    assert source.unreadable == (("notes.txt", "not an image"),)
    assert "20×20, in memory" in source.origin
    source = sources.from_folder(folder, side=24, labels=True)
    [split] = source.splits.values()
    assert split.images.shape[1:] == (24, 24, 1)
    assert split.labels.tolist() == [0, 0, 0, 1, 1]
    assert source.class_names == ("cat", "dog")


def test_a_folder_with_train_and_test(tmp_path):
    counts = {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 1}
    folder = folder_of(tmp_path / "a", counts)
    source = sources.from_dir(str(folder), name="cifar10")
    assert list(source.splits) == ["train", "test"]
    assert source.splits["train"].labels.tolist() == [0, 0, 0, 1, 1]
    assert source.splits["test"].paths == ("test/cat/000.png", "test/dog/000.png")
    folder_of(folder / "more", {"cat": 1})
    with pytest.raises(UserError, match=r"folders train and test.*'more'"):
        sources.from_folder(folder, split=True)
    small = sources.from_dir(
        str(folder_of(tmp_path / "b", counts)), name="x", shape=(12, 12, 3)
    )
    assert small.splits["train"].images.shape[1:] == (12, 12, 3)


def test_images_straight_in_train_and_test_have_no_classes(tmp_path):
    folder = folder_of(tmp_path / "flat", {"train": 3, "test": 2})
    source = sources.from_dir(str(folder), name="cifar10")
    assert [len(split.images) for split in source.splits.values()] == [3, 2]
    assert source.splits["train"].labels is None
    with pytest.raises(UserError, match=r"needs every image in a sub-folder"):
        sources.from_folder(folder, labels=True, split=True)
    folder = folder_of(
        tmp_path / "deep", {"train/cat": 2, "train/dog": 1, "test/cat": 1}
    )
    (folder / "train" / "README.txt").write_text("this is no image")
    source = sources.from_dir(str(folder), name="cifar10")
    assert source.splits["train"].labels.tolist() == [0, 0, 1]


def test_folders_in_the_folder_of_a_class_belong_to_it(tmp_path):
    folder = folder_of(tmp_path, {"cats/from_web": 2, "cats/own": 1, "dogs": 2})
    source = sources.from_folder(folder, labels=True)
    assert source.class_names == ("cats", "dogs")
    assert source.splits["the folder"].labels.tolist() == [0, 0, 0, 1, 1]
    assert source.advice == (
        "Classes: the top-level folders, with all folders below them: cats, dogs"
    )
    flat = sources.from_folder(folder / "cats", labels=True)
    assert flat.class_names == ("from_web", "own") and flat.advice is None


@pytest.mark.parametrize("split", [True, False])
def test_train_and_test_are_no_classes(tmp_path, split):
    counts = {"train/cat/a": 2, "train/dog": 1, "test/cat": 1, "test/dog": 1}
    folder = folder_of(tmp_path, counts)
    source = sources.from_folder(folder, labels=True, split=split)
    assert source.class_names == ("cat", "dog")


def test_arrays_with_and_without_labels(tmp_path, arrays):
    images, labels = arrays
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "y.npy", labels)
    [split] = sources.from_array(tmp_path / "x.npy", labels=None).splits.values()
    assert split.images.shape == (20, 28, 28, 1) and split.labels is None
    source = sources.from_array(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    names = np.array(source.class_names)[source.splits["the array"].labels]
    np.testing.assert_array_equal(names, labels.astype(str))
    np.save(tmp_path / "y.npy", np.where(labels == 0, 501, 1203))
    source = sources.from_array(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    np.testing.assert_array_equal(source.splits["the array"].labels, labels != 0)
    assert source.class_names == ("501", "1203")
    np.savez(tmp_path / "both.npz", images=images, labels=labels)
    source = sources.from_array(tmp_path / "both.npz", labels=None)
    np.testing.assert_array_equal(source.splits["train"].labels, labels)


def test_arrays_that_are_something_else(tmp_path, arrays):
    images, labels = arrays
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "real.npy", images / 255.0)
    np.save(tmp_path / "few.npy", labels[:3])
    np.savez(tmp_path / "both.npz", images=images)
    np.save(tmp_path / "first.npy", np.zeros((5, 3, 20, 20), np.uint8))
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "object.npy", labels.astype(object))
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    for name, other, message in (
        ("no.npy", None, "data.array must be a file"),
        ("few.npy", None, "must hold numeric images"),
        ("bad.npy", None, "cannot be read"),
        ("both.npz", "few.npy", "must not be given with an npz file"),
        ("x.npy", "few.npy", "one label per image"),
        ("x.npy", "real.npy", "must hold integers"),
        ("x.npy", "no.npy", "data.labels must be a .npy file"),
        ("x.npy", "both.npz", "data.labels .* is an npz file"),
        ("x.npy", "empty.npy", "data.labels .*empty.npy cannot be read"),
        ("x.npy", "object.npy", "data.labels .* holds Python objects"),
        ("first.npy", None, "must have channels last"),
    ):
        with pytest.raises(UserError, match=message):
            sources.from_array(tmp_path / name, labels=other and tmp_path / other)


def pictures_with_masks(path, values, number=4):
    """Images of noise with label maps of some values each."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (path / name).mkdir(parents=True)
    for i in range(number):
        pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / "images" / f"{i}.png")
        labels = rng.choice(values, (12, 12)).astype(np.uint8)
        Image.fromarray(labels).save(path / "masks" / f"{i}.png")
    return {"images": path / "images", "masks": path / "masks"}


def classes_of(source):
    [split] = source.splits.values()
    return set(np.unique(split.labels).tolist())


def test_masks_of_0_and_255_are_two_classes_unless_told_otherwise(tmp_path):
    places = pictures_with_masks(tmp_path / "binary", [0, 255])
    source = sources.from_images_and_masks(**places)
    assert classes_of(source) == {0, 1}
    assert "only 0 and 255, which count as two classes" in source.advice
    assert classes_of(sources.from_images_and_masks(**places, ignore=255)) == {0, 255}
    assert classes_of(sources.from_images_and_masks(**places, ignore=0)) == {1, 255}
    assert classes_of(sources.from_images_and_masks(**places, ignore=254)) == {0, 1}
    merge = [1, *[255] * 254, 0]
    assert classes_of(sources.from_images_and_masks(**places, merge=merge)) == {0, 1}
    places = pictures_with_masks(tmp_path / "more", [0, 1, 255])
    source = sources.from_images_and_masks(**places)
    assert classes_of(source) == {0, 1, 255} and source.advice is None


def test_classes_of_label_maps_are_named_by_their_values(tmp_path):
    places = pictures_with_masks(tmp_path / "gaps", [0, 128, 255])
    source = sources.from_images_and_masks(**places)
    assert source.class_names == ("0", "128")
    assert source.advice == "Classes: the 2 values of the label maps: 0, 128"
    [split] = source.splits.values()
    for i, labels in enumerate(split.labels):
        with Image.open(places["masks"] / f"{i}.png") as file:
            values = np.array([0, 128, 255])[np.minimum(labels, 2)]
            np.testing.assert_array_equal(values, file)
    source = sources.from_images_and_masks(**places, ignore=0)
    assert source.class_names == ("128",) and classes_of(source) == {0, 255}
    source = sources.from_images_and_masks(
        **places, names=[f"c{i}" for i in range(129)]
    )
    assert classes_of(source) == {0, 128, 255} and len(source.class_names) == 129
    merge = [1, *[0] * 254, 255]
    assert classes_of(sources.from_images_and_masks(**places, merge=merge)) == {
        0,
        1,
        255,
    }


def test_label_maps_of_16_bits_are_read_as_those_of_8(tmp_path):
    places = pictures_with_masks(tmp_path, [0])
    for values, named, classes in (
        ([0, 65535], None, {0, 1}),
        ([0, 1, 255], None, {0, 1, 255}),
        ([7, 26001, 65535], ("7", "26001"), {0, 1, 255}),
    ):
        for path in places["masks"].iterdir():
            labels = np.resize(values, (12, 12)).astype(np.uint16)
            Image.fromarray(labels).save(path)
        source = sources.from_images_and_masks(**places)
        assert (source.class_names, classes_of(source)) == (named, classes)
        assert not source.unreadable
    for i, path in enumerate(places["masks"].iterdir()):
        labels = np.arange(144, dtype=np.uint16).reshape(12, 12)
        Image.fromarray(144 * i + labels).save(path)
    with pytest.raises(UserError, match=r"at most 255 classes\. .*values="):
        sources.from_images_and_masks(**places)


def test_what_is_no_label_map_is_named_with_its_reason(tmp_path):
    places = pictures_with_masks(tmp_path, [0, 1])
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "masks" / "0.png")
    Image.new("L", (12, 12)).save(tmp_path / "masks" / "more.png")
    source = sources.from_images_and_masks(**places)
    [(name, reason)] = source.unreadable
    assert name == "0.png" and reason.endswith("this one has colours")
    assert "Label maps without an image: 1 (more.png)" in source.advice


def test_pictures_of_four_bands_are_read_in_colour_and_that_is_said(tmp_path):
    bands = np.random.default_rng(0).integers(0, 256, (12, 12, 4), dtype=np.uint8)
    Image.fromarray(bands).save(tmp_path / "x.tif")
    source = sources.from_images_and_masks(tmp_path, masks=None)
    [split] = source.splits.values()
    np.testing.assert_array_equal(split.images[0], bands[..., :3])
    assert "data.channels 4 reads all four" in source.advice
    source = sources.from_images_and_masks(tmp_path, masks=None, channels=4)
    [split] = source.splits.values()
    np.testing.assert_array_equal(split.images[0], bands)
    assert source.advice is None


def test_deep_pictures_have_one_range(tmp_path):
    for name, level in (("a", 2_000), ("b", 20_000)):
        pixels = np.random.default_rng(0).normal(level, 300, (12, 12))
        Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / f"{name}.png")
    source = sources.from_images_and_masks(tmp_path, masks=None)
    dark, bright = (image.mean() for image in source.splits["the images"].images)
    assert dark < 30 and bright > 220 and source.shown[1] > 20_000
    (tmp_path / "a.png").unlink()
    alone = sources.from_images_and_masks(tmp_path, masks=None, shown=source.shown)
    assert alone.splits["the images"].images[0].mean() == bright
