"""SSH and OSSI against the twin: probes, key exchange and kit as 9.1.1 steps 4 and 8 want them; secrets nowhere."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml
from pydantic import SecretStr

from mopflow.acts import keys as key_act
from mopflow.acts import kit
from mopflow.errors import ActRefused, LoginRefused, MayHaveRun
from mopflow.media import KIT_DIR
from mopflow.ossi import Ossi
from mopflow.probes import disk, hostname, images, keys, product, syscheck
from mopflow.secrets import Vault
from mopflow.site import Site
from mopflow.ssh import Logins, Reply, Servers

pytestmark = pytest.mark.twin

CMP_ISO, MPE_ISO = "cmp-12.1.2.0.0_22.1.0-x86_64.iso", "mpe-12.1.2.0.0_22.1.0-x86_64.iso"
MD5 = {CMP_ISO: "a" * 31 + "1", MPE_ISO: "b" * 31 + "2"}
VARIABLES = {who: f"MOPFLOW_LAB_{who.upper()}_PASSWORD" for who in ("admusr", "root", "gui", "ossi")}


def description() -> dict[str, Any]:
    def server(name: str, last: int, role: str, *files: str) -> dict[str, Any]:
        return {"name": name, "address": f"127.0.77.{last}", "port": 0, "role": role, "images": list(files)}

    cmp = {
        "name": "CMP Site1 Cluster", "kind": "CMP", "primary": True, "site": "site-1", "segment": None,
        "vip": "127.0.0.1", "servers": [server("cmp-1a", 1, "Active", CMP_ISO), server("cmp-1b", 2, "Standby")],
    }  # fmt: skip
    mpe = {
        "name": "mpe-1", "kind": "MPE", "primary": None, "site": "site-1", "segment": "segment-1",
        "vip": "127.0.0.1", "servers": [server("mpe-1a", 3, "Active", MPE_ISO), server("mpe-1b", 4, "Standby")],
    }  # fmt: skip
    return {
        "source": "12.1.1.0.0_14.1.0",
        "target": "12.1.2.0.0_22.1.0",
        "seed": 1,
        "speed": 60,
        "clusters": [cmp, mpe],
        "media": [
            {"file": CMP_ISO, "type": "cmp", "size": 1 << 30, "md5": MD5[CMP_ISO]},
            {"file": MPE_ISO, "type": "mpe", "size": 1 << 30, "md5": MD5[MPE_ISO]},
        ],
    }


class Twin:
    """The twin as a process of its own, and a site file's model of it."""

    def __init__(self, base: Path) -> None:
        self.out = base / "out"
        self.passwords = {who: f"{secrets.token_urlsafe(9)}/+ %{who}" for who in VARIABLES}
        (base / "twin.yaml").write_text(yaml.safe_dump(description()))
        environment = os.environ | {VARIABLES[who]: password for who, password in self.passwords.items()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab", base / "twin.yaml", "--out", self.out],
            env=environment,
            cwd=Path(__file__).parents[2],
            stderr=(base / "stderr").open("wb"),
        )
        places, deadline = self.out / "endpoints.json", time.monotonic() + 90
        while not places.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the twin does not start: {(base / 'stderr').read_text()}")
            time.sleep(0.1)
        self.endpoints = json.loads(places.read_text())

    def site(self) -> Site:
        where = self.endpoints["servers"]

        def servers(*names: str) -> list[dict[str, Any]]:
            return [{"name": name, **where[name]} for name in names]

        return Site.model_validate(
            {
                "name": "twin",
                "source": "12.1.1.0.0_14.1.0",
                "target": "12.1.2.0.0_22.1.0",
                "console": {"user": "admin", "password": {"env": VARIABLES["gui"]}},
                "ssh": {
                    "password": {"env": VARIABLES["admusr"]},
                    "known_hosts": self.endpoints["known_hosts"],
                },
                "cmp": {
                    "primary": {
                        "name": "CMP Site1 Cluster",
                        "vip": "x",
                        "servers": servers("cmp-1a", "cmp-1b"),
                    }
                },
                "segments": [
                    {
                        "name": "segment-1",
                        "clusters": [
                            {"name": "mpe-1", "kind": "MPE", "servers": servers("mpe-1a", "mpe-1b")}
                        ],
                    }
                ],
                "media": [{"file": f, "type": f.split("-")[0], "md5": md5} for f, md5 in MD5.items()],
            }
        )

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.out / "flight.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(60)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    it = Twin(tmp_path_factory.mktemp("twin"))
    yield it
    assert it.stop() == 0


