"""What ``suyan doctor`` finds out about a machine: locale, torch, device, compiler, their cost."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cli.options import load_parameters
from core.commands import make_command, suyan_command
from core.workspace import Workspace

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
    observation = (
        f"{encoding}: suyan reads and writes UTF-8 all the same, but prints Chinese that the "
        "terminal lacks as escapes, and Python programs of your own read its files wrongly"
    )
    return Finding("locale", "note", observation, "export LC_ALL=C.UTF-8")


def torch_finding() -> Finding:
    """Which build of PyTorch is installed, and whether it fits the machine."""
    import torch

    cuda, hip = torch.version.cuda, torch.version.hip
    kind = f"CUDA {cuda}" if cuda else f"ROCm {hip}" if hip else "CPUs alone"
    observation = f"{torch.__version__}, for {kind}"
    if not (cuda or hip) and _has_nvidia_driver():
        observation += ": the GPU of this machine is not used"
        return Finding("torch", "problem", observation, make_command("clean", "setup"))
    if (cuda or hip) and not torch.cuda.is_available():
        observation += ": without a GPU, its CUDA packages only cost disk, about 4 GB"
        remedy = f"To get them back: {make_command('clean', 'setup', 'TORCH=cpu')}"
        return Finding("torch", "note", observation, remedy)
    return Finding("torch", "ok", observation)


def _has_nvidia_driver() -> bool:
    return Path("/dev/nvidiactl").exists()


def device_finding(workspace: Workspace, recipe: str) -> Finding:
    """The device that trainings use."""
    import torch

    if torch.cuda.is_available():
        return Finding("device", "ok", torch.cuda.get_device_name())
    observation = f"no GPU; {os.cpu_count()} CPU cores: train a small network"
    name = load_parameters(recipe, workspace=workspace).recipe
    remedy = suyan_command("run", "--small", workspace=workspace, recipe=name)
    return Finding("device", "note", observation, remedy)


def compiler_finding() -> Finding:
    """Whether networks can be compiled."""
    from training.runtime.compile import can_compile
    from training.runtime.device import choose_device

    if can_compile(choose_device("auto")):
        return Finding("compiler", "ok", "networks can be compiled")
    observation = (
        "no C++ compiler, Python headers or, for a GPU, Triton: networks are not compiled, and the "
        "paper's network trains half as long again on a CPU"
    )
    remedy = "Install a compiler and headers, e.g. apt-get install g++ python3-dev."
    return Finding("compiler", "note", observation, remedy)
