"""Parsers of the health check (4.5/4): right values for captured replies, refusal of all else."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from captured import FOLDER, reply
from hypothesis import given, settings
from hypothesis import strategies as st

from mopflow.errors import UnreadableReply
from mopflow.probes import accounts, clock, hwclock, netbackup, ntp, ping
from mopflow.ssh import Reply

# ---- ping ----


def test_an_answer_to_a_ping() -> None:
    echo = ping.parse(reply("ping/iputils-20221126-answered"))
    assert echo.answered
    assert echo.milliseconds == pytest.approx(0.244)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ping/iputils-20221126-lost", "no answer in 2 s"),
        ("ping/iputils-20221126-host-unreachable", "Destination Host Unreachable"),
        ("ping/iputils-20221126-no-route", "Network is unreachable"),
        ("ping/iputils-20221126-unknown-host", "Temporary failure in name resolution"),
        ("ping/typed-s20071127-unknown-host", "unknown host"),
        ("ping/typed-s20071127-no-route", "Network is unreachable"),
    ],
)
def test_no_answer_to_a_ping(name: str, why: str) -> None:
    echo = ping.parse(reply(name))
    assert not echo.answered
    assert echo.why == why


GOOD_PING = reply("ping/iputils-20221126-answered")


@pytest.mark.parametrize(
    "odd",
    [
        Reply(127, "", "bash: ping: command not found"),
        Reply(0, "", ""),
        Reply(1, GOOD_PING.stdout, ""),
        Reply(0, reply("ping/iputils-20221126-lost").stdout, ""),
        Reply(0, GOOD_PING.stdout.replace("rtt", "rrt"), ""),
        Reply(0, GOOD_PING.stdout.replace("1 packets", "2 packets"), ""),
        Reply(0, GOOD_PING.stdout.replace("packets", "Pakete"), ""),
    ],
)
def test_an_odd_ping_is_refused(odd: Reply) -> None:
    with pytest.raises(UnreadableReply):
        ping.parse(odd)


def test_a_host_name_cannot_become_a_command() -> None:
    assert ping.command("a; reboot").endswith("'a; reboot'")


# ---- ntpq ----


@pytest.mark.parametrize(
    ("name", "selected", "offset"),
    [("ntp/ntpsec-1.2.2-synced", "10.99.0.1", 0.1396), ("ntp/typed-4.2.6-synced", "192.0.2.10", 0.084)],
)
def test_the_selected_time_server(name: str, selected: str, offset: float) -> None:
    peers = ntp.parse(reply(name))
    assert peers.selected is not None
    assert (peers.selected.remote, peers.selected.offset) == (selected, pytest.approx(offset))
    assert peers.selected.reach > 0


def test_every_time_server_is_read() -> None:
    found = {p.remote: p for p in ntp.parse(reply("ntp/ntpsec-1.2.2-synced")).peers}
    assert found["10.99.0.3"].tally == "x"
    assert found["10.99.0.3"].offset == pytest.approx(350.0335)
    assert found["10.99.0.9"].reach == 0
    assert [p.reach for p in ntp.parse(reply("ntp/typed-4.2.6-synced")).peers] == [0o377, 0o377, 0]


@pytest.mark.parametrize("name", ["ntp/ntpsec-1.2.2-starting", "ntp/typed-4.2.6-unsynced"])
def test_no_time_server_is_selected(name: str) -> None:
    peers = ntp.parse(reply(name))
    assert peers.peers
    assert peers.selected is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ntp/ntpsec-1.2.2-no-daemon", "ntpd does not answer"),
        ("ntp/typed-4.2.6-no-daemon", "ntpd does not answer"),
        ("ntp/typed-4.2.6-timeout", "ntpd does not answer"),
        ("ntp/ntpsec-1.2.2-no-servers", "ntpd has no time servers"),
        ("ntp/typed-4.2.6-no-servers", "ntpd has no time servers"),
    ],
)
def test_no_time_servers_at_all(name: str, why: str) -> None:
    peers = ntp.parse(reply(name))
    assert peers.selected is None
    assert peers.why.startswith(why)


GOOD_NTP = reply("ntp/ntpsec-1.2.2-synced").stdout


@pytest.mark.parametrize(
    "odd",
    [
        Reply(127, "", "bash: ntpq: command not found"),
        Reply(0, "", ""),
        Reply(1, GOOD_NTP, ""),
        Reply(0, GOOD_NTP.splitlines()[0] + "\n", ""),
        Reply(0, "\n".join(GOOD_NTP.splitlines()[:2]), ""),
        Reply(0, GOOD_NTP + "and more\n", ""),
        Reply(0, GOOD_NTP.replace("+10", "*10"), ""),
        Reply(0, GOOD_NTP.replace("0.1396", "nan"), ""),
        Reply(0, GOOD_NTP.replace("    7   0.1038", "    9   0.1038"), ""),  # no octal digit
        Reply(0, GOOD_NTP.replace("offset", "delta"), ""),
    ],
)
def test_an_odd_ntpq_is_refused(odd: Reply) -> None:
    with pytest.raises(UnreadableReply):
        ntp.parse(odd)


@given(st.integers(0, len(GOOD_NTP)))
def test_a_cut_off_ntpq_never_shows_another_selected_server(at: int) -> None:
    try:
        peers = ntp.parse(Reply(0, GOOD_NTP[:at], ""))
    except UnreadableReply:
        return
    assert peers.selected is None or peers.selected.remote == "10.99.0.1"


# ---- date ----


def test_a_clock_is_read() -> None:
    assert clock.parse(reply("clock/coreutils-9.1").stdout) == pytest.approx(1795528923.224854651)


@pytest.mark.parametrize(
    "odd", ["", "1795528923", "1795528923.%N", "date: bad", "1.5\n2.5", "17955289234444.123456789"]
)
def test_an_odd_date_is_refused(odd: str) -> None:
    with pytest.raises(UnreadableReply):
        clock.parse(odd)


# ---- hwclock ----


@pytest.mark.parametrize("name", ["typed-2.17-c-locale", "typed-2.17-en-us", "typed-2.38-iso"])
def test_both_clocks_are_read(name: str) -> None:
    clocks = hwclock.parse(reply(f"hwclock/{name}").stdout)
    assert clocks.skew == 0
    assert clocks.before < clocks.hardware < clocks.after


def test_the_line_of_a_new_hwclock() -> None:
    line = reply("hwclock/util-linux-2.38.1-form").stdout
    clocks = hwclock.parse(f"1795523868.500000000 +0100\n{line}1795523869.000000000 +0100\n")
    assert clocks.skew == pytest.approx(-0.5)


@given(
    st.datetimes(datetime(2001, 9, 10), datetime(2099, 12, 30)),
    st.integers(-12, 14),
    st.integers(-100_000, 100_000),
    st.sampled_from(["c", "en", "iso"]),
)
def test_a_skew_is_found_in_every_form(now: datetime, hours: int, skew: int, form: str) -> None:
    zone = timezone(timedelta(hours=hours))
    epoch = int(now.replace(tzinfo=UTC).timestamp())
    shown = datetime.fromtimestamp(epoch + skew, zone)
    line = {
        "c": f"{shown:%a %b %e %H:%M:%S %Y}  -0.328125 seconds",
        "en": f"{shown:%a %d %b %Y %I:%M:%S %p} CET  -0.328125 seconds",
        "iso": shown.isoformat(" ", "microseconds"),
    }[form]
    clocks = hwclock.parse(f"{epoch}.000000000 {shown:%z}\n{line}\n{epoch}.900000000 {shown:%z}\n")
    assert clocks.skew == pytest.approx(skew - 0.9 if skew > 0 else skew)


@pytest.mark.parametrize(
    "odd",
    [
        "",
        reply("hwclock/util-linux-2.38.1-no-device").stdout,
        "1795527467.5 +0000\nTue Nov 24 13:37:48 2026  -0.3 seconds\n1795527468.0 +0000",
        "1795527467.512345678 +0000\nDi 24 Nov 2026 13:37:48 CET  -0,328125 Sekunden\n1795527468.001234567 +0000",
        "1795527467.512345678 +0000\nTue Nov 31 13:37:48 2026  -0.328125 seconds\n1795527468.001234567 +0000",
        "1795527468.512345678 +0000\nTue Nov 24 13:37:48 2026  -0.328125 seconds\n1795527467.001234567 +0000",
        "1795527467.512345678 +9900\n2026-11-24 13:37:48.000000+00:00\n1795527468.001234567 +9900",
    ],
)
def test_an_odd_hwclock_is_refused(odd: str) -> None:
    with pytest.raises(UnreadableReply):
        hwclock.parse(odd)


# ---- accounts ----

DAY = 86400
HASH = "$6$UstAfa$gn2B8Tsw1Zd7mqD333999Xd6NZnAEgyioQJ7qi4xufHSQp1s6A5Jxhu8kjDT8dIgcYQR5Q1ZAtSN8OG"


def test_the_kinds_of_hashes() -> None:
    found = {a.name: a for a in accounts.parse(reply("accounts/sed-4.9").stdout)}
    kinds = {name: account.kind for name, account in found.items()}
    assert kinds == {
        "root": "$1$", "bin": "locked", "daemon": "locked", "guest": "empty", "old": "des", "odd": "other",
        "lk": "locked", "admusr": "$6$",
    }  # fmt: skip
    assert [name for name, account in found.items() if account.weak] == ["root", "old", "odd"]


def test_the_days_of_accounts() -> None:
    today = 1795528923 // DAY
    found = {a.name: a for a in accounts.parse(reply("accounts/sed-4.9").stdout)}
    assert found["root"].days == 16825 + 99999 - today
    assert (found["old"].password_days, found["old"].account_days) == (16825 + 90 - today, 17000 - today)
    assert found["daemon"].days is None
    assert found["admusr"].days is None
    assert found["admusr"].odd == "may be 0 days old"  # as 4.6.5/2 shows it


def test_a_password_that_must_be_changed_at_once() -> None:
    (root,) = accounts.parse(f"{20000 * DAY}\nroot:=$6$:0:0:99999:7:::\n")
    assert root.days == 0


@given(st.integers(1, 30000), st.integers(1, 99999), st.integers(11575, 40000))
def test_a_password_expires_so_many_days_after_its_change(changed: int, maximum: int, today: int) -> None:
    (root,) = accounts.parse(f"{today * DAY + 17}\nroot:=$6$:{changed}:0:{maximum}:7:::\n")
    assert root.days == changed + maximum - today


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "root:=$6$:16825:0:99999:7:::\n",
        "1795528923\n",
        "1795528923\nadmusr:=$6$:16825:0:99999:7:::\n",  # root is missing
        "1795528923\nroot:=$6$:16825:0:99999:7:::\nroot:=$1$:16825:0:99999:7:::\n",
        f"1795528923\nroot:{HASH}:16825:0:99999:7:::\n",
        f"1795528923\nroot:={HASH}:16825:0:99999:7:::\n",
        "1795528923\nroot:=$6$:x:0:99999:7:::\n",
    ],
)
def test_odd_accounts_are_refused_and_no_hash_is_shown(odd: str) -> None:
    with pytest.raises(UnreadableReply) as refused:
        accounts.parse(odd)
    assert HASH[3:20] not in str(refused.value)
    assert HASH[3:20] not in refused.value.reply


_FIELD = st.text("./0123456789ABCXYZabcxyz$!*", max_size=40)


@pytest.mark.skipif(shutil.which("sed") is None, reason="needs sed")
@pytest.mark.parametrize(
    "field", ["$6$salt$" + "a" * 86, "$1$salt$" + "b" * 22, "c" * 13, "!$6$s$" + "d" * 86, "e" * 12]
)
def test_no_hash_comes_through_the_command(field: str, tmp_path: Path) -> None:
    printed = _through_sed([field], tmp_path)
    assert re.search(r"[a-e]{6}", printed.replace("locked", "").replace("other", "")) is None
    assert [account.name for account in accounts.parse(printed)] == ["root", "user0"]


@pytest.mark.skipif(shutil.which("sed") is None, reason="needs sed")
@settings(max_examples=30, deadline=None)
@given(fields=st.lists(_FIELD, min_size=1, max_size=8))
def test_whatever_stands_in_the_field_at_most_its_prefix_is_printed(
    fields: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    printed = _through_sed(fields, tmp_path_factory.mktemp("shadow"))
    lines = printed.splitlines()[2:]
    assert len(lines) == len(fields)
    for line, field in zip(lines, fields, strict=True):
        kind = line.split(":")[1].removeprefix("=")
        assert kind in ("empty", "locked", "des", "other") or re.fullmatch(r"\$[0-9a-z]{1,4}\$", kind)
        assert kind != "empty" or field == ""
        assert (kind == "locked") is field.startswith(("!", "*"))


def _through_sed(fields: list[str], folder: Path) -> str:
    shadow = folder / "shadow"
    users = "".join(f"user{n}:{field}:16825:0:99999:7:::\n" for n, field in enumerate(fields))
    shadow.write_text(f"root:$6$salt$hash:16825:0:99999:7:::\n{users}")
    command = accounts.COMMAND.replace("sudo ", "").replace("/etc/shadow", str(shadow))
    return subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout


# ---- netbackup ----


def test_netbackup_is_absent_or_present() -> None:
    assert netbackup.parse(reply("netbackup/coreutils-9.1-absent")) is False
    assert netbackup.parse(Reply(0, "/usr/openv/netbackup\n", "")) is True


@pytest.mark.parametrize(
    "odd",
    [
        Reply(0, "", ""),
        Reply(2, "", "ls: cannot access /usr/openv/netbackup: Permission denied"),
        Reply(127, "", "bash: ls: command not found"),
        Reply(1, "/usr/openv/netbackup\n", ""),
    ],
)
def test_an_odd_answer_about_netbackup_is_refused(odd: Reply) -> None:
    with pytest.raises(UnreadableReply):
        netbackup.parse(odd)


def test_every_captured_reply_says_where_it_comes_from() -> None:
    names = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.txt"))
    assert len(names) > 15
    for probe in ("ping", "ntp", "clock", "hwclock", "accounts", "netbackup"):
        for name in [n for n in names if n.startswith(f"{probe}/")]:
            reply(name)
