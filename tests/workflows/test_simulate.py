"""Simulated data sets: what was asked for, the same bits however they are cut."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.memory import fit_table
from manyfit.solver.library.registry import MODELS
from manyfit.solver.options import FitOptions
from manyfit.workflows.simulate.bad import KINDS, kinds_in
from manyfit.workflows.simulate.command import fit_command, recipe_of, run_simulate
from manyfit.workflows.simulate.curves import blocks
from manyfit.workflows.simulate.defaults import EXAMPLES
from manyfit.workflows.simulate.layouts import table_of
from manyfit.workflows.simulate.recipe import BLOCK_VALUES, METADATA_KEY
from manyfit.workflows.simulate.write import truth_path

LAYOUTS = ["list", "long", "wide"]


def written(path: Path, **asked: Any) -> pa.Table:
    """Write a small data set and read it whole."""
    chosen: dict[str, Any] = {"spec": "gaussian", "n_curves": 300, "n_points": 20, **asked}
    run_simulate(out=path, overwrite=True, **chosen)
    files = [path] if path.is_file() else sorted(path.glob("[!_]*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_chunks_and_files_do_not_change_a_bit(tmp_path: Path, layout: str) -> None:
    many = BLOCK_VALUES // 20 + 500  # more than a block
    asked = {"layout": layout, "n_curves": many, "bad_share": 0.1}
    whole = written(tmp_path / "a", **asked)
    cut = written(tmp_path / "b", **asked, n_files=3, row_group=997)
    assert repr(cut.to_pydict()) == repr(whole.to_pydict())  # NaN is not equal to NaN
    assert pq.ParquetFile(tmp_path / "b" / "part-00001.parquet").num_row_groups > 3


def test_the_first_curves_are_the_same_however_many_follow(tmp_path: Path) -> None:
    few, many = (written(tmp_path / "a", n_curves=n) for n in (100, 300))
    assert many.slice(0, 100).equals(few)


def test_another_seed_gives_other_curves(tmp_path: Path) -> None:
    one, same, other = (written(tmp_path / "a", seed=seed) for seed in (1, 1, 2))
    assert one.equals(same)
    assert not np.intersect1d(one["true_a"].to_numpy(), other["true_a"].to_numpy()).size


def test_bad_curves_leave_the_others_as_they_are(tmp_path: Path) -> None:
    good, some_bad = written(tmp_path / "a"), written(tmp_path / "a", bad_share=0.2)
    whole = pa.compute.is_null(some_bad["bad"])
    assert some_bad.filter(whole).drop("bad").equals(good.filter(whole).drop("bad"))


def test_layouts_hold_the_same_curves(tmp_path: Path) -> None:
    lists, long, wide = (written(tmp_path / layout, layout=layout) for layout in LAYOUTS)
    y = np.array(lists["y"].to_pylist())
    np.testing.assert_array_equal(long["y"].to_numpy().reshape(y.shape), y)
    points = [name for name in wide.column_names if name.startswith("y_")]
    np.testing.assert_array_equal(np.column_stack([wide[name] for name in points]), y)
    truth = pq.read_table(truth_path(tmp_path / "long"))
    assert truth.equals(lists.select(truth.column_names))
    assert truth.equals(wide.select(truth.column_names))


def test_truth_and_noise_are_as_asked(tmp_path: Path) -> None:
    asked = {"truth": ("a=4,mu=3",), "spread": 0.1, "noise": 0.2, "n_curves": 2000}
    table = written(tmp_path / "a", x_range="0:6", **asked)
    for name, centre in {"a": 4.0, "mu": 3.0, "s": 1.0, "c": 0.5}.items():
        values = table[f"true_{name}"].to_numpy()
        assert 0.9 * centre <= values.min() < 0.91 * centre
        assert 1.09 * centre < values.max() <= 1.1 * centre
    x, y = (np.array(table[name].to_pylist()) for name in "xy")
    np.testing.assert_array_equal(x, np.broadcast_to(np.linspace(0, 6, 20), y.shape))
    a, mu, s, c = (table[f"true_{name}"].to_numpy()[:, None] for name in ("a", "mu", "s", "c"))
    noise = y - (a * np.exp(-((x - mu) ** 2) / (2 * s**2)) + c)
    assert abs(noise.std() - 0.2) < 0.2 * 4 / np.sqrt(2 * noise.size)


def test_noise_may_be_relative_or_of_counts(tmp_path: Path) -> None:
    asked = {"spec": "polynomial:0", "truth": ("c0=400",), "spread": 0.0, "n_curves": 1000}
    for kind, sigma in (("relative", 40.0), ("poisson", 20.0)):
        table = written(tmp_path / "a", noise_kind=kind, noise=0.1, with_sigma=True, **asked)
        y = np.array(table["y"].to_pylist())
        np.testing.assert_allclose(np.array(table["sigma"].to_pylist()), sigma)
        assert abs(y.std() / sigma - 1) < 4 / np.sqrt(2 * y.size)
        assert np.array_equal(y, np.round(y)) == (kind == "poisson")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bad_curves_are_of_every_kind(tmp_path: Path, layout: str) -> None:
    written(tmp_path / "a", layout=layout, bad_share=0.1, n_curves=700)
    beside = truth_path(tmp_path / "a")
    told = pq.read_table(beside if layout == "long" else tmp_path / "a")["bad"].to_pylist()
    counts = Counter(told)
    assert counts.pop(None) == 630
    assert set(counts) == set(kinds_in(layout))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_bad_curves_are_as_bad_as_they_are_called(tmp_path: Path) -> None:
    table = written(tmp_path / "a", bad_share=1.0, n_curves=70)
    y = dict(zip(table["bad"].to_pylist(), table["y"].to_pylist(), strict=True))
    assert set(y) == set(KINDS)
    assert y["null"] is None
    assert y["empty"] == []
    assert len(y["too_short"]) == 3
    assert np.isnan(y["all_nan"]).all()
    assert 0 < np.isnan(y["nan_points"]).sum() < 20
    assert np.isposinf(y["inf"]).sum() == 1
    assert len(set(y["constant"])) == 1


def test_files_say_how_they_were_made(tmp_path: Path) -> None:
    metadata = written(tmp_path / "a.parquet", seed=3).schema.metadata
    made = json.loads(metadata[METADATA_KEY])
    assert (made["model"], made["n_curves"], made["seed"]) == ("gaussian", 300, 3)
    assert made["truth"] == {"a": 2, "mu": 5, "s": 1, "c": 0.5}


def test_truth_of_long_rows_is_not_taken_for_data(tmp_path: Path) -> None:
    written(tmp_path / "a", layout="long")
    assert open_dataset(tmp_path / "a").n_curves == 300
    written(tmp_path / "b.parquet", layout="long")
    assert truth_path(tmp_path / "b.parquet").exists()
    assert open_dataset(str(tmp_path / "*.parquet")).n_curves == 300


def test_no_more_than_a_row_group_is_in_memory() -> None:
    recipe = recipe_of(spec="gaussian", n_curves=10**12)
    last = next(blocks(recipe, 10**12 - 5, 10**12))
    assert (last.first, len(last)) == (10**12 - 5, 5)
    assert 8 * recipe.row_group * recipe.n_points <= 16 * 2**20


@pytest.mark.parametrize("spec", [*EXAMPLES, "polynomial:3"])
def test_examples_are_fitted_well(spec: str) -> None:
    recipe = recipe_of(spec=spec, n_curves=400)
    table = pa.concat_tables([table_of(part, recipe) for part in blocks(recipe, 0, 400)])
    fits = fit_table(
        table,
        recipe.model,
        options=FitOptions(absolute_sigma=True),
        columns=Columns(sigma=recipe.noise),
    )
    status = fits["status"].to_numpy()
    assert np.mean((status >= 1) & (status <= 4)) > 0.99
    for name in recipe.model.params:
        error = fits[name].to_numpy() - table[f"true_{name}"].to_numpy()
        inside = np.abs(error) < fits[f"{name}_stderr"].to_numpy()
        assert abs(inside.mean() - 0.6827) < 4 * np.sqrt(0.6827 * 0.3173 / 400), name


def test_every_library_model_has_an_example() -> None:
    known = {name.partition(":")[0] for name in EXAMPLES} | {"polynomial"}
    assert known == set(MODELS)


def test_the_command_that_fits_says_what_the_data_do_not() -> None:
    wide = recipe_of(spec="gaussian", n_curves=1, layout="wide", x_range="0:9")
    expected = "--y 'y_*' --x-values 0:9:50 --out a-fits"
    assert fit_command(wide, Path("a.parquet")).endswith(expected)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n_curves": 0}, r"--curves must be >= 1, got 0"),
        ({"n_points": 0}, r"--points must be >= 1, got 0"),
        ({"seed": -1}, r"--seed must be >= 0, got -1"),
        ({"noise": -0.1}, r"--noise must be >= 0, got -0.1"),
        ({"noise": float("nan")}, r"--noise must be >= 0, got nan"),
        ({"spread": 2.0}, r"--spread must be >= 0 and <= 1, got 2"),
        ({"bad_share": 1.5}, r"--bad-share must be >= 0 and <= 1, got 1.5"),
        ({"layout": "tall"}, r"--layout must be one of .*'long'.* got 'tall'"),
        ({"noise_kind": "pink"}, r"--noise-kind must be one of .* got 'pink'"),
        ({"layout": "wide", "with_sigma": True}, r"--sigma needs the list or the long layout"),
        ({"x_range": "5:0"}, r"--x-range: the lower end must be below the upper one"),
        ({"truth": ("b=1",)}, r"--truth needs a value for each parameter.*\['b'\] unknown"),
        (
            {"noise_kind": "poisson", "truth": ("c=-9",)},
            r"draws counts, but 'gaussian' is negative",
        ),
        (
            {"spec": "power_law", "x_range": "-1:1"},
            r"'power_law' is not finite at x = -1 for truth",
        ),
        ({"n_files": 0}, r"--files must be within 1..300 \(curves\), got 0"),
        ({"row_group": 0}, r"--row-group-size must be at least 1 curve, got 0"),
    ],
)
def test_misuse_is_refused(tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        written(tmp_path / "a", **asked)
    assert not list(tmp_path.rglob("*.parquet*"))


def test_several_files_need_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--files 2 needs a directory, but --out is the file"):
        written(tmp_path / "a.parquet", n_files=2)


def test_models_of_one_predictor_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planes.py").write_text(
        "from manyfit.solver.model import Model\n"
        "def f(x, z, a): return a * x * z\n"
        "plane = Model.from_function(f, x=('x', 'z'))\n"
        "def line(x, a, b=3.0): return a + b * x\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"only models with one predictor .* \('x', 'z'\)"):
        recipe_of(spec="planes:plane", n_curves=1, x_range="0:1", truth=("a=1",))
    with pytest.raises(ValueError, match=r"--x-range LO:HI is needed for 'planes:line'"):
        recipe_of(spec="planes:line", n_curves=1)
    with pytest.raises(ValueError, match=r"\['a'\] missing; for example --truth a=1,b=1"):
        recipe_of(spec="planes:line", n_curves=1, x_range="0:1")
    assert recipe_of(spec="planes:line", n_curves=1, x_range="0:1", truth=("a=1",)).truth["b"] == 3


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    run_simulate(out=tmp_path / "a", spec="gaussian", n_curves=3)
    with pytest.raises(FileExistsError, match=r"exists already: choose another --out or --over"):
        run_simulate(out=tmp_path / "a", spec="gaussian", n_curves=3)
    (tmp_path / "a" / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match=r"holds more than Parquet files \('thesis.tex'\)"):
        run_simulate(out=tmp_path / "a", spec="gaussian", n_curves=3, overwrite=True)
