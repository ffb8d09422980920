"""The scripts of docker-compose.yml, run as processes: secrets are made once and kept apart, Kibana's answers are read.
test_compose_stack.py runs those that need Elasticsearch or Airflow."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from ingest import settings as configuration
from ingest.errors import SettingsError
from ingest.store.elastic import Layout
from tests.compose_rules import ROOT

SCRIPTS = ROOT / "ops" / "compose"


# secrets -------------------------------------------------------------------------------------------------------------
def script(name: str, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SITREP_", "AIRFLOW"))}
    return subprocess.run(
        [sys.executable, str(SCRIPTS / name), *map(str, arguments)],
        env={**clean, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_secrets_are_made_once_and_differ_between_two_machines(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        assert script("make_secrets.py", folder, "make").returncode == 0
    before = contents(here)
    again = script("make_secrets.py", here, "make")
    assert "all secrets are there" in again.stdout
    assert contents(here) == before
    other = contents(there)
    assert before.keys() == other.keys()
    assert [name for name in before if before[name] == other[name]] == []
    one, two = json.loads(before["state.json"]), json.loads(other["state.json"])
    assert not set(one.values()) & set(two.values())
    assert len(set(one.values())) == len(one) == 15
    for name, value in one.items():
        if name not in ("authority", "certificate", "key", "airflow_fernet"):
            assert re.fullmatch(r"[A-Za-z0-9]{16,64}", value), name
        assert value not in again.stdout + again.stderr


def test_each_secret_is_for_its_reader_alone(tmp_path: Path) -> None:
    script("make_secrets.py", tmp_path, "make")
    kibana = yaml.safe_load((tmp_path / "kibana" / "kibana.yml").read_text())
    assert len(kibana) == 4
    assert all(len(value) >= 32 for value in kibana.values())  # Kibana refuses shorter keys
    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes.pop("state.json") == 0o600
    assert (modes.pop("public"), modes.pop("public/ca.crt")) == (0o555, 0o444)
    assert modes.pop("sitrep") == 0o750  # elastic_setup.py writes there, Airflow reads
    assert {name: mode for name, mode in modes.items() if mode != (0o400 if "/" in name else 0o500)} == {}
    assert len(modes) == 6 + 15
    if os.geteuid() == 0:
        owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()}
        assert owners == {
            "state.json": (0, 0), "public": (0, 0), "postgres": (999, 999), "elasticsearch": (1000, 0),
            "kibana": (1000, 1000), "broker": (10003, 10003), "airflow": (10001, 10001), "setup": (10002, 10002),
            "sitrep": (10002, 10001),
        }  # fmt: skip


def test_what_a_kill_or_an_older_release_left_is_made_whole(tmp_path: Path) -> None:
    script("make_secrets.py", tmp_path, "make")
    before = contents(tmp_path)
    (tmp_path / "airflow").chmod(0o700)
    (tmp_path / "airflow" / "jwt-secret").unlink()
    (tmp_path / "airflow" / "fernet-key.new").write_text("half")
    older = {name: value for name, value in json.loads(before["state.json"]).items() if name != "broker"}
    (tmp_path / "state.json").write_text(json.dumps(older))
    assert script("make_secrets.py", tmp_path, "make").stdout.startswith("made broker\n")
    after = contents(tmp_path)
    assert json.loads(after["state.json"]).keys() == json.loads(before["state.json"]).keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"state.json", "broker/valkey.conf", "airflow/broker-url"}


def test_a_person_is_told_the_logins_and_what_is_damaged(tmp_path: Path) -> None:
    early = script("make_secrets.py", tmp_path, "show")
    assert (early.returncode, "docker compose up" in early.stderr) == (1, True)
    script("make_secrets.py", tmp_path, "make")
    kept = json.loads((tmp_path / "state.json").read_text())
    shown = script("make_secrets.py", tmp_path, "show", SITREP_PORT="8081").stdout
    passwords = [kept[name] for name in ("airflow_admin", "analyst", "elastic")]
    assert all(part in shown for part in ("http://127.0.0.1:8081", "http://127.0.0.1:5601", *passwords))
    assert script("make_secrets.py", tmp_path, "authority").stdout == kept["authority"]
    (tmp_path / "state.json").write_text("{")
    damaged = script("make_secrets.py", tmp_path, "make")
    assert (damaged.returncode, "is damaged" in damaged.stderr) == (1, True)


def test_the_certificate_is_renewed_a_year_before_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import certificate
    import make_secrets

    now = datetime(2026, 3, 1, tzinfo=UTC)
    make_secrets.make(tmp_path, now)
    first = contents(tmp_path)
    assert make_secrets.make(tmp_path, now + timedelta(days=4 * 365 - 3)) == []
    assert make_secrets.make(tmp_path, now + timedelta(days=4 * 365 + 3)) == ["authority", "certificate", "key"]
    second = contents(tmp_path)
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"state.json", "public/ca.crt", "elasticsearch/http.crt", "elasticsearch/http.key"}
    leaf = x509.load_pem_x509_certificate(second["elasticsearch/http.crt"].encode())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(second["public/ca.crt"].encode()))
    assert certificate.serves(json.loads(second["state.json"]), now + timedelta(days=8 * 365 - 3))


def test_a_key_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    named = {"SITREP_ELASTICSEARCH_API_KEY_FILE": str(secret)}
    with pytest.raises(SettingsError, match=r"API_KEY_FILE.*cannot be read: No such file"):
        configuration.load(named)
    secret.write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        configuration.load(named)
    secret.write_text("hush==\n")
    assert configuration.load(named).elasticsearch_api_key == "hush=="
    password = {"SITREP_ELASTICSEARCH_PASSWORD_FILE": str(secret)}
    assert configuration.load(password).elasticsearch_password == "hush=="
    with pytest.raises(SettingsError, match="Set one of the two") as told:
        configuration.load({**named, "SITREP_ELASTICSEARCH_API_KEY": "hush2"})
    assert "hush" not in str(told.value)


# Kibana, as far as its side of a request goes ------------------------------------------------------------------------
VIEW = {"type": "index-pattern", "id": "v", "attributes": {"title": "sitrep-v1-runs, quarantine-*"}, "references": []}
GOOD = {"success": True, "successCount": 2}
BAD = {
    "success": False,
    "successCount": 1,
    "errors": [{"type": "dashboard", "id": "d", "error": {"type": "missing_references", "references": []}}],
}


class FakeKibana:
    """Answers as Kibana's role and import APIs do, in the order of `answers`; keeps what it was asked."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        waiting = list(answers)
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.asked.append((self.command, self.path, dict(self.headers), body))
                status, answer = waiting.pop(0)
                said = json.dumps(answer).encode() if answer is not None else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_POST = do_PUT

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


