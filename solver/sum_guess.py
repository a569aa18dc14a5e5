"""Start values of a sum of models, from the guess of each.

Each term is guessed in turn on what those before it leave, and then once more on what all others
leave. A guess takes two peaks for a single wide one; so the first round is tried on all points, and
near the largest deviation alone, over a half, a quarter and an eighth of the range of x. Which
term is first matters too: the terms are taken in their order, and from the last to the first. Of
these attempts each curve gets the one that leaves least.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .arrays import Bools, Floats
from .graph.graph import GraphFunction
from .graph.nodes import ordered
from .norms import dot

if TYPE_CHECKING:
    from .model import Guess, Model

SHARES = (1.0, 0.5, 0.25, 0.125)
"""Shares of the range of x that the first round looks at."""
BLOCK_POINTS = 1 << 16
"""Points that are guessed at a time, so that what an attempt holds stays in a core's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One model of a sum.

    Attributes
    ----------
    func
        Its values: ``func(x, *columns)``, a column for each that the guess returns.
    guess
        As in `Model`.
    kept
        The columns that are parameters of the sum.
    zero
        The columns that count as zero, such as additive constants, of which a sum has one.
    linear
        Whether the model is linear in its parameters, as a background is. Such a guess needs all
        points, and has no need to look near the largest deviation.
    sign
        -1.0 where the model is subtracted.
    """

    func: GraphFunction
    guess: "Guess"
    kept: tuple[int, ...]
    zero: tuple[int, ...] = ()
    linear: bool = False
    sign: float = 1.0

    def estimate(self, x: Floats, y: Floats, valid: Bools) -> Floats:
        """Return all columns of the guess, (n_curves, n_columns)."""
        return np.asarray(self.guess(x, self.sign * y, valid), dtype=np.float64)

    def values(self, x: Floats, columns: Floats) -> Floats:
        """Return what the term adds to the sum, (n_curves, n_points)."""
        given = [
            np.zeros((1, 1)) if j in self.zero else columns[:, j, None]
            for j in range(columns.shape[1])
        ]
        shape = (len(columns), x.shape[1])
        return np.broadcast_to(self.sign * self.func(x, *given), shape)

    def without(self, gone: Mapping[int, bool]) -> Self:
        """Return the term less some of the kept columns, by place; True: those count as zero."""
        columns = {self.kept[place]: zero for place, zero in gone.items()}
        kept = tuple(j for j in self.kept if j not in columns)
        return replace(self, kept=kept, zero=(*self.zero, *(j for j, z in columns.items() if z)))


@dataclass(frozen=True, slots=True)
class SumGuess:
    """The guess of a sum of models of one predictor; a `Guess`.

    Attributes
    ----------
    terms
        In the order of their parameters. One alone is any model of which some parameters are
        not wanted.
    """

    terms: tuple[Term, ...]

    @classmethod
    def of(cls, model: "Model") -> Self | None:
        """Return the guess of a model with a graph as that of a sum, of one term if need be."""
        graph, guess = model.graph, model.guess
        assert graph is not None
        if guess is None or isinstance(guess, cls):
            return guess
        linear = all(leaf.op != "param" for leaf in ordered(graph.derivatives()))
        kept = tuple(range(model.n_params))
        return cls((Term(func=graph.function(), guess=guess, kept=kept, linear=linear),))

    @classmethod
    def joined(cls, first: "Model", second: "Model", *, minus: bool) -> Self | None:
        """Return the guess of the sum or difference of two models, where there is one.

        Both must guess, of the same single predictor and no constants: a guess does not get these.
        """
        one, other = cls.of(first), cls.of(second)
        alike = first.predictors == second.predictors and len(first.predictors) == 1
        if one is None or other is None or not alike or first.constants or second.constants:
            return None
        sign = -1.0 if minus else 1.0
        return cls((*one.terms, *(replace(t, sign=sign * t.sign) for t in other.terms)))

    def without(self, gone: Mapping[int, bool]) -> Self:
        """Return the guess of the sum less some parameters, by place; True: those are zero."""
        terms, first = [], 0
        for term in self.terms:
            places = range(len(term.kept))
            terms.append(term.without({k: gone[first + k] for k in places if first + k in gone}))
            first += len(places)
        return type(self)(tuple(term for term in terms if term.kept))

    def __call__(self, x: Any, y: Floats, valid: Bools) -> Floats:
        """Return start values, (n_curves, n_params)."""
        if len(self.terms) == 1:
            (term,) = self.terms
            return term.estimate(x, y, valid)[:, term.kept]
        x = np.atleast_2d(np.asarray(x, dtype=np.float64))
        step = max(1, BLOCK_POINTS // max(y.shape[1], 1))
        blocks = (slice(first, first + step) for first in range(0, len(y), step))
        with np.errstate(all="ignore"):
            found = [self._best(x if len(x) == 1 else x[b], y[b], valid[b]) for b in blocks]
        return np.concatenate(found) if found else np.empty((0, self._n_params))

    @property
    def _n_params(self) -> int:
        """The number of start values."""
        return sum(len(term.kept) for term in self.terms)

    def _best(self, x: Floats, y: Floats, valid: Bools) -> Floats:
        """Return what leaves least of each curve; the first of equals, or if none is finite."""
        forward = range(len(self.terms))
        attempts = [
            self._attempt(x, y, valid, order, share)
            for order in (forward, forward[::-1])
            for share in SHARES
        ]
        best, least = attempts[0][0], np.full(len(y), np.inf)
        for params, rest in attempts:
            left = dot(rest, rest)
            better = left < least
            best = np.where(better[:, None], params, best)
            least = np.where(better, left, least)
        return best

    def _attempt(
        self, x: Floats, y: Floats, valid: Bools, order: Sequence[int], share: float
    ) -> tuple[Floats, Floats]:
        """Guess each term in turn, twice; return the parameters, and what is left of y."""
        columns, values = dict[int, Floats](), dict[int, Floats]()
        for turn in range(2):
            for k in order:
                term = self.terms[k]
                others = sum(value for j, value in values.items() if j != k)
                rest = y - others
                seen = x, np.where(np.isfinite(rest), rest, 0.0), valid
                if turn == 0 and share < 1.0 and not term.linear:
                    seen = _near_top(*seen, share)
                columns[k] = term.estimate(*seen)
                values[k] = term.values(x, columns[k])
        kept = [columns[k][:, term.kept] for k, term in enumerate(self.terms)]
        return np.concatenate(kept, axis=1), np.where(valid, y - sum(values.values()), 0.0)


def _near_top(x: Floats, y: Floats, valid: Bools, share: float) -> tuple[Floats, Floats, Bools]:
    """Return the points near the one furthest from the mean; the others repeat that one.

    Near is what lies within a share of the range of x around it.
    """
    x = np.broadcast_to(x, y.shape)
    count = valid.astype(np.float64)
    mean = dot(y, count) / np.maximum(dot(count, count), 1.0)
    top = np.where(valid, np.abs(y - mean[:, None]), -1.0).argmax(axis=1)[:, None]
    x_top, y_top = (np.take_along_axis(values, top, axis=1) for values in (x, y))
    reach = 0.5 * share * (x.max(axis=1) - x.min(axis=1))[:, None]
    near = valid & (np.abs(x - x_top) <= reach)
    return np.where(near, x, x_top), np.where(near, y, y_top), near
