{{/* Parts of the exporter's pod that the values decide. */}}

{{- define "dcgm-exporter.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{- define "dcgm-exporter.podSecurityContext" -}}
{{- $context := dict "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (merge (default dict .Values.podSecurityContext | deepCopy) $context) -}}
{{- end -}}

{{/* As the values say, but root only where the kubelet's socket or the host's driver needs it. */}}
{{- define "dcgm-exporter.securityContext" -}}
{{- $context := default dict .Values.securityContext | deepCopy -}}
{{- $added := default list (default dict $context.capabilities).add -}}
{{- if or $context.privileged (has "CAP_SYS_ADMIN" $added) -}}{{/* the API server takes these with it alone */}}
{{- $_ := set $context "allowPrivilegeEscalation" true -}}
{{- end -}}
{{- if eq (include "dcgm-exporter.gpuAccess" .) "hostDriver" -}}
{{- $context = merge (dict "privileged" true "allowPrivilegeEscalation" true) $context -}}
{{- else if and (not (include "dcgm-exporter.asksKubelet" .)) (eq (toString (get $context "runAsUser")) "0") -}}
{{- $context = merge (dict "runAsNonRoot" true "runAsUser" 65534 "runAsGroup" 65534) $context -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{- define "dcgm-exporter.affinity" -}}
{{- if .Values.affinity -}}
{{- toYaml .Values.affinity -}}
{{- else if include "dcgm-exporter.choosesGpuNodes" . -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
    {{- range $label := include "dcgm-exporter.gpuNodeLabels" . | fromJsonArray }}
    - matchExpressions:
      {{- if $label.values }}
      - {key: {{ $label.key }}, operator: In, values: {{ toJson $label.values }}}
      {{- else }}
      - {key: {{ $label.key }}, operator: Exists}
      {{- end }}
      {{- include "dcgm-exporter.notPaused" $ | nindent 6 }}
    {{- end }}
{{- else if not .Values.mock.enabled -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
    - matchExpressions:
      {{- include "dcgm-exporter.notPaused" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{/*
Before it unloads the driver, and before it changes MIG's layout, the GPU Operator asks dcgm-exporter off the node by this label, or
by the second where it uses DRA, and waits for it to go. A pod of ours that stayed would hold the devices, and the change would fail.
*/}}
{{- define "dcgm-exporter.notPaused" -}}
- {key: nvidia.com/gpu.deploy.dcgm-exporter, operator: NotIn, values: [paused-for-driver-upgrade, paused-for-mig-change]}
- {key: nvidia.com/gpu.deploy.dcgm-exporter-dra, operator: NotIn, values: [paused-for-driver-upgrade, paused-for-mig-change]}
{{- end -}}

{{/* Labels by which GPU nodes are known: each alone is enough. No value: any. */}}
{{- define "dcgm-exporter.gpuNodeLabels" -}}
[
  {"key": "nvidia.com/gpu.present", "values": ["true"]},
  {"key": "feature.node.kubernetes.io/pci-10de.present", "values": ["true"]},
  {"key": "feature.node.kubernetes.io/pci-0302_10de.present", "values": ["true"]},
  {"key": "feature.node.kubernetes.io/pci-0300_10de.present", "values": ["true"]},
  {"key": "cloud.google.com/gke-accelerator"},
  {"key": "k8s.amazonaws.com/accelerator"},
  {"key": "karpenter.k8s.aws/instance-gpu-manufacturer", "values": ["nvidia"]},
  {"key": "eks.amazonaws.com/instance-gpu-manufacturer", "values": ["nvidia"]},
  {"key": "kubernetes.azure.com/accelerator", "values": ["nvidia"]},
  {"key": "accelerator", "values": ["nvidia"]}
]
{{- end -}}

{{- define "dcgm-exporter.tolerations" -}}
{{- $all := default list .Values.tolerations -}}
{{- if .Values.gpuNodes.tolerateTaints -}}
{{- $all = concat $all (list (dict "key" "nvidia.com/gpu" "operator" "Exists") (dict "key" "sku" "operator" "Equal" "value" "gpu")) -}}
{{- end -}}
{{- if $all -}}{{- toYaml (uniq $all) -}}{{- end -}}
{{- end -}}

{{/* Files that the running exporter does not read again: a change of these has to restart the pods. */}}
{{- define "dcgm-exporter.checksums" -}}
{{- if and (include "dcgm-exporter.hasOwnCounters" .) (include "dcgm-exporter.mentionsMetricsConfigMap" .) }}
checksum/counters: {{ include "dcgm-exporter.counters" . | sha256sum }}
{{- end }}
{{- with .Values.config }}
checksum/config: {{ toJson . | sha256sum }}
{{- end }}
{{- if and .Values.mock.enabled .Values.mock.scenario }}
checksum/scenario: {{ toJson .Values.mock.scenario | sha256sum }}
{{- end }}
{{- end -}}

{{- define "dcgm-exporter.args" -}}
{{- $args := list -}}
{{- if .Values.config -}}
{{- $args = append $args "--config-file=/etc/gpu-metrics-exporter/config/config.yaml" -}}
{{- end -}}
{{- with .Values.service.webReadTimeout -}}{{- $args = append $args (printf "--web-read-timeout=%s" .) -}}{{- end -}}
{{- with .Values.service.webWriteTimeout -}}{{- $args = append $args (printf "--web-write-timeout=%s" .) -}}{{- end -}}
{{- if .Values.debugDump.enabled -}}
{{- $args = concat $args (list "--dump-enabled" (printf "--dump-directory=%s" .Values.debugDump.directory) (printf "--dump-retention=%d" (int .Values.debugDump.retention)) (printf "--dump-compression=%t" .Values.debugDump.compression)) -}}
{{- end -}}
{{- if .Values.mock.enabled -}}
{{- $args = append $args (printf "--mock=%s" (empty .Values.mock.scenario | ternary .Values.mock.profile "/etc/gpu-metrics-exporter/mock/scenario.yaml")) -}}
{{- if include "dcgm-exporter.asksKubelet" . -}}
{{- $args = append $args "--pod-resources-kubelet-socket=/var/lib/kubelet/pod-resources/kubelet.sock" -}}
{{- end -}}
{{- if include "dcgm-exporter.offersGpus" . -}}
{{- $args = append $args "--mock-device-plugin=/var/lib/kubelet/device-plugins" -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat $args (default list .Values.arguments)) -}}
{{- end -}}

{{/* The chart's variables, but for those that extraEnv has, and that: a server-side apply rejects a repeated name. */}}
{{- define "dcgm-exporter.env" -}}
{{- $env := list -}}
{{- $given := list -}}
{{- range .Values.extraEnv -}}{{- $given = append $given .name -}}{{- end -}}
{{- range include "dcgm-exporter.ownEnv" . | fromYamlArray -}}
{{- if not (has .name $given) -}}{{- $env = append $env . -}}{{- end -}}
{{- end -}}
{{- toYaml (concat $env (default list .Values.extraEnv)) -}}
{{- end -}}

{{- define "dcgm-exporter.ownEnv" -}}
- name: DCGM_EXPORTER_KUBERNETES
  value: {{ .Values.kubernetes.podMapping | quote }}
- name: DCGM_EXPORTER_LISTEN
  value: {{ .Values.service.address | quote }}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- if include "dcgm-exporter.asksKubelet" . }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end }}
{{- if include "dcgm-exporter.hasWebConfig" . }}
- name: DCGM_EXPORTER_WEB_CONFIG_FILE
  value: /etc/gpu-metrics-exporter/web/web-config.yaml
{{- end }}
{{- if .Values.kubernetes.enablePodLabels }}
- name: DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS
  value: "true"
{{- end }}
{{- if .Values.kubernetes.enablePodUID }}
- name: DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID
  value: "true"
{{- end }}
{{- with .Values.kubernetes.podLabelAllowlistRegex }}
- name: DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX
  value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.kubernetesDRA.enabled }}
- name: KUBERNETES_ENABLE_DRA
  value: "true"
{{- end }}
{{- if ne .Values.busySeconds "gpu,memory,profiling" }}
- name: DCGM_EXPORTER_BUSY_SECONDS
  value: {{ .Values.busySeconds | quote }}
{{- end }}
{{- if ne (toString .Values.labels.style) "classic" }}
- name: DCGM_EXPORTER_LABEL_STYLE
  value: {{ .Values.labels.style | quote }}
{{- end }}
{{- if .Values.labels.oldNames }}
- name: DCGM_EXPORTER_USE_OLD_NAMESPACE
  value: "true"
{{- end }}
{{- if eq (include "dcgm-exporter.gpuAccess" .) "volumeMounts" }}
- name: NVIDIA_VISIBLE_DEVICES
  value: /var/run/nvidia-container-devices
{{- else if eq (include "dcgm-exporter.gpuAccess" .) "hostDriver" }}
- name: LD_LIBRARY_PATH
  value: /usr/local/nvidia/lib64
{{- end }}
{{- end -}}
