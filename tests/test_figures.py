"""Which numbers differ between two tellings."""

from __future__ import annotations

import time
from dataclasses import astuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.figures import MOST, Differences, differences, read


def differ(left: str, right: str, language: str = "en") -> Differences:
    return differences(read(None, left, language), read(None, right, language))


@pytest.mark.parametrize(
    ("left", "right", "changed"),
    [
        ("The camps hold 78,000 people now.", "The camps hold 102,000 people now.", [("78,000", "102,000")]),
        ("Prices fell by 3.5% in a year.", "Prices fell by 4% in a year.", [("3.5%", "4%")]),
        ("Twelve sailors drowned off the cape.", "Fifteen sailors drowned off the cape.", [("Twelve", "Fifteen")]),
        ("One person was hurt in the yard.", "Two people were hurt in the yard.", [("One", "Two")]),
        ("They ask for 10-15 ferries a day.", "They ask for 10–20 ferries a day.", [("10-15", "10–20")]),
        ("The fair opens on 24 May in Varna.", "The fair opens on 25 May in Varna.", [("24 May", "25 May")]),
        ("The fair opens on 24 May in Varna.", "The fair opens on 24 June in Varna.", [("24 May", "24 June")]),
        ("She sailed at 14:05 from the pier.", "She sailed at 15:05 from the pier.", [("14:05", "15:05")]),
        ("On 2022-05-24 the lock was shut.", "On 2022-05-25 the lock was shut.", [("2022-05-24", "2022-05-25")]),
        ("It was the 24th barge this year.", "It was the 25th barge this year.", [("24th", "25th")]),
        ("The dam cost $3bn in the end.", "The dam cost $4bn in the end.", [("$3bn", "$4bn")]),
        ("The dam cost $3bn in the end.", "The dam cost €3bn in the end.", [("$3bn", "€3bn")]),
        ("At noon it was -5 degrees there.", "At noon it was 5 degrees there.", [("-5", "5")]),
        ("The home side won 3-2 at last.", "The home side won 2-3 at last.", [("3-2", "2-3")]),
        ("Some 10 dead and 20 hurt.", "Some 20 dead and 10 hurt.", [("10", "20"), ("20", "10")]),
        ("Only 0 of the cranes work.", "Only 1 of the cranes work.", [("0", "1")]),
        ("Es kamen 3,5 Prozent mehr Schiffe.", "Es kamen 4,5 Prozent mehr Schiffe.", [("3,5", "4,5")]),
        ("قتل ٧٨ شخصا في المدينة", "قتل ٨٠ شخصا في المدينة", [("٧٨", "٨٠")]),
        ("बाढ़ में १२ लोग मारे गए", "बाढ़ में १५ लोग मारे गए", [("१२", "१५")]),
        ("洪水造成78人死亡。", "洪水造成80人死亡。", [("78", "80")]),
        ("They ask for 2-3 million bags.", "They ask for 2-4 million bags.", [("2-3 million", "2-4 million")]),
        ("The dam cost 2.5 million in all.", "The dam cost 2.5 in all.", [("2.5 million", "2.5")]),
    ],
)
def test_what_stands_in_anothers_place_is_a_change(left: str, right: str, changed: list[tuple[str, str]]) -> None:
    assert differ(left, right) == Differences(tuple(changed))
    assert differ(right, left) == Differences(tuple((new, old) for old, new in changed))


@pytest.mark.parametrize(
    "forms",
    [
        ["78,000", "78.000", "78 000", "78\u00a0000", "78\u202f000", "78'000", "78’000", "78000", "٧٨٬٠٠٠", "७८,०००"],
        ["3.5%", "3,5 %", "3.50%", "٣٫٥٪"],
        ["12", "twelve", "Twelve", "１２"],
        ["206", "two hundred and six", "two hundred six"],
        ["1,500,000", "1.500.000", "1.5 million", "15,00,000"],
        ["$3bn", "$3 billion", "3 billion", "3bn"],
        ["1.234,56", "1,234.56", "1234.56", "1'234.56"],
        ["24 May", "24th of May", "24. Mai", "May 24", "24th"],
        ["24.05.2022", "24/5/2022", "24-05-2022"],
        ["14:05", "14.05"],
        ["10-15", "10–15", "10 to 15"],
        ["100 m", "100m"],
    ],
)
def test_the_same_number_written_otherwise_is_no_change(forms: list[str]) -> None:
    texts = [f"The clerk of the port wrote {form} into the book on his desk." for form in forms]
    for one in texts:
        for other in texts:
            assert differ(one, other) == Differences(), (one, other)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("There were 10 dead and 20 hurt.", "There were 20 hurt and 10 dead."),
        ("Silt 10, Reed 20", "Reed 20, Silt 10"),
        ("In all 12 boats left.", "In all 12 boats left. All 12 came back."),
        ("Of 7 piers 3 are shut.\nThe rest are open.", "The rest are open.\nOf 7 piers 3 are shut."),
        ("One of them spoke.", "Nobody of them spoke."),
    ],
)
def test_what_moved_or_is_said_twice_differs_from_nothing(left: str, right: str) -> None:
    assert differ(left, right) == differ(right, left) == Differences()


