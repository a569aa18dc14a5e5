"""What holds of every data set, however its curves lie: one suite, inherited by each layout."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import DatasetError, JobMismatchError
from manyfit.pipeline.plan import plan_dataset
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from manyfit.solver.status import Status

START = {"a": 1.0, "b": 1.0, "c": 1.0}
NOWHERE = "tcp://127.0.0.1:9"
"""No scheduler is there: a run that needs workers fails."""

X = np.linspace(0.0, 4.0, 16)
PIECES = 3
PIECE_BYTES = 200 * 16 * 8
"""Each of three pieces of 200 curves makes a partition."""


def shifted(x: Any, x0: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * (x - x0)) + c


class DatasetTests:
    """The suite. A layout says how curves are written, and how a piece of them is spoilt."""

    columns = Columns()

    def write(self, folder: Path, y: Any, **more: Any) -> Path:
        """Write curves in three pieces, with `more` values a curve or a point; return the path."""
        raise NotImplementedError

    def storage(self, path: Path, piece: int) -> tuple[Path, int, int]:
        """Return the file that has the y of a piece, and where they are in it."""
        raise NotImplementedError

    def fit(self, path: Path, out: Path, model: Any, cluster: Any, **changes: Any) -> Any:
        given = {"columns": self.columns, "p0": START, "partition_bytes": PIECE_BYTES, **changes}
        return fit_dataset(path, model, out, cluster=cluster, **given)

    def spoil(self, path: Path, piece: int) -> tuple[Path, bytes]:
        """Make a piece unreadable, and return what its file held."""
        file, start, length = self.storage(path, piece)
        held = file.read_bytes()
        file.write_bytes(held[:start] + b"\xff" * length + held[start + length :])
        return file, held

    @pytest.mark.parametrize("partition_bytes", [None, PIECE_BYTES, 3 * PIECE_BYTES])
    def test_the_fits_are_those_of_the_solver(
        self, partition_bytes: int | None, values: Any, model: Any, client: Any, tmp_path: Path
    ) -> None:
        path, out = self.write(tmp_path / "a folder", values), tmp_path / "an out"
        summary = self.fit(path, out, model, client, partition_bytes=partition_bytes)
        assert (summary.curves, summary.fitted, summary.converged) == (600, 600, 600)
        assert summary.partitions == (3 if partition_bytes == PIECE_BYTES else 1)
        wanted = fit_curves(model, X, values, p0=[1.0, 1.0, 1.0])
        found = read_result(out)
        assert found["curve_id"].to_pylist() == [3 * i for i in range(600)]
        for j, name in enumerate("abc"):
            assert np.array_equal(found[name], wanted.params[:, j])
            assert np.array_equal(found[f"{name}_stderr"], wanted.stderr[:, j])
        assert np.array_equal(found["cov"].combine_chunks().flatten(), wanted.cov.reshape(-1))
        for name in ("status", "flags", "compiled", "nfev", "n_points", "cost", "redchi"):
            assert np.array_equal(found[name], getattr(wanted, name))

    def test_sigma_start_values_and_constants_come_with_the_curves(
        self, values: Any, client: Any, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(3)
        sigma = rng.uniform(0.5, 2, values.shape)
        more = {name: rng.uniform(0.8, 1.2, 600) for name in ("p0_a", "p0_b", "p0_c", "x0")}
        path = self.write(tmp_path / "in", values, s=sigma, **more)
        model = Model.from_function(shifted, constants=["x0"])
        columns = Columns(
            y=self.columns.y,
            x=self.columns.x,
            sigma="s_*" if self.columns.y == "y_*" else "s",
        )
        self.fit(path, tmp_path / "out", model, client, columns=columns, p0=None)
        p0 = np.stack([more[f"p0_{p}"] for p in "abc"], axis=1)
        wanted = fit_curves(model, X, values, sigma=sigma, p0=p0, constants={"x0": more["x0"]})
        found = read_result(tmp_path / "out")
        for j, name in enumerate("abc"):
            assert np.array_equal(found[name], wanted.params[:, j])

    def test_points_that_are_not_finite_are_left_out(
        self, values: Any, model: Any, client: Any, tmp_path: Path
    ) -> None:
        y = values.copy()
        y[5, 3], y[300], y[599, :14] = np.nan, np.nan, np.inf
        self.fit(self.write(tmp_path / "in", y), tmp_path / "out", model, client)
        wanted = fit_curves(model, X, y, p0=[1.0, 1.0, 1.0])
        found = read_result(tmp_path / "out")
        assert found["status"].to_pylist() == wanted.status.tolist()
        assert found["flags"].to_pylist() == wanted.flags.tolist()
        assert np.array_equal(found["a"], wanted.params[:, 0], equal_nan=True)

    def test_a_job_that_is_done_needs_no_workers(
        self, values: Any, model: Any, client: Any, tmp_path: Path
    ) -> None:
        path = self.write(tmp_path / "in", values)
        self.fit(path, tmp_path / "out", model, client)
        again = self.fit(path, tmp_path / "out", model, NOWHERE)
        assert (again.skipped, again.fitted) == (3, 0)

    def test_a_changed_input_is_refused(
        self, values: Any, values_of: Any, model: Any, client: Any, tmp_path: Path
    ) -> None:
        path = self.write(tmp_path / "in", values)
        self.fit(path, tmp_path / "out", model, client)
        self.write(tmp_path / "in", np.concatenate([values[:400], values_of(200, seed=1)]))
        with pytest.raises(JobMismatchError, match=r"1 input file\(s\) changed: "):
            self.fit(path, tmp_path / "out", model, client)
        again = self.fit(path, tmp_path / "out", model, client, on_changed="refit")
        assert (again.skipped, again.fitted) == (2, 200)

    def test_an_input_that_changes_under_way_is_refused_by_its_tasks(
        self, values: Any, values_of: Any, model: Any, client: Any, tmp_path: Path
    ) -> None:
        path = self.write(tmp_path / "in", values)
        dataset = open_dataset(path, self.columns)
        self.write(tmp_path / "in", np.concatenate([values[:400], values_of(200, seed=1)]))
        summary = self.fit(dataset, tmp_path / "out", model, client, columns=None)  # type: ignore[arg-type]
        assert list(summary.failed) == [2]
        assert "has changed since the data set was opened" in summary.failed[2]

    @pytest.mark.parametrize("piece", range(PIECES))
    def test_a_piece_that_cannot_be_read_is_one_failed_partition(
        self, piece: int, values: Any, model: Any, client: Any, tmp_path: Path
    ) -> None:
        path, out = self.write(tmp_path / "in", values), tmp_path / "out"
        file, held = self.spoil(path, piece)
        summary = self.fit(path, out, model, client)
        assert list(summary.failed) == [piece]
        assert summary.counts[Status.TASK_LOST] == 200
        assert summary.fitted == read_result(out).num_rows == 400
        file.write_bytes(held)
        again = self.fit(path, out, model, client)
        assert (again.skipped, again.fitted, again.failed) == (2, 200, {})
        assert sorted(read_result(out)["curve_id"].to_pylist()) == [3 * i for i in range(600)]

    def test_it_is_a_value(self, values: Any, tmp_path: Path) -> None:
        path = self.write(tmp_path / "in", values)
        dataset, again = (open_dataset(path, self.columns) for _ in range(2))
        assert pickle.loads(pickle.dumps(dataset)) == dataset == again
        assert dataset.n_curves == 600
        plan = plan_dataset(dataset, partition_bytes=PIECE_BYTES)
        assert [p.curves for p in plan.partitions] == [200, 200, 200]
        assert "600 curves in 3" in str(dataset)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"y": "signal"}, r"y: there is no (column|array) 'signal'.* there (are|is) "),
            ({"sigma": "sgima"}, r"sigma: there is no (column|array) 'sgima'; there are "),
            ({"curve_id": "well"}, r"curve_id: there is no (column|array) 'well'"),
            ({"p0": {"a": "start"}}, r"p0 of 'a': there is no (column|array) 'start'"),
            ({"p0": {"z": "p0_z"}}, r"columns.p0 names 'z', which is no parameter"),
            ({"x": {"t": "x"}}, r"has the predictors \('x',\), but x names \('t',\)"),
            ({"constants": {"k": 1.0}}, r"has no constant \['k'\]"),
        ],
    )
    def test_wrong_names_are_found_before_a_worker_starts(
        self, changes: Any, message: str, values: Any, model: Any, tmp_path: Path
    ) -> None:
        path = self.write(tmp_path / "in", values)
        given = {"y": self.columns.y, "x": self.columns.x, **changes}
        with pytest.raises((DatasetError, ValueError), match=message):
            self.fit(path, tmp_path / "out", model, NOWHERE, columns=Columns(**given), p0=None)
        assert not (tmp_path / "out").exists()


class ParquetTests(DatasetTests):
    """Three files, each a piece."""

    def table(self, y: Any, more: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def write(self, folder: Path, y: Any, **more: Any) -> Path:
        folder.mkdir(exist_ok=True)
        n, ids = len(y) // PIECES, np.arange(len(y)) * 3
        for k in range(PIECES):
            rows = slice(n * k, n * (k + 1))
            some = {name: values[rows] for name, values in {"curve_id": ids, **more}.items()}
            table = pa.table(self.table(y[rows], some))
            if not (folder / f"{k}.parquet").exists() or not table.equals(
                pq.read_table(folder / f"{k}.parquet")
            ):
                pq.write_table(table, folder / f"{k}.parquet", use_dictionary=False)
        return folder

    def storage(self, path: Path, piece: int) -> tuple[Path, int, int]:
        file = path / f"{piece}.parquet"
        group = pq.read_metadata(file).row_group(0)
        columns = [group.column(j) for j in range(group.num_columns)]
        y = next(c for c in columns if ".y" in f".{c.path_in_schema}")
        return file, y.data_page_offset, y.total_compressed_size


class TestLists(ParquetTests):
    def table(self, y: Any, more: dict[str, Any]) -> dict[str, Any]:
        columns = {name: list(v) if v.ndim == 2 else v for name, v in more.items()}
        return {**columns, "x": [X] * len(y), "y": list(y)}


class TestFixedSizeLists(TestLists):
    def table(self, y: Any, more: dict[str, Any]) -> dict[str, Any]:
        lists = super().table(y, more)
        return {**lists, "y": pa.array(lists["y"], pa.list_(pa.float64(), 16))}


class TestListsOfStructs(ParquetTests):
    def table(self, y: Any, more: dict[str, Any]) -> dict[str, Any]:
        fields = {"x": np.tile(X, len(y)), "y": y.reshape(-1)}
        if "s" in more:
            fields["s"] = more["s"].reshape(-1)
        points = pa.StructArray.from_arrays(list(fields.values()), list(fields))
        offsets = pa.array(np.arange(len(y) + 1, dtype="i4") * 16)
        columns = {name: v for name, v in more.items() if v.ndim == 1}
        return {**columns, "points": pa.ListArray.from_arrays(offsets, points)}


class TestLong(ParquetTests):
    def table(self, y: Any, more: dict[str, Any]) -> dict[str, Any]:
        columns = {n: v.reshape(-1) if v.ndim == 2 else np.repeat(v, 16) for n, v in more.items()}
        return {**columns, "x": np.tile(X, len(y)), "y": y.reshape(-1)}


class TestWide(ParquetTests):
    columns = Columns(y="y_*", x=X)

    def table(self, y: Any, more: dict[str, Any]) -> dict[str, Any]:
        columns = {n: v for n, v in more.items() if v.ndim == 1}
        if "s" in more:
            columns |= {f"s_{j}": more["s"][:, j].copy() for j in range(16)}
        return columns | {f"y_{j}": y[:, j].copy() for j in range(16)}


class TestZarr(DatasetTests):
    """Three chunks, each a piece."""

    version: Any = 3
    names: tuple[str, ...] | None = ("curve", "time")

    def write(self, folder: Path, y: Any, **more: Any) -> Path:
        path, ids = folder / "curves.zarr", np.arange(len(y)) * 3
        for name, values in {"x": X, "curve_id": ids, "y": y, **more}.items():
            self.add(path, name, values)
        return path

    def add(self, path: Path, name: str, values: Any) -> None:
        """Write an array, or the chunks of it that change."""
        n_curves = len(values) if name != "x" else 0
        chunks = (n_curves // PIECES, *values.shape[1:]) if n_curves else values.shape
        root = zarr.open_group(path, mode="a", zarr_format=self.version)
        if name not in root:
            dims = self.names and (self.names[:1] if values.ndim == 1 else self.names)
            dims = self.names[1:] if name == "x" and self.names else dims
            named: dict[str, Any] = {"dimension_names": dims} if dims else {}
            if self.version == 2:
                named = {"attributes": {"_ARRAY_DIMENSIONS": list(dims)}} if dims else {}
            root.create_array(name, shape=values.shape, chunks=chunks, dtype=values.dtype, **named)
        array: Any = root[name]
        for start in range(0, len(values), chunks[0]):
            rows = slice(start, start + chunks[0])
            if not np.array_equal(array[rows], values[rows], equal_nan=True):
                array[rows] = values[rows]

    def storage(self, path: Path, piece: int) -> tuple[Path, int, int]:
        key = f"c/{piece}/0" if self.version == 3 else f"{piece}.0"
        file = path / "y" / key
        return file, 0, file.stat().st_size

    @pytest.fixture(autouse=True)
    def _tiles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("manyfit.pipeline.arrays.grid.TILE_CURVES", 1)


class TestZarrFormat2(TestZarr):
    version = 2


class TestZarrWithoutNames(TestZarr):
    names = None
