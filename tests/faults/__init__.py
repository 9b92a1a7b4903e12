"""Real processes that are stopped, starved and raced on a real data directory, and what must hold afterwards."""
