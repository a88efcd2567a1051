{{/*
What the exporter's labels are called, as YAML: {uuid, hostname, model, pod, namespace, container}.
Everything that reads the series (adapter, KEDA, dashboards, alerts) takes the names from here. Arguments and variables
of dcgm-exporter that choose the names count as labels.style and labels.oldNames do.
*/}}
{{- define "dcgm-exporter.labelNames" -}}
{{- $style := include "dcgm-exporter.labelStyle" . -}}
{{- $old := include "dcgm-exporter.hasOldNames" . -}}
{{- $names := dict "uuid" "UUID" "hostname" "Hostname" "model" "modelName" "pod" "pod" "namespace" "namespace" "container" "container" -}}
{{- if ne $style "classic" -}}
{{- $_ := set $names "hostname" "hostname" -}}
{{- end -}}
{{- if eq $style "4.9" -}}
{{- $names = merge (dict "uuid" "gpu_uuid" "model" "model_name") $names -}}
{{- end -}}
{{- if $old -}}
{{- $names = merge (dict "pod" "pod_name" "namespace" "pod_namespace" "container" "container_name") $names -}}
{{- if ne $style "4.9" -}}
{{- $_ := set $names "uuid" "uuid" -}}
{{- end -}}
{{- end -}}
{{- toYaml $names -}}
{{- end -}}

{{/*
The labels that make one series of a GPU or MIG instance, in every spelling: while a cluster changes from one label style to
another, GPUs of both stand side by side, and none may swallow the others.
*/}}
{{- define "dcgm-exporter.everyHostname" -}}Hostname, hostname{{- end -}}
{{- define "dcgm-exporter.everyUuid" -}}UUID, uuid, gpu_uuid{{- end -}}

{{/*
How the pod of a series can be spelled, as a JSON list of {pod, namespace, matchers}: the exporter's own labels, and those that a
Prometheus without honorLabels has renamed. The chart's own monitor writes the renamed ones, too, for people's dashboards; while it
honours labels its series count under their own names alone. Labels of dcgm-exporter 1.x's names are no target's, so nothing renames them.
*/}}
{{- define "dcgm-exporter.spellings" -}}
{{- $own := include "dcgm-exporter.labelNames" . | fromYaml -}}
{{- $spellings := list (dict "pod" $own.pod "namespace" $own.namespace "matchers" list) -}}
{{- if not (include "dcgm-exporter.hasOldNames" .) -}}
{{- $matchers := .Values.serviceMonitor.honorLabels | ternary (list "exporter_pod=\"\"") list -}}
{{- $spellings = append $spellings (dict "pod" "exported_pod" "namespace" "exported_namespace" "matchers" $matchers) -}}
{{- end -}}
{{- toJson $spellings -}}
{{- end -}}

{{- define "dcgm-exporter.labelStyle" -}}
{{- $style := toString .Values.labels.style -}}
{{- $where := "labels.style" -}}
{{- $name := "DCGM_EXPORTER_LABEL_STYLE" -}}
{{- range .Values.extraEnv -}}
{{- if eq .name $name -}}
{{- $where = printf "extraEnv: %s" $name -}}
{{- $style = include "dcgm-exporter.knownValue" . | default "classic" -}}
{{- end -}}
{{- end -}}
{{- with include "dcgm-exporter.argumentValue" (list . "label-style") -}}
{{- $style = . -}}
{{- $where = "arguments: --label-style" -}}
{{- end -}}
{{- if not (has $style (list "classic" "4.8.3" "4.9")) -}}
{{- fail (printf "%s is %s, but must be classic, 4.8.3 or 4.9" $where $style) -}}
{{- end -}}
{{- $style -}}
{{- end -}}

{{/* An environment variable's value; rules, dashboards and alerts can't follow one that only the cluster knows. */}}
{{- define "dcgm-exporter.knownValue" -}}
{{- if .valueFrom -}}{{- fail (printf "extraEnv: %s needs its value here, because the adapter's rules, dashboards and alerts follow it" .name) -}}{{- end -}}
{{- .value -}}
{{- end -}}

{{/* "true" or nothing. */}}
{{- define "dcgm-exporter.hasOldNames" -}}
{{- $name := "DCGM_EXPORTER_USE_OLD_NAMESPACE" -}}
{{- range .Values.extraEnv -}}
{{- if eq .name $name -}}{{- $_ := include "dcgm-exporter.knownValue" . -}}{{- end -}}
{{- end -}}
{{- include "dcgm-exporter.isSwitchedOn" (list . "(o|use-old-namespace)" $name .Values.labels.oldNames) -}}
{{- end -}}
