"""Stories in the frames of sites, for the judges to learn from: what strangers have in common, and copies do not.

A frame is made of paragraphs of other stories, put before and after: so no judge learns the words of one site's
boilerplate, but that text in common is not enough. Two strangers stand in the same frame, a story and its copy in the
same one or in two.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ingest import dedup
from ingest.dedup.judge import Suspect
from ingest.dedup.verdicts import FEWEST, SUSPECT

LEAST, SPREAD = 200, 12  # characters of a frame and of a cut story: LEAST to LEAST * SPREAD, short ones more often
PARAGRAPH = 20, 300  # characters: shorter ones are left out, longer ones cut
STRANGERS, COPIES = 0.6, 0.2  # shares of pairs in the same frame; the rest are copies in two frames
CUT, TITLED = 0.7, 0.85  # shares of stories
HOURS = 72

Frame = tuple[list[str], list[str]]  # what stands before, what stands after


@dataclass
class Framed:
    """Stories by id, the cluster of each, and the pairs that the pipe would suspect."""

    texts: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    gold: dict[str, str] = field(default_factory=dict)
    suspects: list[Suspect] = field(default_factory=list)


def framed(stories: Sequence[Mapping[str, Any]], count: int, seed: int) -> Framed:
    """So many pairs of stories (of `id`, `title`, `text`, `cluster`) in frames, always the same for the same seed."""
    rng = random.Random(seed)
    stories = [story for story in stories if len(story["text"]) > LEAST]
    clusters: dict[str, list[Mapping[str, Any]]] = {}
    for story in stories:
        clusters.setdefault(story["cluster"], []).append(story)
    result = Framed()
    for k in range(count):
        one, frame, kind = rng.choice(stories), _frame(rng, stories), rng.random()
        other = rng.choice(stories if kind < STRANGERS else clusters[one["cluster"]])
        frames = frame, frame if kind < STRANGERS + COPIES else _frame(rng, stories)
        for end, story, around in zip("ab", (one, other), frames, strict=True):
            result.texts[f"{k}{end}"] = _told(rng, story, around)
            result.gold[f"{k}{end}"] = story["cluster"]
    prints = dict(zip(result.texts, dedup.fingerprints(list(result.texts.values())), strict=True))
    for k in range(count):
        first, second = prints[f"{k}a"], prints[f"{k}b"]
        shared = len(np.intersect1d(first.shingles, second.shingles))
        smaller = min(len(first.shingles), len(second.shingles))
        if shared >= FEWEST and shared * SUSPECT[1] >= smaller * SUSPECT[0]:
            hours, stated = rng.choice((0, rng.random() * HOURS)), (first.stated(), second.stated())
            result.suspects.append(Suspect(f"{k}a", f"{k}b", shared / smaller, hours, stated, False))
    return result


def _frame(rng: random.Random, stories: Sequence[Mapping[str, Any]]) -> Frame:
    texts = [story["text"] for story in rng.sample(stories, 3)]
    shortest, longest = PARAGRAPH
    paragraphs = [line.strip()[:longest] for text in texts for line in text.split("\n") if len(line) > shortest]
    rng.shuffle(paragraphs)
    size, chosen = _size(rng), []
    while paragraphs and sum(map(len, chosen)) < size:
        chosen.append(paragraphs.pop())
    above = rng.choice((0, len(chosen), rng.randint(0, len(chosen))))
    return chosen[:above], chosen[above:]


def _told(rng: random.Random, story: Mapping[str, Any], frame: Frame) -> tuple[str | None, str]:
    text = story["text"][: _size(rng)] if rng.random() < CUT else story["text"]
    title = story.get("title") if rng.random() < TITLED else None
    return title, "\n\n".join((*frame[0], text, *frame[1]))


def _size(rng: random.Random) -> int:
    return int(LEAST * SPREAD ** rng.random())
