"""A line is in the file when the call returns."""

import json
from contextlib import closing
from pathlib import Path

from service.simulator.request_log import RequestLog


def test_lines_are_there_at_once_and_appended(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    for number in (1, 2):
        with closing(RequestLog(path)) as log:
            log({"seq": number, "text": "a\nb"})
            assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [1, 2][:number]


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    RequestLog(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
