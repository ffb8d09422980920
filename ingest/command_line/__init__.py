"""The command line: `sitrep COMMAND`.

Data goes to stdout, progress and messages to stderr. Exit codes: 0 when the run balanced, whatever was rejected or
could not be reached; 1 when it did not, or the store or the landing zone is gone; 2 for wrong use; 130 when
interrupted.
"""

from __future__ import annotations

import os
import sys

import click

from ingest import __version__
from ingest.command_line import feeds, quarantine, running, searching, topics
from ingest.errors import NotAnArchive, SettingsError, SitrepError, UsageError

WRONG_USE = (UsageError, SettingsError, NotAnArchive)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="sitrep")
@click.option("--debug", is_flag=True, help="Show tracebacks of failures.")
def sitrep(debug: bool) -> None:
    """Watch the news of a conflict: feeds and archives in, searchable stories with evidence out.

    \b
    Try it:
      sitrep backfill seeds/archive        read the bundled archive
      sitrep search artillery --topic aid  find stories, with the words that prove the topic
      sitrep run                           poll the feeds, once, the whole daily job
      sitrep report                        what the last run took in and what became of it

    Everything lies below SITREP_HOME (default: var/ in the checkout). Settings: see .env.example.
    """


@sitrep.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(sitrep completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # the choice above names only those that click has
    click.echo(kind(sitrep, {}, "sitrep", "_SITREP_COMPLETE").source())


for command in (*running.COMMANDS, *searching.COMMANDS, feeds.feeds, quarantine.quarantine, topics.topics):
    sitrep.add_command(command)


def main() -> None:
    """Run the command that the process was called with, and exit."""
    debug = "--debug" in sys.argv
    try:
        sitrep(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on where it was", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader had enough; say nothing at exit
        sys.exit(0)
    except SitrepError as error:
        if debug:
            raise
        click.echo(f"sitrep: {error}", err=True)
        sys.exit(2 if isinstance(error, WRONG_USE) else 1)
    except Exception as error:
        if debug:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        click.echo(f"sitrep: unexpected fault, {what}. Run it again with --debug to see where.", err=True)
        sys.exit(1)
