"""The picture of a night: a lane per server, with releases, work, failovers, holds and alarms. SVG, drawn by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape

from mopflow.record.model import Kind, Record, ServerSpell
from mopflow.site import Site

WIDTH = 1160.0
_LEFT, _RIGHT = 172.0, 12.0
_LANE, _ALARM, _GAP = 15.0, 5.0, 15.0  # height of a server, of its alarms, between two clusters
_TOP, _BOTTOM = 40.0, 30.0
_BREAK = 26.0  # width of a pause that is left out
_SHORTEST = 1.2  # an alarm or a hold is at least so wide
_GLANCE = timedelta(minutes=2)  # two moments nearer than this belong together, however short the night is

_OLD, _NEW, _WORK, _DARK = "#b9c6d6", "#7fb894", "#e8b04b", "#44505c"
_ALARMS = {"unexpected": "#c0392b", "overstaying": "#d9822b", "expected": "#e3cf7a", "baseline": "#c9c9c9"}
_HALO = ' stroke="#ffffff" stroke-width="2.5" paint-order="stroke"'  # readable on whatever it falls
_HOLD, _BACK = "#c0392b", "#8e44ad"


@dataclass(frozen=True, slots=True)
class Axis:
    """Time to place. Pauses in which nothing was done or seen are as wide as a gap, however long they were."""

    parts: tuple[tuple[datetime, datetime, float, float], ...]  # begin, end, from x, to x

    def x(self, at: datetime) -> float:
        """Where a moment is; one in a pause is at its nearer edge."""
        for begin, end, left, right in self.parts:
            if at <= begin:
                return left
            if at <= end:
                share = (at - begin) / (end - begin) if end > begin else 0.0
                return left + share * (right - left)
        return self.parts[-1][3]

    @property
    def breaks(self) -> list[float]:
        """The middle of each pause."""
        return [(one[3] + two[2]) / 2 for one, two in zip(self.parts, self.parts[1:], strict=False)]


def axis(moments: Iterable[datetime], left: float, right: float) -> Axis:
    """An axis for these moments, from `left` to `right`. Needs one moment at least."""
    found = sorted(moments)
    longest = max(_GLANCE, (found[-1] - found[0]) / 12)
    spans: list[tuple[datetime, datetime]] = [(found[0], found[0])]
    for at in found:
        if at - spans[-1][1] > longest:
            spans.append((at, at))
        else:
            spans[-1] = spans[-1][0], at
    room = right - left - _BREAK * (len(spans) - 1)
    # a span of a moment still gets a little room
    least = timedelta(seconds=1)
    total = sum((max(end - begin, least) for begin, end in spans), timedelta())
    parts, at_x = [], left
    for begin, end in spans:
        width = room * (max(end - begin, least) / total)
        parts.append((begin, end, at_x, at_x + width))
        at_x += width + _BREAK
    return Axis(tuple(parts))


@dataclass(slots=True)
class _Drawing:
    height: float
    parts: list[str] = field(default_factory=list)

    def rect(
        self, x: float, y: float, width: float, height: float, fill: str, title: str = "", more: str = ""
    ) -> None:
        said = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.1):.1f}" height="{height:.1f}" '
            f'fill="{fill}"{more}>{said}</rect>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str, more: str = "") -> None:
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{more}/>'
        )

    def text(
        self, x: float, y: float, text: str, size: float = 11, anchor: str = "start", fill: str = _DARK,
        more: str = "",
    ) -> None:  # fmt: skip
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{fill}"{more}>'
            f"{escape(text)}</text>"
        )

    def svg(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {self.height:g}" '
            f'width="100%" role="img" aria-label="Timeline" font-family="Helvetica, Arial, sans-serif">'
            + "".join(self.parts)
            + "</svg>"
        )


def timeline(site: Site, record: Record) -> str:
    """The picture as an inline SVG; "" while nothing was seen."""
    moments = list(_moments(record))
    if not moments or not record.spells:
        return ""
    lanes = _lanes(site)
    bottom = max(lane + _LANE + _ALARM for lane in lanes.values())
    drawing = _Drawing(bottom + _BOTTOM)
    on = axis(moments, _LEFT, WIDTH - _RIGHT)
    _ticks(drawing, on, bottom)
    _servers(drawing, site, record, on, lanes)
    _alarms(drawing, record, on, lanes)
    _holds(drawing, site, record, on, lanes)
    _failovers(drawing, site, record, on, lanes)
    _breaks(drawing, on, bottom)
    _legend(drawing, site, bottom + 22)
    return drawing.svg()


def _moments(record: Record) -> Iterator[datetime]:
    for spell in record.spells:
        yield spell.begin
    for run in record.runs:
        yield run.begin
        if run.end is not None:
            yield run.end
    for hold in record.holds:
        yield hold.opened
    for _, turn in record.iterations:
        yield turn.begin
        yield turn.end


def _lanes(site: Site) -> dict[str, float]:
    """The upper edge of each server's lane."""
    found: dict[str, float] = {}
    y = _TOP
    for cluster in site.clusters:
        for name in cluster.server_names:
            found[name] = y
            y += _LANE + _ALARM
        y += _GAP
    return found


