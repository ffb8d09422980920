"""The day of publication as a page shows it to readers: in a line of its own, near the heading or named for it.

Every line that writes a day gets points for where it stands, for what its element is named and for what it says; the
best line wins if it has enough of them. Lines of other stories, of comments and of the site's own show days as well:
a row of lines of one build that each write another day are no story's, nor is a day far away that is not alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ingest import dates, words
from ingest.clean.blocks import HEADINGS, Block, Element, names_around

_MOST_LINES = 3_000  # blocks of a page that are looked at
_LONGEST_LINE = 300
_LONGEST_HEADING = 300
_BEHIND = range(9)  # blocks from the heading
_NEAR = range(-5, 13)
_PARAGRAPH = 120  # characters
_FEW = 2  # paragraphs between the heading and a line that still stands under it
_BESIDE = 35  # characters beside the day in a line that is about it
_NOTHING = 6  # characters beside the day in a line that says nothing else
_ENOUGH = 3  # near the heading; measured: of ten such days nine are right, of those with two points three of four
_ENOUGH_AFAR = 4
_ENOUGH_ALONE = 2  # where the page writes no other day in a line
_FEWEST_OF_A_ROW = 3

_NAMED = re.compile(
    r"date|time|publi|posted|created|submitted|meta|byline|info|author|stamp|fecha|data|dato|datum|tarih|pub",
    re.IGNORECASE,
)
OF_OTHERS = re.compile(
    r"comment(?!ary)|komment|related|popular|recommend|teaser|(?<!entry-)(?<!post-)(?<!article-)footer|widget|most-?_?read|archive|event",
    re.IGNORECASE,
)
# A day behind one of these words is that of the story, …
_SAID = re.compile(
    r"publi[sckq]|posted|submitted|created|written|released|first\b|erstellt|veröffentlicht|erschienen|gespeichert"
    r"|mis en ligne|paru|inserit|creat|dodan|wydan|umieszcz|опублик|добавлен|размещ|дата|δημοσ|ημερομηνία|yayın"
    r"|发布|發布|发表|發表|时间|時間|日期|报导|報導|입력|등록|掲載|公開|نشر",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"\b(?:by|von|par|por|autor|author|van|door|di|av|af|автор)\b", re.IGNORECASE)
# … behind one of these another one's.
OTHER_DAY = re.compile(
    r"updat|modif|revis|aktualis|geändert|änderung|обновл|оновл|actuali|mis à jour|aggiorn|atualiz|aktualiz|ενημέρωση"
    r"|güncelle|copyright|©|archiv|更新",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(?<!\d)\d\d?[:.h]\d\d(?!\d)")


@dataclass(slots=True)
class _Line:
    number: int
    day: date
    points: int
    afar: bool  # from the heading
    behind: bool  # two paragraphs, or afar: where rows of other stories begin
    other: bool  # it says that it is another day than that of publication
    row: tuple[str, str]  # the tag and the names of its build


def day(
    elements: Sequence[Element],
    blocks: Sequence[Block],
    *,
    title: str | None,
    captured: datetime,
    day_first: bool = False,
) -> str | None:
    """The day that the page shows as that of its story, as ISO 8601; None where no line stands out. `day_first`: it is
    in a language that writes 03/04/2022 for the third of April."""
    lines = list(_lines(elements, blocks, heading(blocks, title), captured, day_first))
    found = _best([line for line in lines if not line.other]) or _best(lines)
    return found.isoformat() if found else None


def _best(lines: list[_Line]) -> date | None:
    days: dict[tuple[str, str], set[date]] = {}
    for line in lines:
        days.setdefault(line.row, set()).add(line.day)
    lines = [line for line in lines if not (line.behind and len(days[line.row]) >= _FEWEST_OF_A_ROW)]
    if not lines:
        return None
    for enough, afar in ((_ENOUGH, False), (_ENOUGH_AFAR, True)):
        best = max(lines, key=lambda line: (line.afar == afar, line.points, -line.number))
        if best.afar == afar and best.points >= enough:
            return best.day
    best = max(lines, key=lambda line: (line.points, -line.number))
    others = max((line.points for line in lines if line.day != best.day), default=-1)
    alone = best.points >= (_ENOUGH if best.afar else _ENOUGH_ALONE) and others < best.points - best.afar
    return best.day if alone else None


def _lines(
    elements: Sequence[Element], blocks: Sequence[Block], heading: int | None, captured: datetime, day_first: bool
) -> Iterator[_Line]:
    today = captured.astimezone(UTC).date()
    paragraphs = 0  # of the story, between the heading and the line
    for number, block in enumerate(blocks[:_MOST_LINES]):
        away = number - heading if heading is not None else 0
        paragraphs += heading is not None and away > 0 and len(block.text) > _PARAGRAPH
        if len(block.text) > _LONGEST_LINE:
            continue
        afar = heading is not None and away not in _NEAR
        for told, start, end in dates.days_in(block.text, day_first=day_first)[:3]:
            if not dates.read(told.isoformat(), captured=captured):
                continue
            if told == today and (heading is None or away < 0):
                continue  # that of the visit, as the head of every page shows it
            behind = afar or paragraphs >= _FEW
            names = names_around(elements, block.element, 3)
            if behind and (_COMMENTS.search(names) or _is_aside(elements, block.element)):
                continue
            points = _points(block, start, end, names)
            if heading is not None:
                points += 2 if away in _BEHIND and paragraphs < _FEW else away in _NEAR and away < 0
            row = block.tag, _DIGITS.sub("", names_around(elements, block.element, 1))
            yield _Line(number, told, points, afar, behind, OTHER_DAY.search(block.text[:start]) is not None, row)


def _is_aside(elements: Sequence[Element], index: int) -> bool:
    for _ in range(_LEVELS):
        if elements[index].tag == "aside":
            return True
        index = max(elements[index].up, 0)
    return False


_LEVELS = 6
_COMMENTS = re.compile(r"comment(?!ary)|komment", re.IGNORECASE)


_DIGITS = re.compile(r"\d+")


def _points(block: Block, start: int, end: int, names: str) -> int:
    """What a line says for itself, wherever it stands."""
    text = block.text
    before = text[max(0, start - 100) : start]
    beside = len(_CLOCK.sub("", text)) - (end - start)
    points = 2 * (_NAMED.search(names) is not None) + (beside < _BESIDE) + (beside < _NOTHING) - (beside > _PARAGRAPH)
    points -= (block.linked > 0.8 * len(text)) + 2 * (OF_OTHERS.search(names) is not None)
    if OTHER_DAY.search(before):
        return points - 1
    if beside < _PARAGRAPH:
        points += 2 if _SAID.search(before) else _SIGNED.search(before) is not None
        points += _CLOCK.search(text[:start][-12:] + " " + text[end:][:12]) is not None
    return points


def is_about_a_day(line: str) -> bool:
    """Whether a line writes a day and next to nothing else: who says it, and when."""
    if len(line) > 2 * _BESIDE:
        return False
    return any(len(_CLOCK.sub("", line)) - (end - start) < _BESIDE for _day, start, end in dates.days_in(line))


def heading(blocks: Sequence[Block], title: str | None) -> int | None:
    """The number of the block that is the story's heading."""
    told = words.letters(title or "")
    first = begins = None
    for number, block in enumerate(blocks):
        if len(block.text) > _LONGEST_HEADING:
            continue
        if block.tag in HEADINGS:
            said = words.letters(block.text)
            if told and said == told:
                return number
            if begins is None and len(said) >= _SHORTEST_TITLE and told.startswith(said):
                begins = number  # the title goes on with the name of the site
        if first is None and block.tag == "h1" and len(block.text) > 20:
            first = number
    if begins is not None or first is not None:
        return begins if begins is not None else first
    start = (title or "")[:40]
    return next((n for n, block in enumerate(blocks) if _is_title(block, start, told)), None)


def _is_title(block: Block, start: str, told: str) -> bool:
    """Whether a block, which is no heading by its tag, is the title or what it begins with."""
    if not start or (start not in block.text[:_LONGEST_HEADING] and block.text[:4] != start[:4]):
        return False
    said = words.letters(block.text[:_LONGEST_HEADING])
    return start in block.text or (len(said) >= _SHORTEST_TITLE and told.startswith(said))


_SHORTEST_TITLE = 8  # letters
