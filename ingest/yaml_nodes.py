"""Files of rules that people edit: bytes → nodes of YAML, every fault named by file, line and column.

Nodes and not values, because a value no longer knows where it stood. Hostile files cost no more than honest ones:
their size and nesting are bounded, aliases (with which a kilobyte becomes a gigabyte) are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from ingest.errors import SettingsError

MAX_DEPTH = 12  # of nesting; the deepest format, topic rules, needs six


def content(path: Path, *, most: int, what: str, advice: str) -> bytes:
    """The bytes of a file.

    Raises SettingsError, which calls it `what` and gives `advice`, where it cannot be read or is larger than `most`.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        why = f"cannot be read ({error.strerror or type(error).__name__})."
        raise SettingsError(why, subject=str(path), advice=advice) from error
    if len(data) > most:
        raise SettingsError(f"is larger than {most:,} bytes: no {what} is.", subject=str(path))
    return data


class Nodes:
    """The nodes of a file that is called `path` in errors; `advice` says where its form is described.

    What is asked for is given or raised as SettingsError with its place. Readers of a format build on it.
    """

    def __init__(self, path: str, advice: str) -> None:
        self.path = path
        self.advice = advice

    def root(self, data: bytes) -> yaml.Node | None:
        """The document's outermost node, None of an empty one. What is not allowed is refused before anything is built
        of it."""
        loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            self._check(data, loader)
            root: yaml.Node | None = yaml.compose(data, Loader=loader)
        except yaml.MarkedYAMLError as error:
            raise self.at(
                error.problem_mark or error.context_mark, f"not YAML: {error.problem or error.context}"
            ) from None
        except (yaml.YAMLError, UnicodeError, ValueError) as error:
            raise self.at(None, f"not YAML: {' '.join(str(error).split())[:200]}") from None
        return root

    def _check(self, data: bytes, loader: type) -> None:
        depth = 0
        for event in yaml.parse(data, Loader=loader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                problem = "anchors and aliases (&name, *name) are not allowed; quote a word that begins with *"
                raise self.at(event.start_mark, problem)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                raise self.at(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")

    def pairs(
        self, node: yaml.Node, what: str, allowed: Iterable[str] | None = None
    ) -> list[tuple[str, Any, yaml.Node]]:
        """The names of a mapping with their own nodes and those of their values."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{what} must be a mapping of names to values")
        found: dict[str, tuple[str, Any, yaml.Node]] = {}
        for key, value in node.value:
            name = self.text(key, f"a name in {what}")
            if name in found:
                raise self.wrong(key, f"{name!r} stands twice in {what}")
            if allowed is not None and name not in allowed:
                raise self.wrong(key, f"{name!r} is not known in {what}; known are {', '.join(sorted(allowed))}")
            found[name] = name, key, value
        return list(found.values())

    def mapping(self, node: yaml.Node, what: str, allowed: Iterable[str] | None = None) -> dict[str, yaml.Node]:
        """The values of a mapping by their names."""
        return {name: value for name, _, value in self.pairs(node, what, allowed)}

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """The items of a list that is not empty."""
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, f"{what} must be a list")
        if not node.value:
            raise self.wrong(node, f"{what} is empty")
        return list(node.value)

    def text(self, node: yaml.Node, what: str) -> str:
        """A text that is not empty, its white space folded."""
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self.wrong(node, f"{what} must be a text; quote what begins with # or *")
        return " ".join(node.value.split())

    def wrong(self, part: Any, problem: str) -> SettingsError:
        """The error for a fault at a node."""
        return self.at(part.start_mark, problem)

    def at(self, mark: Any, problem: str) -> SettingsError:
        """The error for a fault at a mark: yaml's own or its C twin's, or None for the file's beginning."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        place = f"{self.path}, line {line}, column {column}"
        return SettingsError(f"{problem}.", subject=place, advice=self.advice)
