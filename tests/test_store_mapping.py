"""What Elasticsearch is told of fields belongs to a version: an index that stands keeps the mapping that it was made
with, so a change that is not a new version is refused by the first document of the new kind, in front of a user."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from ingest.store.elastic import layout as definitions
from ingest.store.elastic.layout import Layout

# Version → kind → digest of its mapping and analysis. One that was released is never changed.
DIGESTS: dict[int, dict[str, str]] = {
    1: {
        "feeds": "9ed377a40994",
        "states": "eccbfdafc03f",
        "wanted": "26a08ab6c931",
        "aliases": "e0b3675970d4",
        "links": "20e98f64c371",
        "bookings": "76347c8ff314",
        "closed": "3dc6f2433c94",
        "runs": "13862ab58afe",
        "quarantine": "7350fd59baf1",
        "control": "f5d0dfce5d8b",
        "stories": "c094b6b85f4d",
        "prints": "01b3db01d385",
        "revisions": "5bbfb59c60a7",
    },
    2: {
        "feeds": "086d8f6cc374",
        "states": "25f31c9c4e04",
        "wanted": "112e6c68942b",
        "aliases": "cf2cadfc5ec6",
        "links": "f678e8509841",
        "bookings": "29f4bde59d4d",
        "closed": "e54f3034410a",
        "runs": "bc9b3ea1a145",
        "quarantine": "c6a6a8a04b06",
        "control": "646e6ae093fb",
        "stories": "b65335eaf612",
        "prints": "31487a11cd16",
        "revisions": "1519686a8974",
    },
}


def digests(layout: Layout) -> dict[str, str]:
    """What cannot be changed of an index that stands, by kind; its other settings can, and `setup` brings them."""
    components = layout.components()
    told: dict[str, Any] = {kind: layout.small_index(kind) for kind in definitions.SMALL}
    for kind in definitions.MONTHLY:
        told[kind] = components[f"{layout.prefix}{kind}-{layout.label}-mappings"]["template"]
    fixed = {
        kind: [one["mappings"], one["settings"].get("analysis"), one["settings"].get("sort.field")]
        for kind, one in told.items()
    }
    return {
        kind: hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:12] for kind, one in fixed.items()
    }


def refused(found: dict[str, str], version: int) -> str:
    """Why these mappings cannot be released as this version, and what to do; empty where they can."""
    pinned = DIGESTS.get(version)
    if pinned == found:
        return ""
    add = f"    {version if pinned is None else version + 1}: {json.dumps(found)},"
    if pinned is None:
        return f"Version {version} is new: note its digests here, in DIGESTS:\n{add}"
    changed = sorted(kind for kind in found.keys() | pinned.keys() if found.get(kind) != pinned.get(kind))
    return (
        f"The mapping of {', '.join(changed)} is no longer that of version {version}, and indices that stand keep it. "
        f"Raise VERSION in ingest/store/elastic/layout.py to {version + 1}, see that `documents.remade` makes new "
        f"documents of old ones (`sitrep store migrate`), say so in CHANGELOG, and note here, in DIGESTS:\n{add}"
    )


def test_a_mapping_does_not_change_within_a_version() -> None:
    told = refused(digests(Layout()), definitions.VERSION)
    assert not told, told


def test_settings_and_names_are_no_part_of_it() -> None:
    assert digests(Layout("here-", shards=3, replicas=2, generation=4)) == digests(Layout())


@pytest.mark.parametrize("kind", ["stories", "revisions", "runs"])
def test_what_is_changed_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    kinds: dict[str, Any] = definitions.MONTHLY if kind in definitions.MONTHLY else definitions._SMALL
    monkeypatch.setitem(kinds, kind, {**kinds[kind], "mood": {"type": "keyword"}})
    told = refused(digests(Layout()), definitions.VERSION)
    assert f"The mapping of {kind} is" in told
    assert f"Raise VERSION in ingest/store/elastic/layout.py to {definitions.VERSION + 1}" in told
    found = digests(replace(Layout(), version=definitions.VERSION + 1))
    assert "is new: note its digests" in refused(found, definitions.VERSION + 1)
