"""SSH against real servers: OpenSSH's sshd with real coreutils and bash, and an asyncssh server for passwords."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EOF
from pydantic import SecretStr

from mopflow import ssh
from mopflow.acts import keys as key_act
from mopflow.acts import kit
from mopflow.errors import (
    ActRefused,
    BadInput,
    CommandFailed,
    IdentityChanged,
    LoginRefused,
    MayHaveRun,
    SecretMissing,
    Unreachable,
)
from mopflow.probes import disk, images
from mopflow.probes import hostname as hostname_probe
from mopflow.probes import keys as key_probe
from mopflow.secrets import Vault
from mopflow.site import Site
from mopflow.ssh import Logins, Reply, Servers

pytestmark = pytest.mark.service

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(
    SSHD is None or os.geteuid() != 0, reason="needs OpenSSH's sshd, and root to run it"
)

SERVER = "cmp-1a"
PASSWORD = "pa55 w/rd+%&"


def site_of(port: int, **access: Any) -> Site:
    """A site whose cmp-1a is 127.0.0.1:port; nothing else of it exists."""
    rest = [{"name": f"other-{n}", "address": f"192.0.2.{n}"} for n in range(1, 6)]
    return Site.model_validate(
        {
            "name": "real",
            "source": "12.1.1.0.0_14.1.0",
            "target": "12.1.2.0.0_22.1.0",
            "console": {"user": "admin", "password": {"env": "NO_GUI"}},
            "ssh": {
                "user": "root",
                "password": {"env": "TEST_SSH_PASSWORD"},
                "known_hosts": "known_hosts",
                **access,
            },
            "cmp": {
                "primary": {
                    "name": "CMP",
                    "vip": "192.0.2.9",
                    "servers": [{"name": SERVER, "address": "127.0.0.1", "port": port}, rest[0]],
                }
            },
            "segments": [{"name": "s", "clusters": [{"name": "mpe", "kind": "MPE", "servers": rest[1:3]}]}],
            "media": [
                {"file": f"{kind}-12.1.2.0.0_22.1.0-x86_64.iso", "type": kind, "md5": "0" * 32}
                for kind in ("cmp", "mpe")
            ],
        }
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def generate(path: Path, kind: str = "ed25519") -> Path:
    size = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-f", path], check=True)
    return path


def fingerprint(key: Path) -> str:
    return subprocess.run(
        ["ssh-keygen", "-lf", f"{key}.pub"], check=True, capture_output=True, text=True
    ).stdout.split()[1]


class Sshd:
    """A real sshd on a free port of loopback with its own keys; login as root with `user_key` only."""

    def __init__(self, base: Path, *options: str, key_type: str = "ed25519") -> None:
        assert SSHD is not None
        self.base = base
        self.port = free_port()
        self.host_key = generate(base / "host_key", key_type)
        self.user_key = generate(base / "user_key", key_type)
        self.log = base / "sshd.log"
        self.bin = base / "bin"
        self.bin.mkdir()
        (base / "authorized").write_text(Path(f"{self.user_key}.pub").read_text())
        self.know(self.host_key)
        config = base / "sshd_config"
        config.write_text(
            "\n".join(
                [
                    f"Port {self.port}",
                    "ListenAddress 127.0.0.1",
                    f"HostKey {self.host_key}",
                    f"AuthorizedKeysFile {base / 'authorized'}",
                    f"PidFile {base / 'pid'}",
                    "PermitRootLogin prohibit-password",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "StrictModes no",
                    "UsePAM no",
                    "LogLevel DEBUG1",
                    f"SetEnv PATH={self.bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                    *options,
                    "",
                ]
            )
        )
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd wants to lock up its unprivileged part
        self._process = subprocess.Popen(
            [SSHD, "-D", "-f", config, "-E", self.log], stderr=subprocess.DEVNULL
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as wire:
                    assert wire.recv(4) == b"SSH-"
                    return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"sshd does not answer: {self.log.read_text()}") from None
                time.sleep(0.05)

    def know(self, key: Path) -> None:
        public = Path(f"{key}.pub").read_text()
        (self.base / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")

    def shim(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/bash\n{text}\n")
        (self.bin / name).chmod(0o755)

    def logins(self) -> int:
        return self.log.read_text().count("Accepted publickey for root")

    def servers(
        self, record: ssh.Record | None = None, logins: Logins | None = None, **access: Any
    ) -> Servers:
        site = site_of(self.port, **({"key": str(self.user_key)} | access))
        return Servers(site, Vault(), self.base, record=record, logins=logins or Logins())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def servers(sshd: Sshd) -> Iterator[Servers]:
    it = sshd.servers()
    yield it
    it.close()


# ---- commands ----


@needs_sshd
def test_a_command_answers_with_status_and_both_outputs(servers: Servers) -> None:
    assert servers.run(SERVER, "echo out; echo err >&2; exit 3") == Reply(3, "out\n", "err\n")


@needs_sshd
def test_check_gives_the_output_or_says_what_failed(servers: Servers) -> None:
    assert servers.check(SERVER, "printf 'a b'") == "a b"
    with pytest.raises(CommandFailed) as failed:
        servers.check(SERVER, "ls /nowhere-at-all")
    assert (failed.value.server, failed.value.status) == (SERVER, 2)
    assert "nowhere-at-all" in failed.value.stderr


@needs_sshd
def test_much_output_on_both_streams_arrives_whole(servers: Servers) -> None:
    reply = servers.run(
        SERVER, "head -c 5000000 /dev/zero | tr '\\0' a; head -c 5000000 /dev/zero | tr '\\0' b >&2"
    )
    assert (reply.stdout, reply.stderr) == ("a" * 5_000_000, "b" * 5_000_000)


@needs_sshd
def test_a_command_gets_no_input(servers: Servers) -> None:
    assert servers.run(SERVER, "cat; echo done").stdout == "done\n"


@needs_sshd
def test_one_connection_serves_all_commands_of_all_threads(sshd: Sshd, servers: Servers) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: servers.check(SERVER, f"sleep 0.2; echo {n}"), range(20)))
    assert answers == [f"{n}\n" for n in range(20)]
    assert sshd.logins() == 1


@needs_sshd
def test_what_comes_too_late_on_a_channel_does_not_end_the_connection(sshd: Sshd, servers: Servers) -> None:
    servers.check(SERVER, "true")
    (line,) = servers._lines.values()
    assert line.transport is not None
    channel = line.transport.open_session()
    channel.exec_command("cat")
    channel.close()
    servers.check(SERVER, "sleep 0.2")  # meanwhile the server forgets the channel
    for kind, content in ((MSG_CHANNEL_EOF, b""), (MSG_CHANNEL_DATA, b"\0\0\0\1x")):
        late = paramiko.Message()  # as a thread sends it that was interrupted between building and sending
        late.add_byte(bytes([kind]))
        late.add_int(channel.remote_chanid)
        late.add_bytes(content)
        line.transport._send_user_message(late)  # type: ignore[attr-defined]
    assert servers.check(SERVER, "cat; echo still here") == "still here\n"  # a new channel has the old number
    assert sshd.logins() == 1


@needs_sshd
def test_two_channels_refused_at_once_do_not_end_the_connection(sshd: Sshd, servers: Servers) -> None:
    """The library has one error for both; the second one says only that the channel could not be opened."""
    servers.check(SERVER, "true")
    (line,) = servers._lines.values()
    assert line.transport is not None
    taken = [line.transport.open_session() for _ in range(10)]  # MaxSessions of sshd

    def give_back() -> None:
        for channel in taken:
            channel.close()

    with ThreadPoolExecutor(9) as pool:
        waiting = [pool.submit(servers.check, SERVER, "echo here") for _ in range(8)]
        pool.submit(give_back)
        assert [one.result(60) for one in waiting] == ["here\n"] * 8
    assert sshd.logins() == 1


@needs_sshd
def test_the_cipher_is_gcm_and_small_packets_are_not_held_back(sshd: Sshd, servers: Servers) -> None:
    servers.check(SERVER, "true")
    assert "cipher: aes128-gcm@openssh.com" in sshd.log.read_text()
    (line,) = servers._lines.values()
    assert line.transport is not None
    wire = line.transport.sock
    assert isinstance(wire, socket.socket)
    assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@needs_sshd
def test_every_command_is_recorded_with_its_reply(sshd: Sshd) -> None:
    told: list[tuple[str, str, str, Reply | None]] = []
    servers = sshd.servers(record=lambda *what: told.append(what))
    servers.run(SERVER, "echo a; exit 1")
    with pytest.raises(MayHaveRun):
        servers.run(SERVER, "sleep 60", timeout=1)
    servers.close()
    assert told == [
        (SERVER, "root", "echo a; exit 1", Reply(1, "a\n", "")),
        (SERVER, "root", "sleep 60", None),
    ]


# ---- what goes wrong ----


@needs_sshd
def test_a_command_that_never_answers_may_have_run(sshd: Sshd, servers: Servers) -> None:
    with pytest.raises(MayHaveRun, match="did not end within its time"):
        servers.run(SERVER, "echo begun; sleep 300", timeout=1)
    assert servers.check(SERVER, "echo still here") == "still here\n"
    assert sshd.logins() == 1  # the connection was sound and is used again


@needs_sshd
def test_a_connection_cut_in_mid_command_may_have_run_and_the_next_command_connects_again(
    sshd: Sshd, servers: Servers, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(MayHaveRun, match="connection ended"):
        servers.run(SERVER, f"echo ran > {trace}; kill -9 $PPID; sleep 300", timeout=60)
    assert trace.read_text() == "ran\n"
    assert servers.check(SERVER, "echo again") == "again\n"
    assert sshd.logins() == 2


@needs_sshd
def test_a_connection_lost_between_commands_is_opened_again_and_nothing_is_run_twice(
    sshd: Sshd, servers: Servers, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    session = servers.check(SERVER, "echo $PPID").strip()
    os.kill(int(session), 9)
    servers.check(SERVER, f"echo once >> {trace}")
    assert trace.read_text() == "once\n"
    assert sshd.logins() == 2


@needs_sshd
def test_a_command_killed_by_a_signal_may_have_run(servers: Servers) -> None:
    with pytest.raises(MayHaveRun, match="no exit status"):
        servers.run(SERVER, "kill -9 $$")


@needs_sshd
def test_a_connection_that_stalls_is_replaced_before_anything_is_sent_on_it(
    sshd: Sshd, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CHANNEL", 1.0)
    session = int(servers.check(SERVER, "echo $PPID"))
    try:
        with pytest.raises(MayHaveRun, match="did not end"):
            servers.run(SERVER, "kill -STOP $PPID; echo said into the void", timeout=1)
        assert servers.check(SERVER, "echo again") == "again\n"
        assert sshd.logins() == 2
    finally:
        os.kill(session, 9)


class Mute(paramiko.ServerInterface):
    """Takes a command and never says whether it was accepted."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.go_on.wait(60)
        return False


