"""Runs with a checkpoint and made-up figures; a module, for tests that spawn processes."""

from pathlib import Path
from typing import Any

from core.files import write_json
from core.workspace import Workspace
from evaluation.model_registry.promote import promote


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value, "high": value}


def judge(name: str, share: float, *, errors_apart: float = 9.0) -> dict[str, Any]:
    """A judge that sees the whole picture, unless ``errors_apart`` is below 3, and its share."""
    change, sees = -0.5 * share, errors_apart >= 3
    view = {
        "kid": figure(0.5 + change),
        "kid_baseline": figure(0.5),
        "kid_ceiling": figure(0.0),
        "kid_change": {"value": change, "low": change - 0.02, "high": change + 0.02},
        "change_error": 0.01,
        "errors_apart": errors_apart,
    }
    shared = {"share": figure(share)} if sees else {}
    return {"judge": name, "pretraining": "", "views": {"whole": view | shared}} | shared


def scores_of(kid: float, *, step: int = 8, dataset: str = "d1") -> dict[str, Any]:
    direction = {
        "kid": figure(kid),
        "kid_baseline": figure(0.05),
        "kid_ceiling": figure(0.01),
        "kid_change": figure(kid - 0.05),
        "tint_kid": figure(0.049),
        "tint_kid_change": figure(kid - 0.049),
        "fid": figure(100 * kid),
        "fid_baseline": figure(5.0),
        "domain_success": figure(0.6),
        "domain_success_baseline": figure(0.1),
        "domain_success_ceiling": figure(0.9),
        "num_pictures": 30,
        "num_target": 30,
        "judges": [
            judge("random_convolutions", 0.9),
            judge("pixel_statistics", -0.4, errors_apart=2.0),
        ],
    }
    return {
        "checkpoint": f"step_{step:08d}",
        "step": step,
        "dataset": dataset,
        "features": {"name": "f"},
        "px": 96,
        "domains": {"A": "makeup", "B": "bare"},
        "directions": {
            "A2B": direction | {"from": "makeup", "to": "bare"},
            "B2A": direction | {"from": "bare", "to": "makeup"},
        },
        "better_than_baseline": {"A2B": kid < 0.05, "B2A": kid < 0.05},
    }


def write_run(workspace: Path, name: str, scores: dict[str, Any]) -> tuple[Path, Path]:
    run = workspace / "runs" / name
    checkpoint = run / "checkpoints" / scores["checkpoint"]
    checkpoint.mkdir(parents=True)
    for weights in ("G_A", "G_B"):
        (checkpoint / f"{weights}.safetensors").write_text(f"{name} {weights}")
    write_json(checkpoint / "config.json", {})
    evaluation = run / "evaluation" / scores["checkpoint"]
    write_json(evaluation / "scores.json", scores)
    return run, evaluation


def promote_one(workspace: Path, name: str, kid: float) -> None:
    promote(*write_run(workspace, name, scores_of(kid)), Workspace(workspace), "makeup")
