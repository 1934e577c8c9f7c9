"""Pictures on the wrong side: the share of pictures, swapped on purpose, that preparation finds.

One picture in twenty is given to the other domain's listing: photographs of faces with and without
make-up (``shared/data/makeup128``, whose own folders are not free of error), drawn faces, and drawn
landscapes of summer and winter. The pictures are then prepared, and those with the lowest side
scores are taken: as many as were swapped, and those below each limit. Precision is the share of
these that were swapped, recall the share of the swapped ones that are among them.

``--train STEPS`` trains on drawn faces instead: on clean sides, with one training picture in
twenty swapped, and with these left out by ``min_side_score``; at the settings of the demo, in one
thread. Held-out pictures are clean and the same for all; ``--out`` keeps datasets and checkpoints.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from drawn_faces import SIDES, prepare_drawn, store_original
from photographs import DATA

from core.tables import Original, Picture, read_rows, write_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from preprocessing.config import PrepareConfig
from preprocessing.prepare import prepare

_SHARE = 0.05  # of the pictures that are swapped
_LIMITS = (0.05, 0.1, 0.15, 0.2, 0.3)
_PX = 64  # of the crops, which are not looked at
_RULES: dict[str, Any] = {
    "crop_px": _PX, "min_images": 2, "min_sharpness": 0, "min_face_px": 32, "max_outside": 0.5,
}  # fmt: skip
_TRAINED_LIMIT = 0.15  # min_side_score of the third training
_SMALL = {"pseudo_steps": 4, "num_epochs": 1, "num_epochs_decay": 0}  # a rehearsal
_KINDS = {
    "photographs": PrepareConfig(domain_a="makeup", domain_b="bare", **_RULES),
    "drawn_faces": PrepareConfig(domain_a="makeup", domain_b="bare", **_RULES),
    "landscapes": PrepareConfig(domain_a="summer", domain_b="winter", faces=False, **_RULES),
}


def main() -> None:
    """Print a table for each kind of picture, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pictures: less than 50 seconds")
    parser.add_argument("--num", type=int, default=700, help="pictures a domain at most, 700")
    parser.add_argument(
        "--seeds", type=int, default=1, help="swaps of other pictures, or trainings, 1"
    )
    parser.add_argument("--kinds", nargs="*", choices=_KINDS, default=list(_KINDS))
    parser.add_argument("--train", type=int, metavar="STEPS", help="train so many steps each")
    parser.add_argument("--out", type=Path, help="folder of the trainings, default a temporary one")
    given = parser.parse_args()
    if given.train:
        with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
            folder = Workspace((given.out or Path(scratch)).resolve())
            print(
                json.dumps(measure_trainings(folder, given.train, given.seeds, quick=given.quick))
            )
        return
    kinds = [kind for kind in given.kinds if kind != "photographs" or DATA.is_dir()]
    if skipped := set(given.kinds) - set(kinds):
        print(f"skipped: {', '.join(skipped)}; {DATA} is not there")
    figures: dict[str, float] = {}
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
            num = 60 if given.quick else given.num
            figures |= measure(Workspace(Path(scratch)), kind, num, given.seeds)
    print(json.dumps(figures))


def measure(workspace: Workspace, kind: str, num: int, num_seeds: int) -> dict[str, float]:
    """Precision and recall by kind and limit, averaged over the swaps; prints a table too."""
    config = _KINDS[kind]
    bodies = {
        domain: list(_bodies(kind, domain, num)) for domain in (config.domain_a, config.domain_b)
    }
    scored_swaps = [_scores_of(workspace, config, bodies, seed) for seed in range(num_seeds)]
    figures: dict[str, float] = {}
    print(f"\n{kind}: {np.mean([len(scores) for scores, _ in scored_swaps]):.0f} pictures, "
          f"{np.mean([swapped.sum() for _, swapped in scored_swaps]):.0f} swapped")  # fmt: skip
    print(f"{'taken':>16} {'pictures':>9} {'precision':>10} {'recall':>7}")
    for limit in (None, *_LIMITS):
        rows = [_taken_and_right(scores, swapped, limit) for scores, swapped in scored_swaps]
        num_taken, num_right = np.sum(rows, axis=0)
        recall = num_right / sum(swapped.sum() for _, swapped in scored_swaps)
        precision = num_right / max(num_taken, 1)
        name = "as many" if limit is None else f"score < {limit}"
        print(f"{name:>16} {num_taken / num_seeds:9.1f} {precision:10.2f} {recall:7.2f}")
        key = f"{kind}_{'as_many' if limit is None else limit}"
        figures |= {f"{key}_precision": round(precision, 3), f"{key}_recall": round(recall, 3)}
    return figures


