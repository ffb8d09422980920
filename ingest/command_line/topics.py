"""`sitrep topics`: the rules that say what a story is about."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ingest.command_line import showing
from ingest.command_line.running import as_json


@click.group()
def topics() -> None:
    """Check rules of topics (seeds/topics.yaml)."""


@topics.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
@click.pass_context
def check(context: click.Context, file: Path, as_json: bool) -> None:
    """Check a file of rules: its form, and the examples that it gives. Exit code 1 where something is wrong."""
    from ingest import tag

    checked = tag.check(file)
    if as_json:
        showing.echo_json(asdict(checked))
    else:
        showing.checked(file, checked)
    if not checked.good:
        context.exit(1)
