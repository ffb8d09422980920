"""Words, what is typed, and snippets: what every store shares."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.store import terms, typed
from ingest.store.typed import Clause

MIXED = st.text(st.sampled_from("aA's.’, 7中ไอガé한é\u0301\n-_*\"🇺🇦½ﷺﬁ") | st.characters(), max_size=80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The U.S. sent 78,000 troops’ rations", "the u.s sent 78,000 troop ration"),
        ("Kyiv's d’Artagnan dell'acqua O'Brien rock'n'roll", "kyiv artagnan acqua o'brien rock'n'roll"),
        ("deployment deployed deploying deploys convoys escalates escalation", "deploy " * 4 + "convoy escal escal"),
        ("parties party says ski by y i", "parti parti say ski by y i"),
        ("ÉCLAIR Łódź Straße Ørsted ﬁne Ⅷ", "eclair lodz strass orst fine viii"),
        ("Ёлка Київ Ελλάδας", "елка киів ελλαδασ"),
        ("中国军队ABC・ウクライナ", "中 国 军 队 abc ウ ク ラ イ ナ"),
        ("ที่ไทย", "ท ี ่ ไ ท ย"),
        ("हिन्दी", "हिन्दी"),
        ("\ud800 \0 :-) 🙂 …", ""),
        ("a" * 400, "a" * 255),
    ],
)
def test_terms(text: str, expected: str) -> None:
    assert terms.indexed(text)[0] == expected


def test_forms_are_words_that_stemming_changed() -> None:
    assert terms.indexed("Ships escalating near Kyiv’s port")[1] == {"ships", "escalating"}


@given(MIXED)
def test_indexing_and_marking_see_the_same_words(text: str) -> None:
    found = list(terms.words(text))
    assert [term for word in found for term in word.terms] == terms.indexed(text)[0].split(" ") or not found
    assert all(len(word.terms) == len(word.forms) for word in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert not any(char.isspace() for word in found for term in word.terms for char in term)


@given(st.text(st.sampled_from("ab'.,:7_ \n\t\r\u0301\u200d\u202f\u00a0\u2028é中가🇺🇦") | st.characters(), max_size=60))
def test_words_do_not_reach_over_blanks(text: str) -> None:
    """What makes `indexed` fast: piece by piece, it finds what UAX #29 finds in the whole."""
    found = list(terms.words(text))
    assert terms.indexed(text)[0] == " ".join(term for word in found for term in word.terms)
    assert terms.indexed(text)[1] == {" ".join(word.forms) for word in found if word.forms != word.terms}


@given(MIXED)
def test_a_text_finds_itself(text: str) -> None:
    indexed = f" {terms.indexed(text)[0]} "
    phrase = typed.read(f'"{text.replace(chr(34), " ")}"').clauses
    assert all(f" {' '.join(clause.terms)} " in indexed for clause in phrase)


def test_the_memory_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "_REMEMBERED", 10)
    assert terms.indexed(" ".join(f"word{n}" for n in range(100)))[0].split() == [f"word{n}" for n in range(100)]
    assert len(terms._terms()) <= 10


def test_what_is_typed() -> None:
    read = typed.read('Grain -"Two words" deploym* well-known -x* „auf deutsch“ -')
    assert read.clauses == (
        Clause(("grain",)),
        Clause(("two", "word"), excluded=True),
        Clause(("deploym",), prefix=True),
        Clause(("well", "known")),
        Clause(("x",), prefix=True, excluded=True),
        Clause(("auf", "deutsch")),
    )
    assert not read.hopeless
    assert typed.read("?!").hopeless
    assert not typed.read("  ").hopeless
    assert len(typed.read(" ".join(map(str, range(100)))).clauses) == typed.MOST_CLAUSES
    assert typed.read("a b a").clauses == (Clause(("a",)), Clause(("b",)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grain -corridor deplo* title:she*", ""),
        ("中* 兵*", ""),
        ("a" * 501, "at most 500 characters"),
        ("a b " * 17, "at most 32 words"),
        ("un*", "at least 3 letters"),
        ("-x*", "at least 3 letters"),
        ("abc* abd* abe* abf* abg*", "at most 4 words with a *"),
    ],
)
def test_what_is_too_much_from_outside_is_told(text: str, told: str) -> None:
    assert told in typed.refused(text)
    assert bool(typed.refused(text)) == bool(told)


@given(MIXED, MIXED)
def test_words_on_demand_are_the_same_words(text: str, asked: str) -> None:
    found, listed = terms.Words(text), list(terms.words(text))
    assert (len(found), list(found), found[-3:]) == (len(listed), listed, listed[-3:])
    some = {term for word in terms.words(asked) for term in word.terms}
    begun = tuple(form[:2] for word in terms.words(asked) for form in word.forms)
    wanted = {
        place
        for place, word in enumerate(listed)
        if some.intersection(word.terms) or (begun and any(form.startswith(begun) for form in word.forms))
    }
    assert wanted <= set(found.having(some, begun))
    assert list(found.having((), ())) == []


@given(MIXED, MIXED)
def test_marks_lie_inside_the_snippet(text: str, asked: str) -> None:
    shown = typed.snippet(text, typed.read(asked).required)
    places = [place for mark in shown.marks for place in mark]
    assert places == sorted(set(places))
    assert not places or 0 <= places[0] < places[-1] <= len(shown.text)
    assert not any(char in shown.text for char in "\n\t")


def test_a_snippet_goes_where_most_clauses_stand() -> None:
    quiet = "The road lay quiet under the hills and nobody passed. " * 20
    text = f"{quiet}Artillery. {quiet}Grain and artillery, again artillery! {quiet}"
    shown = typed.snippet(text, typed.read("artillery grain").required)
    assert [shown.text[start:end] for start, end in shown.marks] == ["Grain", "artillery", "artillery"]
    assert shown.text.startswith("… ")
    assert shown.text.endswith(" …")


def test_a_snippet_of_chinese_is_two_lines_with_one_mark_a_match() -> None:
    text = "今天天气很好大家都在家里休息。" * 20 + "军队在边境部署了坦克" + "今天天气很好。" * 30
    shown = typed.snippet(text, typed.read("边境部署").required)
    assert [shown.text[start:end] for start, end in shown.marks] == ["边境部署"]
    assert 120 <= len(shown.text) < 140


def test_a_text_of_a_million_characters_has_a_snippet() -> None:
    shown = typed.snippet("mine " * 300_000, typed.read("mine m*").required)
    assert shown.text.startswith("mine mine")
