"""Rules for single sites, for what the general way cannot do: which elements hold the text, title, date and authors.

A file of rules is data (`seeds/sites.yaml` says how): domains, and CSS selectors for each. A rule holds for a domain
and what is below it. Where a selector finds nothing on a page, the general way stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from ingest import versions, yaml_nodes

MAX_BYTES = 1_000_000  # of a file of rules
MOST_SELECTORS = 20  # of one kind in a rule
MOST_FOUND = 2_000  # elements that a selector is followed to on one page
TEXT, DROP = "text by site rule", "dropped by site rule"


@dataclass(frozen=True, slots=True)
class Site:
    """The rule for a domain: CSS selectors. `text`: the elements that hold the story, nothing else does; `drop`: those
    that do not, wherever they stand; `title`, `date`, `author`: where these stand (`content`, `datetime`, or the
    element's text). `line` is the rule's in its file."""

    domain: str
    line: int = field(compare=False, repr=False)
    text: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    title: tuple[str, ...] = ()
    date: tuple[str, ...] = ()
    author: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """What identifies the rule, wherever in the file it stands."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:8]

    def marks(self, tree: LexborHTMLParser) -> dict[int, str]:
        """TEXT or DROP of the elements (by their `mem_id`) that these selectors find."""
        found = dict.fromkeys((node.mem_id for node in _found(tree, self.text)), TEXT)
        return {**found, **dict.fromkeys((node.mem_id for node in _found(tree, self.drop)), DROP)}

    def found(self, tree: LexborHTMLParser, name: str) -> list[LexborNode]:
        """The elements for `title`, `date` or `author`."""
        return _found(tree, getattr(self, name))


KEYS = tuple(each.name for each in fields(Site) if each.name not in ("domain", "line"))


@dataclass(frozen=True, slots=True)
class Sites:
    """The rules of a file by their domains. `version` changes with what they say, not with comments."""

    rules: Mapping[str, Site]
    version: str

    def of(self, url: str | None) -> Site | None:
        """The rule for the page at `url`: that of the longest domain."""
        try:
            host = (urlsplit(url or "").hostname or "").rstrip(".")
        except ValueError:
            return None
        while host:
            if host in self.rules:
                return self.rules[host]
            host = host.partition(".")[2]
        return None


def cleaner(rule: Site | None) -> str:
    """The version of what reads a page by this rule, or by none: a changed rule reads its site's pages anew."""
    return f"{versions.CLEANER}+{rule.version}" if rule else versions.CLEANER


def load(path: Path) -> Sites:
    """The rules of a file.

    Raises SettingsError with file, line and column for the first thing that is none.
    """
    data = yaml_nodes.content(
        path, most=MAX_BYTES, what="file of site rules", advice="Name a file of site rules in SITREP_SITES."
    )
    rules = {rule.domain: rule for rule in _Reader(str(path)).rules(data)}
    told = sorted(f"{domain} {rule.version}" for domain, rule in rules.items())
    return Sites(rules, hashlib.sha256("\n".join(told).encode()).hexdigest()[:8])


def _found(tree: LexborHTMLParser, selectors: tuple[str, ...]) -> list[LexborNode]:
    return [node for selector in selectors for node in tree.css(selector)[:MOST_FOUND]]


class _Reader(yaml_nodes.Nodes):
    """A file's bytes → its rules; the first fault is raised with its place."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "seeds/README.md says how a rule is written.")
        self.trial = LexborHTMLParser("<p></p>")

    def rules(self, data: bytes) -> list[Site]:
        root = self.root(data)
        return [self.rule(*pair) for pair in self.pairs(root, "the file")] if root else []

    def rule(self, domain: str, key: yaml.Node, value: yaml.Node) -> Site:
        if (
            domain != domain.lower().strip(".")
            or "." not in domain
            or not domain.isascii()
            or set(domain) & set("/:*@ ")
        ):
            raise self.wrong(key, f"{domain!r} is no domain like news.example (small letters, ASCII, no address)")
        parts = {
            name: self.selectors(selectors, f"`{name}` of {domain}")
            for name, selectors in self.mapping(value, f"the rule for {domain}", KEYS).items()
        }
        if not parts:
            raise self.wrong(value, f"the rule for {domain} says nothing")
        return Site(domain, key.start_mark.line + 1, **parts)

    def selectors(self, node: yaml.Node, what: str) -> tuple[str, ...]:
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not 0 < len(items) <= MOST_SELECTORS:
            raise self.wrong(node, f"{what} must be one to {MOST_SELECTORS} selectors")
        return tuple(self.selector(item, what) for item in items)

    def selector(self, node: yaml.Node, what: str) -> str:
        selector = self.text(node, f"{what}: a selector")
        try:
            self.trial.css(selector)
        except (SelectolaxError, ValueError):
            raise self.wrong(node, f"{what}: {selector!r} is no CSS selector") from None
        return selector
