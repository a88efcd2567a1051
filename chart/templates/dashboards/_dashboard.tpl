{{/*
A dashboard for Grafana, as a dict in JSON, of (list . SPEC), SPEC being a file of files/dashboards. Panels of a row follow
each other from left to right and begin a new line where there is no room.
*/}}
{{- define "dcgm-exporter.dashboard" -}}
{{- $root := index . 0 -}}
{{- $spec := index . 1 -}}
{{- $rows := $spec.rows -}}
{{- with $spec.adapterRow -}}
{{- $rows = append $rows (dict "title" . "panels" (include "dcgm-exporter.adapterPanels" $root | fromJsonArray)) -}}
{{- end -}}
{{- $panels := list -}}
{{- $y := 0 -}}
{{- range $row := $rows -}}
{{- $panels = append $panels (dict "id" (len $panels | add1) "type" "row" "title" .title "collapsed" false "panels" list "gridPos" (dict "x" 0 "y" $y "w" 24 "h" 1)) -}}
{{- $y = add1 $y -}}
{{- $x := 0 -}}
{{- $tallest := 0 -}}
{{- range .panels -}}
{{- $panel := include "dcgm-exporter.panel" (list $root . (default "" $spec.legend)) | fromJson -}}
{{- $w := int $panel.w -}}
{{- $h := int $panel.h -}}
{{- if gt (add $x $w) 24 -}}
{{- $y = add $y $tallest -}}
{{- $x = 0 -}}
{{- $tallest = 0 -}}
{{- end -}}
{{- $place := dict "id" (len $panels | add1) "gridPos" (dict "x" $x "y" $y "w" $w "h" $h) -}}
{{- $panels = append $panels (merge $place (omit $panel "w" "h")) -}}
{{- $x = add $x $w -}}
{{- $tallest = max $tallest $h -}}
{{- end -}}
{{- $y = add $y $tallest -}}
{{- end -}}
{{- $variables := list (dict "name" "datasource" "label" "Prometheus" "type" "datasource" "query" "prometheus" "refresh" 1 "hide" 0) -}}
{{- range $spec.variables -}}{{- $variables = append $variables (include "dcgm-exporter.dashboardVariable" . | fromJson) -}}{{- end -}}
{{- $link := dict "type" "dashboards" "title" "GPU dashboards" "tags" (list "gpu-exporter") "asDropdown" true "keepTime" true "includeVars" false "icon" "external link" -}}
{{- dict
  "title" $spec.title
  "description" $spec.description
  "tags" (list "gpu-exporter" "gpu" "dcgm")
  "schemaVersion" 41
  "editable" true
  "graphTooltip" 1
  "refresh" "30s"
  "timezone" "browser"
  "time" (dict "from" "now-1h" "to" "now")
  "links" (list $link)
  "annotations" (dict "list" list)
  "templating" (dict "list" $variables)
  "panels" $panels
| toJson -}}
{{- end -}}

{{/* A template variable: the values of a label; with `all` several can be chosen, or all. */}}
{{- define "dcgm-exporter.dashboardVariable" -}}
{{- $query := printf "label_values(%s, %s)" .of .values -}}
{{- $variable := dict
  "name" .name
  "label" .label
  "type" "query"
  "datasource" (dict "type" "prometheus" "uid" "${datasource}")
  "definition" $query
  "query" (dict "query" $query "refId" "A")
  "refresh" 2
  "sort" 3
  "hide" 0
-}}
{{- with .all -}}
{{- $all := dict "includeAll" true "multi" true "allValue" . "current" (dict "text" (list "All") "value" (list "$__all")) -}}
{{- $variable = merge $variable $all -}}
{{- end -}}
{{- toJson $variable -}}
{{- end -}}
