"""The residuals of curves of one model: weight * (model(x, p) - y), and their Jacobian."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from .arrays import Bools, Floats, Ints
from .bounds import Box
from .columns import column
from .differences import forward_differences
from .model import Model


@dataclass(frozen=True, slots=True)
class CurveProblem:
    """Curves of equal width and one model, as the engine asks for them.

    Attributes
    ----------
    model
        Its `func` and `jac` are called with rows of curves, or, when `alone`, curve by curve.
    predictors
        One array a predictor, (1, n_points) where all curves share it, else (n_curves, n_points).
    constants
        One array a constant, (n_curves, 1).
    y
        (n_curves, n_points).
    weight
        (n_curves, n_points), 1/sigma, zero where the point does not count; None: all ones.
    valid
        (n_curves, n_points) bool, the points that count; None: all. The others repeat a point
        that does.
    template
        (n_curves, n_params): the values of the fixed parameters; the others are ignored.
    free
        The places of the parameters that are fitted.
    box
        Bounds of the free parameters, or None.
    epsfcn
        For forward differences.
    alone
        Whether the function serves single curves only.
    """

    model: Model
    predictors: tuple[Floats, ...]
    constants: tuple[Floats, ...]
    y: Floats
    weight: Floats | None
    valid: Bools | None
    template: Floats
    free: Ints
    box: Box | None = None
    epsfcn: float | None = None
    alone: bool = False

    def take(self, rows: Ints) -> Self:
        """Return the problem of some of the curves."""
        return replace(
            self,
            predictors=tuple(p if len(p) == 1 else p[rows] for p in self.predictors),
            constants=tuple(c[rows] for c in self.constants),
            y=self.y[rows],
            weight=None if self.weight is None else self.weight[rows],
            valid=None if self.valid is None else self.valid[rows],
            template=self.template[rows],
        )

    def complete(self, params: Floats) -> Floats:
        """Return all parameters, (n_curves, all), from the free ones."""
        if self.free.size == self.template.shape[1]:
            return params
        complete = self.template.copy()
        complete[:, self.free] = params
        return complete

    def values(self, params: Floats) -> Floats:
        """Return the model's values, (n_curves, n_points), at the free parameters."""
        if self.alone:
            return self._one_by_one(lambda *a: [self.model.func(*a)], params, 1)[0]
        return as_rows(self.model.func(*self._arguments(params)), self.y.shape)

    def residuals(self, params: Floats) -> Floats:
        """Return weight * (model - y), (n_curves, n_points), at the free parameters."""
        fun = self.values(params) - self.y
        if self.weight is not None:
            fun *= self.weight
        return fun

    def jacobian(self, params: Floats, fun: Floats) -> tuple[Floats, int]:
        """Return the Jacobian of the residuals and its cost in evaluations; see `Problem`.

        Exact where the model has derivatives. Where these are not finite although the model is
        (a removable 0 * inf), the curve's Jacobian is taken by forward differences.
        """
        if self.model.jac is None:
            return self.differences(params, fun), self.free.size
        return self.jacobian_at(params), 0

    def jacobian_at(self, params: Floats) -> Floats:
        """Return the Jacobian as `jacobian` does, where the residuals are not known."""
        if self.model.jac is None:
            return self.differences(params, self.residuals(params))
        jac = self.exact_jacobian(params)
        if not np.isfinite(jac.sum()):  # one cheap pass; the rows are looked at only then
            lost = np.flatnonzero(~np.isfinite(jac).all(axis=(1, 2)))
            if lost.size:
                part = self.take(lost)
                jac[lost] = part.differences(params[lost], part.residuals(params[lost]))
        return jac

    def exact_jacobian(self, params: Floats) -> Floats:
        """Return the weighted derivatives that the model itself gives, finite or not."""
        shape = (len(params), self.free.size, self.y.shape[1])
        jac = np.empty(shape)
        assert self.model.jac is not None
        derivatives: Sequence[Any] = (
            self._one_by_one(self.model.jac, params, self.template.shape[1])
            if self.alone
            else self.model.jac(*self._arguments(params))
        )
        for k, j in enumerate(self.free):
            jac[:, k] = derivatives[j]
        if self.weight is not None:
            jac *= self.weight[:, None, :]
        return jac

    def differences(self, params: Floats, fun: Floats) -> Floats:
        """Return forward differences of the residuals."""
        return forward_differences(self.residuals, params, fun, epsfcn=self.epsfcn, box=self.box)

    def _arguments(self, params: Floats) -> list[Any]:
        """Return the arguments of the model's function for all curves."""
        complete = self.complete(params)
        columns = [column(complete[:, j, None]) for j in range(complete.shape[1])]
        predictors = [read_only(p) for p in self.predictors]
        constants = [column(c) for c in self.constants]
        return self.model.arrange(predictors, constants, columns)

    def _one_by_one(self, func: Any, params: Floats, n_outputs: int) -> list[Floats]:
        """Call `func` curve by curve with the points that count and plain numbers."""
        complete = self.complete(params)
        outputs = [np.zeros(self.y.shape) for _ in range(n_outputs)]
        for i in range(len(params)):
            keep = slice(None) if self.valid is None else self.valid[i]
            result = func(*self.arguments_alone(i, complete[i], keep))
            for out, values in zip(outputs, result, strict=True):
                out[i, keep] = _as_real(values)
        return outputs

    def arguments_alone(self, i: int, params: Sequence[float], keep: Any) -> list[Any]:
        """Return the arguments for curve i alone: 1-D predictors, plain numbers."""
        predictors = [read_only(p[0 if len(p) == 1 else i][keep]) for p in self.predictors]
        constants = [float(c[i, 0]) for c in self.constants]
        return self.model.arrange(predictors, constants, [float(p) for p in params])


def as_rows(values: Any, shape: tuple[int, ...]) -> Floats:
    """Return the model's values as float64 of the given shape, a fresh array or the model's own."""
    array = _as_real(values)
    return array if array.shape == shape else np.broadcast_to(array, shape)


def _as_real(values: Any) -> Floats:
    """Return what a model returned as float64, or say that it is not real."""
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise ValueError(f"a model must return real numbers, got dtype {array.dtype}")
    return array.astype(np.float64, copy=False)


def read_only(values: Floats) -> Floats:
    """Return a view that a model which writes into its arguments cannot corrupt."""
    view = values.view()
    view.flags.writeable = False
    return view
