"""Which dimensions of y another array has, and along which of them the curves run. Pure.

Arrays are matched by the names of their dimensions; where these are missing, by their sizes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from ..errors import DatasetError

Prefer = Literal["fit", "map"] | None


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an array, and the names of its dimensions; None: they have none."""

    sizes: tuple[int, ...]
    names: tuple[str, ...] | None = None

    def __str__(self) -> str:
        """Write names and sizes, for messages."""
        if self.names is None:
            return f"({', '.join(map(str, self.sizes))})"
        pairs = zip(self.names, self.sizes, strict=True)
        return "(" + ", ".join(f"{name} {size}" for name, size in pairs) + ")"

    @property
    def labels(self) -> tuple[str, ...]:
        """The names, or ``dim_0, dim_1, ...``."""
        return self.names or tuple(f"dim_{k}" for k in range(len(self.sizes)))


def shape_of(sizes: Sequence[int], names: Sequence[str | None] | None) -> Shape:
    """Return a shape; names that are not complete, or not different, are none."""
    given = [str(n) for n in names or () if n]
    usable = len(given) == len(sizes) and len(set(given)) == len(given)
    return Shape(tuple(sizes), tuple(given) if usable else None)


def place(
    array: Shape, y: Shape, fit: Sequence[int] = (), prefer: Prefer = None
) -> tuple[int, ...] | str:
    """Say which dimension of y each dimension of an array is.

    Parameters
    ----------
    array, y
        The shapes.
    fit
        Positions of the dimensions of y along which curves run.
    prefer
        Which dimensions are meant where sizes alone leave a choice: those, or the others.

    Returns
    -------
    Positions of dimensions of y, in the order of the array; or why there are none.
    """
    if array.names is not None and y.names is not None:
        return _by_name(array, y)
    found = _by_size(array, y)
    if not found:
        return f"its shape is {array}, and that of y is {y}: expected dimensions of y"
    wanted = set(fit) if prefer == "fit" else set(range(len(y.sizes))) - set(fit)
    meant = [p for p in found if set(p) <= wanted] if prefer and len(found) > 1 else found
    if len(meant) == 1:
        return meant[0]
    return (
        f"its shape is {array}, which goes with several dimensions of y {y}: give the arrays "
        "dimension_names"
    )


def choose_fit(
    y: Shape, asked: Sequence[str], shared: Mapping[str, Iterable[int]], sizes: Mapping[str, int]
) -> tuple[int, ...]:
    """Choose the dimensions along which curves run.

    Parameters
    ----------
    y
        The shape of y.
    asked
        What the user named: names, or positions as text; nothing: to be found.
    shared
        Dimensions that y shares with each array that is given for x.
    sizes
        How many numbers are given for x, where numbers are.

    Returns
    -------
    Positions, rising.

    Raises
    ------
    DatasetError
        When a name is not a dimension, or it is not clear which dimension is meant.
    """
    if asked:
        return _asked(y, asked)
    n = len(y.sizes)
    if n == 0:
        raise DatasetError("y has no dimension: expected an array of at least one, a curve")
    last = n - 1
    options = {k for dims in shared.values() for k in dims}
    if sizes:
        options |= {k for k in range(n) if y.sizes[k] in sizes.values()}
    if len(options) == 1:
        return tuple(options)
    if n <= 2 and (last in options or not options):
        return (last,)
    given = {
        **dict.fromkeys(shared, ""),
        **{name: f" ({k} values)" for name, k in sizes.items()},
    }
    hint = ", ".join(f"{name}{more}" for name, more in given.items())
    why = f"x, from {hint}, fits {len(options)} of them" if hint else "x does not say"
    raise DatasetError(
        f"y has the dimensions {y}, and it is not clear along which a curve runs ({why}): name it "
        f"with --axis (axis=...), such as {y.labels[last]!r}"
    )


def _asked(y: Shape, asked: Sequence[str]) -> tuple[int, ...]:
    """Find the dimensions that were named."""
    found = []
    for text in asked:
        if text in y.labels:
            found.append(y.labels.index(text))
        elif text.lstrip("-").isdigit() and -len(y.sizes) <= int(text) < len(y.sizes):
            found.append(int(text) % len(y.sizes))
        else:
            raise DatasetError(
                f"axis: y has no dimension {text!r}; its dimensions are {y} (a position from 0 to "
                f"{len(y.sizes) - 1} does as well)"
            )
    if len(set(found)) < len(found):
        raise DatasetError(f"axis names a dimension of y twice: {', '.join(asked)}; y has {y}")
    return tuple(sorted(found))


def _by_name(array: Shape, y: Shape) -> tuple[int, ...] | str:
    """Match the names of dimensions."""
    positions = []
    for name, size in zip(array.labels, array.sizes, strict=True):
        if name not in y.labels:
            return f"its dimensions are {array}, those of y {y}: y has no dimension {name!r}"
        position = y.labels.index(name)
        if y.sizes[position] != size:
            return f"its dimensions are {array}, those of y {y}: {name!r} is not of one size"
        positions.append(position)
    return tuple(positions)


def _by_size(array: Shape, y: Shape) -> list[tuple[int, ...]]:
    """Find dimensions of y, in their order, that have the sizes of an array."""
    choices = combinations(range(len(y.sizes)), len(array.sizes))
    return [c for c in choices if tuple(y.sizes[k] for k in c) == array.sizes]
