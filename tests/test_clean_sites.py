"""Rules for single sites: their form, what they find, and that a changed one reads its site's pages anew."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest import clean, sites
from ingest.errors import SettingsError
from ingest.landing import Landing
from ingest.models import Capture, Cleaned
from ingest.pipeline import jobs, runs
from ingest.pipeline.pipe import Pipe, opened
from ingest.settings import Settings
from ingest.store import Query
from tests.test_clean_kinds import CAPTURED, FIRST, OTHER, SECOND, STORY, THIRD

ROOT = Path(__file__).parents[1]
SEEDS = sites.load(ROOT / "seeds" / "sites.yaml")
PAGES = Path(__file__).parent / "sites"


def rules(tmp_path: Path, text: str) -> sites.Sites:
    file = tmp_path / "sites.yaml"
    file.write_text(text, encoding="utf-8")
    return sites.load(file)


def read(body: str, rule: sites.Site | None) -> Cleaned:
    return clean.page(body.encode(), url="https://sel.example/a", charset="utf-8", captured=CAPTURED, rule=rule)


def told(found: Cleaned) -> dict[str, object]:
    return {
        "title": found.title,
        "published": found.published,
        "published_from": found.published_from,
        "authors": list(found.authors),
        "text": found.text.split("\n\n"),
    }


@pytest.mark.parametrize("domain", SEEDS.rules)
def test_each_rule_of_the_seeds_reads_a_page_of_the_same_build(domain: str) -> None:
    body = (PAGES / f"{domain}.html").read_text(encoding="utf-8")
    expected = json.loads((PAGES / f"{domain}.json").read_text(encoding="utf-8"))
    assert told(read(body, SEEDS.rules[domain])) == expected
    assert told(read(body, None)) != expected, "the rule is needed for nothing"


def test_no_page_is_left_of_a_rule_that_went() -> None:
    assert {path.stem for path in PAGES.iterdir()} == set(SEEDS.rules)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        (
            "sel.example: {text: p}\norlen.example:\n  txt: p\n",
            "line 3, column 3",
            "'txt' is not known in the rule for orlen.example",
        ),
        ("sel.example:\n  text: [p, 'p >']\n", "line 2, column 13", "'p >' is no CSS selector"),
        ("sel.example:\n  text: p:nope\n", "line 2, column 9", "no CSS selector"),
        ("sel.example:\n  drop: #box\n", "line 2, column 8", "quote what begins with #"),
        ("sel.example:\n  drop: *\n", "line 2", "not YAML"),
        ("sel.example: &a {text: p}\norlen.example: *a\n", "line 1", "anchors and aliases"),
        ("https://sel.example/: {text: p}\n", "line 1, column 1", "is no domain"),
        ("Sel.example: {text: p}\n", "line 1, column 1", "small letters"),
        ("sel.example: {text: p}\nsel.example: {text: a}\n", "line 2, column 1", "stands twice"),
        ("sel.example: {text: p, text: a}\n", "line 1", "stands twice"),
        ("sel.example: {}\n", "line 1", "says nothing"),
        ("sel.example: {text: []}\n", "line 1", "one to 20 selectors"),
        ("sel.example: {text: {a: b}}\n", "line 1", "must be a text"),
        ("- sel.example\n", "line 1", "must be a mapping"),
        ("sel.example: [\n", "line 2", "not YAML"),
        ("sel.example: " + "[" * 5_000 + "]" * 5_000, "line 1, column 25", "nested deeper than 12 levels"),
        ("sel.example: " + "{a: " * 5_000 + "}" * 5_000, "line 1", "nested deeper than 12 levels"),
        ("sel.example: {text: p}\x00", "line 1", "not YAML"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, place: str, problem: str) -> None:
    with pytest.raises(SettingsError) as error:
        rules(tmp_path, text)
    assert f"{tmp_path / 'sites.yaml'}, {place}" in str(error.value)
    assert problem in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SITREP_SITES"):
        sites.load(tmp_path / "none.yaml")
    assert rules(tmp_path, "# nothing yet\n").of("https://sel.example/") is None


def test_the_longest_domain_wins(tmp_path: Path) -> None:
    found = rules(tmp_path, "sel.example: {text: p}\nold.sel.example: {text: a}\n")
    for url, domain in {
        "https://sel.example/a": "sel.example",
        "https://WWW.Sel.example:8443/a": "sel.example",
        "https://www.old.sel.example/": "old.sel.example",
    }.items():
        rule = found.of(url)
        assert rule is not None
        assert rule.domain == domain
    for other in ("https://orsel.example/", "https://sel.example.org/", "http://[broken", "", None):
        assert found.of(other) is None


BOX = f"<div class='offers'><p>{OTHER}</p></div>"
PAGE = f"<html><body><article><h1>The harbour is open</h1>{STORY}{BOX}</article></body></html>"


def test_a_drop_alone_leaves_the_rest_to_the_general_way(tmp_path: Path) -> None:
    assert OTHER in read(PAGE, None).text
    rule = rules(tmp_path, "sel.example: {drop: .offers}").rules["sel.example"]
    found = read(PAGE, rule)
    assert found.text.split("\n\n") == [FIRST, SECOND, THIRD]
    assert found.title == "The harbour is open"
    assert OTHER not in read(f"<html><body>{BOX}</body></html>", rule).text


def test_where_a_rule_finds_nothing_the_general_way_stands(tmp_path: Path) -> None:
    text = "sel.example: {text: .gone, title: .gone, date: h1, author: .gone}"
    assert read(PAGE, rules(tmp_path, text).rules["sel.example"]) == read(PAGE, None)


def test_lines_in_a_link_are_text_where_the_rule_says_so(tmp_path: Path) -> None:
    rule = rules(tmp_path, "sel.example: {text: 'a.line', drop: i}").rules["sel.example"]
    found = read("<body><p><a class=line>Ship in <i>new</i></a> and <a class=line>ship out</a></p></body>", rule)
    assert found.text.split("\n\n") == ["Ship in", "ship out"]


APART = """<p>The town of Orlen will plant four hundred lindens along the road to the quarry, the mayor said.</p>
<p>Children of both schools chose the places; the saplings come from a nursery that two sisters founded in a barn.</p>
<p>Watering them falls to the fire brigade, which has bought a second pump for that and practises on Saturdays.</p>"""


def replayed(pipe: Pipe, path: Path) -> tuple[dict[str, int], dict[str | None, str]]:
    report, _ = jobs.backfill(pipe, runs.start("archive"), [str(path)], workers=1)
    texts = {story.content.url: story.content.text for story in pipe.store.export(Query())}
    return {str(name): n for name, n in report.outcomes.items() if n}, texts


def test_a_changed_rule_reads_its_site_anew_and_no_other(settings: Settings, tmp_path: Path) -> None:
    html = (("Content-Type", "text/html; charset=utf-8"),)
    urls = "https://www.sel.example/a", "https://orlen.example/a"
    with Landing(str(tmp_path)).captures("pages.warc.gz") as writer:
        for url in urls:
            body = PAGE.replace(STORY, APART) if "orlen" in url else PAGE
            writer.add(Capture(url, 200, html, body.encode(), datetime(2022, 6, 1, tzinfo=UTC)))
    file = tmp_path / "sites.yaml"
    file.write_text("# nothing yet\n")
    archive = tmp_path / "pages.warc.gz"
    with opened(replace(settings, sites_file=str(file))) as pipe:
        counted, texts = replayed(pipe, archive)
        assert counted == {"indexed": 2}
        assert all(OTHER in text for text in texts.values())
        file.write_text("sel.example: {drop: .offers}\n")
        counted, texts = replayed(pipe, archive)
        assert counted == {"recleaned": 1, "unchanged": 1}
        assert [OTHER in texts[url] for url in urls] == [False, True]
        assert {story.revision for story in pipe.store.export(Query())} == {1}
        parts = [pipe.landing.part(path).version for path in pipe.landing.parts()]
        file.write_text("# a remark\nsel.example: {drop: .offers}\n")
        assert replayed(pipe, archive)[1] == texts
        assert [pipe.landing.part(path).version for path in pipe.landing.parts()] == parts
        file.write_text("sel.example: {drop: 'p >'}\n")
        with pytest.raises(SettingsError, match="line 1, column 21"):
            replayed(pipe, archive)