def _ticks(drawing: _Drawing, on: Axis, bottom: float) -> None:
    whole = sum((end - begin for begin, end, _, _ in on.parts), timedelta())
    step = _step(whole)
    last_x = -1000.0
    day = None
    for begin, end, left, _ in on.parts:
        at = _rounded_up(begin, step)
        while at <= end:
            x = on.x(at)
            drawing.line(x, _TOP - 6, x, bottom, "#e4e8ec")
            if x - last_x > 44 and left - 1 < x < WIDTH - 26:
                drawing.text(
                    x, _TOP - 10, f"{at:%H:%M:%S}" if step.seconds % 60 else f"{at:%H:%M}", 10, "middle"
                )
                last_x = x
            at += step
        if begin.date() != day:
            day = begin.date()
            drawing.text(left, 11, f"{begin:%Y-%m-%d} UTC", 10)


_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def _step(whole: timedelta) -> timedelta:
    seconds = whole.total_seconds()
    return timedelta(seconds=next((s for s in _STEPS if seconds / s <= 14), _STEPS[-1]))


def _rounded_up(at: datetime, step: timedelta) -> datetime:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + step * -(-(at - midnight) // step)


def _servers(drawing: _Drawing, site: Site, record: Record, on: Axis, lanes: dict[str, float]) -> None:
    target = site.target_release.short
    for cluster in site.clusters:
        y = lanes[cluster.server_names[0]]
        height = lanes[cluster.server_names[-1]] + _LANE + _ALARM - y
        drawing.text(2, y + height / 2 + 3, _cut(cluster.name, 18), 11, more=' font-weight="bold"')
        for name in cluster.server_names:
            drawing.text(_LEFT - 6, lanes[name] + 11, _cut(name, 9), 10, "end")
            mine = [spell for spell in record.spells if spell.server == name]
            for spell in mine:
                _spell(drawing, spell, on, lanes[name], target)
            _roles(drawing, mine, on, lanes[name])


def _spell(drawing: _Drawing, spell: ServerSpell, on: Axis, y: float, target: str) -> None:
    fill = {target: _NEW, None: "#ffffff"}.get(spell.release, _OLD)
    x, width = on.x(spell.begin), on.x(spell.end) - on.x(spell.begin)
    title = (
        f"{spell.server}: {spell.role}, {spell.release or 'release unknown'}, {spell.begin:%H:%M:%S} to "
        f"{spell.end:%H:%M:%S}"
    )
    drawing.rect(x, y, width, _LANE, fill, title)
    if spell.doing == "running" or spell.role == "OOS":
        drawing.rect(x, y + 3, width, _LANE - 6, _BACK if spell.backout else _WORK, f"{title}, at work")
    elif spell.role in ("Offline", "Zombie", "unknown"):
        drawing.rect(x, y + 3, width, _LANE - 6, _DARK, title)
    if spell.sync_broken:
        drawing.rect(x, y + _LANE - 2, width, 2, _HOLD, f"{title}, Sync Broken")


def _roles(drawing: _Drawing, spells: Sequence[ServerSpell], on: Axis, y: float) -> None:
    """A black line along the time in which the server was the active one."""
    for spell in spells:
        if spell.role == "Active":
            drawing.rect(
                on.x(spell.begin), y, on.x(spell.end) - on.x(spell.begin), 2.6, _DARK,
                f"{spell.server} active from {spell.begin:%H:%M:%S}",
            )  # fmt: skip


def _alarms(drawing: _Drawing, record: Record, on: Axis, lanes: dict[str, float]) -> None:
    worst_last = sorted(record.alarms, key=lambda alarm: list(_ALARMS).index(alarm.standing), reverse=True)
    for alarm in worst_last:
        y = lanes.get(alarm.source)
        if y is None:
            continue
        x = on.x(alarm.begin)
        width = max(_SHORTEST, on.x(alarm.end) - x)
        drawing.rect(
            x, y + _LANE, width, _ALARM - 1, _ALARMS[alarm.standing],
            f"{alarm.number} {alarm.text} ({alarm.severity}, {alarm.standing}) on {alarm.source}, "
            f"{alarm.begin:%H:%M:%S} to {alarm.end:%H:%M:%S}",
        )  # fmt: skip


def _holds(drawing: _Drawing, site: Site, record: Record, on: Axis, lanes: dict[str, float]) -> None:
    """Troubles as a red frame round the cluster's lanes while they stand; questions as a small mark."""
    for hold in record.holds:
        top, height = _band(site, hold.scope, lanes)
        x = on.x(hold.opened)
        said = f"{hold.kind} at {hold.step} on {hold.scope}: {hold.reason}"
        if hold.kind == "question":
            drawing.rect(x - 5, top + 2, 10, 11, "#ffffff", said, f' stroke="{_HOLD}"')
            drawing.text(x, top + 11, "?", 10, "middle", _HOLD, ' font-weight="bold" pointer-events="none"')
            continue
        end = on.x(hold.closed or record.written)
        frame = f' stroke="{_HOLD}" stroke-width="1.6" stroke-dasharray="4 2" pointer-events="all"'
        drawing.rect(
            x, top - 2, max(4.0, end - x), height + 2, "none", f"hold {said.split(' ', 1)[1]}", frame
        )
        label = f"hold {hold.step}" + (f" {hold.rule}" if hold.rule else "")
        right = x > WIDTH - 110
        drawing.text(
            min(WIDTH - _RIGHT, max(end, x + 4)) if right else x, top - 4.5, label, 9, "end" if right else "start",
            _HOLD, _HALO,
        )  # fmt: skip


def _failovers(drawing: _Drawing, site: Site, record: Record, on: Axis, lanes: dict[str, float]) -> None:
    """A mark where another server of the pair became the active one; a rollback has a colour of its own."""
    rollbacks = [one for one in record.deviations if one.kind is Kind.ROLLBACK]
    for cluster in site.clusters:
        became = sorted(
            (
                spell
                for spell in record.spells
                if spell.server in cluster.server_names and spell.role == "Active"
            ),
            key=lambda spell: spell.begin,
        )
        for before, now in itertools.pairwise(became):
            if before.server == now.server:
                continue
            back = any(
                cluster.name in one.scopes and one.at <= now.begin <= one.at + timedelta(minutes=15)
                for one in rollbacks
            )
            x = on.x(now.begin)
            one, two = lanes[before.server] + _LANE / 2, lanes[now.server] + _LANE / 2
            colour = _BACK if back else "#1f2a36"
            what = "rolled back to" if back else "failed over to"
            drawing.line(x, one, x, two, colour, ' stroke-width="2"')
            tip = 5.0 if two > one else -5.0
            drawing.parts.append(
                f'<path d="M {x - 4.5:.1f} {two - tip:.1f} L {x + 4.5:.1f} {two - tip:.1f} L {x:.1f} {two + tip / 2:.1f} Z" '
                f'fill="{colour}"><title>{escape(f"{cluster.name} {what} {now.server} {now.begin:%H:%M:%S}")}</title></path>'
            )


def _band(site: Site, scope: str, lanes: dict[str, float]) -> tuple[float, float]:
    """Upper edge and height of what a scope covers."""
    names = [scope] if scope in lanes else []
    for cluster in site.clusters:
        if scope == cluster.name:
            names = list(cluster.server_names)
    for segment in site.segments:
        if scope == segment.name:
            names = [name for cluster in segment.clusters for name in cluster.server_names]
    mine = [lanes[name] for name in names] or list(lanes.values())
    return min(mine), max(mine) + _LANE + _ALARM - min(mine)


def _breaks(drawing: _Drawing, on: Axis, bottom: float) -> None:
    for x in on.breaks:
        drawing.rect(x - _BREAK / 2 + 2, _TOP - 6, _BREAK - 4, bottom - _TOP + 6, "#ffffff")
        for shift in (-3, 3):
            drawing.line(x + shift - 2, bottom - 2, x + shift + 2, bottom - 10, "#8894a0")
            drawing.line(x + shift - 2, _TOP, x + shift + 2, _TOP - 8, "#8894a0")


def _legend(drawing: _Drawing, site: Site, y: float) -> None:
    entries = (
        (_OLD, site.source_release.short),
        (_NEW, site.target_release.short),
        (_WORK, "being upgraded"),
        (_BACK, "backed out, rolled back"),
        (_DARK, "away"),
        (_ALARMS["expected"], "alarm, expected"),
        (_ALARMS["overstaying"], "overstaying"),
        (_ALARMS["unexpected"], "unexpected"),
    )
    x = _LEFT
    for fill, text in entries:
        drawing.rect(x, y - 8, 11, 9, fill)
        drawing.text(x + 15, y, text, 10)
        x += 26 + 5.8 * len(text)
    drawing.rect(x, y - 8, 11, 2.6, _DARK)
    drawing.rect(x, y - 5.4, 11, 6.4, _OLD)
    drawing.text(x + 15, y, "active", 10)
    x += 52
    drawing.line(x + 3, y - 10, x + 3, y + 2, "#1f2a36", ' stroke-width="2"')
    drawing.text(x + 9, y, "failover", 10)
    x += 62
    drawing.rect(x, y - 8, 12, 9, "none", "", f' stroke="{_HOLD}" stroke-width="1.4" stroke-dasharray="4 2"')
    drawing.text(x + 16, y, "hold", 10)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
