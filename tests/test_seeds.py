import csv
import shutil

import numpy as np
import pytest
from runs import words

import models_iic
from commands import EXIT_FAILED, seeds, train
from iic_tf.errors import RunError, UserError
from iic_tf.options import Options
from iic_tf.training.seeds import (
    agreement_of_runs,
    best_of,
    read_clusters,
    seed_lines,
    seed_results,
    write_seeds,
)


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def with_cluster(folder, change):
    """Rewrites the clusters of a run."""
    lines = (folder / "assignments.csv").read_text().splitlines()
    changed = [lines[0]]
    for line in lines[1:]:
        name, cluster, *rest = line.split(",")
        changed.append(",".join((name, str(change(int(cluster))), *rest)))
    (folder / "assignments.csv").write_text("\n".join(changed) + "\n")


def test_which_seeds_are_meant():
    assert Options(seed=3).seeds_of_runs() == [3]
    assert Options(seed=3, seeds=2).seeds_of_runs() == [3, 4]
    assert Options(seeds=[7, 1]).seeds_of_runs() == [7, 1]
    for wrong in (0, 101, [], [1, 1], [-1], [2**31]):
        with pytest.raises(UserError, match="seeds must be a number of runs"):
            Options(seeds=wrong)
    with pytest.raises(UserError, match="give only one of them"):
        Options(seeds=2, resume="runs/a")


def test_agreement_of_two_clusterings():
    first = np.array([0, 0, 1, 1, 2, 2])
    assert agreement_of_runs(first, 2 - first) == (1.0, 1.0)
    ari, same = agreement_of_runs(first, np.array([0, 0, 1, 1, 2, 0]))
    assert 0 < ari < 1 and same == pytest.approx(5 / 6)


def test_a_table_of_runs(labelled_run, tmp_path):
    first = labelled_run.copy_to(tmp_path)
    second = shutil.copytree(first, tmp_path / "second")
    with_cluster(second, lambda cluster: 9 - cluster)
    results = seed_results([first, second])
    assert [result.ari for result in results] == [1.0, 1.0]
    assert results[0].used >= 1 and results[0].error is not None
    worse = results[1]._replace(information=results[0].information - 0.5, seed=8)
    assert best_of([worse, results[0]]) is results[0]
    lines = seed_lines([results[0], worse])
    assert "agree on 100.0 % of the images" in lines[3]
    assert lines[4].endswith(f"{first}, seed 0")
    write_seeds(tmp_path / "seeds.csv", [results[0], worse], [(9, "a, b")])
    rows = rows_of(tmp_path / "seeds.csv")
    assert [row["state"] for row in rows] == ["lowest loss", "finished", "a, b"]
    assert float(rows[0]["loss"]) == pytest.approx(-results[0].information, abs=1e-5)
    assert [row["seed"] for row in rows] == ["0", "8", "9"]
    (second / "assignments.csv").write_text("image,cluster\n0,x\n")
    with pytest.raises(UserError, match="is damaged"):
        read_clusters(second)
    (second / "assignments.csv").unlink()
    assert [result.ari for result in seed_results([first, second])] == [None, None]


@pytest.mark.long
@pytest.mark.usefixtures("few_plots")
def test_two_seeds_from_the_command_line(digits_npz, tmp_path, capsys):
    assert models_iic.main([*words(digits_npz, tmp_path), "--seeds", "2"]) == 0
    told = capsys.readouterr().out
    assert "Seed:     1, run 2 of 2" in told and "Lowest loss, without labels" in told
    rows = rows_of(tmp_path / "seeds_mnist-1.csv")
    assert [(row["run"], row["seed"]) for row in rows] == [
        ("mnist-1", "0"),
        ("mnist-2", "1"),
    ]
    assert sorted(row["state"] for row in rows) == ["finished", "lowest loss"]
    assert all(row["error"] and row["ari"] for row in rows)
    runs = [str(tmp_path / row["run"]) for row in rows]
    assert models_iic.main(["compare", *runs]) == 0
    assert "Seeds agree on" in capsys.readouterr().out


def test_a_seed_that_fails_loses_no_other(labelled_run, tmp_path, monkeypatch, capsys):
    """The run itself is stood in for: what is tested is what becomes of its end."""

    def run(asked, *, began, strategy):
        if asked.seed == 4:
            raise RunError("the disk is full")
        folder = labelled_run.copy_to(tmp_path / str(asked.seed))
        began(folder.rename(tmp_path / asked.name))
        return 0 if asked.seed < 6 else 130

    monkeypatch.setattr(train, "run", run)
    (tmp_path / "3").mkdir()
    asked = Options(seed=3, seeds=5, name="x", out=str(tmp_path))
    for seed in range(3, 8):
        (tmp_path / str(seed)).mkdir(exist_ok=True)
    assert seeds.run_seeds(asked) == 130
    told = capsys.readouterr().out
    assert "Failed:   seed 4: the disk is full" in told
    assert '--seeds "[7]"' in told
    states = [(row["run"], row["state"]) for row in rows_of(tmp_path / "seeds_x-3.csv")]
    assert states == [
        ("x-3", "lowest loss"),
        ("x-5", "finished"),
        ("", "the disk is full"),
        ("", "interrupted"),
        ("", "not begun"),
    ]
    asked = Options(seeds=[3, 4], name="y", out=str(tmp_path))
    assert seeds.run_seeds(asked) == EXIT_FAILED


def test_seeds_are_for_training(capsys):
    assert models_iic.main(["--seeds=2", "--method=spectral"]) == 2
    assert "seeds is for training" in capsys.readouterr().err
