"""One execution of a job: what is done, what has failed, what is told on the way."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeAlias

import pyarrow as pa
from distributed import KilledWorker

from ..solver.model import Model
from ..solver.options import FitOptions
from ..solver.status import Status
from .binding import Binding
from .cluster import WAITING_THREADS
from .curves import Curves
from .dataset import Dataset
from .ledger import Job, Record
from .objects.stores import is_object_url
from .sink import Sink
from .summary import Progress, RunSummary
from .task import Assignment, Task, run_partition
from .window import run_window

Report: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done, checked: all but how it is divided; and the first curves of it."""

    dataset: Dataset
    binding: Binding
    model: Model
    options: FitOptions
    schema: pa.Schema = field(repr=False)
    sink: Sink
    description: Mapping[str, Any] = field(repr=False)
    first: Curves = field(repr=False)

    @property
    def task(self) -> Task:
        """What the partitions have in common."""
        return Task(
            binding=self.binding,
            model=self.model,
            options=self.options,
            schema=self.schema,
            sink=self.sink,
        )

    @property
    def threads(self) -> int:
        """Threads of a worker process started here: more than one where tasks wait for a store."""
        waits = self.dataset.remote or is_object_url(str(self.sink.path))
        return WAITING_THREADS if waits else 1


class Execution:
    """The state of a run: partitions move from missing to done, or to failed.

    Of those that are done only numbers are kept, so that this does not grow with what was done.

    Parameters
    ----------
    work
        What is to be done.
    job
        How it is divided, and what the ledger calls it.
    report
        Called with a `Progress` whenever a partition has moved.
    begun
        When the run began, by `perf_counter`.
    """

    def __init__(self, work: Work, job: Job, report: Report | None, begun: float) -> None:
        self.work = work
        self.job = job
        self.failed: dict[int, Record] = {}
        self._done = bytearray(len(job.plan.partitions) + len(job.plan.retired))  # by index
        self._counts: Counter[int] = Counter()
        self._curves_done = 0
        for record in job.committed(work.sink):
            self._note(record)
        self.skipped = self._done.count(1)
        self._curves_before = self._curves_done
        self._curves = job.plan.n_curves
        self._report = report
        self._begun = begun
        self._tell()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self._done.count(1) == len(self.job.plan.partitions)

    def run(self, client: Any, payload: bytes, retries: int) -> None:
        """Run the partitions that are missing; `payload` is the task, packed.

        When a worker dies Dask suspects every task that it had, running or in wait. So a partition
        given up for that reason is tried again at the end, with nothing else in flight: only what
        kills a worker by itself has failed.
        """
        suspects = []
        todo = self._assignments()
        for given, outcome in run_window(client, run_partition, payload, todo, retries):
            if isinstance(outcome, KilledWorker):
                suspects.append(given)
            else:
                self._settle(given, outcome)
        for suspect in suspects:
            for _, outcome in run_window(client, run_partition, payload, [suspect], retries):
                self._settle(suspect, outcome)

    def summary(self) -> RunSummary:
        """Tell how it ended."""
        lost = sum(record.curves for record in self.failed.values())
        return RunSummary(
            curves=self._curves,
            counts=dict(self._counts + Counter({int(Status.TASK_LOST): lost})),
            partitions=len(self.job.plan.partitions),
            skipped=self.skipped,
            failed={i: str(record.error) for i, record in self.failed.items()},
            fitted=self._curves_done - self._curves_before,
            seconds=perf_counter() - self._begun,
            kept=tuple(self.job.kept),
        )

    def _assignments(self) -> Iterator[Assignment]:
        """Yield what is missing, one at a time: it is made when a worker is free for it.

        The largest come first, so that at the end no worker has a large one when others have none.
        """
        files = self.work.dataset.files
        for partition in sorted(self.job.plan.partitions, key=lambda p: p.n_bytes, reverse=True):
            if not self._done[partition.index]:
                yield Assignment(
                    partition=partition,
                    fingerprint=self.job.fingerprint(partition),
                    files={s.file: files[s.file] for s in partition.slices},
                )

    def _settle(self, given: Assignment, outcome: Any) -> None:
        """Take note of how a partition ended."""
        if isinstance(outcome, Record):
            self._note(outcome)
        else:
            self._fail(given, outcome)
        self._tell()

    def _note(self, record: Record) -> None:
        """Count a partition as done."""
        self._done[record.index] = 1
        self._curves_done += record.curves
        self._counts.update(record.counts)

    def _fail(self, given: Assignment, reason: BaseException) -> None:
        """Write down that a partition failed, and why; the rest goes on."""
        partition = given.partition
        record = Record(
            fingerprint=given.fingerprint,
            index=partition.index,
            curves=partition.curves,
            error=f"{type(reason).__name__}: {reason}",
        )
        there = record.write(self.work.sink)
        if there.error is None:  # a worker that was thought dead has done it
            self._note(there)
        else:
            self.failed[partition.index] = there

    def _tell(self) -> None:
        """Report how far it is."""
        if self._report is None:
            return
        self._report(
            Progress(
                curves_done=self._curves_done,
                curves=self._curves,
                partitions_done=self._done.count(1),
                partitions=len(self.job.plan.partitions),
                failed=len(self.failed),
                counts=dict(self._counts),
                elapsed_s=perf_counter() - self._begun,
            )
        )
