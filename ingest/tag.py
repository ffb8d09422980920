"""Story → topics with evidence: an engine of rules over words.

    rules file ──load──> Rules ──┐
    title, text, language ───────┴──tag──> Tags (topics, main topics, Evidence)

A rule says which *act* must meet which *thing* near each other, in what context, and what must not stand there. What
the words are, by language, is data (`seeds/topics.yaml`, explained at its head); how they are matched is here:

- Words are compared in lower case, one hash look-up for each word of the text, so that time is linear in the text and
  does not depend on how many words the rules have. (Aho-Corasick finds strings, not words: "aid" in "said" would come
  out and have to be thrown away again.)
- A sentence is the unit of proof: `field[start:end] == sentence`, in code points. Endless ones are cut.
- Each proof says how it is meant (`models.Status`), by the words before the act; history never carries a topic, a
  denial only where the rule says so.
- A topic holds when the weights of the sentences that prove it sum to 1; it is a main topic when title, lead or a
  heading prove it, or about a third of the sentences do.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from ingest.errors import SettingsError
from ingest.models import Evidence, Status, Tags

ENGINE = "1"  # changes when the same rules give other tags
MAX_BYTES = 4_000_000  # of a rules file; a hundred times the bundled one
MAX_DEPTH = 12  # of nesting in it; the format needs six
MAX_SENTENCE = 700  # code points; a longer one is cut: it is a list or has lost its full stops
MAX_EVIDENCE = 20  # for a topic in a story; what is proved twenty times needs no more proof
CACHE = 200_000  # words that a lexicon remembers before it starts anew, about 30 MB
LONGEST_WORD = 60  # code points; longer tokens are no words

SCOPES = ("clause", "sentence", "neighbours")
NEGATION_REACH = 4  # words before the pair in which "not", "no", "denied" is taken to mean it
STATUS_REACH = 8  # the same for the other markers
OFF_SUBJECT = 3  # sentences with a story blocker: one or two are a figure of speech or an aside
LEAD = 2  # sentences of the text that count as its lead
MAIN_SHARE = 1 / 4  # a topic that fills a third of a text is not proved by every sentence of it
MAIN_LEAST = 3  # sentences that must prove it for its share to count
HEADING = 110  # code points; a longer paragraph without a full stop is no heading

# ISO 639-1, as of 2024.
_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el "
    "en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it "
    "iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt "
    "my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl "
    "sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo "
    "za zh zu"
)
LANGUAGES = frozenset(_CODES.split())
ANY = "any"  # words that stand in every language's text: NATO, HIMARS
ELIDING = frozenset({"fr", "it", "ca"})  # an apostrophe ends a word there: l'armée; elsewhere it stands inside one

_WORD = re.compile(r"[^\W_]+(?:['’ʼ][^\W_]+)*")
_ELIDED_WORD = re.compile(r"[^\W_]+")
_TERM = re.compile(r"\*?[^\W_]+(?:['’ʼ][^\W_]+)*[*~]?|#")  # a word of the rules file
_YEAR = re.compile(r"(?<!\d)(19[3-9]\d|20[0-4]\d)(?!\d)")
# "in 2014", "since 2014" places an act in that year; "24 May 2022" and "a 2022 law" do not.
_IN_YEAR = re.compile(
    r"\b(?:in|since|during|of|between|until|from|im jahr|seit|en|depuis|desde|в|с|у|з|від|до)\s+"
    r"(19[3-9]\d|20[0-4]\d)(?!\d)",
    re.I,
)
_MODES = (Status.NEGATED, Status.HYPOTHETICAL, Status.DEMANDED, Status.PLANNED)  # the first that is found counts
_CARRIES = frozenset({Status.ASSERTED, Status.PLANNED, Status.DEMANDED, Status.HYPOTHETICAL})


# ----------------------------------------------------------------------------------------------------- sentences

_END = re.compile(r"\n+|[.!?…。！？]{1,6}[\"'”’»“)\]]{0,4}(?=\s)")
_SHORT = (
    "mr mrs ms dr prof gen lt col maj sgt capt cmdr adm brig gov sen rep rev hon st no nos vs etc inc ltd co corp dept "
    "est jan feb mar apr jun jul aug sept sep oct nov dec u.s u.k u.n e.u d.c i.e e.g a.m p.m approx fig vol pp ed jr "
    "sr nr bzw z.b d.h u.a ca sog mio mrd str abs vgl m mm mme mlle sra srta ud uds ee.uu gral cnel pág núm "
    "г гг им т.е т.д т.п тыс млн млрд руб ул стр см др проф ген р рр ім тис грн вул"
)
_RANKS = "mr mrs ms dr prof gen lt col maj sgt capt cmdr adm brig gov sen rep rev hon st no nos проф ген"
# After "U.S." a capital says nothing; these words begin sentences, hardly names.
_OPENERS = "The A An In On At He She It They We But And This That These Those As After Before While"
_ABBREVIATIONS = frozenset(_SHORT.split())
_TITLES = frozenset(_RANKS.split())
_STARTERS = frozenset(_OPENERS.split())


def sentences(text: str) -> list[tuple[int, int]]:
    """The spans of the text's sentences, without the white space around them, in order.

    A line break ends a sentence. A full stop does not after a known abbreviation, an initial, or before a small letter.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        if text[match.start()] == "." and not _ends(text, start, match):
            continue
        _add_span(spans, text, start, match.end())
        start = match.end()
    _add_span(spans, text, start, len(text))
    return spans


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the full stop really ends a sentence."""
    after = text[match.end() : match.end() + 24].lstrip(" \t\"'“„«(")
    if after[:1].islower():
        return False
    begin = max(start, match.start() - 24, text.rfind(" ", max(start, match.start() - 24), match.start()) + 1)
    before = text[begin : match.start()].lstrip("\"'“„«(\n").lower()
    if len(before) == 1 and before.isalpha():
        return False
    if before not in _ABBREVIATIONS:
        return True
    return before not in _TITLES and after.split(None, 1)[:1] != [] and after.split(None, 1)[0] in _STARTERS


def _add_span(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    """Append text[start:end] without white space around it, cut at blanks where it is too long."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    while end - start > MAX_SENTENCE:
        cut = text.rfind(" ", start + 1, start + MAX_SENTENCE)
        cut = start + MAX_SENTENCE if cut < 0 else cut
        _add_span(spans, text, start, cut)
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        spans.append((start, end))


