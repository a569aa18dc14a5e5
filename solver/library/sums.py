"""Start values of a sum of models, from the guess of each.

Each term is guessed in turn on what those before it leave, and then once more on what all others
leave. A guess takes two peaks for a single wide one; so in the first round peaks are looked for at
all points, and near the largest deviation alone, over a half, a quarter and an eighth of the range
of x. Which term is first matters too: the terms are taken in their order, and from the last to the
first. What an attempt leaves says little before the terms give way to each other: some steps of
all parameters together come first. Of these attempts each curve gets the one that leaves least.

Sources: Buja, Hastie, Tibshirani, Ann. Statist. 17 (1989) 453, backfitting; Marquardt, J. SIAM 11
(1963) 431, the steps.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arrays import Bools, Floats
from ..model import Guess, Model
from .frames import data_frame
from .passes import Column, Curves, Point, Value
from .recipe import Recipe
from .regression import moments
from .terms import Term, paired, term_of

ROUNDS = 2
"""How often each term is guessed."""

REACHES = (2.0, 0.25, 0.125, 0.0625)
"""How far from the largest deviation a peak is looked for, over the range of x; 2: everywhere."""

STEPS = 4
"""Steps of all parameters together."""

DAMPING = 0.01
"""The first damping of these steps, a share of the diagonal; then a tenth, or ten times as much."""

MOST_TOGETHER = 16
"""With more parameters there are no such steps: their code grows by the cube."""

ALIKE = 1e-8
"""An attempt must leave less than one before it by this share: often two are the same but for the
names of two peaks, and rounding would tell which is taken."""

INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class SumEstimate:
    """The estimate of a sum of models of one predictor; see `passes.Estimate`.

    It sees the data in their own units: the guess of each term finds simple ones.

    Attributes
    ----------
    terms
        In the order of their parameters. One alone is any model of which some parameters are
        not wanted.
    """

    terms: tuple[Term, ...]

    def __call__(self, curves: Curves) -> list[Value]:
        """Return the parameters of the sum."""
        forward = tuple(range(len(self.terms)))
        if len(self.terms) == 1:
            columns = _Attempt(curves, self.terms).guessed(forward, 1)
        else:
            columns = self._best(curves, (forward, forward[::-1]))
        by_term = zip(self.terms, self._by_term(columns), strict=True)
        return [own[j] for term, own in by_term for j in term.kept]

    def _best(self, curves: Curves, orders: Sequence[Sequence[int]]) -> list[Value]:
        """Return the columns of the best attempt."""
        number = 0.0 * curves.count
        reaches = REACHES if any(term.local for term in self.terms) else REACHES[:1]
        found = []
        for order in orders:
            found += curves.each([[number + r] for r in reaches], self._attempts(curves, order))
        handicapped = [[number + (1.0 + k * ALIKE), *columns] for k, columns in enumerate(found)]
        return curves.best(handicapped, lambda given: self._together(curves, *given))

    def _attempts(
        self, curves: Curves, order: Sequence[int]
    ) -> Callable[[list[Value]], list[Value]]:
        """Return what makes an attempt, given how far it is to look for peaks."""
        return lambda given: _Attempt(curves, self.terms).guessed(order, ROUNDS, *given)

    def _by_term(self, columns: Sequence[Value]) -> list[list[Value]]:
        """Return the columns of each term."""
        rest = iter(columns)
        return [[next(rest) for _ in range(term.n_columns)] for term in self.terms]

    def _together(
        self, curves: Curves, handicap: Value, *columns: Value
    ) -> tuple[Value, list[Value]]:
        """Return by how little the columns fail, as a gain, after steps of all, and these."""
        xp, left = curves.xp, self._left(curves, columns)
        free = [j for j, is_free in enumerate(self._free()) if is_free]
        if len(free) > MOST_TOGETHER:
            return -handicap * left, list(columns)

        def step(state: list[Value]) -> list[Value]:
            *now, left, damping = state
            moved = list(now)
            for j, change in zip(free, self._step(curves, now, damping), strict=True):
                moved[j] = moved[j] + change
            there = self._left(curves, moved)
            lower = there < left
            return [
                *(xp.where(lower, new, old) for new, old in zip(moved, now, strict=True)),
                xp.where(lower, there, left),
                xp.where(lower, 0.1 * damping, 10.0 * damping),
            ]

        state = [*columns, left, 0.0 * curves.count + DAMPING]
        *found, left, _ = curves.repeated(STEPS, state, step)
        return -handicap * left, found

    def _free(self) -> Iterator[bool]:
        """Yield whether each column is free."""
        for term in self.terms:
            yield from (j in term.free for j in range(term.n_columns))

    def _rest(self, p: Point, columns: Sequence[Value]) -> Value:
        """Return what the sum leaves of y at a point."""
        rest = p.y
        for term, own in zip(self.terms, self._by_term(columns), strict=True):
            rest = rest - term.value(p, own)
        return rest

    def _left(self, curves: Curves, columns: Sequence[Value]) -> Value:
        """Return the sum of squares that is left."""

        def square(p: Point) -> list[Value]:
            rest = self._rest(p, columns)
            return [rest * rest]

        (left,) = curves.totals(square)
        return left

    def _step(self, curves: Curves, columns: Sequence[Value], damping: Value) -> list[Value]:
        """Return a damped Gauss-Newton step of the free columns."""

        def slopes(p: Point) -> list[Value]:
            by_term = zip(self.terms, self._by_term(columns), strict=True)
            return [slope for term, own in by_term for slope in term.slopes(p, own)]

        summed = moments(curves, slopes, constant=False, target=lambda p: self._rest(p, columns))
        return summed.damped(damping).regression().a


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What has been found of each term, and its values at the points."""

    curves: Curves
    terms: tuple[Term, ...]
    found: dict[int, list[Value]] = field(default_factory=dict)
    values: dict[int, list[Column]] = field(default_factory=dict)
    rest: list[Column] = field(default_factory=list)

    def guessed(self, order: Sequence[int], rounds: int, reach: Value | None = None) -> list[Value]:
        """Guess each term in turn; return the columns of all."""
        last: int | None = None
        for turn in range(rounds):
            for k in order:
                if last is not None:
                    self._evaluate(last)
                self._guess(k, reach if turn == 0 and self.terms[k].local else None)
                last = k
        return [column for k in range(len(self.terms)) for column in self.found[k]]

    def _evaluate(self, k: int) -> None:
        """Keep the values of a term at the points."""
        term, columns = self.terms[k], self.found[k]
        values = self.curves.keep(lambda p: [term.value(p, columns)], self.values.get(k, ()))
        self.values[k] = values

    def _guess(self, k: int, reach: Value | None) -> None:
        """Guess a term on what all others leave, near its largest deviation or everywhere."""
        curves, term = self.curves, self.terms[k]
        others = [column for j, (column,) in self.values.items() if j != k]

        def rest(p: Point) -> list[Value]:
            left = p.y
            for column in others:
                left = left - p.kept(column)
            left = (1.0 / term.factor) * left
            return [curves.xp.where(curves.xp.abs(left) < INFINITY, left, 0.0)]

        self.rest[:] = curves.keep(rest, self.rest)
        part = None if reach is None else _near_top(curves, self.rest[0], reach)
        self.found[k] = curves.guessed(term.guess, self.rest[0], part)


