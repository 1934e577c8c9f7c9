"""Events that Suyan emits: what deployments and notifications of the Prefect server wait for.

``prefect.yaml`` and ``flows/server/notifications.py`` name them too; a test compares.
"""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event

from core.workspace import Workspace
from storage.remote import address_of

DATASET_PUBLISHED = "suyan.dataset.published"  # a refresh made a new version
DATASET_CHANGED = "suyan.dataset.changed"  # … so different that training is worth it
MODEL_TRAINED = "suyan.model.trained"  # a training reached its end
MODEL_CHAMPION = "suyan.model.champion"  # a recipe has a new champion
CRAWL_PARTIAL = "suyan.crawl.partial"  # a crawl left something for a reason that may pass

NAMES = (DATASET_PUBLISHED, DATASET_CHANGED, MODEL_TRAINED, MODEL_CHAMPION, CRAWL_PARTIAL)


def dataset(name: str, recipe: str, version: str, share: float, workspace: Workspace) -> None:
    """``DATASET_PUBLISHED`` or ``DATASET_CHANGED`` of ``recipe``; ``share`` of it is new."""
    text = f"dataset {version} of {recipe}: {share:.0%} of it changed since the last training"
    _emit(name, f"suyan.dataset.{recipe}", text, workspace, version=version, changed=share)


def trained(recipe: str, run: str, workspace: Workspace) -> None:
    """``MODEL_TRAINED``: run ``run`` of ``recipe`` is at its last step."""
    _emit(MODEL_TRAINED, f"suyan.model.{recipe}", f"{run} is trained", workspace, run=run)


def champion(recipe: str, model: str, reason: str, workspace: Workspace) -> None:
    """``MODEL_CHAMPION``: ``model`` is what ``recipe`` is used with from now on."""
    _emit(MODEL_CHAMPION, f"suyan.model.{recipe}", reason, workspace, model=model)


def partial_crawl(domain: str, text: str, workspace: Workspace) -> None:
    """``CRAWL_PARTIAL``: the engine refused, or downloads failed, before ``domain`` was full."""
    _emit(CRAWL_PARTIAL, f"suyan.crawl.{domain}", text, workspace)


def _emit(event: str, resource: str, text: str, workspace: Workspace, **payload: Any) -> None:
    emit_event(
        event,
        resource={"prefect.resource.id": resource, "prefect.resource.name": resource},
        payload={"text": text, "workspace": address_of(workspace), **payload},
    )
