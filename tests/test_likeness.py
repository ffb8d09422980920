"""What a close look at two texts measures, and what its judges make of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from ingest import dedup
from ingest.dedup.likeness import FEATURES
from ingest.dedup.profiles import profiles
from ingest.models import Kinship

BRIDGE = """The bridge over the Olt at Slatina will stay closed to lorries until the end of September, the road company
said on Monday, after divers found cracks in two of its seven piers. Some 4,200 lorries crossed it every day before the
flood of 9 June. They are now sent by way of Caracal, 46 kilometres longer.

Engineers from Craiova measured the piers with sonar for three nights. The third one stands on gravel that the river has
carried away to a depth of 2.5 metres, said the head of the survey, Ilinca Dobre, and the fifth has moved by a hand's
breadth. Cars and buses may go on using the northern lane at thirty kilometres an hour.

Hauliers asked the government to pay for the detour, which they put at 61 euros a trip. The ministry of transport
answered that a fund for floods had been used up in May, and that parliament would have to fill it again. A rail ferry
that carried beet until 1998 could be made ready in six weeks, the mayor of Slatina said."""

NEXT_DAY = """Parliament voted on Tuesday to put another 30 million lei into the fund for floods, so that hauliers can
be paid for the long way round the broken bridge of Slatina. Two hundred and eleven members were in favour. The money
comes out of what had been set aside for stadiums, and the opposition called it a present to three companies of Oltenia
that happen to own most of the lorries. Premier Vlaicu Stanescu said that whoever had a better idea should name it.

The association of hauliers will send its first bills on Friday. Its chairman, Remus Ghita, thought it a mistake that
owners of a single lorry have to prove each crossing, since few of them kept receipts before June. Bakers in Craiova
have begun to buy flour in Bulgaria, where it is dearer by a tenth.

Engineers from Craiova measured the piers with sonar for three nights. The third one stands on gravel that the river has
carried away to a depth of 2.5 metres, said the head of the survey, Ilinca Dobre, and the fifth has moved by a hand's
breadth. A rail ferry that carried beet until 1998 could be made ready in six weeks, the mayor of Slatina said."""

RETOLD = """Lorries are not going to be allowed onto the Olt bridge in Slatina before September ends, according to the
road company on Monday: divers discovered that two out of seven piers have cracks. Before the 9 June flood it was used
by around 4,200 lorries daily. These now take the road through Caracal instead, which is longer by 46 kilometres.

For three nights, engineers of Craiova surveyed the piers using sonar. According to Ilinca Dobre, who heads the survey,
the river has washed away the gravel beneath the third pier down to 2.5 metres, while the fifth shifted by the breadth
of a hand. The northern lane can still be used by buses and cars at a speed of thirty kilometres per hour.

