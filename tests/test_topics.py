"""What the bundled rules find in sentences of our own: `topic_sentences.yaml`, by topic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ingest import tag
from ingest.models import Evidence

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("en", "de", "fr", "es", "ru", "uk")


@dataclass(frozen=True)
class Case:
    topic: str
    shows: str
    language: str
    text: str
    title: str | None
    topics: frozenset[str]
    status: str | None

    def __str__(self) -> str:
        return f"{self.topic}-{self.language}-{self.shows.replace(' ', '-')}"


def cases() -> list[Case]:
    found = []
    for topic, entries in yaml.safe_load((ROOT / "tests" / "topic_sentences.yaml").read_text("utf-8")).items():
        for entry in entries:
            (language,) = set(entry) & set(LANGUAGES)
            expected = frozenset(entry.get("topics", ()))
            text, title, status = entry[language], entry.get("title"), entry.get("status")
            found.append(Case(topic, entry["shows"], language, text, title, expected, status))
    return found


CASES = cases()


@pytest.fixture(scope="module")
def rules() -> tag.Rules:
    return tag.load(ROOT / "seeds" / "topics.yaml")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sentences_have_exactly_their_topics(rules: tag.Rules, case: Case) -> None:
    found = tag.tag(rules, case.title, case.text, case.language)
    assert set(found.topics) == case.topics, found.evidence
    for evidence in found.evidence:
        whole = case.title if evidence.field == "title" else case.text
        assert whole is not None
        assert whole[evidence.start : evidence.end] == evidence.sentence
    if case.status:
        assert _first(found.evidence, case.topic).status == case.status


def _first(evidence: tuple[Evidence, ...], topic: str) -> Evidence:
    return next(one for one in evidence if one.topic == topic)


def test_each_topic_has_enough_cases_of_each_kind() -> None:
    for topic in ("escalation", "aid", "deployments"):
        own = [case for case in CASES if case.topic == topic]
        assert len(own) >= 40
        assert {case.language for case in own if topic in case.topics} == set(LANGUAGES)
        assert {case.language for case in own if not case.topics} == set(LANGUAGES)
        assert {case.status for case in own} > {"negated"} if topic != "aid" else True