def measure_trainings(
    workspace: Workspace, steps: int, num_seeds: int, *, quick: bool
) -> dict[str, float]:
    """Error on lips and eyes, and KID, of each training and direction; prints them too."""
    # Imported here and below: the workers of preparation, which import this file, need no torch.
    from time_to_quality import load_held_out_truths

    from evaluation.validation import kid_distance

    clean = prepare_drawn(workspace, 60 if quick else 300, test_fraction=0.3, px=136)
    held_out = load_held_out_truths(workspace, clean, 8 if quick else 80)
    datasets = {"clean": clean, **dict(_with_swaps(workspace, clean))}
    distance = kid_distance()
    figures: dict[str, float] = {}
    for seed, (name, dataset) in itertools.product(range(num_seeds), datasets.items()):
        generators = _trained(workspace, dataset, name, seed, steps, quick=quick)
        for side, generator in zip("AB", generators, strict=True):
            pictures = held_out[side].translated(generator)
            measured = {
                "error_left": 1 - held_out[side].reduction(pictures),
                "kid": distance(pictures, held_out["BA"["AB".index(side)]].pictures),
            }
            print(f"seed {seed}, {name}, from {SIDES[side]}: error on lips and eyes "
                  f"{measured['error_left']:.3f} of the untranslated, KID {measured['kid']:.5f}",
                  flush=True)  # fmt: skip
            figures |= {f"{name}_{seed}_{side}_{key}": round(v, 5) for key, v in measured.items()}
    return figures


def _with_swaps(workspace: Workspace, clean: Path) -> Iterator[tuple[str, Path]]:
    """Versions in which one training picture in twenty lies on the other side, all of them and
    those with at least ``_TRAINED_LIMIT``; the held-out pictures are those of ``clean``.
    """
    rng = np.random.default_rng(0)
    is_training = {
        row.sha256: row.split == "train"
        for row in read_rows(DatasetFolder(clean).manifest, Picture)
    }
    listed = {
        name: read_rows(workspace.folder / f"{name}.parquet", Original) for name in SIDES.values()
    }
    swapped = {
        row.sha256
        for rows in listed.values()
        for row in rows
        if rng.random() < _SHARE and is_training[row.sha256]
    }
    makeup, bare = (
        [row for row in listed[name] if row.sha256 not in swapped]
        + [row for row in listed[other] if row.sha256 in swapped]
        for name, other in (("makeup", "bare"), ("bare", "makeup"))
    )
    listings = [workspace.folder / f"swapped-{name}.parquet" for name in SIDES.values()]
    for path, rows in zip(listings, (makeup, bare), strict=True):
        write_rows(path, Original, rows)
    settings = json.loads(DatasetFolder(clean).config.read_text())
    for name, limit in (("swapped", 0.0), ("swapped, limited", _TRAINED_LIMIT)):
        config = PrepareConfig.model_validate(settings | {"min_side_score": limit})
        dataset = prepare(config, *listings, workspace).dataset
        rows = [
            row
            for row in read_rows(DatasetFolder(dataset).manifest, Picture)
            if row.split == "train"
        ]
        wrong = sum(row.sha256 in swapped for row in rows)
        print(f"{name}: {len(rows)} training pictures, {wrong} on the wrong side", flush=True)
        yield name, dataset


