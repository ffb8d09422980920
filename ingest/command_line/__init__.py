"""The command line: `sitrep COMMAND`.

Data goes to stdout, progress and messages to stderr. Exit codes: 0 when the run balanced, whatever was rejected or
could not be reached; 1 when it did not, or the store or the landing zone is gone; 2 for wrong use; 130 when
interrupted.

Commands import what they work with when they run: `--help` and completion answer at once.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import click

from ingest import __version__
from ingest.command_line import cleaning, feeds, quarantine, running, searching, serving, showing, store, topics
from ingest.errors import NotAnArchive, SettingsError, SitrepError, UsageError

WRONG_USE = (UsageError, SettingsError, NotAnArchive)
SECTIONS = {
    "Take in": ("run", "backfill", "fetch", "digest", "publish"),
    "Read": ("serve", "search", "show", "export", "report"),
    "Look after": ("feeds", "topics", "quarantine", "store", "clean", "completion"),
}


class _Sitrep(click.Group):
    """All commands, listed by what they are for."""

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, names in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(80)) for name in names])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader had enough; no word at exit
            return 0
        return result


@click.group(
    cls=_Sitrep, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": showing.HELP_WIDTH}
)
@click.version_option(__version__, prog_name="sitrep")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks of failures.")
def sitrep() -> None:
    """Watch the news of a conflict: feeds and archives in, searchable stories with evidence out.

    \b
    Try it:
      sitrep backfill seeds/archive        read the bundled archive
      sitrep search artillery --topic aid  find stories, with the words that prove the topic
      sitrep run                           poll the feeds, once: the whole daily job
      sitrep serve                         search and read on a page of this machine
      sitrep report                        what the last run took in and what became of it

    Everything lies below SITREP_HOME (default: var/ in the checkout). Settings: see .env.example.

    `sitrep COMMAND --help` tells more of each, with examples.
    """


@sitrep.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    To have it in every shell:
      echo 'eval "$(sitrep completion bash)"' >> ~/.bashrc
      echo 'eval "$(sitrep completion zsh)"' >> ~/.zshrc
      sitrep completion fish > ~/.config/fish/completions/sitrep.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # the choice above names only those that click has
    click.echo(kind(sitrep, {}, "sitrep", "_SITREP_COMPLETE").source())


for command in (
    *running.COMMANDS,
    *searching.COMMANDS,
    serving.serve,
    feeds.feeds,
    quarantine.quarantine,
    store.store,
    topics.topics,
    cleaning.clean,
):
    sitrep.add_command(command)


def main() -> None:
    """Run the command that the process was called with, and exit."""
    arguments, debug = _without_debug(sys.argv[1:])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # ? for what the terminal has no letter for
    try:
        result = sitrep.main(arguments, prog_name="sitrep", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        showing.say("interrupted; nothing is lost, the same command goes on from there")
        sys.exit(130)
    except (SitrepError, OSError) as error:
        if debug:
            raise
        showing.say(f"sitrep: {_told(error)}")
        sys.exit(2 if isinstance(error, WRONG_USE) else 1)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {error}"[:500]
        showing.say(f"sitrep: unexpected fault, {what}. Run it again with --debug to see where, and report it.")
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """`--debug` counts wherever it stands, up to a lone `--`."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    rest = arguments[len(options) :]
    return [argument for argument in options if argument != "--debug"] + rest, "--debug" in options


def _told(error: SitrepError | OSError) -> str:
    """An error as a sentence that says what it is about, and one that says what to do next."""
    if isinstance(error, OSError):
        subject, message, advice = str(error.filename or ""), error.strerror or str(error), ""
    else:
        subject, message, advice = error.subject, str(error.args[0]), error.advice
    sentence = message if message.endswith((".", "!", "?")) else f"{message}."
    return " ".join(filter(None, [f"{subject}:" if subject else "", sentence, advice]))
