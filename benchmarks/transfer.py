"""How fast is one image to one server, beside OpenSSH's own scp in the same run?

    python benchmarks/transfer.py [--size MIB] [--rounds N] [--folder DIR]

Starts an sshd of its own on loopback (needs root and OpenSSH), sends one image by every method, round after round so
that all of them meet the same load, compares every file, prints MB/s (10^6 bytes), CPU seconds per GiB of our side
and of the server's, and the ratio to scp; then removes everything. Source and target lie in DIR, by default in the
RAM disk if it is large enough.

`mopflow, whole` is what a transfer of the product is: shell asked, room asked, sent and hashed in one pass, MD5 on
the server, renamed. scp verifies nothing, so the fair comparison is `mopflow, stream`.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import hashlib
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mopflow.secrets import Vault
from mopflow.site import Site
from mopflow.ssh import Logins, Servers
from mopflow.transfer import BLOCK, Parcel, Sending, send

NAME = "cmp-12.1.2.0.0_22.1.0-x86_64.iso"
GCM = "aes128-gcm@openssh.com"
GIB = 1 << 30
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Daemon:
    """An sshd with keys of its own; its sessions are its children, so their CPU time is in its cutime."""

    def __init__(self, base: Path) -> None:
        assert SSHD is not None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", base / key], check=True)
        self.key, self.known = base / "user", base / "known_hosts"
        shutil.copy(base / "user.pub", base / "authorized")
        self.known.write_text(f"[127.0.0.1]:{self.port} {(base / 'host.pub').read_text()}")
        options = {
            "Port": self.port, "ListenAddress": "127.0.0.1", "HostKey": base / "host",
            "AuthorizedKeysFile": base / "authorized", "PidFile": base / "pid", "StrictModes": "no",
            "PermitRootLogin": "prohibit-password", "PasswordAuthentication": "no", "UsePAM": "no",
            "Subsystem": "sftp internal-sftp",
        }  # fmt: skip
        config = base / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        Path("/run/sshd").mkdir(exist_ok=True)
        self.process = subprocess.Popen([SSHD, "-D", "-f", config], stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > ends:
                    raise SystemExit("sshd does not start") from None
                time.sleep(0.05)

    def cpu(self) -> float:
        """CPU seconds of the daemon and of its sessions that have ended."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(fields[place]) for place in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")

    def sessions(self) -> int:
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return len(found.stdout.split())

    def quiet(self) -> None:
        """All sessions have ended and were counted."""
        ends = time.monotonic() + 20
        while self.sessions() and time.monotonic() < ends:
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@dataclass
class Result:
    seconds: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)


def site_of(port: int, key: Path, known: Path, md5: str) -> Site:
    rest = [{"name": f"other-{n}", "address": f"192.0.2.{n}"} for n in range(1, 4)]
    first = {"name": "cmp-1a", "address": "127.0.0.1", "port": port}
    return Site.model_validate(
        {
            "name": "benchmark",
            "source": "12.1.1.0.0_14.1.0",
            "target": "12.1.2.0.0_22.1.0",
            "console": {"user": "x", "password": {"env": "UNUSED"}},
            "ssh": {
                "user": "root", "password": {"env": "UNUSED"}, "key": str(key), "known_hosts": str(known),
                "logins_per_hour": 10_000,
            },
            "cmp": {"primary": {"name": "CMP", "vip": "192.0.2.9", "servers": [first, rest[0]]}},
            "segments": [{"name": "s", "clusters": [{"name": "m", "kind": "MPE", "servers": rest[1:3]}]}],
            "media": [
                {"file": NAME, "type": "cmp", "md5": md5},
                {"file": NAME.replace("cmp", "mpe"), "type": "mpe", "md5": "0" * 32},
            ],
        }
    )  # fmt: skip


def blocks(path: Path) -> Iterator[bytes]:
    """As the product reads and hashes them."""
    parcel = Parcel(path, "", path.stat().st_size, "")
    from mopflow.bandwidth import Bucket
    from mopflow.transfer import _Hash

    sending = Sending(
        contextlib.nullcontext,  # type: ignore[arg-type, return-value]
        "", parcel, bucket=Bucket(None), tell=lambda _p: None, reserve=0, again=(0.0,), pause=time.sleep,
    )  # fmt: skip
    found = _Hash(hashlib.md5(usedforsecurity=False))
    yield from sending._blocks(found, 0)
    found.hexdigest()
    found.close()


