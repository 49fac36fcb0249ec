"""Where a secret comes from, and how it is kept out of everything that is written."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Mapping
from html import escape
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from mopflow.errors import SecretMissing

BlockReader = Callable[[str], SecretStr]


class SecretRef(BaseModel):
    """The name of a secret: an environment variable or a Prefect block. The secret itself never stands in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = None
    block: str | None = None

    @model_validator(mode="after")
    def _one(self) -> SecretRef:
        if (self.env is None) == (self.block is None):
            raise ValueError("name exactly one of env (an environment variable) and block (a Prefect block)")
        return self

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.env else f"Prefect block {self.block}"


class Vault:
    """Resolves secrets and remembers them so that they can be struck from texts."""

    def __init__(self, read_block: BlockReader | None = None) -> None:
        self._read_block = read_block
        self._known: set[str] = set()

    def get(self, ref: SecretRef) -> SecretStr:
        """The secret. Raises SecretMissing with the name of what is missing."""
        if ref.env is not None:
            value = os.environ.get(ref.env)
            if not value:
                raise SecretMissing(
                    f"environment variable {ref.env} is not set; set it before you start mopflow"
                )
            secret = SecretStr(value)
        else:
            if self._read_block is None:
                raise SecretMissing(f"{ref} cannot be read here: no Prefect server is at hand")
            secret = self._read_block(ref.block or "")
        self.know(secret)
        return secret

    def know(self, secret: SecretStr) -> None:
        """Strike this one, too: a part of a secret that may show up alone."""
        self._known.add(secret.get_secret_value())

    def strike(self, text: str) -> str:
        """`text` with every known secret, in each of its `forms`, replaced by stars."""
        for form in forms(self._known):
            text = text.replace(form, "********")
        return text


def forms(secrets: Iterable[str]) -> list[str]:
    """Every form in which a secret may show up, longest first: plain, in URLs, base64, JSON, HTML and Python's repr."""
    found: set[str] = set()
    for secret in secrets:
        raw = secret.encode()
        found |= {
            secret,
            quote(secret, safe=""),
            quote_plus(secret),
            base64.b64encode(raw).decode(),
            base64.urlsafe_b64encode(raw).decode(),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            repr(secret)[1:-1],
            escape(secret),
        }
    return sorted((form for form in found if form), key=len, reverse=True)


def refs_of(model: BaseModel) -> list[SecretRef]:
    """Every secret that a model names, however deep, each once."""
    found: dict[SecretRef, None] = {}

    def look(value: object) -> None:
        if isinstance(value, SecretRef):
            found[value] = None
        elif isinstance(value, BaseModel):
            for name in type(value).model_fields:
                look(getattr(value, name))
        elif isinstance(value, Mapping):
            for item in value.values():
                look(item)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for item in value:
                look(item)

    look(model)
    return list(found)
