"""``fedtwin partition``: shows the partition of the rows over clients, as a table and a figure."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from shared.config.compose import CONF_DIR, from_hydra
from shared.runtime.terminal import report_errors


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def main(overrides: DictConfig) -> None:
    """Print and plot the label counts of every client.

    Parameters
    ----------
    overrides : DictConfig
        Composed by Hydra from ``conf/`` and the command line.
    """
    with report_errors():
        from rich.console import Console  # imported late: not needed for --help and --cfg

        from shared.data.images.dataset import load_images
        from shared.data.partition.partition import counts_table, label_counts, partition_images
        from shared.runtime.home import open_home
        from simulations.report.comparison_figures import label_distribution, save

        cfg = from_hydra(overrides)
        home = open_home(cfg.tracking)
        data = load_images(cfg.data, cache_dir=home.cache, progress=cfg.trainer.progress)
        parts = partition_images(data, cfg=cfg.partition, num_partitions=cfg.federation.num_clients)
        counts = label_counts(parts, labels=data.labels, splits=data.splits, num_classes=len(data.classes))
        names = [f"client-{index}" for index in range(len(parts))]
        console = Console()
        console.print(counts_table(counts, classes=data.classes, names=names))
        home.results.mkdir(parents=True, exist_ok=True)
        path = home.results / f"partition_{data.fingerprint[:8]}_{cfg.partition.name}_{cfg.partition.seed}.png"
        save(label_distribution(counts, data.classes, names), path)
        console.print(f"figure  {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
