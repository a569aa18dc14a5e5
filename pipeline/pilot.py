"""What a run will take, measured: some curves are fitted in a process of its own, as by a worker.

Time is that of partitions spread over the data (see `timing`); and what a worker takes until its
first curves are fitted, loading code and compiling, counts once.

Memory does not grow with a partition, since rows are read, fitted and written in batches of bounded
size. So the most that a task needs shows in its first batches, those of the partition whose curves
are largest among them; to these comes a row group of results, which is held until it is written.
Nothing of this is a model of what the engine does: it is seen.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, time

from ..solver.allocation import OF_WORKERS
from .errors import ClusterError
from .files import File
from .forkserver import ONE_THREAD
from .ledger import Job
from .packing import packed
from .plan import Partition
from .table import fit_rows
from .task import GROUP_BYTES, Assignment, Task, read_curves, write_part
from .timing import Timing, first_curves, time_partition

MARGIN = 1.5
"""What is lost to holes in memory: workers that had done many partitions held up to half more."""

_MEMORY_S = 2.0
_MOST_BATCHES = 8

_TIMING_S = 5.0
"""With slow models fewer partitions are timed."""

_WARM_UP = 64
"""Curves that are fitted before anything is measured."""

_PLACES = 4
"""Partitions, spread over the data, that these are taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What was measured.

    Attributes
    ----------
    timings
        What partitions take one thread.
    ready_s
        What it took from the start of the process until the first curves were fitted.
    base_bytes, peak_bytes
        What a worker has before it gets a task, and at the most.
    """

    timings: tuple[Timing, ...]
    ready_s: float
    base_bytes: int
    peak_bytes: int

    @property
    def n_fits(self) -> int:
        """Curves that were timed."""
        return sum(timing.n_fits for timing in self.timings)

    @property
    def fits_per_s(self) -> float:
        """Curves a second and thread."""
        return sum(t.curves for t in self.timings) / sum(t.seconds for t in self.timings)

    @property
    def spread(self) -> tuple[float, float]:
        """The slowest and the fastest partition, in curves a second."""
        speeds = [timing.fits_per_s for timing in self.timings]
        return min(speeds), max(speeds)

    @property
    def shares(self) -> dict[str, float]:
        """The shares of reading, fitting and writing in the time."""
        whole = sum(t.seconds for t in self.timings)
        parts = {"reading": "read_s", "fitting": "fit_s", "writing": "write_s"}
        return {
            name: sum(getattr(t, part) for t in self.timings) / whole
            for name, part in parts.items()
        }

    def worker_bytes(self, n_threads: int) -> int:
        """Return the most that a worker of some threads needs."""
        return self.base_bytes + n_threads * (self.peak_bytes - self.base_bytes)


@dataclass(frozen=True, slots=True)
class Trial:
    """What travels to the process: the task, its heaviest partition, and some to be timed.

    `begun` is when the process was started, in seconds of the epoch.
    """

    begun: float
    task: Task
    heaviest: Assignment
    places: tuple[Assignment, ...]


def run_pilot(task: Task, job: Job, left: Sequence[Partition], files: Sequence[File]) -> Pilot:
    """Fit some of the curves that are left, and say what it took.

    Raises
    ------
    ClusterError
        When the process ends without an answer.
    TypeError
        When the model cannot be sent to workers.
    """

    def assigned(partition: Partition) -> Assignment:
        return Assignment(
            partition=partition,
            fingerprint=job.fingerprint(partition),
            files={s.file: files[s.file] for s in partition.slices},
        )

    heaviest = max(left, key=lambda p: (p.n_bytes / p.curves, p.n_bytes))
    step = max(1, len(left) // _PLACES)
    places = tuple(map(assigned, left[step // 2 :: step][:_PLACES]))
    payload = packed(Trial(time(), task, assigned(heaviest), places), task.model)
    done = subprocess.run(  # noqa: S603 - this interpreter, and code of ours
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        input=payload,
        capture_output=True,
        check=False,
        env={**ONE_THREAD, **OF_WORKERS, **os.environ},
    )
    try:
        found = json.loads(done.stdout.splitlines()[-1])
        return Pilot(**{**found, "timings": tuple(Timing(**t) for t in found["timings"])})
    except (IndexError, ValueError, TypeError) as error:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise ClusterError(
            f"the pilot ended with exit code {done.returncode} and no answer: {last}. A worker "
            "would fare no better: give it more memory, or mend the model"
        ) from error


def main() -> None:
    """Read a trial from standard input, and write what it took to standard output."""
    import distributed  # noqa: F401, PLC0415 - a worker has it loaded

    trial = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own, from the process that waits
    base = _peak_bytes()
    task = trial.task
    first = first_curves(task, trial.places[0]).first(_WARM_UP)
    fit_rows(first, task.model, task.options, task.schema)
    ready_s = time() - trial.begun
    peak = base + round(MARGIN * (_peak_of_some(trial) - base))
    timings = tuple(_timed(trial))
    found = Pilot(timings=timings, ready_s=ready_s, base_bytes=base, peak_bytes=peak)
    print(json.dumps(asdict(found)))  # noqa: T201 - this is the answer


def _timed(trial: Trial) -> Iterator[Timing]:
    """Time every place, or as many as there is time for."""
    begun = perf_counter()
    for given in trial.places:
        yield time_partition(trial.task, given)
        if perf_counter() - begun > _TIMING_S:
            return


def _peak_of_some(trial: Trial) -> int:
    """Do the first batches of some partitions, over and over for a while; return the peak."""
    begun, peak, n_batches = perf_counter(), 0, 0
    for given in cycle([trial.heaviest, *trial.places]):
        held, done = _write_some(trial.task, given)
        peak, n_batches = max(peak, _peak_bytes() + held), n_batches + done
        if n_batches >= _MOST_BATCHES or perf_counter() - begun > _MEMORY_S:
            break
    return peak


def _write_some(task: Task, given: Assignment) -> tuple[int, int]:
    """Read, fit and write two batches; return what more a row group would hold, and how many."""
    options = replace(task.options, maxfev=len(task.model.params) + 3)  # one step shows all arrays
    batches = islice(read_curves(given.files, given.partition, task.binding), 2)
    rows = [fit_rows(curves, task.model, options, task.schema) for curves in batches]
    n_curves, n_bytes = sum(map(len, rows)), sum(int(batch.nbytes) for batch in rows)
    with tempfile.TemporaryDirectory() as folder:
        write_part(Path(folder) / "part.parquet", rows, task.schema, n_curves)
    of_all = n_bytes * given.partition.curves // max(n_curves, 1)
    return max(0, min(GROUP_BYTES + n_bytes // len(rows), of_all) - n_bytes), len(rows)


def _peak_bytes() -> int:
    """Return the highest resident size of this process so far."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except OSError:  # no Linux
        import resource  # noqa: PLC0415

        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
