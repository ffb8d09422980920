"""Addresses of one story are equal, addresses of two are not; nothing raises."""

import base64
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest import addresses

SAME = [
    "https://www.example.org/world/convoy-reaches-town",
    "http://example.org/world/convoy-reaches-town",
    "HTTPS://EXAMPLE.ORG:443/world/convoy-reaches-town/",
    "http://www.example.org:80/world/convoy-reaches-town#comments",
    "https://m.example.org/world/convoy-reaches-town",
    "https://mobile.example.org/world/convoy-reaches-town?",
    "https://amp.example.org/world/convoy-reaches-town",
    "https://example.org./world/convoy-reaches-town/amp",
    "https://example.org/world/convoy-reaches-town/amp/",
    "https://example.org/amp/world/convoy-reaches-town",
    "https://example.org/world/convoy-reaches-town?amp",
    "https://example.org/world/convoy-reaches-town?amp=1",
    "https://example.org/world/convoy-reaches-town?outputType=amp",
    "https://example.org/world/convoy-reaches-town?utm_source=rss&utm_medium=feed&utm_campaign=x",
    "https://example.org/world/convoy-reaches-town?fbclid=a&gclid=b&at_medium=RSS&at_campaign=KARANGA&cmpid=c",
    "https://example.org/world/convoy-reaches-town?ns_mchannel=rss&ns_source=y&mc_cid=1&mc_eid=2&xtor=RSS-1&maca=en-rss",
    "https://example.org/world/convoy-reaches-town?ref=rss&from=rss&partner=rss&CMP=twt_gu",
    "https://example.org/world/./x/../convoy%2Dreaches%2dtown",
    "https://reader:secret@example.org/world/convoy-reaches-town;jsessionid=12AB",
    "https://www.google.com/amp/s/example.org/world/convoy-reaches-town/amp/",
    "https://example-org.cdn.ampproject.org/c/s/example.org/world/convoy-reaches-town?usqp=mq331AQ",
    "https://www.google.com/url?rct=j&sa=t&url=https://example.org/world/convoy-reaches-town&ct=ga&cd=CAE&usg=AOv",
    "//example.org/world/convoy-reaches-town",
    "example.org/world/convoy-reaches-town",
]

DIFFERENT = [
    "https://example.org/",
    "https://example.org/story",
    "https://example.org/Story",
    "https://example.org//story",
    "https://example.org/story.html",
    "https://example.org/story?id=1",
    "https://example.org/story?id=2",
    "https://example.org/story?p=2",
    "https://example.org/story?cid=77",
    "https://example.org/story?source=3",
    "https://example.org/story?ref=4711",
    "https://example.org/story?20221123",
    "https://example.org/#!story",
    "https://example.org/#!story2",
    "https://example.org:8443/story",
    "https://world.example.org/story",
    "https://example.net/story",
    "https://a.github.io/story",
    "https://b.github.io/story",
    "https://example.org/a%2Fb",
    "https://example.org/a/b",
    "https://example.org/ampere",
    "https://example.org/amp-and-volt",
    "https://example.co.uk/story",
    "https://m.uk/story",
]


@pytest.mark.parametrize("url", SAME)
def test_variants_of_an_address_have_one_key(url: str) -> None:
    assert addresses.key(url) == "example.org/world/convoy-reaches-town"


def test_different_addresses_have_different_keys() -> None:
    keys = [addresses.key(url) for url in DIFFERENT]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://bücher.example/ä?q=ö", "http://XN--BCHER-KVA.example/%C3%A4?q=%c3%b6"),
        ("http://例え.jp/記事", "http://xn--r8jz45g.jp/%E8%A8%98%E4%BA%8B"),
        ("https://example.org/s?b=2&a=1&a=1", "https://example.org/s?a=1&b=2&"),
        ("https://example.org/s?q=a+b", "https://example.org/s?q=a%20b"),
        ("https://example.org/s?a=", "https://example.org/s?a"),
        ("https://en.m.example.org/wiki", "https://en.example.org/wiki"),
        ("https://example.org/s.amp.html", "https://example.org/s.html"),
        ("https://example.org/%zz", "https://example.org/%25zz"),
        ("http://[::1]/x", "https://[0:0::1]:443/x/"),
    ],
)
def test_equal_pairs(one: str, other: str) -> None:
    assert addresses.key(one) == addresses.key(other)


