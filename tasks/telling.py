"""What people are told of a run: that its campaign and phase begin and end, and what became of each cluster."""

from __future__ import annotations

from prefect.context import FlowRunContext
from prefect.utilities.urls import url_for

from mopflow.errors import Held, MopflowError
from mopflow.house import House
from mopflow.messages import Kind
from mopflow.phases import next_phase, phase_name
from mopflow.scopes import ALL
from mopflow.site import Site
from mopflow.system import Stage
from tasks.fanout import Ending, How

AFTERWARDS = ("post-check", "back-out")  # flows that nothing of the upgrade follows
AGAIN = "start the same command again when its cause is mended: it goes on at the right step."


def run_link() -> str:
    """Where people see the flow run that this is called in; "" outside of one. Never raises."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return ""
    return url_for("flow-run", obj_id=context.flow_run.id) or ""


class Phase:
    """One run of a flow on a scope, as people are told of it."""

    def __init__(self, house: House, flow: str, scope: str) -> None:
        self._house = house
        self._flow = flow
        self._scope = scope
        self._name = phase_name(flow, scope)

    def begins(self) -> None:
        """The first phase of a campaign begins the campaign."""
        house = self._house
        house.notices.tell(
            Kind.CAMPAIGN_BEGINS,
            house.campaign,
            f"{_size(house.site)} from {house.site.source_release.short} to {house.site.target_release.short}.",
            "nothing now. Holds are told to those on duty.",
        )
        house.notices.tell(Kind.PHASE_BEGINS, self._name, f"{self._name} is at work.")

    def is_done(self) -> None:
        house = self._house
        house.notices.tell(
            Kind.PHASE_ENDS,
            f"{self._name} is done",
            f"Every goal of {self._name} holds on the live system; {house.acts} acts were sent to it.",
            self._next(),
        )
        if self._flow == "post-check":
            _all_done(house)
        if self._flow == "back-out" and self._scope == ALL:
            _backed_out(house)

    def is_held(self, held: Held) -> None:
        self._house.notices.tell(
            Kind.PHASE_ENDS,
            f"{self._name} ended with a hold",
            f"It ended safely and a person has to look: {held.where}: {held.reason}",
            held.remedy,
        )

    def has_failed(self, error: MopflowError) -> None:
        self._house.notices.tell(Kind.FAILURE, self._name, str(error), AGAIN)

    def _next(self) -> str:
        house = self._house
        path, latest = str(house.site_path), house.eye.latest
        try:
            if self._flow in AFTERWARDS:
                return ""
            if not self._flow.startswith("upgrade") and house.readiness().missing():
                return house.readiness().next_thing(path)
        except MopflowError as error:  # the work is done, whatever comes of the sentence
            return f"what comes next cannot be seen now ({error}): mopflow status {path}"
        return next_phase(house.site, path, latest.states if latest is not None else {})


def cluster_ended(house: House, ending: Ending) -> None:
    """A cluster is done, or failed. One that is held was told as the hold itself."""
    if ending.how is How.FAILED:
        house.notices.tell(Kind.FAILURE, ending.cluster, ending.text, AGAIN)
    if ending.how is not How.DONE:
        return
    latest = house.eye.latest
    state = latest.states.get(ending.cluster) if latest is not None else None
    if state is not None and state.stage is Stage.DONE:
        about = f"{ending.cluster} runs {house.site.target_release.short}"
    elif state is not None and state.stage is Stage.FRESH:
        about = f"{ending.cluster} is back on {house.site.source_release.short}"
    else:
        about = f"{ending.cluster} is done"
    house.notices.tell(Kind.CLUSTER_DONE, about, state.why if state is not None else "")


def _all_done(house: House) -> None:
    """The whole system runs the target release, and the post-upgrade check found it in order."""
    site = house.site
    house.notices.tell(
        Kind.ALL_DONE,
        f"upgraded to {site.target_release.short}",
        f"{_size(site)}: everything runs {site.target_release.short}, and the post-upgrade check (chapter 11) found "
        "every goal met.",
        "nothing: the work is over. Backout stays possible; nothing was accepted.",
    )


def _backed_out(house: House) -> None:
    """The whole system is back: the campaign is over."""
    site = house.site
    house.notices.tell(
        Kind.CAMPAIGN_ENDS,
        f"{house.campaign} (backed out)",
        f"{_size(site)}: everything is back on {site.source_release.short}.",
        "find out with Oracle why it had to be backed out, before the next window.",
    )


def _size(site: Site) -> str:
    clusters = len(site.traffic_clusters)
    return (
        f"{len(site.cmp_clusters)} CMP and {clusters} MPE and MRA clusters in {len(site.segments)} segments"
    )
