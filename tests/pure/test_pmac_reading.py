"""What the pages of PM&C mean, and its mounts: right values for the forms that we know, refusal of all else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mopflow.console import pmac_reading as reading
from mopflow.console.labels_pmac import FILE, load_pmac
from mopflow.console.pmac_protocol import SoftwareImage, TaskState
from mopflow.console.reading import Look
from mopflow.errors import BadInput, NotAnnounced, UnreadableReply
from mopflow.probes import images as image_probe
from mopflow.probes import mounts

LABELS = load_pmac()
REPLIES = Path(__file__).parents[1] / "replies"
IMAGE_HEADS = ("Image Name", "Type", "Architecture", "Description")
TASK_HEADS = ("", "ID", "Task", "Target", "Status", "State", "Start Time", "Running Time", "Progress")
CMP = "cmp-12.1.2.0.0_22.1.0-x86_64"
PATH = f"/var/TKLC/upgrade/{CMP}.iso"


def page(headings: tuple[str, ...], *rows: tuple[str, ...], **more: Any) -> Look:
    cells = [{at: {"text": text} for at, text in enumerate(row)} for row in rows]
    grid = {"headings": headings, "rows": [{"cells": row} for row in cells]}
    return Look.parse({"grids": [grid], **more})


def task(
    number: str, state: str, progress: str, status: str = "", name: str = "Add Image"
) -> tuple[str, ...]:
    return ("", number, name, "", status, state, "2026-11-24 14:17:12", "0:02:04", progress)


def test_images_are_read() -> None:
    look = page(
        IMAGE_HEADS, (CMP, "Upgrade", "x86_64", "for 12.1.2"), ("TPD.install-7.0", "Bootable", "x86_64", "")
    )
    assert reading.images(look, LABELS) == (
        SoftwareImage(CMP, "x86_64", "for 12.1.2"),
        SoftwareImage("TPD.install-7.0", "x86_64", ""),
    )
    assert reading.images(page(IMAGE_HEADS), LABELS) == ()


@pytest.mark.parametrize("printed", [CMP, f"{CMP}.iso"])
def test_an_image_is_its_file_whether_or_not_the_ending_is_printed(printed: str) -> None:
    assert SoftwareImage(printed, "x86_64", "").file == f"{CMP}.iso"


@pytest.mark.parametrize(
    "look",
    [
        page(("Image Name", "Type"), (CMP, "Upgrade")),
        page(IMAGE_HEADS, (CMP, "Upgrade", "x86_64", ""), (CMP, "Upgrade", "x86_64", "")),
        page(IMAGE_HEADS, ("", "Upgrade", "x86_64", "")),
        Look(),
    ],
)
def test_what_is_no_list_of_images_is_refused(look: Look) -> None:
    with pytest.raises(UnreadableReply):
        reading.images(look, LABELS)


def test_tasks_are_read_by_id() -> None:
    look = page(
        TASK_HEADS,
        task("11", "IN_PROGRESS", "45%", f"Adding image: {CMP}"),
        task("2", "COMPLETE", "100%", "Done", name="Install OS"),
        task("9", "FAILED", "60%", "Failed: no space"),
        task("10", "IN_PROGRESS_WITH_ISSUE", ""),
    )
    found = reading.tasks(look, LABELS)
    assert [(t.id, t.state, t.progress, t.adds) for t in found] == [
        (2, TaskState.COMPLETE, 100, False),
        (9, TaskState.FAILED, 60, True),
        (10, TaskState.RUNNING, None, True),
        (11, TaskState.RUNNING, 45, True),
    ]
    assert str(found[3]) == f"task 11 (Add Image) IN_PROGRESS 45%: Adding image: {CMP}"


@pytest.mark.parametrize(
    "row",
    [
        task("1", "DONE", "100%"),
        task("1", "", "100%"),
        task("1", "COMPLETE", "nearly"),
        task("1", "COMPLETE", "101%"),
        task("one", "COMPLETE", "100%"),
    ],
)
def test_a_task_of_unknown_shape_is_refused(row: tuple[str, ...]) -> None:
    with pytest.raises(UnreadableReply):
        reading.tasks(page(TASK_HEADS, row), LABELS)


def test_a_task_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(UnreadableReply):
        reading.tasks(page(TASK_HEADS, task("1", "COMPLETE", ""), task("1", "FAILED", "")), LABELS)


def test_the_paths_that_are_offered() -> None:
    field = {"name": "Path", "secret": False, "filled": False, "value": "", "in_dialog": False}
    look = Look.parse({"fields": [{**field, "options": ["", "Select an image", PATH]}]})
    assert reading.offered(look, LABELS) == (PATH,)
    with pytest.raises(UnreadableReply):
        reading.offered(Look.parse({"fields": [field, field]}), LABELS)


def test_what_pmac_says_to_an_add() -> None:
    said = f"Software image {PATH} will be added in the background. The ID number for this task is: 12."
    by_role = Look.parse({"messages": [{"role": "status", "text": said}]})
    in_lines = Look.parse({"lines": said.split(". ", 1)})
    for look in (by_role, in_lines):
        assert reading.added(look, LABELS, PATH) == 12
        assert reading.added(look, LABELS, "/var/TKLC/upgrade/mpe.iso") is None
    assert (
        reading.added(Look.parse({"lines": [f"Software image {PATH} will be added"]}), LABELS, PATH) is None
    )


def test_only_an_error_is_a_complaint() -> None:
    assert reading.complaint(Look.parse({"messages": [{"role": "status", "text": "fine"}]})) is None
    assert reading.complaint(Look.parse({"messages": [{"role": "alert", "text": "no"}]})) == "no"


@pytest.mark.parametrize(
    ("prompt", "right"),
    [
        (
            "Click OK to remove the image from /var/TKLC/upgrade directory after it is added to the repository. "
            "Click Cancel to leave it there.",
            True,
        ),
        ("Click OK to remove the image from /var/TKLC/upgrade/ after it is added.", True),
        ("Click OK to remove the image from /var/TKLC/upgrade-old directory after it is added.", False),
        ("Click OK to remove the image from the repository.", False),
        ("Do you want to continue?", False),
        ("", False),
    ],
)
def test_the_prompt_of_add_image(prompt: str, right: bool) -> None:
    if right:
        reading.require_move(prompt, PATH, LABELS, "Add Image")
        return
    with pytest.raises(NotAnnounced):
        reading.require_move(prompt, PATH, LABELS, "Add Image")


@pytest.mark.parametrize(
    ("prompt", "right"),
    [
        (f"Delete Image {CMP}? It will be removed from the repository.", True),
        (f"Delete Image mpe and {CMP}?", False),
        ("Delete Image mpe?", False),
        (f"Edit Image {CMP}?", False),
        (f"Delete Image {CMP}-2?", False),
    ],
)
def test_the_prompt_of_delete_image(prompt: str, right: bool) -> None:
    known = frozenset({CMP, "mpe"})
    if right:
        reading.require_deletion(prompt, CMP, known, LABELS, "Delete Image")
        return
    with pytest.raises(NotAnnounced):
        reading.require_deletion(prompt, CMP, known, LABELS, "Delete Image")


def test_a_label_file_that_lacks_a_group_is_refused(tmp_path: Path) -> None:
    document = yaml.safe_load(FILE.read_text())
    document["texts"]["added"] = "will be added"
    broken = tmp_path / "labels.yaml"
    broken.write_text(yaml.safe_dump(document))
    with pytest.raises(BadInput, match="texts"):
        load_pmac(broken)


# ---- files and mounts of its host ----


def test_every_entry_of_a_folder_is_read() -> None:
    reply = (
        "total 12\n"
        "-rw-r--r--. 1 root admgrp 1073741824 Nov 24 14:02 a.iso\n"
        "lrwxrwxrwx. 1 root root 5 Nov 24  2015 b.iso -> a.iso\n"
        "drwx------  2 root root 4096 Nov  4 14:02 lost+found\n"
        "crw-rw----  1 root root 7, 0 Nov  4 14:02 vcs\n"
    )
    found = [(entry.name, entry.kind, entry.size) for entry in image_probe.entries(reply)]
    assert found == [
        ("a.iso", "-", 1 << 30),
        ("b.iso", "l", 5),
        ("lost+found", "d", 4096),
        ("vcs", "c", 0),
    ]


def test_real_mounts_are_read() -> None:
    none = mounts.parse((REPLIES / "mounts" / "no-medium.txt").read_text())
    assert [mount for mount in none if mount.is_medium] == []
    found = mounts.parse((REPLIES / "mounts" / "usb-at-media.txt").read_text())
    media = {(mount.device, mount.where) for mount in found if mount.is_medium}
    assert ("/dev/loop0", "/media/usb stick") in media


@pytest.mark.parametrize(
    ("line", "medium"),
    [
        ("/dev/sr0 /var/cd iso9660 ro 0 0", True),
        ("/dev/loop3 /mnt/upgrade iso9660 ro,relatime 0 0", True),
        ("/dev/loop3 /usr/TKLC/smac/html/TPD/x iso9660 ro,relatime 0 0", False),
        ("/dev/vda1 /mnt2 ext4 rw 0 0", False),
    ],
)
def test_what_counts_as_a_medium(line: str, medium: bool) -> None:
    found = mounts.parse(f"rootfs / rootfs rw 0 0\n{line}\n")
    assert found[1].is_medium is medium


@pytest.mark.parametrize("reply", ["", "proc /proc proc rw 0 0\n", "rootfs / rootfs rw 0 0\nnonsense\n"])
def test_what_is_no_list_of_mounts_is_refused(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        mounts.parse(reply)
