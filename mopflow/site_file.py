"""Read a site file and report every mistake at once, each with its line, path and what would be right."""

from __future__ import annotations

import copy
import difflib
import re
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mopflow.errors import BadInput
from mopflow.secrets import SecretRef
from mopflow.site import Site
from mopflow.yaml_places import Document, Step, path_steps, path_text

_SECRET = (
    "a secret never stands in the site file: name where it is kept, {env: NAME_OF_AN_ENVIRONMENT_VARIABLE} or "
    "{block: name-of-a-prefect-block}"
)
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_BLOCK = re.compile(r"[a-z0-9][a-z0-9/_-]*")
_USERINFO = re.compile(r"^[\w+.-]+://[^/@\s]*:[^/@\s]+@")
_ROUNDS = 5  # a repaired part may show one more mistake beneath


def load(path: Path) -> Site:
    """The site that the file describes.

    Raises BadInput with one line per mistake: `FILE:LINE: path.in.the[0].file: what is wrong; what would be right`.
    """
    document = Document(path)
    found: dict[tuple[int, str, str], None] = {}
    for place, line, first in document.doubled_keys():
        found[line, path_text(place), f"stands here and on line {first}; keep one of them"] = None
    for place, text in _inline_secrets(document.data):
        found[document.line(place), path_text(place), text] = None
    site: Site | None = None
    try:
        site = Site.model_validate(document.data)
    except ValidationError as error:
        for place, text in _mistakes(document, error):
            found[document.line(place), path_text(place), text] = None
    if found or site is None:
        raise BadInput(*_lines(path, found))
    return site


def _lines(path: Path, found: dict[tuple[int, str, str], None]) -> Iterator[str]:
    for line, where, text in sorted(found):
        yield f"{path}:{line}: {where}: {text}" if where else f"{path}:{line}: {text}"


_Mistake = tuple[tuple[Step, ...], str]


def _mistakes(document: Document, error: ValidationError) -> Iterator[_Mistake]:
    """Mistakes of single fields, then those that show only when the parts are seen together."""
    details = _own_mistakes(error)
    joint = [text for detail in details if not detail["loc"] for text in _joint_lines(detail)]
    single = [detail for detail in details if detail["loc"]]
    if not details[0]["loc"] and details[0]["type"] != "value_error":
        yield (
            (),
            "a site file is a mapping with the keys name, source, target, console, ssh, cmp, segments, media",
        )
        return
    yield from _single(document, single)
    if single:
        broken = [_place(document.data, detail["loc"]) for detail in single]
        joint = list(_joint_beneath(document.data, single, broken))
    for text in joint:
        yield _joint(document, text)


