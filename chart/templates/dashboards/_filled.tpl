{{/*
A text of files/alerts or files/dashboards with what stands in <> filled in, as (list . text). The files are no templates,
so that {{ }} in them are Prometheus's and Grafana's. <hostname>, <uuid>, <model>, <pod>, <namespace>, <container> are label
names, <hostnames> and <uuids> all spellings of two of them; <entity> are the labels of a GPU or MIG instance, <board> those of a
GPU, whatever parts it has, in every spelling; <chartScrape> and <held>, in a selector, are series that the chart's own monitor brings, and those of them that a pod holds: a second monitor
without honorLabels puts the exporter's pod on what nobody holds. The words of files/dashboards/parts/fields.yaml with a
selector are a field under either of its names.
*/}}
{{- define "dcgm-exporter.filled" -}}
{{- $root := index . 0 -}}
{{- $text := index . 1 -}}
{{- $text = replace "<orIdleBySeconds>" (include "dcgm-exporter.orIdleBySeconds" $root) $text -}}
{{- $text = replace "<unlessCounted>" (include "dcgm-exporter.unlessCounted" (list $root "<held>")) $text -}}
{{- $applications := "13|31|43|45|68|109" -}}{{/* for which NVIDIA's device plugin leaves a GPU in service */}}
{{- $text = replace "<new xids of hardware>" (include "dcgm-exporter.newXids" (list (printf "xid!~%q" $applications) 60)) $text -}}
{{- $text = replace "<new xids of applications>" (include "dcgm-exporter.newXids" (list (printf "xid=~%q" $applications) 15)) $text -}}
{{- $words := dict
  "xids of applications" $applications
  "entity" "<board>, GPU_I_PROFILE, GPU_I_ID"
  "held" "<pod>!=\"\", <chartScrape>"
-}}
{{- range $word, $meaning := $words -}}{{- $text = replace (printf "<%s>" $word) $meaning $text -}}{{- end -}}
{{- $text = $text | replace "$labels.<hostname>" "(or $labels.Hostname $labels.hostname)" | replace "$labels.<uuid>" "(or $labels.UUID $labels.uuid $labels.gpu_uuid)" -}}
{{- $words = include "dcgm-exporter.labelNames" $root | fromYaml -}}
{{- if not (or $root.Values.serviceMonitor.honorLabels (include "dcgm-exporter.hasOldNames" $root)) -}}
{{- range list "pod" "namespace" "container" -}}{{- $_ := set $words . (printf "exported_%s" .) -}}{{- end -}}
{{- end -}}
{{- $_ := set $words "hostnames" (include "dcgm-exporter.everyHostname" $root) -}}
{{- $_ := set $words "uuids" (include "dcgm-exporter.everyUuid" $root) -}}
{{- $_ := set $words "board" (printf "%s, gpu, %s" $words.hostnames $words.uuids) -}}
{{- $_ := set $words "gpuResources" "nvidia_com_(gpu|gpu_shared|mig_.+)" -}}{{/* and not what NVIDIA's network operator offers */}}
{{- $_ := set $words "exportersByNode" (include "dcgm-exporter.exportersByNode" $root) -}}
{{- $_ := set $words "onCordonedNode" (include "dcgm-exporter.onCordonedNode" $root) -}}
{{- $_ := set $words "scaledOn" (include "dcgm-exporter.scaledOn" $root) -}}
{{- $_ := set $words "chartScrape" (include "dcgm-exporter.monitorKind" $root | empty | ternary "exporter_pod=~\".*\"" "exporter_pod!=\"\"") -}}
{{- $_ := set $words "exporterName" (include "dcgm-exporter.monitorKind" $root | empty | ternary "instance" "exporter_pod") -}}
{{- $_ := set $words "unlessWithoutGpus" (include "dcgm-exporter.unlessWithoutGpus" $root) -}}
{{- $_ := set $words "window" (include "dcgm-exporter.rateWindow" $root) -}}
{{- $_ := set $words "exporter" (include "dcgm-exporter.fullname" $root) -}}
{{- $_ := set $words "exporterNamespace" (include "dcgm-exporter.namespace" $root) -}}
{{- $_ := set $words "exporterPods" (include "dcgm-exporter.podNames" $root) -}}
{{- $_ := set $words "release" $root.Release.Name -}}
{{- $_ := set $words "pods" (include "dcgm-exporter.podsOfWorkload" $root) -}}
{{- $_ := set $words "job" (include "dcgm-exporter.job" $root) -}}
{{- $_ := set $words "idleMinutes" (toString $root.Values.alerts.idleMinutes) -}}
{{- $_ := set $words "temperatureCelsius" (toString $root.Values.alerts.temperatureCelsius) -}}
{{- range $word, $meaning := $words -}}{{- $text = replace (printf "<%s>" $word) $meaning $text -}}{{- end -}}
{{- range list "load" "selector" -}}
{{- $own := get (fromYaml $text) . -}}
{{- if $own -}}{{- $text = replace (printf "<%s>" .) $own $text -}}{{- end -}}
{{- end -}}
{{- range $word, $field := $root.Files.Get "files/dashboards/parts/fields.yaml" | fromYaml -}}
{{- $either := printf "%s{${1}} or %s{${1}}%s" .classic .newer (default "" .factor) -}}
{{- if .isLoad -}}{{- $either = include "dcgm-exporter.utilization" (list $root "${1}" (include "dcgm-exporter.overStep" $root) $either) | replace "$__" "$$__" -}}{{- end -}}
{{- $text = regexReplaceAll (printf "<%s>[{]([^}]*)[}]" $word) $text (printf "(%s)" $either) -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/*
Xids of the last minutes, by GPU or MIG instance and code, from totals; as (list selector minutes). A total begins at 1 when
its code first comes, which increase() does not see, and other pods' labels begin it anew: so it is compared with what it was
before, whatever its pod. An exporter that has started since then has no older Xid.
*/}}
{{- define "dcgm-exporter.newXids" -}}
{{- $total := printf "DCGM_EXP_XID_ERRORS_TOTAL{%s}" (index . 0) -}}
{{- $minutes := index . 1 -}}
{{- $newest := printf "max by (<entity>, xid) (last_over_time(%s[%dm]))" $total $minutes -}}
{{- printf "%s unless %s <= max by (<entity>, xid) (%s offset %dm)" $newest $newest $total $minutes -}}
{{- printf " or max by (<entity>, xid) (increase(%s[%dm])) > 0" $total $minutes -}}
{{- printf " or max by (<entity>, xid) (%s and on (job, instance) process_start_time_seconds > time() - %d)" $total (mul $minutes 60) -}}
{{- end -}}

