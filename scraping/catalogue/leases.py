"""Who fetches what: crawls at the same time, on any machines, never fetch the same address."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa

from scraping.catalogue import schema as db
from scraping.catalogue.entities import Errand
from scraping.catalogue.repository import Catalogue, unsettled

_MANY = 1000  # values in one statement


class Claims:
    """What one crawl claims in the catalogue, until it releases it or its lease ends.

    A crawl that dies is found out when nobody has called ``renew`` for ``lease_s``; its addresses
    are free then. The crawl itself need not wait when it is started again: two of the same name
    exclude each other by their lock. One that stood still for longer than its lease may have lost
    its claims: then an address may be fetched once more, and no row suffers by it.
    """

    def __init__(self, catalogue: Catalogue, crawl: str, lease_s: float) -> None:
        self._catalogue, self._crawl, self._lease_s = catalogue, crawl, lease_s
        self._name = uuid.uuid4().hex
        self._mine: dict[int, set[str]] = {}  # number of a hit → its addresses
        self._uses: Counter[str] = Counter()  # in how many of them an address is
        with catalogue.writing() as connection:
            before = sa.select(db.holders.c.name).where(db.holders.c.crawl == crawl)
            _bury(connection, connection.execute(before).scalars().all())
        self.renew()

    def renew(self) -> None:
        """Say that the crawl is alive, for another lease."""
        with self._catalogue.writing() as connection:
            end = _now(connection) + self._lease_s
            connection.execute(
                self._catalogue.insert(db.holders)
                .values(name=self._name, crawl=self._crawl, expires_at=end)
                .on_conflict_do_update(index_elements=["name"], set_={"expires_at": end})
            )

    def take(self, errands: Sequence[Errand], since: float) -> list[Errand]:
        """Those of ``errands`` that nobody else is fetching or has just settled, claimed.

        Each has all of its addresses or none. ``since`` is when this run began: what failed for now
        after that is not fetched again.
        """
        return [
            errand
            for first in range(0, len(errands), _MANY)
            for errand in self._take(errands[first : first + _MANY], since)
        ]

    def _take(self, errands: Sequence[Errand], since: float) -> list[Errand]:
        addresses = {errand.hit: _addresses(errand) for errand in errands}
        wanted = set().union(*addresses.values()) - self._uses.keys()
        hits = sa.select(db.hits.c.id).where(db.hits.c.id.in_(list(addresses)))
        with self._catalogue.writing() as connection:
            ended = sa.select(db.holders.c.name).where(db.holders.c.expires_at < _now(connection))
            _bury(connection, connection.execute(ended).scalars().all())
            claimed = self._claim(connection, sorted(wanted))  # lest two crawls block each other
            still = set(connection.execute(hits.where(unsettled(since))).scalars())
            held = claimed | self._uses.keys()
            taken = [e for e in errands if e.hit in still and addresses[e.hit] <= held]
            mine = {e.hit: addresses[e.hit] for e in taken if e.hit not in self._mine}
            self._drop(connection, claimed.difference(*mine.values()))
        self._mine |= mine
        self._uses.update(address for some in mine.values() for address in some)
        return taken

    def _claim(self, connection: sa.Connection, addresses: Sequence[str]) -> set[str]:
        """Those of the addresses that nobody had claimed."""
        if not addresses:
            return set()
        rows = [{"address": address, "holder": self._name} for address in addresses]
        insert = self._catalogue.insert(db.claims).on_conflict_do_nothing()
        return set(connection.execute(insert.returning(db.claims.c.address), rows).scalars())

    def release(self, errands: Iterable[Errand]) -> None:
        """Let go of what is settled, apart from what other errands under way need."""
        settled = set[str]()
        for errand in errands:
            for address in self._mine.pop(errand.hit, ()):
                self._uses[address] -= 1
                if not self._uses[address]:
                    del self._uses[address]
                    settled.add(address)
        if settled:
            with self._catalogue.writing() as connection:
                self._drop(connection, settled)

    def close(self) -> None:
        """Let go of everything."""
        with self._catalogue.writing() as connection:
            _bury(connection, [self._name])

    def _drop(self, connection: sa.Connection, addresses: Collection[str]) -> None:
        ordered = sorted(addresses)
        for first in range(0, len(ordered), _MANY):
            some = db.claims.c.address.in_(ordered[first : first + _MANY])
            connection.execute(sa.delete(db.claims).where(db.claims.c.holder == self._name, some))


def _addresses(errand: Errand) -> set[str]:
    return {hashlib.sha256(url.encode()).hexdigest() for _, url in errand.candidates}


def _bury(connection: sa.Connection, holders: Sequence[str]) -> None:
    if holders:
        connection.execute(sa.delete(db.claims).where(db.claims.c.holder.in_(holders)))
        connection.execute(sa.delete(db.holders).where(db.holders.c.name.in_(holders)))


def _now(connection: sa.Connection) -> float:
    """The time by the clock that all crawls share: a server's own, where there is one."""
    if connection.dialect.name == "postgresql":
        epoch = sa.extract("epoch", sa.func.clock_timestamp())
        return float(connection.execute(sa.select(epoch)).scalar_one())
    return time.time()
