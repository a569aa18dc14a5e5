"""Where credentials come from, what is said when they do not do, and that nothing tells them."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from manyfit.pipeline.cluster import local_cluster
from manyfit.pipeline.errors import StoreError
from manyfit.pipeline.objects import profiles
from manyfit.pipeline.objects.lease import check_conditions
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import fit_dataset
from tests.object_stores import (
    AZURE_ACCOUNT,
    AZURE_KEY,
    BUCKET,
    Google,
    Proxy,
    environment,
    free_port,
    proxy,
)

SECRET = "c2VjcmV0LXNlY3JldA=="


def test_google_without_conditions_is_refused(
    s3: int, folder_on: Callable[[str], ObjectPath], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, folder = free_port(), folder_on("gs")
    with proxy(port, s3, dialect=Google, drop_headers=("If-None-Match", "If-Match")):
        monkeypatch.setenv("GOOGLE_BASE_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreError, match=r"cannot go to gs://.* whatever the condition"):
            check_conditions(folder)
        assert list(folder.below()) == []


@pytest.fixture
def azure(az: int, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a call that makes Azurite an account as others are, with nothing else known of it."""

    def account(**settings: str) -> None:
        for name in environment(az, "az"):
            monkeypatch.delenv(name)
        endpoint = f"http://127.0.0.1:{az}/{AZURE_ACCOUNT}"
        given = {"ACCOUNT_NAME": AZURE_ACCOUNT, "ENDPOINT": endpoint, **settings}
        for name, value in given.items():
            monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)

    return account


def test_a_container_has_several_names(azure: Callable[..., None]) -> None:
    azure(ACCOUNT_KEY=AZURE_KEY)
    (ObjectPath.of(f"az://{BUCKET}") / "names" / "a").write_bytes(b"content")
    where = f"{BUCKET}@{AZURE_ACCOUNT}.dfs.core.windows.net"
    for url in (f"abfs://{BUCKET}", f"abfs://{where}", f"abfss://{where}"):
        assert ObjectPath.of(f"{url}/names/a").read_bytes() == b"content"
        assert [str(p) for p in ObjectPath.of(f"{url}/names").below()] == [f"{url}/names/a"]


def test_a_container_that_is_not_there_is_said_so(folder_on: Callable[[str], ObjectPath]) -> None:
    folder_on("az")
    nowhere = ObjectPath.of("az://no-such-container/folder")
    for look in (nowhere.read_bytes, lambda: list(nowhere.below()), lambda: nowhere.create(b"")):
        with pytest.raises(FileNotFoundError, match=r"no az://no-such.*the bucket does not exist"):
            look()


def test_an_account_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=a;AccountKey={SECRET}")
    with pytest.raises(StoreError, match=r"Account must be .*ACCOUNT_KEY .*are not read") as said:
        ObjectPath.of("az://container/a").exists()
    assert SECRET not in str(said.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ACCOUNT_KEY": SECRET},
        {"SAS_TOKEN": f"sv=2023-11-03&sr=c&sp=rl&se=2030-01-01&sig={SECRET}"},
    ],
)
def test_what_denies_access_does_not_tell_secrets(
    wrong: dict[str, str], azure: Callable[..., None]
) -> None:
    azure(**wrong)
    there = ObjectPath.of(f"az://{BUCKET}/a")
    for look in (there.read_bytes, lambda: list(there.below())):
        with pytest.raises(PermissionError, match=r"access denied .*AZURE_STORAGE_ACC") as said:
            look()
        assert SECRET.rstrip("=") not in f"{said.value!r} {said.value.__cause__!r}"


@pytest.fixture
def between(s3: int) -> Iterator[Proxy]:
    """A proxy to S3 that sees which keys requests are signed with."""
    with proxy(free_port(), s3) as found:
        yield found


