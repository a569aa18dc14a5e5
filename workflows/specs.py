"""The small notations of command-line options, each read by one pure function.

    a=1,b=2        values by name           `values_by_name`, `values_or_columns`
    a=0:10,b=0:    ranges by name           `ranges_by_name`
    0:5:50         evenly spaced numbers    `grid`
    time=t         columns by name          `columns_by_name`
    c = 2*a        expressions by name      `expressions_by_name`
    plate,well     names                    `names`

Each error names the option, what was given, what was expected, and an example.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..solver.arrays import Floats

Range = tuple[float, float]


def values_by_name(texts: Iterable[str], option: str) -> dict[str, float]:
    """Read ``a=1,b=2`` into ``{"a": 1.0, "b": 2.0}``.

    Raises
    ------
    ValueError
        When an item is not name=number or a name comes twice.
    """
    return {name: number(text, option, name) for name, text in _pairs(texts, option, "a=1,b=2")}


def values_or_columns(texts: Iterable[str], option: str) -> tuple[dict[str, float], dict[str, str]]:
    """Read ``a=1,b=start_b``: a number is a value, anything else the name of a column.

    Returns
    -------
    Values by name, and columns by name.

    Raises
    ------
    ValueError
        When an item is not name=value or a name comes twice.
    """
    values: dict[str, float] = {}
    columns: dict[str, str] = {}
    for name, text in _pairs(texts, option, "a=1,b=2 (or a=column)"):
        value = number_or_text(text)
        if isinstance(value, str):
            columns[name] = value
        else:
            values[name] = value
    return values, columns


def values_or_names(texts: Iterable[str], option: str) -> dict[str, float | None]:
    """Read ``c=0,d`` into ``{"c": 0.0, "d": None}``.

    Raises
    ------
    ValueError
        When a value is no number or a name comes twice.
    """
    found: dict[str, float | None] = {}
    for item in _items(texts):
        name, separator, text = item.partition("=")
        _once(name.strip(), found, option)
        found[name.strip()] = number(text, option, name) if separator else None
    return found


def ranges_by_name(texts: Iterable[str], option: str) -> dict[str, Range]:
    """Read ``a=0:10,b=0:`` into ``{"a": (0, 10), "b": (0, inf)}``.

    Raises
    ------
    ValueError
        When an item is not name=lower:upper, or the lower end is not below the upper one.
    """
    pairs = _pairs(texts, option, "a=0:10,b=0:,c=:5")
    return {name: range_of(text, f"{option} {name}") for name, text in pairs}


def range_of(text: str, option: str) -> Range:
    """Read ``lower:upper``; an end left out is infinite.

    Raises
    ------
    ValueError
        When there are not two numbers in rising order.
    """
    lower, separator, upper = text.partition(":")
    if not separator:
        raise ValueError(f"{option}: expected lower:upper, such as 0:10 or 0:, got {text!r}")
    low = number(lower, option) if lower.strip() else -math.inf
    high = number(upper, option) if upper.strip() else math.inf
    if not low < high:
        raise ValueError(
            f"{option}: the lower end must be below the upper one, got {text!r} "
            f"({low:g} >= {high:g})"
        )
    return low, high


def finite_range(text: str, option: str) -> Range:
    """Read ``lower:upper`` where both ends are needed.

    Raises
    ------
    ValueError
        When there are not two finite numbers in rising order.
    """
    low, high = range_of(text, option)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{option}: both ends are needed, such as 0:5, got {text!r}")
    return low, high


def columns_by_name(texts: Iterable[str], option: str) -> dict[str, str]:
    """Read ``time=t,depth=z`` into ``{"time": "t", "depth": "z"}``.

    Raises
    ------
    ValueError
        When an item is not name=column or a name comes twice.
    """
    return dict(_pairs(texts, option, "name=column"))


def expressions_by_name(texts: Iterable[str], option: str) -> dict[str, str]:
    """Read ``c = 2*a``, one a text, into ``{"c": "2*a"}``.

    Raises
    ------
    ValueError
        When a text is not name = expression or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, separator, expression = (part.strip() for part in text.partition("="))
        if not (separator and name and expression):
            raise ValueError(
                f"{option}: expected name = expression, such as 'c = 2*a', got {text!r}"
            )
        _once(name, found, option)
        found[name] = expression
    return found


