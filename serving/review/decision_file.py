"""The decisions of people about a version's pictures, read from and written to the overrides file.

Every change is on disk, under the lock that ``suyan curate`` takes too, when its method returns. A
change is made only where the file still says what the person saw; where it does not, the picture
is returned as stale and nothing is lost.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.errors import TransientError
from core.workspace import Workspace
from preprocessing.selection.overrides import (
    Decision,
    add_overrides,
    overrides_change,
    read_differences,
    read_overrides,
    remove_overrides,
)

_NOTE = "review"
_MAX_TRIES = 5  # where another machine changes the file in the bucket at the same time


@dataclass(frozen=True)
class Decisions:
    """The decisions about a version's pictures at one time."""

    revision: str  # another one whenever the file has changed
    actions: Mapping[str, str]  # sha256 → keep, drop or move
    different: frozenset[str]  # sha256 of pictures that are no copies of others


@dataclass(frozen=True)
class Change:
    """What a decision did: ``id`` takes it back; "" where nothing was written."""

    id: str
    decisions: Decisions  # afterwards
    names: Sequence[str] = ()  # sha256 of the pictures whose decision it changed
    stale: Sequence[str] = ()  # sha256 of pictures about which somebody else decided meanwhile
    revision: str = ""  # of the decisions before


@dataclass(frozen=True)
class _Written:
    lines: Sequence[str]
    actions: Mapping[str, str]  # the decision that each picture had afterwards


@dataclass
class DecisionFile:
    """The overrides file of two domains, for the originals ``names`` (sha256)."""

    workspace: Workspace
    domains: tuple[str, str]
    names: Sequence[str]
    _written: dict[str, _Written] = field(default_factory=dict)
    _last: Decisions | None = None
    _thread_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def path(self) -> Path:
        """The file."""
        return self.workspace.overrides(*self.domains)

    def follow(self, names: Sequence[str]) -> None:
        """Take the originals of another version; what was written can still be taken back."""
        with self._thread_lock:
            self.names, self._last = names, None

    def read(self) -> Decisions:
        """The decisions now. Raises ``ValueError`` for a line that cannot be understood."""
        with self._thread_lock:
            return self._read()

    def decide(self, action: Decision, decisions: Mapping[str, str]) -> Change:
        """Decide about the pictures of ``decisions``, which has what the person saw of each.

        Pictures that have this decision already are left alone. Raises ``ValueError`` for a file
        that cannot be understood, and ``OSError`` for one that cannot be written.
        """
        return self._try(lambda: self._decide(action, decisions))

    def undo(self, change_id: str) -> Change:
        """Take a change back: its lines leave the file, so that earlier ones count again.

        Pictures about which somebody else decided since are stale, and nothing is taken back.
        Raises ``KeyError`` for a change that is not known, and ``ValueError`` where the file has
        its lines no more.
        """
        return self._try(lambda: self._undo(change_id))

    def _decide(self, action: Decision, decisions: Mapping[str, str]) -> Change:
        with self._changing():
            before = self._read()
            if action == "different":
                names, stale = list(decisions), list[str]()
                if before.different.issuperset(names):
                    names = []
            else:
                stale = [
                    name for name in decisions if before.actions.get(name, "") != decisions[name]
                ]
                names = [
                    name
                    for name in decisions
                    if before.actions.get(name) != action and name not in stale
                ]
            if not names:
                return Change("", before, stale=stale, revision=before.revision)
            lines = add_overrides(self.path, names, action, _NOTE)
            self._last = self._after(before, names, action)
            change = Change(secrets.token_urlsafe(9), self._last, names, stale, before.revision)
            actions = {name: self._last.actions.get(name, "") for name in names}
            self._written[change.id] = _Written(lines, actions)
            return change

    def _after(self, before: Decisions, names: Sequence[str], action: Decision) -> Decisions:
        """The decisions after this one: a long file is not read again for each."""
        revision = self._revision()
        if action == "different":
            return replace(before, revision=revision, different=before.different.union(names))
        actions = {**before.actions, **dict.fromkeys(names, action)}
        return replace(before, revision=revision, actions=actions)

    def _undo(self, change_id: str) -> Change:
        with self._changing():
            written = self._written[change_id]
            before = self._read()
            names = set(self.names)
            stale = [
                name
                for name, action in written.actions.items()
                if name in names and before.actions.get(name, "") != action
            ]
            if stale:
                return Change("", before, stale=stale, revision=before.revision)
            remove_overrides(self.path, written.lines)
            del self._written[change_id]
            return Change(change_id, self._read(), list(written.actions), revision=before.revision)

    def _try(self, change: Callable[[], Change]) -> Change:
        """The result of ``change``, which is tried again where another machine was faster."""
        for _ in range(_MAX_TRIES - 1):
            with contextlib.suppress(TransientError):
                return change()
        return change()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Let no other thread or process change the file."""
        with self._thread_lock, overrides_change(self.workspace, *self.domains):
            yield

    def _read(self) -> Decisions:
        revision = self._revision()
        if self._last is None or self._last.revision != revision:
            differences = read_differences(self.path, self.names)
            numbers = differences.counterparts.keys() | differences.alone
            self._last = Decisions(
                revision,
                read_overrides(self.path, self.names),
                frozenset(self.names[number] for number in numbers),
            )
        return self._last

    def _revision(self) -> str:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return ""
        return f"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}"
