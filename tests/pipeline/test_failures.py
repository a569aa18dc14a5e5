"""What dies takes nothing with it: partitions are tried again, then listed; the rest goes on."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client
from distributed.comm.core import CommClosedError

import manyfit
from manyfit.pipeline.cluster import connected, local_cluster
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import ClusterError
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.task import write_part
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions
from manyfit.solver.status import Status

START = {"a": 1.0, "b": 1.0, "c": 1.0}
AS_IT_IS = FitOptions(engine="reference")
"""The function itself is called by the workers, and not its formula."""


def test_a_worker_that_is_killed_is_not_missed(
    layouts: Any, values: Any, model: Any, bits: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("long", values, rows=500)
    settings: dict[str, Any] = {"p0": START, "partition_bytes": 4_000}
    fit_dataset(path, model, tmp_path / "undisturbed", cluster=client, **settings)
    killed: list[int] = []
    with local_cluster(2) as cluster, Client(cluster, set_as_default=False) as own:  # type: ignore[no-untyped-call]
        pids = list(own.run(os.getpid).values())

        def kill_one(progress: Any) -> None:
            if progress.partitions_done >= 2 and not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        summary = fit_dataset(
            path, model, tmp_path / "out", cluster=own, progress=kill_one, **settings
        )
    assert killed
    assert not summary.failed
    assert summary.curves == summary.fitted == 600
    assert summary.partitions > 15
    assert bits(read_result(tmp_path / "out")) == bits(read_result(tmp_path / "undisturbed"))


@pytest.fixture
def deadly() -> Model:
    """Return a model that kills a worker when it sees a curve with k = 13."""
    here = os.getpid()

    def decay(x: Any, k: Any, a: Any, b: Any, c: Any) -> Any:
        if (np.asarray(k) == 13).any() and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return a * np.exp(-b * x) + c

    return Model.from_function(decay, constants=["k"])


@pytest.mark.parametrize(("n_workers", "retries"), [(2, 1), (1, 0)])
def test_a_partition_that_kills_its_workers_is_listed_and_no_other(
    layouts: Any, values: Any, deadly: Model, tmp_path: Path, n_workers: int, retries: int
) -> None:
    table = layouts.table("list", values[:120])
    table = table.append_column("k", pa.array([13 if i == 70 else 1 for i in range(120)]))
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=30)
    told: list[Any] = []
    summary = fit_dataset(
        tmp_path / "in.parquet",
        deadly,
        tmp_path / "out",
        p0=START,
        n_workers=n_workers,
        retries=retries,
        partition_bytes=4_000,
        progress=told.append,
        options=AS_IT_IS,
    )
    assert list(summary.failed) == [2]
    assert summary.failed[2].startswith("KilledWorker")
    assert summary.counts[Status.TASK_LOST] == 30
    assert sum(summary.counts.values()) == summary.curves == 120
    assert summary.fitted == 90
    assert (told[-1].failed, told[-1].partitions_done) == (1, 3)
    assert "partition 2 failed: KilledWorker" in str(summary)
    ids = read_result(tmp_path / "out").column("curve_id").to_pylist()
    assert ids == [3 * i for i in range(120) if not 60 <= i < 90]


def test_a_file_that_cannot_be_read_is_one_failed_partition(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    for k in range(3):
        layouts.write("list", values[100 * k : 100 * k + 100], name=f"in/{k}.parquet")
    folder, broken = layouts.folder / "in", layouts.folder / "in" / "1.parquet"
    content = broken.read_bytes()
    broken.write_bytes(content[:4] + bytes(1000) + content[1004:])
    settings: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 13_000}
    summary = fit_dataset(folder, model, tmp_path / "out", **settings)
    assert list(summary.failed) == [1]
    assert summary.fitted == 200
    assert summary.counts[Status.TASK_LOST] == 100
    broken.write_bytes(content)
    again = fit_dataset(folder, model, tmp_path / "out", **settings)
    assert (again.skipped, again.fitted, again.failed) == (2, 100, {})
    assert Status.TASK_LOST not in again.counts
    ids = read_result(tmp_path / "out").column("curve_id").to_pylist()
    assert len(ids) == 300


def test_a_file_that_changes_under_way_is_refused_by_its_tasks(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    layouts.write("list", values[:50], name="in/a.parquet")
    layouts.write("list", values[50:100], name="in/b.parquet")
    dataset = open_dataset(layouts.folder / "in")
    layouts.write("list", values[150:200], name="in/b.parquet")
    summary = fit_dataset(
        dataset, model, tmp_path / "out", p0=START, cluster=client, partition_bytes=6_400
    )
    assert list(summary.failed) == [1]
    assert "b.parquet has changed since the data set was opened" in summary.failed[1]


def test_a_model_that_raises_on_some_curves_fails_their_partition(
    layouts: Any, values: Any, client: Any, tmp_path: Path
) -> None:
    def picky(x: Any, k: Any, a: Any, b: Any, c: Any) -> Any:
        if (np.asarray(k) == 13).any():
            raise ZeroDivisionError("thirteen")
        return a * np.exp(-b * x) + c

    table = layouts.table("list", values[:60])
    table = table.append_column("k", pa.array([13 if i == 50 else 1 for i in range(60)]))
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=20)
    model = Model.from_function(picky, constants=["k"])
    summary = fit_dataset(
        tmp_path / "in.parquet",
        model,
        tmp_path / "out",
        p0=START,
        cluster=client,
        partition_bytes=2600,
        options=AS_IT_IS,
    )
    assert summary.failed == {2: "ZeroDivisionError: thirteen"}


def test_no_scheduler_is_said_so(
    layouts: Any, values: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manyfit.pipeline.cluster.CONNECT_TIMEOUT", "1s")
    path = layouts.write("list", values[:9])
    with pytest.raises(ClusterError, match=r"no scheduler answers at 'tcp://127.0.0.1:9'"):
        fit_dataset(path, model, tmp_path / "out", p0=START, cluster="tcp://127.0.0.1:9")


def test_a_script_without_a_main_guard_is_told_what_to_do(
    layouts: Any, values: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:9])
    script = tmp_path / "script.py"
    script.write_text(
        "from manyfit.pipeline.run import fit_dataset\n"
        f"fit_dataset({str(path)!r}, lambda x, a: a * x, {str(tmp_path / 'out')!r}, n_workers=1)\n"
    )
    root = str(Path(str(manyfit.__file__)).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.returncode == 1
    assert "a worker process has run the script that starts it" in done.stderr
    assert "put what starts the fit under `if __name__ ==" in done.stderr.splitlines()[-1]


def test_an_address_is_as_good_as_a_client(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:9])
    address = client.scheduler.address
    summary = fit_dataset(path, model, tmp_path / "out", p0=START, cluster=address)
    assert summary.fitted == 9


def test_a_scheduler_that_goes_away_ends_the_run_and_not_the_job(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values, rows=50)
    settings: dict[str, Any] = {"p0": START, "partition_bytes": 7_000}
    cluster = local_cluster(1)
    own: Any = Client(cluster, set_as_default=False)  # type: ignore[no-untyped-call]

    def close(progress: Any) -> None:
        if progress.partitions_done == 2:
            cluster.close()

    with pytest.raises(ClusterError, match=r"the scheduler is gone.*run the job again"):
        fit_dataset(path, model, tmp_path / "out", cluster=own, progress=close, **settings)
    own.close()
    again = fit_dataset(path, model, tmp_path / "out", cluster=client, **settings)
    assert again.skipped >= 2
    assert not again.failed
    assert read_result(tmp_path / "out").num_rows == 600


def test_a_function_that_cannot_be_pickled_is_said_so(
    layouts: Any, values: Any, client: Any, tmp_path: Path
) -> None:
    with (tmp_path / "open").open("w") as stream:

        def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
            assert not stream.closed
            return a * np.exp(-b * x) + c

        path = layouts.write("list", values[:9])
        with pytest.raises(
            TypeError, match=r"model 'decay' cannot be sent to workers: .*open files"
        ):
            fit_dataset(path, decay, tmp_path / "out", p0=START, cluster=client, options=AS_IT_IS)


def test_a_model_from_a_module_that_workers_do_not_have_travels(
    layouts: Any, values: Any, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_models.py").write_text(
        "import numpy as np\nSCALE = 2.0\n\ndef half(v):\n    return v / SCALE\n\n"
        "def decay(x, a, b, c):\n    return half(2 * a) * np.exp(-b * x) + c\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import my_models  # type: ignore[import-not-found]

    path = layouts.write("list", values[:9])
    for name, options in (("formula", None), ("function", AS_IT_IS)):
        summary = fit_dataset(
            path, my_models.decay, tmp_path / name, p0=START, cluster=client, options=options
        )
        assert summary.fitted == 9
    assert "my_models" not in set().union(*client.run(lambda: set(sys.modules)).values())


def test_workers_use_one_thread(client: Any) -> None:
    def setting() -> list[str | None]:
        return [os.environ.get(n) for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")]

    assert list(client.run(setting).values()) == [["1", "1"]] * 2
    assert set(client.nthreads().values()) == {1}


def test_results_do_not_pile_up_on_the_cluster(
    layouts: Any, values_of: Callable[..., Any], model: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values_of(400), rows=10)
    kept: list[int] = []
    fit_dataset(
        path,
        model,
        tmp_path / "out",
        columns=Columns(),
        p0=START,
        cluster=client,
        partition_bytes=1_280,
        progress=lambda _: kept.append(len(client.futures)),
    )
    assert len(kept) == 41
    assert max(kept) <= 2 * 3 + 1
    assert not client.futures


def test_a_part_with_other_curves_than_planned_is_not_written(
    layouts: Any, values: Any, model: Any, tmp_path: Path
) -> None:
    result = fit_table(layouts.table("list", values[:5]), model, p0=START)
    with pytest.raises(RuntimeError, match=r"part.parquet has 5 curves, but 6 were planned"):
        write_part(tmp_path / "part.parquet", result.to_batches(), result.schema, 6)
    assert list(tmp_path.iterdir()) == []
    written = write_part(tmp_path / "part.parquet", result.to_batches(), result.schema, 5)
    assert written.counts == {1: 5}


def test_who_interrupts_a_call_that_has_not_begun_gets_no_traceback(
    client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(client, None, 0) as own:
        own.loop.add_callback(time.sleep, 1.5)  # the call begins when the interrupt is there
        own.loop.add_callback(int, "news")
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - wherever it comes
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            own.nthreads()
        assert len(own.nthreads()) == 2
    told = [r.exc_text for r in caplog.records if r.name == "tornado.application"]
    assert ["literal for int() with base 10: 'news'" in str(text) for text in told] == [True]


def test_a_scheduler_that_is_closed_while_it_listens_logs_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cut = threading.Event()

    def stop_listening() -> None:
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__qualname__", "").endswith("_handle_comm"):
                task.cancel()
        asyncio.get_running_loop().call_later(0.5, cut.set)

    with connected(None, 1, 0) as own:
        assert own.submit(int, "7").result() == 7
        own.loop.add_callback(stop_listening)
        assert cut.wait(10)
    seen = [r for r in caplog.records if r.exc_info and r.exc_info[0] is asyncio.CancelledError]
    assert seen == []


def test_a_client_that_waits_for_a_worker_that_is_gone_logs_no_traceback(
    client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def gathered() -> None:
        raise CommClosedError("Stream is closed")

    with connected(client, None, 0) as own:
        own.loop.add_callback(gathered)
        own.loop.add_callback(int, "news")
        assert len(own.nthreads()) == 2
    told = [str(r.exc_text) for r in caplog.records if r.name == "tornado.application"]
    assert ["int() with base 10: 'news'" in text for text in told] == [True]