def test_a_server_that_does_not_even_accept_the_command_ends_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SSH_PASSWORD", PASSWORD)
    key, mute = paramiko.RSAKey.generate(2048), Mute()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} ssh-rsa {key.get_base64()}\n")

        def serve() -> None:
            transport = paramiko.Transport(listener.accept()[0])
            transport.add_server_key(key)
            transport.start_server(server=mute)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        servers = Servers(site_of(port, user="admusr"), Vault(), tmp_path, logins=Logins())
        with pytest.raises(MayHaveRun, match="did not end"):
            servers.run(SERVER, "true", timeout=1)
        mute.go_on.set()
        servers.close()
        thread.join(30)


@needs_sshd
def test_a_server_that_is_away_cannot_be_reached(sshd: Sshd, servers: Servers) -> None:
    sshd.stop()
    with pytest.raises(Unreachable, match=f"{SERVER} cannot be reached"):
        servers.run(SERVER, "true")


def test_a_server_that_says_nothing_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "BANNER", 0.3)
    monkeypatch.setattr(ssh, "HANDSHAKE", 1.0)
    (tmp_path / "known_hosts").touch()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        servers = Servers(site_of(mute.getsockname()[1]), Vault(), tmp_path, logins=Logins())
        with pytest.raises(Unreachable, match="no SSH session"):
            servers.run(SERVER, "true")


