"""The model card: what a person should know before using an exported model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.files import file_sha256
from serving.models import Direction, Model, read_json, weights_file
from training.models.factory import architecture_of


def model_card(model: Model, files: Mapping[Direction, str], kind: str) -> str:
    """The card of an export as Markdown with the front matter that model hubs read.

    ``files`` names the exported file of each direction, ``kind`` its format. Figures come from the
    model's ``scores.json`` and ``model.json``; where there are none, the card says so.
    """
    scores = read_json(model.folder / "scores.json")
    lineage = read_json(model.folder / "model.json")
    origin = (
        "A CycleGAN (Zhu et al. 2017, arXiv 1703.10593) trained without paired examples and "
        f"exported by Suyan as {kind}."
    )
    parts = [
        _front_matter(model),
        f"# {model.name}: {model.prepare.domain_a} ↔ {model.prepare.domain_b}",
        origin,
        "## Files",
        _files(model, files),
        "## Input and output",
        *_interface(model),
        "## How it was trained",
        *_training(model, lineage),
        "## How it was measured",
        *_figures(scores),
        "## Use and limits",
        *_limits(model),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(model: Model) -> str:
    a, b = model.prepare.domain_a, model.prepare.domain_b
    tags = "\n".join(f"- {tag}" for tag in ("cyclegan", "unpaired", "image-translation", a, b))
    return f"---\nlibrary_name: suyan\npipeline_tag: image-to-image\ntags:\n{tags}\n---"


def _files(model: Model, files: Mapping[Direction, str]) -> str:
    rows = ["| file | translates | made of weights with sha256 |", "|---|---|---|"]
    for way, name in files.items():
        source, to = model.directions[way]
        digest = file_sha256(weights_file(model.folder, way))
        rows.append(f"| `{name}` | {source} → {to} | `{digest}` |")
    return "\n".join(rows)


def _interface(model: Model) -> tuple[str, str]:
    prepare = model.prepare
    shape = (
        "`image`: float32 `[N, 3, H, W]`, RGB, `value / 127.5 - 1`, so in [-1, 1]. N, H and W are "
        "free; H and W are multiples of "
        f"{architecture_of(model.config).multiple}. `translation`: the same shape and range."
    )
    if not prepare.faces:
        kind = (
            "The model was trained on whole pictures whose middle square was scaled to "
            f"{prepare.crop_px} px, and cut to {model.config.crop_px} px."
        )
    else:
        kind = (
            f"The model was trained on faces cut out of photographs: {prepare.crop_px} px squares, "
            f"the eyes level, {prepare.eye_distance:.2f} of the side apart and "
            f"{prepare.eye_height:.2f} of it below the top. Give it the same, or it will not work "
            "well: `suyan translate` does so, and pastes the result back."
        )
    return shape, kind


def _training(model: Model, lineage: Mapping[str, Any]) -> tuple[str, str]:
    config = model.config
    how = (
        f"Generator: {architecture_of(config).label}, {config.ngf} channels, {config.norm} "
        f"norm, trained at {config.crop_px} px, batch {config.batch_size}, "
        f"{config.num_epochs} + {config.num_epochs_decay} epochs, Adam {config.learning_rate:g}, "
        f"cycle weights {config.lambda_a:g} and {config.lambda_b:g}, identity "
        f"{config.lambda_identity:g}."
    )
    if not lineage:
        return how, "Nothing is recorded about its training data (no model.json beside it)."
    named = {key: lineage.get(key) for key in ("dataset", "run", "checkpoint")}
    return how, f"{', '.join(f'{key} `{value}`' for key, value in named.items())}.".capitalize()


def _figures(scores: Mapping[str, Any]) -> list[str]:
    directions = scores.get("directions")
    if not isinstance(directions, dict) or not directions:
        return ["It was not measured by Suyan (no scores.json beside it)."]
    rows = ["| direction | KID | KID of untranslated pictures | FID |", "|---|---|---|---|"]
    for entry in directions.values():
        cells = [_value(entry, key) for key in ("kid", "kid_baseline", "fid")]
        rows.append(f"| {entry.get('from')} → {entry.get('to')} | {' | '.join(cells)} |")
    where = (
        f"On test pictures that training never saw, at {scores.get('px')} px, features: "
        f"{_plain(scores.get('features'))}. Less is better."
    )
    return [where, "\n".join(rows)]


def _value(entry: Mapping[str, Any], key: str) -> str:
    found = entry.get(key)
    number = found.get("value") if isinstance(found, dict) else found
    return f"{number:.4g}" if isinstance(number, int | float) else "–"


def _plain(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)


def _limits(model: Model) -> list[str]:
    invention = (
        "It shows what pictures of the other domain tend to look like, not what is there: a "
        "translation is an invention, and no evidence of anything."
    )
    reach = (
        "It knows the kind of pictures it was trained on. Other light, ages, skin tones, cameras "
        "and subjects than those may come out badly."
    )
    lines = [invention, reach]
    if model.prepare.faces:
        lines.append(
            "Do not use it to deceive about how a real person looks, to alter pictures of people "
            "without their consent, or to judge appearance."
        )
    lines.append("The licence of the weights is up to who trained them; Suyan sets none.")
    return lines
