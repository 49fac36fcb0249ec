"""Did a password of the night get anywhere, in any form?"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

from nights import Night


def forms(secret: str) -> Iterator[bytes]:
    """Every form in which a secret could have leaked."""
    raw = secret.encode()
    yield raw
    yield quote(secret, safe="").encode()
    yield quote_plus(secret).encode()
    yield base64.b64encode(raw)
    yield base64.urlsafe_b64encode(raw).rstrip(b"=")
    for name in ("md5", "sha1", "sha256", "sha512"):
        yield hashlib.new(name, raw, usedforsecurity=False).hexdigest().encode()


def leaks(night: Night, *places: Path) -> list[str]:
    found = []
    needles = {variable: list(forms(secret)) for variable, secret in night.passwords.items()}
    for place in places:
        for file in (p for p in place.rglob("*") if p.is_file()):
            content = file.read_bytes()
            found += [
                f"{variable} in {file}"
                for variable, all_forms in needles.items()
                if any(f in content for f in all_forms)
            ]
    return found