def test_an_unknown_server_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cmp-9z"):
        Servers(site_of(1), Vault(), tmp_path).run("cmp-9z", "true")


# ---- identity ----


@needs_sshd
def test_a_changed_host_key_shows_both_fingerprints_and_nobody_logs_in(sshd: Sshd, tmp_path: Path) -> None:
    other = generate(tmp_path / "other_key")
    sshd.know(other)
    with pytest.raises(IdentityChanged) as changed:
        sshd.servers().run(SERVER, "true")
    assert fingerprint(other) in changed.value.known
    assert fingerprint(sshd.host_key) in changed.value.offered
    assert sshd.logins() == 0


@needs_sshd
def test_a_server_that_is_not_in_known_hosts_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("# nothing\n")
    with pytest.raises(IdentityChanged, match="no entry for") as changed:
        sshd.servers().run(SERVER, "true")
    assert fingerprint(sshd.host_key) in changed.value.offered


@needs_sshd
def test_a_hashed_entry_and_one_of_two_keys_are_known(sshd: Sshd, tmp_path: Path) -> None:
    other = generate(tmp_path / "other_key")
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {Path(f'{other}.pub').read_text()}" + known.read_text())
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    assert "127.0.0.1" not in known.read_text()
    servers = sshd.servers()
    assert servers.check(SERVER, "echo known") == "known\n"
    servers.close()


