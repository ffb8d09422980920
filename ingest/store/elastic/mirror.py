"""Run reports and quarantine for Kibana, each kind in an index of its own (layout.py has the fields).

A report becomes documents of several levels: one for the run ("run"), one for each of its feeds that was polled or
could not be ("feed"), and one for each reason for which something was rejected or quarantined ("reason"). What the last
run said of each feed stands once more ("latest"), one document a feed: that is how to find what is silent now.

`last_new` of a feed is when it last brought a story that was new, its first poll where it never did; `silent_s` is how
long before the run's start that was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ingest import addresses, dates
from ingest.models import NEW, FeedReport, Outcome, Quarantined, RunReport
from ingest.store.elastic import documents
from ingest.store.elastic.bulk import Action, action, deliver
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import Layout
from ingest.store.rows import seconds

NOT_POLLED = "not due"  # says nothing of a feed
ASKED = 5000  # feeds in one request


@dataclass(slots=True)
class _Heard:
    """Of a feed, in seconds since 1970: when it last brought something new (else was first polled), as far as it is
    known at that moment, and when it was last reported on at all."""

    new: int | None = None
    last: int = 0


class ElasticMirror:
    """See `store.Mirror`. Raises StoreGone."""

    def __init__(self, connect: Callable[[], Connection], layout: Callable[[], Layout]) -> None:
        self._connect = connect
        self._layout = layout

    @property
    def _runs(self) -> str:
        return self._layout().small("runs")

    @property
    def _quarantine(self) -> str:
        return self._layout().small("quarantine")

    def reports(self, reports: Iterable[RunReport]) -> Mapping[str, str]:
        ordered = sorted(map(_without_tokens, reports), key=lambda report: (report.started, report.run))
        return self._show(self._runs, self._told(ordered)) if ordered else {}

    def _told(self, ordered: list[RunReport]) -> Iterator[Action]:
        polled = {feed.url for report in ordered for feed in report.feeds if feed.status != NOT_POLLED}
        heard = self._heard(polled, ordered[0].started)
        for report in ordered:
            for name, document in _report_documents(report, heard):
                key = (report.run, " ".join(filter(None, name)))
                run = () if name[0] == "latest" else (report.run,)
                yield action("index", key, self._runs, documents.digest(*run, *name), document)

    def _heard(self, feeds: set[str], before: datetime) -> dict[str, _Heard]:
        """What the reports before this one say of these feeds."""
        heard = {feed: _Heard() for feed in feeds}
        listed = sorted(feeds)
        for start in range(0, len(listed), ASKED):
            some = listed[start : start + ASKED]
            last, first = {"max": {"field": "started"}}, {"min": {"field": "started"}}
            new = {"filter": {"range": {"new_stories": {"gt": 0}}}, "aggs": {"last": last}}
            earlier = {
                "filter": {"range": {"started": {"lt": dates.iso(before)}}},
                "aggs": {"first": first, "new": new},
            }
            by_feed = {
                "terms": {"field": "feed", "size": len(some)},
                "aggs": {"last": last, "earlier": earlier},
            }
            asked = [{"term": {"level": "feed"}}, {"terms": {"feed": some}}]
            body = {"size": 0, "query": {"bool": {"filter": asked}}, "aggs": {"feeds": by_feed}}
            for bucket in self._connect().search(self._runs, body)["aggregations"]["feeds"]["buckets"]:
                told = bucket["earlier"]
                then = told["new"]["last"]["value"] or told["first"]["value"]
                heard[bucket["key"]] = _Heard(
                    None if then is None else int(then // 1000), int(bucket["last"]["value"] // 1000)
                )
        return heard

    def quarantined(self) -> set[str]:
        return {hit["_id"] for hit in self._connect().all(self._quarantine, {"match_all": {}}, False)}

    def quarantine(self, items: Iterable[Quarantined], *, gone: Iterable[str] = ()) -> Mapping[str, str]:
        shown = (action("index", ("", item.id), self._quarantine, item.id, _item(item)) for item in items)
        dropped = (action("delete", ("", ident), self._quarantine, ident, None) for ident in gone)
        return self._show(self._quarantine, (one for part in (shown, dropped) for one in part))

    def _show(self, index: str, actions: Iterable[Action]) -> dict[str, str]:
        outcome = deliver(self._connect(), actions)
        self._connect().request("POST", f"/{index}/_refresh")
        return {" ".join(filter(None, key)): why for key, why in outcome.refused.items()}


def complete_revisions(connection: Connection, layout: Layout) -> None:
    """Write the older versions of stories (`revisions`) that are not there. Publishing writes each with its story; this
    is for stories that were published before there was such an index, and for one that somebody deleted."""
    revised = {"range": {"revision": {"gt": 1}}}
    aggs = {"months": {"terms": {"field": "_index", "size": 10_000}}, "places": {"sum": {"field": "revision"}}}
    body = {"size": 0, "query": revised, "aggs": aggs, "track_total_hits": True}
    found = connection.search(layout.months("stories"), body)
    stories = found["hits"]["total"]["value"]
    there = connection.request("GET", f"/{layout.months('revisions')}/_count").body["count"]
    if not stories or found["aggregations"]["places"]["value"] - stories <= there:
        return
    suffixes = [layout.suffix(bucket["key"]) for bucket in found["aggregations"]["months"]["buckets"]]
    connection.make_indices({layout.month("revisions", suffix): {} for suffix in suffixes})
    hits = connection.stream(
        layout.months("stories"), revised, ["_shard_doc"], {"excludes": list(documents.UNREAD)}, size=500
    )
    try:
        refused = deliver(connection, (one for hit in hits for one in _older(layout, hit))).refused
    finally:
        hits.close()
    connection.request("POST", f"/{layout.months('revisions')}/_refresh")
    for why in refused.values():
        connection.gone(f"it refused an older version of a story ({why}).", "This is a fault of Sitrep: report it.")


def _older(layout: Layout, hit: Mapping[str, Any]) -> Iterator[Action]:
    story = documents.story(hit["_source"])
    index = layout.month("revisions", layout.suffix(hit["_index"]))
    for place in range(1, len(story.versions)):
        name = documents.digest(story.id, str(place))
        yield action("create", ("revisions", name), index, name, documents.revision_document(story, place))


def _without_tokens(report: RunReport) -> RunReport:
    """Reports of older releases may hold addresses of feeds with their tokens."""
    feeds = tuple(replace(feed, url=addresses.shown(feed.url)) for feed in report.feeds)
    return replace(report, feeds=feeds)


def _report_documents(
    report: RunReport, heard: dict[str, _Heard]
) -> Iterator[tuple[tuple[str, str], documents.Document]]:
    """The documents of a report, each with its name; `heard` learns what the report says."""
    run = {
        "run": report.run,
        "kind": report.kind,
        "started": dates.iso(report.started),
        "ended": dates.iso(report.ended),
        "took_s": (report.ended - report.started).total_seconds(),
    }
    whole = {**run, "entries": report.entries, **_counted(report.outcomes), "notes": list(report.notes)}
    yield ("run", ""), _document("run", whole)
    for reason, number in report.reasons.items():
        yield ("reason", reason), _document("reason", {**run, "reason": reason, "count": number})
    for feed in report.feeds:
        if feed.status != NOT_POLLED:
            told = {**run, **_feed(feed, seconds(report.started), heard[feed.url])}
            yield ("feed", feed.url), _document("feed", told)
            if seconds(report.started) >= heard[feed.url].last:
                yield ("latest", feed.url), _document("latest", told)


def _feed(feed: FeedReport, start: int, heard: _Heard) -> dict[str, Any]:
    """What a run that began at `start` says of a feed; `heard` learns it."""
    names = ("title", "status", "reason", "detail", "entries", "gap", "truncated")
    counted = _counted(feed.outcomes)
    if counted["new_stories"] or heard.new is None:
        heard.new = start
    return {
        "feed": feed.url,
        **{name: getattr(feed, name) for name in names},
        **counted,
        "last_new": dates.iso(datetime.fromtimestamp(heard.new, UTC)),
        "silent_s": max(0, start - heard.new),
    }


def _counted(outcomes: Mapping[Outcome, int]) -> dict[str, Any]:
    every = {str(outcome): outcomes.get(outcome, 0) for outcome in Outcome}
    return {"outcomes": every, "new_stories": sum(every[outcome] for outcome in NEW)}


def _document(level: str, told: Mapping[str, Any]) -> documents.Document:
    return {"level": level, **told}


def _item(item: Quarantined) -> documents.Document:
    names = ("id", "reason", "detail", "where", "kind", "source", "run", "size")
    shown = {name: url and addresses.shown(url) for name, url in (("feed", item.feed), ("url", item.url))}
    return {**{name: getattr(item, name) for name in names}, **shown, "captured": dates.iso(item.captured)}
