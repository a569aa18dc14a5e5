"""fit_dataset: every curve of a data set, on a cluster, into a directory of Parquet parts."""

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Any

from ..solver.model import Model
from ..solver.options import FitOptions
from .binding import StartValues
from .cluster import Cluster, connected, refuse_child, threads_to_come
from .columns import Columns
from .dataset import Dataset, open_dataset
from .errors import DatasetError, JobMismatchError
from .execution import Execution, Report, Work
from .files import Paths
from .identity import bounds_of, describe_job, digest, plain
from .ledger import recorded_plan, write_job
from .plan import Partition, Plan, Slice, plan_dataset
from .reading import read_rows
from .schema import describe, describe_model, result_schema
from .sink import Sink
from .summary import RunSummary
from .table import fit_rows
from .task import as_curves

_PROBED_ROWS = 1 << 10


def fit_dataset(
    dataset: Paths | Dataset,
    model: Model | Callable[..., Any],
    sink: str | PathLike[str],
    *,
    columns: Columns | None = None,
    options: FitOptions | None = None,
    p0: StartValues | None = None,
    cluster: Cluster = None,
    n_workers: int | None = None,
    progress: Report | None = None,
    partition_bytes: int | None = None,
    retries: int = 2,
) -> RunSummary:
    """Fit a model to every curve of a data set and write a table with one row a curve.

    The output directory holds the state of the job: called again, the same job goes on where it
    was left, and does nothing when all is done. Files that were added to the input are fitted and
    their rows follow the others; an input that changed otherwise is refused. Everything that can
    be wrong with the input, the model or the options is found before a worker starts.

    Parameters
    ----------
    dataset
        Parquet files, folders or globs, or a `Dataset` from `open_dataset`.
    model
        A `Model`, or a NumPy function ``f(x, a, b, ...)``.
    sink
        The output directory; made if it is not there.
    columns
        Which column is what, when `dataset` is a path; default: see `Columns`.
    options
        How to fit; default: ``FitOptions()``.
    p0
        Start values shared by all curves, (n_params,) or ``{param: value}``; start values of
        single curves are columns. Default: see `Columns`, else the model's own.
    cluster
        None: worker processes on this machine. A scheduler's address, or a
        ``distributed.Client``: its workers must see the same paths.
    n_workers
        How many worker processes to start here; default: one a core.
    progress
        Called with a `Progress` at the beginning and after each partition.
    partition_bytes
        Values a partition, in bytes of float64; default: see `plan_dataset`. What is planned
        once stays so when a job is taken up again.
    retries
        How often a partition that fails, or kills its worker, is tried again.

    Returns
    -------
    RunSummary. Partitions that failed are listed in it; they do not stop the others.

    Raises
    ------
    DatasetError
        When the input cannot be read as curves of the model.
    JobMismatchError
        When the output directory holds the results of another job.
    SinkLockedError
        When another run is writing there.
    ClusterError
        When there are no workers, or the scheduler is lost on the way.
    ValueError
        When options or p0 do not suit the model.
    """
    refuse_child()
    begun = perf_counter()
    if retries < 0:
        raise ValueError(f"retries must be >= 0, got {retries}")
    work = _work(
        _opened(dataset, columns), model, options or FitOptions(), p0, Path(sink).absolute()
    )
    with work.sink.locked():
        plan = recorded_plan(work.sink, work.description)
        if plan is None or _added(work.dataset, plan):
            threads = threads_to_come(cluster, n_workers)
            plan = plan_dataset(
                work.dataset, n_threads=threads, partition_bytes=partition_bytes, after=plan
            )
            write_job(work.sink, work.description, plan)
        execution = Execution(work, plan, progress, begun)
        if not execution.finished:
            with connected(cluster, n_workers, retries) as client:
                execution.run(client, retries)
        return execution.summary()


def _added(dataset: Dataset, plan: Plan) -> bool:
    """Whether there are files that the plan does not have.

    Raises
    ------
    JobMismatchError
        When they come between the others and curves have no names but their running numbers.
    """
    added = {block.file for block in dataset.blocks} - plan.files
    if added and dataset.layout.curve_id is None and min(added) < max(plan.files):
        raise JobMismatchError(
            f"the new file {dataset.files[min(added)].name} comes before others that are fitted, "
            "and curves are numbered through all files: name the column of the curve id, let new "
            "files come last, or choose another output directory"
        )
    return bool(added)


def _opened(dataset: Paths | Dataset, columns: Columns | None) -> Dataset:
    """Open paths; take a data set as it is."""
    if not isinstance(dataset, Dataset):
        return open_dataset(dataset, columns)
    if columns is not None:
        raise ValueError("columns belong to open_dataset when a Dataset is given: leave them out")
    return dataset


def _work(
    dataset: Dataset,
    model: Model | Callable[..., Any],
    options: FitOptions,
    p0: StartValues | None,
    sink: Path,
) -> Work:
    """Check all that can be checked without a worker, and say what is to be done."""
    if not isinstance(model, Model):
        model = Model.from_function(model)
    _check_suits(dataset, options, sink)
    binding = dataset.bind(model, options, p0)
    description = describe_job(dataset.files, binding, model, options)
    about = describe(
        plain(describe_model(model, bounds_of(model, options))),
        description["options"],
        {"files": len(dataset.files), "digest": digest(description["input"])},
    )
    work = Work(
        dataset=dataset,
        binding=binding,
        model=model,
        options=options,
        schema=result_schema(model.params, dataset.layout.id_type, about),
        sink=Sink(sink),
        description=description,
    )
    _probe(work)
    return work


def _check_suits(dataset: Dataset, options: FitOptions, sink: Path) -> None:
    """Refuse what makes no sense for a data set."""
    if options.nan_policy == "raise":
        raise ValueError(
            "nan_policy='raise' would lose all curves of a partition for one: 'propagate' gives "
            "curves with values that are not finite the status NONFINITE_DATA, 'omit' fits the rest"
        )
    inside = [file.path for file in dataset.files if Path(file.path).is_relative_to(sink)]
    if inside:
        raise DatasetError(
            f"the output directory {sink} holds input: {inside[0]}. Choose an output directory "
            "outside of the input"
        )


def _probe(work: Work) -> None:
    """Fit the first curves here, so that what is wrong with the model is found at once."""
    first = work.dataset.blocks[0]
    n_rows = min(first.rows, _PROBED_ROWS)
    rows = Slice(first.file, first.row, first.row + n_rows)
    n_bytes = first.n_bytes * n_rows // first.rows
    partition = Partition(index=0, slices=(rows,), first_curve=0, curves=0, n_bytes=n_bytes)
    options = replace(work.options, engine="reference", nan_policy="omit", maxfev=1)
    try:
        batches = read_rows(work.dataset.files, partition, work.binding.columns)
        fit_rows(next(as_curves(batches, work.binding, 0)), work.model, options, work.schema)
    except Exception as error:
        error.add_note("while the first curves were tried, before any worker was started")
        raise