The detour costs 61 euros per trip, say hauliers, who want the government to pay. The transport ministry replied that
the flood fund was spent in May and must be filled again by parliament. According to Slatina's mayor, it would take six
weeks to make ready a rail ferry which carried beet until 1998."""


def look(one: str, other: str, titles: Sequence[str | None] = (None, None), hours: float = 3.0) -> Kinship | None:
    return closely(one, other, titles, hours)[0]


def closely(
    one: str, other: str, titles: Sequence[str | None] = (None, None), hours: float = 3.0
) -> tuple[Kinship | None, dict[str, float]]:
    """What two texts are to each other, and what is measured of them."""
    told = [(titles[0], one), (titles[1], other)]
    first, second = (print_.stated() for print_ in dedup.fingerprints(told))
    suspect = dedup.Suspect("a", "b", 0.5, hours, (first, second), False)
    eye = dedup.CloseLook(lambda ids: {id_: told["ab".index(id_)] for id_ in ids})
    return eye([suspect])[0], dict(zip(FEATURES, eye.features([suspect])[0].tolist(), strict=True))


# what is measured --------------------------------------------------------------------------------------------------
def by_hand(one: str, other: str, titles: Sequence[str]) -> dict[str, float]:
    """Some of the features, as their names say."""
    texts = [re.findall(r"[^\W_]+", text.lower()) for text in (one, other)]
    heads = [re.findall(r"[^\W_]+", title.lower()) for title in titles]
    words = [{*text, *head} for text, head in zip(texts, heads, strict=True)]
    pairs = [{*pairwise(text)} for text in texts]
    opening = [len({*pairwise(text[:41])} & theirs) for text, theirs in zip(texts, pairs[::-1], strict=True)]
    opening = [shared / len({*pairwise(text[:41])}) for shared, text in zip(opening, texts, strict=True)]
    places = [{word: text.index(word) * 64 // len(text) for word in text} for text in texts]
    news = []
    for mine, theirs in ((0, 1), (1, 0)):
        eighths = [[word for word, place in places[mine].items() if place // 8 == k] for k in range(8)]
        news.append(sorted((sum(w in words[theirs] for w in new) + 0.5) / (len(new) + 1) for new in eighths))
    both = places[0].keys() & places[1].keys()
    heads_told = [len({*head} & words[1 - k]) / len({*head}) for k, head in enumerate(heads)]
    return {
        "words within": len(words[0] & words[1]) / min(map(len, words)),
        "words common": len(words[0] & words[1]) / len(words[0] | words[1]),
        "pairs common": len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1]),
        "opening less": min(opening),
        "opening more": max(opening),
        "newest less": min(some[0] for some in news),
        "newest more": max(some[0] for some in news),
        "newer less": min(sum(some[:3]) / 3 for some in news),
        "newer more": max(sum(some[:3]) / 3 for some in news),
        "title told less": min(heads_told),
        "title told more": max(heads_told),
        "astray": sum(abs(places[0][word] - places[1][word]) / 64 for word in both) / len(both),
    }


@pytest.mark.parametrize("other", [NEXT_DAY, RETOLD, BRIDGE.split("\n\n")[1]])
def test_what_is_measured_is_what_its_name_says(other: str) -> None:
    titles = ("Slatina bridge closed to lorries", "Lorries banned from a broken bridge")
    _, found = closely(BRIDGE, other, titles)
    expected = by_hand(BRIDGE, other, titles)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    _, turned = closely(other, BRIDGE, titles[::-1])
    assert turned == pytest.approx(found)


def test_a_batch_of_profiles_is_the_same_as_one_by_one() -> None:
    told = [("A", BRIDGE, ("9", "9", "61")), (None, "", ()), ("Only a title here", "", ()), (None, RETOLD * 40, ("1",))]
    told += [(None, "x", ()), ("", "桥梁星期一关闭" * 30, ("1998",)), (None, "\U00020000\U00020001 \u00ad " * 9, ())]
    told += [(None, f"Lorry {k} crossed the bridge", (str(k),)) for k in range(1100)]
    for batch, story in zip(profiles(told), told, strict=True):
        (single,) = profiles([story])
        assert all(np.array_equal(x, y) for x, y in zip(batch.parts, single.parts, strict=True))
        assert batch.fresh.tolist() == single.fresh.tolist()
        assert (batch.complete, batch.opening, batch.length) == (single.complete, single.opening, single.length)


def test_texts_without_words_or_titles_can_be_looked_at() -> None:
    for one, other in (("", ""), ("", BRIDGE), ("—", "1 2 3"), (BRIDGE, "x" * 40_000)):
        kinship, found = closely(one, other)
        assert kinship is None
        assert all(np.isfinite(list(found.values())))


# what comes of it --------------------------------------------------------------------------------------------------
def test_a_follow_up_that_quotes_a_third_is_neither_the_same_nor_a_rewrite() -> None:
    for hours in (0.0, 6.0, 26.0):
        assert look(BRIDGE, NEXT_DAY, hours=hours) is None
        titles = ("Slatina bridge closed to lorries", "Slatina bridge: hauliers to be paid for the detour")
        assert look(BRIDGE, NEXT_DAY, titles, hours) is None


def test_a_text_told_anew_is_a_rewrite_whenever_it_comes() -> None:
    for hours in (0.0, 2.0, 30.0):
        assert look(BRIDGE, RETOLD, hours=hours) is Kinship.REWRITTEN
        assert (
            look(BRIDGE, RETOLD, ("Bridge closed to lorries", "No lorries on Olt bridge"), hours) is Kinship.REWRITTEN
        )


def test_reports_by_one_template_are_no_rewrites_of_each_other() -> None:
    def filed(company: str, net: str, revenue: str, shares: str) -> str:
        return f"""{company} said its net profit for the quarter to 30 June came to {net} million euros on revenue of
{revenue} million. The company sold {shares} million shares in that time and will pay no dividend for the half year. It
gave no outlook for the rest of the year. Analysts had expected somewhat more."""

    one, other = filed("Dunarom", "4.2", "88.6", "1.1"), filed("Baltex Holding", "13.9", "240.3", "7.4")
    assert look(one, other) is None
    assert look(one, other, ("Dunarom 2nd quarter net", "Baltex Holding 2nd quarter net")) is None
