"""``make setup`` installs what a user needs, from pinned files, by the words of the README.

The kind: with and without ``TORCH`` and ``INDEX``, read from what make would run. No test installs
PyTorch: what the words do on a machine is what uv and pip document.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from core.workspace import Workspace
from flows.installation import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8")

_OF_AN_INSTALLED_PACKAGE = """
from cli import doctor, main
from flows.deployments import prefect_yaml
from flows.installation import ROOT
from flows.server.resources import declared
assert prefect_yaml() and declared()
print(ROOT, *(each().level for each in (doctor._packages, doctor._server_code, doctor._face_model)))
"""


def make(*arguments: str) -> str:
    """What make prints, of a fresh clone."""
    command = ["make", "--no-print-directory", f"--file={ROOT / 'Makefile'}", *arguments]
    variables = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=True)
    return done.stdout


def planned(tmp_path: Path, *arguments: str) -> list[str]:
    """The installations that make would do there."""
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    lines = make("--dry-run", "--directory", str(tmp_path), *arguments).splitlines()
    return [line for line in lines if "uv pip install" in line]


def test_a_user_gets_no_tools_and_a_test_adds_them(tmp_path: Path) -> None:
    (user,) = planned(tmp_path, "demo")
    assert user.endswith("--editable '.[web,export]'")
    assert "--constraint constraints.txt" in user
    for target in ("test", "check"):
        first, tools = planned(tmp_path, target)
        assert (first, tools.endswith("--editable '.[dev]'")) == (user, True)
    assert "torch-backend" not in user
    assert "no-verify-hashes" not in user


def test_nobody_is_told_to_install_the_name_of_a_stranger() -> None:
    """``suyan`` on the package index is not ours: an installation names the folder."""
    files = [ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("*.toml")]
    for folder in (*PACKAGES, "docs", "deploy"):
        for kind in ("*.md", "*.py", "*.yaml", "*.po"):
            files += (ROOT / folder).rglob(kind)
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"pip install .*['\" ]suyan(?!\w)", line), f"{file}: {line}"


def test_one_word_chooses_torch_and_one_variable_the_index(tmp_path: Path) -> None:
    (user,) = planned(tmp_path, "demo", "TORCH=cpu")
    assert "--torch-backend cpu --no-verify-hashes" in user
    show = "show:;@echo $$PIP_INDEX_URL $$UV_DEFAULT_INDEX"
    assert (
        make("--eval", show, "show", "INDEX=https://mirror.example/simple").split()
        == ["https://mirror.example/simple"] * 2
    )
    assert make("--eval", "show:;@env", "show").count("mirror.example") == 0


def test_every_pin_has_hashes_and_no_address() -> None:
    text = re.sub(r"^#.*\n", "", PINS, flags=re.MULTILINE)
    pins = re.split(r"\n(?! )", text.strip())
    assert len(pins) > 200
    for pin in pins:
        assert re.fullmatch(r"[\w.-]+==[\w.+-]+( \\\n    --hash=sha256:[0-9a-f]{64})+", pin), pin
    assert "://" not in text


def test_the_installer_itself_is_pinned_by_hash() -> None:
    script = re.search(r"@(awk .*) > \$\(VENV\)/uv\.txt", (ROOT / "Makefile").read_text())
    assert script
    command = script.group(1).replace("$$", "$")
    extracted = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert re.fullmatch(r"uv==[\d.]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n", extracted)
    assert extracted in PINS
    assert command in (ROOT / "deploy" / "Dockerfile").read_text()


def test_every_file_of_others_is_named_and_its_licence_goes_with_the_package() -> None:
    """Binary files in the packages: models and fonts of others, and our own compiled catalogue."""
    import tomllib

    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = listed.stdout.splitlines()
    binary = {name for name in names if b"\0" in (ROOT / name).read_bytes()}
    binary -= {"core/language/zh_CN/LC_MESSAGES/suyan.mo"}
    assert len(binary) >= 3
    page = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    assert {name for name in binary if f"`{name}`" not in page} == set()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    licensed = {str(Path(name).parent) for name in project["license-files"]}
    assert {str(Path(name).parent) for name in binary} <= licensed
    assert project["license"] == "MIT AND Apache-2.0 AND OFL-1.1"


@pytest.mark.slow
def test_a_package_without_the_repository_has_every_file_and_starts(tmp_path: Path) -> None:
    """What ``pip install .`` copies: nothing beside the packages is read at run time."""
    source = tmp_path / "source"
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = {name for name in names.stdout.splitlines() if (ROOT / name).is_file()}
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    build = [
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "..",
        ".",
    ]
    subprocess.run([sys.executable, "-m", *build], cwd=source, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    ours = {name for name in tracked if name.split("/")[0] in PACKAGES}
    sources_of_files = {"core/language/zh_CN/LC_MESSAGES/suyan.po"}
    assert {name for name in ours if not (site / name).is_file()} <= sources_of_files
    done = subprocess.run(
        [sys.executable, "-P", "-c", _OF_AN_INSTALLED_PACKAGE],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    root, *levels = done.stdout.split()
    assert (Path(root), levels) == (site, ["ok", "ok", "ok"])


def test_compose_brings_server_worker_and_page_for_cpu_and_gpu() -> None:
    file = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    services = file["services"]
    version = re.search(r"^prefect==(\S+)", PINS, re.MULTILINE)
    assert version
    assert services["server"]["image"] == f"prefecthq/prefect:{version.group(1)}-python3.11"
    assert "profiles" not in services["server"]
    for profile in ("cpu", "gpu"):
        mine = {name: each for name, each in services.items() if each.get("profiles") == [profile]}
        assert {*mine} == {f"{kind}-{profile}" for kind in ("deploy", "worker", "page")}
        for name, each in mine.items():
            assert each["image"] == f"suyan:{profile}"
            assert each["environment"]["PREFECT_API_URL"] == "http://server:4200/api"
            assert each["volumes"] == [f"workspace:{each['environment']['SUYAN_HOME']}"]
            (before,) = each["depends_on"]
            assert before == ("server" if name.startswith("deploy") else f"deploy-{profile}")
            assert (ROOT / each["build"]["dockerfile"]).is_file()
            needs_gpu = profile == "gpu" and not name.startswith("deploy")
            assert ("nvidia" in json.dumps(each.get("deploy", {}))) == needs_gpu
        champion = Workspace(Path("/workspace")).recipe_models("makeup").champion
        assert f"until test -e {champion};" in mine[f"page-{profile}"]["command"][-1]
        for port in mine[f"page-{profile}"]["ports"] + services["server"]["ports"]:
            assert port.startswith("127.0.0.1:")  # neither asks for a password
    assert {*file["volumes"]} == {"workspace", "prefect"}
    assert (ROOT / ".env").read_text(encoding="utf-8").split() == ["COMPOSE_PROFILES=cpu"]


def test_the_server_of_compose_is_set_as_that_of_up() -> None:
    from flows.server import prefect_server

    server = prefect_server._server(Workspace(Path("/nowhere")), "127.0.0.1", 4200,
                                    started_here=False)  # fmt: skip
    expected = prefect_server._server_environment(server)
    file = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    environment = file["services"]["server"]["environment"]
    by_itself = {"PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_CSRF_PROTECTION_ENABLED"}
    names = ({*expected} & {*environment}) - by_itself
    assert len(names) >= 5
    assert {name: environment[name] for name in names} == {name: expected[name] for name in names}
