"""Server, worker and deployments of `suyan up`; events, approval and notifications."""

import contextlib
import io
import json
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from uuid import UUID, uuid4

import prefect
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, DeploymentUpdate, LogCreate
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Running
from rich.console import Console

from cli import doctor
from core.errors import SuyanError
from core.workspace import Workspace
from flows.concurrency import one_at_a_time, run_limit
from flows.forms.effective import with_preset
from flows.recipes import makeup, with_engine
from flows.server import notifications, prefect_server
from flows.server.services import Services, up
from scraping.offline.corpus import portrait_corpus
from scraping.offline.server import OfflineEngine

pytestmark = pytest.mark.slow


@prefect.flow(name="of-a-test")
def _nothing() -> None:
    pass


@pytest.mark.slow
def test_old_runs_leave_the_database_with_their_logs_and_events(
    services: Services, client: SyncPrefectClient
) -> None:
    """The server cleans once an hour; this one does so every five seconds."""
    old, young = _ended(client, 8), _ended(client, 6)
    _until(lambda: _left(client, young, "events"), 60)  # it stores them with a delay
    _until(lambda: not _left(client, old, "events"), 60)
    assert len(_left(client, young, "events")) == 1
    with contextlib.closing(sqlite3.connect(services.server.home / "prefect.db")) as database:
        for run, days in ((old, 91), (young, 89)):  # only the server sets this column
            ended = str(datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days))
            command = "UPDATE flow_run SET end_time = ? WHERE id = ?"
            assert database.execute(command, (ended, str(run))).rowcount == 1
        database.commit()
    _until(lambda: not _left(client, old, "logs"), 60)
    with pytest.raises(ObjectNotFound):
        client.read_flow_run(old)
    assert not _left(client, old, "artifacts")
    assert client.read_flow_run(young).state_name == "Completed"
    assert len(_left(client, young, "logs")) == len(_left(client, young, "artifacts")) == 1


def _ended(client: SyncPrefectClient, days: int) -> UUID:
    """A run that ended, with a line of log, an artifact, and an event of so many days ago."""
    now = datetime.now(UTC)
    run = client.create_flow_run(_nothing).id
    client.set_flow_run_state(run, Running(), force=True)
    client.set_flow_run_state(run, Completed(), force=True)
    client.create_logs([LogCreate(name="test", level=20, message="a line", timestamp=now,
                                  flow_run_id=run)])  # fmt: skip
    client.create_artifact(ArtifactCreate(key="of-a-test", data="x", flow_run_id=run))
    event = {
        "event": "of.a.test",
        "occurred": (now - timedelta(days=days)).isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
        "id": str(uuid4()),
    }
    client.request("POST", "/events", json=[event])
    return run


Kept = Literal["events", "logs", "artifacts"]


def _left(client: SyncPrefectClient, run: UUID, what: Kept) -> list[Any]:
    """The remaining events, log lines or artifacts of ``run``."""
    asked: dict[str, Any]
    if what == "events":
        long = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
        asked = {"filter": {"occurred": long, "resource": {"id": [f"prefect.flow-run.{run}"]}}}
        events = client.request("POST", "/events/filter", json=asked).json()["events"]
        return [event for event in events if event["event"] == "of.a.test"]
    asked = {what: {"flow_run_id": {"any_": [str(run)]}}}
    if what == "logs":
        return list(client.request("POST", "/logs/filter", json=asked).json())
    return list(client.request("POST", "/artifacts/filter", json=asked).json())


def _until(condition: Callable[[], Any], timeout_s: float = 600) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(1)
    raise AssertionError(f"waited {timeout_s} s in vain for {condition}")


def test_up_twice_changes_nothing(
    services: Services, services_home: Path, client: SyncPrefectClient
) -> None:
    output = io.StringIO()
    again = up(Workspace(services_home), Console(file=output))
    assert again.worker_pid == services.worker_pid
    assert again.server.ui_url == services.server.ui_url
    assert "up to date" in output.getvalue()
    assert services.server.ui_url in output.getvalue()
    assert len(client.read_deployments()) == 10
    answer = client.request("POST", "/automations/filter", json={})
    names = [automation["name"] for automation in answer.json()]
    assert len(names) == len(set(names)) == 5


def _names(client: SyncPrefectClient, kind: str) -> list[str]:
    answer = client.request("POST", f"/{kind}/filter", json={})
    return sorted(each["name"] for each in answer.json())


