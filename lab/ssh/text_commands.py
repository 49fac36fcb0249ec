"""grep, egrep, fgrep and sed: what looks for text in files and streams, and changes it."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from .options import options
from .regex import PatternError, compiled
from .sed import Editor, Printer
from .sed_script import Command, SedError, parse
from .shell import Call, CommandError
from .streams import Lines, Source, read_all


def _text(data: bytes) -> str:
    """Bytes that are no UTF-8 come out again as they went in."""
    return data.decode(errors="surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


# ---- grep ----


async def grep(call: Call) -> int:
    found, names = options(call, "cEFGivqonwxhHlsa", "em", ("color=", "quiet", "count"))
    if "e" in found:
        pattern = found["e"]
    elif names:
        pattern = names.pop(0)
    else:
        raise CommandError("usage: grep [OPTION]... PATTERN [FILE]...", 2)
    wanted = _wanted(call, pattern, found)
    total, trouble = 0, False
    label = ("H" in found or len(names) > 1) and "h" not in found
    for name in names or ["-"]:
        try:
            source: Source = call.io.stdin if name == "-" else call.files.reader(call.path(name))
        except OSError as error:
            if "s" not in found:
                await call.complain(f"{name}: {error.strerror}")
            trouble = True
            continue
        shown = "(standard input)" if name == "-" else name
        total += await _grep_one(call, source, wanted, found, shown, label=label)
    return 2 if trouble and not ("q" in found and total) else int(total == 0)


def _wanted(call: Call, pattern: str, found: dict[str, str]) -> re.Pattern[str]:
    """Several lines of a pattern are alternatives. Raises CommandError (status 2)."""
    extended = "E" in found or call.name == "egrep"
    fixed = "F" in found or call.name == "fgrep"
    ignore_case = "i" in found
    try:
        parts = [
            re.escape(line) if fixed else compiled(line, extended=extended).pattern
            for line in pattern.split("\n")
        ]
    except PatternError as wrong:
        raise CommandError(str(wrong), 2) from wrong
    text = parts[0] if len(parts) == 1 else "|".join(f"(?:{part})" for part in parts)
    if "x" in found:
        text = rf"\A(?:{text})\Z"
    elif "w" in found:
        text = rf"(?<!\w)(?:{text})(?!\w)"
    return re.compile(text, re.IGNORECASE if ignore_case else 0)


async def _grep_one(
    call: Call, source: Source, wanted: re.Pattern[str], found: dict[str, str], name: str, *, label: bool
) -> int:
    lines = Lines(source)
    hits = number = 0
    limit = int(found["m"]) if "m" in found else -1
    silent = "q" in found or "quiet" in found
    count = "c" in found or "count" in found
    before = f"{name}:" if label else ""
    while hits != limit and (line := await lines.next()) is not None:
        number += 1
        text = _text(line)
        if (wanted.search(text) is None) is not ("v" in found):
            continue
        hits += 1
        if silent or "l" in found:
            break
        if count:
            continue
        prefix = before + (f"{number}:" if "n" in found else "")
        shown = [text]
        if "o" in found:
            shown = [] if "v" in found else [hit.group() for hit in wanted.finditer(text) if hit.group()]
        for part in shown:
            await call.io.out.write(_bytes(f"{prefix}{part}\n"))
    if count and not silent:
        await call.say(f"{before}{hits}")
    elif "l" in found and hits and not silent:
        await call.say(name)
    return hits


# ---- sed ----


@dataclass(slots=True)
class _Order:
    """A command line of sed."""

    script: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    quiet: bool = False
    extended: bool = False
    separate: bool = False
    suffix: str | None = None  # None: not in place; "": in place without a backup


def _order(call: Call) -> _Order:
    order = _Order()
    rest = list(call.args)
    plain: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            plain += rest
            break
        if word.startswith("--"):
            _long(order, word[2:], rest)
        elif word.startswith("-") and word != "-":
            _letters(order, word[1:], rest)
        else:
            plain.append(word)
    if not order.script:
        if not plain:
            raise CommandError("usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...")
        order.script.append(plain.pop(0))
    order.files = plain
    return order


def _long(order: _Order, word: str, rest: list[str]) -> None:
    name, given, value = word.partition("=")
    if name in ("quiet", "silent"):
        order.quiet = True
    elif name == "regexp-extended":
        order.extended = True
    elif name == "separate":
        order.separate = True
    elif name == "in-place":
        order.suffix = value
    elif name == "expression" and (given or rest):
        order.script.append(value if given else rest.pop(0))
    else:
        raise CommandError(f"unrecognized option '--{name}'")


def _letters(order: _Order, letters: str, rest: list[str]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter == "n":
            order.quiet = True
        elif letter in "rE":
            order.extended = True
        elif letter == "s":
            order.separate = True
        elif letter == "i":  # what follows in the same word is the suffix of the backup
            order.suffix = letters
            return
        elif letter == "e":
            if not letters and not rest:
                raise CommandError("option requires an argument -- 'e'")
            order.script.append(letters or rest.pop(0))
            return
        else:
            raise CommandError(f"invalid option -- '{letter}'")


async def sed(call: Call) -> int:
    """sed [-n] [-r|-E] [-s] [-i[SUFFIX]] [-e SCRIPT]... [SCRIPT] [FILE]..."""
    order = _order(call)
    script = "\n".join(order.script)
    try:
        commands = parse(script, extended=order.extended)
        if order.suffix is not None:
            return await _in_place(call, order, commands, script)
        return await _streamed(call, order, commands, script)
    except SedError as wrong:
        raise CommandError(str(wrong)) from wrong


async def _streamed(call: Call, order: _Order, commands: list[Command], script: str) -> int:
    status = 0
    inputs: list[bytes] = []
    for name in order.files or ["-"]:
        data = await _input(call, name)
        if data is None:
            status = 2
        else:
            inputs.append(data)
    if not order.separate:
        inputs = [b"".join(_ended(data) for data in inputs[:-1]) + b"".join(inputs[-1:])]
    printer = Printer()
    for data in inputs:
        if _edit(data, commands, printer, quiet=order.quiet):
            break
        commands = parse(script, extended=order.extended)
    await call.io.out.write(_bytes(printer.text))
    return status


def _ended(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"


async def _input(call: Call, name: str) -> bytes | None:
    if name == "-":
        return await read_all(call.io.stdin)
    try:
        if call.files.is_folder(call.path(name)):
            await call.complain(f"couldn't read {name}: Is a directory")
            return None
        return call.files.content(call.path(name))
    except OSError as error:
        await call.complain(f"can't read {name}: {error.strerror}")
        return None


def _edit(data: bytes, commands: list[Command], printer: Printer, *, quiet: bool) -> bool:
    """True when `q` ended it."""
    editor = Editor(commands, _text(data), printer, quiet=quiet)
    editor.run()
    return editor.status is not None


async def _in_place(call: Call, order: _Order, commands: list[Command], script: str) -> int:
    """Each file by itself, replaced as a whole: in its folder the user must be allowed to write."""
    if not order.files:
        raise CommandError("no input files")
    status = 0
    for name in order.files:
        path = call.path(name)
        try:
            if call.files.is_folder(path):
                await call.complain(f"couldn't edit {name}: not a regular file")
                status = 4
                continue
            data = call.files.content(path)
        except OSError as error:
            await call.complain(f"can't read {name}: {error.strerror}")
            status = 2
            continue
        printer = Printer()
        _edit(data, commands, printer, quiet=order.quiet)
        try:
            if order.suffix:
                call.files.copy(path, _backup(path, order.suffix), preserve=True)
            call.files.detach(path)  # the new file takes the place of a link
            writer = call.files.writer(path)
        except OSError as error:
            folder = posixpath.dirname(name) or "."
            raise CommandError(
                f"couldn't open temporary file {folder}/sedXXXXXX: {error.strerror}", 4
            ) from error
        try:
            await writer.write(_bytes(printer.text))
        finally:
            writer.close()
        commands = parse(script, extended=order.extended)
    return status


def _backup(path: str, suffix: str) -> str:
    folder, name = posixpath.split(path)
    made = suffix.replace("*", name) if "*" in suffix else name + suffix
    return made if "/" in made else posixpath.join(folder, made)
