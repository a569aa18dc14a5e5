"""The same curves in every layout, and one cluster for all tests."""

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client

from manyfit.pipeline.arrays import grid as grids
from manyfit.pipeline.cluster import local_cluster
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.run import fit_dataset
from tests.object_stores import free_port, proxy
from tests.pipeline.buckets import START, upload

pytest.register_assert_rewrite("tests.pipeline.place_suites")

Floats = npt.NDArray[np.float64]
Writer = Callable[..., tuple[Path, Columns]]

X = np.linspace(0.0, 4.0, 16)


def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


def make_values(n_curves: int, seed: int = 7) -> Floats:
    """Return noisy decays, (n_curves, 16)."""
    rng = np.random.default_rng(seed)
    params = np.array([2.0, 1.5, 0.5]) * (1 + 0.2 * rng.uniform(-1, 1, (n_curves, 3)))
    clean = decay(X, *(params[:, j, None] for j in range(3)))
    noisy: Floats = clean + rng.normal(0, 0.02, clean.shape)
    return noisy


def list_table(y: Floats) -> pa.Table:
    n = len(y)
    offsets = np.arange(n + 1, dtype=np.int32) * y.shape[1]
    values = pa.ListArray.from_arrays(offsets, pa.array(y.reshape(-1)))
    x = pa.ListArray.from_arrays(offsets, pa.array(np.tile(X[: y.shape[1]], n)))
    return pa.table({"curve_id": np.arange(n) * 3, "x": x, "y": values})


def long_table(y: Floats) -> pa.Table:
    n, m = y.shape
    ids = np.repeat(np.arange(n) * 3, m)
    return pa.table({"curve_id": ids, "x": np.tile(X[:m], n), "y": y.reshape(-1)})


def wide_table(y: Floats) -> pa.Table:
    points = {f"y_{j}": y[:, j].copy() for j in range(y.shape[1])}
    return pa.table({"curve_id": np.arange(len(y)) * 3, **points})


@dataclass(frozen=True)
class Layouts:
    """How to write curves, and how to name the columns, by layout."""

    folder: Path

    tables = {"list": list_table, "long": long_table, "wide": wide_table}  # noqa: RUF012

    def table(self, kind: str, y: Floats) -> pa.Table:
        made: pa.Table = self.tables[kind](y)
        return made

    def columns(self, kind: str) -> Columns:
        return Columns(y="y_*", x=X) if kind == "wide" else Columns()

    def write(self, kind: str, y: Floats, rows: int = 1000, name: str | None = None) -> Path:
        path = self.folder / (name or f"{kind}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.table(kind, y), path, row_group_size=rows)
        return path


def rows_as_bits(table: pa.Table) -> dict[str, Any]:
    """Return the rows of a result so that NaN equals NaN, and nothing else is overlooked."""
    found: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        values = column.flatten() if name == "cov" else column
        number = pa.types.is_floating(values.type)
        found[name] = values.to_numpy().tobytes() if number else values.to_pylist()
    return found


@pytest.fixture(scope="session")
def bits() -> Callable[[pa.Table], dict[str, Any]]:
    return rows_as_bits


@pytest.fixture
def layouts(tmp_path: Path) -> Layouts:
    return Layouts(tmp_path / "input")


@pytest.fixture(scope="session")
def values() -> Floats:
    return make_values(600)


@pytest.fixture(scope="session")
def model() -> Callable[..., Any]:
    return decay


@pytest.fixture(scope="session")
def values_of() -> Callable[..., Floats]:
    return make_values


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tiles of arrays as small as chunks, so that a few curves make several."""
    monkeypatch.setattr(grids, "TILE_CURVES", 1)


@pytest.fixture(scope="session")
def client(ports: Any) -> Iterator[Client]:  # noqa: ARG001 - workers inherit where stores are
    """Two worker processes that all tests share, unless they break them."""
    with local_cluster(2) as cluster, Client(cluster, set_as_default=False) as connection:  # type: ignore[no-untyped-call]
        yield connection


@pytest.fixture
def six(layouts: Any, values: Any, model: Any, folder: ObjectPath) -> Callable[..., Any]:
    """Return a call that runs one job of six partitions, from a bucket to a bucket."""
    for k in range(3):
        layouts.write("list", values[200 * k : 200 * k + 200], rows=100, name=f"in/{k}.parquet")
    url = upload(layouts.folder / "in", folder / "in")

    def run(cluster: Any, out: Any = folder / "out", **changes: Any) -> Any:
        given = {"p0": START, "partition_bytes": 15_000, **changes}
        return fit_dataset(url, model, out, cluster=cluster, **given)

    return run


@pytest.fixture
def troubled(s3: int) -> Iterator[Callable[..., Any]]:
    """Return a call that puts a troublesome proxy before the store, for new workers too."""
    with pytest.MonkeyPatch.context() as patch:
        opened = []

        def trouble(**settings: Any) -> Any:
            port = free_port()
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            opened.append(proxy(port, s3, **settings))
            return opened[-1].__enter__()

        yield trouble
        for between in opened:
            between.__exit__(None, None, None)


@pytest.fixture(scope="session")
def friend() -> Callable[[str], Any]:
    """Import what is optional: where it is missing a test is skipped, but in CI it fails."""

    def load(name: str) -> Any:
        if "CI" in os.environ:
            return importlib.import_module(name)
        return pytest.importorskip(name, reason=f"needs {name}: pip install 'manyfit[dev]'")

    return load
