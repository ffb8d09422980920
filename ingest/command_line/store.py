"""`sitrep store`: where stories are kept, and whether all is well with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ingest import wording
from ingest.command_line import showing
from ingest.command_line.options import as_json, working
from ingest.errors import StoreGone, UsageError

if TYPE_CHECKING:
    from ingest.pipeline.pipe import Pipe
    from ingest.store.elastic import ElasticStore


@click.group(short_help="Check, set up, migrate and rebuild the store; drop a month.")
def store() -> None:
    """Check and set up the store: the embedded one, or the Elasticsearch that SITREP_ELASTICSEARCH_URL names."""


@store.command(short_help="Say what is wrong with the store, and what to do.")
@as_json
def check(as_json: bool) -> None:
    """Say what is wrong with the store, and what to do.

    Of an Elasticsearch: host, certificate, key, rights, version, templates, alias, blocked and closed months, shards.
    """
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        if not pipe.settings.elasticsearch_url:
            info = pipe.store.info()
            findings = [{"ok": True, "what": f"{info['engine']}, {info['stories']} stories", "advice": ""}]
            where = str(info["where"])
        else:
            served = _served(pipe)
            where = served.where
            findings = [{"ok": one.ok, "what": one.what, "advice": one.advice} for one in served.check()]
    if as_json:
        showing.echo_json({"where": where, "findings": findings})
    else:
        click.echo(showing.plain(where))
        for one in findings:
            told = one["what"] if one["ok"] else f"{one['what']} → {one['advice']}"
            click.echo(showing.plain(f"  {'ok ' if one['ok'] else 'BAD'} {told}"))
    if not all(one["ok"] for one in findings):
        raise StoreGone("not all is well with the store.", subject=where, advice="See above.")


@store.command(short_help="Put templates and small indices into Elasticsearch.")
def setup() -> None:
    """Put templates, small indices and the alias into Elasticsearch, or those of this release in place of older ones.

    The first run does so too, where its key may. It changes no story. Kibana's run reports, quarantine and older
    versions of stories are written anew from what they are derived from.
    """
    from ingest.pipeline import mirroring
    from ingest.pipeline.pipe import opened

    with opened() as pipe, showing.progress() as progress:
        served = _served(pipe, "the embedded store sets itself up")
        served.setup()
        reports, items, unshown = mirroring.show_anew(pipe, progress)
        for note in unshown:
            showing.say(note)
        told = f"{wording.plural(reports, 'report')} and {wording.plural(items, 'quarantined item')} are shown there"
        showing.say(f"{served.where} is set up; {told}")


@store.command(short_help="Make keys with the least rights, and print them.")
@as_json
def grant(as_json: bool) -> None:
    """Make three API keys with the least rights, and print them, once: for writing, for `setup`, for reading.

    The writer's key is what Sitrep runs with (SITREP_ELASTICSEARCH_API_KEY); the reader's is for `sitrep search` and
    analysts. Ours must be a user that may make keys: a key cannot make one with more rights than none.
    """
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        keys = _served(pipe, "the embedded store knows no keys").grant()
    if as_json:
        showing.echo_json(keys)
    else:
        for name, key in keys.items():
            click.echo(f"{name:7s} {key}")
    showing.say("they cannot be shown again; take one back with DELETE /_security/api_key")


@store.command(short_help="Remove a month of stories, or let it in again.")
@click.option("--month", required=True, metavar="MONTH", help="The month of publication (UTC), like 2022-05.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--undo", is_flag=True, help="Let stories of that month in again.")
def drop(month: str, yes: bool, undo: bool) -> None:
    """Remove a month of stories from the store, and let none of them in again.

    A story belongs to the month of its publication; where nobody said, to that of when it was first seen. Files in the
    landing zone stay; whatever publishes them counts stories of that month as rejected (month_dropped).

    \b
    Examples:
      sitrep store drop --month 2022-05
      sitrep store drop --month 2022-05 --undo && sitrep publish      bring it back
    """
    from ingest.pipeline import dropping

    with working() as pipe, showing.progress() as progress:
        if undo:
            parts = dropping.undo(pipe, month)
            if parts is None:
                raise UsageError("is not dropped", subject=month)
            told = wording.plural(len(parts), "file of stories has", "files of stories have")
            showing.say(f"{month} is let in again; {told} something of it: `sitrep publish` brings that back")
            return
        found = dropping.holds(pipe, month)
        if not yes:
            showing.confirm(f"Remove {wording.plural(found, 'story', 'stories')} of {month}?")
        gone = dropping.drop(pipe, month, progress=progress)
    showing.say(f"{wording.plural(gone, 'story', 'stories')} of {month} removed; `--undo` lets them in again")


@store.command(short_help="Make the store anew from the files of stories.")
@click.option("--accept-loss", is_flag=True, help="Also where stories of the store are in no file of stories.")
def rebuild(accept_loss: bool) -> None:
    """Make the store anew from all files of stories in the landing zone, beside the one that is.

    Until it takes over, everybody reads and publishes as ever. Interrupted, the same command goes on. Dropped months
    stay dropped; feeds and their states stay.
    """
    from ingest.pipeline import rebuilding, runs

    with working() as pipe, showing.progress() as progress:
        files, stories = rebuilding.rebuild(pipe, runs.start("replay"), accept_loss=accept_loss, progress=progress)
    read = wording.plural(files, "file of stories", "files of stories")
    showing.say(f"rebuilt: {wording.plural(stories, 'story', 'stories')} of {read}")


@store.command(short_help="Bring an older Elasticsearch to this one's mapping.")
@click.option("--back", is_flag=True, help="Give up a migration that is under way, or return to the version before.")
@click.option("--drop-old", is_flag=True, help="Delete the version before: there is no way back then.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
def migrate(back: bool, drop_old: bool, yes: bool) -> None:
    """Bring an Elasticsearch that an older Sitrep set up to this one's mapping, beside the old one.

    Nothing can be published meanwhile; everybody can read. The copy is compared, then the alias moves in one step.
    Interrupted, the same command goes on. The old version stands until `--drop-old`.
    """
    from ingest.pipeline.pipe import Step, opened

    if back and drop_old:
        raise UsageError("--back and --drop-old exclude each other")
    with opened() as pipe, showing.progress() as progress:
        if not pipe.settings.elasticsearch_url:
            if back or drop_old:
                raise UsageError("the embedded store keeps no other version")
            version = pipe.store.info()["version"]
            showing.say(f"nothing to migrate: the embedded store is of version {version}, and brings itself up to date")
            return
        migration = _served(pipe).migration()
        if drop_old and not yes:
            showing.confirm("Delete the versions that are not in use?")
        if drop_old:
            told = migration.drop_old()
        elif back:
            told = migration.back()
        else:
            told = migration.migrate(lambda what, done, total: progress(Step(what, done, total, "documents")))
    showing.say(told)


def _served(pipe: Pipe, otherwise: str = "it is the embedded store") -> ElasticStore:
    """The store on Elasticsearch. Raises UsageError, which says `otherwise`, where it is another."""
    from ingest.store.elastic import ElasticStore

    if not pipe.settings.elasticsearch_url:
        raise UsageError(otherwise, advice="Set SITREP_ELASTICSEARCH_URL for Elasticsearch.")
    assert isinstance(pipe.store, ElasticStore)
    return pipe.store
