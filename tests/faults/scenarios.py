"""The scenarios that send events. Each takes the house as the one before left it: working."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from tests.faults import faults, points
from tests.faults.house import House, alive, send
from tests.faults.measure import percentile, waits
from tests.faults.model import Row
from tests.faults.traffic import Bar, Outcome, Traffic, traffic
from tests.processes import until

#: Two leases of the inbox, and a little.
FROZEN_SECONDS = 22.0
#: So long, and a little, after its last sign of life the holder of a post counts as frozen.
REPLACED_SECONDS = 35.0


@dataclass(frozen=True)
class Sizes:
    """How large a run is. What a scenario has no use for, it ignores."""

    events: int = 0
    times: int = 0
    seconds: float = 0.0
    seed: int = 1


# --- everything at once -------------------------------------------------------------------------


def mix(house: House, sizes: Sizes) -> Outcome:
    """A bit of everything, with some poison, in an order that the seed draws."""
    outcome, random = Outcome("mix"), Random(sizes.seed)
    kinds: list[Callable[[House, Random], None]] = [
        *[faults.kill_worker] * 4,
        *[faults.kill_web_worker] * 2,
        *[faults.flush_and_kill_valkey] * 2,
        *[faults.crash_postgres] * 2,
        faults.kill_all_ours,
        *[at_a_point(name) for name in random.sample(sorted(points.EVENT_POINTS), 5)],
    ] * max(1, sizes.times)
    random.shuffle(kinds)
    # Poison is worked off alone, one after the other: so much of it that the end is not waited for.
    with traffic(
        house, "mix", sizes.seed, rate=200, events=sizes.events, poison=0.002, retry=[0.5, 0.5]
    ) as load:
        for number, fault in enumerate(kinds, start=1):
            load.reach(number / (len(kinds) + 1))
            load.journal.note(fault.__name__)
            fault(house, random)
        load.settle(outcome, 180)
    for name in points.POINTS:
        points.disarm(house.points, name)
    return outcome


def at_a_point(name: str) -> Callable[[House, Random], None]:
    """A fault that has the next process that comes to the point killed there."""

    def strike(house: House, _random: Random) -> None:
        points.arm(house.points, name, signal.SIGKILL)

    strike.__name__ = name
    return strike


# --- kills --------------------------------------------------------------------------------------


def worker_kills(house: House, sizes: Sizes) -> Outcome:
    """SIGKILL to one process of the cluster, again and again: no stall over 15 s."""
    outcome, random = Outcome("worker-kills"), Random(sizes.seed)
    with traffic(house, outcome.name, sizes.seed, rate=300, events=sizes.events) as load:
        for number in range(1, sizes.times + 1):
            load.reach(number / (sizes.times + 1))
            load.journal.note("kill_worker")
            faults.kill_worker(house, random)
        load.settle(outcome)
    outcome.figures["kills"] = sizes.times
    outcome.bars.append(Bar("longest stall, s", outcome.figures["longest_stall"], 15))
    return outcome


def house_kills(house: House, sizes: Sizes) -> Outcome:
    """SIGKILL to the whole worker group and the web server: working again within 10 s."""
    outcome, random = Outcome("house-kills"), Random(sizes.seed)
    took = []
    with traffic(house, outcome.name, sizes.seed, rate=100) as load:
        for _ in range(sizes.times):
            time.sleep(random.uniform(0.5, 3.0))
            since = time.time()
            faults.kill_all_ours(house, random)
            took.append(load.recovered(since))
        load.settle(outcome)
    outcome.figures |= {"kills": sizes.times, "median": _median(took)}
    outcome.bars.append(Bar("working again, s", max(took), 10))
    return outcome


def stops(house: House, sizes: Sizes) -> Outcome:
    """SIGTERM to the workers in the middle of their work: they exit within 20 s."""
    outcome, random = Outcome("stops"), Random(sizes.seed)
    took = []
    with traffic(house, outcome.name, sizes.seed, rate=100) as load:
        for _ in range(sizes.times):
            took.append(faults.stop_workers(house))
            until("new workers", lambda: house.pid("workers"), 30)
            # Now and then before they are up.
            time.sleep(random.uniform(0.0, 6.0))
        load.settle(outcome)
    outcome.figures |= {"stops": sizes.times, "median": _median(took)}
    outcome.bars.append(Bar("exit after SIGTERM, s", max(took), 20))
    return outcome


# --- services -----------------------------------------------------------------------------------


def valkey(house: House, sizes: Sizes) -> Outcome:
    """Valkey flushed and killed, then away altogether: nothing needs it."""
    outcome, random = Outcome("valkey"), Random(sizes.seed)
    with traffic(house, outcome.name, sizes.seed, rate=100) as load:
        for _ in range(sizes.times):
            time.sleep(random.uniform(0.2, 1.5))
            faults.flush_and_kill_valkey(house, random)
        house.valkey.end(signal.SIGKILL)
        away, accepted = time.monotonic(), len(load.journal.acknowledged)
        try:
            while time.monotonic() - away < sizes.seconds:
                time.sleep(0.5)
            load.recovered(time.time())
            accepted = len(load.journal.acknowledged) - accepted
        finally:
            house.valkey.start()
        load.settle(outcome)
    outcome.figures |= {"kills": sizes.times, "accepted_while_away": accepted}
    if accepted < sizes.seconds * 50:
        outcome.against.append(f"only {accepted} writes were accepted while Valkey was away")
    if set(load.journal.answers) - {"202"}:
        outcome.against.append(f"a webhook needed Valkey: {dict(load.journal.answers)}")
    return outcome


def postgres(house: House, sizes: Sizes) -> Outcome:
    """PostgreSQL stopped in immediate mode: callers see 503, never 500."""
    outcome, random = Outcome("postgres"), Random(sizes.seed)
    took = []
    with traffic(house, outcome.name, sizes.seed, rate=100) as load:
        for _ in range(sizes.times):
            time.sleep(random.uniform(0.5, 3.0))
            faults.crash_postgres(house, random)
            took.append(load.recovered(time.time()))
        load.settle(outcome)
    outcome.figures |= {"crashes": sizes.times, "median": _median(took)}
    outcome.bars.append(Bar("working again, s", max(took), 15))
    return outcome


# --- points -------------------------------------------------------------------------------------


def frozen_processes(house: House, sizes: Sizes) -> Outcome:
    """A process frozen past two leases and thawed: others do its work, its late write is rejected.

    At `apply.read` it holds a claim and no lock; at `apply.fenced` it holds the rows themselves. At
    `apply.merged` it holds what every other worker waits for, and is not thawed: the supervisor
    must see that.
    """
    outcome, took = Outcome("frozen"), []
    with traffic(house, outcome.name, sizes.seed, rate=50) as load:
        for _ in range(max(1, sizes.times)):
            for point in ("apply.read", "apply.fenced", "fetch.answered"):
                _thawed(house, load, outcome, point)
            since, pid = time.time(), _freeze(house, "apply.merged")
            until("end of the frozen process", partial(_gone, pid), 2 * REPLACED_SECONDS)
            took.append(load.recovered(since))
        load.settle(outcome)
    outcome.bars.append(Bar("a frozen worker is replaced, s", max(took), REPLACED_SECONDS))
    return outcome


def _gone(pid: int) -> bool:
    return not alive(pid)


def _thawed(house: House, load: Traffic, outcome: Outcome, point: str) -> None:
    """Freeze a process at a point, and thaw it when its leases are over."""
    since, pid = time.time(), _freeze(house, point)
    outcome.figures[f"{point}: others went on after"] = round(load.recovered(since), 2)
    time.sleep(max(0.0, since + FROZEN_SECONDS - time.time()))
    if not alive(pid):
        outcome.against.append(f"who was frozen at {point} was gone when it should be thawed")
    send(pid, signal.SIGCONT)
    # It goes on where it was, with what it claimed then.
    time.sleep(2)


def _freeze(house: House, point: str) -> int:
    """The process that froze."""
    points.arm(house.points, point, signal.SIGSTOP)
    until(f"process at {point}", partial(points.struck, house.points, point), 30)
    for _ in range(100):
        if pid := points.frozen(house.points, point):
            return pid
        time.sleep(0.05)
    raise TimeoutError(f"nobody froze at {point}")


def crash_points(house: House, sizes: Sizes) -> Outcome:
    """A SIGKILL at every named point, each with so many seeds."""
    outcome, random = Outcome("crash-points"), Random(sizes.seed)
    struck = dict.fromkeys([*points.EVENT_POINTS, *points.PULL_POINTS], 0)
    pulled = Pulled(house, "pulled")
    # Who is killed so often has many attempts, so that none is given up; poison that takes its
    # process along would be waited for.
    with traffic(
        house,
        outcome.name,
        sizes.seed,
        rate=60,
        poison=0.004,
        kinds=("defect",),
        retry=[0.5] * 9,
    ) as load:
        for _ in range(sizes.times):
            names = sorted(struck)
            random.shuffle(names)
            for name in names:
                time.sleep(random.uniform(0.0, 0.5))
                points.arm(house.points, name, signal.SIGKILL)
                if name in points.PULL_POINTS:
                    pulled.ask()
                try:
                    until(name, partial(points.struck, house.points, name), 30)
                except TimeoutError:
                    if points.disarm(house.points, name):
                        outcome.against.append(f"nobody came to {name} within 30 s")
                        continue
                struck[name] += 1
        load.settle(outcome, 180)
    outcome.against += pulled.judge()
    outcome.figures["crashes"] = struck
    return outcome


class Pulled:
    """The stream that is pulled: each run finds some records changed and some gone."""

    def __init__(self, house: House, prefix: str) -> None:
        self._house, self._prefix = house, prefix
        self._held = house.upstream.held["counted"]
        self._round = 0
        for place in range(300):
            self._held[f"{prefix}-N{place}"] = 1

    def ask(self) -> None:
        self._round += 1
        for place in range(300):
            sku = f"{self._prefix}-N{place}"
            if place % 7 == self._round % 7:
                self._held[sku] = self._round + 1
            elif place % 50 == self._round % 50:
                self._held.pop(sku, None)
        self._house.run("-m", "tests.faults.ask", "full")

    def judge(self) -> list[str]:
        """After a last run, what is stored must be what is held. What differs, in words."""
        for _ in range(3):
            self.ask()
            try:
                until("end of the run", self._rested, 120, 0.5)
            except TimeoutError as error:
                return [str(error)]
        rows = self._house.database().execute(
            "SELECT key, available FROM catalog_stock WHERE key LIKE %s AND deleted_at IS NULL",
            [f"{self._prefix}-N%"],
        )
        found = {key.partition("/")[0]: int(available) for key, available in rows}
        wrong = sorted(k for k in found.keys() | self._held if found.get(k) != self._held.get(k))
        return [f"pulled: {k} is {found.get(k)}, not {self._held.get(k)}" for k in wrong[:5]]

    def _rested(self) -> bool:
        row = self._house.database().execute(
            "SELECT count(*) FROM connectors_syncrun WHERE state IN ('queued', 'running')"
        )
        return row.fetchone() == (0,)


# --- poison -------------------------------------------------------------------------------------


def poison(house: House, sizes: Sizes) -> Outcome:
    """1 % poison: exactly the configured attempts, and the others hardly notice."""
    outcome = Outcome("poison")
    quiet = Outcome("quiet")
    with traffic(house, quiet.name, sizes.seed, rate=30, events=sizes.events) as load:
        load.sender.wait(sizes.events)
        load.settle(quiet)
    with traffic(
        house, outcome.name, sizes.seed, rate=30, events=sizes.events, poison=0.01, retry=[0.5, 0.5]
    ) as load:
        load.sender.wait(sizes.events)
        load.settle(outcome)
    assert quiet.verdict is not None
    assert outcome.verdict is not None
    sent = load.journal.sent

    def harmless(row: Row) -> bool:
        event = sent.get(row.event_id)
        return not row.asked and (event is None or not event.poison)

    without = waits(quiet.verdict.rows, lambda row: not row.asked)
    beside = waits(outcome.verdict.rows, harmless)
    outcome.figures |= {
        f"{name}_p{share}_ms": round(percentile(found, share / 100) * 1000, 1)
        for name, found in (("without", without), ("beside", beside))
        for share in (50, 95, 99)
    }
    outcome.bars.append(
        Bar(
            "p95 beside poison to p95 without",
            percentile(beside, 0.95) / max(percentile(without, 0.95), 0.001),
            1.2,
        )
    )
    return outcome


def _median(found: list[float]) -> float:
    return round(percentile(sorted(found), 0.5), 2)
