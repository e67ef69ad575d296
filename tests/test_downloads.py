"""Downloads from a real server on this machine, and archives in the usual formats."""

import hashlib
import io
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from iic_tf.datasets.downloads import MEGABYTE, download, unpack, verify
from iic_tf.errors import UserError

ROOT = Path(__file__).parents[1]
CONTENT = bytes(range(256)) * 10_000
SUM = hashlib.sha256(CONTENT).hexdigest()


def test_a_file_is_downloaded_and_checked(server, tmp_path):
    server.files["a.bin"] = CONTENT
    calls, path = [], tmp_path / "new" / "a.bin"
    known = {"size": len(CONTENT), "sha256": SUM}
    download(f"{server.url}a.bin", path, **known, progress=lambda *mb: calls.append(mb))
    assert path.read_bytes() == CONTENT and list(path.parent.iterdir()) == [path]
    assert calls[-1] == (len(CONTENT) // MEGABYTE,) * 2


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_or_begins_anew(server, tmp_path, ranges):
    server.files["a.bin"], server.ranges = CONTENT, ranges
    server.broken_at, path = 1_000_000, tmp_path / "a.bin"
    with pytest.raises(UserError, match="broke off"):
        download(f"{server.url}a.bin", path)
    part = tmp_path / "a.bin.part"
    assert part.read_bytes() == CONTENT[:1_000_000] and not path.exists()
    server.broken_at = None
    download(f"{server.url}a.bin", path, size=len(CONTENT), sha256=SUM)
    assert path.read_bytes() == CONTENT and not part.exists()
    assert server.begun == [0, 1_000_000 if ranges else 0]


def test_what_came_in_full_is_not_downloaded_again(server, tmp_path):
    server.files["a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    download(f"{server.url}a.bin", tmp_path / "a.bin")  # the server says 416
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_another_file_than_published_is_not_kept(server, tmp_path):
    server.files["a.bin"] = CONTENT
    for known in ({"size": 5, "sha256": None}, {"size": None, "sha256": "0" * 64}):
        with pytest.raises(UserError, match="not the file that was published"):
            download(f"{server.url}a.bin", tmp_path / "a.bin", **known)
        assert not list(tmp_path.iterdir())


def test_no_server_and_no_such_file_leave_nothing(server, tmp_path):
    with pytest.raises(UserError, match=r"b\.bin: 404 Not Found"):
        download(f"{server.url}b.bin", tmp_path / "new" / "b.bin")
    with pytest.raises(UserError, match="the server does not answer"):
        download("http://127.0.0.1:9/a.bin", tmp_path / "new" / "a.bin")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    server.files["a.bin"] = CONTENT
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        download(f"{server.url}a.bin", tmp_path / "file" / "a.bin")


def test_checksums_of_a_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    verify(path, size=None, sha256=None)
    verify(path, size=len(CONTENT), sha256=SUM)
    with pytest.raises(UserError, match="has 3 bytes"):
        verify(path, size=3, sha256=SUM)


# --------------------------------------------------------------------------- unpacking


def archive_of(path, files):
    """A zip or tar file with texts by their names."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


FILES = {
    "x/data/one/a.txt": "a",
    "x/data/one/b/c.txt": "c",
    "x/data/two.txt": "2",
    "x/README": "",
    "__MACOSX/x/data/one/a.txt": "none",
}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_what_is_wanted_is_unpacked_wherever_it_lies(tmp_path, name):
    path, folder = archive_of(tmp_path / name, FILES), tmp_path / "deep" / "folder"
    unpack(path, folder, ("one", "two.txt"))
    found = {str(x.relative_to(folder)) for x in folder.rglob("*") if x.is_file()}
    assert found == {"one/a.txt", "one/b/c.txt", "two.txt"}
    (folder / "one" / "a.txt").write_text("mine")
    (folder / "two.txt").unlink()
    unpack(path, folder, ("one", "two.txt"))
    assert (folder / "one" / "a.txt").read_text() == "mine"
    assert (folder / "two.txt").read_text() == "2"


def test_unpacking_that_was_killed_is_done_again_from_the_start(tmp_path):
    path, folder = archive_of(tmp_path / "a.tar", FILES), tmp_path / "folder"

    script = f"""
import os
from pathlib import Path
from iic_tf.datasets.downloads import unpack
def kill(done, of):
    os.kill(os.getpid(), {signal.SIGKILL:d})
unpack(Path({str(path)!r}), Path({str(folder)!r}), ("one",), progress=kill)
"""
    child = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    [left] = folder.iterdir()  # a hidden folder, nothing that looks whole
    assert left.name.startswith(".")
    unpack(path, folder, ("one",))
    assert [place.name for place in folder.iterdir()] == ["one"]


def test_a_damaged_or_strange_archive_leaves_nothing(tmp_path):
    whole, folder = archive_of(tmp_path / "a.tar.gz", FILES), tmp_path / "folder"
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[:100])
    text = tmp_path / "text.zip"
    text.write_text("this is no archive")
    for path in (cut, text):
        with pytest.raises(UserError, match=f"cannot unpack .*{path.name}"):
            unpack(path, folder, ("one",))
    with pytest.raises(UserError, match=r"must hold one, three.*missing=\['three'\]"):
        unpack(whole, folder, ("one", "three"))
    for name in ("../one", "/tmp/one"):
        away = archive_of(tmp_path / "away.tar", {name: ""})
        with pytest.raises(UserError, match="names inside its folder"):
            unpack(away, folder, ("one",))
    assert not list(folder.iterdir()) and not (tmp_path / "one").exists()
