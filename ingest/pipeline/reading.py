"""Raw items of an archive or a landing file → stories: parse, clean, tag and fingerprint, in a worker process."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from ingest import addresses, archive, clean, dates, dedup, feeds, parse, sites, tag, words
from ingest.errors import NotAFeed, Unparsable
from ingest.models import (
    TOLD,
    Capture,
    Cleaned,
    Content,
    Dropped,
    Entry,
    Feed,
    Line,
    Outcome,
    Rejection,
    TextFrom,
)
from ingest.pipeline import captures
from ingest.pipeline.batches import Answered, Job, Result, Trouble

TITLE = 2000  # code points; longer ones are no titles
SAMPLE = "Officials of the county said that the bridge over the river would stay closed until the end of the week."


def load_models() -> None:
    """Load what is loaded when it is first needed: the model of languages, tables of characters and of domains. Costs
    nothing a second time; a process that is forked afterwards has them."""
    clean.language(SAMPLE)
    dedup.fingerprints([(None, SAMPLE)])
    addresses.site("https://news.example/")


class Reader:
    """Raw items → stories."""

    def __init__(self, rules: Path, site_rules: Path, job: Job, answered: Answered) -> None:
        self.rules = tag.load(rules)
        self.file_of_sites = site_rules
        self.job = job
        self.answered = answered
        self.parser = parse.Parser()

    @functools.cached_property
    def sites(self) -> sites.Sites:
        """The rules for single sites, read when the first page comes."""
        return sites.load(self.file_of_sites)

    def read(self, raw: archive.Raw | archive.Refused) -> Iterator[Result]:
        if isinstance(raw, archive.Refused):
            yield raw.rejection
            return
        decoded = archive.decode(raw, now=self.job.now, trusted=self.job.trusted)
        if isinstance(decoded, Rejection):
            yield decoded
        elif isinstance(decoded, Line):
            yield from self._line(decoded)
        elif isinstance(decoded, Capture):
            yield from self._landed(decoded) if self.job.trusted else self._foreign(decoded)

    def _line(self, line: Line) -> Iterator[Result]:
        entry, first_seen, dropped = _entry_of_line(line, self.job.now)
        story = self.told(entry, first_seen=first_seen)
        yield story
        if isinstance(story, Content):
            yield from dropped

    def _landed(self, capture: Capture) -> Iterator[Result]:
        """A landing file's record: a feed's document or a page that one of its entries asked for. What the poll of a
        feed came to otherwise (moved, gone, blocked) is in what the batch taught, and is no entry."""
        if not capture.answers:
            return
        if capture.entry:
            told = Entry.from_json(capture.entry["entry"])
            yield self.told(self._with_page(told, capture), first_seen=told.captured)
        elif capture.feed:
            try:
                yield from self._feed(capture, Feed(capture.feed, site=capture.site, language=capture.language))
            except NotAFeed:
                return  # the feed's line in the report says so

    def _foreign(self, capture: Capture) -> Iterator[Result]:
        if capture.status == archive.UNCHANGED:
            yield Outcome.UNCHANGED
            return
        if parse.looks_like_feed(capture.header("content-type"), capture.body):
            try:
                yield from self._feed(capture, Feed(capture.url))
                return
            except NotAFeed:
                pass  # it only began like one: read it as a page
        yield self.told(_entry_of_page(capture))

    def _feed(self, capture: Capture, feed: Feed | None) -> Iterator[Result]:
        try:
            document = self.parser.feed(capture, feed)
        except Unparsable as error:
            yield Trouble("unparsable", str(error), capture.feed, capture.url)
            return
        answered = Counter(self.answered.pages.get(capture.feed or "", {}))
        for entry in document.entries:
            if isinstance(entry, Rejection):
                yield entry
            elif answered[key := feeds.entry_key(entry)] > 0:
                answered[key] -= 1  # its page, in the same file, tells it
            else:
                yield self.told(entry)

    def _with_page(self, entry: Entry, capture: Capture) -> Entry:
        """A feed's entry with the page that it asked for; without it, where the page is a wall or a front page, or what
        came is none: a PDF, a picture, a feed."""
        if addresses.key(capture.url) in self.answered.walls or not archive.is_page(capture):
            return entry
        if parse.looks_like_feed(capture.header("content-type"), capture.body):
            return entry
        return replace(
            entry,
            url=capture.url,
            addresses=tuple(dict.fromkeys([*capture.addresses, *filter(None, [entry.url])])),
            page=capture.body,
            charset=captures.charset(capture),
            captured=capture.captured,
        )

    def told(self, entry: Entry, *, first_seen: datetime | None = None) -> Content | Rejection:
        """The story of an entry."""
        rule = self.sites.of(entry.url) if entry.page is not None else None
        cleaned, text_from = _cleaned(entry, rule)
        if cleaned.wall and not entry.feed:
            return Rejection(cleaned.wall, cleaned.title or "", entry.where)
        if cleaned.wall:  # then what the feed says of the story stands, under its own link
            link = entry.addresses[-1] if entry.addresses else entry.url
            entry = replace(entry, page=None, url=link, addresses=())
            cleaned, text_from = _cleaned(entry, None)
        title = _title(entry, cleaned)
        text = clean.without_title(cleaned.text, title)
        if not text and entry.text is None and (entry.page is not None or not title):
            return Rejection("no-text", "neither a text nor a title" if not title else "", entry.where, entry.feed)
        language = clean.language(text or title or "", [entry.language, cleaned.language])
        published, published_from = entry.published, entry.published_from
        if not published:
            published, published_from = cleaned.published, cleaned.published_from
        source = entry.source or addresses.site(entry.url)
        return Content(
            id=_id(entry, source, title, text),
            keys=_keys(entry),
            guid=entry.guid,
            url=entry.url,
            canonical_url=cleaned.canonical_url,
            source=source,
            feed=addresses.shown(entry.feed) if entry.feed else None,
            title=title,
            text=text,
            language=language,
            authors=entry.authors or cleaned.authors,
            published=published,
            published_from=published_from if published else None,
            first_seen=first_seen or entry.captured,
            captured=entry.captured,
            text_from=text_from,
            tags=tag.tag(self.rules, title, text, language),
            digest=_hash(title or "", text),
            cleaner=sites.cleaner(rule),
            rules_version=self.rules.version,
            page_kind=cleaned.page_kind if text_from is TextFrom.PAGE else None,
            partial=cleaned.partial and text_from is TextFrom.PAGE,
        )


def _cleaned(entry: Entry, rule: sites.Site | None) -> tuple[Cleaned, TextFrom]:
    """The entry's text, and where it is from: the feed's own where its page gives less."""
    if entry.text is not None:
        return Cleaned(clean.plain(entry.text)), entry.text_from
    told = clean.fragment(entry.html, url=entry.url) if entry.html else Cleaned("")
    if entry.page is None:
        return told, entry.text_from
    page = clean.page(entry.page, url=entry.url, charset=entry.charset, captured=entry.captured, rule=rule)
    if len(page.text) < len(told.text):
        return replace(page, text=told.text), entry.text_from
    return page, TextFrom.PAGE


def _title(entry: Entry, cleaned: Cleaned) -> str | None:
    """An archive's own word, else the page's, else the feed's."""
    first, second = (cleaned.title, entry.title) if entry.feed else (entry.title, cleaned.title)
    title = first or second
    return (words.one_line(words.mended(title), TITLE) or None) if title else None


