"""Stories to test with, in our own words: say what matters, the rest is made up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ingest.models import Content, Evidence, Fingerprint, Status, Story, Tags, TextFrom, Version

NOON = datetime(2022, 5, 24, 12, 0, tzinfo=UTC)

TEXT = (
    "Three convoys with grain and medicine reached the river port on Tuesday, the regional governor said.\n\n"
    "The U.S. embassy announced 78,000 food parcels for families who fled the shelling. "
    "Troops were deployed along the northern road, and residents heard artillery until dawn."
)


def moment(hours: float = 0) -> datetime:
    """So many hours after noon of the day on which all test stories happen."""
    return NOON + timedelta(hours=hours)


def content(name: str = "story", **changes: Any) -> Content:
    """What one capture says: an address made of `name`, our sample text, no tags."""
    fields: dict[str, Any] = {
        "id": f"id-{name}",
        "keys": (f"news.example/{name}",),
        "guid": f"tag:news.example,{name}",
        "url": f"https://news.example/{name}",
        "canonical_url": None,
        "source": "news.example",
        "feed": "https://news.example/feed",
        "title": "Grain reaches the river port",
        "text": TEXT,
        "language": "en",
        "authors": ("Ada Marsh", "Ян Ковальчук"),
        "published": "2022-05-24T15:00:00+03:00",
        "published_from": "feed",
        "first_seen": moment(1),
        "captured": moment(1),
        "text_from": TextFrom.PAGE,
        "tags": Tags(),
        "cleaner": "1",
        "rules_version": "1",
        **changes,
    }
    fields.setdefault("digest", hashlib.sha256(repr((fields["title"], fields["text"])).encode()).hexdigest()[:32])
    return Content(**fields)


def tags(*topics: str, main: Sequence[str] = ()) -> Tags:
    """These topics, each proved by the same sentence of the sample text."""
    sentence = TEXT.split("\n\n")[0]
    proof = [Evidence(topic, f"{topic}-1", "text", 0, len(sentence), sentence, ((0, 5), (6, 13))) for topic in topics]
    if proof:
        proof.append(Evidence(topics[0], "not", "title", 0, 5, "Grain", (), Status(list(Status)[-1])))
    return Tags(topics, tuple(main), tuple(proof))


def story(name: str = "story", **changes: Any) -> Story:
    """A story of one version. `changes` go to the story where it has such a field, else to its content; fields that
    both have (published …) go to both. `versions` is taken as it is."""
    both = {"published", "published_from", "first_seen"}
    own = {key: value for key, value in changes.items() if key in Story.__dataclass_fields__}
    told = content(name, **{key: value for key, value in changes.items() if key not in own or key in both})
    fields: dict[str, Any] = {
        "id": told.id,
        "versions": (Version(told, told.captured, told.captured + timedelta(minutes=5)),),
        "feeds": (told.feed,) if told.feed else (),
        "first_seen": told.first_seen,
        "indexed": moment(2),
        "published": told.published,
        "published_from": told.published_from,
        "cluster": told.id,
        **own,
    }
    return Story(**fields)


def fingerprint(*numbers: str, seed: int = 0, size: int = 100) -> Fingerprint:
    """A sample of `size` hashes, the same for the same `seed`."""
    hashes = np.random.default_rng(seed).integers(0, 2**64, size, dtype=np.uint64, endpoint=False)
    return Fingerprint(np.unique(hashes), numbers)
