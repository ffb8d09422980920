"""The stories of one stretch of time (`NEAR`), and the index that finds those that share shingles.

Exact copies share a text, so three thousand of one story cost the index no more than one. Stories and texts are named
by numbers that never change; what is removed leaves its number behind.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from ingest.dedup.arrays import Column, Flags, Hashes, Ints, at_least, once, ranges
from ingest.dedup.fingerprint import BOUND, LEAST
from ingest.dedup.postings import NUMBER, Postings, keyed
from ingest.dedup.samples import Samples
from ingest.dedup.signs import signs_of
from ingest.dedup.verdicts import CROWDED
from ingest.models import Window

Member = tuple[int, str, int]  # instant, id, number of the story


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """Numbers of the stories that were added, and of the texts that nobody had, whose postings are in order."""

    stories: Ints
    texts: Ints
    postings: Hashes


class Stretch:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.instants = Column(np.int64)
        self.checks = Column(np.uint32)  # `check` of their ids
        self.texts = Column(np.int32)  # of each story; -1: its sample is empty
        self._there = Column(np.bool_)
        self.loose = Column(np.bool_)  # not linked to others: False where nobody asked

        self.keys = Column(np.uint64)  # the same for exact copies
        self.stated: list[str] = []
        self.sizes = Column(np.int32)  # of its sample
        self.regular = Column(np.int32)  # of it, below `BOUND`
        self.short = Column(np.bool_)  # more than the regular sample is kept
        self.heavy = Column(np.int32)  # shingles of its sample that are boilerplate (kept by the scene)
        self._signed = Column(np.bool_)  # its signs are in the index
        self.first = Column(np.int32)  # a story that has it; -1: none any more
        self.several = Column(np.bool_)  # more than one has it
        self._members: dict[int, list[Member]] = {}  # of these
        self._hashes = Samples()
        self._starts = Column(np.int64)

        self._names = Postings()  # which stories' ids have a checksum
        self.postings = Postings()
        self.signs = Postings()  # of texts that are or were mostly boilerplate
        self._copies = Postings()
        self.gone = 0

    def __len__(self) -> int:
        return len(self.ids) - self.gone

    # changing --------------------------------------------------------------------------------------------------
    def add(self, stories: Window, *, loose: bool = False) -> Added:
        """Add these; `loose`: nobody knew them, so they have no links yet."""
        first = len(self.ids)
        numbers = np.arange(first, first + len(stories))
        some = np.flatnonzero(np.diff(stories.bounds) > 0)
        keys, at, whose = np.unique(_keys(stories)[some], return_index=True, return_inverse=True)
        texts = self.having(keys)
        fresh = np.flatnonzero(texts < 0)
        texts[fresh] = len(self.keys) + np.arange(len(fresh))
        postings = self._add_texts(stories, some[at[fresh]], keys[fresh])
        of = np.full(len(stories), -1, np.int32)
        of[some] = texts[whose]
        self.ids += stories.ids
        self.instants.add(stories.instants)
        self.texts.add(of)
        told = checks(stories.ids)
        self.checks.add((told >> np.uint64(39)).astype(np.uint32))
        self._names.add(np.sort(told | numbers.view(np.uint64)))
        self._there.add(np.ones(len(stories), np.bool_))
        self.loose.add(np.full(len(stories), loose))
        self._join(numbers[some], of[some].astype(np.int64))
        return Added(numbers, texts[fresh], postings)

    def _add_texts(self, stories: Window, which: Ints, keys: Hashes) -> Hashes:
        sizes = stories.bounds[which + 1] - stories.bounds[which]
        at, whose = ranges(stories.bounds[which], sizes)
        hashes = stories.shingles[at]
        numbers = len(self.keys) + np.arange(len(which))
        regular = np.bincount(whose[hashes < BOUND], minlength=len(which))
        self._starts.add(len(self._hashes) + np.cumsum(sizes) - sizes)
        self._hashes.add(hashes)
        self.keys.add(keys)
        self.stated += [stories.numbers[k] for k in which.tolist()]
        self.sizes.add(sizes.astype(np.int32))
        self.regular.add(regular.astype(np.int32))
        self.short.add((sizes < LEAST) | (sizes > regular))
        self.heavy.add(np.zeros(len(which), np.int32))
        self._signed.add(np.zeros(len(which), np.bool_))
        self.first.add(np.full(len(which), -1, np.int32))
        self.several.add(np.zeros(len(which), np.bool_))
        postings = keyed(hashes)
        postings |= np.repeat(numbers.view(np.uint64), sizes)
        postings.sort()
        self.postings.add(postings)
        self._copies.add(((keys >> np.uint64(1)) & ~NUMBER) | numbers.view(np.uint64))
        return postings

    def _join(self, stories: Ints, texts: Ints) -> None:
        """These stories have these texts."""
        counts = np.bincount(texts, minlength=len(self.keys))
        alone = (counts[texts] == 1) & (self.first.values[texts] < 0)
        self.first.values[texts[alone]] = stories[alone]
        for story, text in zip(stories[~alone].tolist(), texts[~alone].tolist(), strict=True):
            if self.first.values[text] < 0:
                self.first.values[text] = story
                continue
            members = self._members.setdefault(text, self.members(text))
            insort(members, self._member(story))
            self.several.values[text] = True

    def remove(self, stories: Iterable[int]) -> Ints:
        """Remove these; gives the texts that nobody has any more."""
        dead = []
        for story in stories:
            self._there.values[story] = False
            self.gone += 1
            text = int(self.texts.values[story])
            if text < 0:
                continue
            left = [member for member in self.members(text) if member[2] != story]
            self.first.values[text] = left[0][2] if left else -1
            self.several.values[text] = len(left) > 1
            self._members.pop(text, None)
            if len(left) > 1:
                self._members[text] = left
            elif not left:
                dead.append(text)
        if dead:
            flags = np.zeros(len(self.keys), np.bool_)
            flags[dead] = True
            self.postings.drop(flags)
            self.signs.drop(flags)
        return np.array(sorted(dead), np.int64)

    def note(self, stories: Iterable[int], linked: Collection[str]) -> None:
        """That these are linked to others, if they are among the `linked`, or to none."""
        which = [*stories]
        self.loose.values[which] = [self.ids[story] not in linked for story in which]

    def sign(self, texts: Ints) -> None:
        """Put the signs of those of these that are mostly boilerplate into their index."""
        fresh = texts[self.crowded(texts) & ~self._signed.values[texts]]
        if len(fresh):
            signs, whose = signs_of(*self.samples(fresh))
            self.signs.add(np.sort(signs | fresh[whose].view(np.uint64)))
            self._signed.values[fresh] = True

    # asking ----------------------------------------------------------------------------------------------------
    def find(self, ids: Collection[str], checks: Hashes) -> list[int]:
        """Numbers of those of these stories that are here; `checks` of their ids, in any order."""
        stories = (story for some, _ in self._names.find(once(checks)).carriers() for story in some.tolist())
        there = self._there.values
        return sorted(story for story in stories if there[story] and self.ids[story] in ids)

    def having(self, keys: Hashes) -> Ints:
        """For each of these keys, ascending, the text that has it; -1 where nobody has it."""
        result = np.full(len(keys), -1, np.int64)
        for texts, whose in self._copies.find((keys >> np.uint64(1)) & ~NUMBER).carriers():
            same = (self.keys.values[texts] == keys[whose]) & (self.first.values[texts] >= 0)
            result[whose[same]] = texts[same]
        return result

    def crowded(self, texts: Ints) -> Flags:
        """Which of these are mostly boilerplate."""
        heavy, sizes = (column.values[texts].astype(np.int64) for column in (self.heavy, self.sizes))
        return at_least(heavy, sizes, CROWDED)

    def members(self, text: int) -> list[Member]:
        """The stories that have a text, in order of instant and id."""
        if text in self._members:
            return self._members[text]
        first = int(self.first.values[text])
        return [self._member(first)] if first >= 0 else []

    def carriers(self, texts: Ints) -> tuple[Ints, Ints]:
        """The stories that have one of these texts, and whose each is, as an index into `texts`."""
        several = self.several.values[texts]
        many = np.flatnonzero(several)
        if not len(many):
            return self.first.values[texts].astype(np.int64), np.arange(len(texts))
        found = [self.members(text) for text in texts[many].tolist()]
        more = np.array([story for some in found for _, _, story in some], np.int64)
        stories = np.concatenate((self.first.values[texts[~several]].astype(np.int64), more))
        return stories, np.concatenate((np.flatnonzero(~several), np.repeat(many, [len(some) for some in found])))

    def _member(self, story: int) -> Member:
        return int(self.instants.values[story]), self.ids[story], story

    def samples(self, texts: Ints) -> tuple[Hashes, Ints]:
        """The samples of these texts end to end, and whose each hash is, as an index into `texts`."""
        at, whose = ranges(self._starts.values[texts], self.sizes.values[texts].astype(np.int64))
        return self._hashes[at], whose

    def complete(self, texts: Ints) -> Hashes:
        """The greatest hash up to which each sample is complete."""
        sizes = self.sizes.values[texts]
        last = self._hashes[self._starts.values[texts] + sizes - 1]
        return np.where(sizes < LEAST, np.uint64(2**64 - 1), np.maximum(last, BOUND - np.uint64(1)))


def checks(ids: Collection[str]) -> Hashes:
    """A checksum of each id, as the key of a posting."""
    return np.fromiter(map(crc32, map(str.encode, ids)), np.uint64, len(ids)) << np.uint64(31)


def check(id_: str) -> int:
    """The first 24 bits of the checksum of an id."""
    return crc32(id_.encode()) >> 8


def _keys(window: Window) -> Hashes:
    """The same for exact copies, samples and numbers; 64 bits tell all others apart."""
    result = np.fromiter(map(crc32, map(str.encode, window.numbers)), np.uint64, len(window))
    result *= np.uint64(0x9E3779B97F4A7C15)
    some = np.flatnonzero(np.diff(window.bounds))
    if len(some):
        # Twice, since a sum is to say nothing of sums: {1, 5} is not {2, 4}.
        mixed = window.shingles + np.uint64(0x9E3779B97F4A7C15)  # else a hash of 0 would add nothing
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
        result[some] += np.add.reduceat(mixed, window.bounds[:-1][some])
    return result
