"""What a run would do, and what it would take: said before it is begun."""

from collections.abc import Sequence

from ..pipeline.cluster import default_workers, threads_to_come, worker_limits
from ..pipeline.due import due_job
from ..pipeline.execution import Work
from ..pipeline.ledger import Job
from ..pipeline.pilot import Pilot, run_pilot
from ..pipeline.places import place_of
from ..pipeline.plan import Partition
from ..pipeline.run import checked_work
from .exits import JobError
from .fit import FitJob, early
from .progress import duration

Limits = Sequence[tuple[int | None, int]]
"""Memory and threads of every worker."""


def describe_plan(given: FitJob) -> str:
    """Plan a job, fit some of its curves, and say what is to be done and what it takes.

    Raises
    ------
    ValueError
        When the job cannot be run into its output directory, or a worker needs more memory than it
        may have.
    ClusterError
        When the scheduler cannot be reached, or the pilot dies.
    """
    try:
        work = checked_work(
            given.dataset, given.model, given.options, given.p0, place_of(given.out)
        )
    except Exception as error:
        raise JobError(early(error)) from error
    job = due_job(
        work,
        given.on_changed,
        given.partition_bytes,
        lambda: threads_to_come(given.cluster, given.n_workers),
    )
    done = {record.index for record in job.committed(work.sink)}
    left = [p for p in job.plan.partitions if p.index not in done]
    lines = [*_inputs(given, work), f"plan       {job.plan}", *_state(job, left)]
    if left:
        limits = worker_limits(given.cluster, given.n_workers, work.threads)
        pilot = run_pilot(work.task, job, left, work.dataset.files)
        lines += [memory_line(pilot, limits), time_lines(pilot, limits, left, local=_local(given))]
    lines.append(f"results    {given.out}")
    return "\n".join(dict.fromkeys(line for text in lines for line in text.splitlines()))


def memory_line(pilot: Pilot, limits: Limits) -> str:
    """Say what memory a worker needs.

    Raises
    ------
    ValueError
        When it is more than one has.
    """
    needs = [(pilot.worker_bytes(threads), limit) for limit, threads in limits]
    need, limit = max(needs, key=lambda pair: pair[0] / (pair[1] or float("inf")))
    if limit is not None and need > limit:
        raise ValueError(
            f"a worker would need {_megabytes(need)} of memory at its peak, but may have "
            f"{_megabytes(limit)}: start fewer workers (--workers), or with fewer threads each, or "
            "give them more memory; where chunks of Zarr are large or cut curves, choose smaller "
            "partitions (--partition-size)"
        )
    may = f"of {_megabytes(limit)} that it may have" if limit else "without a limit"
    return f"memory     {_megabytes(need)} a worker at its peak, {may}"


def time_lines(pilot: Pilot, limits: Limits, left: Sequence[Partition], *, local: bool) -> str:
    """Say how long it will take, and what that is made of."""
    threads, cores = sum(n for _, n in limits), default_workers()
    at_once = min(threads, len(left), _at_work(pilot, limits) if local else threads)
    ready_s = pilot.ready_s * max(1.0, len(limits) / cores) if local else pilot.ready_s
    curves = sum(p.curves for p in left) / max(at_once, 1)
    slow, fast = pilot.spread
    expected, least, most = (
        duration(ready_s + curves / speed) for speed in (pilot.fits_per_s, fast, slow)
    )
    between = f" ({least} .. {most})" if least != most else ""
    shares = ", ".join(f"{what} {100 * share:.0f} %" for what, share in pilot.shares.items())
    return (
        f"time       about {expected}{between}, of which {duration(ready_s)} are for starting and "
        "compiling\n"
        f"speed      {pilot.fits_per_s:,.0f} fits/s a thread ({slow:,.0f} .. {fast:,.0f} in "
        f"{len(pilot.timings)} place(s)): {shares}; seen on {pilot.n_fits:,} curves, {at_once} at "
        "work"
    )


def _at_work(pilot: Pilot, limits: Limits) -> int:
    """Return how many threads the cores of this machine keep at work.

    As many as there are cores, unless workers have more threads than one: these wait while they
    read and write, and take a core while they fit.
    """
    if max(threads for _, threads in limits) == 1:
        return default_workers()
    return int(default_workers() / pilot.shares["fitting"])


def _inputs(given: FitJob, work: Work) -> list[str]:
    """Say what is fitted, and who does it."""
    model, workers = given.model, given.n_workers or default_workers()
    formula = f": {model.expression}" if model.expression else ""
    return [
        f"data       {given.dataset}",
        str(work.binding),
        f"model      {model.name}{formula}; params {', '.join(model.params)}",
        *(f"derived    {name} = {text}" for name, text in model.derived.items()),
        f"workers    {given.cluster or f'{workers} process(es) on this machine'}",
    ]


def _state(job: Job, left: Sequence[Partition]) -> list[str]:
    """Say how far the job is."""
    done = len(job.plan.partitions) - len(left)
    curves = sum(p.curves for p in left)
    lines = [f"done       {done:,} partition(s); {curves:,} curves are left"] if done else []
    lines += [f"removed    {len(job.plan.retired):,} partition(s)"] if job.plan.retired else []
    return [*lines, *(f"kept       {name}: results of the file as it was" for name in job.kept)]


def _local(given: FitJob) -> bool:
    """Whether the workers share the cores of this machine."""
    return given.cluster is None


def _megabytes(n_bytes: int) -> str:
    """Write a size."""
    return f"{n_bytes / 1e6:,.0f} MB"
