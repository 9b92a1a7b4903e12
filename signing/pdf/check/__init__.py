"""Check untrusted PDF files in a sandboxed child process without keys, database or network."""
