"""What belongs to the shell itself: cd, exit, echo, printf, test, sudo, su, sh, ..."""

from __future__ import annotations

import asyncio
import re

from .options import options
from .shell import Call, CommandError, Program, Shell, ShellExit, home_of
from .streams import Lines

_USERS = {
    "root": (0, 0, "root"),
    "admusr": (500, 500, "admgrp"),
    "oper1": (501, 501, "oper1"),
    "platcfg": (0, 0, "root"),
}
_LOGIN_PROGRAMS = {"platcfg": "/usr/TKLC/plat/bin/platcfg"}  # in the place of a shell
_PRINTF = re.compile(r"%(-?\d*)(?:\.(\d+))?([sdibxX%])")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "a": "\a", '"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(0?[0-7]{1,3}|.)")


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] in "01234567":
            return chr(int(code, 8))
        return _ESCAPES.get(code, match.group(0))

    return _ESCAPE.sub(one, text)


async def cd(call: Call) -> int:
    name = call.args[0] if call.args else call.shell.variables["HOME"]
    if name == "-":
        name = call.shell.variables.get("OLDPWD", call.shell.cwd)
        await call.say(name)
    path = call.path(name)
    if not call.files.is_folder(path):
        raise CommandError(
            f"{name}: {'Not a directory' if call.files.exists(path) else 'No such file or directory'}"
        )
    if call.shell.user != "root" and path == "/root":
        raise CommandError(f"{name}: Permission denied")
    call.shell.variables["OLDPWD"] = call.shell.cwd
    call.shell.cwd = path
    return 0


async def pwd(call: Call) -> int:
    await call.say(call.shell.cwd)
    return 0


async def leave(call: Call) -> int:
    if call.args and not call.args[0].lstrip("-").isdigit():
        raise CommandError(f"{call.args[0]}: numeric argument required", 2)
    raise ShellExit(int(call.args[0]) & 255 if call.args else call.shell.status)


async def good(call: Call) -> int:
    return 0


async def bad(call: Call) -> int:
    return 1


async def echo(call: Call) -> int:
    words = list(call.args)
    newline, escapes = True, False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        letters = words.pop(0)
        newline = newline and "n" not in letters
        escapes = escapes or "e" in letters
    text = " ".join(words)
    await call.io.out.write((_unescape(text) if escapes else text).encode() + (b"\n" if newline else b""))
    return 0


async def printf(call: Call) -> int:
    if not call.args:
        raise CommandError("usage: printf [-v var] format [arguments]", 2)
    form, *rest = call.args
    form = _unescape(form)
    while True:
        before = len(rest)
        text = _PRINTF.sub(lambda match: _printf_field(match, rest), form)
        await call.io.out.write(text.encode())
        if not rest or len(rest) == before:
            return 0


def _printf_field(match: re.Match[str], rest: list[str]) -> str:
    width, precision, kind = match.groups()
    if kind == "%":
        return "%"
    value = rest.pop(0) if rest else ("" if kind in "sb" else "0")
    if kind == "b":
        value = _unescape(value)
    elif kind in "dixX":
        try:
            value = format(int(value, 0), "d" if kind in "di" else kind)
        except ValueError as error:
            raise CommandError(f"{value}: invalid number") from error
    elif precision:
        value = value[: int(precision)]
    size = int(width.lstrip("-") or 0) if width else 0
    if width.startswith("-"):
        return value.ljust(size)
    return value.rjust(size, "0" if width.startswith("0") and kind in "dixX" else " ")


async def export(call: Call) -> int:
    for word in call.args:
        name, given, value = word.partition("=")
        if given:
            call.shell.variables[name] = value
    return 0


async def unset(call: Call) -> int:
    for name in call.args:
        call.shell.variables.pop(name, None)
    return 0


async def read(call: Call) -> int:
    found, names = options(call, "rs", "p")
    terminal = call.shell.terminal
    if call.io.stdin is terminal and terminal is not None:
        await terminal.write(found.get("p", "").encode())
        line = await terminal.line(secret="s" in found)
    else:
        line = await Lines(call.io.stdin).next()
    call.shell.variables[names[0] if names else "REPLY"] = (line or b"").decode(errors="replace")
    return int(line is None)


async def stty(call: Call) -> int:
    terminal = call.shell.terminal
    if terminal is None:
        raise CommandError("standard input: Inappropriate ioctl for device")
    for word in call.args:
        if word in ("echo", "-echo"):
            terminal.echo = word == "echo"
        elif word == "sane":
            terminal.echo = True
    return 0


async def test(call: Call) -> int:
    words = list(call.args)
    if call.name == "[":
        if not words or words[-1] != "]":
            raise CommandError("missing `]'", 2)
        words.pop()
    return int(not _true(call, words))


