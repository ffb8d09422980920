"""The landing zone, on a disk, behind `file://` and behind fsspec."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import numpy as np
import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from ingest import archive
from ingest.errors import LandingFault, UsageError
from ingest.landing import FRAME, Landing, surt
from ingest.models import Capture, Content, Evidence, Fingerprint, Quarantined, Tags, TextFrom

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
BATCH = "captures/2026-11-23/run-0000.warc.gz"


@pytest.fixture(params=["path", "file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The zones that there are: one kept as a path, one as a file URL, one in a storage that is no disk."""
    if request.param == "memory":
        yield f"memory://{tmp_path.name}/zone"
        memory = fsspec.filesystem("memory")
        if memory.exists(f"/{tmp_path.name}"):
            memory.rm(f"/{tmp_path.name}", recursive=True)
    else:
        yield str(tmp_path / "zone") if request.param == "path" else f"file://{tmp_path}/zone"


@pytest.fixture
def landing(root: str) -> Landing:
    return Landing(root)


def capture(number: int = 1, **changes: object) -> Capture:
    plain = Capture(
        url=f"https://news.example/story/{number}",
        status=200,
        headers=(
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Encoding", "gzip"),
            ("content-length", "9"),
            ("ETag", '"v1"'),
        ),
        body=f"<html><body><p>The convoy reached town number {number}.</p></body></html>".encode(),
        captured=NOON,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def content(number: int) -> Content:
    return Content(
        id=f"{number:016x}",
        keys=(f"news.example/{number}",),
        guid=None,
        url=f"https://news.example/{number}",
        canonical_url=None,
        source="news.example",
        feed=None,
        title=f"Bridge {number} reopened\u2028after repairs",
        text="Engineers reopened the bridge.\n\nLorries crossed at noon.",
        language="en",
        authors=("A. Writer",),
        published="2026-11-23T10:00:00+02:00",
        published_from="page",
        first_seen=NOON,
        captured=NOON,
        text_from=TextFrom.PAGE,
        tags=Tags(("aid",), (), (Evidence("aid", "r1", "text", 0, 30, "Engineers reopened the bridge.", ((0, 9),)),)),
        digest="d",
        cleaner="1",
        rules_version="1",
    )


def mark(number: int) -> Fingerprint:
    return Fingerprint(np.arange(number, number + 1 + number % 7, dtype=np.uint64), (str(number), "1,000"))


def write_part(landing: Landing, count: int, path: str = "stories/a/00000", **header: object) -> None:
    landing.write_part(path, [content(n) for n in range(count)], [mark(n) for n in range(count)], header)


def records(landing: Landing, path: str = BATCH) -> list[tuple[dict[str, str], bytes]]:
    with landing.local(path) as local, local.open("rb") as file:
        return [
            (dict(record.rec_headers.headers), record.raw_stream.read())
            for record in ArchiveIterator(file, no_record_parse=True)
        ]


# captures
def test_a_capture_is_read_back_by_warcio(landing: Landing) -> None:
    with landing.captures(BATCH) as writer:
        writer.add(capture())
    (info, about), (head, block) = records(landing)
    assert info["WARC-Type"] == "warcinfo"
    assert b"software: sitrep/" in about
    assert b"format: WARC File Format 1.1" in about
    assert head["WARC-Type"] == "response"
    assert head["WARC-Date"] == "2026-11-23T12:00:00.123456Z"
    assert head["WARC-Target-URI"] == "https://news.example/story/1"
    body = capture().body
    assert head["WARC-Payload-Digest"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert head["WARC-Block-Digest"] == f"sha256:{hashlib.sha256(block).hexdigest()}"
    lines = block.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert b'ETag: "v1"' in lines
    assert not [line for line in lines if line.lower().startswith(b"content-encoding")]
    assert [line for line in lines if line.lower().startswith(b"content-length")] == [b"Content-Length: %d" % len(body)]
    assert block.endswith(b"\r\n\r\n" + body)


def test_warcio_finds_all_digests_right(landing: Landing, capsys: pytest.CaptureFixture[str]) -> None:
    with landing.captures(BATCH) as writer:
        writer.add(capture(feed="https://news.example/feed", entry={"guid": "\ud83d"}))
        writer.add(capture(2, status=304, body=b""))

    with landing.local(BATCH) as local:
        checker = Checker(type("Asked", (), {"verbose": True, "inputs": [str(local)]})())
        checker.process_all()
    said = capsys.readouterr().out
    assert checker.exit_value == 0
    assert said.count("digest pass") == 3
    assert said.count("not checked (revisit)") == 1  # warcio never does
    assert "failed" not in said


def test_what_is_landed_comes_back_as_it_was(landing: Landing) -> None:
    """Whatever the status, with feed, entry and addresses; only the codings are gone from the headers."""
    given = [
        capture(1, addresses=("https://news.example/s/1", "https://t.example/x"), feed="https://news.example/feed"),
        capture(2, entry={"guid": "tag:news,\U0001f6f0", "title": 'Half a pair: "\ud83d"'}),
        capture(3, status=404, body=b"gone"),
        capture(4, status=301, body=b"", headers=(("Location", "https://news.example/story/1"),)),
        capture(5, status=304, body=b""),
        capture(6, body=bytes(range(256)) * 4096),
        capture(7, status=299, headers=(("X-Name", "caf\xe9"), ("X-Wide", "世界"), ("X-Bad", "a\r\nSet-Cookie: b"))),
    ]
    with landing.captures(BATCH) as writer:
        for each in given:
            writer.add(each)
    with landing.local(BATCH) as local:
        got = list(archive.landed(str(local)))
    for before, after in zip(given, got, strict=True):
        names = ("url", "status", "body", "captured", "addresses", "feed", "entry")
        assert [getattr(after, name) for name in names] == [getattr(before, name) for name in names]
        assert after.header("content-encoding") is None
        assert after.header("set-cookie") is None
    assert got[0].header("ETag") == '"v1"'
    assert got[6].header("X-Wide") == "世界"


def test_a_304_is_a_revisit_without_a_body(landing: Landing) -> None:
    with landing.captures(BATCH) as writer:
        writer.add(capture(1, status=304, body=b"must not be here"))
    head, block = records(landing)[1]
    assert head["WARC-Type"] == "revisit"
    assert head["WARC-Profile"] == "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
    assert b"must not" not in block


def test_a_note_stands_before_its_response(landing: Landing) -> None:
    with landing.captures(BATCH) as writer:
        writer.add(capture(feed="https://news.example/feed"))
    (note, said), (response, _) = records(landing)[1:]
    assert note["WARC-Type"] == "metadata"
    assert note["Content-Type"] == "application/json"
    assert note["WARC-Concurrent-To"] == response["WARC-Record-ID"]
    assert json.loads(said) == {"feed": "https://news.example/feed"}


def test_the_index_leads_to_each_record_alone(landing: Landing) -> None:
    with landing.captures(BATCH) as writer:
        for number in (3, 1, 2):
            writer.add(capture(number, feed="f"))
        writer.add(capture(9, url="https://www.Alpha.example:443/A?b=2&a=1"))
    with landing.local("captures/2026-11-23/run-0000.cdxj") as local:
        lines = local.read_text().splitlines()
    assert lines == sorted(lines)
    assert lines[0].startswith("example,alpha)/a?a=1&b=2 20261123120000 {")
    with landing.local(BATCH) as local:
        data = local.read_bytes()
    for line in lines:
        about = json.loads(line.split(" ", 2)[2])
        assert set(about) == {"url", "mime", "status", "digest", "length", "offset", "filename"}
        start = int(about["offset"])
        record = gzip.decompress(data[start : start + int(about["length"])])
        assert about["url"].encode() in record
        assert about["filename"] == "run-0000.warc.gz"
        assert about["mime"] == "text/html"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://www2.News.example/Path/", "example,news)/path/"),
        ("http://news.example:8080", "example,news:8080)/"),
        ("http://192.0.2.7/x", "192.0.2.7)/x"),
        ("http://[2001:db8::1]/x", "2001:db8::1)/x"),
        ("http://news.example:99999999/", "example,news)/"),
    ],
)
def test_surt(url: str, key: str) -> None:
    assert surt(url) == key


