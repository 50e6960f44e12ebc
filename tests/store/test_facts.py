"""Facts that are set once."""

import threading

from service.store.engine import Store
from service.store.facts import fact_set_once


def test_the_first_value_stays(store: Store) -> None:
    with store.write() as tx:
        assert fact_set_once(tx, name="colour", value="red") == "red"
        assert fact_set_once(tx, name="colour", value="blue") == "red"
        assert fact_set_once(tx, name="size", value="9") == "9"


def test_racing_writers_see_one_value(store: Store) -> None:
    seen = []
    ready = threading.Barrier(4)

    def claim(value: str) -> None:
        ready.wait()
        with store.write() as tx:
            seen.append(fact_set_once(tx, name="colour", value=value))

    threads = [threading.Thread(target=claim, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4
    assert len(set(seen)) == 1
