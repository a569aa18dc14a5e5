"""Plain text tables: columns aligned by their content, readable in a terminal, a log or a mail."""

from collections.abc import Iterable, Sequence


def table(align: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows below a header.

    Parameters
    ----------
    align
        A letter a column: "l" for left, "r" for right.
    header, rows
        The texts; a header of empty texts is left out.

    Returns
    -------
    Lines without trailing blanks, each indented by two.
    """
    lines = [list(row) for row in rows]
    if any(header):
        lines.insert(0, list(header))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(align, line, widths) for line in lines)


def _line(align: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    """Lay out one row."""
    padded = [
        cell.ljust(width) if side == "l" else cell.rjust(width)
        for side, cell, width in zip(align, cells, widths, strict=True)
    ]
    return ("  " + "  ".join(padded)).rstrip()


def figure(value: float) -> str:
    """Write a number with six digits; a dash for NaN."""
    return "-" if value != value else f"{value:.6g}"  # noqa: PLR0124 (NaN is not itself)


def percent(value: float, digits: int = 2) -> str:
    """Write a share in percent; a dash for NaN."""
    return "-" if value != value else f"{100 * value:.{digits}f} %"  # noqa: PLR0124 (as above)
