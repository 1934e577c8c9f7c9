"""A folder published on the Hugging Face hub, in one commit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from core.errors import SuyanError
from core.language.messages import localised
from storage.hub.hub_address import HubAddress
from storage.hub.hub_clients import require_huggingface_hub


def publish_folder(
    folder: Path,
    address: HubAddress,
    kind: Literal["model", "dataset"],
    *,
    is_private: bool = True,
    replaced: Iterable[str] = (),
) -> str:
    """Commit every file of ``folder``; returns the address with the new commit.

    A repository that does not exist is created, private unless told otherwise; the visibility of
    an existing one stays. Files below the folders ``replaced`` that are not in ``folder`` go.
    Raises ``ValueError`` for a hub that takes no files this way, ``SuyanError`` for what the hub
    refuses.
    """
    require_publishable(address)
    hub = require_huggingface_hub()
    if address.is_mirrored:  # the public hub alone has Xet; others take files by Git LFS
        hub.constants.HF_HUB_DISABLE_XET = True
    api = hub.HfApi(endpoint=address.endpoint)
    try:
        api.create_repo(address.repo, repo_type=kind, private=is_private, exist_ok=True)
        operations = [
            hub.CommitOperationAdd(path.relative_to(folder).as_posix(), path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        names = {operation.path_in_repo for operation in operations}
        stale = [
            hub.CommitOperationDelete(name)
            for name in api.list_repo_files(address.repo, repo_type=kind)
            if name not in names and name.startswith(tuple(replaced) or ("\0",))
        ]
        commit = api.create_commit(
            address.repo,
            [*stale, *operations],
            commit_message=f"Published by Suyan: {len(operations)} files",
            repo_type=kind,
            revision=address.revision,
        )
    except Exception as error:
        text = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        raise SuyanError(
            localised(
                "{address}: {endpoint} did not take the files: {text}",
                address=address,
                endpoint=address.endpoint,
                text=text,
            ),
            remedy=localised(
                "Log in with 'hf auth login' or set HF_TOKEN to a token that may write there"
            ),
        ) from error
    return f"{address.scheme}://{address.repo}@{commit.oid}"


def require_publishable(address: HubAddress) -> None:
    """Raise ``ValueError`` for a hub that takes no files by this protocol, and
    ``MissingModelError`` without the package that speaks it.
    """
    if address.scheme != "hf":
        raise ValueError(
            localised(
                "got {address}, needed hf://USER/NAME, the only hub that publish knows; upload "
                "the files of the model's folder with ModelScope's own program, and --model "
                "ms://… reads them",
                address=address,
            )
        )
    require_huggingface_hub()
