{{/*
What autoscalers act on, and how often it is scraped. Queries and monitors both ask here. Nothing here may ask for the entries of
`autoscaling` by dcgm-exporter.targets: their queries ask for the interval.
*/}}

{{/* The interval at which busy seconds are scraped, in milliseconds; a minute, Prometheus' own, where none is given. */}}
{{- define "dcgm-exporter.signalMilliseconds" -}}
{{- include "dcgm-exporter.milliseconds" (list "serviceMonitor.interval" (default "1m" .Values.serviceMonitor.interval)) -}}
{{- end -}}

{{/* The series that the GPU metrics in use are made of, as a JSON list, each once; empty where nothing scales on a GPU metric. */}}
{{- define "dcgm-exporter.signalSeries" -}}
{{- $used := include "dcgm-exporter.gpuMetricsInUse" . | fromJsonArray -}}
{{- $names := list -}}
{{- range include "dcgm-exporter.gpuMetrics" . | fromJsonArray -}}
{{- if has .metric $used -}}{{- $names = concat $names (include "dcgm-exporter.seriesOf" . | fromJsonArray) -}}{{- end -}}
{{- end -}}
{{- uniq $names | toJson -}}
{{- end -}}

{{/* The metrics of files/metrics/gpu.yaml that entries of `autoscaling` name; the utilization, too, where the adapter serves whoever comes. */}}
{{- define "dcgm-exporter.gpuMetricsInUse" -}}
{{- $used := .Values.adapter.deploy | ternary (list "gpu_utilization" "gpu_utilization_max") list -}}
{{- range .Values.autoscaling -}}
{{- range .metrics -}}{{- $used = concat $used (list .preset .metric | compact) -}}{{- end -}}
{{- end -}}
{{- toJson $used -}}
{{- end -}}

{{/* The series that an entry of files/metrics/gpu.yaml is made of, as a JSON list. */}}
{{- define "dcgm-exporter.seriesOf" -}}
{{- $names := list -}}
{{- range .series -}}{{- $names = concat $names (list .name .rest | compact) -}}{{- end -}}
{{- toJson $names -}}
{{- end -}}
