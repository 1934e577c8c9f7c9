"""Events that Suyan emits: deployments and notifications of the Prefect server wait for them.

``flows/deployments.py`` and ``flows/server/notifications.py`` repeat their names; a test compares
them.
"""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event

from core.workspace import Workspace
from storage.remote import address_of

DATASET_PUBLISHED = "suyan.dataset.published"  # a refresh published a new version
DATASET_CHANGED = "suyan.dataset.changed"  # a new version differs enough to train again
MODEL_TRAINED = "suyan.model.trained"  # a training reached its last step
MODEL_CHAMPION = "suyan.model.champion"  # a recipe has a new champion
CRAWL_PARTIAL = "suyan.crawl.partial"  # a crawl is incomplete for a reason that may pass

NAMES = (DATASET_PUBLISHED, DATASET_CHANGED, MODEL_TRAINED, MODEL_CHAMPION, CRAWL_PARTIAL)


def emit_dataset(
    event: str, recipe: str, version: str, changed_share: float, workspace: Workspace
) -> None:
    """Emit ``event``, ``DATASET_PUBLISHED`` or ``DATASET_CHANGED``, for a version of ``recipe``.

    ``changed_share`` is the share of its pictures that changed since the last training, 0 to 1.
    """
    text = f"dataset {version} of {recipe}: {changed_share:.0%} changed since the last training"
    payload = {"version": version, "changed": changed_share}
    _emit(event, f"suyan.dataset.{recipe}", text, workspace, payload)


def emit_trained(recipe: str, run: str, workspace: Workspace) -> None:
    """Emit ``MODEL_TRAINED``: run ``run`` of ``recipe`` reached its last step."""
    _emit(MODEL_TRAINED, f"suyan.model.{recipe}", f"{run} is trained", workspace, {"run": run})


def emit_champion(recipe: str, model: str, reason: str, workspace: Workspace) -> None:
    """Emit ``MODEL_CHAMPION``: ``model`` is the champion of ``recipe`` from now on."""
    _emit(MODEL_CHAMPION, f"suyan.model.{recipe}", reason, workspace, {"model": model})


def emit_partial_crawl(domain: str, text: str, workspace: Workspace) -> None:
    """Emit ``CRAWL_PARTIAL``: refusals or failed downloads left ``domain`` incomplete."""
    _emit(CRAWL_PARTIAL, f"suyan.crawl.{domain}", text, workspace, {})


def _emit(
    event: str, resource: str, text: str, workspace: Workspace, payload: dict[str, Any]
) -> None:
    emit_event(
        event,
        resource={"prefect.resource.id": resource, "prefect.resource.name": resource},
        payload={"text": text, "workspace": address_of(workspace), **payload},
    )
