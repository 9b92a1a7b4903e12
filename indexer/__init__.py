"""The directory: what exists and where. Entries, tokens, queries as data, and two engines.

Everything here is derived from the repository and can be rebuilt. It contains nothing personal: natural persons only as
party keys, organisations by name, no numbers. Knows no web framework, no keys, no types of the hub.
"""
