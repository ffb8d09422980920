"""The Airflow of `make run` and `make up`: all of it lies below SITREP_HOME; no other Airflow is touched."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ingest import settings as configuration
from ingest import words
from ingest.settings import Settings

CHECKOUT = Path(__file__).resolve().parent.parent
PARALLEL = 4  # tasks at once: measured enough for two cores; Airflow's 32 take a gigabyte more
POOLS = {"sitrep_publish": (1, "one writer at a time"), "sitrep_digest": (2, "leaves room for what is polled")}


def prepare(database: str = "") -> tuple[Settings, Path]:
    """Set this process's environment for Airflow, before it is imported: Sitrep's settings and Airflow's folder."""
    settings = configuration.load()
    folder = settings.home / "airflow"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ.update(_environment(settings, folder, database or f"sqlite:///{folder / 'airflow.db'}"))
    return settings, folder


def _environment(settings: Settings, folder: Path, database: str) -> dict[str, str]:
    kept = _secrets(folder)
    return {
        "SITREP_HOME": str(settings.home),
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": str(PARALLEL),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__FERNET_KEY": kept["fernet"],
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__API_AUTH__JWT_SECRET": kept["jwt"],
        "AIRFLOW__API__SECRET_KEY": kept["session"],
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(folder / "logs" / "dag_processor"),
        "PYTHONWARNINGS": "ignore",
    }


def migrate() -> None:
    """Bring the metadata up to date where they are not, and make the pools. Imports Airflow."""
    from airflow import settings
    from airflow.models.pool import Pool
    from airflow.utils import db

    settings.initialize()
    try:
        db.check_migrations(1)
    except Exception:  # noqa: BLE001 - not there, or of an earlier version: either is mended by migrating
        db.initdb()
    there = {pool.pool for pool in Pool.get_pools()}
    for name, (slots, why) in POOLS.items():
        if name not in there:  # a number that the user chose stays
            Pool.create_or_update_pool(name, slots, why, include_deferred=False)


def _secrets(folder: Path) -> Mapping[str, str]:
    """Keys that are made once: what Airflow encrypted and signed stays readable."""
    fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    # 64 bytes: what tokens are signed with (SHA-512) is not to be shorter than its digest (RFC 7518, 3.2)
    made = {"fernet": fernet, "jwt": secrets.token_urlsafe(64), "session": secrets.token_urlsafe(32)}
    return kept(folder / "secrets.json", made)


def kept(path: Path, value: Mapping[str, str]) -> Mapping[str, str]:
    """What the file holds; written first, for its owner alone, where it is not there."""
    if not path.exists():
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600, exist_ok=False)
        new.write_text(json.dumps(value))
        new.rename(path)
    found: Mapping[str, str] = json.loads(path.read_text())
    return found


def tail(path: Path, lines: int = 25) -> str:
    """The end of a log, for a terminal: what came from outside does nothing to it."""
    found = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
    return "\n".join(f"    {_indent(line)}{words.one_line(line, 300)}".rstrip() for line in found)


def _indent(line: str) -> str:
    """The blanks before it, by which a traceback is read."""
    return " " * min(40, len(line) - len(line.lstrip(" ")))


def password() -> str:
    """One that can be typed."""
    return secrets.token_urlsafe(12)
