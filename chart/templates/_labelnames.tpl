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

{{- define "dcgm-exporter.labelStyle" -}}
{{- $style := toString .Values.labels.style -}}
{{- range .Values.extraEnv -}}
{{- if eq .name "DCGM_EXPORTER_LABEL_STYLE" -}}{{- $style = .value -}}{{- end -}}
{{- end -}}
{{- $next := false -}}
{{- range .Values.arguments -}}
{{- if $next -}}{{- $style = . -}}{{- end -}}
{{- $next = has . (list "--label-style" "-label-style") -}}
{{- if regexMatch "^--?label-style=" . -}}{{- $style = regexReplaceAll "^[^=]*=" . "" -}}{{- end -}}
{{- end -}}
{{- $style -}}
{{- end -}}

{{/* "true" or nothing. */}}
{{- define "dcgm-exporter.hasOldNames" -}}
{{- $old := .Values.labels.oldNames -}}
{{- $true := "^(1|t|T|true|True|TRUE)$" -}}
{{- range .Values.extraEnv -}}
{{- if eq .name "DCGM_EXPORTER_USE_OLD_NAMESPACE" -}}{{- $old = regexMatch $true (toString .value) -}}{{- end -}}
{{- end -}}
{{- range .Values.arguments -}}
{{- if regexMatch "^--?(o|use-old-namespace)$" . -}}{{- $old = true -}}{{- end -}}
{{- if regexMatch "^--?(o|use-old-namespace)=" . -}}{{- $old = regexMatch $true (regexReplaceAll "^[^=]*=" . "") -}}{{- end -}}
{{- end -}}
{{- if $old -}}true{{- end -}}
{{- end -}}
