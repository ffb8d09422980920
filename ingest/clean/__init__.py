"""HTML → text, title, date, authors, language, canonical address.

Pure: the same bytes give the same result, in any order, on any day; nothing is fetched, nothing is kept between pages.
No input raises. What bounds the time of a page is said beside each bound.

    page      a whole page, as bytes
    fragment  HTML inside a feed
    plain     an archive's text
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from difflib import SequenceMatcher

from ingest import sites, words
from ingest.clean import blocks, fragments, kinds, languages, markup, metadata, statements, walls
from ingest.clean import body as bodies
from ingest.models import Cleaned

TEXT_LENGTH = 1_000_000  # code points of a story's text; a novel has as many
TITLE_LENGTH = metadata.TITLE_LENGTH


def page(
    body: bytes, *, url: str | None, charset: str | None, captured: datetime, rule: sites.Site | None = None
) -> Cleaned:
    """What a page tells and says of itself. `url` is its address, `charset` what HTTP says of its encoding, `captured`
    when it was fetched (no date behind it is believed), `rule` that of its site.

    `text` is in paragraphs with an empty line between them, "" where there is no story; it does not begin with the
    title. `published_from` begins with "page" or "url".
    """
    return explain(body, url=url, charset=charset, captured=captured, rule=rule)[0]


def explain(
    body: bytes, *, url: str | None, charset: str | None, captured: datetime, rule: sites.Site | None = None
) -> tuple[Cleaned, bodies.Story]:
    """What `page` gives, and how its text was found: the page's blocks, each with the reason why it was kept or not."""
    parsed = markup.parse(words.mended_utf8(markup.utf8(body, charset)))
    stated = statements.read(parsed)
    outline = blocks.of(parsed, rule)
    found = metadata.read(stated, outline, url=url, captured=captured, rule=rule)
    story = bodies.story(parsed, outline, data=found.body, descriptions=found.standfirst, kind=found.kind)
    story = replace(story, cut=_cut(body, outline, found, story))
    text = _text(story.paragraphs)
    told = languages.recognised(text or found.title or "", found.languages)
    cleaned = Cleaned(
        text=without_title(text, found.title),
        title=found.title,
        published=found.published,
        published_from=found.published_from,
        authors=found.authors,
        language=told.code,
        language_score=round(told.score, 3),
        canonical_url=found.canonical_url,
        site=found.site,
        wall=walls.kind(found.title, text) or kinds.no_story(stated, url, kind=story.kind, text=text),
        page_kind=story.kind,
        partial=bool(story.cut)
        or kinds.is_partial(stated, text, (block.text for block in story.blocks if not block.kept)),
    )
    return cleaned, story


def _cut(body: bytes, outline: blocks.Outline, found: metadata.Metadata, story: bodies.Story) -> str:
    """Which bound a page is longer than, so that its story is not whole; "": none."""
    if len(body) > markup.MAX_BYTES:
        return f"read as far as {markup.MAX_BYTES:,} bytes"
    if len(outline.elements) >= blocks.MOST_ELEMENTS:
        return f"read as far as {blocks.MOST_ELEMENTS:,} elements"
    if story.by == "data" and found.entries > metadata.MOST_ENTRIES:
        return f"{metadata.MOST_ENTRIES:,} of {found.entries:,} entries"
    if sum(map(len, story.paragraphs)) + 2 * len(story.paragraphs) - 2 > TEXT_LENGTH:
        return f"text as far as {TEXT_LENGTH:,} characters"
    return ""


def fragment(html: str, *, url: str | None = None) -> Cleaned:  # noqa: ARG001 - its links are not kept yet
    """The text of HTML inside a feed, in paragraphs as `page` gives them; text that is no HTML stays as it is.

    `title` is None: a feed states it elsewhere.
    """
    text = _text(fragments.of_fragment(words.sane(words.mended(html), 2 * TEXT_LENGTH)))
    return Cleaned(text=text, language=language(text))


def plain(text: str) -> str:
    """An archive's text, fit for every store: paragraphs with an empty line between them, line breaks inside them kept,
    at most `TEXT_LENGTH` code points."""
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in words.sane(words.mended(text), TEXT_LENGTH).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _text(paragraphs: Sequence[str]) -> str:
    return words.sane("\n\n".join(paragraphs), TEXT_LENGTH).strip()


def language(text: str, hints: Sequence[str | None] = ()) -> str:
    """The language of the text by ISO 639-1; `und` where it cannot be told.

    `hints` are what is said of it, the most trusted first (an archive's word, then a page's or a feed's): the first one
    wins unless the text is long enough to refute it or is not written in its letters.
    """
    return languages.recognised(text, hints).code


_FIRST_LINES = re.compile(r"\s*([^\n]*)(?:\n+|$)")


def without_title(text: str, title: str | None) -> str:
    """The text without a first or second line that repeats the title, also where it differs a little: other signs, a
    word more or less, cut at the end."""
    if not title:
        return text
    first, rest = _split(text)
    if _repeats(first, title):
        again, behind = _split(rest)
        return behind if _repeats(again, title) else rest
    second, behind = _split(rest)
    if second and len(first) < 200 and _repeats(second, title):  # a kicker stands above the title
        return f"{first}\n\n{behind}".strip()
    return text


def _split(text: str) -> tuple[str, str]:
    match = _FIRST_LINES.match(text)
    return (match[1].strip(), text[match.end() :]) if match else ("", text)


def _repeats(line: str, title: str) -> bool:
    """Whether a line says nothing but the title. A sentence that goes on where the title ends is the story's own."""
    if not line or len(line) > 2 * len(title) + 20:
        return False
    a, b = words.letters(line), words.letters(title)
    shorter, longer = sorted((a, b), key=len)
    if not shorter:
        return False
    if a == b:
        return True
    if len(shorter) < 15:
        return False
    if longer.startswith(shorter):
        return len(shorter) >= (0.6 if longer == b else 0.8) * len(longer) and (longer == b or line[-1] not in ".!?…。")
    pair = re.findall(r"\w+", line.casefold())[:100], re.findall(r"\w+", title.casefold())[:100]
    return line[-1] != "." and SequenceMatcher(None, *pair, autojunk=False).ratio() >= 0.85
