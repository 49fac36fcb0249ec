"""The messages of one run on one site: its channels, its rates, and what is watched while it lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from mopflow.channels import Channel, channels_of
from mopflow.grouping import Rates
from mopflow.ledger import Ledger
from mopflow.notify import Notices
from mopflow.reminders import LOOKS, Reminders
from mopflow.secrets import Vault
from mopflow.site import Site
from mopflow.window_news import EVERY, WindowNews


def site_channels(site: Site, vault: Vault) -> list[Channel]:
    """The channels of the site file: those of its people, and those of single contacts.

    Raises SecretMissing, Unreachable for a Prefect block, BadInput for a tag that there is not.
    """
    found = []
    for ref in site.notifications.urls:
        found += channels_of(vault.get(ref), ref.tags, str(ref))
    for contact in site.contacts:
        if contact.url is not None:
            own = channels_of(vault.get(contact.url), (), str(contact.url))
            found += [Channel(channel.url, contact=contact.name) for channel in own]
    for channel in found:
        vault.know(channel.url)
    return found


def open_notices(
    site: Site, vault: Vault, ledger: Ledger, campaign: str | None, link: Callable[[], str] = str
) -> Notices:
    """Ready to tell. Close it. Raises as `site_channels` does."""
    rules = site.notifications
    return Notices(
        site_channels(site, vault),
        ledger,
        site.name,
        campaign,
        vault.strike,
        rates=Rates(rules.gather, rules.at_most, rules.per),
        tags=rules.kinds,
        first=site.contacts[0].name if site.contacts else "",
        link=link,
    )


def watches(
    notices: Notices, ledger: Ledger, site: Site, campaign: str, site_path: str
) -> Iterator[tuple[Callable[[datetime], None], float]]:
    """What is looked at while a run lives, and how often, in seconds."""
    yield WindowNews(notices, ledger, site, campaign), EVERY
    after = site.notifications.remind_after
    if after > 0 and notices.has_channels:
        yield Reminders(notices, ledger, site, campaign, site_path), max(0.5, after / LOOKS)
