"""Prometheus metrics; labels are route templates, statuses and lanes, never anything personal."""

import os
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Defined by prometheus_client; `hub serve --workers` sets it for its children, whose counters are summed up."""

Gauge = tuple[str, str, dict[str, str], float]
"""name, help, labels, value."""


class Metrics:
    """The counters of one process, or of all processes that share a folder, and gauges read at every scrape."""

    def __init__(self, gauges: Callable[[], Iterable[Gauge]]) -> None:
        """gauges: called at every scrape, in the thread of the request."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "hub_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "hub_request_seconds", "Time to answer.", ("route",), registry=self._registry, buckets=_BUCKETS
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._shown = CollectorRegistry() if SHARED_FOLDER in os.environ else self._registry
        if self._shown is not self._registry:
            MultiProcessCollector(self._shown)  # type: ignore[no-untyped-call]
        ProcessCollector(registry=self._shown)
        GCCollector(registry=self._shown)
        self._shown.register(_Gauges(gauges))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is a template and `method` a known one, which bounds the number of labels."""
        key = (method, route, status)
        found = self._children.get(key)
        if found is None:
            found = (self._requests.labels(method, route, str(status)), self._seconds.labels(route))
            self._children[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self._shown)


class _Gauges(Collector):
    def __init__(self, gauges: Callable[[], Iterable[Gauge]]) -> None:
        self._gauges = gauges

    def describe(self) -> Iterable[Metric]:
        """Empty, because registering must not touch the database."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """One metric family per name."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, text, labels, value in self._gauges():
            if name not in families:
                families[name] = GaugeMetricFamily(name, text, labels=tuple(labels))
            families[name].add_metric(tuple(labels.values()), value)
        return families.values()
