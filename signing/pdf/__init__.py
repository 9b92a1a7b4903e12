"""The paper form of certificates: drawing and sealing PDF files, and reading strangers' ones."""
