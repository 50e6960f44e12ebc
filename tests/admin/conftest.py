"""The admin API over a real store, spoken to as a client would."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.admin.context import AdminContext
from service.admin.failures import exception_handlers
from service.admin.openapi import openapi_config
from service.admin.organization import create_organization_router
from service.admin.router import create_admin_router
from service.alerts.desk import AlertDesk, AlertSurroundings
from service.audit.trail import AuditTrail
from service.budgets.registry import BudgetRegistry
from service.content.registry import ContentRegistry
from service.keys.admin_registry import AdminKeyRegistry
from service.keys.projects import ProjectRegistry
from service.keys.registry import KeyRegistry
from service.keys.secrets import Peppers, content_vault
from service.keys.snapshot import AdminGrant, load_keys
from service.pricing.upkeep import PriceUpkeep
from service.settings import AlertSettings, Secret, UpstreamSettings
from service.store.engine import Store
from service.store.revision import RevisionPoller
from tests.support.audit import TESTER
from tests.support.clock import HandClock

UPSTREAMS = (
    UpstreamSettings(
        name="spare", base_url="http://127.0.0.1:9000/v1", provider="azure", priority=1, models=("gpt-*",)
    ),
    UpstreamSettings(
        name="openai", base_url="https://api.openai.com/v1", api_key=Secret("sk-live-0123456789")
    ),
)
AUDIT_KEY = b"the audit key of the tests, 32 b"
ROOT = b"root secret of the tests, 32 bytes or more"
ADMIN_KEY = "4fd1bb2e9ac07d35e8f61a90c2b7d4e3"


class Api(msgspec.Struct, frozen=True):
    """A client of the admin API, the store behind it, and the clock it goes by."""

    client: TestClient[Litestar]
    store: Store
    clock: HandClock
    viewer_key: str
    context: AdminContext

    def call(self, method: str, path: str, *, key: str | None = ADMIN_KEY, **more: Any) -> httpx.Response:
        """Send a request; *path* is below `/admin/v1`."""
        headers = {"authorization": f"Bearer {key}"} if key is not None else {}
        headers.update(more.pop("headers", {}))
        return self.client.request(method, f"/admin/v1{path}", headers=headers, **more)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer that must be 200."""
        answer = self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(self, **fields: Any) -> dict[str, Any]:
        """A new virtual key."""
        answer = self.call("POST", "/keys", json={"name": "app", **fields})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created


def error_of(answer: httpx.Response) -> Mapping[str, Any]:
    """The error of an answer, which has the contract's shape and no other."""
    body = answer.json()
    assert set(body) == {"error"}, body
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    found: Mapping[str, Any] = body["error"]
    return found


@pytest.fixture
def api(store: Store) -> Iterator[Api]:
    """The API on SQLite and on PostgreSQL."""
    yield from _serve(store)


@pytest.fixture
def sqlite_api(sqlite_store: Store) -> Iterator[Api]:
    """The API where the kind of store makes no difference."""
    yield from _serve(sqlite_store)


def _serve(store: Store) -> Iterator[Api]:
    clock = HandClock()
    peppers = Peppers.of(ROOT)
    source = random.Random(1).randbytes
    trail = AuditTrail(AUDIT_KEY, now=clock.now)
    with store.write() as tx:
        admins = AdminKeyRegistry(peppers, trail=trail, now=clock.now, random_bytes=source)
        viewer = admins.create(tx, name="viewer", role="viewer", by=TESTER).token
    poller = RevisionPoller(
        store,
        lambda tx: load_keys(tx, peppers=peppers, configured_admin=Secret(ADMIN_KEY)),
        clock=clock.monotonic,
    )

    def authenticate(bearer: str) -> AdminGrant | None:
        return poller.value.authenticate_admin(bearer)

    context = AdminContext(
        store=store,
        trail=trail,
        prices=PriceUpkeep(trail, now=clock.now),
        content=ContentRegistry(content_vault(ROOT), trail=trail, now=clock.now),
        keys=KeyRegistry(peppers, trail=trail, now=clock.now, random_bytes=source),
        admin_keys=AdminKeyRegistry(peppers, trail=trail, now=clock.now, random_bytes=source),
        upstreams=UPSTREAMS,
        projects=ProjectRegistry(trail=trail, now=clock.now, random_bytes=source),
        budgets=BudgetRegistry(trail=trail, now=clock.now, random_bytes=source),
        alerts=AlertDesk.of(
            ROOT, AlertSettings(), trail=trail, surroundings=AlertSurroundings(clock.now, source, lambda: 0.5)
        ),
        authenticate=authenticate,
        refresh=poller.refresh_now,
        now=clock.now,
    )
    app = Litestar(
        [create_organization_router(context), create_admin_router(context)],
        exception_handlers=exception_handlers(),
        openapi_config=openapi_config(),
        logging_config=None,
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(client, store, clock, viewer, context)
