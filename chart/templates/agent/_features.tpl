{{/* Which features the values ask for: each answers "true" or nothing. */}}

{{- define "dcgm-exporter.readsPods" -}}
{{- $labels := include "dcgm-exporter.isSwitchedOn" (list . "kubernetes-enable-pod-labels" "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS" false) -}}
{{- $uid := include "dcgm-exporter.isSwitchedOn" (list . "kubernetes-enable-pod-uid" "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID" false) -}}
{{- if or .Values.kubernetes.enablePodLabels .Values.kubernetes.enablePodUID $labels $uid -}}true{{- end -}}
{{- end -}}

{{- define "dcgm-exporter.readsResourceSlices" -}}
{{- if or .Values.kubernetesDRA.enabled (include "dcgm-exporter.isSwitchedOn" (list . "kubernetes-enable-dra" "KUBERNETES_ENABLE_DRA" false)) -}}true{{- end -}}
{{- end -}}

{{/* The ConfigMap that the exporter reads its counters from by the API server, as NAMESPACE:NAME, or nothing: -m or its variable. */}}
{{- define "dcgm-exporter.countersConfigMap" -}}
{{- with include "dcgm-exporter.flagValue" (list . "(m|configmap-data)" "DCGM_EXPORTER_CONFIGMAP_DATA") -}}
{{- if contains ":" . -}}{{- . -}}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "dcgm-exporter.asksApiServer" -}}
{{- if or (include "dcgm-exporter.readsPods" .) (include "dcgm-exporter.readsResourceSlices" .) (include "dcgm-exporter.countersConfigMap" .) -}}true{{- end -}}
{{- end -}}

{{/* How the pod gets at the GPUs; a mock needs none. */}}
{{- define "dcgm-exporter.gpuAccess" -}}
{{- if not .Values.mock.enabled -}}{{- .Values.gpuAccess.mode -}}{{- end -}}
{{- end -}}

{{/* The node's kubelet says who holds a GPU; a mock can have pods of its own. */}}
{{- define "dcgm-exporter.asksKubelet" -}}
{{- if and .Values.kubernetes.podMapping (or (not .Values.mock.enabled) (eq .Values.mock.pods "kubelet") .Values.mock.devicePlugin) -}}true{{- end -}}
{{- end -}}

{{/* The mock's GPUs are what the node's pods can ask for. */}}
{{- define "dcgm-exporter.offersGpus" -}}
{{- if and .Values.mock.enabled .Values.mock.devicePlugin -}}true{{- end -}}
{{- end -}}

{{/* The chart chooses the nodes; whoever names them by affinity or nodeSelector does it alone. */}}
{{- define "dcgm-exporter.choosesGpuNodes" -}}
{{- if and .Values.gpuNodes.only (not .Values.mock.enabled) (not .Values.affinity) (not .Values.nodeSelector) -}}true{{- end -}}
{{- end -}}

{{/* The user mounts counters at or below /etc/dcgm-exporter, so the chart's folder would hide them or be hidden. */}}
{{- define "dcgm-exporter.hasOwnCounters" -}}
{{- range .Values.extraVolumeMounts -}}
{{- if regexMatch "^/etc/dcgm-exporter(/|$)" .mountPath -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* dcgm-exporter's ConfigMap is made where a volume, an argument or a variable mentions it. */}}
{{- define "dcgm-exporter.mentionsMetricsConfigMap" -}}
{{- if contains "exporter-metrics-config-map" (list .Values.extraConfigMapVolumes .Values.arguments .Values.extraEnv | toJson) -}}true{{- end -}}
{{- end -}}

{{- define "dcgm-exporter.counters" -}}
{{- $health := ternary (.Files.Get "files/health-counters.csv") "" .Values.healthCounters -}}
{{- default (print (.Files.Get "files/default-counters.csv") $health) .Values.customMetrics | trimSuffix "\n" -}}
{{- end -}}
