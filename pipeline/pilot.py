"""What a run will take, measured: some curves are fitted in a process of its own, as by a worker.

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
from time import perf_counter

import pyarrow as pa

from .curves import Curves
from .errors import ClusterError
from .files import File
from .ledger import Job
from .packing import packed
from .plan import Partition
from .reading import BATCH_BYTES
from .table import fit_rows
from .task import GROUP_BYTES, Assignment, Task, read_curves, write_part

FEW = 512
"""Curves that are timed; more, as long as it takes no longer than `ENOUGH_S`."""

MANY = 1 << 15
ENOUGH_S = 0.5

MARGIN = 1.5
"""What is lost to holes in memory: workers that had done many partitions held up to half more."""

_MEMORY_S = 2.0
_MOST_BATCHES = 8

_PLACES = 4
"""Partitions, spread over the data, that these are taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What was measured.

    Attributes
    ----------
    n_fits, seconds
        How many curves were timed, and how long they took one thread, reading included.
    base_bytes, peak_bytes
        What a worker has before it gets a task, and at the most.
    """

    n_fits: int
    seconds: float
    base_bytes: int
    peak_bytes: int

    @property
    def fits_per_s(self) -> float:
        """Curves a second and thread."""
        return self.n_fits / max(self.seconds, 1e-9)

    def worker_bytes(self, n_threads: int) -> int:
        """Return the most that a worker of some threads needs."""
        return self.base_bytes + n_threads * (self.peak_bytes - self.base_bytes)


@dataclass(frozen=True, slots=True)
class Trial:
    """What travels to the process: the task, its heaviest partition, and some to be timed."""

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
    payload = packed(Trial(task, assigned(heaviest), places), task.model)
    done = subprocess.run(  # noqa: S603 - this interpreter, and code of ours
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        input=payload,
        capture_output=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        return Pilot(**json.loads(done.stdout.splitlines()[-1]))
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
    peak = base + round(MARGIN * (_peak_of_some(trial) - base))
    n_fits, seconds = _timed(trial.task, trial.places)
    found = Pilot(n_fits=n_fits, seconds=seconds, base_bytes=base, peak_bytes=peak)
    print(json.dumps(asdict(found)))  # noqa: T201 - this is the answer


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


def _timed(task: Task, places: tuple[Assignment, ...]) -> tuple[int, float]:
    """Fit some curves from every place; more, if that is done in no time."""
    wanted = FEW
    while True:
        begun = perf_counter()
        batches = (_first(task, given, wanted // len(places)) for given in places)
        n_fits = sum(len(_fitted(task, curves)) for curves in batches)
        seconds = perf_counter() - begun
        enough = n_fits < wanted // 2  # there are no more
        if seconds > ENOUGH_S / 4 or wanted >= MANY or enough:
            return n_fits, seconds
        wanted *= 4


def _fitted(task: Task, curves: Curves) -> pa.RecordBatch:
    """Fit a batch as a task does."""
    return fit_rows(curves, task.model, task.options, task.schema)


def _first(task: Task, given: Assignment, n_curves: int) -> Curves:
    """Read about so many curves of a partition."""
    partition = given.partition
    rows = sum(s.stop - s.start for s in partition.slices)
    n_rows = max(1, rows * n_curves // partition.curves)
    smaller = replace(partition, n_bytes=BATCH_BYTES * rows // n_rows)  # batches are so many rows
    batch_bytes = max(1, partition.n_bytes * n_curves // partition.curves)
    return next(_filled(read_curves(given.files, smaller, task.binding, batch_bytes)))


def _filled(batches: Iterator[Curves]) -> Iterator[Curves]:
    """Pass over batches without a curve."""
    return (curves for curves in batches if len(curves))


def _peak_bytes() -> int:
    """Return the highest resident size of this process so far."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except OSError:  # no Linux
        import resource  # noqa: PLC0415

        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