Setup = Callable[..., tuple[FakeKibana, subprocess.CompletedProcess[str]]]


@pytest.fixture
def kibana(tmp_path: Path) -> Iterator[Setup]:
    """Runs kibana_setup.py with a file of objects against a fake that gives these answers."""
    (tmp_path / "secrets" / "setup").mkdir(parents=True)
    (tmp_path / "secrets" / "setup" / "elastic-password").write_text("hush")
    objects = tmp_path / "objects"
    objects.mkdir()
    (objects / "views.ndjson").write_text(json.dumps(VIEW) + "\n")
    started: list[FakeKibana] = []

    def run(*answers: tuple[int, Any]) -> tuple[FakeKibana, subprocess.CompletedProcess[str]]:
        fake = FakeKibana(*answers)
        started.append(fake)
        done = script("kibana_setup.py", tmp_path / "secrets", objects, KIBANA_URL=fake.url)
        assert "hush" not in done.stdout + done.stderr
        return fake, done

    yield run
    for fake in started:
        fake.close()


def test_objects_are_imported_and_the_analyst_may_read_what_they_show(kibana: Setup) -> None:
    fake, done = kibana((204, None), (200, GOOD))
    assert (done.returncode, "views.ndjson: 2 objects" in done.stdout) == (0, True), done.stderr
    role, imported = fake.asked
    assert role[:2] == ("PUT", "/api/security/role/sitrep_analyst")
    rights = json.loads(role[3])
    names = ["quarantine-*", "sitrep-v1-runs", "stories", "stories-v*-*"]
    assert rights["elasticsearch"]["indices"] == [{"names": names, "privileges": ["read", "view_index_metadata"]}]
    assert {right for features in rights["kibana"] for right in map(tuple, features["feature"].values())} == {("read",)}
    assert imported[:2] == ("POST", "/api/saved_objects/_import?overwrite=true")
    assert {"kbn-xsrf", "authorization"} <= {name.lower() for name in imported[2]}
    boundary = imported[2]["Content-Type"].partition("boundary=")[2].encode()
    head, _, rest = imported[3].partition(b"\r\n\r\n")
    assert b'name="file"; filename="views.ndjson"' in head
    assert json.loads(rest.split(b"\r\n--" + boundary)[0]) == VIEW
    assert imported[3].endswith(b"--" + boundary + b"--\r\n")


