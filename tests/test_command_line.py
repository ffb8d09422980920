"""The command line as a script or a person uses it: the real `sitrep` in processes of its own, each in its own home."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_dedup import PORT, TRANSLATED

from tests.servers import FaultServer, Reply, redirect

CHECKOUT = Path(__file__).resolve().parents[1]
RSS = {"Content-Type": "application/rss+xml; charset=utf-8"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
FIELDS = [
    "id",
    "guid",
    "url",
    "canonical_url",
    "source",
    "feeds",
    "title",
    "text",
    "language",
    "authors",
    "published",
    "published_from",
    "first_seen",
    "indexed",
    "topics",
    "main_topics",
    "evidence",
    "cluster",
    "lead",
    "rewritten_from",
    "revision",
    "rules_version",
    "text_from",
    "page_kind",
    "partial",
]
OUTCOMES = ["indexed", "duplicate", "revised", "recleaned", "retagged", "unchanged", "rejected", "quarantined"]
COMMANDS = [
    "run",
    "fetch",
    "digest",
    "publish",
    "backfill",
    "serve",
    "search",
    "show",
    "export",
    "report",
    "completion",
    "clean",
    "topics",
    "topics check",
    "topics try",
    "topics diff",
    "feeds",
    "feeds list",
    "feeds add",
    "feeds check",
    "feeds remove",
    "feeds import",
    "feeds export",
    "quarantine",
    "quarantine list",
    "quarantine show",
    "quarantine retry",
    "quarantine drop",
    "store",
    "store check",
    "store setup",
    "store grant",
    "store migrate",
    "store drop",
    "store rebuild",
]

SHIPMENT = (
    "The cargo ship Halina tied up at the northern quay of Varna on Tuesday with 2,400 tonnes of wheat flour, canned "
    "fish and tents for the families who left the valley after the flood of last week.\n\n"
    "Harbour master Petko Dimov said that unloading would take two nights because only one of the four cranes works. "
    "The mayor asked everybody who owns a lorry to register at the town hall before Thursday noon.\n\n"
    "A second vessel with water pumps is expected at the weekend, the shipping agent told this paper."
)
SHELLS = (
    "The parliament in Oslo voted on Monday to send 12,000 artillery shells to Ukraine before the summer. "
    "Norway had delivered air defence missiles in the spring.\n\n"
    "Opposition parties agreed after a debate of six hours that nobody had expected to end so soon."
)
HOSTILE = "\x1b[31mRed\x1b[0m [bold]alarm[/bold] \u202egnihtyreve\u202c\nsecond line\x07"


# --- running it ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one object on stdout."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Home:
    """A SITREP_HOME and the environment that commands run in."""

    def __init__(self, path: Path, **environment: str) -> None:
        self.path = path
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SITREP_")}
        self.environment = {
            **clean,
            "SITREP_HOME": str(path),
            "SITREP_ALLOW_ADDRESSES": "127.0.0.0/8,::1/128",
            "SITREP_WORKERS": "1",
            **environment,
        }

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ingest", *arguments]
        return subprocess.Popen(command, env=self.environment, **{"cwd": self.path.parent, **options})

    def __call__(self, *arguments: str, code: int = 0, **options: Any) -> Ran:
        """Run it, to the end, and expect this exit code."""
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        out, err = process.communicate(timeout=120)
        ran = Ran(process.returncode, out.decode(), err.decode())
        assert ran.code == code, (arguments, ran)
        return ran


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


# --- an archive of every kind, read once for all tests that only look -----------------------------------------------
def line(**fields: Any) -> str:
    return json.dumps({"url": None, **fields}, ensure_ascii=False)


LINES = [
    line(
        id="shells-1",
        url="https://fjordpost.example/2022/shells?utm_source=x",
        title="Oslo votes for shells 😀 and says so",
        text=SHELLS,
        published="2022-05-24T10:00:00+02:00",
        source="Fjord Post",
        language="en",
        authors=["Ane Dahl", "Jon Berg"],
        first_seen="2022-05-24T09:30:00Z",
    ),
    line(id="flood-1", title="Flour for the valley", text=SHIPMENT, published="2022-05-25", source="Varna Herald"),
    line(
        id="flood-2",
        url="https://coastline.example/flour",
        title="Ship with flour reaches Varna",
        text=SHIPMENT.replace("2,400", "3,100"),
        published="2022-05-25T18:00:00",
        source="Coastline",
    ),
    line(id="bare", text="Short."),
    line(id="empty", text=""),
    line(text="No address and no id, and a line of text all the same."),
    line(url="https://saved.example/page", html=f"<html><body><article><p>{SHELLS}</p></article></body></html>"),
    line(id="formula", title="=HYPERLINK(1)", text='A story that says "quoted", twice.\nAnd goes on.', source="Sheet"),
    line(id="hostile", title=HOSTILE, text="What it says is harmless.\x1b[2J \u202eReally.", source="Hostile"),
    line(id="accent", text="Résumé of a day in Malmö.", language="sv"),
    "this is no JSON",
    "[1, 2]",
    line(url="https://nothing.example/"),
    line(id=["no", "string"], text=5),
]
REJECTED_LINES = (11, 12, 13, 14)
PAGE = f"<!doctype html><html lang=en><title>Oslo</title><body><article><h1>Vote in Oslo</h1><p>{SHELLS}</p></article>"


def rss(*items: str, title: str = "Northwire") -> bytes:
    body = "".join(f"<item>{item}</item>" for item in items)
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>{title}</title>{body}</channel></rss>'.encode()


def item(link: str, title: str, text: str = "A few lines.") -> str:
    return f"<title>{title}</title><link>{link}</link><description>{text}</description>"


def record(kind: str, url: str, body: bytes, status: int = 200, media: str = "text/html", number: int = 0) -> bytes:
    """A WARC record; of a response, `body` comes with an HTTP head before it."""
    http = kind in ("response", "revisit", "request")
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {media}\r\n\r\n".encode() if kind != "request" else b""
    block = (head if http else b"") + body
    fields = {
        "WARC-Type": kind,
        "WARC-Target-URI": url,
        "WARC-Date": "2021-03-04T05:06:07Z",
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-4000-8000-{number:012d}>",
        "Content-Type": "application/http" if http else media,
        "Content-Length": str(len(block)),
    }
    told = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"WARC/1.1\r\n{told}\r\n".encode() + block + b"\r\n\r\n"


def warc(*records: Sequence[Any]) -> bytes:
    return b"".join(record(*parts, number=number) for number, parts in enumerate(records))


CRAWL = warc(
    ("response", "https://crawl.example/oslo", PAGE.replace("12,000", "14,500").encode()),
    ("resource", "https://crawl.example/second", PAGE.replace("Oslo", "Bergen").replace("Monday", "Friday").encode()),
    ("response", "https://crawl.example/gone", b"nothing here", 404),
    ("response", "https://crawl.example/logo", b"\x89PNG\r\n\x1a\n" + bytes(40), 200, "image/png"),
    ("revisit", "https://crawl.example/oslo", b""),
    ("request", "https://crawl.example/oslo", b"GET /oslo HTTP/1.1\r\n\r\n"),
    ("metadata", "https://crawl.example/oslo", b"a: b", 200, "application/warc-fields"),
    (
        "response",
        "https://crawl.example/feed",
        rss(
            item("https://crawl.example/f1", "Flood in the valley", "The river rose by two metres on Sunday."),
            item("https://crawl.example/f2", "Crane repaired", "A crane in the harbour turns again since noon."),
        ),
        200,
        "application/rss+xml",
    ),
)


def write_archive(folder: Path) -> Path:
    pages = folder / "pages"
    pages.mkdir(parents=True)
    (folder / "lines.jsonl").write_text("\n".join(LINES) + "\n")
    (folder / "crawl.warc").write_bytes(CRAWL)
    (pages / "a.html").write_text(PAGE.replace("Oslo", "Turku"))
    (pages / "b.htm").write_text(PAGE.replace("Oslo", "Gdansk").replace("shells", "tents"))
    (pages / "c.txt").write_text("The title stands in the first line\n\nAnd the text below it, in a sentence or two.\n")
    (pages / "notes.docx").write_bytes(b"PK\x03\x04 something else")
    return folder


class Read:
    """A home that holds the archive, and what its backfill said."""

    def __init__(self, folder: Path) -> None:
        self.archive = write_archive(folder / "archive")
        self.home = Home(folder / "home")
        self.ran = self.home("backfill", str(self.archive), "--json")
        self.report = self.ran.json()
        self.exported = self.home("export").lines()

    def story(self, guid: str) -> dict[str, Any]:
        (found,) = [story for story in self.exported if story["guid"] == guid]
        return found

    def at(self, url: str) -> dict[str, Any]:
        (found,) = [story for story in self.exported if story["url"] == url]
        return found


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    return Read(tmp_path_factory.mktemp("read"))


# --- archives -------------------------------------------------------------------------------------------------------
def test_a_backfill_is_a_run_whose_outcomes_sum_to_its_entries(read: Read) -> None:
    report = read.report
    assert report["kind"] == "archive"
    assert set(report) >= {"run", "kind", "entries", "outcomes", "feeds"}
    assert set(report["outcomes"]) == set(OUTCOMES)
    assert sum(report["outcomes"].values()) == report["entries"]
    assert report["entries"] == len(LINES) + 7 + 3  # of the WARC: two pages, two refused, a revisit, a feed's two
    assert report["outcomes"]["unchanged"] == 1
    assert report["outcomes"]["rejected"] == len(REJECTED_LINES) + 2
    assert report["outcomes"]["indexed"] + report["outcomes"]["duplicate"] == len(read.exported)
    assert read.home("report", "--json").out == read.ran.out  # to the byte
    assert read.home("report", report["run"], "--json").out == read.ran.out


def test_lines_are_rejected_by_number_and_reason_and_the_rest_goes_on(read: Read) -> None:
    for number in REJECTED_LINES:
        assert re.search(rf"lines\.jsonl line {number}: rejected, [a-z-]+ \(.+\)", read.ran.err), number
    for number in set(range(1, len(LINES) + 1)) - set(REJECTED_LINES):
        assert f"line {number}: rejected" not in read.ran.err


def test_stories_are_kept_without_what_cannot_be_taken_and_that_is_counted(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "odd.jsonl"
    rows = [
        {"id": "a", "text": "One.", "authors": 17, "url": "ftp://files.example/a"},
        {"id": "b", "text": "Two.", "authors": ["Ada", 5], "published": "last week", "first_seen": "2199-01-01"},
        {"id": "c", "text": "Three.", "title": ["T"], "url": "mailto:x@example.org"},
        {"id": "d", "html": "", "title": "", "text": None, "authors": 5},
    ]
    file.write_text("\n".join(line(**row) for row in rows))
    ran = home("backfill", str(file), "--json")
    report = ran.json()
    assert report["dropped"] == {"authors": 2, "url": 2, "published": 1, "first_seen": 1, "title": 1}
    assert (report["entries"], report["outcomes"]["rejected"], report["reasons"]) == (4, 1, {"empty": 1})
    assert f"{file} line 1: kept without url (`url`: no address of http or https)" in ran.err
    assert f"{file} line 2: kept without authors (`authors` has a JSON number where a name is expected)" in ran.err
    assert ran.err.index("line 4: rejected") < ran.err.index("line 1: kept")
    stories = {story["guid"]: story for story in home("export").lines()}
    assert [(s["url"], s["authors"], s["title"], s["published"]) for _, s in sorted(stories.items())] == [
        (None, [], None, None),
        (None, ["Ada"], None, None),
        (None, [], None, None),
    ]
    assert "kept without a field that says nothing: authors 2, url 2, first_seen 1, " in home("report").out
    again = home("backfill", str(file), "--json").json()
    assert (again["dropped"], again["outcomes"]["unchanged"]) == (report["dropped"], 3)


def test_a_line_with_text_is_a_story_however_little_it_says(read: Read) -> None:
    assert read.story("bare")["text"] == "Short."
    assert read.story("bare")["title"] is None
    assert read.story("empty")["text"] == ""
    assert read.story("accent")["language"] == "sv"
    (nameless,) = [s for s in read.exported if s["text"].startswith("No address and no id")]
    assert (nameless["guid"], nameless["url"]) == (None, None)


def test_records_of_a_warc_are_pages_feeds_or_refused_by_name(read: Read) -> None:
    assert read.at("https://crawl.example/oslo")["first_seen"] == "2021-03-04T05:06:07Z"
    assert "Friday" in read.at("https://crawl.example/second")["text"]
    assert read.at("https://crawl.example/f1")["title"] == "Flood in the valley"
    assert read.at("https://crawl.example/f2")["title"] == "Crane repaired"
    reasons = read.report["reasons"]
    assert reasons["status-404"] == 1
    assert "crawl.warc" in read.ran.err
    assert sum(reasons.values()) == len(REJECTED_LINES) + 2


def test_a_folder_of_pages_names_what_it_skips(read: Read) -> None:
    (titled,) = [story for story in read.exported if story["title"] == "The title stands in the first line"]
    assert titled["text"] == "And the text below it, in a sentence or two."
    assert any("Turku" in story["text"] for story in read.exported)
    assert any("Gdansk" in story["text"] for story in read.exported)
    assert any("notes.docx" in note for note in read.report["notes"])
    assert "notes.docx" in read.home("report").out


def test_names_of_files_that_are_no_text_cost_nothing(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"old \xe9")
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.html")).write_text(PAGE)
    (folder / os.fsdecode(b"broken \xff.html")).write_bytes(bytes(3))
    (folder / os.fsdecode(b"notes \xff.docx")).write_bytes(b"PK")
    outcomes = home("backfill", str(folder), "--json").json()["outcomes"]
    assert (outcomes["indexed"], outcomes["rejected"]) == (1, 1)
    assert home("report", "--json").json()["notes"] == [
        f"{tmp_path}/old \ufffd/notes \ufffd.docx: skipped, no page and no archive"
    ]
    home("digest")  # where the archive lies is known
    assert "indexed" not in home("backfill", str(folder)).out


def test_dates_the_wrong_way_round_and_offsets_beyond_all_numbers(read: Read) -> None:
    turned = ("--since", "2022-06-01", "--until", "2022-05-01")
    for command in (("search", "shells"), ("export",)):
        assert read.home(*command, *turned).err == "no story was found; --since is not before --until\n"
    assert "is not in the range" in read.home("search", "shells", "--offset", str(10**30), code=2).err
    assert read.home("search", "shells", "--offset", str(10**9)).out == ""


def test_a_second_backfill_is_all_unchanged_and_changes_nothing(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "archive")
    home = Home(tmp_path / "home")
    first = home("backfill", str(archive), "--json").json()
    before = home("export").out
    again = home("backfill", str(archive), "--json").json()
    rejected = first["outcomes"]["rejected"]
    assert again["entries"] == first["entries"]
    assert again["outcomes"] == {**dict.fromkeys(OUTCOMES, 0), "rejected": rejected} | {
        "unchanged": again["entries"] - rejected
    }
    assert home("export").out == before
    assert home("report", "--json").json()["run"] == again["run"]
    (home.path / "store.sqlite").unlink()
    for rest in home.path.glob("store.sqlite-*"):
        rest.unlink()
    published = home("publish", "--json").json()
    assert sum(published["outcomes"].values()) == published["entries"] == first["entries"]

    def told(text: str) -> list[Any]:
        return [{**json.loads(line), "indexed": None} for line in text.splitlines()]

    assert told(home("export").out) == told(before)


# --- stories --------------------------------------------------------------------------------------------------------
def test_a_story_has_every_field_nulls_included_in_the_order_of_ids(read: Read) -> None:
    assert [story["id"] for story in read.exported] == sorted(story["id"] for story in read.exported)
    for story in read.exported:
        assert list(story) == FIELDS
        assert isinstance(story["authors"], list)
        assert isinstance(story["feeds"], list)
        assert isinstance(story["lead"], bool)
        assert set(story["main_topics"]) <= set(story["topics"])
    bare = read.story("bare")
    for name in ("url", "canonical_url", "title", "published", "published_from", "rewritten_from"):
        assert bare[name] is None, name
    assert (bare["cluster"], bare["lead"], bare["revision"]) == (bare["id"], True, 1)


def test_what_an_archive_states_is_kept_as_it_was_said(read: Read) -> None:
    story = read.story("shells-1")
    assert story["url"] == "https://fjordpost.example/2022/shells?utm_source=x"
    assert story["source"] == "Fjord Post"
    assert story["title"] == "Oslo votes for shells 😀 and says so"
    assert story["authors"] == ["Ane Dahl", "Jon Berg"]
    assert story["language"] == "en"
    assert story["first_seen"] == "2022-05-24T09:30:00Z"
    assert story["published"] == "2022-05-24T10:00:00+02:00"
    assert read.story("flood-1")["published"] == "2022-05-25"
    assert read.story("flood-2")["published"] == "2022-05-25T18:00:00Z"
    assert read.story("bare")["first_seen"][:4] > "2022"


def test_evidence_is_a_sentence_in_code_points_and_the_words_in_it(read: Read) -> None:
    story = read.story("shells-1")
    assert "aid" in story["topics"]
    assert {evidence["field"] for evidence in story["evidence"]} == {"title", "text"} or story["evidence"]
    proved = [(story, evidence) for story in read.exported for evidence in story["evidence"]]
    assert len(proved) >= 3
    for told, evidence in proved:
        assert set(evidence) == {"topic", "rule", "field", "start", "end", "sentence", "words", "status"}
        assert evidence["topic"] in told["topics"] or evidence["status"] != "asserted"
        assert told[evidence["field"]][evidence["start"] : evidence["end"]] == evidence["sentence"]
        assert evidence["words"]
        for start, end in evidence["words"]:
            assert 0 <= start < end <= len(evidence["sentence"])
    for told in read.exported:
        assert {evidence["topic"] for evidence in told["evidence"]} >= set(told["topics"])


def test_each_cluster_has_exactly_one_lead_and_copies_stay(read: Read) -> None:
    clusters: dict[str, list[dict[str, Any]]] = {}
    for story in read.exported:
        clusters.setdefault(story["cluster"], []).append(story)
    for identity, members in clusters.items():
        assert [member["id"] for member in members if member["lead"]] == [identity]
    assert read.story("flood-1")["cluster"] == read.story("flood-2")["cluster"]


# --- export ---------------------------------------------------------------------------------------------------------
def test_export_filters(read: Read) -> None:
    def guids(*options: str) -> set[str | None]:
        return {story["guid"] for story in read.home("export", *options).lines()}

    assert guids("--since", "2022-05-25", "--until", "2022-05-26") == {"flood-1", "flood-2"}
    assert guids("--since", "2022-05-24T08:00Z", "--until", "2022-05-24T08:01Z") == {"shells-1"}
    assert guids("--source", "Fjord Post", "--source", "Coastline") == {"shells-1", "flood-2"}
    aid = read.home("export", "--topic", "aid", "--json").lines()
    assert aid == [story for story in read.exported if "aid" in story["topics"]] != []


def test_export_as_csv_quotes_all_and_disarms_formulas(read: Read, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    ran = read.home("export", "--format", "csv", "-o", str(target))
    assert ran.out == ""
    text = target.read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["id"] for row in rows] == [story["id"] for story in read.exported]
    assert list(rows[0]) == FIELDS
    (formula,) = [row for row in rows if row["guid"] == "formula"]
    assert formula["title"] == "'=HYPERLINK(1)"
    assert formula["text"] == read.story("formula")["text"]
    assert formula["published"] == ""
    for first in text.splitlines()[:1]:
        assert all(cell.startswith('"') and cell.endswith('"') for cell in first.split(","))
    assert not re.search(r"(^|,)[^\",\n]+,", text.splitlines()[0])
    (shells,) = [row for row in rows if row["guid"] == "shells-1"]
    assert json.loads(shells["authors"]) == ["Ane Dahl", "Jon Berg"]


def test_an_export_that_nobody_reads_to_its_end_says_nothing(read: Read, tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    many.write_text("".join(line(id=str(n), text=f"Story number {n}. " + "word " * 200) + "\n" for n in range(300)))
    home = Home(tmp_path / "home")
    home("backfill", str(many))
    for command in ("export", "export --format csv", "search word --limit 300"):
        process = home.start(*command.split(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(30) == 0, command
        assert err in ("", "300 of 300 stories\n"), command


def test_a_terminal_of_few_letters_shows_the_rest_as_question_marks(read: Read) -> None:
    few = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", "import sitrep; sitrep.main()", "search", "--source", "Fjord Post"]
    ran = subprocess.run(command, env={**read.home.environment, **few}, capture_output=True, check=True)
    assert ran.stdout.decode("ascii").startswith("Oslo votes for shells ? and says so\n")
    assert ran.stderr == b"1 of 1 story\n"


# --- search and show ------------------------------------------------------------------------------------------------
def test_search_is_ranked_with_snippet_topics_and_copies(read: Read) -> None:
    hits = read.home("search", "flour", "--json").lines()
    assert {hit["guid"] for hit in hits} == {"flood-1", "flood-2"}
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    for hit in hits:
        assert hit["copies"] == 1
        assert set(FIELDS) <= set(hit)
        assert {hit["snippet"][start:end].lower() for start, end in hit["marks"]} == {"flour"}
    shown = read.home("search", "artillery", "--topic", "aid", "--source", "Fjord Post")
    assert "Oslo votes for shells" in shown.out
    assert "Fjord Post · 2022-05-24 10:00 +02:00 · en" in shown.out
    assert re.search(r"^  aid( \(mentioned\))?: .*shells", shown.out, re.MULTILINE)
    assert "told 1 more time:" in read.home("search", "flour", "--limit", "1").out


def test_search_filters_and_words(read: Read) -> None:
    def guids(*arguments: str) -> list[str | None]:
        return [hit["guid"] for hit in read.home("search", *arguments, "--json").lines()]

    assert len(guids("flour", "--limit", "1")) == 1
    assert guids("flour", "--since", "2022-05-25T10:00") == ["flood-2"]
    assert guids("flour", "--source", "Varna Herald") == ["flood-1"]
    assert guids("title:Ship with flour") == guids('title:"Ship with flour"') == ["flood-2"]  # a shell takes the quotes
    assert guids("flour", "-title:Ship with flour") == ["flood-1"]
    assert guids("flour", '-"canned fish"') == []
    assert guids("flour", "--leads") == [read.story("flood-1")["guid"]]
    assert guids("flour", "-reaches") == ["flood-1"]
    assert guids("hali*", "--source", "Coastline") == ["flood-2"]
    assert guids("cargo ship") != []
    assert guids("ship cargo") == []
    assert guids("2,400") == ["flood-1"]
    assert guids('"', "'", "NOT", "(") == []


def test_search_that_finds_nothing_says_why(read: Read) -> None:
    ran = read.home("search", "nobodysaidthis")
    assert (ran.out, ran.err) == ("", "no story was found\n")
    ran = read.home("search", "--source", "Nobody", "--json")
    assert ran.out == ""
    assert re.fullmatch(r"no story was found; no story has the source Nobody, there are .*\bCoastline\b.*\n", ran.err)


@pytest.mark.parametrize("command", ["search", "export"])
def test_a_topic_that_there_is_not_is_an_error_that_names_those_there_are(read: Read, command: str) -> None:
    ran = read.home(command, "--topic", "aids", "--topic", "aid", code=2)
    assert ran.out == ""
    assert ran.err == "sitrep: aids: there is no such topic. There are escalation, aid, deployments.\n"


def test_a_topic_of_older_rules_is_known_as_long_as_a_story_carries_it(read: Read, tmp_path: Path) -> None:
    others = tmp_path / "topics.yaml"
    others.write_text(
        "topics: [relief]\ngroups: {go: {en: [sent]}}\nrules: [{name: relieved, topic: relief, act: [go]}]\n"
    )
    home = Home(read.home.path, SITREP_TOPICS=str(others))
    found = home("search", "--topic", "aid", "--json").lines()
    assert found == read.home("search", "--topic", "aid", "--json").lines() != []
    assert "relief" in home("export", "--topic", "aids", code=2).err
    assert home("export", "--topic", "relief").err == (
        "no story was found; no story has the topic relief, there are aid\n"
    )
    others.write_text("nonsense")
    assert home("search", "--topic", "aid", "--json").lines() == found


def test_an_export_of_nothing_says_so(read: Read) -> None:
    ran = read.home("export", "--source", "Nobody", "--format", "csv")
    assert len(ran.out.splitlines()) == 1
    assert ran.err.startswith("no story was found; no story has the source Nobody, there are ")
    assert read.home("export", "--since", "2100-01-01").err == "no story was found\n"


def test_show_takes_the_beginning_of_an_id(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(line(id=str(n), text=f"Story {n}.", title=f"T{n}") for n in range(700)))
    home("backfill", str(file))
    ids = [story["id"] for story in home("export").lines()]
    assert home("show", f" {ids[0][:12].upper()} ", "--json").json()["id"] == ids[0]
    assert home("show", ids[0], "--json").json()["id"] == ids[0]
    assert "at least 4 characters" in home("show", ids[0][:3], code=2).err
    assert "no story has this id" in home("show", "zzzzzz", code=2).err
    first = next(a for a, b in itertools.pairwise(ids) if a[:4] == b[:4])  # hashes: always the same ones
    several = [id_ for id_ in ids if id_[:4] == first[:4]]
    ran = home("show", first[:4], "--json", code=2)
    *listed, last = ran.err.splitlines()
    assert [told.split(" · ")[0] for told in listed] == several
    assert all(re.search(r" · T\d+$", told) for told in listed)
    assert last == f"sitrep: {first[:4]}: {len(several)} ids begin so. Give more of the one that you mean."
    assert ran.out == ""


def test_show_tells_what_a_story_was_rewritten_from(home: Home, tmp_path: Path) -> None:
    first = line(id="first", text=PORT, published="2022-05-25T08:00:00Z", source="Herald")
    anew = line(id="anew", text=TRANSLATED + "\n\nBack to page 17.", published="2022-05-25T10:30:00Z")
    file = tmp_path / "told.jsonl"
    file.write_text(f"{first}\n{anew}\n")
    home("backfill", str(file))
    stories = {story["guid"]: story for story in home("export").lines()}
    assert stories["anew"]["rewritten_from"] == stories["first"]["id"]
    assert stories["first"]["rewritten_from"] is None
    assert all(story["lead"] for story in stories.values())
    origin = home("show", stories["anew"]["id"], "--json").json()["origin"]
    assert (origin["id"], origin["source"], origin["hours"]) == (stories["first"]["id"], "Herald", 2.5)
    assert origin["numbers"] == [{"of": origin["id"], "changed": [], "theirs": [], "own": ["17"]}]
    shown = home("show", stories["anew"]["id"]).out
    assert "Rewritten from:" in shown
    assert "numbers: only here: 17" in shown


def test_show_tells_members_and_the_numbers_that_differ(read: Read) -> None:
    copy = next(story for story in (read.story("flood-1"), read.story("flood-2")) if not story["lead"])
    record = read.home("show", copy["id"], "--json").json()
    assert {name: record[name] for name in FIELDS} == {name: copy[name] for name in FIELDS}
    lead, other = record["members"]
    assert (lead["lead"], other["id"]) == (True, copy["id"])
    (numbers,) = other["numbers"]
    assert numbers["of"] == lead["id"]
    assert sorted([numbers["theirs"], numbers["own"]]) == [["2,400"], ["3,100"]]
    assert numbers["changed"] == [[*numbers["theirs"], *numbers["own"]]]
    assert [revision["revision"] for revision in record["revisions"]] == [1]
    shown = read.home("show", copy["id"]).out
    assert "Told 2 times:" in shown
    assert f"numbers: {' → '.join(numbers['changed'][0])}\n" in shown
    assert copy["text"].split("\n")[0] in shown
    assert "published       2022-05-25" in shown


def test_show_tells_revisions_and_evidence(home: Home, tmp_path: Path) -> None:
    told = {"url": "https://a.example/1", "title": "Vote"}
    file = tmp_path / "two.jsonl"
    file.write_text(
        line(**told, text=SHELLS, first_seen="2022-05-01T00:00:00Z")
        + "\n"
        + line(**told, text=SHELLS.replace("12,000", "15,000"), first_seen="2022-05-02T00:00:00Z")
    )
    assert home("backfill", str(file), "--json").json()["outcomes"]["revised"] == 1
    (story,) = home("export").lines()
    assert (story["revision"], story["first_seen"]) == (2, "2022-05-01T00:00:00Z")
    record = home("show", story["id"], "--json").json()
    assert ["12,000" in revision["text"] for revision in record["revisions"]] == [True, False]
    shown = home("show", story["id"]).out
    assert "Revisions:\n    1  2022-05-01 00:00 UTC … 2022-05-01 00:00 UTC  Vote\n" in shown
    assert re.search(r"^aid \(\w+, \w+, rule [\w-]+\): The parliament in Oslo", shown, re.MULTILINE)


def test_hostile_titles_are_shown_harmlessly(read: Read) -> None:
    identity = read.story("hostile")["id"]
    for command in (("search", "--source", "Hostile"), ("show", identity), ("search", "harmless", "--json")):
        out = read.home(*command).out
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", out), command
        assert "[bold]alarm[/bold]" in out
    for command in (("search", "--source", "Hostile"), ("show", identity)):
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", read.home(*command).out)
    assert re.match(r".*Red.*\[bold\]alarm\[/bold\] gnihtyreve second line\n", read.home("show", identity).out)


# --- feeds ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def opml(tmp_path: Path) -> Callable[..., Path]:
    def write(*urls: str, name: str = "feeds.opml") -> Path:
        told = "".join(
            f'<outline type="rss" text="Feed {n}" xmlUrl="{url}" delay="0.01"/>' for n, url in enumerate(urls)
        )
        path = tmp_path / name
        path.write_text(f'<opml version="2.0"><body>{told}</body></opml>')
        return path

    return write


def test_a_run_counts_each_entry_of_each_feed(home: Home, server: FaultServer, opml: Callable[..., Path]) -> None:
    same = item(server.url("/a"), "Twice the same")
    server.on(
        "/mixed", Reply(200, rss(same, same, "<title>No link</title>", "<description>Alone.</description>", ""), RSS)
    )
    server.on("/steady", Reply(200, rss(item(server.url("/b"), "Steady")), RSS).validated('"v1"'))
    server.on("/page", Reply(200, b"<html><body>Log in</body></html>", HTML))
    for path in ("/a", "/b"):
        server.on(path, Reply(200, PAGE.encode(), HTML))
    gone = "http://127.0.0.1:9/feed"  # nobody listens there
    file = opml(server.url("/mixed"), server.url("/steady"), server.url("/page"), gone, server.url("/missing"))
    ran = home("run", "--feeds", str(file), "--json")
    assert home("report", "--json").out == ran.out
    report = ran.json()
    assert report["kind"] == "daily"
    feeds = {feed["url"]: feed for feed in report["feeds"]}
    assert list(feeds) == [
        server.url("/mixed"),
        server.url("/steady"),
        server.url("/page"),
        gone,
        server.url("/missing"),
    ]
    assert [feed["entries"] for feed in feeds.values()] == [5, 1, 0, 0, 0]
    assert [feed["status"] for feed in feeds.values()] == ["new", "new", "failed", "unreachable", "unreachable"]
    assert [feed["reason"] for feed in feeds.values()][2:] == ["not-a-feed", "connect", "not-found"]
    for feed in report["feeds"]:
        assert sum(feed["outcomes"].values()) == feed["entries"]
        assert feed["gap"] is False
    for name in OUTCOMES:
        assert sum(feed["outcomes"][name] for feed in report["feeds"]) == report["outcomes"][name]
    assert sum(report["outcomes"].values()) == report["entries"] == 6
    assert {story["feeds"][0] for story in home("export").lines()} <= set(feeds)

    asked = len(server.requests)
    again = home("run", "--feeds", str(file), "--json").json()  # its feeds keep their state
    steady = [seen for seen in server.requests[asked:] if seen.path == "/steady"]
    assert [seen.headers.get("if-none-match") for seen in steady] == ['"v1"']
    assert again["feeds"][1]["status"] == "unchanged"
    assert again["outcomes"]["indexed"] == again["outcomes"]["duplicate"] == 0
    assert again["feeds"][3]["status"] in ("backoff", "unreachable")
    listed = {feed["url"] for feed in home("feeds", "list", "--json").lines()}
    assert not listed & set(feeds)  # for that run alone

    shown = home("report").out
    assert "5 feeds: " in shown
    assert re.search(r"^  unchanged +1? .*Feed 1$", shown, re.MULTILINE)
    assert re.search(r"^  (unreachable|backoff) +Feed 3 +connect", shown, re.MULTILINE)


def test_a_feed_named_twice_is_polled_once(home: Home, server: FaultServer, opml: Callable[..., Path]) -> None:
    server.on("/feed", Reply(200, rss("<title>A</title><description>Text.</description>"), RSS))
    report = home("run", "--feeds", str(opml(server.url("/feed"), server.url("/feed"))), "--json").json()
    assert server.paths().count("/feed") == 1
    assert (len(report["feeds"]), report["entries"]) == (1, 1)


def test_the_three_moves_make_the_same_as_a_run(home: Home, server: FaultServer, opml: Callable[..., Path]) -> None:
    server.on("/feed", Reply(200, rss("<title>A</title><description>Text.</description>"), RSS))
    landed = home("fetch", "--feeds", str(opml(server.url("/feed"))), "--json").json()
    assert home("export").out == ""
    (part,) = home("digest", landed["landing"]).out.splitlines()
    published = home("publish", part, "--json").json()
    assert published["outcomes"]["indexed"] == published["entries"] == 1
    assert [story["title"] for story in home("export").lines()] == ["A"]
    assert home("digest", "--json").json() == {"parts": [part]}
    assert home("publish", "--json").json()["outcomes"]["unchanged"] == 1
    for command in (("digest", "captures/x.warc.gz"), ("publish", "stories/x/00000")):
        assert "no such" in home(*command, code=2).err


def test_add_finds_the_feed_of_a_plain_address(home: Home, server: FaultServer) -> None:
    server.on("/news.xml", Reply(200, rss(title="The News"), RSS))
    named = (
        b'<html><head><link rel="alternate" type="application/rss+xml" href="/news.xml"></head><body>Hi</body></html>'
    )
    server.on("/", Reply(200, named, HTML))
    bare = server.url("").removeprefix("http://")  # as a person writes it
    added = home("feeds", "add", bare, "--language", "de", "--full-text", "never", "--json").json()
    assert (added["url"], added["title"]) == (server.url("/news.xml"), "The News")
    assert (added["language"], added["full_text"]) == ("de", "never")
    assert home("feeds", "add", server.url("/news.xml")).err.startswith("kept, it was there: The News")
    listed = {feed["url"]: feed for feed in home("feeds", "list", "--json").lines()}
    assert len(listed) > 25  # the bundled ones are there too
    assert (listed[added["url"]]["language"], listed[added["url"]]["status"]) == ("de", "new")
    assert re.search(r"^new +not polled yet +The News", home("feeds", "list").out, re.MULTILINE)

    with FaultServer() as other:
        other.on("/", Reply(200, b"<html><body>No feed is named here.</body></html>", HTML))
        other.on("/rss.xml", Reply(200, rss(title="At a usual place"), RSS))
        assert home("feeds", "add", other.url("/"), "--json").json()["url"] == other.url("/rss.xml")

    home("feeds", "remove", added["url"])
    assert added["url"] not in home("feeds", "list").out
    assert "no such feed" in home("feeds", "remove", added["url"], code=2).err


def test_add_says_why_it_found_nothing(home: Home, server: FaultServer) -> None:
    server.on("/", Reply(200, b"<html><body>Nothing</body></html>", HTML))
    assert "no feed was found there" in home("feeds", "add", server.url("/"), code=2).err
    assert "not-found" in home("feeds", "add", server.url("/missing"), code=2).err
    assert "no address" in home("feeds", "add", "ftp://x.example/", code=2).err


def test_check_tells_how_feeds_answer_and_keeps_nothing(home: Home, server: FaultServer) -> None:
    server.on("/feed", Reply(200, rss(item("https://x.example/1", "One")), RSS))
    server.on("/moved", redirect(server.url("/feed"), 301))
    urls = [server.url(path) for path in ("/feed", "/moved", "/missing")]
    ran = home("feeds", "check", *urls, "--json")
    results = {result["url"]: result for result in ran.lines()}
    assert [results[url]["status"] for url in urls] == ["ok", "ok", "failed"]
    assert results[urls[0]]["entries"] == 1
    assert results[urls[1]]["moved_to"] == urls[0]
    assert results[urls[2]]["reason"] == "not-found"
    assert ran.err == "2 of 3 feeds answer\n"
    assert home("export").out == ""
    assert "1 of 1 feed answer" in home("feeds", "check", urls[0]).err


def test_import_and_export_of_opml(home: Home, tmp_path: Path, opml: Callable[..., Path]) -> None:
    imported = home("feeds", "import", str(opml("https://a.example/feed", "https://b.example/feed")), "--json").json()
    assert (imported["read"], imported["added"]) == (2, 2)
    again = home("feeds", "import", str(opml("http://A.example/feed", "https://c.example/feed")), "--json").json()
    assert (again["read"], again["added"]) == (2, 1)
    assert "A.example" not in home("feeds", "list", "--json").out  # another spelling is no other feed
    target = tmp_path / "out.opml"
    home("feeds", "export", str(target))
    assert target.read_bytes() == home("feeds", "export").out.encode()
    other = Home(tmp_path / "other")
    other("feeds", "import", str(target))
    fields = ("url", "title", "language", "full_text", "delay", "group")

    def listed(of: Home) -> list[Any]:
        return [[feed[name] for name in fields] for feed in of("feeds", "list", "--json").lines()]

    assert listed(other) == listed(home)
    (tmp_path / "no.opml").write_text("<html>no list</html>")
    for command in (("feeds", "import"), ("run", "--feeds")):
        assert "no OPML" in home(*command, str(tmp_path / "no.opml"), code=2).err


def test_tokens_of_feeds_stand_in_nothing_that_leaves_the_store(
    home: Home, server: FaultServer, opml: Callable[..., Path]
) -> None:
    server.on(
        "/feed",
        lambda seen: Reply(200, rss(item(f"https://x.example/{seen.target[-1]}", f"Story {seen.target[-1]}")), RSS),
    )
    urls = [server.url(f"/feed?key=hush{n}") for n in (1, 2)] + [server.url("/gone?token=hush3")]
    file = opml(*urls, server.url("/feed").replace("://", "://me:hush4@"))
    home("feeds", "import", str(file))
    run = home("run", "--feeds", str(file), "--json")
    assert {seen.target for seen in server.requests} >= {"/feed?key=hush1", "/feed?key=hush2", "/gone?token=hush3"}
    assert "'Feed 3' has a user or a password in its address, '" in run.err
    report = run.json()
    assert sum(report["outcomes"].values()) == report["entries"] == 2
    assert [(feed["entries"], feed["status"]) for feed in report["feeds"]] == [
        (1, "new"),
        (1, "new"),
        (0, "unreachable"),
    ]
    listed = home("feeds", "list", "--json")
    shown = sorted(feed["url"] for feed in listed.lines() if server.url("/") in feed["url"])
    assert shown == sorted(feed["url"] for feed in report["feeds"])
    assert all(re.fullmatch(r"http://[\d.:]+/(feed\?key|gone\?token)=\*[0-9a-f]{4}", url) for url in shown)
    stories = home("export").lines()
    assert sorted(feed for story in stories for feed in story["feeds"]) == shown[:2]
    answers = [
        run,
        listed,
        home("feeds", "list"),
        home("feeds", "check", shown[0]),
        home("feeds", "check", urls[2], "--json"),
        home("report"),
        home("export"),
        home("search", "Story", "--json"),
        home("show", stories[0]["id"]),
        home("fetch", "--feeds", str(file), "--json"),
        home("feeds", "add", urls[0]),
        home("feeds", "add", "https://me:hush4@news.example/feed", code=2),
        home("feeds", "remove", shown[0]),
        home("feeds", "remove", urls[2] + "0", code=2),
    ]
    for ran in answers:
        assert "hush" not in ran.out + ran.err
    exported = home("feeds", "export").out  # for another machine, which has to poll them
    assert "token=hush3" in exported
    assert exported.count("key=hush") == 1


# --- quarantine and topics ------------------------------------------------------------------------------------------
def test_quarantine_of_an_empty_home(home: Home) -> None:
    assert "nothing is in quarantine" in home("quarantine", "list").err
    assert "nothing of that id" in home("quarantine", "show", "0123", code=2).err
    assert "--all" in home("quarantine", "retry", code=2).err


QUARANTINE = """
import sys
from datetime import UTC, datetime
from ingest.landing import Landing
from ingest.models import Quarantined
meta = {"trusted": False, "note": None, "now": "2022-05-24T00:00:00Z"}
moment = datetime(2022, 5, 24, tzinfo=UTC)
data = b'{"id": "saved", "text": "It was the worker, not the story."}'
item = Quarantined("crash", "MemoryError", "a.jsonl line 1", "line", None, moment, meta, data)
print(Landing(sys.argv[1]).quarantine(item))
"""


def test_quarantine_shows_retries_and_drops(home: Home) -> None:
    def put() -> str:
        command = [sys.executable, "-c", QUARANTINE, str(home.path / "landing")]
        return subprocess.check_output(command, text=True).strip()

    identity = put()
    (listed,) = home("quarantine", "list", "--json").lines()
    assert (listed["id"], listed["reason"], listed["where"]) == (identity, "crash", "a.jsonl line 1")
    assert home("quarantine", "list").out == f"{identity} crash a.jsonl line 1 MemoryError\n"
    assert home("quarantine", "show", identity, "--json").json()["detail"] == "MemoryError"
    assert json.loads(home("quarantine", "show", identity, "--bytes").out)["id"] == "saved"
    report = home("quarantine", "retry", "--all", "--json").json()
    assert (report["kind"], report["outcomes"]["indexed"], report["entries"]) == ("replay", 1, 1)
    assert [story["guid"] for story in home("export").lines()] == ["saved"]
    assert home("quarantine", "list").out == ""
    put()
    assert home("quarantine", "drop", identity).err == "1 item dropped\n"
    assert home("quarantine", "show", identity, code=2).out == ""


def test_a_damaged_record_in_quarantine_is_named_and_hides_no_other(home: Home) -> None:
    command = [sys.executable, "-c", QUARANTINE, str(home.path / "landing")]
    identity = subprocess.check_output(command, text=True).strip()
    torn = home.path / "landing" / "quarantine" / "torn"
    torn.with_suffix(".bin").write_bytes(b"<p>Whatever it was")
    torn.with_suffix(".json").write_text('{"reason": "cra')
    listed = {item["id"]: item for item in home("quarantine", "list", "--json").lines()}
    assert (set(listed), listed["torn"]["reason"]) == ({identity, "torn"}, "damaged-record")
    assert "quarantine drop" in listed["torn"]["detail"]
    assert home("quarantine", "show", "torn", "--bytes").out == "<p>Whatever it was"
    assert "cannot be read" in home("quarantine", "retry", "torn", code=2).err
    assert home("quarantine", "retry", "--all", "--json").json()["outcomes"]["indexed"] == 1
    assert [item["id"] for item in home("quarantine", "list", "--json").lines()] == ["torn"]
    assert home("quarantine", "drop", "torn").err == "1 item dropped\n"


def test_topics_check(home: Home, tmp_path: Path) -> None:
    seeds = CHECKOUT / "seeds" / "topics.yaml"
    ran = home("topics", "check", str(seeds))
    assert re.search(r"\d+ rules, [\d,]+ words, languages .*\ben\b.*; (\d+) of \1 examples hold$", ran.out)
    assert home("topics", "check", str(seeds), "--json").json()["good"] is True
    bad = tmp_path / "bad.yaml"
    bad.write_text(seeds.read_text().replace("rules:", "rulez:", 1))
    ran = home("topics", "check", str(bad), code=1)
    assert re.search(r"bad\.yaml.*\d+", ran.out)
    assert home("topics", "check", str(bad), "--json", code=1).json()["good"] is False
    home("topics", "check", str(tmp_path / "none.yaml"), code=2)


# --- exit codes and messages ----------------------------------------------------------------------------------------
def one_sentence(err: str) -> None:
    assert err.startswith("sitrep: ")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


def test_unreachable_feeds_are_no_failure(home: Home, opml: Callable[..., Path]) -> None:
    report = home("run", "--feeds", str(opml("http://127.0.0.1:9/feed")), "--json").json()
    assert (report["entries"], report["feeds"][0]["status"]) == (0, "unreachable")
    assert report["feeds"][0]["detail"]


def test_a_document_that_breaks_off_is_told_as_that(home: Home, server: FaultServer, opml: Callable[..., Path]) -> None:
    server.on("/feed", Reply(200, rss(item(server.url("/1"), "One", "The convoy of flour reached"))[:-60], RSS))
    shown = home("run", "--feeds", str(opml(server.url("/feed")))).out
    assert "1 rejected; cut: its document ends too early or is too long" in shown


@pytest.mark.parametrize("command", ["search x", "export", "backfill {archive}", "run", "publish"])
def test_a_store_that_is_gone_is_one_sentence(home: Home, tmp_path: Path, command: str) -> None:
    home.path.mkdir()
    (home.path / "store.sqlite").write_bytes(b"this is no database" * 100)
    archive = tmp_path / "a.jsonl"
    archive.write_text(line(id="1", text="Text."))
    arguments = command.format(archive=archive).split()
    ran = home(*arguments, code=1)
    one_sentence(ran.err)
    assert ran.out == ""
    assert "store.sqlite" in ran.err
    assert "Move it away" in ran.err
    assert not (home.path / "landing").exists()  # nothing was begun
    if command == "search x":
        assert "Traceback" in home(*arguments, "--debug", code=1).err
        assert "Traceback" in home("--debug", *arguments, code=1).err


def test_nothing_is_deleted_that_nobody_confirmed(home: Home, tmp_path: Path) -> None:
    archive = tmp_path / "a.jsonl"
    archive.write_text(line(id="1", text=SHELLS, published="2022-05-24T10:00:00Z"))
    home("backfill", str(archive))
    drop = ("store", "drop", "--month", "2022-05")
    with home.start(*drop, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        _, said = process.communicate(b"n\n", timeout=120)
    assert process.returncode == 2
    assert b"nothing was deleted" in said
    unasked = home(*drop, code=2, stdin=subprocess.DEVNULL)
    assert "--yes" in unasked.err
    assert "interrupted" not in unasked.err
    assert len(home("export").out.splitlines()) == 1
    home(*drop, "--yes", stdin=subprocess.DEVNULL)
    assert home("export").out == ""


@pytest.mark.parametrize("command", ["run", "backfill ."])
def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "a.jsonl").write_text(line(id="1", text="Text."))
    home = Home(tmp_path / "file" / "home")
    ran = home(*command.split(), code=1, cwd=tmp_path)
    one_sentence(ran.err)
    assert "SITREP_HOME" in ran.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["search", "x", "--since", "nonsense"], "'nonsense' is no date like 2022-05-24"),
        (["serch"], "Did you mean"),
        (["search", "x", "--topik", "aid"], "--topic"),
        (["search", "x", "--limit", "0"], "--limit"),
        (["backfill"], "PATH"),
        (["backfill", "/nowhere/at/all"], "does not exist"),
        (["show", "nope"], "`sitrep search` shows ids"),
        (["report", "nope"], "no report of that run. `sitrep report` shows the last."),
        (["report"], "no run has been reported yet. Start one with"),
        (["export", "--format", "xml"], "jsonl"),
        (["export", "--json", "--format", "csv"], "exclude"),
        (["run", "--feeds", "/nowhere.opml"], "does not exist"),
        ([], "Usage: sitrep"),
    ],
)
def test_wrong_use_is_2_and_says_what_is_right(home: Home, arguments: list[str], told: str) -> None:
    ran = home(*arguments, code=2)
    assert told in ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err


def test_what_is_no_archive_is_named_in_one_sentence(home: Home, tmp_path: Path) -> None:
    (tmp_path / "x.docx").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty").mkdir()
    for name in ("x.docx", "empty"):
        ran = home("backfill", str(tmp_path / name), code=2)
        one_sentence(ran.err)
        assert name in ran.err


def test_an_empty_archive_costs_the_others_nothing(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    empty, good, broken = folder / "empty.jsonl", folder / "good.jsonl", folder / "broken.warc.gz"
    empty.write_bytes(b"")
    good.write_text(line(id="1", text="Text."))
    broken.write_bytes(b"not found")
    ran = home("backfill", str(empty), str(good), "--json")
    assert (ran.json()["entries"], ran.json()["notes"]) == (1, [f"{empty}: is empty, there is nothing to read"])
    assert ran.err == f"{empty}: is empty, there is nothing to read\n"
    assert f"{empty}: is empty" in home("report").out
    ran = home("backfill", str(folder), "--json")
    assert ran.json()["entries"] == 1
    assert f"{broken}: skipped, it holds no WARC record; expected a WARC file. It is damaged, or another" in ran.err
    ran = home("backfill", str(empty), code=2)
    one_sentence(ran.err)
    assert "empty.jsonl: is empty" in ran.err


def test_settings_that_are_wrong_are_named(tmp_path: Path) -> None:
    for name, value in (
        ("SITREP_ALLOW_ADDRESSES", "here"),
        ("SITREP_WORKERS", "0"),
        ("SITREP_LANDING", "nonsense://x"),
    ):
        home = Home(tmp_path / "home", **{name: value})
        ran = home("report" if name == "SITREP_LANDING" else "search", code=2)
        one_sentence(ran.err)
        assert name in ran.err or value in ran.err


# --- settings -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_landing_zone_is_a_path_or_a_url(tmp_path: Path, scheme: str) -> None:
    archive = tmp_path / "a.jsonl"
    archive.write_text(line(id="1", text="Text."))
    home = Home(tmp_path / "home", SITREP_LANDING=f"{scheme}{tmp_path}/elsewhere")
    report = home("backfill", str(archive), "--json").json()
    assert list((tmp_path / "elsewhere" / "stories").rglob("*.jsonl.zst"))
    assert not (home.path / "landing").exists()
    assert home("report", "--json").json() == report


def test_a_file_of_settings_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SITREP_HOME={tmp_path}/from-file\n")
    home = Home(tmp_path / "home")
    home("export", cwd=tmp_path)
    assert not (tmp_path / "from-file").exists()
    del home.environment["SITREP_HOME"]
    home("export", cwd=tmp_path)
    assert (tmp_path / "from-file" / "store.sqlite").exists()


# --- help, completion, start ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_teaches(command: str) -> None:
    from click.testing import CliRunner

    from ingest.command_line import sitrep

    result = CliRunner().invoke(sitrep, [*command.split(), "--help"], prog_name="sitrep")
    assert result.exit_code == 0
    told = result.output
    assert told.startswith(f"Usage: sitrep {command}")
    assert len(told.splitlines()) > 5
    assert max(map(len, told.splitlines())) <= 100
    assert "..." not in told.replace("]...", "").replace("ARGS...", "").replace("PATH...", "").replace("ID...", "")
    options = told.partition("Options:")[2].partition("Commands:")[0]
    assert all(
        re.match(r"  (-\S.*\s{2,}\S|  +\S|-\S+$)", row) or not row or "--" in row for row in options.splitlines()
    )


def test_all_commands_are_listed(home: Home) -> None:
    told = home("--help").out
    for command in COMMANDS:
        if " " not in command:
            assert re.search(rf"^  {command} +[A-Z].*\.$", told, re.MULTILINE), command
    assert "sitrep search artillery --topic aid" in told
    assert home("--version").out.startswith("sitrep, version ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_of_shells(home: Home, shell: str) -> None:
    script = home("completion", shell).out
    assert "_SITREP_COMPLETE" in script
    variables = {"COMP_WORDS": "sitrep feeds ", "COMP_CWORD": "2" if shell != "fish" else ""}
    completing = Home(home.path, _SITREP_COMPLETE=f"{shell}_complete", **variables)
    offered = completing(code=0).out
    for name in ("list", "add", "check", "remove", "import", "export"):
        assert name in offered


def test_help_and_completion_load_nothing_heavy(home: Home) -> None:
    code = (
        "import sys; from ingest.command_line import main; sys.argv = ['sitrep', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'trafilatura', 'apsw', 'bs4', 'rich', 'feedparser', 'lxml'} & set(sys.modules)))"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True, env=home.environment)
    assert out.splitlines()[-1] == "[]"


def test_a_search_and_a_backfill_load_what_they_need_and_no_more(read: Read) -> None:
    code = (
        "import sys; from ingest.command_line import main; sys.argv = ['sitrep', 'search', '--topic', 'aid']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "slow = {'numpy', 'yaml', 'trafilatura', 'bs4', 'lxml', 'feedparser', 'fsspec'}\n"
        "slow |= {'ingest.clean', 'ingest.landing'}\n"
        "print(sorted(slow & set(sys.modules)))\n"
        "from ingest.pipeline import jobs\n"
        "slow = {'trafilatura', 'bs4', 'feedparser', 'charset_normalizer', 'ingest.clean', 'ingest.pipeline.reading'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True, env=read.home.environment)
    assert out.splitlines()[-2:] == ["[]", "[]"]


# --- a terminal -----------------------------------------------------------------------------------------------------
def on_a_terminal(home: Home, *arguments: str, columns: int = 80, interrupt: bytes = b"") -> tuple[int, str, str]:
    """Run it with stderr and stdin on a pseudo terminal, stdout on another: exit code, stdout, stderr."""
    import fcntl
    import pty
    import select
    import struct
    import termios

    pairs = [pty.openpty(), pty.openpty()]
    for _, follower in pairs:
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**home.environment, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest", *arguments],
        env=environment,
        cwd=home.path.parent,
        stdin=pairs[1][1],
        stdout=pairs[0][1],
        stderr=pairs[1][1],
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    read = {leader: b"" for leader, _ in pairs}
    for _, follower in pairs:
        os.close(follower)
    open_ends = set(read)
    while open_ends:
        ready, _, _ = select.select(list(open_ends), [], [], 60)
        assert ready, "it hangs"
        for leader in ready:
            try:
                read[leader] += os.read(leader, 65536)
            except OSError:  # the last process that had the terminal is gone
                open_ends.discard(leader)
        if interrupt and interrupt in read[pairs[1][0]]:
            interrupt = b""
            os.write(pairs[1][0], b"\x03")
    for leader in read:
        os.close(leader)
    return process.wait(30), *(read[leader].decode() for leader, _ in pairs)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r\n", "\n")


def test_bars_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    text = "word " * 150
    many.write_text("".join(line(id=str(n), text=f"Story {n}. {text}") + "\n" for n in range(1500)))
    home = Home(tmp_path / "home")
    code, out, err = on_a_terminal(home, "backfill", str(many), columns=100)
    assert code == 0
    assert "\n1,500 entries on " in plain(out)
    assert "%" not in out
    assert re.search(r"digest .*\d+% +[\d.]+ MB/s .*left \d+:\d+", plain(err))
    assert "Traceback" not in err


@pytest.mark.parametrize("columns", [80, 120])
def test_the_report_fits_the_terminal(read: Read, tmp_path: Path, columns: int) -> None:
    home = Home(tmp_path / "home")
    outcomes = {**dict.fromkeys(OUTCOMES, 0)}
    names = [
        "Reuters World",
        "A feed whose name is so long that no table could ever hold it in one column, really",
        "日本の新聞 世界",
    ]
    feeds = [
        {
            "url": f"https://{n}.example/feed",
            "title": names[n % 3],
            "status": status,
            "reason": None if status in ("new", "unchanged") else "dns",
            "detail": None if status in ("new", "unchanged") else f"{n}.example does not resolve, asked three times",
            "entries": 40 if status == "new" else 0,
            "gap": status == "new",
            "truncated": False,
            "outcomes": {**outcomes, "indexed": 30, "rejected": 10} if status == "new" else outcomes,
        }
        for n, status in enumerate(("new", "unchanged", "unreachable", "backoff", "new", "failed"))
    ]
    report = {
        "run": "20261124T060001Z-daily-00000000",
        "kind": "daily",
        "started": "2026-11-24T06:00:01Z",
        "ended": "2026-11-24T06:03:11Z",
        "entries": 80,
        "outcomes": {**outcomes, "indexed": 60, "rejected": 20},
        "reasons": {"no-text": 20},
        "feeds": feeds,
        "notes": [],
    }
    reports = home.path / "landing" / "reports"
    reports.mkdir(parents=True)
    (reports / f"{report['run']}.json").write_text(json.dumps(report))
    _, out, _ = on_a_terminal(home, "report", columns=columns)
    rows = plain(out).splitlines()
    table = rows[next(n for n, row in enumerate(rows) if row.startswith("6 feeds")) + 2 :]
    assert len(table) == 6  # a line each
    from rich.cells import cell_len

    assert max(map(cell_len, rows)) <= columns
    assert re.match(r"  new           30    40  Reuters World +10 rejected; gap", table[0])
    assert re.match(r"  unreachable +日本の新聞 世界 +dns: ", table[5])
    piped = home("report").out
    assert "2.example does not resolve, asked three times" in piped
    assert "in one column" in piped


def test_interrupted_it_says_so_and_goes_on_where_it_was(tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    text = "word " * 150
    many.write_text("".join(line(id=str(n), text=f"Story {n}. {text}") + "\n" for n in range(1500)))
    home = Home(tmp_path / "home", SITREP_WORKERS="2")
    code, out, err = on_a_terminal(home, "backfill", str(many), interrupt=b"digest")
    assert code == 130
    assert "interrupted; nothing is lost" in plain(err)
    assert "Traceback" not in out + err
    assert home("backfill", str(many), "--json").json()["entries"] == 1500


def test_interrupted_by_a_signal(home: Home, server: FaultServer, opml: Callable[..., Path]) -> None:
    server.on("/feed", Reply(200, rss(), RSS, pause=20))
    file = opml(server.url("/feed"))
    process = home.start("run", "--feeds", str(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while "/feed" not in server.paths() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert b"Traceback" not in err


# --- two at once ----------------------------------------------------------------------------------------------------
def test_two_at_once_end_as_one_after_the_other(tmp_path: Path) -> None:
    files = []
    for n in range(2):
        file = tmp_path / f"{n}.jsonl"
        file.write_text("".join(line(id=f"{n}-{m}", text=f"Story {m} of {n}.") + "\n" for m in range(50)))
        files.append(file)
    home = Home(tmp_path / "home")
    running = [
        home.start("backfill", str(file), "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for file in files
    ]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        report = json.loads(out)
        assert sum(report["outcomes"].values()) == report["entries"] == 50
    assert len(home("export").lines()) == 100


@pytest.fixture(autouse=True, scope="module")
def _nothing_runs_on() -> Iterator[None]:
    """No command leaves a process of its own behind."""
    yield
    if not Path("/proc/self/task").exists():
        return
    deadline = time.monotonic() + 10
    while (left := _children()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def _children() -> list[str]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path("/proc", child, "cmdline").read_bytes().decode().replace("\0", " ")
            if "-m ingest" in command:
                found.append(command)
    return found