def _true(call: Call, words: list[str]) -> bool:
    for sign in ("-o", "-a"):
        if sign in words[1:-1] and len(words) > 3:
            at = words.index(sign, 1)
            left, right = _true(call, words[:at]), _true(call, words[at + 1 :])
            return (left or right) if sign == "-o" else (left and right)
    if not words:
        return False
    if words[0] == "!" and len(words) > 1:
        return not _true(call, words[1:])
    if len(words) == 1:
        return bool(words[0])
    if len(words) == 2:
        return _unary(call, *words)
    if len(words) == 3:
        return _binary(*words)
    raise CommandError("too many arguments", 2)


def _unary(call: Call, sign: str, value: str) -> bool:
    if sign in ("-z", "-n"):
        return (sign == "-z") is (value == "")
    if sign == "-t":
        return call.shell.terminal is not None
    if sign in ("-L", "-h"):
        return call.files.is_link(call.path(value))
    if sign not in ("-e", "-f", "-d", "-s", "-r", "-w", "-x"):
        raise CommandError(f"{sign}: unary operator expected", 2)
    path = call.path(value)
    try:
        if not call.files.exists(path):
            return False
        entry = call.files.stat(path)
    except OSError:
        return False
    if sign == "-s":
        return entry.folder or entry.size > 0
    return {"-f": not entry.folder, "-d": entry.folder, "-x": entry.folder or bool(entry.mode & 0o111)}.get(
        sign, True
    )


def _binary(left: str, sign: str, right: str) -> bool:
    if sign in ("=", "==", "!="):
        return (left == right) is (sign != "!=")
    if sign not in ("-eq", "-ne", "-lt", "-le", "-gt", "-ge"):
        raise CommandError(f"{sign}: binary operator expected", 2)
    try:
        a, b = int(left), int(right)
    except ValueError as error:
        raise CommandError(f"{left} {right}: integer expression expected", 2) from error
    return {"-eq": a == b, "-ne": a != b, "-lt": a < b, "-le": a <= b, "-gt": a > b, "-ge": a >= b}[sign]


async def umask(call: Call) -> int:
    if not call.args:
        await call.say(f"{call.shell.umask:04o}")
        return 0
    if not all(sign in "01234567" for sign in call.args[0]):
        raise CommandError(f"{call.args[0]}: octal number out of range")
    call.shell.umask = call.shell.files.umask = int(call.args[0], 8) & 0o777
    return 0


async def whoami(call: Call) -> int:
    await call.say(call.shell.user)
    return 0


async def identity(call: Call) -> int:
    found, names = options(call, "unrg")
    user = names[0] if names else call.shell.user
    if user not in _USERS:
        raise CommandError(f"{user}: No such user")
    uid, gid, group = _USERS[user]
    if "u" in found:
        await call.say(user if "n" in found else str(uid))
    elif "g" in found:
        await call.say(group if "n" in found else str(gid))
    else:
        await call.say(f"uid={uid}({user}) gid={gid}({group}) groups={gid}({group})")
    return 0


async def which(call: Call) -> int:
    status = 0
    for name in call.args:
        program = call.shell.find(name)
        if program is None or program.path is None:
            await call.io.err.write(
                f"/usr/bin/which: no {name} in ({call.shell.variables['PATH']})\n".encode()
            )
            status = 1
        else:
            await call.say(program.path)
    return status


async def command(call: Call) -> int:
    """`command -v NAME`, `type NAME`, or `command NAME ARGS`."""
    args = list(call.args)
    if call.name == "command" and args[:1] not in (["-v"], ["-V"]):
        return await call.shell.call(args, call.io) if args else 0
    status = 0
    for name in args[1:] if call.name == "command" else args:
        program = call.shell.find(name)
        if program is None:
            status = 1
            continue
        where = program.path or name
        await call.say(where if call.name == "command" else f"{name} is {where}")
    return status


async def sleep(call: Call) -> int:
    """Real seconds: a person who types it waits for it."""
    try:
        await asyncio.sleep(float(call.args[0].rstrip("s")))
    except (ValueError, IndexError) as error:
        raise CommandError("invalid time interval") from error
    return 0


async def environment(call: Call) -> int:
    """env [NAME=VALUE]... [COMMAND ARGS]"""
    args = list(call.args)
    shell = call.shell.child()
    while args and "=" in args[0]:
        name, _, value = args.pop(0).partition("=")
        shell.variables[name] = value
    if args:
        return await shell.call(args, call.io)
    for name, value in sorted(shell.variables.items()):
        await call.say(f"{name}={value}")
    return 0


async def _talk(shell: Shell, call: Call) -> int:
    """A new shell takes over: the terminal if there is one, else the rest of the input."""
    if shell.terminal is not None and call.io.stdin is shell.terminal:
        return await shell.interact()
    source = call.io.stdin
    return await shell.script(source if isinstance(source, Lines) else Lines(source), call.io)


