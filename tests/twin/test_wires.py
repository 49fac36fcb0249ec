"""SSH, SFTP and HTTPS of the twin, with paramiko and with the real OpenSSH clients."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import paramiko
import pytest
import yaml

from lab.config import Secrets, load
from lab.main import Twin
from lab.state import Act, Announced
from lab.world import World

pytestmark = pytest.mark.twin

SECRETS = {
    "MOPFLOW_LAB_ADMUSR_PASSWORD": "adm pass/wörd-1",
    "MOPFLOW_LAB_ROOT_PASSWORD": "root-pass-2",
    "MOPFLOW_LAB_GUI_PASSWORD": "gui-pass-3",
    "MOPFLOW_LAB_OSSI_PASSWORD": "ossi-pass-4",
}
ADMUSR, ROOT = SECRETS["MOPFLOW_LAB_ADMUSR_PASSWORD"], SECRETS["MOPFLOW_LAB_ROOT_PASSWORD"]
IMAGE = "cmp-12.1.2.0.0_22.1.0-x86_64.iso"
MD5 = "0123456789abcdef0123456789abcdef"
UPGRADE, KITS = "/var/TKLC/upgrade", "/var/camiant/iso"
PATIENCE = 20.0  # real seconds until a test gives up waiting for what must come
T = TypeVar("T")


def config(**changes: Any) -> dict[str, Any]:
    def server(name: str, address: str, role: str, release: str | None, images: list[str]) -> dict[str, Any]:
        return {
            "name": name,
            "address": address,
            "port": 0,
            "role": role,
            "release": release,
            "images": images,
        }

    clusters = [
        {
            "name": "CMP Site1 Cluster", "kind": "CMP", "primary": True, "site": "site-1", "segment": None,
            "vip": "127.0.0.1",
            "servers": [
                server("cmp-1a", "127.0.1.1", "Active", None, [IMAGE]),
                server("cmp-1b", "127.0.1.2", "Standby", None, []),
            ],
        },
        {
            "name": "mpe-1", "kind": "MPE", "primary": None, "site": "site-1", "segment": "segment-1",
            "vip": "127.0.0.1",
            "servers": [
                server("mpe-1a", "127.0.1.3", "Active", None, []),
                server("mpe-1b", "127.0.1.4", "Standby", "10.5.0.0.0_40.1.0", []),
            ],
        },
    ]  # fmt: skip
    media = [{"file": IMAGE, "type": "cmp", "size": 1 << 30, "md5": MD5}]
    return {
        "source": "12.1.1.0.0_14.1.0", "target": "12.1.2.0.0_22.1.0", "speed": 600, "clusters": clusters,
        "media": media, **changes,
    }  # fmt: skip


def until(what: str, answer: Callable[[], T]) -> T:
    """The first true answer. Fails after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = answer()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Wires:
    """Where a running twin listens."""

    out: Path

    @property
    def ends(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "endpoints.json").read_text())
        return found

    def place(self, server: str) -> tuple[str, int]:
        end = self.ends["servers"][server]
        return end["address"], end["port"]

    def connect(self, server: str, user: str, password: str | None = None, **more: Any) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.load_host_keys(self.ends["known_hosts"])
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        address, port = self.place(server)
        try:
            client.connect(
                address,
                port,
                user,
                password,
                look_for_keys=False,
                allow_agent=False,
                timeout=PATIENCE,
                **more,
            )
        except paramiko.SSHException:
            client.close()
            raise
        return client

    def events(self, kind: str, **wanted: Any) -> list[dict[str, Any]]:
        lines = (self.out / "flight.jsonl").read_text().splitlines()
        found = [event for event in map(json.loads, lines) if event["event"] == kind]
        return [event for event in found if wanted.items() <= event.items()]

    def gui(self, path: str = "/") -> int:
        """Status of a GET on the primary VIP, its certificate verified."""
        trust = ssl.create_default_context(cafile=self.ends["ca"])
        with urllib.request.urlopen(
            self.ends["gui"]["CMP Site1 Cluster"] + path, context=trust, timeout=5
        ) as got:
            status: int = got.status
            return status


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def run(client: paramiko.SSHClient, command: str, given: bytes | None = None) -> Ran:
    stdin, stdout, stderr = client.exec_command(command, timeout=PATIENCE)
    if given is not None:
        stdin.write(given)
        stdin.channel.shutdown_write()
    out, err = stdout.read().decode(), stderr.read().decode()
    return Ran(stdout.channel.recv_exit_status(), out, err)


