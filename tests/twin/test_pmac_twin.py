"""PM&C of the twin: its GUI under our driver, its host over SSH, and every row of 4.6.2 and 4.6.3.2 with its faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from houses import OnTwin, on_twin
from rulebook import check_dir

from mopflow.acts.pmac import OTHER_DIR, REPOSITORY
from mopflow.console.labels_pmac import load_pmac
from mopflow.console.pmac import PmacConsole
from mopflow.console.pmac_protocol import PmacPage, TaskState
from mopflow.errors import ActRefused, Held, MayHaveRun, NotAnnounced
from mopflow.here import Scope
from mopflow.house import House
from mopflow.media import UPGRADE_DIR
from mopflow.procedures.prep_pmac import COPY_TO_PMAC, DISTRIBUTE_TO_PMAC
from mopflow.run import Outcome, carry_out
from mopflow.step import Procedure

pytestmark = [pytest.mark.twin, pytest.mark.browser]

PMAC = "pmac-1"
SMALL = (("mpe-1", "MPE"),)


class Killed(BaseException):
    """The process is gone: nothing of mopflow may catch this."""


class Folder:
    """Where pictures go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def next(self, label: str) -> Path:
        return self.path / f"{len(list(self.path.iterdir())):02}-{label}.png"


@contextmanager
def twin_with_pmac(folder: Path, *faults: str) -> Iterator[OnTwin]:
    with on_twin(folder, clusters=SMALL, faults=faults, pmac=True) as twin:
        yield twin
        assert check_dir(twin.folder) == []


def run(house: House, procedure: Procedure, *numbers: int) -> list[Outcome]:
    wanted = numbers or tuple(step.number for step in procedure.steps)
    return [carry_out(procedure.step(n), Scope(), house).outcome for n in wanted]


def files(house: House) -> list[str]:
    return [medium.file for medium in house.site.media]


def ssh(house: House, command: str) -> str:
    return house.servers.check(PMAC, command)


def ops(twin: OnTwin, op: str, **wanted: Any) -> list[str]:
    return [event["image"] for event in twin.events("pmac", op=op, **wanted)]


def evidence(twin: OnTwin, name: str) -> str:
    return "".join(path.read_text() for path in sorted(twin.folder.rglob(f"*-{name}")))


