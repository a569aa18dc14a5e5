"""Models from models: sums and products, names with a prefix, and tied parameters.

    gaussian(prefix="g1_") + gaussian(prefix="g2_") + constant()    `combined`, `prefixed`
    model.tied(c="2*a")                                             `tied`

What is composed are formulas, so the result has exact derivatives and a formula as text. Only a
prefix needs none: a function is called by place, whatever the names.

A sum has one additive constant. No data could tell two apart, so where the right model has one,
that of the left model is left out: of the c in the example above there is only the last.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .derived import derived_graphs, resolved
from .graph.graph import Graph
from .graph.nodes import Node, number, symbol
from .graph.simplify import ZERO, apply, rebuilt

if TYPE_CHECKING:
    from .model import Model

M = TypeVar("M", bound="Model")

_SIGNS: Mapping[str, str] = MappingProxyType(
    {"add": " + ", "subtract": " - ", "multiply": "*", "divide": "/"}
)
_SUMS = ("add", "subtract")
_NUMBERS = (int, float, np.number)


def combined(op: str, left: "M | float", right: "M | float") -> M:
    """Return the model of two models, or of a model and a number, joined by an operation.

    What both take from the data by the same name, predictors and constants, they share.

    Parameters
    ----------
    op
        "add", "subtract", "multiply" or "divide".
    left, right
        Models, or one of them a number.

    Returns
    -------
    A `Model`. Sums and differences of models that guess their start values do so too, see
    `library.sums`, and so do models times a number; products of models, and sums with a number,
    start from `Model.start`.

    Raises
    ------
    ValueError
        When a name stands for two things, when an additive constant that is left out has bounds or
        is needed, or when the result does not depend on one of the parameters any more.
    TraceError
        When one of them is no formula.
    TypeError
        When one of them is neither a model nor a number.
    """
    from .library.sums import joined_guess  # noqa: PLC0415 - the library is made of models

    models = [_traced(side) for side in (left, right) if not isinstance(side, _NUMBERS)]
    if len(models) == 1:
        return _with_number(op, left, right, models[0])
    first, second = models
    if op in _SUMS and (levels := _levels(first)) and _levels(second):
        _check_levels(first, second)
        if len(levels) == first.n_params:
            return combined(op, 0.0, second)
        first = _substituted(first, dict.fromkeys(levels, ZERO))
    _check_names(first, second)
    graph = Graph(
        apply(op, _graph(first).root, _graph(second).root),
        (*first.params, *second.params),
        tuple(dict.fromkeys((*first.predictors, *second.predictors))),
        tuple(dict.fromkeys((*first.constants, *second.constants))),
    )
    return _with_graph(
        first,
        graph,
        name=_joined(op, first.name, second.name),
        guess=joined_guess(first, second, minus=op == "subtract") if op in _SUMS else None,
        start={**first.start, **second.start},
        bounds={**first.bounds, **second.bounds},
        derived={**first.derived, **second.derived},
    )


def prefixed(model: M, prefix: str) -> M:
    """Return the model with a prefix to the names of its parameters and derived quantities.

    Raises
    ------
    ValueError
        When such a name cannot stand in a formula, or is taken.
    """
    if not prefix:
        return model
    names = {name: prefix + name for name in (*model.params, *model.derived)}
    leaves = {symbol("param", old): symbol("param", new) for old, new in names.items()}
    params = tuple(names[p] for p in model.params)
    graph, expression = model.graph, model.expression
    if graph is not None:
        graph = replace(graph, root=rebuilt(graph.root, leaves), params=params)
    return replace(
        model,
        name=_in_words(model.name, names) if model.name == expression else model.name,
        params=params,
        arguments=tuple(names.get(a, a) for a in model.arguments),
        start={names[p]: value for p, value in model.start.items()},
        bounds={names[p]: pair for p, pair in model.bounds.items()},
        graph=graph,
        expression=None if expression is None else _in_words(expression, names),
        derived={names[n]: _in_words(text, names) for n, text in model.derived.items()},
    )


def tied(model: M, ties: Mapping[str, str]) -> M:
    """Return the model with parameters replaced by expressions of the others.

    Parameters
    ----------
    model
        A model that is a formula.
    ties
        By parameter, an expression of other parameters (also such as are tied), constants and
        derived quantities.

    Returns
    -------
    A `Model` of fewer parameters, with the tied ones among its derived quantities.

    Raises
    ------
    ValueError
        When a name is no parameter or has bounds, when an expression names what is not there,
        depends on a predictor, or on itself, or when there is no other parameter, or one that the
        model does not depend on any more.
    TraceError
        When the model is no formula.
    """
    unknown = [name for name in ties if name not in model.params]
    if unknown:
        raise ValueError(
            f"model {model.name!r} has no parameter {', '.join(unknown)} to tie; it has "
            f"{', '.join(model.params)}"
        )
    bounded = {name: model.bounds[name] for name in ties if name in model.bounds}
    if bounded:
        raise ValueError(
            f"model {model.name!r} has the bounds {bounded}, which no expression can promise to "
            "keep: bound the parameters that it is made of"
        )
    nodes, derived = resolved({**model.derived, **ties}, model)
    return _substituted(_traced(model), {name: nodes[name] for name in ties}, derived=derived)


def _traced(operand: M) -> M:
    """Return a model with its formula."""
    if not hasattr(operand, "traced"):
        raise TypeError(
            f"a model can be joined with a model or a number, got {type(operand).__name__}"
        )
    return operand.traced()


def _graph(model: "Model") -> Graph:
    """Return the formula of a model that is known to have one."""
    assert model.graph is not None
    return model.graph


def _with_number(op: str, left: "M | float", right: "M | float", model: M) -> M:
    """Return the model of a model and a number."""
    from .library.sums import scaled_guess  # noqa: PLC0415 - the library is made of models

    sides, names = list[Node](), list[str]()
    for side in (left, right):
        if isinstance(side, _NUMBERS):
            sides.append(number(float(side)))
            names.append(f"{side:g}")
        else:
            sides.append(_graph(model).root)
            names.append(model.name)
    graph = replace(_graph(model), root=apply(op, *sides))
    if graph == model.graph:
        return model
    _check_used(model, graph)
    guess = scaled_guess(model, _factor(op, left, right))
    return _with_graph(model, graph, name=_joined(op, *names), guess=guess)


def _factor(op: str, left: "Model | float", right: "Model | float") -> float:
    """Return what a model is multiplied with where it is joined with a number; NaN: with none."""
    match op, left, right:
        case "multiply", int() | float() | np.number() as factor, _:
            return float(factor)
        case "multiply", _, int() | float() | np.number() as factor:
            return float(factor)
        case "divide", _, int() | float() | np.number() as divisor if divisor:
            return 1.0 / float(divisor)
        case "subtract", 0, _:
            return -1.0
    return float("nan")


def _substituted(model: M, nodes: Mapping[str, Node], **others: Any) -> M:
    """Return a model with formulas in place of some parameters."""
    from .library.sums import partial_guess  # noqa: PLC0415 - the library is made of models

    params = tuple(p for p in model.params if p not in nodes)
    if not params:
        raise ValueError(f"model {model.name!r} would have no parameter left to fit")
    root = rebuilt(_graph(model).root, {symbol("param", p): node for p, node in nodes.items()})
    graph = replace(_graph(model), root=root, params=params)
    _check_used(model, graph)
    gone = {model.params.index(name): node == ZERO for name, node in nodes.items()}
    return _with_graph(
        model,
        graph,
        guess=partial_guess(model, gone),
        start={p: value for p, value in model.start.items() if p in params},
        bounds={p: pair for p, pair in model.bounds.items() if p in params},
        **others,
    )


def _with_graph(model: M, graph: Graph, **others: Any) -> M:
    """Return a model with another formula and all that follows from it, and other fields."""
    return replace(
        model,
        params=graph.params,
        predictors=graph.predictors,
        constants=graph.constants,
        arguments=graph.arguments,
        func=graph.function(),
        jac=graph.jacobian(),
        graph=graph,
        expression=graph.readable_text,
        **others,
    )


def _levels(model: "Model") -> list[str]:
    """Return the parameters that are an additive constant."""
    slopes = zip(model.params, _graph(model).derivatives(), strict=True)
    return [name for name, slope in slopes if slope.op == "number" and slope != ZERO]


def _check_levels(first: "Model", second: "Model") -> None:
    """Refuse to leave out an additive constant that means more than that."""
    left, right = _levels(first), _levels(second)
    which = f"{', '.join(left)} of {first.name!r} and {', '.join(right)} of {second.name!r}"
    bounds = {**first.bounds, **second.bounds}
    bounded = {name: bounds[name] for name in (*left, *right) if name in bounds}
    if bounded:
        raise ValueError(
            f"{which} are additive constants, of which a sum has one, and have the bounds "
            f"{bounded}: bound that of the sum instead"
        )
    for name, graph in derived_graphs(first).items():
        if not set(left) <= set(graph.unused):
            raise ValueError(
                f"{which} are additive constants, of which a sum has one, and {name} is derived "
                "from the one that is left out: derive it from the sum instead"
            )


def _check_names(first: "Model", second: "Model") -> None:
    """Refuse names that stand for two things, other than data that both take."""
    shared = {*first.predictors} & {*second.predictors} | {*first.constants} & {*second.constants}
    there = {*second.arguments, *second.derived}
    clash = [n for n in (*first.arguments, *first.derived) if n in there and n not in shared]
    if clash:
        raise ValueError(
            f"{first.name!r} and {second.name!r} both have {', '.join(clash)}: give the names of "
            "one a prefix, as in model.prefixed('g1_') or gaussian(prefix='g1_')"
        )


def _check_used(model: "Model", graph: Graph) -> None:
    """Refuse a formula that lost a parameter on the way."""
    lost = [name for name in graph.unused if name not in _graph(model).unused]
    if lost:
        raise ValueError(
            f"{graph.text!r}, made of model {model.name!r}, does not depend on {', '.join(lost)} "
            "any more"
        )


def _joined(op: str, left: str, right: str) -> str:
    """Return the name of what is composed, with brackets where they are needed."""
    sides = [
        f"({name})" if needed and not re.fullmatch(r"[\w:.]+", name) else name
        for name, needed in ((left, op not in _SUMS), (right, op != "add"))
    ]
    return _SIGNS[op].join(sides)


def _in_words(text: str, names: Mapping[str, str]) -> str:
    """Return a formula with other names in it; functions and numbers stay."""
    word = r"(?<![\w.])[^\W\d]\w*(?!\s*\(|\w)"
    return re.sub(word, lambda found: names.get(found[0], found[0]), text)
