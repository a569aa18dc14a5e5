"""Quantities derived from parameters, with standard errors by the delta method.

    q = g(p),    var q = Σ_ij g_i cov_ij g_j,    g_i = dg/dp_i at the fitted parameters

The derivatives are exact. The error is one of first order: right as far as g is straight over the
errors of the parameters.

Source: Oehlert, Am. Stat. 46 (1992) 27; Casella and Berger, Statistical Inference, 2nd ed. (2002),
section 5.5.4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .arrays import Floats
from .graph.evaluate import evaluate
from .graph.graph import Graph
from .graph.nodes import Node, ordered, symbol
from .graph.parsing import parse
from .graph.printing import to_text
from .graph.simplify import ZERO, rebuilt

if TYPE_CHECKING:
    from .model import Model

M = TypeVar("M", bound="Model")

_ROUNDING = 1e-14
"""A variance of less than this share of its terms is what their rounding left."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived quantity of many curves.

    Attributes
    ----------
    values
        (n_curves,) float64; NaN where no fit took place.
    stderr
        (n_curves,) float64; NaN where a parameter that is needed is not determined, and where
        all that are needed were held: at bounds or as fixed ones they contribute nothing.
    """

    values: Floats
    stderr: Floats


def propagated(
    graph: Graph, params: Floats, cov: Floats, stderr: Floats, constants: Sequence[Floats]
) -> Derived:
    """Return a derived quantity at the ends of many fits.

    Parameters
    ----------
    graph
        The quantity, of parameters and constants.
    params, cov, stderr
        As in `BatchFit`.
    constants
        In the order of the graph: a number or (n_curves,).
    """
    n_curves = len(params)
    slopes = graph.derivatives()
    needed = [j for j, slope in enumerate(slopes) if slope != ZERO]
    columns = dict(zip(graph.params, params.T, strict=True))
    columns |= dict(zip(graph.constants, constants, strict=True))
    # Copies in one piece each: so that NumPy computes them alike however many curves there are.
    given = {name: np.array(np.broadcast_to(c, n_curves)) for name, c in columns.items()}
    found = evaluate([graph.root, *(slopes[j] for j in needed)], given)
    value, *g = (np.broadcast_to(array, n_curves) for array in found)
    variance, size, free = np.zeros((3, n_curves))
    with np.errstate(all="ignore"):
        for i, g_i in zip(needed, g, strict=True):
            free += ~(np.isnan(stderr[:, i]) & (cov[:, i, i] == 0.0))
            for j, g_j in zip(needed, g, strict=True):
                term = g_i * cov[:, i, j] * g_j
                variance += term
                size += np.abs(term)
        known = (free > 0) & np.isfinite(variance) & (variance >= _ROUNDING * size)
        error = np.where(known, np.sqrt(variance), np.nan)
    fitted = np.isfinite(params).all(axis=1)
    return Derived(np.where(fitted, value, np.nan), np.where(fitted, error, np.nan))


def deriving(model: M, quantities: Mapping[str, str]) -> M:
    """Return the model with more derived quantities.

    Parameters
    ----------
    model
        Any model.
    quantities
        By name, an expression of parameters, constants and derived quantities.

    Raises
    ------
    ValueError
        When a name is taken, or an expression names what is not there, depends on a predictor, or
        on itself.
    """
    taken = [name for name in quantities if name in {*model.arguments, *model.derived}]
    if taken:
        raise ValueError(
            f"model {model.name!r} has {', '.join(taken)} already: what is derived needs a name "
            "of its own"
        )
    _, derived = resolved({**model.derived, **quantities}, model)
    return replace(model, derived=derived)


def derived_graphs(model: "Model") -> dict[str, Graph]:
    """Return the derived quantities of a model, as formulas of its parameters and constants.

    Raises
    ------
    ValueError
        When a name cannot be one or is taken, or an expression is not one of these.
    """
    taken = [name for name in model.derived if name in model.arguments]
    if taken:
        raise ValueError(f"model {model.name!r} uses a name twice: {', '.join(taken)}")
    graphs = {}
    for name, text in model.derived.items():
        symbol("param", name)
        root = _read(name, text, model.params, model)
        graphs[name] = Graph(root, model.params, (), model.constants)
    return graphs


def resolved(texts: Mapping[str, str], model: "Model") -> tuple[dict[str, Node], dict[str, str]]:
    """Return expressions that may name each other as formulas, and as texts, that do not.

    A text that named no other stays as it is.

    Raises
    ------
    ValueError
        When an expression names what is not there, depends on a predictor, or on itself.
    """
    names = tuple(dict.fromkeys((*model.params, *texts)))
    nodes: dict[str, Node] = {}

    def resolve(name: str, path: tuple[str, ...]) -> Node:
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise ValueError(f"{name} = {texts[name]} depends on itself: {circle}")
        if name not in nodes:
            root = _read(name, texts[name], names, model)
            leaves = [leaf for leaf in ordered([root]) if leaf.op == "param" and leaf.name in texts]
            put = {leaf: resolve(leaf.name, (*path, name)) for leaf in leaves}
            nodes[name] = rebuilt(root, put)
        return nodes[name]

    shown = {}
    for name, text in texts.items():
        as_given = resolve(name, ()) == _read(name, text, names, model)
        shown[name] = text.strip() if as_given else to_text(nodes[name])
    return nodes, shown


def _read(name: str, text: str, names: tuple[str, ...], model: "Model") -> Node:
    """Read an expression that is one number a curve."""
    root = parse(text, names, model.predictors, model.constants).root
    if root.varies:
        raise ValueError(
            f"{name} = {text} depends on {', '.join(model.predictors)}: it is to be one number a "
            "curve, of parameters and constants alone"
        )
    return root
