"""Before a backout begins: is it legal as the system is, and has a person said what only a person can know (12.2)?"""

from __future__ import annotations

import shlex

from mopflow import released
from mopflow.backout_plan import Need, plan, procedure_of
from mopflow.confirmations import BACK_OUT, backout_items, backout_word, sentence_of
from mopflow.here import Here
from mopflow.holds import hold
from mopflow.house import House
from mopflow.ledger import Event, Ledger
from mopflow.questions import CONFIRM, ITEM
from mopflow.scopes import clusters_of, step_scope
from mopflow.site import Site
from mopflow.step import Refusal


def require_backout(house: House, scope: str) -> str:
    """What will be done, as a sentence. Raises Held for what the document refuses and for what nobody has confirmed."""
    reading = house.eye.now()
    found = plan(house.site, scope, reading.states, accepted_trouble(house.ledger, house.site))
    first = house.site.cluster(found.clusters[0].cluster)
    step = procedure_of(house.site, first).step(1)
    here = Here(house, step, step_scope(house.site, scope), reading)
    final = [refusal for refusal in found.refusals if not refusal.passing]
    if final:
        hold(here, Refusal(final[0].rule, "; ".join(refusal.reason for refusal in final)))
    if found.nothing:
        return f"nothing is to be backed out in {scope}"
    words = _confirmed(here, scope)
    said = (
        f"{len([c for c in found.clusters if c.need is not Need.NOTHING])} clusters, {found.failovers} failovers, "
        f"about {found.minutes:g} minutes; {words}"
    )
    here.record(Event.NOTE, said, data={"scope": scope, "clusters": list(clusters_of(house.site, scope))})
    return said


def accepted_trouble(ledger: Ledger, site: Site) -> dict[str, frozenset[tuple[str, str]]]:
    """What a person has released on each cluster (12.3.2)."""
    return {c.name: released.accepted(ledger, site.name, c.name) for c in site.clusters}


def _confirmed(here: Here, scope: str) -> str:
    site, ledger = here.site, here.house.ledger
    names = clusters_of(site, scope)
    missing: list[str] = []
    words = []
    for item in backout_items(ledger, site, scope):
        word = backout_word(ledger, site, item, names)
        if word is None:
            if not missing:  # one after the other: each is a word of its own
                here.memo[ITEM] = (item, scope if item.startswith(f"{BACK_OUT}:") else None)
            missing.append(f"{sentence_of(site, item)} Type: {command(here.house.site_path, item)}")
        else:
            words.append(f"{item} by {word.by}" + (f": {word.text}" if word.text else ""))
    if missing:
        hold(here, Refusal(CONFIRM, "nobody has confirmed: " + " ".join(missing)))
    return "confirmed: " + "; ".join(words)


def command(site_path: object, item: str) -> str:
    """What a person types."""
    text = " --text 'NAME AND TICKET, OR WHY NOT'" if item == "oracle_consulted" else ""
    return f"mopflow confirm {shlex.quote(str(site_path))} {shlex.quote(item)} --by NAME{text}"
