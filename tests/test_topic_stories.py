"""How well the bundled rules tag 628 stories of our own (`topic_stories.yaml`): bounds for the whole, not for each.

The rules were mended with these in view, so the figures say that nothing gets worse, not how stories fare that nobody
has read: of 165 kept unread until the end macro-F1 was .84, where all have .92 now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ingest import tag
from ingest.models import Tags

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("en", "de", "fr", "es", "ru", "uk")
TOPICS = ("escalation", "aid", "deployments")
LEAST_F1 = 0.84  # .90 to .93 when this was written
LEAST_F1_ABROAD = 0.8  # of all topics together in each language but English, .88 to 1.00 when this was written


@dataclass(frozen=True)
class Story:
    language: str
    title: str | None
    text: str
    main: frozenset[str]
    mentioned: frozenset[str]
    none: str | None  # what a story without a topic is about: `ordinary` things, or a `conflict`

    @property
    def topics(self) -> frozenset[str]:
        return self.main | self.mentioned


Judged = Sequence[tuple[Story, Tags]]


def stories() -> list[Story]:
    found = []
    for part in yaml.safe_load((ROOT / "tests" / "topic_stories.yaml").read_text("utf-8")).values():
        for entry in part:
            (language,) = set(entry) & set(LANGUAGES)
            main, mentioned = frozenset(entry.get("main", ())), frozenset(entry.get("mentioned", ()))
            found.append(Story(language, entry.get("title"), entry[language], main, mentioned, entry.get("none")))
    return found


@pytest.fixture(scope="module")
def judged() -> Judged:
    rules = tag.load(ROOT / "seeds" / "topics.yaml")
    return [(one, tag.tag(rules, one.title, one.text, one.language)) for one in stories()]


def f1(judged: Judged, topics: Iterable[str]) -> float:
    outcomes = Counter((topic in story.topics, topic in tags.topics) for topic in topics for story, tags in judged)
    right, wrong = outcomes[True, True], outcomes[True, False] + outcomes[False, True]
    return 2 * right / (2 * right + wrong)


def share(judged: Judged, belongs: Callable[[Story], bool], holds: Callable[[Story, Tags], bool]) -> float:
    """Of the stories that belong, the part for which something holds."""
    outcomes = [holds(story, tags) for story, tags in judged if belongs(story)]
    return sum(outcomes) / len(outcomes)


def test_a_story_has_topics_or_says_that_it_has_none() -> None:
    for story in stories():
        assert bool(story.topics) is (story.none is None), story.text
        assert story.topics <= set(TOPICS), story.text
        assert not story.main & story.mentioned, story.text
        assert story.none in {None, "ordinary", "conflict"}, story.text


@pytest.mark.parametrize("topic", TOPICS)
def test_each_topic_is_found_where_it_is_and_not_elsewhere(judged: Judged, topic: str) -> None:
    assert f1(judged, [topic]) >= LEAST_F1


@pytest.mark.parametrize("language", LANGUAGES)
def test_topics_are_found_in_each_language(judged: Judged, language: str) -> None:
    own = [(story, tags) for story, tags in judged if story.language == language]
    assert f1(own, TOPICS) >= LEAST_F1_ABROAD


def test_what_a_story_is_about_is_seldom_missed(judged: Judged) -> None:
    found = share(judged, lambda story: bool(story.main), lambda story, tags: story.main <= set(tags.topics))
    assert found >= 0.8


def test_what_a_story_only_mentions_is_mostly_found(judged: Judged) -> None:
    only = [(story, tags) for story, tags in judged if story.mentioned and not story.main]
    assert f1(only, TOPICS) >= 0.65


def test_stories_said_to_be_about_a_topic_have_it(judged: Judged) -> None:
    claims = [topic in story.topics for story, tags in judged for topic in tags.main_topics]
    assert sum(claims) / len(claims) >= 0.9


@pytest.mark.parametrize(("kind", "most"), [("ordinary", 0.12), ("conflict", 0.08)])
def test_stories_without_a_topic_seldom_get_one(judged: Judged, kind: str, most: float) -> None:
    assert share(judged, lambda story: story.none == kind, lambda _, tags: bool(tags.topics)) <= most
