"""Feeds: OPML ↔ Feed, which of them are due, what a poll teaches, and where on a page feeds are named.

Decides and touches nothing: bytes, states and the time come in, values go out. The polling of one feed:

    due(feeds, states, now) → fetched and parsed by others → Poll → after(feed, state, poll, now) → Learned
"""

from ingest.feeds.opml import NAMESPACE, NO_PASSWORDS, OpmlFile, read_opml, same, write_opml
from ingest.feeds.places import candidates
from ingest.feeds.polling import Learned, Poll, after, due, entry_digest, entry_key, max_age

__all__ = [
    "NAMESPACE",
    "NO_PASSWORDS",
    "Learned",
    "OpmlFile",
    "Poll",
    "after",
    "candidates",
    "due",
    "entry_digest",
    "entry_key",
    "max_age",
    "read_opml",
    "same",
    "write_opml",
]
