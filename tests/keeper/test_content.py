"""The keeper deletes content whose time is over, whoever captured it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from service.content.captured import SealedContent, insert_content
from service.keeper.process import KeeperProcess
from service.settings import RelaySettings, Secret, Settings, StoreSettings
from service.store.content_tables import captured_content
from service.store.engine import Store
from tests.support.relay import until

SECRET = "a root secret of tests, of more than thirty-two characters"


@contextmanager
def running(url: str, folder: Path) -> Iterator[KeeperProcess]:
    settings = Settings(
        store=StoreSettings(url=url), relay=RelaySettings(data_dir=folder / "data"), secret_key=Secret(SECRET)
    )
    keeper = KeeperProcess(settings)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.close()


def left(store: Store) -> set[UUID]:
    with store.read() as tx:
        return set(tx.scalars(select(captured_content.c.record_id)))


@pytest.mark.timeout(120)
def test_what_has_expired_goes_by_itself(store_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)  # noqa: TID251  (the keeper goes by the machine's clock)
    rows = [
        SealedContent(
            record_id=UUID(int=number),
            request_id=UUID(int=number),
            project="acme",
            key_id="key_1",
            end_user=None,
            captured_at=now - timedelta(days=9),
            expires_at=now + timedelta(days=days),
            sealed_with=1,
            sealed=b"sealed",
        )
        for number, days in enumerate([-2, -1, 1])
    ]
    with closing(Store(store_url)) as store:
        with store.write() as tx:
            insert_content(tx, rows)
        with running(store_url, tmp_path):
            assert until(lambda: left(store) == {UUID(int=2)})
