"""Objects of Keras by the names of their classes, as options give them.

Mistakes in names and arguments become one sentence.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from iic_tf.errors import NOISE, UserError, first_line, require, require_known
from iic_tf.options import is_like

LISTS = {"boundaries": [100, 200], "values": [0.1, 0.01, 0.001]}
"""Arguments that are lists, with examples."""


def classes_of(module: Any, base: type) -> dict[str, Callable[..., Any]]:
    """Public classes of a module of Keras that derive from one."""
    found = {name: getattr(module, name) for name in dir(module)}
    return {
        name: kind
        for name, kind in found.items()
        if inspect.isclass(kind) and issubclass(kind, base) and kind is not base
    }


def make_object(
    make: Callable[..., Any],
    given: Mapping[str, Any],
    *,
    option: str,
    ours: Mapping[str, Any],
    hidden: tuple[str, ...] = ("name", "kwargs"),
) -> Any:
    """Makes an object of a Keras class.

    Args:
        make: The class.
        given: Keyword arguments of the user's.
        option: Name of the option that holds them.
        ours: Keyword arguments where the user gives none.
        hidden: Arguments that the user may not give.

    Raises:
        UserError: If an argument is unknown or missing, or the class refuses one.
    """
    kind = make.__name__
    taken = inspect.signature(make).parameters
    known = [name for name in taken if name not in hidden]
    for name, value in given.items():
        require_known(known, f"{option} must be arguments of {kind}", argument=name)
        default = taken[name].default
        require(
            is_like(value, default, taken[name].annotation)
            if type(default) in (int, float, bool)
            else isinstance(value, list | tuple) or name not in LISTS,
            f"{option}.{name} must be a value like {LISTS.get(name, default)!r}",
            **{name: value},
        )
    values = {name: x for name, x in {**ours, **given}.items() if name in taken}
    missing = [
        name
        for name, parameter in taken.items()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and name not in values
    ]
    told = {option.split(".")[-1]: dict(given)}
    require(not missing, f"{option} of {kind} must have {', '.join(missing)}", **told)
    try:
        return make(**values)
    except (TypeError, ValueError, AttributeError) as error:
        raise refused(option, kind, error) from None


def refused(option: str, kind: str, error: Exception) -> UserError:
    """What Keras says of arguments, as one sentence."""
    return UserError(f"{option} of {kind}: {NOISE.sub('', first_line(error))}")
