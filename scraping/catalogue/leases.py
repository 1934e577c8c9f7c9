"""Leases on addresses: crawls that run at the same time never download the same address twice.

The tables call a lease a claim, and its process a holder.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa

from scraping.catalogue import schema as db
from scraping.catalogue.entities import DownloadTask
from scraping.catalogue.repository import Catalogue

_VALUES_PER_STATEMENT = 1000


class Leases:
    """The addresses that one crawl may download, until it releases them or they expire.

    They expire ``lease_s`` seconds after the last call of ``renew``, which frees the addresses of a
    crashed crawl. If the same crawl is started again, it has them back immediately, since two
    processes of one crawl exclude each other by a lock. A process that was suspended for longer
    than ``lease_s`` may lose its leases: an address may then be downloaded twice, but every row
    stays correct.
    """

    def __init__(self, catalogue: Catalogue, crawl: str, lease_s: float) -> None:
        self._catalogue, self._crawl, self._lease_s = catalogue, crawl, lease_s
        self._name = uuid.uuid4().hex
        self._addresses_by_hit: dict[
            int, set[str]
        ] = {}  # number of a hit → digests of its addresses
        self._num_uses: Counter[str] = Counter()  # number of those sets that have the address
        with catalogue.writing() as connection:
            before = sa.select(db.holders.c.name).where(db.holders.c.crawl == crawl)
            _remove_holders(connection, connection.execute(before).scalars().all())
        self.renew()

    def renew(self) -> None:
        """Let the leases run for another ``lease_s`` seconds from now."""
        with self._catalogue.writing() as connection:
            end = _now(connection) + self._lease_s
            connection.execute(
                self._catalogue.insert(db.holders)
                .values(name=self._name, crawl=self._crawl, expires_at=end)
                .on_conflict_do_update(index_elements=["name"], set_={"expires_at": end})
            )

    def acquire(self, tasks: Sequence[DownloadTask], since: float) -> list[DownloadTask]:
        """Lease all addresses of each task or none; returns the tasks whose addresses are leased.

        Tasks that another crawl has settled meanwhile are left out. ``since`` is the time when this
        run began: addresses that failed after it are not tried again.
        """
        return [
            task
            for first in range(0, len(tasks), _VALUES_PER_STATEMENT)
            for task in self._acquire(tasks[first : first + _VALUES_PER_STATEMENT], since)
        ]

    def _acquire(self, tasks: Sequence[DownloadTask], since: float) -> list[DownloadTask]:
        addresses = {task.hit: _addresses(task) for task in tasks}
        missing_addresses = set().union(*addresses.values()) - self._num_uses.keys()
        unsettled = self._catalogue.retry_rules.unsettled(since)
        hits = sa.select(db.hits.c.id).where(db.hits.c.id.in_(list(addresses)))
        with self._catalogue.writing() as connection:
            expired = sa.select(db.holders.c.name).where(db.holders.c.expires_at < _now(connection))
            _remove_holders(connection, connection.execute(expired).scalars().all())
            leased_now = self._insert(connection, missing_addresses)
            open_hits = set(connection.execute(hits.where(unsettled)).scalars())
            own = leased_now | self._num_uses.keys()
            leased_tasks = [t for t in tasks if t.hit in open_hits and addresses[t.hit] <= own]
            new_hits = {task.hit for task in leased_tasks} - self._addresses_by_hit.keys()
            used = set().union(*(addresses[hit] for hit in new_hits))
            self._delete(connection, leased_now - used)
        for hit in new_hits:
            self._addresses_by_hit[hit] = addresses[hit]
            self._num_uses.update(addresses[hit])
        return leased_tasks

    def _insert(self, connection: sa.Connection, addresses: Collection[str]) -> set[str]:
        """Lease the free ones of these addresses; returns them."""
        if not addresses:
            return set()
        # sorted, so that two crawls never wait for each other
        rows = [{"address": address, "holder": self._name} for address in sorted(addresses)]
        insert = self._catalogue.insert(db.claims).on_conflict_do_nothing()
        return set(connection.execute(insert.returning(db.claims.c.address), rows).scalars())

    def release(self, tasks: Iterable[DownloadTask]) -> None:
        """End the leases of settled tasks, except on addresses that open tasks share."""
        unused_addresses = set[str]()
        for task in tasks:
            for address in self._addresses_by_hit.pop(task.hit, ()):
                self._num_uses[address] -= 1
                if not self._num_uses[address]:
                    del self._num_uses[address]
                    unused_addresses.add(address)
        if unused_addresses:
            with self._catalogue.writing() as connection:
                self._delete(connection, unused_addresses)

    def close(self) -> None:
        """End all leases."""
        with self._catalogue.writing() as connection:
            _remove_holders(connection, [self._name])

    def _delete(self, connection: sa.Connection, addresses: Collection[str]) -> None:
        sorted_addresses = sorted(addresses)
        for first in range(0, len(sorted_addresses), _VALUES_PER_STATEMENT):
            chunk = db.claims.c.address.in_(sorted_addresses[first : first + _VALUES_PER_STATEMENT])
            connection.execute(sa.delete(db.claims).where(db.claims.c.holder == self._name, chunk))


def _addresses(task: DownloadTask) -> set[str]:
    return {hashlib.sha256(url.encode()).hexdigest() for _, url in task.candidates}


def _remove_holders(connection: sa.Connection, names: Sequence[str]) -> None:
    if names:
        connection.execute(sa.delete(db.claims).where(db.claims.c.holder.in_(names)))
        connection.execute(sa.delete(db.holders).where(db.holders.c.name.in_(names)))


def _now(connection: sa.Connection) -> float:
    """The time, by the server's clock where there is a server: all crawls must share one."""
    if connection.dialect.name == "postgresql":
        epoch = sa.extract("epoch", sa.func.clock_timestamp())
        return float(connection.execute(sa.select(epoch)).scalar_one())
    return time.time()
