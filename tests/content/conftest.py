"""Content in a store, as the relay would have put it there."""

import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings

from service.audit.trail import AuditTrail
from service.content.captured import SealedContent, insert_content
from service.content.parts import Content, Part
from service.content.registry import ContentRegistry
from service.content.vault import Vault
from service.keys.secrets import content_vault, derive
from service.store.engine import Store
from tests.support.clock import HandClock

settings.register_profile("any_speed", deadline=None)
settings.load_profile("any_speed")

ROOT = b"root secret of the tests, 32 bytes or more"
Put = Callable[..., SealedContent]


def said(text: str) -> Part:
    """A part that says *text*."""
    return Part(text=f'{{"said":"{text}"}}', is_json=True, is_whole=True, size=len(text))


@pytest.fixture
def vault() -> Vault:
    """The vault of one installation."""
    return content_vault(ROOT)


@pytest.fixture
def clock() -> HandClock:
    """The wall clock, moved by the test."""
    return HandClock()


@pytest.fixture
def trail(clock: HandClock) -> AuditTrail:
    """The audit log that goes by the test's clock."""
    return AuditTrail(derive(ROOT, "audit log"), now=clock.now)


@pytest.fixture
def registry(vault: Vault, trail: AuditTrail, clock: HandClock) -> ContentRegistry:
    """The registry of content."""
    return ContentRegistry(vault, trail=trail, now=clock.now)


@pytest.fixture
def put(store: Store, vault: Vault, clock: HandClock) -> Put:
    """Puts content into the store: `put("hello", project="acme", end_user="joe", days=7)`."""
    return partial(put_into, store, vault, clock=clock)


def put_into(
    store: Store, vault: Vault, text: str, *, clock: HandClock, days: int = 30, **more: Any
) -> SealedContent:
    """Put the content of one request into *store*."""
    record_id, request_id = UUID(bytes=os.urandom(16)), UUID(bytes=os.urandom(16))
    now = clock.now()
    facts = {"project": "acme", "key_id": "key_1", "end_user": None, **more}
    row = SealedContent(
        **facts,
        record_id=record_id,
        request_id=request_id,
        captured_at=now,
        expires_at=now + timedelta(days=days),
        sealed_with=1,
        sealed=vault.seal(Content(said(text), said(f"re: {text}")), record_id=record_id, generation=1),
    )
    with store.write() as tx:
        insert_content(tx, [row])
    return row
