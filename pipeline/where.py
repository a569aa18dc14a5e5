"""Which rows are taken: a condition on their columns, read by a whitelist, never executed.

plate == 'A1' and dose > 3        comparisons, also 0 < dose <= 3
well in ['B2', 'B3']              in, not in
note is None or not (dose < 1)    is None, is not None; and, or, not
col('well id') == 7               a column whose name is no word

A row for which the condition is null is not taken.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, reduce
from itertools import pairwise
from operator import and_, eq, ge, gt, le, lt, ne, or_
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DatasetError
from .exchange import as_arrow, as_numpy

LONGEST_TEXT = 20_000

_ROW = "manyfit row"

_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = MappingProxyType(
    {ast.Eq: eq, ast.NotEq: ne, ast.Lt: lt, ast.LtE: le, ast.Gt: gt, ast.GtE: ge}
)


@dataclass(frozen=True, slots=True)
class Where:
    """A condition, checked against the columns that it names.

    Attributes
    ----------
    text
        As Python would write it: two ways to write one condition are the same.
    types
        The columns that it names, and their types.
    """

    text: str
    types: tuple[tuple[str, pa.DataType], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names."""
        return tuple(name for name, _ in self.types)

    @property
    def expression(self) -> Any:
        """The condition as Arrow's readers take it."""
        return _expression(self.text, self.types)

    def __str__(self) -> str:
        """Write the condition."""
        return self.text


def parse_where(text: str, schema: pa.Schema) -> Where:
    """Read a condition.

    Parameters
    ----------
    text
        See the module.
    schema
        The columns there are.

    Raises
    ------
    DatasetError
        When it is no condition, names a column that is not there or is one of lists, or compares
        what cannot be compared; the place is shown.
    """
    reader = _Reader(text, {field.name: field.type for field in schema})
    condition = reader.read()
    types = tuple(sorted(reader.named.items()))
    try:
        pa.schema(types).empty_table().filter(condition)
    except (pa.ArrowException, TypeError, ValueError) as error:
        told = ", ".join(f"{name} is {kind}" for name, kind in types)
        raise DatasetError(
            f"where: {text!r} compares what cannot be compared: {error} ({told})"
        ) from error
    return Where(ast.unparse(reader.tree), types)


@lru_cache(maxsize=64)
def _expression(text: str, types: tuple[tuple[str, pa.DataType], ...]) -> Any:
    """Build the condition once a process."""
    return _Reader(text, dict(types)).read()


