{{/*
Refuse a rule of the user's that would stop the adapter, or answer for pods that nobody asked about: (list WHERE RULE). What is
Prometheus' own grammar inside of the query is not looked at.
*/}}
{{- define "dcgm-exporter.checkExtraRule" -}}
{{- $where := index . 0 -}}
{{- $rule := index . 1 -}}
{{- if not (and $rule.seriesQuery $rule.metricsQuery) -}}
{{- fail (printf "%s: a rule without seriesQuery and metricsQuery would stop the adapter" $where) -}}
{{- end -}}
{{- $string := "\"([^\"\\\\]|\\\\.)*\"|'([^'\\\\]|\\\\.)*'|`[^`]*`" -}}
{{- if not (regexMatch (printf "^\\s*[a-zA-Z_:][a-zA-Z0-9_:]*\\s*$|^\\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\\s*\\{([^{}\"'`]|%s)*\\}\\s*$" $string) $rule.seriesQuery) -}}
{{- fail (printf "%s: seriesQuery: %s is not a series selector such as x{pod!=\"\"}" $where $rule.seriesQuery) -}}
{{- end -}}
{{- $resources := default dict $rule.resources -}}
{{- if not (or $resources.overrides $resources.template) -}}
{{- fail (printf "%s: resources needs overrides or a template, which say which label names a pod" $where) -}}
{{- end -}}
{{- include "dcgm-exporter.checkPlaceholders" (list (printf "%s: metricsQuery" $where) $rule.metricsQuery) -}}
{{- end -}}

{{/* The placeholders of a query: (list WHERE QUERY). */}}
{{- define "dcgm-exporter.checkPlaceholders" -}}
{{- $where := index . 0 -}}
{{- $query := index . 1 -}}
{{- $placeholder := "<<[^<>]*>>" -}}
{{- if regexMatch "<<|>>" (regexReplaceAll $placeholder $query "") -}}{{- fail (printf "%s: << without >>, or >> without <<" $where) -}}{{- end -}}
{{- range $one := regexFindAll $placeholder $query -1 -}}
{{- range regexFindAll "\\.[A-Za-z]+" $one -1 -}}
{{- if not (has . (list ".Series" ".LabelMatchers" ".LabelValuesByName" ".GroupBy" ".GroupBySlice")) -}}
{{- fail (printf "%s: %s is not a placeholder of prometheus-adapter" $where $one) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "<<[^<>]*[.](LabelMatchers|LabelValuesByName)" $query) -}}
{{- fail (printf "%s has no <<.LabelMatchers>>, so every pod would get the values of all pods" $where) -}}
{{- end -}}
{{- if not (regexMatch "<<[^<>]*[.]GroupBy" $query) -}}
{{- fail (printf "%s has no <<.GroupBy>>, so its result would name no pod" $where) -}}
{{- end -}}
{{- end -}}
