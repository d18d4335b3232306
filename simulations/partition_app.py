"""``fedtwin partition``: shows the partition of the rows over clients, as a table and a figure."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from shared.config.compose import CONF_DIR, from_hydra
from shared.runtime.terminal import report_errors


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def main(overrides: DictConfig) -> None:
    """Print and plot the counts of every client.

    Parameters
    ----------
    overrides : DictConfig
        Composed by Hydra from ``conf/`` and the command line.
    """
    with report_errors():
        from rich.console import Console  # imported late: not needed for --help and --cfg

        from shared.data.images.dataset import load_images
        from shared.data.partition.partition import partition
        from shared.data.profile import count_tables
        from shared.runtime.home import open_home
        from shared.tasks.image_classification.profile import profile_of
        from simulations.report.comparison_figures import save, value_distribution
        from simulations.report.count_text import count_text

        cfg = from_hydra(overrides)
        home = open_home(cfg.tracking)
        data = load_images(cfg.data, cache_dir=home.cache, progress=cfg.trainer.progress)
        parts = partition(data, cfg=cfg.partition, num_partitions=cfg.federation.num_clients)
        rows = [data.rows("train", part) for part in parts]
        tables = count_tables(
            [profile_of(data, own) for own in rows],
            clients=[f"client-{index}" for index in range(len(parts))],
            sizes=[len(own) for own in rows],
        )
        console = Console()
        home.results.mkdir(parents=True, exist_ok=True)
        for number, table in enumerate(tables):
            console.print(count_text(table))
            about = f"{data.fingerprint[:8]}_{cfg.partition.name}_{cfg.partition.seed}{number or ''}"
            path = home.results / f"partition_{about}.png"
            save(value_distribution(table), path)
            console.print(f"figure  {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
