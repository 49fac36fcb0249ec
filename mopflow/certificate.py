"""The certificate of a rehearsal: which plan was rehearsed, when, how, and how it ended; and whether this one was.

Its SHA-256 guards it against accidents, not against forgers: whoever can write the file can write the sum, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mopflow.errors import BadInput, MopflowError
from mopflow.plan import content, hash_of
from mopflow.site import Site

KIND = "mopflow rehearsal certificate"
SHORT = 12  # digits of a hash that a person reads
_LOOPBACK = "127."
_NAMED = 5  # so many differences are named


@dataclass(frozen=True, slots=True)
class Certificate:
    """A rehearsal that ended well. ``plan`` is `mopflow.plan.content` of what was rehearsed."""

    plan: Mapping[str, Any]
    plan_hash: str
    begun: datetime
    ended: datetime
    seed: int
    speed: float
    faults: tuple[str, ...]  # that were asked for
    outcome: str
    checks: Mapping[str, Any]

    @property
    def document(self) -> dict[str, Any]:
        """As it is written, sealed with its own SHA-256."""
        bare = {
            "kind": KIND,
            "plan_hash": self.plan_hash,
            "mopflow": self.plan["mopflow"],
            "site": self.plan["site"],
            "source": self.plan["source"],
            "target": self.plan["target"],
            "begun": self.begun.astimezone(UTC).isoformat(),
            "ended": self.ended.astimezone(UTC).isoformat(),
            "seconds": round((self.ended - self.begun).total_seconds(), 3),
            "seed": self.seed,
            "speed": self.speed,
            "faults": list(self.faults),
            "outcome": self.outcome,
            "checks": dict(self.checks),
            "plan": dict(self.plan),
        }
        return {**bare, "sha256": hash_of(bare)}

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.ended.astimezone(UTC):%Y%m%dT%H%M%SZ}-{self.plan_hash[:SHORT]}.json"


def of_rehearsal(
    site: Site,
    begun: datetime,
    ended: datetime,
    *,
    seed: int,
    speed: float,
    faults: Sequence[str],
    outcome: str,
    checks: Mapping[str, Any],
) -> Certificate:
    """``site``: as it was rehearsed, before the twin's addresses came into it."""
    plan = json.loads(json.dumps(content(site)))  # as it will be read again
    return Certificate(plan, hash_of(plan), begun, ended, seed, speed, tuple(faults), outcome, checks)


