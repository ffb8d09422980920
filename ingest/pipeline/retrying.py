"""Quarantined items, handled again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ingest import dates
from ingest.errors import Missing, UsageError
from ingest.landing import DAMAGED
from ingest.models import Outcome, Quarantined, RunReport
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.runs import Run


def item(pipe: Pipe, identity: str) -> Quarantined:
    """Raises Missing where there is none of that id."""
    if identity not in pipe.landing.quarantined_ids():
        raise Missing("nothing of that id is quarantined", subject=identity, advice="See `sitrep quarantine list`.")
    return pipe.landing.quarantined_item(identity)


def to_json(found: Quarantined) -> dict[str, Any]:
    """The item as it may be shown, without its bytes."""
    record = {field.name: getattr(found, field.name) for field in fields(found) if field.name != "data"}
    meta = {name: value for name, value in found.meta.items() if name != "note"}  # it may hold a feed's real address
    return record | {"captured": dates.iso(found.captured), "meta": meta}


def retry(pipe: Pipe, run: Run, identities: Sequence[str]) -> RunReport:
    """Digest and publish these items again; what succeeds leaves the quarantine, what fails again stays.

    Raises Missing for what is not there, UsageError for what is damaged.
    """
    from ingest import archive
    from ingest.pipeline.batches import Job
    from ingest.pipeline.digesting import digest_items
    from ingest.pipeline.publishing import publish
    from ingest.pipeline.reporting import report

    parts: list[str] = []
    for identity in identities:
        found = item(pipe, identity)
        if found.kind == DAMAGED:
            raise UsageError(found.detail, subject=identity)
        if found.kind == "story":
            parts.append(_refused(pipe, found))
            continue
        trusted = bool(found.meta["trusted"])
        source = archive.Source(found.where, "retry", 0)
        job = Job(source, _prefix(found), dates.instant(found.meta["now"]), trusted, run.id)
        note = found.meta["note"]
        data = pipe.landing.quarantined_bytes(identity)
        raw = archive.Raw(found.kind, data, note.encode() if note else None, found.where, 1, len(data))
        (part,) = digest_items(pipe.landing, job, [raw], pipe.settings, workers_=1)
        if not any(Outcome.QUARANTINED in counts for counts in pipe.landing.part(part).header["counts"].values()):
            pipe.landing.drop_quarantined(identity)
        parts.append(part)
    publish(pipe, parts, run=run.id)
    return report(pipe, run, parts, again=identities)


def _prefix(found: Quarantined) -> str:
    return f"stories/{'captures' if found.meta['trusted'] else 'archive'}/retry-{found.id}"


def _refused(pipe: Pipe, found: Quarantined) -> str:
    """A story that the store refused, in a file of stories of its own. Refused again, it comes back here."""
    import orjson

    from ingest import dedup
    from ingest.models import Content

    content = Content.from_json(orjson.loads(pipe.landing.quarantined_bytes(found.id)))
    tried = len(pipe.landing.parts(f"{_prefix(found)}/"))  # a file that is published is not published again
    part = f"{_prefix(found)}/{tried:05}"
    header = {"counts": {}, "reasons": {}, "named": [], "dropped": {}, "without": [], "last": True}
    pipe.landing.write_part(part, [content], dedup.fingerprints([(content.title, content.text)]), header)
    pipe.landing.drop_quarantined(found.id)
    return part
