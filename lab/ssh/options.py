"""Options of a command line, the way getopt reads them."""

from __future__ import annotations

from collections.abc import Iterable

from .shell import Call, CommandError


def options(
    call: Call, flags: str = "", valued: str = "", long: Iterable[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """Options found (flags with "" as value) and operands.

    `flags` are letters without, `valued` letters with a value; `long` are names such as `user=` (takes a value)
    or `help`. Raises CommandError (status 2) for any other option.
    """
    found: dict[str, str] = {}
    operands: list[str] = []
    names = set(long)
    rest = list(call.args)
    while rest:
        arg = rest.pop(0)
        if arg == "--":
            operands += rest
            break
        if arg.startswith("--"):
            name, given, value = arg[2:].partition("=")
            if f"{name}=" in names:
                if not given and not rest:
                    raise CommandError(f"option '--{name}' requires an argument", 2)
                found[name] = value if given else rest.pop(0)
            elif name in names and not given:
                found[name] = ""
            else:
                raise CommandError(f"unrecognized option '{arg}'", 2)
        elif arg.startswith("-") and arg != "-":
            _letters(arg[1:], flags, valued, rest, found)
        else:
            operands.append(arg)
    return found, operands


def _letters(letters: str, flags: str, valued: str, rest: list[str], found: dict[str, str]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in valued:
            if not letters and not rest:
                raise CommandError(f"option requires an argument -- '{letter}'", 2)
            found[letter] = letters or rest.pop(0)
            return
        if letter not in flags:
            raise CommandError(f"invalid option -- '{letter}'", 2)
        found[letter] = ""


def number(text: str, what: str) -> int:
    """A whole number, with the suffixes K, M and G; raises CommandError."""
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    if not digits.isdigit():
        raise CommandError(f"invalid {what}: {text}")
    return int(digits) * factor
