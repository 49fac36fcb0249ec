"""Regular expressions of POSIX and GNU (basic and extended) as Python writes them.

One difference stays: where alternatives begin alike, POSIX takes the longest match, Python the first that fits.
"""

from __future__ import annotations

import re

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "\\x21-\\x7e", "lower": "a-z", "print": "\\x20-\\x7e",
    "punct": "\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e", "space": "\\s", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_SAME = {
    "<": r"\b(?=\w)",
    ">": r"\b(?<=\w)",
    "b": r"\b",
    "B": r"\B",
    "w": r"\w",
    "W": r"\W",
    "s": r"\s",
    "S": r"\S",
}
_SAME |= {"`": r"\A", "'": r"\Z", "n": "\n", "t": "\t"}
_OPERATORS = "(){}|+?"


class PatternError(ValueError):
    """The pattern is none; the text is what GNU regcomp says."""


def to_python(pattern: str, *, extended: bool) -> str:
    """The same expression for `re`. Raises PatternError."""
    return _Reader(pattern, extended).whole()


def compiled(pattern: str, *, extended: bool, ignore_case: bool = False) -> re.Pattern[str]:
    """Ready to search one line or a pattern space, in which `.` matches a newline too. Raises PatternError."""
    text = to_python(pattern, extended=extended)
    try:
        return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))
    except re.error as wrong:
        raise PatternError(f"Invalid regular expression ({wrong})") from wrong


class _Reader:
    def __init__(self, pattern: str, extended: bool) -> None:
        self.pattern = pattern
        self.extended = extended
        self.at = 0
        self.depth = 0
        self.begins = True  # at the start of an expression, a group or an alternative

    def whole(self) -> str:
        found = []
        while self.at < len(self.pattern):
            found.append(self._next())
        if self.depth:
            raise PatternError(r"Unmatched ( or \(")
        return "".join(found)

    def _next(self) -> str:
        char = self.pattern[self.at]
        self.at += 1
        if char == "\\":
            return self._escaped()
        if char == "[":
            self.begins = False
            return self._bracket()
        if char in _OPERATORS:
            return self._operator(char) if self.extended else self._literal(char)
        if char == "*":
            return self._repeat("*")
        if char == "^":
            return "^" if self.extended or self.begins else self._literal(char)
        if char == "$":
            return r"\Z" if self.extended or self._ends() else self._literal(char)
        self.begins = False
        return "." if char == "." else re.escape(char)

    def _literal(self, char: str) -> str:
        self.begins = False
        return re.escape(char)

    def _ends(self) -> bool:
        """In a basic expression `$` is an anchor only at the end of the whole, a group or an alternative."""
        rest = self.pattern[self.at :]
        return not rest or rest.startswith((r"\)", r"\|"))

    def _escaped(self) -> str:
        if self.at >= len(self.pattern):
            raise PatternError("Trailing backslash")
        char = self.pattern[self.at]
        self.at += 1
        if char in _OPERATORS:
            return self._literal(char) if self.extended else self._operator(char)
        self.begins = False
        if char in _SAME:
            return _SAME[char]
        return f"(?:\\{char})" if char.isdigit() and char != "0" else re.escape(char)

    def _operator(self, char: str) -> str:
        if char == "(":
            self.depth += 1
            self.begins = True
            return "("
        if char == ")":
            if not self.depth:
                if self.extended:
                    return self._literal(char)
                raise PatternError(r"Unmatched ) or \)")
            self.depth -= 1
            self.begins = False
            return ")"
        if char == "|":
            self.begins = True
            return "|"
        return self._interval() if char == "{" else self._literal(char) if char == "}" else self._repeat(char)

    def _repeat(self, sign: str) -> str:
        if self.begins:  # nothing stands before it that could be repeated
            self.begins = False
            return re.escape(sign)
        while self.pattern[self.at : self.at + 1] == "*":  # a** means a*
            self.at += 1
        return sign

    def _interval(self) -> str:
        end = "}" if self.extended else r"\}"
        stop = self.pattern.find(end, self.at)
        inside = self.pattern[self.at : stop] if stop >= 0 else ""
        match = re.fullmatch(r"(\d*)(,?)(\d*)", inside)
        if stop < 0 or match is None or not inside:
            if self.extended:
                return self._literal("{")
            raise PatternError(r"Unmatched \{" if stop < 0 else r"Invalid content of \{\}")
        self.at = stop + len(end)
        low, comma, high = match.groups()
        return f"{{{low or '0'}{comma}{high}}}"

    def _bracket(self) -> str:
        at = self.at
        found = ["["]
        if self.pattern[at : at + 1] == "^":
            found.append("^")
            at += 1
        first = True
        while True:
            if at >= len(self.pattern):
                raise PatternError("Unmatched [, [^, [:, [., or [=")
            char = self.pattern[at]
            if char == "]" and not first:
                break
            first = False
            if self.pattern.startswith("[:", at):
                stop = self.pattern.find(":]", at)
                name = self.pattern[at + 2 : stop] if stop >= 0 else ""
                if name not in _CLASSES:
                    raise PatternError("Invalid character class name")
                found.append(_CLASSES[name])
                at = stop + 2
                continue
            if char == "\\" and self.pattern[at + 1 : at + 2] in ("n", "t"):  # GNU sed reads these two
                found.append(f"\\{self.pattern[at + 1]}")
                at += 2
                continue
            range_sign = char == "-" and len(found) > 1 and self.pattern[at + 1 : at + 2] not in ("]", "")
            found.append("-" if range_sign and found[-1] != "^" else re.escape(char))
            at += 1
        self.at = at + 1
        return "".join(found) + "]"
