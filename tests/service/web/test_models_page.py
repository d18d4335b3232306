"""The page of the model registry in Chromium: promotion, rollback and card by keyboard, at two widths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from service.app import create_app
from service.settings import Settings
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.contracts.test_store_models import complete
from tests.service.server_kit import chromium, serving

TOKEN = "train-correct-horse_battery"


@pytest.fixture
def address(home: Home, store: Store) -> Iterator[str]:
    for f1 in (0.8, 0.9, 0.5):
        complete(store, f1=f1)
    store.models.promote("ward-7", "1.0.0")
    settings = Settings(database_url=home.database_url, home=home, train_token=TOKEN)
    with serving(create_app(settings)) as port:
        yield f"http://127.0.0.1:{port}"


def press(page: Page, name: str) -> None:
    button = page.get_by_role("button", name=name)
    button.focus()
    page.keyboard.press("Enter")


def test_a_version_is_promoted_and_rolled_back_by_keyboard(address, store):
    complaints: list[str] = []
    with chromium() as browser:
        for width in (1440, 400):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(f"{address}/models")
            page.get_by_role("link", name="ward-7").click()
            expect(page.get_by_role("heading", name="ward-7", exact=True)).to_be_visible()
            press(page, "Sign in")
            expect(page.get_by_label("Token")).to_be_focused()
            page.keyboard.type(TOKEN)
            page.keyboard.press("Enter")
            press(page, "Make version 1.0.1 production")
            expect(page.get_by_text("production is 1.0.1.")).to_be_focused()
            press(page, "Make version 1.0.2 production")
            expect(page.get_by_text("f1>=0.7: f1 is 0.5")).to_be_visible()
            press(page, "Roll production back")
            expect(page.get_by_text("production is 1.0.0 again.")).to_be_visible()
            expect(page.get_by_role("button", name="Roll production back")).to_be_focused()
            press(page, "Model card of version 1.0.0")
            expect(page.get_by_role("heading", name="Model card of 1.0.0")).to_be_focused()
            expect(page.locator("pre")).to_contain_text("not a medical device")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            found = Axe().run(page)
            assert not found.response["violations"], found.generate_report()
            page.close()
    assert not complaints
    assert store.models.aliases("ward-7") == {"production": "1.0.0"}
    assert [event.kind for event in store.models.history("ward-7")].count("rolled_back") == 2
