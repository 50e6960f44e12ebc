"""Metrics and spans, made from finished records after the last byte went out; never from content.

Owns: every name that is sent out (`names`), what is counted and for which labels (`layout`, `series`), where the
counts of a host's processes live (`slots`), the Prometheus page (`page`, `prometheus`), spans and metrics for an
OpenTelemetry collector (`tracing`, `metrics`, `collector`). Pure: `names`, `layout`, `series`, `prometheus`,
`trace_context`. Does not own: the records, and who may see the page.

`pipeline.Telemetry` is the way in: the writer tells it which records are in the store now, each exactly once. What is
switched off is not imported.
"""