{{/*
Where the exporter runs on all nodes: what leaves out those that have never offered a GPU, as far as kube-state-metrics tells.
A node whose driver is gone still lists its GPUs, as none.
*/}}
{{- define "dcgm-exporter.unlessWithoutGpus" -}}
{{- if not (or .Values.gpuNodes.only .Values.affinity .Values.nodeSelector) -}}
unless on (exporter_pod)
          label_join(
            kube_pod_info{namespace={{ include "dcgm-exporter.namespace" . | quote }}} and on (node) (
              kube_node_status_capacity{resource="cpu"} unless on (node) kube_node_status_capacity{resource=~"nvidia_com_(gpu|gpu_shared|mig_.+)"}
            ),
            "exporter_pod", "", "pod"
          )
{{- end -}}
{{- end -}}

{{/* The release's exporters on cordoned nodes, as far as kube-state-metrics tells, by exporter_pod: somebody works on these nodes. */}}
{{- define "dcgm-exporter.onCordonedNode" -}}
{{- printf "(%s and on (node) kube_node_spec_unschedulable == 1)" (include "dcgm-exporter.exportersByNode" .) -}}
{{- end -}}

{{/* The release's exporters with their nodes, as far as kube-state-metrics tells, by exporter_pod. */}}
{{- define "dcgm-exporter.exportersByNode" -}}
{{- $pods := printf "kube_pod_info{namespace=%q, pod=~%q}" (include "dcgm-exporter.namespace" .) (include "dcgm-exporter.podNames" .) -}}
{{- printf "label_join(%s, \"exporter_pod\", \"\", \"pod\")" $pods -}}
{{- end -}}

{{/* A regular expression for the names of the exporter's pods. */}}
{{- define "dcgm-exporter.podNames" -}}{{ include "dcgm-exporter.fullname" . }}-[a-z0-9]{5}{{- end -}}

{{/* A regular expression for the metrics of autoscalers that are this chart's business: its own, and GPUs' by whoever's rule. */}}
{{- define "dcgm-exporter.scaledOn" -}}
{{- $names := list "DCGM_.+" -}}
{{- range concat (include "dcgm-exporter.gpuMetrics" . | fromJsonArray) (include "dcgm-exporter.servingMetrics" . | fromJsonArray) -}}{{- $names = append $names .metric -}}{{- end -}}
{{- range .Values.adapter.rules.extra -}}{{- with dig "name" "as" "" . -}}{{- $names = append $names . -}}{{- end -}}{{- end -}}
{{- range include "dcgm-exporter.targets" . | fromJsonArray -}}{{- range .metrics -}}{{- $names = append $names .metric -}}{{- end -}}{{- end -}}
{{- uniq $names | join "|" -}}
{{- end -}}

{{/* The label `job` of the exporter's targets: a Service's name, or what the operator makes of a PodMonitor's. */}}
{{- define "dcgm-exporter.job" -}}
{{- if .Values.podMonitor.enabled -}}
{{- printf "%s/%s" (include "dcgm-exporter.namespace" .) (include "dcgm-exporter.named" (list . "metrics")) -}}
{{- else -}}
{{- include "dcgm-exporter.fullname" . -}}
{{- end -}}
{{- end -}}
