"""Evaluate expressions on NumPy arrays: each shared node once, for several roots at once.

The nodes are laid out once as a list of steps that names, for each step, the results nobody needs
any more; running it is one loop. A large result that ends with a step gives its memory to the
result of the step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from .nodes import Node, ordered
from .operations import OPERATIONS, factors_of_power, integer_power

_WORTH_REUSING = 1024
"""Values of an array below which looking for memory costs more than it saves."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: results[target] = function(*results[operands]), then forget `dead`.

    Of the dead, `reusable` may be written over: they are results of steps, not the caller's.
    """

    function: Callable[..., Any]
    operands: tuple[int, ...]
    target: int
    dead: tuple[int, ...]
    reusable: tuple[int, ...]

    def run(self, operands: Sequence[Any], spare: Sequence[Any]) -> Any:
        """Return the result, in the memory of one of the spare arrays if it fits."""
        for array in spare:
            if array.size >= _WORTH_REUSING and all(_fits(o, array.shape) for o in operands):
                return self.function(*operands, out=array)
        return self.function(*operands)


@dataclass(frozen=True, slots=True)
class Program:
    """Nodes in the order of evaluation.

    Attributes
    ----------
    leaves
        The place and node of each number and name.
    steps
        The operations.
    outputs
        The places of the roots.
    """

    leaves: tuple[tuple[int, Node], ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]


def evaluate(roots: Sequence[Node], values: Mapping[str, Any]) -> list[Any]:
    """Return the values of the roots, given the values of the names in them.

    Parameters
    ----------
    roots
        The expressions. What they share is computed once.
    values
        Numbers or arrays that broadcast with each other, by name; read as float64.

    Returns
    -------
    One array, or NumPy scalar, a root, of the shape that its own names broadcast to. Overflow and
    invalid values become infinity and NaN, without a warning.

    Raises
    ------
    ValueError
        When a name has no value.

    Examples
    --------
    >>> from manyfit.solver.graph.parsing import parse
    >>> graph = parse("a*exp(-b*x)")
    >>> [y] = evaluate([graph.root], {"x": [0.0, 1.0], "a": 2.0, "b": 0.0})
    >>> y.tolist()
    [2.0, 2.0]
    """
    program = lay_out(tuple(roots))
    results: dict[int, Any] = {}
    for place, leaf in program.leaves:
        if leaf.op == "number":
            results[place] = np.float64(leaf.value)
        elif leaf.name in values:
            results[place] = np.asanyarray(values[leaf.name], dtype=np.float64)[()]
        else:
            raise ValueError(f"there is no value for {leaf.name!r}, only for {sorted(values)}")
    with np.errstate(all="ignore"):
        for step in program.steps:
            operands = [results[place] for place in step.operands]
            spare = [results[place] for place in step.reusable]
            results[step.target] = step.run(operands, spare)
            for place in step.dead:
                del results[place]
    return [results[place] for place in program.outputs]


@lru_cache(maxsize=256)
def lay_out(roots: tuple[Node, ...]) -> Program:
    """Return the program that evaluates the roots."""
    order = ordered(roots)
    places = {node: place for place, node in enumerate(order)}
    outputs = tuple(places[root] for root in roots)
    last_use = {places[arg]: place for place, node in enumerate(order) for arg in node.args}
    dead: dict[int, list[int]] = {}
    for place, user in last_use.items():
        if place not in outputs:
            dead.setdefault(user, []).append(place)
    steps = []
    for place, node in enumerate(order):
        if node.args:
            function, operands = _kernel(node, places)
            ends = tuple(dead.get(place, ()))
            writes = isinstance(function, np.ufunc) and not node.logical
            owned = (p for p in ends if order[p].args and not order[p].logical)
            steps.append(Step(function, operands, place, ends, tuple(owned) if writes else ()))
    leaves = tuple((place, node) for place, node in enumerate(order) if not node.args)
    return Program(leaves, tuple(steps), outputs)


def _kernel(node: Node, places: Mapping[Node, int]) -> tuple[Callable[..., Any], tuple[int, ...]]:
    """Return what computes a node, and from where."""
    operands = tuple(places[arg] for arg in node.args)
    if node.op == "power" and node.args[1].op == "number":
        factors = factors_of_power(node.args[1].value)
        if factors is not None:
            return partial(integer_power, n=factors), operands[:1]
    return OPERATIONS[node.op].evaluate, operands


def _fits(operand: Any, shape: tuple[int, ...]) -> bool:
    """Return whether an operand broadcasts to a shape."""
    own = operand.shape
    return own == shape or (
        len(own) <= len(shape)
        and all(n in {1, m} for n, m in zip(own[::-1], shape[::-1], strict=False))
    )
