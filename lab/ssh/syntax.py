"""What a command line says: words, pipelines, lists, redirections (the part of POSIX sh that people type).

Not known, and refused as a syntax error: control structures (if, for, while, case, functions), here
documents and background jobs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class ShellSyntaxError(ValueError):
    """The line is no sentence of this shell; `str()` is what bash would print after `bash: `."""


class PartKind(StrEnum):
    TEXT = "text"
    VARIABLE = "variable"  # $NAME, ${NAME}, $?
    COMMAND = "command"  # $(...)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word. `quoted` pieces are neither split nor globbed."""

    kind: PartKind
    text: str
    quoted: bool


Word: TypeAlias = tuple[Part, ...]


class Link(StrEnum):
    """When the next pipeline runs."""

    ALWAYS = ";"
    IF_GOOD = "&&"
    IF_BAD = "||"


@dataclass(frozen=True, slots=True)
class Redirect:
    """`target` is None for a duplication such as 2>&1; `source` is then the descriptor that is copied."""

    fd: int
    op: str  # "<", ">", ">>", ">&"
    target: Word | None
    source: int = -1


@dataclass(slots=True)
class Simple:
    """Assignments, words and redirections of one command."""

    assignments: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """( list ) or { list; }."""

    body: Sequence
    subshell: bool
    redirects: list[Redirect] = field(default_factory=list)


Command: TypeAlias = Simple | Group


@dataclass(slots=True)
class Pipeline:
    commands: list[Command]
    negated: bool = False


