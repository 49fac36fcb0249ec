"""The rows of 4.1 and 4.5 on a small system in memory: what counts as good, what as bad, and what as unknown."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asking
import pytest
from asking import Answering, leg_of, ok
from small_system import Place, alarm, make_place

from mopflow.console.protocol import ClusterPage
from mopflow.errors import BadInput, Unreachable, UnreadableReply
from mopflow.here import Here, Scope
from mopflow.procedures import health_server, health_system, materials
from mopflow.procedures.prep_health import HEALTH
from mopflow.run import carry_out
from mopflow.site import AcceptedAlarm, HealthLimits, Medium
from mopflow.ssh import Reply
from mopflow.step import Answer, Finding, Question
from mopflow.system import Alarm, Role, Severity

SERVER = "mpe-1a"
ON_SERVER = Scope(server=SERVER)
NTPQ = (
    "     remote           refid      st t when poll reach   delay   offset  jitter\n" + "=" * 78 + "\n"
    "{tally}192.0.2.10      .GPS.            1 u   33   64  {reach}    0.512  {offset}   0.031\n"
)
DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 9000000 1000 {free} 1% {mount}\n"


@pytest.fixture
def place(tmp_path: Path, empty_ledger: Path) -> Place:
    made = make_place(tmp_path / "place", empty_ledger, minute=60)
    made.servers = Answering(made)
    return made


def answers(place: Place) -> dict[str, Callable[[str], Reply] | Reply]:
    assert isinstance(place.servers, Answering)
    return place.servers.answers


def change(place: Place, **fields: Any) -> None:
    place.site = place.site.model_copy(update=fields)


@contextmanager
def standing(place: Place, scope: Scope = ON_SERVER) -> Iterator[Here]:
    with place.house() as house:
        yield Here(house, HEALTH.step(4), scope, house.eye.now())


def ask(place: Place, question: Question, scope: Scope = ON_SERVER) -> Finding:
    """As the run loop asks it, in its own row."""
    with place.house() as house:
        return asking.ask(house, *leg_of(question, "4.1", "4.5"), scope)


# ---- NTP ----


def ntpq(tally: str = "*", reach: str = "377", offset: str = "0.084") -> Reply:
    return ok(NTPQ.format(tally=tally, reach=reach, offset=offset))


@pytest.mark.parametrize(
    ("reply", "answer", "says"),
    [
        (ntpq(), Answer.YES, "synchronized to 192.0.2.10"),
        (ntpq(offset="-99.999"), Answer.YES, "offset -99.999 ms"),
        (ntpq(offset="-100.000"), Answer.NO, "mpe-1a is -100 ms off 192.0.2.10; 100 ms are allowed"),
        (ntpq(reach="0"), Answer.NO, "answered none of the last eight polls"),
        (ntpq(tally=" "), Answer.NO, "has selected no NTP server; it knows 192.0.2.10 (reach 377)"),
        (Reply(1, "", "ntpq: read: Connection refused\n"), Answer.NO, "ntpd does not answer"),
    ],
)
def test_ntp(place: Place, reply: Reply, answer: Answer, says: str) -> None:
    answers(place)["ntpq"] = reply
    found = ask(place, health_server.synchronized)
    assert found.answer is answer
    assert says in found.evidence


def test_without_ntp_servers_in_the_site_file_nothing_is_good(place: Place) -> None:
    found = ask(place, health_server.ntp_reachable)
    assert found.answer is Answer.NO
    assert "list them under ntp" in found.evidence


def test_every_silent_ntp_server_is_named(place: Place) -> None:
    change(place, ntp=("192.0.2.10", "ntp.example.net"))
    answers(place)["192.0.2.10"] = ok(
        "1 packets transmitted, 1 received, 0% packet loss, time 0ms\nrtt min/avg/max/mdev = 1.5/1.5/1.5/0.0 ms\n"
    )
    answers(place)["ntp.example.net"] = Reply(2, "", "ping: unknown host ntp.example.net\n")
    found = ask(place, health_server.ntp_reachable)
    assert found == Finding.no("ntp.example.net does not answer mpe-1a: unknown host")
    answers(place)["ntp.example.net"] = answers(place)["192.0.2.10"]
    assert ask(place, health_server.ntp_reachable).is_yes


# ---- date ----


def clocks(off: dict[str, float] | None = None, rate: float = 1.0) -> Callable[[str], Reply]:
    """Clocks that run `rate` times as fast as ours, each off by so many seconds of its own."""
    start, begun = time.time(), time.monotonic()
    return lambda server: ok(
        f"{start + (time.monotonic() - begun) * rate + (off or {}).get(server, 0.0):.9f}\n"
    )


def test_a_right_clock(place: Place) -> None:
    answers(place)["date"] = clocks()
    found = ask(place, health_server.date_right)
    assert found.is_yes
    assert "against this machine" in found.evidence
    assert "against the median of cmp-1a, cmp-1b" in found.evidence


@pytest.mark.parametrize("off", [-4.0, 4.0])
def test_a_wrong_clock_is_told_against_ours(place: Place, off: float) -> None:
    answers(place)["date"] = clocks({SERVER: off})
    found = ask(place, health_server.date_right)
    assert found.answer is Answer.NO
    assert f"the clock of mpe-1a is {off:+.0f}"[:-1] in found.evidence
    assert "against this machine" in found.evidence


def test_all_servers_alike_but_another_clock_than_ours(place: Place) -> None:
    names = [server.name for server in place.site.servers]
    answers(place)["date"] = clocks(dict.fromkeys(names, 30.0))
    assert ask(place, health_server.date_right).answer is Answer.NO


def test_one_wrong_other_server_is_not_held_against_this_one(place: Place) -> None:
    answers(place)["date"] = clocks({"cmp-1a": 500.0})
    assert ask(place, health_server.date_right).is_yes


@pytest.mark.parametrize(("off", "answer"), [(0.0, Answer.YES), (300.0, Answer.NO), (-300.0, Answer.NO)])
def test_a_system_with_another_clock_is_compared_within_itself(
    place: Place, off: float, answer: Answer
) -> None:
    change(place, pace=place.site.pace.model_copy(update={"minute": 1.0}))
    answers(place)["date"] = clocks({SERVER: off}, rate=60)
    found = ask(place, health_server.date_right)
    assert found.answer is answer
    if answer is Answer.YES:
        assert "not compared with this machine: one minute of the system is 1 s here" in found.evidence


def test_a_slow_answer_does_not_judge_a_clock(place: Place) -> None:
    change(place, health=HealthLimits(clock_skew=0))
    answers(place)["date"] = clocks()
    assert ask(place, health_server.date_right).answer is Answer.UNKNOWN


def test_nobody_to_compare_with(place: Place) -> None:
    answers(place)["date"] = clocks()
    place.servers.away = {server.name for server in place.site.servers} - {SERVER}
    assert "no other server could be read" in ask(place, health_server.date_right).evidence
    change(place, pace=place.site.pace.model_copy(update={"minute": 1.0}))
    assert ask(place, health_server.date_right).answer is Answer.UNKNOWN


def test_a_server_that_is_away_has_a_remedy_of_its_own(place: Place) -> None:
    answers(place)["date"] = clocks()
    place.servers.away = {SERVER}
    with standing(place) as here:
        with pytest.raises(Unreachable):
            health_server.date_right(here)
        assert here.memo["rule"] == "unreachable"


# ---- BIOS clock, syscheck, accounts, room, NetBackup ----


@pytest.mark.parametrize(
    ("shown", "answer"),
    [("13:37:48", Answer.YES), ("13:37:43", Answer.YES), ("13:37:41", Answer.NO), ("14:37:48", Answer.NO)],
)
def test_the_bios_clock(place: Place, shown: str, answer: Answer) -> None:
    answers(place)["hwclock"] = ok(
        f"1795527467.512345678 +0000\nTue Nov 24 {shown} 2026  -0.328125 seconds\n1795527468.001234567 +0000\n"
    )
    assert ask(place, health_server.bios_clock_right).answer is answer


def test_syscheck_says_what_is_wrong(place: Place) -> None:
    assert ask(place, health_server.platform_healthy).is_yes
    place.servers.sick = {SERVER}
    found = ask(place, health_server.platform_healthy)
    assert found == Finding.no("syscheck on mpe-1a: disk FAIL")


def accounts_reply(*lines: str, today: int = 20000) -> Reply:
    return ok("\n".join([str(today * 86400), *lines, ""]))


@pytest.mark.parametrize(
    ("line", "answer", "says"),
    [
        ("admusr:=$6$:19990:0:99999:7:::", Answer.YES, "no password that is needed expires within 14 days"),
        ("admusr:=$6$:19990:0:25:7:::", Answer.YES, "no password"),  # 15 days left
        ("admusr:=$6$:19990:0:24:7:::", Answer.NO, "the login of admusr expires in 14 days"),
        ("admusr:=$1$:19990:0:5:7:::", Answer.NO, "the login of admusr expired 5 days ago"),
        ("admusr:=$6$:0:0:99999:7:::", Answer.NO, "the login of admusr expires in 0 days"),
        ("admusr:=$6$:19990:0:99999:7::20003:", Answer.NO, "the login of admusr expires in 3 days"),
        ("admusr:=locked:19990:0:5:7:::", Answer.YES, "no password"),
        ("admusr:=$1$:19990:0:99999:7:::", Answer.YES, "weak hashes, see 4.6.5: admusr ($1$)"),
        ("admusr:=$6$:16825:0:0:0:0:0", Answer.YES, "admusr: may be 0 days old"),  # as 4.6.5/2 shows it
        (
            "jdoe:=$6$:19990:0:5:7:::",
            Answer.YES,
            "the login of jdoe expired 5 days ago",
        ),  # the upgrade needs it not
    ],
)
def test_accounts(place: Place, line: str, answer: Answer, says: str) -> None:
    answers(place)["shadow"] = accounts_reply("root:=$6$:19990:0:99999:7:::", line)
    found = ask(place, health_server.accounts_lasting)
    assert found.answer is answer
    assert says in found.evidence


def test_room(place: Place) -> None:
    answers(place)["/var/TKLC"] = ok(DF.format(free=1 << 20, mount="/var/TKLC"))
    answers(place)["/var/camiant"] = ok(DF.format(free=(1 << 20) - 1, mount="/var/camiant"))
    found = ask(place, health_server.room)
    assert found == Finding.no(
        "mpe-1a: /var/camiant (/var/camiant) has 1048575 KiB free; 1048576 KiB are needed"
    )
    answers(place)["/var/camiant"] = ok(DF.format(free=1 << 20, mount="/var"))
    assert ask(place, health_server.room).is_yes


def test_netbackup_needs_a_persons_word_only_where_it_is(place: Place) -> None:
    answers(place)["/usr/openv"] = Reply(
        2, "", "ls: cannot access /usr/openv/netbackup: No such file or directory"
    )
    assert ask(place, health_server.netbackup_known).is_yes
    answers(place)["/usr/openv"] = ok("/usr/openv/netbackup\n")
    with standing(place) as here:
        assert health_server.netbackup_known(here).answer is Answer.NO
        here.house.ledger.confirm(here.site.name, "netbackup", "E. Ngineer", "", "person")
        assert health_server.netbackup_known(here).is_yes


# ---- the console's pages ----


def test_the_console_of_another_release_is_not_ours(place: Place) -> None:
    change(place, source="12.0.0.0.0_45.1.0", target="12.1.1.0.0_14.1.0")
    found = ask(place, health_system.console_of_the_site, Scope())
    assert found.answer is Answer.NO
    assert "the console serves 12.1.2" in found.evidence


def test_the_console_of_the_site(place: Place) -> None:
    found = ask(place, health_system.console_of_the_site, Scope())
    assert found.is_yes
    assert "primary is cmp-1" in found.evidence


def test_an_alarm_must_be_accepted_on_its_own_source(place: Place) -> None:
    place.system.alarms = [alarm(31283, "mpe-1a", Severity.CRITICAL)]
    accept(place, 31283, "mpe-1b")
    found = ask(place, health_system.alarms_accepted, Scope())
    assert found.answer is Answer.NO
    assert "31283 Critical on mpe-1a" in found.evidence
    accept(place, 31283, "mpe-1a")
    assert ask(place, health_system.alarms_accepted, Scope()).is_yes


def accept(place: Place, number: int, source: str) -> None:
    change(
        place, accepted_alarms=(AcceptedAlarm(number=number, source=source, by="E. Ngineer", reason="known"),)
    )


def test_an_alarm_is_not_good_because_it_was_seen_once_only(place: Place) -> None:
    place.system.alarms = [alarm(31283, "mpe-1a")]
    with standing(place, Scope()) as here:
        assert health_system.alarms_accepted(here).answer is Answer.NO


def test_no_alarms(place: Place) -> None:
    assert ask(place, health_system.alarms_accepted, Scope()) == Finding.yes("no active alarms")


def test_alarms_that_cannot_be_read_are_unknown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> tuple[Alarm, ...]:
        raise UnreadableReply("Active Alarms", "no such table", "")

    with standing(place, Scope()) as here:
        monkeypatch.setattr(place.system, "active_alarms", unreadable)
        with pytest.raises(UnreadableReply):
            health_system.alarms_accepted(here)


def test_clusters_that_carry_traffic(place: Place) -> None:
    found = ask(place, health_system.kpis_expected, Scope())
    assert found == Finding.yes("2 clusters, 500 TPS together")


def test_no_traffic_without_a_reason(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.system, "traffic", lambda cluster: cluster != "mpe-1")
    found = ask(place, health_system.kpis_expected, Scope())
    assert found == Finding.no("mpe-1 is active and carries no traffic, and its page shows no reason")


def test_no_traffic_with_a_reason_is_the_baseline(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = place.system.cluster_page

    def degraded(cluster: str) -> ClusterPage:
        page = whole(cluster)
        return ClusterPage(page.cluster, "Degraded", page.version, page.mismatch, page.counters)

    monkeypatch.setattr(place.system, "traffic", lambda cluster: cluster != "mpe-1")
    monkeypatch.setattr(place.system, "cluster_page", degraded)
    with standing(place, Scope()) as here:
        found = health_system.kpis_expected(here)
        assert found == Finding.yes("2 clusters, 250 TPS together; mpe-1 carries no traffic: status Degraded")
        assert here.memo["data"]["kpis"]["mpe-1"] == {"tps": 0.0, "why": "status Degraded"}


def test_a_cluster_without_an_active_server(place: Place) -> None:
    for box in place.system.of("mpe-1"):
        box.role = Role.STANDBY
    assert ask(place, health_system.kpis_expected, Scope()).answer is Answer.NO


def test_a_cluster_that_the_dashboard_does_not_show(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = place.system.kpi_dashboard()
    monkeypatch.setattr(place.system, "kpi_dashboard", lambda: rows[:1])
    with standing(place, Scope()) as here, pytest.raises(UnreadableReply, match="no row for mpe-2"):
        health_system.kpis_expected(here)


# ---- materials ----


def bring(place: Place, folder: Path) -> dict[str, str]:
    """Images with their md5sum.out, as Oracle prints it."""
    folder.mkdir(parents=True, exist_ok=True)
    media, lines = [], []
    for medium in place.site.media:
        (folder / medium.file).write_bytes(medium.file.encode())
        md5 = hashlib.md5(medium.file.encode(), usedforsecurity=False).hexdigest()
        media.append(Medium(file=medium.file, type=medium.type, md5=md5))
        lines.append(f"{md5}/home/build/iso/{medium.file}\n")
    (folder / "md5sum.out").write_text("".join(lines))
    change(place, media=tuple(media), media_dir=Path("media"))
    return {medium.file: medium.md5 for medium in media}


def test_images_that_are_the_media(place: Place) -> None:
    bring(place, place.folder / "media")
    assert ask(place, materials.media_right, Scope()).is_yes


@pytest.mark.parametrize("damage", ["image", "no image", "list", "no list", "line"])
def test_images_that_are_not(place: Place, damage: str) -> None:
    folder = place.folder / "media"
    made = bring(place, folder)
    first, listing = next(iter(made)), folder / "md5sum.out"
    match damage:
        case "image":
            (folder / first).write_bytes(b"another image")
        case "no image":
            (folder / first).unlink()
        case "list":
            listing.write_text(listing.read_text().replace(made[first], "0" * 32))
        case "no list":
            listing.unlink()
        case "line":
            listing.write_text("".join(listing.read_text().splitlines(keepends=True)[1:]))
    found = ask(place, materials.media_right, Scope())
    assert found.answer is Answer.NO
    assert (str(listing) if damage == "no list" else first) in found.evidence


def test_an_unreadable_list_is_unknown(place: Place) -> None:
    bring(place, place.folder / "media")
    (place.folder / "media" / "md5sum.out").write_text("no hash here\n")
    assert ask(place, materials.media_right, Scope()).answer is Answer.UNKNOWN


def test_a_changed_image_is_read_again(place: Place) -> None:
    folder = place.folder / "media"
    made = bring(place, folder)
    with standing(place, Scope()) as here:
        assert materials.media_right(here).is_yes
        (folder / next(iter(made))).write_bytes(b"another image")
        assert materials.media_right(here).answer is Answer.NO


def test_every_server_takes_the_login_and_the_console_does(place: Place) -> None:
    assert "8 servers take the login" in ask(place, materials.logins_work, Scope()).evidence
    found = ask(place, materials.console_open, Scope())
    assert found == Finding.yes("logged in to the console of 12.1.2.0.0_22.1.0")


@pytest.mark.parametrize(
    ("key", "leg", "items"),
    [
        ("4.1/1", "pmac version", ("pmac_version", "tvoe_version")),
        ("4.1/1", "firmware", ("firmware",)),
        ("4.1/2", "release notes", ("release_notes", "bulletins", "customer_care", "upgrade_kit")),
    ],
)
def test_what_only_a_person_knows_is_a_yes_when_all_of_it_is_said(
    place: Place, key: str, leg: str, items: tuple[str, ...]
) -> None:
    with place.house() as house:
        for item in items:
            found = asking.ask(house, key, leg)
            assert found.answer is Answer.NO
            assert f"{item} --by NAME" in found.evidence
            house.ledger.confirm(place.site.name, item, "E. Ngineer", "", "person")
        assert asking.ask(house, key, leg).is_yes


def test_the_wrong_server_under_a_right_address(place: Place) -> None:
    answers(place)["hostname"] = lambda server: ok("mpe-9z\n" if server == SERVER else f"{server}\n")
    found = ask(place, materials.logins_work, Scope())
    assert found == Finding.no("mpe-1a calls itself mpe-9z")


def test_servers_that_are_away_are_unknown_and_all_named(place: Place) -> None:
    place.servers.away = {"mpe-1a", "cmp-1b"}
    found = ask(place, materials.logins_work, Scope())
    assert found.answer is Answer.UNKNOWN
    assert "cmp-1b cannot be reached" in found.evidence
    assert "mpe-1a cannot be reached" in found.evidence


def test_a_mistake_in_the_site_file_ends_the_run(place: Place) -> None:
    def missing(_server: str) -> Reply:
        raise BadInput("ssh.root_password: missing")

    answers(place)["hostname"] = missing
    with pytest.raises(BadInput):
        ask(place, materials.logins_work, Scope())


def test_a_row_without_a_server_is_a_mistake_of_ours(place: Place) -> None:
    change(place, ntp=("192.0.2.10",))
    with place.house() as house, pytest.raises(BadInput, match=r"4\.5/4 needs a server"):
        carry_out(HEALTH.step(4), Scope(), house)
