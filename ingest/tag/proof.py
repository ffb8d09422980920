"""A story's sentences + rules → proofs → topics."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.models import Evidence, Status, Tags
from ingest.tag.rules import Book, Compiled

MAX_EVIDENCE = 20  # for a topic in a story; what is proved twenty times needs no more proof
NEGATION_REACH = 4  # words before the pair in which "not", "no", "denied" is taken to mean it
STATUS_REACH = 8  # the same for the other markers
OFF_SUBJECT = 3  # sentences with a story blocker: one or two are a figure of speech or an aside
LONG = 4  # sentences of a text from which on its title, lead and headings count twice; a shorter one is all lead
LEAD = 2  # sentences of the text that count as its lead
MAIN_SHARE = 1 / 4  # a topic that fills a third of a text is not proved by every sentence of it
MAIN_LEAST = 3  # sentences that must prove it for its share to count

_YEAR = re.compile(r"(19[3-9]\d|20[0-4]\d)(?!\d)(?<!\d{5})")  # what stands before it is looked at last: the faster
# "in 2014", "since 2014" places an act in that year; "24 May 2022" and "a 2022 law" do not.
_IN_YEAR = re.compile(
    r"\b(?:in|since|during|of|between|until|from|im jahr|seit|en|depuis|desde|в|с|у|з|від|до)\s+"
    r"(19[3-9]\d|20[0-4]\d)(?!\d)",
    re.I,
)


@dataclass(slots=True)
class Sentence:
    """A sentence's span and what stands in it: (first word, one past the last, slots), and all slots together."""

    start: int
    end: int
    hits: list[tuple[int, int, int]]
    mask: int
    around: int = 0  # the slots of this sentence and its neighbours


@dataclass(frozen=True, slots=True)
class Proof:
    """An evidence, what it weighs, whether its status carries the topic, and its sentence's place in the field."""

    evidence: Evidence
    weight: float
    carries: bool
    sentence: int


def read(book: Book, text: str, spans: Sequence[tuple[int, int]]) -> list[Sentence]:
    """What the book's words say of each of these sentences."""
    findall, hits_of = book.lexicon.token.findall, book.lexicon.hits
    found: list[Sentence] = []
    teasing = 0
    for start, end in spans:
        hits = hits_of(findall(text, start, end))
        mask = 0
        for hit in hits:
            mask |= hit[2]
        if mask & book.teaser or start < teasing:
            # It points to other stories, and so does what follows it on its line.
            teasing = teasing if start < teasing else _line_end(text, start)
            hits, mask = [], 0
        sentence = Sentence(start, end, hits, mask, mask)
        if found:
            sentence.around |= found[-1].mask
            found[-1].around |= mask
        found.append(sentence)
    return found


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def latest_year(text: str) -> int:
    """The latest year that a text names, 0 if none."""
    return max(map(int, _YEAR.findall(text)), default=0)


def whole(book: Book, found: Sequence[Sentence]) -> tuple[int, int]:
    """The slots that a story fills, and the story blockers that stand in too many of its sentences."""
    story = 0
    for sentence in found:
        story |= sentence.mask
    off = 0
    for bit in {rule.story_block for rule in book.rules} - {0}:
        if story & bit and sum(1 for sentence in found if sentence.mask & bit) >= OFF_SUBJECT:
            off |= bit
    return story, off


def fitting(book: Book, found: Sequence[Sentence]) -> list[Compiled]:
    """The rules that the story as a whole allows: of most, it lacks a word that some sentence would have to have."""
    story, off = whole(book, found)
    return [
        rule
        for rule in book.rules
        if story & rule.need == rule.need
        and (story & rule.nearby or not rule.nearby)
        and (story & rule.story or not rule.story)
        and not off & rule.story_block
    ]


