import functools
import gzip
import http.server
import threading

import numpy as np
import pytest
from PIL import Image

from iic_tf.datasets import numpy_files, own, published
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


def folder_of(path, counts, *, side=20):
    """A tree of grey PNG files: counts by sub-folder."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (path / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (side, side), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{i:03}.png")
    return path


def test_idx_folder_compressed_or_not_with_or_without_labels(idx_dir, arrays):
    source = published.from_dir(str(idx_dir), name="mnist")
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
        published.from_dir(str(tmp_path), name="mnist")


def test_npz_as_keras_distributes_it(digits_npz):
    source = published.from_dir(str(digits_npz), name="mnist")
    assert source.splits["train"].images.shape == (200, 28, 28, 1)
    assert source.splits["test"].labels.shape == (40,)
    in_folder = published.from_dir(str(digits_npz.parent), name="mnist")
    assert list(in_folder.splits) == ["train", "test"]


def test_npz_that_is_damaged_or_strange(tmp_path, arrays):
    path = tmp_path / "mine.npz"
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(UserError, match="cannot read the npz file"):
        numpy_files.from_npz(path)
    np.savez(path, photos=arrays[0])
    with pytest.raises(UserError, match=r"must hold x_train or images.*photos"):
        numpy_files.from_npz(path)
    np.savez(path, images=arrays[0].astype(str))
    with pytest.raises(UserError, match="numeric images"):
        numpy_files.from_npz(path)
    np.savez(path, images=arrays[0], labels=arrays[1] / 2)
    with pytest.raises(UserError, match="must hold integers"):
        numpy_files.from_npz(path)
    np.save(tmp_path / "mine.npy", arrays[0])
    with pytest.raises(UserError, match="must be a folder or an npz file"):
        published.from_dir(str(tmp_path / "mine.npy"), name="mnist")
    np.savez(path, images=arrays[0], labels=arrays[1][:3])
    with pytest.raises(UserError, match="one label per image"):
        numpy_files.from_npz(path)


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match=r"existing folder or file.*nowhere"):
        published.from_dir(str(tmp_path / "nowhere"), name="mnist")
    with pytest.raises(UserError, match=r"no images were found\. Tried: IDX files"):
        published.from_dir(str(tmp_path), name="mnist")


def test_embedded_digits_are_real_and_balanced():
    source = published.embedded_digits()
    assert len(source.splits["train"].images) == 4000
    assert len(source.splits["test"].images) == 1000
    assert np.bincount(source.splits["test"].labels).tolist() == [100] * 10
    assert source.splits["train"].images.max() == 255
    assert "data.dir" in source.advice


def test_holdout_protocol_and_its_words():
    source = published.embedded_digits()
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
    assert not published.reachable("http://127.0.0.1:9/", seconds=2)
    assert not published.reachable("http://no-such-host.invalid/", seconds=2)
    assert published.download_tfds("mnist", probe="http://127.0.0.1:9/") is None


@pytest.mark.slow
def test_tfds_download_then_prepared(local_mirror, tmp_path):
    """TFDS itself downloads, checks, prepares and reads MNIST."""
    folder = tmp_path / "tensorflow_datasets"
    assert published.from_tfds("mnist", folder) is None
    source = published.download_tfds("mnist", probe=local_mirror, folder=folder)
    assert len(source.splits["train"].images) == 60_000
    assert sorted(p.name for p in (folder / "mnist").iterdir()) == ["3.0.1"]
    again = published.from_dir(str(folder), name="mnist")
    version = published.from_dir(str(folder / "mnist" / "3.0.1"), name="mnist")
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
    assert published.download_tfds("mnist", probe=url, folder=folder) is None
    server.shutdown()
    server.server_close()
    assert "The download of mnist failed" in capsys.readouterr().out
    assert not list(folder.rglob("*"))


def test_a_folder_with_train_and_test(tmp_path):
    counts = {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 1}
    folder = folder_of(tmp_path / "a", counts)
    source = published.from_dir(str(folder), name="cifar10")
    assert list(source.splits) == ["train", "test"]
    assert source.splits["train"].labels.tolist() == [0, 0, 0, 1, 1]
    assert source.splits["test"].paths == ("test/cat/000.png", "test/dog/000.png")
    folder_of(folder / "more", {"cat": 1})
    with pytest.raises(UserError, match=r"folders train and test.*'more'"):
        own.from_folder(folder, split=True)
    small = published.from_dir(
        str(folder_of(tmp_path / "b", counts)), name="x", shape=(12, 12, 3)
    )
    assert small.splits["train"].images.shape[1:] == (12, 12, 3)


def test_images_straight_in_train_and_test_have_no_classes(tmp_path):
    folder = folder_of(tmp_path / "flat", {"train": 3, "test": 2})
    source = published.from_dir(str(folder), name="cifar10")
    assert [len(split.images) for split in source.splits.values()] == [3, 2]
    assert source.splits["train"].labels is None
    with pytest.raises(UserError, match=r"needs every image in a sub-folder"):
        own.from_folder(folder, labels=True, split=True)
    folder = folder_of(
        tmp_path / "deep", {"train/cat": 2, "train/dog": 1, "test/cat": 1}
    )
    (folder / "train" / "README.txt").write_text("this is no image")
    source = published.from_dir(str(folder), name="cifar10")
    assert source.splits["train"].labels.tolist() == [0, 0, 1]


def write_celeba(root, parts, *, listed=True):
    """Faces of 178×218 pixels: left and right green, the square in between grey."""
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True)
    lines = []
    for i, part in enumerate(parts):
        pixels = np.full((218, 178, 3), 10 * i, np.uint8)
        pixels[:15], pixels[-15:] = (0, 255, 0), (0, 255, 0)
        Image.fromarray(pixels).save(folder / f"{i + 1:06}.jpg", quality=95)
        lines.append(f"{i + 1:06}.jpg {part}\n")
    lines.append("000099.jpg 2\n")  # one that is not there
    if listed:
        (root / "list_eval_partition.txt").write_text("".join(lines))


def test_celeba_as_it_is_published(tmp_path):
    write_celeba(tmp_path, [0, 0, 0, 1, 2, 2])
    source = published.from_celeba(tmp_path, side=64)
    sizes = {name: len(split.images) for name, split in source.splits.items()}
    assert sizes == {"train": 3, "validation": 1, "test": 2}
    test = source.splits["test"]
    assert test.paths == ("000005.jpg", "000006.jpg") and test.labels is None
    assert test.images.shape == (2, 64, 64, 3)
    # the square in the middle, without what is above and below
    assert np.abs(test.images.astype(int) - np.array([40, 50])[:, None, None, None]
                  ).max() <= 8  # fmt: skip
    assert len(apply_protocol(source, "holdout").train.images) == 3


def test_celeba_without_the_file_of_splits_or_with_a_strange_one(tmp_path):
    write_celeba(tmp_path, [0, 0, 2], listed=False)
    assert list(published.from_celeba(tmp_path, side=64).splits) == ["the images"]
    for text, message in (
        ("000001.jpg 0\n", "must give every image of img_align_celeba a split"),
        ("000001.jpg 0 000002.jpg 0 000003.jpg 3", "a split: 0, 1 or 2"),
        ("000001.jpg 0 000002.jpg 2 000003.jpg 0", "train first, then validation"),
        ("000001.jpg zero", "cannot read .*list_eval_partition.txt"),
    ):
        (tmp_path / "list_eval_partition.txt").write_text(text)
        with pytest.raises(UserError, match=message):
            published.from_celeba(tmp_path, side=64)
    with pytest.raises(UserError, match="must hold CelebA's folder img_align_celeba"):
        published.from_celeba(tmp_path / "img_align_celeba", side=64)