def _headings(text: str, spans: Sequence[tuple[int, int]]) -> set[int]:
    """Which sentences are headings: short lines of their own without a full stop, with text below them."""
    found = set()
    for index, (start, end) in enumerate(spans[:-1]):
        alone = text[max(0, start - 1) : start] in ("", "\n") and text[end : end + 1] == "\n"
        if alone and end - start <= HEADING and text[end - 1] not in ".!?…:;,":
            found.add(index)
    return found


# --------------------------------------------------------------------------------------------------------- words


@dataclass(frozen=True, slots=True)
class _Phrase:
    rest: tuple[int, ...]  # ids of the patterns that must follow
    mask: int
    ignored: bool  # it only looks like a word of the rules: what it covers matches nothing


@dataclass(frozen=True, slots=True)
class _Known:
    """What a lexicon knows of a word: the slots that it fills, the phrases that it begins, the patterns it fits."""

    mask: int
    phrases: tuple[_Phrase, ...]
    fits: frozenset[int]


class _Lexicon(dict[str, "_Known | None"]):
    """Word as written → what is known of it, of one language. Finds it at the first look-up and remembers."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.token = _ELIDED_WORD if language in ELIDING else _WORD
        self.exact: dict[str, list[int]] = {}
        self.cased: dict[str, list[int]] = {}
        self.prefixes: dict[str, list[int]] = {}
        self.suffixes: dict[str, list[int]] = {}
        self.parts: dict[str, list[int]] = {}
        self.digits: list[int] = []
        self.ids: dict[str, int] = {}
        self.masks: dict[int, int] = {}
        self.phrases: dict[int, dict[tuple[tuple[int, ...], bool], int]] = {}

    def add(self, term: str, mask: int, *, ignored: bool = False) -> None:
        """Let the term (a word or phrase of patterns) fill the slots of the mask."""
        if self.token is _ELIDED_WORD:
            term = term.replace("'", " ")
        first, *rest = (self._pattern(word) for word in term.split())
        if rest or ignored:
            phrases = self.phrases.setdefault(first, {})
            key = (tuple(rest), ignored)
            phrases[key] = phrases.get(key, 0) | mask
        else:
            self.masks[first] = self.masks.get(first, 0) | mask

    def _pattern(self, word: str) -> int:
        if word in self.ids:
            return self.ids[word]
        number = self.ids[word] = len(self.ids)
        if word == "#":
            self.digits.append(number)
            return number
        for form in _forms(word):
            bare = form.strip("*")
            if form.startswith("*") and form.endswith("*"):
                table = self.parts
            elif form.endswith("*"):
                table = self.prefixes
            elif form.startswith("*"):
                table = self.suffixes
            else:
                table = self.cased if bare.isupper() else self.exact
            table.setdefault(bare if table is self.cased else bare.lower(), []).append(number)
        return number

    def __missing__(self, word: str) -> _Known | None:
        if len(word) > LONGEST_WORD:
            return None
        if len(self) >= CACHE:
            self.clear()
        known = self[word] = self._find(word)
        return known

    def _find(self, word: str) -> _Known | None:
        plain = word.replace("’", "'").replace("ʼ", "'")
        plain = plain[:-2] if plain.endswith(("'s", "'S")) else plain
        fits = [*self.cased.get(plain, ()), *(self.digits if plain[0].isdigit() else ())]
        plain = plain.lower()
        fits += self.exact.get(plain, ())
        for cut in range(1, len(plain) + 1):
            fits += self.prefixes.get(plain[:cut], ())
            fits += self.suffixes.get(plain[-cut:], ())
        for part, numbers in self.parts.items():
            if part in plain:
                fits += numbers
        if not fits:
            return None
        mask = 0
        phrases: list[_Phrase] = []
        for number in fits:
            mask |= self.masks.get(number, 0)
            phrases += (_Phrase(rest, m, ignored) for (rest, ignored), m in self.phrases.get(number, {}).items())
        return _Known(mask, tuple(phrases), frozenset(fits))

    def hits(self, words: Sequence[str]) -> list[tuple[int, int, int]]:
        """(first word, one past the last, slots) of all that stands in these words, by first word."""
        row = [self[word] for word in words]
        found: list[tuple[int, int, int]] = []
        covered = 0
        for index, known in enumerate(row):
            if known is None or index < covered:
                continue
            before = len(found)
            if known.mask:
                found.append((index, index + 1, known.mask))
            for phrase in known.phrases:
                end = index + 1 + len(phrase.rest)
                if end > len(row) or not _follows(row, index + 1, phrase.rest):
                    continue
                if phrase.ignored:
                    covered = max(covered, end)
                else:
                    found.append((index, end, phrase.mask))
            if index < covered:
                del found[before:]
        return found


def _follows(row: Sequence[_Known | None], at: int, patterns: tuple[int, ...]) -> bool:
    for offset, pattern in enumerate(patterns):
        known = row[at + offset]
        if known is None or pattern not in known.fits:
            return False
    return True


def _forms(word: str) -> tuple[str, ...]:
    """The forms that a word of the rules file stands for: itself, or with `~` its regular English ones."""
    if not word.endswith("~"):
        return (word,)
    stem = word[:-1]
    if stem.endswith("e"):
        return (stem, stem + "s", stem + "d", stem[:-1] + "ing")
    if stem.endswith("y") and stem[-2:-1] not in set("aeiou"):
        return (stem, stem[:-1] + "ies", stem[:-1] + "ied", stem + "ing")
    if stem.endswith(("s", "x", "z", "ch", "sh")):
        return (stem, stem + "es", stem + "ed", stem + "ing")
    doubled = stem + stem[-1:]
    return (stem, stem + "s", stem + "ed", stem + "ing", doubled + "ed", doubled + "ing")


# --------------------------------------------------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as the file has it; slots are names of groups."""

    name: str
    topic: str
    line: int
    act: tuple[str, ...] = ()
    thing: tuple[str, ...] = ()
    context: tuple[str, ...] = ()  # one of these in the same sentence
    nearby: tuple[str, ...] = ()  # one of these in it or a neighbouring one
    story: tuple[str, ...] = ()  # one of these anywhere in title or text
    blockers: tuple[str, ...] = ()  # none of these in the sentence
    story_blockers: tuple[str, ...] = ()  # none of these in OFF_SUBJECT sentences of the story
    scope: str = "sentence"
    within: int = 12
    order: str = "any"
    weight: float = 1.0
    carries: frozenset[Status] = _CARRIES
    holds: tuple[tuple[str, str, int], ...] = ()  # (language, example, line)
    fails: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    """A rules file, read and checked."""

    topics: tuple[str, ...]
    groups: Mapping[str, Mapping[str, tuple[str, ...]]]
    markers: Mapping[str, Mapping[str, tuple[str, ...]]]  # by status, and "ignore", "clause"
    rules: tuple[_Rule, ...]
    lines: Mapping[str, int] = field(default_factory=dict)  # group → line

    @property
    def languages(self) -> tuple[str, ...]:
        found = {language for words in self.groups.values() for language in words}
        return tuple(sorted(found - {ANY}))

    def terms(self, groups: Iterable[str], language: str) -> list[str]:
        """The words of these groups in that language, those of every language among them."""
        return [term for name in groups for key in (language, ANY) for term in self.groups[name].get(key, ())]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A rule with its slots as bits, for one language."""

    rule: _Rule
    act: int
    thing: int
    need: int  # all of these in the sentence (`neighbours`: around it)
    nearby: int
    story: int
    block: int
    story_block: int


@dataclass(frozen=True, slots=True)
class _Book:
    """All rules of one language, ready to be applied."""

    lexicon: _Lexicon
    rules: tuple[_Compiled, ...]
    modes: tuple[tuple[Status, int], ...]
    history: int
    clause: re.Pattern[str]


class Rules:
    """Rules ready to be applied: `version` identifies the file's content and this engine, `topics` their order."""

    def __init__(self, file: _File, version: str) -> None:
        self.version = version
        self.topics = file.topics
        self._books = {language: _book(file, file.rules, language) for language in file.languages}

    def _for(self, language: str | None) -> _Book | None:
        """The book of that language. Where it is not known, or has no rules, the English one: a wrong guess of the
        language of an English text costs nothing then, and other languages hardly meet an act and a thing in it."""
        return self._books.get((language or "en").lower()[:2]) or self._books.get("en")