anything = st.text(alphabet=st.characters(codec=None, categories=None), max_size=80)
pieces = st.sampled_from(
    [
        *(
            "http://",
            "https://",
            "ftp://",
            "//",
            "/",
            "?",
            "#",
            "#!",
            "!",
            "&",
            "=",
            "%",
            "%2",
            "%25",
            "%34",
            "41",
            ":",
            "@",
            "[",
            "]",
        ),
        *(
            "\\",
            ".",
            "..",
            "/./",
            "/../",
            ";jsessionid=",
            "+",
            " ",
            "\t",
            "\x00",
            "\ud800",
            "\u202e",
            "ｅxample．org",
            "ß",
            "İ",
        ),
        *("www.", "m.", "amp.", "amp", "/amp/", ".amp.html", "example.org", "google.com/amp/s/", "google.com/url?url="),
        *("cdn.ampproject.org/c/s/", "utm_a=b", "outputType=amp", "443", "80", "8080", "localhost", "127.0.0.1", "::1"),
        *(
            "news.google.com/rss/articles/",
            "rd.yahoo.com/x/*",
            "urldefense.com/v3/__https://",
            "__;",
            "co.uk",
            "javascript:",
        ),
    ]
)
assembled = st.lists(pieces | anything, max_size=12).map("".join)


@given(assembled)
@example("http://%%341/")
@example("http://a/%%341")
@example("example.org:8080/x?u=http://b")
@example("http://google.com/url?url=" * 30 + "http://example.org")
def test_key_is_idempotent_and_never_raises(url: str) -> None:
    once = addresses.key(url)
    assert addresses.key(once) == once


@given(assembled, assembled)
def test_nothing_raises_and_what_comes_out_is_an_address(url: str, base: str) -> None:
    addresses.site(url)
    addresses.unwrap(url)
    assert addresses.redact(url).isprintable()
    for found in (addresses.absolute(url), addresses.absolute(url, base)):
        if found is not None:
            assert found.startswith(("http://", "https://"))
            assert found.isascii()
            assert " " not in found
            assert len(found) <= addresses.LONGEST
            assert addresses.absolute(found) == found
            assert addresses.site(found)


