"""One logged-in browser: pages, looks, clicks, login. Everything here runs on the owner's thread alone."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import (
    BrowserContext,
    ElementHandle,
    Error,
    Locator,
    Playwright,
    Response,
    sync_playwright,
)
from playwright.sync_api import Page as Tab
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from pydantic import SecretStr

from mopflow.console import chromium
from mopflow.console.gateway import Gateway, Origin
from mopflow.console.labels import HasLogin, Names, Place, is_one_of
from mopflow.console.reading import Look
from mopflow.errors import LoginRefused, MopflowError, NothingRun, Unreachable, UnreadableReply
from mopflow.secrets import forms

T = TypeVar("T")
_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
_LOOK = "() => JSON.stringify((" + (_HERE / "look.js").read_text(encoding="utf-8") + ")())"
_ENTRY = (_HERE / "entry.js").read_text(encoding="utf-8")
_GONE = ("has been closed", "Target closed", "Connection closed", "Target crashed", "Page crashed")
_BETWEEN = ("Execution context was destroyed", "Cannot find context", "navigating")
_IDLE = 2.0  # seconds after which a page that nobody reads is put away
_STEP_MS = 40.0  # between two looks while something is awaited
_NEWS = 0.5  # seconds: a page that renews itself less often than that is loaded anew
_OPENING = 0.3  # seconds that a menu may take to open
_HOUR = 3600.0


class SessionLost(Exception):
    """A login form stands where a page was expected."""


class NoEntry(UnreadableReply):
    """The page has no such entry; the entries before it on the way may have been opened, nothing was done."""


class _Redrawn(Unreachable):
    """What was to be clicked is not on the page any more; nothing was clicked."""


def exactly(names: Sequence[str]) -> re.Pattern[str]:
    """A name as Playwright takes it: the whole name, any case, runs of white space as one."""
    each = ("\\s+".join(re.escape(word) for word in name.split()) for name in names)
    return re.compile(rf"^\s*(?:{'|'.join(each)})\s*$", re.IGNORECASE)


class Session:
    """A Chromium of our own that is, or can be, logged in at the console."""

    def __init__(
        self,
        origin: Origin,
        user: str,
        password: SecretStr,
        labels: HasLogin,
        ca: Path | None,
        executable: Path | None,
        deadline: float,
        login_budget: int,
        moved: Callable[[], None],
        refresh: float,
    ) -> None:
        self.origin = origin
        self.labels = labels
        self.deadline = deadline
        self._user = user
        self._password = password
        self._ca = ca
        self._executable = executable
        self._budget = login_budget
        self._moved = moved
        self._tolerance = refresh
        self.acted_at = 0.0  # when the newest act ended, Unix seconds
        self._news = min(_NEWS, 3 * refresh)  # seconds to wait for news that a page asks for by itself
        self._logins: deque[float] = deque()
        self._refused: dict[bytes, str] = {}  # hash of a password that was refused -> what the console said
        self._playwright: Playwright | None = None
        self._context: BrowserContext | None = None
        self._gateway: Gateway | None = None
        self._home: chromium.Home | None = None
        self._tabs: dict[str, Tab] = {}
        self._front: Tab | None = None
        self._renewed: dict[str, float] = {}  # when each tab's page asked for its newest news, Unix seconds
        self._used: dict[str, float] = {}  # when each tab was used last, monotonic seconds
        self._shows: dict[str, str] = {}  # which page each tab shows
        self._bookmarks: dict[str, str] = {}  # where a page was found, by page
        self._placeless: set[str] = set()  # pages that have no address of their own
        self._start = origin.url  # where one stands after the login
        self.logins = 0  # how often the console has let us in
        self._secrets = {password.get_secret_value()}

    @property
    def who(self) -> str:
        return str(self.origin)

    @property
    def settle(self) -> float:
        """Seconds that a page may take until what it shows is whole."""
        return min(self.deadline, max(1.0, self.deadline / 10))

    # --- the browser
    def context(self) -> BrowserContext:
        """The running browser; started when there is none, or when the last one died."""
        if self._context is not None:
            return self._context
        self.drop()  # what the last one left
        self._moved()
        try:
            if self._gateway is None:
                self._gateway = Gateway(self.origin, self._ca, self.deadline)
            if self._playwright is None:
                self._playwright = sync_playwright().start()
            own = Path(self._playwright.chromium.executable_path)
            program = chromium.find(self._executable, own)
            self._home = chromium.Home()
            self._context = self._playwright.chromium.launch_persistent_context(
                self._home.profile,
                executable_path=program,
                headless=True,
                chromium_sandbox=chromium.sandboxed(),
                args=chromium.arguments(
                    self.origin.host, self.origin.port, self._gateway.port, self._gateway.pin
                ),
                env=dict(self._home.environment()),
                artifacts_dir=self._home.path,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
                viewport={"width": 1440, "height": 900},
                accept_downloads=False,
                service_workers="block",
            )
        except Error as error:
            why = self._first_line(error)
            self.drop()
            self._stop_driver()
            raise Unreachable("the browser", why) from None
        context = self._context
        context.set_default_timeout(self.deadline * 1000)
        context.on("close", lambda _: self._gone(context))
        return context

    def _gone(self, context: BrowserContext) -> None:
        if self._context is context:
            self._context = None

    def drop(self) -> None:
        """Let go of the browser; the next use starts another."""
        context, self._context = self._context, None
        self._tabs.clear()
        self._shows.clear()
        if context is not None:
            with contextlib.suppress(Error):  # it may be dead already
                context.close()
        if self._home is not None:
            home, self._home = self._home, None
            home.kill()
            home.close()

    def kill(self) -> None:
        """From any thread: end a browser that hangs, so that the owner's call fails."""
        home = self._home
        if home is not None:
            _log.warning("the browser does not answer and is ended")
            home.kill()

    def close(self) -> None:
        self.drop()
        self._stop_driver()
        if self._gateway is not None:
            self._gateway.close()
            self._gateway = None

    def _stop_driver(self) -> None:
        if self._playwright is not None:
            playwright, self._playwright = self._playwright, None
            with contextlib.suppress(Error):
                playwright.stop()

    # --- errors
    def _first_line(self, error: Error) -> str:
        """What a browser error says, without its call log (which repeats what was typed) and without secrets."""
        text = error.message.split("Call log:")[0].strip().splitlines()[0:1]
        line = text[0] if text else "an error without a text"
        for form in forms(self._secrets):
            line = line.replace(form, "********")
        return line[:300]

    def keep_secret(self, secret: str) -> None:
        self._secrets.add(secret)

    @contextlib.contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Errors of the browser leave as ours; their text never holds what was typed."""
        self._moved()
        try:
            yield
        except PlaywrightTimeout:
            raise self._trouble() or Unreachable(
                self.who, f"{doing}: no answer in {self.deadline:g} s"
            ) from None
        except Error as error:
            line = self._first_line(error)
            if any(word in line for word in _GONE):
                self.drop()
                if "onnection closed" in line:  # it was the driver that ended
                    self._stop_driver()
                raise Unreachable(self.who, f"{doing}: the browser ended") from None
            if "net::ERR" in line:
                code = re.search(r"net::(\w+)", line)
                why = f"{doing}: {code[1] if code else 'connection failed'}"
                raise self._trouble() or Unreachable(self.who, why) from None
            if "strict mode violation" in line or "ambiguous" in line:
                raise UnreadableReply(
                    "console page", f"{doing}: a name stands there more than once", line
                ) from None
            if "not attached" in line:
                raise _Redrawn(self.who, f"{doing}: the page was drawn anew") from None
            raise Unreachable(self.who, f"{doing}: {line}") from None

    def _trouble(self) -> MopflowError | None:
        return self._gateway.take_trouble() if self._gateway is not None else None

    # --- tabs and looks
    def tab(self, name: str) -> Tab:
        """The tab of this name, opened when there is none."""
        context = self.context()
        tab = self._tabs.get(name)
        if tab is None or tab.is_closed():
            self._shows.pop(name, None)
            with self.translated("open a tab"):
                blank = [page for page in context.pages if page not in self._tabs.values()]
                tab = blank[0] if blank else context.new_page()
                self._front = None  # a new page comes up in front of the others
                self._renewed[name] = 0.0
                tab.on("response", functools.partial(self._note_renewal, name))
        self._tabs[name] = tab
        self._used[name] = time.monotonic()
        return tab

    def to_front(self, tab: Tab) -> None:
        """A page that is not in front draws once a second, and every click waits for it to be drawn."""
        if self._front is not tab:
            with self.translated("bring the page to the front"):
                tab.bring_to_front()
            self._front = tab

    def _note_renewal(self, name: str, response: Response) -> None:
        """The page of this tab has asked for news by itself and got them."""
        if response.ok and response.request.resource_type in ("fetch", "xhr"):
            self._renewed[name] = max(self._renewed[name], response.request.timing["startTime"] / 1000)

    def _renews_itself(self, name: str, tab: Tab, since: float) -> bool:
        """Wait for news that the page asked for lately or after `since` (Unix time): cheaper than to load it anew.

        News that are older than the newest act do not count.

        A page that has not asked lately, or gets no answer, is not waited for long.
        """
        until = time.monotonic() + self._news
        enough = max(since - self._tolerance, self.acted_at)
        while since - self._renewed[name] < 2 * self._news:
            if self._renewed[name] >= enough:
                self.pause(tab)  # the page draws what it got
                return True
            if time.monotonic() > until:
                return False
            self.pause(tab)
        return False

    def tidy(self) -> None:
        """Pages refresh themselves for as long as they stand; one that nobody reads is put away."""
        now = time.monotonic()
        for name in [name for name in self._shows if now - self._used[name] > _IDLE]:
            with contextlib.suppress(MopflowError):  # whoever needs the tab next will see what is wrong
                self.leave(name)

    def leave(self, name: str) -> None:
        """Put the page of a tab away; what it showed and was not confirmed is forgotten."""
        self._shows.pop(name, None)
        tab = self._tabs.get(name)
        if tab is not None and not tab.is_closed():
            self.go(tab, "about:blank")

    def look(self, tab: Tab) -> Look:
        """What the tab shows now. Raises SessionLost for a login form."""
        look = self.glance(tab)
        if look.is_login(self.labels):
            raise SessionLost
        return look

    def glance(self, tab: Tab) -> Look:
        """What the tab shows now, be it a login form."""
        until = time.monotonic() + self.deadline
        while True:
            with self.translated("read the page"):
                try:
                    return Look.parse(tab.evaluate(_LOOK))
                except Error as error:
                    between = any(word in error.message for word in _BETWEEN)
                    if not between or time.monotonic() > until:
                        raise
                    tab.wait_for_timeout(_STEP_MS)

    def pause(self, tab: Tab) -> None:
        with self.translated("wait"):
            tab.wait_for_timeout(_STEP_MS)

    def until(self, tab: Tab, seconds: float, ready: Callable[[Look], T]) -> T:
        """Look until `ready` answers without UnreadableReply; its last one is raised after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            try:
                return ready(self.look(tab))
            except UnreadableReply:
                if time.monotonic() > end:
                    raise
            self.pause(tab)

    # --- ways
    def go(self, tab: Tab, url: str | None = None) -> None:
        """Load the start page, or (None) the same page once more."""
        with self.translated("open the console" if url else "refresh the page"):
            answer = (
                tab.goto(url, wait_until="domcontentloaded")
                if url
                else tab.reload(wait_until="domcontentloaded")
            )
        if answer is not None and answer.status >= 500:
            raise self._trouble() or Unreachable(self.who, f"it answers with status {answer.status}")

    def entry(
        self, tab: Tab, names: Names, group: ElementHandle | None = None, within: str = "page"
    ) -> ElementHandle | None:
        with self.translated(f"look for {names[0]}"):
            return tab.evaluate_handle(_ENTRY, [group, list(names), within]).as_element()

    def walk(self, tab: Tab, way: Sequence[Names], within: str = "page") -> None:
        """Click along a way of entries. A group opens by click or by hover; both are tried.

        Raises NoEntry when an entry is not there. A page that is drawn anew meanwhile is walked again.
        """
        end = time.monotonic() + self.deadline
        while True:
            try:
                self._walk_once(tab, way, within)
            except _Redrawn:
                if time.monotonic() > end:
                    raise
            else:
                return

    def _walk_once(self, tab: Tab, way: Sequence[Names], within: str) -> None:
        group: ElementHandle | None = None
        for at, names in enumerate(way):
            found = self._await_entry(tab, names, group, within, self.settle)
            if found is None:
                raise NoEntry("console navigation", "no entry " + " > ".join(n[0] for n in way[: at + 1]), "")
            if at == len(way) - 1:
                with self.translated(f"click {names[0]}"):
                    found.click()
            elif self.entry(tab, way[at + 1], found, within) is None:
                with self.translated(f"open {names[0]}"):
                    on_hover = found.get_attribute("aria-haspopup") not in (None, "false")
                    first, second = (found.hover, found.click) if on_hover else (found.click, found.hover)
                    first()
                if self._await_entry(tab, way[at + 1], found, within, _OPENING) is None:
                    with self.translated(f"open {names[0]}"):
                        second()
            group = found

    def _await_entry(
        self, tab: Tab, names: Names, group: ElementHandle | None, within: str, seconds: float
    ) -> ElementHandle | None:
        end = time.monotonic() + seconds
        while True:
            found = self.entry(tab, names, group, within)
            if found is not None or time.monotonic() > end:
                return found
            if group is None:
                self.look(tab)  # the session may have ended meanwhile
            self.pause(tab)

    def arrive(self, tab: Tab, headings: Names) -> None:
        """Wait until the page with this heading stands."""

        def there(look: Look) -> None:
            if not is_one_of(look.heading, headings):
                raise UnreadableReply("console page", f"expected the page {headings[0]}", look.heading)

        self.until(tab, self.deadline, there)

    def visit(self, tab: Tab, place: Place) -> None:
        """To a place by the navigation; the second time straight to where it was found."""
        known = self._bookmarks.get(str(place.way))
        if known is not None and known != self._start:
            self.go(tab, known)
            if is_one_of(self.look(tab).heading, place.heading):
                return
        self.begin(tab)
        self.walk(tab, [(name,) for name in place.way], "navigation")
        self.arrive(tab, place.heading)
        self._bookmarks[str(place.way)] = tab.url

    def forget_ways(self) -> None:
        """Pages may be elsewhere now, or not be at all: each is sought by the navigation again."""
        self._bookmarks.clear()
        self._placeless.clear()
        self._shows.clear()

    def begin(self, tab: Tab) -> Tab:
        """To the page on which one stands after the login."""
        self.go(tab, self._start)
        self.look(tab)
        return tab

    def fresh(
        self, name: str, page: str, headings: Names, route: Callable[[Tab], None], parse: Callable[[Look], T]
    ) -> T:
        """Read a page anew: refresh it where it stands, else open it where it was found, else go there."""
        asked = time.time()
        tab = self.tab(name)
        self.to_front(tab)
        stands = self._shows.pop(name, None) == page
        if page in self._bookmarks:
            arrived = False

            def here(look: Look) -> T:
                nonlocal arrived
                if not is_one_of(look.heading, headings):
                    raise UnreadableReply("console page", f"expected the page {headings[0]}", look.heading)
                arrived = True
                return parse(look)

            if not (stands and self._renews_itself(name, tab, asked)):
                self.go(tab, None if stands else self._bookmarks[page])
            with contextlib.suppress(UnreadableReply):  # it lost its place: go there again
                return self._read(name, page, tab, here)
            if not arrived:
                self._placeless.add(page)
                del self._bookmarks[page]
        route(tab)
        result = self._read(name, page, tab, parse)
        if page not in self._placeless:
            self._bookmarks[page] = tab.url
        return result

    def _read(self, name: str, page: str, tab: Tab, parse: Callable[[Look], T]) -> T:
        result = self.until(tab, self.settle, parse)
        self._shows[name] = page
        self._used[name] = time.monotonic()
        return result

    # --- login
    def logged_in(self, work: Callable[[], T]) -> T:
        """Do it; when a login form comes instead, log in and do it once more."""
        try:
            return work()
        except SessionLost:
            self.log_in()
        try:
            return work()
        except SessionLost:
            raise Unreachable(self.who, "the session was lost again right after the login") from None

    def log_in(self) -> None:
        """Log in, if that is needed. Raises LoginRefused, for good once the console has refused the password.

        The budget is the number of logins in any hour.
        """
        self._check_refusal()
        self.context()
        assert self._gateway is not None
        self._gateway.verify()
        tab = self.tab("read")
        self.to_front(tab)
        self._shows.pop("read", None)
        self.go(tab, self._start)
        before = self._first_look(tab)
        if not before.is_login(self.labels):
            return
        loads: list[str] = []

        def loaded(page: Tab) -> None:
            loads.append(page.url)

        tab.on("domcontentloaded", loaded)
        login = self.labels.login
        try:
            with self.translated("fill in the login form"):
                tab.get_by_label(exactly(login.user)).fill(self._user)
                self._spend()
                tab.get_by_label(exactly(login.password)).fill(self._password.get_secret_value())
                tab.get_by_role("button", name=exactly(login.button)).click()
            self._answer(tab, before, loads)
        finally:
            tab.remove_listener("domcontentloaded", loaded)

    def _first_look(self, tab: Tab) -> Look:
        """The login form or a page, whichever comes."""
        end = time.monotonic() + self.deadline
        while True:
            look = self.glance(tab)
            if look.is_login(self.labels) or look.heading:
                return look
            if time.monotonic() > end:
                raise UnreadableReply("login", "neither a login form nor a page", " ".join(look.lines[:5]))
            self.pause(tab)

    def _answer(self, tab: Tab, before: Look, loads: list[str]) -> None:
        """Wait for what the console says to the login."""
        end = time.monotonic() + self.deadline
        while time.monotonic() < end:
            look = self.glance(tab)
            if not look.is_login(self.labels):
                if look.heading:
                    self._start = tab.url
                    self.logins += 1
                    return
            else:
                alerts = [message.text for message in look.messages if message.role == "alert"]
                if alerts and look.messages != before.messages:
                    self._refuse(" ".join(alerts))
                if loads and time.monotonic() > end - self.deadline + self.settle:
                    self._refuse(" ".join(alerts) or "the login form came again")
            self.pause(tab)
        raise Unreachable(self.who, f"no answer to the login in {self.deadline:g} s")

    def _check_refusal(self) -> None:
        said = self._refused.get(self._mark())
        if said is not None:
            raise LoginRefused(self.who, self._user, f"{said} (not tried again with the same password)")

    def _spend(self) -> None:
        now = time.monotonic()
        while self._logins and now - self._logins[0] > _HOUR:
            self._logins.popleft()
        if len(self._logins) >= self._budget:
            raise LoginRefused(
                self.who, self._user, f"not tried: {self._budget} logins in an hour are the limit"
            )
        self._logins.append(now)

    def _refuse(self, said: str) -> None:
        for form in forms(self._secrets):
            said = said.replace(form, "********")
        self._refused[self._mark()] = said
        raise LoginRefused(self.who, self._user, said)

    def _mark(self) -> bytes:
        return hashlib.sha256(self._password.get_secret_value().encode()).digest()

    # --- pictures and things
    def picture(self, tab: Tab, to: Path) -> Path:
        """A PNG of the whole page. Raises NothingRun when a form with a secret is open, or it cannot be written."""
        if self.glance(tab).has_secret_field():
            raise NothingRun(f"no picture {to.name}: a form with a password is open")
        with self.translated("take a picture"):
            image = tab.screenshot(full_page=True, animations="disabled", type="png")
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(image)
        except OSError as error:
            to.unlink(missing_ok=True)  # half a picture is none
            raise NothingRun(f"the picture {to} cannot be written: {error.strerror}") from None
        return to

    def dialog(self, tab: Tab) -> Locator:
        return tab.get_by_role("dialog").or_(tab.get_by_role("alertdialog"))
