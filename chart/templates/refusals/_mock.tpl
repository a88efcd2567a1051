{{/* A profile or scenario that the mock does not know. */}}
{{- define "dcgm-exporter.refuseMock" -}}
{{- if .Values.mock.enabled -}}
{{- $known := .Files.Get "files/known/names.yaml" | fromYaml -}}
{{- $profiles := $known.mockProfiles -}}
{{- $names := concat $profiles $known.mockHosts -}}
{{- if not .Values.kubernetes.podMapping -}}
{{- if eq .Values.mock.pods "kubelet" -}}{{- fail "mock.pods: kubelet needs kubernetes.podMapping: true" -}}{{- end -}}
{{- if .Values.mock.devicePlugin -}}{{- fail "mock.devicePlugin needs kubernetes.podMapping: true" -}}{{- end -}}
{{- end -}}
{{- if not (has .Values.mock.profile $names) -}}
{{- fail (printf "mock.profile is %s, but must be one of %s" .Values.mock.profile (join ", " $names)) -}}
{{- end -}}
{{- with .Values.mock.scenario -}}
{{- range $key := keys . | sortAlpha -}}
{{- if not (has $key (list "seed" "driver" "gpus" "demands" "pods")) -}}
{{- fail (printf "mock.scenario has no key %s; docs/mock.md describes scenarios" $key) -}}
{{- end -}}
{{- end -}}
{{- if not (and .gpus (kindIs "slice" .gpus)) -}}{{- fail "mock.scenario: gpus is missing, the list of GPUs" -}}{{- end -}}
{{- range $i, $gpu := .gpus -}}
{{- if not (has (toString $gpu.profile) $profiles) -}}
{{- fail (printf "mock.scenario: gpus[%d]: profile is %v, but must be one of %s" $i $gpu.profile (join ", " $profiles)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
