"""Faults on the running stack: alone, three at once, kills at random moments, and a part taken away for a while."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from local import commands
from local.keeper import running_keeper
from local.layout import MARK_VARIABLE, Layout, find_layout
from local.processes import marked, wait_until
from tests.campaigns.lines import lines
from tests.campaigns.settling import settle_all, settles
from tests.campaigns.surroundings import PARTS, Fault, frozen, kill_any, processes_of, send_signal, surroundings
from tests.faults.observing import Observed
from tests.patience import PATIENCE_SECONDS

WEBHOOKS = ("lost", "doubled", "early", "late")
ANSWERS = ("lost", "429", "500")
OUTPUTS = ("gone", "truncated", "html", "data", "object")
OTHERS = ("[abort]", "[fail]", "[expire=0]", "[answer=lost][shown=no]")
BATCH = 5
JOBS_OF_AN_OUTAGE = 100
OUTAGE_SECONDS = 20


def directives() -> list[str]:
    """Every fault that a prompt can ask of the provider."""
    return [
        *(f"[webhook={name}]" for name in WEBHOOKS),
        *(f"[answer={name}]" for name in ANSWERS),
        *(f"[output={name}]" for name in OUTPUTS),
        *OTHERS,
    ]


def worlds() -> dict[str, Fault]:
    """Every fault that is not the provider's own."""
    return {**surroundings(), **lines()}


def run_rows(observed: Observed, seed: int, count: int) -> int:
    """Each fault alone, a seed being a round of all: violations among so many of them."""
    dice = random.Random(seed)
    names = [*directives(), *worlds()]
    dice.shuffle(names)
    chosen = names[:count]
    violations = _scenario(observed, dice, [name for name in chosen if name.startswith("[")], [])
    for name in chosen:
        if name in worlds():
            violations += min(1, _scenario(observed, dice, ["", ""], [name]))
    return violations


def run_triples(observed: Observed, seed: int, count: int) -> int:
    """Three faults at once: a webhook's, an answer's, and one of the surroundings."""
    dice, violations = random.Random(seed), 0
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        prompts = [f"[webhook={dice.choice(WEBHOOKS)}][answer={dice.choice(ANSWERS)}]" for _ in range(size)]
        violations += _scenario(observed, dice, prompts, [dice.choice(_possible(observed))])
    return violations


def run_kills(observed: Observed, seed: int, count: int) -> int:
    """SIGKILL to whatever function is busy, at random moments of a job's life."""
    dice, violations = random.Random(seed), 0
    for _ in range(count):
        job = observed.generate("killed somewhere", webhookUrl=None)
        time.sleep(dice.uniform(0, 0.8))
        kill_any(observed, dice)
        violations += settle_all(observed, [job])
    return violations


def run_outage(observed: Observed, seed: int, count: int) -> int:
    """A hundred jobs run; one part is taken away for 20 s and given back."""
    violations = 0
    for number in range(count):
        part = (*PARTS, "settle")[(seed + number) % (len(PARTS) + 1)]
        jobs = [observed.generate(f"[seconds={n % 15}] during an outage") for n in range(JOBS_OF_AN_OUTAGE)]
        with frozen(processes_of(observed, part)):
            time.sleep(OUTAGE_SECONDS)
        violations += settle_all(observed, jobs)
    return violations


def run_whole_kills(observed: Observed, seed: int, count: int) -> int:
    """A hundred jobs run; the whole stack is killed at a random moment and started again on its kept state."""
    dice, violations = random.Random(seed), 0
    for _ in range(count):
        jobs = [observed.generate(f"[seconds={n % 15}] killed with everything") for n in range(JOBS_OF_AN_OUTAGE)]
        time.sleep(dice.uniform(0, 10))
        kill_and_start_again(observed)
        violations += settle_all(observed, jobs)
    return violations


def kill_and_start_again(observed: Observed) -> None:
    """SIGKILL to the keeper and to every process of the stack, then `make up` on what they left."""
    layout = Layout(root=find_layout().root, state=Path(observed.stack["stateDir"]))
    keeper = running_keeper(layout)
    assert keeper
    for process in (keeper, *marked(MARK_VARIABLE, str(layout.state))):
        send_signal(process, signal.SIGKILL)
    assert wait_until(lambda: not marked(MARK_VARIABLE, str(layout.state)), PATIENCE_SECONDS)
    assert wait_until(
        lambda: running_keeper(layout) is None, PATIENCE_SECONDS
    )  # a killed process lets go of its files last
    assert commands.up(layout, with_parent=True) == 0


def _possible(observed: Observed) -> list[str]:
    """Faults of lines need the fault proxy."""
    return list(worlds() if observed.stack["faultsUrl"] else surroundings())


def _scenario(observed: Observed, dice: random.Random, prompts: Sequence[str], faults: Sequence[str]) -> int:
    prompts = list(prompts)
    jobs = [observed.generate(f"{prompt}[seconds={dice.choice([0, 0, 1, 2])}] a fault") for prompt in prompts]
    began = time.monotonic()
    try:
        for fault in faults:
            time.sleep(dice.uniform(0, 0.6))
            jobs += worlds()[fault](observed, dice)
    except AssertionError as error:
        print(f"violation: {fault}: {str(error)[:1500]}", flush=True)
        return len(jobs)
    violations = settles(observed, jobs, [*prompts, *[""] * (len(jobs) - len(prompts))])
    print(f"{time.monotonic() - began:6.1f} s, {violations} violations: {', '.join([*prompts, *faults])}", flush=True)
    return violations
