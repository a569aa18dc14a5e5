"""One run of a fit: what was asked for is read and checked, then done with progress.

    Request -> FitJob -> a plan (see `plan`), or a run and its summary

`prepare` opens the data and binds them to the model, so that whatever is wrong with either is found
before a worker starts.
"""

import re
import shlex
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..pipeline.columns import Columns
from ..pipeline.dataset import Dataset, open_dataset
from ..pipeline.errors import ClusterError, SinkLockedError
from ..pipeline.places import AnyPlace, is_place, lies_in, place_of
from ..pipeline.revision import OnChanged
from ..pipeline.run import fit_dataset
from ..pipeline.summary import Progress, RunSummary
from ..solver.model import Model
from ..solver.options import TOLERANCE, Engine, FitOptions, NanPolicy
from ..solver.status import Status
from . import specs
from .exits import Exit, JobError
from .first_curves import check_lengths
from .models import resolve_model, with_expressions
from .progress import Report, duration
from .simulate.recipe import METADATA_KEY

_NAMED = re.compile(r"^\s*[A-Za-z_]\w*\s*=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of ``manyfit fit``, as they were given; each as its help says."""

    data: tuple[str, ...]
    model: str
    out: AnyPlace
    x: tuple[str, ...] = ()
    x_values: tuple[str, ...] = ()
    y: str | None = None
    axis: tuple[str, ...] = ()
    sigma: str | None = None
    mask: str | None = None
    absolute_sigma: bool = False
    curve_id: str | None = None
    layout: str | None = None
    p0: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    tie: tuple[str, ...] = ()
    derive: tuple[str, ...] = ()
    where: str | None = None
    keep: tuple[str, ...] = ()
    nan_policy: NanPolicy = "omit"
    ftol: float = TOLERANCE
    xtol: float = TOLERANCE
    gtol: float = 0.0
    maxfev: int = 0
    engine: Engine = "auto"
    workers: int | None = None
    scheduler: str | None = None
    partition_size: str | None = None
    retries: int = 2
    on_changed: OnChanged = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitJob:
    """A request that has been read and checked: all that `fit_dataset` needs."""

    data: tuple[str, ...]
    dataset: Dataset
    model: Model
    options: FitOptions
    p0: Any
    out: AnyPlace
    cluster: str | None
    n_workers: int | None
    partition_bytes: int | None
    retries: int
    on_changed: OnChanged

    def run(self, progress: Report) -> RunSummary:
        """Fit every curve that is not fitted yet.

        Raises
        ------
        JobError
            When it is found, before any task has run, that the job cannot be done.
        ClusterError, SinkLockedError
            As `fit_dataset`.
        """
        reports = 0

        def report(now: Progress) -> None:
            nonlocal reports
            reports += 1
            progress(now)

        try:
            return self._fit(report)
        except (ClusterError, SinkLockedError):
            raise
        except Exception as error:
            if reports > 1:  # the first comes before the first task
                raise
            raise JobError(early(error)) from error

    def _fit(self, progress: Report) -> RunSummary:
        """Call the pipeline."""
        return fit_dataset(
            self.dataset,
            self.model,
            self.out,
            options=self.options,
            p0=self.p0,
            cluster=self.cluster,
            n_workers=self.n_workers,
            progress=progress,
            partition_bytes=self.partition_bytes,
            retries=self.retries,
            on_changed=self.on_changed,
        )


def prepare(request: Request) -> FitJob:
    """Read a request, open its data, and check all that needs no worker.

    Raises
    ------
    ValueError
        When an option cannot be read, the data are no curves, or data, model and options do not
        go together.
    """
    partition_bytes = _check_run(request)
    _check_out(request)
    p0, start_columns = start_of(request.p0)
    columns = columns_of(request, start_columns)
    predictors = list(columns.x) if isinstance(columns.x, Mapping) else []
    model = resolve_model(request.model, predictors=predictors, constants=list(columns.constants))
    model = with_expressions(model, request.tie, request.derive)
    options = options_of(request, model)
    dataset = open_dataset(list(request.data), columns)
    _check_layout(dataset, request.layout)
    check_lengths(dataset, dataset.bind(model, options, p0))
    return FitJob(
        data=request.data,
        dataset=dataset,
        model=model,
        options=options,
        p0=p0,
        out=request.out,
        cluster=request.scheduler,
        n_workers=request.workers,
        partition_bytes=partition_bytes,
        retries=request.retries,
        on_changed=request.on_changed,
    )


def early(error: Exception) -> str:
    """Say what went wrong before a run had begun: a message of ours, or an error in the model."""
    if isinstance(error, ValueError | OSError) and str(error):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    notes = "".join(f", {note}" for note in getattr(error, "__notes__", []))
    return f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno}{notes})"


def columns_of(request: Request, start_columns: Mapping[str, str]) -> Columns:
    """Say which column is what.

    Raises
    ------
    ValueError
        When the notation of an option cannot be read.
    """
    constants = specs.columns_by_name(request.constant, "--constant")
    return Columns(
        y=request.y or ("y_*" if request.layout == "wide" else "y"),
        x=x_of(request.x, request.x_values),
        sigma=None if request.sigma is None else specs.number_or_text(request.sigma),
        curve_id=request.curve_id,
        p0=start_columns,
        constants={name: specs.number_or_text(text) for name, text in constants.items()},
        keep=specs.names(request.keep),
        where=request.where,
        axis=[name.strip() for text in request.axis for name in text.split(",")],
        mask=request.mask,
    )


