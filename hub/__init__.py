"""The certificate hub: services, rules, storage, HTTP API and command line around `signing` and `indexer`."""

__version__ = "0.1.0"
