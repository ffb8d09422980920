"""Text → a sample of the hashes of its character 9-shingles, and the numbers that it states."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ingest.dedup.arrays import Flags, Hashes, Ints, once, run_on
from ingest.models import Fingerprint

VERSION = "1"  # changes when fingerprints change: those of two versions cannot be compared

SHINGLE = 9  # characters
SAMPLE = 32  # one shingle of so many is kept
LEAST = 12  # of a short text the smallest are kept, so many
LABEL = 32  # shingles: a text with fewer (five words) is a label ("Photo of the day") and never the same as another

BOUND = np.uint64(2**64 // SAMPLE)  # a sample holds every hash below it
_BATCH = 1 << 17  # characters, at least
_BLOCK = 1 << 14  # characters hashed at once: fits the cache; twice as many take 1.6 times as long each
_LONGEST = 40  # characters of a number
_MOST = 1000  # numbers of a text


def fingerprints(texts: Sequence[tuple[str | None, str]]) -> list[Fingerprint]:
    """The fingerprint of each (title, text), in the same order.

    Shingles run over title and text, HTML unescaped, in NFKC and lower case, words joined by one blank. A Chinese,
    Japanese or Korean character counts as three, since it says as much. Hashes are the same on every machine. Of a
    text too short to be told from a label the sample is empty.
    """
    result: list[Fingerprint] = []
    for batch in _batches(f"{title or ''}\n{text}" for title, text in texts):
        result.extend(_fingerprint_batch(batch))
    return result


def unwrapped(text: str) -> str:
    """HTML unescaped, in NFKC."""
    if "&" in text:
        text = html.unescape(text)
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        text = unwrapped(text)
        batch.append(text)
        size += len(text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _fingerprint_batch(texts: list[str]) -> list[Fingerprint]:
    joined, points, letters, starts = spelled(texts)
    samples = _samples(*squeezed(letters, starts))
    numbers = _numbers(joined, points, letters, starts)
    return [Fingerprint(sample, stated) for sample, stated in zip(samples, numbers, strict=True)]


_ALPHABET = 0x20000  # what lies above is Chinese characters
_BYTE = 0x100  # letters below it take a byte each: what is done to them costs a third
DROPPED = 0
BLANK = 32

Points = NDArray[np.uint32 | np.uint8]


def spelled(texts: Sequence[str]) -> tuple[str, Points, Points, Ints]:
    """The texts end to end with a blank after each, its code points, what becomes of each (a letter, BLANK, DROPPED),
    and where each text starts in these (one more for the end)."""
    joined = " ".join(texts) + " "
    starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    if joined.isascii():
        raw = joined.encode("ascii")
        return joined, np.frombuffer(raw, np.uint8), np.frombuffer(raw.translate(_bytes()), np.uint8), starts
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    letters = _alphabet().take(points, mode="clip")
    if points.max() >= _ALPHABET:
        letters = np.where(points >= _ALPHABET, points, letters)
    return joined, points, letters if letters.max() >= _BYTE else letters.astype(np.uint8), starts


@cache
def _alphabet() -> NDArray[np.uint32]:
    """What each character becomes: lower case, ASCII digits, a blank between words, nothing for invisible ones."""
    return np.array([_letter(chr(point)) for point in range(_ALPHABET)], np.uint32)


@cache
def _bytes() -> bytes:
    """The same for ASCII."""
    return bytes(_letter(chr(point)) for point in range(0x80)).ljust(_BYTE)


def _letter(char: str) -> int:
    category = unicodedata.category(char)
    if category == "Nd":
        return ord("0") + unicodedata.digit(char)
    if category[0] in "LMN":
        return ord(char.lower()[0])
    return DROPPED if category == "Cf" else BLANK  # soft hyphens and joiners stand inside words


def squeezed(letters: Points, starts: Ints) -> tuple[Points, Ints]:
    """Words joined by one blank, a blank after the last; where each text starts in that."""
    dropped = letters == DROPPED
    if dropped.any():
        letters, starts = _without(dropped, letters, starts)
    blank = letters == BLANK
    spare = blank.copy()
    spare[1:] &= blank[:-1]
    letters, starts = _without(spare, letters, starts)
    if letters.max(initial=0) >= 0x2E80:
        width = np.where(dense(letters), 3, 1)
        starts = np.concatenate(([0], np.cumsum(width)))[starts]
        letters = np.repeat(letters, width)
    return letters, starts


def _without(which: Flags, letters: Points, starts: Ints) -> tuple[Points, Ints]:
    return letters[~which], starts - np.searchsorted(np.flatnonzero(which), starts)


def dense(letters: Points) -> Flags:
    """Which characters are a syllable or a word: Chinese, Japanese, Korean, Yi."""
    result: Flags = (
        ((letters >= 0x2E80) & (letters < 0xA4D0))
        | ((letters >= 0xAC00) & (letters < 0xD7B0))
        | ((letters >= 0xF900) & (letters < 0xFB00))
        | (letters >= _ALPHABET)
    )
    return result


_TEXTS = SAMPLE  # sorted at once, by what is put into the bits that a hash below `BOUND` leaves free
_FREE = np.uint64(64 - (SAMPLE - 1).bit_length())


def _samples(units: Points, starts: Ints) -> list[Hashes]:
    last = np.maximum(starts[1:] - SHINGLE, starts[:-1])  # the blank at the end belongs to no shingle
    at, kept = _below_bound(units)
    whose = np.searchsorted(starts, at, side="right") - 1
    inside = at < last[whose]
    kept, whose = kept[inside], whose[inside]
    bounds = np.searchsorted(whose, np.arange(len(starts)))
    kept |= (whose % _TEXTS).view(np.uint64) << _FREE
    for first in range(0, len(starts) - 1, _TEXTS):
        kept[bounds[first] : bounds[min(first + _TEXTS, len(starts) - 1)]].sort()
    kept &= BOUND - np.uint64(1)
    fresh = np.ones(len(kept), np.bool_)
    fresh[1:] = (kept[1:] != kept[:-1]) | (whose[1:] != whose[:-1])
    kept, bounds = kept[fresh], np.concatenate(([0], np.cumsum(fresh)))[bounds]
    samples = [kept[a:b] for a, b in pairwise(bounds.tolist())]
    short = np.flatnonzero(np.diff(bounds) < LEAST)
    for text, sample in zip(short.tolist(), _smallest(units, starts[short], last[short]), strict=True):
        samples[text] = sample
    return samples


def _smallest(units: Points, firsts: Ints, lasts: Ints) -> Iterator[Hashes]:
    """The smallest hashes of the shingles that begin there, of each text; none of a label."""
    sizes = np.where(lasts - firsts >= LABEL, lasts - firsts + SHINGLE - 1, 0)
    hashes = shingled(units[run_on(firsts, sizes)])
    for stop, size in zip(np.cumsum(sizes).tolist(), sizes.tolist(), strict=True):
        yield once(hashes[stop - size : max(stop - SHINGLE + 1, stop - size)])[:LEAST].copy()


def _below_bound(units: Points) -> tuple[Ints, Hashes]:
    """Where shingles begin whose hash is below `BOUND`, and these hashes."""
    at, kept = [], []
    for first in range(0, max(len(units), 1), _BLOCK):
        hashes = shingled(units[first : first + _BLOCK + SHINGLE - 1])
        some = np.flatnonzero(hashes < BOUND)
        at.append(some + first)
        kept.append(hashes[some])
    return np.concatenate(at), np.concatenate(kept)


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(0x9E3779B97F4A7C15, exponent, 2**64))


def shingled(units: Points) -> Hashes:
    """A hash of every `SHINGLE` units: a polynomial modulo 2⁶⁴, three by three, its bits then mixed upwards."""
    if len(units) < SHINGLE:
        return np.empty(0, np.uint64)
    one = units.astype(np.uint64)
    three = one[:-2] * _power(1)
    three += one[1:-1]
    three *= _power(1)
    three += one[2:]
    nine = three[:-6] * _power(3)
    nine += three[3:-3]
    nine *= _power(3)
    nine += three[6:]
    nine ^= nine >> np.uint64(29)
    nine *= np.uint64(0xBF58476D1CE4E5B9)
    return nine


def _numbers(joined: str, points: Points, letters: Points, starts: Ints) -> list[tuple[str, ...]]:
    """The numbers of each text as they stand there ("78,000", "2022-05-24"), in ASCII digits, sorted."""
    at = np.flatnonzero(letters - letters.dtype.type(ord("0")) < 10)  # what is below it wraps around
    begins = np.ones(len(at) + 1, np.bool_)  # one more: the last one ends there
    begins[1:-1] = (gap := np.diff(at)) > 1
    near = np.flatnonzero(gap == 2)
    begins[near + 1] = ~np.isin(points[at[near] + 1], [ord(char) for char in ".,/-"])
    firsts, ends = at[begins[:-1]], at[begins[1:]] + 1
    bounds = np.searchsorted(firsts, starts).tolist()
    found = [joined[a : min(b, a + _LONGEST)] for a, b in zip(firsts.tolist(), ends.tolist(), strict=True)]
    found = [number if number.isascii() else _ascii(number) for number in found]
    return [tuple(sorted(found[a : min(b, a + _MOST)])) for a, b in pairwise(bounds)]


def _ascii(number: str) -> str:
    return "".join(str(unicodedata.digit(char, char)) for char in number)
