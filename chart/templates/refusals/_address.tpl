{{/* An address at which Service and probes find nobody. */}}
{{- define "dcgm-exporter.refuseAddress" -}}
{{- $address := include "dcgm-exporter.flagValue" (list . "(a|address)" "DCGM_EXPORTER_LISTEN") | default .Values.service.address -}}
{{- if not (contains "$(" $address) -}}
{{- $port := regexFind "[0-9]*$" $address -}}
{{- $host := trimSuffix (printf ":%s" $port) $address -}}
{{- if ne $port (toString .Values.service.port) -}}
{{- fail (printf "service.port is %v, and the exporter listens at %s (service.address, or -a): Service and probes would find nobody" .Values.service.port $address) -}}
{{- end -}}
{{- if regexMatch "^(127[.].*|localhost|\\[::1\\])$" $host -}}
{{- fail (printf "service.address: at %s the exporter hears its own pod alone: Service and probes would find nobody" $address) -}}
{{- end -}}
{{- end -}}
{{- end -}}
