{{/*
What tells this release's dashboards from another's, or nothing for a release of the usual name: Grafana takes neither two
dashboards of one uid nor, in a folder, two of one title.
*/}}
{{- define "dcgm-exporter.dashboardsOf" -}}
{{- $full := include "dcgm-exporter.fullname" . -}}
{{- if ne $full "dcgm-exporter" -}}{{- $full -}}{{- end -}}
{{- end -}}

{{/* The uid of a dashboard, at most 40 characters: (list . "node"). */}}
{{- define "dcgm-exporter.dashboardUid" -}}
{{- $of := include "dcgm-exporter.dashboardsOf" (index . 0) -}}
gpu-{{ index . 1 }}{{- with $of -}}-{{ sha256sum . | trunc 8 }}{{- end -}}
{{- end -}}
