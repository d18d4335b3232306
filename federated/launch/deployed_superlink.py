"""`DeployedSuperLink`: one run on the SuperLink of a deployment, which others started."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path

from federated.kit.flower_cli import environment, tool
from federated.kit.server_kit import CONNECTION, ServerKit, superlink_answers
from federated.launch.flwr_run import flwr_run
from shared.config.config import Config
from shared.runtime.errors import DeployError
from shared.runtime.home import Home

_LOG_LINES = 15
_ASK_EVERY_S = 5.0
# A SuperLink that is busy, or just being started again by its supervisor, stays silent for a while.
_PATIENCE_S = 120.0


def check_superlink(kit: ServerKit) -> None:
    """Make sure that the SuperLink of a kit is up.

    Raises
    ------
    DeployError
    """
    if not superlink_answers(kit):
        raise DeployError(
            f"the SuperLink at {kit.control_address} does not answer; "
            f"start it on this machine with {kit.folder / 'start.sh'}"
        )


class DeployedSuperLink:
    """A run on a SuperLink that was there before and stays after.

    Parameters
    ----------
    cfg : Config
        Its ``federation.kit`` is the folder of the server's kit.
    home : Home
        The one that the SuperLink was started with.

    Raises
    ------
    DeployError
        There is no kit.
    """

    def __init__(self, cfg: Config, *, home: Home, run_id: int) -> None:
        assert cfg.federation.kit
        self.cfg, self.home, self.run_id = cfg, home, run_id
        self.kit = ServerKit(Path(cfg.federation.kit).expanduser())
        self._flower_run: int | None = None
        self._asked = self._heard = time.monotonic()

    def __enter__(self) -> DeployedSuperLink:
        check_superlink(self.kit)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        # Ctrl-C here stops the run there; sites that still train for it are not waited for.
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self._flower_run is not None:
            command = [tool("flwr"), "stop", str(self._flower_run), CONNECTION]
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(command, env=self._env(), capture_output=True, timeout=30, check=False)

    def submit(self, *, resume: bool) -> None:
        """Hand the run to the SuperLink.

        Raises
        ------
        FederationError
        """
        self._flower_run = flwr_run(
            run_id=self.run_id,
            home=self.home.root,
            resume=resume,
            env=self._env(),
            cwd=self.kit.flower_home,
            timeout=self.cfg.federation.start_timeout_s,
        )

    def alive(self) -> bool:
        """Whether the SuperLink still answers.

        Returns
        -------
        bool
            Asked every few seconds; its supervisor has two minutes to start it again.
        """
        now = time.monotonic()
        if now - self._asked >= _ASK_EVERY_S:
            self._asked = now
            if superlink_answers(self.kit):
                self._heard = now
        return now - self._heard < _PATIENCE_S

    def app_ended(self) -> bool:
        """Whether the run's app is known to be gone: never, of a SuperLink that others started."""
        return False

    def _env(self) -> dict[str, str]:
        return environment({"FLWR_HOME": str(self.kit.flower_home)})

    def log_tail(self) -> str:
        """The end of what the SuperLink wrote."""
        log = self.kit.state / "log" / "superlink.log"
        with suppress(OSError):
            return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return f"(no log at {log})"
