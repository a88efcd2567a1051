{{/* The name of the ConfigMap with the rules. */}}
{{- define "dcgm-exporter.adapterRulesName" -}}
{{- default (include "dcgm-exporter.named" (list . "adapter-rules")) .Values.adapter.rules.name -}}
{{- end -}}

{{/* One rule: (dict "series" NAMES "pod" LABEL "namespace" LABEL "metric" NAME "query" QUERY), and "job", a matcher, where it is for some jobs. */}}
{{- define "dcgm-exporter.adapterRule" }}
{{- $chosen := list (printf "__name__=~%q" (join "|" .series)) (printf "%s!=\"\"" .namespace) (printf "%s!=\"\"" .pod) .job | compact }}
- seriesQuery: {{ printf "{%s}" (join "," $chosen) | squote }}
  resources:
    overrides:
      {{ .namespace }}: {resource: namespace}
      {{ .pod }}: {resource: pod}
  name: {as: {{ .metric }}}
  metricsQuery: {{ .query | squote }}
{{- end -}}

{{/*
All rules. A GPU metric has a second one for labels that a Prometheus without honorLabels has renamed: the last rule that finds
series is the one that the adapter uses, for the whole cluster. So that one is for our own targets alone: the Service's, whoever
made a ServiceMonitor for it, and the chart's PodMonitor's. Labels of dcgm-exporter 1.x's names are no target's, so nothing renames them.
*/}}
{{- define "dcgm-exporter.adapterRules" -}}
{{- $root := . -}}
{{- $spellings := list (include "dcgm-exporter.labelNames" . | fromYaml) -}}
{{- if not (include "dcgm-exporter.hasOldNames" .) -}}
{{- $jobs := list (include "dcgm-exporter.fullname" .) (include "dcgm-exporter.job" .) | uniq | join "|" -}}
{{- $spellings = append $spellings (dict "pod" "exported_pod" "namespace" "exported_namespace" "job" (printf "job=~%q" $jobs)) -}}
{{- end -}}
{{- range $metric := include "dcgm-exporter.gpuMetrics" . | fromJsonArray -}}
{{- $series := list -}}
{{- range $metric.series -}}{{- $series = append $series .name -}}{{- end -}}
{{- range $spellings -}}
{{- $matchers := list "<<.LabelMatchers>>" .job | compact | join "," -}}
{{- $query := include "dcgm-exporter.gpuQuery" (list $root $metric $matchers) -}}
{{- include "dcgm-exporter.adapterRule" (merge (dict "series" $series "metric" $metric.metric "query" $query) .) -}}
{{- end -}}
{{- end -}}
{{- if .Values.adapter.rules.serving -}}
{{- $presets := include "dcgm-exporter.presetsByKnowledge" . | fromJsonArray -}}
{{- range include "dcgm-exporter.servingMetrics" . | fromJsonArray -}}
{{- $answers := include "dcgm-exporter.servingAnswers" (list $root . $presets) | fromJson -}}
{{- include "dcgm-exporter.adapterRule" (merge (dict "metric" .metric "pod" "pod" "namespace" "namespace") $answers) -}}
{{- end -}}
{{- end -}}
{{- range $i, $rule := .Values.adapter.rules.extra -}}
{{- include "dcgm-exporter.checkExtraRule" (list (printf "adapter.rules.extra[%d]" $i) $rule) }}
{{ list $rule | toYaml }}
{{- end -}}
{{- end -}}
