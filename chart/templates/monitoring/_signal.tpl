{{/*
What autoscalers act on, and how often it is scraped. Queries and monitors both ask here. Nothing here may ask for the entries of
`autoscaling` by dcgm-exporter.targets: their queries ask for the interval.
*/}}

{{/*
The longest interval at which busy seconds are scraped, in milliseconds; a minute, Prometheus' own, where none is given. The monitor's
second look at the signal does not count: queries take the newest two samples of a window, and exporters of other releases, which the
same queries are for, may have no second look.
*/}}
{{- define "dcgm-exporter.signalMilliseconds" -}}
{{- include "dcgm-exporter.milliseconds" (list "serviceMonitor.interval" (default "1m" .Values.serviceMonitor.interval)) -}}
{{- end -}}

{{/* What the monitor takes a second look at, as a JSON list of series; empty where it has none. */}}
{{- define "dcgm-exporter.signalScrape" -}}
{{- $signal := .Values.serviceMonitor.signal -}}
{{- $page := include "dcgm-exporter.milliseconds" (list "serviceMonitor.interval" (default "1m" .Values.serviceMonitor.interval)) | int64 -}}
{{- $isSooner := lt (include "dcgm-exporter.secondLookMilliseconds" . | int64) $page -}}
{{- $isWanted := or (eq $signal.enabled "true") (and (eq $signal.enabled "auto") $isSooner) -}}
{{- if and $isWanted (include "dcgm-exporter.monitorKind" .) -}}{{- include "dcgm-exporter.signalSeries" . -}}{{- else -}}[]{{- end -}}
{{- end -}}

{{/*
How often it takes it, in milliseconds: no more often than every second collection, for between two looks there must be a collection,
or the mean since the look before has no value.
*/}}
{{- define "dcgm-exporter.secondLookMilliseconds" -}}
{{- $wanted := include "dcgm-exporter.milliseconds" (list "serviceMonitor.signal.interval" .Values.serviceMonitor.signal.interval) | int64 -}}
{{- max $wanted (mul 2 (include "dcgm-exporter.collectionMilliseconds" . | int64)) -}}
{{- end -}}

{{/* The same as Prometheus writes it: as the values have it, where that is so. */}}
{{- define "dcgm-exporter.secondLook" -}}
{{- $milliseconds := include "dcgm-exporter.secondLookMilliseconds" . -}}
{{- $wanted := .Values.serviceMonitor.signal.interval -}}
{{- eq $milliseconds (include "dcgm-exporter.milliseconds" (list "serviceMonitor.signal.interval" $wanted)) | ternary $wanted (printf "%sms" $milliseconds) -}}
{{- end -}}

{{/* How far the exporter's collections lie apart, in milliseconds, by its arguments, variables or configuration file. */}}
{{- define "dcgm-exporter.collectionMilliseconds" -}}
{{- $flag := include "dcgm-exporter.flagValue" (list . "(c|collect-interval)" "DCGM_EXPORTER_INTERVAL") -}}
{{- $file := get (get (.Values.config | default dict) "collection" | default dict) "interval" | toString -}}
{{- if regexMatch "^[0-9]+$" $flag -}}{{- $flag -}}
{{- else if regexMatch "^([0-9]+(ms|[smh]))+$" $file -}}{{- include "dcgm-exporter.milliseconds" (list "config.collection.interval" $file) -}}
{{- else -}}1000{{- end -}}
{{- end -}}

{{/*
How often the autoscalers' parts look for what is new, in milliseconds: as often as Prometheus does, and never more often than every 5s,
for they ask for all pods and all metrics.
*/}}
{{- define "dcgm-exporter.lookMilliseconds" -}}
{{- $page := include "dcgm-exporter.signalMilliseconds" . | int64 -}}
{{- if include "dcgm-exporter.signalScrape" . | fromJsonArray -}}
{{- min $page (max 5000 (include "dcgm-exporter.secondLookMilliseconds" . | int64)) -}}
{{- else -}}
{{- $page -}}
{{- end -}}
{{- end -}}

{{/*
The series that the GPU metrics in use are made of, as a JSON list, each once; empty where nothing scales on a GPU metric. Queries of the
user's own count by the names in them.
*/}}
{{- define "dcgm-exporter.signalSeries" -}}
{{- $used := include "dcgm-exporter.gpuMetricsInUse" . | fromJsonArray -}}
{{- $names := list -}}
{{- range include "dcgm-exporter.gpuMetrics" . | fromJsonArray -}}
{{- if has .metric $used -}}{{- $names = concat $names (include "dcgm-exporter.seriesOf" (list $ .) | fromJsonArray) -}}{{- end -}}
{{- end -}}
{{- range include "dcgm-exporter.ownQueries" . | fromJsonArray -}}
{{- $names = concat $names (regexFindAll "(DCGM_FI|gpu_exporter)_[A-Za-z0-9_]*[A-Za-z0-9]" . -1) -}}
{{- end -}}
{{- uniq $names | toJson -}}
{{- end -}}

{{/* The metrics of files/metrics/gpu.yaml that entries of `autoscaling` name; the utilization, too, where the adapter serves whoever comes. */}}
{{- define "dcgm-exporter.gpuMetricsInUse" -}}
{{- $isForAll := or .Values.adapter.deploy (eq .Values.serviceMonitor.signal.enabled "true") -}}
{{- $used := $isForAll | ternary (list "gpu_utilization" "gpu_utilization_max") list -}}
{{- range .Values.autoscaling -}}
{{- range .metrics -}}{{- $used = concat $used (list .preset .metric | compact) -}}{{- end -}}
{{- end -}}
{{- toJson $used -}}
{{- end -}}

{{/* The queries of the user's own that an autoscaler asks, as a JSON list: KEDA's, and those of rules where the chart runs the adapter. */}}
{{- define "dcgm-exporter.ownQueries" -}}
{{- $queries := list -}}
{{- range .Values.autoscaling -}}{{- range .metrics -}}{{- $queries = append $queries .query -}}{{- end -}}{{- end -}}
{{- if .Values.adapter.deploy -}}
{{- range .Values.adapter.rules.extra -}}{{- $queries = concat $queries (list .seriesQuery .metricsQuery) -}}{{- end -}}
{{- end -}}
{{- compact $queries | toJson -}}
{{- end -}}

{{/* The series that an entry of files/metrics/gpu.yaml is made of, as a JSON list: (list . METRIC). */}}
{{- define "dcgm-exporter.seriesOf" -}}
{{- $metric := index . 1 -}}
{{- $names := list -}}
{{- range $metric.series -}}{{- $names = concat $names (list .name .rest | compact) -}}{{- end -}}
{{- if $metric.isLoad -}}
{{- range include "dcgm-exporter.secondsPairs" (index . 0) | fromJsonArray -}}{{- $names = concat $names (list .busy .observed) -}}{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
