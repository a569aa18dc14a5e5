"""Emit expressions: each shared value once, and outside the loop what does not vary in it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from ..graph.nodes import Node, ordered
from .elementary import ELEMENTARY, exponential, faddeeva, sincos
from .estimates import inverse
from .evenly import Strides
from .factors import Factoring, Factors
from .lanes import Lanes, Vec

Leaf = Callable[[Node], Vec]


class Expressions:
    """Emits the values of nodes at the points of a loop.

    Two emitters write at two places: `steady` before the loop, `varying` in its body. A value goes
    where its node belongs. Products are taken apart (`factors`), so that the steady factors of a
    product meet before the loop, and a product with a steady factor inside a sum becomes one fused
    multiply-add.
    """

    def __init__(
        self,
        steady: Lanes,
        varying: Lanes,
        leaf: Leaf,
        factoring: Factoring,
        roots: Iterable[Node],
        strides: Strides | None = None,
    ) -> None:
        """Emit nothing yet; `leaf` gives the values of names, `roots` are what will be asked.

        With `strides` a vector holds the points that they speak of, one after the other.
        """
        self._steady, self._varying, self._leaf = steady, varying, leaf
        self._factoring, self._strides = factoring, strides
        self._products: dict[Factors, Vec] = {}
        self._operations: dict[Node, Vec] = {}
        self._wanted = set(ordered(roots))

    def value(self, node: Node) -> Vec:
        """Return the value of a node; inside the loop only if it varies."""
        if node.logical or node.op == "number":
            return self._operation(node)
        return self.product(self._factoring.of(node))

    def product(self, factors: Factors) -> Vec:
        """Return the value of a product."""
        steady, core = factors.steady, factors.core
        if not core.powers:
            return self.coefficient(steady)
        value = self._monomial(core)
        if steady == Factors():
            return value
        if steady == Factors(-1.0):
            return -value
        if factors not in self._products:
            self._products[factors] = self._varied(self.coefficient(steady)) * value
        return self._products[factors]

    def coefficient(self, steady: Factors) -> Vec:
        """Return the value of a product that does not vary."""
        if steady in self._products:
            return self._products[steady]
        rest = Factors(1.0, steady.powers)
        if not rest.powers:
            value = self._steady.real(steady.number)
        elif steady.number == 1.0:
            value = self._monomial(rest)
        elif steady.number == -1.0:
            value = -self._monomial(rest)
        else:
            value = self._monomial(rest) * steady.number
        self._products[steady] = value
        return value

    def plus(self, node: Node, rest: Vec) -> Vec:
        """Return node + rest, fused where the node is a product that nothing else uses."""
        factors = self._factoring.of(node)
        pair = None if factors in self._products else self._as_two(factors)
        if pair is None:
            return self._varied(self.value(node)) + self._varied(rest)
        return self._varying.fma(*(self._varied(v) for v in (*pair, rest)))

    def _varied(self, value: Vec) -> Vec:
        """Return a value as one that the emitter in the loop takes."""
        return Vec(self._varying, value.ir)

    def _as_two(self, factors: Factors) -> tuple[Vec, Vec] | None:
        """Return a varying product as two factors, or None where it is a single one."""
        steady, core = factors.steady, factors.core
        if not core.powers or core in self._products or core.degree == 1:
            if steady == Factors() or steady == Factors(-1.0) or not core.powers:
                return None
            return self.coefficient(steady), self._monomial(core)
        first, rest = self._split(core)
        if steady != Factors():
            return self.coefficient(steady), self._monomial(core)
        return self._monomial(first), self._monomial(rest)

    def _monomial(self, powers: Factors) -> Vec:
        """Return a product of powers that all vary, or are all steady."""
        if powers in self._products:
            return self._products[powers]
        if len(powers.powers) == 1 and abs(powers.powers[0][1]) == 1:
            node, exponent = powers.powers[0]
            value = self._operation(node)
            if exponent < 0:
                value = inverse(self._varying, value) if node.varies else 1.0 / value
        else:
            first, rest = self._split(powers)
            value = self._monomial(first) * self._monomial(rest)
        self._products[powers] = value
        return value

    def _split(self, powers: Factors) -> tuple[Factors, Factors]:
        """Part a product of several factors in two, the first one known already if possible."""
        known = [p for p in self._products if p.number == 1.0 and p.powers and _divides(p, powers)]
        if known:
            largest = max(known, key=lambda p: p.degree)
            return largest, powers * largest**-1
        node, exponent = powers.powers[0]
        if len(powers.powers) > 1:
            first = Factors(1.0, ((node, exponent),))
        else:
            first = Factors(1.0, ((node, exponent // 2 if exponent > 0 else -(-exponent // 2)),))
        return first, powers * first**-1

    def _operation(self, node: Node) -> Vec:
        """Return the value of a node that is no product."""
        if node not in self._operations:
            self._operations[node] = self._emitted(node)
        return self._operations[node]

    def _emitted(self, node: Node) -> Vec:
        """Emit an operation on its operands."""
        lanes = self._varying if node.varies else self._steady
        if node.op == "number":
            return lanes.real(node.value)
        if not node.args:
            return self._leaf(node)
        if node.varies and node.op in {"add", "subtract"}:
            return self._sum(node)
        if self._strides is not None and node in self._strides.functions:
            return self._along(node, self._strides)
        return self._elementary(node, lanes)

    def _elementary(self, node: Node, lanes: Lanes) -> Vec:
        """Emit a function of operands that may be anything."""
        if node.op in _TOGETHER:
            return self._together(node, lanes)
        if node.op == "power" and node.args[0].op == "number" and node.args[0].value > 0:
            exponent = Vec(lanes, self.value(node.args[1]).ir)
            return exponential(lanes, node.args[0].value, exponent)
        args = [Vec(lanes, self.value(a).ir) for a in node.args]
        return OPERATIONS[node.op](lanes, *args)

    def _along(self, node: Node, strides: Strides) -> Vec:
        """Emit an exponential or a sine at points that lie evenly."""
        one = self._varying.narrowed(self._varying.width // strides.together)
        if node.op not in {"sin", "cos"}:
            return self._varying.joined(strides.exponentials(one, node))
        pairs = strides.sines(one, node)
        for k, name in enumerate(("sin", "cos")):
            value = self._varying.joined([pair[k] for pair in pairs])
            self._operations[Node(name, node.args)] = value
        return self._operations[node]

    def _sum(self, node: Node) -> Vec:
        """Emit a sum, a product in it fused."""
        left, right = node.args
        if node.op == "add":
            if right.varies and self._is_single(left):
                left, right = right, left
            return self.plus(left, self.value(right))
        minus = Node("negative", (right,))
        if self._is_single(right):
            if self._is_single(left):
                return self._varied(self.value(left)) - self._varied(self.value(right))
            return self.plus(left, -self._varied(self.value(right)))
        return self.plus(minus, self.value(left))

    def _is_single(self, node: Node) -> bool:
        """Return whether a node is no product of several factors."""
        factors = self._factoring.of(node)
        return factors.degree + (abs(factors.number) != 1.0) <= 1

    def _together(self, node: Node, lanes: Lanes) -> Vec:
        """Emit functions of the same operands at once, where more than one of them is needed."""
        args = [Vec(lanes, self.value(a).ir) for a in node.args]
        emit, names = _TOGETHER[node.op]
        twins = [Node(name, node.args) for name in names]
        if sum(twin in self._wanted for twin in twins) <= 1:
            return OPERATIONS[node.op](lanes, *args)
        self._operations |= zip(twins, emit(lanes, *args), strict=True)
        return self._operations[node]


_SINES = (sincos, ("sin", "cos"))
_WOFZ = (faddeeva, ("wofz_real", "wofz_imag", "wofz_slope_real", "wofz_slope_imag"))
_TOGETHER: Mapping[str, tuple[Callable[..., Sequence[Vec]], tuple[str, ...]]] = MappingProxyType(
    {name: group for group in (_SINES, _WOFZ) for name in group[1]}
)
"""Functions that cost little more together than one of them: what emits all, and their names."""


def _divides(part: Factors, whole: Factors) -> bool:
    """Return whether a product is a part of another one, and not all of it."""
    if part.degree >= whole.degree:
        return False
    exponents = whole.exponents
    return all(e * exponents.get(n, 0) > 0 and abs(e) <= abs(exponents[n]) for n, e in part.powers)


def _sign(lanes: Lanes, a: Vec) -> Vec:
    """Return -1, 0 or 1; NaN for NaN."""
    return lanes.where(a > 0, 1.0, lanes.where(a < 0, lanes.real(-1.0), a))


def _operations() -> Mapping[str, Callable[..., Vec]]:
    """Return what emits each operation, by name."""
    return MappingProxyType(
        {
            "add": lambda _, a, b: a + b,
            "multiply": lambda _, a, b: a * b,
            "divide": lambda _, a, b: a / b,
            "negative": lambda _, a: -a,
            "square": lambda _, a: a * a,
            "subtract": lambda _, a, b: a - b,
            "sqrt": Lanes.sqrt,
            "abs": Lanes.abs,
            "sign": _sign,
            "floor": Lanes.floor,
            "minimum": Lanes.minimum,
            "maximum": Lanes.maximum,
            "where": Lanes.where,
            "less": lambda _, a, b: a < b,
            "less_equal": lambda _, a, b: a <= b,
            "greater": lambda _, a, b: a > b,
            "greater_equal": lambda _, a, b: a >= b,
            "equal": lambda _, a, b: a == b,
            "not_equal": lambda _, a, b: a != b,
            "logical_and": lambda _, a, b: a & b,
            "logical_or": lambda _, a, b: a | b,
            "logical_not": lambda _, a: ~a,
            **ELEMENTARY,
        }
    )


OPERATIONS = _operations()
"""Called as f(lanes, *operands)."""
