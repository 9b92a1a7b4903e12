"""The certificate hub: steps, rules, storage, HTTP and command line around `signing` and `indexer`."""

__version__ = "0.1.0"
