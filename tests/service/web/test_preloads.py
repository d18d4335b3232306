"""The HTML of a page names every module that it will import."""

from __future__ import annotations

import re

import pytest

from service.web.assets import MAIN, PAGES, PLOTLY, find_assets
from service.web.preloads import files_of, with_preloads

FILES = {
    "js/main.js": b'import { a } from "./a.js";\nconst later = () => import("./pages/later.js");\n',
    "js/a.js": b'import {\n  b,\n  c,\n} from "./deep/b.js";\nimport "./main.js";\nexport * from "./c.js";\n',
    "js/deep/b.js": b'import * as c from "../c.js"; // import "./comment.js"\n',
    "js/c.js": b"export const c = 1;\n",
}


def test_a_module_is_named_once_with_all_that_it_imports():
    assert files_of(FILES.get, ["js/main.js"]) == ["js/main.js", "js/a.js", "js/deep/b.js", "js/c.js"]


def test_links_stand_at_the_end_of_the_head():
    page = with_preloads(
        b"<head><title>x</title></head><body></head>", FILES.get, of=["vendor/p.js", "js/c.js"]
    )
    assert page == (
        b'<head><title>x</title>  <link rel="preload" as="script" href="/static/vendor/p.js">\n'
        b'  <link rel="modulepreload" href="/static/js/c.js">\n</head><body></head>'
    )


def test_every_page_that_the_router_knows_has_its_modules():
    main = find_assets().get(MAIN)
    assert main is not None
    loaded = {f"js/{name.decode()}" for name in re.findall(rb'import\("\./([^"]+)"\)', main.body)}
    assert loaded == {name for names in PAGES.values() for name in names if name != PLOTLY}


@pytest.mark.parametrize("route", PAGES)
def test_every_file_that_is_named_exists(route):
    assets = find_assets()
    names = re.findall(
        rb'<link rel="(?:modulepreload|preload" as="script)" href="/static/([^"]+)">',
        assets.page(PAGES[route]).body,
    )
    assert len(names) > 10
    assert [name for name in names if assets.get(name.decode()) is None] == []
