"""The complex tracer: x + i*y of two tracers, as it stands in ``wofz(x + 1j*y).real``.

Sums and products, quotients by real numbers, and `scipy.special.wofz` are all it knows; a formula
is real, so that in the end ``.real`` or ``.imag`` is taken. A part that is zero is None: 1j*y has
no real part, not one of 0*y.
"""

from collections.abc import Callable, Mapping
from operator import add, mul, sub, truediv
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .simplify import ZERO
from .tracer import RefusalError, Tracer, call_function

Parts: TypeAlias = tuple[Any, Any]
"""Real and imaginary part: tracers or numbers, None for 0."""

_LIMITS = (
    "of complex numbers only + - *, quotients by real numbers, conj and scipy.special.wofz can "
    "be made a formula, and .real and .imag. Write the real formula instead"
)


class ComplexTracer(NDArrayOperatorsMixin):
    """A complex formula in the place of an array or number; never changed.

    Attributes
    ----------
    parts
        Its real and imaginary part.
    """

    __slots__ = ("parts",)
    dtype = np.dtype(np.complex128)

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def __repr__(self) -> str:
        return "<complex symbol>"

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What isinstance is told: a complex number."""
        return np.complex128

    @property
    def real(self) -> Tracer:
        """The real part."""
        return _tracer(self.parts[0])

    @property
    def imag(self) -> Tracer:
        """The imaginary part."""
        return _tracer(self.parts[1])

    def conj(self) -> "ComplexTracer":
        """Return the complex conjugate."""
        return call_complex("conjugate", self)

    conjugate = conj

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Note a universal function."""
        if "out" in options:
            raise RefusalError(
                "a complex number is written to in place. Make a new one: z = z / s in place of "
                "z /= s"
            )
        if method != "__call__" or options:
            raise RefusalError(f"np.{ufunc.__name__} with {method} {sorted(options)}: {_LIMITS}")
        return call_complex(ufunc.__name__, *inputs)

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """Note np.real and np.imag."""
        if func.__name__ not in {"real", "imag"} or options:
            raise RefusalError(f"np.{func.__name__}: {_LIMITS}")
        return getattr(args[0], func.__name__)

    def __getattr__(self, name: str) -> Any:
        """Refuse whatever else an array has."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise RefusalError(f".{name}: {_LIMITS}")

    def _refuse(self, *_args: Any, **_options: Any) -> NoReturn:
        raise RefusalError(_LIMITS)

    __float__ = __int__ = __complex__ = __bool__ = __hash__ = _refuse
    __len__ = __iter__ = __getitem__ = __contains__ = __setitem__ = __array__ = _refuse


def is_complex(value: Any) -> bool:
    """Return whether an operand of a universal function is complex."""
    dtype = getattr(value, "dtype", None)
    return isinstance(value, complex) or (dtype is not None and dtype.kind == "c")


def call_complex(name: str, *operands: Any) -> ComplexTracer:
    """Note a universal function of complex operands, or wofz of any, by its name.

    Raises
    ------
    RefusalError
        When it is not among the few that are known.
    """
    function = _FUNCTIONS.get(name)
    if function is None:
        raise RefusalError(f"{name} of complex numbers: {_LIMITS}")
    return ComplexTracer(function(*(_parts(operand) for operand in operands)))


def _parts(value: Any) -> Parts:
    """Return real and imaginary part of a complex tracer, a tracer or a number."""
    if type(value) is ComplexTracer:
        return value.parts
    if not is_complex(value):
        return value, None
    if np.size(value) != 1:
        raise RefusalError(f"{np.size(value)} complex numbers that are no argument: {_LIMITS}")
    number = complex(np.asarray(value).item())
    return number.real or None, number.imag or None


def _tracer(part: Any) -> Tracer:
    """Return a part as a tracer."""
    if part is None:
        return Tracer(ZERO)
    return part if isinstance(part, Tracer) else call_function("positive", part)


def _both(op: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """Return a sum or difference of two parts."""
    if b is None:
        return a
    if a is None:
        return b if op is add else -b
    return op(a, b)


def _times(op: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """Return a product of two parts, or the quotient of a part by a number."""
    return None if a is None or b is None else op(a, b)


def _add(a: Parts, b: Parts) -> Parts:
    return _both(add, a[0], b[0]), _both(add, a[1], b[1])


def _subtract(a: Parts, b: Parts) -> Parts:
    return _both(sub, a[0], b[0]), _both(sub, a[1], b[1])


def _multiply(a: Parts, b: Parts) -> Parts:
    re = _both(sub, _times(mul, a[0], b[0]), _times(mul, a[1], b[1]))
    return re, _both(add, _times(mul, a[0], b[1]), _times(mul, a[1], b[0]))


def _divide(a: Parts, b: Parts) -> Parts:
    if b[1] is not None:
        raise RefusalError(f"a quotient by a complex number: {_LIMITS}")
    return _times(truediv, a[0], b[0]), _times(truediv, a[1], b[0])


def _wofz(a: Parts) -> Parts:
    operands = [0.0 if part is None else part for part in a]
    return call_function("wofz_real", *operands), call_function("wofz_imag", *operands)


_FUNCTIONS: Mapping[str, Callable[..., Parts]] = MappingProxyType(
    {
        "add": _add,
        "subtract": _subtract,
        "multiply": _multiply,
        "divide": _divide,
        "negative": lambda a: _subtract((None, None), a),
        "positive": lambda a: a,
        "conjugate": lambda a: _subtract((a[0], None), (None, a[1])),
        "wofz": _wofz,
    }
)
