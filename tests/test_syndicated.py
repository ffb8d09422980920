"""Stories that hundreds of sites carry, each with words of its own, and footers that hundreds of stories carry."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from test_dedup import FOLLOW_UP, HOUR, PORT, Publisher, Row, at_once, same, small, words
from test_likeness import BRIDGE, NEXT_DAY

from ingest import dedup
from ingest.dedup.signs import SIGNS, signs_of
from ingest.dedup.stretch import check

TITLES = (
    "Bridge at Slatina closed to lorries until autumn",
    "Cracks found in piers of Olt bridge",
    "Lorries banned from Slatina bridge after flood",
    "Hauliers face 46 km detour as bridge cracks",
    "Divers find cracks, bridge shut to lorries",
)
FOOTERS = (
    "Read more of what happens in {0} every morning in the {1}.",
    "Sign up for the newsletter of the {1} and never miss a story from {0}.",
    "The {1} is not responsible for what other sites say.",
    "Copyright by the {1} of {0}; no part of this page may be used without our leave.",
    "Call our newsroom in {0} if you have seen something.",
    "Subscribers of the {1} read on without advertisements.",
    "Follow the {1} on all channels, and tell your friends in {0} of us.",
)


def site(number: int, sentences: int = 2) -> str:
    """The footer of a site."""
    rng = random.Random(number)
    town = words(rng, 1).title()
    paper = f"{town} {rng.choice(('Courier', 'Herald', 'Gazette', 'Echo', 'Mercury', 'Tribune'))} {number}"
    return " ".join(text.format(town, paper) for text in rng.sample(FOOTERS, sentences))


def rows(told: Sequence[tuple[str | None, str]], minutes: int = 5) -> list[Row]:
    prints = dedup.fingerprints(told)
    return [
        Row(f"s{k:04}", 1, k * minutes * 60, print_, text=text, title=title)
        for k, ((title, text), print_) in enumerate(zip(told, prints, strict=True))
    ]


def carried(count: int, text: str = BRIDGE) -> list[tuple[str | None, str]]:
    """A story as so many sites carry it, retitled, with footers of their own, some cut after the second paragraph."""
    rng = random.Random(count)
    cut = "\n\n".join(text.split("\n\n")[:2])
    bodies = [cut if rng.random() < 0.1 else text for _ in range(count)]
    return [(rng.choice(TITLES), f"{body}\n\n{site(k)}") for k, body in enumerate(bodies)]


def clusters(publisher: Publisher) -> list[int]:
    """The sizes of the clusters, the largest first."""
    return sorted(Counter(lead for lead, _ in publisher.clusters.values()).values(), reverse=True)


def test_a_story_on_five_hundred_sites_with_titles_and_footers_of_their_own_is_one() -> None:
    publisher = at_once(rows(carried(500)))
    assert clusters(publisher) == [500]
    assert len(publisher.known) <= 2 * SIGNS * 500  # a hundred thousand pairs are alike


def test_of_three_thousand_sites_that_carry_a_story_one_may_be_lost() -> None:
    publisher = at_once(rows(carried(3000), minutes=1))
    assert clusters(publisher)[0] >= 2999
    assert publisher.looks <= SIGNS * 3000  # of four million pairs


def test_five_hundred_sites_in_any_order_are_the_same_cluster() -> None:
    every = rows([*carried(120), *((None, f"{words(random.Random(k), 90)} {site(3)}") for k in range(60))])
    once = at_once(every)
    assert clusters(once)[0] >= 115
    rng = random.Random(1)
    publisher = Publisher(piece=50)
    rng.shuffle(every)
    for start in range(0, len(every), 37):
        publisher.publish(every[start : start + 37])
    same(publisher, once)
    gone = [Row(row.id, 2, row.instant + 900 * HOUR, row.fingerprint, text=row.text) for row in every[:40]]
    publisher.publish(gone)  # to another month: their neighbours are each other's now
    same(publisher, at_once([*every, *gone]))


def test_stories_of_one_moment_whose_ids_have_the_same_checksum_are_chained_by_id() -> None:
    names: dict[int, str] = {}
    rng = random.Random(1)
    tied: list[str] = []
    while not tied:
        name = f"{rng.getrandbits(64):016x}"
        if check(name) in names:
            tied = [names[check(name)], name]
        names[check(name)] = name
    ids = [f"{rng.getrandbits(64):016x}" for _ in range(78)]
    ids[2:2] = tied
    every = [replace(row, id=id_, instant=0) for row, id_ in zip(rows(carried(80)), ids, strict=True)]
    one, other = Publisher(), Publisher()
    for row in every[:2] + every[4:], every[2:3], every[3:4]:
        one.publish(row)
    for row in every[:2] + every[4:], every[3:4], every[2:3]:
        other.publish(row)
    assert (min(tied), max(tied)) in one.known
    same(one, other)


def test_several_that_come_between_two_neighbours_part_them() -> None:
    """Where all is boilerplate already, nothing else would have the two judged again."""
    every = [Row(f"s{k}", 1, k, small([*range(12), 100 + k, 200 + k, 300 + k])) for k in range(4)]
    publisher = Publisher(many=1)
    publisher.publish([every[0], every[3]])
    assert ("s0", "s3") in publisher.known
    publisher.publish(every[1:3])
    assert [*publisher.known] == [("s0", "s1"), ("s1", "s2"), ("s2", "s3")]


def test_one_footer_below_five_hundred_stories_on_sixty_sites_makes_none_alike() -> None:
    rng = random.Random(12)
    chain = " ".join(text.format("Oltenia", "Danube Group") for text in FOOTERS)  # 80 words
    told = [(words(rng, 6), f"{words(rng, 120)}\n\n{site(k % 60)} {chain}") for k in range(500)]
    publisher = at_once(rows(told))
    assert clusters(publisher) == [1] * 500
    assert publisher.looks < 2 * SIGNS * 500


def test_stories_that_are_mostly_boilerplate_stay_strangers() -> None:
    rng = random.Random(2)
    frame = words(rng, 120)
    told: list[tuple[str | None, str]] = [(words(rng, 6), f"{words(rng, 40)} {frame}") for _ in range(400)]
    assert not at_once(rows(told, 1)).known


def test_two_stories_that_all_sites_of_a_chain_carry_stay_two() -> None:
    """The footers are the same below both, and each is on two hundred sites."""
    first, second = carried(200), carried(200, f"{PORT}\n\n{FOLLOW_UP}")
    publisher = at_once(rows([told for both in zip(first, second, strict=True) for told in both]))
    leads = [{publisher.clusters[f"s{k:04}"][0] for k in range(start, 400, 2)} for start in (0, 1)]
    assert not leads[0] & leads[1]
    assert clusters(publisher)[1] >= 180


def test_a_follow_up_on_a_hundred_sites_is_not_the_story_that_it_quotes() -> None:
    publisher = at_once(rows([*carried(100), *carried(100, NEXT_DAY)]))
    assert clusters(publisher)[:2] == pytest.approx([100, 100], abs=8)
    assert publisher.clusters["s0000"][0] != publisher.clusters["s0150"][0]


def test_signs_are_the_two_smallest_of_each_sixth_that_has_two() -> None:
    one, other = np.array([3, 9, 10, 15, 21], np.uint64), np.array([3, 9, 16, 30], np.uint64)
    signs, whose = signs_of(np.concatenate((one, other, one)), np.repeat([0, 1, 2], [5, 4, 5]))
    mine = [set(signs[whose == k].tolist()) for k in range(3)]
    assert len(mine[0]) == 1  # 3 and 9; 10 is alone in its sixth
    assert mine[0] == mine[1] == mine[2]
    assert len(signs_of(one[:0], np.empty(0, np.int64))[0]) == 0