def _book(file: _File, rules: Iterable[_Rule], language: str) -> _Book:
    lexicon = _Lexicon(language)
    slots: dict[tuple[str, ...], int] = {}

    def slot(names: tuple[str, ...]) -> int:
        """The bit of a slot: 0 for none asked, -1 where the language has no word for it."""
        if not names:
            return 0
        if names not in slots:
            terms = file.terms(names, language)
            slots[names] = 1 << len(slots) if terms else -1
            for term in terms:
                lexicon.add(term, slots[names])
        return slots[names]

    compiled = []
    for rule in sorted(rules, key=lambda rule: -rule.weight):
        act, thing, context = slot(rule.act), slot(rule.thing), slot(rule.context)
        nearby, story = slot(rule.nearby), slot(rule.story)
        if -1 not in (act, thing, context, nearby, story):
            block = max(0, slot(rule.blockers))
            story_block = max(0, slot(rule.story_blockers))
            need = act | thing | context
            compiled.append(_Compiled(rule, act, thing, need, nearby, story, block, story_block))
    offset = len(slots)
    bits = {}
    for number, name in enumerate([*_MODES, Status.HISTORY]):
        bits[name] = 1 << (offset + number)
        for term in _marker_terms(file, name, language):
            lexicon.add(term, bits[name])
    for term in _marker_terms(file, "ignore", language):
        lexicon.add(term, 0, ignored=True)
    joints = "|".join(map(re.escape, _marker_terms(file, "clause", language)))
    clause = re.compile(r"[;:—]|\s[–-]\s" + (rf"|,\s(?:{joints})\b" if joints else ""), re.I)
    return _Book(lexicon, tuple(compiled), tuple((mode, bits[mode]) for mode in _MODES), bits[Status.HISTORY], clause)


