"""Open a site for one run: site file, ledger, places, succession, console. What every flow begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.context import FlowRunContext

from blocks import read_secret
from mopflow import processes, site_file
from mopflow.console.opening import open_console, open_operator
from mopflow.errors import Held, MopflowError
from mopflow.holds import reconsider
from mopflow.house import House, ledger_url, open_house
from mopflow.ledger import Ledger
from mopflow.scopes import clusters_of
from mopflow.secrets import Vault
from mopflow.site import Site
from tasks.asking import PrefectAsker
from tasks.context import at_hand, at_home, strike_with
from tasks.hooks import spoken_for
from tasks.logs import struck_logs
from tasks.showing import shown
from tasks.slots import PrefectSlots
from tasks.succession import succeed
from tasks.telling import Phase, run_link


def flow_run_id() -> str | None:
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else None


PREPARATION = "preparation"  # the scope of every run that prepares


@contextmanager
def open_preparation(site_path: str, flow: str, campaign: str | None) -> Iterator[House]:
    """The house of the preparation: that of the run which this flow is a part of, else one of its own.

    Raises what `open_run` raises.
    """
    house = at_hand(House)
    if house is not None:
        yield house
        return
    with open_run(
        site_path,
        flow=flow,
        scope=PREPARATION,
        campaign=campaign,
        clusters=lambda _site: (),
        holds_of=lambda site: {None, *(server.name for server in site.servers), *site.further_hosts},
    ) as (own, _):
        yield own


@contextmanager
def open_run(
    site_path: str,
    *,
    flow: str,
    scope: str,
    campaign: str | None,
    clusters: Callable[[Site], tuple[str, ...]],
    holds_of: Callable[[Site], set[str | None]] | None = None,
) -> Iterator[tuple[House, PrefectSlots]]:
    """Everything that a run of ``flow`` on ``scope`` shares, and what dead runs before it have left.

    ``holds_of``: whose holds this run looks at anew; default its clusters and its scope.

    Raises BadInput for the site file, SecretMissing, LedgerUnavailable, NoSlot, AlreadyAtWork, LoginRefused.
    """
    path = Path(site_path).resolve()
    site = site_file.load(path)
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
                succeed(ledger, slots, executor, clusters(site), lambda scope: clusters_of(site, scope))
                with (
                    open_house(
                        site,
                        path,
                        vault=vault,
                        ledger=ledger,
                        campaign=number,
                        executor=executor.id,
                        slots=slots,
                        make_console=open_console,
                        make_operator=open_operator,
                        link=run_link,
                    ) as house,
                    shown(house, scope, run),
                ):
                    if site.waits_for_people:
                        house.asker = PrefectAsker(
                            ledger,
                            every=min(2.0, max(0.5, site.pace.every)),
                            allowed=site.holds.answered_by,
                        )
                    phase = Phase(house, flow, scope)
                    phase.begins()
                    try:
                        mine = holds_of(site) if holds_of is not None else {*clusters(site), scope}
                        reconsider(house, house.eye.soon(), mine)
                        with at_home(house):
                            yield house, slots
                        how = "done"
                    except Held as held:
                        how = "held"
                        phase.is_held(held)
                        spoken_for(run)
                        raise
                    except MopflowError as error:
                        phase.has_failed(error)
                        spoken_for(run)
                        raise
                    phase.is_done()
        finally:
            ledger.end_executor(executor.id, how)
