"""Real processes killed, starved of resources and raced on a real data directory, and what must hold afterwards."""
