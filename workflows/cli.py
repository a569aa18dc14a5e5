"""The commands. Each reads its options, calls one function, and prints what it returns.

Only click is imported here; a command imports what it needs when it is called.
"""

# ruff: noqa: PLC0415 - see above

import sys
from pathlib import Path
from textwrap import fill
from typing import Any

import click

from .exits import Exit, misuse, stopped

_PATH = click.Path(path_type=Path)

_CODES = "\b\nExit codes:\n" + "\n".join(
    fill(code.meaning, 78, initial_indent=f"  {int(code):>3}  ", subsequent_indent=" " * 7)
    for code in Exit
)


@click.group(epilog=_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="manyfit", message="%(prog)s %(version)s")
def main() -> None:
    """Fit a model to each of millions of small curves, by non-linear least squares.

    \b
    A first round:
      manyfit simulate --model exponential_decay --curves 10000 --out decays
      manyfit fit decays --model exponential_decay --out fits
      manyfit show fits --truth decays
    """  # noqa: D301 (\b is click's mark of a block)


@main.command(epilog=_CODES)
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--model",
    "-m",
    required=True,
    metavar="MODEL",
    help="A model of the library, such as gaussian or polynomial:3 (`manyfit models` lists them), "
    "several, such as 'gaussian(prefix=g1_) + gaussian(prefix=g2_) + linear()', a formula such as "
    "'a*exp(-b*x) + c', or module:function.",
)
@click.option(
    "--out",
    "-o",
    required=True,
    metavar="DIR",
    help="Where results go: a directory of Parquet files, or the URL of one, such as "
    "s3://bucket/fits; or, if the name ends in .zarr, maps with "
    "the dimensions of Zarr input. Run again on the same directory, the job goes on where it was "
    "left.",
)
@click.option(
    "--x",
    multiple=True,
    metavar="COLUMN",
    help="Column of x; name=COLUMN for each of several predictors. Default: x.",
)
@click.option(
    "--x-values",
    multiple=True,
    metavar="NUMBERS",
    help="x shared by all curves: start:stop:n, a list 1,2,5, or @file; name=NUMBERS for each of "
    "several predictors.",
)
@click.option(
    "--y",
    metavar="COLUMN",
    help="Column of y: lists, or one number a row with --id; or a glob such as 'y_*' for a column "
    "a point. Default: y.",
)
@click.option(
    "--axis",
    multiple=True,
    metavar="DIM",
    help="Zarr: dimension along which a curve runs; several for a model of several predictors. "
    "Default: the only one that y shares with x, or the last of two.",
)
@click.option(
    "--sigma", metavar="COLUMN", help="Column of the standard deviation of y, or one number."
)
@click.option(
    "--mask", metavar="ARRAY", help="Zarr: array that is not zero where a point is left out."
)
@click.option(
    "--absolute-sigma",
    is_flag=True,
    help="sigma is in units of y; otherwise its scale is estimated from the residuals.",
)
@click.option(
    "--id",
    "curve_id",
    metavar="COLUMN",
    help="Column that names the curves. Default: curve_id, or their numbers.",
)
@click.option(
    "--layout",
    type=click.Choice(["list", "long", "wide"]),
    help="Insist on a layout. Default: what the columns say.",
)
@click.option(
    "--p0",
    multiple=True,
    metavar="a=1,b=2",
    help="Start values, by name or in the model's order; a=COLUMN for one a curve. Default: "
    "columns p0_NAME, or guessed.",
)
@click.option("--bounds", multiple=True, metavar="a=0:10,b=0:", help="Lower and upper bounds.")
@click.option(
    "--fixed",
    multiple=True,
    metavar="c=0",
    help="Parameters held at a value, or at their start values.",
)
@click.option(
    "--constant",
    multiple=True,
    metavar="NAME=COLUMN",
    help="Column, or number, of an argument of the model that is not fitted.",
)
@click.option(
    "--tie",
    multiple=True,
    metavar="'c = 2*a'",
    help="A parameter that is not fitted but follows from others, by an expression of these.",
)
@click.option(
    "--derive",
    multiple=True,
    metavar="'h = log(2)/b'",
    help="A quantity to be worked out from the parameters, with its standard error.",
)
@click.option(
    "--where",
    metavar="CONDITION",
    help="Which rows (of Zarr: curves) to take, such as \"plate == 'A1' and dose > 3\": "
    "comparisons, in [...], is None, and, or, not.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN,...",
    help="Columns, or arrays of one value a curve, to carry through to the result.",
)
@click.option(
    "--nan-policy",
    type=click.Choice(["omit", "propagate", "raise"]),
    default="omit",
    show_default=True,
    help="Points that are not finite: leave them out, give up the curve, or fail.",
)
@click.option(
    "--ftol",
    type=float,
    default=1.49012e-8,
    show_default=True,
    help="Relative reduction of the sum of squares at which a fit has converged.",
)
@click.option(
    "--xtol",
    type=float,
    default=1.49012e-8,
    show_default=True,
    help="Relative change of the parameters at which a fit has converged.",
)
@click.option(
    "--gtol",
    type=float,
    default=0.0,
    show_default=True,
    help="Cosine between residuals and Jacobian at which a fit has converged.",
)
@click.option(
    "--maxfev",
    type=int,
    default=0,
    help="The most evaluations of the model a curve. Default: MINPACK's.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "simd", "reference"]),
    default="auto",
    show_default=True,
    help="simd: compiled, for models that are a formula. reference: NumPy, calls the function of "
    "the model as it is. auto: the fastest that can do the model.",
)
@click.option(
    "--workers",
    type=int,
    metavar="N",
    help="Worker processes on this machine. Default: one a core.",
)
@click.option("--scheduler", metavar="ADDRESS", help="A Dask cluster that runs already.")
@click.option(
    "--partition-size", metavar="SIZE", help="Values a task, such as 64MiB. Default: chosen."
)
@click.option(
    "--retries",
    type=int,
    default=2,
    show_default=True,
    help="How often a partition that fails is tried again.",
)
@click.option(
    "--on-changed",
    type=click.Choice(["refit", "keep"]),
    help="What to do if input files changed or are gone since they were fitted: fit them again and "
    "drop the curves of those gone, or keep the results there are. Default: refuse.",
)
@click.option("--plan", is_flag=True, help="The same as `manyfit plan`.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def fit(*, plan: bool, quiet: bool, **options: Any) -> None:
    """Fit a model to every curve in DATA: Parquet files, directories or globs; or a Zarr group.

    DATA and DIR may be URLs: s3://bucket/folder, gs://, az://, file://. Credentials are those of
    the environment, such as AWS_ACCESS_KEY_ID, AWS_PROFILE or AZURE_STORAGE_ACCOUNT_KEY.

    In a Zarr group a column is an array: of the dimensions of y, or of some of them.
    """
    if plan:
        _plan(options)
        return
    with misuse():
        from .fit import Request, exit_of, prepare, report
        from .progress import shown

        job = prepare(Request(**options))
    with stopped(), shown(sys.stderr, quiet=quiet) as progress:
        summary = job.run(progress)
    if not quiet or summary.failed:
        click.echo(report(job, summary))
    raise click.exceptions.Exit(exit_of(summary))


@main.command(epilog=_CODES)
@click.option("--model", "-m", "spec", required=True, metavar="MODEL", help="As for `manyfit fit`.")
@click.option(
    "--out",
    "-o",
    required=True,
    type=_PATH,
    metavar="PATH",
    help="A directory, or a file that ends in .parquet.",
)
@click.option("--curves", "n_curves", type=int, required=True, metavar="N", help="How many curves.")
@click.option(
    "--points",
    "n_points",
    type=int,
    default=50,
    show_default=True,
    metavar="M",
    help="Points a curve.",
)
@click.option(
    "--x-range", metavar="LO:HI", help="First and last x. Default: one that suits the model."
)
@click.option(
    "--truth",
    multiple=True,
    metavar="a=2,b=1.5",
    help="Centres of the true parameters. Default: ones that suit the model.",
)
@click.option(
    "--spread",
    type=float,
    default=0.2,
    show_default=True,
    help="Each true parameter is uniform within +- this share of its centre.",
)
@click.option(
    "--noise", type=float, default=0.05, show_default=True, help="Standard deviation of the noise."
)
@click.option(
    "--noise-kind",
    type=click.Choice(["constant", "relative", "poisson"]),
    default="constant",
    show_default=True,
    help="In units of y, as a share of y, or counts (then --noise has no meaning).",
)
@click.option(
    "--layout",
    type=click.Choice(["list", "long", "wide"]),
    default="list",
    show_default=True,
    help="A list a curve, a row a point, or a column a point.",
)
@click.option(
    "--bad-share",
    type=float,
    default=0.0,
    show_default=True,
    help="Share of curves that are bad in some way; the column bad says which.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The same seed gives the same curves."
)
@click.option(
    "--sigma", "with_sigma", is_flag=True, help="Write the standard deviation of each point, too."
)
@click.option("--no-x", is_flag=True, help="Leave out x (fit with --x-values).")
@click.option(
    "--files",
    "n_files",
    type=int,
    default=1,
    show_default=True,
    metavar="K",
    help="How many files share the curves.",
)
@click.option(
    "--row-group-size",
    "row_group",
    type=int,
    metavar="CURVES",
    help="Curves a row group. Default: 16 MiB of y.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is at PATH.")
def simulate(**options: Any) -> None:
    """Write a data set of known truth, in any layout, with noise and bad curves as wanted."""
    with misuse():
        from .simulate.command import run_simulate

        click.echo(run_simulate(**options))


@main.command()
@click.argument("result")
@click.option(
    "--worst",
    type=int,
    default=5,
    show_default=True,
    metavar="N",
    help="How many of the worst curves, and of those not converged, to name.",
)
@click.option(
    "--truth",
    metavar="DATA",
    help="The simulated data set that was fitted: compare with its truth.",
)
def show(result: str, worst: int, truth: str | None) -> None:
    """Sum up the results in the directory RESULT."""
    with misuse():
        from .show.report import show_result

        click.echo(show_result(result, n_worst=worst, truth=truth))


@main.command(epilog=_CODES, params=[p for p in fit.params if p.name not in {"plan", "quiet"}])
def plan(**options: Any) -> None:
    """Say what `manyfit fit` with these options would do, and what memory and time it takes.

    Everything is checked, a few hundred curves are fitted, and nothing is written.
    """
    _plan(options)


def _plan(options: dict[str, Any]) -> None:
    """Print the plan of a fit."""
    with stopped(), misuse():
        from .fit import Request, prepare
        from .plan import describe_plan

        click.echo(describe_plan(prepare(Request(**options))))


@main.command(epilog=_CODES)
@click.argument("result")
@click.option(
    "--data",
    multiple=True,
    metavar="DATA",
    help="The input, as it was given to `manyfit fit`: is it what was planned, and does each curve "
    "of it have its row?",
)
def verify(result: str, data: tuple[str, ...]) -> None:
    """Read everything in the directory RESULT again and compare it with its ledger."""
    with misuse():
        from .verify import run_verify

        text, code = run_verify(result, data)
    click.echo(text)
    raise click.exceptions.Exit(code)


@main.command(epilog=_CODES)
@click.argument("result")
@click.option("--force", is_flag=True, help="Break the lock even if its run seems to be alive.")
def unlock(result: str, *, force: bool) -> None:
    """Remove the lock of a dead run from the directory RESULT, and say whose it was."""
    with stopped(), misuse():
        from ..pipeline import lock, results

        click.echo(lock.unlock(results.open_sink(result), force=force))


@main.command()
def models() -> None:
    """List the models of the library."""
    from .models import list_models

    click.echo(list_models())
