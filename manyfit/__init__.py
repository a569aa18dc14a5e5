"""Millions of small non-linear least-squares fits, each with MINPACK's meaning.

The public names below are loaded on first use, so that ``import manyfit`` costs next to nothing
and a program that only solves never loads Dask or Arrow.

Solver (NumPy only): `leastsq`, `curve_fit`, `fit_curves`, `Model`, `BatchFit`, `Status`, `Flag`,
and the models of `manyfit.solver.library`.
Pipeline (Dask and Arrow): `fit_dataset`, `fit_table`, `open_dataset`, `plan_dataset`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .solver.batch import fit_curves
    from .solver.curve_fit import OptimizeWarning, curve_fit
    from .solver.leastsq import leastsq
    from .solver.model import Model
    from .solver.result import BatchFit
    from .solver.status import Flag, Status

__version__ = "0.1.0"

_HOMES = {
    "BatchFit": ".solver.result",
    "Flag": ".solver.status",
    "Model": ".solver.model",
    "OptimizeWarning": ".solver.curve_fit",
    "Status": ".solver.status",
    "curve_fit": ".solver.curve_fit",
    "fit_curves": ".solver.batch",
    "leastsq": ".solver.leastsq",
}

__all__ = [
    "BatchFit",
    "Flag",
    "Model",
    "OptimizeWarning",
    "Status",
    "__version__",
    "curve_fit",
    "fit_curves",
    "leastsq",
]


def __getattr__(name: str) -> object:
    """Load a public name from its room on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return __all__
