"""The state of curves that are being solved, and of those that are done."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from .arrays import Bools, Floats, Ints
from .norms import enorm
from .status import Status


@dataclass(frozen=True, slots=True)
class Solution:
    """Where each curve ended.

    Attributes
    ----------
    params
        (n_curves, n_params), the last accepted point.
    fnorm
        (n_curves,), the norm of the residuals there.
    status
        (n_curves,) int8, see `Status`.
    nfev, njev
        (n_curves,) int32.
    """

    params: Floats
    fnorm: Floats
    status: npt.NDArray[np.int8]
    nfev: npt.NDArray[np.int32]
    njev: npt.NDArray[np.int32]

    @classmethod
    def empty(cls, n_curves: int, n_params: int) -> Self:
        """Return places for the ends of `n_curves`."""
        return cls(
            params=np.full((n_curves, n_params), np.nan),
            fnorm=np.full(n_curves, np.nan),
            status=np.zeros(n_curves, dtype=np.int8),
            nfev=np.zeros(n_curves, dtype=np.int32),
            njev=np.zeros(n_curves, dtype=np.int32),
        )

    def store(self, state: "WorkingSet", rows: Ints) -> None:
        """Write down the curves of `state[rows]`, which are done."""
        at = state.row[rows]
        self.params[at] = state.x[rows]
        self.fnorm[at] = state.fnorm[rows]
        self.status[at] = state.status[rows]
        self.nfev[at] = state.nfev[rows]
        self.njev[at] = state.njev[rows]


@dataclass(frozen=True, slots=True)
class LastFactors:
    """What ``leastsq`` returns beside the parameters: residuals, and the last factors.

    `fun` (n_curves, n_points), `packed` (n_curves, n_params, n_points), `pivot` and `qtf`
    (n_curves, n_params), as in `manyfit.solver.qr.PivotedQR`.
    """

    fun: Floats
    packed: Floats
    pivot: Ints
    qtf: Floats


@dataclass(slots=True)
class WorkingSet:
    """The state of the curves that are being solved; every array has one row a curve.

    `row` is the curve's place in the batch, `R`, `qtf`, `pivot` and `gradient` come from the last
    Jacobian, `diag` are the scales in the order of the parameters, `moved` tells that the
    Jacobian is out of date, `first` that no step has been accepted yet. A `status` other than 0
    means done.
    """

    row: Ints
    x: Floats
    fun: Floats
    fnorm: Floats
    xnorm: Floats
    gnorm: Floats
    delta: Floats
    par: Floats
    diag: Floats
    R: Floats
    qtf: Floats
    pivot: Ints
    gradient: Floats
    moved: Bools
    first: Bools
    nfev: npt.NDArray[np.int32]
    njev: npt.NDArray[np.int32]
    status: npt.NDArray[np.int8]

    @classmethod
    def start(cls, row: Ints, x: Floats, fun: Floats) -> Self:
        """Begin at `x` with residuals `fun`."""
        n_curves, n = x.shape
        fnorm = enorm(fun)
        return cls(
            row=row,
            x=x.copy(),
            fun=fun,
            fnorm=fnorm,
            xnorm=np.zeros(n_curves),
            gnorm=np.zeros(n_curves),
            delta=np.zeros(n_curves),
            par=np.zeros(n_curves),
            diag=np.ones((n_curves, n)),
            R=np.zeros((n_curves, n, n)),
            qtf=np.zeros((n_curves, n)),
            pivot=np.zeros((n_curves, n), dtype=np.intp),
            gradient=np.zeros((n_curves, n)),
            moved=np.ones(n_curves, dtype=np.bool_),
            first=np.ones(n_curves, dtype=np.bool_),
            nfev=np.ones(n_curves, dtype=np.int32),
            njev=np.zeros(n_curves, dtype=np.int32),
            status=np.where(np.isfinite(fnorm), 0, Status.MODEL_NONFINITE).astype(np.int8),
        )

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.row)

    def take(self, rows: Ints) -> Self:
        """Return the state of some of the curves."""
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def join(self, other: Self) -> Self:
        """Return the state of both sets of curves."""
        return type(self)(
            **{
                f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)])
                for f in fields(self)
            }
        )
