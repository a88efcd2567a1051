{{/*
A duration as Prometheus and Go write it (15s, 1m30s, 500ms, 1.5h) in milliseconds: (list KEY TEXT). The key is for the message.
*/}}
{{- define "dcgm-exporter.milliseconds" -}}
{{- $key := index . 0 -}}
{{- $text := index . 1 | toString -}}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d|w))+$" $text) -}}
{{- fail (printf "%s: %q is not a duration such as 15s or 1m30s" $key $text) -}}
{{- end -}}
{{- $factors := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h|d|w)" $text -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $factors $unit)) -}}
{{- end -}}
{{- int64 (round $sum 0) -}}
{{- end -}}
