"""A run drawn as a flow: entries come in on the left, and what each stage takes out of them leaves downwards.

Shapes are numbers of a drawing 960 wide; the template makes SVG of them. Widths of bands are in proportion to entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TALL, TOP = 110.0, 34.0
COLUMN, NODE = 235.0, 8.0
STUB, LINE = 46.0, 17.0  # how far below the flow what leaves it ends; one line of a label
LEAST = 1.5  # what is not nothing can be seen

# What leaves at each stage, and what the rest is called behind it.
STAGES: Sequence[tuple[Sequence[str], str]] = (
    (("rejected", "quarantined"), "read"),
    (("unchanged",), "new or changed"),
    (("duplicate",), "unique"),
)
KEPT = ("indexed", "revised", "recleaned", "retagged")


@dataclass(frozen=True, slots=True)
class Band:
    """A closed path, and the outcome that colours it ("" for what goes on)."""

    path: str
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    x: float
    y: float
    text: str
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Flow:
    height: float
    bands: Sequence[Band]
    labels: Sequence[Label]
    told: str  # the same in one sentence


def of(report: Mapping[str, Any]) -> Flow | None:
    """The flow of a run's report; None where nothing came in."""
    entries, outcomes = report["entries"], report["outcomes"]
    if not entries:
        return None
    bands: list[Band] = []
    labels = [Label(0, TOP - 8, f"{entries:,d} in")]
    deepest = TOP + TALL
    left, x = entries, 0.0
    for leaving, name in STAGES:
        bands.append(_node(x, left, entries))
        gone = [(outcome, outcomes[outcome]) for outcome in leaving if outcomes[outcome]]
        rest = left - sum(n for _, n in gone)
        bands.append(Band(_straight(x + NODE, x + COLUMN, _tall(rest, entries))))
        at = TOP + _tall(rest, entries)
        foot = TOP + TALL + STUB
        for outcome, n in gone:
            bands.append(Band(_down(x + NODE, at, _tall(n, entries), x + 70, foot), outcome))
            labels.append(Label(x + 78, foot + 4, f"{n:,d} {outcome}"))
            at += _tall(n, entries)
            foot += max(_tall(n, entries), LINE) + 6
        deepest = max(deepest, foot)
        left, x = rest, x + COLUMN
        labels.append(Label(x, TOP - 8, f"{left:,d} {name}"))
    bands.append(_node(x, left, entries))
    for k, (outcome, n) in enumerate((outcome, outcomes[outcome]) for outcome in KEPT if outcomes[outcome]):
        labels.append(Label(x + NODE + 8, TOP + 14 + LINE * k, f"{n:,d} {outcome}", soft=True))
    if report["tagged"]:
        labels.append(Label(0, deepest + 14, f"{report['tagged']:,d} of those read have a topic", soft=True))
    told = ", ".join(f"{n:,d} {outcome}" for outcome, n in outcomes.items() if n)
    return Flow(deepest + 26, bands, labels, f"{entries:,d} entries came in: {told}.")


def _tall(n: int, of_: int) -> float:
    return max(LEAST, TALL * n / of_) if n else 0.0


def _node(x: float, n: int, of_: int) -> Band:
    return Band(_straight(x, x + NODE, _tall(n, of_)), "node")


def _straight(left: float, right: float, tall: float) -> str:
    return f"M{left:.1f} {TOP:.1f}H{right:.1f}V{TOP + tall:.1f}H{left:.1f}Z"


def _down(x: float, y: float, tall: float, right: float, foot: float) -> str:
    """From a node's side, curving down to a foot on the right."""
    middle = (x + right) / 2
    there = f"M{x:.1f} {y:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {foot:.1f} {right:.1f} {foot:.1f}"
    back = f"V{foot + tall:.1f}C{middle:.1f} {foot + tall:.1f} {middle:.1f} {y + tall:.1f} {x:.1f} {y + tall:.1f}Z"
    return there + back
