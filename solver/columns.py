"""Parameters of many curves as columns whose powers do not depend on the batch.

`numpy.power` takes short cuts for the exponents -1, 0, 0.5, 1 and 2, square for 2 and so on, but
only where its loop sees one exponent for many values, and that hangs on shapes: a curve alone may
take the short cut and in a batch not, with another last bit. So the columns that a model is called
with hand `numpy.power` both operands in full. All other functions of NumPy treat each element by
itself, whatever stands beside it.
"""

from typing import Any

import numpy as np

from .arrays import Floats

_POWERS = frozenset({np.power, np.float_power})


class Column(np.ndarray[Any, np.dtype[np.float64]]):
    """One number a curve, (n_curves, 1), and whatever NumPy's functions make of it."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: Any, *inputs: Any, **kwargs: Any) -> Any:
        """Call a function of NumPy on plain arrays; the results are columns again."""
        plain = [np.asarray(v) if isinstance(v, Column) else v for v in inputs]
        if "out" in kwargs:
            kwargs["out"] = tuple(
                np.asarray(v) if isinstance(v, Column) else v for v in kwargs["out"]
            )
        if ufunc in _POWERS and method == "__call__":
            base, exponent = plain
            results = _power(ufunc, base, exponent, **kwargs)
        else:
            results = getattr(ufunc, method)(*plain, **kwargs)
        if isinstance(results, tuple):
            return tuple(_as_column(r) for r in results)
        return _as_column(results)


def column(values: Floats) -> Floats:
    """Return values as a column, without a copy, that a model cannot write to."""
    view: Floats = values.view(Column)
    view.flags.writeable = False
    return view


def _as_column(result: Any) -> Any:
    """Return an array of floats as a column, anything else as it is."""
    if isinstance(result, np.ndarray) and result.dtype == np.float64:
        return result.view(Column)
    return result


def _power(
    ufunc: np.ufunc, base: Any, exponent: Any, out: tuple[Any] | None = None, **kwargs: Any
) -> Any:
    """Raise to a power with no exponent that stands for many values."""
    if np.ndim(exponent) == 0:  # a number in the model's text: the same short cut for any batch
        return ufunc(base, exponent, out=out, **kwargs)
    shape = np.broadcast_shapes(np.shape(base), np.shape(exponent))
    # Twice the values if there is but one, whose place NumPy could not tell from "one for many".
    room = (2, *shape) if np.prod(shape) == 1 else shape
    full = [np.broadcast_to(v, room).copy() for v in (base, exponent)]
    result = ufunc(*full, **kwargs)
    if room != shape:
        result = result[0]
    if out is None:
        return result
    out[0][...] = result
    return out[0]
