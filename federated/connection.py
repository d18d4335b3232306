"""`Connection`: one run on the SuperLink of a deployment, which others started; `launch` uses it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from federated.deploy.server import ServerKit
from federated.deploy.start import superlink_answers
from federated.flower import environment
from federated.superlink import app_folder, flwr_run
from shared.config import Config
from shared.errors import DeployError
from shared.home import Home

_LOG_LINES = 15
_PATIENCE = 20  # polls: a SuperLink that is busy, or just being started again, may miss a few


class Connection:
    """A run on a SuperLink that was there before and stays after.

    Parameters
    ----------
    cfg : Config
        Its ``federation.kit`` is the folder of the server's kit.
    home : Home
        The one that the SuperLink was started with.
    run_id : int

    Raises
    ------
    DeployError
        There is no kit.
    """

    def __init__(self, cfg: Config, *, home: Home, run_id: int) -> None:
        assert cfg.federation.kit
        self.cfg, self.home, self.run_id = cfg, home, run_id
        self.kit = ServerKit(Path(cfg.federation.kit).expanduser())
        self._polls = self._silent = 0

    def __enter__(self) -> Connection:
        if not superlink_answers(self.kit):
            raise DeployError(
                f"the SuperLink at {self.kit.control_address} does not answer; "
                f"start it on this machine with {self.kit.folder / 'start.sh'}"
            )
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, *, resume: bool) -> None:
        """Hand the run to the SuperLink.

        Parameters
        ----------
        resume : bool

        Raises
        ------
        FederationError
        """
        flwr_run(
            app_folder(self.home),
            run_id=self.run_id,
            resume=resume,
            env=environment({"FLWR_HOME": str(self.kit.flower_home)}),
            cwd=self.kit.flower_home,
            timeout=self.cfg.federation.start_timeout_s,
        )

    def alive(self) -> bool:
        """Whether the SuperLink still answers.

        Returns
        -------
        bool
            Asked every few seconds; a ServerApp whose SuperLink is gone ends by itself.
        """
        self._polls += 1
        if self._polls % _PATIENCE == 0:
            self._silent = 0 if superlink_answers(self.kit) else self._silent + 1
        return self._silent < 3

    def log_tail(self) -> str:
        """The end of what the SuperLink wrote.

        Returns
        -------
        str
        """
        log = self.kit.state / "log" / "superlink.log"
        with suppress(OSError):
            return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return f"(no log at {log})"
