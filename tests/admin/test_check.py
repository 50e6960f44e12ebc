"""`/admin/v1/check`: the proof, made by a process of its own."""

import sys

import pytest
from sqlalchemy import update

from service.admin import check
from service.store.tables import usage_rollup
from tests.admin.conftest import Api, error_of
from tests.support.rated import variety
from tests.support.records import write


def test_books_that_agree(api: Api) -> None:
    write(api.store, variety())
    assert api.get("/check") == {"ok": True, "differences": []}


def test_books_that_differ(api: Api) -> None:
    write(api.store, variety())
    with api.store.write() as tx:
        tx.execute(update(usage_rollup).values(requests=usage_rollup.c.requests + 1))
    found = api.get("/check")
    assert found["ok"] is False
    assert {one["what"] for one in found["differences"]} == {"requests"}
    assert set(found["differences"][0]) == {"where", "what", "found", "expected"}


def test_a_check_that_fails_says_so_in_the_log_only(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "import sys; sys.stderr.write('the reason'); sys.exit(2)"
    monkeypatch.setattr(check, "COMMAND", (sys.executable, "-c", script))
    answer = sqlite_api.call("GET", "/check")
    assert (answer.status_code, error_of(answer)["code"]) == (503, "store_unavailable")
    assert "the reason" not in answer.text
    captured = capsys.readouterr()
    assert "the reason" in captured.out + captured.err


def test_one_at_a_time(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    class Locked:
        def locked(self) -> bool:
            return True

    monkeypatch.setattr(type(sqlite_api.context), "checking", Locked())
    answer = sqlite_api.call("GET", "/check")
    assert (answer.status_code, error_of(answer)["code"]) == (409, "conflict")
