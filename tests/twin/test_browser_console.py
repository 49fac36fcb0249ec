"""The browser driver in a real Chromium, against a console of our own that is not kind: two styles, real TLS."""

from __future__ import annotations

import datetime as dt
import html
import http.server
import ipaddress
import json
import logging
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from mopflow.console.browser import BrowserConsole
from mopflow.console.protocol import Act, Gui, Intended, IsoImage, Operation, Page
from mopflow.errors import (
    ActRefused,
    BadInput,
    IdentityChanged,
    LoginRefused,
    MayHaveRun,
    NotAnnounced,
    Unreachable,
    UnreadableReply,
)
from mopflow.secrets import forms
from mopflow.system import Role

pytestmark = pytest.mark.browser

WORD = 'gui "<&>" w+rd/7'
SCP_WORD = "scp w+rd=8"
PNG = b"\x89PNG\r\n\x1a\n"
APP = (Path(__file__).parent / "console_pages" / "app.html").read_text(encoding="utf-8")
KIT = "/var/camiant/iso/cmp-12.1.2.0.0_22.1.0-x86_64.iso"
START = Intended(Act.INITIATE_UPGRADE, "mpe-1", "mpe-1b")
LOGIN = """<!DOCTYPE html><h1>Oracle Communications Policy Management</h1>{why}<form method=post action=/login>
<label>Username <input name=user></label><label>Password <input name=password type=password {how}></label>
<button>Login</button></form>"""


def server_row(name: str, role: str, kind: str = "MPE", **more: str) -> dict[str, str]:
    return {
        "Name": name, "Server Role": role, "Running Release": "12.1.1.0.0_14.1.0", "Prev Release": "TPD 7.0",
        "Up to Date": "N", "Alarm Severity": "", "Upgrade Operation": "n/a", "Colour": "white", "kind": kind,
        "ip": "10.0.0.1", "iso": "", **more,
    }  # fmt: skip


