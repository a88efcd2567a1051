{{/* Each volume of the exporter's pod beside its mount: (list . "volumes") or (list . "mounts"). */}}

{{- define "dcgm-exporter.volumes" -}}
{{- $root := index . 0 -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- if include "dcgm-exporter.asksKubelet" $root -}}
{{- $volumes = append $volumes (dict "name" "pod-gpu-resources" "hostPath" (dict "path" $root.Values.kubeletPath)) -}}
{{- $mounts = append $mounts (dict "name" "pod-gpu-resources" "mountPath" "/var/lib/kubelet/pod-resources" "readOnly" true) -}}
{{- end -}}
{{- if include "dcgm-exporter.offersGpus" $root -}}{{/* kubelet has this folder at this place, whatever its root folder is */}}
{{- $volumes = append $volumes (dict "name" "device-plugins" "hostPath" (dict "path" "/var/lib/kubelet/device-plugins")) -}}
{{- $mounts = append $mounts (dict "name" "device-plugins" "mountPath" "/var/lib/kubelet/device-plugins") -}}
{{- end -}}
{{- if not (include "dcgm-exporter.hasOwnCounters" $root) -}}
{{- $volumes = append $volumes (dict "name" "counters" "configMap" (dict "name" (include "dcgm-exporter.named" (list $root "counters")))) -}}
{{- $mounts = append $mounts (dict "name" "counters" "mountPath" "/etc/dcgm-exporter" "readOnly" true) -}}
{{- end -}}
{{- if $root.Values.config -}}
{{- $volumes = append $volumes (dict "name" "config" "configMap" (dict "name" (include "dcgm-exporter.named" (list $root "config")))) -}}
{{- $mounts = append $mounts (dict "name" "config" "mountPath" "/etc/gpu-metrics-exporter/config" "readOnly" true) -}}
{{- end -}}
{{- if include "dcgm-exporter.hasWebConfig" $root -}}
{{- $volumes = append $volumes (dict "name" "web-config" "secret" (dict "secretName" (include "dcgm-exporter.named" (list $root "web-config")))) -}}
{{- $mounts = append $mounts (dict "name" "web-config" "mountPath" "/etc/gpu-metrics-exporter/web" "readOnly" true) -}}
{{- end -}}
{{- if $root.Values.tlsServerConfig.enabled -}}
{{- $volumes = append $volumes (dict "name" "tls" "secret" (dict "secretName" (include "dcgm-exporter.tlsSecretName" $root))) -}}
{{- $mounts = append $mounts (dict "name" "tls" "mountPath" "/etc/gpu-metrics-exporter/tls" "readOnly" true) -}}
{{- end -}}
{{- if $root.Values.mock.enabled -}}
{{- $volumes = append $volumes (dict "name" "tmp" "emptyDir" dict) -}}
{{- $mounts = append $mounts (dict "name" "tmp" "mountPath" "/tmp") -}}
{{- if $root.Values.mock.scenario -}}
{{- $volumes = append $volumes (dict "name" "mock" "configMap" (dict "name" (include "dcgm-exporter.named" (list $root "mock")))) -}}
{{- $mounts = append $mounts (dict "name" "mock" "mountPath" "/etc/gpu-metrics-exporter/mock" "readOnly" true) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "dcgm-exporter.gpuAccess" $root) "volumeMounts" -}}
{{- $volumes = append $volumes (dict "name" "all-gpus" "hostPath" (dict "path" "/dev/null")) -}}
{{- $mounts = append $mounts (dict "name" "all-gpus" "mountPath" "/var/run/nvidia-container-devices/all" "readOnly" true) -}}
{{- else if eq (include "dcgm-exporter.gpuAccess" $root) "hostDriver" -}}
{{- $volumes = concat $volumes (list (dict "name" "driver" "hostPath" (dict "path" $root.Values.gpuAccess.hostDriverPath)) (dict "name" "devices" "hostPath" (dict "path" "/dev"))) -}}
{{- $mounts = concat $mounts (list (dict "name" "driver" "mountPath" "/usr/local/nvidia" "readOnly" true) (dict "name" "devices" "mountPath" "/dev")) -}}
{{- end -}}
{{- range $root.Values.extraHostVolumes -}}
{{- $volumes = append $volumes (dict "name" .name "hostPath" (dict "path" .hostPath)) -}}
{{- end -}}
{{- $volumes = concat $volumes (default list $root.Values.extraConfigMapVolumes) -}}
{{- $mounts = concat $mounts (default list $root.Values.extraVolumeMounts) -}}
{{- if eq (index . 1) "volumes" -}}{{- if $volumes -}}{{- toYaml $volumes -}}{{- end -}}{{- else -}}{{- if $mounts -}}{{- toYaml $mounts -}}{{- end -}}{{- end -}}
{{- end -}}
