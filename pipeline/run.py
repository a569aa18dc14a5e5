"""fit_dataset: every curve of a data set, on a cluster, into a directory of Parquet parts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from time import perf_counter
from typing import Any

from ..solver.model import Model
from ..solver.options import FitOptions
from . import forkserver
from .arrays.sink import MapSink, sink_of
from .binding import Binding, StartValues
from .cluster import Cluster, connected, refuse_child, threads_to_come
from .columns import Columns
from .curves import Curves
from .dataset import Dataset, open_dataset
from .due import due_job
from .errors import DatasetError
from .execution import Execution, Report, Work
from .files import Paths
from .identity import bounds_of, describe_job, digest, plain
from .ledger import Job
from .lock import locked
from .machine_code import compiled_ahead
from .packing import packed
from .places import AnyPlace, Place, is_place, lies_in, place_of
from .plan import Partition, Slice
from .revision import ON_CHANGED, OnChanged
from .schema import describe, describe_model, result_schema
from .summary import RunSummary
from .table import fit_rows, rehearse
from .task import read_curves

_PROBED_ROWS = 1 << 10
_PROBED_BLOCKS = 8


def fit_dataset(
    dataset: Paths | Dataset,
    model: Model | Callable[..., Any],
    sink: AnyPlace,
    *,
    columns: Columns | None = None,
    options: FitOptions | None = None,
    p0: StartValues | None = None,
    cluster: Cluster = None,
    n_workers: int | None = None,
    progress: Report | None = None,
    partition_bytes: int | None = None,
    retries: int = 2,
    on_changed: OnChanged = None,
) -> RunSummary:
    """Fit a model to every curve of a data set and write a table with one row a curve.

    The output directory holds the state of the job: called again, the same job goes on where it
    was left, and does nothing when all is done. Files that were added to the input are fitted and
    their rows follow the others, and so is what was appended to Zarr arrays along their first map
    dimension; files that changed or are gone are refused, unless `on_changed` says what to do.
    Everything that can be wrong with the input, the model or the options is found before a worker
    starts.

    Parameters
    ----------
    dataset
        Parquet files, folders or globs, or a Zarr group, as paths or URLs (see `places`); or a
        `Dataset` from `open_dataset`.
    model
        A `Model`, or a NumPy function ``f(x, a, b, ...)``.
    sink
        The output directory, made if it is not there; or the URL of one.
    columns
        Which column is what, when `dataset` is a path; default: see `Columns`.
    options
        How to fit; default: ``FitOptions()``.
    p0
        Start values shared by all curves, (n_params,) or ``{param: value}``; start values of
        single curves are columns. Default: see `Columns`, else the model's own.
    cluster
        None: worker processes on this machine. A scheduler's address, or a
        ``distributed.Client``: its workers must see the same paths, and where URLs are given have
        the same credentials, in their environment or their files.
    n_workers
        How many worker processes to start here; default: one a core. They have two threads each
        where input or output is in an object store, which tasks wait for, else one.
    progress
        Called with a `Progress` at the beginning and after each partition.
    partition_bytes
        Values a partition, in bytes of float64; default: see `plan_dataset`. What is planned
        once stays so when a job is taken up again.
    retries
        How often a partition that fails, or kills its worker, is tried again.
    on_changed
        What to do when files of the input changed or are gone since they were fitted: "refit" fits
        the changed ones again and drops the curves of those gone; "keep" leaves their results as
        they are. Where curves are numbered, those that follow are fitted again with "refit".

    Returns
    -------
    RunSummary. Partitions that failed are listed in it; they do not stop the others.

    Raises
    ------
    DatasetError
        When the input cannot be read as curves of the model.
    JobMismatchError
        When the output directory holds the results of another job, or of files that changed.
    SinkLockedError
        When another run is writing there.
    ClusterError
        When there are no workers, or the scheduler is lost on the way.
    ValueError
        When options or p0 do not suit the model.
    """
    refuse_child()
    begun = perf_counter()
    if cluster is None:
        forkserver.start()  # it loads what workers need while the data are looked at
    if retries < 0:
        raise ValueError(f"retries must be >= 0, got {retries}")
    if on_changed not in {None, *ON_CHANGED}:
        raise ValueError(f"on_changed must be one of {ON_CHANGED} or None, got {on_changed!r}")
    work = checked_work(
        _opened(dataset, columns), model, options or FitOptions(), p0, place_of(sink)
    )
    with locked(work.sink):
        job = due_job(
            work, on_changed, partition_bytes, lambda: threads_to_come(cluster, n_workers)
        )
        if job != Job.read(work.sink):
            job.write(work.sink)
        for index in job.plan.retired:
            work.sink.discard(index)
        _prepare(work)
        execution = Execution(work, job, progress, begun)
        if not execution.finished:
            payload = packed(work.task, work.model)
            with (
                compiled_ahead(work) if cluster is None else nullcontext() as code,
                connected(cluster, n_workers, retries, work.threads) as client,
            ):
                if code is not None:
                    client.register_plugin(code())
                execution.run(client, payload, retries)
        return execution.summary()


def _opened(dataset: Paths | Dataset, columns: Columns | None) -> Dataset:
    """Open paths; take a data set as it is."""
    if not isinstance(dataset, Dataset):
        return open_dataset(dataset, columns)
    if columns is not None:
        raise ValueError("columns belong to open_dataset when a Dataset is given: leave them out")
    return dataset


def checked_work(
    dataset: Dataset,
    model: Model | Callable[..., Any],
    options: FitOptions,
    p0: StartValues | None,
    sink: Place,
) -> Work:
    """Check all that can be checked without a worker, and say what is to be done."""
    if not isinstance(model, Model):
        model = Model.from_function(model)
    _check_suits(dataset, options, sink)
    binding = dataset.bind(model, options, p0)
    with _first_try():
        first = _first_curves(dataset, binding)
        formula, fitting = rehearse(first, model, options)
    description = describe_job(dataset.files, binding, model, options, formula.graph)
    about = describe(
        plain(describe_model(formula, bounds_of(model, options))),
        description["options"],
        {"files": len(dataset.files), "digest": digest(description["input"])},
    )
    grid = binding.layout.grid
    dims = () if grid is None else grid.map_dims
    work = Work(
        dataset=dataset,
        binding=binding,
        model=formula,
        options=fitting,
        schema=result_schema(
            model.params,
            dataset.layout.id_type,
            about,
            derived=tuple(model.derived),
            dims=dims,
            keep=binding.keep,
        ),
        sink=sink_of(sink),
        description=description,
        first=first,
    )
    _check_maps(work)
    with _first_try():
        once = replace(fitting, engine="reference", nan_policy="omit", maxfev=1)
        fit_rows(first, formula, once, work.schema)
    return work


def _check_suits(dataset: Dataset, options: FitOptions, sink: Place) -> None:
    """Refuse what makes no sense for a data set."""
    if options.nan_policy == "raise":
        raise ValueError(
            "nan_policy='raise' would lose all curves of a partition for one: 'propagate' gives "
            "curves with values that are not finite the status NONFINITE_DATA, 'omit' fits the rest"
        )
    paths = [file.path for file in dataset.files if is_place(file.path)]
    inside = [path for path in paths if lies_in(place_of(path), sink)]
    if inside:
        raise DatasetError(
            f"the output directory {sink} holds input: {inside[0]}. Choose an output directory "
            "outside of the input"
        )


def _check_maps(work: Work) -> None:
    """Refuse maps of rows, and of arrays whose names would be in the way."""
    if not isinstance(work.sink, MapSink):
        return
    if work.binding.layout.grid is None:
        raise DatasetError(
            f"the output directory {work.sink} ends in .zarr, which asks for Zarr maps; these take "
            f"their dimensions from Zarr input, but the data are Parquet ({work.dataset.layout}): "
            "choose a name that does not end so, and get Parquet"
        )
    from .arrays.maps import check_maps  # noqa: PLC0415 - loads zarr

    check_maps(work.schema, work.binding, work.dataset.files[0].path)


def _prepare(work: Work) -> None:
    """Make what tasks expect to be there."""
    if isinstance(work.sink, MapSink):
        from .arrays.maps import prepare_maps  # noqa: PLC0415 - loads zarr

        source = work.dataset.files[0].path
        empty = set(range(len(work.dataset.files))) - {b.file for b in work.dataset.blocks}
        prepare_maps(work.sink, work.schema, work.binding, source, empty=empty)


@contextmanager
def _first_try() -> Iterator[None]:
    """Fit the first curves here, so that what is wrong with the model is found at once."""
    try:
        yield
    except Exception as error:
        error.add_note("while the first curves were tried, before any worker was started")
        raise


def _first_curves(dataset: Dataset, binding: Binding) -> Curves:
    """Read the first curves there are; those that cannot be read are left to their partitions."""
    tried = dataset.blocks[:_PROBED_BLOCKS]
    for first in tried:
        n_rows = min(first.rows, _PROBED_ROWS)
        rows = Slice(first.file, first.row, first.row + n_rows)
        n_bytes = first.n_bytes * n_rows // first.rows
        partition = Partition(index=0, slices=(rows,), first_curve=0, curves=0, n_bytes=n_bytes)
        files = {first.file: dataset.files[first.file]}
        most = first.n_bytes * _PROBED_ROWS // max(first.curves, 1)
        try:
            return next(read_curves(files, partition, binding, most))
        except OSError:
            if first is tried[-1]:
                raise
    raise AssertionError("a data set has blocks")
