{{/* The longest interval at which something that the adapter reads is scraped, in milliseconds; a minute, Prometheus' own, where none is given. */}}
{{- define "dcgm-exporter.scrapeMilliseconds" -}}
{{- $longest := include "dcgm-exporter.milliseconds" (list "serviceMonitor.interval" (default "1m" .Values.serviceMonitor.interval)) | int64 -}}
{{- range $i, $one := .Values.servingMonitors -}}
{{- with $one.interval -}}
{{- $longest = max $longest (include "dcgm-exporter.milliseconds" (list (printf "servingMonitors[%d].interval" $i) .) | int64) -}}
{{- end -}}
{{- end -}}
{{- $longest -}}
{{- end -}}

{{/* How often the adapter looks for metrics, in milliseconds. */}}
{{- define "dcgm-exporter.relistMilliseconds" -}}
{{- if .Values.adapter.relistInterval -}}
{{- include "dcgm-exporter.milliseconds" (list "adapter.relistInterval" .Values.adapter.relistInterval) -}}
{{- else -}}
{{- include "dcgm-exporter.lookMilliseconds" . -}}
{{- end -}}
{{- end -}}

{{/*
How long the adapter knows a metric after its last value, in milliseconds: it must outlast a scrape that came late and one that
failed, or the metric would come and go.
*/}}
{{- define "dcgm-exporter.maxAgeMilliseconds" -}}
{{- $scrape := include "dcgm-exporter.scrapeMilliseconds" . | int64 -}}
{{- $relist := include "dcgm-exporter.relistMilliseconds" . | int64 -}}
{{- if .Values.adapter.maxAge -}}
{{- $age := include "dcgm-exporter.milliseconds" (list "adapter.maxAge" .Values.adapter.maxAge) | int64 -}}
{{- if lt $age (mul 2 $scrape) -}}
{{- fail (printf "adapter.maxAge: with %s metrics would come and go, because Prometheus scrapes only every %ds; use at least twice that" .Values.adapter.maxAge (div $scrape 1000)) -}}
{{- end -}}
{{- if lt $age $relist -}}
{{- fail (printf "adapter.maxAge: %s is less than the relist interval of %ds, which prometheus-adapter rejects" .Values.adapter.maxAge (div $relist 1000)) -}}
{{- end -}}
{{- $age -}}
{{- else -}}
{{- max 60000 (mul 4 $scrape) $relist -}}
{{- end -}}
{{- end -}}

{{/* The window of rates in queries, as Prometheus writes it: four scrapes, at least two minutes. */}}
{{- define "dcgm-exporter.rateWindow" -}}
{{- max 120 (div (mul 4 (include "dcgm-exporter.scrapeMilliseconds" . | int64)) 1000) -}}s
{{- end -}}
