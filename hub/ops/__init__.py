"""What an operator runs: init, check and doctor."""
