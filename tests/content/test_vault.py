"""Content encrypted at rest, each for its own record."""

import os
from uuid import UUID

import pytest

from service.content.parts import Content
from service.content.vault import Vault
from service.errors import ContentUnreadableError
from service.keys.secrets import content_vault
from tests.content.conftest import said

RECORD, OTHER = UUID(int=1), UUID(int=2)
CONTENT = Content(said("a rather remarkable question " * 20), None)


def test_sealed_and_opened(vault: Vault) -> None:
    sealed = vault.seal(CONTENT, record_id=RECORD, generation=1)
    assert vault.open(sealed, record_id=RECORD, generation=1) == CONTENT
    assert b"remarkable" not in sealed
    assert len(sealed) < len(CONTENT.request.text)  # compressed


def test_equal_content_is_not_equally_sealed(vault: Vault) -> None:
    assert vault.seal(CONTENT, record_id=RECORD, generation=1) != vault.seal(
        CONTENT, record_id=RECORD, generation=1
    )


def test_only_for_its_record_under_its_key_of_its_installation(vault: Vault) -> None:
    sealed = vault.seal(CONTENT, record_id=RECORD, generation=1)
    with pytest.raises(ContentUnreadableError, match=f"the content of {OTHER} cannot be read"):
        vault.open(sealed, record_id=OTHER, generation=1)
    with pytest.raises(ContentUnreadableError):
        vault.open(sealed, record_id=RECORD, generation=2)
    with pytest.raises(ContentUnreadableError):
        content_vault(os.urandom(32)).open(sealed, record_id=RECORD, generation=1)


@pytest.mark.parametrize("at", [0, 1, 9, 30, 60, -1])
def test_any_change_is_noticed(vault: Vault, at: int) -> None:
    sealed = bytearray(vault.seal(CONTENT, record_id=RECORD, generation=1))
    sealed[at] ^= 1
    with pytest.raises(ContentUnreadableError):
        vault.open(bytes(sealed), record_id=RECORD, generation=1)
    with pytest.raises(ContentUnreadableError):
        vault.reseal(bytes(sealed), record_id=RECORD, generations=(1, 2))


def test_resealed(vault: Vault) -> None:
    sealed = vault.seal(CONTENT, record_id=RECORD, generation=1)
    anew = vault.reseal(sealed, record_id=RECORD, generations=(1, 2))
    assert vault.open(anew, record_id=RECORD, generation=2) == CONTENT
    with pytest.raises(ContentUnreadableError):
        vault.open(anew, record_id=RECORD, generation=1)


def test_it_does_not_show_itself(vault: Vault) -> None:
    assert repr(vault) == "Vault(********)"
