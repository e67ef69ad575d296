"""Options from the command line, over YAML files, over the defaults."""

import argparse
import dataclasses
import functools
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from commands import program
from commands.mistakes import one_sentence, require_sections
from iic_tf.errors import UserError, require
from iic_tf.names import restored
from iic_tf.options import PATHS, RENAMED, Options, as_plain, with_new_names
from iic_tf.root_files import find_config
from iic_tf.run_folder import OPTIONS_FILE, find_run, read_options


def parse(words: Sequence[str]) -> Options:
    """Options from the command line, over ``--config`` files, over the defaults.

    Args:
        words: Words of the command line.

    Raises:
        UserError: If an option is unknown, of the wrong type or out of range.
        SystemExit: After ``--help`` or ``--print_config``.
    """
    # Where to resume from must be known before the other options mean anything.
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--resume")
    first.add_argument("--out", default=Options().out)
    first.add_argument("--name")
    known, _ = first.parse_known_args(list(words))
    if known.resume is None:
        return parse_words(words, told=True)
    folder = find_run(known.resume, out=Path(known.out))
    name = known.name or folder.resolve().name
    require(
        name == folder.resolve().name or not (folder.parent / name).exists(),
        f"name must be new, or that of the run {folder}, which then goes on as it is",
        name=name,
    )
    if known.resume == "latest":
        print(f"Latest:   {folder}")
    # The stored options come first, so that what the user says now goes over them.
    stored = read_options(folder / OPTIONS_FILE)
    options = parse_words(words, over=stored, told=True)
    return dataclasses.replace(
        options, resume=str(folder), name=name, out=str(folder.parent)
    )


def _named_length(tree: dict[str, Any]) -> list[str]:
    """Which of train.steps and train.epochs options set: the last if both."""
    train = tree.get("train") or {}
    here = [
        name
        for name in ("steps", "epochs")
        if tree.get(f"train.{name}") is not None
        or (isinstance(train, dict) and train.get(name) is not None)
    ]
    return here[-1:]


def _last_length(
    words: Sequence[str], over: dict[str, Any] | None
) -> tuple[str, str] | None:
    """Which of train.steps and train.epochs was set last, and which before it.

    Args:
        words: Of the command line; files of options count where they are named.
        over: Options that the words go over.

    Returns:
        Both names, or None unless both were set, one after the other. Within one file
        epochs override steps.
    """
    said = _named_length(over or {})
    for word, following in itertools.zip_longest(words, words[1:]):
        option, equals, value = word.partition("=")
        value = value if equals else following
        tree: Any = {}
        if option == "--config" and value is not None:
            tree = read_options(value)
        elif option in ("--train", "--train.steps", "--train.epochs") and value:
            tree = {option[2:]: yaml.safe_load(value)}
        said += _named_length(tree)
    others = [name for name in said if name != said[-1]]
    return (said[-1], others[-1]) if others else None


@functools.cache
def _parser() -> Any:
    """The parser of all options, which takes a third of a second to build."""
    import jsonargparse

    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog=program(),
        description="Clusters images without labels by Invariant Information "
        "Clustering, or segments them (--data.images). Other commands, each with its "
        "own --help: evaluate RUN, predict RUN IMAGES, report RUN, name RUN, merge RUN "
        "3+7, export RUN, choose-k [RUN], compare RUN RUN ..., clean RUNS; for "
        "published data sets prepare NAME FOLDER, for checkpoints of "
        "the authors' code import-pytorch FILE.",
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="YAML file with options")
    parser.add_class_arguments(Options, skip={"show_pairs", "time_limit"})
    parser.add_argument(
        "--time-limit",
        dest="time_limit",
        type=float | None,
        help="Minutes that a run may take: the number of steps is planned to fit, "
        "unless train.steps or train.epochs is set. Default: 10 for up to 10,000 "
        "images of your own, otherwise no limit.",
    )
    parser.add_argument(
        "--show-pairs",
        action="store_true",
        help="Only plot originals above their augmented views, then exit.",
    )
    return parser


