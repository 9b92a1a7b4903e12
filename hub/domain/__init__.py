"""Rules on frozen dataclasses: standard library only, no clock, no input or output."""
