"""The directory: what exists and where. Entries, tokens, queries as data, and the engines that answer them.

Everything here is derived from the repository and may be thrown away. It holds nothing personal: people only as party
keys, organisations by name, no numbers. Knows no web framework, no keys, no types of the hub.
"""
