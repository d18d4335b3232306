"""The site's own file, as the node's config names it: what may leave, and what may run there."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from flwr.app import Context

from federated.kit.site_file import SiteFile, read_site

SITE_FILE = "site-file"  # of the node config: the path of the site's own file


def site_of(context: Context) -> SiteFile | None:
    """The file of a site, read again when it has changed; None at a simulated node.

    Raises
    ------
    DeployError, OSError
        The file cannot be read.
    """
    path = context.node_config.get(SITE_FILE)
    return None if path is None else _site(str(path), Path(str(path)).stat().st_mtime_ns)


def may_run(context: Context) -> tuple[str, ...]:
    """What a site's own file allows to run there, beside what is ours; nothing where there is no file.

    Raises
    ------
    DeployError, OSError
        The file cannot be read.
    """
    site = site_of(context)
    return () if site is None else site.may_run


@lru_cache(maxsize=2)
def _site(path: str, changed: int) -> SiteFile:
    return read_site(Path(path))
