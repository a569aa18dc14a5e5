"""The terms of a sum of models, as its guess sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from ..graph.derivatives import derivatives
from ..graph.graph import GraphFunction
from ..model import Guess, Model
from .decays import exponential_decay
from .passes import Point, Value
from .recipe import Recipe


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
        The columns that are parameters of the sum, in their order.
    zero
        The columns that count as zero, such as additive constants, of which a sum has one.
    factor
        What the model is multiplied with: -1.0 where it is subtracted.
    """

    func: GraphFunction
    guess: Guess
    kept: tuple[int, ...]
    zero: tuple[int, ...] = ()
    factor: float = 1.0

    @property
    def n_columns(self) -> int:
        """The number of columns."""
        return len(self.func.arguments) - 1

    @property
    def free(self) -> tuple[int, ...]:
        """The columns that do not count as zero."""
        return tuple(j for j in range(self.n_columns) if j not in self.zero)

    @property
    def local(self) -> bool:
        """Whether it may be guessed from the points around it."""
        return isinstance(self.guess, Recipe) and self.guess.local

    def value(self, p: Point, columns: Sequence[Value]) -> Value:
        """Return what the term adds to the sum at a point."""
        (value,) = p.formulas(self.func, self._given(columns))
        return self.factor * value

    def slopes(self, p: Point, columns: Sequence[Value]) -> list[Value]:
        """Return the derivatives of that by the free columns."""
        names = tuple(self.func.arguments[1 + j] for j in self.free)
        values = p.formulas(_slopes(self.func, names), self._given(columns))
        return [self.factor * value for value in values]

    def without(self, gone: Mapping[int, bool]) -> Self:
        """Return the term less some of the kept columns, by place; True: those count as zero."""
        columns = {self.kept[place]: zero for place, zero in gone.items()}
        kept = tuple(j for j in self.kept if j not in columns)
        return replace(self, kept=kept, zero=(*self.zero, *(j for j, z in columns.items() if z)))

    def _given(self, columns: Sequence[Value]) -> list[Value]:
        """Return the columns, with zeros where they count as zero."""
        return [0.0 if j in self.zero else value for j, value in enumerate(columns)]


@lru_cache(maxsize=256)
def _slopes(func: GraphFunction, names: tuple[str, ...]) -> GraphFunction:
    """Return the derivatives of a formula by some of its arguments."""
    return GraphFunction(derivatives(func.roots[0], names), func.arguments, single=False)


def term_of(model: Model) -> Term:
    """Return a model with a formula and a guess as the only term of a sum."""
    assert model.graph is not None
    assert model.guess is not None
    return Term(func=model.graph.function(), guess=model.guess, kept=tuple(range(model.n_params)))


def paired(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Return terms with two exponentials side by side as one.

    A single exponential takes the place of both and leaves nothing to see.
    """
    found: list[Term] = []
    for term in terms:
        if found and _are_decays(found[-1], term):
            found[-1] = _two_decays(found[-1], term)
        else:
            found.append(term)
    return tuple(found)


def _are_decays(one: Term, other: Term) -> bool:
    """Return whether two terms are single exponentials, with one factor."""
    single = exponential_decay().guess
    return one.guess == other.guess == single and one.factor == other.factor


def _two_decays(one: Term, other: Term) -> Term:
    """Return two exponentials as one term, of columns a1, b1, a2, b2, c."""
    columns = (one, (0, 1, 4)), (other, (2, 3, 4))
    free = {place[j] for term, place in columns for j in term.free}
    return replace(
        term_of(exponential_decay(2).traced()),
        kept=tuple(place[j] for term, place in columns for j in term.kept),
        zero=tuple(j for j in range(5) if j not in free),
        factor=one.factor,
    )
