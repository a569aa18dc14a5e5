"""How a fit ended: one code a curve, and flags that qualify what came with it.

Codes 0 to 8 are MINPACK's ``info`` with MINPACK's numbers; success is 1 to 4 and nothing else.
Negative codes say why no fit took place: such a curve has NaN parameters, never zeros.
"""

from enum import IntEnum, IntFlag


class Status(IntEnum):
    """How one fit ended.

    Source of 0 to 8: Moré, Garbow, Hillstrom, User Guide for MINPACK-1 (1980), ``lmder``, INFO.
    """

    IMPROPER_INPUT = 0
    CONVERGED_FTOL = 1
    CONVERGED_XTOL = 2
    CONVERGED_BOTH = 3
    CONVERGED_GTOL = 4
    MAXFEV = 5
    FTOL_TOO_SMALL = 6
    XTOL_TOO_SMALL = 7
    GTOL_TOO_SMALL = 8
    NO_DATA = -1
    NONFINITE_DATA = -2
    BAD_SIGMA = -3
    TOO_FEW_POINTS = -4
    BAD_START = -5
    MODEL_NONFINITE = -6
    JACOBIAN_NONFINITE = -7
    TASK_LOST = -8

    @property
    def success(self) -> bool:
        """Whether the fit converged: codes 1 to 4."""
        return 1 <= self <= 4

    @property
    def message(self) -> str:
        """One sentence for a person."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.IMPROPER_INPUT: "Improper input parameters.",
    Status.CONVERGED_FTOL: "Both actual and predicted relative reductions in the sum of squares "
    "are at most ftol.",
    Status.CONVERGED_XTOL: "The relative error between two consecutive iterates is at most xtol.",
    Status.CONVERGED_BOTH: "Both actual and predicted relative reductions in the sum of squares "
    "are at most ftol, and the relative error between two consecutive iterates is at most xtol.",
    Status.CONVERGED_GTOL: "The cosine of the angle between the residuals and any column of the "
    "Jacobian is at most gtol in absolute value.",
    Status.MAXFEV: "Number of calls to the model has reached maxfev.",
    Status.FTOL_TOO_SMALL: "ftol is too small: no further reduction in the sum of squares is "
    "possible.",
    Status.XTOL_TOO_SMALL: "xtol is too small: no further improvement in the parameters is "
    "possible.",
    Status.GTOL_TOO_SMALL: "gtol is too small: the residuals are orthogonal to the columns of the "
    "Jacobian to machine precision.",
    Status.NO_DATA: "The curve is null or has no points.",
    Status.NONFINITE_DATA: "The values are NaN or infinite: at every point, or at some with "
    "nan_policy='propagate'.",
    Status.BAD_SIGMA: "sigma must be finite and > 0 at every point.",
    Status.TOO_FEW_POINTS: "The curve has fewer usable points than free parameters.",
    Status.BAD_START: "The start values are not finite or lie outside the bounds.",
    Status.MODEL_NONFINITE: "The model, or its sum of squares, is not finite at the start values.",
    Status.JACOBIAN_NONFINITE: "The Jacobian is not finite, exact or by differences; the last "
    "iterate is kept.",
    Status.TASK_LOST: "The partition of this curve could not be computed.",
}


class Flag(IntFlag):
    """What qualifies a fit that took place; several may hold at once."""

    POINTS_OMITTED = 1
    """Some points were NaN or infinite and were left out."""
    AT_BOUND = 2
    """A parameter is held at a bound: its stderr is NaN and its covariance row is zero."""
    UNDETERMINED = 4
    """The data do not determine a parameter - the Jacobian cannot tell it from others, or its
    standard error is large and not borne out by the sum of squares: its stderr and covariance
    are NaN."""
    NO_DOF = 8
    """As many points as free parameters: without absolute_sigma the covariance has no scale
    and is NaN."""
