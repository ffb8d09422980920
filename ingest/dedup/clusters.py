"""Links → whose clusters they change; links → clusters and their leads, and what was rewritten from what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from ingest.dedup.verdicts import Verdicts
from ingest.models import Head, Kinship, Link


def touched(
    changed: Iterable[str], verdicts: Verdicts, links: Callable[[Collection[str]], Iterable[Link]]
) -> tuple[set[str], list[Link]]:
    """Whose clusters have to be made again, and the links among them as they are once the verdicts are written.

    `links` gives the links that have an end among some stories, as they were before (the store's method). They are
    followed as far as they reach, each story asked for once.
    """
    linked = {(link.a, link.b): link for link in verdicts.linked}
    gone = {*verdicts.unlinked, *linked}
    beside: dict[str, list[Link]] = {}
    for link in verdicts.linked:
        beside.setdefault(link.a, []).append(link)
        beside.setdefault(link.b, []).append(link)
    ends = [end for pair in gone for end in pair]
    reached: set[str] = set()
    result: dict[tuple[str, str], Link] = {}
    todo = {*changed, *ends}
    while todo:
        reached |= todo
        found = [link for link in links(todo) if (link.a, link.b) not in gone]
        found.extend(link for story in todo for link in beside.get(story, ()))
        result.update(((link.a, link.b), link) for link in found)
        todo = {end for link in found for end in (link.a, link.b)} - reached
    return reached, [result[pair] for pair in sorted(result)]


def clusters(heads: Mapping[str, Head], links: Iterable[Link]) -> dict[str, tuple[str, bool]]:
    """The connected components of the links between the same stories: story → (id of its lead, whether it is the lead).

    The lead is the earliest: dated before undated, then published, then first_seen, then id. Links to stories that
    are not among `heads` are left aside.
    """
    first = _first(heads, (link for link in links if link.kinship is Kinship.SAME))
    return {story: (first[story], first[story] == story) for story in heads}


def _first(heads: Mapping[str, Head], links: Iterable[Link]) -> dict[str, str]:
    """The earliest story of the component of each."""
    roots = {story: story for story in heads}

    def root(story: str) -> str:
        while roots[story] != story:
            roots[story] = story = roots[roots[story]]
        return story

    for link in links:
        if link.a in roots and link.b in roots:
            roots[root(link.a)] = root(link.b)
    first: dict[str, str] = {}
    for story in sorted(heads, key=lambda story: _precedence(heads[story])):
        first.setdefault(root(story), story)
    return {story: first[root(story)] for story in heads}


def rewritten(
    heads: Mapping[str, Head], links: Sequence[Link], places: Mapping[str, tuple[str, bool]]
) -> dict[str, str | None]:
    """What each of these stories was rewritten from, or None.

    Of two stories that are linked as another text and stand in two clusters (`places`, as `clusters` gives them), the
    one whose lead came later was made from the other one, or where that came later itself, from its lead. Of several
    it is the one with most text in common, then the earliest. A story that is linked so to later ones alone was made
    from the first of all that hang together, if that is another cluster's: both are told anew in what came later.
    """
    first = _first(heads, links)
    made: dict[str, tuple[tuple[object, ...], str]] = {}
    for link in links:
        if link.kinship is not Kinship.REWRITTEN or link.a not in heads or link.b not in heads:
            continue
        origin, story = sorted((link.a, link.b), key=lambda end: _precedence(heads[places[end][0]]))
        if places[origin][0] == places[story][0]:
            continue
        if places[first[origin]][0] != places[origin][0]:
            made.setdefault(origin, ((1.0,), first[origin]))
        if _precedence(heads[origin]) > _precedence(heads[story]):
            origin = places[origin][0]
        rank = -link.share, *_precedence(heads[origin])
        if story not in made or rank < made[story][0]:
            made[story] = rank, origin
    return {story: made[story][1] if story in made else None for story in heads}


def _precedence(head: Head) -> tuple[bool, datetime, datetime, str]:
    return head.published is None, head.instant(), head.first_seen, head.id