@needs_sshd
def test_a_further_key_of_the_server_is_no_changed_identity(tmp_path: Path) -> None:
    rsa = generate(tmp_path / "rsa_key", "rsa")
    server = Sshd(tmp_path, f"HostKey {rsa}")
    try:
        server.know(rsa)  # ed25519, which would be preferred, is not known
        servers = server.servers()
        assert servers.check(SERVER, "echo known") == "known\n"
        servers.close()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("@revoked * ssh-ed25519 AAAA\n", "line 1"),
        ("# x\n@cert-authority * ssh-rsa A\n", "line 2"),
    ],
)
def test_known_hosts_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "known_hosts").write_text(text)
    with pytest.raises(BadInput, match=says):
        Servers(site_of(1), Vault(), tmp_path).run(SERVER, "true")


# ---- legacy servers ----

LEGACY = (
    "HostKeyAlgorithms ssh-rsa",
    "KexAlgorithms diffie-hellman-group14-sha1",
    "MACs hmac-sha1",
    "Ciphers aes128-ctr",
    "PubkeyAcceptedAlgorithms ssh-rsa",
)


@needs_sshd
def test_a_server_with_legacy_algorithms_is_reached_when_the_site_file_says_so(tmp_path: Path) -> None:
    server = Sshd(tmp_path, *LEGACY, key_type="rsa")
    try:
        with pytest.raises(LoginRefused, match="user_key"):
            server.servers().run(SERVER, "true")
        servers = server.servers(legacy=[SERVER])
        assert servers.check(SERVER, "echo reached") == "reached\n"
        servers.close()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("SSH-2.0-OpenSSH_5.3", True),
        ("SSH-2.0-OpenSSH_6.6.1p1", True),
        ("SSH-2.0-OpenSSH_7.1p2", True),
        ("SSH-2.0-OpenSSH_7.2p2", False),
        ("SSH-2.0-OpenSSH_7.10", False),
        ("SSH-2.0-OpenSSH_8.0", False),
        ("SSH-2.0-OpenSSH_10.0", False),
    ],
)
def test_the_version_tells_who_needs_sha1_signatures(version: str, old: bool) -> None:
    assert (ssh._BEFORE_SHA2.search(version) is not None) is old


# ---- terminals ----

