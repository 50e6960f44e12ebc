"""Content encrypted at rest: Fernet (AES-128-CBC, HMAC-SHA-256), keys from the root secret.

Keys have generations; each row says which one sealed it, and resealing moves it to another. What is sealed begins with
the record's id, so that nobody who can write to the store can show one tenant's content under another's request.
"""

import base64
import zlib
from collections.abc import Callable
from uuid import UUID

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.content.parts import Content
from service.errors import ContentUnreadableError

_ID_BYTES = 16
_decode = msgspec.msgpack.Decoder(Content).decode


class Vault:
    """Seals and opens content. *derive* makes a key of 32 bytes for a purpose, out of the root secret."""

    def __init__(self, derive: Callable[[str], bytes]) -> None:
        self._derive = derive

    def __repr__(self) -> str:
        return "Vault(********)"

    def seal(self, content: Content, *, record_id: UUID, generation: int) -> bytes:
        """*content*, compressed and encrypted under the key of *generation*."""
        plain = record_id.bytes + zlib.compress(msgspec.msgpack.encode(content))
        return base64.urlsafe_b64decode(self._fernet(generation).encrypt(plain))

    def open(self, sealed: bytes, *, record_id: UUID, generation: int) -> Content:
        """The inverse of `seal`. Raises ContentUnreadableError where it is not what was sealed for this record."""
        try:
            plain = self._fernet(generation).decrypt(base64.urlsafe_b64encode(sealed))
        except InvalidToken as error:
            raise _unreadable(record_id) from error
        if plain[:_ID_BYTES] != record_id.bytes:
            raise _unreadable(record_id)
        return _decode(zlib.decompress(plain[_ID_BYTES:]))

    def reseal(self, sealed: bytes, *, record_id: UUID, generations: tuple[int, int]) -> bytes:
        """What the first of *generations* sealed, as the second would."""
        before, after = generations
        fernets = MultiFernet([self._fernet(after), self._fernet(before)])
        try:
            return base64.urlsafe_b64decode(fernets.rotate(base64.urlsafe_b64encode(sealed)))
        except InvalidToken as error:
            raise _unreadable(record_id) from error

    def _fernet(self, generation: int) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(self._derive(f"captured content {generation}")))


def _unreadable(record_id: UUID) -> ContentUnreadableError:
    return ContentUnreadableError(
        f"the content of {record_id} cannot be read: it was changed in the store, or sealed with another secret key"
    )
