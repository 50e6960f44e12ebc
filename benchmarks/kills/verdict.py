"""The comparison: the upstream's own log and what clients saw, against the books."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from benchmarks.kills.clients import Seen
from service.budgets.periods import usage_of
from service.reporting.check import check
from service.store.budget_tables import budget_period
from service.store.engine import Store
from service.store.tables import dead_letter, request_record

UPSTREAM_NEVER_SAW = frozenset({"interrupted", "client_disconnect", "upstream_error", "timeout"})


@dataclass
class Verdict:
    """What was compared, and every contradiction found; no contradiction, no loss."""

    upstream_requests: int = 0
    records: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether the books agree with the truth."""
        return not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        found = [f"lost: {text}" for text in self.lost]
        found += [f"doubled: {text}" for text in self.doubled]
        found += [f"wrong: {text}" for text in self.wrong]
        head = f"{self.upstream_requests} requests upstream, {self.records} records {dict(self.outcomes)}"
        return "\n".join([head, *found[:40]])


def examine(log: Path, store_url: str, seen: Sequence[Seen] = ()) -> Verdict:
    """Compare, when every relay has ended."""
    truth = _upstream_log(log)
    with closing(Store(store_url)) as store:
        records = _records(store)
        verdict = Verdict(len(truth), len(records), Counter(row["outcome"] for row in records.values()))
        verdict.wrong += [f"check: {found}" for found in check(store)[:10]]
        with store.read() as tx:
            verdict.wrong += _budgets_differ(tx, records.values())
            verdict.wrong += [f"dead letter: {row.error}" for row in tx.execute(select(dead_letter))]
    _compare_upstream(verdict, truth, records)
    _compare_clients(verdict, seen, records)
    return verdict


def _budgets_differ(tx: Connection, records: Iterable[dict[str, Any]]) -> list[str]:
    """Budgets over everything, without end: what they spent is what the records cost, and nothing is held any more.

    A cost that nobody knows is spent as what was held for it.
    """
    sent = [row for row in records if row["upstream"] is not None]
    expected = sum(
        row["cost_nanos"] if row["cost_nanos"] is not None else row["estimate_nanos"] or 0 for row in sent
    )
    found = []
    for key in tx.execute(
        select(budget_period.c.budget_id, budget_period.c.subject, budget_period.c.starts_at)
    ):
        usage = usage_of(tx, (key.budget_id, key.subject, key.starts_at))
        if (usage.spent_nanos, usage.held_nanos) != (expected, 0):
            found.append(
                f"budget {key.budget_id}: {usage.spent_nanos} spent and {usage.held_nanos} held; "
                f"the records cost {expected}"
            )
    return found


def _compare_upstream(
    verdict: Verdict, truth: dict[str, list[dict[str, Any]]], records: dict[str, dict[str, Any]]
) -> None:
    for identifier, lines in truth.items():
        if len(lines) > 1:
            verdict.doubled.append(f"{identifier} reached the upstream {len(lines)} times")
        record = records.get(identifier)
        if record is None:
            verdict.lost.append(f"{identifier} reached the upstream and has no record")
        elif record["outcome"] == "ok":
            verdict.wrong += _usage_differs(identifier, record, lines[0])
    for identifier, record in records.items():
        if identifier not in truth and record["upstream"] is not None:
            if record["outcome"] not in UPSTREAM_NEVER_SAW:
                verdict.wrong.append(f"{identifier} is {record['outcome']}, but the upstream never saw it")
            elif record["outcome"] != "interrupted" and record["cost_nanos"]:
                verdict.wrong.append(
                    f"{identifier} costs {record['cost_nanos']}, but the upstream never saw it"
                )
    answers = Counter(row["response_id"] for row in records.values() if row["response_id"] is not None)
    verdict.doubled += [
        f"answer {answer} has {count} records" for answer, count in answers.items() if count > 1
    ]


def _usage_differs(identifier: str, record: dict[str, Any], line: dict[str, Any]) -> list[str]:
    usage = line["usage"] or {}
    expected = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    found = (record["input_tokens"], record["output_tokens"])
    return [] if found == expected else [f"{identifier} used {expected}, the record says {found}"]


def _compare_clients(verdict: Verdict, seen: Sequence[Seen], records: dict[str, dict[str, Any]]) -> None:
    """What a client was told must be in the books: answers whole, refusals counted."""
    refused = 0
    for one in seen:
        if one.status == 401:
            refused += 1
            continue
        if one.request_id is None or (one.status == 503 and one.request_id not in records):
            continue
        record = records.get(one.request_id)
        if record is None:
            verdict.lost.append(
                f"{one.request_id} ({one.kind}) was answered with {one.status} and has no record"
            )
        elif one.ended == "complete" and one.status == 200:
            verdict.answers += 1
            if record["outcome"] != "ok":
                verdict.wrong.append(f"{one.request_id} was answered whole and is {record['outcome']}")
    sent = sum(1 for one in seen if one.kind == "wrong key" and one.ended != "not connected")
    counted = sum(row["repeat_count"] for row in records.values() if row["outcome"] == "rejected_auth")
    if seen and not refused <= counted <= sent:
        verdict.wrong.append(
            f"{counted} refusals of wrong keys in the books; {refused} answered, {sent} sent"
        )


def _upstream_log(log: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in log.read_bytes().splitlines():
        entry = json.loads(line)
        if entry["event"] == "start":
            found.setdefault(entry["request_id"], []).append(entry)
    return found


def _records(store: Store) -> dict[str, dict[str, Any]]:
    with store.read() as tx:
        rows = tx.execute(select(request_record)).mappings()
        return {str(UUID(str(row["id"]))): dict(row) for row in rows}
