{{/* Values that were written for another chart: NVIDIA's image, and the GPU Operator's block. */}}
{{- define "dcgm-exporter.refuseOthersValues" -}}
{{- if regexMatch "(^|/)nvidia/k8s/dcgm-exporter$" .Values.image.repository -}}
{{- fail (printf "image.repository: %s is NVIDIA's program, which never becomes ready in this chart; name your copy of this chart's image there, as docs/image.md says" .Values.image.repository) -}}
{{- end -}}
{{- if regexMatch "^[0-9]+[.][0-9]+[.][0-9]+-[0-9]+[.][0-9]+[.][0-9]+(-[a-z0-9.]+)?$" .Values.image.tag -}}
{{- fail (printf "image.tag: %s is a release of NVIDIA's program; remove it from your values, or name a tag of this chart's image" .Values.image.tag) -}}
{{- end -}}
{{- with .Values.dcgmExporter -}}
{{- $places := dict
  "config" "customMetrics (the text), or arguments: [-m, NAMESPACE:NAME] (a ConfigMap with the key metrics)"
  "env" "extraEnv"
  "args" "arguments"
  "resources" "resources"
  "service" "service"
  "serviceMonitor" "serviceMonitor"
  "hostPID" "hostPID"
  "hostNetwork" "hostNetwork"
  "imagePullSecrets" "imagePullSecrets"
-}}
{{- $answers := list -}}
{{- range $key := keys . | sortAlpha -}}
{{- with get $places $key -}}{{- $answers = append $answers (printf "its %s to %s" $key .) -}}{{- end -}}
{{- end -}}
{{- $own := "set dcgmExporter.enabled=false there, and here" -}}
{{- fail (printf "dcgmExporter is the GPU Operator's block: %s remove the block%s" $own (empty $answers | ternary "" (printf ", and give %s" (join ", " $answers)))) -}}
{{- end -}}
{{- end -}}
