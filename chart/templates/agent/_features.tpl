{{/* Which features the values ask for: each answers "true" or nothing. */}}

{{/* A switch of the exporter's that is on by its argument or its variable: (list . FLAG VARIABLE). */}}
{{- define "dcgm-exporter.isSwitchedOn" -}}
{{- $root := index . 0 -}}
{{- $true := "(1|t|T|true|True|TRUE)" -}}
{{- $isOn := false -}}
{{- range $root.Values.extraEnv -}}
{{- if eq .name (index $ 2) -}}{{- $isOn = regexMatch (printf "^%s$" $true) (toString .value) -}}{{- end -}}
{{- end -}}
{{- range $root.Values.arguments -}}
{{- if regexMatch (printf "^--?%s(=|$)" (index $ 1)) . -}}{{- $isOn = regexMatch (printf "^[^=]*(=%s)?$" $true) . -}}{{- end -}}
{{- end -}}
{{- if $isOn -}}true{{- end -}}
{{- end -}}

{{- define "dcgm-exporter.readsPods" -}}
{{- $labels := include "dcgm-exporter.isSwitchedOn" (list . "kubernetes-enable-pod-labels" "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS") -}}
{{- $uid := include "dcgm-exporter.isSwitchedOn" (list . "kubernetes-enable-pod-uid" "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID") -}}
{{- if or .Values.kubernetes.enablePodLabels .Values.kubernetes.enablePodUID $labels $uid -}}true{{- end -}}
{{- end -}}

{{- define "dcgm-exporter.readsResourceSlices" -}}
{{- if or .Values.kubernetesDRA.enabled (include "dcgm-exporter.isSwitchedOn" (list . "kubernetes-enable-dra" "KUBERNETES_ENABLE_DRA")) -}}true{{- end -}}
{{- end -}}

{{/* The ConfigMap that the exporter reads its counters from by the API server, as NAMESPACE:NAME, or nothing: -m, as dcgm-exporter has it. */}}
{{- define "dcgm-exporter.countersConfigMap" -}}
{{- $flag := "^--?(m|configmap-data)" -}}
{{- $found := "" -}}
{{- $isNext := false -}}
{{- range .Values.arguments -}}
{{- if $isNext -}}{{- $found = . -}}{{- end -}}
{{- $isNext = regexMatch (printf "%s$" $flag) . -}}
{{- if regexMatch (printf "%s=" $flag) . -}}{{- $found = regexReplaceAll "^[^=]*=" . "" -}}{{- end -}}
{{- end -}}
{{- if contains ":" $found -}}{{- $found -}}{{- end -}}
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
{{- if and .Values.kubernetes.podMapping (or (not .Values.mock.enabled) (eq .Values.mock.pods "kubelet")) -}}true{{- end -}}
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

{{/* dcgm-exporter's ConfigMap is made where a volume or an argument mentions it. */}}
{{- define "dcgm-exporter.mentionsMetricsConfigMap" -}}
{{- if or (contains "exporter-metrics-config-map" (toJson .Values.extraConfigMapVolumes)) (contains "exporter-metrics-config-map" (toJson .Values.arguments)) -}}true{{- end -}}
{{- end -}}

{{- define "dcgm-exporter.counters" -}}
{{- default (.Files.Get "files/default-counters.csv") .Values.customMetrics | trimSuffix "\n" -}}
{{- end -}}
