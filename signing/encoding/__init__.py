"""Strict encoders: each reads exactly one form and refuses every other."""
