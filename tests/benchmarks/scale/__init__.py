"""A city's worth of certificates: generated, loaded, queried, and measured against the floors of the same run."""