def _marker_terms(file: _File, name: str, language: str) -> list[str]:
    words = file.markers.get(name, {})
    return [*words.get(language, ()), *words.get(ANY, ())]


# ------------------------------------------------------------------------------------------------------- tagging


@dataclass(slots=True)
class _Sentence:
    start: int
    end: int
    hits: list[tuple[int, int, int]]
    mask: int
    around: int = 0  # the slots of this sentence and its neighbours


@dataclass(frozen=True, slots=True)
class _Proof:
    evidence: Evidence
    weight: float
    carries: bool
    sentence: int


def tag(rules: Rules, title: str | None, text: str, language: str | None) -> Tags:
    """The topics of a story and the sentences that prove them.

    `language` is ISO 639-1 or None. Never raises, whatever the text; takes time linear in it.
    """
    book = rules._for(language)
    if book is None:
        return Tags()
    title = title or ""
    head = _read(book, title, [(0, len(title))] if 0 < len(title) <= MAX_SENTENCE else sentences(title))
    body = _read(book, text, sentences(text))
    latest = max(map(int, _YEAR.findall(text)), default=0)
    rules_of_it = _fitting(book, [*head, *body])
    named = _prove(book, rules_of_it, "title", title, head, latest)
    told = _prove(book, rules_of_it, "text", text, body, latest)
    if not named and not told:
        return Tags()
    headings = _headings(text, [(sentence.start, sentence.end) for sentence in body])
    return _judge(rules.topics, named, told, len(body), headings)