def test_what_a_cut_copy_lacks_stands_in_the_lead_alone() -> None:
    lead = "The first 14 came in at dawn.\nThen 99 boats left the port for the isles.\nThe last 5 went by night."
    assert differ(lead, lead.split("\n")[0]) == Differences((), ("99", "5"), ())
    assert differ(lead, lead.split("\n")[0].replace("14", "17")) == Differences((("14", "17"),), ("99", "5"), ())
    assert differ(lead.split("\n")[2], lead) == Differences((), (), ("14", "99"))


def test_numbers_of_sentences_that_have_nothing_in_common_are_no_pair() -> None:
    assert differ("The price is 40 crowns.", "It costs nothing more, and 12 came.") == Differences((), ("40",), ("12",))


def test_a_number_that_is_corrected_in_one_place_and_left_in_another_is_told() -> None:
    left = "The toll rose to 10 in the town.\nA week ago 10 were still missing from the boats."
    assert differ(left, left.replace("10 in", "12 in")) == Differences((("10", "12"),))


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("de", ["78 Tausend", "78 tausend", "78.000", "78-Tausend"]),
        ("de", ["2,5 Millionen", "2,5 Mio", "2.500.000"]),
        ("de", ["3 bis 5 Milliarden", "3-5 Mrd", "3–5 Milliarden"]),
        ("de", ["4 Billionen", "4.000 Milliarden"]),
        ("es", ["2,5 millones", "2.500.000"]),
        ("es", ["3 mil millones", "3.000 millones", "3.000.000.000"]),
        ("es", ["1 millón", "1.000 mil"]),
        ("fr", ["3 millions", "3\u00a0millions", "3 000 000"]),
        ("fr", ["1,2 milliard", "1200 millions", "1,2 Md"]),
        ("ru", ["3 тысячи", "3 тыс", "3000"]),
        ("ru", ["1,2 млрд", "1,2 миллиарда", "1200 миллионов"]),
        ("uk", ["5 тисяч", "5 тис", "5 000"]),
        ("uk", ["2 мільйони", "2 млн", "2 000 000"]),
        ("ar", ["٧٨ ألف", "78 ألفا", "٧٨٬٠٠٠"]),
        ("ar", ["3 ملايين", "3 مليون", "3000000"]),
        ("en", ["2 to 3 million", "2-3 million", "2–3mn"]),
        ("sv", ["3 million", "3mn", "3 000 000"]),  # words of English in another language
    ],
)
def test_a_number_with_the_word_for_its_scale_is_its_value(language: str, forms: list[str]) -> None:
    texts = [f"Port in Varna {form} kolo dam." for form in forms]
    for one, form in zip(texts, forms, strict=True):
        assert differ(one, "Port in Varna 9 kolo dam.", language) == Differences(((form, "9"),))
        for other in texts:
            assert differ(one, other, language) == Differences(), (one, other)


@pytest.mark.parametrize(
    ("language", "text", "other"),
    [
        ("fr", "Le port est à 5 milles de la ville.", "Le port est à 5 000 de la ville."),  # miles
        ("de", "Es waren 3 Millionäre in dem Saal.", "Es waren 3.000.000 in dem Saal."),
        ("ru", "Пришло 7 тысячников к нам.", "Пришло 7000 к нам."),
        ("en", "They had 3 tausend bags in all.", "They had 3,000 bags in all."),  # no word of that language
    ],
)
def test_what_only_begins_like_a_scale_is_none(language: str, text: str, other: str) -> None:
    (figure,), (scaled,) = read(None, text, language), read(None, other, language)
    assert not figure.same(scaled)


def test_words_are_numbers_in_english_alone() -> None:
    assert differ("Six mille tonnes de blé", "Dix mille tonnes de blé", "fr") == Differences()
    assert differ("Sechs Boote kamen an", "Acht Boote kamen an", "de") == Differences()


@given(st.text("0123456789 .,:/-%'$abn٣१ \n", max_size=80), st.text("0123456789 .,:/-%'$abn٣१ \n", max_size=80))
@example("1:1bn at 2/3 million, 1-2-3bn", "1-2bn")
def test_nothing_differs_from_itself_and_both_sides_are_told_alike(left: str, right: str) -> None:
    assert differ(left, left) == Differences()
    there, back = differ(left, right), differ(right, left)
    for side, text in ((there.left, left), (there.right, right), (back.left, right), (back.right, left)):
        assert all(number in text for number in side)
    assert all(old in left and new in right for old, new in there.changed)


def test_tables_and_nonsense_take_no_time() -> None:
    began = time.process_time()
    for left, right in (("7 ", "8 "), ("1'", "2'"), ("1-", "1,"), ("1:1 to ", "a hundred "), ("twenty ", "12 mai ")):
        told = differ(left * 40_000, right * 40_000)
        assert max(map(len, astuple(told))) <= 2 * MOST
    assert time.process_time() - began < 20
