"""Small sources on disk: a configuration, encoded images, and ZIPs and folders made of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.config.compose import compose
from shared.config.data import ImageDataConfig

Files = Mapping[str, bytes]


@pytest.fixture(scope="session")
def plain_data_config() -> dict[str, Any]:
    return compose(["data=digits"]).data.model_dump()


@pytest.fixture
def data_config(plain_data_config: dict[str, Any]) -> Callable[..., ImageDataConfig]:
    def make(source: str, path: Path | None = None, **changes: Any) -> ImageDataConfig:
        plain = plain_data_config | {"source": source, "path": None if path is None else str(path)}
        columns = plain["columns"] | changes.pop("columns", {})
        return ImageDataConfig.model_validate(plain | {"columns": columns} | changes)

    return make


@pytest.fixture
def png() -> Callable[..., bytes]:
    """A PNG of one grey level, 0 to 255."""

    def encode(level: int = 0, size: int = 8) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.full((size, size), level, dtype=np.uint8)).save(buffer, "PNG")
        return buffer.getvalue()

    return encode


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[..., Path]:
    def make(files: Files, name: str = "data.zip") -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, content in files.items():
                archive.writestr(entry, content)
        return path

    return make


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    def make(files: Files, name: str = "data") -> Path:
        root = tmp_path / name
        for relative, content in files.items():
            path = root / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root

    return make


@pytest.fixture
def dataset(png: Callable[..., bytes]) -> Callable[..., dict[str, bytes]]:
    """Files of a set in which image ``i`` has grey level ``i`` and the labels alternate, sick and well."""

    def make(rows: int = 12, header: str = "filename,label", more: Callable[[int], str] = lambda i: "") -> Any:
        lines = [f"{i}.png,{'well' if i % 2 else 'sick'}{more(i)}" for i in range(rows)]
        images = {f"images/{i}.png": png(i % 256) for i in range(rows)}
        return {"metadata.csv": "\n".join([header, *lines]).encode(), **images}

    return make
