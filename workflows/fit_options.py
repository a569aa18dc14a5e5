"""What a fit is asked for on the command line: data, model, what a curve has, where to run.

`manyfit fit` and `manyfit plan` take the same.
"""

from collections.abc import Callable
from typing import Any

import click

_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.argument("data", nargs=-1, required=True),
    click.option(
        "--model",
        "-m",
        required=True,
        metavar="MODEL",
        help="A model of the library, such as gaussian or polynomial:3 (`manyfit models` lists "
        "them), several, such as 'gaussian(prefix=g1_) + gaussian(prefix=g2_) + linear()', a "
        "formula such as 'a*exp(-b*x) + c', or module:function.",
    ),
    click.option(
        "--out",
        "-o",
        required=True,
        metavar="DIR",
        help="Where results go: a directory of Parquet files, or the URL of one, such as "
        "s3://bucket/fits; or, if the name ends in .zarr, maps with "
        "the dimensions of Zarr input. Run again on the same directory, the job goes on where it "
        "was left.",
    ),
    click.option(
        "--x",
        multiple=True,
        metavar="COLUMN",
        help="Column of x; name=COLUMN for each of several predictors. Default: x.",
    ),
    click.option(
        "--x-values",
        multiple=True,
        metavar="NUMBERS",
        help="x shared by all curves: start:stop:n, a list 1,2,5, or @file; name=NUMBERS for each "
        "of several predictors.",
    ),
    click.option(
        "--y",
        metavar="COLUMN",
        help="Column of y: lists, or one number a row with --id; or a glob such as 'y_*' for a "
        "column a point. Default: y.",
    ),
    click.option(
        "--axis",
        multiple=True,
        metavar="DIM",
        help="Zarr: dimension along which a curve runs; several for a model of several predictors. "
        "Default: the only one that y shares with x, or the last of two.",
    ),
    click.option(
        "--sigma", metavar="COLUMN", help="Column of the standard deviation of y, or one number."
    ),
    click.option(
        "--mask", metavar="ARRAY", help="Zarr: array that is not zero where a point is left out."
    ),
    click.option(
        "--absolute-sigma",
        is_flag=True,
        help="sigma is in units of y; otherwise its scale is estimated from the residuals.",
    ),
    click.option(
        "--id",
        "curve_id",
        metavar="COLUMN",
        help="Column that names the curves. Default: curve_id, or their numbers.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["list", "long", "wide"]),
        help="Insist on a layout. Default: what the columns say.",
    ),
    click.option(
        "--p0",
        multiple=True,
        metavar="a=1,b=2",
        help="Start values, by name or in the model's order; a=COLUMN for one a curve. Default: "
        "columns p0_NAME, or guessed.",
    ),
    click.option("--bounds", multiple=True, metavar="a=0:10,b=0:", help="Lower and upper bounds."),
    click.option(
        "--fixed",
        multiple=True,
        metavar="c=0",
        help="Parameters held at a value, or at their start values.",
    ),
    click.option(
        "--constant",
        multiple=True,
        metavar="NAME=COLUMN",
        help="Column, or number, of an argument of the model that is not fitted.",
    ),
    click.option(
        "--tie",
        multiple=True,
        metavar="'c = 2*a'",
        help="A parameter that is not fitted but follows from others, by an expression of these.",
    ),
    click.option(
        "--derive",
        multiple=True,
        metavar="'h = log(2)/b'",
        help="A quantity to be worked out from the parameters, with its standard error.",
    ),
    click.option(
        "--where",
        metavar="CONDITION",
        help="Which rows (of Zarr: curves) to take, such as \"plate == 'A1' and dose > 3\": "
        "comparisons, in [...], is None, and, or, not.",
    ),
    click.option(
        "--keep",
        multiple=True,
        metavar="COLUMN,...",
        help="Columns, or arrays of one value a curve, to carry through to the result.",
    ),
    click.option(
        "--nan-policy",
        type=click.Choice(["omit", "propagate", "raise"]),
        default="omit",
        show_default=True,
        help="Points that are not finite: leave them out, give up the curve, or fail.",
    ),
    click.option(
        "--ftol",
        type=float,
        default=1.49012e-8,
        show_default=True,
        help="Relative reduction of the sum of squares at which a fit has converged.",
    ),
    click.option(
        "--xtol",
        type=float,
        default=1.49012e-8,
        show_default=True,
        help="Relative change of the parameters at which a fit has converged.",
    ),
    click.option(
        "--gtol",
        type=float,
        default=0.0,
        show_default=True,
        help="Cosine between residuals and Jacobian at which a fit has converged.",
    ),
    click.option(
        "--maxfev",
        type=int,
        default=0,
        help="The most evaluations of the model a curve. Default: MINPACK's.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["auto", "simd", "reference"]),
        default="auto",
        show_default=True,
        help="simd: compiled, for models that are a formula. reference: NumPy, calls the function "
        "of the model as it is. auto: the fastest that can do the model.",
    ),
    click.option(
        "--workers",
        type=int,
        metavar="N",
        help="Worker processes on this machine. Default: one a core.",
    ),
    click.option("--scheduler", metavar="ADDRESS", help="A Dask cluster that runs already."),
    click.option(
        "--partition-size", metavar="SIZE", help="Values a task, such as 64MiB. Default: chosen."
    ),
    click.option(
        "--retries",
        type=int,
        default=2,
        show_default=True,
        help="How often a partition that fails is tried again.",
    ),
    click.option(
        "--on-changed",
        type=click.Choice(["refit", "keep"]),
        help="What to do if input files changed or are gone since they were fitted: fit them again "
        "and drop the curves of those gone, or keep the results there are. Default: refuse.",
    ),
)


def fit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument and the options of a fit, in this order in its help."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