def until(look: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def test_the_gui_and_the_host(tmp_path: Path) -> None:
    """Without a row: what a person would do, and what is no Policy server."""
    with twin_with_pmac(tmp_path / "run") as twin, twin.open() as house:
        pmac, cmp = house.pmac(), next(f for f in files(house) if f.startswith("cmp"))
        assert isinstance(pmac, PmacConsole)
        assert pmac is house.pmac()
        assert ssh(house, "hostname") == f"{PMAC}\n"
        assert "command not found" in house.servers.run(PMAC, "getPolicyRev").stderr
        assert "/var/TKLC/smac/image" in ssh(house, f"LC_ALL=C df -Pk {OTHER_DIR}")
        path, shots = f"{UPGRADE_DIR}/{cmp}", Folder(tmp_path / "shots")
        with pytest.raises(NotAnnounced, match="list of paths"):
            pmac.add_image(path, "nothing lies there yet")
        assert pmac.offered() == ()
        ssh(house, f"echo an image > {path}")
        assert pmac.offered() == (path,)
        with pytest.raises(NotAnnounced, match="list of images"):
            pmac.delete_image(cmp.removesuffix(".iso"))
        number = pmac.add_image(path, "of a test", shots=shots)
        with pytest.raises(ActRefused, match="being added already"):
            pmac.add_image(path, "once more")
        until(lambda: pmac.tasks()[-1].state is not TaskState.RUNNING)
        (task,) = pmac.tasks()
        assert (task.id, task.adds, task.state) == (number, True, TaskState.FAILED)  # its content is another
        ssh(house, f"mv {path} {UPGRADE_DIR}/other-1.0-x86_64.iso")
        pmac.add_image(f"{UPGRADE_DIR}/other-1.0-x86_64.iso", "of a test", shots=shots)
        until(lambda: pmac.tasks()[-1].state is TaskState.COMPLETE)
        assert ("other-1.0-x86_64", "x86_64", "of a test") in [
            (image.name, image.architecture, image.description) for image in pmac.images()
        ]
        assert ssh(house, f"sudo ls {UPGRADE_DIR}") == ""
        assert "other-1.0-x86_64" in ssh(house, "cat /proc/mounts")
        with pytest.raises(ActRefused, match="in use"):
            pmac.delete_image(next(i.name for i in pmac.images() if i.name.startswith("TPD")))
        assert "other-1.0-x86_64 has been deleted" in pmac.delete_image("other-1.0-x86_64", shots=shots)
        assert "other-1.0-x86_64.iso" not in ssh(house, f"sudo ls {REPOSITORY}")
        for page in PmacPage:
            pmac.screenshot(page, shots.next(page.value))
        assert len(list(shots.path.iterdir())) == 6 + len(PmacPage)
        assert ops(twin, "add", ok=True) == [cmp.removesuffix(".iso"), "other-1.0-x86_64"]
        assert len(ops(twin, "login")) == 1


def test_a_prompt_of_unknown_wording_is_answered_with_cancel(tmp_path: Path) -> None:
    """Cancel means no at Delete Image; at Add Image it means copy, so that the act may have run."""
    labels = load_pmac()
    strange = labels.prompts.model_copy(update={"remove": ("to move",), "delete": ("Erase",)})
    with twin_with_pmac(tmp_path) as twin, twin.open() as house:
        access = house.site.pmac
        assert access is not None
        pmac = PmacConsole(
            access.url, access.user, house.vault.get(access.password),
            labels=labels.model_copy(update={"prompts": strange}), ca=twin.folder / "ca.pem", chromium=None,
            refresh=0.0, deadline=15.0, login_budget=3,
        )  # fmt: skip
        try:
            path = f"{UPGRADE_DIR}/other-1.0-x86_64.iso"
            ssh(house, f"echo an image > {path}")
            with pytest.raises(MayHaveRun, match="answered with Cancel"):
                pmac.add_image(path, "of a test")
            until(lambda: pmac.tasks()[-1].state is TaskState.COMPLETE)
            assert [event["remove"] for event in twin.events("pmac", op="add")] == [False]
            assert ssh(house, f"sudo ls {UPGRADE_DIR}") == "other-1.0-x86_64.iso\n"
            with pytest.raises(NotAnnounced, match=r"Delete Image other-1\.0-x86_64"):
                pmac.delete_image("other-1.0-x86_64")
            assert ops(twin, "delete") == []
        finally:
            pmac.close()


def test_both_tables(tmp_path: Path) -> None:
    """A damaged image is replaced, a task that fails is a hold, a second run mends it, a third finds all done."""
    with twin_with_pmac(tmp_path, "pmac_wrong_image@pmac", "pmac_add_fails@pmac") as twin:
        with twin.open() as house:
            names = [file.removesuffix(".iso") for file in files(house)]
            assert run(house, COPY_TO_PMAC, 1, 2, 3, 4, 5) == [
                Outcome.DONE, Outcome.FOUND_DONE, Outcome.DONE, Outcome.DONE, Outcome.DONE,
            ]  # fmt: skip
            assert ops(twin, "delete", ok=True) == ["cmp-12.1.2.0.0_22.1.0-x86_64"]
            assert "its file has MD5" in evidence(twin, "removed-images.txt")
            assert "/home/build/" in ssh(house, "cat /var/camiant/tmp/md5sum.out")
            with pytest.raises(Held, match=r"task 1 \(Add Image\) FAILED"):
                run(house, COPY_TO_PMAC, 6)
            (hold,) = twin.holds()
            assert (hold.rule, hold.step) == ("pmac_task", 6)
        with twin.open() as house:
            assert run(house, COPY_TO_PMAC)[-2:] == [Outcome.DONE, Outcome.DONE]
            assert sorted(ops(twin, "add", ok=True)) == sorted([*names, ops(twin, "task", ok=False)[0]])
            assert run(house, DISTRIBUTE_TO_PMAC) == [
                Outcome.DONE, Outcome.DONE, Outcome.FOUND_DONE, Outcome.FOUND_DONE, Outcome.DONE, Outcome.DONE,
            ]  # fmt: skip
        begun = len(ops(twin, "add"))
        with twin.open() as house:
            for procedure in (COPY_TO_PMAC, DISTRIBUTE_TO_PMAC):
                assert set(run(house, procedure)) <= {Outcome.FOUND_DONE, Outcome.DONE}
        assert len(ops(twin, "add")) == begun
        assert ops(twin, "delete") == ["cmp-12.1.2.0.0_22.1.0-x86_64"]
        assert [path.name for path in twin.folder.rglob("*.png") if "Task" in path.name]


@pytest.mark.soak
def test_a_killed_run_adopts_its_task(tmp_path: Path) -> None:
    """A refused login is a hold and not repeated; a task that a killed run began is never begun a second time."""
    with twin_with_pmac(tmp_path, "pmac_full@pmac", "pmac_login_refused@pmac") as twin:
        with twin.open() as house:
            with pytest.raises(Held, match="refused the login of guiadmin"):
                run(house, COPY_TO_PMAC, 1)
            assert [event["ok"] for event in twin.events("pmac", op="login")] == [False]
        with twin.open() as house:
            run(house, COPY_TO_PMAC, 1, 2, 3, 4)
            assert sorted(ssh(house, f"sudo ls {OTHER_DIR}").split()) == sorted(files(house))
            kill_after_the_click(house)
            with pytest.raises(Killed):
                run(house, COPY_TO_PMAC, 5)
            assert len(ops(twin, "add")) == 1
        with twin.open() as house:
            run(house, COPY_TO_PMAC, 5, 6)
            names = sorted(file.removesuffix(".iso") for file in files(house))
            assert sorted(ops(twin, "add", ok=True)) == names
            assert sorted(ops(twin, "task", ok=True)) == names
            assert all(event["remove"] for event in twin.events("pmac", op="add"))
            assert ssh(house, f"sudo ls {OTHER_DIR}") == ""


def kill_after_the_click(house: House) -> None:
    """The process ends when PM&C has taken the image and nothing is written about it yet."""
    pmac = house.pmac()
    click = pmac.add_image

    def add_image(*arguments: Any, **more: Any) -> int:
        click(*arguments, **more)
        raise Killed

    pmac.add_image = add_image  # type: ignore[method-assign]


@pytest.mark.soak
def test_no_room_is_a_hold_that_names_the_files(tmp_path: Path) -> None:
    with twin_with_pmac(tmp_path, "pmac_no_room@pmac") as twin:
        with twin.open() as house:
            with pytest.raises(Held, match=r"savelogs_plat\S* \(2\.\d+ GB\).*guest-backup\.tar"):
                run(house, COPY_TO_PMAC, 2)
            (hold,) = twin.holds()
            assert hold.rule == "pmac_room"
            assert "savelogs" in ssh(
                house, f"ls {UPGRADE_DIR}"
            )  # what is not a Policy image is never removed
            ssh(house, f"sudo rm {OTHER_DIR}/guest-backup.tar")
        with twin.open() as house:
            assert run(house, COPY_TO_PMAC, 2) == [Outcome.FOUND_DONE]


@pytest.mark.soak
def test_old_policy_images_make_room(tmp_path: Path) -> None:
    with twin_with_pmac(tmp_path, "pmac_old_files@pmac") as twin, twin.open() as house:
        assert run(house, COPY_TO_PMAC, 2) == [Outcome.DONE]
        assert ssh(house, f"sudo ls {UPGRADE_DIR}") == ""
        listed = evidence(twin, "removed-files.txt").splitlines()
        assert len(listed) == 3
        assert all(line.startswith("4" * 32) and "12.1.1" in line for line in listed)
        # added by a person, with Cancel: the copy that is left is removed once the image is registered
        cmp = next(file for file in files(house) if file.startswith("cmp"))
        ssh(house, f"echo damaged > {UPGRADE_DIR}/{cmp}")
        run(house, COPY_TO_PMAC, 3, 5, 6)
        assert f"{UPGRADE_DIR}/{cmp}  8 bytes" in evidence(twin, "removed-files.txt")
        ssh(house, f"sudo cp {REPOSITORY}/{cmp} {UPGRADE_DIR}/{cmp}")
        assert run(house, DISTRIBUTE_TO_PMAC, 4) == [Outcome.DONE]
        assert ssh(house, f"sudo ls {UPGRADE_DIR}") == ""
        ssh(house, "sudo sh -c 'echo /dev/sr0 /media/cdrom iso9660 ro 0 0 >> /proc/mounts'")
        with pytest.raises(Held, match="/dev/sr0 is mounted at /media/cdrom"):
            run(house, DISTRIBUTE_TO_PMAC, 6)
