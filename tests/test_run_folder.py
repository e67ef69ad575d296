import json
import os

import pytest
import yaml

from iic_tf.errors import UserError
from iic_tf.run_folder import (
    find_run,
    finished_together,
    read_history,
    read_manifest,
    read_options,
    read_summary,
)

SUMMARY = {"chosen": 1, "chosen_by": "lowest loss", "information": [1.0, 1.5]}
MANIFEST = {"data": "a", "data_fingerprint": "f", "data_shape": [9, 8, 8, 1]}
ROW = {
    "step": 5,
    "seconds": 1.5,
    "main_bound": 2.3,
    "main_information": [1.0, 2],
    "chosen": 1,
}
READ = {
    "summary.json": (read_summary, json.dumps(SUMMARY)),
    "manifest.json": (read_manifest, json.dumps(MANIFEST)),
    "history.jsonl": (read_history, json.dumps(ROW) + "\n"),
    "options.yaml": (lambda f: read_options(f / "options.yaml"), "k: 3\n"),
}
DAMAGE = {
    "empty": b"",
    "list": b"[]",
    "nothing": b"{}",
    "null": b"null",
    "number": b"3",
    "binary": bytes(range(256)),
    "cut": b'{"chosen": 1, "data',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_of_a_run_are_one_sentence(tmp_path, name, damage):
    read, _ = READ[name]
    (tmp_path / name).write_bytes(DAMAGE[damage])
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("name", READ)
def test_files_of_a_run_are_read(tmp_path, name):
    read, text = READ[name]
    (tmp_path / name).write_text(text)
    assert read(tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("summary.json", {"chosen": 99}),
        ("summary.json", {"chosen": -1}),
        ("summary.json", {"chosen": True}),
        ("summary.json", {"chosen": "1"}),
        ("summary.json", {"chosen_by": 3}),
        ("summary.json", {"information": {}}),
        ("summary.json", {"information": [None, 1]}),
        ("summary.json", {"errors": [0.1], "scored_on": "all"}),
        ("summary.json", {"errors": [0.1, 0.2]}),
        ("manifest.json", {"data_shape": "9"}),
        ("manifest.json", {"data_shape": [9, 8, 8, None]}),
        ("manifest.json", {"data_fingerprint": None}),
        ("history.jsonl", {"chosen": 2}),
        ("history.jsonl", {"main_information": []}),
        ("history.jsonl", {"seconds": None}),
        ("history.jsonl", {"errors": [0.5]}),
    ],
)
def test_what_cannot_be_of_a_run_is_one_sentence(tmp_path, name, change):
    read, text = READ[name]
    (tmp_path / name).write_text(json.dumps({**json.loads(text), **change}))
    with pytest.raises(UserError, match="damaged or not part of a run"):
        read(tmp_path)


def test_a_run_without_results_yet(tmp_path):
    assert read_summary(tmp_path) is None
    with pytest.raises(
        UserError, match=r"has no history\.jsonl: the run has no report"
    ):
        read_history(tmp_path)
    with pytest.raises(UserError, match=r"has no manifest\.json, which every run has"):
        read_manifest(tmp_path)


def test_aliases_are_counted_before_they_are_written_out(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for i in range(1, 10):
        some = ", ".join([f"*a{i - 1}"] * 10)
        lines.append(f"a{i}: &a{i} [{some}]")
    path = tmp_path / "o.yaml"
    for text in ("\n".join(lines), "data: &d\n  augment: *d\n", f"a: [{'1,' * 20000}]"):
        path.write_text(text)
        with pytest.raises(
            UserError, match="at most 10,000 keys and values, with aliases"
        ):
            read_options(path)
    path.write_text("a: &a [1, 2]\nb: *a\n")  # some are no harm
    assert read_options(path) == {"a": [1, 2], "b": [1, 2]}
    path.write_text("#" * 2_000_000)
    with pytest.raises(UserError, match="at most 1,000,000 bytes"):
        read_options(path)


@pytest.mark.parametrize(
    "text",
    ["{__path__: x}", "k: 3\ntrain:\n  __path__: y", "data: {augment: [{__a__: 1}]}"],
)
def test_names_that_the_parser_keeps_to_itself_are_no_options(tmp_path, text):
    (tmp_path / "o.yaml").write_text(text)
    with pytest.raises(UserError, match="must contain only options"):
        read_options(tmp_path / "o.yaml")


def test_options_that_are_nowhere():
    with pytest.raises(UserError, match="must be an existing YAML file"):
        read_options("nowhere.yaml")
    assert read_options("k: 3") == {"k": 3}


def test_the_latest_run_is_the_one_that_was_begun_last(tmp_path):
    for name, begun in (("a", 300.0), ("b", 200.0), ("c", 100.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "options.yaml").write_text(yaml.safe_dump({"k": 3}))
        facts = {**MANIFEST, "begun": begun}
        (tmp_path / name / "manifest.json").write_text(json.dumps(facts))
        # a copy, or an evaluation, has touched the others later
        os.utime(tmp_path / name / "options.yaml", (1000 - begun, 1000 - begun))
    assert find_run("latest", out=tmp_path).name == "a"
    (tmp_path / "c" / "manifest.json").write_text("damaged")  # by its files' times
    assert find_run("latest", out=tmp_path).name == "c"


def test_files_take_their_places_together_or_not_at_all(tmp_path):
    folder = tmp_path / "named"
    with finished_together(folder) as place:
        (place / "a").write_text("1")
        assert not folder.exists()
    with (
        pytest.raises(ValueError, match="half way"),
        finished_together(folder) as place,
    ):
        (place / "a").write_text("2")
        (place / "b").write_text("2")
        raise ValueError("half way")
    assert {x.name: x.read_text() for x in folder.iterdir()} == {"a": "1"}
    with finished_together(folder) as place:
        (place / "b").write_text("3")
    assert {x.name: x.read_text() for x in folder.iterdir()} == {"a": "1", "b": "3"}
    assert [x.name for x in tmp_path.iterdir()] == ["named"]
