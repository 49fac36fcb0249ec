"""The host of PM&C as its shells and logins see it: a TPD server without the Policy application."""

from __future__ import annotations

from lab.pmac.host import PmacHost
from lab.ssh.machine import TwinMachine

_POLICY = "/opt/camiant/"  # where the Policy application installs its commands


class PmacMachine(TwinMachine):
    def __init__(self, host: PmacHost) -> None:
        super().__init__(host.world, host.server)
        self._commands = {
            name: program
            for name, program in self._commands.items()
            if program.path is None or not program.path.startswith(_POLICY)
        }
