"""The hashes of /etc/shadow: `$1$` (MD5) and `$6$` (SHA512), as crypt(3) makes them.

Written out, for Python drops its own module `crypt` and libcrypt is not on every machine. The schemes are public:
Poul-Henning Kamp's MD5 crypt of FreeBSD, and Ulrich Drepper's SHA-crypt with its default of 5000 rounds.
"""

from __future__ import annotations

import functools
import hashlib
import hmac

_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS = 5000
ALGORITHMS = {"1": "MD5", "6": "SHA512"}


def _digits(value: int, count: int) -> str:
    """The lowest 6 bits first."""
    return "".join(_DIGITS[value >> 6 * place & 63] for place in range(count))


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _md5_crypt(key: bytes, salt: bytes) -> str:
    inner = _md5(key + salt + key)
    text = key + b"$1$" + salt + (inner * (len(key) // 16 + 1))[: len(key)]
    size = len(key)
    while size:
        text += b"\0" if size & 1 else key[:1]
        size >>= 1
    found = _md5(text)
    for turn in range(1000):
        first, last = (key, found) if turn & 1 else (found, key)
        found = _md5(first + (salt if turn % 3 else b"") + (key if turn % 7 else b"") + last)
    groups = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
    text64 = "".join(_digits(found[a] << 16 | found[b] << 8 | found[c], 4) for a, b, c in groups)
    return text64 + _digits(found[11], 2)


def _sha512(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def _stretched(digest: bytes, size: int) -> bytes:
    return (digest * (size // 64 + 1))[:size]


def _sha512_crypt(key: bytes, salt: bytes) -> str:
    inner = _sha512(key + salt + key)
    text = key + salt + _stretched(inner, len(key))
    size = len(key)
    while size:
        text += inner if size & 1 else key
        size >>= 1
    found = _sha512(text)
    keys = _stretched(_sha512(key * len(key)), len(key))
    salts = _stretched(_sha512(salt * (16 + found[0])), len(salt))
    for turn in range(_ROUNDS):
        first, last = (keys, found) if turn & 1 else (found, keys)
        found = _sha512(first + (salts if turn % 3 else b"") + (keys if turn % 7 else b"") + last)
    text64, a, b, c = "", 0, 21, 42
    for _ in range(21):
        text64 += _digits(found[a] << 16 | found[b] << 8 | found[c], 4)
        a, b, c = b + 1, c + 1, a + 1
    return text64 + _digits(found[63], 2)


@functools.lru_cache(maxsize=4096)
def crypt(password: str, setting: str) -> str:
    """The hash of `password` with the scheme and salt of `setting` (`$1$salt` or `$6$salt`, more may follow).

    Raises ValueError for any other scheme.
    """
    _, scheme, salt, *_ = [*setting.split("$"), "", "", ""]
    if not setting.startswith("$") or scheme not in ALGORITHMS:
        raise ValueError("neither $1$ nor $6$")
    key = password.encode()
    if scheme == "1":
        salt = salt[:8]
        return f"$1${salt}${_md5_crypt(key, salt.encode())}"
    salt = salt[:16]
    return f"$6${salt}${_sha512_crypt(key, salt.encode())}"


def fits(password: str, kept: str) -> bool:
    """Is this the password of the hash `kept`? Never for a field that holds no hash."""
    try:
        return hmac.compare_digest(crypt(password, kept).encode(), kept.encode())
    except ValueError:
        return False
