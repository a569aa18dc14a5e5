"""The commands on URLs of an object store."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.results import read_result

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Invoke = Callable[..., Result]


@pytest.fixture
def data(decays: Path, folder: ObjectPath) -> str:
    """The decays, in a bucket."""
    for path in decays.glob("*.parquet"):
        (folder / "de cays" / path.name).upload(path)
    return f"{folder}/de cays"


def test_every_command_takes_urls(
    data: str, folder: ObjectPath, manyfit: Command, invoke: Invoke, fits: Path
) -> None:
    out = f"{folder}/fits"
    words = ("fit", f"{data}/*.parquet", "-m", "exponential_decay", "-o", out, "--workers", 1)
    planned = manyfit("plan", *words[1:])
    assert planned.returncode == 0, planned.stderr
    assert "1,200 curves" in planned.stdout
    assert not (folder / "fits").is_dir()
    done = manyfit(*words, "--partition-size", "200kB")
    assert done.returncode == 0, done.stderr
    assert "1,200 curves in 2 partition(s): 1,200 fitted" in done.stdout
    assert f"results    {out}\n" in done.stdout
    np.testing.assert_array_equal(read_result(out)["a"], read_result(fits)["a"])
    again = manyfit(*words)
    assert "2 fitted before: 0 fitted" in again.stdout
    shown = invoke("show", out, "--truth", data)
    assert shown.exit_code == 0, shown.stderr
    assert "1,200 curves fitted with exponential_decay" in shown.stdout
    assert "against the truth" in shown.stdout
    found = invoke("verify", out, "--data", data)
    assert (found.exit_code, "as the ledger says" in found.stdout) == (0, True)
    (folder / "fits" / "_manyfit" / "00001.json").unlink()
    assert invoke("verify", out).exit_code == 3
    assert invoke("unlock", out).stdout == f"{out} is not locked\n"
    assert manyfit(*words).returncode == 0
    assert invoke("verify", out, "--data", data).exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{data}", "-o", "{data}/out"], "where the data are: its results would be taken for data"),
        (["s3://no-such-bucket/a", "-o", "out"], "the bucket does not exist"),
        (["{data}/none", "-o", "out"], "there is no Parquet object"),
        (["{data}/*.pq", "-o", "out"], "there is no object that matches"),
        (["{data}", "-o", "memory://out"], "begins with memory:// cannot be used; expected s3://"),
        (["{data}", "-o", "s3://no-such-bucket/out"], "the bucket does not exist"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(
    words: list[str], message: str, data: str, invoke: Invoke
) -> None:
    given = [word.format(data=data) for word in words]
    done = invoke("fit", *given, "-m", "exponential_decay", "--workers", 1)
    assert (done.exit_code, "Traceback" in done.output) == (2, False)
    assert message in done.stderr
