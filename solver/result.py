"""What a batch of fits returns."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Bools, Floats
from .curves import by_predictor
from .derived import Derived, derived_graphs, propagated
from .evaluation import evaluate
from .model import Model
from .status import Flag, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFit:
    """Parameters, covariance and a status code for every curve of a batch.

    Attributes
    ----------
    model
        What was fitted; its `params` give the order of every axis of parameters.
    params
        (n_curves, n_params) float64. The last iterate where the fit did not converge, NaN where
        no fit took place.
    cov
        (n_curves, n_params, n_params) float64, scaled by redchi unless absolute_sigma. NaN for
        parameters the data do not determine, zero rows for parameters that were held.
    stderr
        (n_curves, n_params) float64, the root of the diagonal; NaN for held parameters.
    status
        (n_curves,) int8, see `Status`.
    flags
        (n_curves,) uint8, see `Flag`.
    at_bound, undetermined
        (n_curves, n_params) bool, the parameters that the flags of these names speak of.
    nfev, njev
        (n_curves,) int32, evaluations of the model (with those for differences) and Jacobians.
    cost
        (n_curves,) float64, half the sum of squares of the (weighted) residuals.
    n_points, dof
        (n_curves,) int32, points used, and points less free parameters.
    compiled
        (n_curves,) bool, whether the compiled engine ended the fit; else the reference engine did.
    compile_s
        What compiling took in this call, in seconds; 0 where the code was there already.
    """

    model: Model
    params: Floats
    cov: Floats
    stderr: Floats
    status: npt.NDArray[np.int8]
    flags: npt.NDArray[np.uint8]
    at_bound: Bools
    undetermined: Bools
    nfev: npt.NDArray[np.int32]
    njev: npt.NDArray[np.int32]
    cost: Floats
    n_points: npt.NDArray[np.int32]
    dof: npt.NDArray[np.int32]
    compiled: Bools
    compile_s: float = 0.0
    x: tuple[Any, ...] = field(repr=False)
    constants: tuple[Any, ...] = field(default=(), repr=False)
    offsets: npt.NDArray[np.int64] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.status)

    @property
    def success(self) -> Bools:
        """(n_curves,) bool: status 1 to 4."""
        return (self.status >= 1) & (self.status <= 4)

    @property
    def redchi(self) -> Floats:
        """(n_curves,) chi-square a degree of freedom, NaN where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.dof > 0, 2.0 * self.cost / self.dof, np.nan)

    @property
    def derived(self) -> dict[str, Derived]:
        """The model's derived quantities by name, with their standard errors; see `Derived`."""
        ends = self.params, self.cov, self.stderr, self.constants
        return {name: propagated(g, *ends) for name, g in derived_graphs(self.model).items()}

    @property
    def message(self) -> list[str]:
        """One sentence a curve, with what is held or undetermined named."""
        return [self._message(i) for i in range(len(self))]

    def counts(self) -> dict[Status, int]:
        """Return how many curves ended with each status."""
        codes, counts = np.unique(self.status, return_counts=True)
        return {Status(int(c)): int(n) for c, n in zip(codes, counts, strict=True)}

    def _message(self, i: int) -> str:
        """Compose the sentence of curve i."""
        parts = [Status(int(self.status[i])).message]
        flags = Flag(int(self.flags[i]))
        if flags & Flag.AT_BOUND:
            parts.append(f"Held at a bound: {self._names(self.at_bound[i])}.")
        if flags & Flag.UNDETERMINED:
            parts.append(f"Not determined by the data: {self._names(self.undetermined[i])}.")
        if flags & Flag.NO_DOF:
            parts.append("No degree of freedom is left to estimate the covariance.")
        if flags & Flag.POINTS_OMITTED:
            parts.append("Points that are not finite were left out.")
        return " ".join(parts)

    def _names(self, which: Bools) -> str:
        """List the parameters of a mask, (n_params,)."""
        return ", ".join(p for p, yes in zip(self.model.params, which, strict=True) if yes)

    def evaluate(self, x: Any = None) -> Floats:
        """Return the model at the fitted parameters.

        Parameters
        ----------
        x
            Where: an array (n_points,) shared by all curves or (n_curves, n_points), or a mapping
            of predictor name to such arrays; default: the x of the data.

        Returns
        -------
        (n_curves, n_points) float64; flat as the data for ragged curves and no x. NaN for curves
        that were not fitted, and where x is not finite.

        Raises
        ------
        ValueError
            When the shapes do not fit, or predictors are missing.
        """
        predictors = self.x if x is None else by_predictor(self.model, x)
        offsets = self.offsets if x is None else None
        return evaluate(self.model, self.params, predictors, self.constants, offsets)
