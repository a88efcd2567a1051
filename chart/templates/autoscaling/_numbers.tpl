{{/*
A number as plain text, whether the values give it as a number or as a string: (list WHERE KEY VALUE). Kubernetes and KEDA want
strings, and YAML's large numbers would come out as 8e+04. WHERE and KEY are for the message.
*/}}
{{- define "dcgm-exporter.number" -}}
{{- $value := index . 2 -}}
{{- $text := kindIs "float64" $value | ternary (printf "%f" $value) (toString $value) -}}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+)?$" $text) -}}
{{- fail (printf "%s: %s is %v, but must be a number such as 5 or 0.8" (index . 0) (index . 1) $value) -}}
{{- end -}}
{{- contains "." $text | ternary (regexReplaceAll "\\.?0+$" $text "") $text -}}
{{- end -}}

{{/* The same, of what an autoscaler divides by. */}}
{{- define "dcgm-exporter.positiveNumber" -}}
{{- $text := include "dcgm-exporter.number" . -}}
{{- if eq (float64 $text) 0.0 -}}
{{- fail (printf "%s: %s is 0, but must be more" (index . 0) (index . 1)) -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* A count of replicas: (list WHERE KEY VALUE DEFAULT). */}}
{{- define "dcgm-exporter.replicas" -}}
{{- $value := kindIs "invalid" (index . 2) | ternary (index . 3) (index . 2) -}}
{{- if not (regexMatch "^[0-9]+$" (toString $value)) -}}
{{- fail (printf "%s: %s is %v, but must be a whole number" (index . 0) (index . 1) $value) -}}
{{- end -}}
{{- $value -}}
{{- end -}}