def _read(book: _Book, text: str, spans: Sequence[tuple[int, int]]) -> list[_Sentence]:
    findall, hits_of = book.lexicon.token.findall, book.lexicon.hits
    found: list[_Sentence] = []
    for start, end in spans:
        hits = hits_of(findall(text, start, end))
        mask = 0
        for hit in hits:
            mask |= hit[2]
        sentence = _Sentence(start, end, hits, mask, mask)
        if found:
            sentence.around |= found[-1].mask
            found[-1].around |= mask
        found.append(sentence)
    return found


def _fitting(book: _Book, found: Sequence[_Sentence]) -> list[_Compiled]:
    """The rules that the story as a whole allows."""
    story = 0
    for sentence in found:
        story |= sentence.mask
    off = 0
    for bit in {rule.story_block for rule in book.rules} - {0}:
        if story & bit and sum(1 for sentence in found if sentence.mask & bit) >= OFF_SUBJECT:
            off |= bit
    return [rule for rule in book.rules if (story & rule.story or not rule.story) and not off & rule.story_block]


def _prove(
    book: _Book, rules: Sequence[_Compiled], name: str, text: str, found: Sequence[_Sentence], latest: int
) -> list[_Proof]:
    """The proofs in one field: for each sentence and topic the one of greatest weight that carries it, else one that
    does not."""
    proofs: list[_Proof] = []
    for index, sentence in enumerate(found):
        if not sentence.mask:
            continue
        best: dict[str, _Proof] = {}
        for rule in rules:
            if not _may_hold(rule, sentence):
                continue
            known = best.get(rule.rule.topic)
            if known is not None and known.carries:
                continue
            proof = _apply(book, rule, name, text, found, index, latest)
            if proof is not None and (known is None or proof.carries):
                best[rule.rule.topic] = proof
        proofs += best.values()
    return proofs


def _may_hold(rule: _Compiled, sentence: _Sentence) -> bool:
    if rule.rule.scope == "neighbours":
        if sentence.around & rule.need != rule.need or not sentence.mask & (rule.act or rule.thing):
            return False
    elif sentence.mask & rule.need != rule.need:
        return False
    return (not rule.nearby or bool(sentence.around & rule.nearby)) and not sentence.mask & rule.block


def _apply(
    book: _Book, rule: _Compiled, name: str, text: str, found: Sequence[_Sentence], index: int, latest: int
) -> _Proof | None:
    sentence = found[index]
    spans = [match.span() for match in book.lexicon.token.finditer(text, sentence.start, sentence.end)]
    pair = _pair(book, rule, sentence, text, spans)
    if pair is not None:
        status = _status(book, sentence, pair, text, spans, latest)
        places = [(spans[a][0], spans[b - 1][1]) for a, b in pair]
        context = rule.need & ~(rule.act | rule.thing)
        if context:
            a, b = next((a, b) for a, b, mask in sentence.hits if mask & context)
            places.append((spans[a][0], spans[b - 1][1]))
        return _proof(rule, name, text, sentence.start, sentence.end, places, status, index)
    if rule.rule.scope == "neighbours" and rule.act and rule.thing:
        return _apply_across(book, rule, name, text, found, index, latest)
    return None


def _apply_across(
    book: _Book, rule: _Compiled, name: str, text: str, found: Sequence[_Sentence], index: int, latest: int
) -> _Proof | None:
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
    rule: _Compiled,
    name: str,
    text: str,
    start: int,
    end: int,
    places: list[tuple[int, int]],
    status: Status,
    index: int,
) -> _Proof:
    words = tuple((a - start, b - start) for a, b in _merged(places) if start <= a and b <= end)
    evidence = Evidence(rule.rule.topic, rule.rule.name, name, start, end, text[start:end], words, status)
    return _Proof(evidence, rule.rule.weight, status in rule.rule.carries, index)


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
    book: _Book, rule: _Compiled, sentence: _Sentence, text: str, spans: Sequence[tuple[int, int]]
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
    book: _Book, text: str, spans: Sequence[tuple[int, int]], one: tuple[int, int], other: tuple[int, int]
) -> bool:
    """Whether a clause ends between two spans of words."""
    first, second = sorted((one, other))
    return book.clause.search(text[spans[first[1] - 1][1] : spans[second[0]][0]]) is not None


