{{/* Names and labels that several objects share. */}}

{{- define "dcgm-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name, with the chart's name where it does not hold it already: at most 63 characters. */}}
{{- define "dcgm-exporter.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $own := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $own .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The full name with a suffix, for a further object: (list . "rules"). Names that would be too long keep a hash, so that two releases never meet. */}}
{{- define "dcgm-exporter.named" -}}
{{- $full := include "dcgm-exporter.fullname" (index . 0) -}}
{{- $suffix := index . 1 -}}
{{- $name := printf "%s-%s" $full $suffix -}}
{{- if gt (len $name) 63 -}}
{{- $room := sub 53 (len $suffix) | int -}}
{{- $name = printf "%s-%s-%s" (trunc $room $full | trimSuffix "-") (sha256sum $full | trunc 8) $suffix -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "dcgm-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "dcgm-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "dcgm-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object; those of the exporter's pods are selected by the three of dcgm-exporter.selectorLabels. */}}
{{- define "dcgm-exporter.labels" -}}
{{ include "dcgm-exporter.componentLabels" (list . (include "dcgm-exporter.name" .)) }}
{{- end -}}

{{- define "dcgm-exporter.selectorLabels" -}}
{{ include "dcgm-exporter.componentSelectorLabels" (list . (include "dcgm-exporter.name" .)) }}
{{- end -}}

{{/* Labels of an object that belongs to another part: (list . "adapter"). Nothing of the exporter's selects them. */}}
{{- define "dcgm-exporter.componentLabels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "dcgm-exporter.componentSelectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- end -}}

{{- define "dcgm-exporter.componentSelectorLabels" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $name := include "dcgm-exporter.name" $root -}}
app.kubernetes.io/name: {{ eq $component $name | ternary $name (printf "%s-%s" $name $component | trunc 63 | trimSuffix "-") }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ $component }}
{{- end -}}
