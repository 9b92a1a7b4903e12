"""The HTTP endpoints. Each parses the request, calls one step and shapes the reply."""