def _status(
    book: _Book,
    sentence: _Sentence,
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
            if not mask & bit or not low - reach <= a < high or any(a < y and x < b for x, y in pair):
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


def _judge(
    topics: Sequence[str], named: Sequence[_Proof], told: Sequence[_Proof], count: int, headings: set[int]
) -> Tags:
    """Which topics the proofs carry, which of them are main, and the evidence that is kept."""
    held, main, kept = [], [], []
    for topic in topics:
        proofs = [proof for proof in (*named, *told) if proof.evidence.topic == topic]
        carrying = [proof for proof in proofs if proof.carries]
        weight = sum(proof.weight for proof in carrying)
        if weight < 1:
            continue
        held.append(topic)
        prominent = any(_prominent(proof, headings) for proof in carrying)
        many = sum(1 for proof in carrying if proof.evidence.field == "text")
        if prominent or (many >= MAIN_LEAST and many >= count * MAIN_SHARE):
            main.append(topic)
        strongest = sorted(proofs, key=lambda proof: (not proof.carries, -proof.weight))[:MAX_EVIDENCE]
        kept += [proof.evidence for proof in proofs if proof in strongest]
    return Tags(tuple(held), tuple(main), tuple(kept))


def _prominent(proof: _Proof, headings: set[int]) -> bool:
    """Whether a proof stands where a story says what it is about."""
    if proof.weight < 1:
        return False
    return proof.evidence.field == "title" or proof.sentence < LEAD or proof.sentence in headings


# ------------------------------------------------------------------------------------------------------- loading


def load(path: Path) -> Rules:
    """The rules of a file.

    Raises SettingsError, naming the file, the line and the problem, for a file that is none.
    """
    data = _bytes(path)
    version = hashlib.sha256(ENGINE.encode() + b"\0" + data).hexdigest()[:12]
    return Rules(_parse(data, str(path)), version)


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found in a rules file. It can be used when `problems` is empty; `failing` are its own examples
    that come out otherwise than they say; `notes` are no faults."""

    path: Path
    version: str = ""
    topics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    rules: int = 0
    words: int = 0
    examples: int = 0
    problems: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not self.problems and not self.failing


def check(path: Path) -> Checked:
    """Read a rules file and run its examples. Never raises for what stands in it."""
    try:
        data = _bytes(path)
        file = _parse(data, str(path))
    except SettingsError as error:
        return Checked(path, problems=(str(error),))
    checked = Checked(
        path=path,
        version=Rules(file, hashlib.sha256(ENGINE.encode() + b"\0" + data).hexdigest()[:12]).version,
        topics=file.topics,
        languages=file.languages,
        rules=len(file.rules),
        words=sum(len(terms) for words in file.groups.values() for terms in words.values()),
        examples=sum(len(rule.holds) + len(rule.fails) for rule in file.rules),
    )
    used = {name for rule in file.rules for name in _slots(rule)}
    notes = [f"line {line}: no rule uses the group {name!r}" for name, line in file.lines.items() if name not in used]
    return replace(checked, failing=tuple(_failing(file)), notes=tuple(notes))


def _failing(file: _File) -> Iterator[str]:
    """A line for each example that comes out otherwise than its rule says."""
    for rule in file.rules:
        books: dict[str, _Book] = {}
        for wanted, examples in ((True, rule.holds), (False, rule.fails)):
            for language, text, line in examples:
                if language not in books:
                    books[language] = _book(file, [replace(rule, weight=1.0)], language)
                if _holds(books[language], text) is not wanted:
                    what = "does not hold" if wanted else "holds"
                    yield f"line {line}: the rule {rule.name!r} {what} in {text!r}"


def _holds(book: _Book, text: str) -> bool:
    found = _read(book, text, sentences(text))
    return any(proof.carries for proof in _prove(book, _fitting(book, found), "text", text, found, 0))


def _slots(rule: _Rule) -> tuple[str, ...]:
    return (*rule.act, *rule.thing, *rule.context, *rule.nearby, *rule.story, *rule.blockers, *rule.story_blockers)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(
            f"cannot be read ({error.strerror or type(error).__name__}).",
            subject=str(path),
            advice="Name a file of topic rules.",
        ) from error
    if len(data) > MAX_BYTES:
        raise SettingsError(f"is larger than {MAX_BYTES:,} bytes: no file of topic rules is.", subject=str(path))
    return data


def _parse(data: bytes, path: str) -> _File:
    try:
        root = _compose(data, path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _wrong(path, line, f"not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        raise _wrong(path, 1, f"not YAML: {' '.join(str(error).split())[:200]}") from error
    return _Reader(path).file(root)


def _compose(data: bytes, path: str) -> yaml.Node | None:
    """The document's nodes. Aliases and deep nesting are refused before anything is built of them."""
    loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    for event in yaml.parse(data, Loader=loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "anchors and aliases (&name, *name) are not allowed; quote a word that begins with *"
            raise _wrong(path, _line(event), problem)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _wrong(path, _line(event), f"nested deeper than {MAX_DEPTH} levels")
    root: yaml.Node | None = yaml.compose(data, Loader=loader)
    return root


def _line(part: yaml.Node | yaml.Event) -> int:
    """The line that it begins in, from 1."""
    return part.start_mark.line + 1 if part.start_mark else 1


def _wrong(path: str, line: int, problem: str) -> SettingsError:
    return SettingsError(f"{problem}.", subject=f"{path}, line {line}", advice="`sitrep topics check FILE` checks it.")


class _Reader:
    """Nodes of a rules file → `_File`; every fault names its line."""

    def __init__(self, path: str) -> None:
        self.path = path

    def wrong(self, node: yaml.Node, problem: str) -> SettingsError:
        return _wrong(self.path, _line(node), problem)

    def file(self, root: yaml.Node | None) -> _File:
        if root is None:
            raise _wrong(self.path, 1, "the file is empty")
        parts = self.mapping(root, "the file", {"topics", "groups", "status", "ignore", "clause", "rules"})
        for needed in ("topics", "groups", "rules"):
            if needed not in parts:
                raise self.wrong(root, f"`{needed}` is missing")
        topics = self.names(parts["topics"], "topics")
        groups, lines = self.groups(parts["groups"])
        markers: dict[str, dict[str, tuple[str, ...]]] = {}
        markers |= {name: self.words(parts[name], name) for name in ("ignore", "clause") if name in parts}
        if "status" in parts:
            allowed = {str(status) for status in (*_MODES, Status.HISTORY)}
            for name, node in self.mapping(parts["status"], "status", allowed).items():
                markers[name] = self.words(node, name)
        return _File(topics, groups, markers, self.rules(parts["rules"], topics, groups), lines)

    def mapping(self, node: yaml.Node, what: str, allowed: Iterable[str] | None = None) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{what} must be a mapping of names to values")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.text(key, f"a name in {what}")
            if name in found:
                raise self.wrong(key, f"{name!r} stands twice in {what}")
            if allowed is not None and name not in allowed:
                raise self.wrong(key, f"{name!r} is not known in {what}; known are {', '.join(sorted(allowed))}")
            found[name] = value
        return found

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, f"{what} must be a list")
        if not node.value:
            raise self.wrong(node, f"{what} is empty")
        return list(node.value)

    def text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self.wrong(node, f"{what} must be a text")
        return " ".join(node.value.split())

    def names(self, node: yaml.Node, what: str) -> tuple[str, ...]:
        found: list[str] = []
        for item in self.items(node, what):
            name = self.text(item, f"an item of {what}")
            if name in found:
                raise self.wrong(item, f"{name!r} stands twice in {what}")
            found.append(name)
        return tuple(found)

    def groups(self, node: yaml.Node) -> tuple[dict[str, dict[str, tuple[str, ...]]], dict[str, int]]:
        parts = self.mapping(node, "groups")
        lines = {name: _line(value) for name, value in parts.items()}
        return {name: self.words(value, f"the group {name!r}") for name, value in parts.items()}, lines

    def words(self, node: yaml.Node, what: str) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for language, value in self.mapping(node, what).items():
            if language not in LANGUAGES and language != ANY:
                raise self.wrong(value, f"{language!r} in {what} is no language: ISO 639-1, or `any`")
            found[language] = self.terms(value, f"{what}, {language}")
        if not found:
            raise self.wrong(node, f"{what} has no words")
        return found

    def terms(self, node: yaml.Node, what: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for item in self.items(node, what):
            term = " ".join(self.word(part, item) for part in self.split(self.text(item, f"a word of {what}"), item))
            if term in found:
                raise self.wrong(item, f"{term!r} stands twice in {what}")
            found[term] = None
        return tuple(found)

    def split(self, term: str, node: yaml.Node) -> list[str]:
        """The term's words as a text's are split, each with its signs."""
        parts = [part for part in re.split(r"[\s.\-]+", term) if part]
        if not parts or not all(_TERM.fullmatch(part) for part in parts):
            raise self.wrong(node, f"{term!r} is no word or phrase: letters, `*` or `~` at their ends, `#`")
        return parts

    def word(self, part: str, node: yaml.Node) -> str:
        part = part.replace("’", "'").replace("ʼ", "'")
        bare = part.strip("*~")
        if "*" in part and len(bare) < 3:
            raise self.wrong(node, f"{part!r} fits too much: at least three letters with `*`")
        if len(bare) > LONGEST_WORD:
            raise self.wrong(node, f"{part[:20]!r}… is longer than {LONGEST_WORD} letters")
        return part

    def rules(self, node: yaml.Node, topics: Sequence[str], groups: Mapping[str, object]) -> tuple[_Rule, ...]:
        found: dict[str, _Rule] = {}
        for item in self.items(node, "rules"):
            rule = self.rule(item, topics, groups)
            if rule.name in found:
                raise self.wrong(item, f"the rule {rule.name!r} stands twice")
            found[rule.name] = rule
        return tuple(found.values())

    def rule(self, node: yaml.Node, topics: Sequence[str], groups: Mapping[str, object]) -> _Rule:
        slots = ("act", "thing", "context", "nearby", "story", "blockers", "story_blockers")
        extra = ("scope", "within", "order", "weight", "carries", "holds", "not")
        parts = self.mapping(node, "a rule", {"name", "topic", *slots, *extra})
        for needed in ("name", "topic"):
            if needed not in parts:
                raise self.wrong(node, f"a rule has no `{needed}`")
        name = self.text(parts["name"], "`name`")
        topic = self.choice(parts["topic"], "`topic`", topics)
        filled = {slot: self.slot(parts[slot], f"`{slot}` of {name!r}", groups) for slot in slots if slot in parts}
        if "act" not in filled and "thing" not in filled:
            raise self.wrong(node, f"the rule {name!r} is empty: it has neither `act` nor `thing`")
        rule = replace(_Rule(name, topic, _line(node)), **filled)  # type: ignore[arg-type]
        if "scope" in parts:
            rule = replace(rule, scope=self.choice(parts["scope"], "`scope`", SCOPES))
        if "order" in parts:
            rule = replace(rule, order=self.choice(parts["order"], "`order`", ("any", "act-first", "thing-first")))
        if "within" in parts:
            rule = replace(rule, within=int(self.number(parts["within"], "`within`", 0, 200)))
        if "weight" in parts:
            rule = replace(rule, weight=self.number(parts["weight"], "`weight`", 0.01, 1))
        if "carries" in parts:
            rule = replace(rule, carries=self.carries(parts["carries"]))
        return replace(rule, holds=self.examples(parts, "holds"), fails=self.examples(parts, "not"))

    def slot(self, node: yaml.Node, what: str, groups: Mapping[str, object]) -> tuple[str, ...]:
        for item in self.items(node, what):
            if (name := self.text(item, what)) not in groups:
                raise self.wrong(item, f"{what} names the group {name!r}, which does not exist")
        return tuple(sorted(self.names(node, what)))

    def choice(self, node: yaml.Node, what: str, choices: Sequence[str]) -> str:
        value = self.text(node, what)
        if value not in choices:
            raise self.wrong(node, f"{what} is {value!r}; it can be {', '.join(choices)}")
        return value

    def number(self, node: yaml.Node, what: str, low: float, high: float) -> float:
        text = self.text(node, what)
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise self.wrong(node, f"{what} is {text!r}; it must be a number from {low} to {high}")
        return value

    def carries(self, node: yaml.Node) -> frozenset[Status]:
        allowed = [str(status) for status in Status if status is not Status.HISTORY]
        for item in self.items(node, "`carries`"):
            self.choice(item, "`carries`", allowed)
        return frozenset(Status(name) for name in self.names(node, "`carries`"))

    def examples(self, parts: Mapping[str, yaml.Node], key: str) -> tuple[tuple[str, str, int], ...]:
        """(language, sentence, line) of a rule's `holds` or `not`: a text is English, `{de: text}` another language."""
        found = []
        for item in self.items(parts[key], f"`{key}`") if key in parts else ():
            pairs = {"en": item} if isinstance(item, yaml.ScalarNode) else self.mapping(item, f"`{key}`", LANGUAGES)
            for language, node in pairs.items():
                found.append((language, self.text(node, f"`{key}`"), _line(node)))
        return tuple(found)
