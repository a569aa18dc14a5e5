"""A recipe to Parquet: one row group in memory at a time, each file renamed when it is whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .curves import blocks
from .layouts import table_of, truth_table
from .recipe import Recipe

SUFFIX = ".parquet"
TRUTH_FILE = "_truth.parquet"
"""The truth of a long data set: a leading underscore hides a file from readers of data sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What was written."""

    path: Path
    files: tuple[Path, ...]
    truth: Path
    n_bytes: int


def simulate(
    recipe: Recipe,
    path: Path,
    *,
    n_files: int = 1,
    row_group: int | None = None,
    overwrite: bool = False,
) -> Simulated:
    """Write the data set of a recipe.

    Parameters
    ----------
    recipe
        What to write.
    path
        A directory, or with one file a path that ends in ``.parquet``.
    n_files
        How many files share the curves.
    row_group
        Curves in a row group; default: 16 MiB of y.
    overwrite
        Whether to replace what is at `path`.

    Raises
    ------
    ValueError
        When a number is below 1 or several files are to go into one.
    FileExistsError
        When there is something at `path` and `overwrite` is not given.
    """
    _check(recipe, path, n_files, row_group)
    _clear(path, overwrite=overwrite)
    one = path.suffix == SUFFIX
    folder = path.parent if one else path
    folder.mkdir(parents=True, exist_ok=True)
    edges = [recipe.n_curves * k // n_files for k in range(n_files + 1)]
    files = tuple(
        path if one else folder / f"part-{k:0{max(5, len(str(n_files)))}d}{SUFFIX}"
        for k in range(n_files)
    )
    truth = truth_path(path) if recipe.layout == "long" else path
    size = row_group or recipe.row_group
    for file, start, stop in zip(files, edges, edges[1:], strict=False):
        _write_file(recipe, file, start, stop, size)
    if recipe.layout == "long":
        _write_truth(recipe, truth)
    n_bytes = sum(file.stat().st_size for file in files)
    return Simulated(path=path, files=files, truth=truth, n_bytes=n_bytes)


def truth_path(path: Path) -> Path:
    """Return where the truth of a long data set stands."""
    if path.suffix == SUFFIX and not path.is_dir():
        return path.with_name(f"_{path.stem}{TRUTH_FILE}")
    return path / TRUTH_FILE


def _check(recipe: Recipe, path: Path, n_files: int, row_group: int | None) -> None:
    """Check what the recipe does not know."""
    if not 1 <= n_files <= recipe.n_curves:
        raise ValueError(f"--files must be within 1..{recipe.n_curves} (curves), got {n_files}")
    if row_group is not None and row_group < 1:
        raise ValueError(f"--row-group-size must be at least 1 curve, got {row_group}")
    if n_files > 1 and path.suffix == SUFFIX:
        raise ValueError(
            f"--files {n_files} needs a directory, but --out is the file {str(path)!r}"
        )


def _clear(path: Path, *, overwrite: bool) -> None:
    """Make room, if that was asked for."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise FileExistsError(f"{str(path)!r} exists already: choose another --out or --overwrite")
    if path.is_dir():
        strange = [p.name for p in path.iterdir() if p.suffix != SUFFIX]
        if strange:
            raise FileExistsError(
                f"{str(path)!r} holds more than Parquet files ({strange[0]!r}), so it is not "
                "overwritten: remove it yourself or choose another --out"
            )
        shutil.rmtree(path)


def _write_file(recipe: Recipe, path: Path, start: int, stop: int, size: int) -> None:
    """Write the curves from `start` to `stop`, `size` of them in a row group."""
    schema = table_of(next(blocks(recipe, start, start + 1)), recipe).schema
    with _writer(path, schema) as writer:
        for low in range(start, stop, size):
            parts = blocks(recipe, low, min(low + size, stop))
            _write_group(writer, [table_of(part, recipe) for part in parts])


def _write_truth(recipe: Recipe, path: Path) -> None:
    """Write what is true of every curve, block by block."""
    parts = (truth_table(part, recipe) for part in blocks(recipe, 0, recipe.n_curves))
    first = next(parts)
    with _writer(path, first.schema) as writer:
        _write_group(writer, [first])
        for part in parts:
            _write_group(writer, [part])


def _write_group(writer: pq.ParquetWriter, tables: list[pa.Table]) -> None:
    """Write tables as one row group."""
    table = pa.concat_tables(tables)
    if table.num_rows:
        writer.write_table(table, row_group_size=table.num_rows)


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Write under another name, and give the file its own when it is whole.

    Noise does not compress, so values are stored plain; an x that repeats, ids and the names of
    bad kinds are dictionaries.
    """
    hidden = path.with_name(f".{path.name}.writing")
    repeated = ["x", "x.list.element", "bad"]
    try:
        with pq.ParquetWriter(
            hidden, schema, compression="none", use_dictionary=repeated, write_statistics=True
        ) as writer:
            yield writer
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
