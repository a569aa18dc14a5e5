"""What a batch needs besides its curves: model, options, start values and constants, made fit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from .arrays import ArrayLike, Bools, Floats, Ints
from .bounds import Box
from .curves import Curves, Slab
from .minpack import Rules
from .model import Model
from .options import FitOptions
from .residuals import CurveProblem, read_only
from .trust_region import Tolerances


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model, options and start values, checked: what is the same for all curves of a batch.

    `start` (n_curves or 1, n_params) holds p0, and the model's own start values where the model may
    guess better ones (`guessed`); `constants` are (n_curves or 1, 1) each.
    """

    model: Model
    options: FitOptions
    start: Floats
    guessed: Bools
    constants: tuple[Floats, ...]
    free: Ints
    box: Box
    rules: Rules

    @classmethod
    def of(
        cls,
        model: Model,
        n_curves: int,
        p0: Any,
        constants: Mapping[str, ArrayLike] | None,
        options: FitOptions,
    ) -> Self:
        """Check everything that does not depend on the data of a curve."""
        fixed = options.fixed_for(model.params)
        free = np.array([j for j, p in enumerate(model.params) if p not in fixed], dtype=np.intp)
        start, guessed = start_values(model, n_curves, p0, fixed)
        lower, upper = options.bounds_for(model.params, model.bounds)
        box = Box(lower[free], upper[free])
        bounded = bool(np.isfinite(box.lower).any() or np.isfinite(box.upper).any())
        diag = options.diag_for(model.params)
        rules = Rules(
            tolerances=Tolerances(
                options.ftol, options.xtol, options.gtol, _maxfev(model, free, options)
            ),
            factor=options.factor,
            diag=None if diag is None else diag[free],
            box=box if bounded else None,
        )
        return cls(
            model,
            options,
            start,
            guessed,
            _constant_columns(model, n_curves, constants or {}),
            free,
            box,
            rules,
        )

    def by(self, model: Model) -> Self:
        """Return the same for another function of the same predictors, constants and params."""
        maxfev = _maxfev(model, self.free, self.options)
        tolerances = replace(self.rules.tolerances, maxfev=maxfev)
        return replace(self, model=model, rules=replace(self.rules, tolerances=tolerances))

    def starts(self, curves: Curves, rows: Ints) -> Floats:
        """Return start values, (len(rows) or 1, n_params): guesses from y where it is all finite.

        Where a guess would be needed and y is not all finite they are NaN.
        """
        if not self.guessed.any() or self.model.guess is None:
            return self.start if len(self.start) == 1 else self.start[rows]
        start = np.full((len(rows), self.model.n_params), np.nan)
        for places, slab in curves.unpadded(rows):
            finite = np.isfinite(slab.y).all(axis=1)
            if finite.all():
                start[places] = self.start_for(slab)
            elif finite.any():
                start[places[finite]] = self.start_for(slab.take(np.flatnonzero(finite)))
        return start

    def may_start(self, start: Floats) -> Bools:
        """Return whether start values are finite and inside the bounds."""
        return np.isfinite(start).all(axis=1) & self.box.contains(start[:, self.free])

    def start_for(self, slab: Slab) -> Floats:
        """Return the start values of a slab, (n, n_params); guesses are moved into the bounds."""
        guess = None
        if self.guessed.any() and self.model.guess is not None:
            views = tuple(read_only(p) for p in slab.predictors)
            x = views if len(views) > 1 else views[0]
            guess = np.array(self.model.guess(x, read_only(slab.y), slab.valid), dtype=np.float64)
        return self.started(slab.rows, guess)

    def started(self, rows: Ints, guess: Floats | None) -> Floats:
        """Return start values, (len(rows), n_params): p0, and a guess, moved into the bounds.

        The guess may be written over.
        """
        if guess is not None and self.guessed.all():
            start = guess
        else:
            given = self.start if len(self.start) == 1 else self.start[rows]
            start = np.array(np.broadcast_to(given, (len(rows), self.model.n_params)))
            if guess is not None:
                start[:, self.guessed] = guess[:, self.guessed]
        if self.rules.box is not None:
            movable = self.free[self.guessed[self.free]]
            inside = np.isin(self.free, movable)
            start[:, movable] = np.clip(
                start[:, movable], self.box.lower[inside], self.box.upper[inside]
            )
        return start

    def problem(self, slab: Slab, template: Floats) -> CurveProblem:
        """Return the problem of a slab, ready for the engine."""
        n = len(slab.rows)
        constants = tuple(
            np.broadcast_to(c, (n, 1)) if len(c) == 1 else c[slab.rows] for c in self.constants
        )
        weight = slab.weight
        return CurveProblem(
            model=self.model,
            predictors=slab.predictors,
            constants=constants,
            y=slab.y,
            weight=weight,
            valid=None if slab.valid.all() else slab.valid,
            template=template,
            free=self.free,
            box=self.rules.box,
            epsfcn=self.options.epsfcn,
        )


def _maxfev(model: Model, free: Ints, options: FitOptions) -> int:
    """Return the most evaluations a curve: differences are evaluations too."""
    return options.maxfev or (100 if model.jac is not None else 200) * (free.size + 1)


def start_values(
    model: Model, n_curves: int, p0: Any, fixed: Mapping[str, Any]
) -> tuple[Floats, Bools]:
    """Return start values, (1 or n_curves, n_params), and which of them the model is to guess.

    Raises
    ------
    ValueError
        When p0 or a fixed value has the wrong size or names what is no parameter.
    """
    names, n_params = model.params, model.n_params
    given: dict[str, Any] = {}
    if isinstance(p0, Mapping):
        given = dict(p0)
        unknown = set(given) - set(names)
        if unknown:
            raise ValueError(f"p0 names {sorted(unknown)}, which are no parameters of {names}")
    elif p0 is not None:
        table = np.asarray(p0, dtype=np.float64)
        if table.shape not in {(n_params,), (n_curves, n_params), (1, n_params)}:
            raise ValueError(
                f"p0 must be ({n_params},) or ({n_curves}, {n_params}), one value for each of "
                f"{names}; got shape {table.shape}"
            )
        given = {name: np.atleast_2d(table)[:, j] for j, name in enumerate(names)}
    given |= {name: value for name, value in fixed.items() if value is not None}
    columns = {name: _column(value, n_curves, f"p0[{name!r}]") for name, value in given.items()}
    height = n_curves if any(len(c) != 1 for c in columns.values()) else 1
    start = np.empty((height, n_params))
    for j, name in enumerate(names):
        start[:, j] = columns.get(name, model.start.get(name, 1.0))
    return start, np.array([name not in columns for name in names])


def _column(value: Any, n_curves: int, what: str) -> Floats:
    """Return a value a curve, or one for all, as (n_curves,) or (1,)."""
    column = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if column.shape not in {(1,), (n_curves,)}:
        raise ValueError(f"{what} must be a number or ({n_curves},), got shape {column.shape}")
    return column


def _constant_columns(
    model: Model, n_curves: int, constants: Mapping[str, ArrayLike]
) -> tuple[Floats, ...]:
    """Return the constants in the model's order, (n_curves or 1, 1) each."""
    if set(constants) != set(model.constants):
        raise ValueError(
            f"model {model.name!r} needs the constants {model.constants}, got {tuple(constants)}"
        )
    return tuple(
        _column(constants[name], n_curves, f"constants[{name!r}]")[:, None]
        for name in model.constants
    )
