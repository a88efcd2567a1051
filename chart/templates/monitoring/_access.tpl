{{/*
How Prometheus comes in: scheme, TLS and password of an endpoint. What serviceMonitor.tlsConfig says counts. Otherwise the certificate
that the chart has made is verified; of one that comes from elsewhere neither the authority nor the name is known here.
*/}}
{{- define "dcgm-exporter.scrapeAccess" -}}
{{- $own := .Values.serviceMonitor.tlsConfig -}}
{{- if or .Values.tlsServerConfig.enabled $own }}
scheme: https
tlsConfig:
  {{- if $own }}
  {{- toYaml $own | nindent 2 }}
  {{- else if include "dcgm-exporter.makesCertificate" . }}
  ca: {secret: {name: {{ include "dcgm-exporter.tlsSecretName" . }}, key: {{ .Values.tlsServerConfig.caFilename }}}}
  serverName: {{ include "dcgm-exporter.serverName" . }}
  {{- if include "dcgm-exporter.needsClientCertificate" . }}
  {{- $client := include "dcgm-exporter.named" (list . "client-tls") }}
  cert: {secret: {name: {{ $client }}, key: tls.crt}}
  keySecret: {name: {{ $client }}, key: tls.key}
  {{- end }}
  {{- else }}
  insecureSkipVerify: true
  {{- end }}
{{- end }}
{{- if .Values.basicAuth.users }}
{{- $login := include "dcgm-exporter.named" (list . "scrape") }}
basicAuth:
  username: {name: {{ $login }}, key: username}
  password: {name: {{ $login }}, key: password}
{{- end }}
{{- end -}}