def _own_mistakes(error: ValidationError) -> list[ErrorDetails]:
    """Without the lists that are too short only because their items are wrong."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    places = [detail["loc"] for detail in details]

    def follows(detail: ErrorDetails) -> bool:
        loc = detail["loc"]
        return detail["type"] == "too_short" and any(p[: len(loc)] == loc and p != loc for p in places)

    return [detail for detail in details if not follows(detail)]


# one field


def _single(document: Document, details: Sequence[ErrorDetails]) -> Iterator[_Mistake]:
    by_place: dict[tuple[Step, ...], list[str]] = {}
    for detail in details:
        place = _place(document.data, detail["loc"])
        if detail["type"] == "missing":
            place = (*place, detail["loc"][-1])
        model = _model_at(place[:-1])
        if _is_secret(_model_at(place)) or (_is_secret(model) and _may_hold_secret(model, place[-1])):
            by_place[_secret_place(place)] = [_SECRET]
            continue
        by_place.setdefault(place, []).append(_sentence(document, place, detail, model))
    for place, texts in by_place.items():
        yield place, " or ".join(dict.fromkeys(texts))


def _secret_place(place: tuple[Step, ...]) -> tuple[Step, ...]:
    while not _is_secret(_model_at(place)):
        place = place[:-1]
    return place


def _is_secret(model: type[BaseModel] | None) -> bool:
    return model is not None and issubclass(model, SecretRef)


def _may_hold_secret(model: type[BaseModel] | None, key: Step) -> bool:
    """A name of a secret may have a key beside it that says something else of it (tags)."""
    return model is SecretRef or key in SecretRef.model_fields


def _sentence(
    document: Document, place: tuple[Step, ...], detail: ErrorDetails, model: type[BaseModel] | None
) -> str:
    kind = detail["type"]
    if kind == "missing":
        return "is missing" + _hint(model, place[-1])
    if kind == "extra_forbidden":
        return _unknown(str(place[-1]), model)
    if kind == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    node, _ = document.node(place)
    text = detail["msg"].replace("Input should", "should").replace("a valid ", "a ").replace("Field", "field")
    if kind == "string_type" and isinstance(node, yaml.ScalarNode):
        return "is read by YAML as another thing than a text; put it into quotes"
    if kind in ("model_type", "dict_type"):
        return "should be a mapping (key: value), indented beneath this line" + _known(_model_at(place))
    if kind in ("tuple_type", "list_type"):
        return "should be a list (lines that begin with -)"
    if isinstance(node, yaml.ScalarNode):
        return f"{node.value!r}: it {text}" if text.startswith("should") else f"{node.value!r}: {text}"
    return text


def _unknown(key: str, model: type[BaseModel] | None) -> str:
    if model is None:
        return "is not known here; remove it"
    near = difflib.get_close_matches(key, list(model.model_fields), n=1, cutoff=0.6)
    if near:
        return f"is not known here; did you mean {near[0]}?"
    return "is not known here; remove it, or use one of: " + ", ".join(model.model_fields)


_HINTS = {
    "source": ", such as 12.1.1.0.0_14.1.0",
    "target": ", such as 12.1.2.0.0_22.1.0",
    "kind": "; one of MPE, MPE-Li, MRA",
    "vip": "; the address of this CMP cluster's console",
    "known_hosts": "; the file with the servers' SSH host keys",
    "md5": "; the MD5 of the image, 32 hexadecimal digits",
    "type": "; one of cmp, mpe, mpe-li, mra",
    "address": "; the server's own IP address, never a VIP",
    "servers": "; a list of two servers with name and address",
    "file": "; the image's file name, such as mpe-12.1.2.0.0_22.1.0-x86_64.iso",
}


def _hint(model: type[BaseModel] | None, key: Step) -> str:
    if key in _HINTS:
        return _HINTS[str(key)]
    inner = _field_model(model, key) if model is not None else None
    return _known(inner)


def _known(model: type[BaseModel] | None) -> str:
    return f" with {', '.join(model.model_fields)}" if model is not None else ""


# from pydantic's location to the place in the file


def _place(data: Any, loc: Sequence[Step]) -> tuple[Step, ...]:
    """The part of ``loc`` that stands in the file. Pydantic adds names of union members, which do not."""
    place: list[Step] = []
    last = len(loc) - 1
    for i, step in enumerate(loc):
        in_list = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if in_list or (isinstance(data, dict) and step in data):
            place.append(step)
            data = data[step]
        elif isinstance(data, dict) and i < last and str(step) in map(str, data):
            place.append(step)
            data = next(value for key, value in data.items() if str(key) == str(step))
    return tuple(place)


def _model_at(place: Sequence[Step]) -> type[BaseModel] | None:
    """The model that describes the part of the file at ``place``."""
    model: type[BaseModel] | None = Site
    for step in place:
        if isinstance(step, int):
            continue  # the items of a list have the model that its field names
        model = _field_model(model, step) if model is not None else None
    return model


def _field_model(model: type[BaseModel], key: Step) -> type[BaseModel] | None:
    field = model.model_fields.get(str(key))
    return next(_models(field.annotation), None) if field is not None else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (typing.Union, UnionType, tuple, list):
        for part in typing.get_args(annotation):
            yield from _models(part)


# secrets


def _inline_secrets(data: Any, place: tuple[Step, ...] = ()) -> Iterator[_Mistake]:
    """Secrets that the models cannot tell from names, and passwords inside of URLs. Nothing of them is quoted."""
    if isinstance(data, dict):
        at_secret = _is_secret(_model_at(place))
        for key, value in data.items():
            here = (*place, str(key))
            if at_secret and key in ("env", "block") and isinstance(value, str):
                pattern = _VARIABLE if key == "env" else _BLOCK
                if not pattern.fullmatch(value):
                    what = (
                        "an environment variable (capital letters, digits, _)"
                        if key == "env"
                        else "a Prefect block (small letters, digits, -)"
                    )
                    yield here, f"is not the name of {what}; {_SECRET}"
            else:
                yield from _inline_secrets(value, here)
    elif isinstance(data, list):
        for i, item in enumerate(data):
            yield from _inline_secrets(item, (*place, i))
    elif isinstance(data, str) and _USERINFO.match(data):
        yield (
            place,
            (
                "holds a password; a secret never stands in the site file: leave the password out of the URL "
                "(PostgreSQL reads it from PGPASSWORD or from a password file, SSH uses its key)"
            ),
        )


# mistakes between parts


def _joint_lines(detail: ErrorDetails) -> list[str]:
    if detail["type"] != "value_error":
        return []
    return detail["msg"].removeprefix("Value error, ").splitlines()


def _joint(document: Document, line: str) -> _Mistake:
    """`path: sentence` of the model's own check, with the place in the file where it can be found."""
    where, _, sentence = line.partition(": ")
    place = path_steps(where)
    if document.node(place)[0] is None and len(place) == 1:
        named = document.find_name(sentence.split(" has ")[0])  # "servers: mpe-1a has the address of ..."
        if named is not None:
            return named, sentence
    return place, sentence


