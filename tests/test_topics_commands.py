"""`sitrep topics check`, `try` and `diff`, and what they are made of."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ingest import tag
from ingest.models import Status
from ingest.tag import comparing, trying
from tests.test_command_line import Home

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "seeds" / "topics.yaml"
SANCTIONS = ROOT / "seeds" / "examples" / "sanctions.yaml"

RULES = """\
topics: [moves]
groups:
  go: {en: [deploy*, sent]}
  who: {en: [soldier~, troops, "!storm troops"]}
  place: {en: [poland, mali]}
  news: {en: [border]}
  sport: {en: [tennis, match, coach]}
status:
  negated: {en: [not]}
  history: {en: [years ago]}
clause: {en: [but]}
rules:
  - {name: sent, topic: moves, act: [go], thing: [who], nearby: [place], story: [news], blockers: [sport], within: 3,
     order: act-first, scope: clause, story_blockers: [sport], carries: [asserted]}
  - {name: named, topic: moves, thing: [who], context: [place], weight: 0.5}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def rules(tmp_path: Path, text: str = RULES, name: str = "rules.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def stories(tmp_path: Path, *texts: str) -> Path:
    path = tmp_path / "stories.jsonl"
    lines = (json.dumps({"id": f"s{n}", "title": None, "text": text, "language": "en"}) for n, text in enumerate(texts))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------------------- try


def tried(tmp_path: Path, text: str, rule: str = "sent") -> trying.Tried:
    trial = trying.attempt(tag.load(rules(tmp_path)), None, text, "en")
    return next(one for one in trial.tried if one.rule == rule)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("They sent soldiers to Poland. The border is near.", ""),
        ("They sent soldiers to Poland for tennis. The border is near.", r"blocked by 'tennis' \(blockers: sport\)"),
        ("They sent soldiers. The border is near.", r"no word of its `nearby` .* \(place\)"),
        ("They sent soldiers to Poland.", r"no word of its `story` anywhere \(news\)"),
        (
            "Soldiers were sent to Poland. The border is near.",
            r"within 3 words of each other, act-first, in one clause",
        ),
        ("They sent food, but soldiers in Poland saw the border.", "in one clause"),
        ("They sent a lot of old and tired soldiers to Poland. The border.", "within 3 words"),
        ("They did not deploy soldiers in Poland. The border.", "negated does not carry"),
        ("Years ago they sent soldiers to Poland. The border.", "history does not carry"),
        ("Match. Match. The coach. They sent soldiers to Poland. The border.", r"3 sentences .*story_blockers: sport"),
    ],
)
def test_every_rule_that_came_near_says_why_it_does_not_prove(tmp_path: Path, text: str, why: str) -> None:
    found = tried(tmp_path, text)
    assert re.search(why, found.why) if why else found.why == ""
    assert [found.sentence[start:end].lower() for start, end in found.words]


def test_a_trial_gives_the_same_tags_as_tagging(tmp_path: Path) -> None:
    loaded = tag.load(SEEDS)
    for text in ("Norway will send 14 tanks to Ukraine.", "Iran threatened Israel with war. It sent troops to Syria."):
        assert trying.attempt(loaded, None, text, "en").tags == tag.tag(loaded, None, text, "en")
    title = "Troops? Deployed to the border"  # one sentence, as every title
    given = trying.attempt(loaded, title, "", "en").tags
    assert given == tag.tag(loaded, title, "", "en")
    assert [(one.field, one.sentence) for one in given.evidence] == [("title", title)]
    assert trying.attempt(tag.load(rules(tmp_path)), "Nothing", "Nothing.", "en") == trying.Trial(weights={"moves": 0})


def test_a_trial_tells_what_is_lacking_to_one(tmp_path: Path) -> None:
    trial = trying.attempt(tag.load(rules(tmp_path)), None, "The troops in Mali slept.", "en")
    assert (trial.tags.topics, trial.weights) == ((), {"moves": 0.5})
    assert trial.tried[0].status is Status.ASSERTED
    assert trying.attempt(tag.load(rules(tmp_path)), None, "The storm troops in Mali slept.", "en").tried == ()


