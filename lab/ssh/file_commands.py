"""ls, cat, cp, mv, rm, mkdir, stat, md5sum, ... over the virtual files."""

from __future__ import annotations

import fnmatch
import posixpath
import re
import zlib
from collections.abc import Callable
from datetime import datetime

from .options import number, options
from .shell import Body, Call, CommandError, Machine
from .streams import Lines, Source, read_all
from .view import Entry

WallClock = Callable[[float], datetime]


def _why(error: OSError) -> str:
    return error.strerror or "error"


def mode_text(entry: Entry) -> str:
    """drwxr-xr-x"""
    bits = "".join(sign if entry.mode >> (8 - at) & 1 else "-" for at, sign in enumerate("rwxrwxrwx"))
    if entry.mode & 0o1000:
        bits = bits[:-1] + ("t" if bits[-1] == "x" else "T")
    return ("d" if entry.folder else "l" if entry.link else "-") + bits


def human(size: int) -> str:
    """As `df -h` and `ls -h` round: up, with one digit below ten."""
    value, unit = float(size), ""
    for unit in ("", "K", "M", "G", "T"):
        if value < 1024 or unit == "T":
            break
        value /= 1024
    if not unit:
        return str(size)
    tenths = -int(-value * 10 // 1)
    return f"{tenths / 10:.1f}{unit}" if tenths < 100 else f"{-int(-value // 1)}{unit}"


class FileCommands:
    """The commands that need the calendar of the twin (`wall`) as well as the files."""

    def __init__(self, machine: Machine, wall: WallClock) -> None:
        self.machine = machine
        self.wall = wall

    def long_line(self, entry: Entry, *, readable: bool) -> str:
        size = human(entry.size) if readable else str(entry.size)
        when = self.wall(entry.mtime).strftime("%b %e %H:%M")
        return f"{mode_text(entry)}. 1 {entry.owner} {entry.group} {size:>10} {when} "

    async def ls(self, call: Call) -> int:
        found, names = options(call, "l1aAhdtrR")
        status = 0
        files: list[tuple[str, Entry]] = []
        folders: list[str] = []
        for name in names or ["."]:
            try:
                entry = call.files.lstat(call.path(name))
            except OSError as error:
                await call.complain(f"cannot access {name}: {_why(error)}")
                status = 2
                continue
            if entry.folder and "d" not in found:
                folders.append(name)
            else:
                files.append((name, entry))
        await self._listing(call, files, found)
        for place, name in enumerate(folders):
            if len(names) > 1:
                await call.say(("" if not (place or files) else "\n") + f"{name}:")
            try:
                await self._folder(call, name, found)
            except OSError as error:
                await call.complain(f"cannot open directory {name}: {_why(error)}")
                status = 2
        return status

    async def _folder(self, call: Call, name: str, found: dict[str, str]) -> None:
        path = call.path(name)
        names = [entry for entry in call.files.names(path) if "a" in found or "A" in found or entry[0] != "."]
        entries = [(entry, call.files.lstat(posixpath.join(path, entry))) for entry in names]
        if "a" in found:
            above = call.files.stat(posixpath.dirname(path))
            entries = [(".", call.files.stat(path)), ("..", above), *entries]
        if "l" in found:
            blocks = sum(-(-entry.size // 1024) for _, entry in entries)
            await call.say(f"total {blocks}")
        await self._listing(call, entries, found)

    async def _listing(self, call: Call, entries: list[tuple[str, Entry]], found: dict[str, str]) -> None:
        if "t" in found:
            entries = sorted(entries, key=lambda item: -item[1].mtime)
        if "r" in found:
            entries = entries[::-1]
        if "l" in found:
            lines = [
                self.long_line(entry, readable="h" in found)
                + name
                + (f" -> {entry.link}" if entry.link else "")
                for name, entry in entries
            ]
        elif call.io.out is call.shell.terminal and "1" not in found and entries:
            lines = ["  ".join(name for name, _ in entries)]  # a terminal gets them side by side
        else:
            lines = [name for name, _ in entries]
        for line in lines:
            await call.say(line)

    async def stat(self, call: Call) -> int:
        found, names = options(call, "L", "c", ("format=", "printf="))
        form = found.get("c", found.get("format"))
        if not names:
            raise CommandError("missing operand")
        status = 0
        for name in names:
            try:
                look = call.files.stat if "L" in found else call.files.lstat
                entry = look(call.path(name))
            except OSError as error:
                await call.complain(f"cannot stat `{name}': {_why(error)}")
                status = 1
                continue
            kind = "directory" if entry.folder else "regular file" if entry.size else "regular empty file"
            kind = "symbolic link" if entry.link else kind
            if form is None and "printf" not in found:
                await call.say(f"  File: `{name}'\n  Size: {entry.size}\t{kind}")
                await call.say(f"Access: ({entry.mode:04o}/{mode_text(entry)})  Uid: {entry.owner}")
                await call.say(f"Modify: {self.wall(entry.mtime):%Y-%m-%d %H:%M:%S.000000000 %z}")
            else:
                text = self._format(form if form is not None else found["printf"], name, entry, kind)
                await call.io.out.write(text.encode() + (b"" if form is None else b"\n"))
        return status

    async def find(self, call: Call) -> int:
        """find FOLDER [-mindepth N] [-maxdepth N] [-name PATTERN] [-type f|d] [-printf FORMAT]."""
        start, asked = _find_test(call)
        if not call.files.exists(call.path(start)):
            raise CommandError(f"`{start}': No such file or directory")
        least, most = number(asked["-mindepth"], "depth"), number(asked["-maxdepth"], "depth")
        waiting = [(start, 0)]
        while waiting:
            name, level = waiting.pop(0)
            path = call.path(name)
            entry = call.files.stat(path)
            fits = asked["-type"] in ("", "d" if entry.folder else "f")
            fits = fits and fnmatch.fnmatchcase(posixpath.basename(path), asked["-name"])
            if fits and level >= least:
                if asked["-printf"]:
                    await call.io.out.write(self._found(asked["-printf"], name, path, entry).encode())
                else:
                    await call.say(name)
            if entry.folder and level < most:
                children = call.files.names(path)
                waiting = [(posixpath.join(name, child), level + 1) for child in children] + waiting
        return 0

    def _found(self, form: str, name: str, path: str, entry: Entry) -> str:
        """-printf; its times have a fraction, as those of findutils 4.4."""
        values = {
            "y": "d" if entry.folder else "f", "s": str(entry.size), "f": posixpath.basename(path), "p": name,
            "T@": f"{self.wall(entry.mtime).timestamp():.10f}", "m": f"{entry.mode:o}", "u": entry.owner,
            "g": entry.group, "i": str(zlib.crc32(path.encode())), "%": "%",
        }  # fmt: skip
        text = form.replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0")
        return re.sub(r"%(T@|.)", lambda match: values.get(match[1], match[0]), text)

    def _format(self, form: str, name: str, entry: Entry, kind: str) -> str:
        when = self.wall(entry.mtime)
        values = {
            "s": str(entry.size), "n": name, "Y": str(int(when.timestamp())), "a": f"{entry.mode:o}",
            "y": f"{when:%Y-%m-%d %H:%M:%S.000000000 %z}", "A": mode_text(entry), "U": entry.owner,
            "G": entry.group, "F": kind, "%": "%", "u": "0" if entry.owner == "root" else "500",
            "g": "0" if entry.group == "root" else "500", "b": str(-(-entry.size // 512)), "B": "512", "h": "1",
        }  # fmt: skip
        text, at = "", 0
        while at < len(form):
            if form[at] == "%" and at + 1 < len(form):
                text += values.get(form[at + 1], "?")
                at += 2
            elif form[at : at + 2] in ("\\n", "\\t"):
                text += {"\\n": "\n", "\\t": "\t"}[form[at : at + 2]]
                at += 2
            else:
                text += form[at]
                at += 1
        return text


def _find_test(call: Call) -> tuple[str, dict[str, str]]:
    """The folder and what was asked of what lies there."""
    args = list(call.args)
    start = args.pop(0) if args and not args[0].startswith("-") else "."
    asked = {"-maxdepth": "99", "-mindepth": "0", "-name": "*", "-type": "", "-printf": ""}
    while args:
        option = args.pop(0)
        if option == "-print":
            continue
        if option not in asked or not args:
            raise CommandError(f"unknown predicate `{option}'")
        asked[option] = args.pop(0)
    return start, asked


async def cat(call: Call) -> int:
    _, names = options(call, "u")
    status = 0
    for name in names or ["-"]:
        source: Source
        try:
            source = call.io.stdin if name == "-" else call.files.reader(call.path(name))
        except OSError as error:
            await call.complain(f"{name}: {_why(error)}")
            status = 1
            continue
        while data := await source.read():
            await call.io.out.write(data)
    return status


async def tee(call: Call) -> int:
    found, names = options(call, "a")
    sinks = []
    status = 0
    for name in names:
        if call.path(name) == "/dev/null":
            continue
        try:
            sinks.append(call.files.writer(call.path(name), append="a" in found))
        except OSError as error:
            await call.complain(f"{name}: {_why(error)}")
            status = 1
    try:
        while data := await call.io.stdin.read():
            for sink in sinks:
                await sink.write(data)
            await call.io.out.write(data)
    finally:
        for sink in sinks:
            sink.close()
    return status


async def _transfer(call: Call, names: list[str], act: Callable[[str, str], None], verb: str) -> int:
    """What cp and mv share: several files into a folder, or one file to a name."""
    if len(names) < 2:
        what = f"missing destination file operand after `{names[0]}'" if names else "missing file operand"
        raise CommandError(what)
    *sources, target = names
    into = call.files.is_folder(call.path(target))
    if not into and (len(sources) > 1 or target.endswith("/")):
        raise CommandError(f"target `{target}' is not a directory")
    status = 0
    for source in sources:
        start = call.path(source)
        end = call.path(target)
        if into:
            end = posixpath.join(end, posixpath.basename(start))
        shown = posixpath.join(target, posixpath.basename(start)) if into else target
        try:
            if not call.files.exists(start):
                await call.complain(f"cannot stat `{source}': No such file or directory")
            elif call.files.is_folder(start) and verb == "copy":
                await call.complain(f"omitting directory `{source}'")
            elif start == end:
                await call.complain(f"`{source}' and `{shown}' are the same file")
            else:
                act(start, end)
                continue
        except OSError as error:
            if verb == "move":
                await call.complain(f"cannot move `{source}' to `{shown}': {_why(error)}")
            elif error.filename == start:
                await call.complain(f"cannot open `{source}' for reading: {_why(error)}")
            else:
                await call.complain(f"cannot create regular file `{shown}': {_why(error)}")
        status = 1
    return status


async def cp(call: Call) -> int:
    found, names = options(call, "pfardPv")
    keep = "p" in found or "a" in found
    links = "a" in found or "d" in found or "P" in found

    def copy(start: str, end: str) -> None:
        if links and call.files.is_link(start):
            call.files.copy_link(start, end)
        else:
            call.files.copy(start, end, preserve=keep)

    return await _transfer(call, names, copy, "copy")


async def mv(call: Call) -> int:
    _, names = options(call, "fvn")
    return await _transfer(call, names, call.files.rename, "move")


async def rm(call: Call) -> int:
    found, names = options(call, "frRv")
    if not names and "f" not in found:
        raise CommandError("missing operand")
    status = 0
    for name in names:
        path = call.path(name)
        try:
            if "f" in found and not call.files.is_link(path) and not call.files.exists(path):
                continue
            if "r" in found or "R" in found:
                call.files.remove_all(path)
            else:
                call.files.remove(path)
        except OSError as error:
            await call.complain(f"cannot remove `{name}': {_why(error)}")
            status = 1
    return status


async def mkdir(call: Call) -> int:
    found, names = options(call, "pv", "m")
    if not names:
        raise CommandError("missing operand")
    if any(sign not in "01234567" for sign in found.get("m", "")):
        raise CommandError(f"invalid mode `{found['m']}'")
    mode = int(found["m"], 8) if "m" in found else None
    status = 0
    for name in names:
        path = call.path(name)
        wanted = [path]
        while "p" in found and posixpath.dirname(wanted[0]) != wanted[0]:
            wanted.insert(0, posixpath.dirname(wanted[0]))
        try:
            for folder in wanted:
                if "p" not in found or not call.files.is_folder(folder):
                    own = mode if folder == path else None
                    call.files.mkdir(folder, own)
        except OSError as error:
            await call.complain(f"cannot create directory `{name}': {_why(error)}")
            status = 1
    return status


async def rmdir(call: Call) -> int:
    _, names = options(call, "v")
    if not names:
        raise CommandError("missing operand")
    status = 0
    for name in names:
        try:
            call.files.rmdir(call.path(name))
        except OSError as error:
            await call.complain(f"failed to remove `{name}': {_why(error)}")
            status = 1
    return status


async def readlink(call: Call) -> int:
    """readlink [-f] FILE: what a link holds; with -f the file at its end, whose folder must exist."""
    found, names = options(call, "fn")
    if len(names) != 1:
        raise CommandError("missing operand" if not names else f"extra operand `{names[1]}'")
    path = call.path(names[0])
    if "f" in found:
        real = call.files.real(path)
        if not call.files.is_folder(posixpath.dirname(real)):
            return 1
        await call.say(real)
        return 0
    if not call.files.is_link(path):
        return 1
    await call.say(call.files.lstat(path).link)
    return 0


async def cmp(call: Call) -> int:
    """cmp [-s] FILE FILE: 0 the same, 1 different, 2 trouble."""
    found, names = options(call, "s")
    if len(names) != 2:
        raise CommandError("missing operand", 2)
    both = []
    for name in names:
        try:
            both.append(await read_all(call.io.stdin) if name == "-" else call.files.content(call.path(name)))
        except OSError as error:
            if "s" not in found:
                await call.complain(f"{name}: {_why(error)}")
            return 2
    one, other = both
    if one == other:
        return 0
    if "s" not in found:
        at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
        if at is None:
            await call.complain(f"EOF on {names[0] if len(one) < len(other) else names[1]}")
        else:
            line = one[:at].count(b"\n") + 1
            await call.say(f"{names[0]} {names[1]} differ: byte {at + 1}, line {line}")
    return 1


async def touch(call: Call) -> int:
    _, names = options(call, "cm")
    for name in names:
        call.files.touch(call.path(name))
    return 0


async def truncate(call: Call) -> int:
    found, names = options(call, "c", "s", ("size=",))
    size = found.get("s", found.get("size"))
    if size is None or not names:
        raise CommandError("you must specify a size and a file")
    for name in names:
        call.files.resize(call.path(name), number(size, "size"))
    return 0


async def chmod(call: Call) -> int:
    _, names = options(call, "v")
    if len(names) < 2 or not all(sign in "01234567" for sign in names[0]):
        raise CommandError("give an octal mode and a file")
    status = 0
    for name in names[1:]:
        try:
            call.files.chmod(call.path(name), int(names[0], 8))
        except OSError as error:
            await call.complain(f"changing permissions of `{name}': {_why(error)}")
            status = 1
    return status


def digest(algorithm: str) -> Body:
    """md5sum, sha1sum, sha256sum; `-c LIST` checks."""

    async def run(call: Call) -> int:
        found, names = options(call, "bt", "c", ("check=", "quiet", "status"))
        if "c" in found or "check" in found:
            return await _check(call, found.get("c") or found["check"], algorithm, quiet="status" in found)
        status = 0
        for name in names or ["-"]:
            if name == "-":
                await call.say(f"{await _of_input(call, algorithm)}  -")
                continue
            try:
                await call.say(f"{call.files.digest(call.path(name), algorithm)}  {name}")
            except OSError as error:
                await call.complain(f"{name}: {_why(error)}")
                status = 1
        return status

    return run


async def _of_input(call: Call, algorithm: str) -> str:
    import hashlib

    found = hashlib.new(algorithm, usedforsecurity=False)
    while data := await call.io.stdin.read():
        found.update(data)
    return found.hexdigest()


async def _check(call: Call, listing: str, algorithm: str, *, quiet: bool) -> int:
    source: Source = call.io.stdin if listing == "-" else call.files.reader(call.path(listing))
    lines = Lines(source)
    bad = 0
    while (line := await lines.next()) is not None:
        expected, _, name = line.decode(errors="replace").partition(" ")
        name = name.lstrip(" *")
        if not name:
            await call.complain(f"{listing}: no properly formatted checksum lines found")
            return 1
        try:
            good = call.files.digest(call.path(name), algorithm) == expected.lower()
            verdict = "OK" if good else "FAILED"
        except OSError as error:
            await call.complain(f"{name}: {_why(error)}")
            good, verdict = False, "FAILED open or read"
        bad += not good
        if not quiet:
            await call.say(f"{name}: {verdict}")
    return int(bad > 0)


async def head(call: Call) -> int:
    found, names = options(_numbered(call), "q", "cn")
    for name in names or ["-"]:
        source: Source = call.io.stdin if name == "-" else call.files.reader(call.path(name))
        if "c" in found:
            left = number(found["c"], "number of bytes")
            while left > 0 and (data := await source.read()):
                await call.io.out.write(data[:left])
                left -= len(data)
        else:
            lines = Lines(source)
            for _ in range(number(found.get("n", "10"), "number of lines")):
                line = await lines.next()
                if line is None:
                    break
                await call.io.out.write(line + b"\n")
    return 0


async def tail(call: Call) -> int:
    found, names = options(_numbered(call), "q", "cn")
    for name in names or ["-"]:
        source: Source = call.io.stdin if name == "-" else call.files.reader(call.path(name))
        data = await read_all(source)
        if "c" in found:
            value = found["c"]
            start = (
                int(value[1:]) - 1 if value.startswith("+") else max(0, len(data) - number(value, "number"))
            )
            await call.io.out.write(data[start:])
            continue
        lines = data.splitlines(keepends=True)
        value = found.get("n", "10")
        kept = lines[int(value[1:]) - 1 :] if value.startswith("+") else lines[-number(value, "number") :]
        if value != "0":
            await call.io.out.write(b"".join(kept))
    return 0


def _numbered(call: Call) -> Call:
    """`head -3` means `head -n 3`."""
    if call.args and call.args[0][:1] == "-" and call.args[0][1:].isdigit():
        return Call(call.shell, [call.argv[0], "-n", call.args[0][1:], *call.args[1:]], call.io)
    return call


async def wc(call: Call) -> int:
    found, names = options(call, "lwc")
    for name in names or [""]:
        source: Source = call.files.reader(call.path(name)) if name else call.io.stdin
        data = await read_all(source)
        counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
        shown = [str(counts[letter]) for letter in "lwc" if letter in found or not found]
        await call.say(" ".join(shown) + (f" {name}" if name else ""))
    return 0
