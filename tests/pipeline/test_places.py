"""What holds of every place: a folder on a disk, and folders of two object stores."""

import hashlib
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from manyfit.pipeline.errors import DatasetError, StoreError
from manyfit.pipeline.files import find_files, is_zarr, read_footers, root_of
from manyfit.pipeline.objects.file import TAIL_BYTES
from manyfit.pipeline.objects.lease import Lease, check_conditions
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.parquet import open_parquet
from manyfit.pipeline.places import Place, each, is_place, lies_in, place_of, written_whole
from manyfit.pipeline.sink import file_digest, read_json, write_json
from tests.object_stores import BUCKET, environment, free_port, proxy, seaweed_server

NAMES = ["plain", "with space", "plate=A1", "50%25 + x", "a#b?c", "Überprüfung"]


class PlaceTests:
    """The suite."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """A folder with nothing in it."""
        raise NotImplementedError

    def test_what_is_written_is_read(self, place: Place) -> None:
        for name in NAMES:
            target = place / name
            assert not target.exists()
            with written_whole(target) as temporary:
                temporary.write_bytes(name.encode())
            assert target.is_file()
            assert target.read_text(encoding="utf-8") == name
            assert target.stat().st_size == len(name.encode())
            assert file_digest(target) == hashlib.sha256(name.encode()).hexdigest()[:16]
        assert sorted(path.name for path in place.iterdir()) == sorted(NAMES)

    def test_what_fails_half_way_was_never_there(self, place: Place) -> None:
        (place / "kept").write_bytes(b"as it was")

        def fail(target: Place) -> None:
            with written_whole(target) as temporary:
                temporary.write_bytes(b"half")
                raise ZeroDivisionError

        for name in ("kept", "new"):
            with pytest.raises(ZeroDivisionError):
                fail(place / name)
        assert [path.name for path in place.iterdir()] == ["kept"]
        assert (place / "kept").read_bytes() == b"as it was"

    def test_large_files_are_written_whole(self, place: Place) -> None:
        content = random.Random(1).randbytes(13_000_000)
        with written_whole(place / "large") as temporary:
            temporary.write_bytes(content)
        assert (place / "large").read_bytes() == content
        assert file_digest(place / "large") == hashlib.sha256(content).hexdigest()[:16]

    def test_json_is_read_back_and_nothing_else_is_taken_for_it(self, place: Place) -> None:
        write_json(place / "a.json", {"n": 1.5, "text": "µ"})
        assert read_json(place / "a.json") == {"n": 1.5, "text": "µ"}
        write_json(place / "a.json", {"n": 2})
        assert read_json(place / "a.json") == {"n": 2}
        assert read_json(place / "none.json") is None
        (place / "torn.json").write_bytes(b'{"n": ')
        (place / "list.json").write_bytes(b"[1]")
        assert read_json(place / "torn.json") is None
        assert read_json(place / "list.json") is None

    def test_what_is_not_there_is_said_so(self, place: Place) -> None:
        missing = place / "none"
        for look in (missing.stat, missing.read_bytes, lambda: missing.open("rb")):
            with pytest.raises(FileNotFoundError, match="none"):
                look()
        missing.unlink(missing_ok=True)
        assert not missing.is_file()
        assert not (place / "folder").is_dir()

    def test_names_match_as_on_a_disk(self, place: Place) -> None:
        for name in ("00001.json", "00002.json", "x0.json", "00003.txt"):
            (place / name).write_bytes(b"")
        found = {path.name for path in place.glob("[0-9]*.json")}
        assert found == {"00001.json", "00002.json"}
        assert (place / "x0.json").suffix == ".json"
        assert (place / "x0.json").parent == place
        assert place.is_dir()

    def test_files_are_read_here_and_there(self, place: Place) -> None:
        content = random.Random(2).randbytes(3 * TAIL_BYTES + 17)
        (place / "a").write_bytes(content)
        dice = random.Random(3)
        with (place / "a").open("rb") as stream:
            for _ in range(40):
                at, n = dice.randrange(len(content) + 9), dice.randrange(TAIL_BYTES)
                assert stream.seek(at) == at
                assert stream.read(n) == content[at : at + n]
            assert stream.seek(-10, os.SEEK_END) == len(content) - 10
            assert stream.read() == content[-10:]

    def test_parquet_is_the_same_everywhere(self, place: Place, tmp_path: Path) -> None:
        table = pa.table(
            {"a": np.arange(30_000), "b": np.random.default_rng(0).normal(size=30_000)}
        )
        pq.write_table(table, tmp_path / "local.parquet", row_group_size=7_000)
        (place / "there.parquet").write_bytes((tmp_path / "local.parquet").read_bytes())
        with open_parquet(place / "there.parquet", pre_buffer=False) as there:
            assert there.parquet.read(use_threads=False).equals(table)
            with open_parquet(tmp_path / "local.parquet") as here:
                assert there.identity() == here.identity()

    def test_work_is_done_in_order(self, place: Place) -> None:
        assert list(each(place, lambda n: n * n, range(100))) == [n * n for n in range(100)]


class TestDisk(PlaceTests):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        (tmp_path / "a place").mkdir()
        return tmp_path / "a place"


class StoreTests(PlaceTests):
    """What stores have and disks have not: conditions."""

    @pytest.fixture
    def place(self) -> ObjectPath:
        """A folder of a bucket."""
        raise NotImplementedError

    def test_one_of_many_creates(self, place: ObjectPath) -> None:
        target = place / "one"
        with ThreadPoolExecutor(30) as pool:
            won = list(pool.map(lambda k: target.create(f"{k}".encode()), range(30)))
        assert sum(version is not None for version in won) == 1
        winner = next(k for k, version in enumerate(won) if version is not None)
        assert target.read_bytes() == f"{winner}".encode()
        assert target.create(f"{winner}".encode()) == target.read_version()[1]

    def test_one_of_many_swaps(self, place: ObjectPath) -> None:
        target = place / "one"
        first = target.create(b"first")
        assert first is not None
        with ThreadPoolExecutor(30) as pool:
            won = list(pool.map(lambda k: target.swap(f"{k}".encode(), first), range(30)))
        assert sum(version is not None for version in won) == 1
        assert target.swap(b"late", first) is None
        target.unlink()
        assert target.swap(b"later", first) is None

    def test_a_store_that_keeps_to_conditions_passes(self, place: ObjectPath) -> None:
        check_conditions(place)
        assert list(place.below()) == []

    def test_an_object_that_changes_is_not_read_on(self, place: ObjectPath) -> None:
        target = place / "changes"
        target.write_bytes(b"a" * (2 * TAIL_BYTES))
        with target.open() as stream:
            target.write_bytes(b"b" * (2 * TAIL_BYTES))
            with pytest.raises(OSError, match="has changed since the data set was opened"):
                stream.read()

    def test_one_of_many_holds_a_lease(self, place: ObjectPath) -> None:
        leases = [Lease(place) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            others = list(pool.map(lambda lease: lease.take(), leases))
        assert sum(other is None for other in others) == 1
        holder = leases[others.index(None)]
        holder.renew()
        holder.renew()
        for lease in leases:
            if lease is not holder:
                lease.release()
        there = Lease(place).holder()
        assert there is not None
        assert there.alive
        assert there.owner.pid == os.getpid()
        assert there.owner.host == socket.gethostname()
        assert there.owner.seen_s < 30
        holder.release()
        assert Lease(place).holder() is None

    def test_a_lease_that_was_broken_is_not_renewed(self, place: ObjectPath) -> None:
        first, second = Lease(place), Lease(place)
        assert first.take() is None
        (place / "lock").unlink()
        assert second.take() is None
        first.renew()
        first.renew()
        first.release()
        second.renew()
        there = Lease(place).holder()
        assert there is not None
        second.release()
        assert Lease(place).holder() is None

    def test_a_sign_of_life_that_seemed_to_fail_is_no_loss(self, place: ObjectPath) -> None:
        lease = Lease(place)
        assert lease.take() is None
        said = json.loads((place / "lock").read_bytes())
        (place / "lock").write_text(json.dumps({**said, "beats": 41}))
        lease.renew()
        lease.renew()
        assert json.loads((place / "lock").read_bytes())["beats"] == 2
        lease.release()
        assert not (place / "lock").exists()


class TestMoto(StoreTests):
    @pytest.fixture
    def place(self, folder: ObjectPath) -> ObjectPath:
        return folder


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with seaweed_server(port, tmp_path_factory.mktemp("weed")):
        yield port


class TestSeaweed(StoreTests):
    @pytest.fixture
    def place(
        self, seaweed: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> ObjectPath:
        for name, value in environment(seaweed).items():
            monkeypatch.setenv(name, value)
        return ObjectPath.of(f"s3://{BUCKET}/{request.node.name}")


def test_a_store_that_ignores_conditions_is_refused(
    s3: int, folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with proxy(port, s3, drop_headers=("If-None-Match", "If-Match")):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreError, match=r"cannot go to s3://.* whatever the condition"):
            check_conditions(folder)
        assert list(folder.below()) == []


def test_one_condition_is_not_enough(
    s3: int, folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with proxy(port, s3, drop_headers=("If-Match",)):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreError, match="whatever the condition"):
            check_conditions(folder)


def test_a_request_whose_answer_was_lost_is_done_once(
    s3: int, folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with proxy(port, s3, seed=4, share=0.4) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for k in range(15):
            version = (folder / f"{k}").create(b"mine")
            assert version is not None
            assert (folder / f"{k}").swap(b"still mine", version) is not None
    assert between.seen["lost"] > 3
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3}")
    assert {path.read_bytes() for path in folder.below()} == {b"still mine"}


TREE = [
    *("a.parquet", "b.pq", "c.txt", "_hidden.parquet", ".dot.parquet", "in/d.parquet"),
    *("in/deep/e.parquet", "in/_skip/f.parquet", "in/.skip/g.parquet", "g[1].parquet"),
    *("plate=A1/h.parquet", "plate=B 2/h.parquet", "in/n2.parquet", "in/n10.parquet"),
]
"""Names of files, on a disk and in a store."""


@pytest.mark.parametrize(
    "asked",
    [
        *("", "in", "in/", "*.parquet", "*/*.parquet", "**/*.parquet", "in/**/*.parquet"),
        *("in/n?.parquet", "in/n[0-9]*.parquet", "plate=*/h.parquet", "a.parquet"),
        *("g[1].parquet", "in/deep/e.parquet", "c.txt", "*"),
    ],
)
def test_objects_are_found_as_files_are(asked: str, folder: ObjectPath, tmp_path: Path) -> None:
    table = pa.table({"y": [1.0]})
    for name in TREE:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        (folder / name).upload(path)
    url = f"{folder}/{asked}"
    files, objects = find_files(str(tmp_path / asked)), find_files(url)
    here, there = root_of(str(tmp_path / asked)), root_of(url)
    if files[0].suffix != ".txt":
        assert [f.file.name for f in read_footers(objects, there, {})] == [
            f.file.name for f in read_footers(files, here, {})
        ]
    assert [str(p).removeprefix(str(folder)) for p in objects] == [
        str(p).removeprefix(str(tmp_path)) for p in files
    ]


def test_objects_that_are_not_there_are_said_so(folder: ObjectPath) -> None:
    (folder / "in" / "notes.txt").write_bytes(b"")
    for asked, message in (
        ("in", r"no Parquet object \(.parquet, .pq, .parq\) in s3://.*/in; .*has \['notes.txt'\]"),
        ("none", r"no Parquet object .* has nothing at all"),
        ("in/*.parquet", r"no object that matches s3://.*\*.parquet; .* has \['notes.txt'\]"),
    ):
        with pytest.raises(DatasetError, match=message):
            find_files(f"{folder}/{asked}")
    with pytest.raises(FileNotFoundError, match="the bucket does not exist"):
        find_files("s3://no-such-bucket/in")
    (folder / "bad.parquet").write_bytes(b"no Parquet")
    with pytest.raises(DatasetError, match=r"bad.parquet cannot be read as Parquet"):
        read_footers(find_files(f"{folder}/bad.parquet"), str(folder), {})
    (folder / "empty.parquet").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"empty.parquet cannot be read as Parquet"):
        read_footers(find_files(f"{folder}/empty.parquet"), str(folder), {})


def test_files_of_several_places_are_refused(folder: ObjectPath, tmp_path: Path) -> None:
    (folder / "a.parquet").write_bytes(b"")
    (tmp_path / "b.parquet").write_bytes(b"")
    message = rf"several places \(s3://{BUCKET}, this disk\): name files of one"
    with pytest.raises(DatasetError, match=message):
        root_of([f"{folder}/a.parquet", tmp_path / "b.parquet"])


def test_zarr_is_known_by_its_metadata(folder: ObjectPath, tmp_path: Path) -> None:
    (folder / "group" / "zarr.json").write_bytes(b"{}")
    assert is_zarr(f"{folder}/group")
    assert is_zarr(f"{folder}/anything.zarr")
    assert not is_zarr(f"{folder}/other")
    assert not is_zarr(f"{folder}/other/*.parquet")
    (tmp_path / ".zgroup").write_bytes(b"{}")
    assert is_zarr(f"file://{tmp_path}")


def test_places_are_known_by_their_names(tmp_path: Path) -> None:
    assert place_of(tmp_path) == tmp_path
    assert place_of("x/y") == Path.cwd() / "x" / "y"
    assert place_of("file:///data/a%20b") == Path("/data/a b")
    found = place_of("s3://bucket/a b/c%20d/")
    assert found == ObjectPath("s3://bucket", "a b/c%20d")
    assert str(found) == "s3://bucket/a b/c%20d"
    assert place_of(found) is found
    assert str(place_of("gs://bucket")) == "gs://bucket"
    assert [is_place(t) for t in ("a", "az://b/c", "file:///a", "https://x/a.zarr")] == [
        *(True, True, True, False)
    ]
    assert lies_in(ObjectPath.of("s3://b/a/c"), ObjectPath.of("s3://b/a"))
    assert not lies_in(ObjectPath.of("s3://b/ac"), ObjectPath.of("s3://b/a"))
    assert not lies_in(tmp_path, ObjectPath.of("s3://b"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("memory://a/b", "what begins with memory:// cannot be used; expected s3://, gs://, az://"),
        ("s3://", r"names no bucket: expected s3://bucket/folder"),
        (Path("s3://bucket/a"), r"has lost a slash: give it as a str, 's3://bucket/a'"),
    ],
)
def test_other_names_are_refused(given: Any, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        place_of(given)


def test_without_the_package_a_url_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StoreError, match=r"not installed: pip install 'manyfit\[objects\]'"):
        find_files("s3://never-seen-before/a")


LOCALLY = """
import sys
sys.modules["obstore"] = None
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.lock import locked
from manyfit.pipeline.results import open_sink
print([open_dataset(path).n_curves for path in sys.argv[1:3]])
with locked(open_sink(sys.argv[3])):
    pass
"""


def test_without_the_package_all_that_is_local_works(
    layouts: Any, values: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:9])
    zarr.create_array(tmp_path / "curves.zarr", data=values[:7])
    words = [sys.executable, "-c", LOCALLY, path, tmp_path / "curves.zarr", tmp_path / "out"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "[9, 7]\n", done.stderr
    assert done.returncode == 0, done.stderr


def test_settings_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_EXPRESS", "perhaps")
    with pytest.raises(StoreError, match=r"cannot be opened: .*Check the URL and the variables"):
        find_files("s3://bucket/a")


def test_a_store_that_cannot_be_reached_or_refuses_is_an_os_error(
    s3: int, folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with proxy(port, s3, share=1.0, harms=("403",)):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(PermissionError, match=r"access denied .*Check the credentials"):
            folder.read_bytes()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(OSError, match=r"s3://.*: Generic S3 error.* after 10 retries"):
        folder.read_bytes()
