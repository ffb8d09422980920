"""Feeds looked at outside a run: whether they answer, where a site keeps its own. Nothing is landed or remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ingest import addresses, feeds, parse
from ingest.errors import GiveUp, UsageError
from ingest.fetch import Fetched, Fetcher, Request
from ingest.models import Capture, Feed
from ingest.pipeline.pipe import Pipe


@dataclass(frozen=True, slots=True)
class Checked:
    """How a feed answered; its addresses as they may be shown. `status` is ok or failed, `reason` and `detail` say why
    it failed."""

    url: str
    status: str
    reason: str | None
    detail: str | None
    title: str | None = None
    entries: int = 0
    moved_to: str | None = None


def check(pipe: Pipe, asked: Sequence[Feed]) -> Iterator[Checked]:
    """Fetch each of these feeds once, as they answer."""
    with Fetcher(pipe.settings) as fetcher, parse.Parser() as parser:
        requests = (Request(url=feed.url, kind="feed", delay=feed.delay) for feed in asked)
        for fetched in fetcher.run(requests):
            yield _checked(parser, fetched)


def take_in(pipe: Pipe, told: Iterable[Feed]) -> tuple[int, int]:
    """Read these feeds from now on: how many are new, and how many that were there have changed. One that is there, by
    whatever spelling of its address, keeps it, takes the options that are told, and of its names those that are."""
    known = {feeds.same(feed.url): feed for feed in pipe.feeds()}
    new, changed = [], []
    for feed in told:
        before = known.get(feeds.same(feed.url))
        if before is None:
            new.append(feed)
            continue
        names = {name: getattr(feed, name) or getattr(before, name) for name in ("title", "site", "language", "group")}
        if (after := replace(feed, url=before.url, **names)) != before:
            changed.append(after)
    pipe.store.save_feeds([*new, *changed])
    return len(new), len(changed)


def discover(pipe: Pipe, url: str) -> Feed:
    """The feed at an address, or the best one that the page there names. Raises UsageError as `look` does."""
    return look(pipe, url)[0]


def look(pipe: Pipe, url: str) -> tuple[Feed, parse.ParsedFeed]:
    """The feed at an address, or the best one that the page there names, and what its document says now.

    Raises UsageError where the address is none, does not answer, or leads to no feed.
    """
    if addresses.has_password(url):
        raise UsageError(
            "there is a user or a password in the address.",
            subject=addresses.redact(url),
            advice=feeds.NO_PASSWORDS,
        )
    spelled = [addresses.absolute(part) for part in ([url] if "://" in url else [f"https://{url}", f"http://{url}"])]
    if None in spelled:
        raise UsageError(
            "this is no address of a site or feed",
            subject=addresses.redact(url),
            advice="Give one like https://example.org/news.",
        )
    first = _first(pipe, [address for address in spelled if address])
    with Fetcher(pipe.settings) as fetcher, parse.Parser() as parser:
        if first.status != "ok":
            raise UsageError(
                f"{first.reason} ({first.detail})", subject=addresses.redact(url), advice="Check the address."
            )
        answer = first.responses[-1]
        if found := _as_feed(parser, answer, first.request.url):
            return found
        for candidate in feeds.candidates(answer.body, answer.url):
            fetched = fetcher.get(Request(url=candidate, kind="feed", delay=0.2))
            if fetched.status == "ok" and (found := _as_feed(parser, fetched.responses[-1], candidate)):
                return found
    raise UsageError(
        "no feed was found there",
        subject=addresses.redact(url),
        advice="Look for the site's feed and give its address.",
    )


def _first(pipe: Pipe, spelled: Sequence[str]) -> Fetched:
    """The first of these addresses that answers, else how the last one failed."""
    for address in spelled:
        with Fetcher(pipe.settings) as fetcher:  # a new one: it gives up a host that failed
            fetched = fetcher.get(Request(url=address, kind="feed"))
        if fetched.status == "ok":
            break
    return fetched


def _as_feed(parser: parse.Parser, answer: Capture, url: str) -> tuple[Feed, parse.ParsedFeed] | None:
    try:
        document = parser.feed(answer, Feed(url))
    except GiveUp:
        return None
    return Feed(url=url, title=document.title, site=document.site, language=document.language), document


def _checked(parser: parse.Parser, fetched: Fetched) -> Checked:
    url = addresses.shown(fetched.request.url)
    if fetched.status != "ok":
        return Checked(url, "failed", fetched.reason, fetched.detail)
    try:
        document = parser.feed(fetched.responses[-1], Feed(url))
    except GiveUp as error:
        return Checked(url, "failed", "not-a-feed", str(error))
    return Checked(url, "ok", None, None, document.title, len(document.entries), _shown(fetched.moved_to))


def _shown(url: str | None) -> str | None:
    return addresses.shown(url) if url else None
