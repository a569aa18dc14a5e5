"""Which sums over the points one pass makes, and how JᵀJ and Jᵀr follow from them.

Each column of the Jacobian is a steady factor times a core that varies, J_j = c_j v_j. So

    (JᵀJ)_ij = c_i c_j Σ v_i v_j,    (Jᵀr)_j = c_j Σ v_j r,    rᵀr = Σ r²

and the loop over the points sees the cores alone. Equal products of cores are summed once: with
v = (e, t e, t² e) the sums of v_0 v_2 and v_1 v_1 are the same. Where a core is 1, its products are
the other factor, and its square is a count.
"""

from dataclasses import dataclass
from functools import cached_property

from ..graph.graph import Graph
from ..graph.nodes import Node
from .evenly import Slopes, linear_functions
from .factors import Factoring, Factors


@dataclass(frozen=True)
class Sums:
    """The sums of a model's pass.

    Attributes
    ----------
    root
        The model's value.
    columns
        The derivatives with respect to the parameters that are fitted.
    predictors
        Their names.
    """

    root: Node
    columns: tuple[Node, ...]
    predictors: tuple[str, ...]

    @classmethod
    def of(cls, graph: Graph, free: tuple[str, ...]) -> "Sums":
        """Return the sums for a model of which the parameters `free` are fitted."""
        derivatives = dict(zip(graph.params, graph.derivatives(), strict=True))
        return cls(graph.root, tuple(derivatives[name] for name in free), graph.predictors)

    @cached_property
    def factoring(self) -> Factoring:
        """What takes the nodes of this model apart."""
        return Factoring()

    @cached_property
    def factors(self) -> tuple[Factors, ...]:
        """The columns as products."""
        return tuple(self.factoring.of(column) for column in self.columns)

    @cached_property
    def cores(self) -> tuple[Factors, ...]:
        """The distinct varying parts of the columns, those of few factors first."""
        return tuple(sorted({f.core for f in self.factors}, key=lambda core: core.degree))

    @cached_property
    def pairs(self) -> dict[Factors, tuple[Factors, Factors]]:
        """For each distinct product of two cores, two cores whose product it is."""
        pairs: dict[Factors, tuple[Factors, Factors]] = {}
        for i, left in enumerate(self.cores):
            for right in self.cores[: i + 1]:
                pairs.setdefault(left * right, (left, right))
        return pairs

    @cached_property
    def linear_functions(self) -> dict[Node, Slopes]:
        """The exponentials and sines whose arguments are linear in the predictors."""
        return linear_functions((self.root, *self.columns), self.predictors)

    @property
    def count(self) -> int:
        """The number of sums, rᵀr included."""
        return len(self.pairs) + len(self.cores) + 1
