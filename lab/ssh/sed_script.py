"""What a script of GNU sed says.

Understood: addresses (number, first~step, $, /re/I, two of them, addr,+N, !) and s y d D p P q = n N h H g G x
a i c b t : { }. Not understood, and refused: r w e l and the flags e, w, M of s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .regex import PatternError, compiled

_ONE_LETTER = "dDpPqQ=nNhHgGxz"


class SedError(Exception):
    """The script is none: what GNU sed says after `-e expression #1, char N: `."""

    def __init__(self, at: int, text: str) -> None:
        super().__init__(f"-e expression #1, char {at}: {text}")


@dataclass(slots=True)
class Address:
    kind: str  # line, step, last, re, plus
    number: int = 0
    step: int = 0
    pattern: re.Pattern[str] | None = None  # None with kind re: the last one that was used


@dataclass(slots=True)
class Command:
    letter: str
    first: Address | None = None
    second: Address | None = None
    negated: bool = False
    text: str = ""  # of a, i, c; the label of b, t and :
    pattern: re.Pattern[str] | None = None
    replacement: list[str | int] = field(default_factory=list)  # pieces; a number is a group
    flags: str = ""
    nth: int = 1
    table: dict[int, int] = field(default_factory=dict)
    jump: int = 0  # of { to behind its }, of b and t to their label
    inside: bool = False  # between the two lines of its addresses
    until: int = 0


class _Parser:
    def __init__(self, text: str, extended: bool) -> None:
        self.text = text
        self.extended = extended
        self.at = 0
        self.commands: list[Command] = []

    def script(self) -> list[Command]:
        opened: list[int] = []
        while True:
            self._skip(" \t\n;")
            if not self._peek():
                break
            if self._peek() == "#":
                self._line()
                continue
            command = self._command()
            if command.letter == "{":
                opened.append(len(self.commands))
            elif command.letter == "}":
                if not opened:
                    raise SedError(self.at, "unexpected `}'")
                self.commands[opened.pop()].jump = len(self.commands) + 1
            self.commands.append(command)
        if opened:
            raise SedError(0, "unmatched `{'")
        self._resolve()
        return self.commands

    def _resolve(self) -> None:
        labels = {c.text: at for at, c in enumerate(self.commands) if c.letter == ":"}
        for command in self.commands:
            if command.letter in "bt" and command.text:
                if command.text not in labels:
                    raise SedError(0, f"can't find label for jump to `{command.text}'")
                command.jump = labels[command.text]
            elif command.letter in "bt":
                command.jump = len(self.commands)

    # ---- pieces ----

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self) -> str:
        char = self._peek()
        self.at += 1
        return char

    def _skip(self, signs: str) -> None:
        while self._peek() and self._peek() in signs:
            self.at += 1

    def _line(self) -> str:
        stop = self.text.find("\n", self.at)
        stop = len(self.text) if stop < 0 else stop
        line = self.text[self.at : stop]
        self.at = stop
        return line

    def _number(self) -> int:
        digits = ""
        while self._peek().isdigit():
            digits += self._take()
        if not digits:
            raise SedError(self.at, "unexpected `,'")
        return int(digits)

    def _pattern(self, text: str, flags: str) -> re.Pattern[str] | None:
        if not text:
            return None
        try:
            return compiled(text, extended=self.extended, ignore_case="I" in flags or "i" in flags)
        except PatternError as wrong:
            raise SedError(self.at, str(wrong)) from wrong

    def _until(self, stop: str, what: str, *, is_re: bool) -> str:
        """Up to the next `stop` that is neither escaped nor (in a pattern) inside brackets."""
        found = ""
        while True:
            char = self._take()
            if not char:
                raise SedError(len(self.text), what)
            if char == stop:
                return found
            if char == "\\":
                following = self._take()
                found += following if following == stop and stop not in "(){}|+?" else "\\" + following
            elif char == "[" and is_re:
                found += self._bracket(what)
            else:
                found += char

    def _bracket(self, what: str) -> str:
        """A bracket expression from behind its [: a ] in first place and classes such as [:space:] belong to it."""
        match = re.compile(r"\^?\]?(?:\[:[a-z]*:\]|[^\]])*\]").match(self.text, self.at)
        if match is None:
            raise SedError(len(self.text), what)
        self.at = match.end()
        return "[" + match.group()

    def _address(self) -> Address | None:
        char = self._peek()
        if char.isdigit():
            number = self._number()
            if self._peek() == "~":
                self.at += 1
                return Address("step", number, self._number())
            return Address("line", number)
        if char == "$":
            self.at += 1
            return Address("last")
        if char in ("/", "\\"):
            self.at += 1
            stop = self._take() if char == "\\" else "/"
            text = self._until(stop, "unterminated address regex", is_re=True)
            flags = ""
            while self._peek() == "I":
                flags += self._take()
            return Address("re", pattern=self._pattern(text, flags))
        return None

    def _command(self) -> Command:
        first, second = self._address(), None
        if first is not None:
            self._skip(" \t")
            if self._peek() == ",":
                self.at += 1
                self._skip(" \t")
                if self._peek() == "+":
                    self.at += 1
                    second = Address("plus", self._number())
                else:
                    second = self._address()
                if second is None:
                    raise SedError(self.at, "unexpected `,'")
        self._skip(" \t")
        negated = self._peek() == "!"
        self._skip("! \t")
        letter = self._take()
        if not letter:
            raise SedError(self.at - 1, "missing command")
        command = Command(letter, first, second, negated)
        if letter == "s":
            self._substitution(command)
        elif letter == "y":
            self._transliteration(command)
        elif letter in "aic":
            command.text = self._text()
        elif letter in "bt:":
            self._skip(" \t")
            while self._peek() and self._peek() not in "\n;}":
                command.text += self._take()
            command.text = command.text.strip()
        elif letter == "}" and first is not None:
            raise SedError(self.at, "} doesn't want any addresses")
        elif letter not in "{}" and letter not in _ONE_LETTER:
            raise SedError(self.at, f"unknown command: `{letter}'")
        if letter not in "{:aic":
            self._ends()
        return command

    def _ends(self) -> None:
        self._skip(" \t")
        if self._peek() not in ("", "\n", ";", "}", "#"):
            raise SedError(self.at + 1, "extra characters after command")

    def _text(self) -> str:
        """`a text` on one line, or `a\\` and the lines after it; a backslash before the newline goes on."""
        self._skip(" \t")
        if self._peek() == "\\":
            self.at += 1
            self._skip(" \t")
            if self._peek() == "\n":
                self.at += 1
        found = ""
        while self._peek() and self._peek() != "\n":
            char = self._take()
            found += self._take() if char == "\\" else char
        if not found:
            raise SedError(self.at, "expected \\ after `a', `c' or `i'")
        return found

    def _substitution(self, command: Command) -> None:
        stop, what = self._take(), "unterminated `s' command"
        pattern = self._until(stop, what, is_re=True)
        command.replacement = _replacement(self._until(stop, what, is_re=False), stop)
        while self._peek() and self._peek() in "gpIi0123456789":
            if self._peek().isdigit():
                command.nth = self._number()
                if command.nth == 0:
                    raise SedError(self.at, "number option to `s' command may not be zero")
            else:
                command.flags += self._take()
        if self._peek() not in ("", "\n", ";", "}", "#", " "):
            raise SedError(self.at + 1, "unknown option to `s'")
        command.pattern = self._pattern(pattern, command.flags)
        groups = [piece for piece in command.replacement if isinstance(piece, int)]
        if command.pattern is not None and groups and max(groups) > command.pattern.groups:
            raise SedError(self.at, f"invalid reference \\{max(groups)} on `s' command's RHS")

    def _transliteration(self, command: Command) -> None:
        stop, what = self._take(), "unterminated `y' command"
        sides = [
            self._until(stop, what, is_re=False).replace("\\\\", "\\").replace("\\n", "\n") for _ in "12"
        ]
        if len(sides[0]) != len(sides[1]):
            raise SedError(self.at, "strings for `y' command are different lengths")
        command.table = str.maketrans(sides[0], sides[1])


def _replacement(text: str, stop: str) -> list[str | int]:
    found: list[str | int] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "&" and stop != "&":
            found.append(0)
        elif char == "\\" and at + 1 < len(text):
            at += 1
            following = text[at]
            found.append(
                int(following) if following.isdigit() else {"n": "\n", "t": "\t"}.get(following, following)
            )
        else:
            found.append(char)
        at += 1
    return found


def parse(script: str, *, extended: bool) -> list[Command]:
    """The commands of a script. Raises SedError."""
    return _Parser(script, extended).script()
