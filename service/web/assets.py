"""Static assets: the page, plotly.js, Swagger UI, and the routes that serve them."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

from service.web.preloads import with_preloads

STATIC = Path(__file__).parents[1] / "static"
# Not `mimetypes`: its result for .js depends on the machine.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
PLOTLY = "vendor/plotly.min.js"
VENDOR = {
    PLOTLY: ("plotly", "package_data/plotly.min.js"),
    "vendor/swagger-ui.js": ("fastapi_offline", "static/swagger-ui-bundle.js"),
    "vendor/swagger-ui.css": ("fastapi_offline", "static/swagger-ui.css"),
}
MAIN = "js/main.js"
# By route: what its page loads beside the entry of all pages.
PAGES: dict[str, tuple[str, ...]] = {
    "/": ("js/pages/runs.js",),
    "/runs/{run}": (PLOTLY, "js/pages/run.js"),
    "/compare": ("js/pages/compare.js",),
    "/models": ("js/pages/models.js",),
    "/models/{model}": ("js/pages/models.js",),
    "/datasets": ("js/pages/datasets.js",),
    "/webhooks": ("js/pages/webhooks.js",),
    "/submit": ("js/pages/submit.js",),
    "/jobs": ("js/pages/jobs.js",),
    "/jobs/{job}": ("js/pages/job.js",),
}
_MIN_COMPRESSED_BYTES = 1024


@dataclass(frozen=True)
class Asset:
    """A file in memory, plain and compressed.

    Attributes
    ----------
    stamp : tuple
        Modification time in ns and size in bytes of the file that was read.
    body : bytes
    gzipped : bytes or None
        None if compression does not make it shorter.
    digest : str
        SHA-256 of the body, shortened.
    """

    stamp: tuple[int, int]
    media_type: str
    body: bytes
    gzipped: bytes | None
    digest: str


class Assets:
    """The files that can be requested, by name; each is read and compressed on its first request.

    Parameters
    ----------
    files : mapping of str to Path
        No other file can be reached.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._read: dict[str, Asset] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Asset | None:
        """Get a file in its current version.

        Parameters
        ----------
        name : str
            Its path below ``/static``.
        """
        path = self._files.get(name)
        if path is None:
            return None
        with self._lock:  # simultaneous first requests compress once
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_size)
                asset = self._read.get(name)
                if asset is None or asset.stamp != stamp:
                    asset = self._read[name] = _load(path, stamp=stamp)
            except FileNotFoundError:
                return None
        return asset

    def page(self, names: Sequence[str]) -> Asset:
        """The HTML of a page, with links to the modules that it will import.

        Parameters
        ----------
        names : sequence of str
            What the page loads beside ``MAIN``.
        """
        index = self.get("index.html")
        assert index is not None, "the installation lacks index.html"
        body = with_preloads(index.body, self._body, of=(MAIN, *names))
        return _asset(body, stamp=index.stamp, media_type=index.media_type)

    def _body(self, name: str) -> bytes | None:
        asset = self.get(name)
        return None if asset is None else asset.body


def find_assets() -> Assets:
    """Collect the files of the page and of the packages that it uses."""
    schema = {"stream.schema.json": STATIC.with_name("stream") / "stream.schema.json"}
    own = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.suffix in TYPES}
    vendor = {name: _in_package(package, file) for name, (package, file) in VENDOR.items()}
    return Assets(own | schema | vendor)


def build_web_router() -> APIRouter:
    """Routes of the pages and of ``/static``; they need `Assets` in ``app.state.assets``."""
    router = APIRouter(include_in_schema=False)

    def page(request: Request) -> Response:
        assets: Assets = request.app.state.assets
        return _answer(request, assets.page(PAGES[request.scope["route"].path]))

    def docs(request: Request) -> Response:
        return _answer(request, request.app.state.assets.get("docs.html"))

    def static(request: Request, name: str) -> Response:
        asset = request.app.state.assets.get(name)
        if asset is None:
            raise HTTPException(404, f"there is no file {name}")
        return _answer(request, asset)

    methods = ["GET", "HEAD"]
    for route in PAGES:
        router.add_api_route(route, page, methods=methods)
    router.add_api_route("/docs", docs, methods=methods)
    router.add_api_route("/static/{name:path}", static, methods=methods)
    return router


def _answer(request: Request, asset: Asset) -> Response:
    compressed = asset.gzipped if _accepts_gzip(request.headers.get("accept-encoding", "")) else None
    etag = f'"{asset.digest}-gzip"' if compressed else f'"{asset.digest}"'
    # Revalidated on every request (304 if unchanged): after an update no browser mixes old and new files.
    headers = {"etag": etag, "cache-control": "no-cache", "vary": "accept-encoding"}
    known = request.headers.get("if-none-match", "")
    if etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers=headers)
    if compressed:
        headers["content-encoding"] = "gzip"
    return Response(compressed or asset.body, media_type=asset.media_type, headers=headers)


def _accepts_gzip(header: str) -> bool:
    for choice in header.lower().split(","):
        name, _, quality = choice.partition(";")
        if name.strip() == "gzip":
            return re.fullmatch(r"q=0(\.0*)?", quality.strip()) is None
    return False


def _load(path: Path, *, stamp: tuple[int, int]) -> Asset:
    return _asset(path.read_bytes(), stamp=stamp, media_type=TYPES[path.suffix])


def _asset(body: bytes, *, stamp: tuple[int, int], media_type: str) -> Asset:
    compressed = gzip.compress(body, mtime=0) if len(body) >= _MIN_COMPRESSED_BYTES else body
    return Asset(
        stamp=stamp,
        media_type=media_type,
        body=body,
        gzipped=compressed if len(compressed) < len(body) else None,
        digest=hashlib.sha256(body).hexdigest()[:32],
    )


def _in_package(package: str, file: str) -> Path:
    spec = find_spec(package)  # does not import it
    assert spec is not None, f"{package} is not installed"
    assert spec.submodule_search_locations is not None, package
    return Path(spec.submodule_search_locations[0], file)
