"""PDF files of versions and copies: drawn, signed and stored once."""
