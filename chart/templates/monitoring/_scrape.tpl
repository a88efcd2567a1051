{{/*
One endpoint of a ServiceMonitor or PodMonitor. The operator gives each target the exporter's own pod, namespace and
container as labels. With honorLabels they are dropped, so that those on the series are the workload's even where a
Prometheus overrides it, and series that nobody owns stay unowned. Without it everything is as with dcgm-exporter: the
workload's are exported_pod, exported_namespace and exported_container; people's dashboards for it ask for those names, so DCGM's
series have them here, too (exportedLabels), where a pod holds the GPU. The operator drops, and does not say so where anybody looks,
what has a timeout longer than its interval.
*/}}
{{- define "dcgm-exporter.scrapeEndpoint" -}}
{{- $interval := .Values.serviceMonitor.interval -}}
{{- $timeout := .Values.serviceMonitor.scrapeTimeout -}}
{{- $isLonger := and $timeout $interval (gt (include "dcgm-exporter.milliseconds" (list "serviceMonitor.scrapeTimeout" (default "0s" $timeout)) | int64) (include "dcgm-exporter.milliseconds" (list "serviceMonitor.interval" (default "0s" $interval)) | int64)) -}}
port: metrics
path: /metrics
{{- with $interval }}
interval: {{ . }}
{{- end }}
{{- with empty $isLonger | ternary $timeout $interval }}
scrapeTimeout: {{ . }}
{{- end }}
honorLabels: {{ .Values.serviceMonitor.honorLabels }}
relabelings:
  - {action: replace, sourceLabels: [__meta_kubernetes_pod_name], targetLabel: exporter_pod}
  {{- if .Values.serviceMonitor.honorLabels }}
  - {action: labeldrop, regex: pod|namespace|container}
  {{- end }}
  {{- with .Values.serviceMonitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with concat (include "dcgm-exporter.exportedLabels" . | fromYamlArray) (default list .Values.serviceMonitor.metricRelabelings) }}
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
