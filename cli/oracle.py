"""A support pack by hand, and the word of a person who has spoken with Oracle."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import SecretStr

from cli import output
from cli.ledgers import existing_ledger
from cli.readiness import person
from mopflow import released
from mopflow.console.opening import open_console
from mopflow.errors import BadInput
from mopflow.evidence import EvidenceStore
from mopflow.house import ledger_url
from mopflow.ledger import Hold, Ledger
from mopflow.procedures.table import step
from mopflow.secrets import Vault
from mopflow.site import Site
from mopflow.site_file import load
from mopflow.step import Step
from mopflow.support_pack import KIND, Gathered, Live, Occasion, clusters_of, make, read_console

LIVE = 60.0  # seconds for the console, whose browser has to be started first
BY_HAND = "12.3.2"  # where the evidence keeps a pack that no hold has asked for


def make_pack(
    site_path: Path, cluster: str | None, out: Path | None, campaign: str | None, as_json: bool
) -> int:
    """Raises BadInput for a scope that the site does not have, and where nothing was done yet."""
    site = load(site_path)
    base = site_path.resolve().parent
    if cluster is not None and not clusters_of(site, cluster):
        raise BadInput(f"the site {site.name} has no cluster, server or segment {cluster}")
    vault = Vault(_from_block)
    with existing_ledger(site, base) as ledger:
        if ledger is None:
            raise BadInput(f"{site_path}: nothing was done on this site yet, there is nothing to pack")
        number = _campaign(ledger, site, campaign)
        occasion = _occasion(ledger, site, number, cluster)
        root = site.evidence if site.evidence.is_absolute() else base / site.evidence
        live = _live(site, vault, base, clusters_of(site, cluster))
        content = make(site, ledger, number, root, vault, occasion, live, LIVE)
        if out is None:
            where = (occasion.step.procedure, occasion.step.number) if occasion.step else (BY_HAND, 0)
            store = EvidenceStore(root, ledger, site.name, number, vault.strike)
            name = f"support-{site.name}-{cluster or 'system'}.tar.gz"
            path = store.keep_bytes(*where, cluster or "system", name, content, KIND)
        else:
            path = out
            try:
                path.write_bytes(content)
            except OSError as error:
                raise BadInput(f"--out: {path} cannot be written: {error.strerror or error}") from None
    digest = hashlib.sha256(content).hexdigest()
    output.answer(
        as_json,
        {"site": site.name, "scope": cluster, "campaign": number, "pack": str(path), "sha256": digest},
        lambda console: console.print(f"{path}\nsha256 {digest}, {len(content)} bytes", markup=False),
    )
    return output.OK


def _campaign(ledger: Ledger, site: Site, wanted: str | None) -> str:
    known = [one.id for one in ledger.campaigns(site.name)]
    if not known:
        raise BadInput(f"the ledger has no campaign of {site.name}")
    if wanted is not None and wanted not in known:
        raise BadInput(f"the ledger has no campaign {wanted} of {site.name}; it has {', '.join(known)}")
    return wanted or known[-1]


def _occasion(ledger: Ledger, site: Site, campaign: str, scope: str | None) -> Occasion:
    """The newest open hold of the scope says why the pack is made; without one it is a person's wish."""
    holds = [
        hold for hold in ledger.holds(site.name, campaign=campaign) if scope is None or hold.cluster == scope
    ]
    if not holds:
        return Occasion(scope, None)
    newest = holds[-1]
    return Occasion(scope, _step(newest), newest.rule, newest.reason, newest.id)


def _step(hold: Hold) -> Step | None:
    try:
        return step(f"{hold.procedure}/{hold.step}")
    except KeyError:  # written by another version of this program
        return None


def _live(site: Site, vault: Vault, base: Path, clusters: list[str]) -> Live:
    def read(got: Gathered) -> None:
        console = open_console(site, vault, base)
        try:
            read_console(console, clusters)(got)
        finally:
            console.close()

    return read


def _from_block(name: str) -> SecretStr:
    from blocks import read_secret  # Prefect is slow to import

    return read_secret(name)


def release_cluster(site_path: Path, cluster: str, by: str, reason: str, ticket: str, as_json: bool) -> int:
    """Raises BadInput where there is nothing to release, or nothing that may be released."""
    site = load(site_path)
    who, why = person(by, "--by"), person(reason, "--reason")
    if cluster not in [one.name for one in site.clusters]:
        raise BadInput(f"the site {site.name} has no cluster {cluster}")
    with Ledger.open(ledger_url(site, site_path.resolve().parent)) as ledger:
        decision = released.release(ledger, site.name, cluster, who, why, ticket.strip())
    tolerated = [{"server": server, "text": text} for server, text in decision.accepted]
    said = [f"{one['server']}: {one['text']}" for one in tolerated]
    output.answer(
        as_json,
        {
            "site": site.name,
            "cluster": cluster,
            "by": who,
            "reason": why,
            "ticket": ticket.strip(),
            "holds": [hold.id for hold in decision.holds],
            "accepted": tolerated,
        },
        lambda console: console.print(
            f"{cluster}: released by {who}. Accepted: {'; '.join(said) or 'nothing that still stands'}.\n"
            "Start the upgrade or the backout again: it looks at the live system anew, and any other trouble holds it.",
            markup=False,
        ),
    )
    return output.OK
