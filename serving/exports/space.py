"""``suyan export --as space``: a folder that runs a model with Gradio and onnxruntime alone."""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

import yaml

from core.files import atomic_file, canonical_json
from serving.exports.portable_settings import SETTINGS_NAME, portable_settings
from serving.model_export import GeneratorExport, export_model, require_new
from serving.models import Model

REQUIREMENTS = ("gradio>=6.20,<7", "onnxruntime>=1.20", "numpy>=2", "pillow>=11")
"""All that the app needs."""
_WORK_PX = 1024


def export_space(model: Model, out: Path, *, overwrite: bool = False) -> list[GeneratorExport]:
    """Write ONNX files, ``app.py``, its requirements and a card into ``out``; the ONNX files.

    The folder is a Space as the Hugging Face hub and ModelScope run it, and starts anywhere with
    ``pip install -r requirements.txt`` and ``python app.py``. Raises as ``export_model`` does.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".suyan-") as name:
        folder = Path(name)
        exports = export_model(model, folder, "onnx")
        files = {each.direction: each.file for each in exports}
        settings = portable_settings(model, files, _WORK_PX)
        app = resources.files("serving.exports").joinpath("space_app.py")
        contents = {
            SETTINGS_NAME: canonical_json(settings, indent=2),
            "app.py": app.read_text("utf-8"),
            "requirements.txt": "\n".join(REQUIREMENTS) + "\n",
            "README.md": _card(model, (folder / "README.md").read_text(encoding="utf-8")),
        }
        for file, content in contents.items():
            (folder / file).write_text(content, encoding="utf-8")
        drafts = sorted(folder.iterdir())
        require_new(out, {draft.name for draft in drafts}, overwrite=overwrite)
        for draft in drafts:
            with atomic_file(out / draft.name) as target:
                target.write(draft.read_bytes())
    return [
        GeneratorExport(out / each.file.name, each.direction, each.max_abs_diff) for each in exports
    ]


def _card(model: Model, card: str) -> str:
    """The model's card with the front matter of a Space."""
    front = {
        "title": f"{model.prepare.domain_a} ⇄ {model.prepare.domain_b}",
        "emoji": "🖼️",
        "sdk": "gradio",
        "app_file": "app.py",
        "pinned": False,
        "tags": ["cyclegan", "image-to-image", "suyan"],
    }
    _, _, text = card.removeprefix("---\n").partition("---\n")
    return f"---\n{yaml.safe_dump(front, allow_unicode=True, sort_keys=False)}---\n{text}"
