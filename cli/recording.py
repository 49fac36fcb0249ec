"""Write the record of a campaign, copy it, verify it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from cli import output
from cli.ledgers import existing_ledger
from mopflow.errors import BadInput
from mopflow.record.chain import Flaw
from mopflow.record.folder import CONTINUE_TXT, RECORD_HTML, RECORD_JSON, undisturbed
from mopflow.record.sources import campaign_of, folder_name
from mopflow.record.verify import Verdict, compare, verify
from mopflow.record.writer import Writer
from mopflow.secrets import Vault
from mopflow.site import Site
from mopflow.site_file import load
from mopflow.support_pack import know_secrets


def write_record(site_path: Path, campaign: str | None, out: Path | None, as_json: bool) -> int:
    """0: written. Raises BadInput where nothing was done yet, or the folder to copy into is used already."""
    site = load(site_path)
    base = site_path.resolve().parent
    vault = _vault(site)
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"--out {out}: is used already; name a new folder")
    with existing_ledger(site, base) as ledger:
        if ledger is None:
            raise BadInput(f"{site_path}: nothing was done on this site yet, there is nothing to record")
        meant = campaign_of(ledger, site.name, campaign)
        root = site.evidence if site.evidence.is_absolute() else base / site.evidence
        folder = root / folder_name(meant.id)
        try:
            head = Writer(folder, site, ledger, meant.id, vault.strike).pages()
        except OSError as error:
            raise BadInput(
                f"the record cannot be written to {folder}: {error.strerror or error}; make room or mend that place"
            ) from None
    where = folder if out is None else _copied(folder, out)
    output.answer(
        as_json,
        {
            "site": site.name,
            "campaign": meant.id,
            "folder": str(where),
            "html": str(where / RECORD_HTML),
            "json": str(where / RECORD_JSON),
            "continue": str(where / CONTINUE_TXT),
            "head": head,
        },
        lambda console: console.print(
            f"{where / RECORD_HTML}\nchain head {head}\nto look at it: mopflow record verify {where}",
            markup=False,
        ),
    )
    return output.OK


def _copied(folder: Path, out: Path) -> Path:
    """The folder with its evidence, as one moment has it. Raises BadInput; then nothing half copied stays."""
    try:
        with undisturbed(folder):
            shutil.copytree(folder, out, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        with suppress(OSError):
            shutil.rmtree(out)
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"--out {out}: the record cannot be copied there: {why}") from None
    return out


def verify_record(folder: Path, head: str | None, site_path: Path | None, as_json: bool) -> int:
    """0: as it was written; 1: something is not. Raises BadInput where there is no record."""
    verdict = verify(folder, head)
    flaws = list(verdict.flaws)
    if site_path is not None:
        site = load(site_path)
        with existing_ledger(site, site_path.resolve().parent) as ledger:
            if ledger is None:
                raise BadInput(f"--site {site_path}: there is no ledger to compare with")
            flaws += compare(folder, ledger, _vault(site).strike)
    output.answer(
        as_json,
        {
            "folder": str(folder),
            "campaign": verdict.campaign,
            "sound": not flaws,
            "entries": verdict.entries,
            "files": verdict.files,
            "head": verdict.head,
            "flaws": [{"file": flaw.file, "place": flaw.place, "what": flaw.what} for flaw in flaws],
            "notes": list(verdict.notes),
        },
        lambda console: console.print("\n".join(_said(verdict, flaws)), markup=False),
    )
    return output.ERROR if flaws else output.OK


def _said(verdict: Verdict, flaws: Sequence[Flaw]) -> list[str]:
    lines = [str(flaw) for flaw in flaws]
    lines += [f"note: {note}" for note in verdict.notes]
    counted = f"{verdict.entries} entries, {verdict.files} files"
    if flaws:
        lines.append(f"NOT as it was written: {len(flaws)} places ({counted})")
    else:
        lines.append(f"as it was written: {counted}\nchain head {verdict.head}")
        lines.append(
            "compare the head with the one that was sent out or printed: a chain made anew has another one"
        )
    return lines


def _vault(site: Site) -> Vault:
    vault = Vault(_from_block)
    know_secrets(site, vault)
    return vault


def _from_block(name: str) -> SecretStr:
    from blocks import read_secret  # Prefect is slow to import

    return read_secret(name)
