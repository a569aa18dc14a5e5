"""Let tracers through np.asarray and its like, which no protocol of NumPy's lets them answer.

``x = np.asarray(x, dtype=float)`` stands at the head of many a model, and for x as a fit has it
does nothing. NumPy asks its other functions' arguments what to do; of these it makes an array of
numbers at once. So while a function is traced they are replaced by functions that give a tracer
back, and for everything else do what they did.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from typing import Any

import numpy as np

from .tracer import RefusalError, Tracer, of_dtype

CONVERSIONS = ("array", "asarray", "asanyarray", "ascontiguousarray")

_ONE_AT_A_TIME = RLock()


@contextmanager
def passing_tracers() -> Iterator[None]:
    """Have NumPy's conversions return a tracer as it is; `np.array` and ``copy=True`` a copy."""
    with _ONE_AT_A_TIME:
        usual = {name: getattr(np, name) for name in CONVERSIONS}
        try:
            for name, convert in usual.items():
                setattr(np, name, _passing(convert, copies=name == "array"))
            yield
        finally:
            for name, convert in usual.items():
                setattr(np, name, convert)


def _passing(convert: Callable[..., Any], *, copies: bool) -> Callable[..., Any]:
    """Return a conversion that knows tracers."""

    @wraps(convert)
    def converted(*args: Any, **options: Any) -> Any:
        if not args or not isinstance(args[0], Tracer):
            return convert(*args, **options)
        return _converted(*args, **{"copy": copies, **options})

    return converted


def _converted(
    x: Tracer, dtype: Any = None, order: Any = None, *, copy: Any, ndmin: int = 0, **_options: Any
) -> Tracer:
    """Return a tracer as an array of a type, itself where it is one."""
    del order
    if ndmin > 1:
        raise RefusalError(f"ndmin={ndmin}: x has one axis. Leave it out")
    node = of_dtype(x.node, dtype)
    return x if x.array and node is x.node and not copy else Tracer(node, array=True)