async def _run_text(shell: Shell, text: str, call: Call) -> int:
    try:
        return await shell.run(text, call.io)
    except ShellExit as end:
        return end.status


async def bash(call: Call) -> int:
    """sh and bash: -c TEXT, -l, -s, or a shell to talk with."""
    args = list(call.args)
    login = False
    while args and args[0].startswith("-"):
        option = args.pop(0)
        login = login or "l" in option or option == "--login"
        if not option.startswith("--") and "c" in option:
            if not args:
                raise CommandError("-c: option requires an argument", 2)
            shell = call.shell.child()
            return await _run_text(shell, args[0], call)
    if args:
        content = call.files.content(call.path(args[0]))
        return await _run_text(call.shell.child(), content.decode(errors="replace"), call)
    return await _talk(call.shell.child(login=login), call)


async def sudo(call: Call) -> int:
    """admusr may do everything without a password, as TPD sets it up (assumption)."""
    args = list(call.args)
    user, login, shell_wanted = "root", False, False
    while args and args[0].startswith("-"):
        option = args.pop(0)
        if option in ("-u", "-p", "-g") and args:
            value = args.pop(0)
            user = value if option == "-u" else user
        elif option in ("-i", "--login"):
            login = True
        elif option in ("-s", "--shell"):
            shell_wanted = True
        elif option in ("-k", "-K", "-v"):
            if not args:
                return 0
        elif option == "--":
            break
        elif option not in ("-n", "-S", "-E", "-H", "-b"):
            raise CommandError(f"invalid option -- '{option.lstrip('-')}'")
    if not _is_there(call, user):
        raise CommandError(f"unknown user: {user}")
    if not args and not (login or shell_wanted):
        raise CommandError("usage: sudo [-n] [-u user] command")
    shell = call.shell.child(user=user, login=login)
    if not args:
        return await _talk(shell, call)
    program = shell.find(args[0])
    if program is None or program.path is None:
        raise CommandError(f"{args[0]}: command not found")
    return await shell.call(args, call.io)


def _is_there(call: Call, user: str) -> bool:
    """Programs that have an account of their own, such as platcfg, stand in no file that somebody may look at here."""
    return user in _USERS and (user in _LOGIN_PROGRAMS or call.shell.machine.has_account(user))


async def su(call: Call) -> int:
    """su [-] [USER] [-c TEXT]; only root does it without the other one's password."""
    args = list(call.args)
    login, text, user = False, None, "root"
    while args:
        word = args.pop(0)
        if word in ("-", "-l", "--login"):
            login = True
        elif word in ("-c", "--command"):
            text = args.pop(0) if args else ""
        elif word.startswith("-"):
            raise CommandError(f"invalid option -- '{word.lstrip('-')}'")
        else:
            user = word
    if not _is_there(call, user):
        raise CommandError(f"user {user} does not exist")
    if call.shell.user != "root":
        if call.shell.terminal is None:
            await call.io.err.write(b"standard in must be a tty\n")
            return 1
        await call.shell.terminal.write(b"Password: ")
        answer = await call.shell.terminal.line(secret=True)
        right = call.shell.machine.password_is_right(user, (answer or b"").decode(errors="replace"))
        call.shell.machine.record_su(user, call.shell.user, ok=right)
        if not right:
            raise CommandError("incorrect password")
    shell = call.shell.child(user=user, login=login)
    if user in _LOGIN_PROGRAMS:
        return await shell.call([_LOGIN_PROGRAMS[user]], call.io)
    if text is not None:
        return await _run_text(shell, text, call)
    if login:
        shell.cwd = home_of(user)
    return await _talk(shell, call)


BUILT_IN = {
    "cd": cd, "exit": leave, "logout": leave, ":": good, "export": export, "unset": unset, "read": read,
    "set": good, "command": command, "type": command, "umask": umask, "trap": good,
}  # fmt: skip
INSTALLED = {
    "/bin/pwd": pwd, "/bin/true": good, "/bin/false": bad, "/bin/echo": echo, "/usr/bin/printf": printf,
    "/usr/bin/test": test, "/usr/bin/[": test,
    "/usr/bin/whoami": whoami, "/usr/bin/id": identity, "/usr/bin/which": which, "/bin/sleep": sleep,
    "/bin/env": environment, "/bin/sh": bash, "/bin/bash": bash, "/usr/bin/sudo": sudo, "/bin/su": su,
    "/bin/stty": stty, "/bin/sync": good,
}  # fmt: skip


def programs() -> dict[str, Program]:
    found = {name: Program(body, None) for name, body in BUILT_IN.items()}
    found.update({path.rpartition("/")[2]: Program(body, path) for path, body in INSTALLED.items()})
    return found
