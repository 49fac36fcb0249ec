"""Read a secret that the site file names as `block: NAME` from Prefect."""

from __future__ import annotations

import httpx
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from pydantic import SecretStr

from blocks.notices import NoticeChannels
from mopflow.errors import SecretMissing, Unreachable

KINDS: dict[str, type[Block]] = {"": Secret, "secret": Secret, "notice-channels": NoticeChannels}


def read_secret(name: str) -> SecretStr:
    """The secret of a block.

    ``NAME`` is a Secret block; ``notice-channels/NAME`` all channels of a NoticeChannels block, a line each, and
    ``notice-channels/NAME#2`` the second one; the tags of a channel stand before its URL.
    Raises SecretMissing when there is no such block or it has another shape, Unreachable when Prefect's server does
    not answer. No error holds the secret.
    """
    path, _, index = name.partition("#")
    slug, _, document = path.rpartition("/")
    kind = KINDS.get(slug)
    if kind is None:
        raise SecretMissing(f"Prefect block {name}: {slug!r} is no type that holds a secret for mopflow")
    block = _load(kind, document, name)
    if isinstance(block, NoticeChannels):
        return _channels(block, name, index)
    assert isinstance(block, Secret)
    value = block.value.get_secret_value()  # not `get()`: that makes a number of a password of digits
    if not isinstance(value, str) or not value:
        raise SecretMissing(f"Prefect block {name}: its value is not a text; store the password itself in it")
    return SecretStr(value)


def _load(kind: type[Block], document: str, name: str) -> Block:
    try:
        loaded = kind.load(document)
    except ValueError:  # Prefect says so when there is none, and when what is there does not fit the type
        raise SecretMissing(
            f"Prefect block {name} is not there; make it in Prefect (Blocks, {kind.get_block_type_slug()}) "
            "or name another one in the site file"
        ) from None
    except (httpx.TransportError, httpx.HTTPStatusError) as error:
        raise Unreachable("Prefect's server", f"block {name}: {type(error).__name__}") from None
    assert isinstance(loaded, Block)
    return loaded


def _channels(block: NoticeChannels, name: str, index: str) -> SecretStr:
    """All channels as lines, or the one with this number; each with its tags, as `mopflow.channels` reads them."""
    count = len(block.urls)
    if not index:
        return SecretStr("\n".join(block.line(each) for each in range(count)))
    if index.isdecimal() and 1 <= int(index) <= count:
        return SecretStr(block.line(int(index) - 1))
    raise SecretMissing(
        f"Prefect block {name}: it has {count} channels; name one of them, #1 to #{count}, such as "
        f"{name.partition('#')[0]}#1, or all of them without a number"
    )
