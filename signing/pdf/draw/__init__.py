"""Draw and seal the PDF form of certificates."""
