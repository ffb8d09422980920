"""A text with what proves its topics in it, cut where a proof, a matched or a searched word begins or ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.models import Evidence


@dataclass(frozen=True, slots=True)
class Segment:
    """Some characters of a text. `proofs` are the places, in the story's evidence, of the sentences that they belong
    to; `word`: a rule matched them; `found`: they were searched for; `ends`: the proofs that end here."""

    text: str
    proofs: tuple[int, ...] = ()
    word: bool = False
    found: bool = False
    ends: tuple[int, ...] = ()


def paragraphs(
    text: str, evidence: Sequence[Evidence], field: str, found: Iterable[tuple[int, int]] = ()
) -> list[list[Segment]]:
    """The paragraphs of a field (`text`, or `title`, which has one), each as segments in order."""
    own = [(n, proof) for n, proof in enumerate(evidence) if proof.field == field and _stands(proof, text)]
    words = [(proof.start + start, proof.start + end) for _, proof in own for start, end in proof.words]
    spans = [(proof.start, proof.end) for _, proof in own]
    searched = list(found)
    cuts = {0, len(text)}
    for start, end in (*words, *spans, *searched):
        cuts |= {start, end}
    breaks = [n for n, char in enumerate(text) if char == "\n"]
    cuts |= {*breaks, *(n + 1 for n in breaks)}
    places = sorted(cut for cut in cuts if 0 <= cut <= len(text))
    is_word, is_found = _covered(words, places), _covered(searched, places)
    lines: list[list[Segment]] = [[]]
    for start, end in pairwise(places):
        if text[start:end] == "\n":
            lines.append([])
            continue
        proofs = tuple(n for n, proof in own if proof.start <= start and end <= proof.end)
        ends = tuple(n for n, proof in own if proof.end == end)
        lines[-1].append(Segment(text[start:end], proofs, start in is_word, start in is_found, ends))
    return [line for line in lines if any(segment.text.strip() for segment in line)]


def _stands(proof: Evidence, text: str) -> bool:
    return text[proof.start : proof.end] == proof.sentence


def _covered(spans: Iterable[tuple[int, int]], places: Sequence[int]) -> set[int]:
    """The places at which a segment begins that lies inside one of the spans."""
    inside: set[int] = set()
    at = 0
    for start, end in sorted(spans):
        while at < len(places) and places[at] < start:
            at += 1
        here = at
        while here < len(places) and places[here] < end:
            inside.add(places[here])
            here += 1
    return inside
