"""The one place that reads the environment (and `.env`).

A variable that is set wins over `.env`; `.env` is looked for in the working directory, then in the checkout.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

from dotenv import dotenv_values

from ingest import __version__, time_zones
from ingest.errors import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent if (PACKAGE.parent / "seeds").is_dir() else None
MOST_WORKERS = 1024
MOST_SHARDS = 1024  # of an index: Elasticsearch's own limit
PROJECT_URL = "https://github.com/sitrep-news/sitrep"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. Field by field: see `.env.example`."""

    home: Path
    landing: str
    allow_addresses: tuple[Network, ...] = ()
    contact: str = ""
    archive: str = ""
    workers: int = 1
    ca_file: str = ""
    port: int = 8080  # of Airflow's web page (make up); the next free one where it is taken
    topics_file: str = ""
    sites_file: str = ""
    time_zone: str = "UTC"  # whose days are those of charts and of dates that are typed; a name of the IANA database
    token: str = field(default="", repr=False)  # who shows it may change things on the page of `sitrep serve`
    # The store of a real deployment, in place of the embedded one. The URL may hold a password.
    elasticsearch_url: str = field(default="", repr=False)
    elasticsearch_api_key: str = field(default="", repr=False)
    elasticsearch_user: str = ""
    elasticsearch_password: str = field(default="", repr=False)
    elasticsearch_ca_file: str = ""
    elasticsearch_prefix: str = ""
    elasticsearch_shards: int = 1
    elasticsearch_replicas: int | None = None

    @property
    def database(self) -> Path:
        """The file of the embedded store."""
        return self.home / "store.sqlite"

    @property
    def seeds(self) -> Path:
        """The folder of feeds.opml, topics.yaml and sites.yaml: the checkout's, else the copy inside the package."""
        return CHECKOUT / "seeds" if CHECKOUT else PACKAGE / "seeds"

    @property
    def zone(self) -> tzinfo:
        return time_zones.named(self.time_zone)

    @property
    def topics(self) -> Path:
        """The file of the rules of topics."""
        return _path("SITREP_TOPICS", self.topics_file) if self.topics_file else self.seeds / "topics.yaml"

    @property
    def sites(self) -> Path:
        """The file of the rules for single sites."""
        return _path("SITREP_SITES", self.sites_file) if self.sites_file else self.seeds / "sites.yaml"

    @property
    def user_agent(self) -> str:
        """Who asks: the program, where to read about it, whom to write to; in any script, as a header is written: one
        character for each byte."""
        contact = self.contact.encode("utf-8", "replace").decode("latin-1")
        about = f"+{PROJECT_URL}; {contact}" if contact else f"+{PROJECT_URL}"
        return f"sitrep/{__version__} ({about})"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process, or of `environ` alone when it is given (tests).

    Raises SettingsError, naming the variable, for a value that cannot be used.
    """
    if environ is None:
        environ = {**_dotenv(), **os.environ}
    home = _path("SITREP_HOME", environ.get("SITREP_HOME") or _default_home())
    return Settings(
        home=home,
        landing=_landing(environ.get("SITREP_LANDING") or str(home / "landing")),
        allow_addresses=_networks(environ.get("SITREP_ALLOW_ADDRESSES", "")),
        contact=_one_line(environ.get("SITREP_CONTACT", "")),
        archive=str(_path("SITREP_ARCHIVE", by_day)) if (by_day := environ.get("SITREP_ARCHIVE", "")) else "",
        workers=_positive(environ, "SITREP_WORKERS", MOST_WORKERS) or len(os.sched_getaffinity(0)),
        ca_file=environ.get("SITREP_CA_FILE", ""),
        port=_positive(environ, "SITREP_PORT", 65_535) or 8080,
        topics_file=environ.get("SITREP_TOPICS", ""),
        sites_file=environ.get("SITREP_SITES", ""),
        time_zone=_zone(environ.get("SITREP_TIME_ZONE", "").strip()),
        token=environ.get("SITREP_TOKEN", "").strip(),
        elasticsearch_url=environ.get("SITREP_ELASTICSEARCH_URL", "").strip(),
        elasticsearch_api_key=_secret(environ, "SITREP_ELASTICSEARCH_API_KEY").strip(),
        elasticsearch_user=environ.get("SITREP_ELASTICSEARCH_USER", ""),
        elasticsearch_password=_secret(environ, "SITREP_ELASTICSEARCH_PASSWORD"),
        elasticsearch_ca_file=environ.get("SITREP_ELASTICSEARCH_CA_FILE", ""),
        elasticsearch_prefix=_prefix(environ.get("SITREP_ELASTICSEARCH_PREFIX", "")),
        elasticsearch_shards=_positive(environ, "SITREP_ELASTICSEARCH_SHARDS", MOST_SHARDS) or 1,
        elasticsearch_replicas=_replicas(environ.get("SITREP_ELASTICSEARCH_REPLICAS", "")),
    )


def _dotenv() -> dict[str, str]:
    for folder in (Path.cwd(), CHECKOUT):
        if folder and (folder / ".env").is_file():
            try:
                return {key: value for key, value in dotenv_values(folder / ".env").items() if value is not None}
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
                raise SettingsError(f"cannot be read: {why}", subject=str(folder / ".env")) from None
    return {}


def _path(name: str, value: str | Path) -> Path:
    """The path that a variable names, wherever the program is started from next time."""
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:  # ~somebody
        raise SettingsError(f"{value} begins with a user whom this machine does not know", subject=name) from None


def _landing(value: str) -> str:
    return value if "://" in value or "::" in value else str(_path("SITREP_LANDING", value))


def _secret(environ: Mapping[str, str], name: str) -> str:
    """The variable, or what stands in the file that NAME_FILE names: there no list of processes shows it."""
    named = environ.get(f"{name}_FILE", "")
    if not named:
        return environ.get(name, "")
    if environ.get(name):
        raise SettingsError("stands beside the same with _FILE", subject=name, advice="Set one of the two.")
    try:
        value = _path(f"{name}_FILE", named).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{named} cannot be read: {why}", subject=f"{name}_FILE") from None
    if not value:
        raise SettingsError(f"{named} is empty", subject=f"{name}_FILE")
    return value


def _default_home() -> Path:
    return CHECKOUT / "var" if CHECKOUT else Path.cwd() / "var"


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(
            str(error), subject="SITREP_ALLOW_ADDRESSES", advice="Write networks like 127.0.0.0/8,::1/128."
        ) from error


def _positive(environ: Mapping[str, str], name: str, most: int) -> int:
    if not (value := environ.get(name, "")):
        return 0
    if not value.isdecimal() or len(value) > 9 or not 1 <= int(value) <= most:
        raise SettingsError(f"{value[:20]!r} is no whole number from 1 to {most}", subject=name)
    return int(value)


def _zone(value: str) -> str:
    try:
        time_zones.named(value or "UTC")
    except ValueError:
        raise SettingsError(
            f"{value!r} is no time zone that this machine knows",
            subject="SITREP_TIME_ZONE",
            advice="Write a name of the IANA database, like Europe/Kyiv; where none is known, install tzdata.",
        ) from None
    return value or "UTC"


def _replicas(value: str) -> int | None:
    if value and not value.isdecimal():
        raise SettingsError(f"{value!r} is no whole number from 0 on", subject="SITREP_ELASTICSEARCH_REPLICAS")
    return int(value) if value else None


def _prefix(value: str) -> str:
    """What an index's name may begin with."""
    if value and not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", value):
        raise SettingsError(
            f"{value!r} cannot begin the name of an index",
            subject="SITREP_ELASTICSEARCH_PREFIX",
            advice="Write small letters, digits and hyphens, like news-.",
        )
    return value


def _one_line(value: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())
