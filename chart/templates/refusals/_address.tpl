{{/* An address at which Service and probes find nobody. */}}
{{- define "dcgm-exporter.refuseAddress" -}}
{{- $address := include "dcgm-exporter.flagValue" (list . "(a|address)" "DCGM_EXPORTER_LISTEN") | default .Values.service.address -}}
{{- if not (contains "$(" $address) -}}
{{- $port := regexFind "[0-9]*$" $address -}}
{{- $host := trimSuffix (printf ":%s" $port) $address -}}
{{- if ne $port (toString .Values.service.port) -}}
{{- fail (printf "service.port is %v, but the exporter listens on %s (service.address, or -a): the Service and the probes would not reach it" .Values.service.port $address) -}}
{{- end -}}
{{- if regexMatch "^(127[.].*|localhost|\\[::1\\])$" $host -}}
{{- fail (printf "service.address: on %s only the exporter's own pod can reach it, not the Service and the probes" $address) -}}
{{- end -}}
{{- end -}}
{{- end -}}
