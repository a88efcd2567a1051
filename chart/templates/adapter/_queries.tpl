{{/*
Queries in prometheus-adapter's grammar: <<.LabelMatchers>> chooses the pods, <<.GroupBy>> is the label that names them.
KEDA's triggers are made of the same queries, with both filled in.
NaN would count as 0 in the adapter, so each alternative keeps only what is 0 or more; what is left out is not known.
*/}}

{{/* The metrics of files/metrics/gpu.yaml, as a JSON list. */}}
{{- define "dcgm-exporter.gpuMetrics" -}}
{{- .Files.Get "files/metrics/gpu.yaml" | fromYamlArray | toJson -}}
{{- end -}}

{{/*
A pod's GPUs as one number: (list . METRIC MATCHERS), METRIC being an entry of files/metrics/gpu.yaml. The inner maximum makes one
series of a GPU that several containers of the pod share, and of one that is scraped twice.
*/}}
{{- define "dcgm-exporter.gpuQuery" -}}
{{- $names := include "dcgm-exporter.labelNames" (index . 0) | fromYaml -}}
{{- $metric := index . 1 -}}
{{- $form := printf "%s by (<<.GroupBy>>)(max by (<<.GroupBy>>, %s, %s, GPU_I_ID)(%%s{%s}))" $metric.over $names.hostname $names.uuid (index . 2) -}}
{{- $alternatives := list -}}
{{- range $metric.series -}}
{{- $one := printf $form .name -}}
{{- if .rest -}}{{- $one = printf "%s / (%s + %s)" $one $one (printf $form .rest) -}}{{- end -}}
{{- if .scale -}}{{- $one = printf "%s %s" $one .scale -}}{{- end -}}
{{- $alternatives = append $alternatives (printf "%s >= 0" $one) -}}
{{- end -}}
{{- join " or " $alternatives -}}
{{- end -}}

{{/* The metrics of files/metrics/serving.yaml, as a JSON list. */}}
{{- define "dcgm-exporter.servingMetrics" -}}
{{- .Files.Get "files/metrics/serving.yaml" | fromYamlArray | toJson -}}
{{- end -}}

{{/*
The presets as a JSON list, those first that are an engine inside of others: a server around an engine has a queue of its own
that stays empty, because it hands requests on at once.
*/}}
{{- define "dcgm-exporter.presetsByKnowledge" -}}
{{- $presets := include "dcgm-exporter.servingPresets" . | fromJson -}}
{{- $engines := list -}}
{{- range $presets -}}{{- $engines = concat $engines (default list .engines) -}}{{- end -}}
{{- $ordered := list -}}
{{- range concat (sortAlpha $engines) (keys $presets | sortAlpha) | uniq -}}{{- $ordered = append $ordered (get $presets .) -}}{{- end -}}
{{- toJson $ordered -}}
{{- end -}}

{{/* The presets of model servers by name, as JSON. */}}
{{- define "dcgm-exporter.servingPresets" -}}
{{- $presets := dict -}}
{{- range $path, $text := .Files.Glob "files/presets/*.yaml" -}}
{{- $_ := set $presets (base $path | trimSuffix ".yaml") (toString $text | fromYaml) -}}
{{- end -}}
{{- toJson $presets -}}
{{- end -}}

{{/*
A serving metric of some runtimes, as JSON {series, query}: (list . METRIC PRESETS), METRIC being an entry of
files/metrics/serving.yaml. The first runtime that knows a pod answers for it.
*/}}
{{- define "dcgm-exporter.servingAnswers" -}}
{{- $metric := index . 1 -}}
{{- $window := include "dcgm-exporter.rateWindow" (index . 0) -}}
{{- $series := list -}}
{{- $queries := list -}}
{{- range $preset := index . 2 -}}
{{- range $way := (get $preset.signals $metric.metric | default dict).series -}}
{{- $kind := default $metric.kind $way.kind -}}
{{- range $way.of -}}{{- $series = append $series (eq $kind "p95" | ternary (printf "%s_count" .) .) -}}{{- end -}}
{{- $queries = append $queries (include "dcgm-exporter.servingQuery" (dict "way" $way "kind" $kind "ranks" $preset.ranks "window" $window)) -}}
{{- end -}}
{{- end -}}
{{- dict "series" (uniq $series) "query" (join " or " $queries) | toJson -}}
{{- end -}}

{{/*
One way in which a runtime answers: (dict "way" ENTRY-OF-SERIES "kind" KIND "ranks" LABELS "window" WINDOW). A server that two
Services or jobs scrape counts once. A percentile of no requests is NaN; it is left out, and a server that had none is at 0.
*/}}
{{- define "dcgm-exporter.servingQuery" -}}
{{- $kind := .kind -}}
{{- $once := printf "max without (%s)" (concat (list "job" "service" "endpoint") (default list .ranks) | join ", ") -}}
{{- $braces := printf "{%s}" (list .way.match "<<.LabelMatchers>>" | compact | join ",") -}}
{{- $window := .window -}}
{{- $terms := list -}}
{{- range .way.of -}}
{{- $term := "" -}}
{{- if eq $kind "sum" -}}
{{- $term = printf "sum by (<<.GroupBy>>)(%s(%s%s))" $once . $braces -}}
{{- else if eq $kind "max" -}}
{{- $term = printf "max by (<<.GroupBy>>)(%s%s)" . $braces -}}
{{- else if eq $kind "rate" -}}
{{- $term = printf "sum by (<<.GroupBy>>)(%s(rate(%s%s[%s])))" $once . $braces $window -}}
{{- else if eq $kind "p95" -}}
{{- $term = printf "histogram_quantile(0.95, sum by (<<.GroupBy>>, le)(%s(rate(%s_bucket%s[%s]))))" $once . $braces $window -}}
{{- end -}}
{{- $terms = append $terms $term -}}
{{- end -}}
{{- list (join " + " $terms) .way.scale | compact | join " " }} >= 0
{{- if eq $kind "p95" }} or sum by (<<.GroupBy>>)(rate({{ first .way.of }}_count{{ $braces }}[{{ $window }}])) == 0{{ end -}}
{{- end -}}