def test_an_import_that_fails_in_part_fails_loudly(kibana: Setup) -> None:
    _, done = kibana((204, None), (200, BAD))
    assert done.returncode == 1
    assert "views.ndjson did not go in: dashboard d: " in done.stderr
    assert "missing_references" in done.stderr


def test_what_passes_is_waited_for_and_what_does_not_stops_at_once(kibana: Setup) -> None:
    fake, done = kibana((503, {"message": "Kibana server is not ready yet"}), (204, None), (200, GOOD))
    assert (done.returncode, len(fake.asked)) == (0, 3), done.stderr
    fake, done = kibana((401, {"message": "no such user"}))
    assert (done.returncode, len(fake.asked)) == (1, 1)
    assert "Kibana answers 401" in done.stderr
    _, done = kibana((204, None), (400, {"message": "Invalid file extension .json"}))
    assert (done.returncode, "Invalid file extension" in done.stderr) == (1, True)


def test_the_analyst_may_read_what_our_own_objects_show_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import kibana_setup

    files = sorted((ROOT / "seeds" / "kibana").glob("*.ndjson"))
    shown = set(kibana_setup.viewed(files)) - set(kibana_setup.READ)
    assert shown
    assert shown <= set(Layout().aliases.values())


# who can read what, tried by those users -----------------------------------------------------------------------------
@pytest.fixture
def volume() -> Iterator[Path]:
    """A folder that every user can reach, filled by a root that has no more rights than the container's."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can be other users")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    rights = "-all,+chown,+dac_override,+fowner"
    command = ["setpriv", "--no-new-privs", f"--bounding-set={rights}", f"--inh-caps={rights}", sys.executable]
    for _ in range(2):  # the second start finds everything in the hands of others
        subprocess.run(
            [*command, str(SCRIPTS / "make_secrets.py"), str(folder), "make"], check=True, capture_output=True
        )
    yield folder
    shutil.rmtree(folder)


def may(user: tuple[int, int], *command: str) -> bool:
    who = ["setpriv", f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups", "--no-new-privs"]
    return subprocess.run([*who, *command], capture_output=True, check=False).returncode == 0


def test_no_user_reads_anothers_secrets(volume: Path) -> None:
    users = {
        "postgres": (999, 999), "elasticsearch": (1000, 0), "kibana": (1000, 1000), "broker": (10003, 10003),
        "airflow": (10001, 10001), "setup": (10002, 10001),
    }  # fmt: skip
    twins = {"elasticsearch", "kibana"}  # one number in Elastic's two images
    for reader, user in users.items():
        assert may(user, "cat", str(volume / "public" / "ca.crt"))
        assert not may(user, "cat", str(volume / "state.json"))
        for owner in users:
            secret = next(path for path in sorted((volume / owner).iterdir()))
            assert may(user, "cat", str(secret)) is (owner == reader or {owner, reader} == twins), (reader, secret)
            assert not may(user, "touch", str(volume / owner / "new")), (reader, owner)
    key = str(volume / "sitrep" / "api-key")
    assert may(users["setup"], "sh", "-c", f"umask 027; echo key > {key}")
    assert {name for name, user in users.items() if may(user, "cat", key)} == {"setup", "airflow"}
    assert not may(users["airflow"], "sh", "-c", f"echo mine > {key}")
