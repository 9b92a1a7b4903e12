"""HTTP: thin endpoints (parse, call, shape) and the frame that runs them; the only package that knows statuses."""
