"""What holds of every place: a folder on a disk, and folders of two object stores."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from manyfit.pipeline.errors import DatasetError, StoreError
from manyfit.pipeline.files import find_files, is_zarr, read_footers, root_of
from manyfit.pipeline.objects.file import TAIL_BYTES
from manyfit.pipeline.objects.lease import check_conditions
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.places import Place, is_place, lies_in, place_of
from tests.object_stores import BUCKET, environment, free_port, proxy, seaweed_server
from tests.pipeline.place_suites import PlaceTests, StoreTests


class TestDisk(PlaceTests):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        (tmp_path / "a place").mkdir()
        return tmp_path / "a place"


@pytest.mark.parametrize("folder", ["s3", "gs", "az"], indirect=True)
class TestBuckets(StoreTests):
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


def test_pieces_of_a_range_are_under_way_at_the_same_time(
    s3: int, folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manyfit.pipeline.objects.file.PIECE_BYTES", 10_000)
    (folder / "a").write_bytes(bytes(3 * TAIL_BYTES))
    port = free_port()
    with proxy(port, s3, share=1.0, harms=("slow",)) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with (folder / "a").open() as stream:
            assert stream.read(80_000) == bytes(80_000)
    assert between.at_once == 8


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