_FILLER = "filler-"


def _joint_beneath(
    data: Any, details: Sequence[ErrorDetails], broken: Sequence[tuple[Step, ...]]
) -> Iterator[str]:
    """Mistakes between the parts that are right: broken fields get a filler, and what names one is left out."""
    data = copy.deepcopy(data)
    media_broken = any(place[:1] == ("media",) or "kind" in place for place in broken)
    for round_ in range(_ROUNDS):
        for i, detail in enumerate(details):
            if not _repair(data, detail, f"{_FILLER}{round_}-{i}"):
                return
        try:
            Site.model_validate(data)
        except ValidationError as error:
            found = _own_mistakes(error)
            details = [detail for detail in found if detail["loc"]]
            if details:
                continue
            for line in (text for detail in found for text in _joint_lines(detail)):
                place = path_steps(line.partition(": ")[0])
                if _FILLER in line or (media_broken and "no image of type" in line):
                    continue
                if ("target",) in broken and "the target is" in line:
                    continue
                if any(place[: len(b)] == b or b[: len(place)] == place for b in broken if b):
                    continue
                yield line
        return


def _repair(data: Any, detail: ErrorDetails, word: str) -> bool:
    """Make a broken field acceptable. False when that is not possible."""
    loc = list(detail["loc"])
    place = list(_place(data, loc))
    if detail["type"] == "missing":
        place.append(loc[-1])
    if not place:
        return False
    at = data
    for step in place[:-1]:
        at = at[step]
    last = place[-1]
    if not isinstance(at, dict):
        if isinstance(at, list) and isinstance(last, int):
            at.pop(last)
            return True
        return False
    fillers: dict[str, Any] = {
        "name": word, "address": word, "vip": word, "user": word, "known_hosts": word, "file": word,
        "md5": "0" * 32, "type": "cmp", "kind": "CMP" if place[0] == "cmp" else "MPE",
        "source": "12.1.1", "target": "12.1.2", "password": {"env": "X"},
    }  # fmt: skip
    if detail["type"] != "extra_forbidden" and str(last) in fillers:
        at[last] = fillers[str(last)]
        return True
    return at.pop(last, None) is not None
