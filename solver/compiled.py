"""The compiled engine at work on a batch: which curves it takes, and what it leaves.

Curves are taken as they lie in memory, without a layout of their own, very many at a time. It
leaves to the reference engine

- curves that need a layout: x or sigma is not finite, or there is no start or too little for a fit;
  laid out, what can be fitted comes back here;
- curves that the kernel handed over, since the model or a derivative is not finite on the way: the
  reference engine goes on where the kernel stopped;
- the covariances of curves whose Jacobian is nearly rank deficient where they ended, even for QR:
  pivots tell which parameters the data do not determine. Searching on is no help: of 1147 such
  curves eight ended lower, and those that wandered held up all others for seconds.

Curves whose y is not finite everywhere are found by the kernel, and fitted by one that leaves such
points out. Curves whose normal equations are too ill-conditioned for what is promised go on from
where they ended in one that holds a triangle instead (`simd.ways`). Both are compiled when the
first such curve comes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .allocation import keep_memory_of_results
from .arrays import Bools, Floats, Ints
from .as_they_lie import as_they_lie
from .covariance import unscaled_covariance
from .curves import Curves, Slab
from .determinacy import undetermined_by_rise
from .ends import (
    forget,
    mark_undetermined,
    place_of,
    scale_of,
    write_covariance,
    write_flags,
)
from .minpack import Rules
from .preparation import Prepared
from .result import BatchFit
from .simd.engine import Covariances, Ends, Points, finish, run
from .simd.finish import Finish, Verdict
from .simd.kernel import HANDED_OVER
from .simd.machine import Machine, host
from .simd.specification import Specification
from .simd.subnormals import LEAST_SQUARES
from .starts import MOST_POINTS, Starts
from .status import Flag
from .trust_region import Tolerances

_CHUNK = 1 << 22
"""Points that one call of the kernel fits at most, or twice the numbers of its normal equations: so
many, since at its end all lanes but a few wait for the curves that take the longest."""
_WINDOW = 1 << 12
"""Curves that are sorted by their length together, where these differ."""
_RANK = 1e-12
"""Relative pivot of R below which the reference engine says which parameters cannot be told apart,
by pivots below 1e-14; R has rounding errors of its own, hence a margin."""
LEAST_NORM = 1e-140
"""Norm of a column of R, or of the Jacobian, whose square may have lost digits."""
_LONG, _FEW_PARAMS = 96, 8
"""Curves of at most so many points and parameters are fitted in lanes of two registers, whose steps
fill each other's pauses; others in one, so that their points fit a cache, and since steps of more
parameters have no pauses left and twice the code to compile. So are all where there are 16
registers: a step of two would wait for memory instead. The bits are the same."""
_MOST_PARAMS = 24
"""With engine="auto" models with more to fit are left to the reference engine: compiling takes time
by the square of the parameters, 0.6 s at 8, 2 s at 16, 4.4 s at 24."""
_AT_ONCE = Rules(Tolerances(ftol=0.0, xtol=0.0, gtol=1e150, maxfev=1))
"""Every curve ends where it starts: the kernel only evaluates the sum of squares."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """The compiled engine, ready for the curves of one batch.

    Attributes
    ----------
    prepared
        The model and what holds for all curves.
    fit
        Where the ends are written.
    data
        (n_curves,), Σ y² of the curves that were taken; NaN where y may have gaps.
    verdict
        (n_curves,) int8, what becomes of their covariances, a `Verdict`.
    machine
        What to compile for.
    compile_s
        What compiling took, an entry a call of the kernel.
    """

    prepared: Prepared
    fit: BatchFit
    data: Floats
    verdict: npt.NDArray[np.int8]
    machine: Machine = field(default_factory=host)
    compile_s: list[float] = field(default_factory=list)

    @classmethod
    def for_batch(cls, prepared: Prepared, fit: BatchFit) -> Self | None:
        """Return the engine, or None where the options or the model ask for the other one."""
        model, options = prepared.model, prepared.options
        if options.engine == "reference" or model.graph is None:
            return None
        if prepared.free.size > _MOST_PARAMS and options.engine == "auto":
            return None
        keep_memory_of_results()
        return cls(prepared, fit, np.zeros(len(fit)), np.empty(len(fit), dtype=np.int8))

    @property
    def starts(self) -> Starts:
        """Where curves start."""
        return Starts(self.prepared, self.machine)

    def fit_curves(self, curves: Curves) -> Bools:
        """Fit the curves that need no layout; return (n_curves,), which are left.

        Those that were begun have their last iterate in the result, and status 0; others NaN.
        """
        n = self.prepared.free.size
        points, takes = as_they_lie(curves)
        takes &= (curves.length <= MOST_POINTS) & (curves.length >= max(1, n))
        left, rows = ~takes, np.flatnonzero(takes)
        if left.any():
            forget(self.fit, left)
        at = place_of(rows)
        lengths = curves.length[at]
        self.fit.n_points[at] = lengths
        self.fit.dof[at] = lengths - n
        ragged = curves.y.ndim == 1 and bool((lengths != lengths[:1]).any())
        if ragged:
            rows = rows[_by_length(lengths)]
        specification = self._specification(points, ragged=ragged)
        self._fit_all(specification, points, curves, rows, left)
        gaps = np.flatnonzero(left & takes & ~np.isfinite(self.data))
        if gaps.size and self.prepared.options.nan_policy == "omit":
            if ragged:
                gaps = gaps[_by_length(curves.length[gaps])]
            self._fit_all(replace(specification, gaps=True), points, curves, gaps, left)
        return left

    def _fit_all(
        self,
        specification: Specification,
        points: Points,
        curves: Curves,
        rows: Ints,
        left: Bools,
    ) -> None:
        """Fit curves as they lie; write into (n_curves,) which of them are left."""
        for chunk in self._chunks(rows, curves.length):
            start = self.starts.of(points, curves, chunk, gaps=specification.gaps)
            good, part = self.prepared.may_start(start), chunk
            if not good.all():
                good = np.broadcast_to(good, chunk.shape)
                forget(self.fit, chunk[~good])
                left[chunk[~good]], self.data[chunk[~good]] = True, np.nan
                part, start = chunk[good], start if len(start) == 1 else start[good]
            if not part.size:
                continue
            at = part if specification.ragged else place_of(part)
            left[at] = ~self._fit_rows(specification, points, part, part, at, start)

    def fit_slab(self, slab: Slab, start: Floats) -> Bools:
        """Fit curves that are laid out, from (n, n_params) start values; return which are left."""
        n, width = slab.y.shape
        if width > MOST_POINTS:
            return np.ones(n, dtype=np.bool_)
        shared = tuple(len(p) == 1 for p in slab.predictors)
        points = Points(
            y=slab.y.reshape(-1),
            start=np.arange(n) * width,
            length=np.full(n, width),
            predictors=tuple(p.reshape(-1) for p in slab.predictors),
            shared=shared,
            even=(False,) * len(shared),
            sigma=np.where(slab.valid, 1.0 if slab.sigma is None else slab.sigma, np.inf)
            .astype(np.float64)
            .reshape(-1),
        )
        rows, at = np.arange(n), place_of(slab.rows)
        specification = self._specification(points, ragged=False)
        return ~self._fit_rows(specification, points, rows, slab.rows, at, start)

    def _chunks(self, rows: Ints, length: Ints) -> Iterator[Ints]:
        """Part the rows so that each part is about as much as one call of the kernel takes."""
        n = self.prepared.free.size
        if rows.size * max(length.max(initial=0), n * (n + 1)) <= _CHUNK:
            yield from (rows,) if rows.size else ()
        else:
            load = np.cumsum(np.maximum(length[rows], n * (n + 1)))
            edges = np.arange(_CHUNK, load[-1], _CHUNK)
            yield from np.split(rows, np.searchsorted(load, edges))

    def _fit_rows(
        self,
        specification: Specification,
        points: Points,
        rows: Ints,
        places: Ints,
        at: Any,
        start: Floats,
    ) -> Bools:
        """Fit the curves `rows` of the points and write them to `places` of the result.

        `at` are the places, or the slice that they are. Returns (len(rows),), which are done. Of
        the others those that were begun have their last iterate written, and status 0.
        """
        prepared, fit = self.prepared, self.fit
        constants = tuple(c[:, 0] if len(c) == 1 else c[places, 0] for c in prepared.constants)
        task = _Task(specification, points, rows, constants)
        ends = Ends(fit.params, fit.cost, self.data, fit.nfev, fit.njev, fit.status, fit.n_points)
        covariances = Covariances(fit.cov, fit.stderr, self.verdict, fit.dof)
        normal, kernel_s = task.run(start, prepared.rules, ends, places)
        faint = np.flatnonzero(fit.cost[at] < LEAST_SQUARES)
        if faint.size:
            normal[faint] = self._with_subnormals(task, faint, start, ends, places)
        few = self._leave_out(points.length[rows], at) if specification.gaps else None
        made_for = Finish.of(specification, absolute=prepared.options.absolute_sigma)
        box = prepared.rules.box
        finish_s = finish(made_for, self.machine, normal, ends, places, covariances, box)
        self.compile_s.append(kernel_s + finish_s)
        write_flags(fit, prepared, places, at)
        verdict, handed_over = self.verdict[at], fit.status[at] == HANDED_OVER
        if few is not None:
            verdict[few] = Verdict.LOST
        done: Bools = (verdict <= Verdict.DOUBTFUL) & ~handed_over
        doubtful = np.flatnonzero(done & (verdict == Verdict.DOUBTFUL))
        if doubtful.size:
            exact = fit.cost[places[doubtful]] == 0  # and so is the covariance: it tells nothing
            done[doubtful[exact]] = False
            self._put_to_the_test(task, places, doubtful[~exact])
        fit.compiled[at] = done
        if not done.all():
            self._leave(places[~done], verdict[~done] == Verdict.LOST)
            ill = np.flatnonzero((verdict == Verdict.ILL_CONDITIONED) & ~handed_over)
            if ill.size:
                done[ill] = self._by_rotations(task.take(ill), places[ill])
        return done

    def _with_subnormals(
        self, task: "_Task", faint: Ints, start: Floats, ends: Ends, places: Ints
    ) -> Floats:
        """Fit curves of a task again whose sum of squares is next to nothing; return their JᵀJ.

        It is 0, or it was flushed; and with subnormal numbers it may have lost digits, which the
        reference engine keeps.
        """
        some, at = task.take(faint), places[faint]
        start = start if len(start) == 1 else start[faint]
        normal, _ = some.run(start, self.prepared.rules, ends, at, flush=False)
        cost = self.fit.cost[at]
        self.fit.status[at[(cost > 0) & (cost < LEAST_SQUARES)]] = HANDED_OVER
        return normal

    def _leave_out(self, lengths: Ints, at: Any) -> Bools:
        """Write how many points count, and flag the gaps; return which curves have too few.

        These have no fit yet: what becomes of them is decided where they are laid out.
        """
        fit, n = self.fit, self.prepared.free.size
        n_points = fit.n_points[at]
        fit.dof[at] = np.maximum(n_points - n, 0)
        fit.flags[at] |= np.where(n_points < lengths, np.uint8(Flag.POINTS_OMITTED), np.uint8(0))
        return np.asarray(n_points < max(1, n))

    def _by_rotations(self, task: "_Task", rows: Ints) -> Bools:
        """Go on with curves by QR from where they are; return (len(rows),), which are done.

        Of the others some have ended, with a status and without a covariance, since their Jacobian
        is nearly rank deficient; the rest have their last iterate written, and status 0.
        """
        fit, free, box = self.fit, self.prepared.free, self.prepared.rules.box
        ends = Ends.places(len(rows), self.prepared.model.n_params)
        start, places = fit.params[rows], np.arange(len(rows))
        triangle, compile_s = task.with_rotations().run(start, self.prepared.rules, ends, places)
        self.compile_s.append(compile_s)
        fit.params[rows], fit.cost[rows] = ends.params, ends.cost
        fit.nfev[rows] += ends.nfev
        fit.njev[rows] += ends.njev
        params = ends.params[:, free]
        held = np.zeros_like(params, dtype=np.bool_) if box is None else box.on_face(params)
        R = np.zeros((len(rows), free.size, free.size))
        R[:, *np.tril_indices(free.size)] = triangle  # column by row
        R[held] = 0.0
        with np.errstate(all="ignore"):
            covariance = unscaled_covariance(R.copy(), _RANK)  # RᵀR = JᵀJ: R will do for J
            doubtful = covariance.undetermined | (np.abs(R).max(axis=2) < LEAST_NORM)
            ended = ends.status != HANDED_OVER
            done: Bools = ended & ~(doubtful & ~held).any(axis=1)
            some = np.flatnonzero(done)
            fit.status[rows[ended]], fit.compiled[rows[ended]] = ends.status[ended], True
            write_covariance(
                fit,
                self.prepared,
                rows[some],
                params[some],
                np.where(held[:, :, None] | held[:, None, :], 0.0, covariance.cov_x)[some],
                held=None if box is None else held[some],
                undetermined=None,
                data=self.data[rows[some]],
                chi2_at=self._chi2_of(task.take(some), rows[some]),
            )
        return done

    def _leave(self, rows: Ints, lost: Bools) -> None:
        """Leave curves to the reference engine, with their last iterates if they are not lost."""
        fit = self.fit
        fit.status[rows], fit.at_bound[rows] = 0, False
        fit.flags[rows] &= np.uint8(Flag.POINTS_OMITTED)
        fit.cov[rows], fit.stderr[rows] = np.nan, np.nan
        forget(fit, rows[lost])
        fit.nfev[rows[lost]], fit.njev[rows[lost]] = 0, 0

    def _put_to_the_test(self, task: "_Task", places: Ints, doubtful: Ints) -> None:
        """Look at chi2 where standard errors are large: they may mean nothing."""
        fit, prepared, rows = self.fit, self.prepared, places[doubtful]
        scale = np.ones(len(rows))
        if not prepared.options.absolute_sigma:
            scale = scale_of(fit.dof[rows], 2.0 * fit.cost[rows])
        free = prepared.free
        unclear = undetermined_by_rise(
            fit.params[rows][:, free],
            fit.cov[rows][:, free[:, None], free] / scale[:, None, None],
            fit.cost[rows],
            scale,
            self.data[rows],
            self._chi2_of(task.take(doubtful), rows),
            prepared.rules.box,
        )
        mark_undetermined(fit, prepared, rows, unclear & ~fit.at_bound[rows][:, free])

    def _chi2_of(self, task: "_Task", rows: Ints) -> Callable[[Ints, Floats], Floats]:
        """Return what gives the sums of squares of some of the curves of a task at parameters."""

        def chi2_at(some: Ints, params: Floats) -> Floats:
            there = self.fit.params[rows[some]]
            there[:, self.prepared.free] = params
            ends = Ends.places(len(some), there.shape[1])
            task.take(some).run(there, _AT_ONCE, ends, np.arange(len(some)))
            return 2.0 * ends.cost

        return chi2_at

    def _specification(self, points: Points, *, ragged: bool) -> Specification:
        """Return the kernel for these data."""
        prepared = self.prepared
        model, graph = prepared.model, prepared.model.graph
        assert graph is not None
        sigma = () if points.sigma is None else (points.sigma,)
        longest = int(points.length.max(initial=0))
        own = (p for p, shared in zip(points.predictors, points.shared, strict=True) if not shared)
        return Specification(
            graph=graph,
            free=tuple(model.params[j] for j in prepared.free),
            shared=points.shared,
            even=points.even,
            single=tuple(a.dtype == np.float32 for a in (points.y, *sigma, *own)),
            weighted=points.sigma is not None,
            ragged=ragged,
            bounded=prepared.rules.box is not None,
            scaled=prepared.rules.diag is not None,
            machine=self.machine,
            registers=registers_for(self.machine, longest, prepared.free.size),
        )


def registers_for(machine: Machine, n_points: int, n_free: int) -> int:
    """Return how many registers a value has, of curves of so many points and parameters."""
    short = n_points <= _LONG and n_free <= _FEW_PARAMS
    return 2 if short and machine.many_registers else 1


def _by_length(lengths: Ints) -> Ints:
    """Return an order in which curves follow others of about their length, and their neighbours.

    Sorted window by window, up and down in turns: as a whole, each curve would be fetched from
    anywhere in memory, and its result written there.
    """
    n = len(lengths)
    short = (lengths - 1).astype(np.uint16)  # sorted in linear time
    order = np.empty(n, dtype=np.intp)
    for k, first in enumerate(range(0, n, _WINDOW)):
        last = min(first + _WINDOW, n)
        own = first + np.argsort(short[first:last], kind="stable")
        order[first:last] = own if k % 2 == 0 else own[::-1]
    return order


@dataclass(frozen=True, slots=True)
class _Task:
    """Some curves and the kernel that fits them; `constants` (len(rows) or 1,) each."""

    specification: Specification
    points: Points
    rows: Ints
    constants: tuple[Floats, ...]

    def take(self, some: Ints) -> "_Task":
        """Return some of the curves."""
        constants = tuple(c if len(c) == 1 else c[some] for c in self.constants)
        return _Task(self.specification, self.points, self.rows[some], constants)

    def with_rotations(self) -> "_Task":
        """Return the same for the kernel that holds a triangle."""
        specification = replace(self.specification, rotations=True, registers=1)
        return replace(self, specification=specification)

    def run(
        self, start: Floats, rules: Rules, ends: Ends, places: Ints, *, flush: bool = True
    ) -> tuple[Floats, float]:
        """Fit the curves from their start values, (len(rows) or 1, n_params); see `engine.run`."""
        specification = self.specification
        if (specification.bounded, specification.scaled) != (
            rules.box is not None,
            rules.diag is not None,
        ):
            specification = replace(specification, bounded=False, scaled=False)
        given = self.points, self.rows, start, self.constants, rules, ends, places
        return run(specification, *given, flush=flush)