Told = list[tuple[str, str, str, Reply | None]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def servers(twin: Twin, told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    for who, name in VARIABLES.items():
        monkeypatch.setenv(name, twin.passwords[who])
    it = Servers(twin.site(), Vault(), Path("/"), record=lambda *what: told.append(what), logins=Logins())
    yield it
    it.close()


def test_every_server_says_who_it_is_and_what_it_runs(servers: Servers) -> None:
    for name in ("cmp-1a", "cmp-1b", "mpe-1a", "mpe-1b"):
        assert hostname.is_server(hostname.ask(servers, name), name)
        assert product.ask(servers, name).short == "12.1.1"


def test_images_are_found_where_they_lie(servers: Servers) -> None:
    assert images.ask(servers, "cmp-1a") == (images.Image(CMP_ISO, 1 << 30),)
    assert images.ask(servers, "cmp-1b") == ()
    assert images.ask_hash(servers, "mpe-1a", f"/var/TKLC/upgrade/{MPE_ISO}") == MD5[MPE_ISO]


def test_disks_and_health(servers: Servers) -> None:
    assert disk.ask(servers, "cmp-1a")["/var/TKLC"].free > 0
    assert disk.ask_for(servers, "cmp-1a", KIT_DIR).mount == "/var/camiant"
    health = syscheck.ask(servers, "mpe-1a")
    assert health.healthy
    assert "services" in health.classes


def test_one_login_serves_all_commands(twin: Twin, servers: Servers) -> None:
    before = len(twin.events("ssh_login"))
    for _ in range(5):
        servers.check("mpe-1b", "hostname")
    logins = twin.events("ssh_login")[before:]
    assert [(event["server"], event["user"], event["ok"]) for event in logins] == [("mpe-1b", "admusr", True)]


def test_the_kit_is_offered_once(twin: Twin, servers: Servers) -> None:
    done = kit.offer(servers, "cmp-1a", CMP_ISO, MD5[CMP_ISO])
    assert done == kit.Kit(f"{KIT_DIR}/{CMP_ISO}", MD5[CMP_ISO], found=False)
    written = len(twin.events("file"))
    assert kit.offer(servers, "cmp-1a", CMP_ISO, MD5[CMP_ISO]).found
    assert len(twin.events("file")) == written
    assert [image.file for image in images.ask(servers, "cmp-1a", KIT_DIR)] == [CMP_ISO]


def test_an_image_that_is_not_the_medium_is_no_kit(twin: Twin, servers: Servers) -> None:
    with pytest.raises(ActRefused, match="is not there"):
        kit.offer(servers, "cmp-1b", CMP_ISO, MD5[CMP_ISO])
    with pytest.raises(ActRefused, match="another image"):
        kit.offer(servers, "mpe-1a", MPE_ISO, MD5[CMP_ISO])
    assert images.ask(servers, "mpe-1a", KIT_DIR) == ()


def test_keys_are_exchanged_and_a_wrong_password_is_given_once(twin: Twin, servers: Servers) -> None:
    before = keys.ask(servers, "cmp-1a")
    assert not before.ok
    with pytest.raises(Exception, match="cmp-1a"):
        key_act.exchange(servers, "cmp-1a", SecretStr("not the password"))
    assert not keys.ask(servers, "cmp-1a").ok
    transcript = key_act.exchange(servers, "cmp-1a", SecretStr(twin.passwords["admusr"]))
    assert "Provisioning SSH keys on mpe-1b" in transcript
    after = keys.ask(servers, "cmp-1a")
    assert after.ok
    assert set(after.servers) == {"cmp-1b", "mpe-1a", "mpe-1b"}


def test_a_command_that_takes_too_long_may_have_run(servers: Servers) -> None:
    with pytest.raises(MayHaveRun):
        servers.run("mpe-1a", "sleep 600", timeout=1)
    assert servers.check("mpe-1a", "hostname") == "mpe-1a\n"


def test_a_refused_password_is_shown_once(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLES["admusr"], "not the password")
    servers = Servers(twin.site(), Vault(), Path("/"), logins=Logins())
    before = len(twin.events("ssh_login"))
    for _ in range(2):
        with pytest.raises(LoginRefused):
            servers.run("cmp-1b", "hostname")
    assert [event["ok"] for event in twin.events("ssh_login")[before:]] == [False]


def test_kpi_samples_come_from_the_twin(twin: Twin) -> None:
    end = datetime.now(UTC) + timedelta(hours=2)
    url = twin.endpoints["gui"]["CMP Site1 Cluster"]
    ossi = Ossi(url, "ossi", SecretStr(twin.passwords["ossi"]), Path(twin.endpoints["ca"]))
    samples = ossi.stats(["mpe-1"], end - timedelta(hours=6), end)
    assert samples
    assert all(sample.end - sample.start == timedelta(minutes=15) for sample in samples)
    assert {(sample.group, sample.policy_server) for sample in samples} == {("AFSessionStats", "mpe-1")}
    with pytest.raises(ActRefused):
        ossi.stats(["nobody"], end - timedelta(hours=1), end)
    ossi.close()
    wrong = Ossi(url, "ossi", SecretStr("not the password"), Path(twin.endpoints["ca"]))
    with pytest.raises(LoginRefused):
        wrong.stats(["mpe-1"], end - timedelta(hours=1), end)
    wrong.close()


def test_no_secret_stands_in_what_is_kept(twin: Twin, servers: Servers, told: Told) -> None:
    key_act.exchange(servers, "cmp-1a", SecretStr(twin.passwords["admusr"]))
    everything = "".join(path.read_text(errors="replace") for path in twin.out.rglob("*") if path.is_file())
    typed = twin.passwords["admusr"]  # a person's mistake: the server sees it, what we keep has stars
    reply = servers.run("cmp-1a", f"echo '{typed}' {quote(typed, safe='')}")
    assert reply.stdout == "******** ********\n"
    everything += repr(told) + repr(vars(servers))
    assert everything.count("qpSSHKeyProv.pl --prov") >= 2
    for secret in twin.passwords.values():
        forms = {
            secret,
            quote(secret, safe=""),
            quote_plus(secret),
            base64.b64encode(secret.encode()).decode(),
            hashlib.sha256(secret.encode()).hexdigest(),
            hashlib.md5(secret.encode()).hexdigest(),
        }
        assert [form for form in forms if form in everything] == []
