{{/*
What a preset stands for, as JSON {metric, threshold, query}: (list . WHERE ITEM), ITEM being an entry of a target's `metrics`.
The query is in the adapter's grammar and gives one number a pod.
*/}}
{{- define "dcgm-exporter.preset" -}}
{{- $root := index . 0 -}}
{{- $where := index . 1 -}}
{{- $item := index . 2 -}}
{{- $found := dict -}}
{{- $names := list -}}
{{- range $metric := include "dcgm-exporter.gpuMetrics" $root | fromJsonArray -}}
{{- $names = append $names $metric.metric -}}
{{- if eq $metric.metric $item.preset -}}
{{- if $item.signal -}}{{- fail (printf "%s: preset %s is one metric; signal is only for a model server's preset" $where $item.preset) -}}{{- end -}}
{{- $found = dict "metric" $metric.metric "threshold" $metric.threshold "query" (include "dcgm-exporter.gpuQuery" (list $root $metric (list "<<.LabelMatchers>>"))) "isGpu" true -}}
{{- end -}}
{{- end -}}
{{- $presets := include "dcgm-exporter.servingPresets" $root | fromJson -}}
{{- with get $presets $item.preset -}}
{{- $signal := default .default $item.signal | default "inference_queue_depth" -}}
{{- if not (hasKey .signals $signal) -}}
{{- fail (printf "%s: preset %s has no signal %s, but %s" $where $item.preset $signal (keys .signals | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $runtimes := list -}}
{{- range .engines -}}{{- $runtimes = append $runtimes (get $presets .) -}}{{- end -}}
{{- $runtimes = append $runtimes . -}}
{{- range include "dcgm-exporter.servingMetrics" $root | fromJsonArray -}}
{{- if eq .metric $signal -}}
{{- $found = dict "metric" $signal "query" (include "dcgm-exporter.servingAnswers" (list $root . $runtimes) | fromJson).query -}}
{{- end -}}
{{- end -}}
{{- $_ := set $found "threshold" (get .signals $signal).threshold -}}
{{- end -}}
{{- if not $found -}}
{{- fail (printf "%s: unknown preset %s; the presets are %s" $where $item.preset (concat $names (keys $presets | sortAlpha) | join ", ")) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/*
Which pods are a workload's, as a regular expression of their names: (list KIND NAME). A Deployment's end in two words of letters
and digits that Kubernetes chooses (no vowels, no 0, 1 and 3), so another one called NAME-large is not meant. Where the name is so
long that Kubernetes cuts it, nothing more can be said than how they begin.
*/}}
{{- define "dcgm-exporter.podsOf" -}}
{{- $name := index . 1 | replace "." "[.]" -}}
{{- $random := "[b-df-hj-np-tv-z2-9]" -}}
{{- if eq (index . 0) "StatefulSet" -}}
{{- printf "%s-[0-9]+" $name -}}
{{- else if not (has (index . 0) (list "Deployment" "Rollout")) -}}
{{- printf "%s-.+" $name -}}
{{- else if gt (len (index . 1)) 46 -}}
{{- printf "%s.+" (index . 1 | printf "%s-" | trunc 58 | replace "." "[.]") -}}
{{- else -}}
{{- printf "%s-%s+-%s{5}" $name $random $random -}}
{{- end -}}
{{- end -}}

{{/*
A query of the adapter's grammar as KEDA asks it: (list . ENTRY METRIC). The answer is the sum over the pods, which KEDA divides
by their number. A pod that is found under its own label is not looked for under a renamed one, so a GPU that is scraped in both
ways counts once, and a workload of which each half is found in another way counts as a whole.
*/}}
{{- define "dcgm-exporter.kedaQuery" -}}
{{- $root := index . 0 -}}
{{- $entry := index . 1 -}}
{{- $metric := index . 2 -}}
{{- $spellings := list (dict "pod" "pod" "namespace" "namespace" "matchers" list) -}}
{{- if $metric.isGpu -}}{{- $spellings = include "dcgm-exporter.spellings" $root | fromJsonArray -}}{{- end -}}
{{- $query := "" -}}
{{- $label := (first $spellings).pod -}}
{{- range $spellings -}}
{{- $pods := concat (list (printf "%s=%q" .namespace $entry.namespace) (printf "%s=~%q" .pod $entry.pods)) .matchers | join "," -}}
{{- $one := $metric.query | replace "<<.LabelMatchers>>" $pods | replace "<<.GroupBy>>" .pod -}}
{{- $query = not $query | ternary $one (include "dcgm-exporter.eitherSpelling" (list $query $label $one .pod)) -}}
{{- end -}}
{{- printf "sum(%s)" $query -}}
{{- end -}}

{{/* Values of pods by one label, and of further pods by another: (list QUERY LABEL OTHER-QUERY OTHER-LABEL). */}}
{{- define "dcgm-exporter.eitherSpelling" -}}
{{- $label := index . 1 -}}
{{- printf "(%s) or on (%s) max by (%s) (label_join(%s, %q, \"\", %q))" (index . 0) $label $label (index . 2) $label (index . 3) -}}
{{- end -}}
