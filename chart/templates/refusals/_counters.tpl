{{/* Counters that nobody has, and counters that nobody would read because others are named, too. */}}
{{- define "dcgm-exporter.refuseCounters" -}}
{{- $fields := dict -}}
{{- range .Files.Get "files/known/fields.yaml" | fromYamlArray -}}{{- $_ := set $fields . true -}}{{- end -}}
{{- range $i, $row := regexSplit "\r?\n" (default "" .Values.customMetrics) -1 -}}
{{- $name := regexReplaceAll "^[\\s\"\ufeff]*([^,\"]*).*$" $row "${1}" | trim -}}
{{- if and $name (not (hasPrefix "#" $name)) (not (hasKey $fields $name)) -}}
{{- fail (printf "customMetrics: line %d: neither DCGM nor the exporter has a field %s" (add1 $i) (trunc 80 $name)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.healthCounters .Values.customMetrics -}}
{{- fail "healthCounters: customMetrics is the whole counters file; put the rows there" -}}
{{- end -}}
{{- $file := include "dcgm-exporter.flagValue" (list . "(f|collectors)" "DCGM_EXPORTER_COLLECTORS") -}}
{{- $map := include "dcgm-exporter.countersConfigMap" . -}}
{{- $own := printf "%s:exporter-metrics-config-map" (include "dcgm-exporter.namespace" .) -}}
{{- $folder := "/etc/dcgm-exporter/" -}}
{{- $default := printf "%sdefault-counters.csv" $folder -}}
{{- $hasOwnMount := include "dcgm-exporter.hasOwnCounters" . -}}
{{- $other := "" -}}
{{- if and $map (ne $map $own) -}}
{{- $other = printf "-m %s is" $map -}}
{{- else if and (not $map) $file (ne $file $default) (not (and $hasOwnMount (hasPrefix $folder $file))) -}}
{{- $other = printf "-f %s is" $file -}}
{{- else if and (not $map) $hasOwnMount (not (include "dcgm-exporter.mentionsMetricsConfigMap" .)) -}}
{{- $other = "the file that extraVolumeMounts put at /etc/dcgm-exporter is" -}}
{{- end -}}
{{- if and $other .Values.healthCounters -}}
{{- fail (printf "healthCounters: %s the exporter's counters file; put the rows there" $other) -}}
{{- end -}}
{{- if and $other .Values.customMetrics -}}
{{- fail (printf "customMetrics is never read, because %s the exporter's counters file; keep only one" $other) -}}
{{- end -}}
{{- if and (default dict .Values.config).metrics (or $map $file) (or .Values.config.metrics.fields .Values.config.metrics.file) -}}
{{- fail (printf "config.metrics is never read, because %s the exporter's counters file; keep only one, for example with arguments: []" (empty $map | ternary (printf "-f %s is" $file) (printf "-m %s is" $map))) -}}
{{- end -}}
{{- $packaged := (.Files.Get "files/known/names.yaml" | fromYaml).countersFiles -}}
{{- if and (hasPrefix $folder $file) (not $hasOwnMount) (not (has (trimPrefix $folder $file) $packaged)) -}}
{{- fail (printf "arguments: -f %s: there is no such file; the image has %s, and extraVolumeMounts can add others" $file (join ", " $packaged)) -}}
{{- end -}}
{{- end -}}
