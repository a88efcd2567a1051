{{/* The name of the ConfigMap with the rules. */}}
{{- define "dcgm-exporter.adapterRulesName" -}}
{{- default (include "dcgm-exporter.named" (list . "adapter-rules")) .Values.adapter.rules.name -}}
{{- end -}}

{{/* One rule: (dict "series" NAMES "pod" LABEL "namespace" LABEL "metric" NAME "query" QUERY). */}}
{{- define "dcgm-exporter.adapterRule" }}
- seriesQuery: {{ printf "{__name__=~%q,%s!=\"\",%s!=\"\"}" (join "|" .series) .namespace .pod | squote }}
  resources:
    overrides:
      {{ .namespace }}: {resource: namespace}
      {{ .pod }}: {resource: pod}
  name: {as: {{ .metric }}}
  metricsQuery: {{ .query | squote }}
{{- end -}}

{{/*
All rules. A GPU metric has a second one for labels that a Prometheus without honorLabels has renamed: the last rule that finds
series is the one that the adapter uses. Labels of dcgm-exporter 1.x's names are no target's, so nothing renames them.
*/}}
{{- define "dcgm-exporter.adapterRules" -}}
{{- $root := . -}}
{{- $plain := dict "pod" "pod" "namespace" "namespace" -}}
{{- $spellings := list (include "dcgm-exporter.labelNames" . | fromYaml) -}}
{{- if not (include "dcgm-exporter.hasOldNames" .) -}}
{{- $spellings = append $spellings (dict "pod" "exported_pod" "namespace" "exported_namespace") -}}
{{- end -}}
{{- range $metric := include "dcgm-exporter.gpuMetrics" . | fromJsonArray -}}
{{- $series := list -}}
{{- range $metric.series -}}{{- $series = append $series .name -}}{{- end -}}
{{- $rule := dict "series" $series "metric" $metric.metric "query" (include "dcgm-exporter.gpuQuery" (list $root $metric)) -}}
{{- range $spellings -}}
{{- include "dcgm-exporter.adapterRule" (merge (dict) $rule .) -}}
{{- end -}}
{{- end -}}
{{- if .Values.adapter.rules.serving -}}
{{- $known := include "dcgm-exporter.servingPresets" . | fromJson -}}
{{- $presets := list -}}
{{- range keys $known | sortAlpha -}}{{- $presets = append $presets (get $known .) -}}{{- end -}}
{{- range include "dcgm-exporter.servingMetrics" . | fromJsonArray -}}
{{- $answers := include "dcgm-exporter.servingAnswers" (list $root . $presets) | fromJson -}}
{{- include "dcgm-exporter.adapterRule" (merge (dict "metric" .metric) $answers $plain) -}}
{{- end -}}
{{- end -}}
{{- range $i, $rule := .Values.adapter.rules.extra -}}
{{- if not (and $rule.seriesQuery $rule.metricsQuery) -}}
{{- fail (printf "adapter.rules.extra[%d]: a rule without seriesQuery and metricsQuery would stop the adapter" $i) -}}
{{- end }}
{{ list $rule | toYaml }}
{{- end -}}
{{- end -}}
