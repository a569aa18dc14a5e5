"""The commands themselves: quick to start, and told what every exit code means."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import Result

from manyfit.workflows.exits import Exit, Failure, misuse

Invoke = Callable[..., Result]

HELP = """\
import sys
from manyfit.workflows.cli import main
main({words}, standalone_mode=False)
heavy = {{"dask", "distributed", "numpy", "pyarrow", "rich"}} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["simulate", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP.format(words=words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_help_says_what_exit_codes_mean(invoke: Invoke) -> None:
    for words in (["--help"], ["fit", "--help"]):
        text = " ".join(invoke(*words).output.split())
        assert all(f"{int(code)} {code.meaning}" in text for code in Exit)


def test_models_are_listed(invoke: Invoke) -> None:
    assert "c + K/(1 + exp(-r*(x - tm)))" in invoke("models").stdout


def test_simulate_and_show_refuse_with_one_message(invoke: Invoke, tmp_path: object) -> None:
    done = invoke("simulate", "-m", "gausian", "--curves", 3, "--out", f"{tmp_path}/a")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("manyfit: --model 'gausian' is not in the library: did you mean")
    done = invoke("show", tmp_path)
    assert done.exit_code == 2
    assert "holds no results of manyfit" in done.stderr


def test_what_is_not_misuse_keeps_its_traceback() -> None:
    with pytest.raises(KeyError, match="defect"), misuse():
        raise KeyError("defect")
    with pytest.raises(Failure, match="OSError") as caught, misuse():
        raise OSError
    assert caught.value.exit_code == 2


def test_an_interruption_has_its_exit_code() -> None:
    with pytest.raises(Failure, match="interrupted") as caught, misuse():
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130
