"""A stage's version must be raised when a change of its code can change results."""

import ast
import json

import pytest
from stage_versions import RECORD, ROOT, VERSIONS, StageVersion, code_digest, record


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_code_changes_with_its_version(version: StageVersion) -> None:
    before = json.loads(RECORD.read_text(encoding="utf-8"))[version.name]
    code = version.digests()
    changed = sorted(
        path for path in code.keys() | before["code"] if code.get(path) != before["code"].get(path)
    )
    assert not changed or version.value > before["version"], (
        f"{version.name} is still {version.value}, and this code changed: {', '.join(changed)}. "
        "Raise the number if the same input can give another result now. Then, or if every result "
        "stays the same, record the code: python tests/support/stage_versions.py"
    )
    assert not changed, "record the code of the new version: python tests/support/stage_versions.py"
    assert version.value == before["version"]


def test_every_version_is_guarded() -> None:
    names = {
        f"{path.relative_to(ROOT).as_posix()}:{ast.unparse(node.targets[0])}"
        for package in ("scraping", "preprocessing", "training", "evaluation", "serving")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]).endswith("_VERSION")
        and isinstance(node.value, ast.Constant)
    }
    assert names == {version.name for version in VERSIONS}
    assert record().keys() == json.loads(RECORD.read_text(encoding="utf-8")).keys()


def test_layout_and_sentences_are_no_change() -> None:
    before = 'import a\n\ndef f(x):\n    """One."""\n    return x  # why\n'
    after = 'from b import c\nimport a\n\n\ndef f(x):\n    """Two."""\n\n    return (x)\n'
    assert code_digest(before) == code_digest(after)
    assert code_digest(before) != code_digest(before.replace("return x", "return x + 1"))
