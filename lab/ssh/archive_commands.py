"""gzip, dd and od, as far as one looks at an archive or an image with them."""

from __future__ import annotations

import zlib

from .options import number, options
from .shell import Call, CommandError
from .streams import Source, read_all


async def gzip(call: Call) -> int:
    """gzip -t [FILE]...: is it whole?"""
    found, names = options(call, "tv", "", ("test",))
    if "t" not in found and "test" not in found:
        raise CommandError("only -t is there")
    status = 0
    for name in names or ["-"]:
        source: Source
        try:
            source = call.io.stdin if name == "-" else call.files.reader(call.path(name))
            data = await read_all(source)
        except OSError as error:
            await call.complain(f"{name}: {error.strerror}")
            status = 1
            continue
        wrong = _tested(data)
        if wrong:
            shown = "stdin" if name == "-" else name
            await call.io.err.write(f"\ngzip: {shown}: {wrong}\n".encode())
            status = 1
    return status


def _tested(data: bytes) -> str | None:
    """What gzip says of it; None when it is whole."""
    if not data:
        return "unexpected end of file"
    if data[:2] != b"\x1f\x8b":
        return "not in gzip format"
    unpacked = zlib.decompressobj(wbits=31)
    try:
        unpacked.decompress(data)
    except zlib.error as error:
        return (
            "invalid compressed data--crc error"
            if "check" in str(error)
            else "invalid compressed data--format violated"
        )
    return None if unpacked.eof else "unexpected end of file"


_SUFFIXES = {"k": 1024, "K": 1024, "M": 1 << 20, "G": 1 << 30}


async def dd(call: Call) -> int:
    """dd if=FILE [bs=N] [skip=N] [count=N] [status=...]: reads, never writes a file."""
    given = dict(word.split("=", 1) for word in call.args if "=" in word)
    odd = [word for word in call.args if "=" not in word or word.split("=")[0] not in _OPERANDS]
    if odd:
        raise CommandError(f"unrecognized operand `{odd[0]}'")
    size = _amount(given.get("bs", "512"))
    source: Source
    if "if" in given:
        try:
            source = call.files.reader(call.path(given["if"]))
        except OSError as error:
            raise CommandError(f"opening `{given['if']}': {error.strerror}") from error
    else:
        source = call.io.stdin
    data = (await read_all(source))[_amount(given.get("skip", "0")) * size :]
    if "count" in given:
        data = data[: _amount(given["count"]) * size]
    await call.io.out.write(data)
    whole, rest = divmod(len(data), size)
    records = f"{whole}+{int(rest > 0)}"
    if given.get("status") not in ("none",):
        said = f"{records} records in\n{records} records out\n{len(data)} bytes copied, 0.0001 s\n"
        await call.io.err.write(said.encode())
    return 0


async def od(call: Call) -> int:
    """od -An -v -tx1 [FILE]: bytes in hex, sixteen in a line."""
    found, names = options(call, "v", "At")
    if found.get("A") != "n" or found.get("t") != "x1" or "v" not in found:
        raise CommandError("only od -An -v -tx1 is there")
    data = await read_all(call.files.reader(call.path(names[0])) if names else call.io.stdin)
    for at in range(0, len(data), 16):
        await call.say("".join(f" {byte:02x}" for byte in data[at : at + 16]))
    return 0


_OPERANDS = frozenset({"if", "bs", "skip", "count", "status"})


def _amount(text: str) -> int:
    factor = _SUFFIXES.get(text[-1:], 1)
    return number(text[:-1] if factor > 1 else text, "number") * factor