@pytest.mark.parametrize(
    ("href", "base", "url"),
    [
        ("https://example.org/a b", None, "https://example.org/a%20b"),
        ("  https://example.org/a\n/b\t ", None, "https://example.org/a/b"),
        ("/world/1", "https://example.org/feed.xml", "https://example.org/world/1"),
        ("../1?x=%2f", "https://example.org/a/b/c", "https://example.org/a/1?x=%2f"),
        ("//cdn.example.org/x", "http://example.org/", "http://cdn.example.org/x"),
        ("//example.org/x", None, "https://example.org/x"),
        ("www.example.org/x", "https://other.example/", "http://www.example.org/x"),
        ("http:/example.org/x", None, "http://example.org/x"),
        ("http:\\\\example.org\\x?a=\\", None, "http://example.org/x?a=%5C"),
        ("https://me:secret@Example.ORG:8443/x", None, "https://example.org:8443/x"),
        ("https://bücher.example/ä", None, "https://xn--bcher-kva.example/%C3%A4"),
        ("feed://example.org/rss", None, "http://example.org/rss"),
        ("feed:https://example.org/rss", None, "https://example.org/rss"),
        ("https://example.org/\u202egnp.exe", None, "https://example.org/%E2%80%AEgnp.exe"),
        ("http://[::1]:8080/x", None, "http://[::1]:8080/x"),
        ("javascript:alert(1)", "https://example.org/", None),
        ("java\nscript:alert(1)", "https://example.org/", None),
        ("data:text/html,x", None, None),
        ("file:///etc/passwd", "https://example.org/", None),
        ("ftp://example.org/x", None, None),
        ("mailto:a@example.org", "https://example.org/", None),
        ("/no/base", None, None),
        ("http://[::1", None, None),
        ("http://example.org:99999/", None, None),
        ("http://exa mple.org/", None, None),
        ("http:///path", None, "http://path"),
        ("", None, None),
        ("https://example.org/" + "x" * 2100, None, None),
    ],
)
def test_absolute(href: str, base: str | None, url: str | None) -> None:
    assert addresses.absolute(href, base) == url


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.bbc.co.uk/news", "bbc.co.uk"),
        ("https://news.example.org:8080/", "example.org"),
        ("https://someone.github.io/x", "someone.github.io"),
        ("https://www.paper.example/x", "paper.example"),
        ("http://127.0.0.1:8765/x", "127.0.0.1:8765"),
        ("http://[::1]:8765/x", "[::1]:8765"),
        ("http://localhost:99/x", "localhost:99"),
        ("http://localhost/", "localhost"),
        ("https://пример.рф/", "xn--e1afmkfd.xn--p1ai"),
        ("mailto:x", None),
        ("", None),
        (None, None),
        ("http://[", None),
    ],
)
def test_site(url: str | None, site: str | None) -> None:
    assert addresses.site(url) == site


def google_news(target: str) -> str:
    length = len(target)
    size = bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
    message = b'\x08\x13"' + size + target.encode() + b"\xd2\x01\x00"
    return "https://news.google.com/rss/articles/" + base64.urlsafe_b64encode(message).decode().rstrip("=") + "?oc=5"


TARGET = "https://example.org/world/a-story?id=7"


@pytest.mark.parametrize(
    "wrapped",
    [
        "https://www.google.com/url?rct=j&sa=t&url=https://example.org/world/a-story%3Fid%3D7&ct=ga",
        "https://www.google.co.uk/url?q=https%3A%2F%2Fexample.org%2Fworld%2Fa-story%3Fid%3D7&sa=U",
        "http://news.google.com/news/url?sa=t&fd=R&url=https://example.org/world/a-story%3Fid%3D7",
        "https://www.bing.com/news/apiclick.aspx?ref=FexRss&aid=&url=https%3a%2f%2fexample.org%2fworld%2fa-story%3fid%3d7&c=1",
        "https://l.facebook.com/l.php?u=https%3A%2F%2Fexample.org%2Fworld%2Fa-story%3Fid%3D7&h=AT0",
        "https://duckduckgo.com/l/?uddg=https%3A%2F%2Fexample.org%2Fworld%2Fa-story%3Fid%3D7",
        "http://us.rd.yahoo.com/dailynews/rss/world/*https%3A//example.org/world/a-story?id=7",
        "https://r.search.yahoo.com/_ylt=Aw/RV=2/RE=1/RO=10/RU=https%3a%2f%2fexample.org%2fworld%2fa-story%3fid%3d7/RK=2/RS=x",
        "https://urldefense.com/v3/__https://example.org/world/a-story?id=7__;!!abc$",
        "https://www.google.com/amp/s/example.org/world/a-story?id=7",
        "https://www.google.com/url?url=https%3A%2F%2Fduckduckgo.com%2Fl%2F%3Fuddg%3Dhttps%253A%252F%252Fexample.org%252Fworld%252Fa-story%253Fid%253D7",
        google_news(TARGET),
    ],
)
def test_unwrap(wrapped: str) -> None:
    assert addresses.unwrap(wrapped) == TARGET


@pytest.mark.parametrize("length", [100, 127, 128, 200, 300])
def test_unwrap_of_google_news_reads_the_length(length: int) -> None:
    target = "https://example.org/" + "x" * (length - 20)
    assert addresses.unwrap(google_news(target)) == target


