{{/* Arguments and variables at which the exporter would end with exit code 2, by the flags of files/known. */}}
{{- define "dcgm-exporter.refuseArguments" -}}
{{- $flags := .Files.Get "files/known/flags.yaml" | fromYaml -}}
{{- $waiting := "" -}}
{{- $isOver := false -}}
{{- range .Values.arguments -}}
{{- if $isOver -}}
{{- fail (printf "arguments: %s comes after --, where flags are not read" .) -}}
{{- else if eq . "--" -}}
{{- $isOver = true -}}
{{- else if and $waiting (or (eq (get $flags $waiting).arity "value") (not (hasPrefix "-" .))) -}}
{{- include "dcgm-exporter.refuseValue" (list (printf "arguments: --%s" $waiting) (get $flags $waiting) .) -}}
{{- $waiting = "" -}}
{{- else -}}
{{- $waiting = "" -}}
{{- $name := regexReplaceAll "^--?" (regexFind "^[^=]*" .) "" -}}
{{- if not (regexMatch "^--?[^-=]" .) -}}
{{- fail (printf "arguments: %q belongs to no flag; give a switch its value with an equals sign, as in --kubernetes=true" .) -}}
{{- end -}}
{{- if not (hasKey $flags $name) -}}
{{- fail (printf "arguments: the exporter has no flag %s; docs/flags.md lists them" (regexFind "^[^=]*" .)) -}}
{{- end -}}
{{- if contains "=" . -}}
{{- include "dcgm-exporter.refuseValue" (list (printf "arguments: --%s" $name) (get $flags $name) (regexReplaceAll "^[^=]*=" . "")) -}}
{{- else if ne (get $flags $name).arity "switch" -}}
{{- $waiting = $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $waiting (eq (get $flags $waiting).arity "value") -}}
{{- fail (printf "arguments: --%s needs a value" $waiting) -}}
{{- end -}}
{{- range $variable := .Values.extraEnv -}}
{{- range $flag := values $flags -}}
{{- if and $variable.value (eq $variable.name (default "" $flag.variable)) -}}
{{- include "dcgm-exporter.refuseValue" (list (printf "extraEnv: %s" $variable.name) $flag $variable.value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A flag's value: (list PLACE FLAG TEXT). Kubernetes fills $(NAME) in later. */}}
{{- define "dcgm-exporter.refuseValue" -}}
{{- $flag := index . 1 -}}
{{- $text := index . 2 -}}
{{- if and $flag.form (not (contains "$(" $text)) (not (regexMatch $flag.form $text)) -}}
{{- fail (printf "%s takes %s, not %q" (index . 0) $flag.accepts $text) -}}
{{- end -}}
{{- end -}}
