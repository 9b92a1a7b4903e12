"""The PDF form of certificates: drawing and sealing files, and checking untrusted ones."""
