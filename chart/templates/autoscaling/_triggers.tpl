{{/* How often KEDA asks by itself, in seconds, where a target is on a GPU metric of which Prometheus takes a second look; else nothing, and KEDA does as it likes. */}}
{{- define "dcgm-exporter.pollingSeconds" -}}
{{- $root := index . 0 -}}
{{- $isOnGpus := false -}}
{{- range (index . 1).metrics -}}{{- if or .isGpu (regexMatch "DCGM_FI_|gpu_exporter_" (default "" .ownQuery)) -}}{{- $isOnGpus = true -}}{{- end -}}{{- end -}}
{{- if and $isOnGpus (include "dcgm-exporter.signalScrape" $root | fromJsonArray) -}}
{{- div (add (include "dcgm-exporter.lookMilliseconds" $root | int64) 999) 1000 -}}
{{- end -}}
{{- end -}}

{{/*
KEDA's triggers of a target, as a JSON list of {name, query, threshold, authenticationRef, authModes}: (list . TARGET).

With minReplicas 0 one more wakes the workload: it is 1 while somebody asks and 0 while nobody does, so it never asks for more than
one replica. The others are known to be 0 while no pod answers and nobody asks; while somebody asks, no answer stays an error.
Otherwise KEDA would take the missing metrics of no pods for a fault, and its fallback would wake the workload for ever.
*/}}
{{- define "dcgm-exporter.triggers" -}}
{{- $root := index . 0 -}}
{{- $target := index . 1 -}}
{{- $idle := "" -}}
{{- $triggers := list -}}
{{- if eq (int $target.min) 0 -}}
{{- $asked := printf "sum(%s)" $target.activation.query -}}
{{- $from := include "dcgm-exporter.number" (list $target.where "activation.threshold" (default 0 $target.activation.threshold)) -}}
{{- $idle = printf "0 * (%s <= %s)" $asked $from -}}
{{- $triggers = append $triggers (merge (dict "name" "activation" "query" (printf "%s > bool %s" $asked $from) "threshold" "1") (pick $target.activation "authenticationRef" "authModes")) -}}
{{- end -}}
{{- range $target.metrics -}}
{{- $query := .ownQuery -}}
{{- if not $query -}}
{{- $query = include "dcgm-exporter.kedaQuery" (list $root $target .) -}}
{{- else if $idle -}}
{{- $query = printf "sum(%s)" $query -}}
{{- end -}}
{{- if $idle -}}{{- $query = printf "%s or %s" $query $idle -}}{{- end -}}
{{- $triggers = append $triggers (merge (dict "name" .metric "query" $query "threshold" .threshold) (pick . "authenticationRef" "authModes")) -}}
{{- end -}}
{{- toJson $triggers -}}
{{- end -}}
