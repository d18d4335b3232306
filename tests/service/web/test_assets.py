"""What `/static` answers, and that plotly.js and Swagger UI work under the policy, in a real Chromium."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from playwright.sync_api import Browser

from service.security.middleware import SecurityMiddleware
from service.settings import Settings
from service.web.assets import STATIC, TYPES, VENDOR, Assets, build_web_router, find_assets
from shared.runtime.home import Home
from tests.service.server_kit import chromium, serving

TOKEN = "correct-horse_battery.staple~1"
LONG = b"/* as long as it takes to be worth compressing */\n" * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "secret.txt").write_text("not for you")
    (folder / "app.js").write_bytes(LONG)
    (folder / "small.css").write_bytes(b"a{}")
    (folder / "index.html").write_bytes(b"<!doctype html><title>the page</title>")
    (folder / "docs.html").write_bytes(b"<!doctype html><title>the description</title>")
    return folder


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    app = FastAPI(docs_url=None)
    names = ("app.js", "small.css", "index.html", "docs.html")
    app.state.assets = Assets({name: folder / name for name in names} | {"gone.js": folder / "gone.js"})
    app.include_router(build_web_router())
    with serving(app) as taken:
        yield taken


@pytest.fixture
def client(port: int) -> Iterator[httpx.Client]:
    base = f"http://127.0.0.1:{port}"
    with httpx.Client(
        base_url=base, trust_env=False, timeout=30, headers={"accept-encoding": "identity"}
    ) as opened:
        yield opened


# --- files ---------------------------------------------------------------------------------------------------


def test_all_addresses_of_the_page_answer_with_the_page(client):
    forms = ("/submit", "/datasets", "/webhooks")
    for path in ("/", "/runs/3", "/compare", "/compare?runs=1,2", *forms, "/jobs", "/jobs/7"):
        answer = client.get(path)
        assert "the page" in answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
    assert "the description" in client.get("/docs").text


def test_types_do_not_depend_on_the_machine(client, monkeypatch):
    monkeypatch.setattr("mimetypes.guess_type", lambda *_: ("text/plain", None))
    assert client.get("/static/app.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert client.get("/static/small.css").headers["content-type"] == "text/css; charset=utf-8"


def test_a_browser_that_has_a_file_does_not_get_it_again(client):
    first = client.get("/static/app.js")
    assert first.content == LONG
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = client.get("/static/app.js", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    for unknown in ('"other"', etag.strip('"'), ""):
        assert client.get("/static/app.js", headers={"if-none-match": unknown}).status_code == 200


def test_a_file_that_was_changed_is_read_again(client, folder):
    before = client.get("/static/small.css")
    (folder / "small.css").write_bytes(b"a{color:red}")
    after = client.get("/static/small.css", headers={"if-none-match": before.headers["etag"]})
    assert (after.status_code, after.content) == (200, b"a{color:red}")


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5, *;q=0", "deflate,gzip; q=1.0"])
def test_long_files_are_compressed_for_whoever_accepts_it(client, accepted):
    with client.stream("GET", "/static/app.js", headers={"accept-encoding": accepted}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "accept-encoding"
    assert gzip.decompress(packed) == LONG
    assert len(packed) == int(answer.headers["content-length"]) < len(LONG) / 10
    assert answer.headers["etag"] != client.get("/static/app.js").headers["etag"]


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.00", "x-gzip"])
def test_others_get_them_as_they_are(client, accepted):
    answer = client.get("/static/app.js", headers={"accept-encoding": accepted})
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.content == LONG


def test_short_files_are_not_compressed(client):
    answer = client.get("/static/small.css", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers


def test_head_answers_without_the_file(client):
    answer = client.head("/static/app.js")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", str(len(LONG)))
    assert client.head("/runs/3").status_code == 200
    assert client.post("/").status_code == 405


@pytest.mark.attack
@pytest.mark.parametrize(
    "path",
    [
        "/static/secret.txt",  # there, but not one of the files
        "/static/gone.js",
        "/static/",
        "/static/.",
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
        "/static/..%2fsecret.txt",
        "/static/js/../app.js",
        "/static//app.js",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..\\secret.txt",
        "/static/app.js%00",
        "/static/APP.JS",
        "/static/" + "a" * 4000,
    ],
)
def test_there_is_no_way_to_another_file(port, path):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            assert answer.readline().split()[1] == b"404"
            assert b"not for you" not in answer.read()


# --- what is shipped -----------------------------------------------------------------------------------------


def test_the_files_of_the_page_and_of_its_packages_are_found():
    assets = find_assets()
    for name in ("index.html", "docs.html", "docs.js", *VENDOR):
        asset = assets.get(name)
        assert asset is not None, name
        assert asset.body
    plotly = assets.get("vendor/plotly.min.js")
    assert plotly is not None
    assert plotly.gzipped is not None
    assert len(plotly.gzipped) < len(plotly.body) / 3
    assert assets.get("vendor/plotly.min.js") is plotly, "it is compressed once"
    forgotten = [path.name for path in STATIC.rglob("*") if path.is_file() and path.suffix not in TYPES]
    assert not forgotten, "these files are never served"


# --- in a browser --------------------------------------------------------------------------------------------

DRAW = """async () => {
  const config = { displaylogo: false, responsive: true, locale: "en-US" };
  const div = () => document.body.appendChild(document.createElement("div"));
  const lines = div();
  await Plotly.newPlot(lines, [
    { x: [1, 2, 3], y: [1, 3, 2], mode: "lines+markers", name: "<b>pooled</b>", line: { dash: "dash" } },
    { x: [1, 2, 3], y: [2, 4, 3], fill: "tonexty", mode: "lines", hovertemplate: "<i>%{y}</i>" },
    { type: "scattergl", x: [1, 2, 3], y: [2, 3, 1] },
    { type: "bar", x: [1, 2, 3], y: [1, 1, 2], error_y: { array: [0.1, 0.2, 0.3] } },
  ], { title: { text: "a <b>bold</b> and <i>slanted</i> title" }, hovermode: "x unified" }, config);
  await Plotly.newPlot(div(), [{ type: "heatmap", z: [[1, 2], [3, 4]], texttemplate: "%{z}" }], {}, config);
  await Plotly.newPlot(div(), [{ type: "heatmap", z: [[1, 2], [3, 4]], zsmooth: "fast" }], {}, config);
  await Plotly.newPlot(div(), [{ type: "bar", orientation: "h", y: ["a", "b"], x: [1, 2], base: [0, 1] }],
    { annotations: [{ x: 1, y: 0, text: "refused: <b>NaN</b>" }] }, config);
  Plotly.Fx.hover(lines, [{ curveNumber: 0, pointNumber: 1 }]);
  await Plotly.react(lines, [{ x: [1, 2, 3], y: [3, 2, 1] }], {}, config);
  const png = await Plotly.toImage(lines, { format: "png", width: 300, height: 200 });
  const modebar = getComputedStyle(document.querySelector(".modebar"));
  return { png, modebar: modebar.position, plots: document.querySelectorAll(".main-svg").length };
}"""
CONNECT = """() => new Promise((resolve) => {
  const socket = new WebSocket(`ws://${location.host}/ws/runs`);
  socket.onmessage = (event) => resolve(event.data);
  socket.onclose = (event) => resolve(event.code);
})"""
ASK = """async (url) => {
  const text = await fetch(url).then((answer) => answer.text(), () => "refused");
  const code = await new Promise((resolve) => {
    const socket = new WebSocket(url.replace("http", "ws").replace("/api/runs", "/ws/runs"));
    socket.onopen = () => resolve("open");
    socket.onclose = (event) => resolve(event.code);
  });
  const image = await new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve("loaded");
    image.onerror = () => resolve("refused");
    image.src = url;
  });
  return [text, code, image];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def site() -> FastAPI:
    """The page's own files, one operation and one stream."""
    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.assets = find_assets()

    @app.get("/api/runs")
    def runs(limit: int = 50) -> dict[str, int]:
        """List the runs."""
        return {"limit": limit}

    @app.websocket("/ws/runs")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("welcome")
        await websocket.close()

    app.include_router(build_web_router())
    return app


