"""Why a text has its topics, and why not: every rule whose words stand in a sentence, with what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.models import Status, Tags
from ingest.tag import proof
from ingest.tag.proof import Sentence
from ingest.tag.rules import Book, Compiled, Rules
from ingest.tag.splitting import headings, sentences, title_sentences

SHOWN = 3  # words that a reason quotes


@dataclass(frozen=True, slots=True)
class Tried:
    """A rule whose act and thing stand in a sentence. `why` is empty where the rule proves its topic by it; `words` are
    spans inside the sentence."""

    topic: str
    rule: str
    field: str
    sentence: str
    words: tuple[tuple[int, int], ...]
    status: Status | None
    weight: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a text's tags are, and how they came about. `weights` tells for each topic what its proofs sum to: it
    holds from 1 on."""

    tags: Tags = field(default_factory=Tags)
    tried: tuple[Tried, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)


def attempt(rules: Rules, title: str | None, text: str, language: str | None) -> Trial:
    """Tag a text as `tag` does, and tell of every rule that came near. Meant for a sentence or a story, by hand."""
    book = rules.book(language)
    if book is None:
        return Trial()
    title = title or ""
    both = (("title", title, title_sentences(title)), ("text", text, sentences(text)))
    fields = [(name, whole, proof.read(book, whole, spans)) for name, whole, spans in both]
    latest = proof.latest_year(text)
    everything = [sentence for _, _, found in fields for sentence in found]
    fitting = proof.fitting(book, everything)
    named, told = (proof.prove(book, fitting, name, whole, found, latest) for name, whole, found in fields)
    body = fields[1][2]
    tops = headings(text, [(sentence.start, sentence.end) for sentence in body])
    tags = proof.judge(rules.topics, named, told, len(body), tops)
    weights = {}
    for topic in rules.topics:
        carrying = [one for one in (*named, *told) if one.carries and one.evidence.topic == topic]
        weights[topic] = proof.weights(carrying, len(body), tops)[1]
    tried = tuple(one for name, whole, found in fields for one in _tried(book, name, whole, found, everything, latest))
    return Trial(tags, tried, weights)


def _tried(
    book: Book, name: str, text: str, found: Sequence[Sentence], everything: Sequence[Sentence], latest: int
) -> Iterator[Tried]:
    story, off = proof.whole(book, everything)
    for index, sentence in enumerate(found):
        for rule in book.rules:
            here = sentence.around if rule.across else sentence.mask
            if not all(here & bits for bits in (rule.act, rule.thing) if bits):
                continue
            why = _missing(book, rule, text, sentence, everything, story, off)
            given = None if why else proof.applied(book, rule, name, text, found, index, latest)
            if given is None:
                yield _failed(book, rule, name, text, sentence, why or _apart(rule))
            else:
                status = given.evidence.status
                not_carried = "" if given.carries else f"{status} does not carry the topic"
                words, whole = given.evidence.words, given.evidence.sentence
                yield Tried(rule.rule.topic, rule.rule.name, name, whole, words, status, given.weight, not_carried)


def _failed(book: Book, rule: Compiled, name: str, text: str, sentence: Sentence, why: str) -> Tried:
    spans = _spans(book, text, sentence, rule.act | rule.thing)
    words = tuple((a - sentence.start, b - sentence.start) for a, b in spans)
    whole = text[sentence.start : sentence.end]
    return Tried(rule.rule.topic, rule.rule.name, name, whole, words, None, rule.rule.weight, why)


def _missing(
    book: Book,
    rule: Compiled,
    text: str,
    sentence: Sentence,
    everything: Sequence[Sentence],
    story: int,
    off: int,
) -> str:
    """What the rule's conditions lack in the sentence, its neighbours or the story; empty where they are met."""
    given = rule.rule
    if off & rule.story_block:
        count = sum(1 for one in everything if one.mask & rule.story_block)
        return f"{count} sentences speak of something else (story_blockers: {_names(given.story_blockers)})"
    if sentence.mask & rule.block:
        quoted = ", ".join(repr(text[a:b]) for a, b in _spans(book, text, sentence, rule.block)[:SHOWN])
        return f"blocked by {quoted} (blockers: {_names(given.blockers)})"
    here = sentence.around if rule.across else sentence.mask
    if rule.need & ~here:
        return f"no word of its context in the sentence ({_names(given.context)})"
    if rule.nearby and not sentence.around & rule.nearby:
        return f"no word of its `nearby` in the sentence or its neighbours ({_names(given.nearby)})"
    if rule.story and not story & rule.story:
        return f"no word of its `story` anywhere ({_names(given.story)})"
    return ""


def _apart(rule: Compiled) -> str:
    given = rule.rule
    order = "" if given.order == "any" else f", {given.order}"
    clause = ", in one clause" if given.scope == "clause" else ""
    return f"act and thing do not stand within {given.within} words of each other{order}{clause}"


def _names(groups: Sequence[str]) -> str:
    return ", ".join(groups)


def _spans(book: Book, text: str, sentence: Sentence, bits: int) -> list[tuple[int, int]]:
    """Where words of these slots stand in a sentence, as spans of the text."""
    words = [match.span() for match in book.lexicon.token.finditer(text, sentence.start, sentence.end)]
    return [(words[a][0], words[b - 1][1]) for a, b, mask in sentence.hits if mask & bits]
