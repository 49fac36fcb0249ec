"""The table of commands: name, where it is installed, what carries it out."""

from __future__ import annotations

from lab.world import World

from . import archive_commands, shell_commands, text_commands
from . import file_commands as files
from .account_commands import AccountCommands
from .disk_commands import DiskCommands
from .file_commands import FileCommands
from .platcfg import Platcfg
from .platform_commands import PlatformCommands
from .processes import ps
from .rcstool import RcsTool
from .remote_copy import RemoteCopy
from .shell import Body, Machine, Program
from .time_commands import TimeCommands


def table(
    machine: Machine,
    world: World,
    platform: PlatformCommands,
    platcfg: Platcfg,
    accounts: AccountCommands,
    rcstool: RcsTool,
) -> dict[str, Program]:
    """Everything that can be typed on the server of `platform`."""
    listing = FileCommands(machine, world.wall)
    times = TimeCommands(world, platform.server)
    disks = DiskCommands(world, platform.server.name)
    installed: dict[str, Body] = {
        "/bin/ls": listing.ls,
        "/usr/bin/stat": listing.stat,
        "/bin/cat": files.cat,
        "/usr/bin/tee": files.tee,
        "/bin/cp": files.cp,
        "/bin/mv": files.mv,
        "/bin/rm": files.rm,
        "/bin/mkdir": files.mkdir,
        "/bin/rmdir": files.rmdir,
        "/bin/readlink": files.readlink,
        "/usr/bin/cmp": files.cmp,
        "/bin/touch": files.touch,
        "/usr/bin/truncate": files.truncate,
        "/bin/chmod": files.chmod,
        "/usr/bin/md5sum": files.digest("md5"),
        "/usr/bin/sha1sum": files.digest("sha1"),
        "/usr/bin/sha256sum": files.digest("sha256"),
        "/usr/bin/find": listing.find,
        "/usr/bin/head": files.head,
        "/usr/bin/tail": files.tail,
        "/usr/bin/wc": files.wc,
        "/bin/grep": text_commands.grep,
        "/bin/egrep": text_commands.grep,
        "/bin/fgrep": text_commands.grep,
        "/bin/sed": text_commands.sed,
        "/usr/bin/passwd": accounts.passwd,
        "/usr/sbin/chpasswd": accounts.chpasswd,
        "/usr/bin/chage": accounts.chage,
        "/usr/TKLC/plat/bin/rcstool": rcstool.run,
        "/bin/df": disks.df,
        "/bin/mount": disks.mount,
        "/bin/umount": disks.umount,
        "/usr/bin/scp": RemoteCopy(world, platform.server).scp,
        "/bin/hostname": platform.hostname,
        "/bin/date": times.date,
        "/bin/ping": times.ping,
        "/usr/bin/uptime": platform.uptime,
        "/sbin/hwclock": times.hwclock,
        "/usr/sbin/ntpq": times.ntpq,
        "/opt/camiant/bin/getPolicyRev": platform.policy_release,
        "/usr/TKLC/plat/bin/getPlatRev": platform.platform_release,
        "/usr/TKLC/plat/bin/syscheck": platform.syscheck,
        "/usr/TKLC/plat/sbin/verifyUpgrade": platform.verify_upgrade,
        "/usr/TKLC/plat/bin/platcfg": platcfg.run,
        "/bin/gzip": archive_commands.gzip,
        "/usr/bin/od": archive_commands.od,
        "/bin/dd": archive_commands.dd,
        "/bin/ps": ps(platcfg),
        "/opt/camiant/bin/qpSSHKeyProv.pl": platform.key_provisioning,
    }
    found = shell_commands.programs()
    found.update({path.rpartition("/")[2]: Program(body, path) for path, body in installed.items()})
    return found
