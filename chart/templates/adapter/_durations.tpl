{{/*
A duration as Prometheus and Go write it (15s, 1m30s, 500ms, 1.5h) in milliseconds: (list KEY TEXT). The key is for the message.
*/}}
{{- define "dcgm-exporter.milliseconds" -}}
{{- $key := index . 0 -}}
{{- $text := index . 1 | toString -}}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d|w))+$" $text) -}}
{{- fail (printf "%s: %q is no duration such as 15s or 1m30s" $key $text) -}}
{{- end -}}
{{- $factors := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h|d|w)" $text -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $factors $unit)) -}}
{{- end -}}
{{- int64 (round $sum 0) -}}
{{- end -}}

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
{{- include "dcgm-exporter.milliseconds" (list "serviceMonitor.interval" (default "1m" .Values.serviceMonitor.interval)) -}}
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
{{- fail (printf "adapter.maxAge: with %s metrics would come and go, because a scrape comes every %ds; take at least twice that" .Values.adapter.maxAge (div $scrape 1000)) -}}
{{- end -}}
{{- if lt $age $relist -}}
{{- fail (printf "adapter.maxAge: %s is less than the relist interval of %ds, which prometheus-adapter refuses" .Values.adapter.maxAge (div $relist 1000)) -}}
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
