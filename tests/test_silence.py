"""Whether a quiet day means calm or dead feeds."""

from __future__ import annotations

from datetime import date, timedelta

from ingest.pipeline.silence import LEAST, WINDOW, quiet

DAYS = [(date(2022, 5, 1) + timedelta(days=n)).isoformat() for n in range(40)]
LATER = "2023-01-01"


def told(*days: str) -> dict[str, int]:
    return dict.fromkeys(days, 3)


def test_a_day_without_half_of_the_usual_outlets_is_quiet_and_names_them() -> None:
    day = DAYS[20]
    steady, lame = told(*DAYS), told(*(each for each in DAYS if each != day))
    found = quiet({"a.example": steady, "b.example": lame, "c.example": lame, "d.example": lame}, DAYS, today=LATER)
    assert list(found) == [day]
    assert found[day].usual == 4
    assert found[day].silent == ("b.example", "c.example", "d.example")


def test_less_than_half_is_no_news() -> None:
    lame = told(*(each for each in DAYS if each != DAYS[20]))
    assert quiet({"a": told(*DAYS), "b": told(*DAYS), "c": lame}, DAYS, today=LATER) == {}


def test_calm_is_not_silence_where_nobody_is_usual() -> None:
    rare = {f"{n}.example": told(DAYS[n]) for n in range(40)}
    assert quiet(rare, DAYS, today=LATER) == {}


def test_a_day_on_which_feeds_were_read_and_nobody_told_anything_is_quiet() -> None:
    both = {"a": told(*DAYS[:20]), "b": told(*DAYS[:20])}
    assert list(quiet(both, DAYS[:22], today=LATER)) == DAYS[20:22]


def test_a_day_that_nobody_watched_says_nothing() -> None:
    both = {"a": told(*DAYS[:20], *DAYS[25:]), "b": told(*DAYS[:20], *DAYS[25:])}
    assert quiet(both, [*DAYS[:20], *DAYS[25:]], today=LATER) == {}


def test_nobody_knows_what_is_usual_in_the_first_days_and_today_is_not_over() -> None:
    lame = told(*DAYS[:LEAST], *DAYS[LEAST + 1 :])
    outlets = {"a": lame, "b": lame}
    assert list(quiet(outlets, DAYS, today=LATER)) == [DAYS[LEAST]]
    early = told(*DAYS[: LEAST - 1], *DAYS[LEAST:])
    assert quiet({"a": early, "b": early}, DAYS, today=LATER) == {}
    assert quiet(outlets, DAYS, today=DAYS[LEAST]) == {}


def test_an_outlet_that_ended_long_ago_is_not_usual_any_more() -> None:
    ended = told(*DAYS[: 40 - WINDOW])
    found = quiet({"a": told(*DAYS), "b": told(*DAYS), "c": ended, "d": ended}, DAYS, today=LATER)
    assert found
    assert DAYS[-1] not in found
