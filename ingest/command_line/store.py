"""`sitrep store`: where stories are kept, and whether all is well with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ingest.command_line import showing
from ingest.command_line.options import as_json
from ingest.errors import StoreGone, UsageError

if TYPE_CHECKING:
    from ingest.pipeline.pipe import Pipe
    from ingest.store.elastic import ElasticStore


@click.group(short_help="Check and set up the store.")
def store() -> None:
    """Check and set up the store: the embedded one, or the Elasticsearch that SITREP_ELASTICSEARCH_URL names."""


@store.command()
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


@store.command()
def setup() -> None:
    """Put templates, small indices and the alias into Elasticsearch, or those of this release in place of older ones.

    The first run does so too, where its key may. It changes no story. Kibana's run reports, quarantine and older
    versions of stories are written anew from what they are derived from.
    """
    from ingest.pipeline import mirroring
    from ingest.pipeline.pipe import opened

    with opened() as pipe, showing.progress() as progress:
        if not pipe.settings.elasticsearch_url:
            raise UsageError(
                "the embedded store sets itself up", advice="Set SITREP_ELASTICSEARCH_URL for Elasticsearch."
            )
        _served(pipe).setup()
        reports, items, unshown = mirroring.show_anew(pipe, progress)
        for note in unshown:
            showing.say(note)
        told = f"{showing.count(reports, 'report')} and {showing.count(items, 'quarantined item')} are shown there"
        showing.say(f"{_served(pipe).where} is set up; {told}")


@store.command()
@as_json
def grant(as_json: bool) -> None:
    """Make three API keys with the least rights, and print them, once: for writing, for `setup`, for reading.

    The writer's key is what Sitrep runs with (SITREP_ELASTICSEARCH_API_KEY); the reader's is for `sitrep search` and
    analysts. Ours must be a user that may make keys: a key cannot make one with more rights than none.
    """
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        if not pipe.settings.elasticsearch_url:
            raise UsageError(
                "the embedded store knows no keys", advice="Set SITREP_ELASTICSEARCH_URL for Elasticsearch."
            )
        keys = _served(pipe).grant()
    if as_json:
        showing.echo_json(keys)
    else:
        for name, key in keys.items():
            click.echo(f"{name:7s} {key}")
    showing.say("they cannot be shown again; take one back with DELETE /_security/api_key")


def _served(pipe: Pipe) -> ElasticStore:
    from ingest.store.elastic import ElasticStore

    assert isinstance(pipe.store, ElasticStore)
    return pipe.store
