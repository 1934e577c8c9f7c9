"""The weights that a training starts from, where they are not random: those of another one.

Before the first step they are copied to ``runs/<run>/starting_point/``, so that the run does not
depend on the folder that they come from. It has the files of a checkpoint: ``config.json``,
``G_A`` and ``G_B``, ``D_A`` and ``D_B`` where there are any, and ``state.pt`` where the run
continues another one.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from core.errors import CheckpointError
from core.files import digest, file_sha256, sync_file, sync_folder
from core.language.messages import localised
from core.workspace_folders import CheckpointFolder, RunFolder

GENERATORS = ("G_A", "G_B")
_NETWORKS = (*GENERATORS, "D_A", "D_B")
_ORIGIN = re.compile(r"(?P<name>.+)@(?P<digest>[0-9a-f]{16})")
_LOGS = ("log", "measures", "events")


@dataclass(frozen=True)
class StartingPoint:
    """A checkpoint or stored model that a training starts from, or continues.

    ``name`` is what people call it, e.g. ``makeup/step1370-0b1c2d3e``.
    """

    folder: Path
    name: str

    @property
    def origin(self) -> str:
        """The name with a digest of the weights, as a run's configuration records it."""
        return f"{self.name}@{digest(self._digests(), 16)}"

    def copy_to(self, run: Path, *, with_state: bool = False) -> None:
        """Copy the weights to ``run``, whole or not at all; nothing where they are there already.

        ``with_state`` copies optimisers, position and logs too. Raises ``CheckpointError`` for a
        folder without both generators, and for a damaged one.
        """
        from training.run.checkpoint import load_config  # noqa: PLC0415 - it imports torch

        target = RunFolder(run).starting_point
        if target.path.is_dir():
            return
        files = self._files(with_state=with_state)
        for file in files.values():
            shapes_in(file)  # else the error would name the copy, and a run without a step stay
        load_config(self.folder)
        run.mkdir(parents=True, exist_ok=True)
        partial = CheckpointFolder(Path(tempfile.mkdtemp(dir=run, prefix=".starting_point.")))
        try:
            for name, file in files.items():
                _copy(file, partial.weights(name))
            source = CheckpointFolder(self.folder)
            _copy(source.config, partial.config)
            if with_state:
                _copy(source.state, partial.state)
                self._copy_logs(RunFolder(run))
            partial.path.chmod(0o755)
            partial.path.rename(target.path)
            sync_folder(run)
        finally:
            shutil.rmtree(partial.path, ignore_errors=True)

    def generators(self) -> list[Path]:
        """The files of both generators. Raises ``CheckpointError`` where one is missing."""
        files = self._files()
        return [files[name] for name in GENERATORS]

    def _copy_logs(self, run: RunFolder) -> None:
        """The logs of the run that is continued, so that its curves are those of one run."""
        former = RunFolder(self.folder.parent.parent)
        for name in _LOGS:
            source: Path = getattr(former, name)
            if source.is_file():
                _copy(source, getattr(run, name))
        if former.tensorboard.is_dir():
            shutil.copytree(former.tensorboard, run.tensorboard, dirs_exist_ok=True)

    def _files(self, *, with_state: bool = False) -> dict[str, Path]:
        """The files by the networks' names; averages of the generators, where a checkpoint has
        some, unless the state of the raw ones goes with them.
        """
        folder = CheckpointFolder(self.folder)
        averages = {name: folder.weights(f"{name}_ema") for name in GENERATORS}
        files = {name: folder.weights(name) for name in _NETWORKS}
        if with_state:
            files |= {f"{name}_ema": file for name, file in averages.items()}
        elif all(file.is_file() for file in averages.values()):
            files |= averages
        files = {name: file for name, file in files.items() if file.is_file()}
        if missing := [name for name in GENERATORS if name not in files]:
            present = ", ".join(sorted(file.stem for file in files.values())) or localised(
                "no network"
            )
            raise CheckpointError(
                localised(
                    "{folder}: found {present}, needed both generators to start from; {names} is "
                    "missing",
                    folder=self.folder,
                    present=present,
                    names=missing[0],
                )
                if len(missing) == 1
                else localised(
                    "{folder}: found {present}, needed both generators to start from; {names} are "
                    "missing",
                    folder=self.folder,
                    present=present,
                    names=localised(" and ").join(missing),
                )
            )
        return files

    def _digests(self) -> dict[str, str]:
        return {name: file_sha256(file) for name, file in self._files().items()}


def shapes_in(file: Path) -> dict[str, list[int]]:
    """The shape of each tensor of a safetensors file. Raises ``CheckpointError`` for a damaged
    one.
    """
    try:
        with safe_open(file, framework="pt") as tensors:
            names = tensors.keys()
            return {name: list(tensors.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            localised(
                "{file}: found a damaged file ({error}), needed a model to start from; copy "
                "it again, or start from another one",
                file=file,
                error=error,
            )
        ) from error


def recorded_origin(text: str) -> tuple[str, str]:
    """Name and digest of an ``origin``; the digest is "" in what a person wrote."""
    match = _ORIGIN.fullmatch(text)
    return (match["name"], match["digest"]) if match else (text, "")


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    sync_file(target)
