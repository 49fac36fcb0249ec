"""Where in a YAML file does a path such as `segments[0].clusters[1].name` stand?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from mopflow.errors import BadInput

Step = str | int
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def path_text(path: Sequence[Step]) -> str:
    """`("segments", 0, "name")` -> `segments[0].name`; the empty path is the file itself."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def path_steps(text: str) -> tuple[Step, ...]:
    """The reverse of `path_text`."""
    return tuple(int(m[1]) if m[1] is not None else m[2] for m in _STEP.finditer(text))


class Document:
    """A YAML file as plain data together with the line of every node."""

    def __init__(self, path: Path) -> None:
        """Raises BadInput when the file cannot be read or is not YAML. No text of the file is quoted: it may hold a
        secret that does not belong there."""
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise BadInput(
                f"{path}: cannot be read: {error.strerror}; name a site file that exists"
            ) from None
        except UnicodeDecodeError as error:
            raise BadInput(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
        loader = yaml.SafeLoader(text)
        try:
            self.root = loader.get_single_node()
            self.data: Any = loader.construct_document(self.root) if self.root is not None else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else 1
            raise BadInput(f"{path}:{line}: is not YAML: {_syntax(error)}") from None
        except (yaml.YAMLError, ValueError):
            raise BadInput(
                f"{path}: is not YAML; a value in it cannot be read (a date, a number, a character)"
            ) from None
        finally:
            loader.dispose()

    def node(self, path: Sequence[Step]) -> tuple[yaml.Node | None, int]:
        """The node at ``path`` and its line. When the path leaves the file, the last node on the way with its line."""
        node = self.root
        line = node.start_mark.line + 1 if node is not None else 1
        for step in path:
            found = _child(node, step)
            if found is None:
                return None, line
            node, line = found
        return node, line

    def line(self, path: Sequence[Step]) -> int:
        return self.node(path)[1]

    def find_name(self, name: str) -> tuple[Step, ...] | None:
        """The path of the first mapping whose ``name`` is this."""
        return next((path for path, node in _walk(self.root, ()) if _has_name(node, name)), None)

    def doubled_keys(self) -> Iterator[tuple[tuple[Step, ...], int, int]]:
        """Keys that stand twice in one mapping: path, line of the second, line of the first."""
        for path, node in _walk(self.root, ()):
            if not isinstance(node, yaml.MappingNode):
                continue
            seen: dict[str, int] = {}
            for key, _ in node.value:
                word, line = str(key.value), key.start_mark.line + 1
                if word in seen and key.tag != "tag:yaml.org,2002:merge":
                    yield (*path, word), line, seen[word]
                seen.setdefault(word, line)


def _child(node: yaml.Node | None, step: Step) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # of a doubled key the last one counts
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    return None


def _walk(node: yaml.Node | None, path: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], yaml.Node]]:
    if node is None:
        return
    yield path, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _walk(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _walk(item, (*path, place))


def _has_name(node: yaml.Node, name: str) -> bool:
    found = _child(node, "name")
    return found is not None and isinstance(found[0], yaml.ScalarNode) and found[0].value == name


def _syntax(error: yaml.MarkedYAMLError) -> str:
    """What is wrong, without any word of the file."""
    problem = error.problem or ""
    if "alias" in problem:
        return "an alias (*name) that is not defined; put a text that begins with * into quotes"
    if "tag" in problem:
        return "a tag (!name) that is not known; put a text that begins with ! into quotes"
    if "but found another document" in problem or "single document" in (error.context or ""):
        return "a second document begins here; a site file is one document"
    if "mapping values are not allowed" in problem:
        return "a colon where none may stand; put the text that holds it into quotes, or indent the key like its neighbours"
    return (
        f"{_unquoted(problem)}; look at indentation, colons and quotes here"
        if problem
        else "look at indentation, colons and quotes here"
    )


def _unquoted(problem: str) -> str:
    return re.sub(r"'[^']{2,}'", lambda m: m[0] if m[0].startswith("'<") else "a text", problem)
