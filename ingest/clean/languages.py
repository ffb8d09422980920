"""The language of a text: what is said of it, checked against the text itself."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ingest.languages import ISO_639_1, UNKNOWN, code

# Below this many letters a detector guesses; what is said of the text counts alone.
_ENOUGH_LETTERS = 40
# From this many on a detector that is certain overrules what is said: many sites of the world say "en" in a template
# that nobody changed.
_PLENTY_OF_LETTERS = 150
_SURE = 0.99
# Below this nobody's guess is taken: measured on texts of one language .95 and more, of two or three in turn .6, on
# code and lists of names below .25.
_LIKELY = 0.75
_ONE_SCRIPT = 0.6  # share of the letters that are of one script
_READ = 800  # characters that are looked at; more changes nothing

# Written so alike that a detector is no judge between them.
_ALIKE = (
    frozenset(("no", "da")),
    frozenset(("hr", "sr", "bs")),
    frozenset(("id", "ms")),
    frozenset(("cs", "sk")),
    frozenset(("ca", "es", "gl")),
    frozenset(("af", "nl")),
)


class Language(NamedTuple):
    """ISO 639-1, or `und` where it cannot be told; and how sure that is, from 0 to 1."""

    code: str
    score: float


_NONE = Language(UNKNOWN, 0.0)
_TOLD = 0.5  # the score of what is only said, of a text too short to be judged


def recognised(text: str, hints: Sequence[str | None] = ()) -> Language:
    """The language of the text. `hints` are what is said of it, the most trusted first: the first one wins unless the
    text is long enough to refute it or is not written in its letters.

    Without a hint it is `und` for texts that are short, of several languages, or none: lists of names, code.
    """
    _identifier()  # loaded with the first text, not in the middle of many
    sample = text[:_READ]
    script, share = _script(sample)
    stated = [found for hint in hints if (found := code(hint)) and _can_be(found, script)]
    letters = sum(map(str.isalpha, sample)) * (_LETTERS_PER_IDEOGRAPH if script in _IDEOGRAPHIC else 1)
    if letters < _ENOUGH_LETTERS:
        return Language(stated[0], _TOLD) if stated else _NONE
    if stated and _reads_like(sample, stated[0]):
        return Language(stated[0], 1.0)
    detected, sureness = _detected(sample)
    if not stated:
        return Language(detected, sureness) if sureness >= _LIKELY and share >= _ONE_SCRIPT else _NONE
    alike = any(detected in group and stated[0] in group for group in _ALIKE)
    if detected == stated[0] or not (alike or letters < _PLENTY_OF_LETTERS or sureness < _SURE):
        return Language(detected, sureness)
    return Language(stated[0], _TOLD)


# Words that no text does without, of languages that no neighbour shares many of them with. Asking the detector takes
# ten times as long. (The words of Russian and Ukrainian, or of Swedish and Norwegian, are too much alike.)
_COMMON = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the and of to with that was from have for by this which would their said has had he his they been are "
        "were who its than also about not but or",
        "de": "der und das den mit von für ist nicht auf dem ein eine sich zu werden wurde im am als auch wie er sie "
        "es hat bei nach aus des einen einer sind sei sagte über haben",
        "fr": "les et des une dans pour qui est du au cette avec sont pas ses aux le la par sur il elle plus son ce "
        "ont été mais comme",
        "es": "el los las del una con por para se su al lo como más pero fue esta sus que",
        "it": "il di che è per della dei del nel sono con non si gli una anche alla dal più",
        "pt": "o os do da dos das em um uma com não no na para ao foi por mais pelo ser",
        "pl": "w i na z że się nie jest przez po od dla jak za oraz który są ze tym może",
        "el": "και το του της να η την με για που από ο σε τα τον στο στην οι των δεν είναι",
    }.items()
}
_SHARE = 0.15  # of the words that must be common ones; measured: .16 to .45 in the right language, in others below .1


def _reads_like(sample: str, language: str) -> bool:
    """Whether the common words of a language make up as much of the text as they do in that language alone."""
    common = _COMMON.get(language)
    words = re.findall(r"[^\W\d_]+", sample.casefold())
    return common is not None and len(words) >= 20 and sum(word in common for word in words) >= _SHARE * len(words)


# A page is asked for its language, and the story that it tells once more, with what its feed says of it: mostly of the
# same words. In between stands its feed's own telling.
_REMEMBERED = 2


@functools.lru_cache(_REMEMBERED)
def _detected(sample: str) -> tuple[str, float]:
    found, sureness = _identifier().classify(sample)
    return found, float(sureness)


@functools.cache
def _identifier() -> Any:
    """The detector; loading its model takes 0.8 s, so not before it is needed."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(sorted({label for label in identifier.nb_classes if label in ISO_639_1} - _IN_NO_NEWS))
    return identifier


@functools.lru_cache(_REMEMBERED)
def _script(sample: str) -> tuple[str, float]:
    """The script of most of its first letters, as Unicode names it, and the share of them that are of it."""
    if sample[:600].isascii():
        return ("LATIN" if any(map(str.isalpha, sample[:600])) else ""), 1.0
    letters = [*filter(str.isalpha, sample[:600])][:300]
    counted: Counter[str] = Counter()
    for letter, times in Counter(letters).items():
        counted[_script_of(letter)] += times
    if counted["HIRAGANA"] + counted["KATAKANA"] > len(letters) / 10:  # Japanese mixes
        return "HIRAGANA", 1.0
    for script in _IDEOGRAPHIC & counted.keys():
        counted[script] *= _LETTERS_PER_IDEOGRAPH
    if not counted:
        return "", 1.0
    found = min(counted, key=lambda script: (-counted[script], script))
    return found, counted[found] / counted.total()


@functools.lru_cache(10_000)
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "?").split(maxsplit=1)[0].split("-")[0]


def _can_be(stated: str, script: str) -> bool:
    """Whether a text in that script can be in the stated language at all."""
    if script in _SCRIPTS:
        return stated in _SCRIPTS[script]
    return script != "LATIN" or stated not in _NEVER_LATIN


_SCRIPTS = {
    "CYRILLIC": frozenset("ab av ba be bg ce cu cv kk kv ky mk mn os ru sr tg tk tt ug uk uz az ro".split()),  # noqa: SIM905
    "ARABIC": frozenset("ar az fa ha kk ks ku ms pa ps sd ug ur uz".split()),  # noqa: SIM905
    "HEBREW": frozenset(("he", "yi")),
    "GREEK": frozenset(("el",)),
    "HANGUL": frozenset(("ko",)),
    "HIRAGANA": frozenset(("ja",)),
    "CJK": frozenset(("ja", "ko", "za", "zh")),
    "THAI": frozenset(("th",)),
    "DEVANAGARI": frozenset(("hi", "ks", "mr", "ne", "pi", "sa", "sd")),
    "GEORGIAN": frozenset(("ka", "os", "ab")),
    "ARMENIAN": frozenset(("hy",)),
    "ETHIOPIC": frozenset(("am", "om", "ti")),
}
_IDEOGRAPHIC = frozenset(("CJK", "HIRAGANA", "HANGUL"))
_LETTERS_PER_IDEOGRAPH = 3
_NEVER_LATIN = frozenset("am ar be bg el fa he hi hy ja ka ko mk mr ne ps ru th uk ur yi zh".split())  # noqa: SIM905
# The detector knows them and takes short or damaged texts of other languages for them.
_IN_NO_NEWS = frozenset(("an", "br", "eo", "la", "vo", "wa", "se", "qu", "nn", "nb"))
