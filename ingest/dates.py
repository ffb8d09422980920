"""Dates of publication: read, judged and placed in time.

`published` is a string everywhere: ISO 8601 with the offset that the source gave (UTC where it gave none, written as
`Z`), or a date alone (`2022-05-24`) where no time was given.

A date counts only if it is written without doubt and plausible; everything else is None, never a guess. Refused are
days that do not exist, numbers of seconds, dates that read differently in two countries (03/04/2022), two-digit years
outside the form of RFC 822, relative dates, and zone names that mean several zones (IST). Plausible is:

- what a page or a feed states: from 1990 to two days after its capture (clocks and zones are wrong by hours, not days);
- what an archive states, which knows more than its file shows: ISO 8601 alone, from 1900 to 2100.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

# A longer string is a sentence, not a date; the longest honest form (JavaScript's, with its zone in words) has 70.
_LONGEST = 100


AHEAD = timedelta(days=2)  # how far behind its capture a date may lie: clocks and time zones are often wrong


def iso(moment: datetime) -> str:
    """An aware datetime as ISO 8601 in UTC, with microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def instant(published: str, zone: tzinfo = UTC) -> datetime:
    """The instant in UTC of what `iso` or `read` wrote; a date alone is the beginning of that day in `zone`.

    Raises ValueError for anything else, OverflowError for what lies outside the years that UTC can name.
    """
    moment = datetime.fromisoformat(published)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC)


def read(value: str, *, captured: datetime | None) -> str | None:
    """The date that a source wrote, as `published` keeps it; None where it is doubtful or implausible.

    `captured` is when the page or feed that states it was fetched; None: an archive states it.
    """
    text = unicodedata.normalize("NFKC", value.strip()[: _LONGEST + 1]).strip().casefold().replace("’", "'")
    if not text or len(text) > _LONGEST:
        return None
    try:
        found = _iso_8601(text)
        if found is None and captured is not None:
            found = _written(text)
    except ValueError:  # a day or an hour that does not exist
        return None
    return _shown(found) if found is not None and _plausible(found, captured) else None


def _plausible(found: date, captured: datetime | None) -> bool:
    if not 1900 <= found.year <= 2100:  # also keeps the arithmetic below inside what datetime can hold
        return False
    if captured is None:
        return True
    moment = found if isinstance(found, datetime) else datetime(found.year, found.month, found.day, tzinfo=UTC)
    return datetime(1990, 1, 1, tzinfo=UTC) <= moment <= captured + AHEAD


def _shown(found: date) -> str:
    text = found.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") and isinstance(found, datetime) else text


_DATE_TIME = re.compile(
    r"""(?P<year>\d{4})(?P<dash>-?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)
    (?:
        (?:t|\s+(?=\d\d:?\d\d)) (?P<hour>\d\d)
        (?: :?(?P<minute>\d\d) (?: :?(?P<second>\d\d) (?:[.,](?P<part>\d{1,12}))? )? )?
        \s*(?P<zone>z|utc|gmt|[+-]\d\d(?::?\d\d)?)? (?:\[[\w/+-]+\])?    # RFC 9557 names the zone once more
    |
        (?:z|[+-]\d\d:\d\d)?    # XML Schema's date may have a zone; a day is a day
    )""",
    re.VERBOSE | re.ASCII,
)
_WEEK_DATE = re.compile(r"(\d{4})-?w(\d\d)-?(\d)", re.ASCII)


def _iso_8601(text: str) -> date | None:
    if match := _WEEK_DATE.fullmatch(text):
        return date.fromisocalendar(*map(int, match.groups()))
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    day = date(int(match["year"]), int(match["month"]), int(match["day"]))
    if match["hour"] is None:
        return day
    return _at(day, match["hour"], match["minute"], match["second"], match["part"], _offset(match["zone"] or "z"))


def _at(day: date, hour: str, minute: str | None, second: str | None, part: str | None, zone: timezone) -> datetime:
    """That time of that day. Raises ValueError where there is none."""
    h, m, s = int(hour), int(minute or 0), int(second or 0)
    microsecond = int((part or "")[:6].ljust(6, "0"))
    if (h, m, s, microsecond) == (24, 0, 0, 0) and day.year <= 2100:  # ISO 8601: the end of the day
        return datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(days=1)
    if s == 60 and m == 59:  # a leap second, which datetime cannot hold
        s = 59
    return datetime(day.year, day.month, day.day, h, m, s, microsecond, tzinfo=zone)


