"""What a person does in the place of an act of ours, in a few words of our own: for the paper that is left.

It is no second document: E75412-01 stands beside it. It says where to click, on which server, and what to look at first.
"""

from __future__ import annotations

import functools

from mopflow.step import Deed

_UPGRADE_MANAGER = "Upgrade > Upgrade Manager: tick {cluster} and nothing else, hover over the"
_ANNOUNCED = "Click, check that the dialog names the same, OK."

_WORDS = {
    "images.delete_old": "ISO Maintenance: tick the servers that show an old image, Delete ISO.",
    "images.upload": "ISO Maintenance: tick the servers of one type that lack the image, Upload ISO from one that has it.",
    "policy_scripts.copy_scripts": "On {active}: mount the CMP image of the target on /mnt/upgrade, copy "
    "upgrade/policyScripts/*.pl to /opt/camiant/bin, unmount.",
    "keys_step.exchange": "On {active}: sudo qpSSHKeyProv.pl --prov (10.5: with --user=root).",
    "maintenance.push_scripts": "Tick all servers, Operations > Push Script; wait for 'Operation successful'.",
    "maintenance.force_standby": "System Maintenance: tick {other}, Operations > Force Standby.",
    "maintenance.start_upgrade": "System Maintenance: tick {other} (it must be in Force Standby), Operations > "
    "Start Upgrade.",
    "maintenance.switch_force_standby": "System Maintenance: tick {cluster}, Operations > Switch ForceStandby. The "
    "session ends; log in again at the VIP.",
    "checks.log_in": "Close the browser's tab, open the CMP's VIP in a new one, log in.",
    "images.offer_kit": "On {active}: copy the CMP image of the target from /var/TKLC/upgrade to /var/camiant/iso.",
    "images.choose_kit": "Upgrade Manager: Current ISO, choose the standard kit of the target release, Select. Never "
    "while an action runs.",
    "upgrade.start_server": f"{_UPGRADE_MANAGER} upgrade button: it must announce the upgrade of {{left}}. {_ANNOUNCED}",
    "upgrade.fail_over": f"{_UPGRADE_MANAGER} upgrade button: it must announce a failover to the new version. "
    f"{_ANNOUNCED} Afterwards {{other}} is active.",
    "upgrade.roll_back": f"Only where no traffic came within 90 s after the re-apply. {_UPGRADE_MANAGER} rollback "
    f"button: it must announce a failover to the old version. {_ANNOUNCED}",
    "configuration.reset_counters": "The page of {cluster}, tab Reports: Reset Counters.",
    "configuration.reapply": "The page of {cluster}, tab System: Operations > Reapply Configuration, OK. Until it has "
    "ended the cluster may carry no traffic.",
    "backout.start_backout": f"{_UPGRADE_MANAGER} rollback button: it must announce the backout of {{left}}. {_ANNOUNCED}",
    "backout.fail_over_back": f"{_UPGRADE_MANAGER} rollback button: it must announce a failover to the old version. "
    f"{_ANNOUNCED} Afterwards {{other}} is active.",
    "backout.back_out_in_maintenance": "System Maintenance: tick {left}, Operations > Backout.",
    "backout.cancel_forced_standby": "System Maintenance: tick {other}, Operations > Cancel Force Standby.",
}


def words(act: Deed) -> str | None:
    """What to do, with the places {cluster}, {active}, {other} and {left}; None for an act that is not described.

    {left}: the server that the act works on, which is the one that is not active.
    """
    return _WORDS.get(_name(act))


def _name(act: Deed) -> str:
    while isinstance(act, functools.partial):
        act = act.func
    module = act.__module__.rsplit(".", 1)[-1]
    return f"{module}.{act.__qualname__.split('.<locals>')[0]}"