def parse_words(
    words: Sequence[str], *, over: dict[str, Any] | None = None, told: bool = False
) -> Options:
    """Options from words, see ``parse``.

    Args:
        words: Of the command line.
        over: Options that the words go over, as a file of options has them.
        told: Whether to print which of steps and epochs applies, where both are set.
    """
    import jsonargparse

    for word in words:
        for before, after in RENAMED.items():
            require(
                not re.match(rf"--{before}([.=]|$)", word),
                f"--{before} is now called --{after}",
                option=word,
            )
    words = _with_found_files(words)
    files = [b for a, b in itertools.pairwise(words) if a == "--config"]
    files += [w.split("=", 1)[1] for w in words if w.startswith("--config=")]
    given = list(words)  # the parser takes YAML in place of a file
    for file in files:
        # refuses what the parser would expand or ignore
        require_sections(content := read_options(file))
        tree, old = with_new_names(content)
        if old:
            text = yaml.safe_dump(tree)
            given = [w.replace(file, text) if w.endswith(file) else w for w in given]
    if over:
        given = ["--config", yaml.safe_dump(with_new_names(over)[0]), *given]
    parser = _parser()
    try:
        parsed = parser.instantiate(parser.parse_args(given))
        options = Options(
            **{field.name: parsed[field.name] for field in dataclasses.fields(Options)}
        )
        places: dict[str, Any] = {
            name: restored(value)
            for name, value in vars(options.data).items()
            if isinstance(value, str)
        }
        # names such as #recycle are comments in YAML, and so no value at all
        for place in PATHS:
            if getattr(options.data, place) is None:
                places[place] = _said(words, f"--data.{place}")
        data = dataclasses.replace(options.data, **places)
        run_name = _said(words, "--name") if options.name is None else options.name
        options = dataclasses.replace(options, data=data, name=run_name)
    except (jsonargparse.ArgumentError, ValueError, OSError) as error:
        read = f" (options read from {', '.join(files)})" if files else ""
        raise UserError(one_sentence(error) + read) from None
    if lengths := _last_length(words, over):
        last, before = (f"train.{name}" for name in lengths)
        values = dataclasses.asdict(options.train)
        if told:
            print(
                f"Length:   {last}={values[lengths[0]]} was set last and overrides "
                f"{before}={values[lengths[1]]}"
            )
        without: dict[str, Any] = {lengths[1]: None}
        train = dataclasses.replace(options.train, **without)
        options = dataclasses.replace(options, train=train)
    return options


def _with_found_files(words: Sequence[str]) -> list[str]:
    """The same where files of options that come with the package are found."""
    found = list(words)
    for i, word in enumerate(found):
        if word.startswith("--config="):
            found[i] = f"--config={find_config(word.removeprefix('--config='))}"
        elif i and found[i - 1] == "--config":
            found[i] = str(find_config(word))
    return found


def _said(words: Sequence[str], option: str) -> str | None:
    """The last value of an option as it stands in the words; None for null."""
    said = None
    for word, following in itertools.zip_longest(words, words[1:]):
        if word == option:
            said = following
        elif word.startswith(f"{option}="):
            said = word.partition("=")[2]
    return None if said == "null" else said


def changed_options(options: Options) -> list[str]:
    """Options that differ from the defaults, as "train.steps=300"."""

    def flat(tree: dict[str, Any], default: dict[str, Any], prefix: str) -> list[str]:
        changed = []
        for name, value in tree.items():
            usual = default.get(name)
            if isinstance(value, dict) and isinstance(usual, dict):
                changed += flat(value, usual, f"{prefix}{name}.")
            elif value != usual:
                changed.append(f"{prefix}{name}={value}")
        return changed

    return flat(as_plain(options), as_plain(Options()), "")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        raise UserError(f"{self.prog.split()[-1]}: {message}")
