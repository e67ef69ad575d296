"""Runs that ended early are found, and deleted only when that is asked for."""

import json
import os

import pytest

import models_iic
from commands.clean import short_runs, steps_of


def make_run(folder, *, reports=(), checkpoint=None, minutes=60):
    """The files of a run that was last written to some minutes ago."""
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("options.yaml", "manifest.json"):
        (folder / name).write_text("{}")
    rows = [
        {"step": step, "seconds": 1.0, "loss": 0.5, "chosen": 0} for step in reports
    ]
    if rows:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "history.jsonl").write_text(text)
    if checkpoint is not None:
        (folder / "checkpoints" / f"ckpt-{checkpoint}.index").write_text("")
    for path in (*folder.rglob("*"), folder):
        before = path.stat().st_mtime - 60 * minutes
        os.utime(path, (before, before))
    return folder


@pytest.fixture
def runs(tmp_path):
    runs = tmp_path / "runs"
    make_run(runs / "long-1", reports=[100, 200])
    make_run(runs / "saved-1", reports=[100], checkpoint=150)
    make_run(runs / "short-1", reports=[50])
    make_run(runs / "nothing-1")
    make_run(runs / "young-1", reports=[20], minutes=0)
    (runs / "notes").mkdir()
    (runs / "notes" / "options.yaml").write_text("k: 3")
    (runs / "comparison.png").write_text("")
    (runs / "linked").symlink_to(runs / "short-1")
    return runs


def test_steps_of_a_run(runs):
    steps = {path.name: steps_of(path) for path in runs.glob("*-1")}
    assert steps == {
        "long-1": 200, "saved-1": 150, "short-1": 50, "nothing-1": 0, "young-1": 20,
    }  # fmt: skip
    (runs / "short-1" / "history.jsonl").write_text("damaged")
    assert steps_of(runs / "short-1") == 0


def test_they_are_listed_and_nothing_is_deleted(runs, capsys):
    assert models_iic.main(["clean", str(runs), "--steps", "150"]) == 0
    told = capsys.readouterr().out
    assert "short-1  50 steps" in told and "nothing-1  0 steps" in told
    assert "3 runs of fewer than 150 steps" in told and "--delete deletes" in told
    assert "long-1" not in told and "saved-1" not in told and "notes" not in told
    assert len(list(runs.iterdir())) == 8


def test_they_are_deleted_on_request_but_for_one_at_work(runs, capsys):
    assert [x.folder.name for x in short_runs(runs, steps=150) if x.at_work] == [
        "young-1"
    ]
    assert models_iic.main(["clean", str(runs), "--steps", "150", "--delete"]) == 0
    told = capsys.readouterr().out
    assert "2 deleted" in told and "young-1  20 steps  written to a moment ago" in told
    left = {path.name for path in runs.iterdir()}
    assert left == {"long-1", "saved-1", "young-1", "notes", "comparison.png", "linked"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "--steps", "3"], "clean needs a folder of run folders"),
        ([".", "--steps", "0"], "--steps must be at least 1"),
        (["."], "required: --steps"),
        ([".", "--steps", "3", "--remove"], "unrecognized arguments: --remove"),
    ],
)
def test_mistakes(words, message, capsys):
    assert models_iic.main(["clean", *words]) == 2
    assert message in capsys.readouterr().err