def test_ones_own_recipes_are_deployed_updated_and_removed(
    services: Services, services_home: Path, client: SyncPrefectClient
) -> None:
    workspace = Workspace(services_home)
    automations, shipped = _names(client, "automations"), _names(client, "deployments")
    untouched = client.read_deployment_by_name("refresh-dataset/seasons")
    client.update_deployment_schedule(untouched.id, untouched.schedules[0].id, active=True)
    workspace.recipe_files.mkdir(exist_ok=True)

    def bring_up() -> str:
        output = io.StringIO()
        assert up(workspace, Console(file=output, width=200)).worker_pid == services.worker_pid
        return output.getvalue()

    file = workspace.recipe_file("cats")
    file.write_text("from: seasons\nschedule: {active: true}\ntrain: {ngf: 32}\n")
    text = bring_up()
    assert "evaluate: cats\n" in text
    assert "refresh-dataset/cats: Wednesdays at 3:00" in text
    assert _names(client, "deployments") == sorted(shipped + 5 * ["cats"])
    assert len(_names(client, "automations")) == len(automations) + 2
    train = client.read_deployment_by_name("train/cats")
    assert train.parameters["parameters"]["advanced"]["train"] == {"ngf": 32}
    assert "up to date" in bring_up()

    file.write_text("from: seasons\ntriggers: {evaluate: false}\ntrain: {ngf: 16}\n")
    assert "evaluate: cats\n" in bring_up()
    changed = client.read_deployment_by_name("train/cats")
    assert changed.id == train.id
    assert changed.parameters["parameters"]["advanced"]["train"] == {"ngf": 16}
    refresh = client.read_deployment_by_name("refresh-dataset/cats")
    assert [schedule.active for schedule in refresh.schedules] == [False]
    assert len(_names(client, "automations")) == len(automations) + 1

    file.write_text("from: seasons\ntrain: {nfg: 16}\n")
    with pytest.raises(ValueError, match=r"(?s)cats\.yaml is refused.*nearest is train\.ngf"):
        bring_up()
    assert _names(client, "deployments") == sorted(shipped + 5 * ["cats"])

    workspace.recipe_file("cats").rename(services_home / "cats.yaml")
    assert "Removed     cats: no such recipe any more" in bring_up()
    assert _names(client, "deployments") == shipped
    assert _names(client, "automations") == automations
    after = client.read_deployment_by_name("refresh-dataset/seasons")
    assert after.schedules[0].active  # as a person left it
    client.update_deployment_schedule(after.id, after.schedules[0].id, active=False)
    assert "up to date" in bring_up()


def test_the_weekly_refresh_is_on_the_calendar(client: SyncPrefectClient) -> None:
    """The server's scheduler fails silently when a library does not fit it."""
    scheduled = _until(lambda: _runs(client, "refresh-dataset/makeup"), 120)
    for run in scheduled:
        due = run.expected_start_time
        assert due is not None
        assert (due.weekday(), due.hour) == (6, 19)  # Monday, 3 o'clock in Shanghai
    assert not _runs(client, "refresh-dataset/seasons")


def test_strangers_and_other_pages_are_refused(services: Services) -> None:
    url = f"{services.server.api_url}/flows/filter"
    with pytest.raises(urllib.error.HTTPError, match="401"):  # without the password
        urllib.request.urlopen(f"{services.server.api_url}/admin/version")
    with pytest.raises(urllib.error.HTTPError, match="403"):  # without a CSRF token
        urllib.request.urlopen(urllib.request.Request(url, b"{}", method="POST"))
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    asked = urllib.request.Request(url, method="OPTIONS", headers=headers)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(asked)
    assert services.server.api_url.startswith("http://127.0.0.1:")


