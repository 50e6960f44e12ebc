"""`tollkeeper demo`: a throw-away store with thirty days of history, and light live traffic on the simulated upstream.

The history goes through the real record path: priced by the real price book, written with its rollups by the real
writer. Nothing leaves this machine, and the folder is removed at the end.
"""

import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import click
import httpx
import msgspec

from service.app import alarm, prepare_store, system_clock
from service.budgets.charges import NO_LEASE, Charge
from service.budgets.policy import BudgetBook, RequestFacts
from service.budgets.registry import BudgetRegistry, load_budgets
from service.budgets.standings import standing
from service.budgets.values import BudgetChanges, GivenScope, NewBudget
from service.first_run import FIRST_START, utc_now
from service.keys.registry import KeyRegistry
from service.keys.secrets import Peppers, audit_trail, installation_secret
from service.keys.values import NewKey
from service.launch import RELAY_URL, Options, run_everything
from service.ledger.batches import BATCH, BatchWriter
from service.ledger.costs import rate_record
from service.ledger.record import RequestRecord, uuid7
from service.ledger.writer import Writer
from service.pricing.catalog import load_book
from service.pricing.pricebook import PriceBook
from service.relay.charging import charge_nothing, put_rating, put_usage
from service.settings import Settings, StoreSettings
from service.simulator.calls import SimulatedCall
from service.simulator.history import history
from service.simulator.workloads import EXHAUSTED_KEY, WORKLOADS
from service.store.engine import Store
from service.supervisor import listen
from service.usage.tokens import TokenUsage

DAYS = 30
EXPECTED_CALLS = 30_000
NANOS_PER_CENT = 10_000_000
KEYS_FILE = "demo-keys.json"
PAUSE_S = (0.3, 1.5)
QUESTIONS = (
    "Summarise the ticket in one sentence.",
    "Which of these three drafts is the clearest?",
    "Write a test for the function above.",
    "What changed between the two contracts?",
    "Translate the greeting into Spanish.",
)


class DemoKey(msgspec.Struct, frozen=True):
    """A virtual key of the demo."""

    id: str
    name: str
    project: str
    token: str
    models: tuple[str, ...]


def run_demo(settings: Settings, *, dashboard: bool) -> None:
    """Make the store, fill it, run everything on it, remove it."""
    listen(settings.relay.host, settings.relay.port, purpose="the relay", flag="--port").close()
    with tempfile.TemporaryDirectory(prefix="tollkeeper-demo-") as folder:
        place = Path(folder)
        relay = msgspec.structs.replace(settings.relay, data_dir=place, workers=1)
        store_settings = StoreSettings(url=f"sqlite:///{place}/demo.db")
        demo = msgspec.structs.replace(settings, store=store_settings, relay=relay, upstreams=())
        store = Store(demo.store.url)
        click.echo("Preparing a throw-away store", err=True)
        prepare_store(store)
        keys = make_keys(store, demo)
        (place / KEYS_FILE).write_bytes(msgspec.json.encode(keys))
        budgets = DemoBudgets(store, demo)
        budgets.make(keys)
        fill(store, keys)
        budgets.exhaust()
        store.close()
        run_everything(
            demo,
            Options(
                dashboard=dashboard,
                keeper=True,
                first_keys=True,
                extra=(("demo-traffic", "--relay-url", RELAY_URL),),
                virtual_key=keys[0].token,
                store_flag=f" --store-url {demo.store.url} --data-dir {place}",
                headline=f"DEMO: simulated answers, generated history, store in {place} (removed at the end).",
            ),
        )


def make_keys(store: Store, settings: Settings) -> list[DemoKey]:
    """One virtual key per workload of the generated history."""
    root = installation_secret(store, settings)
    trail = audit_trail(root, now=utc_now)
    registry = KeyRegistry(Peppers.of(root), trail=trail, now=utc_now, random_bytes=os.urandom)
    keys = []
    with store.write() as tx:
        for workload in WORKLOADS:
            issued = registry.create(
                tx, NewKey(name=workload.key_name, project=workload.project), by=FIRST_START
            )
            models = tuple(offer.model for offer, _ in workload.offers)
            keys.append(DemoKey(issued.key.id, issued.key.name, issued.key.project, issued.token, models))
    return keys


