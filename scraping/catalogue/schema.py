"""Tables of the catalogue. Times are seconds since 1970, UTC.

Every change of a table needs a module in ``migrations/versions`` that makes it, and a higher
``VERSION``.
"""

from __future__ import annotations

import sqlalchemy as sa

VERSION = "0003"
ADDED_LATER = {"holders", "claims", "credits"}  # tables that a catalogue without a version lacks

metadata = sa.MetaData()

crawls = sa.Table(
    "crawls",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("domain", sa.String, nullable=False),
    sa.Column("round", sa.Integer, nullable=False),  # 1 at first; each refresh adds one
    sa.Column(
        "target", sa.Integer, nullable=False
    ),  # originals that it should have at the end of the round
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("finished_at", sa.Float),  # NULL while the round is under way
)
cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("crawl", sa.String, primary_key=True),
    sa.Column("phrase", sa.String, primary_key=True),
    sa.Column("offset", sa.Integer, nullable=False),
    sa.Column("frontier", sa.Integer, nullable=False),
    sa.Column("pages", sa.Integer, nullable=False),
    sa.Column("hits", sa.Integer, nullable=False),
    sa.Column("new", sa.Integer, nullable=False),
    sa.Column("stored", sa.Integer, nullable=False),
    sa.Column("stale_pages", sa.Integer, nullable=False),
    sa.Column("stopped_because", sa.String, nullable=False),  # an entities.Stop; "": it may go on
)
# A picture that a search engine knows, by its key there; shared by all crawls of the workspace.
hits = sa.Table(
    "hits",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("engine", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("candidates", sa.JSON, nullable=False),  # [[field, address], …]
    sa.Column("status", sa.String),  # an entities.Status; NULL: not tried
    sa.Column("failures", sa.Integer, nullable=False),  # runs of this round in which it failed
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("url", sa.String, nullable=False),
    sa.Column("served_by", sa.String, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("settled_at", sa.Float),
    sa.UniqueConstraint("engine", "key"),
    sa.Index("hits_by_status", "status"),
    sa.Index("hits_by_sha256", "sha256"),
)
# Licence and author of a hit, where its engine states them; engine.Credit.
hit_credits = sa.Table(
    "credits",
    metadata,
    sa.Column("hit", sa.Integer, sa.ForeignKey("hits.id"), primary_key=True),
    sa.Column("license", sa.String, nullable=False),
    sa.Column("license_url", sa.String, nullable=False),
    sa.Column("creator", sa.String, nullable=False),
    sa.Column("attribution", sa.String, nullable=False),
)
# A hit in the results of one phrase of one crawl.
sightings = sa.Table(
    "sightings",
    metadata,
    sa.Column("crawl", sa.String, primary_key=True),
    sa.Column("hit", sa.Integer, sa.ForeignKey("hits.id"), primary_key=True),
    sa.Column("phrase", sa.String, primary_key=True),
    sa.Column(
        "first", sa.Boolean, nullable=False
    ),  # this phrase was the first of the crawl to show it
    sa.Column("page_url", sa.String, nullable=False),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("first_seen", sa.Float, nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False),
    sa.Index("sightings_by_hit", "hit"),
)
# Every attempt to download an address. An "ok" one is stored before its file has its name: check
# that the file exists before you rely on it.
attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("url", sa.String, nullable=False),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("status", sa.String, nullable=False),  # an entities.Status
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("num_bytes", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("extension", sa.String, nullable=False),
    sa.Index("attempts_by_url", "url", postgresql_using="hash"),  # a B-tree index refuses long ones
    sa.Index("attempts_by_host", "host"),
)
originals = sa.Table(
    "originals",
    metadata,
    sa.Column("sha256", sa.String, primary_key=True),
    sa.Column("path", sa.String, nullable=False),  # relative to the workspace
    sa.Column("num_bytes", sa.Integer, nullable=False),
    sa.Column("stored_at", sa.Float, nullable=False),
)
# The originals of each crawl, and the phrase that found each first.
finds = sa.Table(
    "finds",
    metadata,
    sa.Column("crawl", sa.String, primary_key=True),
    sa.Column("sha256", sa.String, primary_key=True),
    sa.Column("phrase", sa.String, nullable=False),
)
# Tombstones of what was forgotten and must not come back: a url, a sha256, or a host with its
# subdomains.
tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("value", sa.String, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)
# Running crawls with the end of their leases, and the addresses that they are downloading.
holders = sa.Table(
    "holders",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("crawl", sa.String, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)
claims = sa.Table(
    "claims",
    metadata,
    sa.Column("address", sa.String, primary_key=True),  # its sha256, as it may be long
    sa.Column("holder", sa.String, nullable=False),
    sa.Index("claims_by_holder", "holder"),
)