def _trained(
    workspace: Workspace, dataset: Path, name: str, seed: int, steps: int, *, quick: bool
) -> tuple[Any, Any]:
    """The averaged generators of a training of about so many steps, after at most as many
    supervised ones.
    """
    from training.config import TrainConfig
    from training.run.checkpoint import load_generators
    from training.standard_configs import demo
    from training.train import train

    num_pictures = max(len(list((dataset / f"train{side}").iterdir())) for side in SIDES)
    epochs = max(2, round(steps * demo().batch_size / num_pictures))
    changes = {
        "device": "cpu", "num_threads": 1, "seed": seed, "num_epochs": (epochs + 1) // 2,
        "num_epochs_decay": epochs // 2, "sample_every": steps,
        "pseudo_steps": min(steps, demo().pseudo_steps),
    } | (_SMALL if quick else {})  # fmt: skip
    config = TrainConfig.model_validate(demo().model_dump() | changes)
    run = workspace.folder / "runs" / f"{name.replace(', ', '-')}-{seed}-{epochs}"
    summary = train(config, dataset, run)
    print(f"{summary.steps} steps in {summary.seconds / 60:.1f} minutes", flush=True)
    G_A, G_B, _ = load_generators(summary.checkpoint, averaged=True)
    return G_A.eval(), G_B.eval()


def _taken_and_right(
    scores: np.ndarray, swapped: np.ndarray, limit: float | None
) -> tuple[int, int]:
    """How many of the lowest scores are taken, and how many of these were swapped."""
    order = np.argsort(scores, kind="stable")
    num = int(swapped.sum()) if limit is None else int((scores < limit).sum())
    return num, int(swapped[order[:num]].sum())


def _scores_of(
    workspace: Workspace, config: PrepareConfig, bodies: dict[str, list[bytes]], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The side scores of the accepted pictures, and which of them were swapped."""
    rng = np.random.default_rng(seed)
    is_swapped = {name: rng.random(len(files)) < _SHARE for name, files in bodies.items()}
    sha256_of_swapped = set[str]()
    rows: dict[str, list[Original]] = {name: [] for name in bodies}
    for name, other in (tuple(bodies), tuple(bodies)[::-1]):
        for number, (body, swap) in enumerate(zip(bodies[name], is_swapped[name], strict=True)):
            target = other if swap else name
            row = store_original(workspace, target, number, body)
            rows[target].append(row)
            if swap:
                sha256_of_swapped.add(row.sha256)
    listings = [workspace.folder / f"{name}.parquet" for name in bodies]
    for path, listed in zip(listings, rows.values(), strict=True):
        write_rows(path, Original, listed)
    dataset = prepare(config, *listings, workspace).dataset
    accepted = [
        picture
        for picture in read_rows(DatasetFolder(dataset).manifest, Picture)
        if picture.status == "ok" and picture.side_score >= 0
    ]
    return (
        np.array([picture.side_score for picture in accepted]),
        np.array([picture.sha256 in sha256_of_swapped for picture in accepted]),
    )


def _bodies(kind: str, domain: str, num: int) -> Iterator[bytes]:
    """The files of this domain's pictures, at most ``num``."""
    if kind == "photographs":
        folder = DATA / "makeup128" / {"makeup": "A", "bare": "B"}[domain]
        yield from (path.read_bytes() for path in _evenly(sorted(folder.glob("*.jpg")), num))
        return
    from scraping.offline import landscapes
    from scraping.offline.corpus import jpeg, portrait

    first = {"makeup": 71, "bare": 72, "summer": 73, "winter": 74}[domain] * 1_000_000
    for seed in range(first, first + min(num, 300)):
        if kind == "drawn_faces":
            yield jpeg(portrait(domain, seed))
        else:
            yield jpeg(landscapes.draw(seed, winter=domain == "winter"))


def _evenly(paths: Iterable[Path], num: int) -> list[Path]:
    paths = list(paths)
    step = max(1.0, len(paths) / num)
    return [paths[int(k * step)] for k in range(min(num, len(paths)))]


if __name__ == "__main__":
    main()
