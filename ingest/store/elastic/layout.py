"""What stands in Elasticsearch: indices, templates, mappings.

Stories lie in an index a month (a year before 2015), `stories-v2-2022.05`, behind the alias `stories`; the month is
that of the story's instant when it was first put there, and never changes, because an id is unique within one index
alone. Fingerprints and older versions lie beside them, `prints-v2-2022.05`, `revisions-v2-2022.05`; everything else in
one small index a kind, `sitrep-v2-links`. What people look at has an alias. All mappings are strict. Which of several
layouts that stand side by side is the store, an alias on its control index says: `sitrep` (standing.py). A rebuilt
store is the next generation of the same version: `stories-v2.2-2022.05`.

Texts stand there twice. `title` and `text` are for people and Kibana: words by UAX #29, lower case, accents folded,
Porter's stems of what is plain ASCII, so that English words meet their forms and other scripts stay as they are.
`words` are the terms of our own making (terms.py), split at blanks alone: what `sitrep search` asks, the same words as
on every other store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingest.models import Outcome

VERSION = 2
# What a layout that stands on the cluster is for: the store, what will be it, what was it.
CURRENT, NEXT, PREVIOUS = "", "next", "previous"
MONTHS_FROM = 2015  # an archive of decades must stay far below a node's 1,000 shards

# Lucene's longest term has 32,766 bytes; a character has at most four.
_LONGEST = 8191


def _keyword(**more: Any) -> dict[str, Any]:
    return {"type": "keyword", "ignore_above": _LONGEST, **more}


# Kept and given back, but neither searched nor counted.
_KEPT = {"type": "keyword", "index": False, "doc_values": False}
_BINARY = {"type": "binary"}
_DATE = {"type": "date", "format": "strict_date_optional_time"}
_LONG = {"type": "long"}
_INTEGER = {"type": "integer"}
_BOOLEAN = {"type": "boolean"}
_TEXT = {"type": "text", "analyzer": "readable", "index_options": "offsets"}
_TERMS = {"type": "text", "analyzer": "whitespace"}

_ANALYSIS = {
    "filter": {
        "possessive": {"type": "stemmer", "language": "possessive_english"},
        "stems": {"type": "porter_stem"},
    },
    "analyzer": {
        "readable": {
            "type": "custom",
            "tokenizer": "standard",
            "filter": ["lowercase", "possessive", "asciifolding", "stems"],
        }
    },
}

_EVIDENCE = {
    "type": "nested",
    "properties": {
        "topic": _keyword(),
        "rule": _keyword(),
        "field": _keyword(),
        "start": _INTEGER,
        "end": _INTEGER,
        "sentence": {"type": "text", "analyzer": "readable"},
        "words": {"type": "integer", "index": False, "doc_values": False},
        "status": _keyword(),
    },
}

_STORY = {
    "id": _keyword(),
    "instant": _LONG,  # seconds since 1970: of publication, else first seen
    "day": _keyword(),  # of publication, in UTC; none where nobody said
    "dated": _BOOLEAN,
    "published": _DATE,
    "published_from": _keyword(),
    "first_seen": _DATE,
    "indexed": _DATE,
    "delay_s": _LONG,  # from published to indexed, of what a feed brought and dated to the minute
    "source": _keyword(),
    "feed": _keyword(),
    "feeds": _keyword(),
    "url": _keyword(),
    "canonical_url": _keyword(),
    "guid": _keyword(),
    "title": {**_TEXT, "fields": {"exact": _keyword()}},
    "text": _TEXT,
    "language": _keyword(),
    "authors": _keyword(),
    "text_from": _keyword(),
    "page_kind": _keyword(),  # "article", "live_blog", "gallery", "index"; none where no page gave the text
    "partial": _BOOLEAN,  # the beginning of a story whose rest must be paid for
    "topics": _keyword(),
    "main_topics": _keyword(),
    "evidence": _EVIDENCE,
    "evidence_rules": _keyword(),  # Kibana's Lens cannot group by what is nested
    "evidence_statuses": _keyword(),
    "cluster": _keyword(),
    "lead": _BOOLEAN,
    "rewritten_from": _keyword(),
    "revision": _INTEGER,
    "rules_version": _keyword(),
    "content": _KEPT,  # what else the current text's capture said, as JSON
    "older": _BINARY,  # the versions before it, as JSON, packed with Zstandard
    "words": {"properties": {"title": _TERMS, "text": _TERMS, "forms": _TERMS}},
}
# An older version of a story. `instant` is the story's, as in what lies beside it; `first` and `last` are the captures
# that showed this version.
_REVISION = {
    "story": _keyword(),
    "revision": _INTEGER,
    "instant": _LONG,
    "published": _DATE,
    "first": _DATE,
    "last": _DATE,
    "source": _keyword(),
    "feed": _keyword(),
    "url": _keyword(),
    "title": _TEXT,
    "text": _TEXT,
    "language": _keyword(),
    "text_from": _keyword(),
    "topics": _keyword(),
    "main_topics": _keyword(),
    "rules_version": _keyword(),
}
_PRINT = {"id": _keyword(), "instant": _LONG, "numbers": _KEPT, "shingles": _BINARY}

_SMALL: dict[str, dict[str, Any]] = {
    "feeds": {"url": _keyword(), "title": _keyword(), "group": _keyword(), "paused": _BOOLEAN, "doc": _KEPT},
    "states": {
        "url": _keyword(),
        "status": _keyword(),
        "reason": _keyword(),
        "failures": _INTEGER,
        "polled": _DATE,
        "due": _DATE,
        "whole": _DATE,
        "doc": _KEPT,
    },
    "wanted": {"url": _keyword(), "feed": _keyword(), "since": _LONG, "doc": _KEPT},
    "aliases": {"key": _keyword(), "story": _keyword()},
    "links": {
        "a": _keyword(),
        "b": _keyword(),
        "share": {"type": "double"},
        "hours": {"type": "double"},
        "numbers": _KEPT,
        "kinship": _keyword(),
    },
    "bookings": {
        "file": _keyword(),
        "version": _keyword(),
        "run": _keyword(),
        "done": _INTEGER,
        "complete": _BOOLEAN,
        "outcomes": {"type": "flattened"},  # summed over feeds
        "counts": _KEPT,
        "reasons": _KEPT,
    },
    # tombstones: closed months (no story), and the stories that were removed for them
    "closed": {"month": _keyword(), "story": _keyword()},
    # what stands in files, for Kibana: see mirror.py
    "runs": {
        "level": _keyword(),
        "run": _keyword(),
        "kind": _keyword(),
        "started": _DATE,
        "ended": _DATE,
        "took_s": {"type": "double"},
        "entries": _LONG,
        "new_stories": _LONG,
        "outcomes": {"properties": {str(outcome): _LONG for outcome in Outcome}},
        "notes": _keyword(),
        "feed": _keyword(),
        "title": _keyword(),
        "status": _keyword(),
        "reason": _keyword(),
        "detail": _keyword(),
        "count": _LONG,
        "gap": _BOOLEAN,
        "truncated": _BOOLEAN,
        "last_new": _DATE,
        "silent_s": _LONG,
    },
    "quarantine": {
        "id": _keyword(),
        "reason": _keyword(),
        "detail": _TEXT,
        "where": _keyword(),
        "kind": _keyword(),
        "feed": _keyword(),
        "url": _keyword(),
        "source": _keyword(),
        "run": _keyword(),
        "captured": _DATE,
        "size": _LONG,
    },
    # the lease, what is being written (see writing.py), and which layout this is
    "control": {
        "holder": _keyword(),
        "token": _LONG,
        "renewed": {"type": "double"},
        "waiting": _KEPT,
        "pending": _KEPT,
        "piece": _BINARY,
        "layout": _keyword(),
    },
}
MONTHLY = {"stories": _STORY, "prints": _PRINT, "revisions": _REVISION}
SMALL = tuple(_SMALL)
DERIVED = ("aliases", "links", "bookings")  # of the small ones: follows from the files of stories
SHOWN = {"stories": "stories", "revisions": "revisions", "runs": "sitrep-runs", "quarantine": "sitrep-quarantine"}


@dataclass(frozen=True, slots=True)
class Layout:
    """The names and definitions of one store. `prefix` keeps several apart on one cluster; `shards` and `replicas` are
    those of each month (replicas None: one as soon as there is a second node). Of another `version` than this
    release's, only the names are right."""

    prefix: str = ""
    shards: int = 1
    replicas: int | None = None
    version: int = VERSION
    generation: int = 1

    @property
    def label(self) -> str:
        return f"v{self.version}" if self.generation == 1 else f"v{self.version}.{self.generation}"

    def month(self, kind: str, suffix: str) -> str:
        return f"{self.prefix}{kind}-{self.label}-{suffix}"

    def months(self, kind: str) -> str:
        """All of a kind, as a pattern."""
        return self.month(kind, "*")

    def small(self, kind: str) -> str:
        return f"{self.prefix}sitrep-{self.label}-{kind}"

    def suffix(self, index: str) -> str:
        return index.rpartition("-")[2]

    @property
    def alias(self) -> str:
        """What readers ask: every month of stories of the layout that is the store."""
        return self.aliases["stories"]

    @property
    def aliases(self) -> dict[str, str]:
        """What people look at → the name that they look at it by."""
        return {kind: f"{self.prefix}{alias}" for kind, alias in SHOWN.items()}

    def every(self, kind: str) -> str:
        """All indices of a kind, as a name or a pattern."""
        return self.months(kind) if kind in MONTHLY else self.small(kind)

    def template(self, kind: str) -> str:
        """The name of a kind's index template."""
        return f"{self.prefix}{kind}-{self.label}" if kind in MONTHLY else self.small(kind)

    def pointer(self, role: str = CURRENT) -> str:
        """The alias on the control index of the layout that has this role."""
        return f"{self.prefix}sitrep{f'-{role}' if role else ''}"

    def digest(self) -> str:
        """Changes when anything of the definitions does."""
        told = json.dumps([self.components(), self.templates()], sort_keys=True)
        return f"{self.label}:{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"

    def components(self) -> dict[str, Any]:
        """Component templates by name: what a month of each kind holds, and how it is kept."""
        settings = {
            "number_of_shards": self.shards,
            **({"auto_expand_replicas": "0-1"} if self.replicas is None else {"number_of_replicas": self.replicas}),
            "codec": "best_compression",  # 0.7 of the size, at no price that can be measured
            "refresh_interval": "30s",  # the publisher refreshes what it wrote itself
        }
        kept = {f"{self.prefix}sitrep-{self.label}-settings": {"settings": settings}}
        sort = {"sort.field": ["instant", "id"], "sort.order": ["asc", "asc"]}  # a window is read in this order
        analysis = {"analysis": _ANALYSIS}
        more: dict[str, Any] = {"stories": analysis, "prints": sort, "revisions": analysis}
        for kind, properties in MONTHLY.items():
            kept[f"{self.prefix}{kind}-{self.label}-mappings"] = {
                "settings": more[kind],
                "mappings": mapping(properties, self.version),
            }
        return {name: {"template": template, "_meta": {"by": "sitrep"}} for name, template in kept.items()}

    def templates(self, *, behind_alias: bool = True) -> dict[str, Any]:
        """Index templates by name. `behind_alias`: whether an index that is made stands behind its alias at once."""
        aliases: dict[str, Any] = {kind: {alias: {}} if behind_alias else {} for kind, alias in self.aliases.items()}
        monthly = {
            self.template(kind): {
                "index_patterns": [self.months(kind)],
                "priority": 200,
                "composed_of": [
                    f"{self.prefix}sitrep-{self.label}-settings",
                    f"{self.prefix}{kind}-{self.label}-mappings",
                ],
                "template": {"aliases": aliases.get(kind, {})},
                "_meta": {"by": "sitrep"},
            }
            for kind in MONTHLY
        }
        return monthly | {
            self.small(kind): {
                "index_patterns": [self.small(kind)],
                "priority": 200,
                "template": {**self.small_index(kind), "aliases": aliases[kind]},
                "_meta": {"by": "sitrep"},
            }
            for kind in SHOWN
            if kind in _SMALL
        }

    def small_index(self, kind: str) -> dict[str, Any]:
        """How a small index is made."""
        replicas = {"auto_expand_replicas": "0-1"} if self.replicas is None else {"number_of_replicas": self.replicas}
        analysis = {"analysis": _ANALYSIS} if kind == "quarantine" else {}
        return {
            "settings": {"number_of_shards": 1, **replicas, "refresh_interval": "30s", **analysis},
            "mappings": mapping(_SMALL[kind], self.version),
        }


def mapping(properties: Mapping[str, Any], version: int) -> dict[str, Any]:
    return {"dynamic": "strict", "_meta": {"schema": version}, "properties": dict(properties)}


def suffix(seconds: int) -> str:
    """The month of an instant, as it stands in an index's name; the year alone before 2015."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y.%m}" if moment.year >= MONTHS_FROM else f"{moment:%Y}"