@dataclass(slots=True)
class Sequence:
    """Pipelines, each with the condition under which it runs after its predecessor."""

    items: list[tuple[Link, Pipeline]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Op:
    text: str


@dataclass(frozen=True, slots=True)
class _Redir:
    fd: int
    op: str


_Token: TypeAlias = _Op | _Redir | Word
_BREAKS = " \t\r\n;&|<>()"
_KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac"}
)
_ESCAPABLE = '$`"\\\n'


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def tokens(self) -> list[_Token]:
        found: list[_Token] = []
        while self.at < len(self.text):
            char = self.peek()
            if char in " \t\r":
                self.at += 1
            elif char == "\\" and self.peek(2) == "\\\n":
                self.at += 2
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif char == "\n":
                self.at += 1
                found.append(_Op(";"))
            elif self.peek(2) in ("&&", "||", ";;"):
                if self.peek(2) == ";;":
                    raise ShellSyntaxError("syntax error near unexpected token `;;'")
                found.append(_Op(self.peek(2)))
                self.at += 2
            elif char in ";|()":
                found.append(_Op(char))
                self.at += 1
            elif self.peek(2) == "&>":
                self.at += 2
                found.append(_Redir(-1, ">"))
            elif char == "&":
                raise ShellSyntaxError("syntax error near unexpected token `&'")
            elif char in "<>":
                found.append(self._redirection(0 if char == "<" else 1))
            elif char.isdigit() and self._digit_before_redirection():
                self.at += 1
                found.append(self._redirection(int(char)))
            else:
                found.append(self.word())
        return found

    def _digit_before_redirection(self) -> bool:
        return self.text[self.at + 1 : self.at + 2] in ("<", ">")

    def _redirection(self, fd: int) -> _Redir:
        if self.peek(2) == "<<":
            raise ShellSyntaxError("syntax error near unexpected token `<<'")
        for op in (">>", ">&", ">|", "<", ">"):
            if self.text.startswith(op, self.at):
                self.at += len(op)
                return _Redir(fd, ">" if op == ">|" else op)
        raise ShellSyntaxError(f"syntax error near unexpected token `{self.peek()}'")

    def word(self) -> Word:
        parts: list[Part] = []
        while self.at < len(self.text) and self.peek() not in _BREAKS:
            char = self.peek()
            if char == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                self.at += 2
                if following and following != "\n":
                    parts.append(Part(PartKind.TEXT, following, True))
            elif char == "'":
                end = self.text.find("'", self.at + 1)
                if end < 0:
                    raise ShellSyntaxError("unexpected EOF while looking for matching `''")
                parts.append(Part(PartKind.TEXT, self.text[self.at + 1 : end], True))
                self.at = end + 1
            elif char == '"':
                self.at += 1
                parts.extend(self._double_quoted())
            elif char == "$":
                parts.append(self._dollar(quoted=False))
            elif char == "`":
                parts.append(self._backquoted(quoted=False))
            else:
                start = self.at
                while self.at < len(self.text) and self.peek() not in _BREAKS + "\\'\"$`":
                    self.at += 1
                parts.append(Part(PartKind.TEXT, self.text[start : self.at], False))
        return tuple(parts)

    def _double_quoted(self) -> list[Part]:
        parts = [Part(PartKind.TEXT, "", True)]
        plain: list[str] = []
        while True:
            char = self.peek()
            if not char:
                raise ShellSyntaxError("unexpected EOF while looking for matching `\"'")
            if char == '"':
                self.at += 1
                break
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in _ESCAPABLE:
                following = self.text[self.at + 1 : self.at + 2]
                if following != "\n":
                    plain.append(following)
                self.at += 2
            elif char in "$`":
                if plain:
                    parts.append(Part(PartKind.TEXT, "".join(plain), True))
                    plain = []
                parts.append(self._dollar(quoted=True) if char == "$" else self._backquoted(quoted=True))
            else:
                plain.append(char)
                self.at += 1
        if plain:
            parts.append(Part(PartKind.TEXT, "".join(plain), True))
        return parts

    def _dollar(self, *, quoted: bool) -> Part:
        self.at += 1
        char = self.peek()
        if char == "(":
            return self._command(quoted=quoted)
        if char == "{":
            end = self.text.find("}", self.at)
            name = self.text[self.at + 1 : end]
            if end < 0 or not _is_name(name):
                raise ShellSyntaxError(f"${{{name}}}: bad substitution")
            self.at = end + 1
            return Part(PartKind.VARIABLE, name, quoted)
        if char in ("?", "$", "#"):
            self.at += 1
            return Part(PartKind.VARIABLE, char, quoted)
        start = self.at
        while self.at < len(self.text) and (self.peek().isalnum() or self.peek() == "_"):
            self.at += 1
        name = self.text[start : self.at]
        return Part(PartKind.VARIABLE, name, quoted) if name else Part(PartKind.TEXT, "$", True)

    def _command(self, *, quoted: bool) -> Part:
        if self.peek(2) == "((":
            raise ShellSyntaxError("syntax error near unexpected token `(('")
        start = self.at + 1
        depth = 0
        quote = ""
        while self.at < len(self.text):
            char = self.peek()
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            elif char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if depth == 0:
                    self.at += 1
                    return Part(PartKind.COMMAND, self.text[start : self.at - 1], quoted)
            self.at += 1
        raise ShellSyntaxError("unexpected EOF while looking for matching `)'")

    def _backquoted(self, *, quoted: bool) -> Part:
        end = self.text.find("`", self.at + 1)
        if end < 0:
            raise ShellSyntaxError("unexpected EOF while looking for matching ``'")
        inner = self.text[self.at + 1 : end]
        self.at = end + 1
        return Part(PartKind.COMMAND, inner, quoted)


def _is_name(text: str) -> bool:
    return text.replace("_", "a").isalnum() and not text[0].isdigit()


