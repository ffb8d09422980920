"""Topics and their proof: the engine on its own sentences, the bundled rules on the seed stories and the gold set."""

from __future__ import annotations

import itertools
import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import tag
from ingest.errors import SettingsError
from ingest.models import Status, Tags
from ingest.tag import lexicon, proof, rulesfile, splitting
from tests import make_seed_archive

ROOT = Path(__file__).resolve().parent.parent
TOPICS = ROOT / "seeds" / "topics.yaml"
SHARED = ROOT.parent / "shared" / "eval"

SMALL = """\
topics: [moves, help]
groups:
  go: {en: [deploy*, send, sent], de: [schick*]}
  who: {en: [soldier~, National Guard], de: ["*truppe", soldat*], uk: [об'єкт]}
  give: {en: [give, gave]}
  good: {en: [aid, US]}
  sport: {en: [tennis]}
ignore: {en: [hearing aid~, not only]}
status:
  negated: {en: [not, no, denied]}
  planned: {en: [will]}
  demanded: {en: [urged]}
  hypothetical: {en: [if, could]}
  history: {en: [years ago]}
clause: {en: [but]}
rules:
  - {name: moved, topic: moves, act: [go], thing: [who], scope: clause, blockers: [sport]}
  - {name: helped, topic: help, act: [give], thing: [good], scope: neighbours, carries: [asserted, negated],
     weight: 0.5}
  - {name: site, topic: help, thing: [who], context: [good]}
"""


@pytest.fixture(scope="module")
def rules() -> tag.Rules:
    return tag.load(TOPICS)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tag.Rules:
    path = tmp_path_factory.mktemp("rules") / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return tag.load(path)


def proved(tags: Tags, title: str | None, text: str) -> Tags:
    """The tags, after a look at their proof: exact spans, words inside, every topic carried by something."""
    carried = set()
    for evidence in tags.evidence:
        whole = (title or "") if evidence.field == "title" else text
        assert whole[evidence.start : evidence.end] == evidence.sentence
        assert evidence.words
        assert all(0 <= start < end <= len(evidence.sentence) for start, end in evidence.words)
        assert all(evidence.sentence[start:end].strip() for start, end in evidence.words)
        if evidence.status is not Status.HISTORY:
            carried.add(evidence.topic)
    assert carried == set(tags.topics) >= set(tags.main_topics)
    return tags


def words(tags: Tags) -> list[list[str]]:
    return [[evidence.sentence[start:end] for start, end in evidence.words] for evidence in tags.evidence]


# ---------------------------------------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One came. Two went! Three?", ["One came.", "Two went!", "Three?"]),
        ("Gen. Brown met Mr. Hill at No. 5.", ["Gen. Brown met Mr. Hill at No. 5."]),
        ("The U.S. Army moved. It stayed in the U.S. The rest left.", 3),
        ("He said: “We go.” They went.", ["He said: “We go.”", "They went."]),
        ("The forces. has increased by 30% in months.", 1),
        ("J. R. Smith came. He left.", 2),
        ("A heading\n\nA text. More", ["A heading", "A text.", "More"]),
        ("Об этом в 2022 г. Сказал он. Потом ушёл.", 2),
        ("It cost 3.5 million. Version 2.0 came.", 2),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str] | int) -> None:
    found = [text[start:end] for start, end in splitting.sentences(text)]
    assert found == expected if isinstance(expected, list) else len(found) == expected, found


@given(st.text(alphabet=st.sampled_from(" \n\t.!?…\"'”abcЖ漢No0\u0130\U0001f600"), max_size=2000))
def test_sentences_cover_everything_but_white_space(text: str) -> None:
    spans = splitting.sentences(text)
    assert all(0 < end - start <= splitting.MAX_SENTENCE for start, end in spans)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())


# ---------------------------------------------------------------------------------------------- the engine


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("They deployed two soldiers.", ("moves",)),
        ("Deployments of the National Guard.", ("moves",)),
        ("Deployments of the national guard.", ("moves",)),  # only words all in capitals fit nothing but capitals
        ("They deployed software.", ()),
        ("They deployed soldiers at the tennis match.", ()),  # blocked
        ("They deployed software, but soldiers stayed.", ()),  # another clause
        ("They deployed software; soldiers stayed.", ()),
        ("They undeployed soldiers.", ()),  # inside a word is no word
        ("The soldier's orders: deploy.", ()),
        ("Deploy the soldier’s unit.", ("moves",)),
    ],
)
def test_act_meets_thing_in_a_clause(small: tag.Rules, text: str, topics: tuple[str, ...]) -> None:
    assert tag.tag(small, None, text, "en").topics == topics


