"""Where people are told of starts, holds, failures and ends."""

from __future__ import annotations

import re
from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr, model_validator

from mopflow.messages import Tag


class NoticeChannels(Block):
    """Apprise URLs of the channels on which people are told; each is a secret, because it carries a token.

    A site file names all of them as `block: notice-channels/NAME`, and one as `block: notice-channels/NAME#1`.

    Attributes:
        urls: Apprise URLs, one per channel.
        tags: Whom each channel reaches, in the same order.

    Example:
        Load the stored channels:
        ```python
        from blocks import NoticeChannels

        channels = NoticeChannels.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Notice Channels"
    _block_type_slug: ClassVar[str | None] = "notice-channels"  # never changes once it is registered
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl("https://github.com/caronc/apprise/wiki")

    urls: list[SecretStr] = Field(
        default=...,
        min_length=1,
        description="Apprise URLs, one per channel, such as mailtos://user:password@host or slack://token.",
    )
    tags: list[str] = Field(
        default_factory=list,
        description="Whom each channel reaches, in the same order: duty, manager, customer, or several of them with "
        "commas. A channel without tags is told of everything.",
    )

    @model_validator(mode="after")
    def _known(self) -> NoticeChannels:
        if len(self.tags) > len(self.urls):
            raise ValueError(
                f"there are {len(self.urls)} URLs and {len(self.tags)} tags; give at most one per URL"
            )
        wrong = [word for line in self.tags for word in _words(line) if word not in set(Tag)]
        if wrong:
            raise ValueError(f"{wrong[0]} is no tag; the tags are {', '.join(Tag)}")
        return self

    def line(self, index: int) -> str:
        """One channel as a line of apprise's text configuration: its tags, then its URL."""
        words = _words(self.tags[index]) if index < len(self.tags) else []
        url = self.urls[index].get_secret_value()
        return f"{','.join(words)}={url}" if words else url


def _words(line: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", line.lower()) if word]
