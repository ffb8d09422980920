"""Dates: what is written without doubt is read, whoever wrote it; what is doubtful is None, never a guess."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest import dates, time_zones

CAPTURED = datetime(2022, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        # ISO 8601, RFC 3339 and what comes close
        ("2022-05-24T10:15:30Z", "2022-05-24T10:15:30Z"),
        ("2022-05-24t10:15:30z", "2022-05-24T10:15:30Z"),
        ("2022-05-24T10:15:30+02:00", "2022-05-24T10:15:30+02:00"),
        ("2022-05-24T10:15:30+0200", "2022-05-24T10:15:30+02:00"),
        ("2022-05-24T10:15:30-05", "2022-05-24T10:15:30-05:00"),
        ("2022-05-24T10:15:30-00:00", "2022-05-24T10:15:30Z"),
        ("2022-05-24T10:15:30.000Z", "2022-05-24T10:15:30Z"),
        ("2022-05-24T10:15:30.25+02:00", "2022-05-24T10:15:30.250000+02:00"),
        ("2022-05-24T10:15:30,123456789Z", "2022-05-24T10:15:30.123456Z"),
        ("2022-05-24T10:15", "2022-05-24T10:15:00Z"),
        ("2022-05-24T10", "2022-05-24T10:00:00Z"),
        ("2022-05-24 10:15:30", "2022-05-24T10:15:30Z"),
        ("2022-05-24 10:15:30 +0530", "2022-05-24T10:15:30+05:30"),
        ("2022-05-24 10:15:30 UTC", "2022-05-24T10:15:30Z"),
        ("  2022-05-24\n", "2022-05-24"),
        ("2022-05-24T24:00:00Z", "2022-05-25T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("20220524T101530Z", "2022-05-24T10:15:30Z"),
        ("20220524", "2022-05-24"),
        ("2022-W21-2", "2022-05-24"),
        ("2022-05-24+02:00", "2022-05-24"),
        ("2022-05-24T10:15:30+02:00[Europe/Berlin]", "2022-05-24T10:15:30+02:00"),
        ("２０２２-０５-２４", "2022-05-24"),
        # RFC 822, 2822, 850, 1123, C and Java
        ("Tue, 24 May 2022 10:15:30 GMT", "2022-05-24T10:15:30Z"),
        ("Tue, 24 May 2022 10:15:30 +0200", "2022-05-24T10:15:30+02:00"),
        ("Tue, 24 May 2022 10:15:30 -0000", "2022-05-24T10:15:30Z"),
        ("Tue, 24 May 2022 10:15:30 EST", "2022-05-24T10:15:30-05:00"),
        ("Tue, 24 May 2022 10:15:30 EDT", "2022-05-24T10:15:30-04:00"),
        ("Tue, 24 May 2022 10:15:30 PST", "2022-05-24T10:15:30-08:00"),
        ("Tue, 24 May 2022 10:15:30 CET", "2022-05-24T10:15:30+01:00"),
        ("Tue, 24 May 2022 10:15:30 MSK", "2022-05-24T10:15:30+03:00"),
        ("Tue, 24 May 2022 10:15:30 Z", "2022-05-24T10:15:30Z"),
        ("Tue, 24 May 2022 10:15:30 +0200 (CEST)", "2022-05-24T10:15:30+02:00"),
        ("Tue, 24 May 2022 10:15:30", "2022-05-24T10:15:30Z"),
        ("Tue, 24 May 22 10:15:30 GMT", "2022-05-24T10:15:30Z"),
        ("24 May 99 10:15 UT", "1999-05-24T10:15:00Z"),
        ("Tuesday, 24-May-22 10:15:30 GMT", "2022-05-24T10:15:30Z"),
        ("4 May 2022 1:15 GMT", "2022-05-04T01:15:00Z"),
        ("Tue May 24 10:15:30 2022", "2022-05-24T10:15:30Z"),
        ("Tue May 24 10:15:30 CEST 2022", "2022-05-24T10:15:30+02:00"),
        ("Tue May 24 10:15:30 +0000 2022", "2022-05-24T10:15:30Z"),
        ("Tue May 24 2022 10:15:30 GMT+0200 (Central European Summer Time)", "2022-05-24T10:15:30+02:00"),
        ("2022-05-24 10:15:30 -0400 EDT", "2022-05-24T10:15:30-04:00"),
        ("2022-05-24 10:15:30 EDT", "2022-05-24T10:15:30-04:00"),
        # content management systems and people
        ("May 24, 2022", "2022-05-24"),
        ("May 24, 2022 10:15 am", "2022-05-24T10:15:00Z"),
        ("May 24, 2022, 12:05 a.m. EDT", "2022-05-24T00:05:00-04:00"),
        ("May 24, 2022 at 10:15 PM UTC", "2022-05-24T22:15:00Z"),
        ("Tuesday, May 24, 2022 - 10:15", "2022-05-24T10:15:00Z"),
        ("24th May 2022", "2022-05-24"),
        ("10:15, 24 May 2022", "2022-05-24T10:15:00Z"),
        ("2022/05/24 10:15", "2022-05-24T10:15:00Z"),
        ("2022-5-4", "2022-05-04"),
        ("24/05/2022", "2022-05-24"),
        ("05/24/2022 10:15 PM", "2022-05-24T22:15:00Z"),
        ("04/04/2022", "2022-04-04"),
        ("24.05.2022, 10:15 Uhr", "2022-05-24T10:15:00Z"),
        ("20220524101530", "2022-05-24T10:15:30Z"),
        ("24. Mai 2022 um 10:15 Uhr", "2022-05-24T10:15:00Z"),
        ("Dienstag, 1. März 2022", "2022-03-01"),
        ("le 24 mai 2022 à 10h15", "2022-05-24T10:15:00Z"),
        ("1er février 2022", "2022-02-01"),
        ("mar. 24 mai 2022", "2022-05-24"),
        ("24 de mayo de 2022", "2022-05-24"),
        ("martes, 24 may 2022", "2022-05-24"),
        ("24 мая 2022, 10:15", "2022-05-24T10:15:00Z"),
        ("24 мая 2022 г. 10:15 мск", "2022-05-24T10:15:00+03:00"),
        ("24 травня 2022 р.", "2022-05-24"),
        ("П’ятниця, 27 травня 2022, 10:15", "2022-05-27T10:15:00Z"),
        ("2022年5月24日 10:15", "2022-05-24T10:15:00Z"),
        ("2022년 5월 24일 10:15", "2022-05-24T10:15:00Z"),
        ("24 lip 2021", "2021-07-24"),
        ("24. května 2022", "2022-05-24"),
        ("24 toukokuuta 2022", "2022-05-24"),
        ("24 май 2022", "2022-05-24"),
        ("24 May 2022 10:15 GMT+2", "2022-05-24T10:15:00+02:00"),
    ],
)
def test_reads_what_is_written_without_doubt(written: str, expected: str) -> None:
    assert dates.read(written, captured=CAPTURED) == expected


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "yesterday",
        "3 hours ago",
        "24 May",
        "May 2022",
        "2022",
        "2022-05",
        "2024-02-30",
        "2022-02-30",
        "2022-13-45",
        "2022-13-45T99:99:99Z",
        "2022-05-24T25:00:00Z",
        "2022-05-24T10:61:00Z",
        "2022-05-24T10:15:30+25:00",
        "2022-05-24T10:15:30+14:30",
        "2022-05-24T10:15:30+02:75",
        "2022-W60-1",
        "1653387330",
        "1653387330000",
        "/Date(1653387330000)/",
        "03/04/2022",
        "03.04.2022",
        "3-4-2022 10:15",
        "24/05/22",
        "24 May 22",
        "22 May 24 10:15 o",
        "May 24 22 10:15",
        "2022-24-05",
        "0000-05-24",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-12:00",
        "10000-01-01",
        "-001-01-01",
        "31 June 2022",
        "Tue, 24 May 2022 25:15:30 GMT",
        "May 24, 2022 13:15 PM",
        "May 24, 2022 0:15 AM",
        "Tue, 24 May 2022 10:15:30 IST",
        "Tue, 24 May 2022 10:15:30 Nowhere",
        "Updated 24 May 2022",
        "24 May 2022 - 26 May 2022",
        "24 May 2022 10:15 11:30",
        "24 May June 2022",
        "24 May 2022" + " ." * 50,
        "٢٤ May 2022",
    ],
)
def test_refuses_what_is_doubtful(written: str) -> None:
    assert dates.read(written, captured=CAPTURED) is None
    assert dates.read(written, captured=None) is None


def test_a_page_may_be_two_days_ahead_of_its_capture_and_no_more() -> None:
    assert dates.read("2022-06-03T12:00:00Z", captured=CAPTURED) == "2022-06-03T12:00:00Z"
    assert dates.read("2022-06-03T12:00:01Z", captured=CAPTURED) is None
    assert dates.read("2022-06-03T13:59:59+02:00", captured=CAPTURED) == "2022-06-03T13:59:59+02:00"
    assert dates.read("2022-06-03", captured=CAPTURED) == "2022-06-03"
    assert dates.read("2022-06-04", captured=CAPTURED) is None


def test_a_page_states_no_date_before_1990() -> None:
    assert dates.read("1990-01-01", captured=CAPTURED) == "1990-01-01"
    assert dates.read("1989-12-31T23:59:59Z", captured=CAPTURED) is None


def test_an_archive_states_dates_from_1900_on_and_may_know_the_future() -> None:
    assert dates.read("1900-01-01", captured=None) == "1900-01-01"
    assert dates.read("1899-12-31", captured=None) is None
    assert dates.read("2100-12-31T23:59:59Z", captured=None) == "2100-12-31T23:59:59Z"
    assert dates.read("2101-01-01", captured=None) is None
    assert dates.read("1941-06-22 04:00", captured=None) == "1941-06-22T04:00:00Z"


@pytest.mark.parametrize("written", ["Tue, 24 May 2022 10:15:30 GMT", "24 May 2022", "24/05/2022", "2022/05/24"])
def test_an_archive_writes_iso_8601_or_nothing(written: str) -> None:
    assert dates.read(written, captured=None) is None
    assert dates.read(written, captured=CAPTURED) is not None


OFFSETS = st.integers(-12 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))
MOMENTS = st.datetimes(datetime(1990, 1, 2), datetime(2022, 5, 31), timezones=OFFSETS)  # noqa: DTZ001 - hypothesis adds the zone


@given(MOMENTS)
def test_iso_8601_keeps_instant_and_offset(moment: datetime) -> None:
    read = dates.read(moment.isoformat(), captured=CAPTURED)
    assert read is not None
    assert datetime.fromisoformat(read) == moment
    assert datetime.fromisoformat(read).utcoffset() == moment.utcoffset()
    assert dates.read(read, captured=CAPTURED) == read == dates.read(read, captured=None)


@given(MOMENTS)
def test_rfc_2822_keeps_instant_and_offset(moment: datetime) -> None:
    read = dates.read(format_datetime(moment), captured=CAPTURED)
    assert read is not None
    assert dates.instant(read) == moment.replace(microsecond=0)


@given(st.one_of(st.text(max_size=120), st.from_regex(r"[0-9TZ:+\-/. ]{0,30}", fullmatch=True)), st.booleans())
@example("0001-01-01T00:00:00+23:59", True)
@example("2022-05-24 10:15:30 " + "(" * 70, True)
@example("\ud800", True)
def test_never_raises_and_what_it_gives_can_be_placed_in_time(written: str, paged: bool) -> None:
    read = dates.read(written, captured=CAPTURED if paged else None)
    if read is not None:
        assert 1900 <= int(read[:4]) <= 2101
        dates.instant(read)
        assert dates.read(read, captured=CAPTURED if paged else None) == read


PARTS = "24 5 2022 22 10:15 10:15:30 am pm May mai мая Tue, GMT +0200 EST ago um 2022-05-24 24/05/2022 T Z , . -"
WORDS = st.sampled_from(PARTS.split())


@given(st.lists(WORDS, max_size=8).map(" ".join))
def test_any_mixture_of_the_parts_of_a_date_is_the_right_one_or_none(written: str) -> None:
    read = dates.read(written, captured=CAPTURED)
    assert read is None or read[:10] in ("2022-05-24", "2022-05-05", "2022-05-22", "2005-05-24", "2022-05-23")


def test_iso_and_instant_are_inverse() -> None:
    moment = datetime(2022, 5, 24, 10, 15, 30, tzinfo=UTC)
    assert dates.instant(dates.iso(moment)) == moment
    assert dates.instant("2022-05-24") == datetime(2022, 5, 24, tzinfo=UTC)
    assert dates.instant("2022-05-24T10:15:30+02:00") == moment - timedelta(hours=2)
    with pytest.raises(ValueError, match="Invalid"):
        dates.instant("yesterday")


def test_a_day_begins_with_its_time_zone() -> None:
    kyiv = time_zones.named("Europe/Kyiv")
    assert dates.instant("2022-03-27", kyiv) == datetime(2022, 3, 26, 22, tzinfo=UTC)
    assert dates.instant("2022-03-28", kyiv) == datetime(2022, 3, 27, 21, tzinfo=UTC)  # the day before had 23 hours
    assert dates.instant("2022-03-28T00:00Z", kyiv) == datetime(2022, 3, 28, tzinfo=UTC)
    # in Beirut clocks go forward at midnight: the day begins at one
    assert dates.instant("2022-03-27", time_zones.named("Asia/Beirut")) == datetime(2022, 3, 26, 22, tzinfo=UTC)


@pytest.mark.parametrize("name", ["", "Europe", "Europe/Nowhere", "../etc/passwd", "/etc/localtime", "a\0b", "Ж"])
def test_what_is_no_time_zone(name: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        time_zones.named(name)


@pytest.mark.parametrize("name", ["Europe/Kyiv", "America/St_Johns", "Africa/Casablanca", "Asia/Kathmandu", "UTC"])
def test_offsets_are_those_of_every_moment(name: str) -> None:
    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1968, 2025))
    told = time_zones.offsets(name, first, last)
    for at in range(first, last, 40_009):  # eleven hours and some, so that every hour has its turn
        ahead = [offset for since, offset in told if since <= at][-1]
        assert timedelta(seconds=ahead) == datetime.fromtimestamp(at, time_zones.named(name)).utcoffset()
    assert all(before != after for (_, before), (_, after) in itertools.pairwise(told))
    assert time_zones.offsets(name, 0, 0) == time_zones.offsets(name, 0, 1)[:1]


@pytest.mark.parametrize(
    ("line", "days"),
    [
        ("By Mara Lind | 5 May 2022 at 10:15", ["2022-05-05"]),
        ("Posted May 5th, 2022, seen 2022-05-09", ["2022-05-05", "2022-05-09"]),
        ("Opublikowano: 21 grudnia 2011 r.", ["2011-12-21"]),
        ("Δημοσίευση: 4 Απριλίου 2013", ["2013-04-04"]),
        ("2012年1月12日 17:09", ["2012-01-12"]),
        ("05.04.2025 and 17/08/2024 and 08/17/2024", ["2025-04-05", "2024-08-17", "2024-08-17"]),
        ("03/04/2022", []),  # the third of April or the fourth of March
        ("31 June 2022, 120 May 2022, order 12022-05-05", []),
    ],
)
def test_the_days_in_a_line(line: str, days: list[str]) -> None:
    found = dates.days_in(line)
    assert [day.isoformat() for day, _, _ in found] == days
    assert all(str(day.year) in line[start:end] for day, start, end in found)