def _id(entry: Entry, source: str | None, title: str | None, text: str) -> str:
    if entry.id_by == "address" and entry.url:
        return _hash("address", addresses.key(entry.url))
    if entry.id_by != "content" and entry.guid:
        return _hash("guid", source or "", entry.guid)
    return _hash("content", source or "", title or "", text)


def _keys(entry: Entry) -> tuple[str, ...]:
    """Under what the story may be known: first as this very entry of this feed (a link that entries share is no
    identity while they share it, and looks like one when the others have rolled out of the feed's window), then by its
    addresses."""
    told = []
    if entry.feed and entry.url and entry.page is None and (name := entry.guid or entry.title):
        told = [TOLD + _hash(entry.feed, name, addresses.key(entry.url))]
    own = [entry.url, *entry.addresses] if entry.id_by == "address" else []
    return tuple(dict.fromkeys([*told, *(addresses.key(url) for url in own if url)]))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _entry_of_line(line: Line, now: datetime) -> tuple[Entry, datetime, list[Dropped]]:
    """The entry, when it was first seen, and what of the line it is kept without."""
    url = addresses.absolute(line.url) if line.url else None
    published = dates.read(line.published, captured=None) if line.published else None
    seen = line.first_seen if line.first_seen and line.first_seen <= now + dates.AHEAD else None
    lost = {
        "url": "no address of http or https" if line.url and not url else "",
        "published": "no date of ISO 8601 between 1900 and 2100" if line.published and not published else "",
        "first_seen": "lies in the future" if line.first_seen and not seen else "",
    }
    entry = Entry(
        guid=line.guid,
        url=url,
        title=line.title,
        html=None,
        text=line.text,
        page=line.html.encode() if line.html is not None and line.text is None else None,
        published=published,
        published_from="archive" if published else None,
        authors=line.authors,
        language=line.language,
        source=line.source,
        feed=None,
        captured=_captured(line, seen, now),
        text_from=TextFrom.PAGE,
        charset="utf-8",
        where=line.where,
        id_by="address" if url else "guid" if line.guid else "content",
    )
    dropped = [Dropped(name, f"`{name}`: {why}", line.where) for name, why in lost.items() if why]
    return entry, seen or now, [*line.dropped, *dropped]


def _captured(line: Line, seen: datetime | None, now: datetime) -> datetime:
    """A microsecond a line later than the time that is stated, or that of the run: of two lines that tell a story in
    two ways at the same time, the one further down in the file is the newer, whoever digests it and when."""
    if seen is None:
        return now + timedelta(microseconds=line.number)
    return seen if seen.microsecond else seen + timedelta(microseconds=min(line.number, 999_999))


def _entry_of_page(capture: Capture) -> Entry:
    return Entry(
        guid=None,
        url=capture.url or None,
        title=None,
        html=None,
        text=None,
        page=capture.body,
        published=None,
        published_from=None,
        authors=(),
        language=None,
        source=None,
        feed=None,
        captured=capture.captured,
        text_from=TextFrom.PAGE,
        charset=captures.charset(capture),
        where=capture.where,
        id_by="address" if capture.url else "content",
    )
