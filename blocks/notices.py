"""Where people are told of starts, holds, failures and ends."""

from __future__ import annotations

from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr


class NoticeChannels(Block):
    """Apprise URLs of the channels on which people are told; each is a secret, because it carries a token.

    A site file names one channel as `block: notice-channels/NAME#1`; with a single channel `#1` may be left out.

    Attributes:
        urls: Apprise URLs, one per channel.

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
