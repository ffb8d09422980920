"""`sitrep topics`: the rules that say what a story is about."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ingest.command_line import showing
from ingest.command_line.options import as_json


@click.group(short_help="Check the rules of topics.")
def topics() -> None:
    """Check rules of topics (seeds/topics.yaml; seeds/README.md says how to write them)."""


@topics.command(short_help="Check a file of rules and its examples.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
@click.pass_context
def check(context: click.Context, file: Path, as_json: bool) -> None:
    """Check a file of rules: its form, and the examples that it gives.

    Prints a line for each problem, with file and line, and for each example that comes out otherwise than it says.
    Exit code 1 where there is any, else 0.

    \b
    Example:
      sitrep topics check seeds/topics.yaml && sitrep digest && sitrep publish
    """
    from ingest import tag

    checked = tag.check(file)
    if as_json:
        showing.echo_json({**asdict(checked), "path": str(checked.path), "good": checked.good})
    else:
        showing.checked(file, checked)
    if not checked.good:
        context.exit(1)
