"""One execution of a job: what is done, what has failed, what is told on the way."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeAlias

import pyarrow as pa
from distributed import KilledWorker

from ..solver.model import Model
from ..solver.options import FitOptions
from ..solver.status import Status
from .binding import Binding
from .dataset import Dataset
from .ledger import Record, committed, fingerprint, missing, settings_digest
from .packing import packed
from .plan import Partition, Plan
from .sink import Sink
from .summary import Progress, RunSummary
from .task import Task, run_partition
from .window import run_window

Report: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done, checked: all but how it is divided."""

    dataset: Dataset
    binding: Binding
    model: Model
    options: FitOptions
    schema: pa.Schema = field(repr=False)
    sink: Sink
    description: Mapping[str, Any] = field(repr=False)

    @property
    def task(self) -> Task:
        """What the partitions have in common."""
        return Task(
            settings=settings_digest(self.description),
            files=self.dataset.files,
            binding=self.binding,
            model=self.model,
            options=self.options,
            schema=self.schema,
            sink=self.sink,
        )

    def fingerprints(self, plan: Plan) -> dict[int, str]:
        """Return the fingerprint of every partition."""
        settings = settings_digest(self.description)
        return {p.index: fingerprint(settings, self.dataset.files, p) for p in plan.partitions}


class Execution:
    """The state of a run: partitions move from missing to done, or to failed.

    Parameters
    ----------
    work
        What is to be done.
    plan
        How it is divided.
    report
        Called with a `Progress` whenever a partition has moved.
    begun
        When the run began, by `perf_counter`.
    """

    def __init__(self, work: Work, plan: Plan, report: Report | None, begun: float) -> None:
        self.work = work
        self.plan = plan
        self.fingerprints = work.fingerprints(plan)
        self.done = committed(work.sink, plan, self.fingerprints)
        self.failed: dict[int, Record] = {}
        self.skipped = frozenset(self.done)
        self._report = report
        self._begun = begun
        self._counts = sum((Counter(r.counts) for r in self.done.values()), Counter[int]())
        self._tell()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return not missing(self.plan, self.done)

    def run(self, client: Any, retries: int) -> None:
        """Run the partitions that are missing.

        When a worker dies Dask suspects every task that it had, running or in wait. So a partition
        given up for that reason is tried again at the end, with nothing else in flight: only what
        kills a worker by itself has failed.
        """
        payload = packed(self.work.task, self.work.model)
        suspects = []
        todo = missing(self.plan, self.done)
        for partition, outcome in run_window(client, run_partition, payload, todo, retries):
            if isinstance(outcome, KilledWorker):
                suspects.append(partition)
            else:
                self._settle(partition, outcome)
        for suspect in suspects:
            for _, outcome in run_window(client, run_partition, payload, [suspect], retries):
                self._settle(suspect, outcome)

    def summary(self) -> RunSummary:
        """Tell how it ended."""
        lost = sum(record.curves for record in self.failed.values())
        fitted = sum(r.curves for i, r in self.done.items() if i not in self.skipped)
        return RunSummary(
            curves=self.plan.n_curves,
            counts=dict(self._counts + Counter({int(Status.TASK_LOST): lost})),
            partitions=len(self.plan.partitions),
            skipped=len(self.skipped),
            failed={i: str(record.error) for i, record in self.failed.items()},
            fitted=fitted,
            seconds=perf_counter() - self._begun,
        )

    def _settle(self, partition: Partition, outcome: Any) -> None:
        """Take note of how a partition ended."""
        if isinstance(outcome, Record):
            self.done[outcome.index] = outcome
            self._counts.update(outcome.counts)
        else:
            self._fail(partition, outcome)
        self._tell()

    def _fail(self, partition: Partition, reason: BaseException) -> None:
        """Write down that a partition failed, and why; the rest goes on."""
        record = Record(
            fingerprint=self.fingerprints[partition.index],
            index=partition.index,
            curves=partition.curves,
            error=f"{type(reason).__name__}: {reason}",
        )
        record.write(self.work.sink)
        self.failed[partition.index] = record

    def _tell(self) -> None:
        """Report how far it is."""
        if self._report is None:
            return
        plan = self.plan
        self._report(
            Progress(
                curves_done=sum(record.curves for record in self.done.values()),
                curves=plan.n_curves,
                partitions_done=len(self.done),
                partitions=len(plan.partitions),
                failed=len(self.failed),
                counts=dict(self._counts),
                elapsed_s=perf_counter() - self._begun,
            )
        )
