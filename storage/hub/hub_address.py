"""Addresses of models and datasets on hubs: ``hf://user/name@revision``, ``ms://user/name``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import urlsplit

from core.language.messages import localised

Scheme = Literal["hf", "ms"]

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_ADDRESS = re.compile(
    rf"(?P<scheme>hf|ms)://(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>[A-Za-z0-9][\w./-]{{0,99}}))?"
)
_ENDPOINTS: Mapping[Scheme, tuple[str, str]] = {
    "hf": ("HF_ENDPOINT", "https://huggingface.co"),
    "ms": ("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn"),
}
_DEFAULT_REVISIONS: Mapping[Scheme, str] = {"hf": "main", "ms": "master"}


@dataclass(frozen=True)
class HubAddress:
    """A repository on a hub, at a revision: a branch, a tag or a commit."""

    scheme: Scheme
    repo: str  # user/name
    revision: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.repo}@{self.revision}"

    @property
    def endpoint(self) -> str:
        """The hub's address: that of its environment variable, else the public one.

        Raises ``ValueError`` for an environment variable that is no http or https address.
        """
        variable, public = _ENDPOINTS[self.scheme]
        endpoint = (os.environ.get(variable) or public).rstrip("/")
        if urlsplit(endpoint).scheme not in {"http", "https"} or not urlsplit(endpoint).hostname:
            raise ValueError(
                localised(
                    "{variable}: got {endpoint!r}, needed an http or https address, e.g. {public}",
                    variable=variable,
                    endpoint=endpoint,
                    public=public,
                )
            )
        return endpoint

    @property
    def is_mirrored(self) -> bool:
        """Whether another server than the public one stands for the hub."""
        return self.endpoint != _ENDPOINTS[self.scheme][1]


def is_hub_address(text: str) -> bool:
    """Whether ``text`` names something on a hub, well or badly."""
    return text.startswith(tuple(f"{scheme}://" for scheme in _ENDPOINTS))


def parse_hub_address(text: str) -> HubAddress:
    """The address in ``text``; raises ``ValueError`` for a malformed one."""
    match = _ADDRESS.fullmatch(text)
    if match is None or ".." in text or "--" in match["repo"]:
        raise ValueError(
            localised(
                "got {text!r}, needed hf://USER/NAME or ms://USER/NAME, and @REVISION behind "
                "it for other than the newest files",
                text=text,
            )
        )
    scheme = cast("Scheme", match["scheme"])
    return HubAddress(scheme, match["repo"], match["revision"] or _DEFAULT_REVISIONS[scheme])
