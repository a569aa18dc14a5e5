"""A data set: files, the layout of their curves, and blocks of rows at whose edges curves begin."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

import pyarrow as pa

from ..solver.model import Model
from ..solver.options import FitOptions
from .binding import Binding, StartValues, bind
from .columns import Columns
from .errors import DatasetError
from .files import File, Footer, Paths, find_files, read_footers
from .layout import Layout, find_layout
from .scan import Group, Runs, scan_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of one file, whole curves; partitions are made of blocks that follow each other.

    Attributes
    ----------
    file
        Position in `Dataset.files`.
    row, rows
        The first row, counted from the beginning of the file, and how many.
    curves
        How many curves.
    n_bytes
        What the values of the points take in memory, as float64.
    head
        Whether a row group begins here: what comes before need not be read to reach it.
    """

    file: int
    row: int
    rows: int
    curves: int
    n_bytes: int
    head: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Curves in Parquet files, checked, with nothing read but footers and curve ids.

    Attributes
    ----------
    files
        In the order in which their curves are taken.
    schema
        Of the first file.
    differences
        Columns that are not alike in every file, and how.
    columns, layout
        What the user named, and how the curves lie in the rows.
    blocks
        All rows, in order.
    """

    files: tuple[File, ...]
    schema: pa.Schema = field(repr=False)
    differences: Mapping[str, str]
    columns: Columns
    layout: Layout
    blocks: tuple[Block, ...] = field(repr=False)

    @property
    def n_curves(self) -> int:
        """Curves in all files."""
        return sum(block.curves for block in self.blocks)

    @property
    def n_bytes(self) -> int:
        """What the values of all points take in memory, as float64."""
        return sum(block.n_bytes for block in self.blocks)

    def bind(self, model: Model, options: FitOptions, p0: StartValues | None = None) -> Binding:
        """Say which columns feed the model, and check that every file has them.

        Raises
        ------
        DatasetError
            When an argument of the model has no column, or not the same in every file.
        ValueError
            When options or p0 do not suit the model.
        """
        binding = bind(
            model, options, p0, columns=self.columns, layout=self.layout, schema=self.schema
        )
        _check_alike(binding.columns, self.differences)
        return binding

    def __str__(self) -> str:
        """Describe the data set in a few lines."""
        size = sum(file.n_bytes for file in self.files)
        return (
            f"{self.n_curves:,} curves in {len(self.files):,} file(s), {size / 1e6:,.1f} MB on "
            f"disk, {self.n_bytes / 1e6:,.1f} MB as float64\nlayout     {self.layout}"
        )


def open_dataset(paths: Paths, columns: Columns | None = None) -> Dataset:
    """Open Parquet files as a data set and check all that can be checked without a model.

    Parameters
    ----------
    paths
        Files, folders (searched to their depth) and globs. The order of the curves is that of
        the paths given, sorted by name within folders and globs.
    columns
        Which column is what; default: see `Columns`.

    Raises
    ------
    DatasetError
        When a file is missing, no Parquet or differs from the others, when a column is missing
        or of the wrong type, when there are no rows, or the rows of a curve lie apart.
    """
    columns = columns or Columns()
    footers = read_footers(find_files(paths))
    schema = footers[0].schema
    layout = find_layout(columns, schema)
    differences = _differences(footers)
    _check_alike(_named(columns, layout, differences), differences)
    make = _long_blocks if layout.kind == "long" else _row_blocks
    blocks = tuple(make(footers, layout))
    if not blocks:
        raise DatasetError(
            f"{len(footers)} file(s) without a row: {footers[0].file.path} has the columns "
            f"{', '.join(schema.names[:20])} and nothing in them"
        )
    return Dataset(
        files=tuple(footer.file for footer in footers),
        schema=schema,
        differences=differences,
        columns=columns,
        layout=layout,
        blocks=blocks,
    )


def _named(columns: Columns, layout: Layout, differences: Mapping[str, str]) -> list[str]:
    """Return the columns that every file needs, with those that a glob for y finds in one only."""
    sigma = layout.sigma.columns if layout.sigma else ()
    ids = (layout.curve_id,) if layout.curve_id else ()
    globs = [columns.y] if isinstance(columns.y, str) else columns.y
    more = [
        n for n in differences if layout.kind == "wide" and any(fnmatchcase(n, g) for g in globs)
    ]
    return [*layout.y, *sigma, *ids, *more]


def _check_alike(names: Sequence[str], differences: Mapping[str, str]) -> None:
    """Refuse files in which one of the columns is missing or of another type."""
    for name in names:
        if name in differences:
            raise DatasetError(
                f"the files do not agree: {differences[name]}. Write the files with one schema, "
                "or fit them as two data sets"
            )


def _differences(footers: Sequence[Footer]) -> dict[str, str]:
    """Compare every file with the first, and say how columns differ."""
    first, found = footers[0], dict[str, str]()
    for other in footers[1:]:
        if other.schema.equals(first.schema):
            continue
        for name in {*first.schema.names, *other.schema.names} - set(found):
            here, there = (_type_in(name, f) for f in (first, other))
            if here != there:
                found[name] = (
                    f"column {name!r} is {here} in {first.file.name} and {there} in "
                    f"{other.file.name}"
                )
    return found


def _type_in(name: str, footer: Footer) -> str:
    """Write the type of a column, or that there is none."""
    index = footer.schema.get_field_index(name)
    return str(footer.schema.field(index).type) if index >= 0 else "missing"


def _row_blocks(footers: Sequence[Footer], layout: Layout) -> Iterator[Block]:
    """Cut row groups in which a row is a curve."""
    for f, footer in enumerate(footers):
        leaf = _leaf(layout.y[0], footer.metadata)
        row = 0
        for g in range(footer.metadata.num_row_groups):
            group = footer.metadata.row_group(g)
            if group.num_rows:
                yield Block(
                    file=f,
                    row=row,
                    rows=group.num_rows,
                    curves=group.num_rows,
                    n_bytes=8 * group.column(leaf).num_values * len(layout.y),
                    head=True,
                )
            row += group.num_rows


def _leaf(name: str, metadata: Any) -> int:
    """Return the position of a column's values among the leaves of the Parquet schema."""
    paths = (metadata.schema.column(j).path for j in range(metadata.num_columns))
    return next(j for j, path in enumerate(paths) if path == name or path.startswith(f"{name}."))


