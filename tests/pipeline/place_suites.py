"""What holds of every place, and what of every store: suites that each inherits."""

import json
import os
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google_crc32c import value

from manyfit.pipeline.objects.file import TAIL_BYTES
from manyfit.pipeline.objects.lease import Lease, check_conditions
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.parquet import open_parquet
from manyfit.pipeline.places import Place, each, written_whole
from manyfit.pipeline.sink import file_digest, read_json, write_json

NAMES = ["plain", "with space", "plate=A1", "50%25 + x", "a#b?c", "Überprüfung"]


def crc32c(content: bytes) -> int:
    """Divide by the polynomial of Castagnoli, bit by bit (RFC 3720, appendix B.4)."""
    rest = 0xFFFFFFFF
    for byte in content:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF


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
            assert file_digest(target) == f"{crc32c(name.encode()):08x}"
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
        assert file_digest(place / "large") == f"{value(content):08x}"

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

    def test_an_object_is_listed_as_it_is(self, place: ObjectPath) -> None:
        (place / "a b" / "one").write_bytes(b"content")
        (listed,) = place.below()
        assert listed.listed == listed.stat()
        assert listed.open().read() == b"content"

    def test_an_object_that_changes_is_not_read_on(self, place: ObjectPath) -> None:
        target = place / "changes"
        target.write_bytes(b"a" * (2 * TAIL_BYTES))
        with target.open() as stream:
            target.write_bytes(b"b" * (2 * TAIL_BYTES))
            with pytest.raises(OSError, match="has changed since the data set was opened"):
                stream.read()

    def test_a_long_range_is_fetched_in_pieces(
        self, place: ObjectPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("manyfit.pipeline.objects.file.PIECE_BYTES", 10_000)
        content = random.Random(2).randbytes(2 * TAIL_BYTES)
        (place / "a").write_bytes(content)
        with (place / "a").open() as stream:
            for start, stop in ((0, 10_000), (1, 10_002), (5, 60_005), (7, 65_321), (7, 7)):
                stream.seek(start)
                assert stream.read(stop - start) == content[start:stop]
            (place / "a").write_bytes(content[::-1])
            stream.seek(0)
            with pytest.raises(OSError, match="has changed since the data set was opened"):
                stream.read(60_000)

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
