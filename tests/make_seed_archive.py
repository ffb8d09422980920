"""Writes seeds/archive/ from seed_stories.yaml: the same bytes each time.

    python tests/make_seed_archive.py

`stories.warc.gz` holds pages in several layouts, a feed, and what a crawl also meets: a 404, a revisit, an image,
requests and metadata. `stories.jsonl` holds the stories that came as lines.
"""

from __future__ import annotations

import hashlib
import html
import io
import json
import struct
import sys
import zlib
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import yaml
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "seed_stories.yaml"
TARGET = HERE.parent / "seeds" / "archive"

# By language: the menu, then the headings of related stories, of the newsletter box with its promise, of the comments.
LABELS = {
    "en": ("Home World Economy Sport Weather", "Related", "Newsletter", "Get the day's news by mail.", "Comments"),
    "de": ("Start Politik Wirtschaft Sport", "Mehr zum Thema", "Newsletter", "Jeden Morgen im Postfach.", "Kommentare"),
    "fr": ("Accueil Monde Sport Météo", "Lire aussi", "Lettre", "Chaque matin dans votre boîte.", "Commentaires"),
    "es": ("Portada Mundo Deportes", "Más noticias", "Boletín", "Cada mañana en su correo.", "Comentarios"),
    "uk": ("Головна Світ Спорт Погода", "Читайте також", "Розсилка", "Щоранку у вашій пошті.", "Коментарі"),
}


@dataclass(frozen=True)
class Story:
    """A story of the source with what is known of it."""

    name: str
    file: str
    outlet: str
    url: str | None
    language: str
    title: str
    paragraphs: tuple[str, ...]
    published: str | None
    captured: datetime
    authors: tuple[str, ...] = ()
    layout: str = "broad"
    as_html: bool = False
    guid: str | None = None
    first_seen: str | None = None
    cluster: str | None = None
    rewritten: str | None = None
    main: frozenset[str] = field(default_factory=frozenset)
    mentioned: frozenset[str] = field(default_factory=frozenset)
    revises: str | None = None

    @property
    def text(self) -> str:
        return "\n\n".join(self.paragraphs)


def read() -> tuple[list[Story], dict[str, Any]]:
    """The stories, and the feed."""
    source = yaml.safe_load(SOURCE.read_text("utf-8"))
    raw = {item["name"]: item for item in source["stories"]}
    return [_story(item, raw) for item in source["stories"]], source["feed"]


def _story(item: dict[str, Any], raw: dict[str, dict[str, Any]]) -> Story:
    published = item["published"]
    known = published or item["first_seen"]
    moment = datetime.fromisoformat(known if "T" in known else known + "T12:00:00+00:00").astimezone(UTC)
    topics = item["topics"]
    return Story(
        name=item["name"],
        file=item["file"],
        outlet=item["outlet"],
        url=raw[item["url_of"]]["url"] if "url_of" in item else item["url"],
        language=item["language"],
        title=item["title"],
        paragraphs=_paragraphs(item, raw),
        published=published,
        captured=moment + timedelta(hours=item.get("captured", 6)),
        authors=tuple(item.get("authors", ())),
        layout=item.get("layout", "blog"),
        as_html=item.get("as") == "html",
        guid=item.get("id"),
        first_seen=item.get("first_seen"),
        cluster=item.get("cluster"),
        rewritten=item.get("rewritten"),
        main=frozenset(topics.get("main", ())),
        mentioned=frozenset(topics.get("mentioned", ())),
        revises=item.get("url_of"),
    )