class Talk:
    """A terminal on the other side of which somebody waits for words."""

    def __init__(self, client: paramiko.SSHClient, command: str | None = None) -> None:
        transport = client.get_transport()
        assert transport is not None
        self.channel = transport.open_session()
        self.channel.settimeout(PATIENCE)
        self.channel.get_pty()
        self.seen = ""
        if command is None:
            self.channel.invoke_shell()
        else:
            self.channel.exec_command(command)

    def wait(self, pattern: str) -> str:
        """What came up to and with `pattern`."""
        while (match := re.search(pattern, self.seen)) is None:
            data = self.channel.recv(4096)
            assert data, f"the channel ended before {pattern!r}: {self.seen!r}"
            self.seen += data.decode()
        found, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return found

    def send(self, text: str) -> None:
        self.channel.sendall(text.encode())


def start_process(
    folder: Path, environment: dict[str, str] | None = None, **changes: Any
) -> subprocess.Popen[str]:
    twin_yaml = folder / "twin.yaml"
    twin_yaml.write_text(yaml.safe_dump(config(**changes)))
    return subprocess.Popen(
        [sys.executable, "-m", "lab", str(twin_yaml), "--out", str(folder / "out")],
        env={**os.environ, **(SECRETS if environment is None else environment)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wires]:
    folder = tmp_path_factory.mktemp("wires")
    process = start_process(folder)
    try:
        until(
            "endpoints.json", lambda: (folder / "out/endpoints.json").exists() or process.poll() is not None
        )
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        yield Wires(folder / "out")
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def cmp(wires: Wires) -> Iterator[paramiko.SSHClient]:
    client = wires.connect("cmp-1a", "admusr", ADMUSR)
    yield client
    client.close()


@pytest.fixture(scope="module")
def key(wires: Wires, cmp: paramiko.SSHClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ed25519 key that admusr and root of cmp-1a accept."""
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    public = path.with_suffix(".pub").read_bytes()
    line = "mkdir -p ~/.ssh && cat >> ~/.ssh/authorized_keys"
    assert run(cmp, line, public).status == 0
    assert run(cmp, f"sudo sh -c '{line.replace('~', '/root')}'", public).status == 0
    return path


# ---- logins ----


def test_root_logs_in_by_password_on_10_5_only(wires: Wires) -> None:
    wires.connect("mpe-1b", "root", ROOT).close()
    with pytest.raises(paramiko.AuthenticationException):
        wires.connect("cmp-1a", "root", ROOT)
    assert wires.events("ssh_login", server="mpe-1b", user="root", ok=True)
    assert wires.events("ssh_login", server="cmp-1a", user="root", ok=False)


@pytest.mark.parametrize(("user", "password"), [("admusr", "wrong"), ("admusr", ROOT), ("nobody", ADMUSR)])
def test_a_wrong_login_is_refused_and_recorded_once(wires: Wires, user: str, password: str) -> None:
    before = len(wires.events("ssh_login", server="cmp-1b", user=user, ok=False))
    with pytest.raises(paramiko.AuthenticationException):
        wires.connect("cmp-1b", user, password)
    assert len(wires.events("ssh_login", server="cmp-1b", user=user, ok=False)) == before + 1


def test_every_server_has_keys_of_its_own(wires: Wires) -> None:
    lines = Path(wires.ends["known_hosts"]).read_text().splitlines()
    places = {f"[{address}]:{port}" for address, port in map(wires.place, wires.ends["servers"])}
    assert {line.split()[0] for line in lines} == places
    assert {line.split()[1] for line in lines} == {"ssh-ed25519"}
    assert len({line.split()[2] for line in lines}) == len(lines) == 4


def test_a_key_that_nobody_authorized_is_refused_and_recorded(wires: Wires) -> None:
    with pytest.raises(paramiko.SSHException):
        wires.connect("mpe-1a", "admusr", pkey=paramiko.RSAKey.generate(2048))
    until("the event", lambda: wires.events("ssh_login", server="mpe-1a", user="admusr", ok=False))


@pytest.mark.parametrize("legacy", [False, True], ids=["rsa-sha2", "ssh-rsa"])
def test_an_rsa_key_logs_in_with_old_and_new_signatures(
    wires: Wires, cmp: paramiko.SSHClient, legacy: bool
) -> None:
    pair = paramiko.RSAKey.generate(2048)
    line = f"mkdir -p ~/.ssh && echo 'ssh-rsa {pair.get_base64()} me' >> ~/.ssh/authorized_keys"
    assert run(cmp, line).status == 0
    disabled = {"pubkeys": ["rsa-sha2-256", "rsa-sha2-512"]} if legacy else None
    client = wires.connect("cmp-1a", "admusr", pkey=pair, disabled_algorithms=disabled)
    assert run(client, "whoami").out == "admusr\n"
    client.close()


# ---- the shell ----


@pytest.mark.parametrize(
    ("command", "status", "out"),
    [
        ("echo 'a  b' \"$HOME\" c\\ d", 0, "a  b /home/admusr c d\n"),
        ("false && echo x; echo $?", 0, "1\n"),
        ("false || echo no && echo yes", 0, "no\nyes\n"),
        ("! true; echo $?", 0, "1\n"),
        ("nosuch 2>/dev/null", 127, ""),
        ("./nosuch 2>/dev/null", 127, ""),
        ("nosuch 2>&1", 127, "bash: nosuch: command not found\n"),
        ("exit 7", 7, ""),
        ("(cd /tmp; pwd); pwd", 0, "/tmp\n/home/admusr\n"),
        ("{ echo a; echo b; } | tail -1", 0, "b\n"),
        ("printf '%s\\n' one two three | grep -c -E '^t'", 0, "2\n"),
        ("printf '%s\\n' one two | grep -c x", 1, "0\n"),
        ("printf '\\n%s:%d\\n' AAA''BBB 3", 0, "\nAAABBB:3\n"),
        ("x=$(hostname); echo \"<$x>\" `whoami`", 0, "<cmp-1a> admusr\n"),
        ("A=1 sh -c 'echo $A'; echo \"[$A]\"", 0, "1\n[]\n"),
        ("echo ls *nothing*", 0, "ls *nothing*\n"),
        (f"cd {UPGRADE} && echo cmp-12*.iso", 0, f"{IMAGE}\n"),
        ("[ -f /nope ] || test -d /tmp && echo ok", 0, "ok\n"),
        ("yes_or=no; test \"$yes_or\" = no && [ 3 -gt 2 ] && echo ok", 0, "ok\n"),
        ("sudo whoami; sudo -n id -u", 0, "root\n0\n"),
        ("sudo su - -c 'pwd; whoami'", 0, "/root\nroot\n"),
        ("head -c 3 /dev/null; echo abcdef | head -c 3", 0, "abc"),
        ("echo abc | wc -c", 0, "4\n"),
        ("cat /nope", 1, ""),
        ("ls /nope", 2, ""),
        ("if true", 2, ""),
        ("echo 'open", 2, ""),
        ("hostname -s; getPolicyRev; getPolicyRev -p; getPlatRev", 0,
         "cmp-1a\n12.1.1.0.0_14.1.0\ncmp\n7.0.2.0.0_86.28.0\n"),
        ("sudo verifyUpgrade", 0, ""),
        ("hwclock", 1, ""),
        (f"md5sum {UPGRADE}/{IMAGE}", 0, f"{MD5}  {UPGRADE}/{IMAGE}\n"),
        (f"stat -c '%s %n' {UPGRADE}/{IMAGE}", 0, f"{1 << 30} {UPGRADE}/{IMAGE}\n"),
    ],
)  # fmt: skip
def test_shell(cmp: paramiko.SSHClient, command: str, status: int, out: str) -> None:
    ran = run(cmp, command)
    assert (ran.status, ran.out) == (status, out), ran.err


def test_redirections(cmp: paramiko.SSHClient) -> None:
    line = (
        "echo one > /tmp/r; echo two >> /tmp/r; ls /nope >> /tmp/r 2>&1; cat < /tmp/r; rm /tmp/r; ls /tmp/r"
    )
    ran = run(cmp, line)
    assert ran.out == "one\ntwo\nls: cannot access /nope: No such file or directory\n"
    assert (ran.status, ran.err) == (2, "ls: cannot access /tmp/r: No such file or directory\n")


def test_syscheck_announces_every_class_and_says_ok(cmp: paramiko.SSHClient) -> None:
    ran = run(cmp, "sudo syscheck")
    body = ran.out.split("LOG LOCATION: /var/TKLC/log/syscheck/fail_log")[0]
    classes = re.findall(r"Running modules in class (\w+)\.\.\.\s+OK\s", body)
    assert classes == ["disk", "hardware", "net", "proc", "services", "system", "upgrade"]
    assert 'Current file space use in "/"' in run(cmp, "syscheck -v disk fs").out


def test_df_counts_what_lies_there(cmp: paramiko.SSHClient) -> None:
    line = run(cmp, f"df -Pk {UPGRADE}").out.splitlines()[1].split()
    assert line[5] == "/var/TKLC"
    assert int(line[1]) == int(line[2]) + int(line[3])
    assert int(line[2]) > (1 << 30) // 1024
    assert "Size" in run(cmp, "df -h /var/TKLC").out
    assert run(cmp, "df -h /nope").status == 1


def test_clocks_agree_and_run_fast(cmp: paramiko.SSHClient) -> None:
    first = int(run(cmp, "date +%s").out)
    until("the twin's minute", lambda: int(run(cmp, "date +%s").out) >= first + 60)
    assert run(cmp, "date -u '+%Z'").out == "UTC\n"
    assert re.match(r"\w{3} \d\d \w{3} \d{4} [\d:]{8} [AP]M", run(cmp, "sudo hwclock").out)
    assert re.search(r"^\*\S+ +\S+ +\d+ u .* 377 ", run(cmp, "ntpq -np").out, re.MULTILINE)


def test_a_shell_without_terminal_reads_its_input(cmp: paramiko.SSHClient) -> None:
    ran = run(cmp, "sudo su -", b"whoami\ncd /etc\npwd\nsudo su - admusr\nwhoami\nexit 4\necho $?\nexit 3\n")
    assert (ran.status, ran.out) == (3, "root\n/etc\nadmusr\n4\n")


def test_commands_are_recorded_without_secrets(wires: Wires, cmp: paramiko.SSHClient) -> None:
    run(cmp, f"echo '{ADMUSR}' > /dev/null; echo marked-command")
    (event,) = wires.events(
        "ssh_command",
        server="cmp-1a",
        user="admusr",
        command="echo '********' > /dev/null; echo marked-command",
    )
    assert event["t"] > 0


# ---- terminals ----


def test_a_terminal_echoes_edits_and_prompts(cmp: paramiko.SSHClient) -> None:
    talk = Talk(cmp)
    talk.wait(r"\[admusr@cmp-1a ~\]\$ $")
    talk.send(f"cd {UPGRADE}x\x7f; ls\r")
    assert f"\r\n{IMAGE}\r\n" in talk.wait(r"\[admusr@cmp-1a upgrade\]\$ $")
    talk.send("sudo su -\r")
    talk.wait(r"\[root@cmp-1a ~\]# $")
    talk.send("stty -echo; PS1='@@READY@@ '\r")
    talk.wait("\r\n@@READY@@ $")
    talk.send("whoami\r")
    assert talk.wait("@@READY@@ $") == "root\r\n@@READY@@ "
    talk.send("garbage\x03")
    talk.wait("@@READY@@ $")
    talk.send("exit\r")
    talk.wait(r"upgrade\]\$ $")
    talk.send("exit 5\r")
    talk.wait("logout\r\n")
    assert talk.channel.recv_exit_status() == 5


@pytest.mark.parametrize(
    ("password", "ends"), [(ROOT, r"root@cmp-1a ~\]# $"), ("no", r"su: incorrect password")]
)
def test_su_asks_for_the_password_without_echo(
    wires: Wires, cmp: paramiko.SSHClient, password: str, ends: str
) -> None:
    talk = Talk(cmp)
    talk.wait(r"\$ $")
    talk.send("su -\r")
    talk.wait("Password: $")
    talk.send(f"{password}\r")
    assert password not in talk.wait(ends).replace("incorrect password", "")
    talk.channel.close()


def test_key_exchange(wires: Wires, cmp: paramiko.SSHClient) -> None:
    """9.1.1 step 4: --check fails by name, --prov needs a terminal and the right password, then --check passes."""
    check, prov = "sudo qpSSHKeyProv.pl --check", "sudo qpSSHKeyProv.pl --prov"
    before = run(cmp, check)
    assert before.status == 1
    assert "SSH keys are OK." not in before.out
    assert all(f"on {name} " in before.out for name in ("cmp-1b", "mpe-1a", "mpe-1b"))
    assert run(cmp, f"echo anything | {prov}").status == 1

    wrong = Talk(cmp, prov)
    wrong.wait(r"The password of admusr in topology:")
    wrong.send("wrong\n")
    wrong.wait("not correct")
    assert wrong.channel.recv_exit_status() == 1
    assert run(cmp, check).status == 1

    right = Talk(cmp, prov)
    right.wait(r"The password of admusr in topology:")
    right.send(f"{ADMUSR}\n")
    said = right.wait(r"SSH keys are OK\.")
    assert right.channel.recv_exit_status() == 0
    assert ADMUSR not in said
    assert "Connecting to admusr@mpe-1a (127.0.1.3) ..." in said
    assert "[3/3] Provisioning SSH keys on mpe-1b (127.0.1.4) ..." in said
    after = run(cmp, check)
    assert (after.status, after.out.splitlines()[-1]) == (0, "SSH keys are OK.")
    assert run(cmp, "qpSSHKeyProv.pl --check").status == 1  # not root


# ---- files ----


def test_the_kit_folder_belongs_to_root(wires: Wires, cmp: paramiko.SSHClient) -> None:
    """9.1.1 step 8."""
    refused = run(cmp, f"cp -p {UPGRADE}/{IMAGE} {KITS}/")
    assert (refused.status, "Permission denied" in refused.err) == (1, True)
    assert run(cmp, f"ls {KITS}").out == ""
    assert run(cmp, f"sudo cp -p {UPGRADE}/{IMAGE} {KITS}/").status == 0
    assert run(cmp, f"ls {KITS}").out == f"{IMAGE}\n"
    sums = [run(cmp, f"sha256sum {folder}/{IMAGE}").out.split()[0] for folder in (UPGRADE, KITS)]
    assert sums[0] == sums[1]
    times = run(cmp, f"stat -c %Y {UPGRADE}/{IMAGE} {KITS}/{IMAGE}").out.split()
    assert times[0] == times[1]
    assert wires.events("file", server="cmp-1a", path=f"{KITS}/{IMAGE}", op="write", size=1 << 30)
    assert run(cmp, f"rm -f {KITS}/{IMAGE}").status == 1
    assert run(cmp, f"sudo rm -f {KITS}/{IMAGE}").status == 0


def test_raw_upload_verify_resume_and_rename(wires: Wires, cmp: paramiko.SSHClient) -> None:
    data = os.urandom(3_000_000)
    part, name = "/tmp/load.part", "/tmp/load.bin"
    assert run(cmp, f"cat > {part}", data[:1_234_567]).status == 0
    prefix = run(cmp, f"head -c 1000000 {part} | sha256sum").out.split()[0]
    assert prefix == hashlib.sha256(data[:1_000_000]).hexdigest()
    assert run(cmp, f"truncate -s 1000000 {part} && cat >> {part}", data[1_000_000:]).status == 0
    assert run(cmp, f"sha256sum {part}").out.split()[0] == hashlib.sha256(data).hexdigest()
    assert run(cmp, f"mv {part} {name}; ls {part}").status == 2
    assert run(cmp, f"stat -c %s {name}").out == "3000000\n"
    assert run(cmp, f"cat {name} | head -c 5 | wc -c").out == "5\n"
    assert run(cmp, f"cat {name} | sha256sum").out.split()[0] == hashlib.sha256(data).hexdigest()
    assert wires.events("file", server="cmp-1a", path=name, op="write", size=3_000_000)
    assert wires.events("file", server="cmp-1a", path=part, op="delete")


def test_sftp(wires: Wires, cmp: paramiko.SSHClient) -> None:
    data = os.urandom(700_001)
    with cmp.open_sftp() as sftp:
        assert sftp.normalize(".") == "/home/admusr"
        sftp.putfo(io.BytesIO(data), f"{UPGRADE}/up.bin", confirm=True)
        back = io.BytesIO()
        sftp.getfo(f"{UPGRADE}/up.bin", back)
        assert back.getvalue() == data
        with sftp.open(f"{UPGRADE}/up.bin", "r+b") as file:
            file.seek(700_001)
            file.write(b"more")
        assert sftp.stat(f"{UPGRADE}/up.bin").st_size == 700_005
        sftp.posix_rename(f"{UPGRADE}/up.bin", f"{UPGRADE}/up2.bin")
        assert "up2.bin" in sftp.listdir(UPGRADE)
        assert stat.S_ISDIR(sftp.stat(UPGRADE).st_mode or 0)
        sftp.utime(f"{UPGRADE}/up2.bin", (1_700_000_000, 1_700_000_000))
        assert sftp.stat(f"{UPGRADE}/up2.bin").st_mtime == 1_700_000_000
        sftp.remove(f"{UPGRADE}/up2.bin")
        with pytest.raises(FileNotFoundError):
            sftp.stat(f"{UPGRADE}/up2.bin")
        with pytest.raises(PermissionError):
            sftp.putfo(io.BytesIO(data), f"{KITS}/up.bin")
        with pytest.raises(PermissionError):
            sftp.listdir("/root")


def test_sftp_shows_nothing_of_this_machine(cmp: paramiko.SSHClient) -> None:
    here = Path(__file__)
    with cmp.open_sftp() as sftp:
        assert set(sftp.listdir("/")) == {"etc", "home", "mnt", "opt", "root", "tmp", "var"}
        with pytest.raises(FileNotFoundError):
            sftp.stat(str(here))
        for act in (sftp.readlink, sftp.rmdir):
            with pytest.raises(OSError):
                act(str(here.parent))
        with pytest.raises(OSError):
            sftp.symlink(str(here), "/tmp/link")


# ---- the real OpenSSH clients ----


def openssh(
    wires: Wires, program: str, key: Path, *words: str, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    port = str(wires.place("cmp-1a")[1])
    options = [
        "-F", "none", "-i", str(key), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
        "-o", f"UserKnownHostsFile={wires.ends['known_hosts']}", "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", "IdentitiesOnly=yes", "-p" if program == "ssh" else "-P", port,
    ]  # fmt: skip
    return subprocess.run(
        [program, *options, *words], input=given, capture_output=True, text=True, timeout=60
    )


def test_openssh_runs_a_command_as_admusr_and_as_root_with_a_key(wires: Wires, key: Path) -> None:
    for user in ("admusr", "root"):
        ran = openssh(wires, "ssh", key, f"{user}@127.0.1.1", "whoami; nosuch")
        assert (ran.returncode, ran.stdout) == (127, f"{user}\n"), ran.stderr
        assert "bash: nosuch: command not found" in ran.stderr


def test_openssh_with_a_terminal(wires: Wires, key: Path) -> None:
    ran = openssh(wires, "ssh", key, "-tt", "admusr@127.0.1.1", given="whoami\nexit 6\n")
    assert ran.returncode == 6
    assert "\nadmusr" in ran.stdout.replace("\r", "")


def test_openssh_sftp_and_both_kinds_of_scp(wires: Wires, key: Path, tmp_path: Path) -> None:
    local = tmp_path / "local.bin"
    local.write_bytes(os.urandom(200_000))
    batch = f"put {local} /tmp/by-sftp\nls -l /tmp\nget /tmp/by-sftp {tmp_path}/back\nrm /tmp/by-sftp\n"
    ran = openssh(wires, "sftp", key, "-b", "-", "admusr@127.0.1.1", given=batch)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "back").read_bytes() == local.read_bytes()
    for place, words in enumerate([[], ["-O"]]):
        ran = openssh(wires, "scp", key, "-p", *words, str(local), f"admusr@127.0.1.1:/tmp/by-scp-{place}")
        assert ran.returncode == 0, ran.stderr
        checked = openssh(wires, "ssh", key, "admusr@127.0.1.1", f"md5sum /tmp/by-scp-{place}")
        assert checked.stdout.split()[0] == hashlib.md5(local.read_bytes()).hexdigest()


# ---- the process ----


def test_https_serves_the_gui_under_the_twins_own_ca(wires: Wires) -> None:
    assert wires.gui() == 200
    with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
        urllib.request.urlopen(wires.ends["gui"]["CMP Site1 Cluster"], timeout=5)
    keys = list((wires.out / "tls").glob("*.key"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in keys] == [0o600]


def test_no_secret_in_any_file_of_the_run(wires: Wires, cmp: paramiko.SSHClient) -> None:
    run(cmp, "true")
    for path in wires.out.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [name for name, secret in SECRETS.items() if secret.encode() in content], path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_twin_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    process = start_process(tmp_path)
    wires = Wires(tmp_path / "out")
    until("endpoints.json", (wires.out / "endpoints.json").exists)
    assert wires.ends["pid"] == process.pid
    client = wires.connect("cmp-1a", "admusr", ADMUSR)
    stdin, _, _ = client.exec_command("cat > /tmp/open")
    stdin.write(b"half")
    stdin.flush()
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    client.close()
    assert json.loads((wires.out / "world.json").read_text())["target"] == "12.1.2.0.0_22.1.0"

    again = start_process(tmp_path)
    _, err = again.communicate(timeout=PATIENCE)
    assert again.returncode == 2
    assert "holds a run already" in err


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    process = start_process(tmp_path, {**SECRETS, "MOPFLOW_LAB_ROOT_PASSWORD": ""})
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "MOPFLOW_LAB_ROOT_PASSWORD" in err
    assert "MOPFLOW_LAB_ADMUSR_PASSWORD" not in err


def test_a_mistake_in_the_input_is_named(tmp_path: Path) -> None:
    process = start_process(tmp_path, faults=["no_such_fault@mpe-1a"])
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "no_such_fault" in err
    assert "Traceback" not in err


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.1.1", 0)) as taken:
        port = taken.getsockname()[1]
        clusters = config()["clusters"]
        clusters[0]["servers"][0]["port"] = port
        process = start_process(tmp_path, clusters=clusters)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert f"127.0.1.1:{port}" in err


# ---- going away and coming back ----


class InProcess:
    """A twin in this process, whose world the test may push."""

    def __init__(self, folder: Path) -> None:
        path = folder / "twin.yaml"
        path.write_text(yaml.safe_dump(config(speed=20)))  # slow enough to see the VIP away
        self.config = load(path)
        self.secrets = Secrets.from_environment(self.config.credentials, SECRETS)
        self.out = folder / "out"
        self.out.mkdir()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.twin = self.ask(self._start())

    async def _start(self) -> Twin:
        twin = Twin(self.config, self.secrets, self.out)
        await twin.start()
        return twin

    def ask(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def push(self, act: Callable[[World], object]) -> None:
        async def do() -> None:
            assert self.twin.world is not None
            act(self.twin.world)

        self.ask(do())

    def stop(self) -> None:
        self.ask(self.twin.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)
        self.loop.close()


@pytest.fixture
def pushed(tmp_path: Path) -> Iterator[InProcess]:
    made = InProcess(tmp_path)
    yield made
    made.stop()


def refused(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_ssh_goes_with_the_server_and_comes_back_on_its_port(pushed: InProcess) -> None:
    wires = Wires(pushed.out)
    place = wires.place("mpe-1a")
    client = wires.connect("mpe-1a", "admusr", ADMUSR)
    other = wires.connect("cmp-1a", "admusr", ADMUSR)
    stdin, _, _ = client.exec_command("cat > /tmp/half")
    stdin.write(b"x" * 1000)
    stdin.flush()
    until(
        "the file", lambda: wires.connect("mpe-1a", "admusr", ADMUSR).open_sftp().listdir("/tmp") == ["half"]
    )

    pushed.push(lambda world: world.set_reachable(world.servers["mpe-1a"], False))
    assert refused(place)
    transport = client.get_transport()
    assert transport is not None
    until("the open connection is cut", lambda: not transport.is_active())
    assert run(other, "whoami").out == "admusr\n"  # the other servers go on

    for up in (True, False, True):  # also when it comes and goes at once
        pushed.push(lambda world, up=up: world.set_reachable(world.servers["mpe-1a"], up))
    until("it listens again", lambda: not refused(place))
    again = wires.connect("mpe-1a", "admusr", ADMUSR)  # same address, port and host key
    assert run(again, "cat /tmp/half | wc -c").out == "1000\n"
    assert " up 41 days" not in run(again, "uptime").out
    assert wires.place("mpe-1a") == place


def fail_over(world: World) -> None:
    world.perform(Announced(Act.FAILOVER, "CMP Site1 Cluster", None, "", "", takeover="cmp-1b"), "admin")


def test_the_gui_goes_with_the_vip_and_comes_back_on_its_port(pushed: InProcess) -> None:
    wires = Wires(pushed.out)
    assert wires.gui() == 200
    url = wires.ends["gui"]["CMP Site1 Cluster"]
    place = ("127.0.0.1", int(url.rpartition(":")[2]))
    trust = ssl.create_default_context(cafile=wires.ends["ca"])
    with trust.wrap_socket(socket.create_connection(place), server_hostname=place[0]) as open_connection:
        open_connection.settimeout(PATIENCE)
        pushed.push(fail_over)
        until("the VIP moves", lambda: refused(place))
        with pytest.raises((ConnectionError, ssl.SSLError)):
            while open_connection.recv(100):
                pass
            raise ConnectionAbortedError("the connection was ended")
    until("the VIP is back", lambda: not refused(place))
    assert wires.gui() == 200
