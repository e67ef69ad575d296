"""Any legal name, shown, drawn, tabled and written."""

import csv
import io
import os
import warnings

import pytest
import yaml
from matplotlib.figure import Figure

from iic_tf.errors import UserError
from iic_tf.names import (
    csv_text,
    drawable,
    escaped,
    plain,
    read_names,
    readable_names,
    restored,
    storable,
    written_stems,
)

NO_TEXT = os.fsdecode(b"caf\xe9.png")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [bold] :smile: $1_$5", "plain [bold] :smile: $1_$5"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b2J", r"\x9b2J"),
        (NO_TEXT, r"caf\xe9.png"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\ud800", r"\ud800"),
        ("写真 café 👩‍💻", "写真 café 👩‍💻"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text, shown):
    assert escaped(text) == shown


def test_bytes_that_are_no_text_come_back_from_yaml():
    stored = yaml.load(yaml.safe_dump(storable(NO_TEXT)), yaml.CSafeLoader)
    assert restored(stored) == NO_TEXT and storable("写真") == "写真"


def test_line_ends_stay_where_they_are_ours():
    assert escaped("one\ntwo\x1b", keep="\n") == "one\ntwo\\x1b"


def test_cells_are_quoted_no_formulas_and_read_back():
    names = ["a,b", 'say "x"', "one\rtwo", "one\ntwo", "=1+1", "-x", "+x", "@x", "\tx",
             "'x", "'=x", "plain", NO_TEXT]  # fmt: skip
    text = csv_text([("path", "cluster"), *((name, -1) for name in names)])
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["path", "cluster"] and {row[1] for row in rows[1:]} == {"-1"}
    cells = [row[0] for row in rows[1:]]
    assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in cells)
    assert [cell[cell.startswith("'") :] for cell in cells] == names


def drawn_without_warnings(texts):
    figure = Figure()
    axes = figure.subplots()
    axes.set_xticks(range(len(texts)), texts)
    axes.set_title(texts[0])
    axes.plot([0, 1], label=texts[0])
    axes.legend()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png")
    return axes.get_xticklabels()


def test_names_are_drawn_as_they_stand():
    names = ["$1_$5", "$10+", r"\$x", "a$b", r"$\frac$", "_x", "{", "^", "%", "naïve"]
    labels = drawn_without_warnings([drawable(name) for name in readable_names(names)])
    said = [label._preprocess_math(label.get_text()) for label in labels]
    assert [(text.strip(), math) for text, math in said] == [(n, False) for n in names]


def test_a_name_that_the_font_lacks_becomes_its_number():
    names = ["cat", "猫", "犬", NO_TEXT, "a\nb", "x" * 300]
    shown = readable_names(names)
    drawn_without_warnings([drawable(name) for name in shown])
    assert shown[:5] == ["cat", "class 1", "class 2", r"caf\xe9.png", r"a\nb"]
    assert len(shown[5]) < 40
    assert drawable("写真-1: x") == "□□-1: x"


def test_folders_of_runs_have_names_that_tensorflow_can_write_to():
    assert plain("sale_$1_$5") == "sale_$1_$5"
    assert plain(os.fsdecode(b"caf\xe9\x1b")) == "caf__"
    assert len(plain("é" * 200).encode()) <= 100
    assert set(plain("é" * 200)) == {"é"}


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", "a\\b", "a\0"])
def test_lists_name_pictures_without_folders(tmp_path, name):
    path = tmp_path / "train.txt"
    path.write_text("000001\na..b\n")
    assert read_names(path) == ["000001", "a..b"]
    path.write_text(f"000001\n{name}\n")
    with pytest.raises(UserError, match="must hold image names without folders"):
        read_names(path)


def test_a_list_that_is_no_text(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes(b"\x89PNG\xff")
    with pytest.raises(UserError, match=r"train.txt must be UTF-8 text"):
        read_names(path)


def test_no_two_results_share_a_file():
    assert written_stems(["x/a.jpg", "x/b.tiff"]) == ["x/a", "x/b"]
    hard = ["a.png", "a.jpg", "a.png.bmp", "A.bmp", "b.png/c.jpg", "b.jpg",
            "b.jpg/d.gif", ".png.jpg", "..jpg", *(f"{'é' * 120}{i}.png" for i in "12")
           ]  # fmt: skip
    stems = written_stems(hard)
    files = [f"{stem}.png" for stem in stems]
    assert len({file.casefold() for file in files}) == len(hard)
    folders = {"b.png", "b.jpg"}
    assert not folders & {*files, *(f"{stem}.jpg" for stem in stems)}
    assert max(len(part.encode()) for file in files for part in file.split("/")) < 255
    assert written_stems(["a.png", "a.png"]) == ["a.png", "a.png-2"]


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x.png", "a//b.png"])
def test_no_result_lies_outside(name):
    with pytest.raises(UserError, match="paths inside their folder"):
        written_stems([name])
