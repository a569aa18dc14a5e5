"""What holds of every sink, whatever files it makes: one suite, inherited by each."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
import zarr

from manyfit.pipeline.arrays.store import as_store
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.errors import DatasetError, JobMismatchError, SinkLockedError
from manyfit.pipeline.lock import locked
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.places import Place
from manyfit.pipeline.results import open_sink, read_result, result_metadata
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.sink import Sink
from manyfit.pipeline.verify import verify_result
from manyfit.solver.batch import fit_curves
from manyfit.solver.options import FitOptions
from manyfit.workflows.show.report import show_result
from tests.pipeline.killable import run, start_run, wait_for

START = {"a": 1.0, "b": 1.0, "c": 1.0}
NOWHERE = "tcp://127.0.0.1:9"
X = np.linspace(0.0, 4.0, 16)
TILE_BYTES = 100 * 16 * 8
N_PARTITIONS = 6

pytestmark = pytest.mark.usefixtures("small_tiles")


@pytest.fixture
def image(values: Any, tmp_path: Path) -> Path:
    """600 curves as an image of 20 x 30 in six chunks, with coordinates."""
    path = tmp_path / "an image.zarr"
    root = zarr.open_group(path, mode="w")
    cube = values.reshape(20, 30, 16).transpose(2, 0, 1)
    names = ("time", "row", "col")
    dims: dict[str, Any] = {"dimension_names": names, "attributes": {"coordinates": "dose plate"}}
    root.create_array("y", data=cube, chunks=(16, 10, 10), **dims)
    root.create_array("x", data=X, dimension_names=("time",))
    rows = np.arange(20, dtype="f4") * 0.5
    root.create_array("row", data=rows, dimension_names=("row",), attributes={"units": "mm"})
    dose = np.arange(600, dtype="i2").reshape(20, 30)
    root.create_array("dose", data=dose, dimension_names=("row", "col"))
    plates = np.array([f"plate {i}" for i in range(30)], dtype=np.dtypes.StringDType())
    root.create_array("plate", data=plates, dimension_names=("col",))
    return path


def bits_of(table: pa.Table) -> dict[str, Any]:
    """Return rows so that NaN equals NaN, whatever the order of the partitions."""
    ordered = table.sort_by("curve_id").combine_chunks()
    found = {}
    for name in ordered.column_names:
        column = ordered[name].combine_chunks()
        values = column.flatten() if name == "cov" else column
        found[name] = values.to_numpy(zero_copy_only=False).tobytes()
    return found


def stamp(place: Place) -> Any:
    """Return what changes when a file is written again, also with the same content."""
    if isinstance(place, ObjectPath):
        seen = place.store.head(place.key)
        return seen["version"], seen["e_tag"]
    return place.stat().st_mtime_ns


def names_below(place: Place) -> set[str]:
    """Return the names of all files in a folder and its folders."""
    if isinstance(place, ObjectPath):
        return {path.key.removeprefix(f"{place.key}/") for path in place.below()}
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


class SinkTests:
    """The suite. A sink says how its directory is called, what store it is tried on, and what a
    partition writes."""

    name: str
    store: str

    def files(self, sink: Sink, index: int) -> list[Place]:
        """Return the files that the rows of a partition are in."""
        raise NotImplementedError

    @pytest.fixture(params=["disk", "store"])
    def out(self, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
        """Each test goes to a directory, and to a folder of a bucket."""
        name = f"results of {self.name}"
        if request.param == "disk":
            return tmp_path / name
        folder: ObjectPath = request.getfixturevalue("folder_on")(self.store)
        return folder / name

    @pytest.fixture
    def job(self, image: Path, model: Any) -> Callable[..., Any]:
        def run(out: Place, cluster: Any, **changes: Any) -> Any:
            given = {"p0": START, "partition_bytes": TILE_BYTES, "model": model, **changes}
            return fit_dataset(image, given.pop("model"), out, cluster=cluster, **given)

        return run

    def test_what_is_read_back_is_what_the_solver_gave(
        self, job: Any, values: Any, client: Any, out: Place
    ) -> None:
        summary = job(out, client)
        assert (summary.partitions, summary.fitted) == (N_PARTITIONS, 600)
        found = read_result(out).sort_by("curve_id")
        wanted = fit_curves(lambda x, a, b, c: a * np.exp(-b * x) + c, X, values, p0=[1.0, 1, 1])
        assert found.column_names == [
            *["curve_id", "row_index", "col_index", "a", "b", "c"],
            *["a_stderr", "b_stderr", "c_stderr", "cov", "status", "flags", "compiled", "nfev"],
            *["n_points", "cost", "redchi"],
        ]
        assert found["curve_id"].to_pylist() == list(range(600))
        assert found["row_index"].to_pylist() == [i // 30 for i in range(600)]
        assert found["col_index"].to_pylist() == [i % 30 for i in range(600)]
        for j, name in enumerate("abc"):
            assert np.array_equal(found[name], wanted.params[:, j])
            assert np.array_equal(found[f"{name}_stderr"], wanted.stderr[:, j])
        assert np.array_equal(found["cov"].combine_chunks().flatten(), wanted.cov.reshape(-1))
        for name in ("status", "flags", "compiled", "nfev", "n_points", "cost", "redchi"):
            assert np.array_equal(found[name], getattr(wanted, name))

    def test_it_tells_what_it_holds(self, job: Any, client: Any, out: Place) -> None:
        job(out, client)
        about = result_metadata(out)
        assert about["model"]["params"] == ["a", "b", "c"]
        assert about["status"]["1"]["name"] == "CONVERGED_FTOL"
        assert read_result(out).schema.metadata[b"manyfit"] == json.dumps(about).encode()
        shown = show_result(out)
        assert "600 curves fitted with decay" in shown
        assert "600 converged (100.00 %)" in shown

    def test_a_run_that_is_done_does_nothing(self, job: Any, client: Any, out: Place) -> None:
        job(out, client)
        before = {p: stamp(p) for k in range(6) for p in self.files(open_sink(out), k)}
        again = job(out, NOWHERE)
        assert (again.skipped, again.fitted) == (N_PARTITIONS, 0)
        assert {p: stamp(p) for p in before} == before
        assert "as the ledger says" in str(verify_result(out))

    @pytest.mark.parametrize("harm", ["record", "torn record", "lost file", "torn file"])
    def test_only_what_is_missing_is_fitted(
        self, harm: str, job: Any, client: Any, out: Place
    ) -> None:
        job(out, client)
        whole, sink = bits_of(read_result(out)), open_sink(out)
        files = {k: self.files(sink, k) for k in range(N_PARTITIONS)}
        before = {k: [stamp(p) for p in files[k]] for k in files}
        target = sink.record(2) if "record" in harm else files[2][0]
        if harm.startswith("torn"):
            target.write_bytes(target.read_bytes()[:-9])
        else:
            target.unlink()
        assert read_result(out).num_rows == 500
        assert "100 of 600 curves are not here: 1 partition(s) to be fitted" in show_result(out)
        again = job(out, client)
        assert (again.skipped, again.fitted) == (5, 100)
        after = {k: [stamp(p) for p in files[k]] for k in files}
        assert [k for k in files if after[k] != before[k]] == [2]
        assert bits_of(read_result(out)) == whole

    def test_a_part_of_other_bytes_is_found(self, job: Any, client: Any, out: Place) -> None:
        job(out, client)
        file = self.files(open_sink(out), 3)[0]
        held = bytearray(file.read_bytes())
        held[len(held) // 2] ^= 0xFF
        file.write_bytes(held)
        found = verify_result(out)
        assert found.partitions == 5
        assert "has not the bytes that were written" in found.problems[0]

    def test_results_of_a_changed_input_are_taken_back(
        self, job: Any, image: Path, client: Any, out: Place
    ) -> None:
        job(out, client)
        whole = read_result(out).sort_by("curve_id")
        array: Any = zarr.open_array(image, path="y", mode="r+")
        array[:, 10:20, :10] += 1.0
        with pytest.raises(JobMismatchError, match=r"y \[row 10:20, col 0:10\]"):
            job(out, client)
        again = job(out, client, on_changed="refit")
        assert (again.skipped, again.fitted) == (5, 100)
        found = read_result(out).sort_by("curve_id")
        changed = np.zeros((20, 30), dtype=bool)
        changed[10:20, :10] = True
        same = whole["c"].to_numpy() == found["c"].to_numpy()
        assert np.array_equal(same, ~changed.reshape(-1))
        assert job(out, NOWHERE).skipped == 6

    def test_another_job_is_refused(self, job: Any, client: Any, out: Place) -> None:
        job(out, client)
        with pytest.raises(JobMismatchError, match=r"another job. Different: columns p0"):
            job(out, client, p0=[1.0, 2.0, 1.0])
        with pytest.raises(JobMismatchError, match=r"Different: columns layout"):
            job(out, client, columns=Columns(axis="time", sigma="y"))

    def test_a_directory_with_something_else_is_left_alone(
        self, job: Any, client: Any, out: Place
    ) -> None:
        if isinstance(out, Path):
            out.mkdir()
        (out / "mine.parquet").write_bytes(b"")
        with pytest.raises(JobMismatchError, match=r"files of unknown origin \(mine.parquet"):
            job(out, client)
        assert {path.name for path in out.iterdir()} <= {"mine.parquet", "_manyfit"}

    def test_there_is_one_writer(self, job: Any, client: Any, out: Place) -> None:
        with locked(open_sink(out)), pytest.raises(SinkLockedError, match="another run writes to"):
            job(out, client)
        assert job(out, client).fitted == 600

    def test_nothing_can_be_read_before_something_is_committed(self, out: Place) -> None:
        for read in (read_result, result_metadata):
            with pytest.raises(FileNotFoundError, match="holds no results"):
                read(out)

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
    def test_a_run_that_is_killed_goes_on(
        self, how: signal.Signals, image: Path, client: Any, job: Any, out: Place
    ) -> None:
        process = start_run(image, out, TILE_BYTES)
        wait_for(process, "2")
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        process.communicate(timeout=60)
        assert not psutil.wait_procs(children, timeout=60)[1]
        sink = open_sink(out)
        done = [k for k in range(6) if sink.record(k).exists()]
        assert 2 <= len(done) < 6
        self.check_unfinished(out, done)
        before = {p: stamp(p) for k in done for p in self.files(sink, k)}
        run(image, out, TILE_BYTES, cluster=client)
        assert {p: stamp(p) for p in before} == before
        if isinstance(out, Path):
            assert not [p for p in out.rglob("*") if p.suffix in {".tmp", ".partial"}]
        options = FitOptions(engine="reference")
        job(out.parent / f"undisturbed {self.name}", client, options=options)
        undisturbed = read_result(out.parent / f"undisturbed {self.name}")
        assert bits_of(read_result(out)) == bits_of(undisturbed)

    def check_unfinished(self, out: Place, done: list[int]) -> None:
        """Check that what is not committed does not look so."""
        assert read_result(out).num_rows == 100 * len(done)


class TestParquetParts(SinkTests):
    name = "table"
    store = "s3"

    def files(self, sink: Sink, index: int) -> list[Place]:
        return [sink.part(index)]


class TestZarrMaps(SinkTests):
    name = "maps.zarr"
    store = "az"

    def files(self, sink: Sink, index: int) -> list[Place]:
        place = f"{index // 3}/{index % 3}"
        names = [*"abc", *(f"{p}_stderr" for p in "abc"), "status", "flags", "compiled", "nfev"]
        plain = [sink.path / n / "c" / place for n in [*names, "n_points", "cost", "redchi"]]
        return [*plain, sink.path / "cov" / "c" / place / "0" / "0"]

    def check_unfinished(self, out: Place, done: list[int]) -> None:
        super().check_unfinished(out, done)
        root = zarr.open_group(as_store(out), mode="r")
        status, a = (np.asarray(root[n][:]) for n in ("status", "a"))  # type: ignore[index]
        for k in range(6):
            where = np.s_[k // 3 * 10 : k // 3 * 10 + 10, k % 3 * 10 : k % 3 * 10 + 10]
            if k in done:
                assert (status[where] > 0).all()
            assert ((status[where] == -128) | np.isfinite(a[where])).all()

    def test_maps_are_a_dataset_of_xarray(
        self, job: Any, values: Any, client: Any, out: Place
    ) -> None:
        xr = pytest.importorskip("xarray")
        job(out, client)
        maps = xr.open_zarr(as_store(out))
        wanted = fit_curves(lambda x, a, b, c: a * np.exp(-b * x) + c, X, values, p0=[1.0, 1, 1])
        assert dict(maps.sizes) == {"row": 20, "col": 30, "cov_row": 3, "cov_column": 3}
        assert np.array_equal(maps.b.values, wanted.params[:, 1].reshape(20, 30))
        assert np.array_equal(maps.cov.values, wanted.cov.reshape(20, 30, 3, 3))
        assert maps.status.dtype == np.int8
        assert set(maps.coords) == {"row", "dose", "plate"}
        assert maps.row.values.tolist() == [0.5 * i for i in range(20)]
        assert maps.row.attrs["units"] == "mm"
        assert maps.b.sel(row=3.0).isel(col=4).dose == 6 * 30 + 4
        assert maps.plate.values[7] == "plate 7"
        assert maps.cov.attrs["params"] == ["a", "b", "c"]
        assert maps.status.attrs["flag_meanings"].split()[:2] == ["NOT_FITTED", "NOT_SELECTED"]
        assert json.loads(maps.attrs["manyfit"])["model"]["name"] == "decay"

    def test_no_two_partitions_share_a_chunk(self, job: Any, client: Any, out: Place) -> None:
        job(out, client)
        root = zarr.open_group(as_store(out), mode="r")
        sink = open_sink(out)
        chunks = [p for k in range(6) for p in self.files(sink, k)]
        assert len(set(chunks)) == len(chunks) == 6 * 14
        assert all(path.is_file() for path in chunks)
        assert root["a"].chunks == (10, 10)  # type: ignore[union-attr]
        stored = {name for name in names_below(out) if "/c/" in name}
        maps = {name for name in stored if name.split("/")[0] not in {"dose", "row", "plate"}}
        assert maps == {str(p).removeprefix(f"{out}/") for p in chunks}

    def test_a_partition_that_fails_half_way_has_no_status(
        self, job: Any, image: Path, client: Any, out: Place
    ) -> None:
        chunk = image / "y" / "c" / "0" / "0" / "1"
        whole = chunk.read_bytes()
        chunk.write_bytes(whole[:-40])
        summary = job(out, client, partition_bytes=3 * TILE_BYTES)
        assert list(summary.failed) == [0]
        status: Any = zarr.open_array(as_store(out), path="status", mode="r")
        assert (status[:10] == -128).all()
        assert (status[10:] > 0).all()
        chunk.write_bytes(whole)
        again = job(out, client)
        assert (again.skipped, again.fitted) == (1, 300)
        assert (status[:] > 0).all()

    def test_names_of_curves_become_a_map(
        self, image: Path, model: Any, client: Any, out: Place
    ) -> None:
        xr = pytest.importorskip("xarray")
        wells = np.array([[f"{r}/{c}" for c in range(30)] for r in range(20)])
        root = zarr.open_group(image, mode="a")
        text = wells.astype(np.dtypes.StringDType())
        root.create_array("well", data=text, dimension_names=("row", "col"), chunks=(10, 10))
        columns = Columns(curve_id="well")
        fit_dataset(image, model, out, p0=START, cluster=client, columns=columns)
        assert set(read_result(out)["curve_id"].to_pylist()) == set(wells.reshape(-1))
        assert (xr.open_zarr(as_store(out)).curve_id.values == wells).all()

    def test_maps_of_a_single_curve_have_no_dimension(
        self, values: Any, model: Any, client: Any, tmp_path: Path, out: Place
    ) -> None:
        zarr.create_array(tmp_path / "one.zarr", data=values[0])
        fit_dataset(
            tmp_path / "one.zarr", model, out, p0=START, cluster=client, columns=Columns(x=X)
        )
        assert read_result(out).num_rows == 1
        assert zarr.open_array(as_store(out), path="a", mode="r").shape == ()

    def test_a_parameter_may_not_have_the_name_of_a_dimension(
        self, image: Path, client: Any, tmp_path: Path
    ) -> None:
        def decay(x: Any, row: Any, b: Any, dose: Any) -> Any:
            return row * np.exp(-b * x) + dose

        with pytest.raises(ValueError, match=r"array 'row', which is the name of a dimension"):
            fit_dataset(image, decay, tmp_path / "out.zarr", cluster=client)
        assert fit_dataset(image, decay, tmp_path / "out", cluster=client).fitted == 600

    def test_maps_need_arrays(self, layouts: Any, values: Any, model: Any, tmp_path: Path) -> None:
        path = layouts.write("list", values[:9])
        with pytest.raises(DatasetError, match=r"ends in .zarr.* choose a name that does not end"):
            fit_dataset(path, model, tmp_path / "out.zarr", cluster=NOWHERE)

    def test_the_input_is_not_written_to(self, image: Path, model: Any) -> None:
        with pytest.raises(DatasetError, match="holds input"):
            fit_dataset(image, model, image, cluster=NOWHERE)
