"""The tracer: stands in for an array or number in a NumPy function and notes what is done with it.

It behaves as NumPy's arrays do where that is a formula - operators, universal functions, the array
functions of `numpy_calls` - and refuses everything else with what to write instead. Asked for its
type it answers as the array or number would, so that a function takes the same way as in a fit; and
a refusal is remembered, so that no function hides one by catching it. An array that is written to
in place is a new formula in the same tracer, seen through all its names; the user's own x is never
written to.
"""

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from traceback import walk_stack
from types import FrameType, MappingProxyType
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .functions import FUNCTIONS
from .nodes import Node, number
from .simplify import FALSE, TRUE, as_real

Frames: TypeAlias = list[tuple[FrameType, int]]
"""Frames and the lines they are at, the outermost first."""

REFUSALS: ContextVar[list[tuple["RefusalError", Frames]] | None] = ContextVar(
    "REFUSALS", default=None
)
"""What was refused first during a trace and where, whoever may have caught it; None: no trace."""


class RefusalError(TypeError):
    """What a tracer cannot do, and what to write instead; `trace` adds where."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        refused = REFUSALS.get()
        if refused == []:
            stack = list(walk_stack(sys._getframe(1)))  # noqa: SLF001 - it is meant for this
            refused.append((self, stack[::-1]))


_POINTWISE = (
    "a model is a function of one point, and this needs all points of x at once. Such a function "
    "cannot be made a formula"
)
_NUMBER = (
    "a plain number is needed here, and the argument is a symbol while the formula is read. Use "
    "NumPy's functions (np.exp for math.exp, ...); leave out float(), int() and round()"
)
_TRUTH = (
    "what is done depends on whether an argument has some value. Use np.where(condition, a, b) for "
    "if, np.logical_and for and, np.minimum and np.maximum for min and max"
)
_SUBSCRIPT = (
    "the elements of an argument are taken apart, and a model is a function of one point. Use "
    "NumPy functions of the whole x in place of a loop over its points, and "
    "np.where(condition, a, b) in place of x[mask]; give several predictors as several arguments, "
    "f(x, y, a, b) with x=('x', 'y') in Model.from_function, in place of x, y = X"
)
_KEY = (
    "an argument is used as a key, in a cache, dict or set. Leave out lru_cache and its like: a "
    "formula is computed once for all curves"
)
_WRITE = (
    "values are written into an array. Make a new one: np.where(condition, a, b) in place of "
    "y[mask] = a, and x = x + 1 in place of x += 1 for an argument"
)
_COMPLEX_WRITE = (
    "a complex number is written into a real array. Make a new one: z = x + 1j*y in place of "
    "z += 1j*y"
)
_LENGTH = (
    "the number of points is asked for, and a model is a function of one point. Use np.zeros_like, "
    "np.ones_like or np.full_like(x, value) for arrays like x"
)
_SAME = ("conj", "conjugate", "ravel", "squeeze", "transpose", "view")
"""Methods that give the array itself, of real arrays with one axis."""
_OF_A_NUMBER: Mapping[str, Any] = MappingProxyType({"shape": (), "size": 1, "ndim": 0})
"""Attributes of NumPy's numbers, which are known; of an array only `ndim` is."""


