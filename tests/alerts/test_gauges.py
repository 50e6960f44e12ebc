"""What keepers measure beside the books: the journal's fill, the drift, refused records."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from service.alerts.gauges import BOOKS, DRIFT, JOURNAL, REFUSED, journal_share, measure_drift, put_gauge
from service.store.engine import Store
from service.store.tables import dead_letter, usage_rollup
from service.store.types import to_micros
from tests.support.alert_town import Town

MINUTE = timedelta(minutes=1)


def measure(town: Town, name: str, value: float, subject: str = "host:/data") -> None:
    with town.store.write() as tx:
        put_gauge(tx, name, subject=subject, value=value, details={"n": 1}, now=town.clock.now())


def test_a_journal_that_fills_up(town: Town) -> None:
    town.rule("journal_backlog")
    watcher = town.watcher()
    for value, severities in ((0.4, []), (0.6, ["warning"]), (0.85, ["warning", "critical"])):
        for _ in range(2):
            measure(town, JOURNAL, value)
            watcher.watch()
            town.pass_time(MINUTE)
        assert [one.severity for one in town.alerts()] == severities
    assert town.alerts()[0].subject == "host:/data"
    for _ in range(2):
        measure(town, JOURNAL, 0.0)
        watcher.watch()
        town.pass_time(6 * MINUTE)
    assert {one.state for one in town.alerts()} == {"resolved"}


def test_a_gauge_that_nobody_renews_says_nothing(town: Town) -> None:
    town.rule("journal_backlog", no_data="alert")
    measure(town, JOURNAL, 0.1)
    town.pass_time(61 * MINUTE)
    watcher = town.watcher()
    watcher.watch()
    town.pass_time(MINUTE)
    watcher.watch()
    assert [(one.value, one.severity) for one in town.alerts()] == [(None, "warning")]


def test_a_filter_chooses_journals(town: Town) -> None:
    town.rule("journal_backlog", filter={"subject": "b"}, critical=0.5)
    for subject in ("a", "b"):
        measure(town, JOURNAL, 0.9, subject)
    watcher = town.watcher()
    watcher.watch()
    town.pass_time(MINUTE)
    watcher.watch()
    assert [one.subject for one in town.alerts()] == ["b"]


def test_the_share_of_a_journal_is_that_of_its_files(tmp_path: Path) -> None:
    assert journal_share(tmp_path, max_bytes=1000) == (0.0, {"bytes": 0, "segments": 0, "max_bytes": 1000})
    (tmp_path / "1.journal").write_bytes(b"x" * 300)
    (tmp_path / "2.journal").write_bytes(b"x" * 200)
    (tmp_path / "3.damaged").write_bytes(b"x" * 999)
    share, details = journal_share(tmp_path, max_bytes=1000)
    assert (share, details["segments"]) == (0.5, 2)


def test_a_file_that_goes_meanwhile_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "1.journal").symlink_to(tmp_path / "gone")
    assert journal_share(tmp_path, max_bytes=1000)[0] == 0.0


def test_books_that_agree_have_no_drift(town: Town) -> None:
    town.record(count=3)
    assert measure_drift(town.store, now=town.clock.now()) == {
        BOOKS: (0.0, {"differences": []}),
        REFUSED: (0.0, {"advice": "they are kept in the table dead_letter"}),
    }


def test_a_changed_rollup_and_a_refused_record_are_noticed(town: Town) -> None:
    town.record(count=3)
    with town.store.write() as tx:
        tx.execute(update(usage_rollup).values(requests=usage_rollup.c.requests + 1))
        tx.execute(
            dead_letter.insert().values(
                id=town.desk.new_id(), received_at=town.clock.now(), record=b"", error="no"
            )
        )
    found = measure_drift(town.store, now=town.clock.now())
    assert found[BOOKS][0] > 0
    assert "requests is 4, not 3" in found[BOOKS][1]["differences"][0]
    assert found[REFUSED][0] == 1.0
    town.rule("bookkeeping_drift")
    for subject, (value, details) in found.items():
        with town.store.write() as tx:
            put_gauge(tx, DRIFT, subject=subject, value=value, details=details, now=town.clock.now())
    town.watcher().watch()
    assert {(one.subject, one.severity) for one in town.alerts()} == {
        (BOOKS, "critical"),
        (REFUSED, "critical"),
    }


def test_only_the_last_days_are_compared(town: Town) -> None:
    old = town.clock.now() - timedelta(days=10)
    town.record(at=old)
    with town.store.write() as tx:
        tx.execute(update(usage_rollup).values(requests=7))
    assert measure_drift(town.store, now=town.clock.now())[BOOKS][0] == 0.0
    assert measure_drift(town.store, now=old)[BOOKS][0] > 0
    assert isinstance(town.store, Store)
    assert to_micros(old) > 0
