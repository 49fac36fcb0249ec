"""Confirmation dialogs: the server works out what will be done when one opens, OK does exactly that.

A client says which button was pressed and what was ticked; only Optional Actions names an act (one of the entries
that the server offers). It gets a token and the text of the dialog, and sends back the token.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lab import releases
from lab.state import Act, Announced, Fate, Kind, Session
from lab.world import OperationFailed, Refused, World

_KEPT = 500  # dialogs remembered per VIP; an older one has long been closed
_ANSWERED = "this dialog has been answered already"


class Button(StrEnum):
    """What a person can press."""

    UPGRADE = "upgrade"
    ROLLBACK = "rollback"
    OPTIONAL = "optional"
    SELECT_ISO = "select_iso"
    UPLOAD_ISO = "upload_iso"
    DELETE_ISO = "delete_iso"
    PUSH_SCRIPTS = "push_scripts"
    FORCE_STANDBY = "force_standby"
    CANCEL_FORCE_STANDBY = "cancel_force_standby"
    SWITCH_FORCE_STANDBY = "switch_force_standby"
    START_UPGRADE = "start_upgrade"
    BACKOUT = "backout"
    REAPPLY = "reapply"
    RESET_COUNTERS = "reset_counters"


class _Posted(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Wish(_Posted):
    """Body of POST /mi/act/prepare: a button and what was ticked."""

    button: Button
    cluster: str | None = None
    servers: tuple[str, ...] = ()
    path: str | None = None
    choice: str | None = None


class Answer(_Posted):
    """Body of POST /mi/act/perform: OK was pressed."""

    token: str
    form: dict[str, str] = Field(default_factory=dict, repr=False)


class Question(_Posted):
    """Body of POST /mi/act/progress."""

    token: str


@dataclass(frozen=True, slots=True)
class Input:
    """A field of a dialog."""

    name: str
    label: str
    type: str = "text"
    options: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "label": self.label, "type": self.type, "options": self.options}


@dataclass(slots=True, eq=False)
class Offer:
    """A dialog that is open; `run` does what its text says, with the values of its fields."""

    session: str
    title: str
    text: str
    run: Callable[[Mapping[str, str]], None]
    cluster: str | None
    ok: str = "OK"
    inputs: tuple[Input, ...] = ()
    bar: bool | None = None  # something to wait for: with a progress bar (True) or silently (False)
    answered: bool = False
    silenced: bool = False  # its answer never came, and never will


class Lost(Exception):
    """The client gets no answer at all."""


class LoggedOut(Exception):
    """The session has died; the answer leads to the login form."""


_UPLOAD = (
    Input("mode", "Mode", options=("SCP",)),
    Input("host", "ISO Server Hostname/IP"),
    Input("user", "User"),
    Input("password", "Password", "password"),
    Input("path", "Source ISO file full path"),
)

# what only the GUI with an Upgrade Manager has, and what only that of 10.5 and 11.5 has
_OF_DIRECTOR = {Button.UPGRADE, Button.ROLLBACK, Button.OPTIONAL, Button.SELECT_ISO}
_BY_SERVER = {Button.START_UPGRADE, Button.BACKOUT}

# acts of which the flight record may say that they concern no single cluster
_WITHOUT_CLUSTER = {
    Button.UPLOAD_ISO: Act.UPLOAD_ISO,
    Button.DELETE_ISO: Act.DELETE_ISO,
    Button.PUSH_SCRIPTS: Act.PUSH_SCRIPTS,
}


class Desk:
    """The open dialogs of one VIP."""

    def __init__(self, world: World, cmp_cluster: str) -> None:
        self._world = world
        self._cmp_cluster = cmp_cluster
        self._offers: OrderedDict[str, Offer] = OrderedDict()

    # --- the three requests
    def prepare(self, session: Session, wish: Wish) -> dict[str, Any]:
        """Opens a dialog. Answers {token, title, text, ok, fields} or {error}."""
        try:
            offer = self._offer(session, wish)
        except Refused as refused:
            return {"error": str(refused)}
        token = secrets.token_urlsafe(18)
        self._offers[token] = offer
        while len(self._offers) > _KEPT:
            self._offers.popitem(last=False)
        return {
            "token": token,
            "title": offer.title,
            "text": offer.text,
            "ok": offer.ok,
            "fields": [field.as_json() for field in offer.inputs],
        }

    def perform(self, session: Session, answer: Answer) -> dict[str, Any]:
        """OK. Answers {message}, {watch, bar} or {error}.

        Raises Lost or LoggedOut when a fault takes the answer or the session; the act is done then.
        """
        offer = self._find(session, answer.token)
        if offer is None:
            return {"error": "this dialog is not open any more"}
        if offer.silenced:
            raise Lost  # a browser repeats a request whose kept connection broke
        if offer.answered:
            return {"error": _ANSWERED}
        offer.answered = True
        try:
            offer.run(answer.form)
        except (Refused, OperationFailed) as error:
            return {"error": str(error)}
        fate = self._world.answer_fate(offer.cluster, session.token)
        if fate is Fate.ANSWER_LOST:
            offer.silenced = True
            raise Lost
        if fate is Fate.SESSION_LOST:
            raise LoggedOut
        if offer.bar is not None:
            return {"watch": True, "bar": offer.bar}
        return {"message": "Operation successful."}

    def progress(self, session: Session, question: Question) -> dict[str, Any]:
        """How far the re-apply of that dialog is: {percent, done, message}."""
        offer = self._find(session, question.token)
        if offer is None or offer.cluster is None or not offer.answered:
            return {"percent": 0, "done": True, "error": "nothing is running"}
        percent = self._world.reapply_progress(offer.cluster)
        if percent is None:
            return {"percent": 100, "done": True, "message": "Operation successful."}
        return {"percent": percent, "done": False}

    def _find(self, session: Session, token: str) -> Offer | None:
        offer = self._offers.get(token)
        return offer if offer is not None and offer.session == session.token else None

    # --- what the dialogs say
    def _offer(self, session: Session, wish: Wish) -> Offer:
        director = releases.has_director(self._world.release_of_gui(self._cmp_cluster))
        if wish.button in (_BY_SERVER if director else _OF_DIRECTOR):
            raise Refused("there is no such operation.")
        match wish.button:
            case Button.UPGRADE | Button.ROLLBACK | Button.OPTIONAL:
                return self._directed(session, wish)
            case Button.SELECT_ISO:
                return self._select_iso(session, wish)
            case Button.REAPPLY | Button.RESET_COUNTERS:
                return self._of_cluster(session, wish)
            case _:
                return self._of_servers(session, wish)

    def _directed(self, session: Session, wish: Wish) -> Offer:
        """What the Upgrade Director would do now, worked out afresh (3.1, 3.1.2)."""
        world, cluster = self._world, self._cluster(wish)
        announced: Announced | None
        if wish.button is Button.UPGRADE:
            title, announced = world.upgrade_label(cluster), world.next_upgrade(cluster)
        elif wish.button is Button.ROLLBACK:
            title, announced = world.rollback_label(cluster), world.next_rollback(cluster)
        else:
            title = "Optional Actions"
            announced = next((one for one in world.optional(cluster) if one.hover == wish.choice), None)
        if announced is None:
            raise Refused(f"there is no appropriate action for {cluster} at this time.")
        world.before_dialog(announced, session.user)
        chosen = announced

        def run(_: Mapping[str, str]) -> None:
            world.perform(chosen, session.user)

        return Offer(session.token, title, chosen.dialog, run, cluster)

    def _select_iso(self, session: Session, wish: Wish) -> Offer:
        world, path = self._world, wish.path
        if path is None or path not in {kit.path for kit in world.kits()}:
            raise Refused("the ISO file is not there any more.")

        def run(_: Mapping[str, str]) -> None:
            world.select_iso(path, session.user)

        text = f"Select ISO {path}? The current upgrade procedure is abandoned."
        return Offer(session.token, "Select ISO", text, run, world.primary.name)

    def _of_cluster(self, session: Session, wish: Wish) -> Offer:
        world, cluster = self._world, self._cluster(wish)
        kind = world.clusters[cluster].kind
        if kind is Kind.CMP:
            raise Refused(f"{cluster} is not an MPE or MRA cluster.")
        if wish.button is Button.REAPPLY:

            def reapply(_: Mapping[str, str]) -> None:
                world.reapply(cluster, session.user)

            text = f"Reapply the configuration of {cluster}?"
            # 10.2 step 5: a progress bar appears for the MPE and not for the MRA
            return Offer(
                session.token, "Reapply Configuration", text, reapply, cluster, bar=kind is not Kind.MRA
            )

        def reset(_: Mapping[str, str]) -> None:
            world.reset_counters(cluster, session.user)

        return Offer(session.token, "Reset Counters", f"Reset the counters of {cluster}?", reset, cluster)

    def _of_servers(self, session: Session, wish: Wish) -> Offer:
        """The Operations of ISO Maintenance and System Maintenance."""
        world, by = self._world, session.user
        servers = tuple(dict.fromkeys(wish.servers))
        if not servers:
            if wish.button in _WITHOUT_CLUSTER:
                raise world.refuse("no server is selected.", _WITHOUT_CLUSTER[wish.button], None, None, by)
            raise Refused("no server is selected.")
        unknown = [name for name in servers if name not in world.servers]
        if unknown:
            raise Refused(f"there is no server {', '.join(unknown)}.")
        names = ", ".join(servers)
        clusters = list(dict.fromkeys(world.servers[name].cluster for name in servers))
        where = clusters[0] if len(clusters) == 1 else None

        def each(
            verb: Callable[[str, str], None], targets: list[str] | tuple[str, ...]
        ) -> Callable[..., None]:
            def run(_: Mapping[str, str]) -> None:
                for target in targets:
                    verb(target, by)

            return run

        def upload(form: Mapping[str, str]) -> None:
            missing = [field.label for field in _UPLOAD if not form.get(field.name, "").strip()]
            if missing:
                raise Refused(f"fill in: {', '.join(missing)}.")
            world.upload_iso(
                servers, form["host"].strip(), form["user"], form["password"], form["path"].strip(), by
            )

        match wish.button:
            case Button.UPLOAD_ISO:
                title, text, run = "Upload ISO", f"Upload an ISO file to {names}.", upload
                return Offer(session.token, title, text, run, where, ok="Add", inputs=_UPLOAD)
            case Button.DELETE_ISO:
                title, text = "Delete ISO", f"Delete the ISO files of {names}?"
                return Offer(session.token, title, text, lambda _: world.delete_iso(servers, by), where)
            case Button.PUSH_SCRIPTS:
                title, text = "Push Script", f"Push the scripts to {names}?"
                return Offer(session.token, title, text, lambda _: world.push_scripts(servers, by), where)
            case Button.FORCE_STANDBY:
                title, text = "Force Standby", f"Force {names} into standby?"
                return Offer(session.token, title, text, each(world.force_standby, servers), where)
            case Button.CANCEL_FORCE_STANDBY:
                title, text = "Cancel Force Standby", f"Cancel the forced standby of {names}?"
                return Offer(session.token, title, text, each(world.cancel_force_standby, servers), where)
            case Button.START_UPGRADE:
                title, text = "Start Upgrade", f"Start the upgrade of {names}?"
                return Offer(session.token, title, text, lambda _: world.start_upgrade(servers, by), where)
            case Button.BACKOUT:
                title, text = "Backout", f"Back out {names} to the previous release?"
                return Offer(session.token, title, text, lambda _: world.back_out(servers, by), where)
            case _:
                title, text = "Switch ForceStandby", f"Switch the forced standby of {', '.join(clusters)}?"
                return Offer(session.token, title, text, each(world.switch_force_standby, clusters), where)

    def _cluster(self, wish: Wish) -> str:
        if wish.cluster is None or wish.cluster not in self._world.clusters:
            raise Refused("no cluster is selected.")
        return wish.cluster
