"""The service's models in a real process: predictions equal to those of `fedtwin.predict`, and limits."""

from __future__ import annotations

import base64
import csv
import io
import zipfile
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

import fedtwin
from service.api import model_schemas, models
from service.registry.model_host import ModelHost
from shared.tracking.store import Store
from tests.service.rows_kit import build_app
from tests.service.server_kit import serving

TOKEN = "train-correct-horse_battery"


@pytest.fixture(scope="module")
def table(tmp_path_factory, folder, comparison):
    """A logistic regression on a small table with a number, a category and gaps; its file."""
    random = np.random.default_rng(0)
    rows = [["size", "kind", "label"]]
    for number in range(120):
        size = random.normal()
        kind = "ab"[number % 2]
        rows.append(["" if number % 17 == 0 else f"{size:.3f}", kind, "high" if size > 0 else "low"])
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    settings = ["data=table", "task=tabular_classification", "model=linear", f"data.path={path}", "name=rows"]
    settings += [
        "data.target=label",
        "data.missing=indicator",
        "trainer.max_epochs=2",
        "trainer.progress=false",
    ]
    fedtwin.train([*settings, "trainer.accelerator=cpu"], store=folder)
    return path


@pytest.fixture(scope="module")
def client(comparison, folder, table) -> Iterator[httpx.Client]:
    home = comparison.run.home
    with Store(home.database_url) as store:
        app = build_app(store, home, train_token=TOKEN)
        app.state.model_host = ModelHost(home)
        headers = {"authorization": f"Bearer {TOKEN}"}
        with serving(app) as port:
            url = f"http://127.0.0.1:{port}/api/v1/models"
            with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=120) as opened:
                yield opened
        app.state.model_host.close()


@pytest.fixture(scope="module")
def name(comparison) -> str:
    with Store(comparison.run.home.database_url) as store:
        return store.models.of_run(comparison.pooled[0].id).model


@pytest.fixture(scope="module")
def images(two_classes) -> list[bytes]:
    found = []
    for pixels in np.load(two_classes)["test_images"][:5]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        found.append(file.getvalue())
    return found


def test_images_are_predicted_as_by_the_command(client, name, comparison, images, tmp_path):
    for number, content in enumerate(images):
        (tmp_path / f"{number}.png").write_bytes(content)
    expected = fedtwin.predict(comparison.pooled[0], tmp_path).records()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, content in enumerate(images):
            archive.writestr(f"{number}.png", content)
    version = {"version": "1.0.0"}
    zipped = client.post(
        f"/{name}/predict",
        params=version,
        content=packed.getvalue(),
        headers={"content-type": "application/zip"},
    )
    model_schemas.PredictionsOf.model_validate(zipped.json())
    assert zipped.json()["predictions"] == expected
    assert (zipped.json()["version"], zipped.json()["run_id"]) == ("1.0.0", comparison.pooled[0].id)
    encoded = [base64.b64encode(content).decode() for content in images]
    many = client.post(f"/{name}/predict", params=version, json={"images": encoded}).json()
    noun = many["noun"]
    assert [{**one, noun: f"{one[noun]}.png"} for one in many["predictions"]] == expected
    one = client.post(
        f"/{name}/predict", params=version, content=images[0], headers={"content-type": "image/png"}
    ).json()
    assert {**one["predictions"][0], noun: "0.png"} == expected[0]


def test_rows_are_predicted_as_by_the_command(client, table, folder):
    expected = fedtwin.predict("rows", table, store=folder).records()
    headers = {"content-type": "text/csv; charset=utf-8"}
    latest = {"version": "latest"}
    sent = client.post("/rows/predict", params=latest, content=table.read_bytes(), headers=headers).json()
    assert sent["predictions"] == expected
    with table.open() as file:
        rows = [
            {"size": float(row["size"]) if row["size"] else None, "kind": row["kind"]}
            for row in csv.DictReader(file)
        ]
    by_name = client.post("/rows/predict", params=latest, json={"rows": rows}).json()
    noun = by_name["noun"]
    assert [{**one, noun: f"line {int(one[noun]) + 2}"} for one in by_name["predictions"]] == expected


def test_what_cannot_be_predicted_has_a_code(client, name, images, monkeypatch):
    def refused(path: str, status: int, code: str, detail: str, **body) -> None:
        answer = client.post(path, params={"version": "latest"}, **body)
        found = answer.json()
        assert (answer.status_code, found.get("code")) == (status, code), found
        assert detail in found["detail"]

    image = {"content": images[0], "headers": {"content-type": "image/png"}}
    refused("/rows/predict", 422, "rows", "this model takes rows of a table, got image", **image)
    refused("/rows/predict", 422, "rows", "'kind'", json={"rows": [{"size": 1}]})
    refused("/rows/predict", 422, "rows", "expected a list of objects", json={"rows": [{"size": [1]}]})
    refused("/rows/predict", 422, "rows", 'expected {"rows"', json={"row": []})
    refused("/rows/predict", 422, "rows", "one or more", json={"rows": []})
    refused(f"/{name}/predict", 422, "rows", "image 0: this is not base64", json={"images": ["?"]})
    refused(f"/{name}/predict", 422, "rows", "image 0: 1 of 1 images", json={"images": ["aGk="]})
    refused(
        f"/{name}/predict", 422, "rows", "no JSON", content=b"{", headers={"content-type": "application/json"}
    )
    monkeypatch.setattr(models, "MOST_ROWS", 2)
    many = {"rows": [{"size": 1, "kind": "a"}] * 3}
    refused("/rows/predict", 422, "too_many_rows", "at most 2 rows", json=many)


def test_versions_are_compared(client, name, folder):
    answer = client.post(f"/{name}/compare", json={"first": "1.0.0", "second": "latest"})
    found = answer.json()
    model_schemas.VersionComparison.model_validate(found)
    expected = fedtwin.compare_versions(f"{name}@1.0.0", name, store=folder)
    assert {one["metric"]: one["verdict"] for one in found["metrics"]} == dict(expected["verdict"])
    assert found["sentence"].startswith(found["metrics"][0]["label"])
    same = client.post("/rows/compare", json={"first": "latest", "second": "1.0.0"}).json()
    assert {one["verdict"] for one in same["metrics"]} == {"equal"}


def test_an_export_is_made_and_downloaded(client, comparison, folder):
    made = client.post("/rows/versions/latest/exports", json={"format": "safetensors"})
    model_schemas.ExportedModel.model_validate(made.json())
    assert (made.status_code, made.json()["difference"], made.json()["rows"]) == (201, 0.0, 24)
    place = made.headers["location"].removeprefix("/api/v1/models")
    assert place == "/rows/versions/1.0.0/exports/safetensors"
    got = client.get(place)
    assert (len(got.content), got.headers["content-disposition"]) == (
        made.json()["bytes"],
        'attachment; filename="rows-1.0.0.safetensors"',
    )
    assert client.get("/rows/versions/latest/exports/onnx").status_code == 404
    refused = client.post("/rows/versions/latest/exports", json={"format": "json"}).json()
    assert (refused["code"], "expected pt2, onnx" in refused["detail"]) == ("export", True)
    refused = client.post("/rows/versions/latest/exports", json={"format": "executorch"}).json()
    assert (refused["code"], "not available" in refused["detail"]) == ("export", True)
    states = client.get("../export-formats").json()
    model_schemas.FormatStates.model_validate(states)
    assert {one["format"]: one["available"] for one in states["formats"]}["executorch"] is False