def _near_top(curves: Curves, column: Column, reach: Value) -> tuple[Value, Value]:
    """Return the first and the last point near the one furthest from the mean.

    Near is what lies within a share of the range of x around it.
    """
    xp = curves.xp
    (total,) = curves.totals(lambda p: [p.kept(column)])
    mean = total / curves.count
    _, x_top = curves.largest(lambda p: (xp.abs(p.kept(column) - mean), [p.x]))
    far = reach * (curves.x_at(curves.count) - curves.x_at(0.0 * curves.count))
    left, right = x_top - far, x_top + far
    before, within = curves.totals(
        lambda p: [xp.where(p.x < left, 1.0, 0.0), xp.where(p.x <= right, 1.0, 0.0)]
    )
    return before, xp.maximum(within - 1.0, before)


@dataclass(frozen=True, slots=True)
class SomeColumns:
    """A guess of which not all is wanted."""

    guess: Guess
    kept: tuple[int, ...]

    def __call__(self, x: Any, y: Floats, valid: Bools) -> Floats:
        """Return start values; see `Model.guess`."""
        return np.asarray(self.guess(x, y, valid), dtype=np.float64)[:, self.kept]


def joined_guess(first: Model, second: Model, *, minus: bool) -> Guess | None:
    """Return the guess of the sum or difference of two models, where there is one.

    Both must guess, of the same single predictor and no constants: a guess does not get these.
    """
    alike = first.predictors == second.predictors and len(first.predictors) == 1
    plain = alike and not first.constants and not second.constants
    if not plain or first.guess is None or second.guess is None:
        return None
    sign = -1.0 if minus else 1.0
    others = (replace(term, factor=sign * term.factor) for term in _terms(second))
    return _recipe([*_terms(first), *others])


def scaled_guess(model: Model, factor: float) -> Guess | None:
    """Return the guess of a model times a number, finite and not 0, where there is one."""
    sizes = abs(factor), 1.0 / abs(factor) if factor else math.inf
    plain = len(model.predictors) == 1 and not model.constants
    if model.guess is None or not plain or not all(map(math.isfinite, sizes)):
        return None
    return _recipe([replace(term, factor=factor * term.factor) for term in _terms(model)])


def partial_guess(model: Model, gone: Mapping[int, bool]) -> Guess | None:
    """Return the guess of a model less some parameters, by place; True: those are zero."""
    if model.guess is None:
        return None
    if not isinstance(model.guess, Recipe):
        return SomeColumns(model.guess, tuple(j for j in range(model.n_params) if j not in gone))
    terms, first = [], 0
    for term in _terms(model):
        places = range(len(term.kept))
        terms.append(term.without({k: gone[first + k] for k in places if first + k in gone}))
        first += len(places)
    return _recipe([term for term in terms if term.kept])


def _terms(model: Model) -> tuple[Term, ...]:
    """Return the terms of a model that guesses."""
    guess = model.guess
    if isinstance(guess, Recipe) and isinstance(guess.estimate, SumEstimate):
        return guess.estimate.terms
    return (term_of(model),)


def _recipe(terms: Sequence[Term]) -> Recipe:
    """Return how a sum guesses; by NumPy alone where one of its terms has no recipe."""
    terms = paired(terms)
    recipes = [term.guess for term in terms if isinstance(term.guess, Recipe)]
    return Recipe(
        SumEstimate(terms),
        sum(len(term.kept) for term in terms),
        data_frame,
        most_points=min((recipe.most_points for recipe in recipes), default=1),
        compiles=len(recipes) == len(terms) and all(recipe.compiles for recipe in recipes),
    )
