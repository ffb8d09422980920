"""Text comes out in a form that every store and every terminal can hold."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import words

anything = st.text(alphabet=st.characters(codec=None, categories=None), max_size=200)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("a\x00b\x08c\x1b[31md\x7f", "abc[31md"),
        ("one\r\ntwo\rthree\x0bfour\u2028five\x85six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("tab\tstays\n", "tab\tstays\n"),
        ("cafe\u0301", "café"),
        ("lone \ud800 half", "lone \ufffd half"),
        ("pair \ud83d\ude00", "pair 😀"),
        ("中文 שלום", "中文 שלום"),
    ],
)
def test_sane(dirty: str, clean: str) -> None:
    assert words.sane(dirty, 1000) == clean


def test_sane_counts_code_points_and_does_not_behead_an_accent() -> None:
    assert words.sane("😀" * 10, 4) == "😀" * 4
    assert words.sane("abcx\u0332\u0333", 5) == "abc"  # x with two marks is one letter: all of it or nothing


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("  Aid \n\t convoy\u00a0reaches  ", "Aid convoy reaches"),
        ("safe\u202egpj.exe\u202c", "safegpj.exe"),
        ("\ufeffzero\u200bwidth\u00ad", "zerowidth"),
        ("a \x00 b\x1bc", "a bc"),
        ("line\r\nINFO forged", "line INFO forged"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian needs its zero-width non-joiner
    ],
)
def test_one_line(dirty: str, clean: str) -> None:
    assert words.one_line(dirty, 1000) == clean


@given(anything, st.integers(1, 60))
def test_sane_holds_its_promises(text: str, limit: int) -> None:
    out = words.sane(text, limit)
    assert len(out) <= limit
    assert unicodedata.is_normalized("NFC", out)
    assert not [c for c in out if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert words.sane(out, limit) == out


@given(st.one_of(anything, st.text(alphabet=st.characters(codec="ascii"))))
def test_letters_and_digits_of_any_script_are_what_is_compared(text: str) -> None:
    assert words.letters(text) == "".join(filter(str.isalnum, text.casefold()))


@given(anything, st.integers(1, 60))
def test_one_line_holds_its_promises(text: str, limit: int) -> None:
    out = words.one_line(text, limit)
    assert len(out) <= limit
    assert out == " ".join(out.split())
    assert words.one_line(out, limit) == out
    out.encode("utf-8")


READ_WELL = [
    "Café Zürich – “the ferry’s late”",
    "Порт Села знову відкрито",
    "Порт закрыт до осени",
    "Łódź: święto żaglówek",
    "ميناء المدينة مفتوح",
    "Το λιμάνι άνοιξε ξανά",
    "港口重新开放，渡轮恢复",
    "À Genève, l’été déjà",
    "Ticket: 5 € à l’aube…",
]


@pytest.mark.parametrize("text", READ_WELL)
def test_utf8_read_as_a_western_encoding_is_mended(text: str) -> None:
    as_browsers = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in text.encode())
    for mangled in (text.encode().decode("latin-1"), as_browsers):
        assert words.mended(mangled) == text
        markup = f'<p class="a">{mangled}</p>\n<p>{text}</p>'
        assert words.mended(markup) == f'<p class="a">{text}</p>\n<p>{text}</p>'
    assert words.mended(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Âge d’or et château : «pâté»",
        "IRMÃ E MÃE, «amanhã»…",
        "amanhã»…",
        "São João, às três da manhã",
        "Être là, où l’âme dîne",
        "Îles, Ïambe, Ðuro, Ñandú, Ø, Ù, ×",
        "LÂ» e RÃ«",
        "he read cafÃ© where “café” stood",  # one sign was read well: so it may be meant
        "3×4 ä¸",
        "Ã",
        "château â€",
    ],
)
def test_text_that_means_these_letters_stays(text: str) -> None:
    assert words.mended(text) == text


@given(anything)
def test_what_is_mended_was_utf8(text: str) -> None:
    out = words.mended(text)
    assert words.mended(text.encode("ascii", "ignore").decode()) == text.encode("ascii", "ignore").decode()
    assert out == text or len(out) < len(text)
