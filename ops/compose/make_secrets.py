"""Makes every secret of docker-compose.yml on the first start, and gives each service those that it needs.

    python make_secrets.py FOLDER make        at every start: what is there stays as it is
    python make_secrets.py FOLDER show        addresses and logins, for a person
    python make_secrets.py FOLDER authority   the certificate (PEM) by which Elasticsearch is known

`state.json` holds them all and is for root alone. The files beside it are written from it again at every start, each
in a folder that only its reader can enter. The user ids are those of the images in docker-compose.yml.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import string
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import certificate

STATE = "state.json"
LETTERS = string.ascii_letters + string.digits  # nothing that a shell, a URL or a settings file reads otherwise
# Every secret and its length. Airflow signs its tokens with SHA-512: less than 64 bytes weaken it.
LENGTHS = {
    "postgres": 32,
    "elastic": 24,
    "kibana_system": 32,
    "analyst": 16,
    "airflow_admin": 16,
    "airflow_jwt": 64,
    "airflow_session": 64,
    "kibana_saved_objects": 48,
    "kibana_session": 48,
    "kibana_reporting": 48,
    "broker": 32,
}
FERNET = "airflow_fernet"  # has a form of its own

AIRFLOW, SETUP = 10001, 10002  # users of our own image
POSTGRES, ELASTIC, BROKER = 999, 1000, 10003  # Kibana's user has the number of Elasticsearch's


@dataclass(frozen=True, slots=True)
class Folder:
    """Files (name → content) and who may read them."""

    uid: int
    gid: int
    files: Mapping[str, str]
    mode: int = 0o500
    file_mode: int = 0o400


def folders(kept: Mapping[str, str]) -> dict[str, Folder]:
    """What each service reads."""
    kibana = {
        "elasticsearch.password": kept["kibana_system"],
        "xpack.encryptedSavedObjects.encryptionKey": kept["kibana_saved_objects"],
        "xpack.security.encryptionKey": kept["kibana_session"],
        "xpack.reporting.encryptionKey": kept["kibana_reporting"],
    }
    broker = f'bind * -::*\nport 6379\nsave ""\nappendonly no\nrequirepass {kept["broker"]}\n'
    return {
        "public": Folder(0, 0, {"ca.crt": kept["authority"]}, 0o555, 0o444),
        "postgres": Folder(POSTGRES, POSTGRES, {"password": kept["postgres"]}),
        "elasticsearch": Folder(
            ELASTIC,
            0,
            {"elastic-password": kept["elastic"], "http.crt": kept["certificate"], "http.key": kept["key"]},
        ),
        "kibana": Folder(
            ELASTIC, ELASTIC, {"kibana.yml": "".join(f'{name}: "{value}"\n' for name, value in kibana.items())}
        ),
        "broker": Folder(BROKER, BROKER, {"valkey.conf": broker}),
        "airflow": Folder(
            AIRFLOW,
            AIRFLOW,
            {
                "database-url": f"postgresql+psycopg2://airflow:{kept['postgres']}@postgres:5432/airflow",
                "fernet-key": kept[FERNET],
                "jwt-secret": kept["airflow_jwt"],
                "session-key": kept["airflow_session"],
                "admin-password": kept["airflow_admin"],
                "broker-url": f"redis://:{kept['broker']}@broker:6379/0",
            },
        ),
        "setup": Folder(
            SETUP,
            SETUP,
            {
                "elastic-password": kept["elastic"],
                "kibana-password": kept["kibana_system"],
                "analyst-password": kept["analyst"],
            },
        ),
        "sitrep": Folder(SETUP, AIRFLOW, {}, 0o750),  # elastic_setup.py puts the writer's key there
    }


def make(folder: Path, now: datetime) -> list[str]:
    """Make what is missing; gives its names. Raises SystemExit where what is kept cannot be read."""
    kept = _kept(folder)
    new = {name: _letters(length) for name, length in LENGTHS.items() if name not in kept}
    if FERNET not in kept:
        new[FERNET] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    if not certificate.serves(kept, now):
        new |= certificate.made(now)
    if new:
        kept = {**kept, **new}
        write(folder / STATE, json.dumps(kept), 0o600)
    for name, wanted in folders(kept).items():
        _fill(folder / name, wanted)
    return sorted(new)


def _kept(folder: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((folder / STATE).read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        sys.exit(
            f"{folder / STATE} is damaged. Put back a copy of the volume, or begin anew with `docker compose down -v`, "
            "which deletes all data."
        )
    return found


def _letters(length: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def _fill(folder: Path, wanted: Folder) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    _give(folder, wanted, 0o700)
    for name, content in wanted.files.items():
        path = folder / name
        if not path.exists() or path.read_text() != content:
            write(path, content, 0o600)
        _give(path, wanted, wanted.file_mode)
    _give(folder, wanted, wanted.mode)


def write(path: Path, content: str, mode: int) -> None:
    """All of it or nothing, also where the machine stops."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=mode, exist_ok=False)
    with new.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _give(path: Path, to: Folder, mode: int) -> None:
    if os.geteuid() == 0:  # otherwise there is nobody to keep apart
        os.chown(path, to.uid, to.gid)
    path.chmod(mode)


def told(kept: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Where to log in, and how."""
    airflow = f"http://127.0.0.1:{environ.get('SITREP_PORT') or 8080}"
    kibana = f"http://127.0.0.1:{environ.get('SITREP_KIBANA_PORT') or 5601}"
    elastic = f"https://127.0.0.1:{environ.get('SITREP_ELASTICSEARCH_PORT') or 9200}"
    rows = [
        ("Airflow", airflow, "admin", kept["airflow_admin"], ""),
        ("Kibana", kibana, "analyst", kept["analyst"], "reads stories and dashboards"),
        ("Kibana", kibana, "elastic", kept["elastic"], "may do everything"),
        ("Elasticsearch", elastic, "elastic", kept["elastic"], "docker compose run --rm secrets authority > ca.crt"),
    ]
    lines = [
        f"{what:13s}  {where:23s}  {user:8s} {password:25s} {why}".rstrip() for what, where, user, password, why in rows
    ]
    return "\n".join(
        [*lines, "", "These are the passwords of the first start: one that you changed since is yours alone."]
    )


def main(folder: str, action: str) -> None:
    place = Path(folder)
    if action == "make":
        new = make(place, datetime.now(UTC))
        print(f"made {', '.join(new)}" if new else "all secrets are there", flush=True)
        print("logins: docker compose run --rm secrets show", flush=True)
        return
    kept = _kept(place)
    if not kept:
        sys.exit("nothing is made yet: run `docker compose up` first")
    if action == "show":
        print(told(kept, os.environ))
    elif action == "authority":
        print(kept["authority"], end="")
    else:
        sys.exit(f"{action!r} is none of make, show, authority")


if __name__ == "__main__":
    main(*sys.argv[1:3])