def settings(**changes: Any) -> Settings:
    return Settings(database_url="sqlite://", home=Home(Path("/nowhere"), "sqlite://"), **changes)


@pytest.fixture(scope="module")
def page_port() -> Iterator[int]:
    with serving(SecurityMiddleware(site(), settings=settings())) as taken:
        yield taken


def watched(browser: Browser, url: str) -> tuple[Any, list[str]]:
    """A page, and what its browser complains of from now on: errors, violations, requests to elsewhere."""
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    own = url.split("/")[2]
    page.on("request", lambda request: _is_outside(request.url, own) and complaints.append(request.url))
    page.goto(url)
    return page, complaints


def _is_outside(url: str, own: str) -> bool:
    return not url.startswith((f"http://{own}/", f"ws://{own}/", "data:", "blob:"))


def test_plotly_draws_and_exports_under_the_policy(browser, page_port):
    page, complaints = watched(browser, f"http://127.0.0.1:{page_port}/docs")
    page.add_script_tag(url="/static/vendor/plotly.min.js")
    drawn = page.evaluate(DRAW)
    assert drawn["png"].startswith("data:image/png;base64,")
    assert len(drawn["png"]) > 1000
    assert drawn["modebar"] == "absolute", "its style sheet is in force"
    assert drawn["plots"] >= 4
    assert page.evaluate(CONNECT) == "welcome"
    assert complaints == []
    page.close()


