"""All files below a folder."""

import os

import pytest

from iic_tf.datasets.file_tree import find_files
from iic_tf.errors import UserError


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(tree, folder):
    return [path.relative_to(folder).as_posix() for path in tree.files]


def test_links_are_followed_and_loops_cut(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    touch(root / "a" / "1", other / "b" / "2", other / "c" / "3", tmp_path / "4")
    (other / "c" / "back").symlink_to(root)
    (other / "c" / "beside").symlink_to(other / "b")
    (root / "b").symlink_to(other / "b")
    (root / "c").symlink_to(other / "c")
    (root / "again").symlink_to("a")
    (root / "up").symlink_to("..")
    (root / "4").symlink_to(tmp_path / "4")
    (root / "nowhere").symlink_to("gone")
    (root / "self").symlink_to("self")
    tree = find_files(root)
    assert names(tree, root) == ["4", "a/1", "b/2", "c/3"] and tree.linked == 3
    assert tree.left_out == [
        ("again/", "a link to a folder that is read anyway"),
        ("c/back/", "a link to a folder that is read anyway"),
        ("c/beside/", "a link to a folder that is read anyway"),
        ("nowhere", "a broken link"),
        ("self", "a broken link"),
        ("up/", "a link to a parent folder"),
    ]


def test_a_folder_inside_one_that_is_linked_is_entered_once(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    touch(root / "1", other / "2", other / "deep" / "3")
    (root / "a").symlink_to(other / "deep")
    (root / "b").symlink_to(other)
    tree = find_files(root)
    assert names(tree, root) == ["1", "a/3", "b/2"]
    assert tree.left_out == [("b/deep/", "a folder that is read under another path")]


def test_runs_and_what_is_drawn_beside_them_are_left_out(tmp_path):
    touch(tmp_path / "1.png", tmp_path / "runs" / "pairs_x.png")
    touch(tmp_path / "runs" / "x-1" / "clusters.png", tmp_path / "pairs_1.png")
    for name in ("options.yaml", "manifest.json"):
        touch(tmp_path / "runs" / "x-1" / name)
    touch(tmp_path / "settings" / "options.yaml")  # somebody else's
    tree = find_files(tmp_path)
    assert names(tree, tmp_path) == ["1.png", "pairs_1.png", "settings/options.yaml"]
    assert tree.left_out == [
        ("runs/pairs_x.png", "a plot of this program"),
        ("runs/x-1/", "a run"),
    ]


def test_hidden_ones_are_named(tmp_path):
    touch(tmp_path / "1", tmp_path / ".git" / "2", tmp_path / "a" / ".DS_Store")
    tree = find_files(tmp_path)
    assert names(tree, tmp_path) == ["1"]
    assert tree.left_out == [(".git/", "hidden"), ("a/.DS_Store", "hidden")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none")
def test_nothing_waits_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    tree = find_files(tmp_path)
    assert tree.files == [] and tree.left_out == [("x.png", "not a regular file")]


def test_a_run_that_is_asked_for_itself_is_read(tmp_path):
    touch(*(tmp_path / name for name in ("options.yaml", "manifest.json", "a.png")))
    assert names(find_files(tmp_path), tmp_path) == [
        "a.png", "manifest.json", "options.yaml",
    ]  # fmt: skip


def test_some_files_and_folders_alone(tmp_path):
    touch(*(tmp_path / name for name in ("a/1", "a/2", "b/3", "c/d/4", "5")))
    tree = find_files(tmp_path, ["a/2", "c", "a/2", "c/d/4"])
    assert names(tree, tmp_path) == ["a/2", "c/d/4"]
    assert names(find_files(tmp_path, ["."]), tmp_path) == names(
        find_files(tmp_path), tmp_path
    )
    with pytest.raises(UserError, match=r"data\.only must name"):
        find_files(tmp_path, ["a/9"])
