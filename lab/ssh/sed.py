"""The stream editor: carries out a script of sed over lines."""

from __future__ import annotations

import re

from .sed_script import Address, Command, SedError

_MAX_STEPS = 1_000_000  # of one input: a script that loops for ever ends with an error


class Printer:
    """What was printed. A last line without newline gets it only when something follows."""

    def __init__(self) -> None:
        self.text = ""
        self._missing = False

    def out(self, text: str, *, newline: bool = True) -> None:
        self.text += ("\n" if self._missing else "") + text + ("\n" if newline else "")
        self._missing = not newline


class Editor:
    """One pass of a script over the lines of an input (without their newlines)."""

    def __init__(self, commands: list[Command], text: str, printer: Printer, *, quiet: bool) -> None:
        self.commands = commands
        self.lines = text.split("\n")
        self._whole = self.lines[-1] == ""  # the last line has its newline
        if self._whole:
            self.lines.pop()
        self.out = printer.out
        self.quiet = quiet
        self.number = 0  # of the line in hand, from 1
        self.space, self._newline = "", True
        self.hold, self._hold_newline = "", True
        self.status: int | None = None  # `q` was carried out
        self._after: list[str] = []
        self._last: re.Pattern[str] | None = None
        self._steps = 0
        for command in commands:  # 0,/re/ lets the first line end the range
            first, second = command.first, command.second
            if first is not None and first.kind == "line" and first.number == 0:
                if second is None or second.kind != "re":
                    raise SedError(0, "invalid usage of line address 0")
                command.inside = True

    def run(self) -> None:
        restart = False
        while self.status is None and (restart or self.number < len(self.lines)):
            if not restart:
                self._fetch()
            restart = self._cycle()
            self._flush()

    def _fetch(self, before: str = "") -> None:
        self.space = before + self.lines[self.number]
        self.number += 1
        self._newline = self._whole or self.number < len(self.lines)

    def _flush(self) -> None:
        for text in self._after:
            self.out(text)
        self._after.clear()

    def _print(self) -> None:
        self.out(self.space, newline=self._newline)

    # ---- one cycle ----

    def _cycle(self) -> bool:
        """True: the next cycle keeps what is left of the pattern space (D)."""
        at, replaced = 0, False
        while at < len(self.commands):
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise SedError(0, "the script does not end")
            command = self.commands[at]
            at += 1
            if command.letter in "}:":
                continue
            if not self._selected(command):
                at = command.jump if command.letter == "{" else at
                continue
            match command.letter:
                case "b":
                    at = command.jump
                case "t" if replaced:
                    at, replaced = command.jump, False
                case "s":
                    replaced = self._substitute(command) or replaced
                case "d":
                    return False
                case "D":
                    _, cut, self.space = self.space.partition("\n")
                    return bool(cut)
                case "q" | "Q":
                    self.status = 0
                    if command.letter == "Q":
                        return False
                    break
                case "n" | "N" if self.number >= len(self.lines):
                    self.status = 0  # no next line: GNU sed prints what it has and ends
                    break
                case "n":
                    if not self.quiet:
                        self._print()
                    self._flush()
                    self._fetch()
                case "N":
                    self._flush()
                    self._fetch(self.space + "\n")
                case "c":
                    if command.second is None or command.negated or not command.inside:
                        self.out(command.text)
                    return False
                case _:
                    self._plain(command)
        if not self.quiet:
            self._print()
        return False

    def _plain(self, command: Command) -> None:
        match command.letter:
            case "p":
                self._print()
            case "P":
                first, cut, _ = self.space.partition("\n")
                self.out(first, newline=bool(cut) or self._newline)
            case "=":
                self.out(str(self.number))
            case "h":
                self.hold, self._hold_newline = self.space, self._newline
            case "H":
                self.hold, self._hold_newline = f"{self.hold}\n{self.space}", self._newline
            case "g":
                self.space, self._newline = self.hold, self._hold_newline
            case "G":
                self.space, self._newline = f"{self.space}\n{self.hold}", self._hold_newline
            case "x":
                self.space, self.hold = self.hold, self.space
                self._newline, self._hold_newline = self._hold_newline, self._newline
            case "z":
                self.space = ""
            case "y":
                self.space = self.space.translate(command.table)
            case "a":
                self._after.append(command.text)
            case "i":
                self.out(command.text)

    # ---- addresses ----

    def _selected(self, command: Command) -> bool:
        return self._in_range(command) is not command.negated

    def _in_range(self, command: Command) -> bool:
        if command.first is None:
            return True
        if command.second is None:
            return self._is_at(command.first)
        if command.inside:
            second = command.second
            if second.kind in ("line", "plus"):
                command.inside = self.number < command.until
                return self.number <= command.until
            command.inside = not self._is_at(second)
            return True
        return self._begins(command)

    def _begins(self, command: Command) -> bool:
        assert command.first is not None and command.second is not None
        if not self._is_at(command.first):
            command.inside = False
            return False
        second = command.second
        command.until = second.number + (self.number if second.kind == "plus" else 0)
        command.inside = second.kind not in ("line", "plus") or command.until > self.number
        if second.kind == "last" and self.number == len(self.lines):
            command.inside = False
        return True

    def _is_at(self, address: Address) -> bool:
        match address.kind:
            case "line":
                return self.number == address.number
            case "step":
                first, step = address.number, address.step
                return (
                    self.number == first
                    if not step
                    else self.number >= first and not (self.number - first) % step
                )
            case "last":
                return self.number == len(self.lines)
        return self._used(address.pattern).search(self.space) is not None

    def _used(self, pattern: re.Pattern[str] | None) -> re.Pattern[str]:
        """An empty pattern means the one that was used last."""
        if pattern is None and self._last is None:
            raise SedError(0, "no previous regular expression")
        self._last = pattern or self._last
        assert self._last is not None
        return self._last

    # ---- s ----

    def _substitute(self, command: Command) -> bool:
        found, end, hits, changed = "", 0, 0, False
        pattern = self._used(command.pattern)
        last_end = -1
        for match in pattern.finditer(self.space):
            if match.start() == match.end() == last_end:
                continue  # an empty match right behind a match is none
            last_end = match.end()
            hits += 1
            if hits < command.nth:
                continue
            put = "".join(p if isinstance(p, str) else match.group(p) or "" for p in command.replacement)
            found += self.space[end : match.start()] + put
            end, changed = match.end(), True
            if "g" not in command.flags:
                break
        if changed:
            self.space = found + self.space[end:]
            if "p" in command.flags:
                self._print()
        return changed
