"""What the settings ask for is what there is; what they do not ask for is not even imported."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from service.errors import ConfigurationError
from service.settings import RelaySettings, Settings, TelemetrySettings
from service.telemetry.figures import bytes_under, process_figures
from service.telemetry.page import MetricsPage
from service.telemetry.pipeline import Telemetry, telemetry_for
from tests.support.relay import until
from tests.telemetry.exposition import Scrape, parse
from tests.telemetry.test_series import record

ROOT = Path(__file__).parents[2]


def made(folder: Path, **wanted: Any) -> Telemetry | None:
    settings = Settings(relay=RelaySettings(data_dir=folder), telemetry=TelemetrySettings(**wanted))
    return telemetry_for(settings, micros=lambda: 1_700_000_000_500_000, monotonic=time.monotonic)


def scrape(telemetry: Telemetry, folder: Path) -> Scrape:
    page = telemetry.page(journal=folder / "journal")
    assert isinstance(page, MetricsPage)
    return parse(page.text())


def test_off_is_nothing_at_all(tmp_path: Path) -> None:
    assert made(tmp_path, prometheus="off") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("wanted", "imported"), [("", False), ("enabled=True", True)])
def test_opentelemetry_is_imported_only_where_it_is_used(
    tmp_path: Path, wanted: str, *, imported: bool
) -> None:
    script = f"""
import sys
from pathlib import Path
from service import app
from service.settings import RelaySettings, Settings, TelemetrySettings
from service.telemetry.pipeline import telemetry_for
settings = Settings(relay=RelaySettings(data_dir=Path({str(tmp_path)!r})), telemetry=TelemetrySettings({wanted}))
assert telemetry_for(settings, micros=lambda: 0, monotonic=lambda: 0.0) is not None
print("opentelemetry.sdk.trace" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == f"{imported}\n", done.stderr


def test_a_page_without_export(tmp_path: Path) -> None:
    telemetry = made(tmp_path)
    assert telemetry is not None
    assert not telemetry.traced
    telemetry.observe([record(project="p")])
    found = scrape(telemetry, tmp_path)
    assert found.value("tollkeeper_requests_total", tollkeeper_project="p") == 1
    assert found.value("tollkeeper_workers") == 1
    assert found.value("tollkeeper_build_info") == 1
    assert found.value("process_start_time_seconds", tollkeeper_worker="0") == 1_700_000_000.5
    assert found.value("process_resident_memory_bytes") > 1 << 20
    assert found.value("process_cpu_seconds_total") > 0
    assert found.value("process_open_fds") > 3
    assert "tollkeeper_spans_exported_total" not in found.types
    telemetry.stop()


def test_export_without_a_page(tmp_path: Path) -> None:
    telemetry = made(tmp_path, prometheus="off", enabled=True)
    assert telemetry is not None
    assert telemetry.traced
    assert telemetry.page(journal=tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_one_worker_answers_for_all(tmp_path: Path) -> None:
    first, second = made(tmp_path), made(tmp_path)
    assert first is not None
    assert second is not None
    first.watch(lambda: {"tollkeeper.open_requests": 2})
    second.watch(lambda: {"tollkeeper.open_requests": 3, "a gauge of a later version": 1})
    for telemetry in (first, second):
        telemetry.start()
        telemetry.observe([record()])
    assert until(lambda: scrape(first, tmp_path).value("tollkeeper_open_requests") == 5)
    found = scrape(second, tmp_path)
    assert found.value("tollkeeper_requests_total") == 2
    assert found.value("gen_ai_client_operation_duration_seconds_count") == 2
    assert found.value("tollkeeper_open_requests", tollkeeper_worker="1") == 3
    assert found.value("tollkeeper_workers") == 2
    first.stop()
    found = scrape(second, tmp_path)
    assert found.value("tollkeeper_workers") == 1
    assert found.labels("tollkeeper_open_requests", "tollkeeper_worker") == {"1"}
    assert found.value("tollkeeper_requests_total") == 2
    second.stop()


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("a file, where a directory should be")
    with pytest.raises(ConfigurationError, match=r"metrics cannot be used: .*telemetry\.prometheus"):
        made(tmp_path)


def test_figures_of_the_process_are_numbers() -> None:
    assert all(value > 0 for value in process_figures().values())


def test_bytes_of_a_directory(tmp_path: Path) -> None:
    assert bytes_under(tmp_path / "none") == 0
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    assert bytes_under(tmp_path) == 8
