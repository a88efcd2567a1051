{{/* What NOTES have to know of the cluster. Without a cluster (helm template) and without checkCluster there is nothing. */}}

{{/* Other exporters of DCGM_FI_* series, as a list of "DaemonSet NAME in namespace NAMESPACE". */}}
{{- define "dcgm-exporter.otherExporters" -}}
{{- $found := list -}}
{{- $own := printf "%s/%s" (include "dcgm-exporter.namespace" .) (include "dcgm-exporter.fullname" .) -}}
{{- if .Values.checkCluster -}}
{{- range (lookup "apps/v1" "DaemonSet" "" "").items -}}
{{- $labels := default dict .metadata.labels -}}
{{- $images := list -}}
{{- range .spec.template.spec.containers -}}{{- $images = append $images .image -}}{{- end -}}
{{- $isExporter := or (contains "dcgm-exporter" (join " " $images)) (eq "dcgm-exporter" (toString (get $labels "app.kubernetes.io/name"))) -}}
{{- if and $isExporter (ne $own (printf "%s/%s" .metadata.namespace .metadata.name)) -}}
{{- $found = append $found (printf "DaemonSet %s in namespace %s" .metadata.name .metadata.namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* How many nodes the exporter's default affinity takes, or nothing where that is not known or not asked. */}}
{{- define "dcgm-exporter.gpuNodeCount" -}}
{{- if and .Values.checkCluster (include "dcgm-exporter.choosesGpuNodes" .) -}}
{{- $nodes := (lookup "v1" "Node" "" "").items -}}
{{- $count := 0 -}}
{{- range $nodes -}}
{{- $labels := default dict .metadata.labels -}}
{{- $isGpuNode := false -}}
{{- range include "dcgm-exporter.gpuNodeLabels" $ | fromJsonArray -}}
{{- if and (hasKey $labels .key) (or (not .values) (has (get $labels .key) .values)) -}}{{- $isGpuNode = true -}}{{- end -}}
{{- end -}}
{{- if $isGpuNode -}}{{- $count = add1 $count -}}{{- end -}}
{{- end -}}
{{- if $nodes -}}{{- $count -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* The ServiceMonitor that a walk-through for dcgm-exporter has people make by hand: it scrapes our Service a second time. */}}
{{- define "dcgm-exporter.handMadeServiceMonitor" -}}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1/ServiceMonitor" -}}
{{- with lookup "monitoring.coreos.com/v1" "ServiceMonitor" (include "dcgm-exporter.namespace" .) "dcgm-exporter" -}}
{{- if and (include "dcgm-exporter.monitorKind" $) (ne (index (default dict .metadata.labels) "app.kubernetes.io/managed-by" | toString) "Helm") -}}true{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
