{{/*
The entries of `autoscaling`, checked and with their defaults filled in, as a JSON list of
{where, name, namespace, apiVersion, kind, type, min, max, behavior, annotations, metrics: [{metric, threshold, query}], ...}.
What can't work ends the rendering with a sentence that names the entry.
*/}}
{{- define "dcgm-exporter.targets" -}}
{{- $root := . -}}
{{- $targets := list -}}
{{- $seen := dict -}}
{{- range $i, $entry := .Values.autoscaling -}}
{{- $place := printf "autoscaling[%d]" $i -}}
{{- if not $entry.name -}}{{- fail (printf "%s: name is missing, the name of the workload to scale" $place) -}}{{- end -}}
{{- $target := include "dcgm-exporter.target" (list $root $place $entry) | fromJson -}}
{{- $workload := printf "%s/%s" $target.namespace $target.name -}}
{{- with get $seen $workload -}}
{{- fail (printf "%s and %s both scale %s: two autoscalers of one workload work against each other" . $place $workload) -}}
{{- end -}}
{{- $_ := set $seen $workload $place -}}
{{- $targets = append $targets $target -}}
{{- end -}}
{{- toJson $targets -}}
{{- end -}}

{{/* One entry of it: (list . PLACE ENTRY). */}}
{{- define "dcgm-exporter.target" -}}
{{- $root := index . 0 -}}
{{- $entry := index . 2 -}}
{{- $namespace := default $root.Release.Namespace $entry.namespace -}}
{{- $kind := default "Deployment" $entry.kind -}}
{{- $type := default "hpa" $entry.type -}}
{{- $where := printf "%s (%s/%s)" (index . 1) $namespace $entry.name -}}
{{- if not (has $type (list "hpa" "keda")) -}}{{- fail (printf "%s: type is %s, but must be hpa or keda" $where $type) -}}{{- end -}}
{{- if not (or $entry.apiVersion (has $kind (list "Deployment" "StatefulSet" "ReplicaSet"))) -}}{{- fail (printf "%s: kind %s needs an apiVersion" $where $kind) -}}{{- end -}}
{{- if kindIs "invalid" $entry.maxReplicas -}}{{- fail (printf "%s: maxReplicas is missing" $where) -}}{{- end -}}
{{- $min := include "dcgm-exporter.replicas" (list $where "minReplicas" $entry.minReplicas 1) | int -}}
{{- $max := include "dcgm-exporter.replicas" (list $where "maxReplicas" $entry.maxReplicas 1) | int -}}
{{- if gt $min $max -}}{{- fail (printf "%s: minReplicas %d is more than maxReplicas %d" $where $min $max) -}}{{- end -}}
{{- if lt $max 1 -}}{{- fail (printf "%s: maxReplicas must be 1 or more" $where) -}}{{- end -}}
{{- if not $entry.metrics -}}{{- fail (printf "%s: metrics is empty, so there is nothing to scale on" $where) -}}{{- end -}}
{{- include (printf "dcgm-exporter.check-%s" $type) (list $where $entry $min) -}}
{{- $target := dict "where" $where "name" $entry.name "namespace" $namespace "kind" $kind "type" $type "min" $min "max" $max -}}
{{- $_ := set $target "apiVersion" (default "apps/v1" $entry.apiVersion) -}}
{{- $_ := set $target "pods" (default (include "dcgm-exporter.podsOf" (list $kind $entry.name)) $entry.pods) -}}
{{- $calm := dict "scaleDown" (dict "stabilizationWindowSeconds" 300) -}}
{{- $_ := set $target "behavior" (mergeOverwrite $calm (deepCopy (default dict $entry.behavior))) -}}
{{- $_ := set $target "metrics" (include "dcgm-exporter.targetMetrics" (list $root $where $entry $type) | fromJsonArray) -}}
{{- merge $target $entry | toJson -}}
{{- end -}}

{{/* What only KEDA can do is refused for an HPA. */}}
{{- define "dcgm-exporter.check-hpa" -}}
{{- $where := index . 0 -}}
{{- $entry := index . 1 -}}
{{- if eq (index . 2 | int) 0 -}}{{- fail (printf "%s: an HPA does not scale to zero; use type: keda, or minReplicas 1" $where) -}}{{- end -}}
{{- range list "activation" "cooldownPeriod" "fallback" "pods" "pollingInterval" -}}
{{- if hasKey $entry . -}}{{- fail (printf "%s: %s is only for KEDA; an HPA does not have it" $where .) -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* A service without pods has no metrics, so something else has to wake it. */}}
{{- define "dcgm-exporter.check-keda" -}}
{{- $where := index . 0 -}}
{{- $activation := default dict (index . 1).activation -}}
{{- if eq (index . 2 | int) 0 -}}
{{- if not $activation.query -}}
{{- fail (printf "%s: minReplicas 0 needs activation.query, a signal that exists without pods, such as requests at a gateway" $where) -}}
{{- end -}}
{{- else if $activation -}}
{{- fail (printf "%s: activation wakes a workload from zero, but minReplicas is not 0" $where) -}}
{{- end -}}
{{- end -}}

{{/* A target's metrics as a JSON list of {metric, threshold, query}: (list . WHERE ENTRY TYPE). */}}
{{- define "dcgm-exporter.targetMetrics" -}}
{{- $root := index . 0 -}}
{{- $type := index . 3 -}}
{{- $metrics := list -}}
{{- $names := (index . 2).activation | empty | ternary list (list "activation") -}}
{{- range $i, $item := (index . 2).metrics -}}
{{- $where := printf "%s: metrics[%d]" (index $ 1) $i -}}
{{- $one := dict -}}
{{- if $item.preset -}}
{{- $one = include "dcgm-exporter.preset" (list $root $where $item) | fromJson -}}
{{- else if and (eq $type "hpa") $item.metric -}}
{{- $one = dict "metric" $item.metric -}}
{{- else if and (eq $type "keda") $item.query -}}
{{- $one = dict "metric" (default (printf "query-%d" $i) $item.name) "ownQuery" $item.query -}}
{{- else if eq $type "hpa" -}}
{{- fail (printf "%s needs preset, or metric: the name of a pod metric of the adapter" $where) -}}
{{- else -}}
{{- fail (printf "%s needs preset, or query: the PromQL query for KEDA" $where) -}}
{{- end -}}
{{- if has $one.metric $names -}}{{- fail (printf "%s: %s is repeated" $where $one.metric) -}}{{- end -}}
{{- $names = append $names $one.metric -}}
{{- $threshold := kindIs "invalid" $item.threshold | ternary $one.threshold $item.threshold -}}
{{- if kindIs "invalid" $threshold -}}{{- fail (printf "%s: threshold is missing, and %s has no default" $where $one.metric) -}}{{- end -}}
{{- if and $item.authenticationRef (ne $type "keda") -}}{{- fail (printf "%s: authenticationRef is only for KEDA; an HPA asks the adapter" $where) -}}{{- end -}}
{{- $one = merge $one (pick $item "authenticationRef" "authModes") -}}
{{- $_ := set $one "threshold" (include "dcgm-exporter.positiveNumber" (list $where "threshold" $threshold)) -}}
{{- $metrics = append $metrics $one -}}
{{- end -}}
{{- toJson $metrics -}}
{{- end -}}
