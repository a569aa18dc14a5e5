"""A model: a name, ordered parameters, and a function of the predictors.

A model acts on one point at a time: what it returns at a point depends on that point's
predictors and on the parameters alone. So the same function serves one curve (`x` of shape
(n_points,), scalar parameters) and a batch (`x` of shape (n_points,) or (n_curves, n_points),
parameters of shape (n_curves, 1)) by NumPy's broadcasting.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from .arrays import Bools, Floats
from .composition import combined, prefixed, tied
from .derived import derived_graphs, deriving
from .graph.graph import Graph
from .graph.nodes import depends_on_predictors
from .graph.parsing import parse
from .graph.verifying import trusted_formula
from .signature import label, signature_of

Guess = Callable[[Any, Floats, Bools], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A function of predictors, constants and parameters, to be fitted.

    Models are joined with each other and with numbers by + - * /, see `composition`.

    Attributes
    ----------
    name
        What people call it.
    params
        Names of the parameters, in the order of every array of parameters.
    func
        ``func(*arguments)``, pointwise and broadcasting, with the arguments in the order of
        `arguments`.
    jac
        The exact derivatives, called like `func`: a sequence with one array a parameter, each
        broadcastable to the shape of the model's values. None: forward differences.
    guess
        Start values for all curves at once: ``guess(x, y, valid)`` with `x` (1, n_points) or
        (n_curves, n_points) (a tuple of such when there are several predictors), `y` and `valid`
        (n_curves, n_points), returns (n_curves, n_params), finite. Where `valid` is False the
        point repeats a valid point of the same curve, so minima and maxima need no mask; sums do.
    predictors, constants
        Names of the arguments that come from the data: a value a point, and a value a curve.
    arguments
        Every argument of `func` in its order. Default: predictors, constants, params.
    start
        Start values used where there is neither p0 nor guess; default 1, as in SciPy.
    bounds
        Default bounds of single parameters, as ``{name: (lower, upper)}``.
    graph
        The formula, of the same predictors, constants and params, where there is one.
    expression
        The formula as text, where there is one: for people, and for the results' schema.
    derived
        Expressions, by name, of quantities derived from parameters and constants.

    Raises
    ------
    ValueError
        When a name stands for two things, is missing, or is bounded without being a parameter; or
        when the graph, or a derived quantity, is of other names.
    """

    name: str
    params: tuple[str, ...]
    func: Callable[..., Any]
    jac: Callable[..., Sequence[Any]] | None = None
    guess: Guess | None = None
    predictors: tuple[str, ...] = ("x",)
    constants: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    start: Mapping[str, float] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    graph: Graph | None = None
    expression: str | None = None
    derived: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that every argument has one name and one meaning."""
        names = (*self.predictors, *self.constants, *self.params)
        if not self.params or not self.predictors:
            raise ValueError(
                f"model {self.name!r} needs at least one predictor and one parameter, got "
                f"predictors {self.predictors} and params {self.params}"
            )
        if len(set(names)) != len(names):
            raise ValueError(f"model {self.name!r} uses a name twice: {names}")
        if not self.arguments:
            object.__setattr__(self, "arguments", names)
        if sorted(self.arguments) != sorted(names):
            raise ValueError(
                f"model {self.name!r}: arguments {self.arguments} are not its predictors, "
                f"constants and params {names}"
            )
        unknown = (set(self.bounds) | set(self.start)) - set(self.params)
        if unknown:
            raise ValueError(
                f"model {self.name!r} has no parameter {sorted(unknown)}; it has {self.params}"
            )
        if self.graph is not None and self.graph.arguments != names:
            raise ValueError(
                f"model {self.name!r}: its graph is of {self.graph.arguments}, not of its "
                f"predictors, constants and params {names}"
            )
        derived_graphs(self)  # which raises

    @classmethod
    def from_function(
        cls,
        func: Callable[..., Any],
        params: Sequence[str] | None = None,
        *,
        x: str | Sequence[str] | None = None,
        constants: Sequence[str] = (),
        jac: Callable[..., Sequence[Any]] | None = None,
        guess: Guess | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        name: str | None = None,
    ) -> Self:
        """Make a model from a plain NumPy function, ``f(x, a, b, c)``.

        Parameters
        ----------
        func
            The function, as one would give it to ``scipy.optimize.curve_fit``.
        params
            Names of the parameters; default: the arguments that are neither predictors nor
            constants. Needed when `func` takes ``*params``.
        x
            Name or names of the predictors; default: the first argument.
        constants
            Names of arguments that are given for each curve and not fitted.
        jac, guess, bounds, name
            See the class.

        Raises
        ------
        ValueError
            When the parameters cannot be read from the signature, or a name is not in it.
        """
        signature, called = signature_of(func), label(func)
        if x is None:
            if not signature.positional:
                raise ValueError(f"{called} has no named first argument: give x='name'")
            predictors: tuple[str, ...] = (signature.positional[0],)
        else:
            predictors = (x,) if isinstance(x, str) else tuple(x)
        if signature.variadic:
            if params is None:
                raise ValueError(f"{called} takes *args: give the params by name")
            first = signature.positional or (*predictors, *constants)
            arguments = (*first, *(p for p in params if p not in first))
        else:
            arguments = signature.positional
        given = {*predictors, *constants, *(params or ())}
        if given - set(arguments):
            raise ValueError(
                f"{called} has no argument {sorted(given - set(arguments))}; "
                f"its arguments are {arguments}"
            )
        if params is None:
            params = [a for a in arguments if a not in {*predictors, *constants}]
        return cls(
            name=name or called,
            params=tuple(params),
            func=func,
            jac=jac,
            guess=guess,
            predictors=predictors,
            constants=tuple(constants),
            arguments=arguments,
            start={k: v for k, v in signature.defaults.items() if k in params},
            bounds=dict(bounds or {}),
        )

    @classmethod
    def from_expression(
        cls,
        text: str,
        params: Sequence[str] | None = None,
        *,
        x: str | Sequence[str] = "x",
        constants: Sequence[str] = (),
        guess: Guess | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        name: str | None = None,
    ) -> Self:
        """Make a model from a formula, ``"a*exp(-b*x) + c"``, with exact derivatives.

        Parameters
        ----------
        text
            Python's arithmetic and comparisons, ``u if condition else v``, NumPy's elementary
            functions (with or without ``np.``), ``erf``, ``erfc``, ``expit``, ``voigt_profile``,
            ``gammaln`` and more of `scipy.special` (`graph.functions`), and ``pi``. It is read by a
            whitelist and never run, so it may come from anywhere.
        params
            The parameters, in order; default: every other name, in order of appearance.
        x
            Name or names of the predictors.
        constants
            Names that are given for each curve and not fitted.
        guess, bounds, name
            See the class; the default name is the formula.

        Raises
        ------
        ValueError
            When the text is no expression of these names (with the column), or does not depend on
            the predictors or on one of the `params`.

        Examples
        --------
        >>> model = Model.from_expression("a*exp(-b*x) + c")
        >>> model.params, float(model(x=0.0, a=2.0, b=1.5, c=0.5))
        (('a', 'b', 'c'), 2.5)
        """
        predictors = (x,) if isinstance(x, str) else tuple(x)
        graph = parse(text, params, predictors, tuple(constants))
        if graph.unused:
            raise ValueError(
                f"{text!r} does not depend on {', '.join(graph.unused)}: leave such params out"
            )
        if not depends_on_predictors(graph.root):
            raise ValueError(
                f"{text!r} does not depend on {', '.join(predictors)}: if the predictor has "
                "another name, say which, x='t' in Python and --x t=COLUMN on the command line"
            )
        return cls(
            name=name or text,
            params=graph.params,
            func=graph.function(),
            jac=graph.jacobian(),
            guess=guess,
            predictors=graph.predictors,
            constants=graph.constants,
            bounds=dict(bounds or {}),
            graph=graph,
            expression=graph.text,
        )

    def traced(self, *, also: Sequence[Mapping[str, Any]] = ()) -> Self:
        """Return the same model with the formula of its function as it is now, and as its function.

        The function is called with symbols in place of arrays and numbers; what it computes with
        them is its formula, which is compared with it at random values and then differentiated.
        A model that has derivatives keeps them, and its function; one that has a formula is
        returned as it is.

        Parameters
        ----------
        also
            More values at which to compare, by name: predictors (n_points,), the others numbers.

        Raises
        ------
        TraceError
            When the function is no formula of its arguments: it branches on their values, sums
            over points, interpolates, calls what NumPy does not know ... The message has the line
            and what to write instead. Such a model can be fitted all the same, by differences.

        Examples
        --------
        >>> import numpy as np
        >>> def decay(x, a, b):
        ...     return a * np.exp(-x / b)
        >>> Model.from_function(decay).traced().expression
        'a*exp(-x/b)'
        """
        if self.graph is not None:
            return self
        kinds = (self.arguments, self.predictors, self.constants, self.params)
        graph = trusted_formula(self.func, *kinds, also=also)
        expression = self.expression or graph.readable_text
        if self.jac is not None:
            return replace(self, graph=graph, expression=expression)
        func, jac = graph.function(self.arguments), graph.jacobian(self.arguments)
        return replace(self, func=func, jac=jac, graph=graph, expression=expression)

    @property
    def n_params(self) -> int:
        """The number of parameters."""
        return len(self.params)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the model at given predictors, constants and parameters, by order or name."""
        values = dict(zip(self.arguments, args, strict=False)) | kwargs
        if len(args) > len(self.arguments) or set(values) != set(self.arguments):
            raise TypeError(
                f"model {self.name!r} takes {self.arguments}, got {len(args)} values by order and "
                f"{tuple(kwargs)} by name"
            )
        return self.func(*(values[name] for name in self.arguments))

    def with_bounds(self, **bounds: tuple[float, float]) -> Self:
        """Return the same model with other default bounds."""
        return replace(self, bounds={**self.bounds, **bounds})

    def prefixed(self, prefix: str) -> Self:
        """Return the same model with a prefix to the names of its parameters.

        Raises
        ------
        ValueError
            When such a name cannot stand in a formula, or is taken.
        """
        return prefixed(self, prefix)

    def tied(self, **ties: str) -> Self:
        """Return the model with parameters replaced by expressions of the others.

        They are fitted no more and are derived quantities instead.

        Raises
        ------
        ValueError, TraceError
            When that cannot be; see `composition.tied`.

        Examples
        --------
        >>> model = Model.from_expression("a*exp(-b*x) + c").tied(c="2*a")
        >>> model.expression, model.params, model.derived
        ('a*exp(-b*x) + 2*a', ('a', 'b'), {'c': '2*a'})
        """
        return tied(self, ties)

    def deriving(self, **quantities: str) -> Self:
        """Return the model with quantities derived from its parameters; see `BatchFit.derived`.

        Raises
        ------
        ValueError
            When a name is taken, or an expression is none of parameters and constants.

        Examples
        --------
        >>> Model.from_expression("a*exp(-b*x)").deriving(half_life="log(2)/b").derived
        {'half_life': 'log(2)/b'}
        """
        return deriving(self, quantities)

    def __add__(self, other: "Self | float") -> Self:
        return combined("add", self, other)

    def __radd__(self, other: float) -> Self:
        return combined("add", other, self)

    def __sub__(self, other: "Self | float") -> Self:
        return combined("subtract", self, other)

    def __rsub__(self, other: float) -> Self:
        return combined("subtract", other, self)

    def __mul__(self, other: "Self | float") -> Self:
        return combined("multiply", self, other)

    def __rmul__(self, other: float) -> Self:
        return combined("multiply", other, self)

    def __truediv__(self, other: "Self | float") -> Self:
        return combined("divide", self, other)

    def __rtruediv__(self, other: float) -> Self:
        return combined("divide", other, self)

    def arrange(
        self, predictors: Sequence[Any], constants: Sequence[Any], params: Sequence[Any]
    ) -> list[Any]:
        """Put values into the order in which `func` and `jac` take them."""
        names = (*self.predictors, *self.constants, *self.params)
        values = dict(zip(names, (*predictors, *constants, *params), strict=True))
        return [values[name] for name in self.arguments]
