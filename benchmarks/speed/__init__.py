"""What a training costs, ours beside others: `python -m benchmarks.speed`; see docs/performance.md."""