def test_try(home: Home, tmp_path: Path) -> None:
    ran = home("topics", "try", "Norway will send 14 tanks to Ukraine.", "--language", "en")
    assert ran.out.startswith("language en: aid\n")
    assert re.search(r"yes \(planned\) aid, rule arms-supplied: .*send … tanks", ran.out)
    path = str(rules(tmp_path))
    ran = home("topics", "try", "--rules", path, "The troops in Mali slept.")
    assert "moves is proved to 0.5 only; 1 is needed" in ran.out
    text = tmp_path / "story.txt"
    text.write_text("They sent soldiers to Poland for tennis. The border is near.\n")
    record = home("topics", "try", "--rules", path, "--file", str(text), "--language", "en", "--json").json()
    assert record["topics"] == []
    assert "blocked by 'tennis'" in record["tried"][0]["why"]
    assert "no sentence has both" in home("topics", "try", "Nothing here.", "--rules", path).out
    assert "give a text, or --file" in home("topics", "try", code=2).err
    assert "\x1b" not in home("topics", "try", "Troops \x1b[31m sent to \u202e Poland.").out


# ------------------------------------------------------------------------------------------------------------- diff


def test_changes_name_what_is_gained_lost_and_reweighted(tmp_path: Path) -> None:
    old = tag.load(rules(tmp_path))
    new = tag.load(rules(tmp_path, RULES.replace("weight: 0.5", "weight: 1"), "new.yaml"))
    texts = ["The troops in Mali slept.", "Nothing.", "They sent soldiers to Poland at the border."]
    told = [comparing.Told(str(number), None, text, "en") for number, text in enumerate(texts)]
    (change,) = comparing.changes(old, new, told)
    assert (change.story.id, change.gained, change.lost, change.reweighted) == ("0", ("moves",), (), ())
    (back,) = comparing.changes(new, old, told)
    assert (back.gained, back.lost) == ((), ("moves",))
    assert [one.sentence for one in back.evidence("moves")] == [texts[0]]
    weak = tag.load(rules(tmp_path, RULES.replace("weight: 0.5", "weight: 0.4"), "weak.yaml"))
    text = "Troops in Mali. " + "Nothing was said. " * 12 + "Troops in Mali."
    (moved,) = comparing.changes(weak, new, [comparing.Told("x", None, text, "en")])
    assert (moved.gained, moved.lost, moved.reweighted) == ((), (), ("moves",))


def test_diff_of_a_file_of_stories(home: Home, tmp_path: Path) -> None:
    old = str(rules(tmp_path))
    new = str(rules(tmp_path, RULES.replace("weight: 0.5", "weight: 1"), "new.yaml"))
    told = str(stories(tmp_path, "The troops in Mali slept.", "The troops in Poland.", "Nothing."))
    ran = home("topics", "diff", old, new, "--stories", told, "--limit", "1")
    assert ran.out.splitlines() == [
        "s0 The troops in Mali slept.",
        "  + moves (main), rule named (asserted): troops … Mali | The troops in Mali slept.",
    ]
    assert ran.err.splitlines()[0] == "2 stories of 3 would change"
    assert "moves: 2 gained, 0 lost, 0 between main and mentioned" in ran.err
    records = home("topics", "diff", new, old, "--stories", told, "--json").lines()
    assert [(record["id"], record["lost"]) for record in records] == [("s0", ["moves"]), ("s1", ["moves"])]
    assert records[0]["evidence"][0]["sentence"] == "The troops in Mali slept."
    assert home("topics", "diff", old, old, "--stories", told).err == "0 stories of 3 would change\n"


