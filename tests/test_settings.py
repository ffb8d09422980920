"""Settings that have no other place to be tested."""

from __future__ import annotations

from datetime import UTC

import pytest

from ingest import settings
from ingest.errors import SettingsError


def test_a_time_zone_is_one_of_the_iana_database() -> None:
    assert settings.load({}).zone is UTC
    assert settings.load({"SITREP_TIME_ZONE": " "}).time_zone == "UTC"
    assert str(settings.load({"SITREP_TIME_ZONE": "Europe/Kyiv"}).zone) == "Europe/Kyiv"


@pytest.mark.parametrize("name", ["Kiew", "+03:00", "Europe", "../../etc/passwd"])
def test_what_is_no_time_zone_is_told(name: str) -> None:
    with pytest.raises(SettingsError, match="no time zone that this machine knows") as caught:
        settings.load({"SITREP_TIME_ZONE": name})
    assert caught.value.subject == "SITREP_TIME_ZONE"
    assert "Europe/Kyiv" in (caught.value.advice or "")
