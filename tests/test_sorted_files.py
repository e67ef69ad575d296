"""Files sorted into folders."""

import os
from pathlib import Path

import pytest

from iic_tf.errors import UserError
from iic_tf.report import sorted_files
from iic_tf.report.sorted_files import sort_files


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "photos"
    for name in ("a/x.jpg", "b/x.jpg", "b/y.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


PATHS, GROUPS = ["a/x.jpg", "b/x.jpg", "b/y.jpg"], ["cats/dogs", "cats/dogs", ".."]


@pytest.mark.parametrize("copy", [False, True])
def test_files_of_one_name_are_told_apart(root, tmp_path, copy):
    into = tmp_path / "new" / "sorted"
    assert sort_files(into, root, PATHS, GROUPS, copy=copy) == 2
    found = {x.relative_to(into).as_posix(): x for x in into.rglob("*.jpg")}
    texts = {name: x.read_text() for name, x in found.items()}
    assert texts == {
        "cats_dogs/x.jpg": "a/x.jpg",
        "cats_dogs/x-2.jpg": "b/x.jpg",
        "_/y.jpg": "b/y.jpg",
    }
    same = os.path.samefile(root / "a" / "x.jpg", found["cats_dogs/x.jpg"])
    assert same is not copy


def test_links_are_symbolic_where_they_cannot_be_hard(root, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    sort_files(tmp_path / "sorted", root, PATHS, GROUPS, copy=False)
    link = tmp_path / "sorted" / "cats_dogs" / "x.jpg"
    assert link.is_symlink() and Path(os.readlink(link)).is_absolute()
    assert link.read_text() == "a/x.jpg"

    monkeypatch.setattr(Path, "symlink_to", refused)
    with pytest.raises(UserError, match="files can be copied instead"):
        sort_files(tmp_path / "again", root, PATHS, GROUPS, copy=False)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["photos", "sorted"]


def test_nothing_is_overwritten(root, tmp_path):
    into = tmp_path / "sorted"
    into.mkdir()
    (into / "mine").touch()
    with pytest.raises(OSError):
        sort_files(into, root, PATHS, GROUPS, copy=True)
    assert [x.name for x in into.iterdir()] == ["mine"]
    assert sorted_files.as_folders(["a", "A", "a/b", "a\\b"]) == [
        *("a", "A-2", "a_b", "a_b-2")
    ]