def scp(daemon: Daemon, source: Path, target: Path, *options: str) -> None:
    known = ["-o", f"UserKnownHostsFile={daemon.known}", "-o", "StrictHostKeyChecking=yes"]
    where = f"root@127.0.0.1:{target}"
    command = ["scp", "-q", "-B", "-P", str(daemon.port), "-i", daemon.key, *known, *options, source, where]
    subprocess.run(command, check=True)


def cpu() -> float:
    own, sub = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + sub.ru_utime + sub.ru_stime


def measure(daemon: Daemon, act: Callable[[], object], result: Result) -> None:
    daemon.quiet()
    server, own, begun = daemon.cpu(), cpu(), time.monotonic()
    act()
    result.seconds.append(time.monotonic() - begun)
    result.own.append(cpu() - own)
    daemon.quiet()
    result.server.append(daemon.cpu() - server)


def make_image(path: Path, size: int) -> str:
    """Random bytes, so that nothing is sparse or compressible."""
    found = hashlib.md5(usedforsecurity=False)
    with path.open("wb") as file:
        for _ in range(size // BLOCK):
            block = os.urandom(BLOCK)
            found.update(block)
            file.write(block)
    return found.hexdigest()


def run(base: Path, size: int, rounds: int) -> None:
    source, target = base / NAME, base / "there" / NAME
    target.parent.mkdir()
    md5 = make_image(source, size)
    daemon = Daemon(base)
    site = site_of(daemon.port, daemon.key, daemon.known, md5)

    def stream() -> None:
        servers = Servers(site, Vault(), base, logins=Logins())
        reply = servers.feed("cmp-1a", f"cat > {target}", blocks(source))
        servers.close()
        assert reply.status == 0, reply

    def whole() -> None:
        servers = Servers(site, Vault(), base, logins=Logins())
        send(servers, "cmp-1a", Parcel(source, str(target), size, md5), reserve=0)
        servers.close()

    methods: dict[str, Callable[[], object]] = {
        "scp (default)": lambda: scp(daemon, source, target),
        f"scp -c {GCM.split('@')[0]}": lambda: scp(daemon, source, target, "-c", GCM),
        "mopflow, stream": stream,
        "mopflow, whole": whole,
    }
    results = {name: Result() for name in methods}
    try:
        for number in range(1, rounds + 1):
            for name, act in methods.items():
                measure(daemon, act, results[name])
                assert filecmp.cmp(source, target, shallow=False), f"{name}: another file arrived"
                target.unlink()
                print(
                    f"round {number}: {name:24} {size / 1e6 / results[name].seconds[-1]:7.1f} MB/s",
                    flush=True,
                )
    finally:
        daemon.stop()
    show(results, size)


def show(results: dict[str, Result], size: int) -> None:
    share = GIB / size
    print(f"\n{size / GIB:.2f} GiB, best of {len(next(iter(results.values())).seconds)} rounds (median)")
    print(f"{'method':26}{'MB/s':>16}{'CPU s/GiB here':>17}{'at sshd':>10}{'x scp':>8}{'x scp gcm':>11}")
    rates = {name: size / 1e6 / min(r.seconds) for name, r in results.items()}
    default, gcm = list(rates.values())[:2]
    for name, r in results.items():
        median = size / 1e6 / statistics.median(r.seconds)
        print(
            f"{name:26}{rates[name]:8.1f} ({median:5.1f}){min(r.own) * share:17.2f}"
            f"{min(r.server) * share:10.2f}{rates[name] / default:8.2f}{rates[name] / gcm:11.2f}"
        )


def place(size: int) -> Path | None:
    """The RAM disk, when source and target find room there twice over."""
    ram = Path("/dev/shm")
    if ram.is_dir() and shutil.disk_usage(ram).free > 3 * size:
        return ram
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    if SSHD is None or os.geteuid() != 0:
        raise SystemExit("needs OpenSSH's sshd, and root to run it")
    size = chosen.size << 20
    with tempfile.TemporaryDirectory(dir=chosen.folder or place(size), prefix="mopflow-benchmark-") as base:
        print(f"in {base}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        run(Path(base), size, chosen.rounds)


if __name__ == "__main__":
    main()
