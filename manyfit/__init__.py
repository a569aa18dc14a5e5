"""Millions of small non-linear least-squares fits, each with MINPACK's meaning.

Public names are loaded on first use, so that ``import manyfit`` costs next to nothing and a program
that only solves never loads Dask or Arrow.

    one curve               `leastsq`, `curve_fit`, as in SciPy
    a batch in memory       `fit_curves` -> `BatchFit`; `fit_table` for tables in memory
    a data set              `fit_dataset` -> `RunSummary`; `open_dataset`, `plan_dataset`, `Columns`
    a Dask dataframe        `fit_dataframe`
    arrays of xarray        ``import manyfit.xarray``, then ``.manyfit.fit`` of any of them
    results                 `read_result`, `result_metadata`, `Status`, `Flag`
    models and options      `Model`, `FitOptions`, and `manyfit.solver.library`
    warnings                `ModelWarning`, `OptimizeWarning`
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pipeline.columns import Columns
    from .pipeline.dataframes import fit_dataframe
    from .pipeline.dataset import open_dataset
    from .pipeline.memory import fit_table
    from .pipeline.plan import plan_dataset
    from .pipeline.results import read_result, result_metadata
    from .pipeline.run import fit_dataset
    from .pipeline.summary import RunSummary
    from .solver.batch import fit_curves
    from .solver.curve_fit import OptimizeWarning, curve_fit
    from .solver.leastsq import leastsq
    from .solver.model import Model
    from .solver.options import FitOptions
    from .solver.pointwise import ModelWarning
    from .solver.result import BatchFit
    from .solver.status import Flag, Status

__version__ = "0.1.0"

_HOMES = {
    "BatchFit": ".solver.result",
    "Columns": ".pipeline.columns",
    "FitOptions": ".solver.options",
    "Flag": ".solver.status",
    "Model": ".solver.model",
    "ModelWarning": ".solver.pointwise",
    "OptimizeWarning": ".solver.curve_fit",
    "RunSummary": ".pipeline.summary",
    "Status": ".solver.status",
    "curve_fit": ".solver.curve_fit",
    "fit_curves": ".solver.batch",
    "fit_dataframe": ".pipeline.dataframes",
    "fit_dataset": ".pipeline.run",
    "fit_table": ".pipeline.memory",
    "leastsq": ".solver.leastsq",
    "open_dataset": ".pipeline.dataset",
    "plan_dataset": ".pipeline.plan",
    "read_result": ".pipeline.results",
    "result_metadata": ".pipeline.results",
}

__all__ = [
    "BatchFit",
    "Columns",
    "FitOptions",
    "Flag",
    "Model",
    "ModelWarning",
    "OptimizeWarning",
    "RunSummary",
    "Status",
    "__version__",
    "curve_fit",
    "fit_curves",
    "fit_dataframe",
    "fit_dataset",
    "fit_table",
    "leastsq",
    "open_dataset",
    "plan_dataset",
    "read_result",
    "result_metadata",
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
