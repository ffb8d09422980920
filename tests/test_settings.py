"""Settings that have no other place to be tested."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from ingest import settings
from ingest.errors import SettingsError


def test_a_time_zone_is_one_of_the_iana_database() -> None:
    assert settings.load({}).zone is UTC
    assert settings.load({"SITREP_TIME_ZONE": " "}).time_zone == "UTC"
    assert str(settings.load({"SITREP_TIME_ZONE": "Europe/Kyiv"}).zone) == "Europe/Kyiv"


def test_paths_hold_wherever_the_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.chdir(tmp_path)
    assert settings.load({"SITREP_LANDING": "~/zone"}).landing == "/home/ann/zone"
    assert settings.load({"SITREP_LANDING": "zone"}).landing == str(tmp_path / "zone")
    assert settings.load({"SITREP_LANDING": "s3://zone"}).landing == "s3://zone"
    assert settings.load({"SITREP_ARCHIVE": "~/%Y/%m.jsonl"}).archive == "/home/ann/%Y/%m.jsonl"
    for name in ("SITREP_HOME", "SITREP_LANDING", "SITREP_ELASTICSEARCH_PASSWORD_FILE"):
        with pytest.raises(SettingsError, match="a user whom this machine does not know") as caught:
            settings.load({name: "~nobody-of-that-name/x"})
        assert caught.value.subject == name


def test_settings_in_another_encoding_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"SITREP_CONTACT=caf\xe9\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="it is not in UTF-8") as caught:
        settings.load()
    assert caught.value.subject == str(tmp_path / ".env")


@pytest.mark.parametrize("value", ["0", "-1", "many", "9" * 5000])
def test_numbers_that_are_none_are_named(value: str) -> None:
    with pytest.raises(SettingsError, match="no whole number from 1 to 1024") as caught:
        settings.load({"SITREP_WORKERS": value})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["Kiew", "+03:00", "Europe", "../../etc/passwd"])
def test_what_is_no_time_zone_is_told(name: str) -> None:
    with pytest.raises(SettingsError, match="no time zone that this machine knows") as caught:
        settings.load({"SITREP_TIME_ZONE": name})
    assert caught.value.subject == "SITREP_TIME_ZONE"
    assert "Europe/Kyiv" in (caught.value.advice or "")


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [("WORKERS", "0", 1024), ("WORKERS", "9" * 30, 1024), ("PORT", "70000", 65_535), ("PORT", "8080 ", 65_535)],
)
def test_a_number_is_one_that_can_be(name: str, value: str, most: int) -> None:
    with pytest.raises(SettingsError, match=f"is no whole number from 1 to {most}$") as told:
        settings.load({f"SITREP_{name}": value})
    assert told.value.subject == f"SITREP_{name}"
    assert settings.load({"SITREP_WORKERS": "3", "SITREP_PORT": "9090"}).port == 9090