def grid(text: str, option: str) -> Floats:
    """Read numbers: ``start:stop:n`` evenly spaced, ``1,2,5`` a list, ``@file`` from a file.

    Parameters
    ----------
    text
        What was given. A file holds numbers separated by white space or commas, or is a .npy.
    option
        Where it was given, for the message.

    Returns
    -------
    (n_points,) float64.

    Raises
    ------
    ValueError
        When it is none of these, is empty, or has a number that is not finite.
    """
    if text.startswith("@"):
        values = _from_file(Path(text[1:]), option)
    elif ":" in text:
        values = _linspace(text, option)
    else:
        values = np.array(numbers([text], option), dtype=np.float64)
    if not values.size or not np.all(np.isfinite(values)):
        raise ValueError(f"{option}: expected at least one number, all finite, got {text!r}")
    return values


def number(text: str, option: str, name: str | None = None) -> float:
    """Read one number.

    Raises
    ------
    ValueError
        When it is none.
    """
    try:
        return float(text)
    except ValueError:
        place = f"{option} {name.strip()}" if name else option
        raise ValueError(f"{place}: expected a number, got {text.strip()!r}") from None


def numbers(texts: Iterable[str], option: str) -> list[float]:
    """Read ``1,2,3``.

    Raises
    ------
    ValueError
        When an item is no number.
    """
    return [number(item, option) for item in _items(texts)]


def names(texts: Iterable[str]) -> list[str]:
    """Read ``plate,well`` into names."""
    return list(_items(texts))


def number_or_text(text: str) -> float | str:
    """Read a number; anything else is a name and stays as it is."""
    try:
        return float(text)
    except ValueError:
        return text


def size_bytes(text: str, option: str) -> int:
    """Read a size such as ``64MiB``, ``200MB`` or ``1000000`` (bytes).

    Raises
    ------
    ValueError
        When it is no positive size.
    """
    units = {"": 1, "b": 1}
    for power, letter in enumerate("kmgt", start=1):
        units |= {letter: 1024**power, f"{letter}ib": 1024**power, f"{letter}b": 1000**power}
    digits = text.strip().rstrip("bBiIkKmMgGtT ")
    unit = text.strip()[len(digits) :].strip().lower()
    try:
        size = int(float(digits) * units[unit])
    except (ValueError, KeyError, OverflowError):
        size = 0
    if size <= 0:
        raise ValueError(f"{option}: expected a size such as 64MiB or 200MB, got {text!r}")
    return size


def _linspace(text: str, option: str) -> Floats:
    """Read ``start:stop:n``."""
    parts = text.split(":")
    if len(parts) != 3 or not parts[2].strip().isdigit() or int(parts[2]) < 1:
        raise ValueError(
            f"{option}: expected start:stop:n (n numbers from start to stop), such as 0:5:50, "
            f"got {text!r}"
        )
    return np.linspace(number(parts[0], option), number(parts[1], option), int(parts[2]))


def _from_file(path: Path, option: str) -> Floats:
    """Read numbers from a text file or a .npy."""
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64).ravel()
        return np.array(path.read_text().replace(",", " ").split(), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{option}: cannot read numbers from {str(path)!r}: {error}; expected numbers "
            "separated by spaces, commas or line ends, or a .npy file"
        ) from error


def _pairs(texts: Iterable[str], option: str, example: str) -> Iterator[tuple[str, str]]:
    """Split name=value items, each name once."""
    seen: dict[str, str] = {}
    for item in _items(texts):
        name, separator, value = (part.strip() for part in item.partition("="))
        if not (separator and name and value):
            raise ValueError(f"{option}: expected name=value, such as {example}, got {item!r}")
        _once(name, seen, option)
        seen[name] = value
    yield from seen.items()


def _once(name: str, seen: dict[str, str] | dict[str, float | None], option: str) -> None:
    """Refuse a name that was given before."""
    if name in seen:
        raise ValueError(f"{option}: {name!r} is given twice")


def _items(texts: Iterable[str]) -> Iterator[str]:
    """Split at commas what was given once or several times."""
    return (item.strip() for text in texts for item in text.split(",") if item.strip())
