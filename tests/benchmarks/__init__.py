"""The cost of the hub, each figure next to floors measured in the same run: `python -m tests.benchmarks`."""
