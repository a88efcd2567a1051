{{/*
With scrapes more than two minutes apart Prometheus, which looks back five, knows no value after a second missed one, and an autoscaler
acts on values of long ago. NOTES say so; it is refused where an entry of autoscaling is on a GPU metric that comes no more often.
*/}}
{{- define "dcgm-exporter.scrapesSlowly" -}}
{{- if gt (include "dcgm-exporter.milliseconds" (list "serviceMonitor.interval" (default "1m" .Values.serviceMonitor.interval)) | int64) 120000 -}}true{{- end -}}
{{- end -}}

{{- define "dcgm-exporter.refuseSlowScrapes" -}}
{{- $isSecond := include "dcgm-exporter.signalScrape" . | fromJsonArray | empty | not -}}
{{- $key := $isSecond | ternary "serviceMonitor.signal.interval" "serviceMonitor.interval" -}}
{{- $interval := $isSecond | ternary (include "dcgm-exporter.secondLook" .) (default "1m" .Values.serviceMonitor.interval) -}}
{{- if gt (include "dcgm-exporter.milliseconds" (list $key $interval) | int64) 120000 -}}
{{- $names := list -}}
{{- range include "dcgm-exporter.gpuMetrics" . | fromJsonArray -}}{{- $names = append $names .metric -}}{{- end -}}
{{- range $target := include "dcgm-exporter.targets" . | fromJsonArray -}}
{{- range $target.metrics -}}
{{- if or (has .metric $names) (regexMatch "DCGM_FI_|gpu_exporter_" (printf "%v %v" .metric .ownQuery)) -}}
{{- fail (printf "%s scales on GPU metrics, and %s %s is too long for that; use 2m at most, better 15s" $target.where $key $interval) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