def test_the_policy_stops_what_is_inline_and_what_is_evaluated(browser, page_port):
    page, complaints = watched(browser, f"http://127.0.0.1:{page_port}/docs")
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = true'>");
          document.body.insertAdjacentHTML("beforeend", "<p id='p' style='color: rgb(1, 2, 3)'>text</p>");
          document.body.insertAdjacentHTML("beforeend", "<style>p { color: rgb(1, 2, 3) }</style>");
        }"""
    )
    assert page.evaluate("window.ran") is None
    assert page.evaluate("getComputedStyle(document.getElementById('p')).color") != "rgb(1, 2, 3)"
    assert len(complaints) >= 3
    page.close()


def test_the_description_of_the_api_needs_nothing_from_outside(browser, page_port):
    page, complaints = watched(browser, f"http://127.0.0.1:{page_port}/docs")
    page.get_by_text("/api/runs").first.click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".responses-inner", has_text='"limit": 50').wait_for()
    assert complaints == []
    page.close()


@pytest.mark.attack
def test_a_stranger_s_page_in_the_same_browser_gets_nothing(browser, page_port):
    with serving(FastAPI(docs_url=None)) as elsewhere:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{elsewhere}/openapi.json")
        for host in ("127.0.0.1", "localhost"):
            answers = page.evaluate(ASK, f"http://{host}:{page_port}/api/runs")
            assert answers == ["refused", 1006, "refused"]
        page.close()


def test_a_browser_signs_in_once_and_a_link_from_elsewhere_needs_one_more_click(browser):
    with (
        serving(SecurityMiddleware(site(), settings=settings(token=TOKEN))) as port,
        serving(FastAPI()) as elsewhere,
    ):
        base = f"http://127.0.0.1:{port}"
        page, complaints = watched(browser, f"{base}/docs?token={TOKEN}")
        assert page.url == f"{base}/docs"
        assert page.evaluate(CONNECT) == "welcome"
        assert page.evaluate("document.cookie") == "", "no script can read the token"
        assert complaints == []
        page.goto(f"http://localhost:{elsewhere}/openapi.json")
        with page.expect_navigation():
            page.evaluate("url => { location.href = url }", f"{base}/docs?a=1")
        assert page.get_by_role("heading").inner_text() == "Unauthorized"
        with page.expect_navigation():
            page.get_by_role("link").click()
        page.get_by_text("/api/runs").first.wait_for()
        assert page.url == f"{base}/docs?a=1"
        page.context.clear_cookies()
        assert page.evaluate(CONNECT) == 4401, "a page finds out why its stream ended"
        page.close()
