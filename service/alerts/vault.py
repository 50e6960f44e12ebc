"""What channels are made of, encrypted at rest: MultiFernet (AES-128-CBC and HMAC-SHA-256), keys from the root secret.

Keys have generations. `rotate` seals everything anew under the next one; what an older generation sealed can be read
for as long as the root secret is the same.
"""

import base64
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Connection, select, update

from service.errors import ConfigurationError
from service.keys.secrets import derive
from service.store.alert_tables import alert_channel
from service.store.facts import insert_fact, read_fact
from service.store.revision import lock_revision
from service.store.tables import store_fact

GENERATION = "alert_channel_key"

Config = dict[str, Any]


class Vault:
    """Seals and opens the configuration of channels. *root* is the installation's secret."""

    def __init__(self, root: bytes) -> None:
        self._root = root

    def __repr__(self) -> str:
        return "Vault(********)"

    def seal(self, tx: Connection, config: Config) -> bytes:
        """*config*, encrypted under the current generation's key."""
        return self._fernets(generation_of(tx)).encrypt(msgspec.json.encode(config))

    def open(self, tx: Connection, sealed: bytes) -> Config:
        """The inverse of `seal`."""
        try:
            plain = self._fernets(generation_of(tx)).decrypt(sealed)
        except InvalidToken as error:
            raise ConfigurationError(
                "a channel cannot be decrypted: it was made with another secret key; make it anew"
            ) from error
        return msgspec.json.decode(plain, type=Config)

    def rotate(self, tx: Connection) -> int:
        """Seal every channel under a new key; returns how many there were."""
        lock_revision(tx)
        generation = generation_of(tx) + 1
        fernets = self._fernets(generation)
        column = alert_channel.c
        rows = tx.execute(select(column.id, column.sealed).order_by(column.id).with_for_update()).all()
        for row in rows:
            anew = fernets.rotate(bytes(row.sealed))
            tx.execute(update(alert_channel).where(column.id == row.id).values(sealed=anew))
        fact = insert_fact(tx).values(name=GENERATION, value=str(generation))
        tx.execute(
            fact.on_conflict_do_update(index_elements=[store_fact.c.name], set_={"value": str(generation)})
        )
        return len(rows)

    def _fernets(self, newest: int) -> MultiFernet:
        keys = (derive(self._root, f"alert channels {number}") for number in range(newest, 0, -1))
        return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])


def generation_of(tx: Connection) -> int:
    """The number of the key that seals now; 1 at first."""
    return int(read_fact(tx, GENERATION) or 1)
