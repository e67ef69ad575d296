import csv
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from runs import words

import models_iic
from iic_tf.errors import UserError
from iic_tf.evaluation.choosing import (
    Advice,
    Evidence,
    advise,
    agreement_of_cuts,
    mean_agreement,
    peaks,
)
from iic_tf.options import Options
from iic_tf.report.choosing import (
    OF_GRAPH,
    OF_NETWORK,
    advice_words,
    choice_lines,
    draw_choice,
    write_choice,
)
from iic_tf.resolved import resolve
from iic_tf.run_folder import read_options


def evidence(shares, stability, **others):
    numbers = np.arange(2, 2 + len(shares))
    return Evidence(numbers, np.array(shares), np.array(stability), **others)


def test_peaks_are_inside_and_above_all_near():
    assert peaks(np.array([3, 1, 2, 1, 5])).tolist() == [2]
    assert peaks(np.array([1, 2, 2, 1])).tolist() == []
    assert peaks(np.array([0, 3, 1, 2, 1]), around=2).tolist() == [1]


def test_the_largest_stable_peak_is_recommended():
    found = advise(evidence([0.8, 0.9, 0.7, 0.8, 0.6, 0.7, 0.5], [0.9] * 5 + [0.5] * 2))
    assert found == Advice(5, True, (3,))
    told = advice_words(
        evidence([0.8, 0.9, 0.7, 0.8, 0.6, 0.7, 0.5], [0.9] * 5 + [0.5] * 2),
        found,
        OF_GRAPH,
    )
    assert told.startswith("5 clusters: the largest k at which")
    assert "3 would also be defensible" in told


def test_without_a_stable_peak_nothing_stands_out():
    falling = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    of_stability = evidence(falling, [0.5, 0.6, 0.7, 0.6, 0.5, 0.4])
    found = advise(of_stability)
    assert found == Advice(4, False, ())
    told = advice_words(of_stability, found, OF_GRAPH)
    assert told.startswith("No number stands out")
    assert "within 2 of them (ARI 0.70)" in told
    neither = evidence(falling, falling)
    found = advise(neither)
    assert found == Advice(2, False, ())
    assert "largest together" in advice_words(neither, found, OF_NETWORK)
    unstable = evidence([0.5, 0.6, 0.5, 0.4, 0.3], [0.9, 0.7, 0.6, 0.5, 0.4])
    found = advise(unstable)
    assert (found.k, found.clear, found.others) == (2, False, (3,))
    assert "though less stable (ARI 0.70)" in advice_words(unstable, found, OF_GRAPH)


def test_agreement_does_not_depend_on_the_numbers_of_clusters():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, (2, 200))
    second = np.stack((2 - first[0], rng.integers(0, 3, 200)))
    same, chance = agreement_of_cuts(first, second)
    assert same == 1 and abs(chance) < 0.1
    mean = mean_agreement([first, first, second])
    np.testing.assert_allclose(mean, [1, (1 + 2 * chance) / 3])


def test_what_is_written_and_drawn(tmp_path):
    made = evidence(
        [0.8, 0.7, 0.9, 0.6],
        [0.9, 0.8, 0.95, 0.5],
        views=np.array([0.9, 0.8, 0.97, 0.6]),
    )
    found = advise(made)
    lines = choice_lines(made, found)
    assert [line.endswith("<- recommended") for line in lines] == [0, 0, 0, 1, 0]
    unclear = choice_lines(made, replace(found, clear=False))
    assert [line.endswith("<- a guess") for line in unclear] == [0, 0, 0, 1, 0]
    write_choice(tmp_path / "a.csv", made, found)
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [row["recommended"] for row in rows] == ["0", "0", "1", "0"]
    assert rows[2] == {
        "k": "4",
        "share_of_ln_k": "0.9",
        "stability": "0.95",
        "views": "0.97",
        "recommended": "1",
    }
    draw_choice(tmp_path / "a.png", made, found, OF_NETWORK, title="a")
    assert plt.imread(tmp_path / "a.png").std() > 0.05


def test_the_quick_way_from_the_command_line(digits_npz, tmp_path, capsys):
    given = ["choose-k", "--method=spectral", f"--data.dir={digits_npz}"]
    assert models_iic.main([*given, "--to=8", f"--out={tmp_path}"]) == 0
    told = capsys.readouterr().out
    assert "share of ln k" in told and "<- recommended" in told
    assert "clusters" in told.splitlines()[-3]
    [folder] = tmp_path.iterdir()
    names = {path.name for path in folder.iterdir()}
    assert names == {"choose_k.csv", "choose_k.png"}
    assert len((folder / "choose_k.csv").read_text().splitlines()) == 8
    assert models_iic.main([*given, "--to=80", f"--out={tmp_path}"]) == 2
    assert "up to 18 clusters, with 240 images" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.usefixtures("few_plots")
def test_a_network_is_trained_with_the_number_of_the_graph(
    digits_npz, tmp_path, capsys
):
    given = words(digits_npz, tmp_path, **{"heads.aux": 2})
    assert models_iic.main(["choose-k", *given, "--to=6"]) == 0
    [folder] = tmp_path.iterdir()
    told = capsys.readouterr().out
    [chosen] = [line for line in told.splitlines() if line.startswith("Clusters: ")]
    stored = read_options(folder / "options.yaml")
    assert 2 <= stored["k"] <= 6 and f"{stored['k']} clusters" in chosen
    assert stored["heads"]["k_aux"] == max(5 * stored["k"], 12)
    assert "views" in told and (folder / "choose_k.png").is_file()
    before = (folder / "choose_k.csv").read_text()
    assert models_iic.main(["choose-k", str(folder), "--to=6"]) == 0
    assert (folder / "choose_k.csv").read_text() == before


def test_a_run_needs_two_auxiliary_sub_heads(labelled_run, capsys):
    assert models_iic.main(["choose-k", str(labelled_run.folder)]) == 2
    assert "of which the run must have two" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--from=1"], "--from must be at least 2"),
        (["--from=5", "--to=6"], "--to must be at least --from + 2"),
        (["--k=5"], "takes no --k"),
        (["--data.images=x"], "whole images"),
        (["nowhere"], "needs the folder of a run"),
    ],
)
def test_mistakes_are_one_sentence(given, says, capsys):
    assert models_iic.main(["choose-k", *given]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1


def test_too_few_images_are_one_sentence(digits, tmp_path, capsys):
    np.save(tmp_path / "x.npy", digits[0][:20])
    given = ["choose-k", "--method=spectral", f"--data.array={tmp_path / 'x.npy'}"]
    assert models_iic.main(given) == 2
    told = capsys.readouterr().err
    assert "needs more to go by: with 20 images" in told and told.count("\n") == 1


def test_k_auto_is_a_number_only_when_images_are_there():
    with pytest.raises(UserError, match="k must be a number here"):
        resolve(Options(k="auto"))
