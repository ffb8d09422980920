"""What a person names: topics, stories and feeds that there are, and what to try where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ingest.command_line import showing
from ingest.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from ingest.models import Feed, Story
    from ingest.pipeline.pipe import Pipe
    from ingest.store import Query, Store

SHORTEST = 4  # characters of an id's beginning, as in git
SHOWN = 8  # names or ids that a message lists


def check_topics(pipe: Pipe, asked: Sequence[str]) -> None:
    """Raises UsageError for a topic that neither the rules know nor any story carries (of older rules)."""
    if not asked:
        return
    from ingest import tag
    from ingest.store import Query

    try:
        ruled = tag.load(pipe.settings.topics).topics
    except SettingsError:  # reading does not need the rules; who digests is told what is wrong with them
        ruled = ()
    if set(asked) <= set(ruled):
        return
    known = dict.fromkeys([*ruled, *pipe.store.count(Query(), "topic")])
    if unknown := [topic for topic in asked if topic not in known]:
        raise UsageError(
            "there is no such topic" if len(unknown) == 1 else "there are no such topics",
            subject=", ".join(unknown),
            advice=f"There are {_listed(list(known))}." if known else "There is none yet.",
        )


def hint(store: Store, query: Query) -> str:
    """What to try where nothing was found: the dates, where they are the wrong way round, or the names that there are,
    where one was asked for that no story has."""
    from ingest.store import Query as Everything

    if query.since and query.until and query.since >= query.until:
        return "; --since is not before --until"
    for by, asked in (("topic", query.topics), ("source", query.sources), ("language", query.languages)):
        known = [name for name in store.count(Everything(), by) if name] if asked else []
        if asked and not set(asked) & set(known):
            there = f", there are {_listed(known)}" if known else ""
            return f"; no story has the {by} {', '.join(asked)}{there}"
    return ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def story(store: Store, identity: str) -> Story:
    """The story of this id, or the one whose id begins so.

    Raises UsageError where there is none, and where there are several, after a line for each of the first.
    """
    asked = identity.strip().lower()
    if len(asked) < SHORTEST:
        advice = f"Give at least {SHORTEST} characters of an id; `sitrep search` shows them."
        raise UsageError("is too short", subject=identity, advice=advice)
    ids = store.ids(asked, SHOWN + 1)
    if asked in ids:
        ids = [asked]
    found = store.get(ids[:SHOWN])
    if not found:
        raise UsageError("no story has this id", subject=identity, advice="`sitrep search` shows ids.")
    if len(ids) > 1:
        for id_ in ids[:SHOWN]:
            content = found[id_].content
            showing.say(" · ".join(filter(None, [id_, content.source, content.title or "(no title)"])))
        more = "more than " if len(ids) > SHOWN else ""
        told = f"{more}{min(len(ids), SHOWN)} ids begin so"
        raise UsageError(told, subject=identity, advice="Give more of the one that you mean.")
    return found[ids[0]]


def feed(known: Sequence[Feed], typed: str) -> Feed:
    """The feed of this address, as it is or as it is shown.

    Raises UsageError where there is none, or several are shown so.
    """
    from ingest import addresses

    fitting = [feed for feed in known if feed.url == typed] or [
        feed for feed in known if addresses.shown(feed.url) == addresses.shown(typed)
    ]
    if not fitting:
        raise UsageError("no such feed", subject=addresses.shown(typed), advice="`sitrep feeds list` shows all.")
    if len(fitting) > 1:
        raise UsageError("several feeds are shown so", subject=typed, advice="Give the whole address.")
    return fitting[0]
