"""`sitrep quarantine`: what could be a story, but could not be handled."""

from __future__ import annotations

import click

from ingest import wording
from ingest.command_line import showing
from ingest.command_line.options import as_json, working
from ingest.errors import UsageError


@click.group(short_help="List, show, retry or drop what could not be handled.")
def quarantine() -> None:
    """List, show, retry or drop what is quarantined: kept with its bytes, because handling it failed.

    A worker that died or hung on a page leaves it here; after an update of Sitrep, try them again:

    \b
      sitrep quarantine list
      sitrep quarantine show ID --bytes | less
      sitrep quarantine retry --all
    """


@quarantine.command("list")
@as_json
def list_(as_json: bool) -> None:
    """Show what is quarantined, and why."""
    from ingest.pipeline import retrying
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        items = pipe.landing.quarantined()
    for item in items:
        if as_json:
            showing.echo_json(retrying.to_json(item))
        else:
            click.echo(showing.plain(f"{item.id}  {item.reason}  {item.where}  {item.detail}"))
    showing.say(f"{wording.plural(len(items), 'item')} in quarantine" if items else "nothing is in quarantine")


@quarantine.command()
@click.argument("identity", metavar="ID")
@click.option("--bytes", "as_bytes", is_flag=True, help="Write its bytes to stdout.")
@as_json
def show(identity: str, as_bytes: bool, as_json: bool) -> None:
    """Show one item, or its bytes."""
    from ingest.pipeline import retrying
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        item = retrying.item(pipe, identity)
        if as_bytes:
            click.echo(pipe.landing.quarantined_bytes(identity), nl=False)
        elif as_json:
            showing.echo_json(retrying.to_json(item))
        else:
            for name, value in retrying.to_json(item).items():
                click.echo(showing.plain(f"{name:10s} {value}"))


@quarantine.command(short_help="Handle items again.")
@click.argument("identities", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Retry all of them.")
@as_json
def retry(identities: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Handle items again; those that succeed are published and leave the quarantine."""
    from ingest.landing import DAMAGED
    from ingest.pipeline import retrying, runs

    if not identities and not everything:
        raise UsageError("name items, or give --all", advice="`sitrep quarantine list` shows them.")
    with working() as pipe:
        whole = (item.id for item in pipe.landing.quarantined() if item.kind != DAMAGED)
        chosen = identities or tuple(whole)
        result = retrying.retry(pipe, runs.start("replay"), chosen)
    if as_json:
        showing.echo_json(result.to_json())
    else:
        showing.report(result.to_json())


@quarantine.command()
@click.argument("identities", nargs=-1, required=True, metavar="ID...")
def drop(identities: tuple[str, ...]) -> None:
    """Throw items away, with their bytes."""
    from ingest.pipeline import retrying

    with working() as pipe:
        for identity in identities:
            retrying.item(pipe, identity)
            pipe.landing.drop_quarantined(identity)
    showing.say(f"{wording.plural(len(identities), 'item')} dropped")
