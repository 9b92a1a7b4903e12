"""What the hub costs, each figure beside floors measured in the same run: `python -m tests.benchmarks`."""
