"""A summary and a comparison as text."""

import math
from collections.abc import Iterator

from ...pipeline.places import AnyPlace
from ...solver.status import Flag
from ..tables import figure, percent, table
from .parts import Result
from .summary import QUANTILES, Odd, Summary, summarise
from .truth import FAR, Comparison, compare

_FLAGS = {
    Flag.POINTS_OMITTED: "points that are not finite were left out",
    Flag.AT_BOUND: "a parameter is held at a bound; it has no standard error",
    Flag.UNDETERMINED: "the data do not determine every parameter; those have no standard error",
    Flag.NO_DOF: "as many points as parameters: no standard errors",
}


def show_result(path: AnyPlace, *, n_worst: int = 5, truth: str | None = None) -> str:
    """Read a result and return everything there is to say of it.

    Parameters
    ----------
    path
        The output directory of a fit.
    n_worst
        How many of the worst curves to name.
    truth
        The simulated data set that was fitted, if the result is to be compared with its truth.

    Raises
    ------
    FileNotFoundError
        When there are no results.
    ValueError
        When the truth is not that of these curves.
    """
    result = Result.open(path)
    comparison = compare(result, truth) if truth is not None else None
    return report(result, summarise(result, n_worst=n_worst), comparison)


def report(result: Result, summary: Summary, comparison: Comparison | None = None) -> str:
    """Return everything there is to say of a result, block by block."""
    blocks = [*_head(result, summary), *_ends(summary), _spreads(summary), *_odd(summary)]
    if comparison is not None:
        blocks += [*_truth(comparison)]
    return "\n\n".join(blocks)


def _head(result: Result, summary: Summary) -> Iterator[str]:
    """Say what was fitted, and what is missing."""
    model = result.metadata["model"]
    formula = f": {model['expression']}" if model.get("expression") else ""
    share = summary.n_success / max(summary.n_curves, 1)
    yield (
        f"{summary.n_curves:,} curves fitted with {model['name']}{formula}\n"
        f"{summary.n_success:,} converged ({percent(share)})"
    )
    lost = f"{result.planned - result.n_curves:,} of {result.planned:,} curves are not here"
    if result.missing:
        yield f"{lost}: {result.missing} partition(s) to be fitted by the same command, run again"
    if result.failed:
        rows = [(f"{i}", why.splitlines()[0]) for i, why in sorted(result.failed.items())]
        yield f"{lost}: partitions that failed\n" + table("rl", ("", ""), rows)


def _ends(summary: Summary) -> Iterator[str]:
    """Say how the fits ended."""
    rows = [
        (f"{int(status)}", status.name, f"{n:,}", percent(n / summary.n_curves), status.message)
        for status, n in summary.statuses
    ]
    yield "how the fits ended\n" + table("rlrrl", ("", "status", "curves", "", "meaning"), rows)
    if summary.flags:
        rows = [
            (f"{int(flag)}", str(flag.name), f"{n:,}", percent(n / summary.n_curves), _FLAGS[flag])
            for flag, n in summary.flags
        ]
        yield "what qualifies them\n" + table("rlrrl", ("", "flag", "curves", "", "meaning"), rows)


def _spreads(summary: Summary) -> str:
    """Show the quantiles of the parameters."""
    names = {0.0: "min", 0.5: "median", 1.0: "max"}
    header = ["", *(names.get(q, f"{100 * q:g} %") for q in QUANTILES), "median stderr"]
    rows = [(s.name, *map(figure, s.quantiles), figure(s.stderr)) for s in summary.spreads]
    return "parameters of the fits that converged\n" + table("l" + "r" * 6, header, rows)


def _odd(summary: Summary) -> Iterator[str]:
    """Name the curves that are worth a look."""
    header = ("curve", "points", "redchi", "status")
    if summary.worst:
        rows = [_odd_row(odd, odd.status.name) for odd in summary.worst]
        yield "converged with the largest redchi\n" + table("lrrl", header, rows)
    if summary.failures:
        rows = [_odd_row(o, f"{o.status.name}: {o.status.message}") for o in summary.failures]
        n = summary.n_curves - summary.n_success
        first = f", the first {len(rows)} of {n:,}" if n > len(rows) else ""
        yield f"not converged{first}\n" + table("lrrl", header, rows)


def _odd_row(odd: Odd, reason: str) -> tuple[str, str, str, str]:
    """Return the row of one curve."""
    return str(odd.curve_id), f"{odd.n_points}", figure(odd.redchi), reason


def _truth(comparison: Comparison) -> Iterator[str]:
    """Show how far the estimates are from the truth."""
    header = ("", "curves", "bias", "rms", "bias/se", "rms/se", "within 1 se", f"beyond {FAR:g}")
    rows = [
        (
            q.name,
            f"{q.n:,}",
            f"{q.bias:.3g}",
            f"{q.rms:.3g}",
            f"{q.bias_z:+.3f}",
            f"{q.rms_z:.3f}",
            percent(q.coverage),
            f"{q.far:,}",
        )
        for q in comparison.qualities
    ]
    why = (
        "sigma is known"
        if math.isinf(comparison.dof)
        else f"Student's t, {comparison.dof:.0f} degrees of freedom"
    )
    yield (
        "against the truth (se: standard error; bad curves left out)\n"
        + table("l" + "r" * 7, header, rows)
        + f"\n  within 1 se are expected: {percent(comparison.expected)} ({why})"
    )
    if comparison.bad:
        rows_bad = [(kind, status.name, f"{n:,}") for kind, status, n in comparison.bad]
        yield "how the bad curves ended\n" + table(
            "llr", ("simulated as", "status", "curves"), rows_bad
        )
