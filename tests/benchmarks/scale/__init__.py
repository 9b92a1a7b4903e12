"""A city's worth of certificates: made up, loaded, asked for, and measured beside the floors of the same run."""
