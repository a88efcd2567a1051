{{/*
A panel, as JSON with its width and height as w and h: (list . PANEL LEGEND), PANEL being an entry of a dashboard's row. It has
a title and either `expr` or `queries`, each with a legend or, in a table, a column. What is no shorthand of ours is taken as
Grafana's own, over what parts/panels.yaml says of the type. A rate needs two scrapes in $__rate_interval, whatever the data source
takes for the interval.
*/}}
{{- define "dcgm-exporter.panel" -}}
{{- $root := index . 0 -}}
{{- $spec := index . 1 -}}
{{- $legend := index . 2 -}}
{{- $type := default "timeseries" $spec.type -}}
{{- $base := get ($root.Files.Get "files/dashboards/parts/panels.yaml" | fromYaml) $type -}}
{{- $source := dict "type" "prometheus" "uid" "${datasource}" -}}
{{- $queries := default (list (pick $spec "expr" "legend" "column")) $spec.queries -}}
{{- $targets := list -}}
{{- range $i, $query := $queries -}}
{{- $target := dict "refId" (printf "%c" (add 65 $i)) "datasource" $source "expr" $query.expr "range" (not $base.instant) "instant" (default false $base.instant) -}}
{{- if contains "$__rate_interval" $query.expr -}}{{- $_ := set $target "interval" (default "1m" $root.Values.serviceMonitor.interval) -}}{{- end -}}
{{- if eq $type "table" -}}
{{- $_ := set $target "format" "table" -}}
{{- else -}}
{{- $_ := set $target "legendFormat" (default $legend $query.legend) -}}
{{- end -}}
{{- $targets = append $targets $target -}}
{{- end -}}
{{- $defaults := pick $spec "unit" "min" "max" "decimals" -}}
{{- with $spec.thresholds -}}{{- $_ := set $defaults "thresholds" (dict "mode" "absolute" "steps" .) -}}{{- end -}}
{{- $own := omit $spec "expr" "legend" "column" "queries" "unit" "min" "max" "decimals" "thresholds" "linksTo" -}}
{{- $panel := mergeOverwrite (omit $base "instant") $own (dict "type" $type "datasource" $source "targets" $targets) -}}
{{- $panel = mergeOverwrite $panel (dict "fieldConfig" (dict "defaults" $defaults)) -}}
{{- if eq $type "table" -}}
{{- $panel = mergeOverwrite $panel (include "dcgm-exporter.tableColumns" (list $root $spec $queries) | fromJson) -}}
{{- end -}}
{{- toJson $panel -}}
{{- end -}}

{{/* How a table shows its queries: one line for equal labels, values under their columns' names and units, and a link. */}}
{{- define "dcgm-exporter.tableColumns" -}}
{{- $root := index . 0 -}}
{{- $spec := index . 1 -}}
{{- $queries := index . 2 -}}
{{- $hidden := dict "Time" true -}}
{{- $names := dict -}}
{{- $overrides := list -}}
{{- range $i, $query := $queries -}}
{{- $value := gt (len $queries) 1 | ternary (printf "Value #%c" (add 65 $i)) "Value" -}}
{{- if .column -}}{{- $_ := set $names $value .column -}}{{- else -}}{{- $_ := set $hidden $value true -}}{{- end -}}
{{- if .unit -}}
{{- $overrides = append $overrides (dict "matcher" (dict "id" "byName" "options" .column) "properties" (list (dict "id" "unit" "value" .unit))) -}}
{{- end -}}
{{- end -}}
{{- with $spec.linksTo -}}
{{- $url := printf "/d/%s?var-%s=${__value.raw:percentencode}&${__url_time_range}" (include "dcgm-exporter.dashboardUid" (list $root .dashboard)) .variable -}}
{{- $link := dict "id" "links" "value" (list (dict "title" (printf "Dashboard of this %s" .variable) "url" $url)) -}}
{{- $overrides = append $overrides (dict "matcher" (dict "id" "byName" "options" .column) "properties" (list $link)) -}}
{{- end -}}
{{- $merge := dict "id" "merge" "options" dict -}}
{{- $organize := dict "id" "organize" "options" (dict "excludeByName" $hidden "renameByName" $names) -}}
{{- dict "transformations" (list $merge $organize) "fieldConfig" (dict "overrides" $overrides) | toJson -}}
{{- end -}}

{{/*
A panel for each of the adapter's metrics, made of its own query: the pods of the HPA's target, and their mean, which is what the
HPA compares with its target. Of several rules for one metric the last counts that knows a pod, as for the adapter. Rules that name
no metric, or ask for more than pods and labels, have none.
*/}}
{{- define "dcgm-exporter.adapterPanels" -}}
{{- $units := dict "gpu_utilization" "percent" "_ratio" "percentunit" "_seconds" "s" "_mib" "mbytes" "_watts" "watt" "_mhz" "rotmhz" -}}
{{- $panels := list -}}
{{- $metrics := list -}}
{{- $shown := dict -}}
{{- range include "dcgm-exporter.adapterRules" . | fromYamlArray -}}
{{- $metric := dig "name" "as" "" . -}}
{{- $labels := dict -}}
{{- range $label, $is := dig "resources" "overrides" dict . -}}{{- $_ := set $labels $is.resource $label -}}{{- end -}}
{{- if and $metric $labels.pod $labels.namespace -}}
{{- $pods := printf "%s=\"$namespace\", %s=~\"%s\"" $labels.namespace $labels.pod (include "dcgm-exporter.podsOfWorkload" $) -}}
{{- $query := .metricsQuery | replace "<<.LabelMatchers>>" $pods | replace "<<.GroupBy>>" $labels.pod -}}
{{- if contains "<<" $query -}}
{{- else if hasKey $shown $metric -}}
{{- $before := get $shown $metric -}}
{{- if ne $labels.pod $before.pod -}}
{{- $query = printf "max by (%s) (label_join(%s, %q, \"\", %q))" $before.pod $query $before.pod $labels.pod -}}
{{- end -}}
{{- $_ := set $before "query" (printf "(%s) or on (%s) (%s)" $query $before.pod $before.query) -}}
{{- else -}}
{{- $metrics = append $metrics $metric -}}
{{- $_ := set $shown $metric (dict "pod" $labels.pod "query" $query) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $metric := $metrics -}}
{{- $one := get $shown $metric -}}
{{- $panel := dict "title" $metric "w" 8 "min" 0 "queries" (list
  (dict "expr" $one.query "legend" (printf "{{%s}}" $one.pod))
  (dict "expr" (printf "avg(%s)" $one.query) "legend" "mean")
) -}}
{{- range $ending, $unit := $units -}}{{- if regexMatch (printf "%s(_max)?$" $ending) $metric -}}{{- $_ := set $panel "unit" $unit -}}{{- end -}}{{- end -}}
{{- $panels = append $panels $panel -}}
{{- end -}}
{{- toJson $panels -}}
{{- end -}}

{{/* A regular expression for the pods of the workload that a dashboard's variable names: of a Deployment, or of a StatefulSet. */}}
{{- define "dcgm-exporter.podsOfWorkload" -}}$workload-([a-z0-9]+-)?[a-z0-9]+{{- end -}}
