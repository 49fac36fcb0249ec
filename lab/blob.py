"""The content of a large file, in pages: pages of zeros take no memory, and copies share what they have in common."""

from __future__ import annotations

from collections.abc import Iterator

PAGE = 1 << 16  # bytes
_ZEROS = bytes(PAGE)


def _frozen(page: bytes) -> bytes | None:
    return None if page == _ZEROS else page


class Blob:
    """Bytes that grow, are cut off and written over, as a file is."""

    __slots__ = ("_pages", "_tail")

    def __init__(self, content: bytes = b"") -> None:
        self._pages: list[bytes | None] = []  # whole pages; None = zeros
        self._tail = bytearray()  # what follows them, less than a page
        self.append(content)

    def __len__(self) -> int:
        return len(self._pages) * PAGE + len(self._tail)

    def copy(self) -> Blob:
        other = Blob()
        other._pages = list(self._pages)
        other._tail = bytearray(self._tail)
        return other

    @property
    def stored(self) -> int:
        """Bytes of memory that it takes."""
        return sum(PAGE for page in self._pages if page is not None) + len(self._tail)

    def append(self, data: bytes) -> None:
        view, at = memoryview(data), 0
        if self._tail:
            at = min(len(view), PAGE - len(self._tail))
            self._tail += view[:at]
            if len(self._tail) < PAGE:
                return
            self._pages.append(_frozen(bytes(self._tail)))
            self._tail = bytearray()
        while len(view) - at >= PAGE:
            self._pages.append(_frozen(bytes(view[at : at + PAGE])))
            at += PAGE
        self._tail += view[at:]

    def write_at(self, offset: int, data: bytes) -> None:
        """A gap before `offset` is filled with zero bytes."""
        if offset > len(self):
            self.resize(offset)
        if offset == len(self):
            self.append(data)
            return
        end = offset + len(data)
        first, last = (
            offset // PAGE,
            -(-end // PAGE),
        )  # the first page that is touched, and the one behind the last
        before = self.read(first * PAGE, offset % PAGE)
        after = self.read(end, min(last * PAGE, len(self)) - end)
        changed = Blob(before + data + after)
        if last <= len(self._pages):
            self._pages[first:last] = changed._pages
        else:
            self._pages[first:] = changed._pages
            self._tail = changed._tail

    def resize(self, size: int) -> None:
        """Cut off, or fill up with zero bytes."""
        if size < len(self):
            whole = size // PAGE
            tail = self.read(whole * PAGE, size - whole * PAGE)
            del self._pages[whole:]
            self._tail = bytearray(tail)
            return
        missing = size - len(self)
        if missing:
            head = min(missing, (PAGE - len(self._tail)) % PAGE)
            self.append(bytes(head))
            missing -= head
            self._pages += [None] * (missing // PAGE)
            self.append(bytes(missing % PAGE))

    def read(self, offset: int, size: int) -> bytes:
        """Less than `size` at the end."""
        end = min(len(self), offset + size)
        if offset >= end:
            return b""
        found = bytearray()
        for number in range(offset // PAGE, -(-end // PAGE)):
            page = self._page(number)
            begin = number * PAGE
            found += page[max(0, offset - begin) : end - begin]
        return bytes(found)

    def _page(self, number: int) -> bytes | bytearray:
        if number < len(self._pages):
            page = self._pages[number]
            return _ZEROS if page is None else page
        return self._tail

    def __iter__(self) -> Iterator[bytes]:
        """The content, piece by piece."""
        for page in self._pages:
            yield _ZEROS if page is None else page
        if self._tail:
            yield bytes(self._tail)