@pytest.mark.slow
@pytest.mark.timeout(1200)  # three runs in processes of their own, on a machine that may be busy
def test_a_refresh_leads_to_a_training_and_that_to_an_evaluation(
    services: Services, client: SyncPrefectClient, tmp_path: Path
) -> None:
    with OfflineEngine(portrait_corpus(num_good=40)) as engine, Webhook() as messages:
        small = with_preset(with_engine(makeup(), engine.url, allow_private_hosts=True), "trial")
        values = small.model_dump(mode="json")
        for side in ("crawl_a", "crawl_b"):
            values[side] |= {
                "phrases": values[side]["phrases"][:2],
                "suffixes": [],
                "num_images": 30,
                "requests_per_s_per_host": 50,
                "search_interval_s": 0.05,
                "refresh_after_h": 0,
            }
        pick = {
            "refresh-dataset": ["recipe", "crawl_a", "crawl_b", "prepare"],
            "train": ["recipe", "train"],
            "evaluate": ["recipe", "evaluate"],
        }
        with Parameters(client, {flow: {name: values[name] for name in names}
                                  for flow, names in pick.items()}):  # fmt: skip
            _notified(messages.url, tmp_path)
            deployment = client.read_deployment_by_name("refresh-dataset/makeup")
            client.create_flow_run_from_deployment(
                deployment.id, parameters={"workspace": str(tmp_path)}
            )
            evaluated = _until(lambda: _finished(client, "evaluate/makeup"))
        assert evaluated.state is not None
        assert evaluated.state.is_completed(), evaluated.state
        assert evaluated.parameters["workspace"] == str(tmp_path)
        lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[evaluated.id])))
        assert not [line for line in lines if line.name == "prefect.flow_runs.worker"]
        assert not [line for line in lines if "deployment" in line.message]  # of pull steps
        (trained,) = [  # another test of this server trains in its own workspace
            run for run in _runs(client, "train/makeup")
            if run.parameters.get("workspace") == str(tmp_path)
        ]  # fmt: skip
        (dataset,) = tmp_path.glob("datasets/makeup-bare-*")
        assert trained.parameters["dataset"] == dataset.name
        assert list(tmp_path.glob("runs/*/evaluation/*/report.html"))
        _approvals(client, tmp_path, messages.received)


def _approvals(client: SyncPrefectClient, workspace: Path, received: list[dict[str, str]]) -> None:
    """The same model is not decided, then rejected, then approved."""
    from flows.model import evaluate
    from flows.parameters import EvaluateParameters

    def asked(timeout_h: float, seed: int) -> EvaluateParameters:
        values = makeup().evaluate.model_dump(mode="json")
        values |= {"num_bootstrap": 50, "inception": "never", "seed": seed}
        return EvaluateParameters.model_validate(
            {"recipe": "makeup", "evaluate": values, "approval": "required"}
            | {"approval_timeout_h": timeout_h}
        )

    champion = workspace / "models" / "makeup" / "champion.json"
    champion.unlink(missing_ok=True)
    late = evaluate(parameters=asked(0.0005, 1), workspace=str(workspace), return_state=True)
    assert late.is_completed()
    assert "nobody decided" in str(late.message)
    assert not champion.exists()
    for seed, decision in ((1, "reject"), (2, "approve")):
        with _answering(client, {"decision": decision, "reason": "looked at it"}):
            state = evaluate(parameters=asked(1, seed), workspace=str(workspace), return_state=True)
        assert state.is_completed()
        assert "looked at it" in str(state.message)
        assert champion.exists() == (decision == "approve")
    again = evaluate(
        parameters=asked(1, 2), workspace=str(workspace), return_state=True
    )  # not asked twice
    assert again.is_completed()
    _until(lambda: [message for message in received if "champion" in message["subject"]], 60)


def _answering(client: SyncPrefectClient, answer: dict[str, str]) -> Any:
    """A thread that resumes the next paused run, first with a wrong form, then with ``answer``."""

    class Person(threading.Thread):
        def run(self) -> None:
            paused = _until(lambda: _paused(client), 60)
            wrong = client.resume_flow_run(paused.id, run_input={"decision": "perhaps"})
            assert wrong.status.value != "ACCEPT"
            client.resume_flow_run(paused.id, run_input=answer)

        def __enter__(self) -> None:
            self.start()

        def __exit__(self, *_: object) -> None:
            self.join()

    return Person(daemon=True)


def _paused(client: SyncPrefectClient) -> FlowRun | None:
    runs = client.read_flow_runs()
    return next((run for run in runs if run.state and run.state.is_paused()), None)


class Parameters:
    """Change the parameters of the makeup deployments during the block."""

    def __init__(self, client: SyncPrefectClient, values: dict[str, dict[str, Any]]) -> None:
        self._client, self._values = client, values
        self._before: dict[Any, Any] = {}

    def __enter__(self) -> None:
        for flow, parameters in self._values.items():
            deployment = self._client.read_deployment_by_name(f"{flow}/makeup")
            self._before[deployment.id] = deployment.parameters
            self._client.update_deployment(
                deployment.id, DeploymentUpdate(parameters={"parameters": parameters})
            )

    def __exit__(self, *_: object) -> None:
        for key, parameters in self._before.items():
            self._client.update_deployment(key, DeploymentUpdate(parameters=parameters))


def _runs(client: SyncPrefectClient, name: str) -> list[FlowRun]:
    deployment = client.read_deployment_by_name(name)
    return [run for run in client.read_flow_runs() if run.deployment_id == deployment.id]


def _finished(client: SyncPrefectClient, name: str) -> FlowRun | None:
    runs = _runs(client, name)
    return next((run for run in runs if run.state and run.state.is_final()), None)


