"""Mistakes in words and files of options are one sentence in plain words."""

import pytest

import models_iic


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--k", "two"], "k must be a whole number or auto. Received: k='two'"),
        (["--train.steps", "lots"], "train.steps must be a whole number. Received: st"),
        (["--train.lamb", "high"], "train.lamb must be a number or a list of pairs"),
        (["--seeds", "[a]"], "seeds must be a whole number or a list of whole numbers"),
        (["--seeds", "[a]"], "Received: seeds=\"['a']\""),
        (["--graph.frozen", "3"], "graph.frozen must be true or false. Received: froz"),
        (["--data.range", "x"], "data.range must be two numbers, as in [0, 1]. Receiv"),
        (["--data.augment", "5"], "data.augment must be names with values, as in {nam"),
        (["--train.precision=half"], "must be auto, float32 or mixed_bfloat16. Rec"),
        (["--heads", "5"], "heads must be a YAML file with options of heads. Received"),
        (["--train.stepps", "5"], "that --help lists, such as --train.steps, --"),
        (["--train.stepps=5"], "Received: option='--train.stepps'"),
        (["--k", "3", "stray"], "each word must be an option or the value of the opti"),
        (["frobnicate"], "an option or one of mosaic, evaluate"),
        (["--config", "train: 5"], "train must hold options, such as train.steps. Rec"),
        (
            ["--config", "kk: 3"],
            "options must be those that --help lists, such as k. Received: option=",
        ),
    ],
)
def test_mistakes_are_one_sentence(words, says, capsys):
    assert models_iic.main(words) == 2
    [sentence] = capsys.readouterr().err.splitlines()
    assert says in sentence
    assert "class" not in sentence and "Parser" not in sentence
