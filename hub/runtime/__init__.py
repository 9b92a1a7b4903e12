"""What every process needs: clock, logs, heartbeat, serve lock and fsync."""