def test_neighbouring_sentences_are_one_proof(small: tag.Rules) -> None:
    text = "They gave much. The aid came. They gave more. No aid was lost."
    found = proved(tag.tag(small, None, text, "en"), None, text)
    assert found.topics == ("help",)
    assert found.evidence[0].sentence == "They gave much. The aid came."
    assert words(found)[0] == ["gave", "aid"]


def test_context_in_a_neighbouring_sentence(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(SMALL.replace("scope: clause", "scope: neighbours, context: [good]"), encoding="utf-8")
    text = "They sent soldiers. The aid came."
    found = proved(tag.tag(tag.load(path), None, text, "en"), None, text)
    assert words(found) == [["sent", "soldiers"]]


def test_rules_can_be_sent_to_another_process(small: tag.Rules) -> None:
    again = pickle.loads(pickle.dumps(small))
    assert again.version == small.version
    assert tag.tag(again, None, "They sent soldiers.", "en") == tag.tag(small, None, "They sent soldiers.", "en")


def test_weights_must_sum_to_one(small: tag.Rules) -> None:
    assert tag.tag(small, None, "They gave aid.", "en").topics == ()
    assert tag.tag(small, None, "They gave aid. Others slept. They gave aid again.", "en").topics == ("help",)


def test_capitals_only_fit_capitals(small: tag.Rules) -> None:
    assert tag.tag(small, None, "The US soldiers.", "en").topics == ("help",)
    assert tag.tag(small, None, "Soldiers told us.", "en").topics == ()


def test_ignored_phrases_fit_nothing(small: tag.Rules) -> None:
    assert tag.tag(small, None, "Soldiers got hearing aids and a hearing aid.", "en").topics == ()
    assert tag.tag(small, None, "Soldiers got a hearing aid and aid.", "en").topics == ("help",)


def test_words_of_other_languages(small: tag.Rules) -> None:
    assert tag.tag(small, None, "Sie schickten eine Panzertruppe.", "de").topics == ("moves",)
    assert tag.tag(small, None, "Sie schickten eine Panzertruppe.", "en").topics == ()
    assert tag.tag(small, None, "They sent soldiers.", None).topics == ("moves",)
    assert tag.tag(small, None, "They sent soldiers.", "xx").topics == ("moves",)


def test_apostrophes_of_ukrainian_and_french(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "topics: [t]\n"
        "groups: {a: {uk: [об'єкт*], fr: [l'armée, arme*], de: [nie]}}\n"
        "rules: [{name: r, topic: t, thing: [a]}]\n",
        encoding="utf-8",
    )
    rules = tag.load(path)
    for text in ("Новий об'єкт.", "Новий об’єкти.", "Новий обʼєкт."):
        assert words(proved(tag.tag(rules, None, text, "uk"), None, text)) == [[text.split()[1][:-1]]]
    assert tag.tag(rules, None, "Новий субоб'єкт.", "uk").topics == ()
    text = "C’est l’armée."
    assert words(tag.tag(rules, None, text, "fr")) == [["l’armée"]]
    assert words(tag.tag(rules, None, "d’armes", "fr")) == [["armes"]]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("They deployed soldiers.", Status.ASSERTED),
        ("They will deploy soldiers.", Status.PLANNED),
        ("He urged them to deploy soldiers.", Status.DEMANDED),
        ("They did not deploy soldiers.", Status.NEGATED),
        ("No soldiers were deployed.", Status.NEGATED),
        ("He denied that soldiers were sent.", Status.NEGATED),
        ("If they deploy soldiers, we go.", Status.HYPOTHETICAL),
        ("They could deploy soldiers.", Status.HYPOTHETICAL),
        ("They sent soldiers in 2014.", Status.HISTORY),
        ("They sent soldiers many years ago.", Status.HISTORY),
        ("They sent soldiers on 24 May 2014.", Status.ASSERTED),
        ("They sent not only soldiers.", Status.ASSERTED),
        ("It was not so; they sent soldiers.", Status.ASSERTED),  # another clause
    ],
)
def test_status(small: tag.Rules, text: str, status: Status) -> None:
    text += " They deployed soldiers in May 2024."
    assert tag.tag(small, None, text, "en").evidence[0].status is status


