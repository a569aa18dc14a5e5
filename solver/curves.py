"""Curves as people have them, brought into rectangles that the engine can solve.

Curves come as a matrix or ragged, `offsets` saying where each begins in flat arrays (the layout
of an Arrow list array). They leave in groups of equal width. A curve's width depends on its own
length alone, rounded up to four significant bits, so that few widths occur, at most one point in
nine is padding, and the order of every sum, hence every bit of the result, is the curve's own.
Points that do not count - padding, and what nan_policy omits - repeat a point of the same curve
that does, with weight zero.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Bools, Floats, Ints
from .model import Model

_SLAB_POINTS = 1 << 21
"""Points that are laid out at a time: memory stays bounded whatever the batch."""


@dataclass(frozen=True, slots=True)
class Curves:
    """A batch of curves, checked.

    Attributes
    ----------
    y
        (n_curves, n_points), or flat (n_values,) when there are offsets.
    predictors
        One array a predictor: shaped as `y`, or (n_points,) shared by all curves.
    sigma
        Shaped as `y`, or None.
    start, length
        (n_curves,): where a curve begins in the flattened `y`, and its number of points.
    """

    y: npt.NDArray[Any]
    predictors: tuple[npt.NDArray[Any], ...]
    sigma: npt.NDArray[Any] | None
    start: Ints
    length: Ints

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.length)

    def alone(self, i: int) -> tuple[Floats, ...]:
        """Return the predictors of curve i at its finite points, (n_points,) each."""
        own = slice(self.start[i], self.start[i] + self.length[i])
        rows = [p[i] if p.ndim == 2 else p if self.y.ndim == 2 else p[own] for p in self.predictors]
        points = np.asarray(rows, dtype=np.float64)
        return tuple(points[:, np.isfinite(points).all(axis=0)])

    def slabs(self, rows: Ints | None = None) -> Iterator["Slab"]:
        """Lay out the curves that have points, group by group, in slabs of bounded size.

        Those with points to omit come apart from the others. `rows`: only these; None: all.
        """
        chosen = np.arange(len(self)) if rows is None else rows
        widths = padded_width(self.length[chosen])
        for width in np.unique(widths[widths > 0]):
            group = chosen[widths == width]
            step = max(1, _SLAB_POINTS // int(width))
            for first in range(0, len(group), step):
                yield from self._lay_out(group[first : first + step], int(width)).parted()

    def unpadded(self, rows: Ints) -> Iterator[tuple[Ints, "Slab"]]:
        """Lay out curves as they are, those of one length together, with their places in `rows`."""
        lengths = self.length[rows]
        for length in np.unique(lengths):
            places = np.flatnonzero(lengths == length)
            yield places, self._lay_out(rows[places], int(length))

    def _lay_out(self, rows: Ints, width: int) -> "Slab":
        """Lay out some curves in rows of one width; a copy only where it must be."""
        if self.y.ndim == 2 and width == self.y.shape[1]:
            run = slice(rows[0], rows[0] + len(rows))
            chosen: Any = run if (np.diff(rows) == 1).all() else rows

            def gather(values: npt.NDArray[Any]) -> Floats:
                part = values[None] if values.ndim == 1 else values[chosen]
                return np.ascontiguousarray(part, dtype=np.float64)

            inside: Bools = np.broadcast_to(np.ones(1, dtype=np.bool_), (len(rows), width))
        else:
            places = np.minimum(np.arange(width), self.length[rows, None] - 1)

            def gather(values: npt.NDArray[Any]) -> Floats:
                if values.ndim == 1 and self.y.ndim == 2:
                    return np.asarray(values[places[:1]], dtype=np.float64)
                if values.ndim == 2:
                    return np.asarray(values[rows[:, None], places], dtype=np.float64)
                return np.asarray(values[places + self.start[rows, None]], dtype=np.float64)

            inside = np.arange(width) < self.length[rows, None]
        predictors = tuple(gather(p) for p in self.predictors)
        sigma = None if self.sigma is None else gather(self.sigma)
        return Slab(rows, gather(self.y), predictors, sigma, inside)


@dataclass(frozen=True, slots=True)
class Slab:
    """Some curves in a rectangle.

    Attributes
    ----------
    rows
        (n,), their places in the batch.
    y, sigma
        (n, width); sigma None: all ones.
    predictors
        Each (n, width), or (1, width) where all curves share it.
    valid
        (n, width) bool, the points that count.
    omitted
        (n,) bool or None, whether points of the curve were left out.
    """

    rows: Ints
    y: Floats
    predictors: tuple[Floats, ...]
    sigma: Floats | None
    valid: Bools
    omitted: bool = False

    def take(self, keep: Ints) -> "Slab":
        """Return some of the curves."""
        return Slab(
            self.rows[keep],
            self.y[keep],
            tuple(p if len(p) == 1 else p[keep] for p in self.predictors),
            None if self.sigma is None else self.sigma[keep],
            self.valid[keep],
            self.omitted,
        )

    def parted(self) -> Iterator["Slab"]:
        """Yield the curves without and those with points to omit, of each if there are any."""
        finite = np.isfinite(self.y)
        for values in (*self.predictors, *(() if self.sigma is None else (self.sigma,))):
            finite &= np.isfinite(values)
        clean = (finite | ~self.valid).all(axis=1)
        if clean.any():
            yield self if clean.all() else self.take(np.flatnonzero(clean))
        if not clean.all():
            dirty = np.flatnonzero(~clean)
            yield self.take(dirty).without(~finite[dirty])

    def without(self, bad: Bools) -> "Slab":
        """Return the same curves with the points `bad` replaced by valid neighbours.

        Curves without a valid point keep their values.
        """
        n, width = self.y.shape
        valid = self.valid & ~bad
        last_valid = np.maximum.accumulate(np.where(valid, np.arange(width), -1), axis=1)
        source = np.where(last_valid >= 0, last_valid, valid.argmax(axis=1)[:, None])

        def fill(values: Floats) -> Floats:
            rows = np.broadcast_to(values, (n, width))
            return np.take_along_axis(rows, source, axis=1)

        return Slab(
            self.rows,
            fill(self.y),
            tuple(fill(p) for p in self.predictors),
            None if self.sigma is None else fill(self.sigma),
            valid,
            omitted=True,
        )

    @property
    def weight(self) -> Floats | None:
        """1/sigma where a point counts, zero elsewhere; None where every weight is one."""
        if self.sigma is None:
            return None if self.valid.all() else self.valid.astype(np.float64)
        return np.where(self.valid, 1.0 / self.sigma, 0.0)


def padded_width(length: Ints) -> Ints:
    """Round lengths up to four significant bits: 15 -> 15, 17 -> 18, 50 -> 52, 100 -> 104."""
    bits = np.frexp(length.astype(np.float64))[1].astype(np.int64)
    unit = np.left_shift(1, np.maximum(bits - 4, 0))
    return np.asarray(-(-length // unit) * unit, dtype=np.intp)


def as_curves(model: Model, x: Any, y: Any, offsets: Any, sigma: Any) -> Curves:
    """Check the data of a batch and return them without copying.

    Parameters
    ----------
    model
        For the names of the predictors.
    x, y, offsets, sigma
        As in `manyfit.fit_curves`.

    Raises
    ------
    ValueError
        When shapes do not fit each other, predictors are missing or values are not numbers.
    """
    values = _numbers(y, "y")
    if offsets is None:
        if values.ndim != 2:
            raise ValueError(
                f"y must be (n_curves, n_points), or flat with offsets; got shape {values.shape}"
                + ("; for one curve give y[None]" if values.ndim == 1 else "")
            )
        n_curves, n_points = values.shape
        start = np.arange(n_curves, dtype=np.intp) * n_points
        length = np.full(n_curves, n_points, dtype=np.intp)
    else:
        start, length = _from_offsets(offsets, values)
        if len(length) and (length == length[0]).all() and length[0] * len(length) == values.size:
            values = values.reshape(len(length), length[0])
    shape = values.shape
    predictors = tuple(
        _fitting(_numbers(v, f"x[{name!r}]"), shape, f"x[{name!r}]")
        for name, v in zip(model.predictors, by_predictor(model, x), strict=True)
    )
    if sigma is not None:
        sigma = _numbers(sigma, "sigma")
        if sigma.ndim < len(shape) or sigma.shape != shape:
            sigma = _spread(sigma, shape)
    return Curves(values, predictors, sigma, start, length)


def by_predictor(model: Model, x: Any) -> tuple[Any, ...]:
    """Return what is given for each predictor of the model, in its order."""
    names = model.predictors
    if not isinstance(x, Mapping):
        if len(names) > 1:
            raise ValueError(f"model {model.name!r} needs x as a mapping with {names}")
        return (x,)
    if set(x) != set(names):
        raise ValueError(f"model {model.name!r} needs x for {names}, got {tuple(x)}")
    return tuple(x[name] for name in names)


def _numbers(values: Any, what: str) -> npt.NDArray[Any]:
    """Return real numbers as an array; masked ones become NaN."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.where(np.ma.getmaskarray(values), np.nan, np.ma.getdata(values))
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} must be real numbers, got dtype {array.dtype}")
    return array


