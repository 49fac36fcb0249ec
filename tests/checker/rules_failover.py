"""Failover, re-apply, traffic and the way back: R4, R11, and R8 after a rollback."""

from __future__ import annotations

from dataclasses import dataclass, field

from flight_record import HAND_OVERS, Event
from flight_replay import EPSILON, Action, ClusterState, Direction, Rule


def _changed_hands(action: Action, cluster: ClusterState) -> bool:
    """Whether an ended failover did something: a failed one may have left everything as it was."""
    active = cluster.active
    return action.result == "Success" or (active.name if active else None) != action.active_before


@dataclass(slots=True)
class OneFailover(Rule):
    """R4: one failover, one re-apply at a time; a fit mate; the last one re-applied and carrying traffic."""

    last: Action | None = None  # the failover that last gave a cluster another active server
    reapplied: bool = False  # ... and its cluster's configuration was applied again since

    def started(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if cluster is None or action.raced or not (action.hand_over or action.action == "reapply"):
            return
        for running in self.system.running(*(HAND_OVERS if action.hand_over else ("reapply",))):
            text = f"{action.action} while one runs in {running.cluster} since {running.start:.1f}"
            self.report(action.start, "R4", text, cluster.name, action.server)
        if action.hand_over:
            self._mate(action, cluster)
            self._last(action, cluster)

    def _mate(self, action: Action, cluster: ClusterState) -> None:
        if action.target is None:
            self.report(action.start, "R4", "failover without a server to go to", cluster.name, action.server)
            return
        mate = self.system.servers[action.target]
        faults: list[str] = []
        if action.direction is Direction.NONE and action.action == "failover":
            faults.append(f"is on {mate.release}, not on {self.system.target}")
        if mate.role not in ("Standby", "Forced Standby"):
            faults.append(f"is {mate.role}")
        if not mate.reachable:
            faults.append("is not reachable")
        if not mate.in_sync:
            faults.append("is not in sync")
        for fault in faults:
            self.report(action.start, "R4", f"failover, but {mate.name} {fault}", cluster.name, mate.name)

    def _last(self, action: Action, cluster: ClusterState) -> None:
        if self.last is None or self.last.cluster is None:
            return
        before = self.system.clusters[self.last.cluster]
        back_at_once = (
            cluster is before
            and action.direction is Direction.BACK
            and self.last.direction is Direction.FORWARD
        )
        if before.is_cmp or back_at_once:
            return  # when the way back is right is R11's to say
        if not self.reapplied:
            text = f"failover before {before.name}, which failed over last, was re-applied"
            self.report(action.start, "R4", text, cluster.name, action.server)
        elif before.had_traffic and not before.traffic:
            text = f"failover before {before.name}, which failed over last, carried traffic again"
            self.report(action.start, "R4", text, cluster.name, action.server)

    def ended(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if cluster is None or action.raced:
            return
        if action.hand_over and _changed_hands(action, cluster):
            self.last, self.reapplied = action, False
        elif action.action == "reapply" and action.result == "Success" and self.last is not None:
            done = self.last.end is not None and action.start >= self.last.end
            self.reapplied = self.reapplied or (action.cluster == self.last.cluster and done)


@dataclass(slots=True)
class _Proof:
    """One cluster after its failover to the target: is traffic proven, or must it go back?"""

    failover: Action
    cluster: ClusterState
    first_end: float | None = None  # of the first successful re-apply
    last_end: float | None = None  # of the last one
    failed_reapply: bool = False
    came: float | None = None  # when traffic was first seen active after the failover
    back_refused: bool = False  # somebody tried, the GUI refused
    logins: list[float] = field(default_factory=list)  # somebody new at the wheel counts anew


@dataclass(slots=True)
class TrafficOrBack(Rule):
    """R11: traffic within 90 s of the re-apply, or the cluster goes back; beside a person who turns round, nothing else does.

    A failover back, of a rollback and of a backout alike (12.3.3/3-4), is one decision with the re-apply after it.
    """

    proofs: dict[str, _Proof] = field(default_factory=dict)
    back: dict[str, Action] = field(default_factory=dict)  # failed over back, its re-apply not yet begun
    bare: dict[str, Action] = field(default_factory=dict)  # failed over back, its re-apply not yet successful
    logins: list[float] = field(default_factory=list)

    def started(self, action: Action) -> None:
        if action.cluster is None:
            return
        if action.action == "reapply":
            back = self.back.get(action.cluster)
            if back is not None and back.end is not None:
                self._reapply_in_time(self.back.pop(action.cluster), action.start)
        proof = self.proofs.get(action.cluster)
        if action.hand_over and action.direction is Direction.BACK and not action.raced:
            self._goes_back(proof, action)
            return
        if action.initiate and self._is_bare(action.cluster):
            text = f"{action.action} before the cluster that failed over back was re-applied"
            self.report(action.start, "R11", text, action.cluster, action.server)
        if proof is None:
            return
        if action.action == "initiate_upgrade":
            if proof.came is None:
                text = "the next server was started before the cluster carried traffic again"
                self.report(action.start, "R11", text, action.cluster, action.server)
            del self.proofs[action.cluster]

    def _goes_back(self, proof: _Proof | None, action: Action) -> None:
        assert action.cluster is not None
        if self.system.clusters[action.cluster].is_cmp:
            return
        if proof is not None:
            self._back(proof, action)
        self.back[action.cluster] = self.bare[action.cluster] = action

    def _is_bare(self, cluster: str) -> bool:
        back = self.bare.get(cluster)
        return back is not None and back.result == "Success"

    def _back(self, proof: _Proof, action: Action) -> None:
        name, limits = proof.cluster.name, self.limits
        del self.proofs[name]
        if self.system.turned_round(proof.failover, action):
            self._overdue(proof, action.start)
            return
        if proof.first_end is None or proof.last_end is None:
            if not proof.failed_reapply:
                self.report(action.start, "R11", "failover back before the re-apply had ended", name)
            return
        over = proof.first_end + limits.traffic_window
        latest = proof.last_end + limits.traffic_window
        if proof.came is not None and proof.came <= latest - limits.reading and proof.cluster.traffic:
            text = f"failover back, although traffic was active at {proof.came:.1f}, in time"
            self.report(action.start, "R11", text, name)
        elif action.start < over - EPSILON:
            text = f"failover back {over - action.start:.1f} s before the {limits.traffic_window:.0f} s were over"
            self.report(action.start, "R11", text, name)
        self._overdue(proof, action.start)

    def _overdue(self, proof: _Proof, now: float) -> None:
        """Reports a failover back that is missing at `now`."""
        if proof.last_end is None or proof.back_refused:
            return
        window = self.limits.traffic_window
        if proof.came is not None and proof.came <= proof.last_end + window + self.limits.reading:
            return
        since = max([proof.last_end, *(login for login in proof.logins if login > proof.last_end)])
        deadline = since + window + self.limits.failback_margin
        if now > deadline + EPSILON:
            text = (
                f"traffic was not active within {window:.0f} s of the re-apply that ended at "
                f"{proof.last_end:.1f}, and no failover back had started"
            )
            self.report(deadline, "R11", text, proof.cluster.name)

    def _reapply_in_time(self, back: Action, now: float) -> None:
        if back.result != "Success" or back.end is None:
            return
        since = max([back.end, *(login for login in self.logins if login > back.end)])
        if now > since + self.limits.reapply_within + EPSILON:
            text = f"no re-apply within {self.limits.reapply_within:.0f} s of the failover back"
            self.report(since + self.limits.reapply_within, "R11", text, back.cluster)

    def ended(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if cluster is None or cluster.is_cmp or action.end is None or action.raced:
            return
        if action.hand_over and action.direction is Direction.FORWARD:
            self.bare.pop(cluster.name, None)
        back = self.bare.get(cluster.name)
        applied = action.action == "reapply" and action.result == "Success"
        if applied and back is not None and back.end is not None and action.start >= back.end:
            del self.bare[cluster.name]
        if action.hand_over and action.direction is Direction.FORWARD and action.had_traffic:
            active = cluster.active
            if active is not None and active.release == self.system.target:
                came = action.end if cluster.traffic else None
                self.proofs[cluster.name] = _Proof(action, cluster, came=came)
        elif action.action == "reapply" and cluster.name in self.proofs:
            proof = self.proofs[cluster.name]
            if proof.failover.end is None or action.start < proof.failover.end:
                return
            if action.result == "Success":
                proof.first_end = action.end if proof.first_end is None else proof.first_end
                proof.last_end = action.end
            else:
                proof.failed_reapply = True

    def seen(self, event: Event) -> None:
        if event.name == "traffic" and event["cluster"] in self.proofs:
            proof = self.proofs[event["cluster"]]
            if event["active"]:
                proof.came = event.t if proof.came is None else proof.came
            elif proof.first_end is None:
                proof.came = None  # the loss of the failover itself, written a moment after its end
        elif event.name == "gui_login" and event["ok"]:
            self.logins.append(event.t)
            for proof in self.proofs.values():
                proof.logins.append(event.t)
        elif event.name == "refused" and event["action"] in HAND_OVERS and event["cluster"] in self.proofs:
            self.proofs[event["cluster"]].back_refused = True

    def over(self, t: float) -> None:
        for proof in self.proofs.values():
            self._overdue(proof, t)
        for back in self.back.values():
            self._reapply_in_time(back, t)


@dataclass(slots=True)
class NothingNew(Rule):
    """R8: after a rollback no upgrade and no failover starts until a person has answered; who turns round has answered.

    After any failure as well, when that is asked for; after one of a backout no backout either.
    """

    # cluster -> its failover to the target; nothing was started there since
    proven: dict[str, Action] = field(default_factory=dict)
    rollback: Action | None = None
    failure: tuple[float, str] | None = None
    backout_failed: bool = False  # ... and that was one on the way back

    def started(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if cluster is None:
            return
        is_back = action.hand_over and action.direction is Direction.BACK
        if (action.action == "initiate_upgrade" or action.hand_over) and not (
            is_back and cluster.name in self.proven
        ):
            self._judge(action)
        elif action.action == "initiate_backout" and self.backout_failed:
            self._judge_failure(action)
        forward = self.proven.get(cluster.name)
        if is_back and forward is not None and not self.system.turned_round(forward, action):
            self.rollback = self.rollback or action
        if action.initiate:
            self.proven.pop(cluster.name, None)

    def _judge(self, action: Action) -> None:
        if self.rollback is None or self._answered(action):
            self._judge_failure(action)
            return
        text = f"{action.action} started after the rollback of {self.rollback.cluster}"
        self.report(action.start, "R8", text, action.cluster, action.server)

    def _answered(self, action: Action) -> bool:
        return self.limits.answered is not None and action.start >= self.limits.answered

    def _judge_failure(self, action: Action) -> None:
        if self._answered(action):
            return
        if self.failure is not None and action.start > self.failure[0] + self.limits.notice:
            text = f"{action.action} started after {self.failure[1]} at {self.failure[0]:.1f}"
            self.report(action.start, "R8", text, action.cluster, action.server)

    def ended(self, action: Action) -> None:
        cluster = self.system.cluster_of(action)
        if cluster is None:
            return
        forward = action.hand_over and action.direction is Direction.FORWARD
        if forward and not cluster.is_cmp and _changed_hands(action, cluster):
            self.proven[cluster.name] = action
        if action.initiate and action.result == "Failed" and not action.raced:
            back = action.direction is Direction.BACK
            self._failed(action.end, f"a failed {action.action} on {action.server}", back=back)

    def seen(self, event: Event) -> None:
        if event.name == "role" and event["to"] == "Zombie":
            back = bool(self.system.running("initiate_backout", server=event["server"]))
            self._failed(event.t, f"{event['server']} became a Zombie", back=back)
        elif event.name == "alarm_raised" and event["number"] == 70506:
            self._failed(event.t, "UPGRADE_OPERATION_FAILED")

    def _failed(self, t: float | None, what: str, *, back: bool = False) -> None:
        if self.limits.failures_stop and self.failure is None and t is not None:
            self.failure, self.backout_failed = (t, what), back
