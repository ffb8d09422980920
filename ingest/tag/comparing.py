"""What rules do to many stories: which of two files of rules changes what, and how often each rule fires."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ingest.models import Evidence, Tags
from ingest.tag import Rules, tag


@dataclass(frozen=True, slots=True)
class Told:
    """A story as far as tagging reads it."""

    id: str
    title: str | None
    text: str
    language: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """A story that gets other topics by other rules. An evidence of a topic that is gained or lost is of the rules
    that have it."""

    story: Told
    before: Tags
    after: Tags

    @property
    def gained(self) -> tuple[str, ...]:
        return tuple(topic for topic in self.after.topics if topic not in self.before.topics)

    @property
    def lost(self) -> tuple[str, ...]:
        return tuple(topic for topic in self.before.topics if topic not in self.after.topics)

    @property
    def reweighted(self) -> tuple[str, ...]:
        """The topics that both have, main by one of them only."""
        both = (topic for topic in self.after.topics if topic in self.before.topics)
        return tuple(t for t in both if (t in self.after.main_topics) != (t in self.before.main_topics))

    def evidence(self, topic: str) -> tuple[Evidence, ...]:
        """What proves the topic by the rules that have it, by the new ones where both do."""
        tags = self.after if topic in self.after.topics else self.before
        return tuple(one for one in tags.evidence if one.topic == topic)


def changes(old: Rules, new: Rules, stories: Iterable[Told]) -> Iterator[Change]:
    """The stories whose topics or main topics differ, in their order."""
    for story in stories:
        before = tag(old, story.title, story.text, story.language)
        after = tag(new, story.title, story.text, story.language)
        if set(before.topics) != set(after.topics) or set(before.main_topics) != set(after.main_topics):
            yield Change(story, before, after)


@dataclass(slots=True)
class Fired:
    """How many stories were read, in how many each rule is among the proofs, and in how many it alone carries its
    topic."""

    stories: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    by_topic: Counter[str] = field(default_factory=Counter)


def fired(rules: Rules, stories: Iterable[Told]) -> Fired:
    """How often each rule fires in these stories."""
    counts = Fired(by_rule=Counter(dict.fromkeys(rules.names, 0)))
    for story in stories:
        tags = tag(rules, story.title, story.text, story.language)
        counts.stories += 1
        counts.by_topic.update(tags.topics)
        for topic in tags.topics:
            names = {one.rule for one in tags.evidence if one.topic == topic}
            counts.by_rule.update(names)
            if len(names) == 1:
                counts.alone.update(names)
    return counts