def _long_blocks(footers: Sequence[Footer], layout: Layout) -> Iterator[Block]:
    """Cut long rows where curves begin, after one pass over the ids."""
    assert layout.curve_id is not None
    groups = [group for footer in footers for group in _groups(footer)]
    runs = scan_groups(groups, layout.curve_id) if groups else []
    at = 0
    for f, footer in enumerate(footers):
        count = footer.metadata.num_row_groups
        part = slice(at, at + count)
        yield from _run_blocks(f, footer.metadata.num_rows, groups[part], runs[part])
        at += count


def _groups(footer: Footer) -> Iterator[Group]:
    """List the row groups of a file."""
    row = 0
    for g in range(footer.metadata.num_row_groups):
        rows = footer.metadata.row_group(g).num_rows
        yield Group(footer.file.path, g, row, rows)
        row += rows


def _run_blocks(
    file: int, rows: int, groups: Sequence[Group], runs: Sequence[Runs]
) -> Iterator[Block]:
    """Cut one file at the marks of its runs, each block ending where the next begins."""
    marks: list[tuple[int, int, bool]] = []
    curves, last = 0, None
    for group, found in zip(groups, runs, strict=True):
        goes_on = int(curves > 0 and found.n_runs > 0 and found.first == last)
        fresh = [(group.row + row, curves + k - goes_on) for row, k in found.marks if k >= goes_on]
        if not goes_on:  # the second run is of use only where the first is not fresh
            fresh = [mark for mark in fresh if mark[1] != curves + 1]
        marks += [(row, before, j == 0) for j, (row, before) in enumerate(fresh)]
        curves += found.n_runs - goes_on
        last = found.last if found.n_runs else last
    marks.append((rows, curves, True))
    for (row, before, head), (next_row, next_before, _) in pairwise(marks):
        yield Block(
            file=file,
            row=row,
            rows=next_row - row,
            curves=next_before - before,
            n_bytes=8 * (next_row - row),
            head=head,
        )