def test_a_url_cannot_write_headers(landing: Landing) -> None:
    with landing.captures(BATCH) as writer:
        writer.add(capture(url="https://news.example/a b\r\nWARC-Type: request\r\n\r\nx"))
    head, _ = records(landing)[1]
    assert head["WARC-Type"] == "response"
    assert head["WARC-Target-URI"].startswith("https://news.example/a%20b%0D%0AWARC-Type")


def test_an_exception_discards_the_batch(landing: Landing, root: str) -> None:
    def fail() -> None:
        with landing.captures(BATCH) as writer:
            writer.add(capture())
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    assert landing.list() == []
    assert not landing.exists(BATCH)
    if "memory" not in root:
        assert [path for path in Path(root.removeprefix("file://")).rglob("*") if path.is_file()] == []


def test_a_kill_leaves_nothing_that_is_listed_and_a_day_later_nothing_at_all(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys, time
        from datetime import UTC, datetime
        from ingest.landing import Landing
        from ingest.models import Capture
        with Landing(sys.argv[1]).captures("captures/d/a.warc.gz") as writer:
            writer.add(Capture("https://news.example/", 200, (), b"x" * 100_000, datetime.now(UTC)))
            print("written", flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    landing = Landing(str(tmp_path))
    assert landing.list() == []
    (left,) = (path for path in tmp_path.rglob("*") if path.is_file())
    landing.write_json("captures/d/b.json", 1)
    assert left.exists()  # its writer might still be at work
    os.utime(left, (time.time() - 90_000,) * 2)
    landing.write_json("captures/d/b.json", 2)
    assert not left.exists()


def test_a_writer_that_ends_meanwhile_disturbs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(folder: Path) -> list[os.DirEntry[str]]:
        entries = list(listed(folder))
        for entry in entries:
            Path(entry.path).unlink()
        return entries

    listed = os.scandir
    Path(tmp_path, ".a.json.1-abc.tmp").write_bytes(b"x")
    monkeypatch.setattr(os, "scandir", scandir)
    Landing(str(tmp_path)).write_json("b.json", 1)


def test_a_zone_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LandingFault, match="Not a directory"):
        Landing(str(tmp_path / "file")).list()
    assert Landing(str(tmp_path / "nothing")).list("captures/") == []


def test_stale_uploads_are_removed_from_a_storage() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/stale/captures/.a.warc.gz.1-abc.tmp", b"x")
    memory.store["/stale/captures/.a.warc.gz.1-abc.tmp"].modified = datetime(2026, 1, 1, tzinfo=UTC)
    memory.pipe("/stale/captures/.b.warc.gz.1-abc.tmp", b"x")
    landing = Landing("memory://stale")
    assert landing.list() == []
    landing.write_json("captures/c.json", 1)
    names = sorted(name.rpartition("/")[2] for name in memory.ls("/stale/captures", detail=False))
    memory.rm("/stale", recursive=True)
    assert names == [".b.warc.gz.1-abc.tmp", "c.json"]


# faults of the disk
def test_a_full_disk_is_named_and_leaves_no_torn_file(tmp_path: Path) -> None:
    """A limit on the size of files fails a write half-way, as a full disk does."""
    program = textwrap.dedent("""
        import os, resource, sys
        from datetime import UTC, datetime
        from ingest.errors import LandingFault
        from ingest.landing import Landing
        from ingest.models import Capture
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        landing = Landing(sys.argv[1])
        for work in ("captures", "json"):
            try:
                if work == "json":
                    landing.write_json("big.json", "x" * 100_000)
                else:
                    with landing.captures("captures/d/a.warc.gz") as writer:
                        for n in range(20):
                            writer.add(Capture("https://n.example/", 200, (), os.urandom(10_000), datetime.now(UTC)))
            except LandingFault as fault:
                print(fault)
        print(landing.list())
    """)
    landing = Landing(str(tmp_path))
    landing.write_json("big.json", "as it was")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    first, second, listed = done.stdout.splitlines()
    assert first.startswith("captures/d/a.warc.gz: the disk is full Free some space")
    assert second.startswith("big.json: the disk is full")
    assert listed == "['big.json']"
    assert landing.read_json("big.json") == "as it was"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["big.json"]


def test_enospc_itself() -> None:
    """/dev/full answers every write with ENOSPC."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    from ingest.landing.zones import faults

    with pytest.raises(LandingFault, match="the disk is full"), faults("x"), Path("/dev/full").open("wb") as file:
        file.write(b"x" * 100_000)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text("a file where a folder should be")
    with pytest.raises(LandingFault, match="zone"), Landing(str(tmp_path / "zone")).captures(BATCH):
        pytest.fail("nothing can be written here")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LandingFault, match="Make it writable"):
        Landing(str(tmp_path)).write_json("a.json", 1)


def test_an_unknown_storage_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="nosuch"):
        Landing("nosuch://bucket/x")


# names
@pytest.mark.parametrize(
    "path",
    ["../x.json", "a/../../x.json", "/etc/x.json", "a//b.json", "a\0.json", "a\n.json", "", ".hidden", "a/.b", "a b",
     "C:\\x", "a/" + "x" * 300, "~root", "caf\u00e9.json", "a/..", "x%2e%2e"],
)  # fmt: skip
def test_no_path_leaves_the_zone(landing: Landing, path: str) -> None:
    for use in (landing.read_json, landing.exists, landing.delete, landing.local, lambda p: landing.write_json(p, 1)):
        with pytest.raises(UsageError):
            use(path)
    with pytest.raises(UsageError):
        landing.captures(path + ".warc.gz" if path not in (".hidden",) else path)


def test_names_of_airflow_runs_are_names(landing: Landing) -> None:
    path = "reports/scheduled__2026-11-23T00:00:00+00:00.json"
    landing.write_json(path, {"run": 1})
    assert landing.list("reports/") == [path]


# JSON
def test_json_is_replaced_in_one_step(landing: Landing) -> None:
    landing.write_json("a/b.json", {"n": 1, "half": "\ud83d"})
    assert landing.read_json("a/b.json") == {"n": 1, "half": "\ud83d"}
    landing.write_json("a/b.json", [2])
    assert landing.read_json("a/b.json") == [2]
    assert landing.list() == ["a/b.json"]
    assert landing.exists("a/b.json")
    landing.delete("a/b.json")
    landing.delete("a/b.json")
    assert not landing.exists("a/b.json")
    with pytest.raises(LandingFault, match="is not there"):
        landing.read_json("a/b.json")


def test_list_by_prefix_and_suffix(landing: Landing) -> None:
    for path in ("a/1.json", "a/12.json", "ab/1.json", "c.json"):
        landing.write_json(path, 0)
    assert landing.list("a/") == ["a/1.json", "a/12.json"]
    assert landing.list("a/1") == ["a/1.json", "a/12.json"]
    assert landing.list("a") == ["a/1.json", "a/12.json", "ab/1.json"]
    assert landing.list("none/") == []
    assert landing.list(suffix="2.json") == ["a/12.json"]


# files of stories
def test_a_slice_of_stories(landing: Landing) -> None:
    count = 2 * FRAME + 17
    write_part(landing, count, source="x", position=4)
    part = landing.part("stories/a/00000")
    assert (part.count, part.header) == (count, {"source": "x", "position": 4})
    for start, stop in [(0, 1), (FRAME - 1, FRAME + 1), (0, count), (count - 1, count + 50), (5, 5), (count, count)]:
        got = part.slice(start, stop)
        assert [story for story, _ in got] == [content(n) for n in range(start, min(stop, count))]
        for number, (_, fingerprint) in enumerate(got, start):
            assert fingerprint.numbers == mark(number).numbers
            assert fingerprint.shingles.dtype == np.uint64
            assert fingerprint.shingles.tolist() == mark(number).shingles.tolist()
    assert part.ids[FRAME] == content(FRAME).id
    assert part.instants[0] == int(datetime(2026, 11, 23, 8, tzinfo=UTC).timestamp())


def test_a_slice_reads_its_frames_only(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    write_part(landing, 3 * FRAME)
    data = tmp_path / "stories/a/00000.jsonl.zst"
    torn = bytearray(data.read_bytes())
    torn[-20] ^= 255  # in the last frame
    data.write_bytes(torn)
    part = landing.part("stories/a/00000")
    assert len(part.slice(0, 2 * FRAME)) == 2 * FRAME
    with pytest.raises(LandingFault, match=r"is damaged .* digest its captures again"):
        part.slice(2 * FRAME, 2 * FRAME + 1)


def test_an_empty_part(landing: Landing) -> None:
    write_part(landing, 0, rejected=3)
    part = landing.part("stories/a/00000")
    assert (part.count, part.ids, part.slice(0, 10)) == (0, (), [])
    assert landing.parts() == ["stories/a/00000"]


def test_a_part_is_complete_with_its_header_and_both_companions(landing: Landing) -> None:
    write_part(landing, 3)
    write_part(landing, 3, "stories/b/00001")
    landing.write_json("stories/report.json", {})
    assert landing.parts() == ["stories/a/00000", "stories/b/00001"]
    assert landing.parts("stories/b/") == ["stories/b/00001"]
    landing.delete("stories/b/00001.npz")
    assert landing.parts() == ["stories/a/00000"]
    landing.delete("stories/a/00000.json")
    assert landing.parts() == []
    assert landing.list("stories/a/") == []


def test_the_version_says_what_is_in_it(landing: Landing) -> None:
    write_part(landing, 3, rejected=1)
    first = landing.part("stories/a/00000").version
    write_part(landing, 3, "stories/b/00000", rejected=1)
    assert landing.part("stories/b/00000").version == first
    write_part(landing, 4, rejected=1)
    second = landing.part("stories/a/00000").version
    write_part(landing, 4, rejected=2)
    assert len({first, second, landing.part("stories/a/00000").version}) == 3


def test_writing_the_same_part_again_changes_nothing(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    write_part(landing, 3)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    write_part(landing, 3)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


def test_a_kill_while_a_part_is_replaced_leaves_no_header_of_other_data(tmp_path: Path) -> None:
    """At each file that is put in place: either the old part is whole, or there is none, or the new one is."""
    program = textwrap.dedent("""
        import os, sys
        sys.path.insert(0, "tests")
        import test_landing
        from ingest.landing import Landing, zones
        left = int(sys.argv[2])
        commit = zones.Disk.commit
        def counted(self, temporary, path):
            global left
            if left == 0:
                os._exit(9)
            left -= 1
            commit(self, temporary, path)
        zones.Disk.commit = counted
        test_landing.write_part(Landing(sys.argv[1]), 5)
    """)
    counts = []
    for steps in range(4):
        zone = tmp_path / str(steps)
        landing = Landing(str(zone))
        write_part(landing, 3)
        subprocess.run(
            [sys.executable, "-c", program, str(zone), str(steps)], check=False, cwd=Path(__file__).parents[1]
        )
        parts = [landing.part(path) for path in landing.parts()]
        assert all(len(part.slice(0, part.count)) == part.count for part in parts)
        counts.append([part.count for part in parts])
    assert counts == [[], [], [], [5]]


# quarantine
def test_the_same_bytes_are_quarantined_once(landing: Landing) -> None:
    item = Quarantined(
        "unparsable", "took 20 s", "a.warc.gz byte 7", "capture", "https://n.example/feed", NOON,
        {"url": "https://n.example/x"}, b"\x00<bytes>",
    )  # fmt: skip
    identity = landing.quarantine(item)
    assert landing.quarantine(replace(item, reason="other", detail="again")) == identity
    other = landing.quarantine(replace(item, meta={"url": "https://n.example/y"}))
    assert other != identity
    listed = {each.id: each for each in landing.quarantined()}
    assert set(listed) == {identity, other}
    assert listed[identity] == replace(item, reason="other", detail="again", data=b"", id=identity, size=8)
    assert landing.quarantined_bytes(identity) == b"\x00<bytes>"
    landing.drop_quarantined(identity)
    assert [each.id for each in landing.quarantined()] == [other]
    with pytest.raises(UsageError):
        landing.quarantined_bytes("../../secret")


def test_a_local_file_is_itself_and_a_remote_one_a_copy(landing: Landing, root: str) -> None:
    landing.write_json("a.json", 1)
    with landing.local("a.json") as path:
        assert path.read_text() == "1"
        assert ("zone" in path.parts) == ("memory" not in root)
    assert path.exists() == ("memory" not in root)
    with pytest.raises(LandingFault), landing.local("b.json"):
        pytest.fail("there is no such file")


def test_memory_stays_small_while_captures_are_written(tmp_path: Path) -> None:
    """200 MB of captures go through without being held."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    page = io.BytesIO(b"<p>same words again</p>" * 40_000).getvalue()
    with Landing(str(tmp_path)).captures(BATCH) as writer:
        for number in range(100):
            writer.add(capture(number, body=page))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KB