def test_history_carries_nothing_and_a_denial_where_the_rule_says_so(small: tag.Rules, tmp_path: Path) -> None:
    assert tag.tag(small, None, "They sent soldiers years ago.", "en") == Tags()
    assert tag.tag(small, None, "They did not send soldiers.", "en").topics == ("moves",)
    path = tmp_path / "rules.yaml"
    path.write_text(SMALL.replace("blockers: [sport]}", "carries: [asserted]}"), encoding="utf-8")
    assert tag.tag(tag.load(path), None, "They did not send soldiers.", "en") == Tags()


def test_a_story_about_something_else(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(SMALL.replace("blockers: [sport]}", "story_blockers: [sport]}"), encoding="utf-8")
    rules = tag.load(path)
    sent, sport = "They sent soldiers. ", "She played tennis. "
    assert tag.tag(rules, None, sent + sport * 2, "en").topics == ("moves",)
    assert tag.tag(rules, None, sent + sport * 3, "en").topics == ()
    assert tag.tag(rules, "Tennis", sent + sport * 2, "en").topics == ()


def test_order(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    for order, expected in (("act-first", [True, False]), ("thing-first", [False, True]), ("any", [True, True])):
        path.write_text(SMALL.replace("scope: clause", f"order: {order}"), encoding="utf-8")
        texts = ("They sent soldiers.", "Soldiers were sent.")
        assert [bool(tag.tag(tag.load(path), None, text, "en").topics) for text in texts] == expected


def test_main_topics(small: tag.Rules) -> None:
    filler = "Nothing else was said. " * 12
    assert tag.tag(small, "They sent soldiers", filler, "en").main_topics == ("moves",)
    assert tag.tag(small, None, "They sent soldiers. " + filler, "en").main_topics == ("moves",)
    assert tag.tag(small, None, filler + "They sent soldiers.", "en").main_topics == ()
    assert tag.tag(small, None, filler + "They sent soldiers. " * 6, "en").main_topics == ("moves",)
    assert tag.tag(small, None, filler + "\n\nSoldiers sent north\n\nMore.", "en").main_topics == ("moves",)
    assert tag.tag(small, None, filler + "\n\nSoldiers sent north.\n\nMore.", "en").main_topics == ()


def test_evidence_is_bounded_and_linear_in_the_text(small: tag.Rules) -> None:
    for unit in ("They sent soldiers in 1999. ", "sent soldiers ", "...", "U.S.\t", "x.\t", "'", "a'", "\n", "2014 "):
        text = unit * (400_000 // len(unit))
        started = time.process_time()
        found = tag.tag(small, text[:5000], text, "en")
        assert time.process_time() - started < 4, unit  # measured 0.02 to 0.7 s; quadratic ones took minutes
        assert len(found.evidence) <= 2 * proof.MAX_EVIDENCE


@given(st.text(max_size=400), st.text(max_size=100), st.sampled_from([None, "en", "de", "zh", "uk", "", "x", "EN-us"]))
def test_never_raises(text: str, title: str, language: str | None) -> None:
    rules = _bundled()
    for version in (text, f"Russia deployed troops {text} to Poland. {title} ceasefire\ud800"):
        proved(tag.tag(rules, title or None, version, language), title, version)


def _bundled(cache: list[tag.Rules] = []) -> tag.Rules:  # noqa: B006 hypothesis has no fixtures of wider scope
    if not cache:
        cache.append(tag.load(TOPICS))
    return cache[0]


def test_a_text_full_of_new_words_does_not_fill_memory(small: tag.Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "CACHE", 1000)
    text = " ".join(f"w{number}" for number in range(5000)) + " sent soldiers"
    assert tag.tag(small, None, text, "en").topics == ("moves",)
    book = small.book("en")
    assert book is not None
    assert len(book.lexicon) <= 1000


# ---------------------------------------------------------------------------------------------- the file


def test_version_follows_the_content(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(SMALL, encoding="utf-8")
    first = tag.load(path)
    assert first.topics == ("moves", "help")
    assert tag.load(path).version == first.version
    path.write_text(SMALL.replace("tennis", "chess"), encoding="utf-8")
    assert tag.load(path).version != first.version


WRONG = [
    ("", 1, "empty"),
    ("- a\n- b\n", 1, "mapping"),
    ("topics: [a\n", 2, "not YAML"),
    ("a: 1\n\tb: 2\n", 2, "not YAML"),
    ("topics: [a]\ngroups: {}\n", 1, "`rules` is missing"),
    (SMALL.replace("thing: [who], scope: clause", "thing: [whom], scope: clause"), 17, "'whom', which does not exist"),
    (SMALL.replace("act: [go], thing: [who], ", ""), 17, "neither `act` nor `thing`"),
    (SMALL.replace("act: [go]", "act: []"), 17, "is empty"),
    (SMALL.replace("uk: [об", "english: [об"), 4, "'english'"),
    (SMALL.replace("[send, ", "[").replace("send, sent", "sent, sent"), 3, "stands twice"),
    (SMALL.replace("name: helped", "name: moved"), 18, "stands twice"),
    (SMALL.replace("  give: ", "  go: "), 5, "stands twice"),
    (SMALL.replace("topic: moves", "topic: moving"), 17, "'moving'"),
    (SMALL.replace("scope: clause", "scope: page"), 17, "'page'"),
    (SMALL.replace("weight: 0.5", "weight: much"), 19, "number"),
    (SMALL.replace("weight: 0.5", "weight: nan"), 19, "number"),
    (SMALL.replace("weight:", "wait:"), 19, "'wait' is not known"),
    (SMALL.replace("negated]", "history]"), 18, "'history'"),
    (SMALL.replace("[tennis]", "[t*]"), 7, "fits too much"),
    (SMALL.replace("[tennis]", '["te*nis"]'), 7, "no word or phrase"),
    (SMALL.replace("[tennis]", "[{a: b}]"), 7, "must be a text"),
    (SMALL.replace("[tennis]", "&x [tennis]"), 7, "anchors"),
    (SMALL.replace("[tennis]", "[*tennis]"), 7, "quote"),
    ("a: " + "[" * 5000, 1, "nested"),
    ("topics: \udcff", 1, "not YAML"),
    ("topics: [a]\n--- \ntopics: [b]\n", 2, "not YAML"),
    ("topics: !!python/object/apply:os.getcwd []\ngroups: {}\nrules: []", 1, "is empty"),
    ("x" * (rulesfile.MAX_BYTES + 1), 0, "larger"),
]


@pytest.mark.parametrize(("content", "line", "problem"), WRONG, ids=[f"{w[2]}-{i}" for i, w in enumerate(WRONG)])
def test_a_wrong_file_is_named_with_line_and_problem(tmp_path: Path, content: str, line: int, problem: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError) as caught:
        tag.load(path)
    assert problem in str(caught.value)
    assert (f"{path}, line {line}, column " if line else f"{path}:") in str(caught.value)
    assert tag.check(path).problems == (str(caught.value),)


def test_every_fault_is_named_at_once_with_its_column(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    broken = SMALL.replace("[tennis]", "[t*, ok, ok]").replace("thing: [who], scope", "thing: [hwo], scope")
    path.write_text(broken.replace("weight: 0.5", "weight: 7"), encoding="utf-8")
    problems = tag.check(path).problems
    assert [line.removeprefix(f"{path}, ").split(": ")[0] for line in problems] == [
        "line 7, column 16",
        "line 7, column 24",
        "line 17, column 52",
        "line 19, column 14",
    ]
    assert "is 'who' meant?" in problems[2]
    path.write_text(SMALL.replace("[tennis]", f"[{', '.join(['x*'] * 300)}]"), encoding="utf-8")
    assert len(tag.check(path).problems) == rulesfile.MOST_FAULTS


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SettingsError, match="cannot be read"):
            tag.load(path)
        assert not tag.check(path).good


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    for data in (b"\x00\x01\x02", b"\xff\xfe\xfa", bytes(range(256))):
        path.write_bytes(data)
        with pytest.raises(SettingsError):
            tag.load(path)


def test_check_runs_the_examples(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    examples = "    holds: [They sent soldiers., They slept.]\n    not: [{de: Sie schickten Soldaten.}]\n"
    flow = "  - {name: moved, topic: moves, act: [go], thing: [who], scope: clause, blockers: [sport]}\n"
    block = (
        "  - name: moved\n    topic: moves\n    act: [go]\n    thing: [who]\n    scope: clause\n    blockers: [sport]\n"
    )
    assert flow in SMALL
    path.write_text(SMALL.replace(flow, block + examples), encoding="utf-8")
    checked = tag.check(path)
    assert (checked.problems, checked.good, checked.rules, checked.examples) == ((), False, 3, 3)
    assert [line.split(":")[0] for line in checked.failing] == ["line 23", "line 24"]
    assert "does not hold" in checked.failing[0]
    assert "Sie schickten" in checked.failing[1]


def test_the_bundled_rules_pass_their_check() -> None:
    checked = tag.check(TOPICS)
    assert checked.problems == checked.failing == checked.notes == ()
    assert checked.topics == ("escalation", "aid", "deployments")
    assert set(checked.languages) == {"en", "de", "fr", "es", "ru", "uk"}


# ---------------------------------------------------------------------------------------------- the bundled rules


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("The hearing aid maker deployed new software in Germany after a price war with a rival.", set()),
        ("Her war of words with the tennis coach escalated before the match in France.", set()),
        ("A first aid course for soldiers began in Poland.", set()),
        ("Kubernetes deployments at the European start-up tripled.", set()),
        ("Student aid was cut by Congress in Washington.", set()),
        ("Norway will send 14 tanks to Ukraine.", {"aid"}),
        ("Turkey moved a brigade of soldiers to the Syrian border.", {"deployments"}),
        ("The Kremlin threatened military retaliation against NATO.", {"escalation"}),
        ("Kein Hörgerät kostet so viel wie dieses aus Deutschland.", set()),
    ],
)
def test_plain_sentences(rules: tag.Rules, text: str, topics: set[str]) -> None:
    language = "de" if text.startswith("Kein") else "en"
    assert set(proved(tag.tag(rules, None, text, language), None, text).topics) == topics


SEEDS, _ = make_seed_archive.read()


@pytest.mark.parametrize("story", SEEDS, ids=[story.name for story in SEEDS])
def test_the_seed_stories_have_their_topics(rules: tag.Rules, story: make_seed_archive.Story) -> None:
    found = proved(tag.tag(rules, story.title, story.text, story.language), story.title, story.text)
    assert set(found.main_topics) == story.main, found.evidence
    assert set(found.topics) == story.main | story.mentioned


@pytest.mark.skipif(sys.gettrace() is not None, reason="speed under a tracer says nothing")
def test_speed(rules: tag.Rules) -> None:
    """1,000 stories of 500 words a CPU second is the aim; a third of it fails, so that a busy machine does not."""
    sentence = "The minister said on Monday that {} new trucks with food would go to the north of Sudan this week. "
    stories = ["".join(sentence.format(number + turn) for turn in range(26)) for number in range(100)]
    started = time.process_time()
    for story in stories:
        tag.tag(rules, "Trucks go north", story, "en")
    assert len(stories) / (time.process_time() - started) > 333


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the gold set is on the developers' machines only")
def test_the_gold_set_of_development(rules: tag.Rules) -> None:
    """Measured: macro-F1 .89, no alarm on 43 traps. Broad keywords: .57, 14 of 43 (`make bench`)."""
    gold = [json.loads(line) for line in (SHARED / "topics" / "dev.jsonl").read_text("utf-8").splitlines()]
    found: dict[str, Tags] = {}
    for item in gold:
        tags = tag.tag(rules, item["title"], item["text"], item["lang"])
        found[item["id"]] = proved(tags, item["title"], item["text"])
    scores = [_f1(gold, found, topic) for topic in rules.topics]
    assert sum(scores) / len(scores) > 0.80
    assert min(scores) > 0.75
    assert sum(bool(found[item["id"]].topics) for item in gold if item.get("hard") == "trap") <= 3


def _f1(gold: list[dict[str, Any]], found: dict[str, Tags], topic: str) -> float:
    pairs = [(topic in item["topics"], topic in found[item["id"]].topics) for item in gold]
    right, wrong = pairs.count((True, True)), pairs.count((True, False)) + pairs.count((False, True))
    return 2 * right / (2 * right + wrong)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the seed story is on the developers' machines only")
def test_the_story_that_the_project_started_from(rules: tag.Rules) -> None:
    paragraphs = next((SHARED / "seed").glob("*.txt")).read_text("utf-8").split("\n\n")
    text = "\n\n".join(paragraphs[2:])
    found = proved(tag.tag(rules, paragraphs[0], text, "en"), paragraphs[0], text)
    assert found.main_topics == found.topics == ("escalation", "aid", "deployments")
