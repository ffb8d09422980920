"""What one more capture makes of a story: pure decisions, the same whatever the order in which captures arrive.

A story's versions are its different texts of the richest kind that was seen, each with its first and last capture;
the current one is that of the latest capture. A poorer text is forgotten when a richer one is there. Of mentions (what
other sites' feeds tell of an address) the earliest stands: they cannot revise each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ingest import dates
from ingest.models import Content, Outcome, Story, TextFrom, Version


@dataclass(frozen=True, slots=True)
class Decision:
    """The story as it is now. `rewritten`: its shown text, tags or date are others than before."""

    story: Story
    outcome: Outcome
    rewritten: bool


def first(content: Content, now: datetime) -> Decision:
    """A story that nobody knew."""
    story = Story(
        id=content.id,
        versions=(Version(content, content.captured, content.captured),),
        feeds=(content.feed,) if content.feed else (),
        first_seen=content.first_seen,
        indexed=now,
        published=content.published,
        published_from=content.published_from,
        cluster=content.id,
    )
    return Decision(story, Outcome.INDEXED, rewritten=True)


def again(story: Story, content: Content) -> Decision:
    """A known story, seen once more."""
    versions, outcome = _versions(story, content)
    oldest = min((v for v in versions if v.content.published), key=lambda v: (v.first, v.content.digest), default=None)
    after = replace(
        story,
        versions=versions,
        feeds=tuple(sorted({*story.feeds, content.feed})) if content.feed else story.feeds,
        first_seen=min(story.first_seen, content.first_seen),
        published=oldest.content.published if oldest else None,  # an outlet that re-dates its story does not move it
        published_from=oldest.content.published_from if oldest else None,
    )
    return Decision(after, outcome, rewritten=_shown(after) != _shown(story))


def _shown(story: Story) -> tuple[object, ...]:
    content = story.content
    return content.digest, content.tags, content.rules_version, content.cleaner, story.instant(), story.revision


def _versions(story: Story, content: Content) -> tuple[tuple[Version, ...], Outcome]:
    have = story.content.text_from.rank
    if content.text_from.rank < have:
        return story.versions, Outcome.UNCHANGED
    seen = Version(content, content.captured, content.captured)
    if content.text_from.rank > have:
        outcome = Outcome.UNCHANGED if content.digest == story.content.digest else Outcome.REVISED
        return (seen,), outcome
    if content.text_from is TextFrom.MENTION:
        return _mentions(story.versions[0], seen)
    same = next((v for v in story.versions if v.content.digest == content.digest), None)
    if same:
        after = _seen_again(same, seen)
        gone = _told_otherwise(story, same, content)
        return _ordered(story, (same, *gone), after), Outcome.RECLEANED if gone else _how(same, after)
    reread = next((v for v in story.versions if _reread(v, content)), None)
    if reread:
        return _ordered(story, (reread,), replace(reread, content=content)), Outcome.RECLEANED
    return _ordered(story, (), seen), Outcome.REVISED


def _mentions(standing: Version, seen: Version) -> tuple[tuple[Version, ...], Outcome]:
    if seen.first == standing.first and _read_anew(standing.content, seen.content):
        return (seen,), Outcome.RECLEANED if seen.content.digest != standing.content.digest else _how(standing, seen)
    earliest = min(standing, seen, key=lambda v: (v.first, v.content.digest, _told(v.content)))
    return (earliest,), Outcome.UNCHANGED


def _seen_again(before: Version, seen: Version) -> Version:
    """The same text once more. What else is said of it is what its latest capture says, but for the date: of those
    that were stated, the earliest."""
    old, new = before.content, seen.content
    if _read_anew(old, new):
        latest = new if new.captured >= old.captured else old
    else:
        latest = max(old, new, key=lambda content: (content.captured, _told(content)))
        latest = _dated(latest, *(content for content in (old, new) if content.published))
    return Version(latest, min(before.first, seen.first), max(before.last, seen.last))


def _read_anew(old: Content, new: Content) -> bool:
    return (old.cleaner, old.rules_version) != (new.cleaner, new.rules_version)


def _dated(content: Content, *dated: Content) -> Content:
    if not dated:
        return content
    first = min(dated, key=lambda c: (_published(c), c.published or "", c.published_from or ""))
    return replace(content, published=first.published, published_from=first.published_from)


def _told(content: Content) -> str:
    """What a capture says, for choosing among those of the same moment: always the same one."""
    return repr((content.title, content.text, content.url, content.guid, content.feed, content.authors, content.tags))


def _how(before: Version, now: Version) -> Outcome:
    return Outcome.RETAGGED if now.content.rules_version != before.content.rules_version else Outcome.UNCHANGED


def _reread(version: Version, content: Content) -> bool:
    """Whether `content` is a capture that is known, read by another cleaner."""
    return content.cleaner != version.content.cleaner and content.captured in (version.first, version.last)


def _told_otherwise(story: Story, same: Version, content: Content) -> tuple[Version, ...]:
    """The versions that an earlier cleaner made of this very capture, which now reads as `same` does: what told them
    apart is no longer taken for the story's."""
    if content.captured in (same.first, same.last):
        return ()
    return tuple(v for v in story.versions if v is not same and _reread(v, content))


def _ordered(story: Story, before: tuple[Version, ...], now: Version) -> tuple[Version, ...]:
    versions = [v for v in story.versions if not any(v is gone for gone in before)] + [now]
    return tuple(sorted(versions, key=lambda v: (v.last, _published(v.content), v.content.digest)))


def _published(content: Content) -> float:
    return dates.instant(content.published).timestamp() if content.published else 0.0