def _offset(zone: str) -> timezone:
    """`z`, a name or ±hh, ±hhmm, ±hh:mm as a zone. Raises ValueError for an offset that no place on earth has."""
    if zone in _ZONES:
        return timezone(timedelta(hours=_ZONES[zone]))
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
    if minutes > 59 or hours * 60 + minutes > 14 * 60:
        raise ValueError(zone)
    return timezone((1 if zone[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))


# Zone names by their hours east of Greenwich: RFC 822's and those that news sites write. None that mean several zones
# (IST), but for CST, which RFC 822 settles, and BST, which in news is British.
_ZONES = {
    name: hours
    for hours, names in {
        0: "z utc gmt ut wet",
        1: "bst cet mez west wat",
        2: "cest mesz eet sast cat",
        3: "eest msk мск trt eat",
        5: "pkt",
        8: "hkt sgt awst",
        9: "jst kst",
        10: "aest",
        11: "aedt",
        12: "nzst",
        13: "nzdt",
        -3: "adt",
        -4: "edt",
        -5: "est cdt",
        -6: "cst mdt",
        -7: "mst pdt",
        -8: "pst akdt",
        -9: "akst",
        -10: "hst",
    }.items()
    for name in names.split()
}

# English, German, French, Spanish, Russian, Ukrainian; names and usual abbreviations.
_MONTH_NAMES = """
    january jan januar jänner janvier janv enero ene январь января янв січень січня січ
    february feb februar février fevrier févr fév febrero февраль февраля фев февр лютий лютого лют
    march mar märz maerz mär mrz mars marzo март марта мар березень березня бер
    april apr avril avr abril abr апрель апреля апр квітень квітня кві квіт
    may mai mayo май мая травень травня тра трав
    june jun juni juin junio июнь июня июн червень червня чер черв
    july jul juli juillet juil julio июль июля июл липень липня лип
    august aug août aout agosto ago август августа авг серпень серпня сер серп
    september sep sept septembre septiembre setiembre set сентябрь сентября сен сент вересень вересня вер
    october oct oktober okt octobre octubre октябрь октября окт жовтень жовтня жов жовт
    november nov novembre noviembre ноябрь ноября ноя нояб листопад листопада лис лист
    december dec dezember dez décembre decembre déc diciembre dic декабрь декабря дек грудень грудня гру груд
"""
# Italian, Portuguese, Polish, Dutch, Swedish, Romanian, Turkish, Greek: what they do not share with those.
_MORE_MONTH_NAMES = """
    gennaio gen janeiro stycznia styczeń januari ianuarie ocak ιανουαρίου ιαν
    febbraio fevereiro fev lutego luty februari februarie şubat φεβρουαρίου φεβ
    março marca marzec maart mart martie μαρτίου μαρ
    aprile kwietnia kwiecień aprilie nisan απριλίου απρ
    maggio mag maio maja maj mei mayıs μαΐου μαϊου μάιος
    giugno giu junho czerwca czerwiec iunie haziran ιουνίου ιουν
    luglio lug julho lipca lipiec iulie temmuz ιουλίου ιουλ
    sierpnia sierpień augustus augusti ağustos αυγούστου αυγ
    settembre setembro września wrzesień septembrie eylül σεπτεμβρίου σεπ σεπτ
    ottobre ott outubro out października październik octombrie ekim οκτωβρίου οκτ
    novembro listopada noiembrie kasım νοεμβρίου νοε
    dicembre dezembro grudnia grudzień decembrie aralık δεκεμβρίου δεκ
"""
# Abbreviations of Polish (but for that of August, a German word); Czech, Hungarian, Finnish, Danish and Norwegian,
# Croatian (but for October, which is November in Polish), Serbian, Bulgarian, Indonesian, Arabic, Hebrew.
_STILL_MORE_MONTH_NAMES = """
    sty ledna január tammikuuta siječnja januara јануара януари يناير ינואר
    lut února február helmikuuta veljače februara фебруара февруари فبراير شباط פברואר
    března március maaliskuuta marts ožujka марта maret مارس آذار מרץ
    kwi dubna április huhtikuuta travnja aprila априла أبريل نيسان אפריל
    května május toukokuuta svibnja maja маја mei مايو أيار מאי
    cze června június kesäkuuta lipnja juna јуна юни يونيو حزيران יוני
    lip července július heinäkuuta srpnja jula јула юли يوليو تموز יולי
    srpna augusztus elokuuta kolovoza avgusta agustus أغسطس آب אוגוסט
    wrz září szeptember syyskuuta rujna septembra септембра септември سبتمبر أيلول ספטמבר
    paź října október lokakuuta oktobra октобра октомври أكتوبر אוקטובר
    lis listopadu marraskuuta studenoga studenog novembra новембра ноември نوفمبر נובמבר
    gru prosince joulukuuta desember prosinca decembra децембра декември ديسمبر דצמבר
"""
_MONTHS = {
    name: month
    for table in (_MONTH_NAMES, _MORE_MONTH_NAMES, _STILL_MORE_MONTH_NAMES)
    for month, names in enumerate(table.strip().splitlines(), start=1)
    for name in names.split()
}


def month(name: str) -> int | None:
    """The month of that name or abbreviation in one of a dozen languages, 1 to 12."""
    return _MONTHS.get(name.casefold())


_WEEKDAY_NAMES = """
    monday mon montag mo lundi lun lunes понедельник пн понеділок
    tuesday tue tues dienstag di mardi mar martes вторник вт вівторок
    wednesday wed mittwoch mi mercredi mer miércoles mié среда ср середа
    thursday thu thur thurs donnerstag do jeudi jeu jueves jue четверг чт четвер
    friday fri freitag fr vendredi ven viernes vie пятница пт п'ятниця
    saturday sat samstag sonnabend sa samedi sam sábado sáb суббота сб субота
    sunday sun sonntag so dimanche dim domingo dom воскресенье вс неділя нд
"""
_WEEKDAYS = frozenset(_WEEKDAY_NAMES.split())
# Words that may stand in a date and say nothing: prepositions, endings of ordinals, "o'clock", "year".
_FILLER_WORDS = "at on of the st nd rd th um uhr am den der le à a er de del las el h в о г года год р року"
_FILLERS = frozenset(_FILLER_WORDS.split())

_CJK = re.compile(r"(\d{4})[年년]\s?(\d{1,2})[月월]\s?(\d{1,2})[日일]", re.ASCII)
_COMPACT = re.compile(r"(\d{8})(\d{6})", re.ASCII)
_TIME = re.compile(
    r"""(?<![\d:.,]) (?P<hour>\d{1,2})
    (?: :(?P<minute>\d\d) (?: :(?P<second>\d\d) (?:[.,](?P<part>\d{1,9}))? )? | h(?P<french>\d\d) ) (?![\d:])
    (?: \s*(?P<half>[ap])\.?\s?m\b\.? )?
    (?: (?: \s*(?:gmt|utc)?\s*(?P<zone>[+-]\d\d:?\d\d) | \s*(?:gmt|utc)(?P<short>[+-]\d{1,2}) ) (?!\d)
        (?: \s*\([^()]*\)$ | \s[a-z]{3,4}$ )? )?    # some name the zone once more, in words
    """,
    re.VERBOSE | re.ASCII,
)
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([-/.])(\d\d?)\2(\d\d?)(?!\d)", re.ASCII)
_YEAR_LAST = re.compile(r"(?<!\d)(\d\d?)([-/.])(\d\d?)\2(\d{4})(?!\d)", re.ASCII)
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|\S")


def _written(text: str) -> date | None:
    """A date as RFC 822, content management systems and people write it. Raises ValueError or gives None in doubt.

    Every word of it must be understood: what is left over ("updated", "3 hours ago") could change the meaning.
    """
    if match := _COMPACT.fullmatch(text):
        return _iso_8601(f"{match[1]}t{match[2]}")
    text = _CJK.sub(r"\1-\2-\3 ", text)
    times = list(_TIME.finditer(text))
    if len(times) > 1:
        return None
    if times:
        text = f"{text[: times[0].start()]} {text[times[0].end() :]}"
    day, rest = _numeric(text)
    words = [token for token in _TOKEN.findall(rest) if token[0] not in ",.-/|·•–—()"]
    zones = [word for word in words if word in _ZONES]
    words = [word for word in words if word not in _ZONES and word not in _FILLERS]
    if day is None:
        day, words = _named(words, timed=bool(times))
    if day is None or len(zones) > 1 or not all(word in _WEEKDAYS for word in words) or len(words) > 1:
        return None
    if not times:
        return day
    return _timed(day, times[0], zones[0] if zones else "z")


def _timed(day: date, match: re.Match[str], name: str) -> datetime:
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(match[0])
        hour = hour % 12 + (12 if match["half"] == "p" else 0)
    short = match["short"]  # GMT+2
    zone = match["zone"] or (f"{short[0]}{short[1:]:0>2}" if short else name)
    return _at(day, str(hour), match["minute"] or match["french"], match["second"], match["part"], _offset(zone))


def _numeric(text: str) -> tuple[date | None, str]:
    """The date in digits and what stands around it; the text itself where there is none."""
    if match := _YEAR_FIRST.search(text):
        year, month, day = int(match[1]), int(match[3]), int(match[4])
    elif match := _YEAR_LAST.search(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        if first <= 12 and second <= 12 and first != second:  # the third of April or the fourth of March
            raise ValueError(match[0])
        month, day = (first, second) if second > 12 else (second, first)
    else:
        return None, text
    return date(year, month, day), f"{text[: match.start()]} {text[match.end() :]}"


def _named(words: list[str], *, timed: bool) -> tuple[date | None, list[str]]:
    """The date with a month by name and the words that are left."""
    months = [word for word in words if word in _MONTHS]
    if len(months) > 1:  # "mar. 24 mai": Tuesday, not March
        months = [word for word in months if word not in _WEEKDAYS]
    numbers = [word for word in words if word.isdecimal()]
    if len(months) != 1 or len(numbers) != 2 or not all(number.isascii() for number in numbers):
        return None, words
    day, year = sorted(numbers, key=len) if 4 in map(len, numbers) else numbers
    others = [word for word in words if word not in months and word not in numbers]
    if len(day) > 2 or len(year) not in (2, 4):
        return None, words
    if len(year) == 2:
        if not timed or words.index(months[0]) < words.index(day):  # only RFC 822 writes years so without doubt
            return None, words
        year = f"{'20' if int(year) < 50 else '19'}{year}"
    return date(int(year), _MONTHS[months[0]], int(day)), others


_NAMES = "|".join(sorted(_MONTHS, key=len, reverse=True))
_YEAR = r"((?:19|20)\d\d)"
_BEGINS = r"(?:(?<![^\W\d_])|(?-i:(?<=[^\W\d_A-Z])(?=[A-Z])))"  # pages also write "Ines FalkMay 24, 2022"
_EITHER = (4, 3, 1)  # groups of year, month and day, or of year, day and month
_DAYS = [
    (re.compile(rf"(?<!\d)(?:{pattern})(?!\d)", re.IGNORECASE), order)
    for pattern, order in (
        (rf"{_YEAR}([-/.])(\d\d?)\2(\d\d?)", (1, 3, 4)),
        (rf"{_YEAR}[年년]\s?(\d\d?)[月월]\s?(\d\d?)[日일]", (1, 2, 3)),
        (rf"{_YEAR}[.,]?\s({_NAMES})\.?\s(\d\d?)", (1, 2, 3)),
        (
            rf"(\d\d?)(?:st|nd|rd|th|er|º)?[\s.,/-]{{0,3}}(?:de\s|of\s|ב)?(?:(?:{_NAMES})\s/\s)?({_NAMES})[.,]?[\s/-]{{0,2}}(?:del?\s)?{_YEAR}",
            (3, 2, 1),
        ),
        (rf"{_BEGINS}({_NAMES})\.?\s?(\d\d?)(?:st|nd|rd|th)?,?\s{{1,2}}{_YEAR}", (3, 1, 2)),
        (rf"(\d\d?)\.(\d\d?)\.{_YEAR}", (3, 2, 1)),
        (rf"(\d\d?)([-/])(\d\d?)\2{_YEAR}", _EITHER),
    )
]
_A_YEAR = re.compile(r"(?:19|20)\d\d", re.ASCII)


def days_in(text: str, *, day_first: bool = False) -> list[tuple[date, int, int]]:
    """The days that a line writes in full, each with where it begins and ends; in doubt there is none: 03/04/2022 is
    the third of April only if its language writes the day first (`day_first`)."""
    if not _A_YEAR.search(text):
        return []
    found = []
    for pattern, order in _DAYS:
        for match in pattern.finditer(text):
            year, month, day = (match[group] for group in order)
            try:
                told = _day_of(year, month, day, doubted=order == _EITHER, day_first=day_first)
                found.append((told, match.start(), match.end()))
            except ValueError:  # a day that does not exist, or one of two
                continue
    return sorted(found, key=lambda each: each[1])


def _day_of(year: str, month: str, day: str, *, doubted: bool, day_first: bool) -> date:
    """The day; `doubted`: day and month may stand the other way round. Raises ValueError where there is none."""
    m, d = _MONTHS.get(month.casefold()) or int(month), int(day)
    if doubted and d <= 12 and m <= 12 and d != m and not day_first:
        raise ValueError(day)
    return date(int(year), d, m) if doubted and m > 12 else date(int(year), m, d)
