"""Workers are forks of a process that has loaded what they need; where they cannot be, spawned."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from distributed import Client

import manyfit
from manyfit.pipeline import forkserver
from manyfit.pipeline.cluster import connected, local_cluster
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.execution import Work
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import checked_work, fit_dataset
from manyfit.pipeline.table import fit_rows
from manyfit.solver.library import get_model
from manyfit.solver.options import FitOptions

ROOT = str(Path(str(manyfit.__file__)).parents[1])
START = {"a": 1.0, "b": 1.0, "c": 1.0}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are spawned")


def run(script: str, folder: Path, *words: object, **environ: str) -> list[str]:
    """Run a script in a process of its own; return what it has printed."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, str(path), *map(str, words)],
        env={**os.environ, "PYTHONPATH": ROOT, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


FORKS = """
    import os

    import psutil

    from manyfit.pipeline.cluster import connected

    if __name__ == "__main__":
        with connected(None, 2, 0) as client:
            parents = set(client.run(os.getppid).values())
            assert len(parents) == 1
            assert parents != {os.getpid()}
            assert psutil.Process(*parents).num_threads() == 1
        assert psutil.Process(*parents).children() == []
        with connected(None, 1, 0) as client:  # it serves the next run, too
            assert set(client.run(os.getppid).values()) == parents
"""


def test_workers_are_forks_of_one_process_with_one_thread(tmp_path: Path) -> None:
    run(FORKS, tmp_path)


LAYOUTS = """
    import sys
    from pathlib import Path

    from manyfit.pipeline.cluster import connected
    from manyfit.workflows.fit import Request, prepare

    ASKED = {"pandas", "scipy", "zarr", "xarray", "manyfit.pipeline.task"}

    def loaded():
        return sorted(ASKED & {*sys.modules})

    if __name__ == "__main__":
        folder = Path(sys.argv[1])
        shape = {"list": {}, "long": {"curve_id": "curve_id"}, "wide": {"x_values": ("0:4:16",)}}
        with connected(None, 1, 0) as client:
            print(*client.run(loaded).values())
            for layout, more in shape.items():
                job = prepare(Request(
                    data=(str(folder / f"input/{layout}.parquet"),), layout=layout,
                    model="exponential_decay", out=folder / layout,
                    scheduler=client.scheduler.address, **more,
                ))
                assert job.run(lambda progress: None).fitted == 9
            print(*client.run(loaded).values())
        print(loaded())
"""


def test_nobody_loads_pandas(layouts: Any, values: Any, tmp_path: Path, friend: Any) -> None:
    friend("pandas")  # or it could not be loaded
    for layout in layouts.tables:
        layouts.write(layout, values[:9])
    assert run(LAYOUTS, tmp_path, tmp_path) == ["['manyfit.pipeline.task']"] * 3


ENVIRONMENT = """
    import os

    from manyfit.pipeline import forkserver
    from manyfit.pipeline.cluster import connected

    ASKED = ("SECRET", "ADDED", "CHANGED", *forkserver.ITS_OWN, "OMP_NUM_THREADS")

    def there():
        return [os.environ.get(name) for name in ASKED]

    def of_worker():
        with connected(None, 1, 0) as client:
            return next(iter(client.run(there).values()))

    if __name__ == "__main__":
        os.environ.update(SECRET="s", CHANGED="before")
        before = dict(os.environ)
        assert forkserver.start()
        assert os.environ == before
        os.environ.update(CHANGED="after", ADDED="a")
        print(of_worker())
        del os.environ["SECRET"]
        assert not forkserver.start()
        print(of_worker())
"""


def test_workers_have_the_environment_of_now(tmp_path: Path) -> None:
    told = run(ENVIRONMENT, tmp_path)
    own = f"'{ROOT}', None, None, '1'"
    assert told == [f"['s', 'a', 'after', {own}]", f"[None, 'a', 'after', {own}]"]


PATHS = """
    import os
    import sys

    sys.path.insert(0, sys.argv[1])
    os.chdir(sys.argv[2])

    from manyfit.pipeline.cluster import connected

    def where():
        return os.path.dirname(sys.modules["manyfit.pipeline.task"].__file__)

    if __name__ == "__main__":
        with connected(None, 1, 0) as client:
            print(*client.run(where).values())
"""


def test_workers_have_the_modules_of_the_run(tmp_path: Path) -> None:
    shutil.copytree(Path(ROOT) / "manyfit", tmp_path / "other" / "manyfit")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "pyarrow.py").write_text("raise SystemExit('not this one')")
    told = run(PATHS, tmp_path, tmp_path / "other", tmp_path / "here")
    assert told == [str(tmp_path / "other" / "manyfit" / "pipeline")]


