"""What NumPy's array functions mean for a tracer; the others are no functions of one point."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from types import MappingProxyType
from typing import Any

import numpy as np

from .functions import clip
from .nodes import number
from .simplify import ZERO, apply
from .tracer import RefusalError, Tracer, as_node, call_function, of_dtype

LARGEST = float(np.finfo(np.float64).max)


def _same(x: Any) -> Any:
    return x


def _copy(x: Any, *_args: Any, **_options: Any) -> Tracer:
    return Tracer(as_node(x), array=True)


def _filled(value: float) -> Callable[..., Tracer]:
    """Return what makes an array of one value."""

    def like(_x: Any, dtype: Any = None) -> Tracer:
        return Tracer(of_dtype(number(value), dtype), array=True)

    return like


def _full_like(_x: Any, fill_value: Any, dtype: Any = None) -> Tracer:
    return Tracer(of_dtype(as_node(fill_value), dtype), array=True)


def _attribute(name: str) -> Callable[..., Any]:
    """Return what asks an array for an attribute."""
    return lambda a: getattr(a, name)


def _where(condition: Any, *choices: Any) -> Tracer:
    if len(choices) != 2:
        raise RefusalError("np.where(condition) gives places: use np.where(condition, a, b)")
    return Tracer(apply("where", as_node(condition), *(as_node(c) for c in choices)))


def _clip(
    a: Any,
    a_min: Any = None,
    a_max: Any = None,
    *,
    min: Any = None,  # noqa: A002 - NumPy's name
    max: Any = None,  # noqa: A002
) -> Tracer:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    node = as_node(a)
    if low is not None and high is not None:
        return Tracer(clip(node, as_node(low), as_node(high)))
    if low is not None:
        node = apply("maximum", node, as_node(low))
    return Tracer(node if high is None else apply("minimum", node, as_node(high)))


def _piecewise(
    x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **options: Any
) -> Tracer:
    """Return the last function whose condition holds; one more than conditions: the default."""
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    functions = list(funclist)
    default = functions.pop() if len(functions) == len(conditions) + 1 else 0.0
    values = [f(x, *args, **options) if callable(f) else f for f in (default, *functions)]
    result = as_node(values[0])
    for condition, value in zip(conditions, values[1:], strict=True):
        result = apply("where", as_node(condition), as_node(value), result)
    return Tracer(result)


def _select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Tracer:
    """Return the first choice whose condition holds."""
    result = as_node(default)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = apply("where", as_node(condition), as_node(choice), result)
    return Tracer(result)


def _polyval(p: Any, x: Any) -> Any:
    """Return a polynomial, highest power first, by Horner's rule as NumPy does it."""
    if isinstance(p, Tracer):
        raise RefusalError("the coefficients of np.polyval must be a list: [a, b, c]")
    return reduce(lambda total, c: total * x + c, p, Tracer(ZERO))


def _nan_to_num(
    x: Any,
    copy: Any = True,  # noqa: ARG001 - it is always one
    nan: float = 0.0,
    posinf: Any = None,
    neginf: Any = None,
) -> Tracer:
    node = as_node(x)
    high, low = (LARGEST if posinf is None else posinf), (-LARGEST if neginf is None else neginf)
    infinite = apply("where", apply("equal", node, number(np.inf)), float(high), node)
    infinite = apply("where", apply("equal", node, number(-np.inf)), float(low), infinite)
    return Tracer(apply("where", apply("not_equal", node, node), float(nan), infinite))


ARRAY_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "atleast_1d": lambda x: x if x.array else _copy(x),
        "clip": _clip,
        "copy": _copy,
        "full_like": _full_like,
        "imag": lambda _x: Tracer(ZERO),
        "iscomplexobj": lambda _x: False,
        "isrealobj": lambda _x: True,
        "nan_to_num": _nan_to_num,
        "ndim": _attribute("ndim"),
        "ones_like": _filled(1.0),
        "piecewise": _piecewise,
        "polyval": _polyval,
        "ravel": _same,
        "real": _same,
        "real_if_close": _same,
        "reshape": lambda a, *shape, **options: a.reshape(*shape, **options),
        "select": _select,
        "shape": _attribute("shape"),
        "sinc": partial(call_function, "sinc"),
        "size": _attribute("size"),
        "squeeze": _same,
        "where": _where,
        "zeros_like": _filled(0.0),
    }
)