PROVISION = r"""
if [ "$1" = --check ]; then
  [ -e "$0.done" ] && echo "SSH keys are OK." && exit 0
  echo "SSH keys are NOT OK"; exit 1
fi
exec 2>&1
stty -echo </dev/tty || exit 9
while :; do
  printf 'The password of admusr in topology:' >/dev/tty
  IFS= read -r p </dev/tty || exit 8
  echo
  [ "$p" = '%s' ] && break
  echo "wrong: $p" >> "$0.wrong"
done
stty echo </dev/tty
echo "Connecting to admusr@mpe-1c (10.250.1.1) ..."
echo "it was $p"
touch "$0.done"
echo "SSH keys are OK."
"""


@needs_sshd
def test_keys_are_exchanged_over_a_terminal_and_the_password_shows_nowhere(sshd: Sshd) -> None:
    told: list[Any] = []
    sshd.shim("sudo", 'exec "$@"')
    sshd.shim("qpSSHKeyProv.pl", PROVISION.replace("%s", PASSWORD))
    servers = sshd.servers(record=lambda *what: told.append(what))
    assert not key_probe.ask(servers, SERVER).ok
    transcript = key_act.exchange(servers, SERVER, SecretStr(PASSWORD))
    assert transcript.endswith("it was ********\nSSH keys are OK.\n")
    assert key_probe.ask(servers, SERVER).ok
    assert PASSWORD not in repr(told)
    assert "it was ********" in repr(told)
    servers.close()


@needs_sshd
def test_a_wrong_password_is_typed_once(sshd: Sshd) -> None:
    sshd.shim("sudo", 'exec "$@"')
    sshd.shim("qpSSHKeyProv.pl", PROVISION.replace("%s", PASSWORD))
    servers = sshd.servers()
    with pytest.raises(MayHaveRun, match="asked again") as asked:
        key_act.exchange(servers, SERVER, SecretStr("something else"))
    assert "something else" not in str(asked.value)
    assert (sshd.bin / "qpSSHKeyProv.pl.wrong").read_text().count("something else") == 1
    servers.close()


@needs_sshd
def test_nothing_is_sent_before_its_prompt(servers: Servers, tmp_path: Path) -> None:
    got = tmp_path / "got"
    dialog = f"printf 'first: '; read a; printf 'second: '; read b; echo \"$b-$a\" > {got}; exit 4"
    answers: ssh.Answers = [(re.compile(r"first: $"), "one"), (re.compile(r"second: $"), SecretStr("two"))]
    reply = servers.converse(SERVER, dialog, answers, timeout=60)
    assert reply.status == 4
    assert got.read_text() == "two-one\n"
    assert reply.stdout == "first: one\nsecond: ********\n"


@needs_sshd
def test_a_command_that_asks_nothing_just_ends(servers: Servers) -> None:
    reply = servers.converse(SERVER, "tty >/dev/null && echo fine", [(re.compile("never"), "x")], timeout=60)
    assert reply == Reply(0, "fine\n", "")


@needs_sshd
def test_a_prompt_that_never_comes_ends_at_the_deadline(servers: Servers) -> None:
    with pytest.raises(MayHaveRun, match="did not end"):
        servers.converse(
            SERVER, "printf 'Other: '; read x", [(re.compile("Password: "), SecretStr("x"))], timeout=1
        )


# ---- probes and the kit on real coreutils ----


@needs_sshd
def test_probes_hold_on_real_commands(servers: Servers, tmp_path: Path) -> None:
    folder = tmp_path / "up load"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "hidden.iso").touch()
    assert images.ask(servers, SERVER, str(folder)) == ()
    big = folder / "cmp-12.1.2.0.0_22.1.0-x86_64.iso"
    with big.open("wb") as file:
        file.truncate(3 << 30)  # sparse
    (folder / "it's $HOME.iso").write_bytes(b"abc")
    (folder / "md5sum.out").touch()
    assert {i.file: i.size for i in images.ask(servers, SERVER, str(folder))} == {
        big.name: 3 << 30,
        "it's $HOME.iso": 3,
    }
    assert images.ask_hash(servers, SERVER, f"{folder}/it's $HOME.iso") == "900150983cd24fb0d6963f7d28e17f72"
    (folder / "link.iso").symlink_to("/tmp/x.iso")
    with pytest.raises(Exception, match="not a plain file"):
        images.ask(servers, SERVER, str(folder))
    volumes = disk.ask(servers, SERVER)
    volume = disk.ask_for(servers, SERVER, str(folder))
    assert volume.mount in volumes
    assert volume.size >= volume.free > 0
    with pytest.raises(CommandFailed):
        disk.ask_for(servers, SERVER, "/nowhere at all")
    assert hostname_probe.ask(servers, SERVER) == os.uname().nodename


