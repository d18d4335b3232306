"""Starts a kit's programs under a `Supervisor`: a site's SuperNode, or the server's SuperLink and nginx."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from federated.deploy.run import zygote_client
from federated.deploy.run.auto_resume import AutoResumer
from federated.deploy.run.node_registration import register
from federated.deploy.run.supervisor import Program, Supervisor
from federated.kit.files import make_folder, open_to_others, write_private
from federated.kit.flower_cli import environment, tool
from federated.kit.node_key import read_private_key
from federated.kit.server_kit import LOOPBACK, SERVER_FILE, ServerKit, state_folder, superlink_answers
from federated.kit.site_file import CA_FILE, KEY_FILE, SITE_FILE, read_site
from shared.runtime.errors import DeployError
from shared.runtime.home import open_home
from shared.runtime.signals import sigterm_as_interrupt

Say = Callable[[str], None]
_CLIENTAPP = "flwr-clientapp"  # what Flower starts for a message
_NGINX_PLACES = ("/usr/sbin/nginx", "/usr/local/sbin/nginx")


def start(kit: Path, *, resume: bool = True) -> None:
    """Run a kit until Ctrl-C or SIGTERM.

    Parameters
    ----------
    kit : Path
        The folder of a site's kit or of the server's.
    resume : bool
        Whether the server resumes interrupted runs by itself.

    Raises
    ------
    DeployError
        It is neither, or it cannot be started as it is.
    KeyboardInterrupt
        A signal came, and everything that was started has ended.
    """
    kit = kit.absolute()
    # A script's background job inherits that it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with sigterm_as_interrupt(), ExitStack() as stack:
        duties: list[Callable[[], None]] = []
        if (kit / SERVER_FILE).is_file():
            server = ServerKit(kit)
            programs = server_programs(server)
            duties.append(_Registrar(server).tick)
            if resume:
                duties.append(stack.enter_context(AutoResumer(server, home=open_home())).tick)
        elif (kit / SITE_FILE).is_file():
            programs = site_programs(kit)
        else:
            raise DeployError(
                f"{kit} is not a kit: it has neither {SERVER_FILE} nor {SITE_FILE}; name its folder"
            )
        supervisor = stack.enter_context(Supervisor(programs))
        while True:
            supervisor.tick()
            for duty in duties:
                duty()
            time.sleep(0.25)


def site_programs(kit: Path) -> list[Program]:
    """What runs at a site.

    Parameters
    ----------
    kit : Path
        Absolute.

    Raises
    ------
    DeployError
    """
    site = read_site(kit / SITE_FILE)
    node_config = site.node_config(site_file=kit / SITE_FILE)
    read_private_key(kit / KEY_FILE)
    if mode := open_to_others(kit / KEY_FILE):
        raise DeployError(f"others may read {kit / KEY_FILE} (mode {mode:o}): chmod 600 {kit / KEY_FILE}")
    state = make_folder(state_folder(kit))
    command = [tool("flower-supernode"), "--root-certificates", str(kit / CA_FILE), "--superlink", site.server]
    command += ["--auth-supernode-private-key", str(kit / KEY_FILE), "--node-config", node_config]
    command += ["--host", LOOPBACK, "--port", str(site.node_port)]
    home = {"FLWR_HOME": str(make_folder(state / "flower")), "FEDTWIN_HOME": str(make_folder(state / "home"))}
    # Decoded images lie in the home: it belongs to this site alone, and no database is used.
    env = {name: value for name, value in environment(home).items() if name != "FEDTWIN_DATABASE_URL"}
    zygote = make_folder(state / "zygote")
    call = [sys.executable, "-IS", str(Path(zygote_client.__file__)), str(zygote), tool(_CLIENTAPP)]
    write_private(zygote / "bin" / _CLIENTAPP, f'#!/bin/sh\nexec {shlex.join(call)} "$@"\n', runnable=True)
    node_env = {**env, "PATH": f"{zygote / 'bin'}{os.pathsep}{env['PATH']}"}
    parent = [sys.executable, "-m", "federated.deploy.run.zygote", str(zygote)]
    return [
        Program("supernode", command, node_env, state / "log" / "supernode.log"),
        Program("zygote", parent, env, state / "log" / "zygote.log"),
    ]


def server_programs(kit: ServerKit) -> list[Program]:
    """What runs on the server.

    Raises
    ------
    DeployError
        nginx is not installed.
    """
    nginx = shutil.which("nginx") or next((place for place in _NGINX_PLACES if Path(place).exists()), None)
    if nginx is None:
        raise DeployError(
            "nginx is not installed, and without it sites cannot be let in safely: apt install nginx-light"
        )
    make_folder(kit.state / "nginx")
    write_private(kit.flower_home / "config.toml", kit.connection())  # the kit may have been moved
    home, tls = open_home(), kit.folder / "tls"
    env = environment(
        {
            "FLWR_HOME": str(kit.flower_home),
            "FEDTWIN_HOME": str(home.root),
            "FEDTWIN_DATABASE_URL": home.database_url,
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.5",  # it starts a ServerApp once a run
        }
    )
    superlink = [tool("flower-superlink"), "--ssl-ca-certfile", str(kit.ca)]
    superlink += ["--ssl-certfile", str(tls / "server.crt"), "--ssl-keyfile", str(tls / "server.key")]
    superlink += ["--enable-supernode-auth", "--disable-runtime-dependency-installation"]
    superlink += ["--host", LOOPBACK, "--port", str(kit.settings.superlink_port)]
    superlink += ["--database", str(kit.state / "superlink.db")]
    proxy = [nginx, "-e", "stderr", "-p", f"{kit.state}/", "-c", str(kit.folder / "nginx.conf")]
    return [
        Program("superlink", superlink, env, kit.state / "log" / "superlink.log"),
        Program("nginx", proxy, env, kit.state / "log" / "nginx.log"),
    ]


class _Registrar:
    """Brings the SuperLink's keys in line with the kit's, at the start and whenever the kit's change."""

    def __init__(self, kit: ServerKit, say: Say = lambda line: print(line, flush=True)) -> None:
        self.kit, self.say = kit, say
        self.known: list[tuple[str, int]] | None = None
        self.due = 0.0

    def tick(self) -> None:
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + 1.0
        keys = [(path.name, path.stat().st_mtime_ns) for path in sorted(self.kit.nodes.glob("*.pub"))]
        if keys == self.known or not superlink_answers(self.kit):
            return
        try:
            changes = register(self.kit)
        except DeployError as error:
            self.due = time.monotonic() + 10.0
            self.say(str(error))
            return
        self.known = keys
        self.say(
            f"ready: {len(keys)} keys of sites; registered {', '.join(changes.added) or 'none'}, "
            f"removed {', '.join(changes.removed) or 'none'}"
        )