def _paragraphs(item: dict[str, Any], raw: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    text = item["text"] if "text" in item else raw[item["of"]]["text"]
    paragraphs = text.strip().split("\n\n")[: item.get("cut")]
    for old, new in item.get("changes", ()):
        assert any(old in paragraph for paragraph in paragraphs), (item["name"], old)
        paragraphs = [paragraph.replace(old, new) for paragraph in paragraphs]
    return (
        *([item["opening"]] if "opening" in item else ()),
        *paragraphs,
        *([item["footer"]] if "footer" in item else ()),
    )


# ------------------------------------------------------------------------------------------------------ pages


def page(story: Story, related: list[Story]) -> str:
    """The story's page in its outlet's layout."""
    return {"broad": _broad, "narrow": _narrow, "blog": _blog}[story.layout](story, related)


def _escaped(story: Story) -> tuple[str, str, str]:
    """Title, paragraphs and byline as HTML."""
    body = "\n".join(f"<p>{html.escape(paragraph, quote=False)}</p>" for paragraph in story.paragraphs)
    return html.escape(story.title, quote=False), body, html.escape(", ".join(story.authors))


def _links(related: list[Story]) -> str:
    return "\n".join(
        f'<li><a href="{html.escape(item.url or "#")}">{html.escape(item.title)}</a></li>' for item in related
    )


def _nav(story: Story) -> str:
    return " ".join(f'<a href="/{word.lower()}">{word}</a>' for word in LABELS[story.language][0].split())


def _broad(story: Story, related: list[Story]) -> str:
    title, body, by = _escaped(story)
    _, more, letter, promise, _ = LABELS[story.language]
    data = {
        "@context": "https://schema.org",
        "@type": "NewsArticle",
        "headline": story.title,
        "datePublished": story.published,
        "inLanguage": story.language,
        "author": [{"@type": "Person", "name": name} for name in story.authors],
        "publisher": {"@type": "Organization", "name": story.outlet},
        "mainEntityOfPage": story.url,
    }
    return f"""<!DOCTYPE html>
<html lang="{story.language}">
<head>
<meta charset="utf-8">
<title>{title} | {story.outlet}</title>
<link rel="canonical" href="{story.url}">
<meta property="og:title" content="{html.escape(story.title)}">
<meta property="og:site_name" content="{story.outlet}">
<meta property="og:type" content="article">
<script type="application/ld+json">{json.dumps(data, ensure_ascii=False)}</script>
<style>body {{ font-family: serif }}</style>
</head>
<body>
<header class="site-header"><a class="logo" href="/">{story.outlet}</a>
<nav class="main-nav">{_nav(story)}</nav></header>
<main>
<article>
<h1>{title}</h1>
<div class="byline"><span class="author">{by}</span> <time datetime="{story.published}">{story.published}</time></div>
<div class="article-body">
{body}
</div>
<aside class="newsletter-box"><h3>{letter}</h3><p>{promise}</p>
<form><input type="email"><button>OK</button></form></aside>
</article>
<section class="related-links"><h2>{more}</h2><ul>
{_links(related)}
</ul></section>
</main>
<footer class="site-footer"><p>© {story.outlet}</p>{_nav(story)}</footer>
<script>window.track = function () {{}};</script>
</body>
</html>
"""


def _narrow(story: Story, related: list[Story]) -> str:
    title, body, by = _escaped(story)
    _, more, _, _, comments = LABELS[story.language]
    byline = f'<div class="meta-author">{by}</div>' if by else ""
    return f"""<!DOCTYPE html>
<html lang="{story.language}">
<head>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<title>{title} - {story.outlet}</title>
<meta name="author" content="{by}">
<meta property="article:published_time" content="{story.published}">
<meta property="og:url" content="{story.url}">
</head>
<body>
<div id="top" class="menu">{_nav(story)}</div>
<div id="page">
<div class="headline"><h1>{title}</h1></div>
{byline}
<div id="content" class="entry-content">
{body}
</div>
<div class="share-buttons"><a href="#">Mail</a> <a href="#">Print</a></div>
<div class="sidebar"><h4>{more}</h4><ul>
{_links(related)}
</ul></div>
<div id="comments" class="comments-area"><h4>{comments}</h4>
<div class="comment"><b>reader_77</b> <p>:-)</p></div>
<div class="comment"><b>m.k.</b> <p>...</p></div></div>
</div>
<div id="bottom">{story.outlet}</div>
</body>
</html>
"""


def _blog(story: Story, related: list[Story]) -> str:
    title, body, by = _escaped(story)
    return f"""<!DOCTYPE html>
<html lang="{story.language}"><head><meta charset="utf-8"><title>{title}</title></head>
<body class="single">
<ul class="nav">{_nav(story)}</ul>
<div class="post hentry">
<h2 class="entry-title">{title}</h2>
<p class="post-meta"><time class="published" datetime="{story.published}">{story.published}</time>
<span class="vcard"><a class="author" rel="author" href="/authors">{by}</a></span></p>
<div class="entry-content">
{body}
</div>
</div>
<ul class="related-posts">
{_links(related)}
</ul>
<div class="footer">{story.outlet}</div>
</body></html>
"""


def rss(feed: dict[str, Any], stories: dict[str, Story]) -> str:
    """The feed's document: the first entry with its whole text, the others as teasers."""
    items = []
    for place, name in enumerate(feed["entries"]):
        story = stories[name]
        assert story.published
        date = format_datetime(datetime.fromisoformat(story.published))
        body = "".join(f"<p>{html.escape(paragraph, quote=False)}</p>" for paragraph in story.paragraphs)
        whole = f"\n<content:encoded><![CDATA[{body}]]></content:encoded>" if place == 0 else ""
        items.append(
            f"<item>\n<title>{html.escape(story.title, quote=False)}</title>\n<link>{story.url}</link>\n"
            f'<guid isPermaLink="false">northwire-{name}</guid>\n<pubDate>{date}</pubDate>\n'
            f"<description>{html.escape(story.paragraphs[0], quote=False)}</description>{whole}\n</item>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/">\n<channel>\n'
        f"<title>{feed['title']}</title>\n<link>{feed['site']}</link>\n<description>{feed['title']}</description>\n"
        "<language>en</language>\n" + "\n".join(items) + "\n</channel>\n</rss>\n"
    )


# ------------------------------------------------------------------------------------------------------ archives


def lines(stories: list[Story]) -> bytes:
    """`stories.jsonl`."""
    rows = []
    for story in stories:
        if story.file != "lines":
            continue
        row: dict[str, Any] = {"id": story.guid, "url": story.url, "title": story.title}
        row |= {"html": page(story, [])} if story.as_html else {"text": story.text}
        row |= {"published": story.published, "first_seen": story.first_seen, "source": story.outlet}
        row |= {"language": story.language, "authors": list(story.authors)}
        rows.append(json.dumps({key: value for key, value in row.items() if value}, ensure_ascii=False))
    return ("\n".join(rows) + "\n").encode()


class Crawl:
    """A WARC file of a crawl, with ids and dates that depend on nothing but its content."""

    def __init__(self) -> None:
        self.out = io.BytesIO()
        self.writer = WARCWriter(self.out, gzip=True, warc_version="WARC/1.1")
        self.count = 0

    def warcinfo(self, captured: datetime) -> None:
        record = self.writer.create_warcinfo_record("stories.warc.gz", {"software": "make_seed_archive"})
        record.rec_headers.replace_header("WARC-Record-ID", self._id("warcinfo", b""))
        record.rec_headers.replace_header("WARC-Date", _stamp(captured))
        self.writer.write_record(record)

    def response(self, url: str, captured: datetime, media: str, body: bytes, status: str = "200 OK") -> str:
        """A response, after the request that brought it; gives back its record's id."""
        lines = [("Content-Type", media), ("Content-Length", str(len(body)))]
        parts = urlsplit(url)
        ask = f"GET {parts.path}{'?' if parts.query else ''}{parts.query} HTTP/1.1"
        asked = StatusAndHeaders(ask, [("Host", parts.netloc)], is_http_request=True)
        self._record(url, captured, "request", b"", asked)
        return self._record(url, captured, "response", body, StatusAndHeaders(status, lines, protocol="HTTP/1.1"))

    def revisit(self, url: str, captured: datetime, body: bytes, first: datetime) -> None:
        """The same bytes at the same address again."""
        digest = "sha1:" + b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()
        answer = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
        record = self.writer.create_revisit_record(
            url, digest=digest, refers_to_uri=url, refers_to_date=_stamp(first), http_headers=answer
        )
        record.rec_headers.replace_header("WARC-Record-ID", self._id(url, b"revisit"))
        record.rec_headers.replace_header("WARC-Date", _stamp(captured))
        self.writer.write_record(record)

    def metadata(self, url: str, captured: datetime, body: bytes) -> None:
        self._record(url, captured, "metadata", body, None, "application/warc-fields")

    def _record(
        self,
        url: str,
        captured: datetime,
        kind: str,
        body: bytes,
        answer: StatusAndHeaders | None,
        media: str = "",
    ) -> str:
        number = self._id(kind + url, body)
        headers = {"WARC-Record-ID": number, "WARC-Date": _stamp(captured)}
        record = self.writer.create_warc_record(
            url, kind, io.BytesIO(body), len(body), media, http_headers=answer, warc_headers_dict=headers
        )
        self.writer.write_record(record)
        return number

    def _id(self, name: str, body: bytes) -> str:
        self.count += 1
        digest = hashlib.sha256(f"{self.count}\0{name}\0".encode() + body).digest()
        return f"<urn:uuid:{UUID(bytes=digest[:16], version=4)}>"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def picture() -> bytes:
    """A PNG of one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\x80", 0)) + chunk(b"IEND", b"")
    )


def warc(stories: list[Story], feed: dict[str, Any]) -> bytes:
    """`stories.warc.gz`."""
    crawl = Crawl()
    pages = [story for story in stories if story.file == "pages"]
    media = "text/html; charset=utf-8"
    crawl.warcinfo(pages[0].captured)
    named = {story.name: story for story in stories}
    moment = datetime.fromisoformat(feed["captured"])
    crawl.response(feed["url"], moment, "application/rss+xml; charset=utf-8", rss(feed, named).encode())
    for story, related in _with_related(pages):
        assert story.url
        crawl.response(story.url, story.captured, media, page(story, related).encode())
    first, related = next(_with_related(pages))
    assert first.url
    body = page(first, related).encode()
    crawl.revisit(first.url, first.captured + timedelta(hours=1), body, first.captured)
    gone = b"<!DOCTYPE html><html><head><title>Not found</title></head><body><h1>Not found</h1></body></html>"
    crawl.response("https://northwire.example/2024/03/05/gone", moment, media, gone, "404 Not Found")
    crawl.response("https://northwire.example/pixel.png", moment, "image/png", picture())
    crawl.metadata(first.url, first.captured, b"fetchTimeMs: 212\r\n")
    return crawl.out.getvalue()


def _with_related(pages: list[Story]) -> Iterator[tuple[Story, list[Story]]]:
    """Each page with three others of its language that it links to, as far as there are."""
    for place, story in enumerate(pages):
        turned = pages[place + 1 :] + pages[:place]
        others = [other for other in turned if other.language == story.language and other.url != story.url]
        yield story, others[:3]


def build() -> dict[str, bytes]:
    """File name → bytes."""
    stories, feed = read()
    return {"stories.warc.gz": warc(stories, feed), "stories.jsonl": lines(stories)}


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, data in build().items():
        (TARGET / name).write_bytes(data)
        sys.stdout.write(f"{TARGET / name}: {len(data):,} bytes\n")


if __name__ == "__main__":
    main()
