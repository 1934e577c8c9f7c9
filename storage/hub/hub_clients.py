"""What each hub is asked: the list of a repository's files, and the address of one.

Only the Hugging Face hub needs a package, for tokens and its errors; ModelScope has a plain API.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from core.commands import install_command
from core.errors import MissingModelError, SuyanError
from core.language.messages import localised
from storage.hub.hub_address import HubAddress
from storage.hub.hub_listing import HubFile

_TIMEOUT_S = 30


@dataclass(frozen=True)
class HubListing:
    """A repository at one commit."""

    files: list[HubFile]
    commit: str  # which the revision stands for now
    headers: Mapping[str, str]  # of requests for its files
    urls: Mapping[str, str]  # by path


def list_repository(address: HubAddress) -> HubListing:
    """The repository's files. Raises ``SuyanError`` with the hub's answer and a remedy."""
    return _list_hf(address) if address.scheme == "hf" else _list_ms(address)


def _list_hf(address: HubAddress) -> HubListing:
    hub = require_huggingface_hub()
    endpoint = address.endpoint
    try:
        api = hub.HfApi(endpoint=endpoint)
        info = api.model_info(
            address.repo, revision=address.revision, files_metadata=True, timeout=_TIMEOUT_S
        )
    except Exception as error:
        raise _unreachable(address, error) from error
    files = [
        HubFile(
            sibling.rfilename,
            sibling.size if sibling.size is not None else -1,
            sha256=sibling.lfs.sha256 if sibling.lfs else "",
            git_sha1="" if sibling.lfs else sibling.blob_id or "",
        )
        for sibling in info.siblings or ()
    ]
    commit = str(info.sha)
    urls = {
        file.path: hub.hf_hub_url(address.repo, file.path, revision=commit, endpoint=endpoint)
        for file in files
    }
    headers = hub.utils.build_hf_headers()
    return HubListing(files, commit, headers, urls)


def _list_ms(address: HubAddress) -> HubListing:
    base = f"{address.endpoint}/api/v1/models/{address.repo}/repo"
    token = os.environ.get("MODELSCOPE_API_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = requests.get(
            f"{base}/files",
            params={"Revision": address.revision, "Recursive": "True"},
            headers=headers,
            timeout=_TIMEOUT_S,
        )
        answer.raise_for_status()
        entries: list[dict[str, Any]] = answer.json()["Data"]["Files"]
        files = [
            HubFile(str(entry["Path"]), int(entry["Size"]), sha256=str(entry.get("Sha256") or ""))
            for entry in entries
            if entry.get("Type") != "tree"
        ]
    except Exception as error:
        raise _unreachable(address, error) from error
    revision = quote(address.revision, safe="")
    urls = {
        file.path: f"{base}?Revision={revision}&FilePath={quote(file.path, safe='')}"
        for file in files
    }
    return HubListing(files, address.revision, headers, urls)


def require_huggingface_hub() -> Any:
    """The package. Raises ``MissingModelError`` without it."""
    try:
        import huggingface_hub  # noqa: PLC0415 - the package of the extra "hub"
    except ImportError as error:
        raise MissingModelError(
            localised(
                "huggingface_hub is not installed, needed for hf://…; run: {command}",
                command=install_command("hub"),
            )
        ) from error
    return huggingface_hub


def _unreachable(address: HubAddress, error: Exception) -> SuyanError:
    text = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
    variable = "HF_TOKEN" if address.scheme == "hf" else "MODELSCOPE_API_TOKEN"
    mirror = "HF_ENDPOINT" if address.scheme == "hf" else "MODELSCOPE_ENDPOINT"
    return SuyanError(
        localised(
            "{address}: {endpoint} did not list its files: {text}",
            address=address,
            endpoint=address.endpoint,
            text=text,
        ),
        remedy=localised(
            "Check the name and the network; a private repository needs {variable}, a "
            "mirror is set with {mirror}",
            variable=variable,
            mirror=mirror,
        ),
    )
