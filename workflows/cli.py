"""The commands. Each reads its options, calls one function, and prints what it returns.

Only click is imported here; a command imports what it needs when it is called.
"""

# ruff: noqa: PLC0415 - see above

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import Any

import click

from .exits import Exit, misuse, stopped
from .fit_options import fit_options

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


@contextmanager
def _for_good() -> Iterator[None]:
    """Load modules without looking for garbage among them, neither now nor at the end.

    It takes a tenth of a second of each, and they are all there until the end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@main.command(epilog=_CODES)
@fit_options
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
    if options["scheduler"] is None:
        from ..pipeline import forkserver

        forkserver.start()  # first of all: it loads what workers need while this process does
    with misuse():
        with _for_good():
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


@main.command(epilog=_CODES)
@fit_options
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
