"""The small web framework on top of FastAPI: routes, limits, requests, responses and problems.

Endpoints import it; it never imports endpoints.
"""
