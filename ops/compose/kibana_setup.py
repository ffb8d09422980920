"""Imports Sitrep's views, searches and dashboards into Kibana, and makes the analyst's role.

    python kibana_setup.py FOLDER_OF_SECRETS FOLDER_OF_OBJECTS

The objects' ids are fixed and what is there is written over, so it runs at every start. KIBANA_URL says where Kibana
is.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROLE = "sitrep_analyst"
FEATURES = ("discover_v2", "dashboard_v2", "visualize_v2", "savedQueryManagement")
READ = ("stories", "stories-v*-*")  # and what the data views name
PATIENCE = 120.0  # seconds; Kibana says that it is ready a little before all of it is


class Failed(Exception):
    """Kibana does not do it; the message is for people."""


class Kibana:
    """Requests of the superuser."""

    def __init__(self, url: str, password: str, patience: float = PATIENCE) -> None:
        self._url = url.rstrip("/")
        named = base64.b64encode(f"elastic:{password}".encode()).decode()
        self._headers = {"kbn-xsrf": "sitrep", "Authorization": f"Basic {named}"}
        self._patience = patience

    def ask(self, method: str, path: str, body: bytes, kind: str = "application/json") -> Any:
        """The answer. Raises Failed; what passes (not there yet, busy) is waited for."""
        headers = {**self._headers, "Content-Type": kind}
        until = time.monotonic() + self._patience
        while True:
            request = urllib.request.Request(f"{self._url}{path}", body, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                told = error.read().decode(errors="replace")[:1000]
                if error.code not in (429, 502, 503, 504) or time.monotonic() > until:
                    raise Failed(f"Kibana answers {error.code} to {method} {path}: {told}") from None
            except (OSError, ValueError) as error:
                if time.monotonic() > until:
                    raise Failed(f"Kibana does not answer {method} {path}: {error}") from None
            time.sleep(2)

    def load(self, path: Path) -> int:
        """Import a file of objects; how many there were. Raises Failed where a single one did not go in: Kibana
        answers 200 then, too."""
        mark = secrets.token_hex(16)
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
        body = (
            f"{head}Content-Type: application/ndjson\r\n\r\n".encode()
            + path.read_bytes()
            + f"\r\n--{mark}--\r\n".encode()
        )
        target = "/api/saved_objects/_import?overwrite=true"
        answer = self.ask("POST", target, body, f"multipart/form-data; boundary={mark}")
        if not isinstance(answer, dict) or answer.get("success") is not True:
            raise Failed(f"{path.name} did not go in: {_errors(answer)}")
        return int(answer["successCount"])

    def put_role(self, indices: Iterable[str]) -> None:
        """Analysts read: indices, dashboards, searches."""
        feature = {name: ["read"] for name in FEATURES}
        rights = {"names": list(indices), "privileges": ["read", "view_index_metadata"]}
        role = {
            "elasticsearch": {"indices": [rights]},
            "kibana": [{"base": [], "feature": feature, "spaces": ["default"]}],
        }
        self.ask("PUT", f"/api/security/role/{ROLE}", json.dumps(role).encode())


def _errors(answer: Any) -> str:
    errors = answer.get("errors") if isinstance(answer, dict) else None
    if not errors:
        return str(answer)[:1000]
    return "; ".join(f"{one.get('type')} {one.get('id')}: {json.dumps(one.get('error'))}" for one in errors)[:3000]


def viewed(files: Iterable[Path]) -> list[str]:
    """The indices that these objects' data views show."""
    names = set(READ)
    for path in files:
        for line in path.read_text().splitlines():
            one = json.loads(line) if line.strip() else {}
            if one.get("type") == "index-pattern":
                names.update(name.strip() for name in one["attributes"]["title"].split(","))
    return sorted(names)


def main(folder: Path, objects: Path) -> None:
    """Raises Failed."""
    files = sorted(objects.glob("*.ndjson"))
    kibana = Kibana(os.environ["KIBANA_URL"], (folder / "setup" / "elastic-password").read_text())
    indices = viewed(files)
    kibana.put_role(indices)
    print(f"role {ROLE} reads {', '.join(indices)}", flush=True)
    for path in files:
        print(f"{path.name}: {kibana.load(path)} objects", flush=True)
    if not files:
        print(f"no *.ndjson in {objects}: Kibana has no views of ours", flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except (Failed, OSError, ValueError, KeyError) as error:
        sys.exit(f"kibana_setup: {error!r}" if isinstance(error, KeyError) else f"kibana_setup: {error}")
