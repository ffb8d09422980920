"""What the robots.txt of an origin lets us fetch (RFC 9309), read by protego as Google reads it."""

from __future__ import annotations

from dataclasses import dataclass

from protego import Protego

from ingest.models import Capture

NAME = "sitrep"  # the product token that a robots.txt may address
LONGEST_DELAY = 30.0  # seconds: more than this is taken for a mistake or for a no that was not written as one


@dataclass(frozen=True, slots=True)
class Rules:
    """`forbidden` names why nothing at all may be fetched; empty: `parsed` decides (None: everything may be)."""

    parsed: Protego | None = None
    forbidden: str = ""
    delay: float = 0.0

    def refusal(self, url: str) -> str:
        """Why this address may not be fetched; empty if it may."""
        if self.forbidden:
            return self.forbidden
        if self.parsed is not None and not self.parsed.can_fetch(url, NAME):
            return "its robots.txt forbids it"
        return ""


def rules(answer: Capture | None, reason: str) -> Rules:
    """From the last answer to the request for robots.txt (None: there was none, for `reason`).

    200: as it says. 4xx, or redirects that lead nowhere: everything may be fetched (2.3.1.2, 2.3.1.3). A server error
    or no answer: nothing may be (2.3.1.4).
    """
    if reason in ("bad-redirect", "too-many-redirects") or (answer is not None and 400 <= answer.status < 500):
        return Rules()
    if answer is None or not 200 <= answer.status < 300:
        return Rules(forbidden=f"its robots.txt could not be read ({reason})")
    parsed = Protego.parse(answer.body.decode("utf-8-sig", "replace"))
    delay = parsed.crawl_delay(NAME)
    return Rules(parsed, delay=min(max(delay or 0.0, 0.0), LONGEST_DELAY))
