"""Run a flow on a system and say how it ended."""

from __future__ import annotations

import contextlib
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import output
from mopflow.errors import BadInput, SecretMissing
from mopflow.house import ledger_url
from mopflow.ledger import Ledger
from mopflow.procedures.table import step
from mopflow.secrets import refs_of
from mopflow.site import Site
from mopflow.site_file import load

if TYPE_CHECKING:
    from tasks.endings import ClusterEnding

POST_CHECK = "post-check"
_NO_SERVER = (
    "no Prefect server is named: the flows need one for their limits and show themselves in it. Start one in another "
    "terminal with\n    prefect server start\nand name it with\n    export PREFECT_API_URL=http://127.0.0.1:4200/api\n"
    "For a twin that a rehearsal has left (--keep), `source DIR/secrets.env` sets it together with the passwords."
)


def work(
    flow: str,
    site_path: Path,
    segment: str | None,
    campaign: str | None,
    as_json: bool,
    *,
    again: bool | None = None,
    scope: str | None = None,
) -> int:
    """Exit code 0, 3 or 1. Raises BadInput before anything else when server, site file or segment are not right."""
    need_server()
    site = load(site_path)
    if segment is not None and segment not in [s.name for s in site.segments]:
        raise BadInput(
            f"{site_path} has no segment {segment}; it has {', '.join(s.name for s in site.segments)}"
        )
    need_variables(site)
    from cli.flows_call import run_flow

    parameters: dict[str, str | bool | None] = {"site": str(site_path.resolve()), "campaign": campaign}
    if again is not None:
        parameters["again"] = again
    if segment is not None:
        parameters["segment"] = segment
    if scope is not None:
        parameters["scope"] = scope
    quiet = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    with quiet:
        ran = run_flow(flow, **parameters)
    if as_json:
        what = {"scope": scope} if scope is not None else {"segment": segment}
        rows = {"rows": [_row(part) for part in ran.parts]} if flow == POST_CHECK else {}
        output.document({"command": flow, **what, "exit": ran.code, **rows, **_state(site, site_path)})
    return ran.code


def _row(part: ClusterEnding) -> dict[str, str]:
    """One row of chapter 11: its key, its title, how it ended, and what it saw."""
    return {"row": part.cluster, "title": step(part.cluster).title, "result": part.how, "found": part.text}


def need_server() -> None:
    """Raises BadInput when no Prefect server is named."""
    if not _server_named():
        raise BadInput(_NO_SERVER)


def need_variables(site: Site) -> None:
    """Raises SecretMissing with all environment variables that the site file names and that are not set."""
    refs = [site.console.password, site.ssh.password, *refs_of(site.notifications)]
    refs += [ref for contact in site.contacts for ref in refs_of(contact)]
    refs += [site.ossi.password] if site.ossi is not None else []
    refs += [site.pmac.password, site.pmac.ssh_password] if site.pmac is not None else []
    repository = site.backup_repository
    refs += [repository.password] if repository is not None and repository.password is not None else []
    need_set(sorted({ref.env for ref in refs if ref.env is not None}), "the site file")


def need_set(names: Sequence[str], who: str) -> None:
    """Raises SecretMissing with those of these environment variables that are not set. ``who`` names them."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise SecretMissing(
            f"environment variable{'s'[: len(missing) != 1]} {', '.join(missing)} not set; {who} names "
            f"{'them' if len(missing) != 1 else 'it'}: set before you start mopflow"
        )


def _state(site: Site, site_path: Path) -> dict[str, Any]:
    with Ledger.open(ledger_url(site, site_path.resolve().parent)) as ledger:
        holds = ledger.holds(site.name)
        campaigns = ledger.campaigns(site.name)
        return {
            "site": site.name,
            "campaign": campaigns[-1].id if campaigns else None,
            "ledger": ledger.place.removeprefix("the ledger "),
            "holds": [
                {
                    "cluster": hold.cluster,
                    "step": f"{hold.procedure}/{hold.step}",
                    "rule": hold.rule,
                    "reason": hold.reason,
                    "to_do": hold.remedy,
                }
                for hold in holds
            ],
        }


def _server_named() -> bool:
    """Is an API named by the environment or by Prefect's active profile? Read by hand: Prefect is slow to import."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", str(home / "profiles.toml"))).expanduser()
    try:
        known = tomllib.loads(profiles.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    active = os.environ.get("PREFECT_PROFILE", known.get("active", ""))
    return bool(known.get("profiles", {}).get(active, {}).get("PREFECT_API_URL"))
