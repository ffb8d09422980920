"""Stories per day by topic, and what the days are worth: who watched, and whether the usual outlets said anything.

Days are those of publication, in the time zone of the settings. A long time is shown by weeks or months.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response

from ingest import store as port
from ingest import time_zones
from ingest.pipeline import silence
from ingest.pipeline.silence import Quiet
from ingest.web import rendering
from ingest.web.asking import Asked, asked
from ingest.web.window import Window, window_of

pages = APIRouter(include_in_schema=False)
api = APIRouter(tags=["stories"])

T = TypeVar("T")

MOST_TOPICS = 6
UNITS = (("day", 400), ("week", 7 * 400))  # a unit, and up to how many days it is shown; else months
YEAR = timedelta(days=366)
RECENT = 10.0  # seconds
KEPT = 60.0  # seconds that what is usual is remembered: it changes with days


@dataclass(frozen=True, slots=True)
class Bin:
    """A day, week or month. `until` is the first day after it."""

    since: str
    until: str
    stories: int
    topics: Mapping[str, int]
    watched: bool
    quiet: Quiet | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    unit: str
    topics: tuple[str, ...]
    bins: tuple[Bin, ...]
    undated: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            "undated": self.undated,
            "topics": list(self.topics),
            "bins": [
                {
                    "since": each.since,
                    "until": each.until,
                    "stories": each.stories,
                    "topics": [each.topics.get(topic, 0) for topic in self.topics],
                    "watched": each.watched,
                    "quiet": {"usual": each.quiet.usual, "silent": list(each.quiet.silent)} if each.quiet else None,
                }
                for each in self.bins
            ],
        }

    def packed(self) -> dict[str, Any]:
        """The same for the script that draws it, which gets up to 400 bins with every page: a list for each, of its
        first day, stories, stories by topic, and what is said of it (0: nobody watched, 1: nothing, else what `quiet`
        is above). `end` is the first day after all."""
        said = ((each.quiet and [each.quiet.usual, *each.quiet.silent]) or int(each.watched) for each in self.bins)
        return {
            "unit": self.unit,
            "topics": list(self.topics),
            "end": self.bins[-1].until if self.bins else "",
            "bins": [
                [each.since, each.stories, *(each.topics.get(topic, 0) for topic in self.topics), told]
                for each, told in zip(self.bins, said, strict=True)
            ],
        }


@pages.get("/days")
def table(request: Request, asked: Annotated[Asked, Depends(asked)]) -> Response:
    """The chart as a table: for those who do not see it, or want the numbers."""
    return rendering.page(request, "days.html", asked=asked, chart=drawn(window_of(request), asked))


@api.get("/days")
def days_json(request: Request, asked: Annotated[Asked, Depends(asked)]) -> dict[str, Any]:
    """Stories by day (week, month) of publication, in all and by topic; days on which nobody watched, and those on
    which at least half of the usual outlets were silent."""
    return drawn(window_of(request), asked).to_json()


def drawn(window: Window, asked: Asked) -> Chart:
    """The chart of a search."""
    return counted(window, "chart", asked, lambda: _drawn(window, asked))


def counted(window: Window, name: str, asked: Asked, make: Callable[[], T]) -> T:
    """What `make` counts over the stories of a search, whichever of its hits are shown; where that costs more than a
    page may, it is kept until something is written, or, where the store cannot tell, ten seconds."""
    return window.counted((name, replace(asked, page=1, order="", every=False)), RECENT, make)


def _drawn(window: Window, asked: Asked) -> Chart:
    store, query = window.store, asked.query()
    stories, by_topic = store.chart(query, "topic")
    undated = stories.pop("", 0)
    days = _span(asked, stories)
    if not days:
        return Chart("day", (), (), undated)
    seen_days = _seen(window)
    most = sorted(by_topic, key=lambda topic: -sum(by_topic[topic].values()))[:MOST_TOPICS]
    topics = tuple(topic for topic in by_topic if topic in most)
    unit = next((unit for unit, longest in UNITS if len(days) <= longest), "month")
    bins = []
    for first, group in _grouped(days, unit):
        told = [seen_days.quiet[day] for day in group if day in seen_days.quiet]
        seen = sum(day in seen_days.watched for day in group)
        bins.append(
            Bin(
                first,
                (date.fromisoformat(group[-1]) + timedelta(days=1)).isoformat(),
                sum(stories.get(day, 0) for day in group),
                {topic: sum(by_topic[topic].get(day, 0) for day in group) for topic in topics},
                seen > 0,
                _worst(told) if told and 2 * len(told) >= seen else None,
            )
        )
    return Chart(unit, topics, tuple(bins), undated)


def _span(asked: Asked, stories: Mapping[str, int]) -> list[str]:
    """The days to show: from the first that has a story to the last, or those asked for, as far as a year beyond."""
    if not stories:
        return []
    zone = time_zones.named(asked.zone)
    first, last = date.fromisoformat(min(stories)), date.fromisoformat(max(stories))
    if asked.since:
        first = max(asked.moment(asked.since).astimezone(zone).date(), first - min(YEAR, first - date.min))
    if asked.until:
        last = min((asked.moment(asked.until) - timedelta(microseconds=1)).astimezone(zone).date(), last + YEAR)
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def _grouped(days: list[str], unit: str) -> Iterator[tuple[str, list[str]]]:
    group: list[str] = []
    name = ""
    for day in days:
        if _unit(day, unit) != name and group:
            yield group[0], group
            group = []
        name = _unit(day, unit)
        group.append(day)
    if group:
        yield group[0], group


def _unit(day: str, unit: str) -> str:
    match unit:
        case "day":
            return day
        case "week":
            year, week, _ = date.fromisoformat(day).isocalendar()
            return f"{year}-{week}"
    return day[:7]


def _worst(told: list[Quiet]) -> Quiet:
    """Of several quiet days the outlets that were silent on most of them."""
    counted = Counter(name for each in told for name in each.silent)
    silent = sorted(counted, key=lambda name: (-counted[name], name))
    return Quiet(max(each.usual for each in told), tuple(silent))


# what the days are worth ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Seen:
    watched: frozenset[str]
    quiet: Mapping[str, Quiet]


def _seen(window: Window) -> _Seen:
    """Of the whole store, whatever is searched. Captures are filed by days of UTC: a day elsewhere counts as read when
    the day of that date was."""

    def look() -> _Seen:
        by_source = window.store.days(port.Query(zone=window.settings.time_zone), "source")
        paths = window.landing.list("captures/", suffix=".warc.gz")
        read = {path.split("/")[1] for path in paths if path.count("/") >= 2}
        told = {day for days in by_source.values() for day in days}
        today = datetime.now(window.settings.zone).date().isoformat()
        return _Seen(frozenset(read | told), silence.quiet(by_source, read, today=today))

    return window.remembered("seen", KEPT, look)
