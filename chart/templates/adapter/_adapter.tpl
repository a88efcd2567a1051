{{/* What the adapter is called: its Deployment, Service and ServiceAccount. */}}
{{- define "dcgm-exporter.adapterName" -}}
{{- include "dcgm-exporter.named" (list . "adapter") -}}
{{- end -}}

{{/* The adapter's objects outside of namespaces: two releases of one name in two namespaces do not meet. */}}
{{- define "dcgm-exporter.adapterClusterName" -}}
{{- printf "%s:%s" (include "dcgm-exporter.namespace" .) (include "dcgm-exporter.adapterName" .) -}}
{{- end -}}

{{/* The Secret with the adapter's certificate. One that cert-manager made is not the chart's, so the two modes have a name each. */}}
{{- define "dcgm-exporter.adapterSecretName" -}}
{{- include "dcgm-exporter.named" (list . (eq .Values.adapter.tls.mode "certManager" | ternary "adapter-cert" "adapter-tls")) -}}
{{- end -}}

{{/* The names by which the API server calls the adapter, as JSON. */}}
{{- define "dcgm-exporter.adapterDnsNames" -}}
{{- $name := include "dcgm-exporter.adapterName" . -}}
{{- $namespace := include "dcgm-exporter.namespace" . -}}
{{- list (printf "%s.%s.svc" $name $namespace) (printf "%s.%s" $name $namespace) $name | toJson -}}
{{- end -}}

{{/* What can't work is refused in one sentence. */}}
{{- define "dcgm-exporter.checkAdapter" -}}
{{- if not (or .Values.adapter.rules.create .Values.adapter.rules.name) -}}
{{- fail "adapter.deploy: the adapter needs rules; set adapter.rules.create, or set adapter.rules.name to an existing ConfigMap" -}}
{{- end -}}
{{- if .Values.checkCluster -}}
{{- with lookup "apiregistration.k8s.io/v1" "APIService" "" "v1beta1.custom.metrics.k8s.io" -}}
{{- $owner := index (default dict .metadata.annotations) "meta.helm.sh/release-name" -}}
{{- $where := index (default dict .metadata.annotations) "meta.helm.sh/release-namespace" -}}
{{- if not (and (eq (toString $owner) $.Release.Name) (eq (toString $where) $.Release.Namespace)) -}}
{{- $service := default dict .spec.service -}}
{{- fail (printf "adapter.deploy: custom.metrics.k8s.io is already served by the Service %s in namespace %s; give that adapter the rules (rules.existing: %s) and set adapter.deploy to false" $service.name $service.namespace (include "dcgm-exporter.adapterRulesName" $)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
