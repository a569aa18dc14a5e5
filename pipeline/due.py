"""The job as it will be run: that of the ledger, brought up to the input, or a new one."""

from collections.abc import Callable

from .dataset import Dataset
from .errors import JobMismatchError
from .execution import Work
from .ledger import Job
from .plan import Plan, plan_dataset
from .revision import OnChanged, revise
from .sink import Sink


def due_job(
    work: Work,
    on_changed: OnChanged,
    partition_bytes: int | None,
    threads: Callable[[], int],
) -> Job:
    """Return the job that is due, with every row in a partition; nothing is written.

    Parameters
    ----------
    work
        What is to be done.
    on_changed
        See `revision`.
    partition_bytes
        As for `plan_dataset`; what was planned before stays so.
    threads
        Asked for the threads there will be, if something has to be planned.

    Raises
    ------
    JobMismatchError
        When the directory holds the results of another job, or files of unknown origin; when
        files changed or are gone and it is not said what is to be done.
    """
    found = Job.read(work.sink)
    if found is None:
        _check_empty(work.sink)
        new = plan_dataset(work.dataset, n_threads=threads(), partition_bytes=partition_bytes)
        return Job(description=work.description, plan=new)
    revision = revise(
        found,
        work.description,
        _rows(work.dataset),
        on_changed,
        lambda partition: found.record(work.sink, partition) is not None,
        str(work.sink),
    )
    job, again = revision.job, revision.again
    if not again and not _added(work.dataset, job.plan):
        return job
    plan = plan_dataset(
        work.dataset,
        n_threads=threads(),
        partition_bytes=partition_bytes,
        after=job.plan,
        again=again,
    )
    return Job(description=job.description, plan=plan, kept=job.kept)


def _rows(dataset: Dataset) -> dict[str, int]:
    """Return how many rows there are in the blocks of every file."""
    rows = dict.fromkeys((file.name for file in dataset.files), 0)
    for block in dataset.blocks:
        rows[dataset.files[block.file].name] += block.rows
    return rows


def _added(dataset: Dataset, plan: Plan) -> bool:
    """Whether there are files that the plan does not have.

    Raises
    ------
    JobMismatchError
        When they come between the others and curves have no names but their running numbers.
    """
    there = {file for file in plan.files if file < len(dataset.files)}
    added = {block.file for block in dataset.blocks} - there
    if added and there and dataset.layout.numbered and min(added) < max(there):
        raise JobMismatchError(
            f"the new file {dataset.files[min(added)].name} comes before others that are fitted, "
            "and curves are numbered through all files: name the column of the curve id, let new "
            "files come last, or choose another output directory"
        )
    return bool(added)


def _check_empty(sink: Sink) -> None:
    """Refuse a directory with parts that no job explains."""
    strangers = sink.strangers()
    if strangers:
        raise JobMismatchError(
            f"{sink} has files of unknown origin ({', '.join(strangers[:3])} ...): choose "
            "an empty output directory"
        )
