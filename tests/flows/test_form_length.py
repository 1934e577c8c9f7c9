"""The form of a run in the Prefect UI, as a browser shows it."""

import base64
import shutil

import pytest
from prefect.client.orchestration import SyncPrefectClient

from flows.server.services import Services

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
SCREEN = {"width": 1280, "height": 800}
_HEIGHT = """() => Math.max(...[...document.querySelectorAll("*")].map((each) =>
    /auto|scroll/.test(getComputedStyle(each).overflowY) ? each.scrollHeight : 0))"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH (apt install chromium)")
def test_every_form_fits_on_three_screens(services: Services, client: SyncPrefectClient) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: '.[dev]'")
    secret = base64.b64encode(b"tester:a-secret-of-the-test").decode()
    heights = {}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=SCREEN)
        page.set_default_timeout(120_000)
        page.add_init_script(f"localStorage.setItem('prefect-password', '{secret}')")
        for flow in ("pipeline", "crawl", "refresh-dataset", "train", "evaluate"):
            deployment = client.read_deployment_by_name(f"{flow}/makeup")
            address = services.server.api_url.removesuffix("/api")
            page.goto(f"{address}/deployments/deployment/{deployment.id}/run")
            page.get_by_text("Everything else").wait_for()
            page.get_by_text("Additional Options").wait_for()
            heights[flow] = page.evaluate(_HEIGHT)
        browser.close()
    assert all(SCREEN["height"] <= height <= 3 * SCREEN["height"] for height in heights.values())
    assert heights["pipeline"] > heights["train"]  # each was measured, and not an empty page
