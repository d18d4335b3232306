"""The pages that submit and change, in Chromium: the story by keys alone, and what a viewer may not do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from service.app import create_app
from service.settings import Settings
from shared.runtime.home import Home
from shared.tracking.store import Store
from shared.tracking.tenants import DEFAULT
from tests.contracts.test_store_models import complete
from tests.job_kit import begun_sweep, claimed, fence, submit
from tests.service.server_kit import chromium, serving
from tests.service.webhooks_kit import receiving, status

TRAIN, VIEW = "train-correct-horse_battery", "view-correct-horse_battery"
WAIT_MS = 60_000
CHANGES = re.compile(
    r"Submit|Cancel|Retry|Stop|Edit|Delete|Make|Roll back|Remove|Set|Export|Pause|Run now|Upload|^Add webhook"
    r"|^Test webhook|^Send message"
)


@contextmanager
def page_of(settings: Settings, path: str, *, width: int = 1280) -> Iterator[Page]:
    """A page of a server, which must neither complain nor scroll sideways."""
    complaints: list[str] = []
    expect.set_options(timeout=WAIT_MS)
    with serving(create_app(settings)) as port, chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}{path}")
        yield page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not complaints


def press(page: Page, name: str, *, role: str = "button") -> None:
    page.get_by_role(role, name=name, exact=True).focus()
    page.keyboard.press("Enter")


def write(page: Page, field: Locator, text: str) -> None:
    field.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def sign_in(page: Page, token: str = TRAIN) -> None:
    press(page, "Sign in")
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def accessible(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    found = Axe().run(page)
    assert not found.response["violations"], found.generate_report()


def test_the_form_tells_each_problem_beside_its_field(home: Home, store: Store) -> None:
    settings = Settings(database_url=home.database_url, home=home, train_token=TRAIN)
    with page_of(settings, "/submit", width=400) as page:
        expect(page.get_by_role("heading", name="New training")).to_be_visible()
        expect(page.locator("form")).to_have_count(0)
        page.locator("main").get_by_role("button", name="Sign in").focus()
        page.keyboard.press("Enter")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("unknown to the server")
        write(page, page.get_by_label("Token"), TRAIN)
        page.keyboard.press("Enter")
        expect(page.get_by_text("Valid.", exact=True)).to_be_visible()
        rounds = page.get_by_label("Rounds federation.num_rounds")
        expect(rounds).to_have_attribute("placeholder", "10")
        write(page, rounds, "0")
        expect(rounds).to_have_attribute("aria-invalid", "true")
        expect(rounds).to_be_focused()
        expect(page.locator(".field-error:visible")).to_contain_text("a whole number of at least 1, got 0")
        press(page, "Submit")
        expect(rounds).to_be_focused()
        write(page, rounds, "3")
        expect(page.get_by_text("Valid.", exact=True)).to_be_visible()
        page.get_by_label("Partition", exact=True).select_option("quantity")
        expect(page.get_by_label("Sigma partition.sigma")).to_have_attribute("placeholder", "1")
        expect(page.get_by_label("Alpha partition.alpha")).to_have_count(0)
        write(page, page.get_by_label("One NAME=VALUE a line"), "trainer.max_epoch=3")
        expect(page.locator(".field-error:visible")).to_contain_text("did you mean trainer.max_epochs")
        accessible(page, "dark")
    assert store.jobs.search() == []


def test_a_sweep_is_submitted_and_its_job_leads_to_it(home: Home, store: Store) -> None:
    settings = Settings(database_url=home.database_url, home=home, train_token=TRAIN)
    with page_of(settings, "/") as page:
        sign_in(page)
        press(page, "Train", role="link")
        grid = page.get_by_label("Grid: NAME=VALUE,VALUE a line")
        expect(grid).to_be_hidden()
        page.get_by_role("radio", name="Sweep", exact=True).check()
        expect(page.get_by_text("1 problem.", exact=True)).to_be_visible()
        expect(page.locator(".field-error:visible")).to_contain_text("has no trials")
        expect(page.get_by_label("Start from a model")).to_be_hidden()
        expect(page.get_by_label("Seed seed", exact=True)).to_have_count(0)
        write(page, grid, "strategy=fedavg,fedprxo")
        expect(page.locator(".field-error:visible")).to_contain_text("did you mean fedprox?")
        expect(grid).to_have_attribute("aria-invalid", "true")
        write(page, grid, "strategy=fedavg,fedprox")
        write(page, page.get_by_label("Seeds", exact=True), "1,2")
        page.get_by_label("A trial is a").select_option("Federated")
        expect(page.get_by_text("Valid.", exact=True)).to_be_visible()
        accessible(page, "light")
        press(page, "Submit")
        expect(page.get_by_role("heading", name="sweep of 4 trials")).to_be_visible()
        sweep_id = begun_sweep(store, fence(claimed(store)))
        for name, place in ((f"Sweep {sweep_id}", "/runs/"), ("Compare trials", "/compare?runs=")):
            link = page.get_by_role("link", name=name, exact=True)
            expect(link).to_have_attribute("href", f"{place}{sweep_id}")
        expect(page.get_by_text("sweep: trial 0 of 4")).to_be_visible()
    plan = store.jobs.get(1).config["sweep"]
    assert (plan["mode"], plan["seeds"], plan["grid"]) == (
        "federated",
        [1, 2],
        {"strategy": ["fedavg", "fedprox"]},
    )


def test_a_dataset_is_uploaded_shown_and_deleted(home: Home, store: Store, tmp_path: Path) -> None:
    (tmp_path / "ward 7.csv").write_text("age,sick\n" + "".join(f"{20 + row},{row % 2}\n" for row in range(60)))
    settings = Settings(database_url=home.database_url, home=home, train_token=TRAIN)
    with page_of(settings, "/datasets", width=400) as page:
        expect(page.get_by_text("No datasets yet")).to_be_visible()
        expect(page.get_by_role("button", name="Upload")).to_have_count(0)
        sign_in(page)
        press(page, "Upload")
        expect(page.get_by_label("File")).to_be_focused()
        expect(page.get_by_text("Choose a file.")).to_be_visible()
        page.get_by_label("File").set_input_files(tmp_path / "ward 7.csv")
        expect(page.get_by_label("Name", exact=True)).to_have_value("ward-7")
        expect(page.get_by_label("Format")).to_have_value("csv")
        press(page, "Upload")
        expect(page.locator(".model-status")).to_have_text("ward-7 is ready.")
        press(page, "Show ward-7")
        expect(page.get_by_role("heading", name="ward-7")).to_be_focused()
        expect(page.get_by_role("region", name="First rows")).to_contain_text("20")
        accessible(page, "light")
        press(page, "Train", role="link")
        expect(page.locator("datalist option[value='ward-7']")).to_have_count(1)
        press(page, "Data", role="link")
        press(page, "Delete ward-7")
        expect(page.get_by_role("dialog")).to_contain_text("cannot be brought back")
        press(page, "Delete")
        expect(page.get_by_text("No datasets yet")).to_be_visible()
    assert store.datasets.search() == []


def test_webhooks_and_workers_by_keys(home: Home, store: Store) -> None:
    for name, lease_s, job_id in (("gpu-1 7", 60, submit(store)), ("gpu-2 8", 0, None)):
        about = {"host": name[:5], "pid": int(name[6:]), "backend": "process"}
        store.workers.beat(name, **about, lease_s=lease_s, job_id=job_id, new=True)
    _, boss = store.tokens.create(DEFAULT, name="boss", scope="admin", expires=None)
    settings = Settings(
        database_url=home.database_url, home=home, train_token=TRAIN, allowed_webhooks=("127.0.0.1",)
    )
    with receiving() as receiver, page_of(settings, "/jobs", width=400) as page:
        receiver.answers.append(status(500))
        workers = page.locator("section[aria-labelledby=workers-title]")
        expect(workers.get_by_role("listitem")).to_have_text([re.compile("busy.*Job 1"), re.compile("gone")])
        expect(page.get_by_text("gpu-1 7")).to_have_count(0)
        sign_in(page)
        expect(page.get_by_role("link", name="Webhooks")).to_have_count(0)
        press(page, "Sign out")
        sign_in(page, boss)
        expect(workers.get_by_text("gpu-1 7")).to_be_visible()
        accessible(page, "light")
        press(page, "Webhooks", role="link")
        expect(page.get_by_text("No webhooks yet")).to_be_visible()
        write(page, page.get_by_label("URL"), "http://10.0.0.1/")
        page.keyboard.press("Enter")
        expect(page.locator(".field-error:visible")).to_contain_text("10.0.0.1")
        write(page, page.get_by_label("URL"), receiver.url())
        page.get_by_label("job.queued").focus()
        page.keyboard.press("Space")
        press(page, "Add webhook")
        expect(page.get_by_text(re.compile("^whsec_"))).to_be_visible()
        expect(page.get_by_text("nothing sent yet")).to_be_visible()
        press(page, "Test webhook 1")
        expect(page.get_by_text("answered with 500")).to_be_visible()
        press(page, "Messages of webhook 1")
        expect(page.get_by_role("heading", name="Messages of webhook 1")).to_be_focused()
        press(page, "Send message 1 again")
        expect(page.get_by_role("listitem").get_by_text("delivered")).to_be_visible()
        expect(page.get_by_role("region", name="Messages", exact=True)).to_contain_text("204")
        accessible(page, "dark")
        press(page, "Delete webhook 1")
        press(page, "Delete webhook")
        expect(page.get_by_text("No webhooks yet")).to_be_visible()
    assert [json.loads(body)["type"] for _, body in receiver.got] == ["webhook.test"] * 2
    assert store.webhooks.search() == []


def test_a_sweep_is_asked_to_stop(home: Home, store: Store) -> None:
    sweep = store.runs.create(name="grid", training_mode="sweep", config={}, seed=1)
    other = store.runs.create(name="alone", training_mode="centralized", config={}, seed=1)
    settings = Settings(database_url=home.database_url, home=home, train_token=TRAIN)
    with page_of(settings, f"/runs/{sweep}") as page:
        sign_in(page)
        press(page, "Stop")
        press(page, "Stop the sweep")
        expect(page.get_by_text("The sweep is being stopped.")).to_be_visible()
        assert store.runs.get(sweep).summary["stop"] is True
        page.reload()
        expect(page.get_by_role("button", name="Stopping…")).to_be_disabled()
        page.goto(page.url.replace(f"/runs/{sweep}", f"/runs/{other}"))
        expect(page.get_by_text("Ctrl-C where it was started stops it")).to_be_visible()
        expect(page.get_by_role("button", name="Stop")).to_have_count(0)
        ask = (
            f"fetch('/api/runs/{other}/stop', {{method: 'POST', headers: {{Authorization: 'Bearer {TRAIN}'}}}})"
            ".then((answer) => answer.json())"
        )
        assert page.evaluate(ask)["code"] == "run_state"


@pytest.mark.slow
def test_the_story_by_keys_alone(home: Home, store: Store) -> None:
    complete(store)
    store.models.promote("ward-7", "1.0.0")
    settings = Settings(database_url=home.database_url, home=home, train_token=TRAIN, worker=True)
    with page_of(settings, "/") as page:
        sign_in(page)
        press(page, "Train", role="link")
        expect(page.get_by_role("heading", name="New training")).to_be_visible()
        page.get_by_role("radio", name="Comparison", exact=True).focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("radio", name="Federated")).to_be_checked()
        for label, value in (
            ("Run name", "ward 7"),
            ("Clients federation.num_clients", "2"),
            ("Rounds federation.num_rounds", "2"),
            ("Local epochs federation.local_epochs", "1"),
            ("Widths model.widths", "2,4"),
            ("Tags", "night"),
        ):
            write(page, page.get_by_label(label, exact=True), value)
        expect(page.get_by_text("Valid.", exact=True)).to_be_visible()
        press(page, "Submit")
        expect(page.get_by_role("heading", name="ward 7")).to_be_visible()
        expect(page.locator("h1 ~ .status-line .status")).to_have_text("completed", timeout=3 * WAIT_MS)
        expect(page.get_by_role("log")).to_contain_text("2/2")
        press(page, "Run 2", role="link")
        expect(page.get_by_label("Tags").get_by_text("night")).to_be_visible()
        press(page, "Edit name, note and tags")
        write(page, page.get_by_label("Note", exact=True), "of the night")
        press(page, "Save")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.locator(".run-description")).to_have_text("of the night")
        press(page, "Models", role="link")
        press(page, "ward-7", role="link")
        write(page, page.get_by_label("Production needs"), "accuracy>=0.01")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Production needs accuracy>=0.01.")).to_be_visible()
        newest = store.models.versions("ward-7")[0].version
        press(page, f"Make version {newest} production")
        expect(page.get_by_text(f"production is {newest}.", exact=True)).to_be_focused()
        assert store.models.aliases("ward-7") == {"production": newest}
        press(page, f"Roll production back to the version before {newest}")
        expect(page.get_by_text("production is 1.0.0 again.")).to_be_visible()
    assert store.models.aliases("ward-7") == {"production": "1.0.0"}
    assert (store.runs.get(2).training_mode, store.runs.get(2).description) == ("federated", "of the night")


def test_jobs_and_runs_are_changed_by_keys_and_not_by_who_may_only_read(home: Home, store: Store) -> None:
    complete(store)
    for _ in range(2):
        submit(store, name="ward")
    settings = Settings(database_url=home.database_url, home=home, token=VIEW, train_token=TRAIN)
    with page_of(settings, f"/?token={VIEW}") as page:
        base = page.url.partition("/?")[0].rstrip("/")
        for path, there in (
            ("/jobs", "ward"),
            ("/jobs/1", "ward"),
            ("/runs/1", "ward 7"),
            ("/models/ward-7", "1.0.0"),
            ("/submit", "New training"),
            ("/datasets", "Datasets"),
            ("/webhooks", "Webhooks"),
        ):
            page.goto(base + path)
            expect(page.locator("main").get_by_text(there, exact=True).first).to_be_visible()
            expect(page.locator("main").get_by_role("button", name=CHANGES)).to_have_count(0)
            expect(page.locator("main").get_by_role("combobox", name="Priority")).to_have_count(0)
        for method, path in (
            ("DELETE", "/api/jobs/1"),
            ("DELETE", "/api/runs/1"),
            ("PATCH", "/api/runs/1"),
        ):
            ask = f"fetch('{path}', {{method: '{method}'}}).then((answer) => answer.status)"
            assert page.evaluate(ask) == 401, "its cookie may read"
        page.goto(f"{base}/jobs")
        sign_in(page)
        page.get_by_label("Priority of job 2").focus()
        page.keyboard.press("h")
        expect(page.get_by_text("Job 2 has the priority high.", exact=True).first).to_be_visible()
        expect(page.get_by_label("Priority of job 2")).to_be_focused()
        accessible(page, "light")
        press(page, "Cancel job 2")
        expect(page.get_by_role("button", name="Retry job 2")).to_be_visible()
        press(page, "Retry job 2")
        expect(page.get_by_role("button", name="Cancel job 2")).to_be_visible()
        page.goto(f"{base}/jobs/1")
        press(page, "Cancel job 1")
        expect(page.locator("h1 ~ .status-line .status")).to_have_text("cancelled")
        accessible(page, "dark")
        page.goto(f"{base}/runs/1")
        press(page, "Delete run 1")
        expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        expect(page.get_by_role("dialog")).to_contain_text("its version in the model registry")
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Delete run 1")).to_be_focused()
        assert store.runs.find(1) is not None
        page.keyboard.press("Enter")
        press(page, "Delete")
        expect(page.get_by_text("No runs yet")).to_be_visible()
    assert store.runs.find(1) is None
    assert [(job.id, job.status) for job in store.jobs.search()] == [(2, "queued"), (1, "cancelled")]
