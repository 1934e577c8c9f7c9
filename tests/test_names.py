"""Names are nouns of the field: no participle, no pronoun."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "core", "storage", "scraping", "preprocessing", "training", "evaluation", "serving", "flows",
    "cli",
)  # fmt: skip
# Not names: of anything (a parameter, a local, an attribute, a function, a class, a constant).
BANNED = {
    "told", "found", "shown", "seen", "looks", "kept", "made", "one", "there", "here", "these",
    "those", "some", "others", "theirs", "ours", "mine", "it", "given", "wanted", "known", "taken",
    "gone", "came", "begun", "said", "asked", "many", "few", "what", "who", "when", "thing",
    "things", "stuff", "tmp", "way", "ways", "at_once", "many_at_once", "patience_s",
}  # fmt: skip
# Words that no name contains: the field has others.
BANNED_WORDS = {
    "told", "shown", "looks", "alikeness", "errand", "errands", "crew", "tally", "wish", "wishes",
    "alike", "manners", "studio", "rival", "standing", "gather", "gathering", "obtainer",
}  # fmt: skip
# Not ours to change: config.json of existing versions holds these fields, and digests include them.
STORED = {"duplicate_alike", "doubtful_alike"}


def _names(path: Path) -> Iterator[tuple[int, str]]:
    """Every name that the module binds, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield 0, node.asname


def _words(name: str) -> list[str]:
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in separated.lower().split("_") if word]


@pytest.mark.parametrize("package", PACKAGES)
def test_names_say_what_they_hold(package: str) -> None:
    bad = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, name in _names(path)
        if name not in STORED
        if "_".join(_words(name)) in BANNED or BANNED_WORDS & set(_words(name))
    ]
    assert not bad, f"{len(bad)} names:\n" + "\n".join(bad)