def _from_offsets(offsets: Any, values: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """Return start and length of every curve."""
    edges = np.asarray(offsets)
    if values.ndim != 1:
        raise ValueError(f"with offsets y must be flat, got shape {values.shape}")
    if edges.ndim != 1 or edges.size < 1 or edges.dtype.kind not in "iu":
        raise ValueError(
            f"offsets must be n_curves + 1 integers, got shape {edges.shape}, dtype {edges.dtype}"
        )
    edges = edges.astype(np.intp)
    length = np.diff(edges)
    if edges[0] < 0 or edges[-1] > values.size or (length < 0).any():
        raise ValueError(
            f"offsets must ascend from >= 0 to at most len(y) = {values.size}, got "
            f"{edges[0]}..{edges[-1]}" + (", descending" if (length < 0).any() else "")
        )
    return edges[:-1], length


def _fitting(x: npt.NDArray[Any], shape: tuple[int, ...], what: str) -> npt.NDArray[Any]:
    """Return a predictor shaped as y, or shared by all curves."""
    if len(shape) == 2 and x.size == shape[0] * shape[1] and x.ndim == 1 and x.size != shape[1]:
        x = x.reshape(shape)
    if x.shape == shape or (len(shape) == 2 and x.shape == shape[1:]):
        return x
    if len(shape) == 2 and x.shape == (1, shape[1]):
        return x.reshape(-1)
    wanted = (
        f"{shape} like y, or {shape[1:]} shared by all curves"
        if len(shape) == 2
        else f"{shape}, flat like y (curves differ in length: an x shared by all needs equal ones)"
    )
    raise ValueError(f"{what} must have shape {wanted}; got {x.shape}")


def _spread(sigma: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Broadcast sigma to the shape of y."""
    if len(shape) == 2 and sigma.ndim == 1 and sigma.size == shape[0] * shape[1] != shape[1]:
        sigma = sigma.reshape(shape)
    try:
        spread: npt.NDArray[Any] = np.broadcast_to(sigma, shape)
    except ValueError as error:
        raise ValueError(
            f"sigma must be a number, or have a shape that broadcasts to that of y, {shape}; "
            f"got {sigma.shape}"
        ) from error
    return spread
