"""Check PDF files from strangers, in a child process without keys, database or network."""