class _Reader:
    """Reads one condition; knows the columns there are, and those that were named."""

    def __init__(self, text: str, types: Mapping[str, pa.DataType]) -> None:
        self.text = text
        self.types = types
        self.named: dict[str, pa.DataType] = {}
        self.tree = self._tree()

    def read(self) -> Any:
        """Return the condition."""
        try:
            return self._condition(self.tree)
        except RecursionError:
            raise DatasetError("where: the condition is too deeply nested") from None

    def _tree(self) -> ast.expr:
        """Return Python's syntax tree of the text."""
        if len(self.text) > LONGEST_TEXT:
            raise DatasetError(f"where: the condition has more than {LONGEST_TEXT:,} characters")
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError) as error:
            raise DatasetError(
                f"where: {self.text!r} is no condition: {error}; write one such as "
                "\"plate == 'A1' and dose > 3\""
            ) from None
        except (RecursionError, MemoryError):
            raise DatasetError("where: the condition is too deeply nested") from None

    def _refuse(self, node: ast.expr, reason: str) -> DatasetError:
        """Return the error for a part of the condition."""
        part = ast.get_source_segment(self.text.strip(), node) or self.text
        within = "" if part == self.text.strip() else f" (in: {self.text.strip()})"
        return DatasetError(f"where: {part}: {reason}{within}")

    def _condition(self, node: ast.expr) -> Any:
        """Return what is true or false of a row."""
        match node:
            case ast.BoolOp(op=op, values=values):
                join = and_ if isinstance(op, ast.And) else or_
                return reduce(join, map(self._condition, values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self._condition(operand)
            case ast.Compare(left=left, ops=ops, comparators=others):
                pairs = zip(ops, pairwise([left, *others]), strict=True)
                return reduce(and_, (self._link(node, op, *pair) for op, pair in pairs))
            case ast.Name() | ast.Call() | ast.Attribute():
                name = self._column(node)
                if pa.types.is_boolean(self.named[name]):
                    return pc.field(name)
                kind = self.named[name]
                raise self._refuse(node, f"is of type {kind}; compare it with something")
        raise self._refuse(node, "is no condition: expected comparisons joined by and, or, not")

    def _link(self, node: ast.expr, op: ast.cmpop, left: ast.expr, right: ast.expr) -> Any:
        """Return one comparison."""
        match op, right:
            case ((ast.Is() | ast.IsNot()), ast.Constant(value=None)):
                null = pc.field(self._column(left)).is_null()
                return null if isinstance(op, ast.Is) else ~null
            case ((ast.In() | ast.NotIn()), (ast.List(elts=items) | ast.Tuple(elts=items))):
                name = self._column(left)
                values = [self._value(item, self.named[name]) for item in items]
                if not values:
                    raise self._refuse(node, "expected at least one value in the list")
                found = reduce(or_, (pc.field(name) == pc.scalar(v) for v in values))
                return found if isinstance(op, ast.In) else ~found
        compare = _COMPARISONS.get(type(op))
        if compare is None:
            raise self._refuse(node, "expected == != < <= > >=, in [...] or is None")
        kinds = [self.named[self._column(n)] for n in (left, right) if not _is_literal(n)]
        if not kinds:
            raise self._refuse(node, "compares two values and no column")
        return compare(self._side(left, kinds[0]), self._side(right, kinds[0]))

    def _side(self, node: ast.expr, kind: pa.DataType) -> Any:
        """Return one side of a comparison with something of a type."""
        if _is_literal(node):
            return pc.scalar(self._value(node, kind))
        return pc.field(self._column(node))

    def _column(self, node: ast.expr) -> str:
        """Return the column that a name stands for."""
        match node:
            case ast.Call(func=ast.Name(id="col"), args=[ast.Constant(value=str(name))]):
                pass
            case ast.Name() | ast.Attribute():
                name = ast.unparse(node)
            case _:
                raise self._refuse(node, "expected the name of a column")
        if name not in self.types:
            close = get_close_matches(name, self.types, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}? " if close else ""
            there = ", ".join(list(self.types)[:20])
            raise self._refuse(node, f"there is no column {name!r}; {hint}there are {there}")
        kind = self.types[name]
        if pa.types.is_nested(kind):
            raise self._refuse(node, f"is of type {kind}; expected a column of plain values")
        self.named[name] = kind
        return name

    def _value(self, node: ast.expr, kind: pa.DataType) -> Any:
        """Return a literal; text that stands for a time becomes one."""
        if not _is_literal(node):
            raise self._refuse(node, "expected a number or a text in quotes")
        value = ast.literal_eval(node)
        if not (isinstance(value, str) and pa.types.is_temporal(kind)):
            return value
        try:
            return pa.scalar(value).cast(kind)
        except pa.ArrowException as error:
            raise self._refuse(node, f"is no {kind}: {error}") from error


def _is_literal(node: ast.expr) -> bool:
    """Whether a part of the tree is a number, a text or a truth value."""
    match node:
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _is_literal(operand) and not isinstance(operand, ast.UnaryOp)
        case ast.Constant(value=bool() | int() | float() | str()):
            return True
    return False


def selected_rows(where: Where, batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Return the positions of the rows of a batch that are taken, (n_taken,)."""
    rows = as_arrow(np.arange(batch.num_rows))
    columns = [batch.column(name) for name in where.columns]
    numbered = pa.RecordBatch.from_arrays([*columns, rows], names=[*where.columns, _ROW])
    return as_numpy(numbered.filter(where.expression).column(_ROW))