@pytest.mark.parametrize(
    "url",
    [
        TARGET,
        "https://example.org/url?url=https://other.example/",
        "https://www.google.com/url?q=javascript:alert(1)",
        "https://www.google.com/search?q=https://example.org/",
        "https://news.google.com/rss/articles/CBMiUkFVX3lxTE1fYWJjZGVmZ2hpamtsbW5vcA",
    ],
)
def test_unwrap_leaves_the_rest(url: str) -> None:
    assert addresses.unwrap(url) == url


def test_redact() -> None:
    shown = addresses.redact("https://me:secret@example.org:8443/feed?key=TOKEN&x#frag")
    assert shown == "https://example.org:8443/feed?key=*&x=*"
    assert "\n" not in addresses.redact("https://example.org/a\nINFO forged")
    assert addresses.redact("http://[") == "(unreadable address)"


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("https://git.example/feed.atom?token=abc123&tag=x", ["token"]),
        ("https://git.example/feed.atom?feed_token=abc&private_token=def", ["feed_token", "private_token"]),
        ("https://a.example/rss?key=AIza&auth=u&n=5", ["key", "auth"]),
        ("https://a.example/rss?apiKey=1;access-key=2;API_KEY=3", ["apiKey", "access-key", "API_KEY"]),
        ("https://a.example/rss?os_username=me&os_password=hunter2", ["os_password"]),
        (
            "https://s3.example/x?X-Amz-Credential=c&X-Amz-Signature=s&X-Amz-Date=d",
            ["X-Amz-Credential", "X-Amz-Signature"],
        ),
        ("https://a.example/rss?%74oken=abc#access_token=def", ["%74oken", "access_token"]),
        ("https://a.example/rss?secret=a?b=c", ["secret"]),
    ],
)
def test_what_lets_somebody_in_is_not_shown(url: str, names: list[str]) -> None:
    shown = addresses.shown(url)
    assert re.findall(r"[?&;#]([^=?&;#]+)=\*[0-9a-f]{4}(?=[&;#]|$)", shown) == names
    assert addresses.shown(shown) == shown
    rest = re.compile(rf"(?<=[?&;#])({'|'.join(map(re.escape, names))})=[^&;#]*")
    assert rest.sub("", shown) == rest.sub("", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/feed",
        "https://a.example/feed?feed=rss2&cat=4&tag=auth&page=2",
        "https://a.example/feed?keyword=key&keywords=token&author=Ada&assign=1&passage=2&sequence=5",
        "https://alerts.example/feeds/1234/5678",
        "https://a.example/?token=&key",
        "https://a.example/token=5/x",
        "mailto:me@example.org",
        "",
    ],
)
def test_what_lets_nobody_in_is_shown_as_it_is(url: str) -> None:
    assert addresses.shown(url) == url


def test_shown_addresses_tell_two_feeds_apart_and_hold_no_password() -> None:
    one, other = (addresses.shown(f"https://a.example/rss?key={value}") for value in ("first", "second"))
    assert one != other
    assert (
        addresses.shown("https://me:hunter2@a.example:8443/f?x=me@b.example")
        == "https://a.example:8443/f?x=me@b.example"
    )
    assert addresses.shown("//me@a.example/f") == "//a.example/f"
    assert not addresses.has_password("https://a.example/@me?x=y@z")
    for url in (
        "https://me@a.example",
        "feed:https://me:pw@a.example/f",
        "me:pw@a.example/f",
        "https:\\\\me:p@a.example",
    ):
        assert addresses.has_password(url)


@pytest.mark.parametrize(
    "call", [addresses.shown, addresses.key, addresses.site, addresses.unwrap, addresses.redact, addresses.absolute]
)
def test_long_strings_cost_little(call: Callable[[str], object]) -> None:
    began = time.process_time()
    for unit in ("/amp", "%", "https://google.com/url?url=", "/..", "&utm_a=1", "www.", "["):
        call("http://example.org/" + unit * 100_000)
    assert time.process_time() - began < 10