def _plain(word: Word) -> str | None:
    """The word's text if it is written without quotes or expansions, else None."""
    if any(part.quoted or part.kind is not PartKind.TEXT for part in word):
        return None
    return "".join(part.text for part in word)


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def at_op(self, *texts: str) -> bool:
        token = self.peek()
        return isinstance(token, _Op) and token.text in texts

    def unexpected(self) -> ShellSyntaxError:
        token = self.peek()
        if token is None:
            return ShellSyntaxError("syntax error: unexpected end of file")
        if isinstance(token, _Op):
            text = token.text
        elif isinstance(token, _Redir):
            text = token.op
        else:
            text = "".join(part.text for part in token)
        return ShellSyntaxError(f"syntax error near unexpected token `{text}'")

    def sequence(self, *closing: str) -> Sequence:
        found = Sequence()
        link = Link.ALWAYS
        self._skip_semicolons()
        while self.peek() is not None and not self._closes(closing):
            found.items.append((link, self.pipeline()))
            if self.at_op("&&", "||"):
                token = self.peek()
                assert isinstance(token, _Op)
                link = Link(token.text)
                self.at += 1
                self._skip_semicolons()  # a line may be broken after && and ||
                if self.peek() is None:
                    raise self.unexpected()
            elif self.at_op(";"):
                link = Link.ALWAYS
                self._skip_semicolons()
            elif self.peek() is not None and not self._closes(closing):
                raise self.unexpected()
        return found

    def _closes(self, closing: tuple[str, ...]) -> bool:
        token = self.peek()
        if isinstance(token, _Op):
            return token.text in closing
        return isinstance(token, tuple) and "}" in closing and _plain(token) == "}"

    def _skip_semicolons(self) -> None:
        while self.at_op(";"):
            self.at += 1

    def pipeline(self) -> Pipeline:
        negated = False
        token = self.peek()
        if isinstance(token, tuple) and _plain(token) == "!":
            negated = True
            self.at += 1
        commands = [self.command()]
        while self.at_op("|"):
            self.at += 1
            self._skip_semicolons()
            commands.append(self.command())
        return Pipeline(commands, negated)

    def command(self) -> Command:
        if self.at_op("("):
            return self._group(")", subshell=True)
        token = self.peek()
        if isinstance(token, tuple):
            plain = _plain(token)
            if plain == "{":
                return self._group("}", subshell=False)
            if plain in _KEYWORDS:
                raise self.unexpected()
        return self.simple()

    def _group(self, closing: str, *, subshell: bool) -> Group:
        self.at += 1
        body = self.sequence(closing)
        if not body.items or not self._closes((closing,)):
            raise self.unexpected()
        self.at += 1
        group = Group(body, subshell)
        while isinstance(self.peek(), _Redir):
            group.redirects.extend(self.redirect())
        return group

    def simple(self) -> Simple:
        found = Simple()
        while True:
            token = self.peek()
            if isinstance(token, _Redir):
                found.redirects.extend(self.redirect())
            elif isinstance(token, tuple):
                self.at += 1
                assignment = None if found.words else _assignment(token)
                if assignment is not None:
                    found.assignments.append(assignment)
                else:
                    found.words.append(token)
            else:
                break
        if not (found.words or found.assignments or found.redirects):
            raise self.unexpected()
        return found

    def redirect(self) -> list[Redirect]:
        token = self.peek()
        assert isinstance(token, _Redir)
        self.at += 1
        target = self.peek()
        if not isinstance(target, tuple):
            raise self.unexpected()
        self.at += 1
        if token.op == ">&":
            plain = _plain(target)
            if plain is None or not plain.isdigit():
                raise ShellSyntaxError("ambiguous redirect")
            return [Redirect(token.fd, ">&", None, int(plain))]
        if token.fd == -1:  # &> means > file 2>&1
            return [Redirect(1, token.op, target), Redirect(2, ">&", None, 1)]
        return [Redirect(token.fd, token.op, target)]


def _assignment(word: Word) -> tuple[str, Word] | None:
    first = word[0]
    if first.quoted or first.kind is not PartKind.TEXT or "=" not in first.text:
        return None
    name, _, rest = first.text.partition("=")
    if not name or not _is_name(name):
        return None
    return name, (Part(PartKind.TEXT, rest, False), *word[1:])


def parse(text: str) -> Sequence:
    """The sentence that `text` is (one or several lines). Raises ShellSyntaxError."""
    parser = _Parser(_Lexer(text).tokens())
    found = parser.sequence()
    if parser.peek() is not None:
        raise parser.unexpected()
    return found