class Tracer(NDArrayOperatorsMixin):
    """A formula in the place of an array or number.

    Attributes
    ----------
    node
        The formula.
    borrowed
        Whether the array belongs to the caller and must not be written to.
    array
        Whether it stands for an array, which is changed in place by ``+=``; a number is replaced.
    """

    __slots__ = ("array", "borrowed", "node")
    dtype = np.dtype(np.float64)

    def __init__(self, node: Node, *, borrowed: bool = False, array: bool = False) -> None:
        self.node = node
        self.borrowed = borrowed
        self.array = array or node.varies

    def __repr__(self) -> str:
        return f"<symbol {self.node.name or self.node.op}>"

    def __format__(self, spec: str) -> str:
        """Show itself in any format: a function may print what it is given."""
        return repr(self)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What isinstance is told: an array, or a number as SciPy hands it to a model."""
        return np.ndarray if self.array else np.float64

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """Return itself in an array, so that NumPy can keep several in one."""
        del dtype, copy
        box = np.empty((), dtype=object)
        box[()] = self
        return box

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Note a universal function."""
        name = ufunc.__name__
        if method != "__call__":
            raise RefusalError(f"np.{name}.{method}: {_POINTWISE}")
        out = options.pop("out", (None,))[0]
        if options.get("dtype") in {None, np.float64, float}:
            options.pop("dtype", None)
        if options:
            raise RefusalError(f"np.{name} is called with {sorted(options)}: leave these out")
        from .complex_tracer import call_complex, is_complex  # noqa: PLC0415 - it makes tracers

        if name == "wofz" or any(is_complex(operand) for operand in inputs):
            if out is not None:
                raise RefusalError(_COMPLEX_WRITE)
            return call_complex(name, *inputs)
        result = call_function(name, *inputs)
        return result if out is None else _write(out, result)

    def __array_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        """Note one of NumPy's array functions."""
        from .numpy_calls import ARRAY_FUNCTIONS  # noqa: PLC0415 - it makes tracers

        known = ARRAY_FUNCTIONS.get(func.__name__)
        if known is None:
            known_here = ", ".join(sorted(ARRAY_FUNCTIONS))
            raise RefusalError(
                f"np.{func.__name__}: {_POINTWISE}; or it is not among those known: {known_here}"
            )
        try:
            return known(*args, **options)
        except TypeError as error:
            if isinstance(error, RefusalError):
                raise
            raise RefusalError(
                f"np.{func.__name__} is called in a way not known here: {error}"
            ) from error

    def __getattr__(self, name: str) -> Any:
        """Serve the few methods and attributes of arrays that make sense for one point."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _SAME:
            return lambda: self
        if name in {"copy", "flatten"}:
            return lambda: Tracer(self.node)
        if name in FUNCTIONS and FUNCTIONS[name].arity == 1:  # NumPy's loops over objects ask so
            return lambda: call_function(name, self)
        if name in _OF_A_NUMBER:
            if self.array and name != "ndim":
                raise RefusalError(f".{name}: {_LENGTH}")
            return 1 if self.array else _OF_A_NUMBER[name]
        raise RefusalError(f".{name}: {_POINTWISE}")

    @property
    def real(self) -> "Tracer":
        """The same: all values are real."""
        return self

    @property
    def imag(self) -> "Tracer":
        """Zero: all values are real."""
        return Tracer(number(0.0))

    T = real
    """The same: there is one axis."""

    def clip(self, *args: Any, **options: Any) -> Any:
        """Return the formula moved between two bounds."""
        return np.clip(self, *args, **options)

    def astype(self, dtype: Any, **_options: Any) -> "Tracer":
        """Return a copy: all values are doubles."""
        return Tracer(of_dtype(self.node, dtype), array=self.array)

    def reshape(self, *shape: Any, **_options: Any) -> "Tracer":
        """Return itself for one axis of any length, the only shape there is."""
        if shape not in {(-1,), ((-1,),)}:
            raise RefusalError(f".reshape{shape}: {_POINTWISE}")
        return self

    def _no_number(self, *_args: Any) -> NoReturn:
        raise RefusalError(_NUMBER)

    def _no_truth(self) -> NoReturn:
        raise RefusalError(_TRUTH)

    def _no_length(self) -> NoReturn:
        raise RefusalError(_LENGTH)

    def _no_key(self) -> NoReturn:
        raise RefusalError(_KEY)

    def _no_element(self, *_args: Any) -> NoReturn:
        raise RefusalError(_SUBSCRIPT)

    def _no_write(self, *_args: Any) -> NoReturn:
        raise RefusalError(_WRITE)

    __float__ = __int__ = __index__ = __complex__ = __round__ = _no_number
    __trunc__ = __floor__ = __ceil__ = _no_number
    __bool__ = _no_truth
    __hash__ = _no_key
    __len__ = _no_length
    __iter__ = __getitem__ = __contains__ = _no_element
    __setitem__ = __delitem__ = _no_write


def of_dtype(node: Node, dtype: Any) -> Node:
    """Return a formula as values of a type: float64, or what truth values can be.

    Raises
    ------
    RefusalError
        When it is another type.
    """
    if dtype is None or (node.logical and np.dtype(dtype) == np.bool_):
        return node
    if np.dtype(dtype) == Tracer.dtype or (node.logical and np.dtype(dtype).kind in "iuf"):
        return as_real(node)
    raise RefusalError(f"dtype={dtype!r}: all values are float64. Leave it out")


def as_node(value: Any) -> Node:
    """Return the formula of a tracer, or of a number.

    Raises
    ------
    RefusalError
        When it is neither.
    """
    if not isinstance(value, Tracer) and isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, Tracer):
        return value.node
    if isinstance(value, (bool, np.bool_)):
        return TRUE if value else FALSE
    if isinstance(value, (int, float, np.integer, np.floating)):
        try:
            return number(float(value))
        except OverflowError:
            raise RefusalError(f"an integer beyond 1.8e308: {str(value)[:9]}...") from None
    if isinstance(value, (complex, np.complexfloating)):
        raise RefusalError(
            "a complex number: only real arithmetic can be made a formula. Take .real or .imag"
        )
    if isinstance(value, (np.ndarray, list, tuple)):
        raise RefusalError(
            f"{type(value).__name__} of {len(value)} values that are no argument: a model is a "
            "function of one point, without a grid or data of its own. Give data as a predictor, "
            "or as a constant of each curve"
        )
    raise RefusalError(f"a {type(value).__name__} ({value!r}): only numbers can stand in a formula")


def call_function(name: str, *operands: Any) -> Tracer:
    """Note a function of `FUNCTIONS` by the name of a NumPy or SciPy universal function."""
    nodes = [as_node(operand) for operand in operands]
    if name in {"positive", "conjugate"}:
        return Tracer(nodes[0])
    truths = all(node.logical for node in nodes)
    meant = {**_OF_BITS, **_OF_TRUTHS}.get(name, name) if truths else name
    function = FUNCTIONS.get(meant)
    if function is None or not function.takes(len(nodes)) or (truths and meant in _NO_TRUTHS):
        raise RefusalError(
            f"{name} of {'truth values' if truths else 'numbers'} is not among the functions that "
            f"can be made a formula: {', '.join(sorted(FUNCTIONS))}"
        )
    array = any(isinstance(o, Tracer) and o.array for o in operands)
    return Tracer(function.build(*nodes), array=array)


_OF_BITS: Mapping[str, str] = MappingProxyType(
    {"bitwise_and": "logical_and", "bitwise_or": "logical_or", "invert": "logical_not"}
)
_OF_TRUTHS: Mapping[str, str] = MappingProxyType(
    {
        "add": "logical_or",
        "maximum": "logical_or",
        "multiply": "logical_and",
        "minimum": "logical_and",
    }
)
"""What arithmetic means in NumPy where all operands are truth values."""
_NO_TRUTHS = {"subtract", "negative"}


def _write(out: Any, result: Tracer) -> Tracer:
    """Put a result into a tracer, as NumPy writes into an array; a number is only replaced."""
    if not isinstance(out, Tracer) or out.borrowed:
        raise RefusalError(_WRITE)
    if not out.array:
        return result
    out.node = result.node
    return out
