{{/* The name of the ConfigMap with the rules. */}}
{{- define "dcgm-exporter.adapterRulesName" -}}
{{- default (include "dcgm-exporter.named" (list . "adapter-rules")) .Values.adapter.rules.name -}}
{{- end -}}

{{/* One rule: (dict "series" NAMES "pod" LABEL "namespace" LABEL "metric" NAME "query" QUERY), and "matchers", a list, where it is for some series alone. */}}
{{- define "dcgm-exporter.adapterRule" }}
{{- $chosen := concat (list (printf "__name__=~%q" (join "|" .series)) (printf "%s!=\"\"" .namespace) (printf "%s!=\"\"" .pod)) (default list .matchers) }}
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
series is the one that the adapter uses, for the whole cluster. So that one is for our own targets alone, in our own namespace: the
Service's, whoever made a ServiceMonitor for it, and the chart's PodMonitor's.
*/}}
{{- define "dcgm-exporter.adapterRules" -}}
{{- $root := . -}}
{{- $jobs := list (include "dcgm-exporter.fullname" .) (include "dcgm-exporter.job" .) | uniq | join "|" -}}
{{- $ours := list (printf "job=~%q" $jobs) (printf "namespace=%q" (include "dcgm-exporter.namespace" .)) -}}
{{- range $metric := include "dcgm-exporter.gpuMetrics" . | fromJsonArray -}}
{{- $series := list -}}
{{- range $metric.series -}}{{- $series = append $series .name -}}{{- end -}}
{{- if $metric.isLoad -}}{{- range include "dcgm-exporter.secondsPairs" $root | fromJsonArray -}}{{- $series = append $series .busy -}}{{- end -}}{{- end -}}
{{- range include "dcgm-exporter.spellings" $root | fromJsonArray -}}
{{- $matchers := eq .pod "exported_pod" | ternary (concat $ours .matchers) list -}}
{{- $query := include "dcgm-exporter.gpuQuery" (list $root $metric (prepend $matchers "<<.LabelMatchers>>")) -}}
{{- include "dcgm-exporter.adapterRule" (dict "series" $series "metric" $metric.metric "query" $query "pod" .pod "namespace" .namespace "matchers" $matchers) -}}
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
