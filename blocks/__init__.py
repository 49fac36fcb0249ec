"""Typed Prefect blocks: what a site file names and must not hold itself. `prefect block register -m blocks`."""

from __future__ import annotations

from blocks.notices import NoticeChannels
from blocks.reader import read_secret

__all__ = ["NoticeChannels", "read_secret"]
