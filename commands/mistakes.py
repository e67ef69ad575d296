"""What a user got wrong in words or files of options, as one sentence each.

jsonargparse tells mistakes in the words of Python's types, over several lines; here
they are told as ``errors.require`` tells ours.
"""

import re
from collections.abc import Mapping
from typing import Any

from iic_tf.errors import UserError, require, require_known
from iic_tf.options import Options, as_plain

KINDS = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "true or false",
    "<class 'str'>": "text",
    "<class 'list'>": "a list",
    "<class 'dict'>": "names with values, as in {name: 3}",
    "list[int]": "a list of whole numbers",
    "list[str]": "a list of names",
    "list[float]": "a list of numbers",
    "tuple[float, float]": "two numbers, as in [0, 1]",
    "list[tuple[float, float]]": "a list of pairs, as in [[0, 1], [0.5, 1.2]]",
}
"""Kinds of values, by what jsonargparse calls them."""

_KIND = r"<class '[\w.]+'>|[\w.]+\[(?:[^\[\]]|\[[^\[\]]*\])*\]"


def one_sentence(error: BaseException) -> str:
    r"""The message of an error on one line; our own sentence where it wraps one.

    Examples:
        >>> from commands.mistakes import one_sentence
        >>> text = "Parser key \"k\": Expected a <class 'int'>. Got value: x"
        >>> one_sentence(ValueError(text))
        "k must be a whole number. Received: k='x'"
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    lines = [line.strip(" -") for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line)
    try:
        _retell(text)
    except UserError as told:
        return str(told)
    return text


def _retell(text: str) -> None:
    """Tells one of jsonargparse's messages in our words, if it is of a known kind.

    Args:
        text: The message on one line.

    Raises:
        UserError: In our words.
    """
    found = re.match(r'Parser key "([\w.]+)": (.*)', text)
    several = re.search(r"Subtypes: \[(.*)\] Errors:.*Given value: (.*)", text)
    single = re.search(r"Expected an? (.*?)\. Got value: (.*)", text)
    if found and (said := several or single):
        name = found[1].rpartition(".")[2]
        expected = f"{found[1]} must be {_told(said[1])}"
        require(False, expected, **{name: _plain(said[2])})
    if found and (file := re.match(r"Unable to load config '(.*?)'", found[2])):
        group = f"{found[1]} must be a YAML file with options of {found[1]}"
        require(False, group, file=file[1])
    listed = "options must be those that --help lists"
    if unknown := re.match(r"Option '([\w.-]+)' is not accepted", text):
        require_known(option_names(), listed, option=unknown[1])
    if unknown := re.match(r"unrecognized arguments: (\S+)", text):
        word = unknown[1].partition("=")[0]
        require(
            word.startswith("-"),
            "each word must be an option or the value of the option before it",
            word=word,
        )
        known = [f"--{name}" for name in option_names()]
        require_known(known, listed, option=word)


def _told(kinds: str) -> str:
    """Kinds of values in plain words, without null where there are others."""
    names = re.findall(_KIND, kinds) or [kinds]
    told: list[str] = []
    for name in names:
        if choices := re.fullmatch(r"typing\.Literal\[(.*)\]", name):
            told += choices[1].replace("'", "").split(", ")
        elif name != "<class 'NoneType'>":
            told.append(KINDS.get(name, name))
    return " or ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told)


def _plain(text: str) -> str:
    """Without quotes, which are added again."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text


def option_names() -> list[str]:
    """All options, as in train.steps."""
    names = []
    for name, value in as_plain(Options()).items():
        names += [f"{name}.{part}" for part in value] if _group(value) else [name]
    return names


def require_sections(tree: Mapping[str, Any]) -> None:
    """Raises a ``UserError`` unless groups of options hold options.

    Args:
        tree: Options as a YAML file has them.

    Raises:
        UserError: For the first group that is anything else, as in ``train: 5``.

    Examples:
        >>> from commands.mistakes import require_sections
        >>> require_sections({"train": {"steps": 5}, "k": 3})
    """
    for name, usual in as_plain(Options()).items():
        value = tree.get(name)
        if _group(usual) and value is not None:
            expected = f"{name} must hold options, such as {name}.{next(iter(usual))}"
            require(isinstance(value, Mapping), expected, **{name: value})


def _group(value: Any) -> bool:
    """Whether a value of ``Options`` is a group of options."""
    return isinstance(value, dict) and bool(value)
