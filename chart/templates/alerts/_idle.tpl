{{/*
The part of GpuAllocatedButIdle by busy seconds, of an hour that was observed, but for a restart of the exporter: behind one the
series is another. Nothing where the values want no true load.
*/}}
{{- define "dcgm-exporter.orIdleBySeconds" -}}
{{- $one := "<namespace>, <pod>, <entity>" -}}
{{- $form := printf `max by (%s) (increase(<busy>[<idleMinutes>m])) == 0
and sum by (%s) (max by (%s, instance, exporter_pod) (increase(<observed>[<idleMinutes>m]))) > 0.98 * 60 * <idleMinutes>
` $one $one $one -}}
{{- with include "dcgm-exporter.bySeconds" (list . "<held>" $form) -}}or {{ . | trim | nindent 14 | trim }}{{- end -}}
{{- end -}}
