"""A guess within a guess: what a recipe says of a part of the curves, and of other values than y.

Each recipe becomes a function of its own, which the guess that asks for it may call often:

    void part(x, values, free, size, ends, start)

`ends` are vectors of the first and the last point to be seen, `start` room for the start values.
The points are copied side by side, so that the recipe sees whole curves, of lengths of their own.
"""

from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from ..library.recipe import Recipe
from .lanes import DOUBLE, INT64, Lanes, Vec
from .loops import slot_of

INT32, REALS = ir.IntType(32), DOUBLE.as_pointer()
INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class Part:
    """A function that guesses.

    Attributes
    ----------
    function
        In the module.
    columns
        The buffers that it needs.
    """

    function: Any
    columns: int


def guessed(curves: Any, recipe: Recipe, column: Any, part: tuple[Vec, Vec] | None) -> list[Vec]:
    """Emit a call; return the start values, see `library.passes.Curves`.

    Parameters
    ----------
    curves
        The `passes.LaneCurves`.
    recipe
        How to guess.
    column
        What was kept, in place of y.
    part
        The first and the last point to be seen, by their indices; None: all.
    """
    lanes, buffers = curves.lanes, curves.buffers
    builder = lanes.builder
    if recipe not in curves.parts:
        curves.parts[recipe] = _emitted(curves, recipe)
    called = curves.parts[recipe]
    curves.reserve(called.columns)
    ends, start = slot_of(lanes, 2), slot_of(lanes, recipe.n_params)
    for k, end in enumerate(part or (lanes.real(0.0), curves.count - 1.0)):
        lanes.store(lanes.real(end), _at(lanes, ends, k))
    arguments = [buffers.x, column, curves.free, buffers.size, ends, start]
    builder.call(called.function, arguments)
    return [lanes.load(_at(lanes, start, j)) for j in range(recipe.n_params)]


def _emitted(curves: Any, recipe: Recipe) -> Part:
    """Emit the function of a recipe, for curves that lie as these do."""
    module = curves.lanes.builder.module
    kind = ir.FunctionType(ir.VoidType(), [REALS, REALS, REALS, INT64, REALS, REALS])
    function = ir.Function(module, kind, f"part{len(curves.parts)}")
    function.linkage = "internal"
    function.attributes.add("noinline")
    lanes = Lanes(
        ir.IRBuilder(function.append_basic_block("entry")), curves.lanes.width, curves.lanes.machine
    )
    *_, start = function.args
    own = _copied(curves, lanes, recipe, function.args)
    for j, value in enumerate(recipe.estimate(own)):
        finite = lanes.abs(lanes.real(value)) < INFINITY
        lanes.store(lanes.where(finite, value, 1.0), _at(lanes, start, j))
    lanes.builder.ret_void()
    return Part(function, 2 + own.most_columns)


def _copied(curves: Any, lanes: Lanes, recipe: Recipe, arguments: Any) -> Any:
    """Emit the copy of the points to be seen; return them as curves in the units of the recipe."""
    x_in, y_in, free, size, ends, _ = arguments
    first, last = (lanes.load(_at(lanes, ends, k)) for k in range(2))
    own = curves.elsewhere(lanes, free, size, last - first + 1.0)
    with own.over_points() as p:
        place = lanes.smaller(first + p.index, last)
        y = _gathered(lanes, y_in, place, shared=False)
        p.keep(own.buffers.y, y)
        p.keep(own.buffers.x, _gathered(lanes, x_in, place, shared=curves.buffers.shared))
        least, most = p.carried(INFINITY), p.carried(-INFINITY)
        lanes.store(lanes.smaller(y, lanes.load(least)), least)
        lanes.store(lanes.larger(y, lanes.load(most)), most)
    ends_of_x = own.x_at(lanes.real(0.0)), own.x_at(own.count)
    return own.framed(recipe.frame_of, *ends_of_x, lanes.load(least), lanes.load(most))


def _gathered(lanes: Lanes, pointer: Any, place: Vec, *, shared: bool) -> Vec:
    """Emit loads of points by their indices, each lane its own."""
    builder = lanes.builder
    places = builder.fptosi(place.ir, lanes.vector(INT64))
    value = ir.Constant(lanes.vector(DOUBLE), ir.Undefined)
    for lane in range(lanes.width):
        i = builder.extract_element(places, INT32(lane))
        if not shared:
            i = builder.add(builder.mul(i, INT64(lanes.width)), INT64(lane))
        number = builder.load(builder.gep(pointer, [i]))
        value = builder.insert_element(value, number, INT32(lane))
    return Vec(lanes, value)


def _at(lanes: Lanes, pointer: Any, k: int) -> Any:
    """Return where the k-th vector behind a pointer is."""
    return lanes.builder.gep(pointer, [INT64(k * lanes.width)])
