"""What ``suyan doctor`` finds out about a machine: locale, torch, device, compiler, proxy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cli.options import load_parameters
from core.commands import (
    is_repository,
    make_command,
    pip_command,
    suyan_command,
    torch_command,
)
from core.language.messages import localised
from core.workspace import Workspace

TIMEOUT_S = 8.0
"""For the answer of a server or a proxy."""

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """The result of one check, with its remedy.

    ``level`` is ok; note, for a state that may be intended; or problem, for one that makes runs
    fail.
    """

    subject: str
    level: Level
    observation: str
    remedy: str = ""


def locale_finding() -> Finding:
    """The encoding of the terminal and of other programs."""
    import codecs
    import locale

    encoding = locale.getencoding()  # the locale's own, in UTF-8 mode too
    if codecs.lookup(encoding).name == "utf-8":
        return Finding("locale", "ok", "UTF-8")
    observation = localised(
        "{encoding}: suyan reads and writes UTF-8 all the same, but prints Chinese that the "
        "terminal lacks as escapes, and Python programs of your own read its files wrongly",
        encoding=encoding,
    )
    return Finding("locale", "note", observation, "export LC_ALL=C.UTF-8")


def torch_finding() -> Finding:
    """Which build of PyTorch is installed, and whether it fits the machine."""
    import torch

    cuda, hip = torch.version.cuda, torch.version.hip
    kind = f"CUDA {cuda}" if cuda else f"ROCm {hip}" if hip else localised("CPUs alone")
    observation = localised("{version}, for {kind}", version=torch.__version__, kind=kind)
    is_used, reasons = _gpu_of_torch()
    if reasons or (_has_nvidia_driver() and not is_used):
        observation += localised(": the GPU of this machine is not used")
        observation += f": {reasons}" if reasons else ""
        return Finding("torch", "problem", observation, _torch_remedy("auto"))
    if (cuda or hip) and not is_used:
        observation += localised(": without a GPU, its CUDA packages only cost disk, about 4 GB")
        remedy = localised("To get them back: {command}", command=_torch_remedy("cpu"))
        return Finding("torch", "note", observation, remedy)
    return Finding("torch", "ok", observation)


def _gpu_of_torch() -> tuple[bool, str]:
    """Whether torch computes on a GPU, and what it says against that, such as an old driver or a
    GPU for which the build has no code.
    """
    import warnings

    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        is_available = torch.cuda.is_available()
        if is_available:
            torch.cuda.get_device_name()  # initialises torch, which compares the GPU with the build
    reasons = [" ".join(str(each.message).split()) for each in caught]
    return is_available and not reasons, " ".join(reasons)


def _torch_remedy(backend: str) -> str:
    """How to get another build of torch, uv's name; only a new environment lacks what the former
    brought.
    """
    if is_repository():
        return make_command("clean", "setup", f"TORCH={backend}")
    return localised(
        "in a new environment, in Suyan's folder, {command}", command=torch_command(backend)
    )


def _has_nvidia_driver() -> bool:
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg"))  # /dev/dxg: WSL2


def device_finding(workspace: Workspace, recipe: str) -> Finding:
    """The device that trainings use."""
    import torch

    if torch.cuda.is_available():
        return Finding("device", "ok", torch.cuda.get_device_name())
    observation = localised("no GPU; {num} CPU cores: train a small network", num=os.cpu_count())
    name = load_parameters(recipe, workspace=workspace).recipe
    remedy = suyan_command("run", "--small", workspace=workspace, recipe=name)
    return Finding("device", "note", observation, remedy)


def compiler_finding() -> Finding:
    """Whether networks can be compiled."""
    from training.runtime.compile import can_compile
    from training.runtime.device import choose_device

    if can_compile(choose_device("auto")):
        return Finding("compiler", "ok", localised("networks can be compiled"))
    observation = localised(
        "no C++ compiler, Python headers or, for a GPU, Triton: networks are not compiled, and the "
        "paper's network takes half as long again on a CPU"
    )
    remedy = localised("Install a compiler and headers, e.g. apt-get install g++ python3-dev.")
    return Finding("compiler", "note", observation, remedy)


def proxy_finding() -> Finding:
    """Names the proxies of the environment, what they cost, and whether they can be reached."""
    import importlib.util
    import socket

    from core.proxies import Proxies, without_password

    proxies = Proxies.from_environment()
    addresses = {
        name: proxies.of(name, "host.example", 0) or address
        for name, address in sorted(proxies.by_scheme.items())
        if name in {"http", "https", "all"}
    }
    if not addresses:
        return Finding("proxy", "ok", localised("none is set"))
    named = (f"{name}_proxy={without_password(each)}" for name, each in addresses.items())
    observation = ", ".join(named)
    for address in addresses.values():
        parts = urlsplit(address if "://" in address else f"http://{address}")
        if parts.scheme.startswith("socks") and not importlib.util.find_spec("socksio"):
            remedy = localised(
                "Set an http:// proxy, or run: {command}", command=pip_command("socksio")
            )
            return Finding(
                "proxy",
                "problem",
                localised("{observation}: Prefect needs socksio", observation=observation),
                remedy,
            )
        try:
            place = (parts.hostname or "", parts.port or 1080)
            socket.create_connection(place, timeout=TIMEOUT_S).close()
        except (OSError, UnicodeError) as error:
            remedy = localised("Correct or unset the variable. Loopback is asked without a proxy.")
            return Finding("proxy", "problem", f"{observation}: {error}", remedy)
    remedy = localised(
        "Searches and downloads go through it and share its speed. A name that this machine "
        "cannot resolve is judged by the proxy alone: docs/crawl.md, 'Behind a proxy'."
    )
    return Finding("proxy", "note", observation, remedy)


def named_server_finding() -> Finding:
    """Whether the server of ``PREFECT_API_URL`` answers."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from core.proxies import without_password

    address = os.environ["PREFECT_API_URL"]
    settings = {PREFECT_API_URL: address}
    with temporary_settings(updates=settings), get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    url = without_password(address)
    if error is None:
        return Finding("server", "ok", url)
    observation = localised(
        "{url} (PREFECT_API_URL) does not answer: {error}", url=url, error=error
    )
    return Finding("server", "problem", observation, localised("Correct or unset the variable."))
