"""Messages on their way: to a real HTTP endpoint and a real mail server on loopback, dead, slow and refusing ones too."""

from __future__ import annotations

import logging
import smtplib
import socket
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from catchers import LONG, PASSWORD, USER, Mail, Post, free_port, mail, mute, post, until
from pydantic import SecretStr

from mopflow.channels import Channel
from mopflow.errors import Unreachable
from mopflow.grouping import Rates
from mopflow.ledger import Hold, Ledger, Notice
from mopflow.messages import Kind, Tag
from mopflow.notify import ENDED, NOBODY, Notices

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

SOON = (0.02, 0.05, 0.1)  # seconds between tries: a test does not wait for long
RUN = "http://127.0.0.1:4200/runs/flow-run/0b3f"
NEVER = Rates(gather=3600)


@pytest.fixture
def endpoint() -> Iterator[Post]:
    with post() as server:
        yield server


@pytest.fixture
def server() -> Iterator[Mail]:
    with mail() as server:
        yield server


@pytest.fixture
def dead() -> str:
    return f"json://{USER}:{PASSWORD}@127.0.0.1:{free_port()}/{PASSWORD}"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        ledger.campaign("lab", "12.1.1", "12.1.2", "night-1")
        yield ledger


def channel(url: str, *tags: Tag, contact: str = "") -> Channel:
    return Channel(SecretStr(url), frozenset(tags), contact)


def notices(
    ledger: Ledger,
    *urls: str | Channel,
    waits: Sequence[float] = SOON,
    rates: Rates = NEVER,
    first: str = "",
    link: str = "",
) -> Notices:
    return Notices(
        [url if isinstance(url, Channel) else channel(url) for url in urls],
        ledger,
        "lab",
        "night-1",
        lambda text: text.replace("geheim", "********"),
        rates=rates,
        first=first,
        link=lambda: link,
        waits=waits,
    )


def told(ledger: Ledger) -> list[tuple[str, bool, str]]:
    return [(notice.subject, notice.delivered, notice.why) for notice in ledger.notices("lab", "night-1")]


def so_far(ledger: Ledger) -> tuple[str, int]:
    """Why the first message was not delivered so far, and after how many tries."""
    found = ledger.notices("lab", "night-1")
    return (found[0].why, found[0].tries) if found else ("", 0)


def a_hold(ledger: Ledger) -> Hold:
    return ledger.open_hold("lab", "night-1", "mpe-1", "10.2", 3, "R8", "why", "what to do", {})


# what arrives


def test_a_notice_arrives_without_secrets_and_is_noted(ledger: Ledger, endpoint: Post) -> None:
    sender = notices(ledger, endpoint.url, link="http://127.0.0.1:4200/runs/flow-run/1")
    sender.tell(Kind.PHASE_ENDS, "segment 1 is done", "the password is geheim; 5 clusters", "rest")
    assert sender.close(LONG) is True
    (document,) = endpoint.taken
    assert document["title"] == "lab: segment 1 is done"
    assert document["message"].startswith(
        "the password is ********; 5 clusters\n\nTo do: rest\n\nRun: http://127.0.0.1:4200/runs/flow-run/1\n\n"
        "lab, campaign night-1, "
    )
    (notice,) = ledger.notices("lab")
    assert (notice.delivered, notice.why, notice.tries) == (True, "", 1)
    assert (notice.kind, notice.tags, notice.body) == (
        "phase-ends",
        "duty, manager",
        document["message"],
    )


def test_a_mail_arrives_and_can_be_read(ledger: Ledger, server: Mail) -> None:
    sender = notices(ledger, server.url(), link=RUN)
    sender.tell(
        Kind.HOLD, "mpe-1 at 10.2/3", "more than one image: a & b <c>\n10.2/3", "put exactly one image there"
    )
    assert sender.close(LONG) is True
    (message,) = server.mails
    assert message["Subject"] == "HOLD mpe-1 at 10.2/3 (lab)"
    assert "mopflow" in message["From"] and "mopflow@example.net" in message["From"]
    assert server.recipients == [["duty@example.net"]]
    assert server.logins == [USER]
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None and rich is not None
    for text in (plain.get_content(), rich.get_content()):
        assert "put exactly one image there" in text
        assert "src=" not in text  # nothing is fetched when it is opened
    assert "more than one image: a & b <c>\n10.2/3" in plain.get_content().replace("\r", "")
    assert "a &amp; b &lt;c&gt;<br>10.2/3" in rich.get_content()
    assert RUN in plain.get_content() and f'<a href="{RUN}">' in rich.get_content()
    assert told(ledger) == [("HOLD mpe-1 at 10.2/3 (lab)", True, "")]


