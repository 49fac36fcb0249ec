"""Open a site for one run: site file, ledger, places, succession, console. What every flow begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.context import FlowRunContext

from blocks import read_secret
from mopflow import processes, site_file
from mopflow.console.opening import open_console, open_operator
from mopflow.errors import BadInput, Held, MopflowError
from mopflow.holds import reconsider
from mopflow.house import House, ledger_url, open_house
from mopflow.ledger import Ledger
from mopflow.secrets import Vault
from mopflow.site import Autonomy, Site
from tasks.context import at_home, strike_with
from tasks.logs import struck_logs
from tasks.slots import PrefectSlots
from tasks.succession import succeed


def flow_run_id() -> str | None:
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else None


def refuse_confirm(site: Site) -> None:
    """Until a person can be asked, a step that is set to confirm is refused at the start. Raises BadInput."""
    rules = site.autonomy
    asked = [
        name
        for name in ("default", "cmp_switch", "first_failover")
        if getattr(rules, name) is Autonomy.CONFIRM
    ]
    if asked:
        raise BadInput(
            *(
                f"autonomy.{name}: confirm needs a person who can be asked, which this version cannot do yet; "
                "set it to auto, or to observe to have a person act"
                for name in asked
            )
        )


@contextmanager
def open_run(
    site_path: str,
    *,
    flow: str,
    scope: str,
    campaign: str | None,
    clusters: Callable[[Site], tuple[str, ...]],
) -> Iterator[tuple[House, PrefectSlots]]:
    """Everything that a run of ``flow`` on ``scope`` shares, and what dead runs before it have left.

    Raises BadInput for the site file, SecretMissing, LedgerUnavailable, NoSlot, AlreadyAtWork, LoginRefused.
    """
    path = Path(site_path).resolve()
    site = site_file.load(path)
    refuse_confirm(site)
    vault = Vault(read_secret)
    strike_with(vault.strike)
    with struck_logs(vault.strike), Ledger.open(ledger_url(site, path.parent)) as ledger:
        me = processes.me()
        number = ledger.campaign(site.name, site.source, site.target, campaign)
        executor = ledger.register(number, site.name, flow, scope, me.host, me.pid, me.born)
        run = flow_run_id()
        if run is not None:
            ledger.add_flow_run(executor.id, run, None)
        how = "error"
        try:
            with PrefectSlots(site.name, ledger, executor.id, poll=min(1.0, site.pace.every)) as slots:
                succeed(ledger, slots, executor, clusters(site))
                with open_house(
                    site,
                    path,
                    vault=vault,
                    ledger=ledger,
                    campaign=number,
                    executor=executor.id,
                    slots=slots,
                    make_console=open_console,
                    make_operator=open_operator,
                ) as house:
                    house.notices.tell(f"{site.name}: {flow} {scope} begins", f"campaign {number}")
                    try:
                        reconsider(house, house.eye.now(), {*clusters(site), scope})
                        with at_home(house):
                            yield house, slots
                        how = "done"
                    except Held:
                        how = "held"
                        raise
                    except MopflowError as error:
                        house.notices.tell(f"{site.name}: {flow} {scope} failed", str(error))
                        raise
                    house.notices.tell(
                        f"{site.name}: {flow} {scope} is done", f"campaign {number}, {house.acts} acts"
                    )
        finally:
            ledger.end_executor(executor.id, how)
