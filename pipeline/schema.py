"""The result table: every column declared once, with its type and what it means.

    curve_id | <dim>_index ... | <param> ... | <param>_stderr ...
             | <derived> ... | <derived>_stderr ... | cov
             | status | flags | compiled | nfev | n_points | cost | redchi

One row a curve, in the order of the input; positions along dimensions if it is arrays. Where no
fit took place numbers are NaN, never zero. Nothing is null but ids and kept columns that are so in
the input, and the schema says so: columns that may be null take half as long again to be written.
The metadata of the schema tell, under the key `METADATA_KEY`, the model, the options, the
versions, the input and what the codes mean, as JSON.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import pyarrow as pa

from ..solver.model import Model
from ..solver.status import Flag, Status

METADATA_KEY = b"manyfit"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """One kind of column.

    Attributes
    ----------
    name
        Its name; ``{param}`` stands for each parameter in turn, ``{derived}`` for each derived
        quantity.
    type
        Arrow's name of its type; "id": the type of the input's curve id; "cov": n * n float64.
    description
        What it holds.
    """

    name: str
    type: Literal["id", "cov", "double", "bool", "int8", "uint8", "int32"]
    description: str

    def named(self, params: Sequence[str], derived: Sequence[str] = ()) -> list[str]:
        """Return the names of the columns of this kind."""
        if "{param}" in self.name:
            return [self.name.format(param=name) for name in params]
        if "{derived}" in self.name:
            return [self.name.format(derived=name) for name in derived]
        return [self.name]

    def arrow_type(self, id_type: Any, n_params: int) -> Any:
        """Return the Arrow type."""
        if self.type == "id":
            return id_type
        if self.type == "cov":
            return pa.list_(pa.float64(), n_params * n_params)
        return pa.type_for_alias(self.type)


RESULT_COLUMNS = (
    ResultColumn("curve_id", "id", "The curve, as the input names it, else its running number."),
    ResultColumn("{param}", "double", "The parameter at the end of the fit; NaN: no fit."),
    ResultColumn("{param}_stderr", "double", "Its standard error; NaN: held, or not determined."),
    ResultColumn("{derived}", "double", "What is derived from the parameters; NaN: no fit."),
    ResultColumn(
        "{derived}_stderr", "double", "Its standard error, by the delta method; NaN: there is none."
    ),
    ResultColumn("cov", "cov", "Covariance of the parameters, n * n row by row, in their order."),
    ResultColumn("status", "int8", "How the fit ended; 1 to 4: converged."),
    ResultColumn("flags", "uint8", "Bits that qualify the fit."),
    ResultColumn("compiled", "bool", "Whether the compiled engine ended the fit; else the other."),
    ResultColumn("nfev", "int32", "Evaluations of the model."),
    ResultColumn("n_points", "int32", "Points that were used."),
    ResultColumn("cost", "double", "Half the sum of squares of the (weighted) residuals."),
    ResultColumn("redchi", "double", "Twice the cost a degree of freedom; NaN: there is none."),
)
"""Every column of a result, in order."""


def index_name(dim: str) -> str:
    """Return the name of the column with the position of a curve along a dimension of arrays."""
    return f"{dim}_index"


def result_schema(
    params: Sequence[str],
    id_type: Any,
    metadata: Mapping[str, Any] | None = None,
    *,
    derived: Sequence[str] = (),
    dims: Sequence[str] = (),
    keep: Sequence[pa.Field] = (),
) -> pa.Schema:
    """Return the schema of a result table.

    Parameters
    ----------
    params
        Names of the parameters.
    id_type
        Arrow type of the curve id.
    metadata
        What is stored under `METADATA_KEY`, as JSON.
    derived
        Names of the derived quantities.
    dims
        The map dimensions of Zarr arrays; each gets a column behind the curve id.
    keep
        Columns of the input that are carried through, behind these.

    Raises
    ------
    ValueError
        When the column of a parameter or derived quantity, or one that is kept, would have the
        name of another column.
    """
    fields = [
        pa.field(name, column.arrow_type(id_type, len(params)), nullable=column.type == "id")
        for column in RESULT_COLUMNS
        for name in column.named(params, derived)
    ]
    index = (pa.field(index_name(dim), pa.int64(), nullable=False) for dim in dims)
    fields[1:1] = [*index, *keep]
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if set(twice) & {field.name for field in keep}:
        raise ValueError(
            f"keep: the result has columns {twice} of its own: rename these of the input, or leave "
            "them out of what is kept"
        )
    if twice:
        raise ValueError(
            f"parameters {(*params, *derived)} give the result two columns {twice}: rename the "
            "parameter, or what is derived (taken are "
            f"{[c.name for c in RESULT_COLUMNS if '{' not in c.name]})"
        )
    stored = {METADATA_KEY: json.dumps(metadata).encode()} if metadata is not None else None
    return pa.schema(fields, metadata=stored)


def describe(
    model: Mapping[str, Any], options: Mapping[str, Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata of a result: all that is needed to read it, and to evaluate the model."""
    return {
        "format": FORMAT_VERSION,
        "model": dict(model),
        "options": dict(options),
        "input": dict(inputs),
        "versions": versions(),
        "columns": {column.name: column.description for column in RESULT_COLUMNS},
        "status": {str(int(s)): {"name": s.name, "message": s.message} for s in Status},
        "flags": {str(int(f)): f.name for f in Flag},
    }


def describe_model(model: Model, bounds: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """Return a model as plain values, with the bounds that hold for this fit."""
    return {
        "name": model.name,
        "params": list(model.params),
        "predictors": list(model.predictors),
        "constants": list(model.constants),
        "expression": model.expression,
        "bounds": {name: list(pair) for name, pair in bounds.items()},
        "derived": dict(model.derived),
    }


def versions() -> dict[str, str]:
    """Return the versions that may matter to a result."""
    found = {"python": platform.python_version()}
    for package in ("manyfit", "numpy", "pyarrow", "distributed"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a checkout that is not installed
            continue
    return found
