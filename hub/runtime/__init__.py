"""What a process needs: clock, logs, heartbeat, serve lock and fsync."""
