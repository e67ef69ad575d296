"""Tables of labels as people write them, and what is told of a mistake in one."""

import re

import numpy as np
import pytest

from iic_tf.datasets.label_table import (
    by_number,
    by_path,
    merge_tables,
    read_label_table,
)
from iic_tf.errors import UserError
from iic_tf.names import csv_text

PATHS = ("a/1.png", "a/2.png", "b/1.png", "b/ü 4.png", "=5.png", "a, b.png")


def merged(tmp_path, *texts, find=None):
    tables = []
    for i, text in enumerate(texts):
        path = tmp_path / f"labels{i}.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        tables.append(read_label_table(path))
    find = find or by_path(PATHS, tmp_path / "photos")
    return merge_tables(tables, find, expected="its path")


def classes(labels):
    names = [labels.names[c] for c in labels.classes]
    return dict(zip(labels.numbers.tolist(), names, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "path,class\na/1.png,cat\nb/1.png,dog\n",
        "\ufeffpath;class\r\na/1.png;cat\r\nb/1.png;dog\r\n",
        'file\tspecies\n"a/1.png"\t"cat"\n\n  b/1.png \t dog \n',
        "path,class\na/1.png,cat\nb/1.png,dog\na/2.png,\na/2.png\n,,\n",
        # assignments.csv with a column that was added
        "path,cluster,confidence,class\na/1.png,3,0.9,cat\nb/1.png,1,0.4,dog\n",
        'path,note,Label\na/1.png,"x, y",cat\nb/1.png,,dog',
        "path\tclass\na/1.png\tcat\nb/1.png\tdog\n".encode("utf-16"),
    ],
)
def test_tables_of_any_spreadsheet(tmp_path, text):
    assert classes(merged(tmp_path, text)) == {0: "cat", 2: "dog"}


def test_what_the_program_writes_is_read_back(tmp_path):
    rows = [(path, f"={i}") for i, path in enumerate(PATHS)]
    labels = merged(tmp_path, csv_text([("path", "class"), *rows]))
    assert classes(labels) == {i: f"={i}" for i in range(len(PATHS))}


def test_several_tables_add_up_and_classes_are_in_order(tmp_path):
    labels = merged(
        tmp_path,
        "image,class\n3,10\n0,9\n4,\n1,\n",
        "image;class\n3;10\n1;a\n",
        find=by_number(5),
    )
    assert labels.names == ("9", "10", "a")
    assert classes(labels) == {0: "9", 1: "a", 3: "10"}
    np.testing.assert_array_equal(labels.skipped, [4])


@pytest.mark.parametrize(
    "cell",
    ["2.png", "a/2.png", "./a/2.png", "a\\2.png", "b/../a/2.png", "{root}/a/2.png"],
)
def test_ways_to_name_an_image(tmp_path, cell):
    find = by_path(PATHS, tmp_path / "photos")
    assert find(cell.format(root=tmp_path / "photos")) == [1]


def test_a_path_from_where_the_program_runs_or_through_a_link(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    assert by_path(PATHS, tmp_path / "photos")("photos/a/2.png") == [1]
    assert by_path(PATHS, tmp_path / "link")(f"{tmp_path}/photos/a/2.png") == [1]
    assert by_path(PATHS, tmp_path / "photos")("link/a/2.png") == [1]


def test_a_file_of_another_place_is_not_meant(tmp_path):
    find = by_path(PATHS, tmp_path / "photos")
    assert find("1.png") == [0, 2]
    for cell in ("/elsewhere/a/2.png", "c/2.png", "a", "", "..", "A/2.png"):
        assert find(cell) == []


@pytest.mark.parametrize("cell", ["5", "-1", "1.0", "x", "", "²"])
def test_numbers_that_no_image_has(cell):
    assert by_number(5)(cell) == []
    assert by_number(5)(" 4 ") == [4]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "labels0.csv must begin with a header such as path,class"),
        (" \n\n", "labels0.csv must begin with a header"),
        ("path\na/1.png\n", "header of .*labels0.csv must have two columns"),
        ("path,class\n", "must hold an image with a class"),
        ("path,class\na/1.png,\n", "must hold an image with a class"),
        (
            "path,class\na/1.png,cat\nno.png,cat\nnor.png,dog\n",
            r"line 3 of .*labels0.csv \(and 1 more\) must name an image of the run: "
            "its path. Received: image='no.png'",
        ),
        ("path,class\n1.png,cat\n", "line 2 of .*images_of_that_name=2"),
        ("a/1.png,cat\na/2.png,dog\n", "line 1 of .*labels0.csv must be a header"),
        (
            "path,class\na/1.png,cat\n2.png,cat\n./a/1.png,dog\n",
            r"line 4 of .*labels0.csv must have the same class as line 2 of "
            r".*classes=\['cat', 'dog'\]",
        ),
        (b"PK\x03\x04\x00\x00", "not a workbook"),
        (b"\x89PNG\x00\x00", "must be a text file"),
        (b"path,class\na/1.png,\xe9\n", "line 2 of .* class in UTF-8"),
        ("path,cluster,confidence\na/1.png,3,0.9\n", "call the column of classes"),
        ("path,class,confidence,cluster\na/1.png,c,1,3\n", "given by a person"),
    ],
)
def test_mistakes_are_told_with_file_and_line(tmp_path, text, told):
    with pytest.raises(UserError, match=told) as caught:
        merged(tmp_path, text)
    assert not re.search(r"--\w", str(caught.value))


def test_two_tables_that_contradict_each_other_are_both_named(tmp_path):
    with pytest.raises(UserError, match=r"line 2 of .*labels1.*line 2 of .*labels0"):
        merged(tmp_path, "p,class\na/1.png,cat\n", "p,class\na/1.png,dog\n")


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_label_table(tmp_path / "no.csv")
    with pytest.raises(UserError, match="Is a directory"):
        read_label_table(tmp_path)
