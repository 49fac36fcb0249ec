"""The board as a document for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mopflow.board import AlarmMark, Board, Work


def as_document(board: Board) -> dict[str, Any]:
    return {
        "site": board.site,
        "campaign": board.campaign,
        "now": board.now.isoformat(),
        "taken": _iso(board.taken),
        "current_iso": board.current_iso,
        "runs": [
            {
                "flow": run.flow,
                "scope": run.scope,
                "since": run.since.isoformat(),
                "host": run.host,
                "pid": run.pid,
                "alive": run.alive,
            }
            for run in board.runs
        ],
        "window": None
        if board.window is None
        else {
            "name": board.window.name,
            "start": board.window.start.isoformat(),
            "end": board.window.end.isoformat(),
        },
        "stop": None
        if board.stop is None
        else {
            "by": board.stop.request.by,
            "why": board.stop.request.why,
            "at": board.stop.request.at.isoformat(),
            "now": board.stop.request.now,
            "effects": list(board.stop.effects),
        },
        "rehearsed": board.rehearsed,
        "clusters": [
            {
                "name": cluster.name,
                "kind": cluster.kind,
                "segment": cluster.segment,
                "stage": cluster.stage,
                "step": _work(cluster.work) if cluster.work is not None else None,
                "servers": [
                    {
                        "name": server.name,
                        "role": server.role,
                        "release": server.release,
                        "operation": server.operation,
                        "percent": server.percent,
                        "up_to_date": server.up_to_date,
                        "sync_broken": server.sync_broken,
                        "step": _work(server.work) if server.work is not None else None,
                        "alarms": [_alarm(alarm) for alarm in server.alarms],
                    }
                    for server in cluster.servers
                ],
            }
            for cluster in board.clusters
        ],
        "elsewhere": [_work(work) for work in board.elsewhere],
        "other_alarms": [_alarm(alarm) for alarm in board.loose_alarms],
        "absent_alarms": [
            {"number": alarm.number, "name": alarm.name, "cluster": alarm.cluster} for alarm in board.absent
        ],
        "holds": [
            {
                "id": hold.id,
                "kind": hold.kind.value,
                "cluster": hold.cluster,
                "step": f"{hold.procedure}/{hold.step}",
                "rule": hold.rule,
                "reason": hold.reason,
                "to_do": hold.remedy,
                "choices": [choice.value for choice in hold.choices],
                "since": hold.opened.isoformat(),
            }
            for hold in board.holds
        ],
    }


def _work(work: Work) -> dict[str, Any]:
    return {
        "scope": work.scope,
        "procedure": work.procedure,
        "number": work.number,
        "title": work.title,
        "state": work.state,
        "says": work.says,
        "since": work.since.isoformat(),
        "normal_until": _iso(work.usual_until),
        "late_at": _iso(work.late_at),
        "timeliness": work.timeliness.value,
    }


def _alarm(alarm: AlarmMark) -> dict[str, Any]:
    return {
        "number": alarm.number,
        "severity": alarm.severity,
        "source": alarm.source,
        "standing": alarm.standing.value,
        "text": alarm.text,
        "why": alarm.why,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
