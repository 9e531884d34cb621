"""The figures of a server for Prometheus."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from judge.serving.batching import Batch
from judge.serving.versions import Models

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters and histograms of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "rmjudge_requests", "Requests by path and status.", ("path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "rmjudge_request_seconds",
            "From a request's head to the end of its response.",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.rewards = Counter("rmjudge_rewards", "Rewards given.", ("model",), registry=self.registry)
        self.unreadable = Counter(
            "rmjudge_unreadable", "Responses without a reward.", ("model",), registry=self.registry
        )
        self.cached = Counter("rmjudge_cached", "Rewards from the cache.", ("model",), registry=self.registry)
        self.batch_responses = Histogram(
            "rmjudge_batch_responses", "Responses of a batch.", ("model",), buckets=_SIZES, registry=self.registry
        )
        self.batch_seconds = Histogram(
            "rmjudge_batch_seconds",
            "Seconds that a batch is computed.",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batch_tokens = Counter(
            "rmjudge_batch_tokens", "Tokens of all batches, about.", ("model",), registry=self.registry
        )

    def watch(self, models: Models) -> None:
        """Show queue, drift and version of these models whenever the figures are asked for."""
        self.registry.register(_States(models))

    def observe_batch(self, model: str, batch: Batch) -> None:
        """Count a batch; called in a worker's thread."""
        self.batch_responses.labels(model).observe(batch.responses)
        self.batch_seconds.labels(model).observe(batch.seconds)
        self.batch_tokens.labels(model).inc(batch.tokens)

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request. path: a route of the server, so that strangers' paths make no series."""
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def page(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


class _States(Collector):
    """What is read off the models themselves."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        waiting = GaugeMetricFamily("rmjudge_waiting", "Responses that wait or are computed.", labels=["model"])
        index = GaugeMetricFamily("rmjudge_drift_psi", "Stability index of the last rewards.", labels=["model"])
        alarm = GaugeMetricFamily(
            "rmjudge_drift_alarm", "1 while the stability index is above its threshold.", labels=["model"]
        )
        version = GaugeMetricFamily("rmjudge_version", "1 for the version that serves.", labels=["model", "version"])
        switches = GaugeMetricFamily("rmjudge_switches", "Switches of version so far.", labels=["model"])
        for model in self._models:
            current = model.current
            waiting.add_metric([model.name], current.worker.waiting)
            if (value := current.drift.index) is not None:
                index.add_metric([model.name], value)
            alarm.add_metric([model.name], float(current.drift.alarmed))
            version.add_metric([model.name, current.id], 1.0)
            switches.add_metric([model.name], model.switches)
        return [waiting, index, alarm, version, switches]
