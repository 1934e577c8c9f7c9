"""Removes originals for good, and keeps them from coming back from any address.

Copies in the later stages are found and removed by ``flows/removal``.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from core.language.messages import localised
from core.progress import Progress, silent
from core.workspace import Workspace
from scraping.catalogue import schema as db
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.entities import Status
from scraping.catalogue.repository import Catalogue
from scraping.crawl import publish_outputs, write_outputs
from scraping.download.ssrf import host_of
from scraping.failure_reasons import Reason
from storage import originals
from storage.remote import bucket_of, is_shared

Kind = Literal["url", "sha256", "host"]
_NUM_SHA256_DIGITS = 64
_LEAST_DIGITS = 8  # as suyan curate
_MAX_NAMES = 5  # in a message
_SHA256 = re.compile(rf"[0-9a-f]{{{_LEAST_DIGITS},{_NUM_SHA256_DIGITS}}}")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+|\[?[0-9a-f]*:[0-9a-f:.]+\]?")


@dataclass(frozen=True)
class ForgetTarget:
    """What a person named, and the originals behind it."""

    kind: Kind
    value: str  # address, sha256 of 64 digits, or host
    digests: frozenset[str]  # sha256 of the originals


@dataclass(frozen=True)
class ForgetSummary:
    """The forgotten originals, and the crawls whose listings and previews were written again."""

    kind: Kind
    value: str
    num_originals: int
    crawls: list[str]
    digests: list[str]  # sha256 of the originals


def find_target(text: str, workspace: Workspace, further: Iterable[str] = ()) -> ForgetTarget:
    """The originals that ``text`` names: an address, a sha256 or its first digits, or a host.

    Digits are looked up in the catalogue and among ``further`` sha256. A whole sha256 and an
    address may be unknown: they are kept from coming. Raises ``ValueError`` when ``text`` is none
    of the three, for digits that begin no sha256 or several, and for a host of no address.
    """
    kind, value = _parse_target(text)
    with Catalogue(catalogue_url(workspace)) as catalogue, catalogue.reading() as connection:
        if kind == "sha256" and len(value) < _NUM_SHA256_DIGITS:
            value = _complete(value, {*_digests_with(connection, value), *further}, workspace)
        if kind == "host":
            _require_known_host(connection, value, workspace)
        return ForgetTarget(kind, value, frozenset(_digests_of(connection, kind, value)))


def forget(
    target: str | ForgetTarget, workspace: Workspace, *, progress: Progress = silent
) -> ForgetSummary:
    """Forget the originals of ``target``, which is parsed by ``find_target``.

    Their files are removed here and in the workspace's bucket, and they leave every listing and
    contact sheet, so that no later dataset has them. Tombstones keep them from coming back from any
    address. Safe to be killed and run again.
    """
    if isinstance(target, str):
        target = find_target(target, workspace)
    digests = target.digests
    with Catalogue(catalogue_url(workspace)) as catalogue:
        crawls = _bury(catalogue, target)
        for number, sha256 in enumerate(sorted(digests), start=1):
            _remove_original(workspace, sha256)
            progress("forget originals", number, len(digests), "")
        bucket = bucket_of(workspace)
        if bucket is not None:
            originals.delete(bucket, workspace, digests)
        for name in sorted(crawls):
            write_outputs(catalogue, name, workspace)
            publish_outputs(workspace.crawl(name), workspace)
    return ForgetSummary(target.kind, target.value, len(digests), sorted(crawls), sorted(digests))


def forgotten_digests(workspace: Workspace) -> set[str]:
    """sha256 of every original that the catalogue keeps from coming back; empty without one."""
    url = catalogue_url(workspace)
    if url == f"sqlite:///{workspace.catalogue}" and not workspace.catalogue.exists():
        return set()
    with Catalogue(url) as catalogue:
        return {value for kind, value in catalogue.tombstones() if kind == "sha256"}


def digests_in_catalogue(workspace: Workspace, digests: Collection[str]) -> set[str]:
    """Those of the digests that the catalogue holds as originals."""
    if is_shared(workspace) or workspace.catalogue.exists():
        with Catalogue(catalogue_url(workspace)) as catalogue, catalogue.reading() as connection:
            query = sa.select(db.originals.c.sha256)
            return {sha256 for sha256 in connection.execute(query).scalars() if sha256 in digests}
    return set()


def remove_forgotten_originals(catalogue: Catalogue, workspace: Workspace) -> set[str]:
    """Remove originals here that another machine has forgotten; returns all forgotten digests."""
    digests = {value for kind, value in catalogue.tombstones() if kind == "sha256"}
    for sha256 in digests:
        _remove_original(workspace, sha256)
    return digests


def _parse_target(target: str) -> tuple[Kind, str]:
    text = target.strip()
    if text.startswith(("http://", "https://")) and host_of(text):
        return "url", text
    if _SHA256.fullmatch(text.lower()):
        return "sha256", text.lower()
    if _HOST.fullmatch(text.lower()):
        return "host", text.lower().strip("[]")
    raise ValueError(
        localised(
            "forget: got {target!r}, needed an address (https://…), a sha256 or its "
            "first {least} hex digits or more, or a host such as "
            "pictures.example.com",
            target=target,
            least=_LEAST_DIGITS,
        )
    )


def _complete(digits: str, digests: Collection[str], workspace: Workspace) -> str:
    """The one known sha256 that begins with ``digits``; raises ``ValueError``."""
    matching = sorted(sha256 for sha256 in digests if sha256.startswith(digits))
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise ValueError(
            localised(
                "forget: got {digits}, which begins the sha256 of no original in "
                "{workspace}; needed the digits below a picture in card.html, or all 64",
                digits=digits,
                workspace=workspace,
            )
        )
    listed = ", ".join(matching[:_MAX_NAMES]) + (", …" if len(matching) > _MAX_NAMES else "")
    raise ValueError(
        localised(
            "forget: got {digits}, which begins the sha256 of {num} originals: {listed}; "
            "needed more digits",
            digits=digits,
            num=len(matching),
            listed=listed,
        )
    )


def _digests_with(connection: sa.Connection, digits: str) -> set[str]:
    """Every sha256 in the catalogue that begins with ``digits``, forgotten ones too."""
    columns = (db.originals.c.sha256, db.attempts.c.sha256, db.tombstones.c.value)
    digests = set[str]()
    for column in columns:
        query = sa.select(column).where(column.startswith(digits)).distinct()
        digests |= set(connection.execute(query).scalars())
    return {digest for digest in digests if len(digest) == _NUM_SHA256_DIGITS}


def _require_known_host(connection: sa.Connection, host: str, workspace: Workspace) -> None:
    """Raise ``ValueError`` unless a hit, a download or a tombstone has this host."""
    hosts = set(connection.execute(sa.select(db.attempts.c.host).distinct()).scalars())
    tombstones = sa.select(db.tombstones.c.value).where(db.tombstones.c.kind == "host")
    hosts |= set(connection.execute(tombstones).scalars())
    if any(name == host or name.endswith(f".{host}") for name in hosts):
        return
    candidates = sa.select(db.hits.c.candidates).execution_options(yield_per=1000)
    for addresses in connection.execute(candidates).scalars():
        hosts |= {host_of(address) or "" for _, address in addresses}
    if any(name == host or name.endswith(f".{host}") for name in hosts):
        return
    similar = difflib.get_close_matches(host, hosts - {""}, n=_MAX_NAMES, cutoff=0.6)
    near = f" (similar: {', '.join(similar)})" if similar else ""
    raise ValueError(
        localised(
            "forget: got the host {host}, from which {workspace} knows no picture; "
            "needed the host of a picture's address, or a parent domain of it{near}",
            host=host,
            workspace=workspace,
            near=near,
        )
    )


def _remove_original(workspace: Workspace, sha256: str) -> None:
    for file in (workspace.originals / sha256[:2]).glob(f"{sha256}.*"):
        file.unlink(missing_ok=True)


def _bury(catalogue: Catalogue, target: ForgetTarget) -> set[str]:
    """Store tombstones and update the rows; returns the crawls that had the originals.

    A host's pictures are those that came from it, and those of which the engine's cache served a
    copy. Rows change before files are removed: after a kill in between, the same command finds the
    remaining files by their tombstones.
    """
    now, digests = time.time(), target.digests
    with catalogue.writing() as connection:
        tombstones = [{"kind": target.kind, "value": target.value, "at": now}]
        tombstones += [{"kind": "sha256", "value": sha256, "at": now} for sha256 in digests]
        connection.execute(catalogue.insert(db.tombstones).on_conflict_do_nothing(), tombstones)
        crawls: set[str] = set()
        for sha256 in sorted(digests):
            query = (
                sa.select(db.sightings.c.crawl)
                .join(db.hits, db.hits.c.id == db.sightings.c.hit)
                .where(db.hits.c.sha256 == sha256)
            )
            crawls |= set(connection.execute(query).scalars())
            connection.execute(
                sa.update(db.hits)
                .where(db.hits.c.sha256 == sha256)
                .values(status=Status.REJECTED, reason=Reason.FORGOTTEN)
            )
        for sha256 in sorted(digests):
            forgotten_hits = sa.select(db.hits.c.id).where(db.hits.c.sha256 == sha256)
            credits_of_hits = db.hit_credits.c.hit.in_(forgotten_hits)
            connection.execute(sa.delete(db.hit_credits).where(credits_of_hits))
        for table in (db.originals, db.finds):  # the order of catalogue/discoveries.py
            for sha256 in sorted(digests):
                connection.execute(sa.delete(table).where(table.c.sha256 == sha256))
    return crawls


def _digests_of(connection: sa.Connection, kind: Kind, value: str) -> set[str]:
    """sha256 of the originals that came from an address or a host."""
    if kind == "sha256":
        return {value}
    query = sa.select(db.attempts.c.sha256).where(db.attempts.c.sha256 != "")
    if kind == "url":
        query = query.where(db.attempts.c.url == value)
    else:
        subdomains = db.attempts.c.host.endswith("." + value, autoescape=True)
        query = query.where((db.attempts.c.host == value) | subdomains)
    return set(connection.execute(query).scalars())