@dataclass
class Desk:
    """What the console shows and does, and what it was asked to do."""

    style: str
    state: dict[str, Any] = field(
        default_factory=lambda: {
            "iso": "Install Kit",
            "release": "12.1.1.0.0_14.1.0",
            "operations": {"maintenance": ["Push Script"]},
            "trending": [{"Name": "mpe-1", "Start Time": "t", "Messages In": "604"}],
            "repstats": [{"Name": "mpe-1b", "Peer": "mpe-1a", "Status": "OK", "Delay": "0.1 s"}],
            "clusters": {
                "mpe-1": [server_row("mpe-1a", "Active"), server_row("mpe-1b", "Standby", broken="yes")],
                "mpe-11": [server_row("mpe-11a", "Active"), server_row("mpe-11b", "Standby")],
                "mra-1": [
                    server_row("mra-1a", "Active", "MRA", iso="a.iso\nb.iso[43%]"),
                    server_row("mra-1b", "Standby", "MRA"),
                ],
            },
            "hover": {"mpe-1": {"upgrade": "Initiate upgrade mpe-1b (next)"}},
            "alarms": [
                {"Source": "mpe-1b@10.0.0.2", "Text": "x", "Alarm ID": "70503", "Severity": "Minor", "Occurrence": "t"}
            ],
            "counters": {"Current TPS": "604", "Messages In": "12"},
            "kits": [
                {"Label": "standard", "Release": "12.1.2", "File Path": f"{KIT}.old", "Description": "old"},
                {"Label": "standard", "Release": "12.1.2", "File Path": KIT, "Description": "new"},
            ],
        }
    )  # fmt: skip
    dialog: str = ""  # instead of the right one
    fate: str = ""  # of the next act: fail, strange, drop, logout, hang
    before: str = ""  # logout: the session ends when the next dialog is asked for
    login_page: str = ""  # attributes of the password field
    broken_page: str = ""  # instead of the application
    sessions: set[str] = field(default_factory=set)
    logins: list[bool] = field(default_factory=list)
    prepared: list[dict[str, Any]] = field(default_factory=list)
    acts: list[dict[str, Any]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def text_of(self, wish: dict[str, Any]) -> str:
        if self.dialog:
            return self.dialog
        target, servers = wish.get("target"), ", ".join(wish.get("servers", []))
        clusters = ", ".join(wish.get("clusters", []))
        return {
            "upgrade": f"{self.state['hover'].get(target, {}).get('upgrade')} Continue?",
            "rollback": f"{self.state['hover'].get(target, {}).get('rollback')} Continue?",
            "select": f"Select ISO {target}? The current upgrade procedure is abandoned.",
            "delete": f"Delete the ISO files of {servers}?",
            "upload": f"Upload an ISO file to {servers}.",
            "reapply": f"Reapply the configuration of {target}?",
            "reset": f"Reset the counters of {target}?",
            "Push Script": f"Push the scripts to {servers}?",
            "Force Standby": f"Force {servers} into standby?",
            "Cancel Force Standby": f"Cancel the forced standby of {servers}?",
            "Switch ForceStandby": f"Switch the forced standby of {clusters}?",
            "Start Upgrade": f"Start the upgrade of {servers}?",
            "Backout": f"Back out {servers} to the previous release?",
        }[wish["act"]]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    desk: Desk

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        self.desk.pages.append(self.path)
        if self.path == "/data":
            self.reply(json.dumps(self.desk.state) if self.known() else "{}", 200 if self.known() else 401)
        elif not self.known():
            self.reply(LOGIN.format(why="", how=self.desk.login_page))
        else:
            gui = "new" if self.desk.state["release"].startswith("12.") else "old"
            app = APP.replace("@STYLE@", self.desk.style).replace("@GUI@", gui)
            self.reply(self.desk.broken_page or app)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        desk = self.desk
        if self.path == "/login":
            given = parse_qs(body)
            good = given.get("user") == ["admin"] and given.get("password") == [WORD]
            desk.logins.append(good)
            if good:
                sid = f"s{len(desk.logins)}"
                desk.sessions.add(sid)
                self.reply("", 303, Location="/", **{"Set-Cookie": f"sid={sid}; Path=/; Secure; HttpOnly"})
            else:
                said = f"<p role=alert>Login failed: {html.escape(given.get('password', [''])[0])} is not correct.</p>"
                self.reply(LOGIN.format(why=said, how=""), 401)
            return
        wish = json.loads(body)
        if self.path == "/prepare":
            if desk.before:
                desk.before = ""
                desk.sessions.clear()
            if not self.known():
                self.reply("{}", 401)
                return
            desk.prepared.append(wish)
            self.reply(json.dumps({"title": "Please confirm", "text": desk.text_of(wish)}))
            return
        desk.acts.append(wish)
        fate, desk.fate = desk.fate, ""
        if fate == "drop":
            self.close_connection = True
        elif fate == "logout":
            desk.sessions.clear()
            self.reply("{}", 401)
        elif fate == "hang":
            desk.release.wait(60)
            self.close_connection = True
        else:
            said = {
                "fail": {"role": "alert", "text": "Operation failed: no."},
                "strange": {"role": "alert", "text": "Something odd happened."},
            }.get(fate, {"role": "status", "text": "Operation successful."})
            self.reply(json.dumps(said))

    def known(self) -> bool:
        return any(f"sid={sid}" in self.headers.get("Cookie", "").split("; ") for sid in self.desk.sessions)

    def reply(self, text: str, status: int = 200, **headers: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body)),
                            "Cache-Control": "no-store", **headers}.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Authority:
    """A CA and its server certificates."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name, self.key, ca=True)
        self.pem = folder / f"{name}.pem"
        self.pem.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if ca else self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([host]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name: str, *more: bytes) -> tuple[Path, bytes]:
        """(file with key and chain, certificate); `more` is put behind the certificate in the chain."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key, ca=False).public_bytes(serialization.Encoding.PEM)
        file = self.folder / f"{name}.key.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(secret + certificate + b"".join(more))
        return file, certificate


@dataclass
class Stand:
    """A console that listens."""

    desk: Desk
    authority: Authority
    url: str
    context: ssl.SSLContext
    folder: Path

    def console(self, **changes: Any) -> BrowserConsole:
        given: dict[str, Any] = {
            "ca": self.authority.pem, "chromium": None, "refresh": 0.0, "deadline": 10.0, "login_budget": 5, **changes,
        }  # fmt: skip
        word = given.pop("word", WORD)
        return BrowserConsole(given.pop("url", self.url), "admin", SecretStr(word), **given)


@contextmanager
def standing(folder: Path, style: str = "table") -> Iterator[Stand]:
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder, "ca")
    desk = Desk(style)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("gui-1")[0])
    handler = type("Here", (Handler,), {"desk": desk})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # hang-ups are part of the tests
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Stand(desk, authority, f"https://127.0.0.1:{server.server_port}/", context, folder)
    finally:
        desk.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def opened(console: BrowserConsole) -> Iterator[BrowserConsole]:
    try:
        yield console
    finally:
        console.close()


@pytest.fixture(scope="module", params=["table", pytest.param("grid", marks=pytest.mark.soak)])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stand, BrowserConsole]]:
    """One browser for all tests of a style that leave it in order."""
    with standing(tmp_path_factory.mktemp("stand"), request.param) as stand:
        with opened(stand.console(login_budget=200)) as console:
            yield stand, console


