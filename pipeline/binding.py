"""Which columns feed which argument of the model: all misuse is found here, before any task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from ..solver.model import Model
from ..solver.options import FitOptions, index_of
from .arrays.grid import Grid
from .columns import Columns, Points
from .errors import DatasetError
from .hive import HiveTypes
from .layout import Layout, column_type, find_source, is_number, noun
from .selection import Selection
from .sources import Constant, PerCurve, Shared, Source
from .where import Where

Start: TypeAlias = Mapping[str, PerCurve | Constant]
StartValues: TypeAlias = Sequence[float] | Mapping[str, float] | Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where every argument of a model comes from, for the rows of one schema.

    Attributes
    ----------
    layout
        How the curves lie in the rows; with y, sigma and the curve id.
    predictors, constants
        A source for each, in the model's order.
    p0
        A source for parameters that have start values; the others get the model's own.
    keep
        Columns that are carried through to the result, of their type there.
    hive
        Columns among these that are in the names of folders, and their types.
    where
        Which rows are taken; None: all.
    """

    layout: Layout
    predictors: Mapping[str, Source]
    constants: Mapping[str, PerCurve | Constant]
    p0: Start
    keep: tuple[pa.Field, ...] = ()
    hive: Mapping[str, pa.DataType] = field(default_factory=dict)
    where: Where | None = None

    @property
    def grid(self) -> Grid:
        """How the curves lie in arrays; of a binding of arrays."""
        assert self.layout.grid is not None
        return self.layout.grid

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that has to be read, each once."""
        layout = self.layout
        sources: list[Source | None] = [*self.predictors.values(), *self.constants.values()]
        sources += [layout.sigma, *self.p0.values()]
        named = [name for source in sources if source is not None for name in source.columns]
        ids = [layout.curve_id] if layout.curve_id else []
        return tuple(dict.fromkeys([*ids, *layout.y, *named, *(f.name for f in self.keep)]))

    @property
    def selection(self) -> Selection:
        """What is read: these columns, of the rows that are taken."""
        return Selection(columns=self.columns, hive=self.hive, where=self.where)

    def __str__(self) -> str:
        """List the inputs, one a line."""
        lines = [("layout", str(self.layout))]
        lines += [(name, str(source)) for name, source in self.predictors.items()]
        lines += [(name, str(source)) for name, source in self.constants.items()]
        lines += [(f"p0 {name}", str(source)) for name, source in self.p0.items()]
        lines += [("keep", ", ".join(f.name for f in self.keep))] if self.keep else []
        lines += [("where", str(self.where))] if self.where else []
        return "\n".join(f"{name:<10} {text}" for name, text in lines)


def bind(
    model: Model,
    options: FitOptions,
    p0: StartValues | None,
    *,
    columns: Columns,
    layout: Layout,
    schema: pa.Schema,
    hive: HiveTypes = MappingProxyType({}),
    where: Where | None = None,
) -> Binding:
    """Say where every argument of the model comes from, and check options against the model.

    Parameters
    ----------
    model, options
        What is fitted, and how.
    p0
        Start values shared by all curves: (n_params,), or ``{param: value}`` for some. None: from
        the columns ``p0_<param>`` if every free parameter has one, else the model's own.
    columns, layout, schema
        What the user named, how the curves lie, and the columns there are.
    hive, where
        Which columns are in the names of folders, and which rows are taken.

    Raises
    ------
    DatasetError
        When a predictor, constant, start value or column to keep has no source, or not a good one.
    ValueError
        When bounds, fixed, diag or p0 do not suit the model.
    """
    options.diag_for(model.params)
    start = _bind_start(model, options, p0, columns, layout, schema)
    check_inside({n: s.value for n, s in start.items() if isinstance(s, Constant)}, model, options)
    bound = Binding(
        layout=layout,
        predictors=_bind_predictors(model, columns, layout, schema),
        constants=_bind_constants(model, columns, layout, schema),
        p0=start,
        keep=kept_fields(columns.keep, layout, schema),
        where=where,
    )
    read = {*bound.columns, *(where.columns if where else ())}
    return replace(bound, hive={name: kind for name, kind in hive.items() if name in read})


def check_inside(start: Mapping[str, float], model: Model, options: FitOptions) -> None:
    """Refuse start values shared by all curves that lie outside the bounds.

    Raises
    ------
    ValueError
        When one does, or the bounds do not suit the model.
    """
    lower, upper = options.bounds_for(model.params, model.bounds)
    for name, low, high in zip(model.params, lower, upper, strict=True):
        if name in start and not low <= start[name] <= high:
            raise ValueError(
                f"p0 of {name!r} is {start[name]!r}, outside its bounds ({low:g}, {high:g}): "
                "move the start or widen the bounds"
            )


def kept_fields(names: Sequence[str], layout: Layout, schema: pa.Schema) -> tuple[pa.Field, ...]:
    """Return the columns to carry through, of their type in the result: dictionaries decoded.

    Raises
    ------
    DatasetError
        When there is no such column, it is named twice, or is in the result anyway.
    """
    for name in names:
        if name == layout.curve_id or names.count(name) > 1:
            why = "is the curve id" if name == layout.curve_id else "is named twice"
            raise DatasetError(f"keep: column {name!r} {why}, and in the result already: drop it")
    types = {name: column_type(name, schema, "keep") for name in names}
    plain = {n: t.value_type if pa.types.is_dictionary(t) else t for n, t in types.items()}
    return tuple(pa.field(name, kind) for name, kind in plain.items())


def _bind_predictors(
    model: Model, columns: Columns, layout: Layout, schema: pa.Schema
) -> dict[str, Source]:
    """Find a source for each predictor."""
    given = _given_predictors(model, columns.x, layout, schema)
    what = {name: "x" if len(given) == 1 else f"x[{name!r}]" for name in given}
    sources = {n: find_source(v, what[n], layout, schema) for n, v in given.items()}
    sizes = {n: len(s.values) for n, s in sources.items() if isinstance(s, Shared)}
    if isinstance(layout.sigma, Shared):
        sizes["sigma"] = len(layout.sigma.values)
    if len(set(sizes.values())) > 1:
        raise DatasetError(f"values shared by all curves must be as many each, got {sizes}")
    return sources


def predictors_given(model: Model, x: Any, kind: str) -> dict[str, Any]:
    """Return what was given for each predictor, each of it of some `kind`.

    Raises
    ------
    DatasetError
        When it is not one for each.
    """
    predictors = model.predictors
    if isinstance(x, Mapping):
        if set(x) != set(predictors):
            raise DatasetError(
                f"model {model.name!r} has the predictors {predictors}, but x names {tuple(x)}"
            )
        return {name: x[name] for name in predictors}
    if len(predictors) > 1:
        raise DatasetError(
            f"model {model.name!r} has {len(predictors)} predictors: give x as a mapping "
            f"{{predictor: {kind}}} for {predictors}"
        )
    return {predictors[0]: x}


def _given_predictors(model: Model, x: Any, layout: Layout, schema: pa.Schema) -> dict[str, Points]:
    """Return what was given, or found by name, for each predictor."""
    predictors = model.predictors
    if x is not None:
        return predictors_given(model, x, "column or numbers")
    free = [n for n in schema.names if n not in layout.y and n != layout.curve_id]
    if len(predictors) == 1 and "x" in free:
        return {predictors[0]: "x"}
    missing = [name for name in predictors if name not in free]
    if missing:
        raise DatasetError(
            f"x: no column for the predictor(s) {', '.join(missing)} of model {model.name!r}: "
            f"name the column or give the numbers (x=...); columns left are {free}"
        )
    return {name: name for name in predictors}


def _bind_constants(
    model: Model, columns: Columns, layout: Layout, schema: pa.Schema
) -> dict[str, PerCurve | Constant]:
    """Find a column or a number for each constant."""
    unknown = set(columns.constants) - set(model.constants)
    if unknown:
        raise DatasetError(
            f"constants: model {model.name!r} has no constant {sorted(unknown)}; it has "
            f"{model.constants}"
        )
    sources: dict[str, PerCurve | Constant] = {}
    for name in model.constants:
        given = columns.constants.get(name, name)
        if isinstance(given, str):
            sources[name] = _per_curve(given, f"constant {name!r}", layout, schema)
        else:
            sources[name] = Constant(float(given))
    return sources


def _bind_start(
    model: Model,
    options: FitOptions,
    p0: StartValues | None,
    columns: Columns,
    layout: Layout,
    schema: pa.Schema,
) -> dict[str, PerCurve | Constant]:
    """Find start values: columns that were named, p0, or columns by their names."""
    fixed = options.fixed_for(model.params)
    check_fixed(fixed)
    named = dict(columns.p0)
    for name in named:
        index_of(name, model.params, "columns.p0")
    if not named and p0 is None:
        named = _start_columns(model, fixed, schema)
    values = shared_start(p0, model)
    both = sorted(set(named) & set(values)) if isinstance(p0, Mapping) else []
    if both:
        raise ValueError(f"p0 and columns.p0 both give {both}: give each start value once")
    sources: dict[str, PerCurve | Constant] = {n: Constant(v) for n, v in values.items()}
    for name, column in named.items():
        sources[name] = _per_curve(column, f"p0 of {name!r}", layout, schema)
    return sources


def check_fixed(fixed: Mapping[str, Any]) -> None:
    """Refuse fixed values of single curves: they cannot be told from the order of the rows.

    Raises
    ------
    ValueError
        When there are some.
    """
    several = [name for name, value in fixed.items() if value is not None and np.ndim(value)]
    if several:
        raise ValueError(
            f"fixed gives several values for {several}; expected one number, or the name alone "
            "and the values of single curves in p0 (of a table: in a column, columns.p0)"
        )


def _start_columns(model: Model, fixed: Mapping[str, Any], schema: pa.Schema) -> dict[str, str]:
    """Return the columns ``p0_<param>``, if every free parameter has one."""
    there = {n: f"p0_{n}" for n in model.params if f"p0_{n}" in schema.names}
    complete = all(n in there or n in fixed for n in model.params)
    return {n: c for n, c in there.items() if fixed.get(n) is None} if complete else {}


def shared_start(p0: StartValues | None, model: Model) -> dict[str, float]:
    """Return p0 that all curves share by parameter.

    Raises
    ------
    ValueError
        When it names what is no parameter, has the wrong size or is not finite.
    """
    if p0 is None:
        return {}
    if isinstance(p0, Mapping):
        for name in p0:
            index_of(name, model.params, "p0")
        values = {name: float(value) for name, value in p0.items()}
    else:
        given = np.asarray(p0, dtype=np.float64)
        if given.shape != (model.n_params,):
            raise ValueError(
                f"p0 has shape {given.shape}, expected ({model.n_params},) for params "
                f"{model.params}; start values of single curves are given by name (of a table: "
                "in columns p0_<param>)"
            )
        values = dict(zip(model.params, given.tolist(), strict=True))
    wrong = {name: value for name, value in values.items() if not np.isfinite(value)}
    if wrong:
        raise ValueError(f"p0 must be finite, got {wrong}")
    return values


def _per_curve(name: str, what: str, layout: Layout, schema: pa.Schema) -> PerCurve:
    """Check a column with one number a curve."""
    kind = column_type(name, schema, what)
    if not is_number(kind):
        raise DatasetError(
            f"{what}: {noun(schema)} {name!r} is of type {kind}; expected one number a curve "
            f"(layout {layout.kind})"
        )
    return PerCurve(name)