@needs_sshd
def test_the_kit_is_copied_once_whole_and_verified(
    sshd: Sshd, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, kits = tmp_path / "upgrade", tmp_path / "iso"
    upload.mkdir()
    kits.mkdir()
    monkeypatch.setattr(kit, "UPGRADE_DIR", str(upload))
    monkeypatch.setattr(kit, "KIT_DIR", str(kits))
    sshd.shim("sudo", 'echo "$@" >> ' + str(tmp_path / "acts") + '\nexec "$@"')
    name, right = "cmp-12.1.2.0.0_22.1.0-x86_64.iso", "900150983cd24fb0d6963f7d28e17f72"

    with pytest.raises(ActRefused, match="is not there"):
        kit.offer(servers, SERVER, name, right)
    (upload / name).write_bytes(b"abd")
    with pytest.raises(ActRefused, match="damaged or another image"):
        kit.offer(servers, SERVER, name, right)
    assert not (tmp_path / "acts").exists()
    assert list(kits.iterdir()) == []

    (upload / name).write_bytes(b"abc")
    (kits / name).write_bytes(b"half")  # left by somebody who was interrupted
    assert kit.offer(servers, SERVER, name, right.upper()) == kit.Kit(str(kits / name), right, found=False)
    assert [p.name for p in kits.iterdir()] == [name]
    assert (kits / name).read_bytes() == b"abc"
    acts = (tmp_path / "acts").read_text()
    assert kit.offer(servers, SERVER, name, right).found
    assert (tmp_path / "acts").read_text() == acts  # the second time nothing is done


# ---- passwords (a server of asyncssh: no account of this machine is touched) ----


class Guard(asyncssh.SSHServer):
    """Counts the passwords that it is shown."""

    def __init__(self, seen: list[tuple[str, str]], hang_up: bool) -> None:
        self._seen, self._hang_up = seen, hang_up
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._seen.append((username, password))
        if self._hang_up and self._connection is not None:
            self._connection.abort()
        return password == PASSWORD


class PasswordServer:
    def __init__(self, base: Path, seen: list[tuple[str, str]], hang_up: bool) -> None:
        self._loop = asyncio.new_event_loop()
        key = asyncssh.generate_private_key("ssh-ed25519")
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def start() -> asyncssh.SSHAcceptor:
            return await asyncssh.create_server(
                lambda: Guard(seen, hang_up),
                "127.0.0.1",
                0,
                server_host_keys=[key],
                process_factory=self._answer,
            )

        self._server = asyncio.run_coroutine_threadsafe(start(), self._loop).result(30)
        self.port = self._server.get_port()
        (base / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key.export_public_key().decode()}")

    @staticmethod
    async def _answer(process: asyncssh.SSHServerProcess[str]) -> None:
        process.stdout.write(f"{process.get_extra_info('username')}: {process.command}\n")
        process.exit(0)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)


Start = Callable[..., PasswordServer]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Start, list[tuple[str, str]]]]:
    seen: list[tuple[str, str]] = []
    running: list[PasswordServer] = []

    def start(hang_up: bool = False) -> PasswordServer:
        running.append(PasswordServer(tmp_path, seen, hang_up))
        return running[-1]

    yield start, seen
    for server in running:
        server.stop()


