"""Operator commands: init, check and doctor."""