class DemoBudgets:
    """The budgets of the demo, as old as its history, which is charged to them. One of them is used up."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._trail = audit_trail(installation_secret(store, settings), now=utc_now)
        self._exhausted = ""

    def make(self, keys: list[DemoKey]) -> None:
        """A soft one for everything and for one project, by the month, and a hard one for `EXHAUSTED_KEY`."""
        registry = self._registry(utc_now() - timedelta(days=DAYS + 1))
        sandbox = next(key.id for key in keys if key.name == EXHAUSTED_KEY)
        project = keys[0].project
        everything = NewBudget(scope=GivenScope("global"), limit_usd="250", window="month", mode="soft")
        team = NewBudget(scope=GivenScope("project", project), limit_usd="60", window="month", mode="soft")
        spent = NewBudget(scope=GivenScope("key", sandbox), limit_usd="1000", window="total")
        with self._store.write() as tx:
            for new in (everything, team):
                registry.create(tx, new, by=FIRST_START)
            self._exhausted = registry.create(tx, spent, by=FIRST_START).budget.id

    def exhaust(self) -> None:
        """Limit the hard one to what was spent of it, in whole cents."""
        registry = self._registry(utc_now())
        with self._store.write() as tx:
            now = standing(tx, registry.get(tx, self._exhausted).budget, "", at=utc_now())
            cents = max(1, -(-now.spent_nanos // NANOS_PER_CENT))
            changes = BudgetChanges(limit_usd=f"{cents // 100}.{cents % 100:02}")
            registry.update(tx, self._exhausted, changes=changes, by=FIRST_START)

    def _registry(self, now: datetime) -> BudgetRegistry:
        return BudgetRegistry(now=lambda: now, random_bytes=os.urandom, trail=self._trail)


def fill(store: Store, keys: list[DemoKey]) -> None:
    """Thirty days of records up to now."""
    batches = BatchWriter(Writer(store, clock=system_clock().micros), alarm=alarm)
    with store.read() as tx:
        book, budgets = load_book(tx), load_budgets(tx)
    ids = {key.name: key.id for key in keys}
    calls = history(end=utc_now(), days=DAYS)
    with click.progressbar(
        length=EXPECTED_CALLS, label=f"Generating {DAYS} days of history", file=sys.stderr
    ) as bar:
        records = (charged(record, budgets) for record in to_records(calls, ids=ids, book=book))
        for batch in _batched(records):
            batches.store(batch)
            bar.update(len(batch))
        bar.update(max(0, EXPECTED_CALLS - bar.pos))


def to_records(
    calls: Iterable[SimulatedCall], *, ids: dict[str, str], book: PriceBook
) -> Iterator[RequestRecord]:
    """Simulated calls as records, priced."""
    requests: dict[int, bytes] = {}
    for call in calls:
        identifier = uuid7(call.started_at, os.urandom(8))
        request_id = requests.setdefault(call.request, identifier)
        if call.final:
            requests.pop(call.request, None)
        record = RequestRecord(identifier, request_id, call.attempt, call.started_at)
        for name in _SHARED_FIELDS:
            setattr(record, name, getattr(call, name))
        record.key_id = ids.get(call.key_name or "")
        record.tags = call.tags or None
        record.upstream_model = call.requested_model if call.upstream else None
        _price(record, book)
        yield record


def charged(record: RequestRecord, budgets: BudgetBook) -> RequestRecord:
    """*record* with the budgets it is charged to, if an upstream saw it."""
    if record.upstream is not None and record.requested_model is not None:
        facts = RequestFacts(record.key_id, record.project, record.end_user, record.requested_model)
        record.charges = tuple(Charge(*each.place, NO_LEASE, 0) for each in budgets.applying(facts)) or None
    return record


def _price(record: RequestRecord, book: PriceBook) -> None:
    if record.input_tokens is None or record.output_tokens is None:
        charge_nothing(record, None)
        return
    counts = {name: getattr(record, name) for name in TokenUsage.__struct_fields__ if hasattr(record, name)}
    usage = TokenUsage(**counts)
    put_usage(record, usage)
    put_rating(record, rate_record(record, usage, book=book))


def _batched(records: Iterator[RequestRecord]) -> Iterator[list[RequestRecord]]:
    while batch := list(itertools.islice(records, BATCH)):
        yield batch


def run_traffic(settings: Settings, relay_url: str) -> None:
    """A request now and then with each of the demo's keys, until the process is ended."""
    keys = msgspec.json.decode((settings.relay.data_dir / KEYS_FILE).read_bytes(), type=list[DemoKey])
    with httpx.Client(base_url=relay_url, timeout=30.0, trust_env=False) as client:
        while True:
            key = random.choice(keys)
            try:
                _ask(client, key)
            except httpx.HTTPError:
                time.sleep(PAUSE_S[1])  # the relay is starting or stopping
            time.sleep(random.uniform(*PAUSE_S))


def _ask(client: httpx.Client, key: DemoKey) -> None:
    stream = random.random() < 0.6  # noqa: PLR2004  (most traffic streams)
    body = {
        "model": random.choice(key.models),
        "messages": [{"role": "user", "content": random.choice(QUESTIONS)}],
        "max_tokens": random.randint(20, 200),
        "stream": stream,
        "user": f"user-{random.randint(1, 40)}",
    }
    headers = {"authorization": f"Bearer {key.token}"}
    with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
        for _ in response.iter_raw():
            pass


_SHARED_FIELDS = [
    name
    for name in SimulatedCall.__struct_fields__
    if name in RequestRecord.__struct_fields__ and name not in ("started_at", "attempt", "tags")
]
