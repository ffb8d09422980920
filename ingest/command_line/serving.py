"""`sitrep serve`: the window, without Airflow."""

from __future__ import annotations

import ipaddress
import os
import socket

import click

from ingest.command_line import showing
from ingest.errors import UsageError

PORT = 8099


@click.command(short_help="Open the page to search and read, on this machine.")
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen; another needs a token."
)
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0: any that is free.")
def serve(host: str, port: int) -> None:
    """Open the page to search and read, on http://127.0.0.1:8099. It reads the store that is there; Ctrl-C ends it.

    Everybody on this machine can read it. Whoever shows SITREP_TOKEN (on the page at /login, as a Bearer, or as the
    password of Basic) can also change feeds. Any other address than loopback needs the token for everything.

    \b
    Examples:
      sitrep serve
      SITREP_TOKEN=… sitrep serve --host 0.0.0.0    for others; put TLS before it
    """
    import uvicorn

    from ingest import settings as configuration
    from ingest.web.access import alone
    from ingest.web.app import create_app
    from ingest.web.window import Window

    settings = configuration.load()
    loopback = _is_loopback(host)
    if not loopback and not settings.token:
        raise UsageError(
            "every address but loopback needs a token.",
            subject=host,
            advice="Set SITREP_TOKEN to a long random word (openssl rand -hex 24), or leave --host out.",
        )
    window = Window()
    window.store.info()  # an unusable store is told before anything is served
    listening = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    showing.say(f"Sitrep is at http://{shown}:{listening.getsockname()[1]}/ (Ctrl-C ends it)")
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(window, alone(settings.token, loopback=loopback)),
            log_level="warning",
            access_log=False,  # what people search is nobody's business
            server_header=False,
            date_header=True,
            limit_concurrency=200,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
            proxy_headers=False,
        )
    )
    server.run(sockets=[listening])
    window.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UsageError where it cannot."""
    name = host.strip("[]")
    try:
        family = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((name, port))
        listening.listen(128)  # who comes before the server is up waits
    except OSError as error:
        why = error.strerror or str(error)
        advice = "Choose another with --port (0: any that is free)."
        raise UsageError(f"it cannot listen there ({why}).", subject=f"{host}:{port}", advice=advice) from error
    return listening
