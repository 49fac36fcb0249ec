"""The table of commands: name, where it is installed, what carries it out."""

from __future__ import annotations

from lab.world import World

from . import file_commands as files
from . import shell_commands, text_commands
from .file_commands import FileCommands
from .platform_commands import PlatformCommands
from .shell import Body, Machine, Program


def table(machine: Machine, world: World, platform: PlatformCommands) -> dict[str, Program]:
    """Everything that can be typed on the server of `platform`."""
    listing = FileCommands(machine, world.wall)
    installed: dict[str, Body] = {
        "/bin/ls": listing.ls,
        "/usr/bin/stat": listing.stat,
        "/bin/cat": files.cat,
        "/usr/bin/tee": files.tee,
        "/bin/cp": files.cp,
        "/bin/mv": files.mv,
        "/bin/rm": files.rm,
        "/bin/mkdir": files.mkdir,
        "/bin/touch": files.touch,
        "/usr/bin/truncate": files.truncate,
        "/bin/chmod": files.chmod,
        "/usr/bin/md5sum": files.digest("md5"),
        "/usr/bin/sha1sum": files.digest("sha1"),
        "/usr/bin/sha256sum": files.digest("sha256"),
        "/usr/bin/find": files.find,
        "/usr/bin/head": files.head,
        "/usr/bin/tail": files.tail,
        "/usr/bin/wc": files.wc,
        "/bin/grep": text_commands.grep,
        "/bin/egrep": text_commands.grep,
        "/bin/fgrep": text_commands.grep,
        "/bin/sed": text_commands.sed,
        "/bin/df": platform.df,
        "/bin/hostname": platform.hostname,
        "/bin/date": platform.date,
        "/usr/bin/uptime": platform.uptime,
        "/sbin/hwclock": platform.hwclock,
        "/usr/sbin/ntpq": platform.ntpq,
        "/opt/camiant/bin/getPolicyRev": platform.policy_release,
        "/usr/TKLC/plat/bin/getPlatRev": platform.platform_release,
        "/usr/TKLC/plat/bin/syscheck": platform.syscheck,
        "/usr/TKLC/plat/sbin/verifyUpgrade": platform.verify_upgrade,
        "/opt/camiant/bin/qpSSHKeyProv.pl": platform.key_provisioning,
    }
    found = shell_commands.programs()
    found.update({path.rpartition("/")[2]: Program(body, path) for path, body in installed.items()})
    return found