def x_of(columns: Sequence[str], values: Sequence[str]) -> Any:
    """Say where x comes from: one column or grid, or a mapping of predictor to such.

    Raises
    ------
    ValueError
        When x is given twice, or several are given without their predictors' names.
    """
    given = [*columns, *values]
    if not given:
        return None
    if not all(_NAMED.match(text) for text in given):
        if len(given) > 1:
            raise ValueError(
                f"x is given {len(given)} times ({', '.join(given)}): give --x or --x-values once, "
                "or name=column and name=numbers for each predictor of the model"
            )
        return specs.grid(values[0], "--x-values") if values else columns[0]
    named: dict[str, Any] = specs.columns_by_name(columns, "--x")
    for text in values:
        name, _, numbers = (part.strip() for part in text.partition("="))
        if name in named:
            raise ValueError(f"x of {name!r} is given twice: once is enough")
        named[name] = specs.grid(numbers, f"--x-values {name}")
    return named


def start_of(texts: Sequence[str]) -> tuple[Any, dict[str, str]]:
    """Read start values: numbers by name, numbers in the model's order, or columns.

    Returns
    -------
    What `fit_dataset` takes as p0, and columns by parameter.

    Raises
    ------
    ValueError
        When the notation cannot be read.
    """
    if texts and not any("=" in text for text in texts):
        return specs.numbers(texts, "--p0"), {}
    values, columns = specs.values_or_columns(texts, "--p0")
    return values or None, columns


def options_of(request: Request, model: Model) -> FitOptions:
    """Say how to fit; bounds that are not given are the model's own.

    Raises
    ------
    ValueError
        When a value is outside its range.
    """
    bounds = specs.ranges_by_name(request.bounds, "--bounds")
    return FitOptions(
        absolute_sigma=request.absolute_sigma,
        bounds={**model.bounds, **bounds} if bounds else None,
        fixed=specs.values_or_names(request.fixed, "--fixed"),
        nan_policy=request.nan_policy,
        ftol=request.ftol,
        xtol=request.xtol,
        gtol=request.gtol,
        maxfev=request.maxfev,
        engine=request.engine,
    )


def report(job: FitJob, summary: RunSummary) -> str:
    """Tell how a run ended, where its results are, and what to do next."""
    before = f", {summary.skipped} fitted before" if summary.skipped else ""
    lines = [
        f"{summary.curves:,} curves in {summary.partitions} partition(s){before}: "
        f"{summary.fitted:,} fitted in {duration(summary.seconds)}"
        + (f", {summary.fits_per_s:,.0f} fits/s" if summary.fitted else "")
    ]
    rows = sorted(summary.counts.items(), key=lambda pair: -pair[1])
    lines += [f"  {Status(code).name:<18} {n:>12,}" for code, n in rows if n]
    lines += [f"partition {i} failed: {why}" for i, why in sorted(summary.failed.items())]
    lines += summary.notes
    lines.append(f"results    {job.out}")
    lines.append(f"next       {next_command(job, summary)}")
    return "\n".join(lines)


def next_command(job: FitJob, summary: RunSummary) -> str:
    """Say what to do after a run."""
    if summary.failed:
        return "mend what failed and run the same command again: only that is done"
    words = ["manyfit", "show", str(job.out)]
    if METADATA_KEY in (job.dataset.schema.metadata or {}):
        words += ["--truth", *job.data[:1]]
    return shlex.join(words)


def exit_of(summary: RunSummary) -> Exit:
    """Return the exit code of a run that came to its end."""
    return Exit.PARTIAL if summary.failed else Exit.COMPLETE


def _check_run(request: Request) -> int | None:
    """Check what concerns neither data nor model; return the size of a partition."""
    if request.scheduler is not None and request.workers is not None:
        raise ValueError(
            "--scheduler and --workers exclude each other: a cluster that runs already has its "
            "own workers"
        )
    for option, value, least in (("workers", request.workers, 1), ("retries", request.retries, 0)):
        if value is not None and value < least:
            raise ValueError(f"--{option} must be at least {least}, got {value}")
    if request.partition_size is None:
        return None
    return specs.size_bytes(request.partition_size, "--partition-size")


def _check_layout(dataset: Dataset, asked: str | None) -> None:
    """Refuse a layout that the data do not have."""
    if asked is not None and dataset.layout.kind != asked:
        raise ValueError(
            f"--layout {asked}: the data are {dataset.layout}; leave --layout out, or name the "
            "columns with --y (a list column, a column of numbers with --id, or a glob such as "
            "'y_*')"
        )


def _check_out(request: Request) -> None:
    """Refuse an output directory that is a file or lies among the data."""
    out, there = str(request.out), place_of(request.out)
    if isinstance(there, Path) and there.exists() and not there.is_dir():
        raise ValueError(f"--out {out!r} is a file: expected a directory, new or of this job")
    for folder in (place_of(text) for text in request.data if is_place(text)):
        if lies_in(there, folder) and folder.is_dir():
            raise ValueError(
                f"--out {out!r} lies in {str(folder)!r}, where the data are: its results would be "
                "taken for data the next time, so choose a directory elsewhere"
            )
