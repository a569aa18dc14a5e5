"""What a plain function says of its arguments: their names, and defaults that are numbers."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments of a function.

    Attributes
    ----------
    positional
        Names of those that can be given by order.
    variadic
        Whether it takes ``*args``.
    defaults
        Defaults that are numbers, by name.
    """

    positional: tuple[str, ...]
    variadic: bool
    defaults: dict[str, float]


def label(func: Callable[..., Any]) -> str:
    """Name a callable for people."""
    return getattr(func, "__name__", type(func).__name__)


def signature_of(func: Callable[..., Any]) -> Signature:
    """Read the arguments of a function.

    Raises
    ------
    ValueError
        When they cannot be read, as of some functions written in C.
    """
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the signature of {label(func)} cannot be read ({error}): wrap it in a function "
            "with named arguments"
        ) from error
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    return Signature(
        positional=tuple(p.name for p in positional),
        variadic=any(p.kind is p.VAR_POSITIONAL for p in parameters),
        defaults={
            p.name: float(p.default)
            for p in positional
            if isinstance(p.default, (int, float, np.number)) and not isinstance(p.default, bool)
        },
    )