def write(certificate: Certificate, path: Path) -> Path:
    """Raises MopflowError when the file cannot be written."""
    text = json.dumps(certificate.document, indent=1, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise MopflowError(f"the certificate {path} cannot be written: {error.strerror}") from None
    return path


def read(path: Path) -> Certificate:
    """Raises BadInput for a file that is none, or is not as it was written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadInput(f"{path.name} is no JSON") from None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise BadInput(f"{path.name} is no certificate of a rehearsal")
    bare = {name: value for name, value in found.items() if name != "sha256"}
    if hash_of(bare) != found.get("sha256"):
        raise BadInput(f"{path.name} was changed since it was written: its SHA-256 is another one")
    try:
        read_ = Certificate(
            plan=found["plan"],
            plan_hash=found["plan_hash"],
            begun=datetime.fromisoformat(found["begun"]),
            ended=datetime.fromisoformat(found["ended"]),
            seed=found["seed"],
            speed=found["speed"],
            faults=tuple(found["faults"]),
            outcome=found["outcome"],
            checks=found["checks"],
        )
        wrong = hash_of(read_.plan) != read_.plan_hash
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadInput(f"{path.name} lacks something that a certificate has") from None
    if wrong:
        raise BadInput(f"{path.name} names another plan than it holds")
    return read_


def folder_of(site_path: Path) -> Path:
    """Where the certificates of a site file lie: beside it."""
    return site_path.with_name(f"{site_path.stem}-certificates")


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """Whether exactly this plan was rehearsed, as a sentence. ``certificate``: that of the rehearsal which is named."""

    exactly: bool
    text: str
    plan_hash: str
    certificate: Path | None


def rehearsed(site: Site, site_path: Path) -> Rehearsed:
    """What the certificates beside the site file say of its plan. Raises what `mopflow.plan.plan` raises."""
    mine = json.loads(json.dumps(content(site)))
    number = hash_of(mine)
    folder = folder_of(site_path)
    damaged: list[str] = []
    found: list[tuple[Path, Certificate]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append((path, read(path)))
        except BadInput as wrong:
            damaged.append(str(wrong))
    found.sort(key=lambda one: one[1].ended)
    same = [one for one in found if one[1].plan_hash == number]
    note = "".join(f"; {one}" for one in damaged)
    if same:
        path, newest = same[-1]
        return Rehearsed(
            True,
            f"exactly this plan ({number[:SHORT]}) was rehearsed on {_when(newest)} "
            f"(certificate {folder.name}/{path.name}){note}",
            number,
            path,
        )
    if not found and all(server.address.startswith(_LOOPBACK) for server in site.servers):
        return Rehearsed(False, f"this system is a twin: its runs are the rehearsals{note}", number, None)
    if not found:
        text = (
            f"this plan ({number[:SHORT]}) was not rehearsed: there is no certificate in {folder.name}{note}"
        )
        return Rehearsed(False, text, number, None)
    path, newest = found[-1]
    differs = list(differences(newest.plan, mine))
    more = f"; and {len(differs) - _NAMED} more" if len(differs) > _NAMED else ""
    text = (
        f"this plan ({number[:SHORT]}) was not rehearsed. The rehearsal of {_when(newest)} "
        f"({folder.name}/{path.name}) differs in: {'; '.join(differs[:_NAMED])}{more}{note}"
    )
    return Rehearsed(False, text, number, path)


def _when(certificate: Certificate) -> str:
    faults = f" with {', '.join(certificate.faults)}" if certificate.faults else ""
    return f"{certificate.ended.astimezone(UTC):%Y-%m-%d %H:%M} UTC{faults}"


def differences(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> Iterator[str]:
    """In what two plans differ, a phrase each: first what was rehearsed, then what is planned now.

    The rows follow from all the rest, so they are named only where nothing else differs.
    """
    said = False
    for name in dict.fromkeys([*theirs, *mine]):
        if name in ("clusters", "rows"):
            continue
        for phrase in _differs(name, theirs.get(name), mine.get(name)):
            said = True
            yield phrase
    before, now = _clusters(theirs), _clusters(mine)
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            said = True
            yield f"cluster {name}: {before.get(name, 'not there')}, now {now.get(name, 'not there')}"
    if list(before) != list(now) and set(before) == set(now):
        said = True
        yield "the order of the clusters"
    if not said and theirs.get("rows") != mine.get("rows"):
        yield from _rows(theirs.get("rows", []), mine.get("rows", []))


def _differs(name: str, theirs: Any, mine: Any) -> Iterator[str]:
    if isinstance(theirs, Mapping) and isinstance(mine, Mapping):
        for part in dict.fromkeys([*theirs, *mine]):
            yield from _differs(f"{name} {part}", theirs.get(part), mine.get(part))
    elif theirs != mine:
        yield f"{name}: {_said(theirs)}, now {_said(mine)}"


def _said(value: Any) -> str:
    return "nothing" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _clusters(plan: Mapping[str, Any]) -> dict[str, str]:
    return {
        c["name"]: f"{c['kind']} {' and '.join(c['servers'])}"
        + (f" in {c['segment']}" if c["segment"] else "")
        for c in plan.get("clusters", ())
    }


def _rows(theirs: Sequence[Any], mine: Sequence[Any]) -> Iterator[str]:
    here = {tuple(row[:3]) for row in mine}
    there = {tuple(row[:3]) for row in theirs}
    for what, rows in (("only rehearsed", there - here), ("only planned", here - there)):
        if rows:
            keys = sorted({row[1] for row in rows})
            yield f"rows {what}: {' '.join(keys)}"
    if here == there:
        changed = [row[1] for row, other in zip(mine, theirs, strict=False) if row != other]
        yield f"rows of which order, alarms or who acts is another: {' '.join(dict.fromkeys(changed)) or 'their number'}"
