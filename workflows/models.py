"""A model from its spec, as a command line names it.

    gaussian            a model of the library
    polynomial:3        one with a whole number
    gaussian() + ...    several: `solver.library.composed`
    mymodule:decay      a function or a `Model` of a Python module
    a*exp(-b*x) + c     a formula; what is no predictor, constant or function is a parameter

The module is installed or stands in the working directory.
"""

import importlib
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

from ..solver.library.composed import composed, is_composed
from ..solver.library.registry import MODELS, get_model
from ..solver.model import Model
from . import specs
from .tables import table

_EXPRESSION = re.compile(r"[+*()^=\s]|^[^:]*[-/][^:]*$")


def resolve_model(
    spec: str, *, predictors: Sequence[str] = (), constants: Sequence[str] = ()
) -> Model:
    """Return the model that a spec names.

    Parameters
    ----------
    spec
        See the module.
    predictors, constants
        Which arguments of a function are data; default: the first is the predictor.

    Raises
    ------
    ValueError
        When there is no such model, with the nearest names and the ways to give one.
    """
    if is_composed(spec):
        return composed(spec)
    if _EXPRESSION.search(spec):
        return Model.from_expression(spec, x=list(predictors) or "x", constants=constants)
    name, colon, attribute = spec.partition(":")
    if name in MODELS or not colon:
        return _from_library(spec, name)
    found = _attribute(_module(name), name, attribute)
    if isinstance(found, Model):
        return found
    if not callable(found):
        raise ValueError(
            f"--model {spec!r} is a {type(found).__name__}: expected a function or a manyfit Model"
        )
    return Model.from_function(found, x=list(predictors) or None, constants=tuple(constants))


def with_expressions(model: Model, tie: Sequence[str], derive: Sequence[str]) -> Model:
    """Return a model with ties and derived quantities, each a text such as ``c = 2*a``.

    Raises
    ------
    ValueError
        When a text is not name = expression, or the model cannot have it.
    """
    changes = (("--tie", tie, Model.tied), ("--derive", derive, Model.deriving))
    for option, texts, change in changes:
        if texts:
            expressions = specs.expressions_by_name(texts, option)
            try:
                model = change(model, **expressions)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{option}: {error}") from error
    return model


def list_models() -> str:
    """Return the library as a table: name, parameters, formula, what it is."""
    rows = []
    for name, entry in MODELS.items():
        model = get_model(f"{name}:2" if entry.required else name)
        formula = model.expression or ""
        shown = f"{name}:{entry.argument}" if entry.required else name
        more = f" ({name}:2 takes its {entry.argument})" if entry.argument else ""
        rows.append((shown, ", ".join(model.params), formula, entry.description + more))
    return table("llll", ("model", "parameters", "formula", ""), rows)


def _from_library(spec: str, name: str) -> Model:
    """Return a model of the library, or say which there are."""
    if name in MODELS:
        return get_model(spec)
    near = get_close_matches(name, MODELS, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(
        f"--model {spec!r} is not in the library: {meant}`manyfit models` lists all {len(MODELS)}; "
        "a function of yours is given as module:function, a formula as 'a*exp(-b*x) + c'"
    )


def _module(name: str) -> ModuleType:
    """Import a module of the user, from this directory too, as ``python -m`` would.

    Raises
    ------
    ValueError
        When it is not there, or its import fails.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ValueError(
                f"--model: there is no module {name!r} in {here!r} and none is installed; give "
                "module:function, the module without .py and dots instead of slashes"
            ) from error
        raise ValueError(f"--model: the import of {name!r} failed: {error}") from error
    except Exception as error:
        kind = type(error).__name__
        raise ValueError(f"--model: the import of {name!r} failed: {kind}: {error}") from error


def _attribute(module: ModuleType, name: str, path: str) -> Any:
    """Return what a module holds under a dotted name.

    Raises
    ------
    ValueError
        When it is not there, with the nearest names.
    """
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError:
        public = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        near = get_close_matches(path, public, n=3, cutoff=0.4) or public[:5]
        has = f"; it has {', '.join(near)}" if near else ""
        raise ValueError(f"--model: module {name!r} has no {path!r}{has}") from None