@contextmanager
def captured_logs() -> Iterator[list[str]]:
    """All that any library logs meanwhile, at every level."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    root, wire = logging.getLogger(), logging.getLogger(ssh._WIRE)
    handler, level, wire_level = Keep(), root.level, wire.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    wire.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        wire.setLevel(wire_level)


def test_a_password_opens_the_door_and_is_in_no_log(
    guarded: tuple[Start, list[tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, seen = guarded
    port = start().port
    monkeypatch.setenv("TEST_SSH_PASSWORD", PASSWORD)
    with captured_logs() as lines:
        servers = Servers(site_of(port, user="admusr"), Vault(), tmp_path, logins=Logins())
        assert servers.check(SERVER, "whoami") == "admusr: whoami\n"
        assert PASSWORD not in repr(vars(servers))
        servers.close()
    assert seen == [("admusr", PASSWORD)]
    assert lines
    assert not any(PASSWORD in line for line in lines)


def test_the_user_follows_the_release_and_root_has_its_own_password(
    guarded: tuple[Start, list[tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, seen = guarded
    port = start().port
    monkeypatch.setenv("TEST_SSH_PASSWORD", "not this one")
    monkeypatch.setenv("TEST_ROOT_PASSWORD", PASSWORD)
    site = site_of(port, user="admusr", root_password={"env": "TEST_ROOT_PASSWORD"})
    servers = Servers(site, Vault(), tmp_path, user_of=lambda _: "root", logins=Logins())
    assert servers.check(SERVER, "x") == "root: x\n"
    servers.close()
    assert seen == [("root", PASSWORD)]
    lacking = Servers(site_of(port), Vault(), tmp_path, user_of=lambda _: "root", logins=Logins())
    with pytest.raises(BadInput, match="root_password"):
        lacking.check(SERVER, "x")


def test_a_refused_password_is_never_sent_again_in_this_process(
    guarded: tuple[Start, list[tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, seen = guarded
    port = start().port
    monkeypatch.setenv("TEST_SSH_PASSWORD", "wrong one")
    book = Logins()
    for _ in range(3):  # also when somebody builds everything anew
        servers = Servers(site_of(port, user="admusr"), Vault(), tmp_path, logins=book)
        with pytest.raises(LoginRefused, match="admusr") as refused:
            servers.run(SERVER, "true")
        assert "wrong one" not in str(refused.value)
    assert seen == [("admusr", "wrong one")]
    monkeypatch.setenv("TEST_SSH_PASSWORD", PASSWORD)  # another password may be tried
    assert (
        Servers(site_of(port, user="admusr"), Vault(), tmp_path, logins=book).run(SERVER, "true").status == 0
    )


def test_one_book_of_logins_serves_the_process(tmp_path: Path) -> None:
    first, second = (Servers(site_of(1), Vault(), tmp_path) for _ in range(2))
    assert first._logins is second._logins


def test_a_server_that_hangs_up_on_a_password_is_not_shown_it_for_ever(
    guarded: tuple[Start, list[tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, seen = guarded
    port = start(hang_up=True).port
    monkeypatch.setenv("TEST_SSH_PASSWORD", PASSWORD)
    servers = Servers(site_of(port, user="admusr"), Vault(), tmp_path, logins=Logins())
    for error in (Unreachable, Unreachable, LoginRefused, LoginRefused):
        with pytest.raises(error):
            servers.run(SERVER, "true")
    assert len(seen) == 3


def test_the_budget_of_logins_is_kept(
    guarded: tuple[Start, list[tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, seen = guarded
    port = start().port
    monkeypatch.setenv("TEST_SSH_PASSWORD", PASSWORD)
    book = Logins()
    for _ in range(2):
        servers = Servers(site_of(port, user="admusr", logins_per_hour=2), Vault(), tmp_path, logins=book)
        servers.run(SERVER, "true")
        servers.close()
    with pytest.raises(LoginRefused, match="logins_per_hour"):
        Servers(site_of(port, user="admusr", logins_per_hour=2), Vault(), tmp_path, logins=book).run(
            SERVER, "true"
        )
    assert len(seen) == 2


def test_a_missing_secret_is_named(guarded: tuple[Start, list[tuple[str, str]]], tmp_path: Path) -> None:
    start, seen = guarded
    with pytest.raises(SecretMissing, match="TEST_SSH_PASSWORD"):
        Servers(site_of(start().port, user="admusr"), Vault(), tmp_path, logins=Logins()).run(SERVER, "true")
    assert seen == []