def test_where_there_is_no_room_for_its_socket_workers_are_spawned(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    script = """
        from manyfit.pipeline import forkserver
        from manyfit.pipeline.cluster import connected

        if __name__ == "__main__":
            started = forkserver.start()
            with connected(None, 1, 0) as client:
                print(started, *client.run(lambda: "at work").values())
    """
    assert run(script, tmp_path, TMPDIR=str(deep)) == ["False at work"]


PIPED = """
import sys

import manyfit
from manyfit.pipeline import forkserver

if sys.argv[1] == "spawned":
    forkserver.start = lambda: False

def line(x, a, b):
    return a + b * sum(x * 0 + 1) * x

summary = manyfit.fit_dataset(sys.argv[2], line, sys.argv[3], p0=[1, 1], n_workers=1)
print(summary.fitted, __file__)
"""


@pytest.mark.parametrize("way", ["forked", "spawned"])
def test_a_script_may_come_by_standard_input(
    way: str, layouts: Any, values: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:9])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-", way, str(path), str(tmp_path / "out")],
        input=PIPED,
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "9 <stdin>\n")


INTERRUPTED = """
    import os
    import signal

    import psutil

    from manyfit.pipeline import forkserver
    from manyfit.pipeline.cluster import connected

    if __name__ == "__main__":
        assert forkserver.start()
        started = {child.pid for child in psutil.Process().children()}
        for pid in started:
            os.kill(pid, signal.SIGINT)
        with connected(None, 1, 0) as client:
            print({*client.run(os.getppid).values()} <= started)
"""


def test_interrupts_are_left_to_the_run_from_the_first_moment(tmp_path: Path) -> None:
    assert run(INTERRUPTED, tmp_path) == ["True"]


def test_a_run_survives_the_process_that_its_workers_are_forks_of(
    layouts: Any, values: Any, model: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values, rows=50)
    killed: list[int] = []
    with local_cluster(2) as cluster, Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        parent = next(iter(client.run(os.getppid).values()))

        def kill_it(progress: Any) -> None:
            if progress.partitions_done >= 2 and not killed:
                killed.append(parent)
                os.kill(parent, signal.SIGKILL)

        settings: dict[str, Any] = {"p0": START, "partition_bytes": 7_000}
        summary = fit_dataset(
            path, model, tmp_path / "out", cluster=client, progress=kill_it, **settings
        )
    assert killed
    assert (summary.fitted, summary.failed) == (600, {})
    assert read_result(tmp_path / "out").num_rows == 600
    assert forkserver.start()  # another
    with connected(None, 1, 0) as client:
        assert set(client.run(os.getppid).values()) not in ({parent}, {os.getpid()})


def new_pages(work: Work) -> int:
    """Fit a batch over and over; return the least that one but the first got from the system."""
    pages = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        fit_rows(work.first, work.model, work.options, work.schema)
        pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(pages[1:])  # other threads of the worker have pages, too


@pytest.mark.parametrize("forked", [True, False])
def test_workers_keep_the_memory_of_a_batch_for_the_next(
    forked: bool, monkeypatch: pytest.MonkeyPatch, layouts: Any, values: Any, tmp_path: Path
) -> None:
    dataset = open_dataset(layouts.write("list", values))
    model = get_model("exponential_decay")
    work = checked_work(dataset, model, FitOptions(), None, tmp_path / "out")
    y = np.tile(values, (20, 1))
    many = replace(work.first, ids=pa.array(np.arange(len(y))), y=y)
    if not forked:
        monkeypatch.setattr("manyfit.pipeline.forkserver.start", lambda: False)
    with connected(None, 1, 0) as client:
        pages = client.submit(new_pages, replace(work, first=many)).result()
    assert pages * os.sysconf("SC_PAGESIZE") < 8 * len(y)  # a column of the result has more
