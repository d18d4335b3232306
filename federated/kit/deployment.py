"""`Deployment`: the operator's folder: authority, server's kit, sites' kits; made, changed and renewed here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from federated.kit.authority import Authority, Issued
from federated.kit.federation_file import FederationFile, SitePlan
from federated.kit.files import make_folder, pack, write_private
from federated.kit.node_key import new_key_pair
from federated.kit.server_kit import LOOPBACK
from federated.kit.writer import write_server_kit, write_site_kit
from shared.runtime.errors import DeployError

STATE = "deployment.json"


class Deployment:
    """A deployment on disk.

    Raises
    ------
    DeployError
        There is none, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        try:
            state: dict[str, Any] = json.loads((self.folder / STATE).read_text())
            self.plan = FederationFile.model_validate(state["plan"])
            self.numbers: dict[str, int] = state["numbers"]
            self.revoked: list[str] = state["revoked"]
        except OSError:
            raise DeployError(
                f"{self.folder} is no deployment: there is no {STATE}; "
                f"`fedtwin deploy init federation.yaml` makes one, --folder says where it is"
            ) from None
        except (ValueError, KeyError) as error:
            raise DeployError(f"{self.folder / STATE} is damaged: {error}; restore it from a backup") from None

    @classmethod
    def create(cls, plan: FederationFile, *, folder: Path) -> Deployment:
        """Make the authority, the certificate, the keys and all kits.

        Parameters
        ----------
        folder : Path
            Must not exist, or be empty.

        Raises
        ------
        DeployError
        """
        try:
            if folder.exists() and any(folder.iterdir()):
                raise DeployError(
                    f"{folder} is not empty; name a new folder with --output, or change the one that is there "
                    f"with `fedtwin deploy add`, `revoke` and `renew`"
                )
            make_folder(folder)
        except OSError as error:
            raise DeployError(f"{folder} cannot be used: {error.strerror}") from None
        write_private(folder / ".gitignore", "*\n")  # keys never reach git
        authority = Authority.create(plan.name).stored()
        write_private(folder / "ca" / "ca.crt", authority.certificate)
        write_private(folder / "ca" / "ca.key", authority.key)
        _write_state(folder, plan, {}, [])
        deployment = cls(folder)
        for site in plan.sites:
            deployment._make_site(site)
        deployment._save()
        deployment.renew_server()
        return deployment

    @property
    def server_kit(self) -> Path:
        """The folder of the server's kit."""
        return self.folder / "server"

    def site_kit(self, name: str) -> Path:
        """The folder of a site's kit."""
        return self.folder / "sites" / name

    def add(self, site: SitePlan) -> None:
        """Make the kit of one more site, and put its key into the server's kit.

        Raises
        ------
        DeployError
            There is, or was, a site of that name.
        """
        taken = {name.lower() for name in self.numbers}
        if site.name.lower() in taken:
            was = "was revoked" if site.name in self.revoked else "is there already"
            raise DeployError(f"site {site.name} {was}; give the new one another name")
        self.plan = self.plan.model_copy(update={"sites": (*self.plan.sites, site)})
        self._make_site(site)
        self._save()
        self._write_server(self._certificate())

    def revoke(self, name: str) -> None:
        """Take a site's key out of the server's kit, and delete its kit.

        Raises
        ------
        DeployError
            There is no such site, or it is the last one.
        """
        site = self._site(name)
        left = tuple(other for other in self.plan.sites if other != site)
        if not left:
            raise DeployError(f"site {name} is the only one; to end the deployment, delete its folder")
        self.plan = self.plan.model_copy(update={"sites": left})
        self.revoked.append(name)
        self._save()
        self._write_server(self._certificate())
        shutil.rmtree(self.site_kit(name), ignore_errors=True)
        for path in (*self.folder.glob(f"keys/{name}.pub"), *self.folder.glob(f"sites/{name}.tar.gz*")):
            path.unlink()

    def renew_site(self, name: str) -> None:
        """Give a site a new key pair and kit; the old key is refused once the server knows.

        Raises
        ------
        DeployError
        """
        self._make_site(self._site(name))
        self._write_server(self._certificate())

    def renew_server(self) -> None:
        """Sign a new certificate for the server; the sites need nothing new."""
        server = self.plan.server
        addresses = [server.address, *server.more_addresses, "localhost", LOOPBACK]
        self._write_server(self._authority().issue(list(dict.fromkeys(addresses)), days=self.plan.valid_days))

    def archives(self) -> dict[str, Path]:
        """The archives to hand out, by who gets them."""
        sites = {site.name: self.folder / "sites" / f"{site.name}.tar.gz" for site in self.plan.sites}
        return {"server": self.folder / "server.tar.gz", **sites}

    def _site(self, name: str) -> SitePlan:
        for site in self.plan.sites:
            if site.name == name:
                return site
        there = ", ".join(site.name for site in self.plan.sites)
        raise DeployError(f"there is no site {name!r}; there are {there}")

    def _make_site(self, site: SitePlan) -> None:
        # Numbers are never used again: the rows of an old run keep their meaning.
        number = self.numbers.setdefault(site.name, max(self.numbers.values(), default=-1) + 1)
        key = new_key_pair(site.name)
        write_private(self.folder / "keys" / f"{site.name}.pub", key.public)
        write_site_kit(
            self.site_kit(site.name),
            plan=self.plan,
            site=site,
            partition_id=number,
            key=key,
            ca_certificate=self._read("ca/ca.crt"),
        )
        pack(self.site_kit(site.name), archive=self.folder / "sites" / f"{site.name}.tar.gz")

    def _write_server(self, certificate: Issued) -> None:
        write_server_kit(
            self.server_kit,
            plan=self.plan,
            certificate=certificate,
            ca_certificate=self._read("ca/ca.crt"),
            nodes=[self.folder / "keys" / f"{site.name}.pub" for site in self.plan.sites],
        )
        pack(self.server_kit, archive=self.folder / "server.tar.gz")

    def _authority(self) -> Authority:
        return Authority.load(Issued(self._read("ca/ca.crt"), self._read("ca/ca.key")))

    def _certificate(self) -> Issued:
        return Issued(self._read("server/tls/server.crt"), self._read("server/tls/server.key"))

    def _read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise DeployError(f"{self.folder / name} cannot be read: {error.strerror}") from None

    def _save(self) -> None:
        _write_state(self.folder, self.plan, self.numbers, self.revoked)


def _write_state(folder: Path, plan: FederationFile, numbers: dict[str, int], revoked: list[str]) -> None:
    state = {"plan": plan.model_dump(mode="json"), "numbers": numbers, "revoked": revoked}
    write_private(folder / STATE, json.dumps(state, indent=2) + "\n")