class Webhook:
    """A local receiver of notifications."""

    def __init__(self) -> None:
        self.received: list[dict[str, str]] = []
        self.answer = b'{"errcode": 0}'
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                webhook.received.append(json.loads(self.rfile.read(length)))
                self.send_response(200 if "/secret-path" in self.path else 404)
                self.send_header("Content-Length", str(len(webhook.answer)))
                self.end_headers()
                self.wfile.write(webhook.answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/secret-path-of-the-test"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _notified(url: str, workspace: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(notifications.VARIABLE, url)
        patch.setenv("PREFECT_API_URL", "set, so that the settings of the test count")
        for _ in range(2):
            notifications.set_up(Workspace(workspace), Console(file=io.StringIO()), kind="webhook",
                          test=True, off=False)  # fmt: skip


@pytest.mark.remedy(
    "the webhook answered ",
    "the webhook refused the message: ",
    "the webhook cannot be reached: ",
    ", needed the webhook's address in the environment: read -rs ",
)
def test_a_webhook_that_refuses_the_test_replaces_none_that_works(
    services: Services, client: SyncPrefectClient, tmp_path: Path
) -> None:
    with Webhook() as messages:
        _notified(messages.url, tmp_path)
        before = client.read_block_document_by_name(notifications.BLOCK, "custom-webhook")
        refusing = messages.url.replace("secret-path", "wrong-path")
        with pytest.raises(SuyanError, match=r"answered 404.*nothing was changed") as raised:
            _notified(refusing, tmp_path)
        assert "wrong-path" not in str(raised.value)
        messages.answer = b'{"errcode": 310000, "errmsg": "keywords not in content"}'
        with pytest.raises(SuyanError, match="refused the message: keywords not in content"):
            _notified(messages.url, tmp_path)  # like DingTalk, with status 200
        after = client.read_block_document_by_name(notifications.BLOCK, "custom-webhook")
        assert after.updated == before.updated
        for wrong in ("dingtalk", "http://127.0.0.1:9/"):
            with pytest.raises((ValueError, SuyanError), match=r"environment|cannot be reached"):
                _notified(wrong, tmp_path)
        messages.answer = b"{}"
        _notified(messages.url, tmp_path)


@pytest.mark.remedy(
    "not running",
    "not running",
    "does not answer any more",
    "has ended: scheduled runs wait",
    "unknown without a server",
    "not registered",
    "older than code or recipes",
)
def test_the_doctor_finds_well_what_up_has_started(
    services: Services, services_home: Path, tmp_path: Path
) -> None:
    for check in (doctor._server, doctor._worker, doctor._deployments):
        before, after = check(Workspace(tmp_path)), check(Workspace(services_home))
        assert (before.level, after.level) == ("note", "ok")
        assert before.remedy.endswith(f"suyan up --workspace {tmp_path}")


@pytest.mark.remedy("found no running Prefect server for ")
def test_notifications_need_the_services(
    client: SyncPrefectClient, services_home: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(SuyanError, match=r"Run '.*suyan up --workspace .*' first"):
        notifications.set_up(Workspace(tmp_path), Console(file=io.StringIO()), kind="webhook",
                             test=False, off=True)  # fmt: skip
    assert prefect_server.running_server(Workspace(services_home)) is not None
    with Webhook() as messages:
        _notified(messages.url, tmp_path)


@pytest.mark.slow
def test_a_failed_run_is_told_and_no_secret_is_kept_in_the_open(
    services: Services, client: SyncPrefectClient, tmp_path: Path
) -> None:
    with Webhook() as messages:
        _notified(messages.url, tmp_path)
        assert messages.received[0]["subject"] == "Suyan: a test"
        deployment = client.read_deployment_by_name("train/makeup")
        with one_at_a_time(run_limit("train", "makeup")):
            run = client.create_flow_run_from_deployment(
                deployment.id, parameters={"workspace": str(tmp_path / "empty")}
            )
            _until(lambda: [line for line in _left(client, run.id, "logs")
                            if "waits for a slot" in line["message"]], 120)  # fmt: skip
            _until(lambda: client.read_flow_run(run.id).state_name == "Waiting", 60)
        notifications_of_run = _until(
            lambda: [sent for sent in messages.received if "train/makeup" in sent["subject"]]
        )
        assert "refresh-dataset/makeup" in notifications_of_run[0]["body"]
    for path in services.server.home.glob("prefect.db*"):
        content = path.read_bytes()
        assert b"secret-path-of-the-test" not in content
        assert b"a-secret-of-the-test" not in content
