"""The judge of the kill tests is tried itself: every kind of contradiction is found."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from benchmarks.kills.clients import Seen
from benchmarks.kills.verdict import Verdict, examine
from service.ledger.record import RequestRecord, uuid_text
from service.ledger.writer import Writer
from service.store.engine import Store
from service.store.tables import request_record, usage_rollup
from tests.ledger.making import T0, ended, opening, refusal


class Case:
    """Three requests, all in order; tests break what they like."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.log = folder / "upstream.jsonl"
        self.store = store
        self.records = [ended(opening()) for _ in range(3)]
        for number, record in enumerate(self.records):
            record.response_id = f"chatcmpl-{number}"
        self.lines = [line_of(record) for record in self.records]
        self.seen = [Seen("whole", "complete", 200, uuid_text(record.id)) for record in self.records]

    def verdict(self, *, records: Sequence[RequestRecord] | None = None) -> Verdict:
        Writer(self.store, clock=lambda: T0).write(self.records if records is None else records)
        self.log.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")
        return examine(self.log, str(self.store.url), self.seen)


def line_of(record: RequestRecord) -> dict[str, Any]:
    usage = {"prompt_tokens": record.input_tokens, "completion_tokens": record.output_tokens}
    return {"event": "start", "seq": 1, "request_id": uuid_text(record.id), "usage": usage}


@pytest.fixture
def case(tmp_path: Path, sqlite_store: Store) -> Case:
    return Case(tmp_path, sqlite_store)


def test_books_that_agree_are_clean(case: Case) -> None:
    case.lines.append({"event": "end", "seq": 1})
    interrupted = ended(opening())
    interrupted.outcome = "interrupted"
    case.records += [refusal(), interrupted]
    case.seen += [Seen("wrong key", "complete", 401), Seen("whole", "not connected")]
    verdict = case.verdict()
    assert verdict.clean, str(verdict)
    assert (verdict.upstream_requests, verdict.records, verdict.answers) == (3, 5, 3)
    assert str(verdict).startswith("3 requests upstream, 5 records")


def test_a_request_without_a_record_is_lost(case: Case) -> None:
    verdict = case.verdict(records=case.records[1:])
    assert len(verdict.lost) == 2, "the upstream saw it, and so did a client"
    assert not verdict.clean


def test_a_request_sent_twice_and_an_answer_recorded_twice_are_doubled(case: Case) -> None:
    case.lines.append(case.lines[0])
    case.records[1].response_id = case.records[2].response_id
    assert len(case.verdict().doubled) == 2


def test_other_counts_than_the_upstream_has_are_wrong(case: Case) -> None:
    case.lines[0]["usage"]["completion_tokens"] += 1
    [found] = case.verdict().wrong
    assert "the record says (100, 7)" in found


def test_records_of_requests_that_nobody_saw_are_wrong(case: Case) -> None:
    del case.lines[0]
    case.lines[0]["request_id"], gone = uuid_text(opening().id), case.lines[0]["request_id"]
    case.records[1].outcome = "client_disconnect"
    found = case.verdict()
    assert any("the upstream never saw it" in text for text in found.wrong)
    assert any(f"{gone} costs 107" in text for text in found.wrong)
    assert len(found.lost) == 1


def test_a_whole_answer_must_be_recorded_as_one(case: Case) -> None:
    case.records[0].outcome = "interrupted"
    [found] = case.verdict().wrong
    assert found.endswith("was answered whole and is interrupted")


def test_refusals_are_counted(case: Case) -> None:
    case.seen += [Seen("wrong key", "complete", 401)] * 2
    case.records.append(refusal())
    assert case.verdict().wrong == ["1 refusals of wrong keys in the books; 2 answered, 2 sent"]


def test_rollups_and_dead_letters_are_looked_at(case: Case) -> None:
    case.verdict()
    with case.store.write() as tx:
        tx.execute(update(usage_rollup).values(requests=usage_rollup.c.requests + 1))
    Writer(case.store, clock=lambda: T0).bury(case.records[0], error="unwanted")
    found = case.verdict().wrong
    assert any(text.startswith("check: ") for text in found)
    assert "dead letter: unwanted" in found
    with case.store.write() as tx:
        tx.execute(delete(request_record))
    assert len(case.verdict(records=[]).lost) == 6