def prove(
    book: Book, rules: Sequence[Compiled], name: str, text: str, found: Sequence[Sentence], latest: int
) -> list[Proof]:
    """The proofs in one field: for each sentence and topic the one of greatest weight that carries it, else one that
    does not."""
    proofs: list[Proof] = []
    for index, sentence in enumerate(found):
        if not sentence.mask:
            continue
        best: dict[str, Proof] = {}
        mask, around = sentence.mask, sentence.around
        for rule in rules:
            if (around if rule.across else mask) & rule.need != rule.need or mask & rule.block:
                continue
            if (rule.nearby and not around & rule.nearby) or (rule.across and not mask & (rule.act or rule.thing)):
                continue
            known = best.get(rule.rule.topic)
            if known is not None and known.carries:
                continue
            proof = applied(book, rule, name, text, found, index, latest)
            if proof is not None and (known is None or proof.carries):
                best[rule.rule.topic] = proof
        proofs += best.values()
    return proofs


def applied(
    book: Book, rule: Compiled, name: str, text: str, found: Sequence[Sentence], index: int, latest: int
) -> Proof | None:
    """The proof that a rule gives in one sentence whose slots allow it; None where act and thing do not meet."""
    sentence = found[index]
    spans = [match.span() for match in book.lexicon.token.finditer(text, sentence.start, sentence.end)]
    pair = _pair(book, rule, sentence, text, spans)
    if pair is not None:
        status = _status(book, sentence, pair, text, spans, latest)
        places = [(spans[a][0], spans[b - 1][1]) for a, b in pair]
        context = rule.need & ~(rule.act | rule.thing)
        places += [(spans[a][0], spans[b - 1][1]) for a, b, mask in sentence.hits if mask & context][:1]
        return _proof(rule, name, text, sentence.start, sentence.end, places, status, index)
    if rule.rule.scope == "neighbours" and rule.act and rule.thing:
        return _apply_across(book, rule, name, text, found, index, latest)
    return None


def _apply_across(
    book: Book, rule: Compiled, name: str, text: str, found: Sequence[Sentence], index: int, latest: int
) -> Proof | None:
    """An act in this sentence, its thing in a neighbouring one: both together are the proof."""
    here = found[index]
    act = next((hit for hit in here.hits if hit[2] & rule.act), None)
    if act is None:
        return None
    for other in (index + 1, index - 1):
        if not 0 <= other < len(found) or not found[other].mask & rule.thing or found[other].mask & rule.block:
            continue
        there = found[other]
        spans = [match.span() for match in book.lexicon.token.finditer(text, here.start, here.end)]
        spans_there = [match.span() for match in book.lexicon.token.finditer(text, there.start, there.end)]
        thing = next(hit for hit in there.hits if hit[2] & rule.thing)
        places = [
            (spans[act[0]][0], spans[act[1] - 1][1]),
            (spans_there[thing[0]][0], spans_there[thing[1] - 1][1]),
        ]
        status = _status(book, here, [act[:2]], text, spans, latest)
        start, end = min(here.start, there.start), max(here.end, there.end)
        return _proof(rule, name, text, start, end, places, status, index)
    return None


def _proof(
    rule: Compiled,
    name: str,
    text: str,
    start: int,
    end: int,
    places: list[tuple[int, int]],
    status: Status,
    index: int,
) -> Proof:
    words = tuple((a - start, b - start) for a, b in _merged(places) if start <= a and b <= end)
    evidence = Evidence(rule.rule.topic, rule.rule.name, name, start, end, text[start:end], words, status)
    return Proof(evidence, rule.rule.weight, status in rule.rule.carries, index)