@pytest.fixture
def aws(
    between: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], None]:
    """Return a call that writes the files of AWS, and has them count for this environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    files = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "credentials"}
    for name, file in files.items():
        monkeypatch.setenv(name, str(tmp_path / "aws" / file))
    (tmp_path / "aws").mkdir()
    endpoint = f"endpoint_url = http://127.0.0.1:{between.server_port}\nregion = us-east-1\n"

    def write(config: str, credentials: str) -> None:
        text = config.replace("ENDPOINT", endpoint)
        (tmp_path / "aws" / "config").write_text(text)
        (tmp_path / "aws" / "credentials").write_text(credentials)

    return write


def keys(profile: str, key: str) -> str:
    return f"[{profile}]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n"


def test_a_profile_signs_requests(
    aws: Callable[[str, str], None], between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws("[default]\nENDPOINT[profile lab]\nENDPOINT", keys("default", "USUAL") + keys("lab", "LAB"))
    folder = ObjectPath.of(f"s3://{BUCKET}/profiles")
    (folder / "a").write_bytes(b"")
    assert list(between.signers) == ["USUAL"]
    monkeypatch.setenv("AWS_PROFILE", "lab")
    (folder / "a").write_bytes(b"")
    assert list(between.signers) == ["USUAL", "LAB"]
    for name, value in environment(between.server_port).items():
        monkeypatch.setenv(name, value)
    (folder / "a").write_bytes(b"")
    assert list(between.signers) == ["USUAL", "LAB", "tests"]  # the environment goes first


def test_keys_that_are_replaced_in_the_file_are_used(
    aws: Callable[[str, str], None], between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "FRESH", timedelta(0))
    aws("[default]\nENDPOINT", keys("default", "FIRST"))
    target = ObjectPath.of(f"s3://{BUCKET}/profiles/replaced")
    target.write_bytes(b"")
    aws("[default]\nENDPOINT", keys("default", "SECOND"))
    time.sleep(0.2)  # the client asks at most ten times a second
    target.write_bytes(b"")
    assert list(between.signers) == ["FIRST", "SECOND"]


ISSUE = """
import datetime, json, pathlib, sys
count = pathlib.Path(sys.argv[1])
count.write_text(f"{len(count.read_text()) * 'x' if count.exists() else ''}x")
print(json.dumps({
    "Version": 1, "AccessKeyId": f"KEY{len(count.read_text())}", "SecretAccessKey": sys.argv[2],
    "SessionToken": sys.argv[2], "Expiration": sys.argv[3],
}))
"""


@pytest.mark.parametrize(("lasts_h", "renewed"), [(5, False), (0.1, True)])
def test_keys_that_end_are_issued_again(
    lasts_h: float,
    renewed: bool,
    aws: Callable[[str, str], None],
    between: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(profiles, "FRESH", timedelta(0))
    script, ends = tmp_path / "issue.py", datetime.now(UTC) + timedelta(hours=lasts_h)
    script.write_text(ISSUE)
    command = f"{sys.executable} {script} {tmp_path / 'count'} {SECRET} {ends.isoformat()}"
    aws(f"[default]\ncredential_process = {command}\nENDPOINT", "")
    for _ in range(2):
        ObjectPath.of(f"s3://{BUCKET}/profiles/issued").write_bytes(b"")
        time.sleep(0.2)
    assert (len((tmp_path / "count").read_text()) > 1) == renewed
    assert (len(between.signers) > 1) == renewed


def test_workers_read_their_files_and_nothing_tells_the_keys(
    layouts: Any,
    values: Any,
    model: Any,
    aws: Callable[[str, str], None],
    between: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    aws("[profile lab]\nENDPOINT", keys("lab", "LAB"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    folder = ObjectPath.of(f"s3://{BUCKET}/profile of workers")
    (folder / "in.parquet").upload(layouts.write("list", values[:200], rows=100))
    given: dict[str, Any] = {"p0": [1.0, 1.0, 1.0], "partition_bytes": 15_000}
    with local_cluster(1) as cluster, Client(cluster, set_as_default=False) as workers:  # type: ignore[no-untyped-call]
        summary = fit_dataset(
            f"{folder}/in.parquet", model, folder / "out", cluster=workers, **given
        )
        found = workers.run(_seen_by_a_worker, str(folder / "in.parquet"))
        between.share, between.harms = 1.0, ("403",)
        denied = workers.run(_seen_by_a_worker, str(folder / "in.parquet"))
    between.share = 0.0
    assert (summary.fitted, summary.failed) == (200, {})
    assert list(found.values()) == [""]
    assert all("access denied" in said and "AWS_ACCESS_KEY_ID" in said for said in denied.values())
    assert list(between.signers) == ["LAB"]
    assert read_result(folder / "out").num_rows == 200
    written = b"".join(path.read_bytes() for path in (folder / "out").below())
    assert b"part_digest" in written
    told = json.dumps(list(denied.values())) + "".join(capfd.readouterr())
    for secret in (SECRET, "LAB"):
        assert secret.encode() not in written
        assert secret not in told


def _seen_by_a_worker(url: str) -> str:
    """Return what a worker is told when it looks at an object."""
    try:
        ObjectPath.of(url).read_bytes()
    except OSError as error:
        return repr(error)
    return ""


SIGN_ON = """[profile lab]
sso_session = s
sso_account_id = 1
sso_role_name = r
ENDPOINT[sso-session s]
sso_region = us-east-1
sso_start_url = http://127.0.0.1:9
"""


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", r"the profile 'lab' of AWS: .*could not be found"),
        ("[profile lab]\nENDPOINT", r"the profile 'lab' of AWS has no credentials: run `aws conf"),
        (
            SIGN_ON,
            r"access denied .*Error loading SSO Token.* or AWS_PROFILE",
        ),
    ],
)
def test_a_profile_that_gives_no_credentials_is_refused(
    config: str, message: str, aws: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws(config, "")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    with pytest.raises((StoreError, PermissionError), match=message):
        ObjectPath.of(f"s3://{BUCKET}/a").read_bytes()


def test_files_of_aws_need_what_reads_them(
    aws: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    aws("[default]\nregion = us-east-1", keys("default", "USUAL"))
    message = r"come from .*credentials, and .*not installed: pip install boto3; or set AWS_ACC"
    with pytest.raises(StoreError, match=message):
        ObjectPath.of(f"s3://{BUCKET}/a").read_bytes()
    monkeypatch.setenv("AWS_PROFILE", "lab")
    with pytest.raises(StoreError, match="come from the profile 'lab', and"):
        ObjectPath.of(f"s3://{BUCKET}/a").read_bytes()


def test_a_role_and_a_file_of_the_region_are_no_profile(
    aws: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws("[default]\nregion = us-east-1", keys("default", "USUAL"))
    assert set(profiles.of_profile(dict(os.environ))) == {"credential_provider", "region"}
    assert profiles.of_profile({**os.environ, "AWS_WEB_IDENTITY_TOKEN_FILE": "token"}) == {}
    assert profiles.of_profile({**os.environ, "AWS_SKIP_SIGNATURE": "true"}) == {}
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).unlink()
    monkeypatch.setitem(sys.modules, "botocore", None)
    assert profiles.of_profile(dict(os.environ)) == {}
