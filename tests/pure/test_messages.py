"""How a message reads, whom it is for, and what the lines of a channel mean."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from mopflow.channels import Channel, channels_of, receivers
from mopflow.errors import BadInput
from mopflow.eye import Eye
from mopflow.messages import SUBJECT, Kind, Message, Tag, Tone, together, write
from mopflow.notices import site_channels
from mopflow.phases import next_phase, phase_name
from mopflow.secrets import Vault
from mopflow.site import Contact, Notifications, Site
from mopflow.system import Stage
from tests.pure.small_system import SmallSystem, small_site

AT = datetime(2026, 11, 25, 1, 2, 3, tzinfo=UTC)


def message(kind: Kind, about: str = "x", what: str = "what", to_do: str = "", link: str = "") -> Message:
    return write(kind, "north-east", "night-1", about, what, to_do, at=AT, link=link)


# what it says


def test_a_message_says_what_happened_what_to_do_and_where_to_look() -> None:
    one = message(Kind.HOLD, "mpe-1 at 10.2/3", "no image", "put one there", "http://127.0.0.1:4200/runs/1")
    assert one.subject == "HOLD mpe-1 at 10.2/3 (north-east)"
    assert one.body == (
        "no image\n\nTo do: put one there\n\nRun: http://127.0.0.1:4200/runs/1\n\n"
        "north-east, campaign night-1, 2026-11-25 01:02:03 UTC"
    )


def test_what_is_not_there_leaves_no_gap() -> None:
    assert message(Kind.PHASE_BEGINS, "upgrade-cmp", "at work").body == (
        "at work\n\nnorth-east, campaign night-1, 2026-11-25 01:02:03 UTC"
    )


def test_html_says_the_same_and_nothing_in_it_is_markup_of_somebody_else() -> None:
    one = message(Kind.HOLD, what="<img src=x>\nsecond line", to_do="a & b", link='http://x/?a=1&b="2"')
    assert "<img" not in one.html
    assert "&lt;img src=x&gt;<br>second line" in one.html
    assert "<b>To do:</b> a &amp; b" in one.html
    assert 'href="http://x/?a=1&amp;b=&quot;2&quot;"' in one.html


@pytest.mark.parametrize("kind", Kind)
def test_a_subject_is_one_short_line_that_names_the_site(kind: Kind) -> None:
    subject = message(kind, "a very long cluster name " * 20 + "\nand a second line").subject
    assert len(subject) <= SUBJECT
    assert "\n" not in subject
    assert "north-east" in subject
    assert "a very long" in subject


def test_a_group_is_as_serious_as_its_worst_message_and_says_each_next_thing_once() -> None:
    done = message(Kind.CLUSTER_DONE, "mpe-1 runs 12.1.2", "both servers")
    failed = message(Kind.FAILURE, "mpe-2", "refused", "start it again")
    also = message(Kind.FAILURE, "mpe-3", "refused", "start it again")
    group = together([done, failed, also])
    assert (group.kind, group.tone) == (Kind.FAILURE, Tone.BAD)
    assert group.subject == "3 messages: 1 cluster-done, 2 failure (north-east)"
    assert group.what.splitlines()[0] == "01:02:03 north-east: mpe-1 runs 12.1.2: both servers"
    assert group.to_do == "start it again"
    assert together([done]) is done


# whom it is for


@pytest.mark.parametrize(
    ("tags", "kind", "wanted"),
    [
        ((), Kind.HOLD, True),
        ((Tag.DUTY,), Kind.HOLD, True),
        ((Tag.CUSTOMER,), Kind.HOLD, False),
        ((Tag.CUSTOMER, Tag.DUTY), Kind.HOLD, True),
        ((Tag.CUSTOMER,), Kind.ALL_DONE, True),
        ((Tag.CUSTOMER,), Kind.CAMPAIGN_BEGINS, True),
        ((Tag.CUSTOMER,), Kind.WINDOW_ENDS, True),
        ((Tag.MANAGER,), Kind.CLUSTER_DONE, False),
        ((Tag.MANAGER,), Kind.ROLLBACK, True),
    ],
)
def test_a_channel_is_told_what_concerns_its_people(tags: tuple[Tag, ...], kind: Kind, wanted: bool) -> None:
    assert Channel(SecretStr("x"), frozenset(tags)).reaches(message(kind)) is wanted


def test_the_customer_hears_of_a_hold_only_where_there_is_nobody_else() -> None:
    customer, manager = (Channel(SecretStr(t), frozenset({t})) for t in (Tag.CUSTOMER, Tag.MANAGER))
    assert receivers([customer, manager], message(Kind.HOLD)) == [manager]
    assert receivers([customer], message(Kind.HOLD)) == [customer]
    assert receivers([customer], message(Kind.CLUSTER_DONE)) == []


# what a secret holds


def test_a_secret_holds_one_url_or_lines_with_tags() -> None:
    text = "# those on duty\nduty, Manager=mailto://u:p@h?to=a=b@c.net\n\n; the rest\njson://host/x?a=b\n"
    found = channels_of(SecretStr(text), [Tag.CUSTOMER], "X")
    assert [(c.url.get_secret_value(), set(c.tags)) for c in found] == [
        ("mailto://u:p@h?to=a=b@c.net", {Tag.DUTY, Tag.MANAGER}),
        ("json://host/x?a=b", {Tag.CUSTOMER}),
    ]


@pytest.mark.parametrize("url", ["json://host", "mailto://u:a=b@h", "slack://T/B/x#general"])
def test_a_url_alone_is_a_url_whatever_it_holds(url: str) -> None:
    (channel,) = channels_of(SecretStr(url), (), "X")
    assert (channel.url.get_secret_value(), channel.tags) == (url, frozenset())


def test_a_tag_that_there_is_not_is_refused_without_the_url() -> None:
    with pytest.raises(BadInput, match="environment variable X: line 2 has the tag boss") as caught:
        channels_of(SecretStr("json://h\nboss=json://u:geheim@h"), (), "environment variable X")
    assert "geheim" not in str(caught.value)


def test_the_channels_of_a_site_are_those_of_its_people_and_of_single_contacts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOPFLOW_ALL", "json://a:token-1@h\ncustomer=json://a:token-2@h")
    monkeypatch.setenv("MOPFLOW_BOSS", "json://a:token-3@h")
    rules = Notifications.model_validate({"urls": [{"env": "MOPFLOW_ALL", "tags": ["duty"]}]})
    boss = Contact.model_validate({"name": "A. Boss", "role": "manager", "url": {"env": "MOPFLOW_BOSS"}})
    site = small_site().model_copy(update={"notifications": rules, "contacts": (boss,)})
    vault = Vault()
    found = site_channels(site, vault)
    assert [(set(c.tags), c.contact) for c in found] == [
        ({Tag.DUTY}, ""),
        ({Tag.CUSTOMER}, ""),
        (set(), "A. Boss"),
    ]
    for channel in found:  # each is struck alone, not only as the whole secret
        assert vault.strike(f"({channel.url.get_secret_value()})") == "(********)"


# what comes next


def test_phases_are_called_as_they_are_typed() -> None:
    assert phase_name("upgrade-segment", "leipzig") == "upgrade-segment leipzig"
    assert phase_name("upgrade-cmp", "cmp") == "upgrade-cmp"
    assert phase_name("back-out", "mpe-mra") == "back-out mpe-mra"
    assert phase_name("post-check", "post-check") == "post-check"


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ([], "mopflow upgrade-cmp s.yaml"),
        (["cmp-1"], "mopflow upgrade-cmp s.yaml"),
        (["cmp-1", "cmp-2"], "mopflow upgrade-segment s.yaml segment-1"),
        (["cmp-1", "cmp-2", "mpe-1"], "mopflow upgrade-segment s.yaml segment-1"),
        (["cmp-1", "cmp-2", "mpe-1", "mpe-2"], "mopflow post-check s.yaml"),
    ],
)
def test_the_next_command_follows_from_what_runs_the_target(done: list[str], said: str) -> None:
    site: Site = small_site()
    system = SmallSystem(site)
    for box in system.boxes.values():
        box.release = site.target if box.cluster in done else site.source
    with Eye(site, system) as eye:
        states = eye.now().states
    assert [name for name, state in states.items() if state.stage is Stage.DONE] == done
    assert said in next_phase(site, "s.yaml", states)


def test_nothing_read_yet_means_the_first_phase() -> None:
    assert "upgrade-cmp" in next_phase(small_site(), str(Path("s.yaml")), {})
