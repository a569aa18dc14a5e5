"""What a job is: its input, columns, model and options as plain values that can be compared.

Two runs are of one job if these agree. So they must not change between sessions: a function is
known by the syntax tree of its source (not by its line, comments or address), its defaults, and
what it refers to; and by its formula, if it has one, to as many digits as do not hang on a machine.
"""

import ast
import hashlib
import inspect
import json
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..solver.graph.graph import Graph, GraphFunction
from ..solver.graph.nodes import number, ordered
from ..solver.graph.simplify import rebuilt
from ..solver.model import Model
from ..solver.options import FitOptions
from .binding import Binding
from .files import File
from .schema import describe_model

_OWN_PACKAGE = __name__.partition(".")[0]


def describe_job(
    files: Sequence[File],
    binding: Binding,
    model: Model,
    options: FitOptions,
    graph: Graph | None = None,
) -> dict[str, Any]:
    """Return all that decides the results of a job, by section, as JSON takes it.

    Parameters
    ----------
    files, binding, model, options
        As they were given.
    graph
        The formula that was read from the model's function.
    """
    bounds = bounds_of(model, options)
    functions = {"func": model.func, "jac": model.jac, "guess": model.guess}
    return {
        "input": {file.name: [file.n_bytes, file.digest] for file in files},
        "columns": plain(binding),
        "model": {
            **plain(describe_model(model, bounds)),
            "expression": model.expression or (graph and _rounded(graph).readable_text),
            "start": plain(model.start),
            **{name: function_digest(f) for name, f in functions.items() if f is not None},
        },
        "options": plain(options),
    }


def _rounded(graph: Graph) -> Graph:
    """Return a formula with numbers of twelve digits: the last of np.log(3) are the machine's."""
    numbers = [leaf for leaf in ordered([graph.root]) if leaf.op == "number"]
    rounded = {leaf: number(float(f"{leaf.value:.12g}")) for leaf in numbers}
    return replace(graph, root=rebuilt(graph.root, rounded))


def bounds_of(model: Model, options: FitOptions) -> dict[str, tuple[float, float]]:
    """Return the bounds that hold, of parameters that have any."""
    pairs = zip(*options.bounds_for(model.params, model.bounds), strict=True)
    named = zip(model.params, ((float(lo), float(hi)) for lo, hi in pairs), strict=True)
    return {name: pair for name, pair in named if pair != (-math.inf, math.inf)}


def digest(value: Any) -> str:
    """Return a hash of plain values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Say how two jobs differ, section by section, for people."""
    found: list[str] = []
    for section in here:
        old, new = there.get(section, {}), here[section]
        keys = [k for k in {**old, **new} if old.get(k) != new.get(k)]
        if section == "input":
            found += _file_differences(keys, old, new)
        else:
            found += [
                f"{section} {k}: {_cut(old.get(k))} there, {_cut(new.get(k))} here" for k in keys
            ]
    return found


def plain(value: Any) -> Any:
    """Return a value as JSON takes it: no arrays, no infinities, no types of ours."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    finite = not isinstance(value, float) or math.isfinite(value)
    return (
        value if value is None or (isinstance(value, str | int | float) and finite) else str(value)
    )


def function_digest(func: Callable[..., Any]) -> str:
    """Return a hash of what a function does, as far as it can be told; the same in any session."""
    return hashlib.sha256("\n".join(_facts(func, {})).encode()).hexdigest()[:16]


def _facts(value: Any, seen: dict[int, int]) -> Iterator[str]:
    """Describe a function and what it refers to, each once; other values by what they are."""
    if value is None or isinstance(value, str | int | float | complex | bytes | np.generic):
        yield repr(value)
    elif id(value) in seen:
        yield f"as {seen[id(value)]}"
    else:
        seen[id(value)] = len(seen)
        for part in _parts(value):
            yield from [part] if isinstance(part, _Fact) else _facts(part, seen)


class _Fact(str):
    """Text that describes, beside text that is a value."""

    __slots__ = ()


def _parts(value: Any) -> Iterator[Any]:
    """Take a value apart: facts, and values that are to be described in turn."""
    if isinstance(value, FunctionType):
        yield from _function_parts(value)
    elif isinstance(value, ModuleType):
        yield _Fact(value.__name__)
    elif isinstance(value, np.ndarray):
        content = hashlib.sha256(value.tobytes()).hexdigest()
        yield _Fact(f"{value.dtype} {value.shape} {content}")
    elif isinstance(value, tuple | list):
        yield from value
    elif isinstance(value, set | frozenset):
        yield from sorted(map(repr, value))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from (key, item)
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    else:
        yield from _object_parts(value)


def _function_parts(func: FunctionType) -> Iterator[Any]:
    """Take a Python function apart: its source, defaults, and what it takes from outside."""
    module = (func.__module__ or "").partition(".")[0]
    if module in {"numpy", "scipy", _OWN_PACKAGE} and func.__closure__ is None:
        yield _Fact(f"{func.__module__}.{func.__qualname__}")
        return
    yield _Fact(_source(func))
    yield from (func.__defaults__, func.__kwdefaults__)
    yield from (cell.cell_contents for cell in func.__closure__ or ())
    for name in _names(func.__code__):
        if name in func.__globals__:
            yield from (_Fact(name), func.__globals__[name])


def _object_parts(value: Any) -> Iterator[Any]:
    """Take any other object apart: its type, and its state where it has one."""
    kind = type(value)
    yield _Fact(f"{kind.__module__}.{kind.__qualname__}")
    if isinstance(value, GraphFunction):
        yield _Fact(value.digest)
        return
    if isinstance(value, type) or kind.__module__ in {"numpy", "builtins"}:
        yield _Fact(getattr(value, "__qualname__", getattr(value, "__name__", "")))
    elif is_dataclass(value):
        yield from (getattr(value, part.name) for part in fields(value))
    else:
        yield getattr(value, "__dict__", None)
    call = inspect.getattr_static(kind, "__call__", None)
    if isinstance(call, FunctionType):
        yield call


def _source(func: FunctionType) -> str:
    """Return the syntax tree of a function; its code where it has no source of its own."""
    if func.__name__ == "<lambda>":  # may share its line with another
        return _code(func.__code__)
    try:
        return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(func))))
    except (OSError, TypeError, SyntaxError):
        return _code(func.__code__)


def _code(code: CodeType) -> str:
    """Describe compiled code without its place in a file."""
    constants = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {constants} {code.co_names} {code.co_varnames}"


def _names(code: CodeType) -> list[str]:
    """Return the names that code, and code within it, looks up outside."""
    inner = [name for c in code.co_consts if isinstance(c, CodeType) for name in _names(c)]
    return [*code.co_names, *inner]


def _file_differences(
    names: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]
) -> list[str]:
    """Say which files are new, gone or changed."""
    kinds = {
        "new": [n for n in names if n not in old],
        "gone": [n for n in names if n not in new],
        "changed": [n for n in names if n in old and n in new],
    }
    named = {
        kind: ", ".join([*files[:3], *["..."][: len(files) - 3]]) for kind, files in kinds.items()
    }
    return [f"{len(kinds[k])} input file(s) {k}: {text}" for k, text in named.items() if text]


def _cut(value: Any) -> str:
    """Write a value for people, not longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
