"""A release has one version: in pyproject.toml, in the newest heading of CHANGELOG.md, in its tag.

The kind: headings of the changelog against tags of this clone; a clone without tags has none to
compare.
"""

import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path

import pytest

from flows import installation

ROOT = Path(__file__).resolve().parents[1]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
Number = tuple[int, ...]


def number(version: str) -> Number:
    assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{version}: needed three numbers"
    return tuple(map(int, version.split(".")))


def releases() -> list[tuple[Number, date]]:
    """The releases of the changelog, in its order."""
    found = []
    for title in re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE):
        if title == "[Unreleased]":
            assert not found, "what is not released stands first"
            continue
        release = re.fullmatch(r"\[([\d.]+)\] - (\d{4}-\d\d-\d\d)", title)
        assert release, f"{title}: needed [VERSION] - YYYY-MM-DD"
        found.append((number(release[1]), date.fromisoformat(release[2])))
    return found


def git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs a clone with git: {done.stderr.strip()}")
    return done.stdout.split()


def test_the_version_is_that_of_the_newest_release_in_the_changelog() -> None:
    assert number(VERSION) == releases()[0][0]
    assert releases() == sorted(releases(), reverse=True)
    assert len({version for version, _ in releases()}) == len(releases())


def test_the_program_names_the_version_of_its_code() -> None:
    assert installation.VERSION == VERSION
    program = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] in
               installation.PACKAGES]  # fmt: skip
    assert not [path for path in program if f'"{VERSION}"' in path.read_text(encoding="utf-8")]


def test_tags_are_releases_and_a_tagged_commit_is_its_own() -> None:
    versions = {version for version, _ in releases()}
    for tag in git("tag", "--list", "v*"):
        assert number(tag.removeprefix("v")) in versions, f"{tag}: not in CHANGELOG.md"
    assert set(git("tag", "--points-at", "HEAD", "--list", "v*")) <= {f"v{VERSION}"}
