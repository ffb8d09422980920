"""Why a request brought nothing: the closed list, and which answer means which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Literal

from ingest.models import Capture

Status = Literal["ok", "unchanged", "failed", "waiting"]

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "": "nothing is wrong: ok or unchanged",
        "bad-response": "what came is no HTTP, or contradicts itself, or its coding is damaged; a 304 nobody asked for",
        "bad-redirect": "the redirect names no http or https address, or leads in a circle",
        "bad-url": "the address is none of http or https",
        "blocked": "401, 403, 451, or a page that asks whether a human is there",
        "budget": "the time that the run had for its requests was over before this one's turn",
        "connect": "no connection to the host",
        "dns": "the name of the host has no address",
        "gone": "410",
        "not-found": "404",
        "private-address": "the name of the host leads to an address that is not public",
        "rate-limited": "429, or 503 with Retry-After; also all that was still to be asked of that host and port",
        "robots": "robots.txt forbids it, or could not be read though it is there (RFC 9309, 2.3.1.4)",
        "server-error": "500 to 599",
        "timeout": "the whole answer did not come within the deadline",
        "tls": "no connection that can be trusted: certificate, name or handshake",
        "too-large": "more bytes than allowed, on the wire or decoded, or a suspicious ratio of the two",
        "too-many-redirects": "more than five in a row",
        "truncated": "the answer broke off",
        "unexpected-status": "any other status than 200, 203, 304 and those above",
    }
)

LEAST_WAIT, LONGEST_WAIT = 60.0, 86_400.0  # seconds: what a Retry-After is clamped to


class Fault(Exception):
    """A request failed for `reason`, a name of REASONS; `detail` is a clause without secrets.

    `stale` says that nothing at all had come back yet, so that asking once more does no harm.
    """

    def __init__(self, reason: str, detail: str, *, stale: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.stale = stale


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means; `retry_after` in seconds, clamped."""

    status: Status
    reason: str = ""
    detail: str = ""
    retry_after: float | None = None


def judge(answer: Capture, *, conditional: bool) -> Verdict:
    """What an answer that is no redirect means; `conditional` says that a validator was sent with the request."""
    if answer.answers:
        if is_challenge(answer):
            return Verdict("failed", "blocked", "a page came that asks whether a human is there")
        return Verdict("ok")
    if answer.status == 304:
        if conditional:
            return Verdict("unchanged")
        return Verdict("failed", "bad-response", "304 came though nothing was asked conditionally")
    wait = retry_after(answer.header("retry-after"), answer.captured)
    reason = _reason(answer, wait)
    if reason == "rate-limited":
        wait = LEAST_WAIT if wait is None else wait
        return Verdict("failed", reason, f"{answer.status}, to be asked again in {wait:.0f} s", wait)
    return Verdict("failed", reason, f"the server answered {answer.status}", wait)


def _reason(answer: Capture, wait: float | None) -> str:
    status = answer.status
    if status in (401, 403, 451) or is_challenge(answer):
        return "blocked"
    if status == 429 or (status == 503 and wait is not None):
        return "rate-limited"
    if 500 <= status <= 599:
        return "server-error"
    return {404: "not-found", 410: "gone"}.get(status, "unexpected-status")


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait, from 60 to a day, whatever the header says; None where there is none. Garbage counts as 0."""
    if value is None:
        return None
    return min(max(_seconds(value.strip()[:100], now), LEAST_WAIT), LONGEST_WAIT)


def _seconds(value: str, now: datetime) -> float:
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()


_HEAD = 16 * 1024  # bytes: where titles and scripts of challenge pages stand
_SMALL = 100 * 1024  # bytes: interstitials are small; a whole article that loads such a script is an article
_TITLES = re.compile(
    rb"<title[^>]*>\s*(?:attention required!? *\||access to this page has been denied"
    rb"|pardon our interruption|are you (?:a )?(?:human|robot)|ddos-guard"
    rb"|verify(?:ing)? (?:that )?you are (?:a )?human|you have been blocked"
    rb"|checking your browser|please verify you are"
    # Words of headlines too ("Access denied to convoy"): they are a guard's where the title ends behind them, or a
    # site's name follows.
    rb"|(?:just a moment|access denied|(?:robot|security) check|(?:re)?captcha|(?:bot|human) verification)"
    rb"(?: (?:required|needed|page))?(?:[.!?]|\xe2\x80\xa6)*\s*(?:[<|&-]|\xe2\x80[\x93\x94]))",
    re.IGNORECASE,
)
# Scripts that stand only on interstitials of their vendors (DataDome, Imperva, HUMAN, SiteGround, Cloudflare, AWS).
_SCRIPTS = re.compile(
    rb"captcha-delivery\.com/|/_Incapsula_Resource\?|id=[\"']px-captcha[\"']|/\.well-known/sgcaptcha/"
    rb"|window\._cf_chl_opt|AwsWafIntegration\.|challenge-platform/h/[a-z]/orchestrate/",
)

_FIRST = re.compile(rb"<([a-z][\w:.-]*)", re.IGNORECASE)  # the first element
_FEEDS = frozenset({b"rss", b"feed", b"rdf:rdf", b"channel"})


def is_challenge(answer: Capture) -> bool:
    """Whether this is the page of a guard in front of the site instead of an answer of the site."""
    head = answer.body[:_HEAD]
    root = _FIRST.search(head)
    if head.lstrip().startswith(b"{") or (root is not None and root[1].lower() in _FEEDS):
        return False  # a feed, whatever its stories are called
    if (answer.header("cf-mitigated") or "").lower() == "challenge" or answer.header("x-amzn-waf-action"):
        return True
    if len(answer.body) > _SMALL or "html" not in (answer.header("content-type") or "html").lower():
        return False
    return bool(_TITLES.search(head) or _SCRIPTS.search(head))
