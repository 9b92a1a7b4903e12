"""Strict encoders: each decoder accepts exactly one form and rejects all others."""
