"""The whole life of jobs on a real PostgreSQL, driven by hypothesis: every message may be lost, doubled, early or late,
every process may die between its commit and what follows, and after each step the promises hold.

Time is virtual, one clock for the process and the database: a tenth of a second a step, and by the rule `time_passes`
seconds, minutes or until a job's deadline. Not driven here: FFmpeg (a clip is any file) and compiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.adapters.postgres.connection import PostgresRecords
from shared.domain.errors import Conflict, DependencyDown, NotFound, OverBudget
from shared.domain.jobs import Caller
from shared.domain.messages import (
    CallAccepted,
    CallRejected,
    CallUnresolved,
    MediaStored,
    PredictionSeen,
    StoredOutput,
    StoreFailed,
    WebhookReceived,
)
from shared.usecases.aftermath import Aftermath
from shared.usecases.control import cancel_job, retry_job
from shared.usecases.generate_media import GenerateRequest, generate_media
from shared.usecases.inspect_media import Inspector
from shared.usecases.manage_accounts import SCOPES, act
from shared.usecases.reconcile import Sweep
from shared.usecases.settle import Settler
from tests.campaigns.promises import Promises
from tests.campaigns.provider import ENDS, Made, MemoryProvider, a_workplace
from tests.campaigns.virtual_clock import VirtualClock
from tests.databases import as_app
from tests.integration.inside import CATALOG, INSPECTIONS, TURNS
from tests.memory import MemoryKeys, MemoryQueue, MemorySchemas, MemoryView
from tests.memory_media import MemoryMedia

CLIP = b"a clip"
STATUSES = ("starting", "processing", "succeeded", "failed", "canceled", "aborted", "a new one")
NEXT = ("processing", "succeeded", "succeeded", "succeeded", "failed", "canceled", "aborted")
numbers = st.integers(0, 10**6)


class Lifecycle(RuleBasedStateMachine):
    """Two accounts, one provider, every fault."""

    database_url: ClassVar[str]
    steps: ClassVar[int] = 0

    @initialize()
    def begin(self) -> None:
        self.time = VirtualClock(self.database_url)
        self.records = PostgresRecords(as_app(self.database_url), own_clock=self.time)
        self.queue, self.media, self.provider = MemoryQueue(), MemoryMedia(), MemoryProvider()
        self.clock, self.view = self.records.clock, MemoryView()
        self.callers = [self._account(), self._account()]
        self.jobs: dict[UUID, Caller] = {}
        self.promises = Promises(self.records, [caller.account_id for caller in self.callers])
        self.promises.forget_earlier_runs()

    def _account(self) -> Caller:
        order = {"action": "create_account", "name": uuid4().hex, "usagePlanKey": uuid4().hex}
        made = act(order, records=self.records, directory=MemoryKeys())
        return Caller(UUID(made["accountId"]), frozenset(SCOPES))

    @property
    def aftermath(self) -> Aftermath:
        return Aftermath(records=self.records, queue=self.queue, live=self.view, cache=self.view)

    @property
    def settler(self) -> Settler:
        return Settler(self.records, self.clock, self.aftermath, lease_seconds=60)

    @contextmanager
    def _dying(self, die: bool) -> Iterator[None]:
        """Whoever acts dies after its commit: nothing of what follows it happens."""
        self.queue.down = die
        try:
            yield
        finally:
            self.queue.down = False

    # what clients do

    @rule(who=st.integers(0, 1), key=st.sampled_from([None, "a", "b"]), die=st.booleans())
    def create(self, who: int, key: str | None, die: bool) -> None:
        prompt = {"prompt": f"for {key}"}
        request = GenerateRequest("user", "image", "flux-schnell", prompt, section_id=1, idempotency_key=key)
        request = request if key else GenerateRequest("user", "image", "flux-schnell", prompt)
        with self._dying(die), suppress(OverBudget):
            job = self._generate(request, self.callers[who])
            self.jobs[job.id] = self.callers[who]

    def _generate(self, request: GenerateRequest, caller: Caller) -> Any:
        return generate_media(
            request,
            caller,
            records=self.records,
            catalog=CATALOG,
            schemas=MemorySchemas(),
            media=self.media,
            clock=self.clock,
            aftermath=self.aftermath,
        )

    @precondition(lambda self: self.jobs)
    @rule(n=numbers, die=st.booleans())
    def cancel(self, n: int, die: bool) -> None:
        job_id, caller = self._job(n)
        with self._dying(die), suppress(Conflict):
            cancel_job(job_id, caller, records=self.records, clock=self.clock, aftermath=self.aftermath)

    @precondition(lambda self: self.jobs)
    @rule(n=numbers)
    def retry(self, n: int) -> None:
        job_id, caller = self._job(n)

        def again(old: Any) -> Any:
            request = GenerateRequest("user", "image", old.model_id, old.request["parameters"], retry_of=old.id)
            return self._generate(request, caller)

        with suppress(Conflict):
            self.jobs[retry_job(job_id, caller, records=self.records, again=again).id] = caller

    @precondition(lambda self: self.jobs)
    @rule(n=numbers)
    def pry(self, n: int) -> None:
        """The other account asks for a job that is not its own."""
        job_id, caller = self._job(n)
        other = next(c for c in self.callers if c != caller)
        try:
            cancel_job(job_id, other, records=self.records, clock=self.clock, aftermath=self.aftermath)
        except NotFound:
            return
        raise AssertionError("a job of another account was found")

    # what the outside does

    @precondition(lambda self: self.queue.of("calls"))
    @rule(n=numbers, keep=st.booleans(), answer=st.sampled_from(["ok", "ok", "ok", "lost", "429", "500", "422"]))
    def call(self, n: int, keep: bool, answer: str) -> None:
        message = self._take("calls", n, keep)
        if message["action"] == "cancel":
            self._cancelled(message)
            return
        job_id, attempt_id = message["jobId"], message["attemptId"]
        claim = self.settler.claim_call(UUID(job_id), UUID(attempt_id))
        report = self._call(job_id, attempt_id, claim, answer)
        if report is not None:
            self.settler.take(report)

    def _call(self, job_id: str, attempt_id: str, claim: Any, answer: str) -> Any:
        if claim["verdict"] == "resolve":
            return self._resolved(job_id, attempt_id, claim)
        if claim["verdict"] != "go":
            return None
        if answer in ("429", "422"):
            code = "provider_throttled" if answer == "429" else "provider_refused"
            return CallRejected(job_id, attempt_id, code, answer, answer == "429", 1)
        if answer == "500":
            return CallUnresolved(job_id, attempt_id, "500", "provider_error")
        made = self.provider.create(job_id, attempt_id)
        return None if answer == "lost" else CallAccepted(job_id, attempt_id, made.provider_id, made.status)

    def _resolved(self, job_id: str, attempt_id: str, claim: Any) -> Any:
        found = self.provider.of(attempt_id)
        if found:
            return CallAccepted(job_id, attempt_id, found[0].provider_id, found[0].status)
        if claim["absentMeansFailed"]:
            return CallRejected(job_id, attempt_id, "provider_error", "not listed", True)
        return CallUnresolved(job_id, attempt_id, "not listed")

    def _cancelled(self, message: Any) -> None:
        made = self.provider.made.get(message["providerId"])
        if made is not None and made.status not in ENDS:
            made.status = "canceled"

    @precondition(lambda self: self.provider.open())
    @rule(n=numbers, status=st.sampled_from(NEXT), retryable=st.booleans())
    def progress(self, n: int, status: str, retryable: bool) -> None:
        open_ = self.provider.open()
        made = open_[n % len(open_)]
        made.status, made.retryable = status, retryable

    @precondition(lambda self: self.provider.made)
    @rule(n=numbers, status=st.sampled_from(STATUSES), right=st.booleans(), times=st.integers(1, 3), die=st.booleans())
    def webhook(self, n: int, status: str, right: bool, times: int, die: bool) -> None:
        """At any time, of any status, once or more; with the wrong id it belongs to nobody."""
        made = self._made(n)
        # A webhook is authentic, and its URL names the attempt: another id can come only once ours is known.
        known = right or not self.promises.is_accepted(made.attempt_id)
        provider_id = made.provider_id if known else uuid4().hex[:26]
        hook = WebhookReceived("replicate", uuid4().hex, provider_id, status, made.job_id, made.attempt_id)
        with self._dying(die):
            for _ in range(times):
                self.settler.take(hook)

    @precondition(lambda self: self.queue.of("store"))
    @rule(n=numbers, keep=st.booleans(), outcome=st.sampled_from(["ok", "ok", "ok", "gone", "cut", "killed"]))
    def store(self, n: int, keep: bool, outcome: str) -> None:
        message = self._take("store", n, keep)
        made = self.provider.made[message["providerId"]]
        job_id, attempt_id = UUID(message["jobId"]), UUID(message["attemptId"])
        verdict = self.settler.claim_store(job_id, attempt_id, f"store:{uuid4()}")["verdict"]
        if verdict in ("done", "wait") or outcome == "killed":
            return
        self.settler.take(self._stored(made, message, verdict, outcome))

    def _stored(self, made: Made, message: Any, verdict: str, outcome: str) -> Any:
        ids = (message["jobId"], message["attemptId"])
        if made.status != "succeeded" or verdict == "read":
            seconds = 1.0 if made.status in ("succeeded", "canceled") else None
            return PredictionSeen(*ids, made.provider_id, made.status, predictSeconds=seconds, retryable=made.retryable)
        if outcome in ("gone", "cut"):
            return StoreFailed(*ids, "output_expired", "gone", final=outcome == "gone", predictSeconds=1.0)
        key = f"incoming/{message['jobId']}/{message['attemptNumber']}/0"
        self.media.objects.setdefault(key, (CLIP, "image/png"))
        output = StoredOutput(key, len(CLIP), hashlib.sha256(CLIP).hexdigest(), "image/png")
        return MediaStored(*ids, made.provider_id, (output,), None, 1.0)

    @precondition(lambda self: self.queue.of("inspect"))
    @rule(n=numbers, keep=st.booleans(), die=st.booleans())
    def inspect(self, n: int, keep: bool, die: bool) -> None:
        message = self._take("inspect", n, keep)
        inspector = Inspector(self.records, self.media, self.clock, self.aftermath, a_workplace, 60, INSPECTIONS)
        with self._dying(die):
            inspector.inspect(UUID(message["jobId"]))

    # what happens to everybody

    @rule(lost=st.sampled_from(["calls", "store", "inspect", "views", *["nothing"] * 6]))
    def store_is_lost(self, lost: str) -> None:
        self.queue.sent = [(topic, body) for topic, body in self.queue.sent if topic != lost]
        if lost == "views":
            self.view.snapshots.clear()

    @rule(seconds=st.sampled_from([1, 5, 10, 31, 61]), deadline=st.integers(0, 9), n=numbers)
    def time_passes(self, seconds: int, deadline: int, n: int) -> None:
        """For everybody; one in ten times until a job's time is over."""
        self.time.advance(seconds)
        if deadline == 9 and self.jobs:
            self.time.reach(self.promises.deadline_of(self._job(n)[0]))

    @rule()
    def sweep(self) -> None:
        with suppress(DependencyDown):
            Sweep(self.records, self.clock, self.aftermath, TURNS).run()

    @invariant()
    def promises_hold(self) -> None:
        if not hasattr(self, "promises"):
            return
        type(self).steps += 1
        self.time.advance(0.1)
        self.promises.check(self.provider, self.media)

    def teardown(self) -> None:
        """Everything comes to an end, and what was paid is what the provider billed."""
        if not hasattr(self, "promises"):
            return
        for _ in range(200):
            if self.promises.all_closed():
                break
            self._drain()
        self.promises.check_end(self.provider)
        self.records.close()
        self.time.close()

    def _drain(self) -> None:
        for made in self.provider.open():
            made.status = "succeeded"
        self.time.advance(61)
        self.sweep()
        while self.queue.of("calls"):
            # The queue of this machine keeps nothing back: a call that comes before its turn comes again at once.
            self.time.advance(1)
            self.call(0, False, "ok")
        while self.queue.of("store"):
            self.store(0, False, "ok")
        while self.queue.of("inspect"):
            self.inspect(0, False, False)
        if self.promises.only_doubts_left():
            self.time.reach(self.promises.last_deadline())

    def _job(self, n: int) -> tuple[UUID, Caller]:
        return list(self.jobs.items())[n % len(self.jobs)]

    def _made(self, n: int) -> Made:
        return list(self.provider.made.values())[n % len(self.provider.made)]

    def _take(self, topic: str, n: int, keep: bool) -> Any:
        """A message as its reader gets it; one that is kept comes again."""
        at = [index for index, (sent_to, _) in enumerate(self.queue.sent) if sent_to == topic]
        index = at[n % len(at)]
        return self.queue.sent[index][1] if keep else self.queue.sent.pop(index)[1]
