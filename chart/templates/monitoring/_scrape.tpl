{{/*
The endpoints of the exporter's ServiceMonitor or PodMonitor: its page, and a second look at what autoscalers act on, where there is
one. Both stand in one object, so that Prometheus takes both or neither, and so that they change together.
*/}}
{{- define "dcgm-exporter.scrapeEndpoints" -}}
{{- $signal := include "dcgm-exporter.signalScrape" . | fromJsonArray -}}
- {{ include "dcgm-exporter.scrapeEndpoint" (dict "root" . "where" "serviceMonitor" "interval" .Values.serviceMonitor.interval "signal" $signal) | indent 2 | trim }}
{{- if $signal }}
- {{ include "dcgm-exporter.scrapeEndpoint" (dict "root" . "where" "serviceMonitor.signal" "interval" (include "dcgm-exporter.secondLook" .) "signal" $signal) | indent 2 | trim }}
{{- end }}
{{- end -}}

{{/*
One of them: (dict "root" . "where" KEY "interval" INTERVAL "signal" NAMES). The operator gives each target the exporter's own pod,
namespace and container as labels. With honorLabels they are dropped, so that those on the series are the workload's even where a
Prometheus overrides it, and series that nobody owns stay unowned. Without it everything is as with dcgm-exporter: the
workload's are exported_pod, exported_namespace and exported_container; people's dashboards for it ask for those names, so DCGM's
series have them here, too (exportedLabels), where a pod holds the GPU. The operator drops, and does not say so where anybody looks,
what has a timeout longer than its interval.

No series may come by both: the page's endpoint leaves the signal's series out, and the signal's keeps nothing else, also of an older
exporter, which prints its whole page. The signal's target is a job of its own, for up and scrape_* would be written twice else; its
series get the page's job back, so that nobody who reads them sees by which way they came.
*/}}
{{- define "dcgm-exporter.scrapeEndpoint" -}}
{{- $monitor := .root.Values.serviceMonitor -}}
{{- $isSignal := eq .where "serviceMonitor.signal" -}}
{{- $timeout := $monitor.scrapeTimeout -}}
{{- $isLonger := and $timeout .interval (gt (include "dcgm-exporter.milliseconds" (list "serviceMonitor.scrapeTimeout" (default "0s" $timeout)) | int64) (include "dcgm-exporter.milliseconds" (list (printf "%s.interval" .where) (default "0s" .interval)) | int64)) -}}
port: metrics
path: /metrics
{{- if $isSignal }}
params:
  "name[]":
    {{- toYaml .signal | nindent 4 }}
{{- end }}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with empty $isLonger | ternary $timeout .interval }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with include "dcgm-exporter.scrapeAccess" .root | trim }}
{{ . }}
{{- end }}
honorLabels: {{ $monitor.honorLabels }}
relabelings:
  - {action: replace, sourceLabels: [__meta_kubernetes_pod_name], targetLabel: exporter_pod}
  {{- if $monitor.honorLabels }}
  - {action: labeldrop, regex: pod|namespace|container}
  {{- end }}
  {{- with $monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if $isSignal }}
  - {action: replace, sourceLabels: [job], targetLabel: job, replacement: "${1}-signal"}
  {{- end }}
{{- $own := include "dcgm-exporter.exportedLabels" .root | fromYamlArray -}}
{{- if $isSignal -}}{{- $own = prepend $own (dict "action" "replace" "sourceLabels" (list "job") "regex" "(.+)-signal" "targetLabel" "job") -}}{{- end -}}
{{- if .signal -}}{{- $own = prepend $own (dict "action" ($isSignal | ternary "keep" "drop") "sourceLabels" (list "__name__") "regex" (join "|" .signal)) -}}{{- end -}}
{{- with concat $own (default list $monitor.metricRelabelings) }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "dcgm-exporter.exportedLabels" -}}
{{- if and .Values.serviceMonitor.exportedLabels .Values.serviceMonitor.honorLabels (not (include "dcgm-exporter.hasOldNames" .)) }}
{{- range list "pod" "namespace" "container" }}
- {action: replace, sourceLabels: [__name__, {{ . }}], regex: DCGM_.+;(.+), targetLabel: exported_{{ . }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Which object scrapes: ServiceMonitor, PodMonitor, or nothing where the cluster does not know it or nobody wants it. */}}
{{- define "dcgm-exporter.monitorKind" -}}
{{- $kind := .Values.podMonitor.enabled | ternary "PodMonitor" "ServiceMonitor" -}}
{{- $isWanted := or .Values.podMonitor.enabled (and .Values.serviceMonitor.enabled .Values.service.enable) -}}
{{- if and $isWanted (.Capabilities.APIVersions.Has (printf "%s/%s" .Values.serviceMonitor.apiVersion $kind)) -}}{{- $kind -}}{{- end -}}
{{- end -}}