@pytest.fixture
def here(shared: tuple[Stand, BrowserConsole]) -> Iterator[tuple[Desk, BrowserConsole]]:
    stand, console = shared
    desk, fresh = stand.desk, Desk(stand.desk.style)
    desk.state, desk.dialog, desk.fate, desk.before = fresh.state, "", "", ""
    for noted in (desk.logins, desk.prepared, desk.acts, desk.pages):
        noted.clear()
    yield desk, console
    new = Desk(desk.style).state
    if desk.state["release"] != new["release"]:  # the next test begins with the GUI of 12.x
        desk.state = new
        desk.sessions.clear()
        console.about()


class Album:
    """Where pictures go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels: list[str] = []

    def next(self, label: str) -> Path:
        self.labels.append(label)
        return self.folder / f"{len(self.labels):02d}-{label}.png"


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


Here = tuple[Desk, BrowserConsole]


class TestReadings:
    def test_every_reading_and_one_login_for_all(self, here: Here) -> None:
        desk, console = here
        page = console.overview()
        assert [(s.name, s.cluster, s.role) for s in page.servers[:2]] == [
            ("mpe-1a", "mpe-1", Role.ACTIVE), ("mpe-1b", "mpe-1", Role.STANDBY),
        ]  # fmt: skip
        assert [s.sync_broken for s in page.servers] == [False, True, False, False, False, False]
        assert page.current_iso == "Install Kit"
        assert [alarm.key for alarm in console.active_alarms()] == [(70503, "mpe-1b")]
        rows = {row.server: row.images for row in console.iso_maintenance()}
        assert rows["mra-1a"] == (IsoImage("a.iso", None), IsoImage("b.iso", 43))
        assert rows["mra-1b"] == ()
        for cluster in ("mpe-11", "mra-1", "mpe-1"):
            shown = console.cluster_page(cluster)
            assert (shown.cluster, shown.status, shown.counters["Current TPS"]) == (cluster, "OK", 604.0)
        assert [kit.path for kit in console.kits()] == [f"{KIT}.old", KIT]
        console.log_in()
        assert len(desk.logins) <= 1 and all(desk.logins)

    def test_a_reading_is_fresh(self, here: Here) -> None:
        desk, console = here
        console.overview()
        desk.state["clusters"]["mpe-1"][0]["Server Role"] = "OOS"
        assert console.overview().servers[0].role is Role.OOS
        desk.state["alarms"] = []
        assert console.active_alarms() == ()

    def test_the_session_is_lost_between_readings(self, here: Here) -> None:
        desk, console = here
        console.overview()
        desk.sessions.clear()
        assert len(console.overview().servers) == 6
        assert desk.logins == [True]

    def test_a_page_that_is_not_whole_is_unreadable(self, here: Here) -> None:
        desk, console = here
        desk.state["alarms"] = [{**desk.state["alarms"][0], "Source": "somewhere"}]
        with pytest.raises(UnreadableReply, match="host@address"):
            console.active_alarms()
        with pytest.raises(UnreadableReply, match="mpe-2 is not listed"):
            console.cluster_page("mpe-2")
        desk.state["alarms"] = []
        assert console.active_alarms() == ()

    def test_pictures(self, here: Here, tmp_path: Path) -> None:
        _, console = here
        for page, cluster in ((Page.ACTIVE_ALARMS, None), (Page.CLUSTER_REPORTS, "mra-1")):
            file = console.screenshot(page, tmp_path / "deep" / f"{page}.png", cluster)
            assert file.read_bytes().startswith(PNG)
        with pytest.raises(BadInput, match="name of a cluster"):
            console.screenshot(Page.CLUSTER_SYSTEM, tmp_path / "x.png")

    def test_one_reading_serves_everyone_who_waits(self, here: Here) -> None:
        desk, console = here
        console.overview()
        desk.pages.clear()
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(len(console.overview().servers))) for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [6] * 12
        assert desk.pages.count("/data") < 12


class TestAdvance:
    def test_the_intended_act_is_done_once(self, here: Here, tmp_path: Path) -> None:
        desk, console = here
        album = Album(tmp_path)
        assert console.advance(START, shots=album) == "Operation successful."
        assert desk.prepared == [{"act": "upgrade", "target": "mpe-1"}]
        assert [(act["act"], act["target"]) for act in desk.acts] == [("upgrade", "mpe-1")]
        assert len(album.labels) == 3
        assert all(file.read_bytes().startswith(PNG) for file in tmp_path.iterdir())

    @pytest.mark.parametrize(
        "hover",
        [
            "Initiate upgrade mpe-1a (next)",
            "Initiate upgrade mpe-11b (next)",
            "Failover to new version mpe-1 (next)",
            "Initiate backout mpe-1b (back)",
            "Initiate upgrade (next)",
        ],
    )
    def test_another_announcement_is_not_even_clicked(self, here: Here, hover: str) -> None:
        desk, console = here
        desk.state["hover"] = {"mpe-1": {"upgrade": hover}}
        with pytest.raises(NotAnnounced) as error:
            console.advance(START)
        assert error.value.announced == hover
        assert desk.prepared == [] and desk.acts == []

    @pytest.mark.parametrize(
        "text",
        [
            "Initiate upgrade of server mpe-1a in cluster mpe-1. Continue?",
            "Initiate upgrade of server mpe-1b in cluster mpe-11. Continue?",
            "Failover to new version: cluster mpe-1. Continue?",
            "Continue?",
        ],
    )
    def test_another_dialog_is_cancelled(self, here: Here, text: str) -> None:
        desk, console = here
        desk.dialog = text
        with pytest.raises(NotAnnounced) as error:
            console.advance(START)
        assert text in error.value.announced
        assert len(desk.prepared) == 1 and desk.acts == []
        desk.dialog = ""
        assert console.advance(START) == "Operation successful."  # nothing of it was left open

    def test_a_disabled_button(self, here: Here) -> None:
        desk, console = here
        with pytest.raises(NotAnnounced, match="Start Rollback is disabled"):
            console.advance(Intended(Act.FAILOVER_TO_OLD, "mpe-1"))
        with pytest.raises(NotAnnounced, match="no check box for mpe-2"):
            console.advance(Intended(Act.FAILOVER_TO_OLD, "mpe-2"))
        assert desk.prepared == []

    def test_the_rollback_button(self, here: Here) -> None:
        desk, console = here
        desk.state["hover"] = {
            "mpe-11": {"upgrade": "x", "rollback": "Failover to old version mpe-11 (back)"}
        }
        assert console.advance(Intended(Act.FAILOVER_TO_OLD, "mpe-11")) == "Operation successful."
        assert [act["act"] for act in desk.acts] == ["rollback"]

    def test_the_console_refuses(self, here: Here) -> None:
        desk, console = here
        desk.fate = "fail"
        with pytest.raises(ActRefused, match=r"Operation failed: no\."):
            console.advance(START)

    @pytest.mark.parametrize("fate", ["drop", "logout", "strange"])
    def test_a_lost_answer_may_have_run_and_is_never_sent_again(self, here: Here, fate: str) -> None:
        desk, console = here
        console.overview()
        desk.fate = fate
        with pytest.raises(MayHaveRun):
            console.advance(START)
        assert len(desk.acts) == 1
        assert len(console.overview().servers) == 6
        assert len(desk.acts) == 1

    def test_the_session_is_lost_before_the_last_click(self, here: Here) -> None:
        desk, console = here
        console.overview()
        desk.before = "logout"
        assert console.advance(START) == "Operation successful."
        assert desk.logins == [True] and len(desk.acts) == 1


class TestOtherActs:
    def test_select_iso_takes_the_exact_path(self, here: Here) -> None:
        desk, console = here
        with pytest.raises(NotAnnounced):
            console.select_iso(KIT.removesuffix(".iso"))
        assert console.select_iso(KIT) == "Operation successful."
        assert [(act["act"], act["target"]) for act in desk.acts] == [("select", KIT)]

    def test_select_iso_with_another_confirmation(self, here: Here) -> None:
        desk, console = here
        desk.dialog = f"Select ISO {KIT}.old? The current upgrade procedure is abandoned."
        with pytest.raises(NotAnnounced):
            console.select_iso(KIT)
        assert desk.acts == []

    def test_delete_iso_ticks_exactly_these(self, here: Here) -> None:
        desk, console = here
        assert console.delete_iso(["mra-1a", "mpe-11b"]) == "Operation successful."
        assert [sorted(act["servers"]) for act in desk.acts] == [["mpe-11b", "mra-1a"]]
        desk.dialog = "Delete the ISO files of mra-1a, mpe-11b, mpe-1a?"
        with pytest.raises(NotAnnounced):
            console.delete_iso(["mra-1a", "mpe-11b"])
        with pytest.raises(NotAnnounced, match="not shown: mpe-2a"):
            console.delete_iso(["mpe-2a"])
        assert len(desk.acts) == 1

    def test_upload_iso(self, here: Here, tmp_path: Path) -> None:
        desk, console = here
        album = Album(tmp_path)
        said = console.upload_iso(
            ["mra-1b"], "10.0.0.7", "admusr", SCP_WORD, "/var/TKLC/upgrade/a.iso", shots=album
        )
        assert said == "Operation successful."
        assert desk.acts[0]["servers"] == ["mra-1b"]
        assert desk.acts[0]["form"] == {
            "Mode": "SCP", "ISO Server Hostname/IP": "10.0.0.7", "User": "admusr", "Password": SCP_WORD,
            "Source ISO file full path": "/var/TKLC/upgrade/a.iso",
        }  # fmt: skip
        assert album.labels == ["servers ticked", "result"]  # none while the form with the password is open

    def test_the_page_of_a_cluster_after_the_session_was_lost(self, here: Here) -> None:
        desk, console = here
        for _ in range(2):
            assert console.reapply_configuration("mpe-1") == "Operation successful."
            desk.sessions.clear()
        assert console.reset_counters("mpe-1") == "Operation successful."
        assert len(desk.acts) == 3

    def test_reapply_and_reset(self, here: Here) -> None:
        desk, console = here
        for cluster in ("mpe-1", "mra-1"):
            assert console.reapply_configuration(cluster) == "Operation successful."
        assert console.reset_counters("mpe-11") == "Operation successful."
        assert [(act["act"], act["target"]) for act in desk.acts] == [
            ("reapply", "mpe-1"), ("reapply", "mra-1"), ("reset", "mpe-11"),
        ]  # fmt: skip
        desk.dialog = "Reapply the configuration of mpe-11?"
        with pytest.raises(NotAnnounced):
            console.reapply_configuration("mpe-1")
        assert len(desk.acts) == 3


@pytest.fixture
def old(here: Here) -> Here:
    """The same console, on 10.5."""
    desk, console = here
    desk.state["release"] = "10.5.6_1.1.0"
    desk.state["operations"] = {
        "maintenance": [str(one) for one in Operation if one is not Operation.PUSH_SCRIPTS]
    }
    desk.sessions.clear()
    desk.logins.clear()
    return desk, console


class TestOldGui:
    def test_every_reading(self, old: Here, tmp_path: Path) -> None:
        desk, console = old
        desk.state["clusters"]["mpe-1"][1].update({"Server Role": "Force Standby", "Replication": "Off"})
        page = console.overview()
        assert (page.gui, page.current_iso) == (Gui.MAINTENANCE, "")
        assert [(s.name, s.role, s.sync_broken) for s in page.servers[:3]] == [
            ("mpe-1a", Role.ACTIVE, False), ("mpe-1b", Role.FORCED_STANDBY, True), ("mpe-11a", Role.ACTIVE, False),
        ]  # fmt: skip
        assert console.about().short == "10.5.6"
        assert [alarm.key for alarm in console.active_alarms()] == [(70503, "mpe-1b")]
        assert {row.server for row in console.iso_maintenance()} >= {"mra-1a", "mpe-11b"}
        assert [row.values["Messages In"] for row in console.trending()] == ["604"]
        assert [(row.server, row.peer, row.status) for row in console.rep_stats()] == [
            ("mpe-1b", "mpe-1a", "OK")
        ]
        assert console.cluster_page("mpe-1").status == "OK"
        for shown in (Page.OVERVIEW, Page.SYSTEM_MAINTENANCE, Page.TRENDING, Page.REP_STATS):
            assert console.screenshot(shown, tmp_path / f"{shown.name}.png").read_bytes().startswith(PNG)

    def test_there_is_no_upgrade_manager(self, old: Here, tmp_path: Path) -> None:
        desk, console = old
        for read in (
            console.kits,
            lambda: console.upgrade_log("mpe-1"),
            lambda: console.screenshot(Page.UPGRADE_MANAGER, tmp_path / "x.png"),
        ):
            with pytest.raises(UnreadableReply, match="has none"):
                read()
        for act in (lambda: console.advance(START), lambda: console.select_iso(KIT)):
            with pytest.raises(NotAnnounced, match="no Upgrade Manager"):
                act()
        assert desk.prepared == []

    def test_each_operation(self, old: Here, tmp_path: Path) -> None:
        desk, console = old
        for operation in (one for one in Operation if one is not Operation.PUSH_SCRIPTS):
            desk.acts.clear()
            whole = operation is Operation.SWITCH_FORCE_STANDBY
            album = Album(tmp_path / operation.name)
            said = console.operate(operation, ["mpe-1" if whole else "mpe-1b"], shots=album)
            assert said == "Operation successful."
            (act,) = desk.acts
            assert (act["act"], act["servers"], act["clusters"]) == (
                operation, [] if whole else ["mpe-1b"], ["mpe-1"] if whole else [],
            )  # fmt: skip
            assert album.labels == ["servers ticked", "dialog", "result"]
            assert all(file.read_bytes().startswith(PNG) for file in album.folder.iterdir())

    def test_what_was_ticked_before_is_unticked(self, old: Here) -> None:
        desk, console = old
        console.operate(Operation.SWITCH_FORCE_STANDBY, ["mpe-1"])
        console.operate(Operation.FORCE_STANDBY, ["mpe-1b"])
        console.operate(Operation.SWITCH_FORCE_STANDBY, ["mpe-11"])
        assert [(sorted(act["servers"]), act["clusters"]) for act in desk.acts] == [
            ([], ["mpe-1"]), (["mpe-1b"], []), ([], ["mpe-11"]),
        ]  # fmt: skip

    def test_push_script_is_tried_on_both_pages(self, old: Here) -> None:
        desk, console = old
        servers = [row["Name"] for rows in desk.state["clusters"].values() for row in rows]
        for page in ("iso", "maintenance"):  # 11.5, 10.5
            desk.state["operations"] = {page: ["Push Script"]}
            assert console.operate(Operation.PUSH_SCRIPTS, servers) == "Operation successful."
        assert [sorted(act["servers"]) for act in desk.acts] == [sorted(servers)] * 2
        desk.state["operations"] = {}
        with pytest.raises(NotAnnounced, match="System Maintenance or ISO Maintenance"):
            console.operate(Operation.PUSH_SCRIPTS, servers)
        assert len(desk.acts) == 2

    def test_another_dialog_is_cancelled(self, old: Here) -> None:
        desk, console = old
        for operation, name, text in (
            (Operation.FORCE_STANDBY, "mpe-1b", "Force mpe-1a into standby?"),
            (Operation.FORCE_STANDBY, "mpe-1b", "Force mpe-1b, mpe-11b into standby?"),
            (Operation.FORCE_STANDBY, "mpe-1b", "Cancel the forced standby of mpe-1b?"),
            (Operation.START_UPGRADE, "mpe-1b", "Back out mpe-1b to the previous release?"),
            (Operation.SWITCH_FORCE_STANDBY, "mpe-1", "Switch the forced standby of mpe-11?"),
            (Operation.BACKOUT, "mpe-1b", "Continue?"),
        ):
            desk.prepared.clear()
            desk.dialog = text
            with pytest.raises(NotAnnounced) as error:
                console.operate(operation, [name])
            assert text in error.value.announced
            assert len(desk.prepared) == 1 and desk.acts == []
        desk.dialog = ""
        assert console.operate(operation, [name]) == "Operation successful."  # nothing was left open

    def test_nothing_is_clicked_for_what_is_not_there(self, old: Here) -> None:
        desk, console = old
        for operation, names in (
            (Operation.FORCE_STANDBY, ["mpe-2a"]),
            (Operation.FORCE_STANDBY, ["mpe-1"]),
            (Operation.FORCE_STANDBY, []),
            (Operation.SWITCH_FORCE_STANDBY, ["mpe-1b"]),
            (Operation.SWITCH_FORCE_STANDBY, ["mpe-1", "mpe-11"]),
            (Operation.SWITCH_FORCE_STANDBY, []),
        ):
            with pytest.raises(NotAnnounced):
                console.operate(operation, names)
        assert desk.prepared == []

    def test_the_new_gui_has_no_start_upgrade_there(self, here: Here) -> None:
        desk, console = here
        with pytest.raises(NotAnnounced, match="no such entry of Operations in System Maintenance"):
            console.operate(Operation.START_UPGRADE, ["mpe-1b"])
        assert desk.prepared == []
        assert console.operate(Operation.PUSH_SCRIPTS, ["mpe-1b", "mra-1a"]) == "Operation successful."

    def test_the_console_refuses(self, old: Here) -> None:
        desk, console = old
        desk.fate = "fail"
        with pytest.raises(ActRefused, match=r"Operation failed: no\."):
            console.operate(Operation.FORCE_STANDBY, ["mpe-1b"])

    def test_a_lost_answer_may_have_run_and_is_never_sent_again(self, old: Here) -> None:
        desk, console = old
        for fate in ("drop", "logout", "strange"):
            console.overview()
            desk.acts.clear()
            desk.fate = fate
            with pytest.raises(MayHaveRun):
                console.operate(Operation.SWITCH_FORCE_STANDBY, ["mpe-1"])
            assert len(console.overview().servers) == 6
            assert len(desk.acts) == 1


class TestTheGuiChanges:
    OLD, NEW = "10.5.6_1.1.0", "12.1.2.0.0_22.1.0"

    def test_after_a_new_login(self, here: Here) -> None:
        desk, console = here
        for release, gui in (
            (self.OLD, Gui.MAINTENANCE),
            (self.NEW, Gui.DIRECTOR),
            (self.OLD, Gui.MAINTENANCE),
        ):
            desk.state["release"] = release
            desk.sessions.clear()
            assert console.overview().gui is gui
            assert console.cluster_page("mpe-1").status == "OK"
            assert len(console.iso_maintenance()) == 6

    def test_a_page_of_the_other_family_fails_one_reading(self, here: Here) -> None:
        """The session lives on, nothing tells that the GUI is another one now."""
        desk, console = here
        console.overview()
        for release, gui in (
            (self.OLD, Gui.MAINTENANCE),
            (self.NEW, Gui.DIRECTOR),
            (self.OLD, Gui.MAINTENANCE),
        ):
            desk.state["release"] = release
            desk.logins.clear()
            with pytest.raises(UnreadableReply):
                console.overview()
            assert console.overview().gui is gui
            assert desk.logins == []

    def test_an_act_after_a_switch_that_was_not_noticed(self, here: Here) -> None:
        desk, console = here
        console.overview()
        desk.state["release"] = self.OLD
        desk.state["operations"] = {"maintenance": ["Force Standby"]}
        with pytest.raises((UnreadableReply, NotAnnounced)):
            console.operate(Operation.FORCE_STANDBY, ["mpe-1b"])
        assert desk.prepared == []
        assert console.operate(Operation.FORCE_STANDBY, ["mpe-1b"]) == "Operation successful."

    def test_a_release_of_no_family_is_unreadable(self, here: Here) -> None:
        desk, console = here
        desk.state["release"] = "13.0.0.0.0_1.0.0"
        desk.sessions.clear()
        with pytest.raises(UnreadableReply, match="no known family"):
            console.overview()


def test_no_answer_within_the_deadline_may_have_run(tmp_path: Path) -> None:
    with standing(tmp_path) as stand, opened(stand.console(deadline=4.0)) as console:
        console.overview()
        stand.desk.fate = "hang"
        with pytest.raises(MayHaveRun, match="no answer in 4 s"):
            console.advance(START)
        stand.desk.release.set()
        assert len(stand.desk.acts) == 1


class TestLogin:
    def test_a_refused_password_is_never_tried_again(self, tmp_path: Path) -> None:
        wrong = "not the w+rd"
        with standing(tmp_path) as stand, opened(stand.console(word=wrong)) as console:
            for _ in range(3):
                with pytest.raises(LoginRefused) as error:
                    console.overview()
                assert not [form for form in forms([wrong]) if form in str(error.value)]
            assert stand.desk.logins == [False]

    def test_the_budget(self, tmp_path: Path) -> None:
        with standing(tmp_path) as stand, opened(stand.console(login_budget=2)) as console:
            for _ in range(2):
                console.overview()
                stand.desk.sessions.clear()
            with pytest.raises(LoginRefused, match="2 logins in an hour"):
                console.overview()
            assert stand.desk.logins == [True, True]

    def test_a_password_is_in_no_error_and_no_log(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with standing(tmp_path) as stand, opened(stand.console(deadline=2.0)) as console:
            stand.desk.login_page = "readonly"
            with pytest.raises(Unreachable) as error:
                console.overview()
            assert stand.desk.logins == []
        told = [str(error.value), repr(error.value), *(record.getMessage() for record in caplog.records)]
        assert not [form for form in forms([WORD]) for text in told if form in text]


class TestIdentity:
    def test_another_authority_is_refused_before_a_byte_is_sent(self, tmp_path: Path) -> None:
        with standing(tmp_path / "a") as stand:
            (tmp_path / "b").mkdir()
            other = Authority(tmp_path / "b", "other")
            with opened(stand.console(ca=other.pem)) as console:
                for act in (console.log_in, console.overview):
                    with pytest.raises(IdentityChanged) as error:
                        act()
                assert other.certificate.fingerprint(hashes.SHA256()).hex() in error.value.known
                assert "SHA256:" in error.value.offered
            assert stand.desk.pages == [] and stand.desk.logins == []

    def test_a_strange_key_in_front_of_the_right_certificate_is_refused(self, tmp_path: Path) -> None:
        with standing(tmp_path / "a") as stand, opened(stand.console()) as console:
            console.overview()
            stand.desk.pages.clear()
            (tmp_path / "b").mkdir()
            _, genuine = stand.authority.issue("genuine")
            rogue, _ = Authority(tmp_path / "b", "rogue").issue("rogue-gui", genuine)
            stand.context.load_cert_chain(rogue)
            stand.desk.sessions.clear()
            until(lambda: refused(console))
            with pytest.raises(IdentityChanged):
                console.log_in()
            assert stand.desk.logins == [True]

    def test_a_new_key_of_the_same_authority_is_the_same_console(self, tmp_path: Path) -> None:
        """As after a CMP switch."""
        with standing(tmp_path) as stand, opened(stand.console()) as console:
            console.overview()
            stand.context.load_cert_chain(stand.authority.issue("gui-2")[0])
            stand.desk.sessions.clear()
            assert len(console.overview().servers) == 6
            assert stand.desk.logins == [True, True]

    def test_nobody_listens(self, tmp_path: Path) -> None:
        with standing(tmp_path) as stand:
            console = stand.console(deadline=5.0)
        with opened(console), pytest.raises(Unreachable):
            console.overview()

    @pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://admin:x@127.0.0.1/", "cmp"])
    def test_only_https_and_no_password_in_the_address(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(BadInput) as error:
            BrowserConsole(
                url, "a", SecretStr("b"), ca=None, chromium=None, refresh=0, deadline=1, login_budget=1
            )
        assert "admin:x" not in str(error.value)

    def test_a_chromium_that_is_not_there(self, tmp_path: Path) -> None:
        with standing(tmp_path) as stand, opened(stand.console(chromium=tmp_path / "none")) as console:
            with pytest.raises(BadInput, match=r"console\.chromium"):
                console.overview()


def refused(console: BrowserConsole) -> bool:
    """A kept connection may serve a last reading; new ones are verified anew."""
    try:
        console.overview()
    except IdentityChanged:
        return True
    except (Unreachable, UnreadableReply, LoginRefused):
        return False
    return False


@pytest.fixture
def corner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of this test alone: what lives in it was started by this test.

    Short, for Chromium keeps a Unix socket in it.
    """
    with tempfile.TemporaryDirectory(prefix="corner-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def browsers(corner: Path) -> set[tuple[int, str]]:
    """(pid, home) of every Chromium whose home is in that folder."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        for word in words:
            if word.startswith(b"--user-data-dir=" + os.fsencode(corner / "mopflow-browser-")):
                found.add((int(entry.name), str(Path(word.decode().partition("=")[2]).parent)))
    return found


KILLED = """
import sys
from pathlib import Path
from pydantic import SecretStr
from mopflow.console.browser import BrowserConsole
console = BrowserConsole(sys.argv[1], "admin", SecretStr(sys.stdin.readline()[:-1]), ca=Path(sys.argv[2]),
                         chromium=None, refresh=0, deadline=10, login_budget=5)
console.overview()
print("up", flush=True)
sys.stdin.readline()
"""


class TestNothingStays:
    def test_after_close(self, tmp_path: Path, corner: Path) -> None:
        with standing(tmp_path) as stand:
            with opened(stand.console()) as console:
                console.overview()
                homes = {home for _, home in browsers(corner)}
                assert len(homes) == 1
            assert not [home for home in homes if Path(home).exists()]
            assert not browsers(corner)
            with pytest.raises(Unreachable, match="closed"):
                console.overview()

    def test_after_the_caller_was_killed(self, tmp_path: Path, corner: Path) -> None:
        with standing(tmp_path) as stand:
            process = subprocess.Popen(
                [sys.executable, "-c", KILLED, stand.url, str(stand.authority.pem)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
            )  # fmt: skip
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(WORD + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "up\n"
            mine = browsers(corner)
            homes = {Path(home) for _, home in mine}
            assert mine and all(home.exists() for home in homes)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdin.close()
            process.stdout.close()
            until(lambda: not browsers(corner) and not [home for home in homes if home.exists()])

    def test_a_browser_that_died_is_replaced(self, tmp_path: Path, corner: Path) -> None:
        with standing(tmp_path) as stand, opened(stand.console()) as console:
            console.overview()
            for pid, _ in browsers(corner):
                os.kill(pid, signal.SIGKILL)
            until(lambda: answers(console))
            assert len(console.overview().servers) == 6

    def test_a_page_that_hangs_the_browser_is_ended(self, tmp_path: Path) -> None:
        with standing(tmp_path) as stand, opened(stand.console(deadline=5.0)) as console:
            until(lambda: answers(console))
            app = APP.replace("@STYLE@", "table")
            stand.desk.broken_page = app.replace("show(new", "setTimeout(() => { for (;;); }, 50); show(new")
            with pytest.raises(Unreachable):
                console.overview()
            stand.desk.broken_page = ""
            until(lambda: answers(console))


def answers(console: BrowserConsole) -> bool:
    try:
        console.overview()
    except (Unreachable, UnreadableReply):
        return False
    return True
