"""The directory on Elasticsearch."""
