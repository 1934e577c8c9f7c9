"""Two FIDs from folders: Suyan against torch-fidelity and clean-fid, in fresh processes.

The two are those of an evaluation: translated pictures to real ones, and untranslated pictures to
the same real ones. All use the same Inception network with the same random weights (the published
ones are in no package) and resize as TensorFlow 1 did; clean-fid gets the network through its own
``custom_feat_extractor``. Each starts without a cache; Suyan gets the real folder twice and
computes its features once. Peers: ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import peers
from PIL import Image

_FOLDERS = ("translated", "untranslated", "real")
_PX = 256


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--quick", action="store_true", help="fewer pictures, one round, one FID of clean-fid"
    )
    arguments.add_argument("--child", choices=_CHILDREN, help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--fids", type=int, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.child:
        started = time.perf_counter()
        values = _CHILDREN[options.child](options.folder, _FOLDERS[: options.fids])
        print(json.dumps([time.perf_counter() - started, *values]))
        return
    peers.require("cleanfid")
    num, rounds = (4, 1) if options.quick else (150, 2)
    seconds: dict[str, list[float]] = {name: [] for name in _CHILDREN}
    values: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as name:
        folder = Path(name)
        _draw(folder, num)
        for turn in range(rounds):
            for child in _CHILDREN:
                fids = 1 if options.quick and child == "clean-fid" else 2  # its square root is slow
                took, *values[child] = _measure(child, folder, fids)
                seconds[child].append(took / fids)
                print(
                    f"round {turn + 1}  {child:15} {took / fids:7.1f} s a FID  {values[child]}",
                    flush=True,
                )
    _print_table(seconds, values, num)


def _measure(child: str, folder: Path, fids: int) -> list[float]:
    command = [sys.executable, __file__, "--child", child, "--folder", str(folder)]
    command += ["--fids", str(fids)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{child} failed:\n{done.stderr[-4000:]}")
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _print_table(seconds: dict[str, list[float]], values: dict[str, list[float]], num: int) -> None:
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"\nFIDs of folders of {num} pictures of {_PX} px, medians of the time for each")
    for name, value in medians.items():
        print(f"{name:15}{value:8.1f} s")
    differences = [
        abs(value - reference) / abs(reference)
        for name in ("torch-fidelity", "clean-fid")
        for value, reference in zip(values["suyan"], values[name], strict=False)
    ]
    figures = {
        "ratio_torch_fidelity": round(medians["torch-fidelity"] / medians["suyan"], 3),
        "ratio_clean_fid": round(medians["clean-fid"] / medians["suyan"], 3),
        "max_rel_diff": float(f"{max(differences):.3g}"),
    }
    print(json.dumps(figures))


def _draw(folder: Path, num: int) -> None:
    """Smooth random pictures, each folder with its own tint; and random weights."""
    rng = np.random.default_rng(0)
    for tint, name in enumerate(_FOLDERS):
        (folder / name).mkdir()
        for index in range(num):
            coarse = rng.integers(0, 256, (8 + tint, 8, 3), np.uint8)
            coarse[..., tint] //= 2
            picture = Image.fromarray(coarse).resize((_PX, _PX), Image.Resampling.BICUBIC)
            picture.save(folder / name / f"{index:04}.png")
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    module = "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url"
    with (
        patch(module, return_value={}),
        patch.object(FeatureExtractorInceptionV3, "load_state_dict", return_value=None),
    ):
        torch.manual_seed(0)
        network = FeatureExtractorInceptionV3("random", ["2048"])
    for parameter in network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter)
    torch.save(network.state_dict(), folder / "weights.pth")


def _suyan(folder: Path, names: Sequence[str]) -> list[float]:
    from evaluation.features.inception import load_inception
    from evaluation.folder_metrics import compare_folders

    extractor = load_inception(folder / "weights.pth", batch_size=16)
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        caching = extractor.cached_in(Path(cache))
        return [
            compare_folders(folder / name, folder / "real", caching).fid.value for name in names
        ]


def _torch_fidelity(folder: Path, names: Sequence[str]) -> list[float]:
    import torch_fidelity

    return [
        torch_fidelity.calculate_metrics(
            input1=str(folder / name),
            input2=str(folder / "real"),
            fid=True,
            cuda=False,
            batch_size=16,
            cache=False,
            verbose=False,
            feature_extractor_weights_path=str(folder / "weights.pth"),
        )["frechet_inception_distance"]
        for name in names
    ]


def _clean_fid(folder: Path, names: Sequence[str]) -> list[float]:
    import torch
    from cleanfid import fid
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3(
        "random", ["2048"], feature_extractor_weights_path=str(folder / "weights.pth")
    )
    return [
        float(
            fid.compute_fid(
                str(folder / name),
                str(folder / "real"),
                mode="legacy_tensorflow",
                num_workers=2,
                batch_size=16,
                device=torch.device("cpu"),
                verbose=False,
                custom_feat_extractor=lambda batch: network(batch.to(torch.uint8))[0],
            )
        )
        for name in names
    ]


_CHILDREN = {"suyan": _suyan, "torch-fidelity": _torch_fidelity, "clean-fid": _clean_fid}

if __name__ == "__main__":
    main()
