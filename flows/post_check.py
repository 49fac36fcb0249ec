"""Check the system after its upgrade (chapter 11): is it as healthy as it was before?"""

from __future__ import annotations

from prefect import flow

from mopflow.procedures.table import PROCEDURES
from tasks.checks import each_row
from tasks.endings import Summary, ended
from tasks.hooks import SPEAKS
from tasks.opening import open_run
from tasks.pages import show_post_check
from tasks.states import ends_as_state
from tasks.steps import require_upgraded


@flow(name="post-check", flow_run_name="post-upgrade health check", log_prints=False, **SPEAKS)
@ends_as_state
def post_check(site: str, campaign: str | None = None) -> Summary:
    """Look at the whole system once it runs the target release; it changes nothing and may be run again."""
    with open_run(
        site,
        flow="post-check",
        scope="post-check",
        campaign=campaign,
        clusters=lambda _site: (),
        holds_of=lambda _site: {None},
    ) as (house, _):
        table = PROCEDURES["11"]
        require_upgraded(house, table.step(1))
        endings = each_row(house, table)
        show_post_check(house, table, endings)
        return ended(house, endings)
