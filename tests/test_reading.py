"""Raw items to stories, in the process of the test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.clean import languages
from ingest.models import Capture, Content, TextFrom
from ingest.pipeline import batches, reading

SEEDS = Path(__file__).resolve().parents[1] / "seeds"
NOW = datetime(2025, 12, 1, tzinfo=UTC)
SPANISH = "La ministra dijo que el puente sobre el río seguiría cerrado hasta el final de la semana por las obras. " * 3
UKRAINIAN = "Міністр сказала, що міст через річку залишатиметься закритим до кінця тижня через ремонтні роботи. " * 3


@pytest.mark.parametrize(("text", "language"), [(SPANISH, "es"), (UKRAINIAN, "uk")])
def test_the_language_of_a_page_is_recognised_once(monkeypatch: pytest.MonkeyPatch, text: str, language: str) -> None:
    real = languages._identifier()
    asked: list[str] = []

    class Counting:
        def classify(self, sample: str) -> Any:
            asked.append(sample)
            return real.classify(sample)

    monkeypatch.setattr(languages, "_identifier", Counting)
    languages._detected.cache_clear()
    job = batches.Job("", "", NOW, trusted=False)
    reader = reading.Reader(SEEDS / "topics.yaml", SEEDS / "sites.yaml", job, batches.Answered())
    body = f"<html><title>El puente</title><body><h1>El puente</h1><p>{text}</p><p>{text}</p></body></html>".encode()
    page = Capture("https://news.example/1", 200, (("Content-Type", "text/html; charset=utf-8"),), body, NOW)
    told = reader.told(reading._entry_of_page(page))
    assert isinstance(told, Content)
    assert (told.language, told.text_from, len(asked)) == (language, TextFrom.PAGE, 1)
