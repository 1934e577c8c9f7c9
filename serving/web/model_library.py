"""The models that a server offers: the one it was started with, and the others of its workspace."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from core.champion_pointer import is_version_name, load_champion
from core.errors import SuyanError
from core.labels.ai_label import DEFAULT_PRODUCER
from core.language.messages import localised
from core.workspace import Workspace
from serving.models import Model, open_model
from serving.web.session import Limits, Session
from serving.web.visitor_queue import VisitorQueue

_MAX_LOADED = 3  # sessions whose networks are held, besides the first one's


@dataclass(frozen=True)
class ListedModel:
    """A model that can be chosen."""

    model: Model
    is_champion: bool


class ModelLibrary:
    """Sessions of models by name; those used last are held."""

    def __init__(
        self,
        model: Model,
        workspace: Workspace | None = None,
        limits: Limits | None = None,
        producer: str | None = DEFAULT_PRODUCER,
    ) -> None:
        self.limits = limits or Limits()
        self._workspace, self._producer = workspace, producer
        self._queue = VisitorQueue()
        self.first = self._session(model)
        self._loaded: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def _session(self, model: Model) -> Session:
        return Session(model, self.limits, self._producer, self._queue)

    def session(self, name: str | None) -> Session:
        """The session of the model ``recipe/version``, or of a recipe's champion; ``None``: the
        first one's.

        Raises ``ValueError`` that lists the models.
        """
        if name is None or name == self.first.model.name:
            return self.first
        with self._lock:
            for listed in self.models():
                recipe = listed.model.name.partition("/")[0]
                if name == listed.model.name or (name == recipe and listed.is_champion):
                    return self._load(listed.model)
        names = ", ".join(listed.model.name for listed in self.models())
        raise ValueError(localised("got {name!r}, needed one of {names}", name=name, names=names))

    def _load(self, model: Model) -> Session:
        if model.name == self.first.model.name:
            return self.first
        session = self._loaded.pop(model.name, None) or self._session(model)
        self._loaded[model.name] = session
        while len(self._loaded) > _MAX_LOADED:
            self._loaded.popitem(last=False)
        return session

    def models(self) -> list[ListedModel]:
        """The first model, and every other that can be opened, by recipe and version."""
        listed = {each.model.name: each for each in self._stored()}
        first = self.first.model
        own = listed.pop(first.name, ListedModel(first, is_champion=False))
        return [own, *listed.values()]

    def _stored(self) -> Iterator[ListedModel]:
        workspace = self._workspace
        if workspace is None or not workspace.models.is_dir():
            return
        for folder in sorted(workspace.models.iterdir()):
            if not is_version_name(folder.name) or not folder.is_dir():
                continue
            champion = load_champion(workspace.recipe_models(folder.name)).version
            for version in sorted(folder.iterdir()):
                try:
                    model = open_model(workspace, folder.name, version.name)
                except (SuyanError, ValueError, OSError):  # no model, or one that cannot be read
                    continue
                yield ListedModel(model, version.name == champion)
