"""A data set: files, the layout of their curves, and blocks of rows at whose edges curves begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from os import PathLike

import pyarrow as pa

from ..solver.model import Model
from ..solver.options import FitOptions
from .binding import Binding, StartValues, bind
from .blocks import Block, long_blocks, row_blocks
from .columns import Columns
from .errors import DatasetError
from .files import File, Footer, Paths, find_files, is_zarr, read_footers, root_of
from .hive import hive_types, hive_values, with_hive
from .layout import Layout, find_layout
from .objects.stores import is_object_url
from .selection import Selection
from .where import Where, parse_where


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Curves in files, checked, with nothing read but footers and curve ids.

    Attributes
    ----------
    files
        In the order in which their curves are taken. Of Zarr, tiles of whole chunks.
    schema
        Of the first file.
    differences
        Columns that are not alike in every file, and how.
    columns, layout
        What the user named, and how the curves lie in the rows.
    blocks
        All rows, in order; without those that hold nothing of what is taken.
    hive
        The columns that folders name, and their types.
    where
        Which rows are taken; None: all.
    """

    files: tuple[File, ...]
    schema: pa.Schema = field(repr=False)
    differences: Mapping[str, str]
    columns: Columns
    layout: Layout
    blocks: tuple[Block, ...] = field(repr=False)
    hive: Mapping[str, pa.DataType] = field(default_factory=dict)
    where: Where | None = None

    @property
    def n_curves(self) -> int:
        """Curves in all files."""
        return sum(block.curves for block in self.blocks)

    @property
    def n_bytes(self) -> int:
        """What the values of all points take in memory, as float64."""
        return sum(block.n_bytes for block in self.blocks)

    @property
    def remote(self) -> bool:
        """Whether it lies in an object store."""
        return any(is_object_url(file.path) for file in self.files[:1])

    def bind(self, model: Model, options: FitOptions, p0: StartValues | None = None) -> Binding:
        """Say which columns feed the model, and check that every file has them.

        Raises
        ------
        DatasetError
            When an argument of the model has no column, or not the same in every file.
        ValueError
            When options or p0 do not suit the model.
        """
        if self.layout.grid is not None:
            from .arrays.binding import bind_arrays  # noqa: PLC0415 - loads zarr

            return bind_arrays(self, model, options, p0)
        binding = bind(
            model,
            options,
            p0,
            columns=self.columns,
            layout=self.layout,
            schema=self.schema,
            hive=self.hive,
            where=self.where,
        )
        _check_alike(binding.columns, self.differences)
        return binding

    def __str__(self) -> str:
        """Describe the data set in a few lines."""
        size = sum(file.n_bytes for file in self.files)
        what = "tile(s)" if self.layout.grid is not None else "file(s)"
        return (
            f"{self.n_curves:,} curves in {len(self.files):,} {what}, {size / 1e6:,.1f} MB on "
            f"disk, {self.n_bytes / 1e6:,.1f} MB as float64\nlayout     {self.layout}"
        )


def open_dataset(paths: Paths, columns: Columns | None = None) -> Dataset:
    """Open Parquet files, or a Zarr group, and check all that can be checked without a model.

    Parameters
    ----------
    paths
        Files, folders (searched to their depth) and globs, or URLs of such in an object store
        (``s3://bucket/folder/*.parquet``; see `places`). The order of the curves is that of
        the paths given, sorted by name within folders and globs. Or one Zarr group, or array.
    columns
        Which column is what; default: see `Columns`.

    Raises
    ------
    DatasetError
        When a file is missing, no Parquet or differs from the others, when a column is missing
        or of the wrong type, when there are no rows, or the rows of a curve lie apart; see
        `arrays.dataset.open_arrays` for Zarr.
    """
    columns = columns or Columns()
    given = [paths] if isinstance(paths, str | PathLike) else list(paths)
    if any(map(is_zarr, given)):
        from .arrays.dataset import open_arrays  # noqa: PLC0415 - loads zarr

        return open_arrays(given, columns)
    _check_rows(columns)
    files, root = find_files(given), root_of(given)
    stored = read_footers(files[:1], root, {})[0].schema
    folders = hive_types(map(hive_values, files))
    hive = {name: kind for name, kind in folders.items() if name not in stored.names}
    schema = with_hive(stored, hive)
    layout = find_layout(columns, schema)
    where = parse_where(columns.where, schema) if columns.where else None
    footers = read_footers(files, root, hive, layout.y[0])
    differences = _differences(footers)
    named = [*_named(columns, layout, differences), *(where.columns if where else ())]
    _check_alike(named, differences)
    ids = (layout.curve_id,) if layout.curve_id and layout.kind == "long" else ()
    selection = Selection(columns=ids, hive=hive, where=where)
    if layout.kind == "long":
        blocks = tuple(long_blocks(footers, selection))
    else:
        blocks = tuple(row_blocks(footers, selection, len(layout.y)))
    if not blocks and where and any(rows for f in footers for rows, _ in f.groups):
        raise DatasetError(
            f"no row of {len(footers)} file(s) is taken by where: {where}. Check its values "
            f"against the columns {', '.join(where.columns)}"
        )
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
        hive=hive,
        where=where,
    )


def _check_rows(columns: Columns) -> None:
    """Refuse what only arrays have."""
    for option, value in (("axis", columns.axis), ("mask", columns.mask)):
        if value:
            raise DatasetError(
                f"{option} is given ({value!r}), but the data are Parquet: it belongs to Zarr "
                "arrays. Leave it out; null is a point that is not there"
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
