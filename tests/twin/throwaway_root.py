"""A throwaway root for tests of accounts: a mount namespace with its own /etc, and in it real PAM, shadow-utils and sshd.

What runs in it sees private copies (tmpfs) of /etc, /root, /home, /run, /var/log and /usr/local/bin, so no account and
no file of this machine is ever touched; all of it is gone when its sshd ends.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from lab.unix_crypt import crypt

# As the figures of 4.6.5 show it, with the modules that this machine has in the place of CentOS 6's own.
SYSTEM_AUTH = """\
#%PAM-1.0
# This file is auto-generated.
# User changes will be destroyed the next time authconfig is run.
auth        required      pam_env.so
auth        sufficient    pam_unix.so nullok try_first_pass
auth        required      pam_deny.so

account     required      pam_unix.so

password    requisite     pam_pwquality.so try_first_pass retry=3 type= enforce_for_root minclass=3 dictcheck=0
password    sufficient    pam_unix.so md5 shadow nullok try_first_pass use_authtok
password    required      pam_deny.so

session     required      pam_permit.so
"""
LOGIN_DEFS = """\
# $Id$
MAIL_DIR\t/var/spool/mail
PASS_MAX_DAYS\t99999
PASS_MIN_DAYS\t0
PASS_WARN_AGE\t7
UMASK           077
USERGROUPS_ENAB yes
MD5_CRYPT_ENAB yes
ENCRYPT_METHOD MD5
"""
LIBUSER_CONF = """\
[import]
login_defs = /etc/login.defs
[defaults]
# The default (/usr/lib*/libuser) is usually correct
crypt_style = md5
modules = files shadow
"""
# What rcstool is on a TPD server is not public; this one does with RCS itself what the document shows of it.
RCSTOOL = """\
#!/bin/sh
op=$1; file=$(readlink -f "$2"); archive=/etc/RCS/$(basename "$file"),v
test -f "$archive" || { echo "rcstool: $2 is not under revision control" >&2; exit 1; }
locked=$(rlog -R -L "$archive")
case $op in
co)
  test -z "$locked" || { echo "rcstool: $2 is checked out already" >&2; exit 1; }
  co -q -f -l "$archive" "$file" || exit 1 ;;
ci)
  test -n "$locked" || { echo "rcstool: $2 is not checked out" >&2; exit 1; }
  test ! -e /etc/ci-fails || { echo "ci: cannot write $archive" >&2; exit 1; }
  ci -q -u -mchanged "$archive" "$file" || exit 1; chmod u+w "$file" ;;
unco)
  test -n "$locked" || { echo "rcstool: $2 is not checked out" >&2; exit 1; }
  rcs -q -u "$archive" && co -q -f -u "$archive" "$file" || exit 1; chmod u+w "$file" ;;
esac
echo "RCS_VERSION=$(rlog -h "$archive" | sed -n 's/^head: //p')"
"""
_SERVICE = "auth include system-auth\naccount include system-auth\npassword include system-auth\nsession include system-auth\n"
_SETUP = """\
set -e
mount -t tmpfs -o mode=755 tmpfs "$WORLD"
cp -a /etc "$WORLD/etc"
mkdir "$WORLD/bin"
mount --bind "$WORLD/etc" /etc
mount --bind "$WORLD/bin" /usr/local/bin
for private in /root /home /run /var/log; do mount -t tmpfs -o mode=755 tmpfs $private; done
chmod 700 /root
mkdir /run/sshd /etc/RCS
touch /var/log/lastlog /var/log/wtmp
cp "$GIVEN/rcstool" /usr/local/bin/rcstool
chmod 755 /usr/local/bin/rcstool
cp "$GIVEN/login.defs" "$GIVEN/libuser.conf" /etc/
cp "$GIVEN/system-auth" /etc/pam.d/system-auth-ac
ln -sf system-auth-ac /etc/pam.d/system-auth
for service in sshd passwd chpasswd sudo su su-l; do cp "$GIVEN/service" /etc/pam.d/$service; done
for service in su su-l; do { echo 'auth sufficient pam_rootok.so'; cat "$GIVEN/service"; } >/etc/pam.d/$service; done
echo 'admusr ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admusr
chmod 440 /etc/sudoers.d/admusr
userdel admusr 2>/dev/null || true
useradd -m -s /bin/bash admusr 2>/dev/null
useradd -M -s /bin/bash oper1 2>/dev/null
chpasswd -e <"$GIVEN/hashes"
chage -d 16825 root
chage -d 16825 admusr
for file in login.defs libuser.conf pam.d/system-auth-ac; do
  ci -q -u -i -t-first "/etc/RCS/$(basename $file),v" "/etc/$file" </dev/null
  chmod u+w "/etc/$file"
done
exec "$SSHD" -D -e -f "$GIVEN/sshd_config"
"""


def lacking() -> str:
    """Why such a root cannot be made here; "" when it can."""
    if os.geteuid() != 0:
        return "needs root"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    tools = ("sshd", "unshare", "sudo", "passwd", "chpasswd", "useradd", "su", "ci", "co", "rlog", "rcs")
    missing = [tool for tool in tools if shutil.which(tool, path=path) is None]
    if not list(Path("/lib").glob("*/security/pam_pwquality.so")):
        missing.append("libpam-pwquality")
    if missing:
        return f"needs {', '.join(missing)}"
    probe = ["unshare", "-m", "--propagation", "private", "sh", "-c", "mount -t tmpfs none /mnt"]
    return "" if subprocess.run(probe, capture_output=True).returncode == 0 else "needs mount namespaces"


class ThrowawayRoot:
    """One such root whose sshd listens on a free port of loopback. `known_hosts` and `port` say how to reach it."""

    def __init__(self, base: Path, passwords: dict[str, str], *options: str) -> None:
        self.base = base
        self.port = _free_port()
        world = base / "world"
        world.mkdir()
        key = base / "host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        public = Path(f"{key}.pub").read_text().split()
        (base / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public[0]} {public[1]}\n")
        given = {
            "rcstool": RCSTOOL,
            "login.defs": LOGIN_DEFS,
            "libuser.conf": LIBUSER_CONF,
            "system-auth": SYSTEM_AUTH,
            "service": _SERVICE,
            "hashes": "".join(f"{u}:{crypt(p, '$1$saltsalt')}\n" for u, p in passwords.items()),
            "sshd_config": "\n".join(
                [
                    f"Port {self.port}",
                    "ListenAddress 127.0.0.1",
                    f"HostKey {key}",
                    f"PidFile {base / 'sshd.pid'}",
                    "UsePAM yes",
                    "LogLevel VERBOSE",
                    *options,
                    "",
                ]
            ),
        }
        for name, text in given.items():
            (base / name).write_text(text)
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
        self._log = (base / "sshd.log").open("wb")
        self._process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", _SETUP],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "WORLD": str(world),
                "GIVEN": str(base),
                "SSHD": str(sshd),
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait()

    def _wait(self) -> None:
        ends = time.monotonic() + 60
        while True:
            if self._process.poll() is not None or time.monotonic() > ends:
                self.close()
                raise AssertionError(f"the throwaway root did not come up: {self.log()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return

    def log(self) -> str:
        return (self.base / "sshd.log").read_text(errors="replace")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