@pytest.mark.parametrize("bad", ["[1]", "{", '{"title": "x"}', '{"text": 5}', '{"text": "x", "language": 7}'])
def test_a_line_that_is_no_story_is_named(home: Home, tmp_path: Path, bad: str) -> None:
    path = tmp_path / "stories.jsonl"
    path.write_text('{"text": "Fine."}\n\n' + bad + "\n")
    one = str(rules(tmp_path))
    assert "stories.jsonl, line 3" in home("topics", "diff", one, one, "--stories", str(path), code=2).err


# ------------------------------------------------------------------------------------------------------------- check


def test_what_can_never_match_is_named(tmp_path: Path) -> None:
    sound = tag.check(rules(tmp_path))
    assert (sound.problems, sound.unsound) == ((), ())
    broken = RULES.replace("[tennis, match, coach]", "[tennis, soldiers]").replace("mali]}", "mali], de: [polen]}")
    broken = broken.replace("sport: {en:", "only: {de: [nur]}\n  sport: {en:") + (
        "  - {name: deaf, topic: moves, act: [only], thing: [who]}\n"
    )
    broken = broken.replace("status:", "ignore: {en: [tired troops, soldier]}\nstatus:")
    checked = tag.check(rules(tmp_path, broken, "broken.yaml"))
    assert not checked.good
    assert [line.split(": ", 1)[1] for line in checked.unsound] == [
        "'soldier~' in the group 'who' can never match: `ignore` or a word with `!` covers it",
        "the rule 'deaf' can never match: no language has words for all of act, thing",
    ]
    blocking = RULES.replace("[tennis, match, coach]", "[tennis, troops]")
    (line,) = tag.check(rules(tmp_path, blocking, "blocking.yaml")).unsound
    assert line.startswith("line 4, column 24: 'troops' in the group 'who' blocks the rule 'sent' itself")


def test_check_counts_how_often_rules_fire(home: Home, tmp_path: Path) -> None:
    told = str(
        stories(tmp_path, "They sent soldiers to Poland. The border.", "Troops in Mali. Troops in Mali.", "Nothing.")
    )
    one = str(rules(tmp_path))
    ran = home("topics", "check", one, "--stories", told)
    assert "fired in 3 stories:" in ran.out
    assert re.search(r"^  sent +1 +1  often$", ran.out, re.MULTILINE)
    record = home("topics", "check", one, "--stories", told, "--json").json()
    assert record["fired"]["by_rule"] == {"sent": 1, "named": 1}
    assert "fired" not in home("topics", "check", one, "--stories", told, "--sample", "0").out
    assert "fired" not in home("topics", "check", one).out  # a store without stories has nothing to count


def test_check_names_every_fault_of_a_file(home: Home, tmp_path: Path) -> None:
    one = str(rules(tmp_path, RULES.replace("[poland, mali]", "[p*, mali]").replace("act: [go]", "act: [goo]")))
    ran = home("topics", "check", one, code=1)
    assert [line.split(": ")[0].split(", ")[-2:] for line in ran.out.splitlines()] == [
        ["line 5", "column 16"],
        ["line 13", "column 38"],
    ]
    assert "is 'go' meant?" in ran.out


# ------------------------------------------------------------------------------------------------- a fourth topic


def test_the_example_of_a_fourth_topic_holds_and_fits_into_the_bundled_file(tmp_path: Path) -> None:
    assert tag.check(SANCTIONS).good
    whole, example = SEEDS.read_text("utf-8"), SANCTIONS.read_text("utf-8")
    groups, rest = example.split("groups:\n", 1)[1].split("status:\n", 1)
    merged = whole.replace(
        "topics: [escalation, aid, deployments]", "topics: [escalation, aid, deployments, sanctions]"
    )
    merged = merged.replace("groups:\n", "groups:\n" + groups.replace("  state:", "  sanctioned-state:"), 1)
    merged += rest.split("rules:\n", 1)[1].replace("[state]", "[sanctioned-state]")
    path = rules(tmp_path, merged, "four.yaml")
    assert tag.check(path).good
    found = tag.tag(tag.load(path), None, "The EU adopted sanctions on Russian banks and sent shells to Ukraine.", "en")
    assert found.topics == ("aid", "sanctions")
