from pathlib import Path

import pytest

from cli import doctor
from core.workspace import Workspace


def test_the_doctor_finds_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "worker.json").write_text('{"pid": 1}')
    monkeypatch.setattr(doctor, "_NO_DISK_GB", 1e9)
    monkeypatch.setattr(doctor, "_TIMEOUT_S", 0.5)
    findings = {
        finding.subject: finding for finding in doctor.examine(Workspace(tmp_path), "makeup")
    }
    problems = {name for name, finding in findings.items() if finding.level == "problem"}
    assert problems == {"disk", "catalogue", "worker"}
    assert findings["worker"].remedy == "suyan up"
    assert findings["server"].level == "note"
    assert findings["Python"].level == "ok"


def test_another_locale_and_a_missing_compiler_are_notes_with_their_cost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert doctor._locale().level == doctor._compiler().level == "ok"
    monkeypatch.setattr("locale.getencoding", lambda: "gbk")
    monkeypatch.setenv("PATH", str(tmp_path))
    locale, compiler = doctor._locale(), doctor._compiler()
    assert (locale.level, locale.remedy) == ("note", "export LC_ALL=C.UTF-8")
    assert locale.observation.startswith("gbk: ")
    assert compiler.level == "note"
    assert "half as long again" in compiler.observation
    assert "g++" in compiler.remedy
