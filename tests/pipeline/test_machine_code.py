"""Machine code is made once, and taken over by other processes of this machine."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client

from manyfit import FitOptions, fit_curves
from manyfit.pipeline.cluster import local_cluster
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.machine_code import compiled_ahead
from manyfit.pipeline.run import checked_work, fit_dataset
from manyfit.solver.library import get_model
from manyfit.solver.simd.compiling import object_code
from tests.pipeline.conftest import X

TAKES_OVER = """
import pickle, sys
from pathlib import Path
from manyfit import fit_curves
from manyfit.solver.library import get_model
from manyfit.solver.simd import compiling, engine, guessing

def refused(*_):
    raise AssertionError("it compiles")

compiling.optimised = guessing.guess_text = engine.kernel_text = engine.finish_text = refused
folder = Path(sys.argv[1])
compiling.take_object_code(pickle.loads((folder / "objects").read_bytes()))
x, y = pickle.loads((folder / "curves").read_bytes())
fit = fit_curves(get_model("exponential_decay"), x, y)
assert fit.compiled.all()
print((fit.params.tobytes() + fit.cov.tobytes()).hex())
"""


def test_another_process_fits_with_it_and_compiles_nothing(values: Any, tmp_path: Path) -> None:
    fit = fit_curves(get_model("exponential_decay"), X, values[:20])
    (tmp_path / "objects").write_bytes(pickle.dumps(object_code()))
    (tmp_path / "curves").write_bytes(pickle.dumps((X, values[:20])))
    command = [sys.executable, "-c", TAKES_OVER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert bytes.fromhex(done.stdout) == fit.params.tobytes() + fit.cov.tobytes()


def test_tasks_need_what_was_compiled_ahead_and_no_more(
    layouts: Any, values: Any, tmp_path: Path
) -> None:
    path, model = layouts.write("list", values), get_model("exponential_decay")
    options, sink = FitOptions(bounds={"a": (0, None)}), tmp_path / "out"
    work = checked_work(open_dataset(path), model, options, None, sink)
    with (
        local_cluster(1) as cluster,
        Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
        compiled_ahead(work) as code,
    ):
        (before,) = client.run(object_code).values()
        client.register_plugin(code())
        (handed,) = client.run(object_code).values()
        summary = fit_dataset(path, model, sink, options=options, cluster=client)
        (after,) = client.run(object_code).values()
    assert not before
    assert handed.items() >= after.items()
    assert len(handed) >= 3  # a guess, a kernel and covariances
    assert summary.fitted == 600


def test_a_model_that_is_no_formula_compiles_nothing(
    layouts: Any, values: Any, tmp_path: Path
) -> None:
    def stepped(x: Any, a: Any, b: Any) -> Any:
        return a * np.interp(x, [0.0, 2.0, 4.0], [1.0, 0.5, 0.2]) + b

    path, options = layouts.write("list", values), FitOptions(engine="reference")
    work = checked_work(open_dataset(path), stepped, options, {"a": 1, "b": 0}, tmp_path / "out")
    before = object_code()
    with compiled_ahead(work) as code:
        code()
    assert object_code() == before
