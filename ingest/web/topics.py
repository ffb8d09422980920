"""Topics: what each rule found, its share, its latest evidence; and a sentence to try."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from ingest import clean, store, tag
from ingest.models import Evidence, Story
from ingest.pipeline.pipe import Pipe
from ingest.tag import rulesfile, trying
from ingest.tag.rulesfile import Rule, RulesFile
from ingest.web import rendering
from ingest.web.window import Window, pipe_of, window_of

pages = APIRouter(include_in_schema=False)
api = APIRouter(tags=["topics"])

LONGEST = 5000  # characters to try
LATEST = 20  # stories of a rule
KEPT = 30.0  # seconds
Text = Annotated[str, Query(max_length=LONGEST)]


@pages.get("/topics")
def topics(request: Request, text: Text = "", language: Annotated[str, Query(max_length=20)] = "") -> Response:
    window = window_of(request)
    pipe = window.pipe
    return rendering.page(
        request,
        "topics.html",
        topics=_counted(window),
        text=text,
        language=language,
        languages=_rules(pipe).languages,
        tried=_tried(pipe, text, language) if text.strip() else None,
    )


@pages.get("/topics/{rule}")
def rule(request: Request, rule: str) -> Response:
    pipe = pipe_of(request)
    known = _known(pipe, rule)
    return rendering.page(request, "rule.html", rule=known, name=rule, evidence=_latest(pipe, rule))


@api.get("/topics")
def topics_json(request: Request) -> list[dict[str, Any]]:
    """The topics and their rules: how many stories each proves, and its share of the topic's."""
    return _counted(window_of(request))


@api.get("/topics/try")
def try_json(request: Request, text: Text, language: Annotated[str, Query(max_length=20)] = "") -> dict[str, Any]:
    """Which topics the rules see in a text, with their evidence, and which rules come near and why they do not hold.
    `language`: ISO 639-1, else recognised."""
    return _tried(pipe_of(request), text, language)


@api.get("/topics/{rule}")
def rule_json(request: Request, rule: str) -> list[dict[str, Any]]:
    """The latest evidence of a rule, newest story first."""
    pipe = pipe_of(request)
    _known(pipe, rule)
    return [
        {"story": story.id, "title": story.content.title, "published": story.published, **evidence.to_json()}
        for story, evidence in _latest(pipe, rule)
    ]


# ---------------------------------------------------------------------------------------------------------------------
def _counted(window: Window) -> list[dict[str, Any]]:
    """A question for each topic: where they take long, as the store was written last, or half a minute old where it
    cannot tell."""
    pipe = window.pipe
    return window.counted(("topics", _changed(pipe.settings.topics)), KEPT, lambda: _topics(pipe))


def _topics(pipe: Pipe) -> list[dict[str, Any]]:
    """Rules that stories still carry, and that the file has no more, stand under the name of their topic as well."""
    file = _rules(pipe)
    stories, main = pipe.store.count(store.Query(), "topic"), pipe.store.count(store.Query(), "main_topic")
    told = []
    for topic in dict.fromkeys([*file.topics, *stories]):
        found = Counter(pipe.store.count(store.Query(topics=[topic]), "rule"))
        names = [rule.name for rule in file.rules if rule.topic == topic]
        found.update(dict.fromkeys(names, 0))
        rules = [
            {
                "name": name,
                "stories": n,
                "share": n / stories[topic] if stories.get(topic) else 0.0,
                "known": name in names,
            }
            for name, n in sorted(found.items(), key=lambda item: (-item[1], item[0]))
        ]
        told.append({"topic": topic, "stories": stories.get(topic, 0), "main": main.get(topic, 0), "rules": rules})
    return told


def _latest(pipe: Pipe, rule: str) -> list[tuple[Story, Evidence]]:
    """The first evidence of a rule in each of the latest stories that have one."""
    found = pipe.store.search(store.Query(rules=[rule], order="newest", folded=True, limit=LATEST))
    stories = [hit.story for hit in found.hits]
    proofs = [next(proof for proof in story.content.tags.evidence if proof.rule == rule) for story in stories]
    return list(zip(stories, proofs, strict=True))


def _known(pipe: Pipe, name: str) -> Rule | None:
    """The rule of this name; None where stories carry it still, and the file has it no more."""
    found = next((rule for rule in _rules(pipe).rules if rule.name == name), None)
    if found is None and not pipe.store.count(store.Query(rules=[name]), "rule").get(name):
        raise HTTPException(404, "There is no such rule.")
    return found


def _tried(pipe: Pipe, text: str, language: str) -> dict[str, Any]:
    text = text.strip()
    known = language or clean.language(text, [])
    trial = trying.attempt(_loaded(pipe), None, text, known)
    return {
        "language": known,
        "topics": list(trial.tags.topics),
        "main_topics": list(trial.tags.main_topics),
        "evidence": [proof.to_json() for proof in trial.tags.evidence],
        "near": [
            {"topic": one.topic, "rule": one.rule, "sentence": one.sentence, "words": one.words, "why": one.why}
            for one in trial.tried
            if one.why
        ],
    }


def _rules(pipe: Pipe) -> RulesFile:
    return _read(pipe.settings.topics, _changed(pipe.settings.topics))


def _loaded(pipe: Pipe) -> tag.Rules:
    return _compiled(pipe.settings.topics, _changed(pipe.settings.topics))


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int) -> RulesFile:
    return rulesfile.parse(rulesfile.content(path), str(path))


@lru_cache(maxsize=2)
def _compiled(path: Path, _changed: int) -> tag.Rules:
    return tag.load(path)
