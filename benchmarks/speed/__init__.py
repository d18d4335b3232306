"""Speed benchmark: cost of a training with fedtwin and other systems; see docs/performance.md."""