def _merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order, those that overlap as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _pair(
    book: Book, rule: Compiled, sentence: Sentence, text: str, spans: Sequence[tuple[int, int]]
) -> list[tuple[int, int]] | None:
    """The act and the thing nearest to each other that satisfy the rule, as spans of words; None if none do."""
    acts = [(a, b) for a, b, mask in sentence.hits if mask & rule.act]
    things = [(a, b) for a, b, mask in sentence.hits if mask & rule.thing]
    if not rule.act or not rule.thing:
        lone = acts or things
        return lone[:1] or None
    best: tuple[int, tuple[int, int], tuple[int, int]] | None = None
    for act in acts:
        at = bisect_left(things, act)
        for thing in things[max(0, at - 2) : at + 2]:
            gap = max(thing[0] - act[1], act[0] - thing[1])
            if gap < 0 or gap > rule.rule.within or (best is not None and gap >= best[0]):
                continue
            if rule.rule.order == ("act-first" if thing[0] < act[0] else "thing-first"):
                continue
            if rule.rule.scope != "clause" or not _broken(book, text, spans, act, thing):
                best = (gap, act, thing)
    return [best[1], best[2]] if best else None


def _broken(
    book: Book, text: str, spans: Sequence[tuple[int, int]], one: tuple[int, int], other: tuple[int, int]
) -> bool:
    """Whether a clause ends between two spans of words."""
    first, second = sorted((one, other))
    return book.clause.search(text[spans[first[1] - 1][1] : spans[second[0]][0]]) is not None


def _status(
    book: Book,
    sentence: Sentence,
    pair: Sequence[tuple[int, int]],
    text: str,
    spans: Sequence[tuple[int, int]],
    latest: int,
) -> Status:
    """How the pair is meant, by the markers before its first word and between its words."""
    low, high = min(a for a, _ in pair), max(b for _, b in pair)
    if any(mask & book.history for _, _, mask in sentence.hits) or _long_ago(
        text[sentence.start : sentence.end], latest
    ):
        return Status.HISTORY
    for mode, bit in book.modes:
        reach = NEGATION_REACH if mode is Status.NEGATED else STATUS_REACH
        for a, b, mask in sentence.hits:
            if not mask & bit or not low - reach <= a < high:
                continue
            if b > low or not _broken(book, text, spans, (a, b), (low, high)):
                return mode
    return Status.ASSERTED


def _long_ago(sentence: str, latest: int) -> bool:
    """Whether the sentence places its act in a year that lies well before the story's own.

    The story's year is not known here; `latest`, the latest that it names, is taken for it. Where a year stands for
    itself ("24 May 2022", "the 2022 law") it places no act.
    """
    placed = [int(year) for year in _IN_YEAR.findall(sentence)]
    if not placed or max(placed) > latest - 2:
        return False
    return max(placed) >= max(int(year) for year in _YEAR.findall(sentence))


def judge(topics: Sequence[str], named: Sequence[Proof], told: Sequence[Proof], count: int, headings: set[int]) -> Tags:
    """Which topics the proofs carry, which of them are main, and the evidence that is kept."""
    held, main, kept = [], [], []
    for topic in topics:
        proofs = [proof for proof in (*named, *told) if proof.evidence.topic == topic]
        carrying = [proof for proof in proofs if proof.carries]
        prominent, weight = weights(carrying, count, headings)
        if weight < 1:
            continue
        held.append(topic)
        many = sum(1 for proof in carrying if proof.evidence.field == "text")
        if prominent >= 1 or (many >= MAIN_LEAST and many >= count * MAIN_SHARE):
            main.append(topic)
        strongest = sorted(proofs, key=lambda proof: (not proof.carries, -proof.weight))[:MAX_EVIDENCE]
        kept += [proof.evidence for proof in proofs if proof in strongest]
    return Tags(tuple(held), tuple(main), tuple(kept))


def weights(carrying: Iterable[Proof], count: int, headings: set[int]) -> tuple[float, float]:
    """What proofs of one topic weigh where a text of `count` sentences says what it is about, and altogether."""
    prominent = other = 0.0
    for proof in carrying:
        if _prominent(proof, headings):
            prominent += proof.weight * (2 if count >= LONG else 1)
        else:
            other += proof.weight
    return round(prominent, 6), round(prominent + other, 6)  # ten times 0.1 is 1


def _prominent(proof: Proof, headings: set[int]) -> bool:
    """Whether a proof stands where a story says what it is about."""
    return proof.evidence.field == "title" or proof.sentence < LEAD or proof.sentence in headings
