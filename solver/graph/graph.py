"""A graph: an expression, and the names in it by kind and in order. What a model is made of."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from .derivatives import derivatives
from .evaluate import evaluate
from .nodes import Node, Row, ordered, pack, unpack
from .printing import to_text
from .scanning import LONGEST_TEXT
from .simplify import as_real, rebuilt
from .tracer import Tracer, as_node


@dataclass(frozen=True, slots=True)
class Graph:
    """An expression of predictors, constants and parameters.

    Attributes
    ----------
    root
        The expression.
    params, predictors, constants
        The names, as a `Model` has them; a name may be one that the expression does not use.

    Raises
    ------
    ValueError
        When a name in the expression is not declared as what it is, or declared twice.
    """

    root: Node
    params: tuple[str, ...]
    predictors: tuple[str, ...] = ("x",)
    constants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that every name is declared once, as what it is."""
        object.__setattr__(self, "root", as_real(self.root))
        twice = [name for name, count in Counter(self.arguments).items() if count > 1]
        if twice:
            raise ValueError(f"{twice} are declared twice in {self.arguments}")
        kinds = {"param": self.params, "predictor": self.predictors, "constant": self.constants}
        for leaf in ordered([self.root]):
            if leaf.name and leaf.name not in kinds[leaf.op]:
                raise ValueError(
                    f"{leaf.name!r} stands in the expression as a {leaf.op}, and those are "
                    f"{kinds[leaf.op]}"
                )

    @property
    def arguments(self) -> tuple[str, ...]:
        """All names: predictors, constants, params, the order in which functions take them."""
        return (*self.predictors, *self.constants, *self.params)

    @property
    def unused(self) -> tuple[str, ...]:
        """The parameters that the expression does not depend on: no data can determine them."""
        used = {leaf.name for leaf in ordered([self.root])}
        return tuple(name for name in self.params if name not in used)

    @property
    def text(self) -> str:
        """The expression as text that `parse` reads back."""
        return to_text(self.root)

    @property
    def readable_text(self) -> str | None:
        """The expression as text, None where it is longer than what `parse` reads."""
        try:
            return to_text(self.root, LONGEST_TEXT)
        except ValueError:
            return None

    @property
    def digest(self) -> str:
        """32 hex digits for expression and names, the same in every process."""
        content = blake2b(self.root.digest, digest_size=16)
        for names in (self.params, self.predictors, self.constants):
            content.update(",".join(names).encode() + b";")
        return content.hexdigest()

    def derivatives(self) -> tuple[Node, ...]:
        """Return the exact derivative with respect to each parameter."""
        return _derivatives(self.root, self.params)

    def function(self, arguments: Sequence[str] | None = None) -> "GraphFunction":
        """Return the expression as a function of its arguments, in the given order."""
        return GraphFunction((self.root,), tuple(arguments or self.arguments), single=True)

    def jacobian(self, arguments: Sequence[str] | None = None) -> "GraphFunction":
        """Return the derivatives as a function that gives one array a parameter."""
        return GraphFunction(self.derivatives(), tuple(arguments or self.arguments), single=False)

    def __reduce__(self) -> tuple[Any, ...]:
        rows, places = pack([self.root])
        names = (self.params, self.predictors, self.constants)
        return _rebuild_graph, (type(self), rows, places, *names)


@dataclass(frozen=True, slots=True)
class GraphFunction:
    """Expressions as a function of arrays that broadcast; can be pickled, and traced.

    Attributes
    ----------
    roots
        The expressions.
    arguments
        The names whose values are the arguments, in order.
    single
        Whether to return the value of the first root, not a list of all.
    """

    roots: tuple[Node, ...]
    arguments: tuple[str, ...]
    single: bool

    @property
    def digest(self) -> str:
        """32 hex digits for expressions and arguments, the same in every process."""
        content = blake2b(b"".join(root.digest for root in self.roots), digest_size=16)
        content.update(",".join(self.arguments).encode())
        return content.hexdigest()

    def __call__(self, *values: Any) -> Any:
        """Return the values of the expressions."""
        by_name = dict(zip(self.arguments, values, strict=True))
        if any(isinstance(value, Tracer) for value in values):
            results: list[Any] = [_traced(root, by_name) for root in self.roots]
        else:
            results = evaluate(self.roots, by_name)
        return results[0] if self.single else results

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_function, (type(self), *pack(self.roots), self.arguments, self.single)


def _traced(root: Node, values: Mapping[str, Any]) -> Tracer:
    """Return an expression with formulas in place of its names."""
    names = [leaf for leaf in ordered([root]) if leaf.name]
    return Tracer(rebuilt(root, {leaf: as_node(values[leaf.name]) for leaf in names}))


@lru_cache(maxsize=256)
def _derivatives(root: Node, params: tuple[str, ...]) -> tuple[Node, ...]:
    """Return the derivatives by all params, worked out once for an expression."""
    return derivatives(root, params)


def _rebuild_graph(
    cls: type[Graph], rows: tuple[Row, ...], places: tuple[int, ...], *names: tuple[str, ...]
) -> Graph:
    """Return a graph from its pickle."""
    return cls(unpack(rows, places)[0], *names)


def _rebuild_function(
    cls: type[GraphFunction],
    rows: tuple[Row, ...],
    places: tuple[int, ...],
    arguments: tuple[str, ...],
    single: bool,
) -> GraphFunction:
    """Return a function from its pickle."""
    return cls(unpack(rows, places), arguments, single)