def test_slack_gets_what_it_takes(ledger: Ledger, endpoint: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins.slack import NotifySlack

    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{endpoint.server_port}/services")
    sender = notices(ledger, "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7")
    sender.tell(Kind.ROLLBACK, "mpe-1", "no traffic <over> 12.1.2", "wait")
    assert sender.close(LONG) is True
    assert endpoint.paths == ["/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7"]
    (document,) = endpoint.taken
    (attachment,) = document["attachments"]
    assert attachment["title"] == "ROLLBACK mpe-1 (lab)"
    assert "no traffic &lt;over&gt; 12.1.2\n" in attachment["text"]
    assert "To do: wait" in attachment["text"]
    assert attachment["color"] == "#A32037"  # red
    assert attachment["footer"] == "mopflow"
    assert "http" not in str(document)


# whom it is for


def test_everybody_is_told_what_concerns_them(ledger: Ledger) -> None:
    with post() as duty, post() as customer, post() as all_of_it:
        sender = notices(
            ledger,
            channel(duty.url, Tag.DUTY),
            channel(customer.url, Tag.CUSTOMER),
            channel(all_of_it.url),
        )
        sender.tell(Kind.HOLD, "mpe-1", "x")
        sender.tell(Kind.ALL_DONE, "upgraded", "x")
        sender.tell(Kind.HOLD_AGAIN, "mpe-1", "x", tags=[Tag.MANAGER])
        assert sender.close(LONG) is True
    assert duty.titles == ["HOLD mpe-1 (lab)", "ALL DONE upgraded (lab)", "STILL HELD mpe-1 (lab)"][:2]
    assert customer.titles == ["ALL DONE upgraded (lab)"]
    assert len(all_of_it.titles) == 3
    assert [notice.tags for notice in ledger.notices("lab")] == ["duty", "duty, manager, customer", "manager"]


def test_a_hold_is_never_lost_over_its_tags(ledger: Ledger) -> None:
    with post() as manager, post() as customer:
        sender = notices(ledger, channel(manager.url, Tag.MANAGER), channel(customer.url, Tag.CUSTOMER))
        sender.tell(Kind.HOLD, "mpe-1", "x")  # for those on duty, and nobody is
        sender.tell(Kind.CLUSTER_DONE, "mpe-1 is done", "x")
        assert sender.close(LONG) is True
    assert (manager.titles, customer.titles) == (["HOLD mpe-1 (lab)"], [])
    assert told(ledger)[1] == ("lab: mpe-1 is done", False, "no channel has the tag duty")


def test_a_contact_with_a_channel_of_their_own_gets_new_holds_and_nothing_else(ledger: Ledger) -> None:
    with post() as own, post() as duty:
        sender = notices(
            ledger, channel(own.url, contact="J. Doe"), channel(duty.url, Tag.DUTY), first="J. Doe"
        )
        sender.tell(Kind.HOLD, "mpe-1", "x")
        sender.tell(Kind.FAILURE, "upgrade-cmp", "x")
        sender.tell(Kind.HOLD_AGAIN, "mpe-1", "x", tags=[], contact="J. Doe")
        assert sender.close(LONG) is True
    assert own.titles == ["HOLD mpe-1 (lab)", "STILL HELD mpe-1 (lab)"]
    assert duty.titles == ["HOLD mpe-1 (lab)", "FAILED upgrade-cmp (lab)"]
    assert [notice.tags for notice in ledger.notices("lab")] == ["duty, J. Doe", "duty, manager", "J. Doe"]


# what goes wrong


def test_a_dead_endpoint_is_noted_and_the_others_are_served(
    ledger: Ledger, endpoint: Post, dead: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in ("apprise", "urllib3.connectionpool", "requests"):
            caplog.set_level(logging.DEBUG, logger=name)
        sender = notices(ledger, dead, endpoint.url)
        sender.tell(Kind.HOLD, "mpe-1", "x")
        until(lambda: endpoint.taken)
        until(lambda: so_far(ledger)[1] == len(SOON) + 1)
        assert sender.close(LONG) is True
    ((subject, delivered, why),) = told(ledger)
    assert (subject, delivered) == ("HOLD mpe-1 (lab)", False)
    assert why.startswith("endpoint 1 (json): ")
    assert "onnection" in why
    assert "endpoint 2" not in why
    assert [notice.tries for notice in ledger.notices("lab")] == [len(SOON) + 1]
    assert "was not delivered: endpoint 1 (json)" in caplog.text
    for secret in (PASSWORD, USER, dead):
        assert secret not in caplog.text
        assert secret not in why


def test_a_dead_mail_server_that_comes_back_gets_the_mail(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    server = Mail()  # not started: nobody listens
    sender = notices(ledger, server.url(), waits=[0.05] * 600)
    sender.tell(Kind.HOLD, "mpe-1", "x")
    until(lambda: "efused" in so_far(ledger)[0])
    assert told(ledger)[0][1] is False
    server.start()
    try:
        until(lambda: server.mails)
        assert sender.close(LONG) is True
    finally:
        server.stop()
    assert server.subjects == ["HOLD mpe-1 (lab)"]
    assert told(ledger) == [("HOLD mpe-1 (lab)", True, "")]
    assert [notice.tries > 1 for notice in ledger.notices("lab")] == [True]
    assert PASSWORD not in caplog.text


def test_a_mute_mail_server_is_in_nobodys_way(ledger: Ledger, endpoint: Post) -> None:
    """It takes the connection and says nothing: apprise waits 15 seconds for it, and nothing else does."""
    with mute() as (port, connected):
        url = f"mailto://{USER}:{PASSWORD}@127.0.0.1:{port}?from=a@example.net&to=b@example.net&mode=insecure"
        sender = notices(ledger, url, endpoint.url)
        for n in range(3):
            sender.tell(Kind.HOLD, f"mpe-{n}", "x")  # returns at once
        assert connected.wait(LONG)
        until(lambda: len(endpoint.taken) == 3)
        assert sender.close(0.1) is False
    assert endpoint.titles == [f"HOLD mpe-{n} (lab)" for n in range(3)]
    assert told(ledger) == [(f"HOLD mpe-{n} (lab)", False, ENDED) for n in range(3)]


def test_a_mail_server_that_refuses_is_asked_so_often_and_no_oftener(ledger: Ledger, server: Mail) -> None:
    server.refusal = "550 5.1.1 no such mailbox"
    sender = notices(ledger, server.url())
    sender.tell(Kind.FAILURE, "upgrade-cmp", "x")
    until(lambda: server.refusals == len(SOON) + 1)
    assert sender.close(LONG) is True
    ((_, delivered, why),) = told(ledger)
    assert delivered is False
    assert "550" in why and "no such mailbox" in why
    assert PASSWORD not in why
    assert server.refusals == len(SOON) + 1
    assert server.mails == []


def test_a_wrong_password_of_the_mail_server_is_said_and_not_shown(ledger: Ledger, server: Mail) -> None:
    wrong = server.url().replace(PASSWORD, "another-word")
    sender = notices(ledger, wrong, waits=())
    sender.tell(Kind.FAILURE, "upgrade-cmp", "x")
    assert sender.close(LONG) is True
    ((_, delivered, why),) = told(ledger)
    assert (delivered, "535" in why, "another-word" in why) == (False, True, False)


def test_an_endpoint_that_refuses_is_noted(ledger: Ledger, endpoint: Post) -> None:
    endpoint.status = 401
    sender = notices(ledger, endpoint.url)
    sender.tell(Kind.FAILURE, "end", "done")
    sender.close(LONG)
    ((_, delivered, why),) = told(ledger)
    assert delivered is False
    assert "401" in why


def test_a_url_that_apprise_does_not_know_is_noted_without_it_and_not_tried_again(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        sender = notices(ledger, f"nosuchkind://{PASSWORD}/{PASSWORD}", PASSWORD)
        sender.tell(Kind.FAILURE, "end", "done")
        sender.close(LONG)
    ((_, delivered, why),) = told(ledger)
    assert delivered is False
    assert "endpoint 1 (nosuchkind)" in why
    assert "endpoint 2: " in why
    assert PASSWORD not in why + caplog.text
    assert [notice.tries for notice in ledger.notices("lab")] == [1]


def test_telling_does_not_wait_and_what_still_waits_at_the_end_is_noted(
    ledger: Ledger, endpoint: Post
) -> None:
    endpoint.open.clear()
    sender = notices(ledger, endpoint.url)
    sender.tell(Kind.HOLD, "first", "x")  # returns, although the endpoint does not answer
    assert endpoint.arrived.wait(LONG)
    sender.tell(Kind.HOLD, "second", "x")
    assert sender.close(0.2) is False
    assert told(ledger) == [
        ("HOLD first (lab)", False, ENDED),
        ("HOLD second (lab)", False, ENDED),
    ]


def test_the_end_of_a_run_waits_for_no_second_try(ledger: Ledger, dead: str) -> None:
    """A wait of an hour becomes a second when the run is ending, and the run ends when its patience does."""
    sender = notices(ledger, dead, waits=[3600.0] * 100)
    sender.tell(Kind.ALL_DONE, "upgraded", "x")
    until(lambda: "onnection" in so_far(ledger)[0])
    assert sender.close(1.5) is False
    ((_, delivered, why),) = told(ledger)
    assert (delivered, why.startswith(ENDED), "onnection" in why) == (False, True, True)
    assert ledger.notices("lab")[0].tries >= 2


def test_a_hold_overtakes_what_is_tried_again(ledger: Ledger, endpoint: Post) -> None:
    endpoint.status = 500
    sender = notices(ledger, endpoint.url, waits=[0.3] * 100)
    for n in range(5):
        sender.tell(Kind.FAILURE, f"number {n}", "x")
    until(lambda: len(told(ledger)) == 5 and all("500" in why for *_, why in told(ledger)))
    endpoint.open.clear()  # the next try waits here, and meanwhile everything else is due
    endpoint.arrived.clear()
    assert endpoint.arrived.wait(LONG)
    sender.tell(Kind.HOLD, "mpe-1", "x")
    until(lambda: len(told(ledger)) == 6)
    endpoint.status = 200
    endpoint.open.set()
    assert sender.close(LONG) is True
    assert len(endpoint.titles) == 6
    assert endpoint.titles.index("HOLD mpe-1 (lab)") <= 1  # behind the one that was under way
    assert all(delivered for _, delivered, _ in told(ledger))


def test_no_endpoint_is_no_error(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    sender = notices(ledger)
    sender.tell(Kind.HOLD, "mpe-1", "x")
    assert sender.close(LONG) is True
    assert told(ledger) == [("HOLD mpe-1 (lab)", False, NOBODY)]
    assert caplog.text == ""


def test_a_ledger_that_is_gone_stops_no_notice(
    ledger: Ledger, endpoint: Post, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ledger.db").unlink()
    sender = notices(ledger, endpoint.url)
    sender.tell(Kind.CAMPAIGN_BEGINS, "night-1", "x")  # told once, and nobody can say whether it was
    sender.tell(Kind.HOLD, "mpe-1", "x", holds=["0815"])
    assert sender.close(LONG) is True
    assert endpoint.titles == ["lab: campaign night-1 begins", "HOLD mpe-1 (lab)"]
    assert "cannot be entered" in caplog.text


def test_other_threads_keep_their_log_lines(
    ledger: Ledger, endpoint: Post, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.open.clear()
    sender = notices(ledger, endpoint.url)
    sender.tell(Kind.HOLD, "mpe-1", "x")
    assert endpoint.arrived.wait(LONG)
    logging.getLogger("apprise").warning("somebody else's line")
    endpoint.open.set()
    assert sender.close(LONG) is True
    assert "somebody else's line" in caplog.text
    assert told(ledger) == [("HOLD mpe-1 (lab)", True, "")]


# what is told once, together, or watched


def test_a_storm_of_alarms_is_one_mail_and_the_hold_in_it_is_another(ledger: Ledger, server: Mail) -> None:
    sender = notices(ledger, server.url(), rates=Rates(gather=0.5))
    for n in range(40):
        sender.tell(Kind.ALARM, f"70004 on mpe-{n}", f"70004 on mpe-{n}: unexpected")
        if n == 20:
            sender.tell(Kind.HOLD, "mpe-1", "x")
    until(lambda: len(server.mails) == 2)
    assert sender.close(LONG) is True
    assert server.subjects == ["HOLD mpe-1 (lab)", "ALARM 40 unexpected alarms (lab)"]
    storm = server.mails[1].get_body(("plain",))
    assert storm is not None
    assert all(f"70004 on mpe-{n}: unexpected" in storm.get_content() for n in range(40))
    assert [(n.kind, n.delivered) for n in ledger.notices("lab")] == [("hold", True), ("alarm", True)]


def test_the_campaign_begins_once_whatever_runs_say_so(ledger: Ledger, endpoint: Post) -> None:
    for _ in range(3):
        sender = notices(ledger, endpoint.url)
        sender.tell(Kind.CAMPAIGN_BEGINS, "night-1", "x")
        sender.tell(Kind.PHASE_BEGINS, "upgrade-cmp", "x")
        assert sender.close(LONG) is True
    assert endpoint.titles == ["lab: campaign night-1 begins", *["lab: upgrade-cmp begins"] * 3]


def test_a_hold_counts_as_told_when_it_was_delivered(ledger: Ledger, endpoint: Post, dead: str) -> None:
    hold = a_hold(ledger)
    lost = notices(ledger, dead)
    lost.tell(Kind.HOLD, "mpe-1", "x", holds=[hold.id])
    until(lambda: so_far(ledger)[1] == len(SOON) + 1)
    assert lost.close(LONG) is True
    assert ledger.hold(hold.id).told is None
    sender = notices(ledger, dead, endpoint.url)
    sender.tell(Kind.HOLD, "mpe-1", "x", holds=[hold.id])
    assert sender.close(LONG) is True
    assert (ledger.hold(hold.id).told is not None, ledger.hold(hold.id).told_times) == (True, 1)


def test_a_watch_is_looked_at_as_long_as_the_run_lives_whatever_it_does(
    ledger: Ledger, endpoint: Post, caplog: pytest.LogCaptureFixture
) -> None:
    sender = notices(ledger, endpoint.url)
    looks: list[datetime] = []

    def look(now: datetime) -> None:
        looks.append(now)
        if len(looks) == 1:
            raise Unreachable("the ledger", "it is away")
        if len(looks) == 2:
            raise RuntimeError("a mistake")
        if len(looks) == 3:
            sender.tell(Kind.HOLD_AGAIN, "mpe-1", "x")

    sender.watch(look, 0.01)
    until(lambda: endpoint.taken)
    assert sender.close(LONG) is True
    count = len(looks)
    assert count >= 3
    assert looks[0].tzinfo is UTC
    assert "it is away" in caplog.text and "a mistake in the program" in caplog.text
    threading.Event().wait(0.05)
    assert len(looks) == count


def test_notices_are_values(ledger: Ledger) -> None:
    ledger.add_notice("lab", None, "before any campaign", True, "")
    (notice,) = ledger.notices("lab")
    assert isinstance(notice, Notice)
    assert notice.campaign is None
    assert ledger.notices("lab", "night-1") == []


def test_the_catcher_itself_asks_for_a_password(server: Mail) -> None:
    """Else the tests above would show nothing of it."""
    with smtplib.SMTP("127.0.0.1", server.port, timeout=LONG) as client:
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("a@example.net", ["b@example.net"], "Subject: x\n\nx")
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        assert raw.recv(4) == b"220 "
