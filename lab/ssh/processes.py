"""ps: a few processes of the platform, and the menus that somebody has open."""

from __future__ import annotations

from .options import options
from .platcfg import Platcfg
from .shell import Body, Call, CommandError

_ALWAYS = (  # pid, user, command line
    (1, "root", "/sbin/init"),
    (1473, "root", "/usr/sbin/sshd"),
    (1502, "ntp", "ntpd -u ntp:ntp -p /var/run/ntpd.pid -g"),
    (2210, "root", "/opt/camiant/bin/qp_procmgr"),
    (2318, "mysql", "/usr/libexec/mysqld --basedir=/usr"),
)
_FIELDS = {"pid": "  PID", "user": "USER    ", "args": "COMMAND", "cmd": "CMD", "comm": "COMMAND"}


def ps(platcfg: Platcfg) -> Body:
    async def run(call: Call) -> int:
        """ps -e [-o FIELD[=],...] | -ef | -eo ...; the fields are pid, user, args, cmd, comm."""
        found, names = options(call, "ef", "o", ())
        if names or "e" not in found:
            raise CommandError("only ps -e, ps -ef and ps -eo are there")
        form = found.get("o", "user,pid,args" if "f" in found else "pid,comm")
        fields = [word.rstrip("=") for word in form.split(",")]
        unknown = [word for word in fields if word not in _FIELDS]
        if unknown:
            raise CommandError(f'unknown user-defined format specifier "{unknown[0]}"')
        if not all(word.endswith("=") for word in form.split(",")):
            await call.say(" ".join(_FIELDS[word] for word in fields))
        for pid, user, args in _running(platcfg, call.shell.login_name):
            values = {"pid": f"{pid:5d}", "user": f"{user:<8}", "args": args, "cmd": args}
            values["comm"] = args.split()[0].rpartition("/")[2]
            await call.say(" ".join(values[word] for word in fields))
        return 0

    return run


def _running(platcfg: Platcfg, me: str) -> list[tuple[int, str, str]]:
    rows = list(_ALWAYS)
    for menu in platcfg.open:
        rows += [(menu.pid, "root", "sudo su - platcfg"), (menu.pid + 1, "root", "su - platcfg")]
        rows.append((menu.pid + 2, "root", "platcfg"))
    rows += [(30_010, me, "-bash"), (30_011, me, "ps")]
    return rows
