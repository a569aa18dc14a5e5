"""Nodes: an expression as a value, equal to every other that says the same.

A node is an operation on other nodes, a number, or a name. Its digest is made of its operation and
the digests of its operands, so two nodes are equal exactly when they are the same formula - in
this process, after a pickle, on another machine - and work keyed by nodes is done once for what is
shared. Sums and products are equal in either order of their two operands; the order in which they
were written is kept for printing.

Nothing here descends recursively: a chain of any length can be built, hashed, ordered and pickled.
"""

import keyword
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite
from typing import Any, TypeAlias

from .operations import LEAVES, OPERATIONS

Row: TypeAlias = tuple[str, tuple[int, ...], str, float]
"""A node in a table: operation, places of its operands in the table, name, value."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    """One operation, number or name.

    Attributes
    ----------
    op
        A name in `OPERATIONS` or `LEAVES`.
    args
        The operands.
    name, value
        Of a name, and of a number.
    digest
        16 bytes that stand for the formula.
    varies
        Whether the value depends on a predictor: what does not is the same at all points of a
        curve.
    total
        Whether finite values give a finite result, short of overflow.
    logical
        Whether the value is a truth value.

    Raises
    ------
    ValueError
        When there is no such operation, or the operands are not what it takes.
    """

    op: str
    args: tuple["Node", ...] = ()
    name: str = ""
    value: float = 0.0
    digest: bytes = field(init=False)
    varies: bool = field(init=False)
    total: bool = field(init=False)
    logical: bool = field(init=False)
    _hash: int = field(init=False)

    def __post_init__(self) -> None:
        """Check the operands and note what can be known at once."""
        logical, total = False, self.op != "number" or isfinite(self.value)
        if self.op not in LEAVES:
            logical, total = self._check_operation()
        digest = self._make_digest()
        set_once = object.__setattr__
        set_once(self, "digest", digest)
        set_once(self, "_hash", int.from_bytes(digest[:7]))
        set_once(self, "varies", self.op == "predictor" or any(a.varies for a in self.args))
        set_once(self, "total", total)
        set_once(self, "logical", logical)

    def _check_operation(self) -> tuple[bool, bool]:
        """Return `logical` and `total` of an operation that is well formed."""
        operation = OPERATIONS.get(self.op)
        if operation is None:
            raise ValueError(f"there is no operation {self.op!r}; there are {sorted(OPERATIONS)}")
        if len(self.args) != operation.arity:
            raise ValueError(f"{self.op} takes {operation.arity} operands, got {len(self.args)}")
        for place, arg in enumerate(self.args):
            if arg.logical is not operation.wants_logical(place):
                wanted = "a number" if arg.logical else "a truth value"
                raise ValueError(f"operand {place} of {self.op} must be {wanted}: {arg!r}")
        return operation.logical, operation.total and all(a.total for a in self.args)

    def _make_digest(self) -> bytes:
        """Return the digest of operation, name or value, and operands."""
        content = blake2b(self.op.encode(), digest_size=16)
        if self.op == "number":
            content.update(struct.pack("<d", self.value if self.value == self.value else _NAN))
        elif self.op in LEAVES:
            content.update(b":" + self.name.encode())
        else:
            digests = [arg.digest for arg in self.args]
            content.update(b"(")
            for digest in sorted(digests) if OPERATIONS[self.op].commutative else digests:
                content.update(digest)
        return content.digest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Node) and self.digest == other.digest)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        """Show the node and its digest, never its operands: there may be many thousands."""
        what = self.name or (repr(self.value) if self.op == "number" else f"of {len(self.args)}")
        return f"<{self.op} {what} {self.digest.hex()[:8]}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack_last, (pack([self])[0],)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Node":
        return self


_NAN = float("nan")


def number(value: float) -> Node:
    """Return the node of a number."""
    return Node("number", value=float(value))


def symbol(kind: str, name: str) -> Node:
    """Return the node of a name: kind "param", "predictor" or "constant" (one value a curve).

    Raises
    ------
    ValueError
        When the kind is none of these or the name cannot be written in an expression.
    """
    if kind not in LEAVES[1:]:
        raise ValueError(f"kind must be one of {LEAVES[1:]}, got {kind!r}")
    if not name.isidentifier() or keyword.iskeyword(name) or name in {"inf", "nan"}:
        raise ValueError(f"{name!r} cannot be the name of a {kind}: use letters, digits and _")
    return Node(kind, name=name)


def depends_on_predictors(node: Node) -> bool:
    """Return whether a node changes from point to point; what does not can be hoisted."""
    return node.varies


def ordered(roots: Iterable[Node]) -> list[Node]:
    """Return every node below the roots once, operands before what uses them."""
    order: list[Node] = []
    entered: set[Node] = set()
    done: set[Node] = set()
    stack = list(roots)[::-1]
    while stack:
        node = stack.pop()
        if node in done:
            continue
        if node in entered:
            done.add(node)
            order.append(node)
        else:
            entered.add(node)
            stack.append(node)
            stack.extend(arg for arg in reversed(node.args) if arg not in done)
    return order


def pack(roots: Iterable[Node]) -> tuple[tuple[Row, ...], tuple[int, ...]]:
    """Return the nodes below the roots as a flat table, and the places of the roots in it."""
    roots = list(roots)
    place: dict[Node, int] = {}
    rows: list[Row] = []
    for node in ordered(roots):
        place[node] = len(rows)
        rows.append((node.op, tuple(place[a] for a in node.args), node.name, node.value))
    return tuple(rows), tuple(place[root] for root in roots)


def unpack(rows: Iterable[Row], places: Iterable[int]) -> tuple[Node, ...]:
    """Return the roots of a packed table, as they were."""
    nodes: list[Node] = []
    for op, args, name, value in rows:
        nodes.append(Node(op, tuple(nodes[a] for a in args), name, value))
    return tuple(nodes[place] for place in places)


def _unpack_last(rows: tuple[Row, ...]) -> Node:
    """Return the node that a table of one root was made of."""
    return unpack(rows, [len(rows) - 1])[0]
