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
A pod's GPUs as one number: (list . METRIC MATCHERS), METRIC being an entry of files/metrics/gpu.yaml and MATCHERS a list. The inner
maximum makes one series of a GPU that several containers of the pod share, and of one that is scraped twice.
*/}}
{{- define "dcgm-exporter.gpuQuery" -}}
{{- $root := index . 0 -}}
{{- $metric := index . 1 -}}
{{- $matchers := index . 2 | join "," -}}
{{- $one := printf "<<.GroupBy>>, %s, %s, GPU_I_ID" (include "dcgm-exporter.everyHostname" .) (include "dcgm-exporter.everyUuid" .) -}}
{{- $form := printf "%s by (<<.GroupBy>>)(max by (%s)(%%s))" $metric.over $one -}}
{{- if $metric.isLoad -}}
{{- $instant := list -}}
{{- range $metric.series -}}{{- $instant = append $instant (list (printf "%s{%s}" .name $matchers) .scale | compact | join " ") -}}{{- end -}}
{{- printf $form (include "dcgm-exporter.utilization" (list $root $matchers (include "dcgm-exporter.sinceLastScrape" $root) (join " or " $instant))) }} >= 0
{{- else -}}
{{- $alternatives := list -}}
{{- range $metric.series -}}
{{- $one := printf $form (printf "%s{%s}" .name $matchers) -}}
{{- if .rest -}}{{- $one = printf "%s / (%s + %s)" $one $one (printf $form (printf "%s{%s}" .rest $matchers)) -}}{{- end -}}
{{- if .scale -}}{{- $one = printf "%s %s" $one .scale -}}{{- end -}}
{{- $alternatives = append $alternatives (printf "%s >= 0" $one) -}}
{{- end -}}
{{- join " or " $alternatives -}}
{{- end -}}
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
{{- $ways := (get $preset.signals $metric.metric | default dict).series -}}
{{- range $way := $ways -}}
{{- $kind := default $metric.kind $way.kind -}}
{{- range $way.of -}}
{{- $name := regexFind "^[^{]+" . -}}
{{- $series = append $series (eq $kind "p95" | ternary (printf "%s_count" $name) $name) -}}
{{- end -}}
{{- $queries = append $queries (include "dcgm-exporter.servingQuery" (dict "way" $way "kind" $kind "labels" $preset.labels "window" $window)) -}}
{{- end -}}
{{- if and $ways (eq $metric.kind "p95") -}}
{{- range $preset.signals.inference_concurrency.series -}}
{{- $queries = append $queries (include "dcgm-exporter.servingQuery" (dict "way" (set . "is" "== 0") "kind" "sum" "labels" $preset.labels)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "series" (uniq $series) "query" (join " or " $queries) | toJson -}}
{{- end -}}

{{/*
One way in which a runtime answers, as a sum over names that may choose series in {}: (dict "way" ENTRY-OF-SERIES "kind" KIND "labels" LABELS "window" WINDOW). A server that two
monitors or Services scrape, or a monitor and annotations, has every label twice but its own and `instance`, so these make a series
one. A percentile of no requests is NaN and is left out: servingAnswers says 0 where the server's gauges say that it is idle.
*/}}
{{- define "dcgm-exporter.servingQuery" -}}
{{- $kind := .kind -}}
{{- $labels := concat (list "<<.GroupBy>>" "instance") (default list .labels) -}}
{{- $once := printf "max by (%s)" (join ", " $labels) -}}
{{- $window := .window -}}
{{- $terms := list -}}
{{- range .way.of -}}
{{- $name := regexFind "^[^{]+" . -}}
{{- $braces := printf "{%s}" (list (trimPrefix $name . | trimAll "{}") "<<.LabelMatchers>>" | compact | join ",") -}}
{{- $term := "" -}}
{{- if eq $kind "sum" -}}
{{- $term = printf "sum by (<<.GroupBy>>)(%s(%s%s))" $once $name $braces -}}
{{- else if eq $kind "max" -}}
{{- $term = printf "max by (<<.GroupBy>>)(%s%s)" $name $braces -}}
{{- else if eq $kind "rate" -}}
{{- $term = printf "sum by (<<.GroupBy>>)(%s(rate(%s%s[%s])))" $once $name $braces $window -}}
{{- else if eq $kind "p95" -}}
{{- $once := printf "max by (%s, le)" (join ", " $labels) -}}
{{- $term = printf "histogram_quantile(0.95, sum by (<<.GroupBy>>, le)(%s(rate(%s_bucket%s[%s]))))" $once $name $braces $window -}}
{{- end -}}
{{- $terms = append $terms $term -}}
{{- end -}}
{{- $value := list (join " + " $terms) .way.scale | compact | join " " -}}
{{- with .way.unless -}}{{- $value = printf "(%s unless on (<<.GroupBy>>) {%s,<<.LabelMatchers>>})" $value . -}}{{- end -}}
{{- printf "%s %s" $value (default ">= 0" .way.is) -}}
{{- end -}}
