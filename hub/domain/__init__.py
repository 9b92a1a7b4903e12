"""Business rules on frozen dataclasses: standard library only, no clock, no I/O."""
