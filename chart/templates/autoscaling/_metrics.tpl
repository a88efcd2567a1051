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
{{- if $item.signal -}}{{- fail (printf "%s: preset %s is one metric; signal goes with a model server's preset" $where $item.preset) -}}{{- end -}}
{{- $found = dict "metric" $metric.metric "threshold" $metric.threshold "query" (include "dcgm-exporter.gpuQuery" (list $root $metric "<<.LabelMatchers>>")) "isGpu" true -}}
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
{{- fail (printf "%s: there is no preset %s, but %s" $where $item.preset (concat $names (keys $presets | sortAlpha) | join ", ")) -}}
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
by their number. The sums of plain and renamed labels are alternatives, so that a GPU that is scraped in both ways counts once.
*/}}
{{- define "dcgm-exporter.kedaQuery" -}}
{{- $root := index . 0 -}}
{{- $entry := index . 1 -}}
{{- $metric := index . 2 -}}
{{- $spellings := list (dict "pod" "pod" "namespace" "namespace") -}}
{{- if $metric.isGpu -}}
{{- $spellings = list (include "dcgm-exporter.labelNames" $root | fromYaml) -}}
{{- if not (include "dcgm-exporter.hasOldNames" $root) -}}
{{- $spellings = append $spellings (dict "pod" "exported_pod" "namespace" "exported_namespace") -}}
{{- end -}}
{{- end -}}
{{- $sums := list -}}
{{- range $spellings -}}
{{- $pods := printf "%s=%q,%s=~%q" .namespace $entry.namespace .pod $entry.pods -}}
{{- $sums = append $sums (printf "sum(%s)" ($metric.query | replace "<<.LabelMatchers>>" $pods | replace "<<.GroupBy>>" .pod)) -}}
{{- end -}}
{{- join " or " $sums -}}
{{- end -}}
